//! Good files to begin with: all that are committed, and one for each kind of fault.

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use splitbrain::run::Finding;
use splitbrain::scenario::FaultKind;
use splitbrain::strategy::Faults;
use splitbrain::{Seed, Time};
use splitbrain_scenarios::load;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

fn texts(folder: &str, extension: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = fs::read_dir(root.join(folder))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|found| found == extension));
    // The order in which a file system lists them is its own.
    files.sort();
    files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect()
}

pub(super) static SCENARIOS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut all = texts("../scenarios/raft", "toml");
    all.extend(texts("../scenarios/bully", "toml"));
    all.extend(FaultKind::ALL.map(of_kind));
    all
});

pub(super) static REPLAYS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut all = texts("regressions", "json");
    all.extend(FaultKind::ALL.map(replay_of_kind));
    all
});

/// A scenario in which everything is said that can be said of this kind.
fn of_kind(kind: FaultKind) -> String {
    let more = match kind {
        FaultKind::Partition => {
            "shape = ['halves', 'bridge']\nin_flight = 'cut'\nflap = '20ms'\nuntil_behind = 5"
        }
        FaultKind::Degrade => {
            "direction = 'in'\nlatency = { min = '1ms', mean = '50ms', tail = '1/10', tail_max = '1s' }\nloss = '1/10'\n\
             duplication = '5%'\nbursts = { good = '1s', bad = '100ms', loss = '1/2' }\n\
             capacity = { bytes_per_s = 10000, queue_bytes = 1000 }"
        }
        FaultKind::Clog | FaultKind::Swizzle => "direction = 'out'",
        FaultKind::Crash => "unsynced = ['lost', 'kept', 'torn']\nspread = '100ms'",
        FaultKind::CrashAt => "point = ['before-sync', 'after-send', 'role-change']",
        FaultKind::Slow => "per_event = ['1ms', '5ms']",
        FaultKind::Drift => "ppm = [-1000, 1000]",
        FaultKind::Jump => "by_ms = [-1000, 1000]",
        FaultKind::Strobe => "by_ms = [-1000, 1000]\nperiod = '5ms'",
        FaultKind::SlowSync => "sync = { min = '10ms', mean = '100ms' }",
        FaultKind::Wipe
        | FaultKind::Pause
        | FaultKind::FailSync
        | FaultKind::FullDisk
        | FaultKind::Corrupt => "spread = '50ms'",
    };
    let kind = kind.name();
    format!(
        "summary = 'to be made bad'\nprotocol = 'raft-kv'\nduration = '3s'\nleader_within = '5s'\n[cluster]\nservers = 3\nclients = 2\n\
         [network]\nlatency = {{ min = '1ms', mean = '5ms' }}\nloss = '1%'\n\
         [[network.links]]\nfrom = 'n1'\nto = 'n2'\nloss = '1/3'\n\
         [workload]\noperations = 50\nkeys = 2\nthink = '50ms'\n[budget]\ndisks = 1\n\
         [[nemesis]]\nfault = '{kind}'\nevery = ['300ms', '1s']\nfrom = '500ms'\nuntil = '2500ms'\nchance = '1/2'\n\
         lasting = ['100ms', '500ms']\nvictims = 'leader'\n{more}\n\
         [[nemesis]]\nfault = '{kind}'\nat = ['1s', '2s']\nlasting = '200ms'\nvictims = 'n2'\n{more}\n\
         [require]\nops_ok = 1\n[expect]\nverdict = 'valid'\n"
    )
}

/// A replay with three faults of this kind.
fn replay_of_kind(kind: FaultKind) -> String {
    let sets = [
        "duration=2s",
        "cluster.servers=3",
        "cluster.clients=2",
        "workload.think=100ms",
    ];
    let case = load("raft/healthy", &sets.map(str::to_owned)).unwrap();
    let strategy = Faults::of(&*case).kinds(&[kind]).at_most(6).schedule();
    let mut runner = TestRunner::deterministic();
    let mut trees = (0..100).map(|_| strategy.new_tree(&mut runner).unwrap().current());
    let schedule = trees.find(|schedule| schedule.0.len() == 3).unwrap();
    let mut report = schedule.run_traced(&*case, Seed(1));
    // As drawn: some may have done nothing.
    report.faults.clone_from(&schedule.0);
    let finding = Finding {
        property: "convergence".to_owned(),
        what: "nothing".to_owned(),
        at: Time::ZERO,
    };
    case.replay_json(&report, &finding).unwrap()
}

