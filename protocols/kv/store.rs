//! The state, and how an operation changes it.

use super::history::{Change, History};
use super::key_value::State;
use super::lease::{Lease, Leases};
use super::ret::{DeletedRange, LeaseView, Put};
use super::{Key, KeyRange, KeyValue, LeaseId, Op, Refusal, Ret, Revision, Value};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

/// How many changes a store keeps that is to be watched: enough for watchers that are a while behind, and bounded.
pub const KEPT_CHANGES: u64 = 10_000;

/// So many more are kept, at most, before all that is too much is forgotten at once.
const TRIMMED_AT_ONCE: u64 = 128;

/// The contents of the store, now and as far back as it keeps them.
///
/// A new one keeps nothing of the past, as a state machine that nobody watches needs none: [`Op::Keep`] says how much to
/// keep from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    pub(super) revision: Revision,
    /// What was before it is forgotten: never decreases, and is at most `revision`.
    pub(super) compacted: Revision,
    /// How many changes are kept, but for those of the latest revision, which are kept together.
    pub(super) keeps: u64,
    /// The number in the latest sequential key.
    pub(super) sequence: u64,
    /// How many keys are live.
    live: usize,
    pub(super) leases: Leases,
    /// Live keys; and deleted ones, as long as the change that deleted them is kept.
    pub(super) keys: BTreeMap<Key, State>,
    pub(super) history: History,
}

/// A revision that is being made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edit {
    pub(super) revision: Revision,
    /// The position of its first change.
    began: u64,
    /// Whether its changes are recorded, though they may not be kept: in a transaction, the state before it may be read.
    records: bool,
}

/// The changes that were asked for are forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// The store was compacted up to here; what came after it is known.
    pub revision: Revision,
}

impl fmt::Display for Compacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store was compacted up to {}", self.revision)
    }
}

impl Error for Compacted {}

impl Default for Store {
    fn default() -> Store {
        Store::new()
    }
}

/// What there is to see.
impl Store {
    /// An empty store that keeps nothing of the past.
    pub fn new() -> Store {
        Store::keeping(0)
    }

