//! Whole runs of a protocol that can be told to misbehave, each in one way.

use crate::campaign::{Campaign, Met, Watch};
use crate::case::{Case, ProtocolEntry, Report};
use crate::protocol::{Given, HistoryOf, Judgement, Protocol};
use crate::run::{Finding, Script, Unknown, Verdict};
use crate::world::{TraceDetail, What};
use serde::{Deserialize, Serialize};
use splitbrain_check::models::register::{Op, Register, Ret};
use splitbrain_check::{ProcessId, What as Recorded, jsonl};
use splitbrain_core::{
    Cluster, Context, Invariant, Journal, Node, NodeId, OpId, Outcome, Rng, Seed, Time, Violation,
    probe,
};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

mod draw;
mod leader;
mod mix;
mod probes;
mod report;

const PROBES: &[&str] = &["it was in the mood", "a value was written"];

/// What goes wrong, if anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Quirk {
    #[default]
    None,
    Panic,
    Spin,
    Mute,
    MuteAfterHealing,
    NeverConverge,
    Lie,
    Forget,
    Unsure,
    NotReady,
    PanickingInvariant,
    BrokenInvariant,
    Moody,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    quirk: Quirk,
}

/// One server with a register in its journal; operations begin at it.
#[derive(Clone, Debug)]
struct Single {
    quirk: Quirk,
    started: Time,
    value: Option<i64>,
}

