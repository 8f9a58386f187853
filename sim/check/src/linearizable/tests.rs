//! Hand-written histories, good and bad.

use super::*;
use crate::generate::{Shape, key_value};
use crate::models::key_value::{KeyValue, Op, Ret};
use crate::{ProcessId, What};
use std::collections::BTreeSet;

type Kv = History<Op, Ret>;

const MS: u64 = 1_000_000;

fn get() -> Op {
    Op::Get { key: "x".into() }
}

fn put(value: &str) -> Op {
    Op::Put {
        key: "x".into(),
        value: value.into(),
    }
}

fn delete() -> Op {
    Op::Delete { key: "x".into() }
}

fn cas(expected: Option<&str>, value: &str) -> Op {
    Op::CompareAndSet {
        key: "x".into(),
        expected: expected.map(Into::into),
        value: value.into(),
    }
}

fn value(value: &str) -> Ret {
    Ret::Value(Some(value.into()))
}

const ABSENT: Ret = Ret::Value(None);

/// Appends an operation of `process` that starts `from` and ends 10 ms later, after all before it.
fn then(history: &mut Kv, process: u64, op: Op, ret: Ret) {
    let time = 20 * MS * history.len() as u64;
    history.invoke(time, ProcessId(process), op);
    history.ok(time + 10 * MS, ProcessId(process), ret);
}

fn one_after_the_other<const N: usize>(operations: [(Op, Ret); N]) -> Kv {
    let mut history = History::new();
    for (process, (op, ret)) in (0..).zip(operations) {
        then(&mut history, process, op, ret);
    }
    history
}

fn is_valid(history: &Kv) -> bool {
    match check(&KeyValue, history, Budget::default()).unwrap() {
        Verdict::Valid => true,
        Verdict::Invalid(_) => false,
        Verdict::Unknown(reason) => panic!("{reason}"),
    }
}

