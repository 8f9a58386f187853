//! Each property kept, and broken.

use super::*;
use crate::{History, jsonl};

const MS: u64 = 1_000_000;

fn event(time_ms: u64, holder: u64, what: What) -> Event {
    Event {
        time_ns: time_ms * MS,
        holder: ProcessId(holder),
        what,
    }
}

fn acquired(time_ms: u64, holder: u64, token: Option<u64>) -> Event {
    let what = What::Acquired {
        lock: "x".into(),
        mode: Mode::Exclusive,
        asked_ns: (time_ms - 1) * MS,
        token,
    };
    event(time_ms, holder, what)
}

fn shared(time_ms: u64, holder: u64) -> Event {
    let mut event = acquired(time_ms, holder, None);
    if let What::Acquired { mode, .. } = &mut event.what {
        *mode = Mode::Shared;
    }
    event
}

fn released(time_ms: u64, holder: u64) -> Event {
    event(time_ms, holder, What::Released { lock: "x".into() })
}

fn access(holder: u64, token: u64, accepted: bool) -> Access {
    Access {
        time_ns: 100 * MS,
        resource: "disk".into(),
        holder: ProcessId(holder),
        token,
        accepted,
    }
}

fn overlaps_of(kind: Kind, events: &[Event]) -> String {
    let findings = check(kind, events, &[]);
    assert_eq!(findings.fencing, []);
    let words: Vec<String> = findings.overlaps.iter().map(ToString::to_string).collect();
    words.join("\n")
}

fn fencing_of(events: &[Event], accesses: &[Access]) -> String {
    let findings = check(Kind::Mutex, events, accesses);
    let words: Vec<String> = findings.fencing.iter().map(ToString::to_string).collect();
    words.join("\n")
}

#[test]
fn a_mutex_has_one_holder() {
    let mutex = |events: &[Event]| overlaps_of(Kind::Mutex, events);
    assert_eq!(
        mutex(&[acquired(1, 0, None), released(2, 0), acquired(3, 1, None)]),
        ""
    );
    assert_eq!(
        mutex(&[
            acquired(1, 0, None),
            event(2, 0, What::Crashed),
            acquired(3, 1, None)
        ]),
        ""
    );
    insta::assert_snapshot!(mutex(&[acquired(1, 0, None), acquired(3, 1, None)]), @"x: p1 acquired it at 0.003s, while p0 held it since 0.001s");
    // Who has not got it cannot give it back for another one.
    insta::assert_snapshot!(mutex(&[acquired(1, 0, None), released(2, 2), acquired(3, 1, None)]), @"x: p1 acquired it at 0.003s, while p0 held it since 0.001s");
    // Another lock.
    let mut other = acquired(3, 1, None);
    if let What::Acquired { lock, .. } = &mut other.what {
        *lock = "y".into();
    }
    assert_eq!(mutex(&[acquired(1, 0, None), other]), "");
}

#[test]
fn a_pause_explains_two_holders() {
    let paused = event(2, 0, What::Paused);
    let resumed = event(3, 0, What::Resumed);
    insta::assert_snapshot!(overlaps_of(Kind::Mutex, &[acquired(1, 0, None), paused.clone(), acquired(4, 1, None)]), @"x: p1 acquired it at 0.004s, while p0 held it since 0.001s (paused then)");
    let awake = check(
        Kind::Mutex,
        &[acquired(1, 0, None), paused, resumed, acquired(4, 1, None)],
        &[],
    );
    assert!(!awake.overlaps[0].holder_paused);
}

#[test]
fn readers_are_many_and_a_writer_is_alone() {
    let read_write = |events: &[Event]| overlaps_of(Kind::ReadWrite, events);
    assert_eq!(
        read_write(&[
            shared(1, 0),
            shared(2, 1),
            released(3, 0),
            released(4, 1),
            acquired(5, 2, None)
        ]),
        ""
    );
    insta::assert_snapshot!(read_write(&[shared(1, 0), shared(2, 1), released(3, 0), acquired(5, 2, None)]), @"x: p2 acquired it at 0.005s, while p1 held it since 0.002s");
    insta::assert_snapshot!(read_write(&[acquired(1, 0, None), shared(2, 1)]), @"x: p1 acquired it at 0.002s, while p0 held it since 0.001s");
}

#[test]
fn a_semaphore_has_as_many_holders_as_permits() {
    let kind = Kind::Semaphore { permits: 2 };
    let two = [acquired(1, 0, None), acquired(2, 0, None)];
    assert_eq!(overlaps_of(kind, &two), "");
    let third = [two.as_slice(), &[acquired(3, 1, None)]].concat();
    insta::assert_snapshot!(overlaps_of(kind, &third), @"x: p1 acquired it at 0.003s, while p0 held it since 0.001s: 3 holders, and at most 2 may be");
    let after = [two.as_slice(), &[released(3, 0), acquired(4, 1, None)]].concat();
    assert_eq!(overlaps_of(kind, &after), "");
}

