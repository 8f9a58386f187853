//! The client's side of leases: it keeps them alive, and knows until when it may rely on each.
//!
//! What a client is told counts from the moment at which it asked: a lease that was kept alive by a request of then lives for
//! its time to live after that. When that has passed by the client's own clock, the lease is lost to it, whoever it cannot
//! reach and whatever it is told later (consul #18271: a lock whose holder waits to be told that it has lost it).

use crate::kv::LeaseId;
use splitbrain_core::Time;
use std::collections::BTreeMap;
use std::time::Duration;

/// The leases of one client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Holdings {
    held: BTreeMap<LeaseId, Holding>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Holding {
    ttl: Duration,
    /// It is not to be relied on from this moment on.
    assured_until: Time,
    /// When to ask next that it be kept alive.
    ask_at: Time,
    /// The requests that were not answered, and when they were sent; the oldest first. Few: a new one is sent when a third of
    /// the time to live has passed, and what is older than that time is of no use.
    asked: Vec<(u64, Time)>,
}

impl Holdings {
    /// A lease was granted, and asked for at this moment.
    pub(super) fn granted(&mut self, lease: LeaseId, ttl: Duration, asked_at: Time) {
        let holding = Holding {
            ttl,
            assured_until: asked_at + ttl,
            ask_at: asked_at + ttl / 3,
            asked: Vec::new(),
        };
        self.held.insert(lease, holding);
    }

    /// Until when a lease may be relied on, by this client's clock; nothing, if it is not held (any more).
    pub(super) fn assured_until(&self, lease: LeaseId) -> Option<Time> {
        self.held.get(&lease).map(|held| held.assured_until)
    }

    /// All that are held, and until when each may be relied on.
    pub(super) fn iter(&self) -> impl Iterator<Item = (LeaseId, Time)> {
        self.held.iter().map(|(id, held)| (*id, held.assured_until))
    }

    /// It is held no longer. Whether it was.
    pub(super) fn forget(&mut self, lease: LeaseId) -> bool {
        self.held.remove(&lease).is_some()
    }

    /// A request was answered: the lease was kept alive when it was sent, or later.
    pub(super) fn kept(&mut self, lease: LeaseId, nonce: u64) {
        let Some(held) = self.held.get_mut(&lease) else {
            return;
        };
        let Some(nth) = held.asked.iter().position(|(sent, _)| *sent == nonce) else {
            return;
        };
        let (_, sent_at) = held.asked[nth];
        held.assured_until = held.assured_until.max(sent_at + held.ttl);
        held.ask_at = sent_at + held.ttl / 3;
        // What was sent before would say less.
        held.asked.drain(..=nth);
    }

    /// Whether a request with this nonce awaits its answer.
    pub(super) fn awaits(&self, lease: LeaseId, nonce: u64) -> bool {
        let held = self.held.get(&lease);
        held.is_some_and(|held| held.asked.iter().any(|(sent, _)| *sent == nonce))
    }

    /// The leases that are lost by now: nobody has answered for too long. They are forgotten.
    pub(super) fn lost(&mut self, now: Time) -> Vec<LeaseId> {
        let lost = |(id, held): (&LeaseId, &Holding)| (held.assured_until <= now).then_some(*id);
        let lost: Vec<LeaseId> = self.held.iter().filter_map(lost).collect();
        for id in &lost {
            self.held.remove(id);
        }
        lost
    }

    /// The next lease for which a request is to be sent by now, which counts as sent with the nonce that `draw` draws.
    /// Whether an earlier one has not been answered.
    pub(super) fn next_to_ask(
        &mut self,
        now: Time,
        again: Duration,
        draw: impl FnOnce() -> u64,
    ) -> Option<(LeaseId, u64, bool)> {
        let mut due = self.held.iter_mut();
        let (id, held) = due.find(|(_, held)| held.ask_at <= now)?;
        held.asked.retain(|(_, sent_at)| *sent_at + held.ttl > now);
        let unanswered = !held.asked.is_empty();
        let nonce = draw();
        held.asked.push((nonce, now));
        held.ask_at = now + again.min(held.ttl / 3).max(Duration::from_nanos(1));
        Some((*id, nonce, unanswered))
    }

    /// When there is something to do next.
    pub(super) fn next_due(&self) -> Option<Time> {
        let dues = self.held.values();
        dues.map(|held| held.ask_at.min(held.assured_until)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(3);
    const AGAIN: Duration = Duration::from_millis(500);

    fn lease() -> LeaseId {
        LeaseId::new(7).unwrap()
    }

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    fn ask(holdings: &mut Holdings, now: u64, nonce: u64) -> Option<bool> {
        let asked = holdings.next_to_ask(at(now), AGAIN, || nonce);
        asked.map(|(_, _, unanswered)| unanswered)
    }

    #[test]
    fn a_lease_counts_from_the_request_and_not_from_its_answer() {
        let mut holdings = Holdings::default();
        holdings.granted(lease(), TTL, at(0));
        assert_eq!(holdings.next_due(), Some(at(1000)));
        assert_eq!(ask(&mut holdings, 999, 1), None);
        assert_eq!(ask(&mut holdings, 1000, 1), Some(false));
        assert!(holdings.awaits(lease(), 1) && !holdings.awaits(lease(), 2));
        // The answer comes when it comes.
        holdings.kept(lease(), 1);
        assert_eq!(holdings.assured_until(lease()), Some(at(4000)));
        assert_eq!(holdings.next_due(), Some(at(2000)));
    }

    #[test]
    fn a_request_without_an_answer_is_sent_again_and_any_answer_counts() {
        let mut holdings = Holdings::default();
        holdings.granted(lease(), TTL, at(0));
        assert_eq!(ask(&mut holdings, 1000, 1), Some(false));
        assert_eq!(ask(&mut holdings, 1400, 2), None);
        assert_eq!(ask(&mut holdings, 1500, 2), Some(true));
        holdings.kept(lease(), 1);
        assert_eq!(holdings.assured_until(lease()), Some(at(4000)));
        holdings.kept(lease(), 2);
        holdings.kept(lease(), 1);
        assert_eq!(holdings.assured_until(lease()), Some(at(4500)));
    }

    #[test]
    fn what_nobody_keeps_alive_is_lost_without_being_told() {
        let mut holdings = Holdings::default();
        holdings.granted(lease(), TTL, at(0));
        ask(&mut holdings, 1000, 1);
        assert!(holdings.lost(at(2999)).is_empty());
        assert_eq!(holdings.lost(at(3000)), [lease()]);
        // Too late.
        holdings.kept(lease(), 1);
        assert_eq!(holdings.assured_until(lease()), None);
        assert_eq!(holdings.next_due(), None);
        assert!(!holdings.forget(lease()));
    }
}
