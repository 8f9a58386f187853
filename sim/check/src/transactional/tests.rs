//! Hand-written histories, good and bad.

use super::*;
use crate::ProcessId;
use crate::models::transactional::{
    Action, Answer, Compare, Item, Query, Relation, Span, Target, Transaction,
};

type Kv = History<Op, Ret>;

const MS: u64 = 1_000_000;

fn at(revision: u64, answer: Answer) -> Ret {
    Ret {
        revision: Some(revision),
        answer,
    }
}

fn plain(answer: Answer) -> Ret {
    Ret {
        revision: None,
        answer,
    }
}

fn value(value: &str) -> Answer {
    Answer::Value(Some(Item::plain(value)))
}

fn modified(value: &str, mod_revision: u64) -> Answer {
    Answer::Value(Some(Item {
        mod_revision: Some(mod_revision),
        ..Item::plain(value)
    }))
}

const ABSENT: Answer = Answer::Value(None);
const WRITTEN: Answer = Answer::Written;

fn stale(key: &str) -> Op {
    Op::Stale(Query::get(key))
}

/// Operations of one process each, one after the other, 20 ms apart and 10 ms long; without an answer: unknown.
fn history<const N: usize>(operations: [(u64, Op, Option<Ret>); N]) -> Kv {
    let mut history = History::new();
    for (index, (process, op, ret)) in (0..).zip(operations) {
        let time = 20 * MS * index;
        history.invoke(time, ProcessId(process), op);
        match ret {
            Some(ret) => history.ok(time + 10 * MS, ProcessId(process), ret),
            None => history.info(time + 10 * MS, ProcessId(process)),
        }
    }
    history
}

fn verdict(history: &Kv, settings: &Settings) -> Verdict<Violation> {
    check(history, settings, Budget::default()).unwrap()
}

fn assert_valid(history: &Kv) {
    assert_eq!(verdict(history, &Settings::default()), Verdict::Valid);
}

fn why_with(history: &Kv, settings: &Settings) -> String {
    match verdict(history, settings) {
        Verdict::Invalid(why) => why.to_string(),
        other => panic!("{other:?}"),
    }
}

fn why(history: &Kv) -> String {
    why_with(history, &Settings::default())
}

#[test]
fn revisions_order_what_time_does_not() {
    let mut history = Kv::new();
    history.invoke(0, ProcessId(0), Op::put("x", "1"));
    history.invoke(1, ProcessId(1), Op::put("x", "2"));
    history.ok(2, ProcessId(0), at(3, WRITTEN));
    history.ok(3, ProcessId(1), at(2, WRITTEN));
    let mut good = history.clone();
    good.invoke(4, ProcessId(0), Op::get("x"));
    good.ok(5, ProcessId(0), at(3, value("1")));
    assert_valid(&good);
    history.invoke(4, ProcessId(0), Op::get("x"));
    history.ok(5, ProcessId(0), at(3, value("2")));
    insta::assert_snapshot!(why(&history), @"get x -> 2 at revision 3 by p0 (0.000s..0.000s) is wrong at revision 3: it needs x = 2 (revision 3), but x is 1 (version 2, created at 2, modified at 3)");
}

#[test]
fn a_revision_is_made_once() {
    let bad = history([
        (0, Op::put("x", "1"), Some(at(2, WRITTEN))),
        (1, Op::put("y", "1"), Some(at(2, WRITTEN))),
    ]);
    insta::assert_snapshot!(why(&bad), @"revision 2 was made twice: by put x = 1 at revision 2 by p0 (0.000s..0.010s) and by put y = 1 at revision 2 by p1 (0.020s..0.030s)");
}

