//! Leases: keys that go when nobody keeps them (etcd: `lease`, and the lessor; ZooKeeper: ephemeral nodes).
//!
//! There is no time in here. Servers agree on which leases there are, what they are attached to, and what was last agreed
//! on of the time that is left to each. That one has run out is for the leader to say, by its clock, and what it then
//! proposes may be carried out late: after somebody has renewed the lease. So each renewal that all agree on is numbered,
//! and [`Op::LeaseExpire`](super::Op::LeaseExpire) names the one that it has waited for in vain.

use super::{Key, Refusal};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU64;
use std::ops::Bound::{Excluded, Unbounded};

/// The name of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseId(pub NonZeroU64);

impl LeaseId {
    /// The lease of this name, if it is one: it must not be zero.
    pub const fn new(id: u64) -> Option<LeaseId> {
        match NonZeroU64::new(id) {
            Some(id) => Some(LeaseId(id)),
            None => None,
        }
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "l{}", self.0)
    }
}

/// The longest time to live that is granted, in milliseconds (etcd: 9,000,000,000 s). It fits into nanoseconds of 64 bits.
pub const TTL_MS_MAX: u64 = 9_000_000_000_000;

/// What is agreed on of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub(super) ttl_ms: u64,
    /// At most `ttl_ms`.
    pub(super) remaining_ms: u64,
    pub(super) renewals: u64,
    /// The live keys whose latest put named the lease.
    pub(super) keys: BTreeSet<Key>,
}

impl Lease {
    /// How long it lives when it is renewed, in milliseconds.
    pub fn ttl_ms(&self) -> u64 {
        self.ttl_ms
    }

    /// How much of that was left when this was last agreed on (etcd: `LeaseCheckpoint`), in milliseconds. A new leader, which
    /// knows nothing of later renewals, grants it that much from when it was elected: not less, or the lease could end
    /// early, and not all of it, or a lease that nobody renews would never end while leaders change.
    pub fn remaining_ms(&self) -> u64 {
        self.remaining_ms
    }

    /// The number of the latest renewal that was agreed on. No two renewals of any leases have the same.
    pub fn renewals(&self) -> u64 {
        self.renewals
    }

    /// The keys that go with it, ascending.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Key> {
        self.keys.iter()
    }
}

/// All leases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Leases {
    granted: BTreeMap<LeaseId, Lease>,
    /// The same by the number of their latest renewal.
    by_renewal: BTreeMap<u64, LeaseId>,
    /// How many renewals there have ever been, of whatever lease.
    renewals: u64,
}

impl Leases {
    pub(super) fn new(renewals: u64) -> Leases {
        Leases {
            granted: BTreeMap::new(),
            by_renewal: BTreeMap::new(),
            renewals,
        }
    }

    pub(super) fn renewals(&self) -> u64 {
        self.renewals
    }

