//! When leases run out: what a leader knows of it, and nobody else.
//!
//! The store holds which leases there are, and which keys are attached to them; time is not in it, as the servers' clocks do
//! not agree. The leader measures by its own clock, and proposes that a lease ends when it has not been kept alive for its
//! whole time to live (as etcd's lessor does). It errs on one side only: a lease lasts at least as long as its client may
//! believe.
//!
//! * A client counts from the moment at which it *sent* what was granted, a leader from a later one.
//! * Both clocks may drift, within a bound: the leader adds what they may drift apart.
//! * A new leader does not know when a lease was last kept alive. It begins anew for all of them, when it has applied all that
//!   its predecessors committed: whatever they granted, they granted before. So that frequent changes of leader do not make
//!   leases immortal, a leader writes down from time to time how much of a long lease remains (a checkpoint), and its
//!   successor begins with that.

use crate::kv::LeaseId;
use splitbrain_core::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a leader knows of leases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lessor {
    leases: BTreeMap<LeaseId, Lease>,
    /// The same by the time at which something is to be done for them: exactly one for each of `leases`.
    agenda: BTreeSet<(Time, LeaseId)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lease {
    ttl: Duration,
    /// When it will have run out, if it is not kept alive.
    ends_at: Time,
    /// When it is to be looked at: to end it, or to write down how much of it remains.
    due_at: Time,
}

/// What is to be done for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It has run out.
    Expire(LeaseId),
    /// So much of it remains, and a successor should know.
    Checkpoint(LeaseId, Duration),
}

/// How a leader measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Any two clocks run within this many millionths of true time.
    pub clock_drift_ppm_max: u32,
    /// How often it is written down how much remains of a lease that is not kept alive.
    pub checkpoint_every: Duration,
}

const MILLION: u128 = 1_000_000;