impl Node for Single {
    type Message = ();
    type Timer = Timer;
    type Record = i64;
    type Op = Op;
    type Ret = Ret;
    type Config = Settings;
    const PROBES: &'static [&'static str] = PROBES;

    fn start(config: &Settings, journal: Journal<i64>, cx: &mut Context<'_, Self>) -> Self {
        cx.set_timer(Timer::Late, Duration::from_secs(2));
        Single {
            quirk: config.quirk,
            started: cx.now(),
            value: journal.into_iter().flatten().last(),
        }
    }
    fn on_message(&mut self, _: NodeId, (): (), _: &mut Context<'_, Self>) {}
    fn on_timer(&mut self, _: Timer, cx: &mut Context<'_, Self>) {
        match self.quirk {
            Quirk::Panic => panic!("index out of bounds, or some such"),
            Quirk::Spin => cx.set_timer(Timer::Late, Duration::ZERO),
            Quirk::Moody if probes::in_the_mood() => probe!(cx, "it was in the mood"),
            _ => {}
        }
    }
    fn on_invoke(&mut self, id: OpId, op: Op, cx: &mut Context<'_, Self>) {
        let healed = cx.now() >= Time::from_secs(5);
        match op {
            _ if self.quirk == Quirk::NotReady
                && cx.now() < self.started + Duration::from_millis(300) =>
            {
                cx.complete(id, Outcome::Fail("not ready yet"));
            }
            _ if self.quirk == Quirk::Mute => {}
            _ if self.quirk == Quirk::MuteAfterHealing && healed => {}
            Op::Write(_) if self.quirk == Quirk::Unsure => cx.complete(id, Outcome::Info),
            Op::Read if self.quirk == Quirk::Lie => {
                cx.complete(id, Outcome::Ok(Ret::Value(Some(-1))));
            }
            Op::Read => {
                cx.sync(); // what it answers must not be lost
                cx.complete(id, Outcome::Ok(Ret::Value(self.value)));
            }
            Op::Write(value) => {
                probe!(cx, "a value was written");
                self.value = Some(value);
                if self.quirk == Quirk::Forget {
                    return cx.complete(id, Outcome::Ok(Ret::Written));
                }
                cx.append(value);
                cx.sync();
                cx.complete(id, Outcome::Ok(Ret::Written));
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Late,
}

#[derive(Debug)]
struct Broken(Quirk);

impl Invariant<Single> for Broken {
    fn property(&self) -> &'static str {
        "peace"
    }
    fn observe(&mut self, cluster: Cluster<'_, Single>, touched: NodeId) -> Result<(), Violation> {
        let late = cluster.now >= Time::from_secs(1);
        assert!(
            !(late && self.0 == Quirk::PanickingInvariant),
            "the invariant has a bug"
        );
        if late && self.0 == Quirk::BrokenInvariant {
            return self.violated(format!("{touched} was touched"));
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Singles;

impl Protocol for Singles {
    type Node = Single;
    type Settings = Settings;
    const NAME: &'static str = "singles";
    const HISTORY_PROPERTY: Option<&'static str> = Some("linearizability");

    fn nodes(given: Given<'_, Settings>) -> Vec<Settings> {
        vec![*given.settings; given.cluster.servers.get()]
    }
    fn invoked_at(given: Given<'_, Settings>) -> Vec<NodeId> {
        let servers = given.cluster.servers.get();
        (0..servers.min(1)).map(NodeId::from_index).collect()
    }
    fn operation(_: Given<'_, Settings>, nth: u64, _: Option<(&Op, &Ret)>, rng: &mut Rng) -> Op {
        if rng.below(2) == 0 {
            Op::Read
        } else {
            Op::Write(nth.cast_signed())
        }
    }
    fn final_operations(_: Given<'_, Settings>) -> Vec<Op> {
        vec![Op::Read]
    }
    fn converged(cluster: Cluster<'_, Single>) -> Result<(), String> {
        match cluster
            .nodes()
            .find(|(_, node)| node.quirk == Quirk::NeverConverge)
        {
            Some((id, _)) => Err(format!("{id} cannot make up its mind")),
            None => Ok(()),
        }
    }
    fn invariants(settings: &Settings) -> Vec<Box<dyn Invariant<Single>>> {
        vec![Box::new(Broken(settings.quirk))]
    }
    fn state_in_words(node: &Single) -> Option<String> {
        Some(format!("holds {:?}", node.value))
    }
    fn judge(history: &HistoryOf<Self>, budget_steps: u64) -> Judgement {
        Judgement::of(&Register, history, budget_steps)
    }
    fn write_history(
        history: &HistoryOf<Self>,
        out: &mut dyn std::io::Write,
    ) -> std::io::Result<()> {
        jsonl::write(history, out)
    }
}

fn case(quirk: &str, more: &str) -> Box<dyn Case> {
    let text = format!(
        "summary = 's'\nprotocol = 'singles'\nduration = '5s'\ncluster = {{ servers = 1 }}\n\
         settings = {{ quirk = '{quirk}' }}\nworkload = {{ think = '100ms' }}\n{more}"
    );
    ProtocolEntry::of::<Singles>()
        .load("test", &text, Path::new("test.toml"), &[])
        .unwrap()
}

fn verdict(quirk: &str, more: &str) -> Verdict {
    case(quirk, more).run(Seed(1), &Script::DRAWN, None).verdict
}

fn finding(quirk: &str, more: &str) -> Finding {
    match verdict(quirk, more) {
        Verdict::Invalid(finding) => finding,
        other => panic!("expected a finding, found {other}"),
    }
}

#[test]
fn a_good_run_is_valid() {
    assert_eq!(verdict("none", ""), Verdict::Valid);
    let crashes =
        "[[nemesis]]\nfault = 'crash'\nevery = '500ms'\nlasting = '100ms'\nvictims = 'one'";
    assert_eq!(
        verdict("none", crashes),
        Verdict::Valid,
        "what was acknowledged was synced"
    );
}

#[test]
fn each_way_to_go_wrong_has_its_property_and_says_what_happened() {
    for (quirk, property, words) in [
        (
            "panic",
            "panic",
            "n1 panics: index out of bounds, or some such (at ",
        ),
        (
            "spin",
            "livelock",
            "100001 events without time passing, the last one at n1",
        ),
        ("lie", "linearizability", "read -> -1"),
        ("broken-invariant", "peace", "n1 was touched"),
        (
            "panicking-invariant",
            "panic",
            "outside of any node: in the simulator, at 1.",
        ),
        (
            "never-converge",
            "convergence",
            "10s after everything was healed, the cluster still waits: n1 cannot",
        ),
        (
            "mute",
            "convergence",
            "n1 has had no answer to its last operation",
        ),
        (
            "mute-after-healing",
            "final-reads",
            "there is still no answer to Read",
        ),
    ] {
        let found = finding(quirk, "");
        assert_eq!(found.property, property, "{quirk}");
        assert!(found.what.contains(words), "{quirk}: {}", found.what);
    }
}

#[test]
fn skipped_properties_are_not_checked() {
    for (quirk, property) in [
        ("lie", "linearizability"),
        ("broken-invariant", "peace"),
        ("never-converge", "convergence"),
    ] {
        assert_eq!(
            verdict(quirk, &format!("checks = {{ skip = ['{property}'] }}")),
            Verdict::Valid,
            "{quirk}"
        );
    }
}

#[test]
fn a_run_in_which_too_little_happened_proves_nothing() {
    for (require, words) in [
        ("ops_ok = 1000", "ops ok, where the scenario requires 1000"),
        ("leaders = 1", "0 leaders, where"),
        ("faults = 1", "0 faults, where"),
    ] {
        let Verdict::Unknown(Unknown::Vacuous(why)) =
            verdict("none", &format!("[require]\n{require}"))
        else {
            panic!("{require}: expected a vacuous run");
        };
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn after_an_info_the_client_goes_on_as_a_new_process() {
    let run = super::run::<Singles>(
        &crate::scenario::from_toml(
            "summary = 's'\nprotocol = 'singles'\nduration = '5s'\ncluster = { servers = 1 }\nsettings = { quirk = 'unsure' }",
            Path::new("test.toml"),
            &[],
            |_| Ok(()),
        )
        .unwrap()
        .scenario,
        Seed(1),
        &Script::DRAWN,
        None,
    );
    let mut process = ProcessId(0);
    let mut infos = 0;
    for event in run.history.events() {
        assert_eq!(event.process, process);
        if let Recorded::Info = event.what {
            infos += 1;
            process.0 += 1;
        }
    }
    assert!(
        infos > 3,
        "the history must be well formed, too: {:?}",
        run.history.operations().map(|ops| ops.len())
    );
    assert!(run.history.operations().is_ok());
}

#[test]
fn a_finding_does_not_end_the_campaign_and_jobs_do_not_change_it() {
    let case = case("panic", "");
    let campaign = |jobs| {
        Campaign {
            seeds: 7..30,
            jobs,
            ..Campaign::default()
        }
        .run(&*case, Watch::nobody())
    };
    let summary = campaign(1);
    assert_eq!((summary.seeds, summary.invalid), (23, 23));
    assert!(matches!(summary.met(&*case), Met::No(_)));
    assert_eq!(summary, campaign(2));
    let first = Campaign {
        seeds: 7..30,
        jobs: 2,
        stop_at_first: true,
        ..Campaign::default()
    }
    .run(&*case, Watch::nobody());
    assert_eq!((first.seeds, first.failures[0].0), (1, Seed(7)));
}

#[test]
fn a_campaign_that_stops_at_the_first_violation_runs_nothing_behind_it() {
    let case = case("panic", "");
    let runs = AtomicU64::new(0);
    let campaign = Campaign {
        seeds: 7..30,
        stop_at_first: true,
        ..Campaign::default()
    };
    let count = |_: &Report| {
        runs.fetch_add(1, Relaxed);
    };
    let watch = Watch {
        on_report: &count,
        ..Watch::nobody()
    };
    let summary = campaign.run(&*case, watch);
    assert_eq!((summary.seeds, summary.invalid), (1, 1));
    assert_eq!(runs.into_inner(), 1);
}

#[test]
fn an_expected_violation_must_come_within_its_seeds() {
    let expect = |within| {
        format!("[expect]\nverdict = 'violation'\nproperty = 'peace'\nwithin_seeds = {within}")
    };
    let met = |quirk: &str, within, seeds| {
        let case = case(quirk, &expect(within));
        Campaign {
            seeds,
            ..Campaign::default()
        }
        .run(&*case, Watch::nobody())
        .met(&*case)
    };
    assert_eq!(met("broken-invariant", 1, 0..5), Met::Yes);
    assert!(matches!(met("none", 3, 0..5), Met::No(_)));
    assert!(
        matches!(met("none", 9, 0..5), Met::Unknown(_)),
        "nine seeds are needed to tell"
    );
    assert!(
        matches!(met("panic", 1, 0..5), Met::No(_)),
        "another violation is not what is expected"
    );
}

#[test]
fn a_schedule_names_nodes_and_replays_to_the_same_digest() {
    let more = "[[nemesis]]\nfault = 'crash'\nevery = '700ms'\nlasting = ['50ms', '300ms']\nvictims = 'leader'";
    let case = case("none", more);
    let drawn = case.run(Seed(3), &Script::DRAWN, Some(TraceDetail::Notes));
    assert!(drawn.faults.len() >= 4);
    let json = serde_json::to_string(&drawn.faults[0]).unwrap();
    assert!(
        json.ends_with(r#""fault":{"crash":{"nodes":["n1"]}}}"#),
        "{json}"
    );
    let script = drawn.script();
    assert!(
        script
            .operations
            .as_ref()
            .is_some_and(|operations| operations.len() > 20)
    );
    let replayed = case.run(Seed(3), &script, None);
    assert_eq!(
        (drawn.digest, &drawn.faults),
        (replayed.digest, &replayed.faults)
    );
    let fewer = Script {
        faults: Some(drawn.faults[..1].to_vec()),
        ..script.clone()
    };
    assert_ne!(drawn.digest, case.run(Seed(3), &fewer, None).digest);
    let quiet = Script {
        operations: Some(Vec::new()),
        ..script
    };
    assert_eq!(
        case.run(Seed(3), &quiet, None).stats.ops_ok,
        1,
        "the final read alone"
    );
    let starts = drawn
        .trace
        .unwrap()
        .events
        .into_iter()
        .filter(|event| matches!(event.what, What::Start { .. }));
    assert_eq!(
        starts.count(),
        1 + drawn.faults.len(),
        "every crash is undone"
    );
}

#[test]
fn what_is_down_at_the_end_is_waited_for_and_then_judged() {
    let crash = "[[nemesis]]\nfault = 'crash'\nat = '4900ms'\nlasting = '30s'\nvictims = 'one'";
    for quirk in ["none", "not-ready"] {
        let report = case(quirk, crash).run(Seed(1), &Script::DRAWN, None);
        assert_eq!(report.verdict, Verdict::Valid, "{quirk}");
        assert!(
            report.virtual_time > Time::from_secs(5),
            "{quirk}: its start was waited for"
        );
    }
    let Finding { property, what, .. } = finding("never-converge", crash);
    assert_eq!(property, "convergence", "{what}");
}

#[test]
fn a_crash_may_follow_another_at_the_same_instant() {
    let crashes = "[[nemesis]]\nfault = 'crash'\nat = ['1s', '2s', '3s', '4s']\nlasting = '1s'\nvictims = 'n1'";
    let report = case("none", crashes).run(Seed(1), &Script::DRAWN, None);
    assert_eq!((report.faults.len(), report.stats.crashes), (4, 4));
}

#[test]
fn faults_that_do_nothing_are_no_faults() {
    let down = "[[nemesis]]\nfault = 'crash'\nat = '1s'\nlasting = '3s'\nvictims = 'n1'\n\
                [[nemesis]]\nfault = 'pause'\nat = ['2s', '3s']\nlasting = '1s'\nvictims = 'n1'\n\
                [[nemesis]]\nfault = 'crash'\nat = '2500ms'\nlasting = '1s'\nvictims = 'all'";
    let report = case("none", down).run(Seed(1), &Script::DRAWN, None);
    assert_eq!(report.faults.len(), 1, "{:?}", report.faults);
    let required = format!("[require]\nfaults = 2\n{down}");
    let verdict = case("none", &required)
        .run(Seed(1), &Script::DRAWN, None)
        .verdict;
    assert!(
        matches!(verdict, Verdict::Unknown(Unknown::Vacuous(_))),
        "{verdict}"
    );
}

#[test]
fn healing_heals_the_disks() {
    let slow = "[network]\nsync = { min = '1ms', mean = '2ms', tail = '1', tail_max = '60s' }\n[require]\nops_ok = 0";
    let case = case("none", slow);
    let script = Script {
        faults: None,
        operations: Some(Vec::new()),
    };
    for seed in 0..30 {
        let report = case.run(Seed(seed), &script, None);
        assert_eq!(report.verdict, Verdict::Valid, "seed {seed}");
    }
}

#[test]
fn what_happens_after_healing_does_not_count_as_evidence() {
    let idle = "[require]\nops_ok = 1";
    let case = case("none", idle);
    assert_eq!(
        case.run(Seed(1), &Script::DRAWN, None).verdict,
        Verdict::Valid
    );
    // Nobody asks for anything in the safety phase; only the final read takes effect.
    let script = Script {
        faults: None,
        operations: Some(Vec::new()),
    };
    let report = case.run(Seed(1), &script, None);
    assert_eq!(report.stats.ops_ok, 1);
    assert!(matches!(
        report.verdict,
        Verdict::Unknown(Unknown::Vacuous(_))
    ));
}
