//! What a breaker promises, through what its users see of it.

use super::*;
use CallOutcome::{Abandoned, Failed, Succeeded};
use proptest::prelude::*;

const SETTINGS: BreakerSettings = BreakerSettings {
    consecutive_failures: 3,
    failure_percent: 50,
    calls_min: 10,
    window_ms: 1000,
    open_ms: 100,
    open_ms_max: 350,
    probes_max: 2,
    successes_to_close: 3,
    half_open_ms_max: 500,
};

fn at(ms: u64) -> Time {
    Time::from_millis(ms)
}

fn call(breaker: &mut Breaker, outcome: CallOutcome, ms: u64) {
    let permit = breaker.try_call(at(ms)).expect("it is not open");
    breaker.report(permit, outcome, at(ms));
}

/// Opened at zero.
fn open() -> Breaker {
    SETTINGS.validate().unwrap();
    let mut breaker = Breaker::new(SETTINGS);
    for _ in 0..3 {
        call(&mut breaker, Failed, 0);
    }
    assert_eq!(breaker.state(at(0)), BreakerState::Open { until: at(100) });
    breaker
}

#[test]
fn failures_in_a_row_open_it_and_a_success_breaks_the_row() {
    let mut breaker = Breaker::new(SETTINGS);
    for outcome in [Failed, Failed, Succeeded, Failed, Abandoned, Failed] {
        call(&mut breaker, outcome, 0);
    }
    assert_eq!(breaker.state(at(0)), BreakerState::Closed);
    call(&mut breaker, Failed, 0);
    assert_eq!(breaker.state(at(0)), BreakerState::Open { until: at(100) });
}

#[test]
fn a_failure_rate_opens_it_when_there_were_calls_enough_lately() {
    let alternate = |breaker: &mut Breaker, calls: u64, apart_ms: u64| {
        for index in 0..calls {
            let outcome = if index % 2 == 0 { Failed } else { Succeeded };
            call(breaker, outcome, index * apart_ms);
        }
    };
    let mut breaker = Breaker::new(SETTINGS);
    alternate(&mut breaker, 9, 1);
    assert_eq!(breaker.state(at(9)), BreakerState::Closed);
    // The tenth call is a success, and half of ten is enough: the volume is what was missing.
    call(&mut breaker, Succeeded, 9);
    assert!(matches!(breaker.state(at(9)), BreakerState::Open { .. }));
    // Never ten calls within a second.
    let mut slow = Breaker::new(SETTINGS);
    alternate(&mut slow, 100, 112);
    assert_eq!(slow.state(at(11_200)), BreakerState::Closed);
}

#[test]
fn an_open_one_lets_nothing_through_and_a_half_open_one_a_few() {
    let mut breaker = open();
    assert_eq!(breaker.try_call(at(99)), Err(at(100)));
    let first = breaker.try_call(at(100)).unwrap();
    let _lost = breaker.try_call(at(101)).unwrap();
    let until = at(600);
    assert_eq!(breaker.try_call(at(102)), Err(until));
    assert_eq!(
        breaker.state(at(102)),
        BreakerState::HalfOpen { probes: 2, until }
    );
    breaker.report(first, Succeeded, at(103));
    // One has come back, and makes room for one.
    let _third = breaker.try_call(at(104)).unwrap();
    assert_eq!(breaker.try_call(at(105)), Err(until));
}

#[test]
fn enough_successes_close_it_and_nothing_is_held_against_it_then() {
    let mut breaker = open();
    for ms in 100..102 {
        call(&mut breaker, Succeeded, ms);
        assert!(matches!(
            breaker.state(at(ms)),
            BreakerState::HalfOpen { .. }
        ));
    }
    call(&mut breaker, Succeeded, 102);
    assert_eq!(breaker.state(at(102)), BreakerState::Closed);
    call(&mut breaker, Failed, 103);
    call(&mut breaker, Failed, 104);
    assert_eq!(breaker.state(at(104)), BreakerState::Closed);
    call(&mut breaker, Failed, 105);
    // The first opening since it was closed, and so a short one.
    assert_eq!(
        breaker.state(at(105)),
        BreakerState::Open { until: at(205) }
    );
}

#[test]
fn each_failed_probe_opens_it_for_longer_up_to_a_limit() {
    let mut breaker = open();
    let mut now = 100;
    for open_ms in [200, 350, 350, 350] {
        // The window is empty, and under its volume: a probe is judged all the same (H1).
        call(&mut breaker, Failed, now);
        let until = at(now + open_ms);
        assert_eq!(breaker.state(at(now)), BreakerState::Open { until });
        now += open_ms;
    }
    // However often: no overflow.
    for _ in 0..100 {
        call(&mut breaker, Failed, now);
        now += 350;
    }
    assert!(breaker.try_call(at(now)).is_ok());
}

#[test]
fn a_call_from_before_says_nothing_of_after() {
    let mut breaker = Breaker::new(SETTINGS);
    let early: Vec<Permit> = (0..8).map(|_| breaker.try_call(at(0)).unwrap()).collect();
    let mut early = early.into_iter();
    for _ in 0..3 {
        breaker.report(early.next().unwrap(), Failed, at(1));
    }
    assert_eq!(breaker.state(at(1)), BreakerState::Open { until: at(101) });
    // It does not open for longer over what was under way when it did, and does not close over it.
    breaker.report(early.next().unwrap(), Failed, at(50));
    assert_eq!(breaker.state(at(50)), BreakerState::Open { until: at(101) });
    let _probe = breaker.try_call(at(101)).unwrap();
    let half_open = breaker.state(at(102));
    breaker.report(early.next().unwrap(), Failed, at(102));
    for permit in early {
        breaker.report(permit, Succeeded, at(102));
    }
    assert_eq!(breaker.state(at(102)), half_open);
}

