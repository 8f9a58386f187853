//! The models: small histories that are good and bad by hand, random ones against brute force, and the JSON form.

mod random;

use proptest::prelude::*;
use random::{Player, brute_force, cases, moves};
use serde::Serialize;
use serde::de::DeserializeOwned;
use splitbrain_check::models::{
    counter::{self, Counter},
    fenced_lock::{self, FencedLock},
    lease::{self, Lease},
    list_append::{self, ListAppend},
    mutex::{self, Mutex},
    priority_queue::{self, PriorityQueue},
    queue::{self, Queue},
    semaphore::{self, Semaphore},
    set::{self, Set},
    stack::{self, Stack},
};
use splitbrain_check::{Budget, History, Model, ProcessId, Verdict, check, decide, jsonl};
use std::fmt::Debug;

/// Operations one after the other, from their JSON form: `{"f":"add","value":1} -> {"changed":true}`. Without an answer, the
/// operation is unknown. What is read is also written and read again.
fn history<M: Model>(_model: &M, lines: &str) -> History<M::Op, M::Ret>
where
    M::Op: Serialize + DeserializeOwned + Clone + Debug,
    M::Ret: Serialize + DeserializeOwned + Clone + Debug,
{
    let mut history = History::new();
    for (process, line) in (0..).zip(lines.trim().lines()) {
        let (op, ret) = line
            .split_once("->")
            .map_or((line, None), |(op, ret)| (op, Some(ret)));
        let (time, process) = (10 * history.len() as u64, ProcessId(process));
        history.invoke(time, process, serde_json::from_str(op).expect(op));
        match ret {
            Some(ret) => history.ok(time + 5, process, serde_json::from_str(ret).expect(ret)),
            None => history.info(time + 5, process),
        }
    }
    let mut file = Vec::new();
    jsonl::write(&history, &mut file).expect("memory does not fail");
    assert_eq!(jsonl::read(&*file).expect("just written"), history);
    history
}

/// Why it is bad, or that it is good.
fn verdict<M: Model>(model: &M, lines: &str) -> String
where
    M::Op: Serialize + DeserializeOwned + Clone + Debug,
    M::Ret: Serialize + DeserializeOwned + Clone + Debug,
{
    match check(model, &history(model, lines), Budget::default()).expect("well-formed") {
        Verdict::Valid => "valid".to_owned(),
        Verdict::Invalid(why) => {
            let blocked = why.blocked.iter().map(|blocked| &*blocked.needs);
            let needs = blocked.collect::<Vec<&str>>().join("; ");
            format!("{}, but needs {needs}", why.state)
        }
        Verdict::Unknown(reason) => reason.to_string(),
    }
}

#[test]
fn a_queue_keeps_the_order() {
    let put = "{\"f\":\"enqueue\",\"value\":1} -> {}\n{\"f\":\"enqueue\",\"value\":2} -> {}\n";
    let take = |value| format!("{{\"f\":\"dequeue\"}} -> {{\"value\":{value}}}\n");
    let verdict = |lines: &[String]| verdict(&Queue, &format!("{put}{}", lines.concat()));
    assert_eq!(verdict(&[take("1"), take("2"), take("null")]), "valid");
    insta::assert_snapshot!(verdict(&[take("2")]), @"the queue holds 1, 2, but needs 2 at the front");
    insta::assert_snapshot!(verdict(&[take("1"), take("null")]), @"the queue holds 2, but needs nothing in it");
    insta::assert_snapshot!(verdict(&[take("1"), take("2"), take("2")]), @"the queue is empty, but needs 2 at the front");
}

#[test]
fn a_stack_turns_the_order_round() {
    let put = "{\"f\":\"push\",\"value\":1} -> {}\n{\"f\":\"push\",\"value\":2} -> {}\n";
    let take = |value| format!("{{\"f\":\"pop\"}} -> {{\"value\":{value}}}\n");
    let verdict = |lines: &[String]| verdict(&Stack, &format!("{put}{}", lines.concat()));
    assert_eq!(verdict(&[take("2"), take("1"), take("null")]), "valid");
    insta::assert_snapshot!(verdict(&[take("1")]), @"the stack holds 1, 2, but needs 1 on top");
    insta::assert_snapshot!(verdict(&[take("2"), take("null")]), @"the stack holds 1, but needs nothing in it");
}

