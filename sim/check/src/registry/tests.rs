//! Each promise kept, and broken.

use super::*;

const MS: u64 = 1_000_000;

const SETTINGS: Settings = Settings {
    ttl_ns: 1000 * MS,
    news_ns_max: 100 * MS,
    late_ns_max: 50 * MS,
};

/// Answered 10 ms later.
fn asked(request: Request, sent_ms: u64) -> Event {
    Event::Asked {
        service: "web".into(),
        instance: "a".into(),
        request,
        sent_ns: sent_ms * MS,
        done_ns: Some((sent_ms + 10) * MS),
        answered: true,
    }
}

fn register(sent_ms: u64) -> Event {
    asked(Request::Register, sent_ms)
}

fn heartbeat(sent_ms: u64) -> Event {
    asked(Request::Heartbeat, sent_ms)
}

fn deregister(sent_ms: u64) -> Event {
    asked(Request::Deregister, sent_ms)
}

/// Given up, or on its way for ever.
fn unanswered(mut event: Event, given_up: bool) -> Event {
    if let Event::Asked {
        answered, done_ns, ..
    } = &mut event
    {
        *answered = false;
        *done_ns = done_ns.filter(|_| given_up);
    }
    event
}

/// Answered 5 ms later.
fn look_up(asked_ms: u64, found: &[&str]) -> Event {
    Event::LookedUp {
        service: "web".into(),
        asked_ns: asked_ms * MS,
        answered_ns: (asked_ms + 5) * MS,
        found: found.iter().map(|name| (*name).into()).collect(),
        age_ns: 0,
    }
}

fn aged(mut event: Event, age_ms: u64) -> Event {
    if let Event::LookedUp { age_ns, .. } = &mut event {
        *age_ns = age_ms * MS;
    }
    event
}

fn found(events: &[Event]) -> String {
    let words: Vec<String> = check(&SETTINGS, events)
        .iter()
        .map(Violation::to_string)
        .collect();
    words.join("\n")
}

#[test]
fn who_is_well_is_found() {
    assert_eq!(found(&[register(0), look_up(110, &["a"])]), "");
    insta::assert_snapshot!(found(&[register(0), look_up(110, &[])]), @"web: a was not found by the look-up at 0.110s, although its heartbeats were answered from 0.010s on, and the last one keeps it until 1.000s");
    // The news may be on their way, or its time is over.
    assert_eq!(found(&[register(0), look_up(109, &[])]), "");
    assert_eq!(found(&[register(0), look_up(995, &[])]), "");
    let beating = [register(0), heartbeat(800), heartbeat(1600)];
    insta::assert_snapshot!(found(&[beating.as_slice(), &[look_up(2500, &[])]].concat()), @"web: a was not found by the look-up at 2.500s, although its heartbeats were answered from 0.010s on, and the last one keeps it until 2.600s");
    // A heartbeat came too late: it may have gone, and come back.
    assert_eq!(
        found(&[register(0), heartbeat(995), look_up(1050, &[])]),
        ""
    );
    // Nobody has heard of it.
    assert_eq!(
        found(&[unanswered(register(0), true), look_up(500, &[])]),
        ""
    );
    assert_eq!(found(&[heartbeat(0), look_up(500, &[])]), "");
    // It wants to go, and who knows when.
    let on_its_way = [
        register(0),
        unanswered(deregister(300), false),
        register(400),
    ];
    assert_eq!(
        found(&[on_its_way.as_slice(), &[look_up(600, &[])]].concat()),
        ""
    );
    let gone = [register(0), deregister(300), register(400)];
    assert_ne!(found(&[gone.as_slice(), &[look_up(600, &[])]].concat()), "");
    assert_eq!(
        found(&[
            register(0),
            unanswered(deregister(300), true),
            look_up(500, &[])
        ]),
        ""
    );
}