    pub(super) fn get(&self, id: LeaseId) -> Option<&Lease> {
        self.granted.get(&id)
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (LeaseId, &Lease)> {
        self.granted.iter().map(|(id, lease)| (*id, lease))
    }

    /// Those that were granted or renewed after this renewal, the earliest first.
    pub(super) fn renewed_after(&self, renewals: u64) -> impl Iterator<Item = (LeaseId, &Lease)> {
        let ids = self.by_renewal.range((Excluded(renewals), Unbounded));
        ids.filter_map(|(_, id)| Some((*id, self.get(*id)?)))
    }

    /// Puts a lease as it is, without its keys.
    pub(super) fn restore(&mut self, id: LeaseId, ttl_ms: u64, remaining_ms: u64, renewals: u64) {
        let lease = Lease {
            ttl_ms,
            remaining_ms,
            renewals,
            keys: BTreeSet::new(),
        };
        self.granted.insert(id, lease);
        self.by_renewal.insert(renewals, id);
    }

    /// Grants a lease of this name, or of one that none has.
    pub(super) fn grant(&mut self, id: Option<LeaseId>, ttl_ms: u64) -> Result<LeaseId, Refusal> {
        if ttl_ms == 0 || ttl_ms > TTL_MS_MAX {
            return Err(Refusal::TimeToLive);
        }
        if let Some(id) = id
            && self.granted.contains_key(&id)
        {
            return Err(Refusal::LeaseExists(id));
        }
        self.renewals += 1;
        let id = id.unwrap_or_else(|| self.unused());
        self.restore(id, ttl_ms, ttl_ms, self.renewals);
        Ok(id)
    }

    /// The first name from the number of this renewal on that no lease has.
    fn unused(&self) -> LeaseId {
        let mut id = NonZeroU64::MIN.saturating_add(self.renewals - 1);
        while self.granted.contains_key(&LeaseId(id)) {
            id = id.checked_add(1).unwrap_or(NonZeroU64::MIN);
        }
        LeaseId(id)
    }

    /// It is agreed that so much is left to the lease.
    pub(super) fn checkpoint(&mut self, id: LeaseId, remaining_ms: u64) -> Result<(), Refusal> {
        let lease = self.granted.get_mut(&id);
        let lease = lease.ok_or(Refusal::UnknownLease(id))?;
        self.renewals += 1;
        self.by_renewal.remove(&lease.renewals);
        self.by_renewal.insert(self.renewals, id);
        lease.renewals = self.renewals;
        lease.remaining_ms = remaining_ms.min(lease.ttl_ms);
        Ok(())
    }

    /// Takes the lease away; its keys are to go, too. If it is because it expired, only if it was not renewed since.
    pub(super) fn remove(
        &mut self,
        id: LeaseId,
        waited_for: Option<u64>,
    ) -> Result<BTreeSet<Key>, Refusal> {
        let lease = self.get(id).ok_or(Refusal::UnknownLease(id))?;
        if waited_for.is_some_and(|renewals| renewals != lease.renewals) {
            return Err(Refusal::Renewed(id));
        }
        let renewed = lease.renewals;
        self.by_renewal.remove(&renewed);
        let lease = self.granted.remove(&id);
        Ok(lease.map(|lease| lease.keys).unwrap_or_default())
    }

    /// A key went from one lease to another.
    pub(super) fn moved(&mut self, key: &Key, from: Option<LeaseId>, to: Option<LeaseId>) {
        if from == to {
            return;
        }
        if let Some(lease) = from.and_then(|id| self.granted.get_mut(&id)) {
            lease.keys.remove(key);
        }
        if let Some(lease) = to.and_then(|id| self.granted.get_mut(&id)) {
            lease.keys.insert(key.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: u64) -> LeaseId {
        LeaseId::new(id).unwrap()
    }

    #[test]
    fn names_are_unique_whoever_chooses_them() {
        let mut leases = Leases::default();
        assert_eq!(leases.grant(Some(id(2)), 5), Ok(id(2)));
        assert_eq!(
            leases.grant(Some(id(2)), 5),
            Err(Refusal::LeaseExists(id(2)))
        );
        // The second renewal; but there is a lease 2.
        assert_eq!(leases.grant(None, 5), Ok(id(3)));
        assert_eq!(leases.grant(None, 5), Ok(id(4)));
        for ttl_ms in [0, TTL_MS_MAX + 1] {
            assert_eq!(leases.grant(None, ttl_ms), Err(Refusal::TimeToLive));
        }
        assert_eq!(leases.iter().count(), 3);
        assert!(LeaseId::new(0).is_none());
    }

    #[test]
    fn what_was_renewed_does_not_expire() {
        let mut leases = Leases::default();
        leases.grant(Some(id(1)), 100).unwrap();
        let before = leases.get(id(1)).unwrap().renewals();
        leases.checkpoint(id(1), 900).unwrap();
        assert_eq!(leases.get(id(1)).unwrap().remaining_ms(), 100);
        assert_eq!(
            leases.remove(id(1), Some(before)),
            Err(Refusal::Renewed(id(1)))
        );
        let now = leases.get(id(1)).unwrap().renewals();
        let after = |renewals| leases.renewed_after(renewals).count();
        assert_eq!((after(0), after(before), after(now)), (1, 1, 0));
        assert_eq!(leases.remove(id(1), Some(now)), Ok(BTreeSet::new()));
        assert_eq!(leases.renewed_after(0).count(), 0);
        assert_eq!(
            leases.checkpoint(id(1), 5),
            Err(Refusal::UnknownLease(id(1)))
        );
        // Another lease of that name is not what was waited for.
        leases.grant(Some(id(1)), 100).unwrap();
        for stale in [before, now] {
            assert_eq!(
                leases.remove(id(1), Some(stale)),
                Err(Refusal::Renewed(id(1)))
            );
        }
    }

    #[test]
    fn a_key_goes_with_one_lease() {
        let mut leases = Leases::default();
        let key = Key::from("k");
        for nth in 1..=2 {
            leases.grant(Some(id(nth)), 100).unwrap();
        }
        leases.moved(&key, None, Some(id(1)));
        leases.moved(&key, Some(id(1)), Some(id(2)));
        assert_eq!(leases.get(id(1)).unwrap().keys().len(), 0);
        assert_eq!(
            leases.get(id(2)).unwrap().keys().collect::<Vec<_>>(),
            [&key]
        );
        leases.moved(&key, Some(id(2)), None);
        assert_eq!(leases.remove(id(2), None), Ok(BTreeSet::new()));
    }
}
