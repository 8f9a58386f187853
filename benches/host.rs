//! How many writes a second three servers of the coordination service, which is what `splitbrain node` runs, take over real TCP, with
//! journals on the disk and a real sync before each answer, and how many syncs a second this disk takes, measured before and after.
//!
//! `cargo bench -p splitbrain-hosts`. All in one process: three servers, each with a journal and connections of its own, and clients that
//! reach them by TCP. A write is linearizable, acknowledged when it is durable at a majority. What bounds it is one disk for all three
//! (`of the disk`: syncs of the three together, relative to what the disk takes of three files at the same time), the processors (`busy`:
//! how many of them this process keeps busy), or, if neither is near its bound, that one thing waits for another: a write for a sync of
//! the leader and one of a follower, and for those that are under way when it comes.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "it measures the world outside a run, which has clocks"
)]

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use splitbrain_core::{Node as _, NodeId, Outcome, Seed};
use splitbrain_hosts::{FileJournal, Handle, Network, NetworkSettings, Surroundings, host, listen};
use splitbrain_protocols::kv;
use splitbrain_protocols::raft::{self, Reads};
use splitbrain_protocols::service::{Config, Op, Peer, Settings, cluster};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

const SERVERS: usize = 3;

fn main() {
    // `cargo test --benches` runs every benchmark once, to see that it does.
    let is_test = std::env::args().any(|argument| argument == "--test");
    let (duration, rounds) = if is_test {
        (Duration::from_millis(300), 1)
    } else {
        (Duration::from_secs(4), 3)
    };
    println!(
        "{:>8} {:>10} {:>12} {:>10} {:>14} {:>14} {:>12} {:>6}",
        "clients",
        "writes/s",
        "batches/s",
        "per batch",
        "syncs/s, one",
        "syncs/s, three",
        "of the disk",
        "busy"
    );
    for clients in [1, 64] {
        for _ in 0..rounds {
            let folder = tempfile::tempdir().expect("a folder");
            let syncs =
                || [1, SERVERS].map(|files| syncs_per_second(folder.path(), files, duration / 8));
            let before = syncs();
            let measured = Runtime::new().expect("a runtime").block_on(measure(
                folder.path(),
                clients,
                duration,
            ));
            let after = syncs();
            let [one, three] = [0, 1].map(|files| f64::midpoint(before[files], after[files]));
            let Measured {
                writes,
                batches,
                busy,
            } = measured;
            println!(
                "{clients:>8} {writes:>10.0} {:>12.0} {:>10.1} {one:>14.0} {three:>14.0} {:>11.0}% {busy:>6.1}",
                batches / SERVERS as f64,
                writes * SERVERS as f64 / batches,
                100.0 * batches / three
            );
        }
    }
}

/// How often a second a record of some hundred bytes can be made durable: in each of so many files one after the other, in all of them
/// together.
fn syncs_per_second(folder: &Path, files: usize, duration: Duration) -> f64 {
    thread::scope(|scope| {
        let probes = (0..files).map(|number| {
            let file = File::create(folder.join(format!("probe-{number}"))).expect("a file");
            scope.spawn(move || {
                let record = [7; 200];
                let (since, mut syncs) = (Instant::now(), 0_u32);
                while since.elapsed() < duration {
                    let at = u64::from(syncs) * record.len() as u64;
                    file.write_all_at(&record, at).expect("room");
                    file.sync_data().expect("a sync");
                    syncs += 1;
                }
                f64::from(syncs) / since.elapsed().as_secs_f64()
            })
        });
        let probes: Vec<_> = probes.collect();
        let rates = probes
            .into_iter()
            .map(|probe| probe.join().expect("it does not panic"));
        rates.sum()
    })
}

struct Measured {
    /// Per second.
    writes: f64,
    /// Syncs of all servers, per second.
    batches: f64,
    /// Processors, on average.
    busy: f64,
}