#[test]
fn a_priority_queue_gives_the_least() {
    let put = "{\"f\":\"insert\",\"value\":2} -> {}\n{\"f\":\"insert\",\"value\":1} -> {}\n";
    let take = |value| format!("{{\"f\":\"delete_min\"}} -> {{\"value\":{value}}}\n");
    let verdict = |lines: &[String]| verdict(&PriorityQueue, &format!("{put}{}", lines.concat()));
    assert_eq!(verdict(&[take("1"), take("2"), take("null")]), "valid");
    insta::assert_snapshot!(verdict(&[take("2")]), @"the priority queue holds 1, 2, but needs 2 as the least");
}

#[test]
fn a_set_holds_each_number_once() {
    let good = r#"
{"f":"add","value":1} -> {"changed":true}
{"f":"add","value":1} -> {"changed":false}
{"f":"add","value":2} -> {}
{"f":"read"} -> {"values":[2,1]}
{"f":"remove","value":1} -> {"changed":true}
{"f":"contains","value":1} -> {"found":false}
{"f":"add","value":3}
{"f":"read"} -> {"values":[2]}
{"f":"read"} -> {"values":[2,3]}"#;
    assert_eq!(verdict(&Set, good), "valid");
    let lost =
        "{\"f\":\"add\",\"value\":1} -> {}\n{\"f\":\"contains\",\"value\":1} -> {\"found\":false}";
    insta::assert_snapshot!(verdict(&Set, lost), @"1 is in the set, but needs 1 not in the set");
    let twice = "{\"f\":\"add\",\"value\":1} -> {}\n{\"f\":\"read\"} -> {\"values\":[1,1]}";
    insta::assert_snapshot!(verdict(&Set, twice), @"1 is not in the set, but needs the set to be {1, 1}, each once");
    let back = format!("{good}\n{{\"f\":\"read\"}} -> {{\"values\":[2]}}");
    assert_ne!(verdict(&Set, &back), "valid");
}

#[test]
fn a_counter_counts() {
    let good = r#"
{"f":"add","value":2} -> {}
{"f":"add","value":-3} -> {"value":-1}
{"f":"add","value":10}
{"f":"read"} -> {"value":-1}
{"f":"read"} -> {"value":9}"#;
    assert_eq!(verdict(&Counter, good), "valid");
    let lost = "{\"f\":\"add\",\"value\":2} -> {}\n{\"f\":\"read\"} -> {\"value\":0}";
    insta::assert_snapshot!(verdict(&Counter, lost), @"counter is 2, but needs counter = 0");
    let doubled = "{\"f\":\"add\",\"value\":2} -> {\"value\":4}";
    insta::assert_snapshot!(verdict(&Counter, doubled), @"counter is 0, but needs counter = 2");
    let silent = "{\"f\":\"read\"} -> {}";
    insta::assert_snapshot!(verdict(&Counter, silent), @"counter is 0, but needs another kind of answer");
}

#[test]
fn a_lock_has_one_holder() {
    let good = r#"
{"f":"acquire","owner":1} -> {"done":true}
{"f":"acquire","owner":2} -> {"done":false}
{"f":"release","owner":2} -> {"done":false}
{"f":"release","owner":1} -> {"done":true}
{"f":"acquire","owner":2} -> {"done":true}"#;
    assert_eq!(verdict(&Mutex, good), "valid");
    let both = "{\"f\":\"acquire\",\"owner\":1} -> {\"done\":true}\n{\"f\":\"acquire\",\"owner\":2} -> {\"done\":true}";
    insta::assert_snapshot!(verdict(&Mutex, both), @"the lock is held by 1, but needs the lock free");
    let stolen = "{\"f\":\"release\",\"owner\":1} -> {\"done\":true}";
    insta::assert_snapshot!(verdict(&Mutex, stolen), @"the lock is free, but needs the lock held by 1");
}

