//! What a leader knows of one follower, and so what it sends it next: `nextIndex` and `matchIndex` of Figure 2.

use super::config::Settings;
use super::log::{Index, Log};
use super::message::Conflict;

/// Which entries to send: `count` of them, after the one at `previous`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) previous: Index,
    pub(super) count: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// The logs agree before `next_index`, as far as is known: requests follow each other without waiting for answers.
    Streaming,
    /// The follower has refused a request: it is to be found out where the logs part, and until then requests carry no
    /// entries (dissertation §3.5). The next one leaves when the last was answered, or at a heartbeat.
    Probing { waiting: bool },
}

/// How far a follower is.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    /// The follower's log agrees with the leader's up to here, durably. Never decreases in a term.
    match_index: Index,
    /// The follower is believed to hold the log up to here, so that only what comes after is in flight: `match_index`,
    /// or, before anything is known, everything that there was when the leader was elected.
    believed: Index,
    /// The next entry to send; greater than `match_index`, and at most one after the leader's last.
    next_index: Index,
    pace: Pace,
}

impl Progress {
    /// Of a follower that nothing is known of, and so assumed to hold the log up to here (Figure 2).
    pub(super) fn new(last_index: Index) -> Progress {
        Progress {
            match_index: Index::ZERO,
            believed: last_index,
            next_index: last_index.next(),
            pace: Pace::Streaming,
        }
    }

    pub(super) fn match_index(&self) -> Index {
        self.match_index
    }

    /// What to send now, if anything: it counts as sent. `last` is the leader's last index.
    pub(super) fn next_batch(&mut self, last: Index, settings: &Settings) -> Option<Batch> {
        let previous = self.next_index.previous();
        match self.pace {
            Pace::Streaming => {
                let in_flight = previous.since(self.believed);
                let room = (settings.entries_in_flight as usize).saturating_sub(in_flight);
                let most = room.min(settings.entries_per_append as usize);
                let count = last.since(previous).min(most);
                self.next_index = self.next_index.plus(count);
                (count > 0).then_some(Batch { previous, count })
            }
            Pace::Probing { waiting: true } => None,
            Pace::Probing { waiting: false } => {
                self.pace = Pace::Probing { waiting: true };
                Some(Batch { previous, count: 0 })
            }
        }
    }

    /// What to send at a heartbeat. If an earlier request was lost, the follower will refuse this one.
    pub(super) fn heartbeat(&mut self, last: Index, settings: &Settings) -> Batch {
        let empty = Batch {
            previous: self.next_index.previous(),
            count: 0,
        };
        self.next_batch(last, settings).unwrap_or(empty)
    }

    /// The follower's log agrees with the leader's up to here. Whether that is news.
    pub(super) fn matched(&mut self, index: Index) -> bool {
        let news = index > self.match_index;
        self.match_index = self.match_index.max(index);
        self.believed = self.believed.max(index);
        self.next_index = match self.pace {
            Pace::Streaming => self.next_index.max(index.next()),
            Pace::Probing { .. } => self.match_index.next(),
        };
        self.pace = Pace::Streaming;
        news
    }

    /// The follower has refused a request. Goes back by a term, rather than by an entry, at a time (§5.3). Whether that
    /// makes a difference.
    pub(super) fn conflicted(&mut self, conflict: Conflict, log: &Log) -> bool {
        // The answer to a request that has been overtaken by what is known now.
        let overtaken = match self.pace {
            Pace::Streaming => false,
            Pace::Probing { .. } => conflict.refused != self.next_index.previous(),
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
        self.believed = self.match_index;
        self.pace = Pace::Probing { waiting: false };
        self.next_index < conflict.refused
    }
}

#[cfg(test)]
mod tests {
    use super::super::log::{Command, Entry, Term};
    use super::*;

    const SETTINGS: fn() -> Settings = || Settings {
        entries_per_append: 2,
        entries_in_flight: 3,
        ..Settings::default()
    };

    fn batch(previous: u64, count: usize) -> Batch {
        Batch {
            previous: Index(previous),
            count,
        }
    }

    fn refused(refused: u64, term: Option<u64>, first: u64) -> Conflict {
        Conflict {
            refused: Index(refused),
            term: term.map(Term),
            first_index: Index(first),
        }
    }

    fn log(terms: &[u64]) -> Log {
        let noop = |&term| Entry {
            term: Term(term),
            command: Command::Noop,
        };
        Log::from_entries(terms.iter().map(noop).collect())
    }

    #[test]
    fn a_stream_runs_ahead_of_its_answers_but_not_too_far() {
        let (last, settings) = (Index(99), SETTINGS());
        let mut progress = Progress::new(Index(5));
        assert_eq!(progress.next_batch(last, &settings), Some(batch(5, 2)));
        assert_eq!(progress.next_batch(last, &settings), Some(batch(7, 1)));
        assert_eq!(progress.next_batch(last, &settings), None);
        assert_eq!(progress.heartbeat(last, &settings), batch(8, 0));
        assert!(progress.matched(Index(7)));
        assert_eq!(progress.next_batch(last, &settings), Some(batch(8, 2)));
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
        assert_eq!(progress.heartbeat(last, &settings), batch(3, 0));
        assert!(progress.matched(Index(3)));
        assert_eq!(progress.next_batch(last, &settings), Some(batch(3, 2)));
        assert_eq!(progress.next_batch(last, &settings), Some(batch(5, 1)));
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
        assert_eq!(progress.pace, Pace::Streaming);
        progress.conflicted(refused(9, None, 3), &leader);
        assert_eq!(progress.next_index, Index(9));
        assert_eq!(progress.pace, Pace::Probing { waiting: false });
    }
}
