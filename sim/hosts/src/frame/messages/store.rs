//! Operations of the store, and its answers.

use super::{number, option, some};
use proptest::prelude::*;
use splitbrain_protocols::kv::{
    self, Compare, DeletedRange, Key, KeyRange, KeyValue, LeaseId, LeaseView, Op, Operand, Order,
    Put, Range, Ranged, Relation, Ret, Revision, Shows, SortBy, Transacted, Transaction, Value,
};
use std::num::NonZeroU64;
use std::sync::Arc;

pub(super) fn revision() -> impl Strategy<Value = Revision> {
    number().prop_map(Revision)
}

pub(super) fn lease() -> impl Strategy<Value = LeaseId> {
    number().prop_map(|id| LeaseId::new(id.max(1)).expect("it is not zero"))
}

fn key() -> impl Strategy<Value = Key> {
    // Characters of more than one byte, too.
    "[a-c/é☃]{0,4}".prop_map(Key::from)
}

fn value() -> impl Strategy<Value = Value> {
    ".{0,12}".prop_map(Value::from)
}

pub(super) fn keys() -> impl Strategy<Value = KeyRange> {
    prop_oneof![
        key().prop_map(KeyRange::Key),
        key().prop_map(KeyRange::Prefix),
        key().prop_map(KeyRange::From),
        (key(), key()).prop_map(|(from, to)| KeyRange::Between(from, to)),
    ]
}

pub(super) fn key_value() -> impl Strategy<Value = KeyValue> {
    let fields = (
        key(),
        value(),
        revision(),
        revision(),
        number(),
        option(lease()),
    );
    fields.prop_map(
        |(key, value, create_revision, mod_revision, version, lease)| KeyValue {
            key,
            value,
            create_revision,
            mod_revision,
            version,
            lease,
        },
    )
}

fn range() -> impl Strategy<Value = Range> {
    let shows = prop_oneof![Just(Shows::All), Just(Shows::Keys), Just(Shows::Count)];
    let by = prop_oneof![
        Just(SortBy::Key),
        Just(SortBy::CreateRevision),
        Just(SortBy::ModRevision),
        Just(SortBy::Version),
        Just(SortBy::Value),
    ];
    let order = (by, any::<bool>()).prop_map(|(by, descending)| Order { by, descending });
    let limit = option(number().prop_map(|limit| NonZeroU64::MIN.saturating_add(limit)));
    let between = || option((revision(), revision()));
    let fields = (
        keys(),
        option(revision()),
        limit,
        shows,
        option(order),
        between(),
        between(),
    );
    fields.prop_map(
        |(keys, revision, limit, shows, order, created, modified)| Range {
            keys,
            revision,
            limit,
            shows,
            order,
            created,
            modified,
        },
    )
}

fn compare() -> impl Strategy<Value = Compare> {
    let is = prop_oneof![
        Just(Relation::Equal),
        Just(Relation::NotEqual),
        Just(Relation::Greater),
        Just(Relation::Less),
    ];
    let to = prop_oneof![
        value().prop_map(Operand::Value),
        number().prop_map(Operand::Version),
        revision().prop_map(Operand::CreateRevision),
        revision().prop_map(Operand::ModRevision),
        option(lease()).prop_map(Operand::Lease),
    ];
    (keys(), is, to).prop_map(|(keys, is, to)| Compare { keys, is, to })
}