#[test]
fn a_fence_only_grows() {
    let good = r#"
{"f":"acquire","owner":1} -> {"fence":3}
{"f":"acquire","owner":2} -> {"done":false}
{"f":"release","owner":1} -> {"done":true}
{"f":"acquire","owner":2} -> {"fence":7}"#;
    assert_eq!(verdict(&FencedLock, good), "valid");
    let same = good.replace('7', "3");
    insta::assert_snapshot!(verdict(&FencedLock, &same), @"the lock is free, the last fence was 3 or more, but needs the lock free and fences below 3");
    // Somebody had it in between, and so had a number of their own.
    let between = good.replace(
        "{\"f\":\"acquire\",\"owner\":2} -> {\"fence\":7}",
        "{\"f\":\"acquire\",\"owner\":5}\n{\"f\":\"release\",\"owner\":5} -> {\"done\":true}\n{\"f\":\"acquire\",\"owner\":2} -> {\"fence\":4}",
    );
    assert_ne!(verdict(&FencedLock, &between), "valid");
    assert_eq!(
        verdict(&FencedLock, &between.replace("fence\":4", "fence\":5")),
        "valid"
    );
}

#[test]
fn a_lease_ends_when_it_expires() {
    let good = r#"
{"f":"acquire","owner":1} -> {"done":true}
{"f":"renew","owner":1} -> {"done":true}
{"f":"expire","owner":1}
{"f":"acquire","owner":2} -> {"done":true}
{"f":"renew","owner":1} -> {"done":false}"#;
    assert_eq!(verdict(&Lease, good), "valid");
    let kept = good.replace("{\"f\":\"expire\",\"owner\":1}\n", "");
    insta::assert_snapshot!(verdict(&Lease, &kept), @"the lock is held by 1, but needs the lock free");
    let renewed = good.replace("false", "true");
    insta::assert_snapshot!(verdict(&Lease, &renewed), @"the lock is held by 2, but needs the lock held by 1");
}

#[test]
fn a_semaphore_has_so_many_permits() {
    let semaphore = Semaphore { permits: 3 };
    let good = r#"
{"f":"acquire","owner":1,"permits":2} -> {"done":true}
{"f":"acquire","owner":2,"permits":1} -> {"done":true}
{"f":"acquire","owner":3,"permits":1} -> {"done":false}
{"f":"release","owner":1,"permits":1} -> {"done":true}
{"f":"acquire","owner":3,"permits":1} -> {"done":true}"#;
    assert_eq!(verdict(&semaphore, good), "valid");
    let more = good.replace("false", "true");
    insta::assert_snapshot!(verdict(&semaphore, &more), @"0 permits are free, 2 held by 1, 1 held by 2, but needs 1 permits free");
    let others = good.replace("release\",\"owner\":1", "release\",\"owner\":4");
    assert_ne!(verdict(&semaphore, &others), "valid");
}

#[test]
fn a_list_keeps_what_was_appended() {
    let good = r#"
{"f":"append","key":"x","value":1} -> {}
{"f":"append","key":"x","value":2} -> {}
{"f":"append","key":"y","value":3}
{"f":"read","key":"x"} -> {"values":[1,2]}
{"f":"read","key":"y"} -> {"values":[]}
{"f":"read","key":"y"} -> {"values":[3]}"#;
    assert_eq!(verdict(&ListAppend, good), "valid");
    let turned = good.replace("[1,2]", "[2,1]");
    insta::assert_snapshot!(verdict(&ListAppend, &turned), @"x is [1, 2], but needs x = [2, 1]");
}

