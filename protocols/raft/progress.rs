//! What a leader knows of one follower, and so what it sends it next: `nextIndex` and `matchIndex` of Figure 2.

use super::config::Settings;
use super::log::{Index, Log};
use super::message::Conflict;
use super::snapshot::{Part, Snapshot};
use std::collections::VecDeque;
use std::sync::Arc;

/// Which entries to send: `count` of them, after the one at `previous`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) previous: Index,
    pub(super) count: usize,
}

/// Which parts of a snapshot to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) offset: usize,
    pub(super) parts: Vec<Part>,
    pub(super) done: bool,
}

#[derive(Clone, Debug)]
enum Pace {
    /// The logs agree before `next_index`, as far as is known: requests follow each other without waiting for answers.
    Streaming,
    /// The follower has refused a request: it is to be found out where the logs part, and until then requests carry no
    /// entries (dissertation §3.5). The next one leaves when the last was answered, or at a heartbeat.
    Probing { waiting: bool },
    /// What the follower needs next is no longer in the log (dissertation §5).
    Installing(Installing),
}

/// A snapshot on its way. It is held until it has arrived, even if the leader takes a later one in between.
#[derive(Clone, Debug)]
struct Installing {
    snapshot: Arc<Snapshot>,
    parts: Arc<[Part]>,
    /// How many parts the follower has got.
    offset: usize,
    /// The parts after that have been sent. They are sent again at a heartbeat.
    waiting: bool,
}

impl Installing {
    fn chunk(&self, settings: &Settings) -> Chunk {
        let most = settings.snapshot_parts_per_chunk as usize;
        let end = self.parts.len().min(self.offset + most);
        Chunk {
            snapshot: self.snapshot.clone(),
            offset: self.offset,
            parts: self.parts[self.offset..end].to_vec(),
            done: end == self.parts.len(),
        }
    }
}

/// How far a follower is.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    /// The follower's log agrees with the leader's up to here, durably. Never decreases in a term.
    match_index: Index,
    /// The next entry to send; greater than `match_index`, and at most one after the leader's last.
    next_index: Index,
    /// The last index of each request with entries that was neither answered nor given up, ascending. Only while streaming.
    in_flight: VecDeque<Index>,
    pace: Pace,
}

impl Progress {
    /// Of a follower that nothing is known of, and so assumed to hold the log up to here (Figure 2).
    pub(super) fn new(last_index: Index) -> Progress {
        Progress {
            match_index: Index::ZERO,
            next_index: last_index.next(),
            in_flight: VecDeque::new(),
            pace: Pace::Streaming,
        }
    }

    #[inline]
    pub(super) fn match_index(&self) -> Index {
        self.match_index
    }

    /// Whether it is being sent a snapshot.
    pub(super) fn is_installing(&self) -> bool {
        matches!(self.pace, Pace::Installing(_))
    }

    /// Whether the leader has no longer what the follower needs next, and must send it a snapshot instead: the entry
    /// before the next one must still be known, too, as every request names it.
    pub(super) fn needs_snapshot(&self, log: &Log) -> bool {
        !self.is_installing() && self.next_index <= log.base()
    }

    /// To be sent this snapshot.
    pub(super) fn install(&mut self, snapshot: Arc<Snapshot>) {
        let parts = snapshot.parts();
        self.in_flight.clear();
        self.pace = Pace::Installing(Installing {
            snapshot,
            parts,
            offset: 0,
            waiting: false,
        });
    }

    /// What to send now, if it is entries: they count as sent. `last` is the leader's last index.
    #[inline]
    pub(super) fn next_batch(&mut self, last: Index, settings: &Settings) -> Option<Batch> {
        let previous = self.next_index.previous();
        match self.pace {
            Pace::Streaming => {
                let count = last
                    .since(previous)
                    .min(settings.entries_per_append as usize);
                if count == 0 || self.in_flight.len() >= settings.appends_in_flight as usize {
                    return None;
                }
                self.next_index = self.next_index.plus(count);
                self.in_flight.push_back(previous.plus(count));
                Some(Batch { previous, count })
            }
            Pace::Probing { waiting: false } => {
                self.pace = Pace::Probing { waiting: true };
                Some(Batch { previous, count: 0 })
            }
            Pace::Probing { waiting: true } | Pace::Installing(_) => None,
        }
    }

    /// What to send now, if it is a piece of a snapshot: it counts as sent.
    pub(super) fn next_chunk(&mut self, settings: &Settings) -> Option<Chunk> {
        match &mut self.pace {
            Pace::Installing(installing) if !installing.waiting => {
                installing.waiting = true;
                Some(installing.chunk(settings))
            }
            _ => None,
        }
    }