    /// An empty store that keeps so many changes.
    pub fn keeping(changes: u64) -> Store {
        Store {
            revision: Revision::FIRST,
            compacted: Revision::ZERO,
            keeps: changes,
            sequence: 0,
            live: 0,
            leases: Leases::default(),
            keys: BTreeMap::new(),
            history: History::default(),
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.keys.get(key)?.value.as_ref()
    }

    /// A key, with all that is known of it.
    pub fn key_value(&self, key: &str) -> Option<KeyValue> {
        let (key, state) = self.keys.get_key_value(key)?;
        state.key_value(key)
    }

    /// All keys and values, by ascending key.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Value)> {
        let live = |(key, state)| Some((key, State::value(state)?));
        self.keys.iter().filter_map(live)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// The revision of the latest change.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// What was before this revision is forgotten.
    pub fn compacted(&self) -> Revision {
        self.compacted
    }

    /// How many changes it keeps, about.
    pub fn keeps(&self) -> u64 {
        self.keeps
    }

    /// What is agreed on of a lease.
    pub fn lease(&self, id: LeaseId) -> Option<&Lease> {
        self.leases.get(id)
    }

    /// All leases, by ascending name.
    pub fn leases(&self) -> impl ExactSizeIterator<Item = (LeaseId, &Lease)> {
        self.leases.iter()
    }

    /// How many renewals of leases there have ever been: if it has not changed, no lease was granted or renewed.
    pub fn lease_renewals(&self) -> u64 {
        self.leases.renewals()
    }

    /// The leases that were granted or renewed after this renewal, the earliest first.
    pub fn leases_renewed_after(&self, renewals: u64) -> impl Iterator<Item = (LeaseId, &Lease)> {
        self.leases.renewed_after(renewals)
    }

    /// The changes from this revision on, in order. Those of one revision follow each other.
    ///
    /// # Errors
    /// If some of them may be forgotten.
    pub fn changes_since(
        &self,
        revision: Revision,
    ) -> Result<impl Iterator<Item = &Change>, Compacted> {
        if revision <= self.compacted {
            return Err(Compacted {
                revision: self.compacted,
            });
        }
        Ok(self.history.starting_with(self.history.first_of(revision)))
    }

    /// The same, of these keys only.
    ///
    /// # Errors
    /// As in [`changes_since`](Store::changes_since).
    pub fn changes_of<'a>(
        &'a self,
        keys: &'a KeyRange,
        revision: Revision,
    ) -> Result<impl Iterator<Item = &'a Change>, Compacted> {
        let changes = self.changes_since(revision)?;
        Ok(changes.filter(|change| keys.contains(change.key())))
    }

    /// The changes of one key from a revision on that is not forgotten, the latest first.
    pub(super) fn changes_of_key(
        &self,
        key: &str,
        revision: Revision,
    ) -> impl Iterator<Item = &Change> {
        let latest = self.keys.get(key);
        let latest = latest.and_then(|state| self.history.get(state.position));
        std::iter::successors(latest, |change| self.history.get(change.previous.position))
            .take_while(move |change| change.revision >= revision)
    }

    /// What was live at a revision that is neither forgotten nor to come; without one, what is now.
    pub(super) fn scan<'a>(
        &'a self,
        keys: &'a KeyRange,
        revision: Option<Revision>,
    ) -> impl Iterator<Item = (&'a Key, &'a State)> {
        self.keys
            .range::<str, _>(keys.bounds())
            .take_while(|(key, _)| keys.contains(key))
            .filter_map(move |(key, state)| Some((key, self.state_at(state, revision)?)))
    }

    fn state_at<'a>(&'a self, mut state: &'a State, at: Option<Revision>) -> Option<&'a State> {
        if let Some(revision) = at {
            while state.mod_revision > revision {
                state = &self.history.get(state.position)?.previous;
            }
        }
        state.is_live().then_some(state)
    }

    /// Answers an operation that changes nothing.
    pub fn read(&self, op: &Op) -> Ret {
        match op {
            Op::Get { key } => Ret::Value(self.get(key).cloned()),
            Op::Range(range) => self.range(range, self.revision),
            Op::Lease { lease } => self.read_lease(*lease),
            Op::Leases => Ret::Leases(self.leases.iter().map(|(id, _)| id).collect()),
            Op::Transaction(transaction) if transaction.is_read() => {
                self.read_transaction(transaction)
            }
            _ => Ret::Refused(Refusal::NotARead),
        }
    }

    fn read_lease(&self, id: LeaseId) -> Ret {
        let Some(lease) = self.leases.get(id) else {
            return Ret::Refused(Refusal::UnknownLease(id));
        };
        let view = LeaseView {
            lease: id,
            ttl_ms: lease.ttl_ms,
            remaining_ms: lease.remaining_ms,
            renewals: lease.renewals,
            keys: lease.keys.iter().cloned().collect(),
        };
        Ret::Lease(view.into())
    }

    pub(super) fn check_lease(&self, lease: Option<LeaseId>) -> Result<(), Ret> {
        match lease {
            Some(lease) if self.leases.get(lease).is_none() => {
                Err(Ret::Refused(Refusal::UnknownLease(lease)))
            }
            _ => Ok(()),
        }
    }
}