#[test]
fn probes_that_are_lost_count_as_failed_when_the_state_ends() {
    let mut breaker = open();
    let lost = [100, 101].map(|ms| breaker.try_call(at(ms)).unwrap());
    assert_eq!(breaker.try_call(at(599)), Err(at(600)));
    // It failed at 600, and is open until 800.
    assert_eq!(breaker.try_call(at(600)), Err(at(800)));
    for permit in lost {
        breaker.report(permit, Succeeded, at(700));
    }
    assert_eq!(
        breaker.state(at(799)),
        BreakerState::Open { until: at(800) }
    );
    for ms in 800..803 {
        call(&mut breaker, Succeeded, ms);
    }
    assert_eq!(breaker.state(at(803)), BreakerState::Closed);
}

#[test]
fn a_half_open_one_that_nobody_uses_has_not_failed() {
    let mut breaker = open();
    call(&mut breaker, Succeeded, 100);
    call(&mut breaker, Abandoned, 101);
    // Long after, the one success counts no more, and it takes three.
    for ms in 9000..9003 {
        assert_ne!(breaker.state(at(ms)), BreakerState::Closed);
        call(&mut breaker, Succeeded, ms);
    }
    assert_eq!(breaker.state(at(9003)), BreakerState::Closed);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let refused = |change: fn(&mut BreakerSettings)| {
        let mut settings = SETTINGS;
        change(&mut settings);
        settings.validate().unwrap_err().to_string()
    };
    assert_eq!(
        refused(|it| it.probes_max = 0),
        "probes_max = 0: expected 1 to 1000000"
    );
    assert_eq!(
        refused(|it| it.open_ms = 351),
        "open_ms = 351: expected at most open_ms_max (350)"
    );
    BreakerSettings::default().validate().unwrap();
}

/// What happens to a breaker: time passes, and then a call is asked for, or one that was let through ends.
#[derive(Clone, Debug)]
enum Step {
    Call,
    /// The call at this place of those under way, and how.
    End(u8, CallOutcome),
    /// A caller dies with its call.
    Lose(u8),
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let outcome = prop_oneof![2 => Just(Succeeded), 3 => Just(Failed), 1 => Just(Abandoned)];
    let step = prop_oneof![
        4 => Just(Step::Call),
        3 => (any::<u8>(), outcome).prop_map(|(place, outcome)| Step::End(place, outcome)),
        1 => any::<u8>().prop_map(Step::Lose),
    ];
    let wait = prop_oneof![4 => 0_u64..20, 1 => 0_u64..700];
    proptest::collection::vec((wait, step), 0..150)
}

proptest! {
    #[test]
    fn it_never_lets_too_many_through_and_always_recovers(
        probes_max in 1_u64..4,
        successes_to_close in 1_u64..6,
        steps in steps(),
    ) {
        let settings = BreakerSettings { probes_max, successes_to_close, ..SETTINGS };
        let mut breaker = Breaker::new(settings);
        let (mut now, mut under_way) = (0, Vec::<Permit>::new());
        // Those let through in the present half-open state that have not been reported, lost or not.
        let mut probes = Vec::<Permit>::new();
        for (wait, step) in steps {
            now += wait;
            let before = breaker.state(at(now));
            match step {
                Step::Call => match (breaker.try_call(at(now)), before) {
                    (Ok(_), BreakerState::Open { until }) => {
                        prop_assert!(false, "let through, {until} is later than {now}");
                    }
                    (Ok(permit), BreakerState::HalfOpen { .. }) => {
                        // Permits of one state are equal, and of no two.
                        probes.retain(|probe| *probe == permit);
                        probes.push(permit.clone());
                        prop_assert!(probes.len() as u64 <= probes_max);
                        under_way.push(permit);
                    }
                    (Ok(permit), BreakerState::Closed) => under_way.push(permit),
                    (Err(_), before) => prop_assert_ne!(before, BreakerState::Closed),
                },
                Step::End(place, outcome) if !under_way.is_empty() => {
                    let permit = under_way.swap_remove(place as usize % under_way.len());
                    if let Some(index) = probes.iter().position(|probe| *probe == permit) {
                        let _ended = probes.swap_remove(index);
                    }
                    breaker.report(permit, outcome, at(now));
                }
                Step::Lose(place) if !under_way.is_empty() => {
                    let _lost = under_way.swap_remove(place as usize % under_way.len());
                }
                Step::End(..) | Step::Lose(_) => {}
            }
        }
        // From here on all is well, and somebody calls every ten milliseconds.
        let bound = now + settings.half_open_ms_max + settings.open_ms_max + 10 * (successes_to_close + 2);
        while breaker.state(at(now)) != BreakerState::Closed {
            prop_assert!(now <= bound, "{:?}", breaker.state(at(now)));
            if let Ok(permit) = breaker.try_call(at(now)) {
                breaker.report(permit, Succeeded, at(now + 5));
            }
            now += 10;
        }
        prop_assert!(breaker.try_call(at(now)).is_ok());
    }
}