#[test]
fn revisions_grow_with_time() {
    let bad = history([
        (0, Op::put("x", "1"), Some(at(3, WRITTEN))),
        (1, Op::put("y", "1"), Some(at(2, WRITTEN))),
    ]);
    insta::assert_snapshot!(why(&bad), @"put y = 1 at revision 2 by p1 (0.020s..0.030s) came after put x = 1 at revision 3 by p0 (0.000s..0.010s) had returned, but has no later revision (2 and 3)");
    let stale_read = history([
        (0, Op::put("x", "1"), Some(at(2, WRITTEN))),
        (1, Op::get("x"), Some(at(1, ABSENT))),
    ]);
    insta::assert_snapshot!(why(&stale_read), @"get x -> absent at revision 1 by p1 (0.020s..0.030s) came after put x = 1 at revision 2 by p0 (0.000s..0.010s) had returned, but has no later revision (1 and 2)");
}

#[test]
fn the_empty_store_has_the_first_revision() {
    insta::assert_snapshot!(why(&history([(0, Op::get("x"), Some(at(0, ABSENT)))])), @"get x -> absent at revision 0 by p0 (0.000s..0.010s) has revision 0, but the empty store has 1");
    insta::assert_snapshot!(why(&history([(0, Op::put("x", "1"), Some(at(1, WRITTEN)))])), @"put x = 1 at revision 1 by p0 (0.000s..0.010s) has revision 1, but the empty store has 1");
    let from_zero = Settings {
        first_revision: 0,
        ..Settings::default()
    };
    let history = history([(0, Op::put("x", "1"), Some(at(1, WRITTEN)))]);
    assert_eq!(verdict(&history, &from_zero), Verdict::Valid);
}

#[test]
fn an_answer_of_another_kind_is_none() {
    insta::assert_snapshot!(why(&history([(0, Op::get("x"), Some(at(1, WRITTEN)))])), @"get x -> written at revision 1 by p0 (0.000s..0.010s) is no answer to that operation");
}

#[test]
fn an_unknown_write_can_have_made_a_revision_that_nobody_answered() {
    let with = |unknown, read| {
        history([
            (0, unknown, None),
            (1, Op::put("y", "1"), Some(at(3, WRITTEN))),
            (2, Op::get("x"), Some(at(3, read))),
        ])
    };
    assert_valid(&with(Op::put("x", "1"), value("1")));
    assert_valid(&with(Op::put("x", "1"), modified("1", 2)));
    insta::assert_snapshot!(why(&with(Op::put("x", "1"), value("2"))), @"get x -> 2 at revision 3 by p2 (0.040s..0.050s) is wrong at revision 3: it needs x = 2 (revision 3), but x is 1 (version 1, created at 2, modified at 2)");
    insta::assert_snapshot!(why(&with(Op::put("x", "1"), modified("2", 2))), @"no operation can have made revision 2: no operation of unknown outcome that is not needed elsewhere writes what get x -> 2 (modified at 2) at revision 3 by p2 (0.040s..0.050s) saw");
    // It would change nothing, and so have no revision.
    insta::assert_snapshot!(why(&with(Op::delete("x"), ABSENT)), @"no operation can have made revision 2: each operation of unknown outcome came too late, changes nothing then, or is needed elsewhere");
    let nobody = history([(1, Op::put("y", "1"), Some(at(3, WRITTEN)))]);
    insta::assert_snapshot!(why(&nobody), @"no operation can have made revision 2: of 1 nobody answered that they were theirs, and 0 operations are of unknown outcome");
}

#[test]
fn an_unknown_write_cannot_have_made_a_revision_before_it_was_asked_for() {
    let bad = history([
        (1, Op::put("y", "1"), Some(at(3, WRITTEN))),
        (0, Op::put("x", "1"), None),
    ]);
    insta::assert_snapshot!(why(&bad), @"no operation can have made revision 2: each operation of unknown outcome came too late, changes nothing then, or is needed elsewhere");
}

