//! Tests of transactions.

use super::*;
use std::sync::Arc;

fn transaction(compare: Vec<Compare>, then: Vec<Op>, otherwise: Vec<Op>) -> Op {
    Op::Transaction(Arc::new(Transaction {
        compare,
        then,
        otherwise,
    }))
}

fn rets(ret: &Ret) -> (u64, bool, &[Ret]) {
    match ret {
        Ret::Transaction(found) => (found.revision.0, found.succeeded, &found.rets),
        ret => panic!("{ret}"),
    }
}

/// Two accounts: what is taken from one is given to the other, if there is as much as was read.
#[test]
fn both_or_neither() {
    let mut store = Store::keeping(100);
    store.apply(&Op::put("a", "10"));
    store.apply(&Op::put("b", "0"));
    let op = transaction(
        vec![
            Compare::key("a", Relation::Equal, Operand::Value("10".into())),
            Compare::key("b", Relation::Equal, Operand::ModRevision(Revision(3))),
        ],
        vec![Op::put("a", "7"), Op::put("b", "3")],
        vec![Op::Get { key: "a".into() }],
    );
    assert_eq!(
        rets(&store.apply(&op)),
        (4, true, &[Ret::Written, Ret::Written][..])
    );
    let revisions: Vec<u64> = store
        .changes_since(Revision(4))
        .unwrap()
        .map(|change| change.revision().0)
        .collect();
    assert_eq!(revisions, [4, 4]);
    // The second time it is not as it was read, and a read makes no revision.
    let value = Ret::Value(Some("7".into()));
    assert_eq!(rets(&store.apply(&op)), (4, false, &[value][..]));
}

#[test]
fn a_key_that_is_missing_has_no_value_and_zero_of_everything_else() {
    let mut store = Store::new();
    let mut holds = |compare: Compare| {
        let ret = store.apply(&transaction(vec![compare], vec![], vec![]));
        rets(&ret).1
    };
    for is in [Relation::Equal, Relation::NotEqual, Relation::Less] {
        assert!(!holds(Compare::key("x", is, Operand::Value("".into()))));
    }
    assert!(holds(Compare::missing("x")) && !holds(Compare::exists("x")));
    let created = Operand::CreateRevision(Revision::ZERO);
    assert!(holds(Compare::key("x", Relation::Equal, created)));
    assert!(holds(Compare::key(
        "x",
        Relation::Equal,
        Operand::Lease(None)
    )));
}

#[test]
fn no_key_is_changed_twice() {
    let mut store = Store::new();
    let put = |key: &str| Op::put(key, "1");
    let delete = |key: &str| Op::Delete { key: key.into() };
    let sequential = |prefix: &str| Op::PutSequential {
        prefix: prefix.into(),
        value: "1".into(),
        lease: None,
    };
    let delete_range = |keys| Op::DeleteRange {
        keys,
        previous: false,
    };
    let prefix = |prefix: &str| KeyRange::Prefix(prefix.into());
    let within = |then, otherwise| transaction(vec![], then, otherwise);
    let twice = |key: &str| Some(key.to_owned());
    for (ops, key) in [
        (vec![put("a"), put("b")], None),
        (vec![put("a"), put("a")], twice("a")),
        (vec![put("a"), delete("a")], twice("a")),
        (vec![delete("a"), put("a")], twice("a")),
        (vec![delete("a"), delete_range(prefix("a"))], None),
        (vec![delete_range(prefix("a")), put("ab")], twice("ab")),
        (vec![delete_range(prefix("a")), put("b")], None),
        (vec![sequential("q"), sequential("q")], None),
        (
            vec![sequential("q"), put("q0000000001")],
            twice("q0000000001"),
        ),
        (
            vec![delete_range(KeyRange::all()), sequential("q")],
            twice("q"),
        ),
        // Of two branches one is done.
        (vec![within(vec![put("a")], vec![put("a")])], None),
        (
            vec![within(vec![put("b")], vec![put("a")]), put("a")],
            twice("a"),
        ),
        (
            vec![
                put("a"),
                within(vec![], vec![within(vec![delete("a")], vec![])]),
            ],
            twice("a"),
        ),
    ] {
        let op = transaction(vec![], vec![], ops);
        let before = store.clone();
        let ret = store.apply(&op);
        match key {
            None => assert!(matches!(ret, Ret::Transaction(_)), "{op}: {ret}"),
            Some(key) => {
                let refusal = Refusal::ChangedTwice(key.into());
                assert_eq!(ret, Ret::Refused(refusal), "{op}");
                assert_eq!(store, before);
            }
        }
    }
}

#[test]
fn what_is_wrong_with_it_is_found_before_anything_is_done() {
    let mut store = Store::keeping(100);
    let lease = LeaseId::new(9).unwrap();
    let at = |revision: u64| {
        let mut range = super::super::Range::of(KeyRange::all());
        range.revision = Some(Revision(revision));
        Op::Range(range.into())
    };
    let with_lease = Op::Put {
        key: "b".into(),
        value: "1".into(),
        lease: Some(lease),
        previous: false,
    };
    let mut nested = transaction(vec![], vec![], vec![]);
    for _ in 0..TRANSACTION_OPS_MAX {
        nested = transaction(vec![], vec![nested], vec![]);
    }
    let many = vec![Op::Get { key: "a".into() }; TRANSACTION_OPS_MAX];
    let before = store.clone();
    for (op, expected) in [
        (with_lease, Ret::Refused(Refusal::UnknownLease(lease))),
        (at(2), Ret::Future(Revision(1))),
        (
            Op::Compact {
                revision: Revision(1),
            },
            Ret::Refused(Refusal::OnItsOwn),
        ),
        (nested, Ret::Refused(Refusal::TooLong)),
        (
            transaction(vec![], many.clone(), vec![]),
            Ret::Refused(Refusal::TooLong),
        ),
    ] {
        let op = transaction(vec![], vec![Op::put("a", "1"), op], vec![]);
        assert_eq!(store.apply(&op), expected);
        assert_eq!(store, before);
    }
    let ret = store.apply(&transaction(vec![], many, vec![]));
    assert_eq!(rets(&ret).2.len(), TRANSACTION_OPS_MAX);
}

#[test]
fn it_says_what_it_does() {
    let op = transaction(
        vec![Compare::missing("x")],
        vec![Op::put("x", "1")],
        vec![Op::Leases],
    );
    let words = "if [version of x = 0] then [put x = 1] otherwise [leases]";
    assert_eq!(op.to_string(), words);
    assert_eq!(op.size_bytes(), 1 + 8 + 2 + 8);
}
