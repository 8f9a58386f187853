//! Each sentence of the law kept, and broken.

use super::What::{Allowed, Failed, Refused, Succeeded};
use super::*;

const MS: u64 = 1_000_000;

const SETTINGS: Settings = Settings {
    opens: Threshold::Consecutive(2),
    open_ns: 100 * MS,
    probes_max: 2,
    successes_min: 2,
};

fn found_with(settings: &Settings, events: &[(u64, u64, What)]) -> String {
    let event = |&(time_ms, call, what)| Event {
        time_ns: time_ms * MS,
        call,
        what,
    };
    let events: Vec<Event> = events.iter().map(event).collect();
    let words: Vec<String> = check(settings, &events)
        .iter()
        .map(Violation::to_string)
        .collect();
    words.join("\n")
}

fn found(events: &[(u64, u64, What)]) -> String {
    found_with(&SETTINGS, events)
}

/// Opens at 4 ms.
const OPENED: [(u64, u64, What); 4] = [
    (1, 1, Allowed),
    (2, 1, Failed),
    (3, 2, Allowed),
    (4, 2, Failed),
];

fn opened_and(more: &[(u64, u64, What)]) -> String {
    found(&[OPENED.as_slice(), more].concat())
}

#[test]
fn it_opens_for_a_reason_only() {
    assert_eq!(opened_and(&[(5, 3, Refused)]), "");
    insta::assert_snapshot!(found(&[(1, 1, Refused)]), @"call 1 was refused at 0.001s, but there was no reason to open: the breaker has been closed since 0.000s");
    insta::assert_snapshot!(found(&[(1, 1, Allowed), (2, 1, Failed), (3, 2, Refused)]), @"call 2 was refused at 0.003s, but there was no reason to open: the breaker has been closed since 0.000s");
    let interrupted = [
        (1, 1, Allowed),
        (2, 1, Failed),
        (3, 2, Allowed),
        (4, 2, Succeeded),
        (5, 3, Allowed),
        (6, 3, Failed),
    ];
    assert_eq!(
        found(&[interrupted.as_slice(), &[(7, 4, Allowed)]].concat()),
        ""
    );
    assert_ne!(
        found(&[interrupted.as_slice(), &[(7, 4, Refused)]].concat()),
        ""
    );
}

#[test]
fn it_opens_when_the_threshold_is_passed() {
    insta::assert_snapshot!(opened_and(&[(5, 3, Allowed)]), @"call 3 was let through at 0.005s, but the breaker opened at 0.004s and stays so until 0.104s");
    insta::assert_snapshot!(opened_and(&[(103, 3, Allowed)]), @"call 3 was let through at 0.103s, but the breaker opened at 0.004s and stays so until 0.104s");
}

#[test]
fn it_tries_again_after_its_time() {
    assert_eq!(opened_and(&[(104, 3, Allowed)]), "");
    assert_eq!(opened_and(&[(104, 3, Refused)]), "");
    insta::assert_snapshot!(opened_and(&[(105, 3, Refused)]), @"call 3 was refused at 0.105s, but the breaker should try again since 0.104s: 0 of 2 probes were on their way");
    insta::assert_snapshot!(opened_and(&[(104, 3, Allowed), (105, 4, Refused)]), @"call 4 was refused at 0.105s, but the breaker should try again since 0.104s: 1 of 2 probes were on their way");
}

#[test]
fn no_more_than_so_many_are_tried_at_once() {
    let two = [(104, 3, Allowed), (105, 4, Allowed)];
    assert_eq!(
        opened_and(&[two.as_slice(), &[(106, 5, Refused)]].concat()),
        ""
    );
    insta::assert_snapshot!(opened_and(&[two.as_slice(), &[(106, 5, Allowed)]].concat()), @"call 5 was let through at 0.106s, but 2 probes were on their way, and at most 2 may be");
    assert_eq!(
        opened_and(&[two.as_slice(), &[(106, 3, Succeeded), (107, 5, Allowed)]].concat()),
        ""
    );
}

