//! Shrinking: the small run violates the same property, is never larger, and is the same whoever asks.

use proptest::prelude::*;
use splitbrain::Seed;
use splitbrain::case::Case;
use splitbrain::report::write_run;
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

/// Bully when a fifth of all messages is lost: whether it agrees hangs on which ones.
fn bully_hard_of_hearing() -> Box<dyn Case> {
    let sets = ["expect.verdict=valid", "network.loss=1/5"];
    load("bully/pauses", &sets.map(str::to_owned)).unwrap()
}

fn script_of(case: &dyn Case, seed: Seed) -> Option<(Script<serde_json::Value>, Finding)> {
    let report = case.run(seed, &Script::DRAWN, Some(TraceDetail::Notes));
    let script = report.script();
    match report.verdict {
        Verdict::Invalid(finding) => Some((script, finding)),
        _ => None,
    }
}

/// Enough for what these tests make small, and little enough to be used up now and then.
const BUDGET_STEPS: u64 = 300_000;

fn small(
    case: &dyn Case,
    seed: Seed,
    script: &Script<serde_json::Value>,
    property: &str,
) -> Shrunk {
    shrink(case, seed, script, property, BUDGET_STEPS, &mut |_, _| {})
        .expect("the script violates the property")
}

/// Writes the small run down and runs it from its file.
fn replayed(shrunk: &Shrunk) -> Verdict {
    let folder = tempfile::tempdir().unwrap();
    let written = write_run(folder.path(), &*shrunk.case, shrunk.seed, &shrunk.script);
    let written = written.unwrap().expect("it fails");
    let (loaded, replay) = load_replay(&written.replay).unwrap();
    assert_eq!(replay.seed, shrunk.seed);
    let again = loaded.run(replay.seed, &replay.script, None);
    assert_eq!(again.digest, replay.digest);
    again.verdict
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
    assert_eq!(shrunk.case.nodes(), 2, "two are enough to disagree");
    assert!(script.operations.unwrap().len() > 50);
}

#[test]
fn what_is_written_down_replays_to_the_same_finding() {
    let case = load("bully/partition", &[]).unwrap();
    let (script, finding) = script_of(&*case, Seed(4)).unwrap();
    let shrunk = small(&*case, Seed(4), &script, &finding.property);
    assert_eq!(replayed(&shrunk), Verdict::Invalid(shrunk.finding));
}

/// Where it hangs on timing, another seed makes it smaller, and that is the seed of the file.
#[test]
fn a_run_with_another_seed_replays_too() {
    let case = bully_hard_of_hearing();
    let (script, finding) = script_of(&*case, Seed(2)).unwrap();
    let shrunk = small(&*case, Seed(2), &script, &finding.property);
    assert_ne!(shrunk.seed, Seed(2));
    assert_eq!(replayed(&shrunk), Verdict::Invalid(shrunk.finding));
}

#[test]
fn another_property_is_not_taken_for_the_same() {
    let case = load("bully/partition", &[]).unwrap();
    let (script, _) = script_of(&*case, Seed(3)).unwrap();
    assert!(
        shrink(
            &*case,
            Seed(3),
            &script,
            "agreement",
            BUDGET_STEPS,
            &mut |_, _| {}
        )
        .is_none()
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever is left out at random and however much may be spent, shrinking keeps the property, never grows, spends
    /// no more than that, and does not depend on threads.
    #[test]
    fn shrinking_never_grows(
        seed in 0_u64..200,
        hears in any::<bool>(),
        keep in prop::collection::vec(any::<bool>(), 8),
        budget in prop_oneof![0..=20_000_u64, Just(BUDGET_STEPS)],
    ) {
        let case = if hears { bully_in_trouble() } else { bully_hard_of_hearing() };
        let Some((mut script, finding)) = script_of(&*case, Seed(seed)) else { return Ok(()) };
        if let Some(faults) = &mut script.faults {
            let mut keep = keep.iter();
            faults.retain(|_| *keep.next().unwrap_or(&true));
        }
        let report = case.run(Seed(seed), &script, None);
        let still = matches!(&report.verdict, Verdict::Invalid(found) if found.property == finding.property);
        let with_threads = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| shrink(&*case, Seed(seed), &script, &finding.property, budget, &mut |_, _| {}))
        };
        let shrunk = with_threads(2);
        prop_assert_eq!(still, shrunk.is_some());
        let Some(shrunk) = shrunk else { return Ok(()) };
        prop_assert!(shrunk.steps <= budget);
        prop_assert!(shrunk.decisions() <= script.decisions());
        prop_assert!(shrunk.case.nodes() <= case.nodes());
        prop_assert!(shrunk.case.duration() <= case.duration());
        prop_assert_eq!(&shrunk.finding.property, &finding.property);
        let run = shrunk.case.run(shrunk.seed, &shrunk.script, None);
        prop_assert_eq!(run.verdict, Verdict::Invalid(shrunk.finding.clone()));
        prop_assert_eq!(replayed(&shrunk), Verdict::Invalid(shrunk.finding.clone()));
        let again = with_threads(1).expect("it did before");
        prop_assert_eq!(again.script, shrunk.script);
        prop_assert_eq!((again.seed, again.runs, again.steps), (shrunk.seed, shrunk.runs, shrunk.steps));
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
