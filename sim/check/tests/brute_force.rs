//! The checker against an oracle that shares nothing with it: all orders of all subsets, on small histories.

use proptest::prelude::*;
use splitbrain_check::models::key_value::{KeyValue, Op, Ret, Value};
use splitbrain_check::models::{cas_register, register};
use splitbrain_check::{
    Budget, Counterexample, History, Model, Operation, Outcome, ProcessId, Verdict, check,
};
use std::collections::BTreeMap;
use std::sync::Arc;

type Store = BTreeMap<Arc<str>, Value>;

/// An operation for the oracle: event indices, and no return for one that may never happen.
#[derive(Clone)]
struct Bare {
    op: Op,
    ret: Option<Ret>,
    called: usize,
    returned: Option<usize>,
}

/// Whether the operations, `done` of them already in `store`, have a legal order.
fn has_order(operations: &[Bare], done: &mut Vec<bool>, store: &Store) -> bool {
    let open = |i: &usize| !done[*i];
    let Some(first_return) = (0..operations.len())
        .filter(open)
        .filter_map(|i| operations[i].returned)
        .min()
    else {
        return true;
    };
    for i in 0..operations.len() {
        if done[i] || operations[i].called > first_return {
            continue;
        }
        let mut next = store.clone();
        let answer = execute(&mut next, &operations[i].op);
        if operations[i].ret.as_ref().is_none_or(|ret| *ret == answer) {
            done[i] = true;
            let found = has_order(operations, done, &next);
            done[i] = false;
            if found {
                return true;
            }
        }
    }
    false
}

fn execute(store: &mut Store, op: &Op) -> Ret {
    match op {
        Op::Get { key } => Ret::Value(store.get(key).cloned()),
        Op::Put { key, value } => {
            store.insert(key.clone(), value.clone());
            Ret::Written
        }
        Op::Append { key, value } => {
            let before = store.get(key).map_or("", |value| value);
            store.insert(key.clone(), [before, &**value].concat().into());
            Ret::Written
        }
        Op::Delete { key } => Ret::Deleted(store.remove(key).is_some()),
        Op::CompareAndSet {
            key,
            expected,
            value,
        } => {
            let swapped = store.get(key) == expected.as_ref();
            if swapped {
                store.insert(key.clone(), value.clone());
            }
            Ret::Swapped(swapped)
        }
    }
}

fn bare(operation: &Operation<&Op, &Ret>) -> Option<Bare> {
    let (ret, returned) = match operation.outcome {
        Outcome::Ok(ret) => (Some(ret.clone()), operation.completed.map(|at| at.event)),
        Outcome::Info => (None, None),
        Outcome::Fail => return None,
    };
    Some(Bare {
        op: operation.op.clone(),
        ret,
        called: operation.invoked.event,
        returned,
    })
}

fn oracle(history: &History<Op, Ret>) -> bool {
    let operations = history.operations().expect("well-formed");
    let operations: Vec<Bare> = operations.iter().filter_map(bare).collect();
    has_order(
        &operations,
        &mut vec![false; operations.len()],
        &Store::new(),
    )
}

/// A counterexample is itself illegal, from each state that it says it can start from.
fn assert_proof(why: &Counterexample, history: &History<Op, Ret>) {
    let operations = history.operations().expect("well-formed");
    let shown: Vec<Bare> = why
        .operations
        .iter()
        .map(|shown| {
            let mut bare = bare(&operations[shown.operation]).expect("not a failed operation");
            bare.returned = bare.returned.filter(|_| !shown.optional);
            bare
        })
        .collect();
    assert!(
        !why.start.states.is_empty() && !why.blocked.is_empty(),
        "{why}"
    );
    for state in &why.start.states {
        let mut store = Store::new();
        let (_, value) = state.split_once(" is ").expect("`x is 1`");
        if value != "absent" {
            store.insert(shown[0].op.key().clone(), value.into());
        }
        let mut done = vec![false; shown.len()];
        assert!(!has_order(&shown, &mut done, &store), "{why}\n{history:?}");
    }
}

/// What a test history is made from: who moves next, and three choices.
type Move = (usize, u8, u8, u8);

fn moves() -> impl Strategy<Value = Vec<Move>> {
    prop::collection::vec((0..4_usize, any::<u8>(), any::<u8>(), any::<u8>()), 1..26)
}

/// Plays the moves: each invokes or completes an operation of one of four clients. Operations take effect when
/// they complete, but an answer may be a lie, and an effect may be lost or late.
fn play(
    moves: &[Move],
    op: impl Fn(u8, u8) -> Op,
    ret: impl Fn(&Op, u8) -> Ret,
) -> History<Op, Ret> {
    let mut history = History::new();
    let mut clients: Vec<(u64, Option<Op>)> = (0..4).map(|id| (id, None)).collect();
    let mut store = Store::new();
    let mut late = Vec::new();
    let mut invoked = 0;
    for (time, &(client, a, b, c)) in (0..).zip(moves) {
        let (id, open) = &mut clients[client];
        let process = ProcessId(*id);
        let Some(current) = open.take() else {
            if invoked < 7 {
                invoked += 1;
                let op = op(a, b);
                history.invoke(time, process, op.clone());
                *open = Some(op);
            }
            continue;
        };
        if c % 4 == 0
            && let Some(op) = late.pop()
        {
            execute(&mut store, &op);
        }
        match a % 16 {
            0 | 1 => history.fail(time, process),
            2..6 => {
                history.info(time, process);
                *id += 4;
                late.push(current);
            }
            kind => {
                let truth = execute(&mut store, &current);
                let lie = kind >= 13;
                history.ok(time, process, if lie { ret(&current, b) } else { truth });
            }
        }
    }
    history
}

