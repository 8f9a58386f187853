//! What is written to the journal, and what a restart makes of it, damage included.

use super::log::{Entry, Index, Log, Term};
use super::snapshot::Snapshot;
use serde::{Deserialize, Serialize};
use splitbrain_core::{Damage, Journal, NodeId};
use std::fmt;
use std::sync::Arc;

/// The persistent state of Figure 2, but for the log: both must survive a crash before anything that depends on them
/// leaves the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardState {
    /// The latest term that the server has seen. Never decreases.
    pub term: Term,
    /// The candidate that got the server's vote in that term. Never changes within a term once it is set.
    pub voted_for: Option<NodeId>,
}

/// A record of a server's journal. The journal is folded from its beginning to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// The term and vote are now these. Always written twice in a row: nobody else can tell a server what it has promised,
    /// so that one corrupt record must not be enough to lose it.
    HardState(HardState),
    /// This stands for all entries up to its last index, and there are none after it but those that follow.
    Snapshot(Arc<Snapshot>),
    /// The log ends before this index.
    Truncate {
        /// The first index that is gone.
        from: Index,
    },
    /// The log goes on with this entry.
    Append(Entry),
    /// Entries were found to be lost: the server has acknowledged more than it has. See
    /// [`Server::is_recovering`](super::Server::is_recovering).
    Recovering {
        /// The latest term in which it may have acknowledged what it has lost.
        since: Term,
    },
    /// What was lost has come back.
    Recovered,
}

/// What is on the disk of a server before it starts for the first time. A disk without it was wiped, and may have held
/// anything.
pub(super) fn format(founding: Option<Snapshot>) -> Vec<Record> {
    let mut records = vec![Record::HardState(HardState::default()); 2];
    records.extend(founding.map(Arc::new).map(Record::Snapshot));
    records
}

/// A disk on which a server cannot start: what it promised may be gone with what cannot be read, and nobody else knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DiskLost {
    /// There is nothing on it, not even that it was formatted.
    Wiped,
    /// This record and the one after it cannot be read, and may have been a term and vote.
    Corrupt(usize),
}

impl fmt::Display for DiskLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiskLost::Wiped => f.write_str("its disk was wiped"),
            DiskLost::Corrupt(position) => write!(
                f,
                "records {position} and {} on its disk are corrupt, and may have been its vote",
                position + 1
            ),
        }
    }
}

/// What a server finds when it starts.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) hard_state: HardState,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) log: Log,
    /// Whether the server has acknowledged more than it has, in this term or before it.
    pub(super) recovering: Option<Term>,
    /// Whether the journal should be written anew: much of it is overridden, or some of it cannot be read.
    pub(super) untidy: bool,
}

impl Recovered {
    /// Folds the journal. A torn record at its end is left out: nothing that depended on it has left the server.
    ///
    /// A corrupt one was durable, so others may count on it. If it is one of the two that say the same of term and vote,
    /// nothing is lost. Otherwise it and all after it is lost to the log, and the server is
    /// [recovering](super::Server::is_recovering) (Protocol-Aware Recovery: Alagappan et al., FAST 2018).
    pub(super) fn from(journal: Journal<Record>) -> Result<Recovered, DiskLost> {
        if journal.is_empty() {
            return Err(DiskLost::Wiped);
        }
        let records: Vec<Result<Record, Damage>> = journal.into_iter().collect();
        let mut fold = Fold::default();
        let mut position = 0;
        while position < records.len() {
            position += fold.step(&records[position..], position)?;
        }
        Ok(fold.finish(records.len()))
    }

    /// For a server that will not run.
    pub(super) fn nothing() -> Recovered {
        Fold::default().finish(0)
    }
}

/// The journal as far as it has been read.
#[derive(Default)]
struct Fold {
    hard_state: HardState,
    snapshot: Arc<Snapshot>,
    entries: Vec<Entry>,
    recovering: Option<Term>,
    /// Some record could not be read.
    damaged: bool,
    /// One of them belonged to the log.
    lost: bool,
}

impl Fold {
    /// Reads on; how many records that took.
    fn step(
        &mut self,
        ahead: &[Result<Record, Damage>],
        position: usize,
    ) -> Result<usize, DiskLost> {
        let record = match &ahead[0] {
            Ok(Record::HardState(hard_state)) => {
                self.hard_state = *hard_state;
                let twin_corrupt = matches!(ahead.get(1), Some(Err(Damage::Corrupt)));
                let twin = twin_corrupt || ahead.get(1) == ahead.first();
                // A crash may have left the first of two only: alone it could be lost with one record.
                self.damaged |= twin_corrupt || !twin;
                return Ok(if twin { 2 } else { 1 });
            }
            Ok(record) => record,
            Err(Damage::Torn) => return Ok(1),
            Err(Damage::Corrupt) => return self.corrupt(ahead, position),
        };
        match record {
            Record::HardState(_) => {}
            Record::Snapshot(snapshot) => {
                self.snapshot = snapshot.clone();
                self.entries.clear();
            }
            Record::Truncate { from } => {
                let kept = from.since(self.snapshot.last_index.next());
                self.entries.truncate(kept);
            }
            Record::Append(entry) => {
                if !self.lost {
                    self.entries.push(entry.clone());
                }
            }
            Record::Recovering { since } => self.recovering = Some(*since),
            Record::Recovered => self.recovering = None,
        }
        Ok(1)
    }

