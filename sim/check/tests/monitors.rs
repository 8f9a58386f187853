//! The monitors against the search, and both against brute force. A monitor that is wrong in one history of a hundred
//! thousand is wrong: `SPLITBRAIN_CASES` says how many to try.

mod random;

use proptest::prelude::*;
use random::{Player, Searched, brute_force, cases, moves};
use splitbrain_check::models::{
    cas_register::{self, CasRegister},
    mutex::{self, Mutex},
    priority_queue::{self, PriorityQueue},
    queue::{self, Queue, Ret as Taken},
    stack::{self, Stack},
};
use splitbrain_check::{Budget, History, Model, ProcessId, Verdict, check, decide};

/// The verdict of the monitor, of the search and, if the history is small, of brute force are one, and a counterexample is
/// illegal alone.
fn compare<M: Model<Op: Clone + std::fmt::Debug, Ret: Clone + std::fmt::Debug>>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    small: bool,
) -> Result<(), TestCaseError> {
    let budget = Budget { steps: 20_000 };
    let searched = match decide(&Searched(model), history, budget).expect("well-formed") {
        Verdict::Valid => true,
        Verdict::Invalid(()) => false,
        // Only longer ones, in which a great many orders are possible.
        Verdict::Unknown(_) => return Ok(()),
    };
    if !small {
        let monitored = decide(model, history, budget).expect("well-formed");
        let expected = if searched {
            Verdict::Valid
        } else {
            Verdict::Invalid(())
        };
        prop_assert_eq!(monitored, expected, "{:#?}", history);
        return Ok(());
    }
    let monitored = check(model, history, budget).expect("well-formed");
    match &monitored {
        Verdict::Valid => prop_assert!(searched, "{history:#?}"),
        Verdict::Unknown(reason) => prop_assert!(false, "{reason}\n{history:#?}"),
        Verdict::Invalid(why) => {
            prop_assert!(!searched, "{why}\n{history:#?}");
            let shown: Vec<usize> = why.operations.iter().map(|shown| shown.operation).collect();
            let mut index = 0;
            let few = history.clone().only(|op| {
                index += 1;
                shown.contains(&(index - 1)).then_some(op)
            });
            if why.start.time_ns.is_none() {
                prop_assert!(!brute_force(model, &few.history), "{why}\n{history:#?}");
            }
        }
    }
    prop_assert_eq!(searched, brute_force(model, history), "{:#?}", history);
    Ok(())
}

/// What a container answers when numbers from 0 go in.
fn taken(values: i64) -> Vec<Taken> {
    let some = (0..values).map(|value| Taken::Taken(Some(value)));
    [Taken::Done, Taken::Taken(None)]
        .into_iter()
        .chain(some)
        .collect()
}

fn player<'a, M: Model>(
    model: &'a M,
    answers: &'a [M::Ret],
    op: &'a dyn Fn(usize, usize, u8, u8) -> M::Op,
    (operations_max, lies, unknown): (usize, u8, u8),
) -> Player<'a, M> {
    Player {
        model,
        op,
        answers,
        operations_max,
        lies,
        unknown,
    }
}

/// How many operations, of 16 how many lie, how many are unknown.
fn shapes() -> impl Strategy<Value = (usize, u8, u8)> {
    (4..9_usize, 0..4_u8, 0..4_u8)
}

fn larger_shapes() -> impl Strategy<Value = (usize, u8, u8)> {
    (10..26_usize, 0..2_u8, 0..2_u8)
}

macro_rules! containers {
    ($($module:ident $small:ident $large:ident $model:expr, $put:ident, $take:ident;)*) => {
        proptest! {
            #![proptest_config(cases(2_000))]
            $(
                #[test]
                fn $small(moves in moves(40), shape in shapes()) {
                    let answers = taken(9);
                    let op = |n: usize, _: usize, a: u8, _: u8| {
                        if a % 2 == 0 { $module::Op::$put(n.cast_signed() as i64 * 4 % 9) } else { $module::Op::$take }
                    };
                    let history = player(&$model, &answers, &op, shape).play(&moves);
                    compare(&$model, &history, true)?;
                }

                #[test]
                fn $large(moves in moves(100), shape in larger_shapes()) {
                    let answers = taken(29);
                    let op = |n: usize, _: usize, a: u8, _: u8| {
                        if a % 2 == 0 { $module::Op::$put(n.cast_signed() as i64 * 12 % 29) } else { $module::Op::$take }
                    };
                    let history = player(&$model, &answers, &op, shape).play(&moves);
                    compare(&$model, &history, false)?;
                }
            )*
        }
    };
}