#[test]
fn it_closes_when_enough_succeeded_and_opens_when_one_fails() {
    let closed = [
        (104, 3, Allowed),
        (105, 3, Succeeded),
        (106, 4, Allowed),
        (107, 4, Succeeded),
    ];
    let all = [(108, 5, Allowed), (108, 6, Allowed), (108, 7, Allowed)];
    assert_eq!(opened_and(&[closed.as_slice(), &all].concat()), "");
    insta::assert_snapshot!(opened_and(&[closed.as_slice(), &[(108, 5, Refused)]].concat()), @"call 5 was refused at 0.108s, but there was no reason to open: the breaker has been closed since 0.107s");
    let failed = [(104, 3, Allowed), (105, 3, Failed)];
    assert_eq!(
        opened_and(&[failed.as_slice(), &[(204, 4, Refused), (205, 4, Allowed)]].concat()),
        ""
    );
    insta::assert_snapshot!(opened_and(&[failed.as_slice(), &[(106, 4, Allowed)]].concat()), @"call 4 was let through at 0.106s, but the breaker opened at 0.105s and stays so until 0.205s");
}

#[test]
fn slow_calls_of_an_earlier_state_say_nothing() {
    let slow = [(0, 9, Allowed), (0, 8, Allowed)];
    let events = [
        slow.as_slice(),
        &OPENED,
        &[
            (104, 3, Allowed),
            (105, 9, Failed),
            (106, 4, Allowed),
            (107, 8, Succeeded),
        ],
    ]
    .concat();
    assert_eq!(found(&events), "");
    // Still half-open: neither opened by the failure nor closed by the success.
    assert_eq!(
        found(&[events.as_slice(), &[(108, 5, Refused)]].concat()),
        ""
    );
}

#[test]
fn a_share_of_the_last_calls_counts() {
    let share = Settings {
        opens: Threshold::Share {
            window: 4,
            calls_min: 3,
            failed_ppm_min: 500_000,
        },
        ..SETTINGS
    };
    let call = |call: u64, what| [(10 * call, call, Allowed), (10 * call + 1, call, what)];
    let calls = |outcomes: &[What]| -> Vec<(u64, u64, What)> {
        (1..)
            .zip(outcomes)
            .flat_map(|(number, what)| call(number, *what))
            .collect()
    };
    let then = |outcomes: &[What], what| {
        let mut events = calls(outcomes);
        events.push((95, 99, what));
        found_with(&share, &events)
    };
    // Two are too few.
    assert_eq!(then(&[Failed, Failed], Allowed), "");
    assert_eq!(then(&[Failed, Failed, Succeeded], Refused), "");
    insta::assert_snapshot!(then(&[Failed, Failed, Succeeded], Allowed), @"call 99 was let through at 0.095s, but the breaker opened at 0.031s and stays so until 0.131s");
    assert_eq!(then(&[Succeeded, Succeeded, Failed], Allowed), "");
    // The first one is forgotten.
    assert_eq!(
        then(&[Failed, Succeeded, Succeeded, Succeeded, Failed], Allowed),
        ""
    );
    assert_eq!(
        then(&[Succeeded, Failed, Succeeded, Succeeded, Failed], Refused),
        ""
    );
}

#[test]
fn a_call_ends_once() {
    insta::assert_snapshot!(found(&[(1, 1, Succeeded)]), @"call 1 ended at 0.001s, but had not been let through, or had ended before");
    insta::assert_snapshot!(found(&[(1, 1, Allowed), (2, 1, Succeeded), (3, 1, Failed)]), @"call 1 ended at 0.003s, but had not been let through, or had ended before");
}

#[test]
fn events_have_a_json_form() {
    let event = Event {
        time_ns: 1,
        call: 2,
        what: Allowed,
    };
    let text = serde_json::to_string(&event).unwrap();
    insta::assert_snapshot!(text, @r#"{"time_ns":1,"call":2,"what":"allowed"}"#);
    assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
}