/// What changes it.
impl Store {
    /// Performs an operation: all of it, in one revision, or nothing.
    pub fn apply(&mut self, op: &Op) -> Ret {
        let edit = Edit {
            revision: self.revision.next(),
            began: self.history.end(),
            records: self.keeps > 0 || matches!(op, Op::Transaction(_)),
        };
        let ret = match op {
            // What most operations are, first.
            Op::Put {
                key,
                value,
                lease: None,
                previous: false,
            } => {
                self.put(key, value, None, edit);
                Ret::Written
            }
            Op::Transaction(transaction) => self.transaction(transaction, edit),
            Op::Compact { revision } => return self.compact(*revision),
            Op::Keep { changes } => {
                self.keeps = *changes;
                self.trim();
                return Ret::Done;
            }
            Op::LeaseGrant { lease, ttl_ms } => match self.leases.grant(*lease, *ttl_ms) {
                Ok(lease) => {
                    let ttl_ms = *ttl_ms;
                    Ret::Granted { lease, ttl_ms }
                }
                Err(refusal) => Ret::Refused(refusal),
            },
            Op::LeaseCheckpoint {
                lease,
                remaining_ms,
            } => match self.leases.checkpoint(*lease, *remaining_ms) {
                Ok(()) => Ret::Done,
                Err(refusal) => Ret::Refused(refusal),
            },
            Op::LeaseRevoke { lease } => self.end_lease(*lease, None, edit),
            Op::LeaseExpire { lease, renewals } => self.end_lease(*lease, Some(*renewals), edit),
            Op::Lease { .. } | Op::Leases => return self.read(op),
            op => self.perform(op, edit),
        };
        if self.history.end() > edit.began {
            self.revision = edit.revision;
            self.trim();
        }
        ret
    }

    /// Does what may be done in a transaction, too.
    pub(super) fn perform(&mut self, op: &Op, edit: Edit) -> Ret {
        match op {
            Op::Put {
                key,
                value,
                lease,
                previous,
            } => {
                if let Err(refusal) = self.check_lease(*lease) {
                    return refusal;
                }
                if !*previous {
                    self.put(key, value, *lease, edit);
                    return Ret::Written;
                }
                let (revision, previous) = (edit.revision, self.key_value(key));
                self.put(key, value, *lease, edit);
                Ret::Put(Put { revision, previous }.into())
            }
            Op::Get { key } => Ret::Value(self.get(key).cloned()),
            Op::Delete { key } => Ret::Deleted(self.delete(key, edit)),
            Op::CompareAndSet {
                key,
                expected,
                value,
            } => {
                let as_expected = self.get(key) == expected.as_ref();
                if as_expected {
                    self.put(key, value, None, edit);
                }
                Ret::Swapped(as_expected)
            }
            Op::Range(range) => self.range(range, self.revision_in(edit)),
            Op::DeleteRange { keys, previous } => self.delete_range(keys, *previous, edit),
            Op::PutSequential {
                prefix,
                value,
                lease,
            } => self.put_sequential(prefix, value, *lease, edit),
            _ => Ret::Refused(Refusal::OnItsOwn),
        }
    }

    /// The revision as of now, in the middle of making one.
    pub(super) fn revision_in(&self, edit: Edit) -> Revision {
        if self.history.end() > edit.began {
            edit.revision
        } else {
            self.revision
        }
    }

    #[inline]
    fn put(&mut self, key: &Key, value: &Value, lease: Option<LeaseId>, edit: Edit) {
        let position = self.history.end();
        let previous = if let Some(state) = self.keys.get_mut(key) {
            let next = state.put(value.clone(), lease, edit.revision, position);
            std::mem::replace(state, next)
        } else {
            let never = State::default();
            let next = never.put(value.clone(), lease, edit.revision, position);
            self.keys.insert(key.clone(), next);
            never
        };
        self.live += usize::from(!previous.is_live());
        self.leases.moved(key, previous.lease, lease);
        if edit.records {
            self.history.push(Change {
                revision: edit.revision,
                key: key.clone(),
                value: Some(value.clone()),
                lease,
                previous,
            });
        } else {
            self.history.skip();
        }
    }

    /// Removes a key; whether there was one.
    fn delete(&mut self, key: &Key, edit: Edit) -> bool {
        let Some(state) = self.keys.get_mut(key).filter(|state| state.is_live()) else {
            return false;
        };
        let next = State::deleted(edit.revision, self.history.end());
        let previous = std::mem::replace(state, next);
        self.live -= 1;
        self.leases.moved(key, previous.lease, None);
        if edit.records {
            self.history.push(Change {
                revision: edit.revision,
                key: key.clone(),
                value: None,
                lease: None,
                previous,
            });
        } else {
            self.keys.remove(key);
            self.history.skip();
        }
        true
    }

