//! What is written to the journal, and what a restart makes of it.

use super::log::{Entry, Index, Log, Term};
use splitbrain_core::{Damage, Journal, NodeId};
use std::fmt;

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

/// What is on the disk of a server before it starts for the first time. A disk without it was wiped, and may have held
/// anything.
pub(super) fn format() -> Vec<Record> {
    vec![Record::HardState(HardState::default())]
}

/// A disk on which a server cannot start: what it promised may be gone with what cannot be read, be it a vote, be it an
/// entry that others have counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DiskLost {
    /// There is nothing on it, not even that it was formatted.
    Wiped,
    /// This record cannot be read.
    Corrupt(usize),
}

impl fmt::Display for DiskLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiskLost::Wiped => f.write_str("its disk was wiped"),
            DiskLost::Corrupt(position) => write!(f, "record {position} on its disk is corrupt"),
        }
    }
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
    /// Folds the journal. A torn record at its end is left out: nothing that depended on it has left the server.
    pub(super) fn from(journal: Journal<Record>) -> Result<Recovered, DiskLost> {
        if journal.is_empty() {
            return Err(DiskLost::Wiped);
        }
        if let Some((position, _)) = journal
            .damage()
            .find(|&(_, damage)| damage == Damage::Corrupt)
        {
            return Err(DiskLost::Corrupt(position));
        }
        let all = journal.len();
        let mut hard_state = HardState::default();
        let mut entries = Vec::new();
        for record in journal.into_iter().flatten() {
            match record {
                Record::HardState(latest) => hard_state = latest,
                Record::Truncate { from } => entries.truncate(from.previous().0 as usize),
                Record::Append(entry) => entries.push(entry),
            }
        }
        Ok(Recovered {
            hard_state,
            live: entries.len() + 1,
            all,
            log: Log::from_entries(entries),
        })
    }

    /// For a server that will not run.
    pub(super) fn nothing() -> Recovered {
        Recovered {
            hard_state: HardState::default(),
            log: Log::default(),
            live: 0,
            all: 0,
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
        let recover = |records| Recovered::from(Journal::from_records(records)).unwrap();
        let recovered = recover(records);
        assert_eq!(recovered.hard_state.term, Term(3));
        assert_eq!(recovered.hard_state.voted_for, Some(NodeId::from_index(2)));
        let canonical = vec![vote(3, Some(2)), append(1), append(2)];
        assert_eq!(recovered.compacted(), Some(canonical.clone()));

        let again = recover(canonical);
        assert_eq!(again.hard_state, recovered.hard_state);
        assert_eq!(
            again.log.starting_at(Index::FIRST),
            recovered.log.starting_at(Index::FIRST)
        );
        assert_eq!(again.compacted(), None);
    }

    #[test]
    fn a_formatted_disk_is_a_new_server_and_an_empty_one_was_wiped() {
        let recovered = Recovered::from(Journal::from_records(format())).unwrap();
        assert_eq!(recovered.hard_state, HardState::default());
        assert_eq!(recovered.log.last_index(), Index::ZERO);
        assert_eq!(recovered.compacted(), None);
        assert_eq!(
            Recovered::from(Journal::empty()).err(),
            Some(DiskLost::Wiped)
        );
    }

    #[test]
    fn a_torn_end_is_left_out_and_a_corrupt_record_is_not() {
        let journal = |damage| {
            let records = [Ok(vote(1, None)), Ok(append(1)), Err(damage)];
            Recovered::from(records.into_iter().collect())
        };
        assert_eq!(journal(Damage::Torn).unwrap().log.last_index(), Index(1));
        assert_eq!(journal(Damage::Corrupt).err(), Some(DiskLost::Corrupt(2)));
    }
}
