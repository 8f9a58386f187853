//! What was not synced is lost when the power is, and nothing that was acknowledged depends on it: three servers of the coordination
//! service over loopback TCP, on disks that forget what was not synced, lose their power one by one and all at once while clients use
//! them. A process that is killed cannot show that, as what it has written stays with the operating system.

use crate::journal::platter::Platter;
use crate::journal::{FileJournal, Syncs};
use crate::network::{NetworkSettings, listen};
use crate::{Ended, Handle, Network, Surroundings, host};
use prometheus_client::registry::Registry;
use splitbrain_check::models::key_value::{Key, KeyValue, Op, Ret};
use splitbrain_check::{Budget, History, ProcessId, Verdict, check};
use splitbrain_core::{Node as _, NodeId, Outcome, Purpose, Rng, Seed};
use splitbrain_protocols::kv;
use splitbrain_protocols::raft::{self, Reads};
use splitbrain_protocols::service::{self, Config, Peer, Settings, cluster};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

const SERVERS: usize = 3;
const CLIENTS: usize = 4;
const KEYS: usize = 3;

/// Nothing that is to happen takes longer, even on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_mins(1);

fn configs() -> Vec<Config> {
    let raft = raft::Settings {
        election_ms_min: 150,
        election_ms_max: 300,
        heartbeat_ms: 30,
        reads: Reads::Index,
        // So that journals are compacted, too.
        snapshot_entries: 50,
        client_try_ms: 300,
        client_deadline_ms: 1500,
        ..raft::Settings::default()
    };
    let settings = Settings {
        raft,
        ..Settings::default()
    };
    cluster(SERVERS, CLIENTS, settings)
}

struct Server {
    id: NodeId,
    folder: TempDir,
    platter: Arc<Platter>,
    address: SocketAddr,
    /// `None` without power.
    life: Option<(Handle<Peer>, JoinHandle<Ended>)>,
}

/// The servers, each in a host of its own.
struct Hosts {
    configs: Vec<Config>,
    servers: Vec<Server>,
    rng: Rng,
    /// Of all journals, at all losses of power.
    bytes_lost: u64,
    lives: u64,
}

/// The processes that others reach, and where.
type Peers = BTreeMap<NodeId, String>;

impl Hosts {
    /// Formatted, and running, on disks that do what they say or do not.
    async fn start(honest: bool) -> Hosts {
        let configs = configs();
        let mut servers = Vec::new();
        let mut listeners = Vec::new();
        for (index, config) in configs.iter().take(SERVERS).enumerate() {
            let folder = tempfile::tempdir().expect("a folder");
            drop(FileJournal::create(folder.path(), &Peer::format(config)).unwrap());
            // Not where connections come from: such a connection could have the port of a server without power.
            let listener = listen("127.0.0.3:0".parse().unwrap())
                .await
                .expect("a port");
            servers.push(Server {
                id: NodeId::from_index(index),
                platter: Platter::under(folder.path(), honest),
                folder,
                address: listener.local_addr().expect("an address"),
                life: None,
            });
            listeners.push(listener);
        }
        let mut hosts = Hosts {
            configs,
            servers,
            rng: Seed(1).stream(Purpose::Disk),
            bytes_lost: 0,
            lives: 0,
        };
        for (index, listener) in listeners.into_iter().enumerate() {
            hosts.run(index, listener);
        }
        hosts
    }

    fn peers(&self) -> Peers {
        let peers = self.servers.iter();
        peers
            .map(|server| (server.id, server.address.to_string()))
            .collect()
    }

    fn run(&mut self, index: usize, listener: TcpListener) {
        let mut peers = self.peers();
        let server = &mut self.servers[index];
        peers.remove(&server.id);
        let mut registry = Registry::default();
        let settings = NetworkSettings::default();
        let (network, mut inboxes) =
            Network::start(listener, &[server.id], peers, settings, &mut registry);
        self.lives += 1;
        let syncs = Syncs::To(server.platter.clone());
        let opened = FileJournal::open_with(server.folder.path(), syncs);
        let surroundings = Surroundings {
            id: server.id,
            seed: Seed(self.lives),
            network,
            inbox: inboxes.remove(0),
            journal: Some(opened.expect("its journal")),
        };
        let (handle, life) = host(self.configs[index].clone(), surroundings, &mut registry);
        server.life = Some((handle, tokio::spawn(life)));
    }

