//! Probes, from a node to what a campaign comes to.

use super::{Singles, case};
use crate::campaign::{Campaign, Met, Probe, Summary, Watch};
use crate::case::{Case, ProtocolEntry};
use crate::run::{Script, Verdict};
use crate::world::TraceDetail;
use splitbrain_core::Seed;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

const NEVER: &str = "[require]\nprobes = ['a value was written', 'it was in the mood']";

/// What no node must have: a memory that all runs share. Every second call says yes.
pub(super) fn in_the_mood() -> bool {
    static MOOD: AtomicBool = AtomicBool::new(false);
    !MOOD.fetch_xor(true, Relaxed)
}

fn campaign(case: &dyn Case, seeds: u64, jobs: usize) -> Summary {
    let campaign = Campaign {
        seeds: 0..seeds,
        jobs,
        ..Campaign::default()
    };
    campaign.run(case, Watch::nobody())
}

#[test]
fn a_campaign_counts_probes_by_seeds_and_by_times_whatever_the_jobs() {
    let case = case("none", "");
    let summary = campaign(&*case, 100, 1);
    assert_eq!(summary, campaign(&*case, 100, 3));
    let mut expected: Vec<Probe> = Vec::new();
    for name in case.probes() {
        let (seeds, times) = (0, 0);
        expected.push(Probe {
            name: name.to_owned(),
            seeds,
            times,
        });
    }
    for seed in 0..100 {
        let report = case.run(Seed(seed), &Script::DRAWN, None);
        for (probe, times) in expected.iter_mut().zip(report.probes) {
            probe.seeds += u64::from(times > 0);
            probe.times += times;
        }
    }
    assert_eq!(summary.probes, expected);
    let [mood, written, ..] = &summary.probes[..] else {
        panic!("{:?}", summary.probes);
    };
    assert_eq!((&*mood.name, mood.seeds), ("it was in the mood", 0));
    assert_eq!(
        (&*written.name, written.seeds),
        ("a value was written", 100)
    );
    assert!(written.times > 100);
}

#[test]
fn a_required_probe_is_required_of_a_campaign_and_of_no_single_seed() {
    let case = case("none", NEVER);
    let one = case.run(Seed(0), &Script::DRAWN, None);
    assert_eq!(one.verdict, Verdict::Valid);
    assert_eq!(campaign(&*case, 19, 1).met(&*case), Met::Yes);
    let why = "none of 20 seeds reached `it was in the mood`, which the scenario requires";
    let unknown = Met::Unknown(why.to_owned());
    assert_eq!(campaign(&*case, 20, 1).met(&*case), unknown);
}

#[test]
fn a_violation_weighs_more_than_a_probe_that_was_not_reached() {
    let case = case("lie", NEVER);
    assert!(matches!(
        campaign(&*case, 20, 1).met(&*case),
        Met::No(why) if why.contains("linearizability")
    ));
}

#[test]
fn a_replay_requires_no_probes_and_so_outlives_them() {
    let case = case("lie", NEVER);
    let report = case.run(Seed(0), &Script::DRAWN, Some(TraceDetail::Notes));
    let Verdict::Invalid(finding) = &report.verdict else {
        panic!("{}", report.verdict)
    };
    let replay = case.replay_json(&report, finding).unwrap();
    assert!(!replay.contains("it was in the mood"), "{replay}");
}

#[test]
fn a_probe_that_there_is_not_is_an_error_with_its_line() {
    let text = "summary = 's'\nprotocol = 'singles'\nduration = '5s'\ncluster = { servers = 1 }\n\
                [require]\nprobes = [\n  'a value was written',\n  'a value was wrote',\n]";
    let error = ProtocolEntry::of::<Singles>()
        .load("test", text, Path::new("test.toml"), &[])
        .unwrap_err()
        .to_string();
    let expected = "test.toml:8: require.probes.1: `a value was wrote` is no probe of singles: expected one of \
                    `it was in the mood`, `a value was written`, `a crash ended an operation`, `a crash lost";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn runs_that_differ_in_a_probe_only_are_not_deterministic() {
    let summary = campaign(&*case("moody", ""), 100, 1);
    let (_, finding) = summary.failures.first().expect("one in 20 is run twice");
    assert_eq!(finding.property, "determinism");
}
