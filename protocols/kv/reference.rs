//! The store against one that is written the plain way: every state that there ever was, in a list.

mod operations;

use super::ret::{DeletedRange, LeaseView, Put, Ranged};
use super::*;
use operations::op;
use proptest::prelude::*;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

type Keys = BTreeMap<Key, KeyValue>;

/// Every state there ever was.
struct Reference {
    /// By revision.
    states: Vec<Keys>,
    compacted: u64,
    keeps: usize,
    sequence: u64,
    /// Time to live, what is left of it, and the latest renewal.
    leases: BTreeMap<LeaseId, (u64, u64, u64)>,
    renewals: u64,
}

impl Reference {
    fn keeping(keeps: u64) -> Reference {
        Reference {
            states: vec![Keys::new(); 2],
            compacted: 0,
            keeps: keeps as usize,
            sequence: 0,
            leases: BTreeMap::new(),
            renewals: 0,
        }
    }

    fn revision(&self) -> u64 {
        self.states.len() as u64 - 1
    }

    /// Which keys a revision changed.
    fn changed(&self, revision: u64) -> BTreeSet<Key> {
        let (before, after) = (
            &self.states[revision as usize - 1],
            &self.states[revision as usize],
        );
        let keys = before.keys().chain(after.keys());
        let differs = |key: &&Key| before.get(*key) != after.get(*key);
        keys.filter(differs).cloned().collect()
    }

    fn trim(&mut self) {
        let now = self.revision();
        let kept = |this: &Reference| {
            let kept = this.compacted.max(1) + 1..=now;
            kept.map(|revision| this.changed(revision).len())
                .sum::<usize>()
        };
        if self.keeps == 0 {
            self.compacted = now;
        }
        if kept(self) <= self.keeps + (self.keeps / 8).min(128) {
            return;
        }
        while kept(self) > self.keeps && self.compacted.max(1) + 1 < now {
            self.compacted = self.compacted.max(1) + 1;
        }
    }

    fn apply(&mut self, op: &Op) -> Ret {
        let next = self.revision() + 1;
        let mut keys = self.states[next as usize - 1].clone();
        let before = keys.clone();
        let ret = match op {
            Op::Transaction(transaction) => {
                let mut path = Vec::new();
                match self.plan(transaction, &before, &mut path) {
                    Ok(()) => {
                        path.reverse();
                        self.transaction(transaction, &mut keys, &before, &mut path)
                    }
                    Err(refusal) => refusal,
                }
            }
            Op::Compact { revision } => return self.compact(revision.0),
            Op::Keep { changes } => {
                self.keeps = *changes as usize;
                self.trim();
                return Ret::Done;
            }
            Op::LeaseGrant { lease, ttl_ms } => return self.grant(*lease, *ttl_ms),
            Op::LeaseCheckpoint {
                lease,
                remaining_ms,
            } => {
                let Some(found) = self.leases.get_mut(lease) else {
                    return Ret::Refused(Refusal::UnknownLease(*lease));
                };
                self.renewals += 1;
                *found = (found.0, found.0.min(*remaining_ms), self.renewals);
                return Ret::Done;
            }
            Op::LeaseRevoke { lease } => self.end_lease(*lease, None, &mut keys),
            Op::LeaseExpire { lease, renewals } => {
                self.end_lease(*lease, Some(*renewals), &mut keys)
            }
            op => self.one(op, &mut keys, &before),
        };
        if keys != before {
            self.states.push(keys);
            self.trim();
        }
        ret
    }

    fn end_lease(&mut self, lease: LeaseId, renewals: Option<u64>, keys: &mut Keys) -> Ret {
        let Some(found) = self.leases.get(&lease) else {
            return Ret::Refused(Refusal::UnknownLease(lease));
        };
        if renewals.is_some_and(|renewals| renewals != found.2) {
            return Ret::Refused(Refusal::Renewed(lease));
        }
        self.leases.remove(&lease);
        let count = keys.len();
        keys.retain(|_, found| found.lease != Some(lease));
        let gone = (count - keys.len()) as u64;
        Ret::Revoked {
            keys: gone,
            revision: Revision(self.revision() + u64::from(gone > 0)),
        }
    }

