//! State-machine safety (§5.4.3, Figure 3).

use super::{Peer, PerNode, server};
use crate::raft::{Entry, Index};
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};

/// "If a server has applied a log entry at a given index to its state machine, no other server will ever apply a
/// different log entry for the same index" (§5.4.3, Figure 3).
#[derive(Clone, Debug, Default)]
pub struct StateMachineSafety {
    /// By index less one: what was applied there first, and by whom.
    applied: Vec<(Entry, NodeId)>,
    /// Up to where each node was seen to have applied its log.
    last_applied: PerNode<Index>,
}

impl Invariant<Peer> for StateMachineSafety {
    fn property(&self) -> &'static str {
        "state-machine-safety"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        let last_applied = self.last_applied.of(touched);
        let Some(server) = server(&cluster, touched) else {
            *last_applied = Index::ZERO;
            return Ok(());
        };
        if *last_applied == server.last_applied() {
            return Ok(());
        }
        let first_new = last_applied.next();
        *last_applied = server.last_applied();
        let count = server.last_applied().next().since(first_new);
        let mut index = first_new;
        for entry in server.log().starting_at(first_new).iter().take(count) {
            // Each server applies its log from the beginning, so that at most the next index is new.
            let slot = index.since(Index::FIRST);
            if slot == self.applied.len() {
                self.applied.push((entry.clone(), touched));
            }
            let (first, by) = &self.applied[slot];
            if first != entry {
                return self.violated(format!(
                    "at index {index}, {by} has applied `{}` of term {}, but {touched} `{}` of term {}",
                    first.command, first.term, entry.command, entry.term
                ));
            }
            index = index.next();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{State, observe_all, put};
    use super::*;

    fn applied(value: &str, up_to: u64) -> State {
        let mut state = State::follower(2).log(&[1]);
        state.server().log.splice(Index(2), [put(2, value)]);
        state.committed(up_to)
    }

    #[test]
    fn servers_apply_the_same() {
        let mut invariant = StateMachineSafety::default();
        let behind = applied("2", 1);
        assert_eq!(
            observe_all(&mut invariant, &[applied("1", 2), behind]),
            Ok(())
        );
        let violation = observe_all(&mut invariant, &[applied("1", 2), applied("2", 2)]);
        assert_eq!(
            violation.unwrap_err().to_string(),
            "state-machine-safety: at index 2, n1 has applied `put x = 1 (s1#1)` of term 2, \
             but n2 `put x = 2 (s1#1)` of term 2"
        );
    }

    #[test]
    fn a_restarted_server_applies_the_same_again() {
        let mut invariant = StateMachineSafety::default();
        assert_eq!(observe_all(&mut invariant, &[applied("1", 2)]), Ok(()));
        assert_eq!(observe_all(&mut invariant, &[State::down()]), Ok(()));
        assert_eq!(observe_all(&mut invariant, &[applied("1", 1)]), Ok(()));
        assert!(observe_all(&mut invariant, &[applied("2", 2)]).is_err());
    }
}