/// Any operation of the store, transactions within each other among them.
pub(super) fn op() -> impl Strategy<Value = Op> {
    let writes = prop_oneof![
        (key(), value(), option(lease()), any::<bool>()).prop_map(
            |(key, value, lease, previous)| Op::Put {
                key,
                value,
                lease,
                previous,
            }
        ),
        key().prop_map(|key| Op::Delete { key }),
        (key(), option(value()), value()).prop_map(|(key, expected, value)| Op::CompareAndSet {
            key,
            expected,
            value,
        }),
        (keys(), any::<bool>()).prop_map(|(keys, previous)| Op::DeleteRange { keys, previous }),
        (key(), value(), option(lease())).prop_map(|(prefix, value, lease)| Op::PutSequential {
            prefix,
            value,
            lease,
        }),
    ];
    let others = prop_oneof![
        key().prop_map(|key| Op::Get { key }),
        range().prop_map(|range| Op::Range(range.into())),
        revision().prop_map(|revision| Op::Compact { revision }),
        number().prop_map(|changes| Op::Keep { changes }),
        (option(lease()), number()).prop_map(|(lease, ttl_ms)| Op::LeaseGrant { lease, ttl_ms }),
        lease().prop_map(|lease| Op::LeaseRevoke { lease }),
        (lease(), number()).prop_map(|(lease, remaining_ms)| Op::LeaseCheckpoint {
            lease,
            remaining_ms,
        }),
        (lease(), number()).prop_map(|(lease, renewals)| Op::LeaseExpire { lease, renewals }),
        lease().prop_map(|lease| Op::Lease { lease }),
        Just(Op::Leases),
    ];
    let flat = prop_oneof![writes, others];
    flat.prop_recursive(3, 16, 3, |within| {
        let branch = || proptest::collection::vec(within.clone(), 0..3);
        (some(compare()), branch(), branch()).prop_map(|(compare, then, otherwise)| {
            Op::Transaction(Arc::new(Transaction {
                compare,
                then,
                otherwise,
            }))
        })
    })
}

fn refusal() -> impl Strategy<Value = kv::Refusal> {
    use kv::Refusal;
    prop_oneof![
        lease().prop_map(Refusal::UnknownLease),
        lease().prop_map(Refusal::LeaseExists),
        lease().prop_map(Refusal::Renewed),
        key().prop_map(Refusal::ChangedTwice),
        Just(Refusal::TimeToLive),
        Just(Refusal::TooLong),
        Just(Refusal::OnItsOwn),
        Just(Refusal::NotARead),
    ]
}

/// Any answer of the store.
pub(super) fn ret() -> impl Strategy<Value = Ret> {
    let lease_view = (lease(), number(), number(), number(), some(key())).prop_map(
        |(lease, ttl_ms, remaining_ms, renewals, keys)| LeaseView {
            lease,
            ttl_ms,
            remaining_ms,
            renewals,
            keys,
        },
    );
    let ranged = (revision(), some(key_value()), any::<bool>(), number()).prop_map(
        |(revision, keys, more, count)| Ranged {
            revision,
            keys,
            more,
            count,
        },
    );
    let deleted =
        (revision(), number(), some(key_value())).prop_map(|(revision, deleted, previous)| {
            DeletedRange {
                revision,
                deleted,
                previous,
            }
        });
    let put = (revision(), option(key_value()))
        .prop_map(|(revision, previous)| Put { revision, previous });
    let plain = prop_oneof![
        option(value()).prop_map(Ret::Value),
        Just(Ret::Written),
        any::<bool>().prop_map(Ret::Deleted),
        any::<bool>().prop_map(Ret::Swapped),
        put.prop_map(|put| Ret::Put(put.into())),
        ranged.prop_map(|ranged| Ret::Range(ranged.into())),
        deleted.prop_map(|deleted| Ret::DeletedRange(deleted.into())),
        key_value().prop_map(|created| Ret::Created(created.into())),
    ];
    let of_leases = prop_oneof![
        (lease(), number()).prop_map(|(lease, ttl_ms)| Ret::Granted { lease, ttl_ms }),
        (number(), revision()).prop_map(|(keys, revision)| Ret::Revoked { keys, revision }),
        lease_view.prop_map(|view| Ret::Lease(view.into())),
        some(lease()).prop_map(|leases| Ret::Leases(leases.into())),
    ];
    let others = prop_oneof![
        Just(Ret::Done),
        revision().prop_map(Ret::Compacted),
        revision().prop_map(Ret::Future),
        refusal().prop_map(Ret::Refused),
    ];
    prop_oneof![plain, of_leases, others].prop_recursive(3, 12, 3, |within| {
        let rets = proptest::collection::vec(within, 0..3);
        (revision(), any::<bool>(), rets).prop_map(|(revision, succeeded, rets)| {
            Ret::Transaction(Arc::new(Transacted {
                revision,
                succeeded,
                rets,
            }))
        })
    })
}
