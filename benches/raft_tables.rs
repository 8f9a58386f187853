//! What criterion has no table for: how fast our Raft is relative to the crate `raft` (with `--features peer`), what a
//! commit takes, and how long an election does in virtual time.
//!
//! `cargo bench --bench raft_tables --features peer`, with words after `--` to print only those tables whose titles have
//! one of them in it.

#[cfg(feature = "peer")]
use rustix::time::{ClockId, clock_gettime};
use splitbrain::{LinkProfile, NodeId, Seed, Time, World, WorldConfig};
use splitbrain_benches::clusters::{Cluster, Ours};
#[cfg(feature = "peer")]
use splitbrain_benches::clusters::{Every, Merged, RaftRs};
use splitbrain_protocols::raft::{self, Peer, Settings, View};
use std::time::Duration;

/// The clusters that are measured.
const SERVERS: [usize; 3] = [3, 5, 7];
/// How many requests the leader is given before it hears anything else.
const BATCHES: [usize; 2] = [1, 64];
/// How many requests are committed between two looks at the clock.
const REQUESTS: usize = 1024;
/// How many elections of each kind there are.
const SEEDS: u64 = 1000;

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    // `cargo test --benches` runs every benchmark once, to see that it does.
    let is_test = std::env::args().any(|argument| argument == "--test");
    let wanted = |title: &str| {
        let wanted = words.is_empty() || words.iter().any(|word| title.contains(word.as_str()));
        if wanted {
            println!("\n{title}");
        }
        wanted
    };
    if wanted("per commit") {
        costs();
    }
    if wanted("ratio to raft-rs") {
        ratios(is_test);
    }
    if wanted("elections in virtual time") {
        elections(is_test);
    }
}

/// Steps, messages and bytes of one commit.
fn costs() {
    println!("{REQUESTS} commits");
    println!(
        "{:>8} {:>6}  {:<24} {:>8} {:>9} {:>8}",
        "servers", "batch", "", "steps", "messages", "bytes"
    );
    for servers in SERVERS {
        for batch in BATCHES {
            cost::<Ours>(servers, batch);
            #[cfg(feature = "peer")]
            {
                cost::<RaftRs<Every>>(servers, batch);
                cost::<RaftRs<Merged>>(servers, batch);
            }
        }
    }
}

fn cost<C: Cluster>(servers: usize, batch: usize) {
    let mut cluster = prepared::<C>(servers);
    cluster.meter();
    let before = cluster.counts();
    commit_all(&mut cluster, batch);
    let counts = cluster.counts().since(before);
    let each = |count: u64| count as f64 / REQUESTS as f64;
    println!(
        "{servers:>8} {batch:>6}  {:<24} {:>8.2} {:>9.2} {:>8.0}",
        C::NAME,
        each(counts.steps),
        each(counts.messages),
        each(counts.bytes)
    );
}

fn prepared<C: Cluster>(servers: usize) -> C {
    let mut cluster = C::elected(servers);
    cluster.prepare(REQUESTS);
    cluster
}

fn commit_all(cluster: &mut impl Cluster, batch: usize) {
    (0..REQUESTS / batch).for_each(|_| cluster.commit(batch));
}

#[cfg(not(feature = "peer"))]
fn ratios(_: bool) {
    println!("needs --features peer");
}

/// How many entries a follower has missed that is to catch up.
#[cfg(feature = "peer")]
const MISSED: usize = 10_000;

/// Both do the same work, one right after the other, many times; the ratio is that of two neighbours.
#[cfg(feature = "peer")]
fn ratios(is_test: bool) {
    let pairs = if is_test { 2 } else { 200 };
    println!("{pairs} pairs; ns of processor time per entry, medians; below 1: ours is faster");
    println!(
        "{:>8} {:<9} {:<24} {:>8} {:>8}   {:>6}  {:>15}",
        "servers", "batch", "against", "ours ns", "ns", "ratio", "quartiles"
    );
    for servers in SERVERS {
        for batch in BATCHES {
            let label = format!("{servers:>8} {batch:<9}");
            let (ours, every, merged) = (
                commits::<Ours>,
                commits::<RaftRs<Every>>,
                commits::<RaftRs<Merged>>,
            );
            let what = (servers, batch);
            ratio::<RaftRs<Every>>(&label, pairs, || ours(what), || every(what));
            ratio::<RaftRs<Merged>>(&label, pairs, || ours(what), || merged(what));
        }
    }
    let (label, pairs) = (format!("{:>8} {:<9}", 3, "catch-up"), pairs.div_ceil(10));
    // Most of what theirs takes goes to its storage in memory, which copies the rest of the log for every message.
    ratio::<RaftRs<Every>>(&label, pairs, catch_up::<Ours>, catch_up::<RaftRs<Every>>);
    ratio::<RaftRs<Merged>>(&label, pairs, catch_up::<Ours>, catch_up::<RaftRs<Merged>>);
}

