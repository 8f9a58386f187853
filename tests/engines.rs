//! The same scenarios under madsim: what is right in the kernel is right there, and what is wrong is found in both.

use splitbrain::campaign::{Campaign, Met, Summary, Watch};
use splitbrain::case::{Case, ProtocolEntry};
use splitbrain::protocol::{Given, HistoryOf, Judgement, OpOf, Protocol, RetOf};
use splitbrain::report::write_failure;
use splitbrain::run::{Script, Verdict};
use splitbrain::world::TraceDetail;
use splitbrain::{Cluster, Invariant, NodeId, Rng, Seed};
use splitbrain_madsim::Madsim;
use splitbrain_protocols::raft::{Config, Member, Peer, Settings};
use splitbrain_scenarios::{KERNEL, NAMES, ON_OTHER_ENGINES, RaftKv, load_on, load_replay};
use std::path::Path;

const MADSIM: &str = "madsim";

/// Of each kind of fault that both engines have, correct protocols and those that are as they are.
const BOTH: &[&str] = &[
    "bully/healthy",
    "bully/leader-crash",
    "bully/partition",
    "bully/partition-heals",
    "bully/pauses",
    "bully/recovery",
    "raft/crash-all",
    "raft/crash-rolling",
    "raft/learners",
    "raft/mixed",
    "raft/partition-bridge",
    "raft/partition-deaf",
    "raft/partition-flapping",
    "raft/partition-ring",
    "raft/pauses",
    "raft/snapshots-only",
    "raft/unrecoverable",
    "raft/wipe",
];

fn campaign(case: &dyn Case, seeds: u64) -> Summary {
    let campaign = Campaign {
        seeds: 0..seeds,
        jobs: 2,
        ..Campaign::default()
    };
    campaign.run(case, Watch::nobody())
}

fn on(engine: &str, name: &str) -> Box<dyn Case> {
    load_on(engine, name, &[]).unwrap()
}

#[test]
fn madsim_is_there_without_any_flag() {
    assert!(ON_OTHER_ENGINES.iter().any(|entry| entry.engine == MADSIM));
}

#[test]
fn both_engines_come_to_the_verdict_that_is_expected() {
    for name in BOTH {
        for engine in [KERNEL, MADSIM] {
            let case = on(engine, name);
            let summary = campaign(&*case, 4);
            let met = summary.met(&*case);
            assert_eq!(met, Met::Yes, "{name} under {engine}");
        }
    }
}

#[test]
fn under_madsim_a_seed_gives_the_same_run_twice_and_a_replay_of_it_too() {
    for name in ["raft/mixed", "raft/blackhole", "bully/partition-heals"] {
        let case = on(MADSIM, name);
        for seed in [0, 1].map(Seed) {
            let first = case.run(seed, &Script::DRAWN, None);
            let again = case.run(seed, &Script::DRAWN, Some(TraceDetail::Everything));
            assert_eq!(first.digest, again.digest, "{name} seed {seed}");
            assert_eq!(first.stats, again.stats);
            let replayed = case.run(seed, &again.script(), None);
            assert_eq!(first.digest, replayed.digest, "{name} seed {seed} replayed");
        }
        let [one, other] = [0, 1].map(|seed| case.run(Seed(seed), &Script::DRAWN, None).digest);
        assert_ne!(one, other, "{name}: the seed decides");
    }
}

#[test]
fn what_madsim_finds_is_written_down_and_replayed_under_madsim() {
    let folder = tempfile::tempdir().unwrap();
    let case = on(MADSIM, "bully/partition");
    let written = write_failure(folder.path(), &*case, Seed(0)).unwrap();
    let written = written.expect("bully has two leaders");
    let (loaded, replay) = load_replay(&written.replay).unwrap();
    assert_eq!(loaded.engine(), MADSIM);
    let fingerprints = [KERNEL, MADSIM].map(|engine| on(engine, "bully/partition").fingerprint());
    assert_ne!(fingerprints[0], fingerprints[1], "campaigns are not mixed");
    let report = loaded.run(replay.seed, &replay.script, None);
    assert_eq!(report.digest, replay.digest);
    assert!(matches!(&report.verdict, Verdict::Invalid(finding) if finding == &replay.finding));
}

