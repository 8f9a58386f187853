//! Election safety (§5.2, Figure 3).

use super::seen::{News, Seen};
use super::{Peer, PerNode, server};
use crate::raft::{Role, Term};
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};
use std::collections::BTreeMap;

/// "At most one leader can be elected in a given term" (§5.2, Figure 3; `ElectionSafety`, `MoreThanOneLeaderInv`
/// in TLA+ specifications).
#[derive(Debug, Default)]
pub struct ElectionSafety {
    seen: Seen,
    /// Who has led each term.
    leaders: BTreeMap<Term, NodeId>,
    /// The last term in which a node was seen to lead.
    led: PerNode<Term>,
}

impl ElectionSafety {
    pub(super) fn new(seen: &Seen) -> ElectionSafety {
        ElectionSafety {
            seen: seen.share(),
            ..ElectionSafety::default()
        }
    }
}

impl Invariant<Peer> for ElectionSafety {
    fn property(&self) -> &'static str {
        "election-safety"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        if !self.seen.is_news(News::ROLE, &cluster, touched) {
            return Ok(());
        }
        let Some(server) = server(&cluster, touched) else {
            return Ok(());
        };
        let led = self.led.of(touched);
        if server.role() != Role::Leader || server.term() == *led {
            return Ok(());
        }
        *led = server.term();
        let first = *self.leaders.entry(server.term()).or_insert(touched);
        if first != touched {
            return self.violated(format!(
                "{first} and {touched} have both been elected leader of term {}",
                server.term()
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{State, observe_all};
    use super::*;

    #[test]
    fn two_leaders_are_fine_in_two_terms_but_not_in_one() {
        let mut invariant = ElectionSafety::default();
        let old = State::leader(1);
        assert_eq!(
            observe_all(&mut invariant, &[old.clone(), State::leader(2)]),
            Ok(())
        );
        let violation = observe_all(&mut invariant, &[old.clone(), State::leader(1)]).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "election-safety: n1 and n2 have both been elected leader of term 1"
        );
    }

    #[test]
    fn a_leader_that_has_crashed_has_led_its_term() {
        let mut invariant = ElectionSafety::default();
        let up = State::follower(3);
        assert_eq!(
            observe_all(&mut invariant, &[State::leader(3), up.clone()]),
            Ok(())
        );
        assert_eq!(observe_all(&mut invariant, &[State::down(), up]), Ok(()));
        let now = [State::down(), State::leader(3)];
        assert!(observe_all(&mut invariant, &now).is_err());
    }
}