    /// Takes the power from some of them, all at the same time.
    async fn lose_power(&mut self, indices: &[usize]) {
        for index in indices {
            self.servers[*index].platter.lose_power(&mut self.rng);
        }
        for index in indices {
            let (_, life) = self.servers[*index].life.take().expect("it has power");
            life.abort();
            // Aborted, or ended by itself, as its disk does nothing any more.
            let _ = life.await;
        }
    }

    /// Gives it back.
    async fn regain_power(&mut self, indices: &[usize]) {
        for index in indices {
            let since = Instant::now();
            let server = &self.servers[*index];
            // What its last life has begun on a thread comes to nothing, but ends in its own time. So do its sockets.
            let (lost, listener) = loop {
                if let Ok(listener) = listen(server.address).await
                    && let Some(lost) = server.platter.regain_power()
                {
                    break (lost, listener);
                }
                assert!(since.elapsed() < PATIENCE, "its last life does not end");
                sleep(Duration::from_millis(5)).await;
            };
            self.bytes_lost += lost;
            self.run(*index, listener);
        }
    }
}

struct Shared {
    history: Mutex<History<Op, Ret>>,
    since: Instant,
    next_process: AtomicU64,
    stopped: AtomicBool,
    acknowledged: AtomicU64,
}

impl Shared {
    fn write_down(&self, write: impl FnOnce(&mut History<Op, Ret>, u64)) {
        let mut history = self.history.lock().unwrap();
        // Under the lock, so that events are in its order.
        let now_ns = u64::try_from(self.since.elapsed().as_nanos()).expect("584 years");
        write(&mut history, now_ns);
    }

    fn new_process(&self) -> ProcessId {
        ProcessId(self.next_process.fetch_add(1, Ordering::Relaxed))
    }
}

/// Whoever uses the servers, and writes down what it sees.
struct Client {
    shared: Arc<Shared>,
    node: Handle<Peer>,
    process: ProcessId,
}

impl Client {
    async fn perform(&mut self, op: Op) -> Option<Ret> {
        let (process, invoked) = (self.process, op.clone());
        self.shared
            .write_down(|history, now_ns| history.invoke(now_ns, process, invoked));
        let outcome = self.node.invoke(service::Op::Kv(asked(op))).await;
        match outcome {
            Outcome::Ok(service::Ret::Kv(ret)) => {
                let ret = answered(ret);
                let answer = ret.clone();
                self.shared
                    .write_down(|history, now_ns| history.ok(now_ns, process, answer));
                self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
                return Some(ret);
            }
            Outcome::Ok(other) => panic!("{other} is no answer of the store"),
            Outcome::Fail(_) => self
                .shared
                .write_down(|history, now_ns| history.fail(now_ns, process)),
            Outcome::Info => {
                self.shared
                    .write_down(|history, now_ns| history.info(now_ns, process));
                self.process = self.shared.new_process();
            }
        }
        None
    }

    async fn work(mut self, name: usize, mut rng: Rng) -> Client {
        let mut last = None;
        let mut written = 0;
        while !self.shared.stopped.load(Ordering::Relaxed) {
            let key = key(rng.index(KEYS));
            // No value is written twice, so that a read tells which write it saw.
            written += 1;
            let value = format!("{name}-{written}").into();
            let op = match (rng.below(10), last.take()) {
                (0..4, _) => Op::Put { key, value },
                (4..6, Some((key, expected))) => Op::CompareAndSet {
                    key,
                    expected,
                    value,
                },
                _ => Op::Get { key },
            };
            if let (Some(Ret::Value(value)), Op::Get { key }) = (self.perform(op.clone()).await, op)
            {
                last = Some((key, value));
            }
        }
        self
    }

    /// Reads all keys, and checks what all have seen until now.
    async fn finish(mut self) -> Verdict {
        for number in 0..KEYS {
            let since = Instant::now();
            while self.perform(Op::Get { key: key(number) }).await.is_none() {
                assert!(since.elapsed() < PATIENCE, "nobody answers");
            }
        }
        let history = self.shared.history.lock().unwrap();
        println!("{} events of clients", history.len());
        check(&KeyValue, &history, Budget::default()).expect("it makes sense")
    }
}

fn key(number: usize) -> Key {
    format!("k{number}").into()
}

