//! Tests of the store by itself; `reference.rs` compares it with a plain one.

use super::super::Range;
use super::*;

fn lease(id: u64) -> LeaseId {
    LeaseId::new(id).unwrap()
}

fn put_with(key: &str, lease: Option<LeaseId>) -> Op {
    Op::Put {
        key: key.into(),
        value: "1".into(),
        lease,
        previous: false,
    }
}

#[test]
fn every_operation_does_what_it_says() {
    let mut store = Store::new();
    let key = || Key::from("x");
    let cas = |expected: Option<&str>, value: &str| Op::CompareAndSet {
        key: key(),
        expected: expected.map(Value::from),
        value: value.into(),
    };
    for (op, ret) in [
        (Op::Get { key: key() }, Ret::Value(None)),
        (Op::Delete { key: key() }, Ret::Deleted(false)),
        (Op::put("x", "1"), Ret::Written),
        (Op::Get { key: key() }, Ret::Value(Some("1".into()))),
        (cas(Some("2"), "3"), Ret::Swapped(false)),
        (cas(None, "3"), Ret::Swapped(false)),
        (cas(Some("1"), "2"), Ret::Swapped(true)),
        (Op::Delete { key: key() }, Ret::Deleted(true)),
        (cas(Some("2"), "3"), Ret::Swapped(false)),
        (cas(None, "3"), Ret::Swapped(true)),
    ] {
        assert_eq!(store.apply(&op), ret, "{op}");
    }
    assert_eq!(store.get("x").map(AsRef::as_ref), Some("3"));
    assert_eq!(store.iter().count(), 1);
    // What changed nothing made no revision.
    assert_eq!(store.revision(), Revision(5));
}

/// What etcd's guide shows: a key that is deleted and written again begins anew.
#[test]
fn a_key_knows_when_it_came_to_be_and_how_often_it_was_written() {
    let mut store = Store::keeping(100);
    store.apply(&Op::put("y", "1"));
    for _ in 0..3 {
        store.apply(&Op::put("x", "1"));
    }
    let known = |store: &Store| {
        let found = store.key_value("x").unwrap();
        (found.create_revision.0, found.mod_revision.0, found.version)
    };
    assert_eq!(known(&store), (3, 5, 3));
    store.apply(&Op::Delete { key: "x".into() });
    assert_eq!(store.key_value("x"), None);
    store.apply(&Op::put("x", "1"));
    assert_eq!(known(&store), (7, 7, 1));
}

#[test]
fn a_lease_takes_its_keys_along_in_one_revision() {
    let mut store = Store::keeping(100);
    assert_eq!(
        store.apply(&put_with("a", Some(lease(1)))),
        Ret::Refused(Refusal::UnknownLease(lease(1)))
    );
    store.apply(&Op::LeaseGrant {
        lease: Some(lease(1)),
        ttl_ms: 1000,
    });
    for key in ["a", "b", "c", "d", "e"] {
        store.apply(&put_with(key, Some(lease(1))));
    }
    // Written without a lease, deleted, compared and set: none of them goes with it any more.
    store.apply(&put_with("b", None));
    store.apply(&Op::Delete { key: "c".into() });
    store.apply(&Op::CompareAndSet {
        key: "d".into(),
        expected: Some("1".into()),
        value: "2".into(),
    });
    let before = store.revision();
    let stale = Op::LeaseExpire {
        lease: lease(1),
        renewals: 0,
    };
    assert_eq!(
        store.apply(&stale),
        Ret::Refused(Refusal::Renewed(lease(1)))
    );
    let revoked = Ret::Revoked {
        keys: 2,
        revision: before.next(),
    };
    let revoke = Op::LeaseRevoke { lease: lease(1) };
    assert_eq!(store.apply(&revoke), revoked);
    let left: String = store.iter().map(|(key, _)| &**key).collect();
    assert_eq!(left, "bd");
    let changes = store.changes_since(before.next()).unwrap();
    let gone: Vec<(&str, u64)> = changes
        .map(|change| (&**change.key(), change.revision().0))
        .collect();
    let revision = store.revision().0;
    assert_eq!(gone, [("a", revision), ("e", revision)]);
    assert_eq!(store.leases().len(), 0);
}