/// The largest cluster.
const LARGE: &str = "servers = 99\nclients = 99";

const SMALL: &str = "servers = 3\nclients = 1";

/// What, for how long, among whom, and the rest of the scenario. A fault lasts an hour.
#[rustfmt::skip] // A table.
const EXTREMES: &[(&str, &str, &str, &str)] = &[
    ("198 nodes for an hour", "1h", LARGE, ""),
    ("a heartbeat each millisecond", "1h", LARGE, "[settings]\nheartbeat_ms = 1"),
    ("a message that takes an hour", "1h", LARGE, "[network]\nlatency = { min = '1h', mean = '1h' }"),
    ("a sync that takes an hour", "1h", SMALL, "[network]\nsync = { min = '1h', mean = '1h' }"),
    ("messages that take no time", "1m", SMALL, "[network]\nlatency = { min = '0s', mean = '0s' }\nsync = { min = '0s', mean = '0s' }"),
    ("a million operations", "1h", SMALL, "[workload]\noperations = 1000000\nthink = '1ms'"),
    ("a link of a byte a second", "1h", SMALL, "[network]\ncapacity = { bytes_per_s = 1, queue_bytes = 9223372036854775807 }"),
    ("a pause every 2ms for an hour", "1h", SMALL, "fault = 'pause'\nvictims = 'one'\nevery = '2ms'"),
    ("links degraded every 2ms for an hour", "1h", LARGE, "fault = 'degrade'\nvictims = 'one'\nevery = '2ms'\nloss = '1/2'"),
    ("swizzles of 99 every 2ms", "1m", LARGE, "fault = 'swizzle'\nvictims = 'all'\nevery = '2ms'"),
    ("a partition that flaps every 1ms for an hour", "1h", SMALL, "fault = 'partition'\nat = '1s'\nflap = '1ms'"),
    ("clocks that strobe every 1ms", "10m", SMALL, "fault = 'strobe'\nvictims = 'all'\nat = '1s'\nperiod = '1ms'\nby_ms = [-31536000000, 31536000000]"),
    ("clocks ten times too fast", "10m", SMALL, "fault = 'drift'\nvictims = 'all'\nat = '1s'\nppm = [9000000, 9000000]"),
    ("bursts of 1ms at the end of an hour", "1h", LARGE, "fault = 'degrade'\nvictims = 'all'\nat = '3599s'\nbursts = { good = '1ms', bad = '1ms' }"),
    ("processes that take an hour for each event", "1h", SMALL, "fault = 'slow'\nvictims = 'all'\nat = '1s'\nper_event = '1h'"),
];

/// Those of many millions of events, which take seconds.
pub(super) const SLOW: [&str; 3] = [
    "198 nodes for an hour",
    "a heartbeat each millisecond",
    "bursts of 1ms at the end of an hour",
];

/// Good scenarios that say as much as a scenario may.
pub(super) fn extremes() -> Vec<(&'static str, String)> {
    let text = |&(what, duration, cluster, more): &(&'static str, &str, &str, &str)| {
        let more = if more.starts_with("fault") {
            format!("[[nemesis]]\nlasting = '1h'\n{more}")
        } else {
            more.to_owned()
        };
        let text = format!(
            "summary = 's'\nprotocol = 'raft-kv'\nduration = '{duration}'\nconverge_within = '1s'\n[cluster]\n{cluster}\n{more}\n"
        );
        (what, text)
    };
    let mut all: Vec<_> = EXTREMES.iter().map(text).collect();
    let at = "'1s',".repeat(10_000);
    let more = format!("fault = 'degrade'\nvictims = 'one'\nloss = '1/2'\nat = [{at}]");
    all.push(text(&(
        "ten thousand faults at one instant",
        "10s",
        SMALL,
        &more,
    )));
    all
}