    fn grant(&mut self, lease: Option<LeaseId>, ttl_ms: u64) -> Ret {
        if ttl_ms == 0 {
            return Ret::Refused(Refusal::TimeToLive);
        }
        if let Some(lease) = lease
            && self.leases.contains_key(&lease)
        {
            return Ret::Refused(Refusal::LeaseExists(lease));
        }
        self.renewals += 1;
        let mut unused = (self.renewals..).filter_map(LeaseId::new);
        let unused = unused.find(|id| !self.leases.contains_key(id)).unwrap();
        let lease = lease.unwrap_or(unused);
        self.leases.insert(lease, (ttl_ms, ttl_ms, self.renewals));
        Ret::Granted { lease, ttl_ms }
    }

    fn compact(&mut self, revision: u64) -> Ret {
        if revision > self.revision() {
            return Ret::Future(Revision(self.revision()));
        }
        if revision <= self.compacted {
            return Ret::Compacted(Revision(self.compacted));
        }
        self.compacted = revision;
        Ret::Done
    }

    fn check(&self, revision: Option<Revision>) -> Result<(), Ret> {
        match revision {
            Some(Revision(revision)) if revision > self.revision() => {
                Err(Ret::Future(Revision(self.revision())))
            }
            Some(Revision(revision)) if revision < self.compacted => {
                Err(Ret::Compacted(Revision(self.compacted)))
            }
            _ => Ok(()),
        }
    }

