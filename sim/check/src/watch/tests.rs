//! Each guarantee kept, and broken.

use super::Guarantee::{Bookmarkable, Ordered, Reliable, Unique};
use super::*;

/// Revisions 2 to 7, of which 4 changes two keys, and 5 one that is not watched.
fn committed() -> Committed {
    let mut committed = Committed::new();
    let mut change = |revision, key: &str, value: Option<&str>| {
        committed.change(revision, key.into(), value.map(Into::into));
    };
    change(2, "a/1", Some("1"));
    change(3, "a/2", Some("1"));
    change(4, "a/1", None);
    change(4, "a/2", Some("2"));
    change(5, "b", Some("1"));
    change(6, "a/1", Some("2"));
    change(7, "a/1", Some("3"));
    committed
}

fn event(revision: u64, key: &str, value: Option<&str>) -> Event {
    Event {
        revision,
        key: key.into(),
        value: value.map(Into::into),
    }
}

/// The events of these revisions, all of them.
fn of(revisions: &[u64]) -> Vec<Event> {
    let committed = committed();
    let mut events = Vec::new();
    for revision in revisions {
        for (key, value) in &committed.revisions[revision] {
            events.push(event(*revision, key, value.as_deref()));
        }
    }
    events
}

fn started(from: u64) -> Step {
    Step::Started { from }
}

fn came(events: Vec<Event>) -> Step {
    Step::Events { events }
}

fn progress(revision: u64) -> Step {
    Step::Progress { revision }
}

fn found(steps: &[Step]) -> Vec<String> {
    let violations = check(&committed(), &Span::prefix("a/"), steps, Some(7));
    violations.iter().map(ToString::to_string).collect()
}

/// What is wrong up to here, whatever is still to come.
fn so_far(steps: &[Step]) -> Vec<String> {
    let violations = check(&committed(), &Span::prefix("a/"), steps, None);
    violations.iter().map(ToString::to_string).collect()
}

fn only(steps: &[Step]) -> String {
    let found = so_far(steps);
    let [only] = &*found else {
        panic!("{found:#?}");
    };
    only.clone()
}

const NOTHING: [&str; 0] = [];

#[test]
fn what_came_in_order_and_whole_is_fine() {
    assert_eq!(
        found(&[
            started(2),
            came(of(&[2, 3, 4])),
            came(of(&[6])),
            came(of(&[7]))
        ]),
        NOTHING
    );
    assert_eq!(
        found(&[
            started(4),
            progress(3),
            came(of(&[4])),
            progress(5),
            came(of(&[6, 7]))
        ]),
        NOTHING
    );
    let broken_off = [
        started(2),
        came(of(&[2, 3])),
        Step::Stopped,
        started(4),
        came(of(&[4, 6, 7])),
        progress(7),
    ];
    assert_eq!(found(&broken_off), NOTHING);
    // Who asks for it again gets it again.
    assert_eq!(
        found(&[
            started(2),
            came(of(&[2, 3])),
            started(2),
            came(of(&[2, 3, 4, 6, 7]))
        ]),
        NOTHING
    );
}

