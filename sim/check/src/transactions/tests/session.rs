//! Session guarantees.

use super::*;
use crate::Verdict;

fn missing(text: &str) -> Vec<Guarantee> {
    let history = history(text);
    let missing =
        |guarantee: &Guarantee| check_session(&history, *guarantee).unwrap() != Verdict::Valid;
    Guarantee::ALL.into_iter().filter(missing).collect()
}

#[test]
fn a_serial_history_has_all() {
    let serial = "0 0..1: w x 1
         1 2..3: r x 1
         1 4..5: w x 2; w y 1
         0 6..7: r x 2
         0 8..9: w x 3
         2 10..11: r y 1; r x 3";
    assert_eq!(missing(serial), []);
}

#[test]
fn read_your_writes() {
    let bad = "0 0..1: w x 1
         0 2..3: r x nil";
    assert_eq!(missing(bad), [Guarantee::ReadYourWrites]);
    let older = "0 0..1: w x 1
         0 2..3: w x 2
         0 4..5: r x 1";
    assert_eq!(missing(older), [Guarantee::ReadYourWrites]);
    // Of another process: it may come later than its own.
    assert_eq!(missing("0 0..1: w x 1\n1 2..3: w x 2\n0 4..5: r x 2"), []);
    assert_eq!(missing("0 0..1: w x 1\n1 2..3: r x nil"), []);
}

#[test]
fn monotonic_reads() {
    let bad = "0 0..1: w x 1
         1 2..3: r x 1
         1 4..5: r x nil";
    assert!(missing(bad).contains(&Guarantee::MonotonicReads));
    let disagree = "0 0..1: w x 1
         1 2..3: w x 2
         2 4..5: r x 1
         2 6..7: r x 2
         3 8..9: r x 2
         3 10..11: r x 1";
    assert_eq!(missing(disagree), [Guarantee::MonotonicReads]);
    let why = check_session(&history(disagree), Guarantee::MonotonicReads).unwrap();
    let Verdict::Invalid(why) = why else {
        panic!("{why:?}");
    };
    insta::assert_snapshot!(why, @r"
    no monotonic reads: versions of x in a circle
      1 before 2: it saw both in this order
         {read x -> 1} by p2 (0.004s..0.005s)
         {read x -> 2} by p2 (0.006s..0.007s)
      2 before 1: it saw both in this order
         {read x -> 2} by p3 (0.008s..0.009s)
         {read x -> 1} by p3 (0.010s..0.011s)
    ");
    let agree = "0 0..1: w x 1
         1 2..3: w x 2
         2 4..5: r x 1
         2 6..7: r x 2
         3 8..9: r x 1
         3 10..11: r x 2";
    assert_eq!(missing(agree), []);
}

#[test]
fn monotonic_writes() {
    let same_key = "0 0..1: w x 1
         0 2..3: w x 2
         1 4..5: r x 2
         1 6..7: r x 1";
    assert_eq!(missing(same_key), [Guarantee::MonotonicWrites]);
    let other_key = "0 0..1: w x 1
         0 2..3: w y 1
         1 4..5: r y 1
         1 6..7: r x nil";
    assert_eq!(missing(other_key), [Guarantee::MonotonicWrites]);
    let good = "0 0..1: w x 1
         0 2..3: w y 1
         1 4..5: r x nil
         1 6..7: r y 1
         1 8..9: r x 1";
    assert_eq!(missing(good), []);
}

#[test]
fn writes_follow_reads() {
    let other_key = "0 0..1: w x 1
         1 2..3: r x 1
         1 4..5: w y 1
         2 6..7: r y 1
         2 8..9: r x nil";
    assert_eq!(missing(other_key), [Guarantee::WritesFollowReads]);
    let same_key = "0 0..1: w x 1
         1 2..3: r x 1
         1 4..5: w x 2
         2 6..7: r x 2
         2 8..9: r x 1";
    assert_eq!(missing(same_key), [Guarantee::WritesFollowReads]);
    let good = "0 0..1: w x 1
         1 2..3: r x 1
         1 4..5: w y 1
         2 6..7: r y 1
         2 8..9: r x 1";
    assert_eq!(missing(good), []);
}
