//! What clients ask of the store.

use super::{Key, KeyRange, LeaseId, Range, Revision, Transaction, Value};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// An operation on the store.
///
/// Small, as logs and messages are full of them: what is long is behind a pointer, and shared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Op {
    /// Reads the value of a key, as of now.
    Get {
        /// The key.
        key: Key,
    },
    /// Writes a key.
    Put {
        /// The key.
        key: Key,
        /// Its new value.
        value: Value,
        /// The lease that it is to go with from now on; without one, with none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lease: Option<LeaseId>,
        /// Whether the answer is to tell the revision, and what the key was before.
        #[serde(default, skip_serializing_if = "is_false")]
        previous: bool,
    },
    /// Removes a key.
    Delete {
        /// The key.
        key: Key,
    },
    /// Writes a key if its value is as expected. It goes with no lease, then.
    CompareAndSet {
        /// The key.
        key: Key,
        /// What it must hold; `None` if it must not exist.
        expected: Option<Value>,
        /// Its new value.
        value: Value,
    },
    /// Reads keys with all that is known of them, as of now or as of an earlier revision.
    Range(Arc<Range>),
    /// Removes keys, all in one revision.
    DeleteRange {
        /// Which ones.
        keys: KeyRange,
        /// Whether the answer is to tell what they were.
        #[serde(default, skip_serializing_if = "is_false")]
        previous: bool,
    },
    /// Writes a new key: the prefix, and a number of ten digits that is greater than in every key that was made so before
    /// (ZooKeeper: sequential nodes).
    PutSequential {
        /// What the key begins with.
        prefix: Key,
        /// Its value.
        value: Value,
        /// The lease that it is to go with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lease: Option<LeaseId>,
    },
    /// Compares, and does one thing or the other, all in one revision.
    Transaction(#[serde(deserialize_with = "super::nesting::deserialize")] Arc<Transaction>),
    /// Forgets what was before this revision: reads of earlier ones, and watches from it or earlier ones, are refused.
    Compact {
        /// Which one.
        revision: Revision,
    },
    /// Keeps so many changes from now on: when there are an eighth more, or 128, the store compacts itself. With none, only what is now
    /// can be read. It is an operation, as all servers must forget the same.
    Keep {
        /// How many.
        changes: u64,
    },
    /// Grants a lease.
    LeaseGrant {
        /// What to call it; without a name, the store chooses one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lease: Option<LeaseId>,
        /// How long it is to live unless it is renewed.
        ttl_ms: u64,
    },
    /// Ends a lease, and removes its keys, all in one revision.
    LeaseRevoke {
        /// Which one.
        lease: LeaseId,
    },
    /// Agrees on how much is left to a lease, or that it was renewed (etcd: `LeaseCheckpoint`).
    LeaseCheckpoint {
        /// Which one.
        lease: LeaseId,
        /// How much; at most its time to live.
        remaining_ms: u64,
    },
    /// Ends a lease, as `LeaseRevoke` does, unless it was renewed since. For whoever judges that it has run out.
    LeaseExpire {
        /// Which one.
        lease: LeaseId,
        /// The number of its latest renewal, as far as the judge knew: [`Lease::renewals`](super::Lease::renewals).
        renewals: u64,
    },
    /// Reads what is agreed on of a lease.
    Lease {
        /// Which one.
        lease: LeaseId,
    },
    /// Reads which leases there are.
    Leases,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Op {
    /// A plain write.
    pub fn put(key: impl Into<Key>, value: impl Into<Value>) -> Op {
        Op::Put {
            key: key.into(),
            value: value.into(),
            lease: None,
            previous: false,
        }
    }

    /// The one key that the operation reads or writes, if it is one, and known beforehand.
    pub fn key(&self) -> Option<&Key> {
        match self {
            Op::Get { key }
            | Op::Put { key, .. }
            | Op::Delete { key }
            | Op::CompareAndSet { key, .. } => Some(key),
            _ => None,
        }
    }

    /// Whether it changes nothing, whatever the state.
    pub fn is_read(&self) -> bool {
        match self {
            Op::Get { .. } | Op::Range(_) | Op::Lease { .. } | Op::Leases => true,
            Op::Transaction(transaction) => transaction.is_read(),
            _ => false,
        }
    }

    /// How much the keys and the values take, in bytes.
    pub fn size_bytes(&self) -> usize {
        match self {
            Op::Get { key } | Op::Delete { key } => key.len(),
            Op::Put { key, value, .. }
            | Op::PutSequential {
                prefix: key, value, ..
            } => key.len() + value.len(),
            Op::CompareAndSet {
                key,
                expected,
                value,
            } => {
                let expected = expected.as_ref().map_or(0, |expected| expected.len());
                key.len() + expected + value.len()
            }
            Op::Range(range) => range.keys.size_bytes(),
            Op::DeleteRange { keys, .. } => keys.size_bytes(),
            Op::Transaction(transaction) => transaction.size_bytes(),
            Op::Compact { .. }
            | Op::Keep { .. }
            | Op::LeaseRevoke { .. }
            | Op::Lease { .. }
            | Op::Leases => 8,
            Op::LeaseGrant { .. } | Op::LeaseCheckpoint { .. } | Op::LeaseExpire { .. } => 16,
        }
    }
}

/// As it would be derived, but that a plain put is hashed as if it could be nothing else: the digest of a run goes over the
/// operations, and what a put may say by now changes no run in which none says it.
impl Hash for Op {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Op::Get { key } | Op::Delete { key } => key.hash(state),
            Op::Put {
                key,
                value,
                lease,
                previous,
            } => {
                (key, value).hash(state);
                if lease.is_some() || *previous {
                    (lease, previous).hash(state);
                }
            }
            Op::CompareAndSet {
                key,
                expected,
                value,
            } => (key, expected, value).hash(state),
            Op::Range(range) => range.hash(state),
            Op::DeleteRange { keys, previous } => (keys, previous).hash(state),
            Op::PutSequential {
                prefix,
                value,
                lease,
            } => (prefix, value, lease).hash(state),
            Op::Transaction(transaction) => transaction.hash(state),
            Op::Compact { revision } => revision.hash(state),
            Op::Keep { changes } => changes.hash(state),
            Op::LeaseGrant { lease, ttl_ms } => (lease, ttl_ms).hash(state),
            Op::LeaseCheckpoint {
                lease,
                remaining_ms,
            } => (lease, remaining_ms).hash(state),
            Op::LeaseExpire { lease, renewals } => (lease, renewals).hash(state),
            Op::LeaseRevoke { lease } | Op::Lease { lease } => lease.hash(state),
            Op::Leases => {}
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with = |f: &mut fmt::Formatter<'_>, lease: &Option<LeaseId>| match lease {
            Some(lease) => write!(f, " with {lease}"),
            None => Ok(()),
        };
        match self {
            Op::Get { key } => write!(f, "get {key}"),
            Op::Put {
                key, value, lease, ..
            } => {
                write!(f, "put {key} = {value}")?;
                with(f, lease)
            }
            Op::Delete { key } => write!(f, "delete {key}"),
            Op::CompareAndSet {
                key,
                expected,
                value,
            } => {
                let expected = expected.as_deref().unwrap_or("nothing");
                write!(f, "compare-and-set {key} from {expected} to {value}")
            }
            Op::Range(range) => range.fmt(f),
            Op::DeleteRange { keys, .. } => write!(f, "delete range {keys}"),
            Op::PutSequential {
                prefix,
                value,
                lease,
            } => {
                write!(f, "put sequential {prefix} = {value}")?;
                with(f, lease)
            }
            Op::Transaction(transaction) => transaction.fmt(f),
            Op::Compact { revision } => write!(f, "compact up to {revision}"),
            Op::Keep { changes } => write!(f, "keep {changes} changes"),
            Op::LeaseGrant { lease, ttl_ms } => {
                f.write_str("grant lease")?;
                if let Some(lease) = lease {
                    write!(f, " {lease}")?;
                }
                write!(f, " for {ttl_ms}ms")
            }
            Op::LeaseRevoke { lease } => write!(f, "revoke lease {lease}"),
            Op::LeaseCheckpoint {
                lease,
                remaining_ms,
            } => write!(f, "lease {lease} has {remaining_ms}ms left"),
            Op::LeaseExpire { lease, renewals } => {
                write!(f, "expire lease {lease}, unless renewed since {renewals}")
            }
            Op::Lease { lease } => write!(f, "lease {lease}"),
            Op::Leases => f.write_str("leases"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_small() {
        assert!(size_of::<Op>() <= 56, "{}", size_of::<Op>());
    }

    #[test]
    fn reads_are_told_from_writes() {
        let transaction = |then: Vec<Op>| {
            Op::Transaction(Arc::new(Transaction {
                then,
                ..Transaction::default()
            }))
        };
        let get = || Op::Get { key: "x".into() };
        let read = transaction(vec![get()]);
        assert!(read.is_read() && transaction(vec![read.clone(), Op::Leases]).is_read());
        assert!(!transaction(vec![get(), transaction(vec![Op::put("x", "1")])]).is_read());
        assert!(!Op::put("x", "1").is_read() && get().is_read());
    }

    #[test]
    fn operations_say_what_they_do() {
        let lease = LeaseId::new(7).unwrap();
        let put = Op::Put {
            key: "x".into(),
            value: "1".into(),
            lease: Some(lease),
            previous: true,
        };
        assert_eq!(put.to_string(), "put x = 1 with l7");
        assert_eq!(Op::put("x", "1").to_string(), "put x = 1");
        let expire = Op::LeaseExpire { lease, renewals: 3 };
        assert_eq!(
            expire.to_string(),
            "expire lease l7, unless renewed since 3"
        );
    }
}
