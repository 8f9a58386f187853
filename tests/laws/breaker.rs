//! The breaker that is used, against the law of breakers, which knows nothing of it.

use super::config;
use proptest::prelude::*;
use splitbrain::Time;
use splitbrain::check::breaker::{self as law, Event, Threshold, What};
use splitbrain_protocols::discovery::breaker::{Breaker, BreakerSettings, CallOutcome, Permit};

const MS: u64 = 1_000_000;

/// What the law does not speak of is switched off: rates over a window of time, longer and longer times open, and the end of a
/// half-open state whose probes are lost.
fn settings() -> impl Strategy<Value = BreakerSettings> {
    let few = || 1_u64..5;
    (few(), 1_u64..100, few(), few()).prop_map(
        |(consecutive_failures, open_ms, probes_max, successes_to_close)| BreakerSettings {
            consecutive_failures,
            failure_percent: 100,
            calls_min: 1_000_000,
            window_ms: 1,
            open_ms,
            open_ms_max: open_ms,
            probes_max,
            successes_to_close,
            half_open_ms_max: 1_000_000,
        },
    )
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Call,
    /// One of the calls under way ends.
    End {
        /// Counted round and round.
        which: usize,
        well: bool,
    },
}

/// After so many milliseconds.
fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let end = (0_usize..100, any::<bool>());
    let step = prop_oneof![
        Just(Step::Call),
        end.prop_map(|(which, well)| Step::End { which, well }),
    ];
    prop::collection::vec((0_u64..40, step), 0..200)
}

fn trace(settings: BreakerSettings, steps: &[(u64, Step)]) -> Vec<Event> {
    let mut breaker = Breaker::new(settings);
    let mut under_way: Vec<(u64, Permit)> = Vec::new();
    let mut events = Vec::new();
    let mut now_ms = 0;
    for (call, &(after_ms, step)) in (0_u64..).zip(steps) {
        now_ms += after_ms;
        let now = Time::from_millis(now_ms);
        let (call, what) = match step {
            Step::Call => match breaker.try_call(now) {
                Ok(permit) => {
                    under_way.push((call, permit));
                    (call, What::Allowed)
                }
                Err(_) => (call, What::Refused),
            },
            Step::End { .. } if under_way.is_empty() => continue,
            Step::End { which, well } => {
                let (call, permit) = under_way.remove(which % under_way.len());
                let (outcome, what) = if well {
                    (CallOutcome::Succeeded, What::Succeeded)
                } else {
                    (CallOutcome::Failed, What::Failed)
                };
                breaker.report(permit, outcome, now);
                (call, what)
            }
        };
        events.push(Event {
            time_ns: now_ms * MS,
            call,
            what,
        });
    }
    events
}

fn law_of(settings: &BreakerSettings) -> law::Settings {
    law::Settings {
        opens: Threshold::Consecutive(settings.consecutive_failures),
        open_ns: settings.open_ms * MS,
        probes_max: settings.probes_max,
        successes_min: settings.successes_to_close,
    }
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn a_breaker_keeps_the_law_of_breakers(settings in settings(), steps in steps()) {
        let events = trace(settings, &steps);
        prop_assert_eq!(law::check(&law_of(&settings), &events), []);
    }
}

/// So that the law above is known to look: of two breakers that differ in anything, it tells which it is.
#[test]
fn the_law_of_another_breaker_is_broken() {
    let settings = BreakerSettings {
        consecutive_failures: 2,
        failure_percent: 100,
        calls_min: 1_000_000,
        window_ms: 1,
        open_ms: 10,
        open_ms_max: 10,
        probes_max: 2,
        successes_to_close: 2,
        half_open_ms_max: 1_000_000,
    };
    let end = |well| Step::End { which: 0, well };
    let steps = [
        (0, Step::Call),
        (1, end(false)),
        (0, Step::Call),
        (1, end(false)),
        // Open from 2 ms to 12 ms.
        (1, Step::Call),
        (9, Step::Call),
        (0, Step::Call),
        (1, Step::Call),
        (1, end(true)),
        (1, end(true)),
        (1, Step::Call),
        (0, Step::Call),
        (0, Step::Call),
    ];
    let events = trace(settings, &steps);
    let law = law_of(&settings);
    assert_eq!(law::check(&law, &events), []);
    for other in [
        law::Settings {
            opens: Threshold::Consecutive(1),
            ..law
        },
        law::Settings {
            opens: Threshold::Consecutive(3),
            ..law
        },
        law::Settings {
            open_ns: 5 * MS / 10,
            ..law
        },
        law::Settings {
            open_ns: 11 * MS,
            ..law
        },
        law::Settings {
            probes_max: 1,
            ..law
        },
        law::Settings {
            probes_max: 3,
            ..law
        },
        law::Settings {
            successes_min: 3,
            ..law
        },
    ] {
        assert!(!law::check(&other, &events).is_empty(), "{other:?}");
    }
}