/// Prints how what takes ours that long compares to what takes theirs that long.
#[cfg(feature = "peer")]
fn ratio<C: Cluster>(label: &str, pairs: usize, our: impl Fn() -> f64, their: impl Fn() -> f64) {
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..pairs {
        // Who comes second may find the machine in another state: each is as often the first.
        let (mine, other) = if pair % 2 == 0 {
            let mine = our();
            (mine, their())
        } else {
            let other = their();
            (our(), other)
        };
        ours.push(mine);
        theirs.push(other);
        ratios.push(mine / other);
    }
    let [ours, theirs] = [ours, theirs].map(|times| quantile(&times, 50));
    let [low, middle, high] = [25, 50, 75].map(|percent| quantile(&ratios, percent));
    println!(
        "{label} {:<24} {ours:>8.0} {theirs:>8.0}   {middle:>6.2}  {low:>6.2} to {high:>5.2}",
        C::NAME
    );
}

/// Nanoseconds of processor time that a commit takes: so many servers, batches of that many.
#[cfg(feature = "peer")]
fn commits<C: Cluster>((servers, batch): (usize, usize)) -> f64 {
    let mut cluster = prepared::<C>(servers);
    let start = processor_ns();
    commit_all(&mut cluster, batch);
    (processor_ns() - start) as f64 / REQUESTS as f64
}

/// The same of an entry that one follower of two has missed.
#[cfg(feature = "peer")]
fn catch_up<C: Cluster>() -> f64 {
    let mut cluster = C::elected(3);
    cluster.cut_off();
    cluster.prepare(MISSED);
    (0..MISSED / 50).for_each(|_| cluster.commit(50));
    let start = processor_ns();
    cluster.catch_up();
    (processor_ns() - start) as f64 / MISSED as f64
}

/// How long this thread has run. Real time would count what else the machine does, and more of it in longer runs.
#[cfg(feature = "peer")]
fn processor_ns() -> i64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// How long a cluster is without a leader, with the default timeouts and links.
fn elections(is_test: bool) {
    let seeds = if is_test { 10 } else { SEEDS };
    println!("{seeds} seeds, default timeouts; ms of virtual time until a server leads, to the ms");
    println!(
        "{:>8}  {:<24} {:>8} {:>8} {:>8}",
        "servers", "", "median", "p90", "most"
    );
    for servers in SERVERS {
        let (first, second): (Vec<_>, Vec<_>) =
            (0..seeds).map(|seed| elected(servers, Seed(seed))).unzip();
        for (after, times) in [
            ("all have started", first),
            ("the leader has crashed", second),
        ] {
            let [median, p90, most] = [50, 90, 100].map(|percent| quantile(&times, percent));
            println!("{servers:>8}  {after:<24} {median:>8.0} {p90:>8.0} {most:>8.0}");
        }
    }
}

/// Milliseconds until there is a leader, and from its crash a second later until there is another one.
fn elected(servers: usize, seed: Seed) -> (f64, f64) {
    let config = WorldConfig {
        links: LinkProfile::default(),
        ..WorldConfig::default()
    };
    let mut world = World::new(
        seed,
        &config,
        raft::cluster(servers, 0, Settings::default()),
    );
    let first = until_led(&mut world);
    let settled = world.now() + Duration::from_secs(1);
    world.run_until(settled, &mut ());
    let Some(leader) = View::new(world.cluster(), Peer::server).leader() else {
        panic!("seed {seed}: the leader of a healthy cluster has gone");
    };
    world.crash(leader);
    (first, until_led(&mut world))
}

fn until_led(world: &mut World<Peer>) -> f64 {
    let led = |world: &World<Peer>| -> Option<NodeId> {
        View::new(world.cluster(), Peer::server).leader()
    };
    let mut ms = 0;
    let mut now: Time = world.now();
    while led(world).is_none() {
        now += Duration::from_millis(1);
        world.run_until(now, &mut ());
        ms += 1;
        assert!(ms < 60_000, "nobody leads");
    }
    f64::from(ms)
}

/// The value below which this many per cent of them lie.
fn quantile(values: &[f64], percent: usize) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[(values.len() - 1) * percent / 100]
}
