//! Each promise kept, and broken.

use super::*;

const MS: u64 = 1_000_000;
const LEASE: LeaseId = LeaseId(7);
const SETTINGS: Settings = Settings {
    drift_ppm_max: 0,
    late_ns_max: 50 * MS,
    end_ns: 10_000 * MS,
};

fn answered(sent_ms: u64, done_ms: u64) -> Request {
    Request {
        sent_ns: sent_ms * MS,
        done_ns: Some(done_ms * MS),
        answered: true,
    }
}

fn given_up(sent_ms: u64, done_ms: u64) -> Request {
    Request {
        answered: false,
        ..answered(sent_ms, done_ms)
    }
}

/// Of a second, asked for at 100 ms and answered at 110 ms.
fn granted() -> Event {
    Event::Grant {
        lease: LEASE,
        ttl_ns: 1000 * MS,
        request: answered(100, 110),
    }
}

fn keep_alive(request: Request) -> Event {
    Event::KeepAlive {
        lease: LEASE,
        request,
    }
}

fn revoke(request: Request) -> Event {
    Event::Revoke {
        lease: LEASE,
        request,
    }
}

fn ended(time_ms: u64) -> Event {
    Event::Ended {
        lease: LEASE,
        time_ns: time_ms * MS,
    }
}

fn looked(asked_ms: u64, there: bool) -> Event {
    Event::Looked {
        lease: LEASE,
        asked_ns: asked_ms * MS,
        answered_ns: (asked_ms + 5) * MS,
        there,
    }
}

fn outage(from_ms: u64, to_ms: Option<u64>) -> Event {
    Event::Outage {
        from_ns: from_ms * MS,
        to_ns: to_ms.map(|to_ms| to_ms * MS),
    }
}

fn found_with(settings: &Settings, events: &[Event]) -> String {
    let words: Vec<String> = check(settings, events)
        .iter()
        .map(Violation::to_string)
        .collect();
    words.join("\n")
}

fn found(events: &[Event]) -> String {
    found_with(&SETTINGS, events)
}

#[test]
fn a_lease_ends_in_its_time() {
    assert_eq!(found(&[granted(), ended(1100)]), "");
    assert_eq!(found(&[granted(), ended(1160)]), "");
    insta::assert_snapshot!(found(&[granted(), ended(1099)]), @"lease 7 ended at 1.099s, but the request sent at 0.100s and answered keeps it until 1.100s");
    insta::assert_snapshot!(found(&[granted(), ended(1161)]), @"lease 7 should have ended by 1.160s, but ended at 1.161s");
    insta::assert_snapshot!(found(&[granted()]), @"lease 7 should have ended by 1.160s, but never did");
    let before_it_is_due = Settings {
        end_ns: 1160 * MS,
        ..SETTINGS
    };
    assert_eq!(found_with(&before_it_is_due, &[granted()]), "");
}

#[test]
fn clocks_may_drift_and_no_more() {
    let drift = Settings {
        drift_ppm_max: 100_000,
        ..SETTINGS
    };
    // A clock that is a tenth too fast counts a second in 909 ms; one that is too slow, in 1111 ms.
    assert_eq!(found_with(&drift, &[granted(), ended(1010)]), "");
    assert_ne!(found_with(&drift, &[granted(), ended(1008)]), "");
    assert_eq!(found_with(&drift, &[granted(), ended(1271)]), "");
    assert_ne!(found_with(&drift, &[granted(), ended(1273)]), "");
}

#[test]
fn what_was_answered_keeps_it_alive_and_what_was_not_may() {
    assert_eq!(
        found(&[granted(), keep_alive(answered(600, 610)), ended(1600)]),
        ""
    );
    insta::assert_snapshot!(found(&[granted(), keep_alive(answered(600, 610)), ended(1599)]), @"lease 7 ended at 1.599s, but the request sent at 0.600s and answered keeps it until 1.600s");
    // Nobody could rely on an answer that had not come yet.
    assert_eq!(
        found(&[granted(), keep_alive(answered(600, 1200)), ended(1150)]),
        ""
    );
    for end in [1100, 2150] {
        assert_eq!(
            found(&[granted(), keep_alive(given_up(600, 1100)), ended(end)]),
            ""
        );
    }
    assert_ne!(
        found(&[granted(), keep_alive(given_up(600, 1100)), ended(2151)]),
        ""
    );
    let on_its_way = Request {
        done_ns: None,
        ..given_up(600, 0)
    };
    assert_eq!(found(&[granted(), keep_alive(on_its_way)]), "");
}

