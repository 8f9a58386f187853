//! What a watcher asks for, and what it is told.

use super::super::{Change, KeyRange, KeyValue, Revision};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The name of a watch at a [`Hub`](super::Hub), which uses none twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(pub u64);

impl fmt::Display for WatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "w{}", self.0)
    }
}

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// It was written.
    Put,
    /// It was deleted, perhaps with its lease.
    Delete,
}

/// What to be told of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// Of which keys.
    pub keys: KeyRange,
    /// From which revision on, that one included; without it, from the next one on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Revision>,
    /// Only of events of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<EventKind>,
    /// Whether to tell what the key was before.
    #[serde(default)]
    pub previous: bool,
}

impl Watch {
    /// All that happens to these keys from now on.
    pub fn of(keys: KeyRange) -> Watch {
        Watch {
            keys,
            from: None,
            only: None,
            previous: false,
        }
    }
}

/// Something that happened to a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// The key, as it is since. If it was deleted, all that is said of it is when: its mod revision.
    pub key_value: KeyValue,
    /// What it was before, if that was asked for and there was something.
    pub previous: Option<KeyValue>,
}

impl Event {
    /// What a change is to a watcher, which wants to know what was before or not.
    pub fn of(change: &Change, previous: bool) -> Event {
        let key_value = change.current();
        Event {
            kind: EventKind::of(change),
            key_value: key_value.unwrap_or_else(|| KeyValue {
                key: change.key().clone(),
                value: "".into(),
                create_revision: Revision::ZERO,
                mod_revision: change.revision(),
                version: 0,
                lease: None,
            }),
            previous: if previous { change.previous() } else { None },
        }
    }
}

impl Event {
    /// How much it would take on a wire, about, in bytes.
    pub fn size_bytes(&self) -> usize {
        let size = |found: &KeyValue| found.key.len() + found.value.len();
        size(&self.key_value) + self.previous.as_ref().map_or(0, size)
    }
}

impl EventKind {
    pub(super) fn of(change: &Change) -> EventKind {
        if change.is_put() {
            EventKind::Put
        } else {
            EventKind::Delete
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let KeyValue {
            key,
            value,
            mod_revision,
            ..
        } = &self.key_value;
        match self.kind {
            EventKind::Put => write!(f, "{key} = {value} at {mod_revision}"),
            EventKind::Delete => write!(f, "{key} deleted at {mod_revision}"),
        }
    }
}

/// Something for a watcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Which one.
    pub watch: WatchId,
    /// What.
    pub what: Delivered,
}

/// What a watcher is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// What happened, in order: all of it that the watch is about, up to a revision.
    Events {
        /// At least one. Watchers of the same keys share them.
        events: Vec<Arc<Event>>,
        /// Everything up to here has been told.
        up_to: Revision,
    },
    /// Nothing else has happened up to here: an answer to [`Hub::request_progress`](super::Hub::request_progress).
    Progress {
        /// Everything up to here has been told.
        up_to: Revision,
    },
    /// What it would have to be told is forgotten. The watch has ended: its owner must read what is there now, and watch from
    /// the revision after that.
    Compacted {
        /// The store was compacted up to here.
        revision: Revision,
    },
}
