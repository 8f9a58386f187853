//! The answers of the store.

use super::{Key, KeyValue, LeaseId, Revision, Value};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The answer to an [`Op`](super::Op).
///
/// Small, like the operations: what is long is behind a pointer, and shared.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ret {
    /// To `Get`: the value, or `None` if the key does not exist.
    Value(Option<Value>),
    /// To `Put`.
    Written,
    /// To `Delete`: whether the key existed.
    Deleted(bool),
    /// To `CompareAndSet`: whether the value was as expected, and so was replaced.
    Swapped(bool),
    /// To `Put` that asked for more.
    Put(Arc<Put>),
    /// To `Range`.
    Range(Arc<Ranged>),
    /// To `DeleteRange`.
    DeletedRange(Arc<DeletedRange>),
    /// To `PutSequential`: the new key.
    Created(Arc<KeyValue>),
    /// To `Transaction`.
    Transaction(#[serde(deserialize_with = "super::nesting::deserialize")] Arc<Transacted>),
    /// To `LeaseGrant`.
    Granted {
        /// The lease.
        lease: LeaseId,
        /// How long it lives unless it is renewed.
        ttl_ms: u64,
    },
    /// To `LeaseRevoke` and `LeaseExpire`: the lease is gone.
    Revoked {
        /// How many keys went with it.
        keys: u64,
        /// The store, then.
        revision: Revision,
    },
    /// To `Lease`.
    Lease(Arc<LeaseView>),
    /// To `Leases`, ascending.
    Leases(Arc<[LeaseId]>),
    /// To `Compact`, `Keep` and `LeaseCheckpoint`: so it is.
    Done,
    /// To what asks for a revision that is forgotten: the store was compacted up to here. This is the earliest revision that
    /// can be read, and the ones after it can be watched.
    Compacted(Revision),
    /// To what asks for a revision that is to come: the store is here.
    Future(Revision),
    /// It was not done, and changed nothing.
    Refused(Refusal),
}

/// What came of a put.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Put {
    /// The revision that it made.
    pub revision: Revision,
    /// What the key was before.
    pub previous: Option<KeyValue>,
}

/// Keys, as they were asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ranged {
    /// The store when it answered: to be watched from the revision after it, so that nothing is missed.
    pub revision: Revision,
    /// The keys; none if only their number was asked for.
    pub keys: Vec<KeyValue>,
    /// Whether there were more than the limit.
    pub more: bool,
    /// How many there are in all, if that was asked for; otherwise, how many are shown.
    pub count: u64,
}

/// What came of a deletion of many.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DeletedRange {
    /// The store, then.
    pub revision: Revision,
    /// How many there were.
    pub deleted: u64,
    /// What they were, if that was asked for.
    pub previous: Vec<KeyValue>,
}

/// What came of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Transacted {
    /// The store, then.
    pub revision: Revision,
    /// Whether all comparisons held, and so it was `then` that was done.
    pub succeeded: bool,
    /// The answers, in order.
    pub rets: Vec<Ret>,
}

/// What is agreed on of a lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LeaseView {
    /// Which one.
    pub lease: LeaseId,
    /// See [`Lease::ttl_ms`](super::Lease::ttl_ms).
    pub ttl_ms: u64,
    /// See [`Lease::remaining_ms`](super::Lease::remaining_ms).
    pub remaining_ms: u64,
    /// See [`Lease::renewals`](super::Lease::renewals).
    pub renewals: u64,
    /// The keys that go with it, ascending.
    pub keys: Vec<Key>,
}

/// Why an operation was not done.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// There is no such lease; perhaps no more.
    UnknownLease(LeaseId),
    /// There is such a lease already.
    LeaseExists(LeaseId),
    /// Somebody has renewed the lease since.
    Renewed(LeaseId),
    /// No time at all, or longer than any lease lives.
    TimeToLive,
    /// A transaction could change a key twice: this one, or one that begins so.
    ChangedTwice(Key),
    /// A transaction is longer than is allowed.
    TooLong,
    /// Not in a transaction.
    OnItsOwn,
    /// It is no read, and was asked for as one.
    NotARead,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::UnknownLease(lease) => write!(f, "there is no lease {lease}"),
            Refusal::LeaseExists(lease) => write!(f, "there is a lease {lease} already"),
            Refusal::Renewed(lease) => write!(f, "lease {lease} was renewed"),
            Refusal::TimeToLive => f.write_str("no lease lives so long, or so short"),
            Refusal::ChangedTwice(key) => write!(f, "{key} would be changed twice"),
            Refusal::TooLong => f.write_str("the transaction is too long"),
            Refusal::OnItsOwn => f.write_str("that is not for a transaction"),
            Refusal::NotARead => f.write_str("it is no read"),
        }
    }
}