#[test]
fn tokens_grow_and_are_unique() {
    assert_eq!(
        fencing_of(
            &[
                acquired(1, 0, Some(7)),
                released(2, 0),
                acquired(4, 1, Some(9))
            ],
            &[]
        ),
        ""
    );
    insta::assert_snapshot!(fencing_of(&[acquired(1, 0, Some(7)), acquired(4, 1, Some(7))], &[]), @"x: p1 got token 7 at 0.004s, which p0 had got before");
    insta::assert_snapshot!(fencing_of(&[acquired(1, 0, Some(7)), acquired(4, 1, Some(5))], &[]), @"x: p1 asked at 0.003s and got token 5, but p0 had got token 7 before");
    // Asked for at the same time: either may be the first.
    assert_eq!(
        fencing_of(&[acquired(5, 0, Some(7)), acquired(5, 1, Some(5))], &[]),
        ""
    );
}

#[test]
fn a_resource_accepts_nothing_older_than_what_it_has_seen() {
    let good = [
        access(0, 3, true),
        access(0, 3, true),
        access(1, 4, true),
        access(0, 3, false),
    ];
    assert_eq!(fencing_of(&[], &good), "");
    insta::assert_snapshot!(fencing_of(&[], &[access(1, 4, true), access(0, 3, true), access(1, 4, true)]), @"disk accepted token 3 of p0 at 0.100s, after token 4 of p1");
    insta::assert_snapshot!(fencing_of(&[], &[access(1, 4, true), access(2, 5, false)]), @"disk refused token 5 of p2 at 0.100s, although no greater one had come");
    // Each resource by itself.
    let mut elsewhere = access(0, 3, true);
    elsewhere.resource = "tape".into();
    assert_eq!(fencing_of(&[], &[access(1, 4, true), elsewhere]), "");
}

#[test]
fn a_token_is_of_use_only_to_whom_it_was_given() {
    let events = [acquired(1, 0, Some(7))];
    assert_eq!(fencing_of(&events, &[access(0, 7, true)]), "");
    insta::assert_snapshot!(fencing_of(&events, &[access(1, 7, true)]), @"disk accepted token 7 of p1 at 0.100s, which p1 was not given");
}

#[test]
fn a_paused_holder_violates_exclusion_but_not_fencing() {
    // Kleppmann's example.
    let events = [
        acquired(1, 0, Some(33)),
        event(2, 0, What::Paused),
        acquired(40, 1, Some(34)),
        event(50, 0, What::Resumed),
    ];
    let fenced = check(
        Kind::Mutex,
        &events,
        &[access(1, 34, true), access(0, 33, false)],
    );
    assert_eq!((fenced.overlaps.len(), fenced.fencing.len()), (1, 0));
    let not_fenced = check(
        Kind::Mutex,
        &events,
        &[access(1, 34, true), access(0, 33, true)],
    );
    assert_eq!(not_fenced.fencing.len(), 1);
}

#[test]
fn a_history_says_what_holders_could_rely_on() {
    let text = r#"{"time_ns":1,"process":0,"type":"invoke","f":"acquire","lock":"x"}
{"time_ns":2,"process":0,"type":"ok","token":7}
{"time_ns":3,"process":1,"type":"invoke","f":"acquire","lock":"x","mode":"shared"}
{"time_ns":4,"process":0,"type":"invoke","f":"release","lock":"x"}
{"time_ns":5,"process":1,"type":"ok","token":8}
{"time_ns":6,"process":0,"type":"ok"}
{"time_ns":7,"process":2,"type":"invoke","f":"acquire","lock":"x"}
{"time_ns":8,"process":1,"type":"invoke","f":"release","lock":"x"}
{"time_ns":9,"process":2,"type":"info"}
{"time_ns":10,"process":1,"type":"fail"}
{"time_ns":11,"process":3,"type":"invoke","f":"acquire","lock":"x"}
{"time_ns":12,"process":3,"type":"ok","token":9}
"#;
    let history: History<Op, Ret> = jsonl::read(text.as_bytes()).unwrap();
    let mut written = Vec::new();
    jsonl::write(&history, &mut written).unwrap();
    assert_eq!(String::from_utf8(written).unwrap(), text);
    let events = events(&history).unwrap();
    let short: Vec<(u64, u64)> = events
        .iter()
        .map(|event| (event.time_ns, event.holder.0))
        .collect();
    assert_eq!(short, [(2, 0), (4, 0), (5, 1), (12, 3)]);
    // Process 1's release certainly did not happen.
    let findings = check(Kind::Mutex, &events, &[]);
    assert_eq!(
        (findings.overlaps.len(), findings.overlaps[0].other),
        (1, ProcessId(1))
    );
}