    /// What to send at a heartbeat, whether or not there was no answer to the last. If an earlier request was lost, the
    /// follower will refuse this one.
    pub(super) fn heartbeat(&mut self, last: Index, settings: &Settings) -> Beat {
        if let Pace::Installing(installing) = &mut self.pace {
            installing.waiting = true;
            return Beat::Chunk(installing.chunk(settings));
        }
        let empty = Batch {
            previous: self.next_index.previous(),
            count: 0,
        };
        Beat::Entries(self.next_batch(last, settings).unwrap_or(empty))
    }

    /// The follower's log agrees with the leader's up to here. Whether that is news.
    #[inline]
    pub(super) fn matched(&mut self, index: Index) -> bool {
        let news = index > self.match_index;
        self.match_index = self.match_index.max(index);
        while self.in_flight.pop_front_if(|last| *last <= index).is_some() {}
        match &self.pace {
            Pace::Streaming => self.next_index = self.next_index.max(index.next()),
            // A late answer: what the follower needs next is still not in the log.
            Pace::Installing(installing) if index < installing.snapshot.last_index => {}
            Pace::Probing { .. } | Pace::Installing(_) => {
                self.next_index = self.match_index.next();
                self.pace = Pace::Streaming;
            }
        }
        news
    }

    /// The follower has refused a request. Goes back by a term, rather than by an entry, at a time (§5.3). Whether that
    /// makes a difference.
    pub(super) fn conflicted(&mut self, conflict: Conflict, log: &Log) -> bool {
        // The answer to a request that has been overtaken by what is known now.
        let overtaken = match self.pace {
            Pace::Streaming => false,
            Pace::Probing { .. } => conflict.refused != self.next_index.previous(),
            Pace::Installing(_) => true,
        };
        if overtaken || conflict.refused <= self.match_index {
            return false;
        }
        // If the leader has entries of the conflicting term, then the logs may agree up to the last of them; if not,
        // the follower's entries of that term must all go.
        let known = conflict.term.and_then(|term| log.last_index_of(term));
        let next_index = known.map_or(conflict.first_index, Index::next);
        self.next_index = next_index
            .min(conflict.refused)
            .max(self.match_index.next());
        self.in_flight.clear();
        self.pace = Pace::Probing { waiting: false };
        self.next_index < conflict.refused
    }

    /// The follower has got so many parts of this snapshot. An answer that comes twice, or says nothing new, is no reason
    /// to send anything.
    pub(super) fn received(&mut self, last_index: Index, received: usize) {
        if let Pace::Installing(installing) = &mut self.pace
            && installing.snapshot.last_index == last_index
            && installing.offset != received
            && received <= installing.parts.len()
        {
            installing.offset = received;
            installing.waiting = false;
        }
    }
}

/// What to send at a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    Entries(Batch),
    Chunk(Chunk),
}

#[cfg(test)]
mod tests {
    use super::super::log::{Command, Entry, Term};
    use super::super::session::Machine;
    use super::*;
    use crate::kv;
    use std::collections::BTreeMap;

    const SETTINGS: fn() -> Settings = || Settings {
        entries_per_append: 2,
        appends_in_flight: 2,
        ..Settings::default()
    };

    fn batch(previous: u64, count: usize) -> Batch {
        Batch {
            previous: Index(previous),
            count,
        }
    }

    fn beat(previous: u64, count: usize) -> Beat {
        Beat::Entries(batch(previous, count))
    }

    fn refused(refused: u64, term: Option<u64>, first: u64) -> Conflict {
        Conflict {
            refused: Index(refused),
            term: term.map(Term),
            first_index: Index(first),
        }
    }

    fn log(terms: &[u64]) -> Log {
        let noop = |&term| Entry::new(Term(term), Command::Noop);
        Log::new(Index::ZERO, Term::ZERO, terms.iter().map(noop).collect())
    }

    #[test]
    fn a_stream_runs_ahead_of_its_answers_but_not_too_far() {
        let (last, settings) = (Index(99), SETTINGS());
        let mut progress = Progress::new(Index(5));
        assert_eq!(progress.next_batch(last, &settings), Some(batch(5, 2)));
        assert_eq!(progress.next_batch(last, &settings), Some(batch(7, 2)));
        assert_eq!(progress.next_batch(last, &settings), None);
        assert_eq!(progress.heartbeat(last, &settings), beat(9, 0));
        assert!(progress.matched(Index(7)));
        assert_eq!(progress.next_batch(last, &settings), Some(batch(9, 2)));
        assert!(!progress.matched(Index(7)), "a duplicate is no news");
        assert_eq!(progress.match_index(), Index(7));
    }

