//! What clients ask of the service, and its answers.

use crate::kv::watch::Event;
use crate::kv::{self, KeyRange, LeaseId, Revision};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The keys that a watch is about.
pub type WatchKeys = KeyRange;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Op {
    /// Grant a lease, and keep it alive until it is given up, or lost.
    Hold {
        /// Which lease: a random number, so that it is known even if no answer comes.
        lease: LeaseId,
        /// How long it lives when it is not kept alive.
        ttl_ms: u64,
    },
    /// Keep a lease alive no longer, and say nothing: it ends when it has run out, as if its client had died.
    Abandon {
        /// Which lease.
        lease: LeaseId,
    },
    /// Read what some server has applied, which may be old: etcd's serializable read. The others are linearizable.
    Stale {
        /// What to read.
        read: kv::Op,
    },
    /// All changes to some keys after a revision, as soon as there are any; those of a revision are never parted.
    Changes {
        /// Which keys.
        keys: WatchKeys,
        /// What is known; if nothing is, the answer says from where on it is watched.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Revision>,
        /// How long to wait for the first change.
        wait_ms: u64,
    },
    /// An operation on the store. Written like one: `{"put": {"key": "x", "value": "1"}}`.
    #[serde(untagged)]
    Kv(kv::Op),
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Kv(op) => op.fmt(f),
            Op::Hold { lease, ttl_ms } => write!(f, "hold lease {lease} of {ttl_ms}ms"),
            Op::Abandon { lease } => write!(f, "abandon lease {lease}"),
            Op::Stale { read } => write!(f, "stale {read}"),
            Op::Changes { keys, after, .. } => match after {
                Some(after) => write!(f, "changes of {keys} after {after}"),
                None => write!(f, "changes of {keys} from now on"),
            },
        }
    }
}

/// The answer to an [`Op`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ret {
    /// To an operation on the store.
    Kv(kv::Ret),
    /// To `Stale`: the answer of a store that was at this revision.
    Stale(kv::Ret, Revision),
    /// To `Hold`.
    Held,
    /// To `Abandon`.
    Abandoned,
    /// To `Changes`: all there were after one revision and up to another.
    Changes {
        /// After this.
        after: Revision,
        /// Up to this.
        through: Revision,
        /// By ascending revision.
        events: Vec<Arc<Event>>,
    },
    /// To `Changes`: they have been compacted. The history is kept from here on.
    Compacted(Revision),
}

impl fmt::Display for Ret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ret::Kv(ret) => ret.fmt(f),
            Ret::Stale(ret, revision) => write!(f, "{ret}, as of {revision}"),
            Ret::Held => f.write_str("held"),
            Ret::Abandoned => f.write_str("abandoned"),
            Ret::Changes {
                after,
                through,
                events,
            } => {
                let count = events.len();
                write!(f, "{count} changes after {after} up to {through}")
            }
            Ret::Compacted(from) => write!(f, "compacted before {from}"),
        }
    }
}