#[test]
fn who_is_dead_is_gone() {
    // Heard of until 10 ms, well for a second, late by 50 ms, and news take 100 ms.
    assert_eq!(found(&[register(0), look_up(1160, &["a"])]), "");
    insta::assert_snapshot!(found(&[register(0), look_up(1161, &["a"])]), @"web: a was found by the look-up at 1.161s, but has been silent since 0.010s, and should have gone by 1.160s");
    // A heartbeat that was not answered may have come.
    assert_eq!(
        found(&[
            register(0),
            unanswered(heartbeat(500), true),
            look_up(1660, &["a"])
        ]),
        ""
    );
    assert_ne!(
        found(&[
            register(0),
            unanswered(heartbeat(500), true),
            look_up(1661, &["a"])
        ]),
        ""
    );
    assert_eq!(
        found(&[
            register(0),
            unanswered(heartbeat(500), false),
            look_up(9999, &["a"])
        ]),
        ""
    );
}

#[test]
fn who_has_deregistered_is_gone_for_good() {
    assert_eq!(
        found(&[register(0), deregister(300), look_up(410, &["a"])]),
        ""
    );
    insta::assert_snapshot!(found(&[register(0), deregister(300), look_up(411, &["a"])]), @"web: a was found by the look-up at 0.411s, but had deregistered by 0.310s");
    // A heartbeat does not bring it back, a registration does.
    insta::assert_snapshot!(found(&[register(0), deregister(300), heartbeat(350), look_up(500, &["a"])]), @"web: a was found by the look-up at 0.500s, but had deregistered by 0.310s");
    assert_eq!(
        found(&[
            register(0),
            deregister(300),
            register(350),
            look_up(500, &["a"])
        ]),
        ""
    );
    // The registration may have come after the deregistration, or never have been done.
    assert_eq!(
        found(&[
            unanswered(register(0), false),
            deregister(300),
            look_up(500, &["a"])
        ]),
        ""
    );
    assert_eq!(
        found(&[
            register(0),
            unanswered(deregister(300), true),
            look_up(500, &["a"])
        ]),
        ""
    );
}

#[test]
fn who_never_was_there_is_not_found() {
    insta::assert_snapshot!(found(&[look_up(500, &["a"])]), @"web: a was found by the look-up at 0.500s, but had not registered");
    insta::assert_snapshot!(found(&[heartbeat(0), look_up(500, &["a"])]), @"web: a was found by the look-up at 0.500s, but had not registered");
    insta::assert_snapshot!(found(&[register(506), look_up(500, &["a"])]), @"web: a was found by the look-up at 0.500s, but had not registered");
    assert_eq!(
        found(&[unanswered(register(400), true), look_up(500, &["a"])]),
        ""
    );
    let mut elsewhere = look_up(500, &["a"]);
    if let Event::LookedUp { service, .. } = &mut elsewhere {
        *service = "mail".into();
    }
    insta::assert_snapshot!(found(&[register(0), elsewhere]), @"mail: a was found by the look-up at 0.500s, but had not registered");
}

#[test]
fn a_cache_is_as_old_as_it_says() {
    let events = |age_ms| {
        [
            register(0),
            deregister(300),
            aged(look_up(900, &["a"]), age_ms),
        ]
    };
    assert_eq!(found(&events(490)), "");
    assert_ne!(found(&events(489)), "");
    let dead = |age_ms| [register(0), aged(look_up(2000, &["a"]), age_ms)];
    assert_eq!(found(&dead(840)), "");
    insta::assert_snapshot!(found(&dead(839)), @"web: a was found by the look-up at 2.000s, but has been silent since 0.010s, and should have gone by 1.999s");
    let missing = |age_ms| [register(0), aged(look_up(500, &[]), age_ms)];
    assert_eq!(found(&missing(391)), "");
    assert_ne!(found(&missing(390)), "");
}

#[test]
fn events_have_a_json_form() {
    let events = [register(0), look_up(110, &["a"])];
    let text = serde_json::to_string(&events).unwrap();
    insta::assert_snapshot!(text, @r#"[{"what":"asked","service":"web","instance":"a","request":"register","sent_ns":0,"done_ns":10000000,"answered":true},{"what":"looked_up","service":"web","asked_ns":110000000,"answered_ns":115000000,"found":["a"],"age_ns":0}]"#);
    assert_eq!(serde_json::from_str::<Vec<Event>>(&text).unwrap(), events);
}
