//! Checking as it happens, against the checker of whole histories: every prefix.

mod random;

use proptest::prelude::*;
use random::{Player, Searched, cases, moves};
use splitbrain_check::generate::{Shape, key_value};
use splitbrain_check::models::cas_register::{CasRegister, Op, Ret};
use splitbrain_check::models::key_value::KeyValue;
use splitbrain_check::online::{Online, OnlineError, Progress};
use splitbrain_check::{Budget, History, ProcessId, Verdict, decide};

fn op(_: usize, _: usize, a: u8, b: u8) -> Op {
    match (a % 4, i64::from(b % 3)) {
        (0, value) => Op::CompareAndSet {
            expected: (b < 200).then_some(i64::from(b / 64)),
            value,
        },
        (1 | 2, value) => Op::Write(value),
        _ => Op::Read,
    }
}

proptest! {
    #![proptest_config(cases(3_000))]

    #[test]
    fn stops_where_the_prefix_has_no_order(moves in moves(50), unknown in 0..4_u8) {
        let values = (0..3).map(Some).chain([None]).map(Ret::Value);
        let others = [Ret::Written, Ret::Swapped(true), Ret::Swapped(false)];
        let answers: Vec<Ret> = values.chain(others).collect();
        let player = Player {
            model: &CasRegister,
            op: &op,
            answers: &answers,
            operations_max: 14,
            lies: 1,
            unknown,
        };
        let history = player.play(&moves);
        let mut online = Online::new(&CasRegister, 100_000);
        let mut prefix = History::new();
        for (index, event) in history.events().iter().enumerate() {
            prefix.push(event.clone());
            let progress = online.push(event.clone()).expect("well-formed").clone();
            let whole = decide(&Searched(&CasRegister), &prefix, Budget::default());
            match whole.expect("well-formed") {
                Verdict::Valid => prop_assert_eq!(progress, Progress::Valid, "{:#?}", prefix),
                Verdict::Invalid(()) => {
                    let Progress::Invalid(stop) = progress else {
                        panic!("{progress:?} {prefix:#?}")
                    };
                    prop_assert_eq!((stop.event, stop.process), (index, event.process));
                    break;
                }
                Verdict::Unknown(reason) => prop_assert!(false, "{}", reason),
            }
        }
    }
}

#[test]
fn what_is_settled_is_forgotten() {
    let shape = Shape {
        operations: 20_000,
        processes: 4,
        keys: 3,
        values: 1_000_000,
        info_per_mille: 0,
    };
    let mut online = Online::new(&KeyValue, 100_000);
    let mut most = 0;
    for event in key_value(&shape, 7).events() {
        assert_eq!(online.push(event.clone()), Ok(&Progress::Valid));
        most = most.max(online.remembered());
    }
    // Four operations are open at a time, in whatever order, on three keys.
    assert!(most < 200, "{most}");
}

#[test]
fn too_much_at_a_time_is_unknown_and_nonsense_an_error() {
    let mut online = Online::new(&CasRegister, 10);
    let push = |online: &mut Online<'_, CasRegister>, history: History<Op, Ret>| {
        let mut last = Progress::Valid;
        for event in history.events() {
            last = online.push(event.clone())?.clone();
        }
        Ok::<Progress, OnlineError>(last)
    };
    let mut history = History::new();
    for value in 0..8_u8 {
        history.invoke(0, ProcessId(u64::from(value)), Op::Write(i64::from(value)));
    }
    history.ok(1, ProcessId(0), Ret::Written);
    let progress = push(&mut online, history);
    let Ok(Progress::Unknown(stop)) = progress else {
        panic!("{progress:?}")
    };
    assert_eq!((stop.event, &*stop.operation), (8, "write 0"));
    let mut nonsense = History::new();
    nonsense.ok(2, ProcessId(0), Ret::Written);
    assert!(matches!(
        push(&mut online, nonsense),
        Err(OnlineError::History(_))
    ));
}