fn asked(op: Op) -> kv::Op {
    match op {
        Op::Get { key } => kv::Op::Get { key },
        Op::Put { key, value } => kv::Op::put(key, value),
        Op::CompareAndSet {
            key,
            expected,
            value,
        } => kv::Op::CompareAndSet {
            key,
            expected,
            value,
        },
        Op::Append { .. } | Op::Delete { .. } => unreachable!("nobody asks for it"),
    }
}

fn answered(ret: kv::Ret) -> Ret {
    match ret {
        kv::Ret::Value(value) => Ret::Value(value),
        kv::Ret::Written => Ret::Written,
        kv::Ret::Swapped(swapped) => Ret::Swapped(swapped),
        other => panic!("{other:?} is no answer to what was asked"),
    }
}

struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<Client>,
}

impl Load {
    async fn start(hosts: &Hosts) -> Load {
        let shared = Arc::new(Shared {
            history: Mutex::new(History::new()),
            since: Instant::now(),
            next_process: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            acknowledged: AtomicU64::new(0),
        });
        let ids: Vec<NodeId> = (SERVERS..SERVERS + CLIENTS)
            .map(NodeId::from_index)
            .collect();
        let listener = listen("127.0.0.3:0".parse().unwrap())
            .await
            .expect("a port");
        let mut registry = Registry::default();
        let settings = NetworkSettings::default();
        let (network, inboxes) =
            Network::start(listener, &ids, hosts.peers(), settings, &mut registry);
        let mut clients = JoinSet::new();
        for ((name, id), inbox) in ids.into_iter().enumerate().zip(inboxes) {
            let surroundings = Surroundings {
                id,
                seed: Seed(name as u64),
                network: network.clone(),
                inbox,
                journal: None,
            };
            let (node, life) = host(
                hosts.configs[id.index()].clone(),
                surroundings,
                &mut registry,
            );
            tokio::spawn(life);
            let client = Client {
                process: shared.new_process(),
                shared: shared.clone(),
                node,
            };
            let rng = Seed(1).stream(Purpose::Workload(name as u32));
            clients.spawn(client.work(name, rng));
        }
        Load { shared, clients }
    }

    /// Waits until so many more operations have been answered.
    async fn goes_on(&self, operations: u64) {
        let answered = || self.shared.acknowledged.load(Ordering::Relaxed);
        let (goal, since) = (answered() + operations, Instant::now());
        while answered() < goal {
            assert!(
                since.elapsed() < PATIENCE,
                "{} are missing",
                goal - answered()
            );
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Stops the clients. One of them stays.
    async fn stop(mut self) -> Client {
        self.shared.stopped.store(true, Ordering::Relaxed);
        let mut last = None;
        while let Some(client) = self.clients.join_next().await {
            last = Some(client.expect("clients do not panic"));
        }
        last.expect("there are clients")
    }
}

const ALL: [usize; SERVERS] = [0, 1, 2];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_acknowledged_is_lost_with_the_power() {
    let mut hosts = Hosts::start(true).await;
    let load = Load::start(&hosts).await;
    load.goes_on(100).await;
    for round in 0..3 {
        for index in ALL {
            hosts.lose_power(&[index]).await;
            load.goes_on(20).await;
            hosts.regain_power(&[index]).await;
            load.goes_on(20).await;
        }
        // And while those that were without power are still behind, and all have something in hand.
        sleep(Duration::from_millis(10 * round)).await;
        hosts.lose_power(&ALL).await;
        hosts.regain_power(&ALL).await;
        load.goes_on(50).await;
    }
    let last = load.stop().await;
    hosts.lose_power(&ALL).await;
    hosts.regain_power(&ALL).await;
    assert_eq!(last.finish().await, Verdict::Valid);
    assert!(
        hosts.bytes_lost > 0,
        "everything was synced: this shows nothing"
    );
}

/// The same on disks whose syncs do nothing: that is noticed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_syncs_it_is_lost() {
    let mut hosts = Hosts::start(false).await;
    let load = Load::start(&hosts).await;
    load.goes_on(100).await;
    let last = load.stop().await;
    hosts.lose_power(&ALL).await;
    hosts.regain_power(&ALL).await;
    let verdict = last.finish().await;
    assert!(matches!(verdict, Verdict::Invalid(_)), "{verdict:?}");
}