#[test]
fn who_asks_for_its_end_gets_it() {
    assert_eq!(
        found(&[granted(), revoke(answered(200, 210)), ended(205)]),
        ""
    );
    assert_eq!(
        found(&[granted(), revoke(given_up(200, 210)), ended(205)]),
        ""
    );
    insta::assert_snapshot!(found(&[granted(), revoke(answered(200, 210)), ended(195)]), @"lease 7 ended at 0.195s, but the request sent at 0.100s and answered keeps it until 1.100s");
    insta::assert_snapshot!(found(&[granted(), revoke(answered(200, 210)), ended(261)]), @"lease 7 should have ended by 0.260s, but ended at 0.261s");
}

#[test]
fn a_service_that_cannot_act_ends_nothing() {
    assert_eq!(
        found(&[granted(), outage(900, Some(2000)), ended(3050)]),
        ""
    );
    assert_ne!(
        found(&[granted(), outage(900, Some(2000)), ended(3051)]),
        ""
    );
    assert_eq!(found(&[granted(), outage(900, None)]), "");
    // One outage after the other.
    assert_eq!(
        found(&[
            granted(),
            outage(900, Some(2000)),
            outage(2500, Some(4000)),
            ended(5050)
        ]),
        ""
    );
    // It was over before, or came after.
    assert_ne!(found(&[granted(), outage(0, Some(50)), ended(1161)]), "");
    assert_ne!(
        found(&[granted(), outage(2000, Some(3000)), ended(2500)]),
        ""
    );
}

#[test]
fn keys_live_and_die_with_it() {
    assert_eq!(
        found(&[
            granted(),
            looked(500, true),
            ended(1100),
            looked(1200, false)
        ]),
        ""
    );
    insta::assert_snapshot!(found(&[granted(), looked(500, false), ended(1100)]), @"a key of lease 7 was not there between 0.500s and 0.505s, but the request sent at 0.100s and answered keeps it until 1.100s");
    insta::assert_snapshot!(found(&[granted(), ended(1100), looked(1101, true)]), @"a key of lease 7 was there when asked for at 1.101s, but it had ended at 1.100s");
    // It may have gone in between.
    assert_eq!(
        found(&[
            granted(),
            ended(1100),
            looked(1098, true),
            looked(1096, false)
        ]),
        ""
    );
    insta::assert_snapshot!(found(&[granted(), revoke(answered(200, 210)), ended(205), looked(220, true)]), @"a key of lease 7 was there when asked for at 0.220s, but it had ended at 0.205s");
}

#[test]
fn the_dead_are_not_kept_alive() {
    insta::assert_snapshot!(found(&[granted(), ended(1100), keep_alive(answered(1101, 1110))]), @"lease 7 ended at 1.100s, but a request sent at 1.101s was answered as if it had kept it alive");
    assert_eq!(
        found(&[granted(), ended(1100), keep_alive(given_up(1101, 1110))]),
        ""
    );
    assert_eq!(
        found(&[granted(), ended(1100), keep_alive(answered(1099, 1110))]),
        ""
    );
}

#[test]
fn only_what_was_asked_for_ends() {
    insta::assert_snapshot!(found(&[ended(100)]), @"lease 7 ended at 0.100s, but was not asked for before");
}

#[test]
fn events_have_a_json_form() {
    let events = [granted(), ended(1100), outage(1, None)];
    let text = serde_json::to_string(&events).unwrap();
    insta::assert_snapshot!(text, @r#"[{"what":"grant","lease":7,"ttl_ns":1000000000,"request":{"sent_ns":100000000,"done_ns":110000000,"answered":true}},{"what":"ended","lease":7,"time_ns":1100000000},{"what":"outage","from_ns":1000000,"to_ns":null}]"#);
    assert_eq!(serde_json::from_str::<Vec<Event>>(&text).unwrap(), events);
}
