//! A lease excludes other leaders (dissertation §6.4.1).

use super::seen::{News, Seen};
use super::{Peer, PerNode, server};
use crate::raft::{Role, Term};
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};

/// Nobody has been elected leader of a later term when a leader answers a read on the strength of its lease (dissertation
/// §6.4.1): otherwise what the other one has committed may be missing from the answer. It holds as long as clocks are as
/// the settings say.
#[derive(Debug, Default)]
pub struct LeaseExclusivity {
    seen: Seen,
    /// The latest term that had a leader, and that leader.
    elected: Option<(Term, NodeId)>,
    /// How many reads each node was seen to have answered so.
    lease_reads: PerNode<u64>,
}

impl LeaseExclusivity {
    pub(super) fn new(seen: &Seen) -> LeaseExclusivity {
        LeaseExclusivity {
            seen: seen.share(),
            ..LeaseExclusivity::default()
        }
    }
}

impl Invariant<Peer> for LeaseExclusivity {
    fn property(&self) -> &'static str {
        "lease-exclusivity"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        if !self
            .seen
            .is_news(News::LEASE.or(News::ROLE), &cluster, touched)
        {
            return Ok(());
        }
        let lease_reads = self.lease_reads.of(touched);
        let Some(server) = server(&cluster, touched) else {
            *lease_reads = 0;
            return Ok(());
        };
        let term = server.term();
        if server.role() == Role::Leader && self.elected.is_none_or(|(latest, _)| latest < term) {
            self.elected = Some((term, touched));
        }
        let before = std::mem::replace(lease_reads, server.lease_reads());
        match self.elected {
            Some((latest, other)) if before < server.lease_reads() && latest > term => {
                self.violated(format!(
                    "{touched} has answered a read by its lease in term {term}, when {other} had been elected \
                     leader of term {latest}"
                ))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{State, observe_all};
    use super::*;

    #[test]
    fn no_lease_outlives_the_election_of_another() {
        let mut invariant = LeaseExclusivity::default();
        let reading = |reads| {
            let mut state = State::leader(2);
            state.server().lease_reads = reads;
            state
        };
        let follower = State::follower(2);
        for states in [
            [reading(0), follower.clone()],
            [reading(1), follower],
            // An earlier leader, which has answered before.
            [reading(1), State::leader(3)],
        ] {
            assert_eq!(observe_all(&mut invariant, &states), Ok(()));
        }
        let violation = observe_all(&mut invariant, &[reading(2), State::down()]).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "lease-exclusivity: n1 has answered a read by its lease in term 2, when n2 had been elected \
             leader of term 3"
        );
    }
}
