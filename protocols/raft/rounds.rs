//! Rounds: how a leader knows that it still leads. Check-quorum (dissertation §6.2), ReadIndex (§6.4) and leases (§6.4.1) are
//! the same question, asked for different reasons.
//!
//! Every request of a leader bears the number of its latest round, and every answer repeats it. A quorum that has
//! answered a round had, since the round was started, not gone over to another leader.

use splitbrain_core::Time;
use std::collections::VecDeque;
use std::time::Duration;

/// The rounds of one leader in one term.
#[derive(Clone, Debug)]
pub(super) struct Rounds {
    /// The latest that was started.
    latest: u64,
    /// Rounds that no quorum has answered, oldest first, with the time at which each was started by the leader's clock:
    /// nothing that bears its number was sent before.
    open: VecDeque<(u64, Time)>,
    /// The latest that a quorum has answered; zero before there was one.
    confirmed: u64,
    /// When a quorum was last known to follow: when the latest confirmed round was started, or the election won.
    followed_at: Time,
    /// When the latest confirmed round was started. Winning an election is no lease: the voters may be loyal to nobody.
    confirmed_at: Option<Time>,
}

/// A leader that nobody answers steps down long before it has so many.
const OPEN_MAX: usize = 1024;

impl Rounds {
    /// Of a leader that was elected now.
    pub(super) fn new(now: Time) -> Rounds {
        Rounds {
            latest: 0,
            open: VecDeque::new(),
            confirmed: 0,
            followed_at: now,
            confirmed_at: None,
        }
    }

    /// The number that requests bear now.
    #[inline]
    pub(super) fn latest(&self) -> u64 {
        self.latest
    }

    /// The latest that a quorum has answered.
    pub(super) fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// Starts a round, with requests that are to be sent after this.
    pub(super) fn start(&mut self, now: Time) -> u64 {
        if self.open.len() == OPEN_MAX {
            self.open.pop_front();
        }
        self.latest += 1;
        self.open.push_back((self.latest, now));
        self.latest
    }

    /// A quorum has answered the rounds up to this one. Whether that is news.
    #[inline]
    pub(super) fn confirm(&mut self, round: u64) -> bool {
        if round <= self.confirmed {
            return false;
        }
        self.confirmed = round;
        while let Some((_, started)) = self.open.pop_front_if(|(open, _)| *open <= round) {
            self.followed_at = started;
            self.confirmed_at = Some(started);
        }
        true
    }

    /// For how long no quorum has been heard of.
    pub(super) fn unfollowed_for(&self, now: Time) -> Duration {
        now.since(self.followed_at)
    }

    /// Whether the leader may take it that nobody else has been elected: for `lease` after a round was started that a
    /// quorum has answered.
    pub(super) fn has_lease(&self, now: Time, lease: Duration) -> bool {
        self.confirmed_at
            .is_some_and(|started| now.since(started) < lease)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_counts_from_when_the_question_was_asked() {
        let at = Time::from_millis;
        let lease = Duration::from_millis(100);
        let mut rounds = Rounds::new(at(10));
        assert!(!rounds.has_lease(at(10), lease));
        assert_eq!((rounds.start(at(20)), rounds.start(at(50))), (1, 2));
        assert!(rounds.confirm(1));
        assert!(!rounds.confirm(1));
        assert!(rounds.has_lease(at(119), lease));
        assert!(!rounds.has_lease(at(120), lease));
        assert_eq!(rounds.unfollowed_for(at(60)), Duration::from_millis(40));
        assert!(rounds.confirm(2));
        assert!(rounds.has_lease(at(149), lease));
        assert_eq!((rounds.latest(), rounds.confirmed()), (2, 2));
    }

    #[test]
    fn rounds_that_nobody_answers_take_no_more_and_more_memory() {
        let mut rounds = Rounds::new(Time::ZERO);
        for _ in 0..3 * OPEN_MAX {
            rounds.start(Time::ZERO);
        }
        assert_eq!(rounds.open.len(), OPEN_MAX);
        // One that was forgotten says that there was a quorum, but not when.
        assert!(rounds.confirm(1));
        assert!(!rounds.has_lease(Time::ZERO, Duration::MAX));
    }
}