    fn delete_range(&mut self, keys: &KeyRange, tells: bool, edit: Edit) -> Ret {
        let found: Vec<KeyValue> = self
            .scan(keys, None)
            .filter_map(|(key, state)| state.key_value(key))
            .collect();
        for previous in &found {
            self.delete(&previous.key, edit);
        }
        let answer = DeletedRange {
            revision: self.revision_in(edit),
            deleted: found.len() as u64,
            previous: if tells { found } else { Vec::new() },
        };
        Ret::DeletedRange(answer.into())
    }

    /// The numbers are those of the whole store, so that none is used again when all keys with the prefix are gone; and
    /// somebody may have written such a key by hand.
    fn put_sequential(
        &mut self,
        prefix: &Key,
        value: &Value,
        lease: Option<LeaseId>,
        edit: Edit,
    ) -> Ret {
        if let Err(refusal) = self.check_lease(lease) {
            return refusal;
        }
        let key: Key = loop {
            self.sequence += 1;
            let key = format!("{prefix}{:010}", self.sequence);
            if self.get(&key).is_none() {
                break key.into();
            }
        };
        self.put(&key, value, lease, edit);
        Ret::Created(
            KeyValue {
                key,
                value: value.clone(),
                create_revision: edit.revision,
                mod_revision: edit.revision,
                version: 1,
                lease,
            }
            .into(),
        )
    }

    fn end_lease(&mut self, id: LeaseId, waited_for: Option<u64>, edit: Edit) -> Ret {
        let keys = match self.leases.remove(id, waited_for) {
            Ok(keys) => keys,
            Err(refusal) => return Ret::Refused(refusal),
        };
        for key in &keys {
            self.delete(key, edit);
        }
        Ret::Revoked {
            keys: keys.len() as u64,
            revision: self.revision_in(edit),
        }
    }

    fn compact(&mut self, revision: Revision) -> Ret {
        if revision > self.revision {
            return Ret::Future(self.revision);
        }
        if revision <= self.compacted {
            return Ret::Compacted(self.compacted);
        }
        self.forget(revision);
        Ret::Done
    }

    /// Forgets what is too much: not at every change, but when it is a little more than is to be kept.
    #[inline]
    fn trim(&mut self) {
        let length = self.history.len();
        let more = (self.keeps / 8).min(TRIMMED_AT_ONCE);
        if length > self.keeps.saturating_add(more) {
            self.forget_all_but(self.keeps);
        } else if self.keeps == 0 {
            self.compacted = self.revision;
        }
    }

    /// Forgets all but so many changes; and those of the latest revision, or a watcher could see some of them only.
    #[cold]
    fn forget_all_but(&mut self, changes: u64) {
        let latest_forgotten = self.history.get(self.history.end() - changes - 1);
        let revision = latest_forgotten.map_or(self.revision, |change| change.revision);
        if changes == 0 || revision < self.revision {
            self.forget(revision);
        } else if self.history.first_of(revision) > self.history.begin() {
            self.forget(revision.previous());
        }
    }

    /// Forgets what was before this revision.
    fn forget(&mut self, revision: Revision) {
        self.compacted = revision;
        let mut position = self.history.begin();
        for change in self.history.starting_with(position) {
            if change.revision > revision {
                break;
            }
            // Nobody can see any more that the key was there.
            if !change.is_put()
                && self
                    .keys
                    .get(&change.key)
                    .is_some_and(|state| state.position == position)
            {
                self.keys.remove(&change.key);
            }
            position += 1;
        }
        self.history.forget(position);
    }

    /// Puts a key as it was found in another store.
    pub(super) fn restore(&mut self, key: Key, state: State) {
        self.leases.moved(&key, None, state.lease);
        let live = usize::from(state.is_live());
        let replaced = self.keys.insert(key, state);
        self.live += live;
        self.live -= usize::from(replaced.is_some_and(|replaced| replaced.is_live()));
    }
}

#[cfg(test)]
mod tests;
