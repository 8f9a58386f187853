//! Laws of faults, over schedules that proptest draws: of all kinds, and for Raft and bully alike.
//! `SPLITBRAIN_CASES=5000 cargo test --test laws` tries more of them.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};
use splitbrain::case::{Case, Change, Report};
use splitbrain::run::{Finding, Verdict};
use splitbrain::scenario::FaultKind;
use splitbrain::shrink::shrink;
use splitbrain::strategy::{Faults, Schedule};
use splitbrain::world::{TraceEvent, What};
use splitbrain::{Direction, Fault, InFlight, Injection, LinkSet, NodeId, Seed, Shape, Span, Time};
use splitbrain_scenarios::{load, replay_from_bytes};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

#[path = "laws/breaker.rs"]
mod breaker;
#[path = "laws/no_effect.rs"]
mod no_effect;

/// A network that loses a little, so that there is something whose fate could change.
static RAFT: LazyLock<Box<dyn Case>> = LazyLock::new(|| {
    let sets = [
        "duration=4s",
        "cluster.servers=5",
        "cluster.clients=3",
        "workload.think=40ms",
        "network.loss=1/100",
        "network.duplication=1/100",
    ];
    scripted("raft/healthy", &sets)
});

/// Its properties do not hold under faults, so that only what happens is looked at, to the end.
static BULLY: LazyLock<Box<dyn Case>> = LazyLock::new(|| {
    let skipped = "checks.skip=['split-brain', 'agreement', 'one-leader-per-component', 'convergence', 'final-reads']";
    scripted(
        "bully/healthy",
        &["duration=4s", "network.loss=1/100", skipped],
    )
});

fn scripted(name: &str, sets: &[&str]) -> Box<dyn Case> {
    let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    let case = load(name, &sets).unwrap();
    case.changed(&Change::ScriptOnly).unwrap()
}

#[derive(Clone, Copy, Debug)]
enum Protocol {
    Raft,
    Bully,
}

impl Protocol {
    fn case(self) -> &'static dyn Case {
        match self {
            Protocol::Raft => &**RAFT,
            Protocol::Bully => &**BULLY,
        }
    }
}

/// A case of one of them, with a schedule for it.
fn runs() -> impl Strategy<Value = (Protocol, Schedule)> {
    let protocols = prop_oneof![Just(Protocol::Raft), Just(Protocol::Bully)];
    protocols.prop_flat_map(|protocol| (Just(protocol), Faults::of(protocol.case()).schedule()))
}

/// So many, or as many as the variable says.
fn config(cases: u32) -> ProptestConfig {
    let more = std::env::var("SPLITBRAIN_CASES").ok();
    let more = more.map(|text| text.parse().expect("SPLITBRAIN_CASES: expected a number"));
    ProptestConfig {
        cases: more.unwrap_or(cases),
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..ProptestConfig::default()
    }
}

/// A replay file must say what was found, even if nothing was.
fn nothing_found() -> Finding {
    Finding {
        property: "convergence".to_owned(),
        what: "nothing".to_owned(),
        at: Time::ZERO,
    }
}

/// Everything that happened but for the faults themselves.
fn without_faults(report: &Report) -> Vec<&TraceEvent> {
    let trace = report.trace.as_ref().expect("it was traced");
    let is_fault = |event: &&TraceEvent| matches!(event.what, What::Fault { .. });
    trace
        .events
        .iter()
        .filter(|event| !is_fault(event))
        .collect()
}

proptest! {
    #![proptest_config(config(150))]

    /// What a run was is in its file: the same code replays it to the last event.
    #[test]
    fn replaying_a_resolved_schedule_gives_the_digest_of_its_run((protocol, schedule) in runs(), seed in any::<u64>()) {
        let case = protocol.case();
        let report = schedule.run_traced(case, Seed(seed));
        let json = case.replay_json(&report, &nothing_found()).unwrap();
        let file = Path::new("replay.json");
        let (loaded, replay) = replay_from_bytes(json.into_bytes(), file).unwrap();
        prop_assert_eq!(replay.script.faults.as_ref(), Some(&report.faults));
        let again = loaded.run(replay.seed, &replay.script, None);
        prop_assert_eq!(again.digest, replay.digest);
        prop_assert_eq!((&again.verdict, &again.faults), (&report.verdict, &report.faults));
    }

    /// Nothing is lost on the way to a file and back, whether it can be done or not.
    #[test]
    fn a_schedule_survives_a_round_trip_through_its_file((protocol, schedule) in runs()) {
        let case = protocol.case();
        let mut report = Schedule::default().run_traced(case, Seed(1));
        report.faults.clone_from(&schedule.0);
        let json = case.replay_json(&report, &nothing_found()).unwrap();
        let (_, replay) = replay_from_bytes(json.into_bytes(), Path::new("replay.json")).unwrap();
        prop_assert_eq!(Schedule(replay.script.faults.unwrap()), schedule);
    }

    /// If nothing else happened with a fault than without it, then nothing else is different about the runs.
    #[test]
    fn a_fault_without_an_effect_leaves_the_digest_alone(
        (protocol, schedule) in runs(),
        left_out in any::<Index>(),
        seed in 0_u64..50,
    ) {
        let case = protocol.case();
        if schedule.0.is_empty() {
            return Ok(());
        }
        let mut without = schedule.clone();
        let removed = without.0.remove(left_out.index(schedule.0.len()));
        let with = schedule.run_traced(case, Seed(seed));
        let without = without.run_traced(case, Seed(seed));
        // An operation that waited at a busy process began later, which is no line of the trace.
        let waited_alike = with.stats.waited == without.stats.waited;
        if waited_alike && without_faults(&with) == without_faults(&without) {
            no_effect::same(&with, &without, &removed)?;
        }
    }

}

