//! Weak levels.

use super::*;

fn weak(text: &str) -> Vec<WeakLevel> {
    let history = history(text);
    let levels = [
        WeakLevel::ReadCommitted,
        WeakLevel::ReadAtomic,
        WeakLevel::Causal,
    ];
    let bad = levels.into_iter().filter(|level| {
        let verdict = check_weak(&history, *level).unwrap();
        verdict != crate::Verdict::Valid
    });
    bad.collect()
}

fn why(text: &str, level: WeakLevel) -> String {
    match check_weak(&history(text), level).unwrap() {
        crate::Verdict::Invalid(why) => why.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_serial_history_is_of_every_level() {
    let serial = "0 0..1: w x 1; w y 1
         1 2..3: r x 1; w x 2
         2 4..5: r x 2; r y 1
         0 6..7: r x 2; w y 2";
    assert_eq!(weak(serial), []);
}

#[test]
fn a_transaction_that_reads_back_in_time_is_not_read_committed() {
    // It sees the second write of one transaction, and then the state before its first.
    let text = "0 0..1: w x 1
         0 2..3: w x 2; w y 2
         1 4..5: r y 2; r x 1";
    let all = [
        WeakLevel::ReadCommitted,
        WeakLevel::ReadAtomic,
        WeakLevel::Causal,
    ];
    assert_eq!(weak(text), all);
    insta::assert_snapshot!(why(text, WeakLevel::ReadCommitted), @r"
    no order of commits agrees with read committed:
      1. {write x 1} by p0 (0.000s..0.001s)
         before 2: its process did the next one later
      2. {write x 2, write y 2} by p0 (0.002s..0.003s)
         before 1: {read y -> 2, read x -> 1} by p1 (0.004s..0.005s) saw it, and yet read x from the next one, which both wrote
    ");
    // The other way round, something happened between the two reads.
    let between = "0 0..1: w x 1
         0 2..3: w x 2; w y 2
         1 4..5: r x 1; r y 2";
    assert_eq!(weak(between), all[1..]);
}

#[test]
fn a_fractured_read_is_not_read_atomic() {
    let text = "0 0..1: w x 1; w y 1
         1 2..3: r x nil; r y 1";
    assert_eq!(weak(text), [WeakLevel::ReadAtomic, WeakLevel::Causal]);
    insta::assert_snapshot!(why(text, WeakLevel::ReadAtomic), @"against read atomic: {read x -> nothing, read y -> 1} by p1 (0.002s..0.003s) saw nothing in x, but what it had seen includes {write x 1, write y 1} by p0 (0.000s..0.001s)");
    assert_eq!(weak("0 0..1: w x 1; w y 1\n1 2..3: r x 1; r y 1"), []);
}

#[test]
fn what_was_done_before_by_the_same_process_is_seen() {
    let text = "0 0..1: w x 1
         0 2..3: r x nil";
    assert_eq!(weak(text), [WeakLevel::ReadAtomic, WeakLevel::Causal]);
    assert_eq!(weak("0 0..1: w x 1\n1 2..3: r x nil"), []);
}

#[test]
fn what_an_answer_depends_on_is_seen() {
    // The third process sees the reply, but not what it replies to.
    let text = "0 0..1: w x 1
         1 2..3: r x 1; w y 1
         2 4..5: r y 1
         2 6..7: r x nil";
    assert_eq!(weak(text), [WeakLevel::Causal]);
    let seen = "0 0..1: w x 1
         1 2..3: r x 1; w y 1
         2 4..5: r y 1
         2 6..7: r x 1";
    assert_eq!(weak(seen), []);
    // There is one order of commits: two readers do not see it in different ways.
    let orders = "0 0..1: w x 1
         1 2..3: w x 2
         2 4..5: r x 1
         2 6..7: r x 2
         3 8..9: r x 2
         3 10..11: r x 1";
    assert_eq!(weak(orders), [WeakLevel::Causal]);
    assert_eq!(weak(&orders.replace("10..11: r x 1", "10..11: r x 2")), []);
}

#[test]
fn single_reads_come_first() {
    for bad in [
        "0 0..1!: w x 1\n1 2..3: r x 1",
        "0 0..1: r x 1",
        "0 0..1: w x 1; r x 2; w x 2",
    ] {
        assert_eq!(weak(bad).len(), 3, "{bad}");
    }
    // Another version in the same transaction is a matter of the level.
    let again = "0 0..1: w x 1\n1 2..3: w x 2\n2 4..5: r x 1; r x 2";
    assert_eq!(weak(again), [WeakLevel::ReadAtomic, WeakLevel::Causal]);
}