fn value(choice: u8) -> Value {
    ["1", "2"][usize::from(choice) % 2].into()
}

fn maybe(choice: u8) -> Option<Value> {
    (!choice.is_multiple_of(4)).then(|| value(choice))
}

fn some_ret(op: &Op, choice: u8) -> Ret {
    match op {
        Op::Get { .. } => Ret::Value(maybe(choice)),
        Op::Put { .. } | Op::Append { .. } => Ret::Written,
        Op::Delete { .. } => Ret::Deleted(choice.is_multiple_of(2)),
        Op::CompareAndSet { .. } => Ret::Swapped(choice.is_multiple_of(2)),
    }
}

/// An operation; `kinds` 2 for get and put, 3 for compare-and-set as well, 4 for delete as well, 5 for append as well.
fn some_op(kinds: u8, keys: u8, a: u8, b: u8) -> Op {
    let key = ["x", "y"][usize::from((b / 16) % keys)].into();
    match a % kinds {
        0 => Op::Get { key },
        1 => Op::Put {
            key,
            value: value(b),
        },
        2 => Op::CompareAndSet {
            key,
            expected: maybe(a / 16),
            value: value(b),
        },
        3 => Op::Delete { key },
        _ => Op::Append {
            key,
            value: value(b),
        },
    }
}

fn number(value: &Value) -> i64 {
    value.parse().expect("a number")
}

fn cas_op(op: Op) -> cas_register::Op {
    match op {
        Op::Get { .. } => cas_register::Op::Read,
        Op::Put { value, .. } => cas_register::Op::Write(number(&value)),
        Op::CompareAndSet {
            expected, value, ..
        } => cas_register::Op::CompareAndSet {
            expected: expected.as_ref().map(number),
            value: number(&value),
        },
        Op::Delete { .. } | Op::Append { .. } => unreachable!("not generated"),
    }
}

fn cas_ret(ret: Ret) -> cas_register::Ret {
    match ret {
        Ret::Value(value) => cas_register::Ret::Value(value.as_ref().map(number)),
        Ret::Written => cas_register::Ret::Written,
        Ret::Swapped(swapped) => cas_register::Ret::Swapped(swapped),
        Ret::Deleted(_) => unreachable!("not generated"),
    }
}

fn register_op(op: Op) -> register::Op {
    match op {
        Op::Put { value, .. } => register::Op::Write(number(&value)),
        _ => register::Op::Read,
    }
}

fn register_ret(ret: Ret) -> register::Ret {
    match ret {
        Ret::Value(value) => register::Ret::Value(value.as_ref().map(number)),
        _ => register::Ret::Written,
    }
}

/// The verdict must be the oracle's, and a counterexample a proof.
fn compare<M: Model>(
    model: &M,
    history: &History<Op, Ret>,
    mapped: &History<M::Op, M::Ret>,
) -> Result<(), TestCaseError> {
    let verdict = check(model, mapped, Budget::default()).expect("well-formed");
    match verdict {
        Verdict::Valid => prop_assert!(oracle(history)),
        Verdict::Invalid(why) => {
            prop_assert!(!oracle(history), "{why}");
            assert_proof(&why, history);
        }
        Verdict::Unknown(reason) => prop_assert!(false, "{reason}"),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(8_000) })]

    #[test]
    fn key_value_is_as_brute_force_says(moves in moves()) {
        let history = play(&moves, |a, b| some_op(5, 2, a, b), some_ret);
        compare(&KeyValue, &history, &history)?;
    }

    #[test]
    fn one_key_that_is_appended_to_is_as_brute_force_says(moves in moves()) {
        let history = play(&moves, |a, b| some_op(5, 1, a, b), some_ret);
        compare(&KeyValue, &history, &history)?;
    }

    #[test]
    fn one_crowded_key_is_as_brute_force_says(moves in moves()) {
        let history = play(&moves, |a, b| some_op(4, 1, a, b), some_ret);
        compare(&KeyValue, &history, &history)?;
    }

    #[test]
    fn a_cas_register_is_as_brute_force_says(moves in moves()) {
        let history = play(&moves, |a, b| some_op(3, 1, a, b), some_ret);
        let mapped = history.clone().map(cas_op, cas_ret);
        compare(&cas_register::CasRegister, &history, &mapped)?;
    }

    #[test]
    fn a_register_is_as_brute_force_says(moves in moves()) {
        let history = play(&moves, |a, b| some_op(2, 1, a, b), some_ret);
        let mapped = history.clone().map(register_op, register_ret);
        compare(&register::Register, &history, &mapped)?;
    }
}
