//! Operations that anybody could ask for, on few keys, so that they meet.

use super::super::*;
use proptest::prelude::*;
use std::num::NonZeroU64;
use std::sync::Arc;

fn key() -> impl Strategy<Value = Key> {
    prop::sample::select(vec!["a", "ab", "abc", "b", "ba", "c"]).prop_map(Key::from)
}

fn value() -> impl Strategy<Value = Value> {
    (0..20_u8).prop_map(|value| value.to_string().into())
}

fn key_range() -> impl Strategy<Value = KeyRange> {
    prop_oneof![
        3 => key().prop_map(KeyRange::Key),
        2 => key().prop_map(KeyRange::Prefix),
        1 => Just(KeyRange::all()),
        1 => key().prop_map(KeyRange::From),
        2 => (key(), key()).prop_map(|(from, to)| KeyRange::Between(from, to)),
    ]
}

fn lease() -> impl Strategy<Value = LeaseId> {
    (1..5_u64).prop_map(|id| LeaseId::new(id).unwrap())
}

fn maybe_lease() -> impl Strategy<Value = Option<LeaseId>> {
    prop::option::weighted(0.3, lease())
}

fn revision() -> impl Strategy<Value = Revision> {
    (0..40_u64).prop_map(Revision)
}

fn range() -> impl Strategy<Value = Range> {
    let by = prop::sample::select(vec![
        SortBy::Key,
        SortBy::CreateRevision,
        SortBy::ModRevision,
        SortBy::Version,
        SortBy::Value,
    ]);
    let order = (by, any::<bool>()).prop_map(|(by, descending)| Order { by, descending });
    let shows = prop::sample::select(vec![Shows::All, Shows::All, Shows::Keys, Shows::Count]);
    let bounds = || prop::option::weighted(0.2, (revision(), revision()));
    (
        key_range(),
        prop::option::weighted(0.5, revision()),
        prop::option::weighted(0.3, 1..4_u64),
        shows,
        prop::option::weighted(0.3, order),
        bounds(),
        bounds(),
    )
        .prop_map(
            |(keys, revision, limit, shows, order, created, modified)| Range {
                keys,
                revision,
                limit: limit.and_then(NonZeroU64::new),
                shows,
                order,
                created,
                modified,
            },
        )
}

/// What may be in a transaction.
fn simple() -> impl Strategy<Value = Op> {
    let flag = any::<bool>;
    prop_oneof![
        1 => key().prop_map(|key| Op::Get { key }),
        6 => (key(), value(), maybe_lease(), flag()).prop_map(|(key, value, lease, previous)| {
            Op::Put { key, value, lease, previous }
        }),
        3 => key().prop_map(|key| Op::Delete { key }),
        2 => (key(), prop::option::of(value()), value()).prop_map(|(key, expected, value)| {
            Op::CompareAndSet { key, expected, value }
        }),
        3 => range().prop_map(|range| Op::Range(range.into())),
        2 => (key_range(), flag()).prop_map(|(keys, previous)| Op::DeleteRange { keys, previous }),
        1 => (key(), value(), maybe_lease()).prop_map(|(prefix, value, lease)| {
            Op::PutSequential { prefix, value, lease }
        }),
    ]
}

fn compare() -> impl Strategy<Value = Compare> {
    let is = prop::sample::select(vec![
        Relation::Equal,
        Relation::NotEqual,
        Relation::Greater,
        Relation::Less,
    ]);
    let to = prop_oneof![
        value().prop_map(Operand::Value),
        (0..4_u64).prop_map(Operand::Version),
        revision().prop_map(Operand::CreateRevision),
        revision().prop_map(Operand::ModRevision),
        maybe_lease().prop_map(Operand::Lease),
    ];
    (key_range(), is, to).prop_map(|(keys, is, to)| Compare { keys, is, to })
}

fn transaction(op: impl Strategy<Value = Op> + Clone) -> impl Strategy<Value = Op> {
    let ops = || prop::collection::vec(op.clone(), 0..4);
    (prop::collection::vec(compare(), 0..3), ops(), ops()).prop_map(|(compare, then, otherwise)| {
        Op::Transaction(Arc::new(Transaction {
            compare,
            then,
            otherwise,
        }))
    })
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let within = transaction(simple().boxed()).boxed();
    prop_oneof![
        12 => simple(),
        4 => within.clone(),
        2 => transaction(prop_oneof![3 => simple(), 1 => within].boxed()),
        1 => revision().prop_map(|revision| Op::Compact { revision }),
        1 => (0..12_u64).prop_map(|changes| Op::Keep { changes }),
        3 => (maybe_lease(), 0..3_u64).prop_map(|(lease, ttl_ms)| Op::LeaseGrant { lease, ttl_ms }),
        1 => lease().prop_map(|lease| Op::LeaseRevoke { lease }),
        1 => (lease(), 0..3_u64).prop_map(|(lease, remaining_ms)| {
            Op::LeaseCheckpoint { lease, remaining_ms }
        }),
        1 => (lease(), 0..9_u64).prop_map(|(lease, renewals)| Op::LeaseExpire { lease, renewals }),
        1 => lease().prop_map(|lease| Op::Lease { lease }),
        1 => Just(Op::Leases),
    ]
}
