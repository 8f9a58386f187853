//! Leader append-only (§5.3, Figure 3).

use super::seen::{News, Seen};
use super::{Peer, PerNode, server};
use crate::raft::{Role, Term};
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};

/// "A leader never overwrites or deletes entries in its log; it only appends new entries" (§5.3, Figure 3;
/// `LeaderAppendOnly` in TLA+ specifications).
#[derive(Debug, Default)]
pub struct LeaderAppendOnly {
    seen: Seen,
    /// The term that a node was last seen to lead, and how often its log had been overwritten by then.
    led: PerNode<Option<(Term, u64)>>,
}

impl LeaderAppendOnly {
    pub(super) fn new(seen: &Seen) -> LeaderAppendOnly {
        LeaderAppendOnly {
            seen: seen.share(),
            ..LeaderAppendOnly::default()
        }
    }
}

impl Invariant<Peer> for LeaderAppendOnly {
    fn property(&self) -> &'static str {
        "leader-append-only"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        if !self
            .seen
            .is_news(News::LOG.or(News::ROLE), &cluster, touched)
        {
            return Ok(());
        }
        let led = self.led.of(touched);
        let server = server(&cluster, touched).filter(|server| server.role() == Role::Leader);
        let Some(server) = server else {
            *led = None;
            return Ok(());
        };
        let overwrites = server.log().overwrites();
        match *led {
            Some((term, before)) if term == server.term() && before != overwrites => {
                let from = server.log().changed_from();
                self.violated(format!(
                    "{touched} has overwritten or deleted entries of its log from index {from} on \
                     while it leads term {term}"
                ))
            }
            _ => {
                *led = Some((server.term(), overwrites));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{State, entry, observe};
    use super::*;
    use crate::raft::Index;

    #[test]
    fn a_leader_may_append_and_a_follower_may_overwrite() {
        let mut invariant = LeaderAppendOnly::default();
        let mut state = State::leader(2).log(&[1, 1, 2]);
        assert_eq!(observe(&mut invariant, &state), Ok(()));
        state.server().log.splice(Index(4), [entry(2)]);
        assert_eq!(observe(&mut invariant, &state), Ok(()));

        let mut state = state.becomes_follower();
        assert_eq!(observe(&mut invariant, &state), Ok(()));
        state.server().log.splice(Index(4), [entry(3)]);
        assert_eq!(observe(&mut invariant, &state), Ok(()));
    }

    #[test]
    fn a_leader_must_not_overwrite() {
        let mut invariant = LeaderAppendOnly::default();
        let mut state = State::leader(2).log(&[1, 1, 2]);
        assert_eq!(observe(&mut invariant, &state), Ok(()));
        state.server().log.splice(Index(3), [entry(2), entry(2)]);
        let violation = observe(&mut invariant, &state).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "leader-append-only: n1 has overwritten or deleted entries of its log from index 3 on \
             while it leads term 2"
        );
    }
}
