//! A leader that is expected soon after healing.

use super::mix::load;
use crate::campaign::{Campaign, Watch};
use crate::case::ProtocolEntry;
use crate::run::{Finding, Script, Unknown, Verdict};
use splitbrain_core::{Seed, Time};
use std::path::Path;

/// The safety phase lasts 5s. What the scenario and the settings say, and what comes of it, and when a leader was seen.
fn run(scenario: &str, settings: &str) -> (Verdict, Option<u64>) {
    let case = load(&format!("{scenario}\nsettings = {{ {settings} }}")).unwrap();
    let report = case.run(Seed(1), &Script::DRAWN, None);
    (report.verdict, report.leader_after_healing_ms)
}

fn finding(scenario: &str, settings: &str) -> Finding {
    match run(scenario, settings) {
        (Verdict::Invalid(finding), None) => finding,
        other => panic!("expected a finding and no leader, found {other:?}"),
    }
}

#[test]
fn a_leader_in_time_is_as_it_must_be() {
    for (from_ms, seen_ms) in [
        (0, 0),
        (5_000, 0),
        (6_234, 1_240),
        (7_999, 3_000),
        (8_000, 3_000),
    ] {
        let settings = format!("leader_from_ms = {from_ms}");
        let (verdict, seen) = run("leader_within = '3s'", &settings);
        assert_eq!(
            (verdict, seen),
            (Verdict::Valid, Some(seen_ms)),
            "{from_ms}"
        );
        // A scenario that does not ask for one does not wait for it.
        assert_eq!(run("", &settings), (Verdict::Valid, None));
    }
}

#[test]
fn a_leader_that_is_late_is_a_violation_of_its_own() {
    for settings in ["leader_from_ms = 8001", ""] {
        let found = finding("leader_within = '3s'", settings);
        assert_eq!(found.property, "leader-after-healing");
        assert_eq!(found.at, Time::from_secs(8));
        let expected =
            "3s after everything was healed, nobody has led yet; the cluster waits: nobody leads";
        assert_eq!(found.what, expected);
    }
    let found = finding("leader_within = '3s'", "never_converges = true");
    assert!(
        found
            .what
            .ends_with("nobody has led yet; the cluster waits: n1 has not tidied up"),
        "{}",
        found.what
    );
    // With the same time for both, it is the leader that is missed.
    let scenario = "leader_within = '2s'\nconverge_within = '2s'";
    let found = finding(scenario, "never_converges = true");
    assert_eq!(found.property, "leader-after-healing");
}

#[test]
fn who_leads_need_not_converge() {
    let settings = "never_converges = true, leader_from_ms = 5500";
    let (verdict, seen) = run("leader_within = '3s'", settings);
    let Verdict::Invalid(found) = verdict else {
        panic!("it never converges: {verdict}");
    };
    assert_eq!((found.property.as_str(), seen), ("convergence", Some(500)));
    assert_eq!(found.at, Time::from_secs(15));
}

#[test]
fn what_is_skipped_is_not_waited_for() {
    let scenario = "leader_within = '3s'\nchecks = { skip = ['leader-after-healing'] }";
    for settings in ["", "leader_from_ms = 8001"] {
        assert_eq!(run(scenario, settings), (Verdict::Valid, None));
    }
    assert_eq!(
        run(scenario, "leader_from_ms = 1"),
        (Verdict::Valid, Some(0))
    );
}

/// Nobody can be asked for a leader where nobody could lead.
#[test]
fn a_cluster_that_could_not_be_live_need_not_have_a_leader() {
    let damage = "leader_within = '3s'\nbudget = { disks = 1 }\n\
        nemesis = [\
        { fault = 'corrupt', at = '3s', lasting = '1s', victims = 'n1' }, \
        { fault = 'crash', at = '4s', lasting = '100ms', victims = 'n1' }]";
    let (verdict, seen) = run(damage, "not_live_without = 1");
    assert!(
        matches!(verdict, Verdict::Unknown(Unknown::Unrecoverable(_))),
        "{verdict}"
    );
    assert_eq!(seen, None);
    let found = finding(damage, "");
    assert_eq!(found.property, "leader-after-healing");
}

#[test]
fn what_cannot_be_expected_is_refused() {
    for (scenario, expected) in [
        (
            "leader_within = '11s'",
            "test.toml:5: leader_within: a leader is part of converging: expected at most converge_within, which is 10s",
        ),
        (
            "converge_within = '2s'\nleader_within = '2001ms'",
            "test.toml:6: leader_within: a leader is part of converging",
        ),
        (
            "leader_within = '0s'",
            "test.toml:5: leader_within: nobody is elected in no time",
        ),
        (
            "leader_within = 3",
            "test.toml:5: invalid type: integer `3`",
        ),
    ] {
        let error = load(scenario).unwrap_err();
        assert!(
            error.contains(expected),
            "expected {expected}\nfound    {error}"
        );
    }
    assert!(load("leader_within = '10s'").is_ok());
    let singles = "summary = 's'\nprotocol = 'singles'\nduration = '5s'\ncluster = { servers = 1 }\n\
                   settings = { quirk = 'none' }\nleader_within = '3s'";
    let entry = ProtocolEntry::of::<super::Singles>();
    let error = entry.load("test", singles, Path::new("test.toml"), &[]);
    let expected = "test.toml:6: leader_within: nobody leads: singles has no leader";
    assert_eq!(error.unwrap_err().to_string(), expected);
}

#[test]
fn a_campaign_says_when_the_last_one_had_its_leader() {
    let seen = |settings: &str| {
        let case = load(&format!(
            "leader_within = '3s'\nsettings = {{ {settings} }}"
        ))
        .unwrap();
        let campaign = Campaign {
            seeds: 0..5,
            ..Campaign::default()
        };
        let run = |seed| {
            case.run(Seed(seed), &Script::DRAWN, None)
                .leader_after_healing_ms
        };
        let each: Vec<Option<u64>> = (0..5).map(run).collect();
        (
            each,
            campaign
                .run(&*case, Watch::nobody())
                .leader_after_healing_ms,
        )
    };
    let (each, latest) = seen("leader_from_ms = 5500, leader_later_ms = 2000");
    assert!(each.iter().any(|seen| *seen < latest), "{each:?}");
    assert_eq!(each.into_iter().max(), Some(latest));
    let (each, latest) = seen("leader_from_ms = 6500, leader_later_ms = 3000");
    assert!(
        each.contains(&None),
        "those who have none in time: {each:?}"
    );
    assert!(latest.is_some_and(|latest| latest <= 3_000), "{latest:?}");
    assert_eq!(seen("").1, None);
}