#[test]
fn an_unknown_field_is_an_error() {
    fn refuses<T: DeserializeOwned>(json: &str) {
        assert!(serde_json::from_str::<T>(json).is_err(), "{json}");
    }
    refuses::<queue::Op>(r#"{"f":"dequeue","value":1}"#);
    refuses::<stack::Op>(r#"{"f":"push"}"#);
    refuses::<priority_queue::Op>(r#"{"f":"pop"}"#);
    refuses::<set::Op>(r#"{"f":"read","value":1}"#);
    refuses::<set::Ret>(r#"{"found":true,"changed":true}"#);
    refuses::<counter::Op>(r#"{"f":"read","value":1}"#);
    refuses::<mutex::Ret>("{}");
    refuses::<fenced_lock::Ret>(r#"{"fence":1,"done":true}"#);
    refuses::<lease::Op>(r#"{"f":"renew"}"#);
    refuses::<semaphore::Op>(r#"{"f":"acquire","owner":1}"#);
    refuses::<list_append::Ret>(r#"{"value":[1]}"#);
}

/// As brute force says.
fn compare<M: Model<Op: Clone + Debug, Ret: Clone + Debug>>(
    model: &M,
    op: &dyn Fn(usize, usize, u8, u8) -> M::Op,
    answers: &[M::Ret],
    moves: &[random::Move],
    unknown: u8,
) -> Result<(), TestCaseError> {
    let player = Player {
        model,
        op,
        answers,
        operations_max: 8,
        lies: 2,
        unknown,
    };
    let history = player.play(moves);
    let expected = if brute_force(model, &history) {
        Verdict::Valid
    } else {
        Verdict::Invalid(())
    };
    let found = decide(model, &history, Budget::default()).expect("well-formed");
    prop_assert_eq!(found, expected, "{:#?}", history);
    Ok(())
}

proptest! {
    #![proptest_config(cases(3_000))]

    #[test]
    fn a_set_is_as_brute_force_says(moves in moves(40), unknown in 0..4_u8) {
        let op = |_: usize, _: usize, a: u8, b: u8| match (a % 8, i64::from(b % 2)) {
            (0..3, value) => set::Op::Add(value),
            (3 | 4, value) => set::Op::Remove(value),
            (5 | 6, value) => set::Op::Contains(value),
            _ => set::Op::Read,
        };
        let found = [true, false].map(set::Ret::Found);
        let values = [vec![], vec![0], vec![1], vec![1, 0]].map(set::Ret::Values);
        let changed = [set::Ret::Changed(true), set::Ret::Changed(false), set::Ret::Done];
        let answers: Vec<_> = changed.into_iter().chain(found).chain(values).collect();
        compare(&Set, &op, &answers, &moves, unknown)?;
    }

    #[test]
    fn a_counter_is_as_brute_force_says(moves in moves(40), unknown in 0..4_u8) {
        let op = |_: usize, _: usize, a: u8, b: u8| match a % 3 {
            0 => counter::Op::Read,
            _ => counter::Op::Add(i64::from(b % 4) - 1),
        };
        let values = (-8..17).map(Some).chain([None]);
        let answers: Vec<_> = values.map(|value| counter::Ret { value }).collect();
        compare(&Counter, &op, &answers, &moves, unknown)?;
    }

    #[test]
    fn a_semaphore_is_as_brute_force_says(moves in moves(40), unknown in 0..4_u8) {
        let op = |_: usize, client: usize, a: u8, b: u8| {
            let (owner, permits) = (client as u64, 1 + u64::from(b % 2));
            match a % 2 {
                0 => semaphore::Op::Acquire { owner, permits },
                _ => semaphore::Op::Release { owner, permits },
            }
        };
        let answers = [true, false].map(|done| mutex::Ret { done });
        compare(&Semaphore { permits: 3 }, &op, &answers, &moves, unknown)?;
    }

    #[test]
    fn a_fenced_lock_is_as_brute_force_says(moves in moves(40), unknown in 0..4_u8) {
        let op = |_: usize, client: usize, a: u8, _: u8| match a % 2 {
            0 => mutex::Op::Acquire { owner: client as u64 },
            _ => mutex::Op::Release { owner: client as u64 },
        };
        let fences = (0..12).map(fenced_lock::Ret::Fence);
        let others = [fenced_lock::Ret::Released, fenced_lock::Ret::Refused];
        let answers: Vec<_> = fences.chain(others).collect();
        compare(&FencedLock, &op, &answers, &moves, unknown)?;
    }
}