#[test]
fn guesses_are_taken_back() {
    // The last invoked is tried first, and is wrong for revision 2, which only a much later read shows.
    let with = |first: &str, second: &str| {
        history([
            (0, Op::put("x", first), None),
            (1, Op::put("x", second), None),
            (2, Op::put("y", "1"), Some(at(3, WRITTEN))),
            (3, Op::put("z", "1"), Some(at(5, WRITTEN))),
            (4, stale("x"), Some(at(3, value("1")))),
            (5, Op::get("x"), Some(at(5, value("2")))),
        ])
    };
    assert_valid(&with("1", "2"));
    assert_valid(&with("2", "1"));
    insta::assert_snapshot!(why(&with("1", "3")), @"get x -> 2 at revision 5 by p5 (0.100s..0.110s) is wrong at revision 5: it needs x = 2 (revision 5), but x is 3 (version 2, created at 2, modified at 4)");
}

#[test]
fn out_of_budget_is_unknown() {
    let mut kv = Kv::new();
    for process in 0..8 {
        kv.invoke(
            process,
            ProcessId(process),
            Op::put("x", &process.to_string()),
        );
        kv.info(process, ProcessId(process));
    }
    kv.invoke(100, ProcessId(9), Op::get("x"));
    kv.ok(101, ProcessId(9), at(9, value("none of them")));
    let verdict = |steps| check(&kv, &Settings::default(), Budget { steps }).unwrap();
    let Verdict::Unknown(reason) = verdict(1000) else {
        panic!("decided");
    };
    insta::assert_snapshot!(reason, @"gave up after 1000 steps; ordered the first 0 of 1 completed operations");
    assert!(matches!(verdict(10_000_000), Verdict::Invalid(_)));
}

fn unless(key: &str, put: &str, deleted: &str) -> Op {
    Op::Transaction(Transaction {
        compare: vec![Compare {
            key: key.into(),
            is: Relation::Equal,
            target: Target::CreateRevision(0),
        }],
        then: vec![
            Action::Put {
                key: key.into(),
                value: put.into(),
            },
            Action::Read(Query::get(key)),
        ],
        otherwise: vec![Action::Delete {
            key: deleted.into(),
        }],
    })
}

fn answers<const N: usize>(succeeded: bool, answers: [Answer; N]) -> Answer {
    Answer::Transaction {
        succeeded,
        answers: answers.into(),
    }
}

#[test]
fn a_transaction_is_atomic_and_its_actions_see_each_other() {
    let with = |last: Answer, revision| {
        history([
            (
                0,
                unless("x", "1", "y"),
                Some(at(2, answers(true, [WRITTEN, value("1")]))),
            ),
            (1, Op::put("y", "1"), Some(at(3, WRITTEN))),
            (
                2,
                unless("x", "2", "y"),
                Some(at(4, answers(false, [Answer::Deleted(1)]))),
            ),
            (3, unless("x", "2", "y"), Some(at(revision, last))),
        ])
    };
    assert_valid(&with(answers(false, [Answer::Deleted(0)]), 4));
    insta::assert_snapshot!(why(&with(answers(false, [Answer::Deleted(1)]), 5)), @"transaction if creation of x = 0 then [put x = 2, get x] else [delete y] -> false [1 deleted] at revision 5 by p3 (0.060s..0.070s) is wrong at revision 5: it needs what makes it answer false [1 deleted] (revision 5), but x is 1 (version 1, created at 2, modified at 2), y is absent");
    insta::assert_snapshot!(why(&with(answers(false, []), 4)), @"transaction if creation of x = 0 then [put x = 2, get x] else [delete y] -> false [] at revision 4 by p3 (0.060s..0.070s) is no answer to that operation");
}