    fn corrupt(
        &mut self,
        ahead: &[Result<Record, Damage>],
        position: usize,
    ) -> Result<usize, DiskLost> {
        self.damaged = true;
        match ahead.get(1) {
            Some(Err(Damage::Corrupt)) => Err(DiskLost::Corrupt(position)),
            // The second of two that say the same, unless its own second follows.
            Some(Ok(Record::HardState(hard_state)))
                if ahead.get(2) != ahead.get(1)
                    && !matches!(ahead.get(2), Some(Err(Damage::Corrupt))) =>
            {
                self.hard_state = *hard_state;
                // At the end it may be the first, if a crash has cut off its second: then this could have been anything.
                self.lost |= matches!(ahead.get(2), None | Some(Err(Damage::Torn)));
                Ok(2)
            }
            _ => {
                self.lost = true;
                Ok(1)
            }
        }
    }

    fn finish(mut self, all: usize) -> Recovered {
        if self.lost {
            // What it has acknowledged, it has acknowledged in this term or before. In the next one it will be asked for
            // nothing before it has got everything back; and that there is a next one makes its leader notice.
            self.recovering = Some(self.hard_state.term);
            self.hard_state = HardState {
                term: self.hard_state.term.next(),
                voted_for: None,
            };
        }
        let live = self.entries.len() + 3 + usize::from(self.recovering.is_some());
        let dead = all.saturating_sub(live);
        let (base, base_term) = (self.snapshot.last_index, self.snapshot.last_term);
        Recovered {
            hard_state: self.hard_state,
            snapshot: self.snapshot,
            log: Log::new(base, base_term, self.entries),
            recovering: self.recovering,
            untidy: self.damaged || dead > live,
        }
    }
}

/// The shortest journal that says this.
pub(super) fn shortest(
    hard_state: HardState,
    recovering: Option<Term>,
    snapshot: &Arc<Snapshot>,
    log: &Log,
) -> Vec<Record> {
    let entries = log.starting_at(snapshot.last_index.next());
    let mut records = Vec::with_capacity(entries.len() + 4);
    records.extend(std::iter::repeat_n(Record::HardState(hard_state), 2));
    records.extend(recovering.map(|since| Record::Recovering { since }));
    records.push(Record::Snapshot(snapshot.clone()));
    records.extend(entries.iter().cloned().map(Record::Append));
    records
}

#[cfg(test)]
mod tests {
    use super::super::log::Command;
    use super::*;

    fn append(term: u64) -> Record {
        Record::Append(Entry::new(Term(term), Command::Noop))
    }

    fn vote(term: u64, node: Option<usize>) -> Record {
        Record::HardState(HardState {
            term: Term(term),
            voted_for: node.map(NodeId::from_index),
        })
    }

    fn snapshot(last: u64) -> Record {
        Record::Snapshot(Arc::new(Snapshot {
            last_index: Index(last),
            last_term: Term(1),
            ..Snapshot::default()
        }))
    }

    fn recover(records: &[Record]) -> Recovered {
        Recovered::from(Journal::from_records(records.to_vec())).unwrap()
    }

    /// With the records at these positions corrupt.
    fn corrupt(records: &[Record], positions: &[usize]) -> Result<Recovered, DiskLost> {
        let damage = |(position, record): (usize, &Record)| {
            let corrupt = positions.contains(&position);
            if corrupt {
                Err(Damage::Corrupt)
            } else {
                Ok(record.clone())
            }
        };
        Recovered::from(records.iter().enumerate().map(damage).collect())
    }

    fn terms(log: &Log) -> Vec<u64> {
        let entries = log.starting_at(Index::FIRST).iter();
        entries.map(|entry| entry.term.0).collect()
    }

    #[test]
    fn the_last_word_counts_and_the_shortest_journal_keeps_exactly_that() {
        let records = [
            vote(1, Some(0)),
            vote(1, Some(0)),
            snapshot(4),
            append(1),
            append(1),
            append(1),
            vote(2, None),
            vote(2, None),
            Record::Truncate { from: Index(6) },
            append(2),
            vote(3, Some(2)),
            vote(3, Some(2)),
        ];
        let recovered = recover(&records);
        assert_eq!(recovered.hard_state.term, Term(3));
        assert_eq!(recovered.hard_state.voted_for, Some(NodeId::from_index(2)));
        assert_eq!(
            (recovered.log.base(), recovered.log.last_index()),
            (Index(4), Index(6))
        );
        assert_eq!(terms(&recovered.log), [1, 2]);
        assert!(recovered.untidy);

        let short = shortest(
            recovered.hard_state,
            None,
            &recovered.snapshot,
            &recovered.log,
        );
        let vote = vote(3, Some(2));
        assert_eq!(
            short,
            [vote.clone(), vote, snapshot(4), append(1), append(2)]
        );
        let again = recover(&short);
        assert_eq!(again.hard_state, recovered.hard_state);
        assert_eq!(terms(&again.log), terms(&recovered.log));
        assert!(!again.untidy);
    }