#[test]
fn ordered() {
    let swapped = so_far(&[started(6), came(of(&[7])), came(of(&[6]))]);
    insta::assert_snapshot!(swapped.join("\n"), @r#"
step 1: not resumable: the watch from revision 6 started with revision 7, without a/1 = 2 (revision 6)
step 2: not ordered: a/1 = 2 (revision 6) came after an event of revision 7
"#);
}

#[test]
fn unique() {
    insta::assert_snapshot!(only(&[started(6), came(of(&[6])), came(of(&[6]))]), @"step 2: not unique: a/1 = 2 (revision 6) came twice");
    insta::assert_snapshot!(only(&[started(6), came([of(&[6]), of(&[6])].concat())]), @"step 1: not unique: a/1 = 2 (revision 6) came twice");
}

#[test]
fn atomic() {
    let (one, other) = (vec![of(&[4])[0].clone()], vec![of(&[4])[1].clone()]);
    insta::assert_snapshot!(only(&[started(4), came(one.clone()), came(other)]), @"step 1: not atomic: a/2 = 2 (revision 4) did not come in one response with the rest of its revision");
    insta::assert_snapshot!(only(&[started(4), came(one), came(of(&[6]))]), @"step 1: not atomic: a/2 = 2 (revision 4) did not come in one response with the rest of its revision");
}

#[test]
fn reliable() {
    insta::assert_snapshot!(only(&[started(2), came(of(&[2, 4]))]), @"step 1: not reliable: a/2 = 1 (revision 3) was left out before revision 4");
    insta::assert_snapshot!(only(&[started(2), came(of(&[2])), came(of(&[6]))]), @"step 2: not reliable: a/2 = 1 (revision 3) was left out before revision 6");
    assert_eq!(so_far(&[started(2), came(of(&[2]))]), NOTHING);
    insta::assert_snapshot!(found(&[started(2), came(of(&[2]))]).join("\n"), @"step 2: not reliable: a/2 = 1 (revision 3) never came");
}

#[test]
fn resumable() {
    let again = |from, revisions: &[u64]| {
        [
            started(2),
            came(of(&[2])),
            Step::Stopped,
            started(from),
            came(of(revisions)),
        ]
    };
    assert_eq!(so_far(&again(3, &[3])), NOTHING);
    insta::assert_snapshot!(only(&again(3, &[4])), @"step 4: not resumable: the watch from revision 3 started with revision 4, without a/2 = 1 (revision 3)");
    insta::assert_snapshot!(only(&again(3, &[2])), @"step 4: not resumable: the watch from revision 3 got a/1 = 1 (revision 2)");
    assert_eq!(
        so_far(&[started(3), Step::Compacted { revision: 4 }]),
        NOTHING
    );
    insta::assert_snapshot!(only(&[started(3), Step::Compacted { revision: 3 }]), @"step 1: not resumable: revision 3 was refused as compacted, but revisions from 3 on are left");
}

#[test]
fn bookmarkable() {
    insta::assert_snapshot!(only(&[started(2), came(of(&[2])), progress(3)]), @"step 2: not bookmarkable: progress was notified up to revision 3, but a/2 = 1 (revision 3) had not come");
    insta::assert_snapshot!(only(&[started(6), came(of(&[6, 7])), progress(8)]), @"step 2: not bookmarkable: progress was notified up to revision 8, but 7 is the last one");
    // It is told twice: the notice was wrong, and the event came late.
    let late = so_far(&[started(3), progress(3), came(of(&[3]))]);
    insta::assert_snapshot!(late.join("\n"), @r#"
step 1: not bookmarkable: progress was notified up to revision 3, but a/2 = 1 (revision 3) had not come
step 2: not bookmarkable: a/2 = 1 (revision 3) came after the notice of progress up to revision 3
"#);
}

#[test]
fn events_are_true_and_asked_for() {
    let one = |event| only(&[started(6), came(vec![event])]);
    insta::assert_snapshot!(one(event(6, "a/1", Some("7"))), @"step 1: not true: a/1 = 7 (revision 6) was not committed");
    insta::assert_snapshot!(one(event(9, "a/1", Some("7"))), @"step 1: not true: a/1 = 7 (revision 9) was not committed");
    insta::assert_snapshot!(one(event(5, "b", Some("1"))), @"step 1: not resumable: the watch from revision 6 got b = 1 (revision 5)");
    insta::assert_snapshot!(only(&[started(5), came(of(&[5, 6]))]), @"step 1: not true: b = 1 (revision 5) is of a key that was not asked for");
    insta::assert_snapshot!(only(&[came(of(&[6]))]), @"step 0: not true: a response came while nothing was watched");
    insta::assert_snapshot!(only(&[started(6), Step::Stopped, progress(6)]), @"step 2: not true: a response came while nothing was watched");
}

#[test]
fn violations_name_their_guarantee() {
    let violations = check(
        &committed(),
        &Span::prefix("a/"),
        &[
            started(2),
            came(of(&[2])),
            came(of(&[2])),
            came(of(&[6])),
            came(of(&[4])),
            progress(7),
        ],
        None,
    );
    let guarantees: Vec<Guarantee> = violations
        .iter()
        .map(|found| found.broken.guarantee())
        .collect();
    assert_eq!(
        guarantees,
        [Unique, Reliable, Ordered, Ordered, Bookmarkable]
    );
}

#[test]
fn steps_have_a_json_form() {
    let steps = [
        started(2),
        came(of(&[2, 4])),
        progress(4),
        Step::Compacted { revision: 9 },
        Step::Stopped,
    ];
    let text = serde_json::to_string(&steps).unwrap();
    insta::assert_snapshot!(text, @r#"[{"what":"started","from":2},{"what":"events","events":[{"revision":2,"key":"a/1","value":"1"},{"revision":4,"key":"a/1","value":null},{"revision":4,"key":"a/2","value":"2"}]},{"what":"progress","revision":4},{"what":"compacted","revision":9},{"what":"stopped"}]"#);
    assert_eq!(serde_json::from_str::<Vec<Step>>(&text).unwrap(), steps);
}