impl Ret {
    /// How much the keys and the values take, in bytes.
    pub fn size_bytes(&self) -> usize {
        let key_value = |found: &KeyValue| found.key.len() + found.value.len();
        let all = |found: &[KeyValue]| found.iter().map(key_value).sum();
        match self {
            Ret::Value(value) => value.as_ref().map_or(0, |value| value.len()),
            Ret::Put(put) => put.previous.as_ref().map_or(0, key_value),
            Ret::Range(found) => all(&found.keys),
            Ret::DeletedRange(found) => all(&found.previous),
            Ret::Created(found) => key_value(found),
            Ret::Transaction(found) => found.rets.iter().map(Ret::size_bytes).sum(),
            Ret::Lease(found) => found.keys.iter().map(|key| key.len()).sum(),
            Ret::Leases(leases) => 8 * leases.len(),
            Ret::Refused(Refusal::ChangedTwice(key)) => key.len(),
            _ => 0,
        }
    }
}

impl fmt::Display for Ret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ret::Value(value) => f.write_str(value.as_deref().unwrap_or("nothing")),
            Ret::Written => f.write_str("written"),
            Ret::Deleted(true) => f.write_str("deleted"),
            Ret::Deleted(false) => f.write_str("nothing to delete"),
            Ret::Swapped(true) => f.write_str("swapped"),
            Ret::Swapped(false) => f.write_str("not as expected"),
            Ret::Put(put) => match &put.previous {
                Some(previous) => write!(f, "written at {}, was {}", put.revision, previous.value),
                None => write!(f, "written at {}, was nothing", put.revision),
            },
            Ret::Range(found) => {
                list(f, &found.keys)?;
                let rest = found.count.saturating_sub(found.keys.len() as u64);
                match (found.more, rest) {
                    (true, _) => write!(f, ", and more, at {}", found.revision),
                    (false, 0) => write!(f, " at {}", found.revision),
                    (false, _) => write!(f, "{} keys at {}", found.count, found.revision),
                }
            }
            Ret::DeletedRange(found) => {
                write!(f, "{} deleted at {}", found.deleted, found.revision)
            }
            Ret::Created(found) => write!(f, "created {} at {}", found.key, found.create_revision),
            Ret::Transaction(found) => {
                let branch = if found.succeeded { "then" } else { "otherwise" };
                write!(f, "{branch} [")?;
                for (nth, ret) in found.rets.iter().enumerate() {
                    write!(f, "{}{ret}", if nth == 0 { "" } else { "; " })?;
                }
                write!(f, "] at {}", found.revision)
            }
            Ret::Granted { lease, ttl_ms } => write!(f, "granted {lease} for {ttl_ms}ms"),
            Ret::Revoked { keys, revision } => {
                write!(f, "revoked with {keys} keys at {revision}")
            }
            Ret::Lease(found) => write!(
                f,
                "{} has {} of {}ms left, and {} keys",
                found.lease,
                found.remaining_ms,
                found.ttl_ms,
                found.keys.len()
            ),
            Ret::Leases(leases) => write!(f, "{} leases", leases.len()),
            Ret::Done => f.write_str("done"),
            Ret::Compacted(revision) => write!(f, "compacted up to {revision}"),
            Ret::Future(revision) => write!(f, "the store is at {revision}"),
            Ret::Refused(refusal) => write!(f, "refused: {refusal}"),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, keys: &[KeyValue]) -> fmt::Result {
    for (nth, found) in keys.iter().enumerate() {
        write!(f, "{}{found}", if nth == 0 { "" } else { ", " })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_small() {
        assert!(size_of::<Ret>() <= 24, "{}", size_of::<Ret>());
    }

    #[test]
    fn answers_say_what_was_found() {
        let found = |keys: usize, more: bool, count: u64| {
            let key = KeyValue {
                key: "a".into(),
                value: "1".into(),
                create_revision: Revision(2),
                mod_revision: Revision(2),
                version: 1,
                lease: None,
            };
            Ret::Range(Arc::new(Ranged {
                revision: Revision(5),
                keys: vec![key; keys],
                more,
                count,
            }))
        };
        assert_eq!(found(2, false, 2).to_string(), "a = 1, a = 1 at 5");
        assert_eq!(found(1, true, 1).to_string(), "a = 1, and more, at 5");
        assert_eq!(found(0, false, 9).to_string(), "9 keys at 5");
    }
}