async fn measure(folder: &Path, clients: usize, duration: Duration) -> Measured {
    // Those of `server/config.rs`.
    let settings = Settings {
        raft: raft::Settings {
            election_ms_min: 500,
            election_ms_max: 1000,
            heartbeat_ms: 100,
            reads: Reads::Index,
            snapshot_entries: 10_000,
            client_try_ms: 1500,
            client_deadline_ms: 8000,
            ..raft::Settings::default()
        },
        kept_changes: 1000,
        ..Settings::default()
    };
    let configs = cluster(SERVERS, clients, settings);
    let mut listeners = Vec::new();
    let mut addresses = BTreeMap::new();
    for server in 0..SERVERS {
        let listener = listen("127.0.0.1:0".parse().expect("an address"));
        let listener = listener.await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        addresses.insert(NodeId::from_index(server), address);
        listeners.push(listener);
    }
    let mut registry = Registry::default();
    let mut handles = Vec::new();
    for (server, listener) in listeners.into_iter().enumerate() {
        let id = NodeId::from_index(server);
        let mut peers = addresses.clone();
        peers.remove(&id);
        let journal = folder.join(format!("{clients}-{id}"));
        drop(FileJournal::create(&journal, &Peer::format(&configs[server])).expect("a journal"));
        let started = start(
            &[id],
            &configs,
            listener,
            peers,
            Some(&journal),
            &mut registry,
        );
        handles.extend(started);
    }
    let ids: Vec<NodeId> = (SERVERS..SERVERS + clients)
        .map(NodeId::from_index)
        .collect();
    let listener = listen("127.0.0.1:0".parse().expect("an address"));
    let listener = listener.await.expect("a port");
    let clients = start(
        &ids,
        &configs,
        listener,
        addresses,
        None,
        &mut Registry::default(),
    );
    // Until there is a leader, and every client has a session.
    for client in &clients {
        while !write(client, 0).await {}
    }
    let (batches_before, busy_before) = (batches(&registry), processor_seconds());
    let since = Instant::now();
    let mut tasks = Vec::new();
    for client in clients {
        tasks.push(tokio::spawn(async move {
            let mut writes = 0_u64;
            while since.elapsed() < duration {
                writes += u64::from(write(&client, writes).await);
            }
            writes
        }));
    }
    let mut writes = 0;
    for task in tasks {
        writes += task.await.expect("clients do not panic");
    }
    let seconds = since.elapsed().as_secs_f64();
    let batches = batches(&registry) - batches_before;
    let busy = processor_seconds() - busy_before;
    for handle in handles {
        handle.stop().await;
    }
    Measured {
        writes: writes as f64 / seconds,
        batches: batches / seconds,
        busy: busy / seconds,
    }
}

/// What this process has taken of the processors until now, in user mode and in the kernel.
fn processor_seconds() -> f64 {
    // Of a second, whatever the kernel counts in itself: proc(5), `USER_HZ`.
    const TICKS: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat").expect("a Linux");
    // The name of the program is in parentheses, and may be anything.
    let (_, fields) = stat.rsplit_once(')').expect("its form");
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks
        .map(|ticks| ticks.parse::<f64>().expect("a number"))
        .sum::<f64>()
        / TICKS
}

async fn write(client: &Handle<Peer>, number: u64) -> bool {
    let op = kv::Op::put(format!("key-{}", number % 1000), number.to_string());
    matches!(client.invoke(Op::Kv(op)).await, Outcome::Ok(_))
}

fn start(
    ids: &[NodeId],
    configs: &[Config],
    listener: TcpListener,
    peers: BTreeMap<NodeId, String>,
    journal: Option<&Path>,
    registry: &mut Registry,
) -> Vec<Handle<Peer>> {
    let (network, inboxes) =
        Network::start(listener, ids, peers, NetworkSettings::default(), registry);
    let nodes = ids.iter().zip(inboxes).map(|(id, inbox)| {
        let surroundings = Surroundings {
            id: *id,
            seed: Seed(id.index() as u64),
            network: network.clone(),
            inbox,
            journal: journal.map(|folder| FileJournal::open(folder).expect("a journal")),
        };
        let (handle, life) = host(configs[id.index()].clone(), surroundings, registry);
        tokio::spawn(life);
        handle
    });
    nodes.collect()
}

/// How many batches all servers have written.
fn batches(registry: &Registry) -> f64 {
    let mut text = String::new();
    encode(&mut text, registry).expect("it can be written");
    let lines = text
        .lines()
        .filter(|line| line.starts_with("sync_batches_total"));
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}
