//! Clients that use the servers, and write down what they see.

use hyper::Method;
use splitbrain_check::models::key_value::{Key, KeyValue, Op, Ret, Value};
use splitbrain_check::{Budget, History, ProcessId, Verdict, check};
use splitbrain_core::{Purpose, Rng, Seed};
use splitbrain_server::request::{Connection, RequestError};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long a client waits for an answer.
const ANSWER: Duration = Duration::from_secs(6);
/// Keys that all clients use. Each has one of its own, too.
const SHARED_KEYS: usize = 5;

/// What came of an operation.
enum Came {
    Ok(Ret),
    /// It certainly did not happen.
    Not,
    Unknown,
}

struct Shared {
    history: Mutex<History<Op, Ret>>,
    since: Instant,
    next_process: AtomicU64,
    stopped: AtomicBool,
    acknowledged: AtomicU64,
    servers: Vec<String>,
}

impl Shared {
    fn now_ns(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_nanos()).expect("584 years")
    }

    /// Performs an operation and writes down what came of it. The time is taken under the lock, so that events are in its order.
    async fn perform(
        &self,
        process: &mut ProcessId,
        connection: &mut Option<Connection>,
        server: &str,
        op: Op,
    ) -> Came {
        {
            let mut history = self.history.lock().unwrap();
            history.invoke(self.now_ns(), *process, op.clone());
        }
        let came = match timeout(ANSWER, ask(connection, server, &op)).await {
            Ok(came) => came,
            Err(_) => Came::Unknown,
        };
        if !matches!(came, Came::Ok(_)) {
            *connection = None;
        }
        let mut history = self.history.lock().unwrap();
        let now_ns = self.now_ns();
        match &came {
            Came::Ok(ret) => {
                history.ok(now_ns, *process, ret.clone());
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Came::Not => history.fail(now_ns, *process),
            Came::Unknown => {
                history.info(now_ns, *process);
                *process = self.new_process();
            }
        }
        came
    }

    fn new_process(&self) -> ProcessId {
        ProcessId(self.next_process.fetch_add(1, Ordering::Relaxed))
    }
}

async fn ask(connection: &mut Option<Connection>, server: &str, op: &Op) -> Came {
    let mut open = match connection.take() {
        Some(open) => open,
        None => match Connection::to(server).await {
            Ok(open) => open,
            Err(_) => return Came::Not,
        },
    };
    let (method, path, body) = match op {
        Op::Get { key } => (Method::GET, format!("/v1/keys/{key}"), String::new()),
        Op::Put { key, value } => (Method::PUT, format!("/v1/keys/{key}"), value.to_string()),
        Op::Delete { key } => (Method::DELETE, format!("/v1/keys/{key}"), String::new()),
        Op::CompareAndSet {
            key,
            expected,
            value,
        } => {
            let op = serde_json::json!({"compare-and-set": {"key": key, "expected": expected, "value": value}});
            (Method::POST, "/v1/operations".to_owned(), op.to_string())
        }
        Op::Append { .. } => {
            unreachable!("the store has no such operation, and nobody asks for it")
        }
    };
    let answer = match open.ask(method, &path, body).await {
        Ok(answer) => answer,
        Err(RequestError::NotSent { .. }) => return Came::Not,
        Err(RequestError::NoAnswer { .. }) => return Came::Unknown,
    };
    *connection = Some(open);
    let ret = match (op, answer.status) {
        (_, 503) => return Came::Not,
        (_, 504) => return Came::Unknown,
        (Op::Get { .. }, 200) => Ret::Value(Some(answer.body.into())),
        (Op::Get { .. }, 404) => Ret::Value(None),
        (Op::Put { .. }, 204) => Ret::Written,
        (Op::Delete { .. }, 204) => Ret::Deleted(true),
        (Op::Delete { .. }, 404) => Ret::Deleted(false),
        (Op::CompareAndSet { .. }, 200) => {
            let json: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
            Ret::Swapped(json["swapped"].as_bool().expect("whether it was swapped"))
        }
        _ => panic!("{op:?} is answered with {answer:?}"),
    };
    Came::Ok(ret)
}

/// What a client knows of the key that only it writes.
#[derive(Clone, Debug, Default)]
struct Own {
    /// The last number that was acknowledged.
    acknowledged: u64,
    /// The last one that it has tried to write.
    tried: u64,
}

/// Clients at work.
pub(super) struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<(Key, Own)>,
}

