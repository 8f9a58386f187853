//! Shrinking: the small run violates the same property, is never larger, and is the same whoever asks.

use proptest::prelude::*;
use splitbrain::Seed;
use splitbrain::case::Case;
use splitbrain::run::{Finding, Script, Verdict};
use splitbrain::shrink::{Shrunk, shrink};
use splitbrain::world::TraceDetail;
use splitbrain_scenarios::{load, load_replay};

/// Bully under everything that it was not made for: its brain splits sooner or later.
fn bully_in_trouble() -> Box<dyn Case> {
    let sets = [
        "checks.skip=['agreement', 'convergence', 'one-leader-per-component']",
        "expect.verdict=valid",
        "network.loss=1/100",
    ];
    load("bully/partition-heals", &sets.map(str::to_owned)).unwrap()
}

fn script_of(case: &dyn Case, seed: Seed) -> Option<(Script<serde_json::Value>, Finding)> {
    let report = case.run(seed, &Script::DRAWN, Some(TraceDetail::Notes));
    let script = Script {
        faults: Some(report.faults),
        operations: report.operations,
    };
    match report.verdict {
        Verdict::Invalid(finding) => Some((script, finding)),
        _ => None,
    }
}

fn decisions(script: &Script<serde_json::Value>) -> usize {
    let Script { faults, operations } = script;
    faults.as_ref().map_or(0, Vec::len) + operations.as_ref().map_or(0, Vec::len)
}

fn small(
    case: &dyn Case,
    seed: Seed,
    script: &Script<serde_json::Value>,
    property: &str,
) -> Shrunk {
    shrink(case, seed, script, property, 500, &mut |_, _| {})
        .expect("the script violates the property")
}

#[test]
fn the_split_brain_needs_one_partition_and_nothing_else() {
    let case = load("bully/partition", &[]).unwrap();
    let (script, finding) = script_of(&*case, Seed(3)).unwrap();
    let shrunk = small(&*case, Seed(3), &script, &finding.property);
    assert_eq!(
        (shrunk.decisions(), &shrunk.finding.property),
        (1, &finding.property)
    );
    assert!(shrunk.case.duration() < case.duration());
    assert!(script.operations.unwrap().len() > 50);
}

#[test]
fn what_is_written_down_replays_to_the_same_finding() {
    let case = load("bully/partition", &[]).unwrap();
    let (script, finding) = script_of(&*case, Seed(4)).unwrap();
    let shrunk = small(&*case, Seed(4), &script, &finding.property);
    let folder = tempfile::tempdir().unwrap();
    let written =
        splitbrain::report::write_run(folder.path(), &*shrunk.case, Seed(4), &shrunk.script);
    let written = written.unwrap().expect("it fails");
    let (loaded, replay) = load_replay(&written.replay).unwrap();
    let again = loaded.run(replay.seed, &replay.script, None);
    assert_eq!(again.verdict, Verdict::Invalid(shrunk.finding));
    assert_eq!(again.digest, replay.digest);
}

#[test]
fn another_property_is_not_taken_for_the_same() {
    let case = load("bully/partition", &[]).unwrap();
    let (script, _) = script_of(&*case, Seed(3)).unwrap();
    assert!(shrink(&*case, Seed(3), &script, "agreement", 500, &mut |_, _| {}).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever is left out at random, shrinking keeps the property, never grows, and does not depend on threads.
    #[test]
    fn shrinking_never_grows(seed in 0_u64..200, keep in prop::collection::vec(any::<bool>(), 8)) {
        let case = bully_in_trouble();
        let Some((mut script, finding)) = script_of(&*case, Seed(seed)) else { return Ok(()) };
        if let Some(faults) = &mut script.faults {
            let mut keep = keep.iter();
            faults.retain(|_| *keep.next().unwrap_or(&true));
        }
        let report = case.run(Seed(seed), &script, None);
        let still = matches!(&report.verdict, Verdict::Invalid(found) if found.property == finding.property);
        let shrunk = shrink(&*case, Seed(seed), &script, &finding.property, 300, &mut |_, _| {});
        prop_assert_eq!(still, shrunk.is_some());
        let Some(shrunk) = shrunk else { return Ok(()) };
        prop_assert!(shrunk.decisions() <= decisions(&script));
        prop_assert_eq!(&shrunk.finding.property, &finding.property);
        let run = shrunk.case.run(Seed(seed), &shrunk.script, None);
        prop_assert_eq!(run.verdict, Verdict::Invalid(shrunk.finding.clone()));
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let again = one.install(|| shrink(&*case, Seed(seed), &script, &finding.property, 300, &mut |_, _| {}));
        let again = again.expect("it did before");
        prop_assert_eq!((again.script, again.runs), (shrunk.script, shrunk.runs));
    }

    /// A script survives the round trip through its file.
    #[test]
    fn a_replay_file_says_exactly_what_was_run(seed in 0_u64..500) {
        let case = bully_in_trouble();
        let Some((script, finding)) = script_of(&*case, Seed(seed)) else { return Ok(()) };
        let report = case.run(Seed(seed), &script, Some(TraceDetail::Notes));
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("replay.json");
        std::fs::write(&file, case.replay_json(&report, &finding).unwrap())?;
        let (_, replay) = load_replay(&file).unwrap();
        prop_assert_eq!(replay.script, script);
        prop_assert_eq!(replay.digest, report.digest);
    }
}
