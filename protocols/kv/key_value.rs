//! Revisions, and what is known of a key at one of them (etcd: `mvccpb.KeyValue`).

use super::LeaseId;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A key. Shared, so that logs, messages and histories hold the same text.
pub type Key = Arc<str>;
/// A value.
pub type Value = Arc<str>;

/// A state of the whole store: every operation that changes something makes one, and a transaction makes one in all.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// Before everything: of a key that does not exist.
    pub const ZERO: Revision = Revision(0);
    /// Of the empty store; the first change makes the one after it, as in etcd.
    pub const FIRST: Revision = Revision(1);

    /// The revision after this one.
    #[must_use]
    pub const fn next(self) -> Revision {
        Revision(self.0 + 1)
    }

    /// The revision before this one; zero, if it is zero.
    #[must_use]
    pub const fn previous(self) -> Revision {
        Revision(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A key that exists, with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeyValue {
    /// The key.
    pub key: Key,
    /// Its value; empty in an answer that shows keys only.
    pub value: Value,
    /// When it came to be, after it had not been there.
    pub create_revision: Revision,
    /// When it was last written.
    pub mod_revision: Revision,
    /// How often it was written since it came to be, that time included.
    pub version: u64,
    /// The lease that it goes with.
    pub lease: Option<LeaseId>,
}

impl fmt::Display for KeyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.key, self.value)
    }
}

/// What a key is from one change to the next: live, or deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct State {
    /// Nothing if it is deleted, or never was.
    pub(super) value: Option<Value>,
    /// Zero if it is deleted, or never was.
    pub(super) create_revision: Revision,
    /// The revision that made it so; zero if it never was.
    pub(super) mod_revision: Revision,
    /// Zero if it is deleted, or never was.
    pub(super) version: u64,
    pub(super) lease: Option<LeaseId>,
    /// The position of the change that made it so, among all that there ever were. It says what the key was before, as long
    /// as it is kept.
    pub(super) position: u64,
}

impl State {
    pub(super) fn is_live(&self) -> bool {
        self.value.is_some()
    }

    pub(super) fn value(&self) -> Option<&Value> {
        self.value.as_ref()
    }

    /// After a put at this revision, which is the change at this position.
    #[inline]
    pub(super) fn put(
        &self,
        value: Value,
        lease: Option<LeaseId>,
        revision: Revision,
        position: u64,
    ) -> State {
        let create_revision = if self.is_live() {
            self.create_revision
        } else {
            revision
        };
        State {
            value: Some(value),
            create_revision,
            mod_revision: revision,
            version: self.version + 1,
            lease,
            position,
        }
    }

    /// After a deletion.
    pub(super) fn deleted(revision: Revision, position: u64) -> State {
        State {
            mod_revision: revision,
            position,
            ..State::default()
        }
    }

    /// As an answer, if the key is live.
    pub(super) fn key_value(&self, key: &Key) -> Option<KeyValue> {
        let value = self.value.as_ref()?;
        Some(KeyValue {
            key: key.clone(),
            value: value.clone(),
            create_revision: self.create_revision,
            mod_revision: self.mod_revision,
            version: self.version,
            lease: self.lease,
        })
    }
}