    #[test]
    fn a_formatted_disk_is_a_new_server_and_an_empty_one_was_wiped() {
        let recovered = recover(&format(None));
        assert_eq!(recovered.hard_state, HardState::default());
        assert_eq!(recovered.log.last_index(), Index::ZERO);
        assert!(!recovered.untidy && recovered.recovering.is_none());
        let wiped = Recovered::from(Journal::empty());
        assert_eq!(wiped.err(), Some(DiskLost::Wiped));
    }

    #[test]
    fn a_torn_end_is_left_out() {
        let records = [
            Ok(vote(1, None)),
            Ok(vote(1, None)),
            Ok(append(1)),
            Err(Damage::Torn),
        ];
        let recovered = Recovered::from(records.into_iter().collect()).unwrap();
        assert_eq!(terms(&recovered.log), [1]);
        assert_eq!(recovered.recovering, None);
    }

    #[test]
    fn a_corrupt_record_of_the_log_ends_it_and_is_remembered() {
        let records = [
            vote(1, None),
            vote(1, None),
            append(1),
            append(1),
            vote(4, Some(1)),
            vote(4, Some(1)),
            append(4),
        ];
        for (position, left) in [(2, &[][..]), (3, &[1]), (6, &[1, 1])] {
            let recovered = corrupt(&records, &[position]).unwrap();
            assert_eq!(terms(&recovered.log), left);
            assert_eq!(recovered.recovering, Some(Term(4)));
            let hard_state = recovered.hard_state;
            assert_eq!((hard_state.term, hard_state.voted_for), (Term(5), None));
            let short = shortest(
                hard_state,
                recovered.recovering,
                &recovered.snapshot,
                &recovered.log,
            );
            let again = recover(&short);
            assert_eq!(again.recovering, Some(Term(4)));
            assert_eq!(again.hard_state, hard_state);
        }
    }

    #[test]
    fn a_term_and_vote_survive_one_corrupt_record_and_not_two() {
        let records = [
            vote(1, None),
            vote(1, None),
            append(1),
            vote(4, Some(1)),
            vote(4, Some(1)),
            append(4),
        ];
        for position in [0, 1, 3, 4] {
            let recovered = corrupt(&records, &[position]).unwrap();
            assert_eq!(recovered.hard_state.term, Term(4));
            assert_eq!(recovered.recovering, None, "{position}");
            assert_eq!(terms(&recovered.log), [1, 4]);
            assert!(recovered.untidy);
        }
        // An entry, and one of two votes: it cannot be said which.
        assert_eq!(corrupt(&records, &[2, 3]).err(), Some(DiskLost::Corrupt(2)));
        assert_eq!(corrupt(&records, &[3, 4]).err(), Some(DiskLost::Corrupt(3)));
        let both = corrupt(&records, &[2, 4]).unwrap();
        assert_eq!(both.recovering, Some(Term(4)));
        assert_eq!(terms(&both.log), [0_u64; 0]);
    }

    #[test]
    fn a_term_and_vote_that_a_crash_left_written_once_are_written_anew() {
        let once = [vote(1, None), vote(1, None), append(1), vote(4, Some(1))];
        let recovered = recover(&once);
        assert_eq!(recovered.hard_state.term, Term(4));
        assert!(recovered.untidy, "one corrupt record could lose it");
        let torn = once.iter().cloned().map(Ok).chain([Err(Damage::Torn)]);
        assert!(Recovered::from(torn.collect()).unwrap().untidy);
    }

    #[test]
    fn a_corrupt_record_before_the_last_one_may_be_an_entry_or_a_vote() {
        // A vote that was written twice; or an entry, and a vote of which a crash left the first of two.
        let found = [
            Ok(vote(1, None)),
            Ok(vote(1, None)),
            Ok(append(1)),
            Err(Damage::Corrupt),
            Ok(vote(4, Some(1))),
            Err(Damage::Torn),
        ];
        for journal in [&found[..5], &found[..]] {
            let recovered = Recovered::from(journal.iter().cloned().collect()).unwrap();
            assert_eq!(recovered.recovering, Some(Term(4)));
            assert_eq!(recovered.hard_state.term, Term(5));
            assert_eq!(terms(&recovered.log), [1]);
        }
    }
}