/// Whatever is in the catalog either runs or is refused by name: nothing that a scenario asks for is ignored.
#[test]
fn what_madsim_cannot_do_is_refused_by_name() {
    let mut refused = 0;
    for name in NAMES.iter() {
        let Err(error) = load_on(MADSIM, name, &[]) else {
            continue;
        };
        let error = error.to_string();
        assert!(error.contains(&format!("scenarios/{name}.toml")), "{error}");
        assert!(error.contains("madsim "), "{error}");
        refused += 1;
    }
    assert!(refused > 20 && refused + BOTH.len() <= NAMES.len());
    for (name, words) in [
        ("raft/clog", "nemesis.0.fault: madsim cannot do `clog`"),
        ("raft/bursty-loss", "network: madsim has no `bursts`"),
        ("registry/mixed", "madsim does not run registry"),
    ] {
        let error = load_on(MADSIM, name, &[]).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

/// Raft as somebody has configured it who gave the first two of five servers another list of founders than the others.
#[derive(Debug)]
struct Misconfigured;

impl Protocol for Misconfigured {
    type Node = Peer;
    type Settings = Settings;
    const NAME: &'static str = "raft-misconfigured";
    const HISTORY_PROPERTY: Option<&'static str> = RaftKv::HISTORY_PROPERTY;

    fn nodes(given: Given<'_, Settings>) -> Vec<Config> {
        let mut nodes = RaftKv::nodes(given);
        for (index, node) in nodes.iter_mut().enumerate() {
            if let Config::Server(Member { founders, .. }) = node {
                let own = if index < 2 { 0..2 } else { 2..5 };
                *founders = own.map(NodeId::from_index).collect();
            }
        }
        nodes
    }
    fn invoked_at(given: Given<'_, Self::Settings>) -> Vec<NodeId> {
        RaftKv::invoked_at(given)
    }
    fn operation(
        given: Given<'_, Settings>,
        nth: u64,
        previous: Option<(&OpOf<Self>, &RetOf<Self>)>,
        rng: &mut Rng,
    ) -> OpOf<Self> {
        RaftKv::operation(given, nth, previous, rng)
    }
    fn final_operations(given: Given<'_, Settings>) -> Vec<OpOf<Self>> {
        RaftKv::final_operations(given)
    }
    fn converged(cluster: Cluster<'_, Peer>) -> Result<(), String> {
        RaftKv::converged(cluster)
    }
    fn invariants(settings: &Settings) -> Vec<Box<dyn Invariant<Peer>>> {
        RaftKv::invariants(settings)
    }
    fn judge(history: &HistoryOf<Self>, budget_steps: u64) -> Judgement {
        RaftKv::judge(history, budget_steps)
    }
    fn write_history(
        history: &HistoryOf<Self>,
        out: &mut dyn std::io::Write,
    ) -> std::io::Result<()> {
        RaftKv::write_history(history, out)
    }
}

/// Two clusters that take themselves for one: the invariants notice, and without them the clients do.
#[test]
fn a_cluster_that_is_configured_wrongly_is_found_out_by_both_engines() {
    let scenario = |skip: &[&str]| {
        format!(
            r#"
            summary = "two lists of founders"
            protocol = "raft-misconfigured"
            duration = "5s"
            cluster = {{ servers = 5, clients = 3 }}
            workload = {{ operations = 60, keys = 1, think = "50ms" }}
            checks = {{ skip = {skip:?} }}
            "#
        )
    };
    let names: Vec<&str> = Misconfigured::invariants(&Settings::default())
        .iter()
        .map(|invariant| invariant.property())
        .chain(["convergence", "final-reads"])
        .collect();
    for entry in [
        ProtocolEntry::of::<Misconfigured>(),
        ProtocolEntry::on::<Misconfigured, Madsim<Peer>>(),
    ] {
        for (skip, seen) in [(&[][..], "invariants"), (&names, "clients")] {
            let text = scenario(skip);
            let case = entry
                .load("two", &text, Path::new("two.toml"), &[])
                .unwrap();
            let summary = campaign(&*case, 6);
            let properties = summary
                .failures
                .iter()
                .map(|(_, finding)| &*finding.property);
            let properties: Vec<&str> = properties.collect();
            let engine = entry.engine;
            assert!(!properties.is_empty(), "{engine}: nothing found by {seen}");
            if seen == "clients" {
                assert!(
                    properties.contains(&"linearizability"),
                    "{engine}: {properties:?}"
                );
            }
        }
    }
}