    #[test]
    fn a_probe_is_empty_and_waits_for_its_answer() {
        let (last, settings) = (Index(9), SETTINGS());
        let leader = log(&[1, 1, 1, 1, 1, 2, 2, 2, 2]);
        let mut progress = Progress::new(Index(9));
        progress.conflicted(refused(9, None, 4), &leader);
        assert_eq!(progress.next_batch(last, &settings), Some(batch(3, 0)));
        assert_eq!(progress.next_batch(last, &settings), None);
        assert_eq!(progress.heartbeat(last, &settings), beat(3, 0));
        assert!(progress.matched(Index(3)));
        assert_eq!(progress.next_batch(last, &settings), Some(batch(3, 2)));
        assert_eq!(progress.next_batch(last, &settings), Some(batch(5, 2)));
        assert_eq!(progress.next_batch(last, &settings), None);
    }

    #[test]
    fn a_refusal_goes_back_by_a_term() {
        // Figure 7: the leader of term 8, and follower f, whose entries of terms 2 and 3 are nowhere else.
        let leader = log(&[1, 1, 1, 4, 4, 5, 5, 6, 6, 6]);
        let mut progress = Progress::new(Index(10));
        assert!(progress.conflicted(refused(10, Some(3), 7), &leader));
        assert_eq!(progress.next_index, Index(7));
        progress.conflicted(refused(6, Some(2), 4), &leader);
        assert_eq!(progress.next_index, Index(4));
        // The answer to a request that was repeated at a heartbeat.
        progress.conflicted(refused(6, Some(2), 4), &leader);
        assert_eq!(progress.next_index, Index(4));
        assert!(progress.matched(Index(3)));

        // Follower e: it shares only the first two entries of term 4.
        let mut progress = Progress::new(Index(7));
        progress.conflicted(refused(7, Some(4), 4), &leader);
        assert_eq!(progress.next_index, Index(6));
        // Entry by entry it would have come no less far.
        assert!(!progress.conflicted(refused(5, Some(4), 5), &leader));
        assert_eq!(progress.next_index, Index(5));
    }

    #[test]
    fn a_late_refusal_does_not_undo_what_is_known() {
        let leader = log(&[1; 9]);
        let mut progress = Progress::new(Index(8));
        assert!(progress.matched(Index(8)));
        progress.conflicted(refused(8, None, 3), &leader);
        assert!(matches!(progress.pace, Pace::Streaming));
        progress.conflicted(refused(9, None, 3), &leader);
        assert_eq!(progress.next_index, Index(9));
        assert!(matches!(progress.pace, Pace::Probing { waiting: false }));
    }

    #[test]
    fn a_snapshot_goes_in_chunks_each_when_the_one_before_has_arrived() {
        let mut store = kv::Store::new();
        for key in ["a", "b", "c"] {
            store.apply(&kv::Op::put(key, "1"));
        }
        let snapshot = Arc::new(Snapshot {
            last_index: Index(7),
            machine: Machine::new(store, BTreeMap::new()),
            ..Snapshot::default()
        });
        let settings = Settings {
            snapshot_parts_per_chunk: 2,
            ..SETTINGS()
        };
        let mut leader = log(&[1; 9]);
        leader.compact(Index(5));
        let mut progress = Progress::new(Index(9));
        progress.conflicted(refused(9, None, 3), &leader);
        assert!(progress.needs_snapshot(&leader));
        progress.install(snapshot);
        assert!(!progress.needs_snapshot(&leader));
        let offset = |chunk: Option<Chunk>| chunk.map(|chunk| (chunk.offset, chunk.done));
        assert_eq!(offset(progress.next_chunk(&settings)), Some((0, false)));
        assert_eq!(offset(progress.next_chunk(&settings)), None);
        assert_eq!(progress.next_batch(Index(9), &settings), None);
        // Another snapshot's, the same again, more than there is, a late refusal, a late match.
        progress.received(Index(6), 2);
        progress.received(Index(7), 0);
        progress.received(Index(7), 4);
        progress.conflicted(refused(9, None, 3), &leader);
        progress.matched(Index(2));
        assert_eq!(offset(progress.next_chunk(&settings)), None);
        progress.received(Index(7), 2);
        assert_eq!(offset(progress.next_chunk(&settings)), Some((2, true)));
        // The follower has crashed, and begins anew.
        progress.received(Index(7), 0);
        assert_eq!(offset(progress.next_chunk(&settings)), Some((0, false)));
        assert!(progress.matched(Index(7)));
        assert_eq!(progress.next_batch(Index(9), &settings), Some(batch(7, 2)));
    }
}