    /// Which way a transaction goes, if nothing that it does on that way is refused.
    fn plan(
        &self,
        transaction: &Transaction,
        keys: &Keys,
        path: &mut Vec<bool>,
    ) -> Result<(), Ret> {
        let succeeded = transaction.compare.iter().all(|compare| {
            let mut found: Vec<Option<&KeyValue>> = keys
                .values()
                .filter(|found| compare.keys.contains(&found.key))
                .map(Some)
                .collect();
            if found.is_empty() {
                found.push(None);
            }
            found.into_iter().all(|found| holds(compare, found))
        });
        path.push(succeeded);
        let branch = if succeeded {
            &transaction.then
        } else {
            &transaction.otherwise
        };
        for op in branch {
            match op {
                Op::Put {
                    lease: Some(lease), ..
                }
                | Op::PutSequential {
                    lease: Some(lease), ..
                } if !self.leases.contains_key(lease) => {
                    return Err(Ret::Refused(Refusal::UnknownLease(*lease)));
                }
                Op::Range(range) => self.check(range.revision)?,
                Op::Transaction(within) => self.plan(within, keys, path)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn transaction(
        &mut self,
        transaction: &Transaction,
        keys: &mut Keys,
        before: &Keys,
        path: &mut Vec<bool>,
    ) -> Ret {
        let succeeded = path.pop().unwrap();
        let branch = if succeeded {
            &transaction.then
        } else {
            &transaction.otherwise
        };
        let mut rets = Vec::new();
        for op in branch {
            rets.push(match op {
                Op::Transaction(within) => self.transaction(within, keys, before, path),
                op => self.one(op, keys, before),
            });
        }
        let revision = Revision(self.revision() + u64::from(keys != before));
        Ret::Transaction(
            Transacted {
                revision,
                succeeded,
                rets,
            }
            .into(),
        )
    }

    fn put(&self, keys: &mut Keys, key: &Key, value: &Value, lease: Option<LeaseId>) -> Ret {
        if let Some(lease) = lease
            && !self.leases.contains_key(&lease)
        {
            return Ret::Refused(Refusal::UnknownLease(lease));
        }
        let revision = Revision(self.revision() + 1);
        let old = keys.get(key);
        let new = KeyValue {
            key: key.clone(),
            value: value.clone(),
            create_revision: old.map_or(revision, |old| old.create_revision),
            mod_revision: revision,
            version: old.map_or(0, |old| old.version) + 1,
            lease,
        };
        keys.insert(key.clone(), new);
        Ret::Written
    }

    fn one(&mut self, op: &Op, keys: &mut Keys, before: &Keys) -> Ret {
        let value = |keys: &Keys, key: &Key| keys.get(key).map(|found| found.value.clone());
        match op {
            Op::Get { key } => Ret::Value(value(keys, key)),
            Op::Put {
                key,
                value,
                lease,
                previous,
            } => {
                let old = keys.get(key).cloned();
                match self.put(keys, key, value, *lease) {
                    Ret::Written if *previous => Ret::Put(Arc::new(Put {
                        revision: Revision(self.revision() + 1),
                        previous: old,
                    })),
                    ret => ret,
                }
            }
            Op::Delete { key } => Ret::Deleted(keys.remove(key).is_some()),
            Op::CompareAndSet {
                key,
                expected,
                value: new,
            } => {
                let as_expected = value(keys, key) == *expected;
                if as_expected {
                    self.put(keys, key, new, None);
                }
                Ret::Swapped(as_expected)
            }
            Op::Range(range) => self.range(range, keys, before),
            Op::DeleteRange {
                keys: range,
                previous,
            } => {
                let found: Vec<KeyValue> = keys
                    .values()
                    .filter(|found| range.contains(&found.key))
                    .cloned()
                    .collect();
                keys.retain(|key, _| !range.contains(key));
                Ret::DeletedRange(Arc::new(DeletedRange {
                    revision: Revision(self.revision() + u64::from(keys != before)),
                    deleted: found.len() as u64,
                    previous: if *previous { found } else { Vec::new() },
                }))
            }
            Op::PutSequential {
                prefix,
                value,
                lease,
            } => {
                if let refusal @ Ret::Refused(_) =
                    self.put(&mut keys.clone(), prefix, value, *lease)
                {
                    return refusal;
                }
                self.sequence += 1;
                let key: Key = format!("{prefix}{:010}", self.sequence).into();
                self.put(keys, &key, value, *lease);
                Ret::Created(keys[&key].clone().into())
            }
            Op::Lease { lease } => match self.leases.get(lease) {
                None => Ret::Refused(Refusal::UnknownLease(*lease)),
                Some(&(ttl_ms, remaining_ms, renewals)) => {
                    let attached = keys.values().filter(|found| found.lease == Some(*lease));
                    Ret::Lease(Arc::new(LeaseView {
                        lease: *lease,
                        ttl_ms,
                        remaining_ms,
                        renewals,
                        keys: attached.map(|found| found.key.clone()).collect(),
                    }))
                }
            },
            Op::Leases => Ret::Leases(self.leases.keys().copied().collect()),
            _ => Ret::Refused(Refusal::OnItsOwn),
        }
    }

    fn range(&self, range: &Range, keys: &Keys, before: &Keys) -> Ret {
        if let Err(refusal) = self.check(range.revision) {
            return refusal;
        }
        let state = range
            .revision
            .map_or(keys, |revision| &self.states[revision.0 as usize]);
        let within = |revision: Revision, bounds: Option<(Revision, Revision)>| {
            bounds.is_none_or(|(first, last)| (first..=last).contains(&revision))
        };
        let mut found: Vec<KeyValue> = state
            .values()
            .filter(|found| range.keys.contains(&found.key))
            .filter(|found| within(found.create_revision, range.created))
            .filter(|found| within(found.mod_revision, range.modified))
            .cloned()
            .collect();
        if let Some(Order { by, descending }) = range.order {
            let number = |found: &KeyValue| match by {
                SortBy::CreateRevision => found.create_revision.0,
                SortBy::ModRevision => found.mod_revision.0,
                SortBy::Version => found.version,
                SortBy::Key | SortBy::Value => 0,
            };
            let text = |found: &KeyValue| match by {
                SortBy::Key => found.key.clone(),
                SortBy::Value => found.value.clone(),
                _ => Key::default(),
            };
            if descending {
                found.sort_by_key(|found| Reverse((number(found), text(found))));
            } else {
                found.sort_by_key(|found| (number(found), text(found)));
            }
        }
        let all = found.len();
        let limit = range.limit.map_or(all, |limit| limit.get() as usize);
        let mut answer = Ranged {
            revision: Revision(self.revision() + u64::from(keys != before)),
            more: all > limit,
            count: all.min(limit) as u64,
            keys: found,
        };
        answer.keys.truncate(limit);
        match range.shows {
            Shows::All => {}
            Shows::Keys => {
                for found in &mut answer.keys {
                    found.value = "".into();
                }
            }
            Shows::Count => {
                answer.keys.clear();
                (answer.more, answer.count) = (false, all as u64);
            }
        }
        Ret::Range(answer.into())
    }
}

fn holds(compare: &Compare, found: Option<&KeyValue>) -> bool {
    let number = |of: fn(&KeyValue) -> u64| found.map_or(0, of);
    let lease = |lease: Option<LeaseId>| lease.map_or(0, |lease| lease.0.get());
    let order = match &compare.to {
        Operand::Value(value) => match found {
            Some(found) => found.value.cmp(value),
            None => return false,
        },
        Operand::Version(version) => number(|found| found.version).cmp(version),
        Operand::CreateRevision(other) => number(|found| found.create_revision.0).cmp(&other.0),
        Operand::ModRevision(other) => number(|found| found.mod_revision.0).cmp(&other.0),
        Operand::Lease(other) => lease(found.and_then(|found| found.lease)).cmp(&lease(*other)),
    };
    match compare.is {
        Relation::Equal => order.is_eq(),
        Relation::NotEqual => order.is_ne(),
        Relation::Greater => order.is_gt(),
        Relation::Less => order.is_lt(),
    }
}

/// All that can be read of both is the same.
fn compare_all(store: &Store, reference: &Reference) -> Result<(), TestCaseError> {
    let now = reference.revision();
    prop_assert_eq!(store.revision().0, now);
    prop_assert_eq!(store.compacted().0, reference.compacted);
    prop_assert_eq!(store.len(), reference.states[now as usize].len());
    let values = store.iter();
    let expected = reference.states[now as usize].values();
    prop_assert!(values.eq(expected.map(|found| (&found.key, &found.value))));
    let before = &reference.states[now as usize];
    for revision in 0..=now + 1 {
        let range = Range {
            revision: Some(Revision(revision)),
            ..Range::of(KeyRange::all())
        };
        let expected = reference.range(&range, before, before);
        prop_assert_eq!(store.read(&Op::Range(range.into())), expected);
        let Ok(changes) = store.changes_since(Revision(revision)) else {
            prop_assert!(revision <= reference.compacted);
            continue;
        };
        prop_assert!(revision > reference.compacted);
        let mut found: Vec<(u64, Key, Option<KeyValue>, Option<KeyValue>)> = changes
            .map(|change| {
                let revision = change.revision().0;
                (
                    revision,
                    change.key().clone(),
                    change.previous(),
                    change.current(),
                )
            })
            .collect();
        prop_assert!(found.is_sorted_by_key(|change| change.0));
        found.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let expected = (revision.max(2)..=now).flat_map(|revision| {
            reference.changed(revision).into_iter().map(move |key| {
                let at = |revision: u64| reference.states[revision as usize].get(&key).cloned();
                (revision, key.clone(), at(revision - 1), at(revision))
            })
        });
        prop_assert_eq!(found, expected.collect::<Vec<_>>());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_store_does_what_the_plain_one_does(
        keeps in prop::sample::select(vec![0, 1, 3, 10, 24, 1000_u64]),
        ops in prop::collection::vec(op(), 1..60),
    ) {
        let (mut store, mut reference) = (Store::keeping(keeps), Reference::keeping(keeps));
        for op in &ops {
            let before = store.clone();
            let ret = store.apply(op);
            if op.is_read() {
                prop_assert_eq!(before.read(op), ret.clone());
            }
            if let Ret::Refused(Refusal::ChangedTwice(_)) = ret {
                prop_assert_eq!(&store, &before);
                continue;
            }
            prop_assert_eq!(ret, reference.apply(op), "{}", op);
            compare_all(&store, &reference)?;
        }
        for lease in (1..9).filter_map(LeaseId::new) {
            let op = Op::Lease { lease };
            prop_assert_eq!(store.read(&op), reference.apply(&op));
        }
        prop_assert_eq!(&Store::assemble(store.header(), store.pieces()), &store);
    }
}