impl Load {
    pub(super) fn start(servers: Vec<String>, clients: u32, seed: u64) -> Load {
        let shared = Arc::new(Shared {
            history: Mutex::new(History::new()),
            since: Instant::now(),
            next_process: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            acknowledged: AtomicU64::new(0),
            servers,
        });
        let mut load = Load {
            shared: shared.clone(),
            clients: JoinSet::new(),
        };
        for client in 0..clients {
            let rng = Seed(seed).stream(Purpose::Workload(client));
            load.clients.spawn(work(shared.clone(), client, rng));
        }
        load
    }

    /// How many operations were answered until now.
    pub(super) fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until so many more operations have been answered: whatever was done, the servers go on.
    pub(super) async fn goes_on(&self, operations: u64) {
        let goal = self.acknowledged() + operations;
        let since = Instant::now();
        while self.acknowledged() < goal {
            let missing = goal - self.acknowledged();
            assert!(
                since.elapsed() < super::cluster::PATIENCE,
                "{missing} of {operations} operations are not answered"
            );
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Stops the clients, reads every key at every server, and checks all of it.
    ///
    /// # Panics
    /// If something acknowledged is lost, or the history is not linearizable.
    pub(super) async fn finish(mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        let mut own = BTreeMap::new();
        while let Some(ended) = self.clients.join_next().await {
            let (key, known) = ended.expect("clients do not panic");
            own.insert(key, known);
        }
        let keys: Vec<Key> = (0..SHARED_KEYS)
            .map(shared_key)
            .chain(own.keys().cloned())
            .collect();
        for server in &self.shared.servers {
            let (mut process, mut connection) = (self.shared.new_process(), None);
            for key in &keys {
                let value = self.read(&mut process, &mut connection, server, key).await;
                let Some(own) = own.get(key) else {
                    continue;
                };
                let found: u64 = value.map_or(0, |value| value.parse().expect("a number"));
                assert!(
                    (own.acknowledged..=own.tried).contains(&found),
                    "{server}: {key} is {found}, and should be from {own:?}"
                );
            }
        }
        let history = self.shared.history.lock().unwrap();
        let budget = Budget { steps: 200_000_000 };
        let verdict = check(&KeyValue, &history, budget).expect("it makes sense");
        assert!(matches!(verdict, Verdict::Valid), "{verdict:?}");
        println!(
            "{} events of clients, {} operations answered: linearizable",
            history.len(),
            self.acknowledged()
        );
    }

    async fn read(
        &self,
        process: &mut ProcessId,
        connection: &mut Option<Connection>,
        server: &str,
        key: &Key,
    ) -> Option<Value> {
        let since = Instant::now();
        loop {
            let op = Op::Get { key: key.clone() };
            let read = self.shared.perform(process, connection, server, op).await;
            if let Came::Ok(Ret::Value(value)) = read {
                return value;
            }
            assert!(
                since.elapsed() < super::cluster::PATIENCE,
                "{server} does not answer a read of {key}"
            );
            sleep(Duration::from_millis(20)).await;
        }
    }
}

fn shared_key(number: usize) -> Key {
    format!("k{number}").into()
}

async fn work(shared: Arc<Shared>, client: u32, mut rng: Rng) -> (Key, Own) {
    let own_key: Key = format!("own-{client}").into();
    let mut own = Own::default();
    let (mut process, mut connection) = (shared.new_process(), None);
    let mut server = client as usize % shared.servers.len();
    // What was read last, and where: it is often tried to be changed.
    let mut last: Option<(Key, Option<Value>)> = None;
    let mut unique = 0;
    while !shared.stopped.load(Ordering::Relaxed) {
        unique += 1;
        let value: Value = format!("{client}-{unique}").into();
        let key = shared_key(rng.index(SHARED_KEYS));
        let op = match (rng.below(10), last.take()) {
            (0..3, _) => {
                own.tried += 1;
                Op::Put {
                    key: own_key.clone(),
                    value: own.tried.to_string().into(),
                }
            }
            (3, _) => Op::Delete { key },
            (4, _) => Op::Put { key, value },
            (5..8, Some((key, expected))) => Op::CompareAndSet {
                key,
                expected,
                value,
            },
            _ => Op::Get { key },
        };
        let asked = &shared.servers[server];
        let came = shared.perform(&mut process, &mut connection, asked, op.clone());
        match (came.await, op) {
            (Came::Ok(Ret::Value(value)), Op::Get { key }) => last = Some((key, value)),
            (Came::Ok(_), Op::Put { key, .. }) if key == own_key => own.acknowledged = own.tried,
            (Came::Ok(_), _) => {}
            (Came::Not | Came::Unknown, _) => {
                server = (server + 1) % shared.servers.len();
                sleep(Duration::from_millis(20)).await;
            }
        }
        // Between operations people think; and a machine that does nothing else would only make a longer history.
        sleep(Duration::from_millis(rng.below(8))).await;
    }
    (own_key, own)
}