#[test]
fn without_revisions_keys_are_checked_apart_unless_an_operation_joins_them() {
    let good = history([
        (
            0,
            unless("x", "1", "y"),
            Some(plain(answers(true, [WRITTEN, value("1")]))),
        ),
        (1, Op::put("z", "1"), Some(plain(WRITTEN))),
        (2, Op::get("x"), Some(plain(value("1")))),
    ]);
    assert_valid(&good);
    // No key is wrong by itself: the transaction was seen half done.
    let (mut bad, x, y) = (Kv::new(), Op::put("x", "0"), Op::put("y", "0"));
    for (time, (op, ret)) in [(x, WRITTEN), (y, WRITTEN)].into_iter().enumerate() {
        bad.invoke(2 * time as u64, ProcessId(0), op);
        bad.ok(2 * time as u64 + 1, ProcessId(0), plain(ret));
    }
    let put = |key: &str| Action::Put {
        key: key.into(),
        value: "1".into(),
    };
    let both = Op::Transaction(Transaction {
        compare: Vec::new(),
        then: vec![put("x"), put("y")],
        otherwise: Vec::new(),
    });
    bad.invoke(4, ProcessId(0), both);
    for (process, (key, seen)) in [("x", "1"), ("y", "0")].into_iter().enumerate() {
        let process = ProcessId(process as u64 + 1);
        bad.invoke(10 * process.0, process, Op::get(key));
        bad.ok(10 * process.0 + 1, process, plain(value(seen)));
    }
    bad.ok(40, ProcessId(0), plain(answers(true, [WRITTEN, WRITTEN])));
    let why = why(&bad);
    assert!(why.starts_with("key x, y: no order"), "{why}");
    insta::assert_snapshot!(why, @r#"
key x, y: no order of these operations is legal
  at first every key is absent
  1. put y = 0 by p0 (0.000s..0.000s)
  2. transaction [put x = 1, put y = 1] -> true [written, written] by p0 (0.000s..0.000s)  (need not take effect)
  3. get x -> 1 by p1 (0.000s..0.000s)
  4. get y -> 0 by p2 (0.000s..0.000s)
the longest legal order found is 1, 2, 3; then x is 1, y is 1, but
  4 needs y = 0, last made so by put y = 0 by p0 (0.000s..0.000s)
"#);
}

#[test]
fn a_range_joins_the_keys_it_covers() {
    let range = |entries: &[(&str, &str)]| Answer::Range {
        entries: entries
            .iter()
            .map(|(key, value)| ((*key).into(), Item::plain(value)))
            .collect(),
        count: None,
    };
    let with = |answer| {
        history([
            (0, Op::put("a/1", "1"), Some(plain(WRITTEN))),
            (0, Op::put("a/2", "1"), Some(plain(WRITTEN))),
            (0, Op::put("b", "1"), Some(plain(WRITTEN))),
            (1, Op::range(Span::prefix("a/")), Some(plain(answer))),
        ])
    };
    assert_valid(&with(range(&[("a/1", "1"), ("a/2", "1")])));
    let why = why(&with(range(&[("a/1", "1")])));
    assert!(why.starts_with("key a/1, a/2: no order"), "{why}");
}

#[test]
fn versions_are_checked_where_they_are_answered() {
    let with = |version| {
        let item = Item {
            version: Some(version),
            ..Item::plain("1")
        };
        history([
            (0, Op::put("x", "0"), Some(plain(WRITTEN))),
            (0, Op::put("x", "1"), Some(plain(WRITTEN))),
            (1, Op::get("x"), Some(plain(Answer::Value(Some(item))))),
        ])
    };
    assert_valid(&with(2));
    assert!(matches!(
        verdict(&with(1), &Settings::default()),
        Verdict::Invalid(_)
    ));
}

#[test]
fn a_stale_read_is_of_some_revision() {
    let with = |ret| {
        history([
            (0, Op::put("x", "1"), Some(at(2, WRITTEN))),
            (0, Op::put("x", "2"), Some(at(3, WRITTEN))),
            (1, stale("x"), Some(ret)),
            (0, Op::put("x", "3"), Some(at(4, WRITTEN))),
        ])
    };
    assert_valid(&with(at(2, value("1"))));
    assert_valid(&with(plain(value("1"))));
    assert_valid(&with(plain(ABSENT)));
    insta::assert_snapshot!(why(&with(at(2, value("2")))), @"stale get x -> 2 at revision 2 by p1 (0.040s..0.050s) is wrong at revision 2: it needs x = 2 (revision 2), but x is 1 (version 1, created at 2, modified at 2)");
    insta::assert_snapshot!(why(&with(at(4, value("3")))), @"stale get x -> 3 at revision 4 by p1 (0.040s..0.050s) returned before its revision 4 was asked for, by put x = 3 at revision 4 by p0 (0.060s..0.070s)");
    insta::assert_snapshot!(why(&with(plain(value("3")))), @"stale get x -> 3 by p1 (0.040s..0.050s) is right at no revision from 1 to 3");
}

#[test]
fn a_stale_read_is_as_recent_as_was_asked_for() {
    let with = |process, ret| {
        history([
            (0, Op::put("x", "1"), Some(at(2, WRITTEN))),
            (0, Op::put("x", "2"), Some(at(3, WRITTEN))),
            (process, stale("x"), Some(ret)),
        ])
    };
    // The second put returned 10 ms before the read was invoked.
    let bound = |ms: u64| Settings {
        staleness_ns_max: Some(ms * MS),
        ..Settings::default()
    };
    for old in [at(2, value("1")), plain(value("1"))] {
        assert_eq!(verdict(&with(1, old.clone()), &bound(11)), Verdict::Valid);
        assert!(matches!(
            verdict(&with(1, old), &bound(10)),
            Verdict::Invalid(_)
        ));
    }
    insta::assert_snapshot!(why_with(&with(1, at(2, value("1"))), &bound(10)), @"stale get x -> 1 at revision 2 by p1 (0.040s..0.050s) is of revision 2, but 0.010s before it was invoked revision 3 was known: put x = 2 at revision 3 by p0 (0.020s..0.030s)");
    let sessions = Settings {
        sessions: true,
        ..Settings::default()
    };
    assert_eq!(
        verdict(&with(1, at(2, value("1"))), &sessions),
        Verdict::Valid
    );
    insta::assert_snapshot!(why_with(&with(0, at(2, value("1"))), &sessions), @"stale get x -> 1 at revision 2 by p0 (0.040s..0.050s) is of revision 2, but to its own process revision 3 was known: put x = 2 at revision 3 by p0 (0.020s..0.030s)");
}

#[test]
fn without_revisions_a_stale_read_is_an_early_one() {
    let with = |process, read: Answer| {
        history([
            (0, Op::put("x", "1"), Some(plain(WRITTEN))),
            (0, Op::put("x", "2"), Some(plain(WRITTEN))),
            (process, stale("x"), Some(plain(read))),
            (0, Op::put("x", "3"), Some(plain(WRITTEN))),
        ])
    };
    assert_valid(&with(1, value("1")));
    let future = verdict(&with(1, value("3")), &Settings::default());
    assert!(
        matches!(future, Verdict::Invalid(Violation::NotAnOldState(_))),
        "{future:?}"
    );
    let bound = |ms: u64| Settings {
        staleness_ns_max: Some(ms * MS),
        ..Settings::default()
    };
    assert_eq!(verdict(&with(1, value("1")), &bound(11)), Verdict::Valid);
    assert!(matches!(
        verdict(&with(1, value("1")), &bound(10)),
        Verdict::Invalid(_)
    ));
    let sessions = Settings {
        sessions: true,
        ..Settings::default()
    };
    let error = check(&with(1, value("1")), &sessions, Budget::default()).unwrap_err();
    assert_eq!(error, Error::SessionsNeedRevisions { operation: 0 });
}

#[test]
fn a_read_at_a_revision_is_right_there() {
    let with = |read| {
        history([
            (0, Op::put("x", "1"), Some(at(2, WRITTEN))),
            (0, Op::put("x", "2"), Some(at(3, WRITTEN))),
            (1, Op::At(Query::get("x"), 2), Some(at(3, read))),
        ])
    };
    assert_valid(&with(value("1")));
    assert_valid(&with(Answer::Compacted));
    insta::assert_snapshot!(why(&with(value("2"))), @"get x at revision 2 -> 2 at revision 3 by p1 (0.040s..0.050s) is wrong at revision 2: it needs x = 2 (revision 2), but x is 1 (version 1, created at 2, modified at 2)");
}