proptest! {
    #![proptest_config(config(300))]

    /// Nothing that is done to its links, processes, disks and clocks within the budget makes Raft wrong; and a run is the
    /// same in words and in silence.
    #[test]
    fn raft_survives_faults_of_all_kinds(schedule in Faults::of(&**RAFT).schedule(), seed in any::<u64>()) {
        let silent = schedule.run(&**RAFT, Seed(seed));
        prop_assert!(!matches!(silent.verdict, Verdict::Invalid(_)), "{}", silent.verdict);
        let traced = schedule.run_traced(&**RAFT, Seed(seed));
        prop_assert_eq!((silent.digest, silent.verdict), (traced.digest, traced.verdict));
    }
}

/// A partition that comes and goes does each time what it says of messages in flight.
#[test]
fn a_flapping_partition_cuts_in_flight_whenever_it_comes() {
    let first = NodeId::from_index(0);
    let cut_at = |in_flight| {
        let fault = Fault::Partition {
            shape: Shape::IsolateOne,
            in_flight,
            flap: Some(Span::from_millis(100)),
            cuts: LinkSet::of(&[first], RAFT.nodes(), Direction::Both),
        };
        let injection = Injection {
            at: Span::from_millis(1_000),
            lasting: Span::from_millis(2_000),
            fault,
        };
        let report = Schedule(vec![injection]).run_traced(&**RAFT, Seed(1));
        let trace = report.trace.expect("it was traced");
        let cut = trace.events.into_iter().filter(|event| {
            let What::Drop { why, .. } = event.what else {
                return false;
            };
            why == "cut in flight"
        });
        cut.map(|event| event.at).collect::<BTreeSet<Time>>()
    };
    let times = cut_at(InFlight::Cut);
    assert!(times.len() > 1, "only when it came first: {times:?}");
    let comes = |at: &Time| at.as_nanos().is_multiple_of(200_000_000);
    assert!(times.iter().all(comes), "{times:?}");
    assert!(cut_at(InFlight::Keep).is_empty());
}

fn bully_in_trouble() -> Box<dyn Case> {
    let skipped = "checks.skip=['agreement', 'one-leader-per-component', 'convergence']";
    scripted("bully/healthy", &["duration=8s", skipped])
}

fn finding(verdict: &Verdict) -> Option<&Finding> {
    match verdict {
        Verdict::Invalid(finding) => Some(finding),
        _ => None,
    }
}

/// How much there is of a schedule: faults, nodes, milliseconds.
fn size(faults: &[Injection]) -> (usize, usize, u128) {
    let nodes = faults.iter().map(|injection| injection.fault.nodes().len());
    let lasting = faults
        .iter()
        .map(|injection| injection.lasting.0.as_millis());
    (faults.len(), nodes.sum(), lasting.sum())
}

proptest! {
    #![proptest_config(config(40))]

    /// In no respect is there more of what is left.
    #[test]
    fn shrinking_never_grows(
        schedule in Faults::of(&*bully_in_trouble()).at_most(12).schedule(),
        seed in 0_u64..1000,
    ) {
        let case = bully_in_trouble();
        let report = schedule.run(&*case, Seed(seed));
        let Some(finding) = finding(&report.verdict) else { return Ok(()) };
        let script = report.script();
        let small = shrink(&*case, Seed(seed), &script, &finding.property, 300, &mut |_, _| {});
        let small = small.expect("it is violated");
        let (before, after) = (size(&report.faults), size(small.script.faults.as_ref().unwrap()));
        prop_assert!(after.0 <= before.0 && after.1 <= before.1 && after.2 <= before.2, "{before:?} {after:?}");
        prop_assert!(small.case.duration() <= case.duration());
        prop_assert!(small.case.nodes() <= case.nodes());
        let again = small.case.run(Seed(seed), &small.script, None);
        prop_assert_eq!(again.verdict, Verdict::Invalid(small.finding));
    }
}

/// Among clocks that nobody looks at, one cut is all that the brain needs to split: either shrinker finds that out.
#[test]
fn either_shrinker_finds_the_cut_that_splits_the_brain() {
    let case = bully_in_trouble();
    let config = ProptestConfig {
        cases: 2_000,
        ..config(0)
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let kinds = [FaultKind::Jump, FaultKind::Strobe, FaultKind::Partition];
    let faults = Faults::of(&*case).kinds(&kinds);
    let first = std::cell::RefCell::new(None);
    let failure = runner.run(&faults.schedule(), |schedule| {
        let report = schedule.run(&*case, Seed(7));
        let finding = finding(&report.verdict).cloned();
        if let Some(finding) = &finding {
            first
                .borrow_mut()
                .get_or_insert((schedule.script(), finding.property.clone()));
        }
        prop_assert!(finding.is_none());
        Ok(())
    });
    let Err(TestError::Fail(_, small)) = failure else {
        panic!("bully does not split: {failure:?}");
    };
    assert_eq!(small.0.len(), 1, "{small:?}");
    let (script, property) = first.into_inner().unwrap();
    let shrunk = shrink(&*case, Seed(7), &script, &property, 1_000, &mut |_, _| {}).unwrap();
    assert_eq!(shrunk.decisions(), 1, "{:?}", shrunk.script);
}
