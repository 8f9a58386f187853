//! A snapshot is what the entries come to (dissertation §5.1).

use super::replay::{Model, Replay};
use super::seen::{Book, News, Seen};
use super::{Peer, PerNode, server};
use crate::raft::{Index, Membership, Snapshot};
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};
use std::sync::Arc;

/// A snapshot stands for the committed entries up to its last one: the state that they come to, client sessions included
/// (dissertation §5.1, §6.3), the term of the last one, and the members at that index. Whether the server has taken it, has
/// got it from a leader, or has found it on its disk.
#[derive(Debug, Default)]
pub struct SnapshotEqualsReplay {
    seen: Seen,
    replay: Replay,
    /// Up to where the snapshot of each node reached that was looked at last.
    last_index: PerNode<Index>,
    /// The members before any entry names others.
    founders: Option<Arc<Membership>>,
}

impl SnapshotEqualsReplay {
    pub(super) fn new(seen: &Seen, replay: &Replay) -> SnapshotEqualsReplay {
        SnapshotEqualsReplay {
            seen: seen.share(),
            replay: replay.clone(),
            ..SnapshotEqualsReplay::default()
        }
    }

    fn difference(&self, book: &Book, snapshot: &Snapshot) -> Option<String> {
        let (index, term) = (snapshot.last_index, snapshot.last_term);
        let committed = book.committed(index)?;
        if committed.term != term {
            let expected = committed.term;
            return Some(format!(
                "the entry is of term {expected} rather than {term}"
            ));
        }
        let compare = |model: &Model| {
            let expected = model.membership.as_ref().or(self.founders.as_ref());
            let members = &snapshot.membership;
            match expected {
                Some(expected) if expected != members => {
                    Some(format!("the members are {members} rather than {expected}"))
                }
                _ => model.difference(&snapshot.machine),
            }
        };
        self.replay.at(book, index, compare).flatten()
    }
}

impl Invariant<Peer> for SnapshotEqualsReplay {
    fn property(&self) -> &'static str {
        "snapshot-equals-replay"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        if !self.seen.is_news(News::SNAPSHOT, &cluster, touched) {
            return Ok(());
        }
        let book = self.seen.book();
        let last_index = self.last_index.of(touched);
        let Some(server) = server(&cluster, touched) else {
            *last_index = Index::ZERO;
            return Ok(());
        };
        let snapshot = server.snapshot();
        if self.founders.is_none()
            && !snapshot.membership.voters().is_empty()
            && snapshot.last_index == Index::ZERO
        {
            self.founders = Some(snapshot.membership.clone());
        }
        let before = std::mem::replace(last_index, snapshot.last_index);
        if before == snapshot.last_index {
            return Ok(());
        }
        let found = self.difference(&book, snapshot);
        drop(book);
        found.map_or(Ok(()), |what| {
            let index = snapshot.last_index;
            self.violated(format!(
                "the snapshot of {touched} up to index {index} is not what its entries come to: {what}"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{State, observe_all, put, register};
    use super::*;
    use crate::raft::{Machine, Term};

    fn whole() -> State {
        let mut state = State::follower(1);
        let entries = [register(1), put(1, "1"), put(1, "2")];
        state.server().log.splice(Index(1), entries);
        state.applied(3)
    }

    fn observed(change: impl Fn(&mut Snapshot)) -> Result<(), Violation> {
        let mut invariant = SnapshotEqualsReplay::default();
        let mut other = State::follower(1).installed(3, 1);
        let mut snapshot = Snapshot {
            machine: whole().server().machine.clone(),
            ..other.server().snapshot().clone()
        };
        change(&mut snapshot);
        other.server().snapshot = Arc::new(snapshot);
        observe_all(&mut invariant, &[whole(), other])
    }

    #[test]
    fn all_of_it_is_compared() {
        assert_eq!(observed(|_| {}), Ok(()));
        let violation = observed(|snapshot| snapshot.machine = Machine::default()).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "snapshot-equals-replay: the snapshot of n2 up to index 3 is not what its entries come to: \
             x is nothing rather than 1"
        );
        // The store without the sessions.
        let without = |snapshot: &mut Snapshot| {
            let store = snapshot.machine.store().clone();
            snapshot.machine = Machine::new(store, [].into());
        };
        let violation = observed(without).unwrap_err();
        assert!(
            violation.what.ends_with("there is no session s1"),
            "{violation}"
        );
        assert!(observed(|snapshot| snapshot.last_term = Term(2)).is_err());
    }
}
