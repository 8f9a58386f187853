//! The bug is found, made small and replayed; without it, nothing is found.
#![cfg(madsim)]

use madsim::Config;
use madsim::runtime::{Handle, Runtime};
use splitbrain::Seed;
use splitbrain::campaign::{Campaign, Met, Summary, Watch};
use splitbrain::case::{Case, ProtocolEntry};
use splitbrain::report::write_failure;
use splitbrain::run::{Script, Verdict};
use splitbrain_example_register::tested::Tested;
use splitbrain_example_register::{client, server};
use splitbrain_madsim::service::Running;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

type Buggy = Tested<false>;
type Fixed = Tested<true>;

const BUGGY: ProtocolEntry = ProtocolEntry::on::<Buggy, Running<Buggy>>();
const FIXED: ProtocolEntry = ProtocolEntry::on::<Fixed, Running<Fixed>>();

fn case(entry: ProtocolEntry) -> Box<dyn Case> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("partitions.toml");
    let text = fs::read_to_string(&file).unwrap();
    let loaded = entry.load("register", &text, &file, &[]);
    loaded.unwrap()
}

fn campaign(case: &dyn Case, stop_at_first: bool) -> Summary {
    let campaign = Campaign {
        seeds: 0..40,
        jobs: 2,
        stop_at_first,
        ..Campaign::default()
    };
    campaign.run(case, Watch::nobody())
}

#[test]
fn a_read_that_tells_nobody_is_found_and_its_seed_replays_it() {
    let case = case(BUGGY);
    let summary = campaign(&*case, true);
    let (seed, finding) = summary.failures.first().expect("somebody reads backwards");
    assert_eq!(finding.property, "linearizability");
    let said = format!("seed {seed}: {}", finding.what);
    let page = include_str!("../../docs/guide/async-service.md");
    assert!(
        page.contains(said.trim_end()),
        "the page must show this:\n{said}"
    );

    let folder = tempfile::tempdir().unwrap();
    let written = write_failure(folder.path(), &*case, *seed)
        .unwrap()
        .unwrap();
    let text = fs::read_to_string(&written.replay).unwrap();
    let (again, replay) = BUGGY.load_replay(&text, &written.replay).unwrap();
    let report = again.run(replay.seed, &replay.script, None);
    assert_eq!(report.digest, replay.digest);
    assert_eq!(report.verdict, Verdict::Invalid(replay.finding));

    // The same seed with the same faults and operations, and the fix.
    let (fixed, replay) = FIXED.load_replay(&text, &written.replay).unwrap();
    let report = fixed.run(replay.seed, &replay.script, None);
    assert_eq!(report.verdict, Verdict::Valid);
}

#[test]
fn with_the_fix_nothing_is_found() {
    let case = case(FIXED);
    assert_eq!(campaign(&*case, false).met(&*case), Met::Yes);
}

#[test]
fn a_seed_gives_the_same_run_twice() {
    let case = case(FIXED);
    for seed in [0, 1, 2].map(Seed) {
        let [one, other] = [(); 2].map(|()| case.run(seed, &Script::DRAWN, None));
        assert_eq!(one.digest, other.digest);
        assert!(one.stats.ops_ok > 50);
    }
}

/// madsim runs it twice itself, and compares every random number that is drawn.
#[test]
fn madsim_finds_nothing_in_it_that_differs_from_run_to_run() {
    fn at(number: u8) -> SocketAddr {
        (Ipv4Addr::new(10, 0, 0, number), 7000).into()
    }
    let read = Runtime::check_determinism(1, Config::default(), || async {
        let process = |number| {
            let handle = Handle::current();
            handle.create_node().ip(at(number).ip()).build()
        };
        for number in 1..=3 {
            process(number).spawn(server::serve(at(number)));
        }
        let client = process(9).spawn(async {
            let servers = [at(1), at(2), at(3)];
            let mut read = Vec::new();
            for value in 0..20 {
                client::write(&servers, value).await?;
                read.extend(client::read(&servers, true).await?);
            }
            std::io::Result::Ok(read)
        });
        client
            .await
            .expect("it is not killed")
            .expect("all is well")
    });
    assert!(read.into_iter().eq(0..20));
}
