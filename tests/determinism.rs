//! Law 1: a run is a pure function of (scenario, seed).

use splitbrain::Seed;
use splitbrain::campaign::{Campaign, Watch};
use splitbrain::run::Script;
use splitbrain::world::TraceDetail;
use splitbrain_scenarios::{NAMES, catalog, load};
use std::fmt::Write as _;

#[test]
fn a_seed_gives_the_same_run_twice_traced_or_silent() {
    for case in catalog().unwrap() {
        for seed in [0, 1, 2].map(Seed) {
            let silent = case.run(seed, &Script::DRAWN, None);
            let notes = case.run(seed, &Script::DRAWN, Some(TraceDetail::Notes));
            let everything = case.run(seed, &Script::DRAWN, Some(TraceDetail::Everything));
            assert_eq!(silent.digest, notes.digest, "{} seed {seed}", case.name());
            assert_eq!(
                silent.digest,
                everything.digest,
                "{} seed {seed}",
                case.name()
            );
            assert_eq!(silent.stats, everything.stats);
            assert_eq!(silent.verdict, everything.verdict);
            assert_eq!(notes.history_jsonl, everything.history_jsonl);
        }
    }
}

#[test]
fn a_campaign_gives_the_same_result_on_one_thread_and_on_two() {
    for name in ["raft/mixed", "bully/partition"] {
        let case = load(name, &[]).unwrap();
        let campaign = |jobs| {
            Campaign {
                seeds: 3..120,
                jobs,
                ..Campaign::default()
            }
            .run(&*case, Watch::nobody())
        };
        assert_eq!(campaign(1), campaign(2), "{name}");
    }
}

#[test]
fn the_resolved_schedule_replays_to_the_digest_it_came_from() {
    for case in catalog().unwrap() {
        for seed in [5, 6].map(Seed) {
            let drawn = case.run(seed, &Script::DRAWN, Some(TraceDetail::Notes));
            let script = Script {
                faults: Some(drawn.faults.clone()),
                operations: drawn.operations.clone(),
            };
            let replayed = case.run(seed, &script, None);
            assert_eq!(drawn.digest, replayed.digest, "{} seed {seed}", case.name());
            assert_eq!(drawn.verdict, replayed.verdict);
            assert_eq!(drawn.faults, replayed.faults);
        }
    }
}

/// A change here means that the same seed now gives another run: every replay file that was written before is stale. If
/// that is meant, accept the new digests (`INSTA_UPDATE=always cargo test`) and say so in the changelog.
#[test]
fn golden_digests() {
    let mut digests = String::new();
    for name in NAMES.iter() {
        let case = load(name, &[]).unwrap();
        let digest = |seed| format!("{:016x}", case.run(Seed(seed), &Script::DRAWN, None).digest);
        let _ = writeln!(digests, "{name:<24} {} {}", digest(0), digest(1));
    }
    insta::assert_snapshot!(digests);
}
