//! How many writes a second three servers of Raft take over real TCP, with journals on the disk and a real sync before each answer,
//! and how many syncs a second this disk takes, measured before and after.
//!
//! `cargo bench -p splitbrain-hosts`. All in one process: three servers, each with a journal and connections of its own, and clients that
//! reach them by TCP. A write is linearizable, acknowledged when it is durable at a majority. What bounds it is one disk for all three
//! (`of the disk`: syncs of the three together, relative to what the disk takes alone), or the processors.
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
use splitbrain_protocols::raft::{Config, Op, Peer, Settings, cluster};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
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
        "{:>8} {:>10} {:>12} {:>12} {:>12} {:>12}",
        "clients", "writes/s", "batches/s", "per batch", "disk syncs/s", "of the disk"
    );
    for clients in [1, 64] {
        for _ in 0..rounds {
            let folder = tempfile::tempdir().expect("a folder");
            let before = syncs_per_second(folder.path(), duration / 4);
            let measured = Runtime::new().expect("a runtime").block_on(measure(
                folder.path(),
                clients,
                duration,
            ));
            let after = syncs_per_second(folder.path(), duration / 4);
            let disk = f64::midpoint(before, after);
            let Measured { writes, batches } = measured;
            println!(
                "{clients:>8} {writes:>10.0} {:>12.0} {:>12.1} {disk:>12.0} {:>11.0}%",
                batches / SERVERS as f64,
                writes * SERVERS as f64 / batches,
                100.0 * batches / disk
            );
        }
    }
}

/// How often a second a record of some hundred bytes can be made durable, one after the other.
fn syncs_per_second(folder: &Path, duration: Duration) -> f64 {
    let file = File::create(folder.join("probe")).expect("a file");
    let record = [7; 200];
    let (since, mut syncs) = (Instant::now(), 0_u32);
    while since.elapsed() < duration {
        let at = u64::from(syncs) * record.len() as u64;
        file.write_all_at(&record, at).expect("room");
        file.sync_data().expect("a sync");
        syncs += 1;
    }
    f64::from(syncs) / since.elapsed().as_secs_f64()
}

struct Measured {
    /// Per second.
    writes: f64,
    /// Syncs of all servers, per second.
    batches: f64,
}

async fn measure(folder: &Path, clients: usize, duration: Duration) -> Measured {
    let settings = Settings {
        election_ms_min: 500,
        election_ms_max: 1000,
        snapshot_entries: 20_000,
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
    let batches_before = batches(&registry);
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
    for handle in handles {
        handle.stop().await;
    }
    Measured {
        writes: writes as f64 / seconds,
        batches: batches / seconds,
    }
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