containers! {
    queue a_queue_is_as_search_says a_longer_queue_is_as_search_says Queue, Enqueue, Dequeue;
    stack a_stack_is_as_search_says a_longer_stack_is_as_search_says Stack, Push, Pop;
    priority_queue a_priority_queue_is_as_search_says a_longer_priority_queue_is_as_search_says
        PriorityQueue, Insert, DeleteMin;
}

fn register_op(n: usize, _: usize, a: u8, _: u8) -> cas_register::Op {
    if a.is_multiple_of(2) {
        cas_register::Op::Write(n.cast_signed() as i64)
    } else {
        cas_register::Op::Read
    }
}

fn register_answers(values: i64) -> Vec<cas_register::Ret> {
    let some = (0..values).map(|value| cas_register::Ret::Value(Some(value)));
    let others = [cas_register::Ret::Written, cas_register::Ret::Value(None)];
    others.into_iter().chain(some).collect()
}

const LOCKED: [mutex::Ret; 2] = [mutex::Ret { done: true }, mutex::Ret { done: false }];

/// A lock whose `acquire` waits: what is refused is unknown to the client.
fn lock_history(moves: &[random::Move], shape: (usize, u8, u8)) -> History<mutex::Op, mutex::Ret> {
    let op = |_: usize, client: usize, a: u8, _: u8| {
        let owner = client as u64;
        if a.is_multiple_of(2) {
            mutex::Op::Acquire { owner }
        } else {
            mutex::Op::Release { owner }
        }
    };
    player(&Mutex, &LOCKED, &op, shape).play(moves)
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn a_register_is_as_search_says(moves in moves(40), shape in shapes()) {
        let answers = register_answers(9);
        let history = player(&CasRegister, &answers, &register_op, shape).play(&moves);
        compare(&CasRegister, &history, true)?;
    }

    #[test]
    fn a_longer_register_is_as_search_says(moves in moves(100), shape in larger_shapes()) {
        let answers = register_answers(26);
        let history = player(&CasRegister, &answers, &register_op, shape).play(&moves);
        compare(&CasRegister, &history, false)?;
    }

    #[test]
    fn a_lock_is_as_search_says(moves in moves(40), shape in shapes()) {
        compare(&Mutex, &lock_history(&moves, shape), true)?;
    }

    /// Refusals are made unknown, or left out, so that the monitor has something to say.
    #[test]
    fn a_lock_that_waits_is_as_search_says(moves in moves(40), shape in shapes()) {
        let history = lock_history(&moves, shape);
        let refused: Vec<bool> = history.operations().expect("well-formed").iter().map(|operation| {
            operation.outcome == splitbrain_check::Outcome::Ok(&mutex::Ret { done: false })
        }).collect();
        let mut index = 0;
        let history = history.only(|op| {
            index += 1;
            (!refused[index - 1]).then_some(op)
        }).history;
        compare(&Mutex, &history, true)?;
    }
}

/// Every tenth element is taken by somebody who never hears of it, which a search would have to guess.
#[test]
fn what_was_taken_unseen_does_not_stand_in_the_way_of_a_queue() {
    let mut history = History::new();
    let (putter, taker) = (ProcessId(0), ProcessId(1));
    let mut time_ns = 0;
    let mut put = |history: &mut History<queue::Op, Taken>, value: i64| {
        history.invoke(time_ns, putter, queue::Op::Enqueue(value));
        history.ok(time_ns + 1, putter, Taken::Done);
        time_ns += 10;
        time_ns
    };
    for value in 0..5_000_u32 {
        let now_ns = put(&mut history, i64::from(value));
        if value % 10 == 3 {
            let lost = ProcessId(u64::from(value) + 2);
            history.invoke(now_ns - 5, lost, queue::Op::Dequeue);
        } else {
            history.invoke(now_ns - 5, taker, queue::Op::Dequeue);
            history.ok(now_ns - 4, taker, Taken::Taken(Some(i64::from(value))));
        }
    }
    let budget = Budget { steps: 100_000 };
    assert_eq!(decide(&Queue, &history, budget), Ok(Verdict::Valid));
    // One more is missing than anybody may have taken.
    put(&mut history, 6_000);
    let now_ns = put(&mut history, 6_001);
    history.invoke(now_ns, taker, queue::Op::Dequeue);
    history.ok(now_ns + 1, taker, Taken::Taken(Some(6_001)));
    assert_ne!(decide(&Queue, &history, budget), Ok(Verdict::Valid));
}
