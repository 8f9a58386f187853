//! What is written to the journal, and what a restart makes of it.

use super::log::{Entry, Index, Log, Term};
use splitbrain_core::{Journal, NodeId};

/// The persistent state of Figure 2, but for the log: both must survive a crash before anything that depends on them
/// leaves the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// The latest term that the server has seen. Never decreases.
    pub term: Term,
    /// The candidate that got the server's vote in that term. Never changes within a term once it is set.
    pub voted_for: Option<NodeId>,
}

/// A record of a server's journal. The journal is folded from its beginning to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The term and vote are now these.
    HardState(HardState),
    /// The log ends before this index.
    Truncate {
        /// The first index that is gone.
        from: Index,
    },
    /// The log goes on with this entry.
    Append(Entry),
}

/// What a server finds when it starts.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) hard_state: HardState,
    pub(super) log: Log,
    /// How many records say something that a later one has not overridden.
    live: usize,
    /// How many records there are.
    all: usize,
}

impl Recovered {
    /// Folds the journal.
    pub(super) fn from(journal: Journal<Record>) -> Recovered {
        let all = journal.len();
        let mut hard_state = HardState::default();
        let mut entries = Vec::new();
        for record in journal {
            match record {
                Record::HardState(latest) => hard_state = latest,
                Record::Truncate { from } => entries.truncate(from.previous().0 as usize),
                Record::Append(entry) => entries.push(entry),
            }
        }
        Recovered {
            hard_state,
            live: entries.len() + usize::from(hard_state != HardState::default()),
            all,
            log: Log::from_entries(entries),
        }
    }

    /// The shortest journal that says the same, if dead records outnumber live ones.
    pub(super) fn compacted(&self) -> Option<Vec<Record>> {
        let dead = self.all - self.live;
        if dead <= self.live {
            return None;
        }
        let entries = self.log.starting_at(Index::FIRST).iter().cloned();
        let mut records = Vec::with_capacity(self.live);
        records.push(Record::HardState(self.hard_state));
        records.extend(entries.map(Record::Append));
        Some(records)
    }
}

#[cfg(test)]
mod tests {
    use super::super::log::Command;
    use super::*;

    fn append(term: u64) -> Record {
        Record::Append(Entry {
            term: Term(term),
            command: Command::Noop,
        })
    }

    fn vote(term: u64, node: Option<usize>) -> Record {
        Record::HardState(HardState {
            term: Term(term),
            voted_for: node.map(NodeId::from_index),
        })
    }

    #[test]
    fn the_last_word_counts_and_compaction_keeps_exactly_that() {
        let records = vec![
            vote(1, Some(0)),
            append(1),
            append(1),
            append(1),
            vote(2, None),
            Record::Truncate { from: Index(2) },
            append(2),
            vote(3, None),
            vote(3, Some(2)),
        ];
        let recovered = Recovered::from(Journal::from_records(records));
        assert_eq!(recovered.hard_state.term, Term(3));
        assert_eq!(recovered.hard_state.voted_for, Some(NodeId::from_index(2)));
        let canonical = vec![vote(3, Some(2)), append(1), append(2)];
        assert_eq!(recovered.compacted(), Some(canonical.clone()));

        let again = Recovered::from(Journal::from_records(canonical));
        assert_eq!(again.hard_state, recovered.hard_state);
        assert_eq!(
            again.log.starting_at(Index::FIRST),
            recovered.log.starting_at(Index::FIRST)
        );
        assert_eq!(again.compacted(), None);
    }

    #[test]
    fn an_empty_journal_is_a_new_server() {
        let recovered = Recovered::from(Journal::empty());
        assert_eq!(recovered.hard_state, HardState::default());
        assert_eq!(recovered.log.last_index(), Index::ZERO);
        assert_eq!(recovered.compacted(), None);
    }
}