impl Terms {
    /// How long a leader waits, by its clock, until a client that counts `remaining` by its own has certainly ended: if the
    /// leader's clock is as fast as may be, and the client's as slow.
    pub fn patience(self, remaining: Duration) -> Duration {
        let drift = self.drift();
        let nanos = (remaining.as_nanos() * (MILLION + drift)).div_ceil(MILLION - drift);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The other way round: what a client still counts, at most, when a leader is to wait for so long.
    fn remaining(self, patience: Duration) -> Duration {
        let drift = self.drift();
        let nanos = (patience.as_nanos() * (MILLION - drift)).div_ceil(MILLION + drift);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn drift(self) -> u128 {
        u128::from(self.clock_drift_ppm_max).min(MILLION - 1)
    }
}

impl Lessor {
    /// How many leases it watches over.
    pub fn len(&self) -> usize {
        self.leases.len()
    }

    /// Whether it watches over none: it leads nobody, or nobody has a lease.
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    /// Begins to watch over a lease that has this much to go, and may have been kept alive before or not: a leader that has
    /// just come to lead does not know. How much remains is soon to be written down, in case it does not lead for long.
    pub fn take_over(
        &mut self,
        id: LeaseId,
        ttl: Duration,
        remaining: Duration,
        now: Time,
        terms: Terms,
    ) {
        let due_at = now + terms.checkpoint_every;
        self.set(id, ttl, now + terms.patience(remaining), due_at);
    }

    /// The lease lives, and has this much to go. Who keeps it alive does so three times in its time to live, and there is
    /// nothing to be written down until that was missed.
    fn lives(&mut self, id: LeaseId, ttl: Duration, remaining: Duration, now: Time, terms: Terms) {
        let due_at = now + terms.checkpoint_every.max(ttl / 2);
        self.set(id, ttl, now + terms.patience(remaining), due_at);
    }

    fn set(&mut self, id: LeaseId, ttl: Duration, ends_at: Time, due_at: Time) {
        self.forget(id);
        let lease = Lease {
            ttl,
            ends_at,
            due_at: ends_at.min(due_at),
        };
        self.leases.insert(id, lease);
        self.agenda.insert((lease.due_at, id));
    }

    /// It was agreed that a lease has this much to go: it was granted, or that was written down. What is known of it already
    /// stays, if that is more: it may have been kept alive since.
    pub fn renewed(
        &mut self,
        id: LeaseId,
        ttl: Duration,
        remaining: Duration,
        now: Time,
        terms: Terms,
    ) {
        let ends_at = now + terms.patience(remaining);
        if self
            .leases
            .get(&id)
            .is_none_or(|known| known.ends_at < ends_at)
        {
            self.lives(id, ttl, remaining, now, terms);
        }
    }

    /// The lease was kept alive: it has its whole time to live again. Nothing if it is not known, or has run out: that has
    /// been proposed, and may have been done.
    pub fn keep_alive(&mut self, id: LeaseId, now: Time, terms: Terms) -> Option<Duration> {
        let lease = self.leases.get(&id)?;
        if lease.ends_at <= now {
            return None;
        }
        let ttl = lease.ttl;
        self.lives(id, ttl, ttl, now, terms);
        Some(ttl)
    }

    /// The lease is no more.
    pub fn forget(&mut self, id: LeaseId) {
        if let Some(lease) = self.leases.remove(&id) {
            self.agenda.remove(&(lease.due_at, id));
        }
    }

    /// Leads nobody any more.
    pub fn clear(&mut self) {
        self.leases.clear();
        self.agenda.clear();
    }

    /// When there is something to do next.
    pub fn next_due(&self) -> Option<Time> {
        self.agenda.first().map(|(due_at, _)| *due_at)
    }

    /// The next thing to do that is due by now. A lease that has run out comes again after `again`, as long as nobody has said
    /// that it is [no more](Lessor::forget): what was proposed may not be committed.
    pub fn due(&mut self, now: Time, again: Duration, terms: Terms) -> Option<Due> {
        let (due_at, id) = *self.agenda.first()?;
        if due_at > now {
            return None;
        }
        self.agenda.remove(&(due_at, id));
        let lease = self.leases.get_mut(&id)?;
        let remaining = terms.remaining(lease.ends_at.since(now));
        let due = if remaining.is_zero() {
            lease.due_at = now + again;
            Due::Expire(id)
        } else {
            lease.due_at = lease.ends_at.min(now + terms.checkpoint_every);
            Due::Checkpoint(id, remaining)
        };
        self.agenda.insert((lease.due_at, id));
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms {
        clock_drift_ppm_max: 0,
        checkpoint_every: Duration::from_secs(4),
    };
    const AGAIN: Duration = Duration::from_secs(1);

    fn lease(id: u64) -> LeaseId {
        LeaseId::new(id).unwrap()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn at(seconds: u64) -> Time {
        Time::from_secs(seconds)
    }

    fn lessor(leases: &[(u64, u64)]) -> Lessor {
        let mut lessor = Lessor::default();
        for (id, ttl) in leases {
            let ttl = seconds(*ttl);
            lessor.take_over(lease(*id), ttl, ttl, Time::ZERO, TERMS);
        }
        lessor
    }

    fn all_due(lessor: &mut Lessor, now: u64) -> Vec<Due> {
        std::iter::from_fn(|| lessor.due(at(now), AGAIN, TERMS)).collect()
    }

    #[test]
    fn a_lease_runs_out_when_nobody_keeps_it_alive() {
        let mut lessor = lessor(&[(1, 3), (2, 2)]);
        assert_eq!(lessor.next_due(), Some(at(2)));
        assert_eq!(all_due(&mut lessor, 1), []);
        assert_eq!(lessor.keep_alive(lease(1), at(1), TERMS), Some(seconds(3)));
        assert_eq!(all_due(&mut lessor, 3), [Due::Expire(lease(2))]);
        assert_eq!(
            all_due(&mut lessor, 5),
            [Due::Expire(lease(1)), Due::Expire(lease(2))]
        );
        lessor.forget(lease(1));
        lessor.forget(lease(2));
        assert!(lessor.is_empty());
        assert_eq!(
            (all_due(&mut lessor, 99), lessor.next_due()),
            (vec![], None)
        );
    }

    #[test]
    fn what_has_run_out_is_not_kept_alive_any_more() {
        let mut lessor = lessor(&[(1, 3)]);
        assert_eq!(lessor.keep_alive(lease(1), at(3), TERMS), None);
        assert_eq!(lessor.keep_alive(lease(7), at(1), TERMS), None);
    }

    #[test]
    fn what_was_proposed_in_vain_is_proposed_again() {
        let mut lessor = lessor(&[(1, 3)]);
        assert_eq!(all_due(&mut lessor, 3), [Due::Expire(lease(1))]);
        assert_eq!(all_due(&mut lessor, 3), [], "not at once");
        assert_eq!(all_due(&mut lessor, 4), [Due::Expire(lease(1))]);
    }

    #[test]
    fn of_a_long_lease_it_is_written_down_how_much_remains() {
        let mut first = lessor(&[(1, 10)]);
        assert_eq!(
            all_due(&mut first, 4),
            [Due::Checkpoint(lease(1), seconds(6))]
        );
        // Its successor begins with that, and not anew.
        let mut second = Lessor::default();
        second.take_over(lease(1), seconds(10), seconds(6), at(5), TERMS);
        assert_eq!(
            all_due(&mut second, 9),
            [Due::Checkpoint(lease(1), seconds(2))]
        );
        assert_eq!(all_due(&mut second, 11), [Due::Expire(lease(1))]);
    }

    #[test]
    fn what_was_written_down_takes_nothing_from_what_was_kept_alive_since() {
        let mut lessor = lessor(&[(1, 10)]);
        assert_eq!(
            all_due(&mut lessor, 4),
            [Due::Checkpoint(lease(1), seconds(6))]
        );
        lessor.keep_alive(lease(1), at(5), TERMS);
        lessor.renewed(lease(1), seconds(10), seconds(6), at(6), TERMS);
        assert_eq!(
            all_due(&mut lessor, 9),
            [],
            "it was kept alive a while ago only"
        );
        assert_eq!(
            all_due(&mut lessor, 14),
            [Due::Checkpoint(lease(1), seconds(1))]
        );
        lessor.renewed(lease(1), seconds(10), seconds(10), at(14), TERMS);
        assert_eq!(all_due(&mut lessor, 15), []);
    }

    #[test]
    fn a_leader_waits_for_the_slowest_client() {
        let terms = Terms {
            clock_drift_ppm_max: 100_000,
            ..TERMS
        };
        // A tenth too fast against a tenth too slow: 11/9.
        assert_eq!(terms.patience(seconds(9)), seconds(11));
        assert_eq!(terms.remaining(seconds(11)), seconds(9));
        let mut lessor = Lessor::default();
        lessor.take_over(lease(1), seconds(3), seconds(3), Time::ZERO, terms);
        let almost = Time::ZERO + Duration::from_millis(3_666);
        assert_eq!(lessor.due(almost, AGAIN, terms), None);
        let over = Time::ZERO + Duration::from_millis(3_667);
        assert_eq!(lessor.due(over, AGAIN, terms), Some(Due::Expire(lease(1))));
    }
}