fn explanation(history: &Kv) -> String {
    match check(&KeyValue, history, Budget::default()).unwrap() {
        Verdict::Invalid(why) => why.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_empty_history_is_valid() {
    assert!(is_valid(&History::new()));
}

#[test]
fn reads_see_the_last_write() {
    assert!(is_valid(&one_after_the_other([
        (get(), ABSENT),
        (put("1"), Ret::Written),
        (get(), value("1")),
        (put("2"), Ret::Written),
        (get(), value("2")),
    ])));
}

#[test]
fn a_stale_read_is_named() {
    let history = one_after_the_other([
        (put("1"), Ret::Written),
        (get(), value("1")),
        (put("2"), Ret::Written),
        (get(), value("2")),
        (get(), value("1")),
    ]);
    insta::assert_snapshot!(explanation(&history), @r"
    key x: no order of these operations is legal
      at 0.130s, after 4 operations in whatever order, x is 2,
         last made so by put x = 2 by p2 (0.080s..0.090s)
      1. get x -> 1 by p4 (0.160s..0.170s)
    nothing can come first: x is 2, but
      1 needs x = 1, last made so by put x = 1 by p0 (0.000s..0.010s)
    ");
}

#[test]
fn two_reads_may_not_disagree_on_the_order_of_concurrent_writes() {
    let mut history = History::new();
    history.invoke(MS, ProcessId(0), put("1"));
    history.invoke(2 * MS, ProcessId(1), put("2"));
    history.invoke(3 * MS, ProcessId(2), get());
    history.ok(4 * MS, ProcessId(2), value("1"));
    history.invoke(5 * MS, ProcessId(2), get());
    history.ok(6 * MS, ProcessId(2), value("2"));
    assert!(is_valid(&history));
    history.invoke(7 * MS, ProcessId(3), get());
    history.ok(8 * MS, ProcessId(3), value("1"));
    history.ok(9 * MS, ProcessId(0), Ret::Written);
    history.ok(9 * MS, ProcessId(1), Ret::Written);
    insta::assert_snapshot!(explanation(&history), @r"
    key x: no order of these operations is legal
      at first x is absent
      1. put x = 1 by p0 (0.001s..0.009s)  (need not take effect)
      2. put x = 2 by p1 (0.002s..0.009s)  (need not take effect)
      3. get x -> 1 by p2 (0.003s..0.004s)
      4. get x -> 2 by p2 (0.005s..0.006s)
      5. get x -> 1 by p3 (0.007s..0.008s)
    the longest legal order found is 1, 3, 2, 4; then x is 2, but
      5 needs x = 1, last made so by put x = 1 by p0 (0.001s..0.009s)
    ");
}

#[test]
fn a_lost_update_is_named() {
    let mut history = one_after_the_other([(put("1"), Ret::Written)]);
    history.invoke(50 * MS, ProcessId(1), cas(Some("1"), "2"));
    history.invoke(51 * MS, ProcessId(2), cas(Some("1"), "3"));
    history.ok(52 * MS, ProcessId(1), Ret::Swapped(true));
    assert!(is_valid(&history));
    history.ok(53 * MS, ProcessId(2), Ret::Swapped(true));
    insta::assert_snapshot!(explanation(&history), @r"
    key x: no order of these operations is legal
      at 0.010s, after 1 operation in whatever order, x is 1,
         last made so by put x = 1 by p0 (0.000s..0.010s)
      1. compare-and-set x from 1 to 2 -> true by p1 (0.050s..0.052s)
      2. compare-and-set x from 1 to 3 -> true by p2 (0.051s..0.053s)
    the longest legal order found is 1; then x is 2, but
      2 needs x = 1, last made so by put x = 1 by p0 (0.000s..0.010s)
    ");
}

#[test]
fn a_value_that_nobody_wrote_cannot_be_read() {
    let history = one_after_the_other([(put("1"), Ret::Written), (get(), value("7"))]);
    insta::assert_snapshot!(explanation(&history), @r"
    key x: no order of these operations is legal
      at first x is absent
      1. get x -> 7 by p1 (0.040s..0.050s)
    nothing can come first: x is absent, but
      1 needs x = 7, which no operation makes so
    ");
}

#[test]
fn an_unknown_write_may_take_effect_late_once_or_never() {
    let mut history = one_after_the_other([(put("1"), Ret::Written)]);
    history.invoke(30 * MS, ProcessId(10), put("2"));
    history.info(31 * MS, ProcessId(10));
    assert!(is_valid(&history));
    then(&mut history, 1, get(), value("1"));
    assert!(is_valid(&history));
    then(&mut history, 2, put("3"), Ret::Written);
    then(&mut history, 3, get(), value("3"));
    assert!(is_valid(&history));
    then(&mut history, 4, get(), value("2"));
    assert!(is_valid(&history));
    then(&mut history, 5, put("4"), Ret::Written);
    then(&mut history, 6, get(), value("2"));
    insta::assert_snapshot!(explanation(&history), @r"
    key x: no order of these operations is legal
      at first x is absent
      1. put x = 2 by p10 (0.030s.. unknown)  (need not take effect)
      2. get x -> 2 by p4 (0.200s..0.210s)
      3. put x = 4 by p5 (0.240s..0.250s)
      4. get x -> 2 by p6 (0.280s..0.290s)
    the longest legal order found is 1, 2, 3; then x is 4, but
      4 needs x = 2, last made so by put x = 2 by p10 (0.030s.. unknown)
    ");
}

#[test]
fn an_operation_still_open_at_the_end_is_unknown() {
    let mut history = History::new();
    history.invoke(0, ProcessId(9), put("1"));
    then(&mut history, 0, get(), ABSENT);
    then(&mut history, 1, get(), value("1"));
    assert!(is_valid(&history));
    then(&mut history, 2, get(), ABSENT);
    assert!(!is_valid(&history));
}

#[test]
fn a_failed_write_must_not_be_seen() {
    let mut history = History::new();
    history.invoke(0, ProcessId(0), put("1"));
    history.fail(1, ProcessId(0));
    then(&mut history, 1, get(), ABSENT);
    assert!(is_valid(&history));
    then(&mut history, 2, get(), value("1"));
    assert!(!is_valid(&history));
}

#[test]
fn an_operation_cannot_take_effect_before_its_call() {
    let mut history = one_after_the_other([(get(), value("1"))]);
    then(&mut history, 1, put("1"), Ret::Written);
    assert!(!is_valid(&history));
}

#[test]
fn delete_says_whether_there_was_something() {
    assert!(is_valid(&one_after_the_other([
        (delete(), Ret::Deleted(false)),
        (put("1"), Ret::Written),
        (delete(), Ret::Deleted(true)),
        (get(), ABSENT),
        (delete(), Ret::Deleted(false)),
    ])));
    assert!(!is_valid(&one_after_the_other([(
        delete(),
        Ret::Deleted(true)
    )])));
    let twice = [
        (put("1"), Ret::Written),
        (delete(), Ret::Deleted(true)),
        (delete(), Ret::Deleted(true)),
    ];
    assert!(!is_valid(&one_after_the_other(twice)));
    let kept = [(put("1"), Ret::Written), (delete(), Ret::Deleted(false))];
    assert!(!is_valid(&one_after_the_other(kept)));
}

#[test]
fn compare_and_set_compares_and_sets() {
    assert!(is_valid(&one_after_the_other([
        (cas(Some("1"), "2"), Ret::Swapped(false)),
        (cas(None, "1"), Ret::Swapped(true)),
        (cas(None, "2"), Ret::Swapped(false)),
        (cas(Some("1"), "2"), Ret::Swapped(true)),
        (get(), value("2")),
    ])));
    let impossible = [(cas(Some("1"), "2"), Ret::Swapped(true))];
    assert!(!is_valid(&one_after_the_other(impossible)));
    let refused = [(cas(None, "1"), Ret::Swapped(false))];
    assert!(!is_valid(&one_after_the_other(refused)));
}

#[test]
fn an_answer_of_the_wrong_kind_is_never_legal() {
    assert!(!is_valid(&one_after_the_other([(
        put("1"),
        Ret::Deleted(true)
    )])));
    assert!(!is_valid(&one_after_the_other([(get(), Ret::Written)])));
}

#[test]
fn an_unknown_write_that_was_needed_early_is_gone_later() {
    // What the search keeps apart from its state: the same position and state, with and without the write used.
    let mut history = History::new();
    history.invoke(0, ProcessId(10), put("2"));
    history.info(1, ProcessId(10));
    history.invoke(2, ProcessId(11), put("1"));
    history.invoke(3, ProcessId(12), put("1"));
    then(&mut history, 0, get(), value("1"));
    then(&mut history, 1, get(), value("2"));
    then(&mut history, 2, get(), value("1"));
    assert!(is_valid(&history));
    then(&mut history, 3, get(), value("2"));
    assert!(!is_valid(&history));
}

#[test]
fn more_than_64_operations_can_be_open() {
    let mut history = History::new();
    for n in 0..70 {
        history.invoke(0, ProcessId(100 + n), put(&format!("slow {n}")));
    }
    for n in 0..10 {
        history.invoke(0, ProcessId(200 + n), put(&format!("unknown {n}")));
        history.info(0, ProcessId(200 + n));
    }
    for n in (0..70).rev() {
        then(&mut history, 0, get(), value(&format!("slow {n}")));
        if n < 10 {
            then(&mut history, 1, get(), value(&format!("unknown {n}")));
        }
    }
    let mut stale = history.clone();
    for n in 0..70 {
        history.ok(1, ProcessId(100 + n), Ret::Written);
    }
    assert!(is_valid(&history));
    // The slow ones, here, are open to the end.
    assert!(is_valid(&stale));
    then(&mut stale, 2, get(), value("unknown 7"));
    assert!(!is_valid(&stale));
}

#[test]
fn many_unknown_writes_that_nobody_read_are_no_burden() {
    let mut history = History::new();
    for n in 0..60 {
        history.invoke(0, ProcessId(100 + n), put(&format!("unseen {n}")));
        history.info(0, ProcessId(100 + n));
    }
    // Each refusal could be explained by any of them.
    for n in 0..40 {
        then(&mut history, 0, put("1"), Ret::Written);
        then(
            &mut history,
            1,
            cas(Some("1"), "2"),
            Ret::Swapped(n % 2 == 0),
        );
    }
    assert!(is_valid(&history));
    then(&mut history, 2, get(), value("never written"));
    let why = explanation(&history);
    assert!(why.contains("which no operation makes so"), "{why}");
}

#[test]
fn a_hard_key_does_not_hide_an_easy_violation_in_another() {
    let mut history = hard("a");
    let op = Op::Get { key: "z".into() };
    then(&mut history, 0, op, value("7"));
    assert!(!is_valid(&history));
}

#[test]
fn out_of_budget_says_how_far_it_came() {
    let history = hard("a");
    let Verdict::Unknown(reason) = check(&KeyValue, &history, Budget { steps: 30_000 }).unwrap()
    else {
        panic!("expected to give up")
    };
    insta::assert_snapshot!(reason, @"gave up after 30000 steps; key a: ordered the first 38 of 41 completed operations");
}

/// Many concurrent swaps among few values, more than the budget allows to try in every order.
fn hard(key: &str) -> Kv {
    let mut history = History::new();
    let cas = |from: u64, to: u64| Op::CompareAndSet {
        key: key.into(),
        expected: Some(from.to_string().into()),
        value: to.to_string().into(),
    };
    let write = Op::Put {
        key: key.into(),
        value: "0".into(),
    };
    then(&mut history, 0, write, Ret::Written);
    for n in 0..40 {
        history.invoke(0, ProcessId(100 + n), cas(n % 7, (n / 7 + 2 * n + 1) % 7));
    }
    for n in 0..40 {
        history.ok(1, ProcessId(100 + n), Ret::Swapped(true));
    }
    history
}

#[test]
fn generated_histories_are_valid_and_a_lie_is_found() {
    for seed in 0..50 {
        let shape = Shape {
            operations: 400,
            processes: 6,
            keys: 4,
            values: if seed % 2 == 0 { 4 } else { 1000 },
            info_per_mille: 40,
        };
        let history = key_value(&shape, seed);
        assert!(is_valid(&history), "seed {seed}");
        assert!(
            !is_valid(&with_a_lie(&history, 300, "a lie")),
            "seed {seed}"
        );
    }
}

/// The same history, but the first read that completes after this event returns this value.
fn with_a_lie(history: &Kv, after: usize, lie: &str) -> Kv {
    let mut lied = false;
    let mut bad = History::new();
    for (index, event) in history.events().iter().enumerate() {
        let mut event = event.clone();
        if let What::Ok(Ret::Value(value)) = &mut event.what
            && index > after
            && !lied
        {
            *value = Some(lie.into());
            lied = true;
        }
        bad.push(event);
    }
    bad
}

#[test]
fn operations_that_are_alike_really_can_stand_in_for_each_other() {
    let (mut invalid, mut fewer_classes) = (0, 0);
    for seed in 0..4000 {
        let shape = Shape {
            operations: 30,
            processes: 4,
            keys: 1,
            values: 8,
            info_per_mille: 350,
        };
        let history = with_a_lie(&key_value(&shape, seed), 20, &(seed % 8).to_string());
        let operations = history.operations().unwrap();
        let called = |operation: &Operation<&Op, &Ret>| operation.invoked.event;
        for Group { mut entries, .. } in split(&KeyValue, &operations, &called) {
            let alone = Search::new(&KeyValue, &entries, None).run(u64::MAX);
            // With fewer than two unknown ones there is nothing to tell apart.
            if alike::classify(&KeyValue, &mut entries, u64::MAX).is_none() {
                continue;
            }
            let together = Search::new(&KeyValue, &entries, None).run(u64::MAX);
            assert_eq!(alone, together, "seed {seed}");
            invalid += usize::from(alone == Progress::Invalid);
            let unknown = entries.iter().filter(|entry| entry.returned.is_none());
            let (classes, ops): (BTreeSet<_>, Vec<_>) =
                unknown.map(|entry| (entry.class, entry.op)).unzip();
            let different = ops.iter().collect::<rustc_hash::FxHashSet<_>>().len();
            fewer_classes += usize::from(classes.len() < different);
        }
    }
    // Otherwise the test says nothing.
    assert!(
        (500..3500).contains(&invalid) && fewer_classes > 1000,
        "{invalid} {fewer_classes}"
    );
}
