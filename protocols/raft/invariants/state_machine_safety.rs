//! State-machine safety (§5.4.3, Figure 3).

use super::seen::{Book, News, Seen};
use super::{Peer, PerNode, server};
use crate::raft::{Entry, Index, Server, Term};
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};

/// "If a server has applied a log entry at a given index to its state machine, no other server will ever apply a
/// different log entry for the same index" (§5.4.3, Figure 3; `StateMachineSafety` in TLA+ specifications).
///
/// A snapshot stands for having applied the entries up to its last one, which must be the one that others have applied
/// there; by log matching, those before it are then the same, too.
#[derive(Debug, Default)]
pub struct StateMachineSafety {
    seen: Seen,
    /// By index less one: what was applied there first, and by whom.
    applied: Vec<Option<(Entry, NodeId)>>,
    /// Up to where each node was seen to have applied its log.
    last_applied: PerNode<Index>,
}

impl StateMachineSafety {
    pub(super) fn new(seen: &Seen) -> StateMachineSafety {
        StateMachineSafety {
            seen: seen.share(),
            ..StateMachineSafety::default()
        }
    }

    /// A server has applied the entry; what another has applied there, in words, if that was another one.
    fn apply(&mut self, index: Index, entry: &Entry, by: NodeId) -> Option<String> {
        let slot = index.since(Index::FIRST);
        if slot >= self.applied.len() {
            self.applied.resize(slot + 1, None);
        }
        let (first, first_by) = self.applied[slot].get_or_insert_with(|| (entry.clone(), by));
        (first != entry).then(|| {
            format!(
                "at index {index}, {first_by} has applied `{}` of term {}, but {by} `{}` of term {}",
                first.command, first.term, entry.command, entry.term
            )
        })
    }

    /// A server has applied everything up to this entry, of which its log knows no more than the term.
    fn stand_for(&mut self, book: &Book, last: (Index, Term), by: NodeId) -> Option<String> {
        let (mut index, mut term) = last;
        while index > Index::ZERO {
            let slot = index.since(Index::FIRST);
            if let Some(Some((first, first_by))) = self.applied.get(slot) {
                return (first.term != term).then(|| {
                    format!(
                        "at index {index}, {first_by} has applied `{}` of term {}, but {by} one of term {term}",
                        first.command, first.term
                    )
                });
            }
            // Applied and compacted in one event, by the first that could.
            self.apply(index, book.entry(index, term)?, by);
            term = book.previous_term(index, term)?;
            index = index.previous();
        }
        None
    }

    fn check(&mut self, book: &Book, server: &Server, id: NodeId, from: Index) -> Option<String> {
        let (log, last) = (server.log(), server.last_applied());
        if from < log.base() {
            let term = log.term_at(log.base())?;
            let different = self.stand_for(book, (log.base(), term), id);
            if different.is_some() {
                return different;
            }
        }
        let mut index = from.max(log.base()).next();
        let count = last.next().since(index);
        for entry in log.starting_at(index).iter().take(count) {
            let different = self.apply(index, entry, id);
            if different.is_some() {
                return different;
            }
            index = index.next();
        }
        None
    }
}

impl Invariant<Peer> for StateMachineSafety {
    fn property(&self) -> &'static str {
        "state-machine-safety"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        if !self.seen.is_news(News::APPLIED, &cluster, touched) {
            return Ok(());
        }
        let seen = self.seen.clone();
        let book = seen.book();
        let last_applied = self.last_applied.of(touched);
        let Some(server) = server(&cluster, touched) else {
            *last_applied = Index::ZERO;
            return Ok(());
        };
        if *last_applied == server.last_applied() {
            return Ok(());
        }
        let from = std::mem::replace(last_applied, server.last_applied());
        let different = self.check(&book, server, touched, from);
        different.map_or(Ok(()), |what| self.violated(what))
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

    #[test]
    fn a_snapshot_stands_for_what_others_have_applied_up_to_its_last_entry() {
        let whole = State::follower(2).log(&[1, 1, 2]).committed(3);
        let with = |other: State| {
            let mut invariant = StateMachineSafety::default();
            observe_all(&mut invariant, &[whole.clone(), other])
        };
        let other = State::follower(2);
        assert_eq!(with(other.clone().installed(3, 2)), Ok(()));
        assert_eq!(with(other.clone().installed(2, 1).appended(&[2])), Ok(()));
        let violation = with(other.installed(3, 1)).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "state-machine-safety: at index 3, n1 has applied `no-op` of term 2, but n2 one of term 1"
        );
    }

    #[test]
    fn what_is_applied_and_compacted_in_one_event_was_applied() {
        let mut invariant = StateMachineSafety::default();
        let log = State::follower(2).log(&[1, 1, 2]);
        assert_eq!(
            observe_all(&mut invariant, std::slice::from_ref(&log)),
            Ok(())
        );
        let compacted = log.committed(3).compacted(3);
        let other = State::follower(2).log(&[1, 2]).committed(2);
        let violation = observe_all(&mut invariant, &[compacted, other]).unwrap_err();
        assert!(violation.what.starts_with("at index 2, n1"), "{violation}");
    }
}
