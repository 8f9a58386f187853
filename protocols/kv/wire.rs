//! The form of an operation in messages and journals: all of its fields, always, in their order.
//!
//! The one in scenarios and histories is written and read by people, and leaves out what goes without saying. A format that does not
//! name its fields cannot do that. To be used as `#[serde(with = "kv::wire")]`; the compiler sees to it that nothing is missing here.

use super::range::{Order, Shows};
use super::{Compare, Key, KeyRange, LeaseId, Op, Range, Revision, Transaction, Value};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::num::NonZeroU64;
use std::sync::Arc;

pub(crate) fn serialize<S: Serializer>(op: &Op, serializer: S) -> Result<S::Ok, S::Error> {
    WireOp::serialize(op, serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Op, D::Error> {
    WireOp::deserialize(deserializer)
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Op")]
enum WireOp {
    Get {
        key: Key,
    },
    Put {
        key: Key,
        value: Value,
        lease: Option<LeaseId>,
        previous: bool,
    },
    Delete {
        key: Key,
    },
    CompareAndSet {
        key: Key,
        expected: Option<Value>,
        value: Value,
    },
    Range(#[serde(with = "range")] Arc<Range>),
    DeleteRange {
        keys: KeyRange,
        previous: bool,
    },
    PutSequential {
        prefix: Key,
        value: Value,
        lease: Option<LeaseId>,
    },
    Transaction(#[serde(with = "transaction")] Arc<Transaction>),
    Compact {
        revision: Revision,
    },
    Keep {
        changes: u64,
    },
    LeaseGrant {
        lease: Option<LeaseId>,
        ttl_ms: u64,
    },
    LeaseRevoke {
        lease: LeaseId,
    },
    LeaseCheckpoint {
        lease: LeaseId,
        remaining_ms: u64,
    },
    LeaseExpire {
        lease: LeaseId,
        renewals: u64,
    },
    Lease {
        lease: LeaseId,
    },
    Leases,
}

mod range {
    use super::{
        Arc, Deserialize, Deserializer, KeyRange, NonZeroU64, Order, Range, Revision, Serialize,
        Serializer, Shows,
    };

    #[derive(Serialize, Deserialize)]
    #[serde(remote = "Range")]
    struct WireRange {
        keys: KeyRange,
        revision: Option<Revision>,
        limit: Option<NonZeroU64>,
        shows: Shows,
        order: Option<Order>,
        created: Option<(Revision, Revision)>,
        modified: Option<(Revision, Revision)>,
    }

    pub(super) fn serialize<S: Serializer>(
        range: &Arc<Range>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        WireRange::serialize(range, serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<Range>, D::Error> {
        WireRange::deserialize(deserializer).map(Arc::new)
    }
}

mod transaction {
    use super::super::nesting;
    use super::{
        Arc, Compare, Deserialize, Deserializer, Op, Serialize, Serializer, Transaction, WireOp,
    };

    #[derive(Serialize, Deserialize)]
    struct WireTransaction {
        compare: Vec<Compare>,
        then: Vec<Within>,
        otherwise: Vec<Within>,
    }

    #[derive(Serialize, Deserialize)]
    struct Within(#[serde(with = "WireOp")] Op);

    pub(super) fn serialize<S: Serializer>(
        transaction: &Arc<Transaction>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let within = |ops: &[Op]| ops.iter().cloned().map(Within).collect();
        let wire = WireTransaction {
            compare: transaction.compare.clone(),
            then: within(&transaction.then),
            otherwise: within(&transaction.otherwise),
        };
        wire.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<Transaction>, D::Error> {
        let wire: WireTransaction = nesting::deserialize(deserializer)?;
        let ops = |within: Vec<Within>| within.into_iter().map(|Within(op)| op).collect();
        Ok(Arc::new(Transaction {
            compare: wire.compare,
            then: ops(wire.then),
            otherwise: ops(wire.otherwise),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::range::SortBy;
    use super::super::{Operand, Relation};
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Carried(#[serde(with = "super")] Op, u8);

    /// Every operation, with what may be left out and without it.
    fn operations() -> Vec<Op> {
        let (key, value) = (|| Key::from("k"), || Value::from("v"));
        let lease = LeaseId::new(7).unwrap();
        let full = Range {
            revision: Some(Revision(3)),
            limit: NonZeroU64::new(2),
            shows: Shows::Keys,
            order: Some(Order {
                by: SortBy::Version,
                descending: true,
            }),
            created: Some((Revision(1), Revision(2))),
            modified: Some((Revision(3), Revision(4))),
            ..Range::of(KeyRange::Between(key(), "z".into()))
        };
        let compare = Compare {
            keys: KeyRange::Key(key()),
            is: Relation::NotEqual,
            to: Operand::Value(value()),
        };
        let mut operations = vec![
            Op::Get { key: key() },
            Op::Delete { key: key() },
            Op::Range(Arc::new(Range::of(KeyRange::all()))),
            Op::Range(Arc::new(full)),
            Op::Transaction(Arc::default()),
            Op::Compact {
                revision: Revision(9),
            },
            Op::Keep { changes: 8 },
            Op::LeaseRevoke { lease },
            Op::LeaseCheckpoint {
                lease,
                remaining_ms: 5,
            },
            Op::LeaseExpire { lease, renewals: 6 },
            Op::Lease { lease },
            Op::Leases,
        ];
        for lease in [None, Some(lease)] {
            operations.push(Op::LeaseGrant { lease, ttl_ms: 9 });
            operations.push(Op::PutSequential {
                prefix: key(),
                value: value(),
                lease,
            });
            operations.push(Op::Put {
                key: key(),
                value: value(),
                lease,
                previous: lease.is_some(),
            });
            operations.push(Op::DeleteRange {
                keys: KeyRange::Prefix(key()),
                previous: lease.is_some(),
            });
            operations.push(Op::CompareAndSet {
                key: key(),
                expected: lease.map(|_| value()),
                value: value(),
            });
        }
        let then = operations.clone();
        operations.push(Op::Transaction(Arc::new(Transaction {
            compare: vec![compare],
            then,
            otherwise: vec![Op::Transaction(Arc::default())],
        })));
        operations
    }

    #[test]
    fn every_operation_is_carried_whole() {
        for op in operations() {
            let carried = Carried(op, 42);
            let bytes = postcard::to_stdvec(&carried).unwrap();
            assert_eq!(postcard::from_bytes(&bytes), Ok(carried));
        }
    }
}