#[test]
fn sequential_keys_never_meet_one_that_is_there() {
    let mut store = Store::new();
    store.apply(&Op::put("q/0000000002", "by hand"));
    let mut next = |prefix: &str| {
        let ret = store.apply(&Op::PutSequential {
            prefix: prefix.into(),
            value: "1".into(),
            lease: None,
        });
        let Ret::Created(found) = ret else {
            panic!("{ret}");
        };
        // A number is not used again, even if its key is gone.
        store.apply(&Op::Delete {
            key: found.key.clone(),
        });
        found.key.to_string()
    };
    assert_eq!(next("q/"), "q/0000000001");
    assert_eq!(next("q/"), "q/0000000003");
    assert_eq!(next("r/"), "r/0000000004");
}

#[test]
fn the_past_is_bounded_and_no_revision_is_split() {
    let mut store = Store::keeping(10);
    for nth in 0..1000 {
        store.apply(&Op::put(format!("k{}", nth % 7), "1"));
        store.apply(&Op::Delete {
            key: format!("k{}", nth % 5).into(),
        });
        assert!((1..=11).contains(&store.history.len()));
    }
    // Of keys that are gone, nothing is left but what the past says of them.
    assert!(store.keys.len() <= store.len() + 11);
    for nth in 0..30 {
        store.apply(&Op::put(format!("m{nth}"), "1"));
    }
    store.apply(&Op::DeleteRange {
        keys: KeyRange::Prefix("m".into()),
        previous: false,
    });
    assert_eq!(store.history.len(), 30);
    assert_eq!(store.compacted(), store.revision().previous());
    store.apply(&Op::put("x", "1"));
    assert_eq!(store.history.len(), 1);
    store.apply(&Op::Keep { changes: 0 });
    assert_eq!(
        (store.history.len(), store.compacted()),
        (0, store.revision())
    );
    assert_eq!(store.keys.len(), store.len());
}

#[test]
fn a_clone_is_not_changed_by_what_comes_later() {
    let mut store = Store::keeping(500);
    let put = |store: &mut Store, count: u64| {
        for nth in 0..count {
            store.apply(&Op::put(format!("k{}", nth % 7), nth.to_string()));
        }
    };
    put(&mut store, 450);
    let clone = store.clone();
    let read = Op::Range(
        Range {
            revision: Some(Revision(100)),
            ..Range::of(KeyRange::all())
        }
        .into(),
    );
    let before = clone.read(&read);
    put(&mut store, 450);
    assert_eq!(clone.read(&read), before);
    assert!(matches!(store.read(&read), Ret::Compacted(_)));
    assert_ne!(store, clone);
}

#[test]
fn a_write_is_refused_as_a_read() {
    let store = Store::new();
    assert_eq!(
        store.read(&Op::put("x", "1")),
        Ret::Refused(Refusal::NotARead)
    );
}

/// Whatever is done, what is kept is what there is and so much of the past: the size of a store is that of its keys, not of its
/// life.
#[test]
fn a_million_operations_leave_no_more_behind_than_a_hundred_thousand() {
    const KEYS: u64 = 1_000;
    let mut store = Store::keeping(1_000);
    let mut sizes = Vec::new();
    for nth in 0..1_000_000_u64 {
        let key: Key = format!("k{}", nth.wrapping_mul(7_919) % KEYS).into();
        let id = LeaseId::new(1 + nth % 50);
        let op = match nth % 10 {
            0 => Op::Delete { key },
            1 => Op::LeaseGrant {
                lease: id,
                ttl_ms: 1_000,
            },
            2 => Op::LeaseRevoke {
                lease: lease(1 + (nth + 25) % 50),
            },
            3 => Op::PutSequential {
                prefix: "queue/".into(),
                value: "1".into(),
                lease: None,
            },
            4 => {
                let range = Range {
                    limit: std::num::NonZeroU64::new(1),
                    ..Range::of(KeyRange::Prefix("queue/".into()))
                };
                let Ret::Range(first) = store.read(&Op::Range(range.into())) else {
                    panic!("a range is a range")
                };
                Op::Delete {
                    key: first.keys[0].key.clone(),
                }
            }
            5 => put_with(&key, id),
            _ => Op::put(key, "a value"),
        };
        store.apply(&op);
        if (nth + 1) % 100_000 == 0 {
            let bytes: usize = store.pieces().map(|piece| piece.size_bytes()).sum();
            // Keys that were deleted are known as long as something is kept of them.
            sizes.push((bytes, store.keys.len(), store.leases().len()));
        }
    }
    let (bytes, keys, leases) = sizes[0];
    assert!(keys >= 500 && bytes > 20_000, "{sizes:?}");
    for later in &sizes[1..] {
        assert!(later.0 <= bytes + bytes / 10, "{sizes:?}");
        assert!(later.1 <= keys + keys / 10, "{sizes:?}");
        assert!(later.2 <= leases + 5, "{sizes:?}");
    }
}
