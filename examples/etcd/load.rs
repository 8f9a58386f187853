//! Clients that use the servers, and write down what they see.

use crate::gateway::{Came, Gateway, Nonsense};
use crate::{Mistake, Settings};
use splitbrain_check::models::key_value::{Key, Op, Ret, Value};
use splitbrain_check::{History, ProcessId};
use splitbrain_core::{Purpose, Rng};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long a client waits for an answer: longer than a pause, so that it hears what a server says that was paused.
const ANSWER: Duration = Duration::from_secs(3);
/// How long a client does nothing that was not answered.
const BACKOFF: Duration = Duration::from_millis(50);
/// The longest that a client thinks before it asks again. A machine that does nothing else would only make a longer history.
const THINK_MS_MAX: u64 = 10;

/// The time as it stands in a history: since its beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn now_ns(self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// What all clients share.
struct Shared {
    history: Mutex<History<Op, Ret>>,
    clock: Clock,
    next_process: AtomicU64,
    stopped: AtomicBool,
    servers: Vec<String>,
    keys: Vec<Key>,
    mistake: Option<Mistake>,
}

impl Shared {
    fn new_process(&self) -> ProcessId {
        ProcessId(self.next_process.fetch_add(1, Ordering::Relaxed))
    }

    /// Adds to the history. The time is taken under the lock, so that events are in its order.
    fn write_down(&self, write: impl FnOnce(&mut History<Op, Ret>, u64)) {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ns = self.clock.now_ns();
        write(&mut history, now_ns);
    }
}

/// One of those that use the servers.
struct Client {
    shared: Arc<Shared>,
    /// The one that it asks.
    server: usize,
    gateway: Option<Gateway>,
    /// Who it is in the history: somebody else after an operation of which nobody knows what became.
    process: ProcessId,
}

impl Client {
    fn new(shared: Arc<Shared>, server: usize) -> Client {
        Client {
            process: shared.new_process(),
            shared,
            server,
            gateway: None,
        }
    }

    /// Has an operation done, and writes down what came of it.
    async fn perform(&mut self, op: Op) -> Result<Came, Nonsense> {
        let process = self.process;
        let invoked = op.clone();
        self.shared
            .write_down(|history, now_ns| history.invoke(now_ns, process, invoked));
        let mut came = match timeout(ANSWER, self.ask(&op)).await {
            Ok(came) => came?,
            Err(_) if matches!(op, Op::Get { .. }) => Came::Not,
            Err(_) => Came::Unknown,
        };
        if !matches!(came, Came::Ok(_)) {
            self.gateway = None;
            if self.shared.mistake == Some(Mistake::IgnoredErrors) && matches!(op, Op::Put { .. }) {
                came = Came::Ok(Ret::Written);
            }
        }
        self.shared.write_down(|history, now_ns| match &came {
            Came::Ok(ret) => history.ok(now_ns, process, ret.clone()),
            Came::Not => history.fail(now_ns, process),
            Came::Unknown => history.info(now_ns, process),
        });
        if matches!(came, Came::Unknown) {
            self.process = self.shared.new_process();
        }
        Ok(came)
    }

    async fn ask(&mut self, op: &Op) -> Result<Came, Nonsense> {
        let open = match self.gateway.take() {
            Some(open) => Some(open),
            None => Gateway::to(&self.shared.servers[self.server]).await,
        };
        let Some(mut open) = open else {
            return Ok(Came::Not);
        };
        let stale_reads = self.shared.mistake == Some(Mistake::StaleReads);
        let came = open.ask(op, stale_reads).await?;
        self.gateway = Some(open);
        Ok(came)
    }

    /// Asks for one thing after the other.
    async fn work(mut self, name: u8, mut rng: Rng) -> Result<(), Nonsense> {
        // What was read last, and where: it is often tried to be changed.
        let mut last: Option<(Key, Option<Value>)> = None;
        let mut written = 0;
        while !self.shared.stopped.load(Ordering::Relaxed) {
            let key = self.shared.keys[rng.index(self.shared.keys.len())].clone();
            // No value is written twice, so that a read tells which write it saw.
            written += 1;
            let value: Value = format!("{name}-{written}").into();
            let op = match (rng.below(10), last.take()) {
                (0..2, _) => Op::Put { key, value },
                (2..5, Some((key, expected))) => Op::CompareAndSet {
                    key,
                    expected,
                    value,
                },
                _ => Op::Get { key },
            };
            match (self.perform(op.clone()).await?, op) {
                (Came::Ok(Ret::Value(value)), Op::Get { key }) => last = Some((key, value)),
                (Came::Ok(_), _) => {}
                (Came::Not | Came::Unknown, _) => {
                    self.server = (self.server + 1) % self.shared.servers.len();
                    sleep(BACKOFF).await;
                }
            }
            sleep(Duration::from_millis(rng.below(THINK_MS_MAX))).await;
        }
        Ok(())
    }

    /// Reads until there is an answer, or it has taken too long.
    async fn read(&mut self, key: &Key) -> Result<(), Nonsense> {
        for _ in 0..10 {
            let op = Op::Get { key: key.clone() };
            if let Came::Ok(_) = self.perform(op).await? {
                return Ok(());
            }
            sleep(BACKOFF).await;
        }
        // It is in the history that there was none.
        Ok(())
    }
}

/// Clients at work.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<Result<(), Nonsense>>,
}

impl Load {
    pub(crate) fn start(servers: Vec<String>, settings: &Settings) -> Load {
        let shared = Arc::new(Shared {
            history: Mutex::new(History::new()),
            clock: Clock(Instant::now()),
            next_process: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            keys: (0..settings.keys)
                .map(|key| format!("k{key}").into())
                .collect(),
            mistake: settings.mistake,
            servers,
        });
        let mut clients = JoinSet::new();
        for name in 0..settings.clients {
            let rng = settings.seed.stream(Purpose::Workload(name.into()));
            let server = usize::from(name) % shared.servers.len();
            clients.spawn(Client::new(shared.clone(), server).work(name, rng));
        }
        Load { shared, clients }
    }

    pub(crate) fn clock(&self) -> Clock {
        self.shared.clock
    }

    /// Waits until a client is told nonsense.
    pub(crate) async fn failed(&mut self) -> Nonsense {
        while let Some(ended) = self.clients.join_next().await {
            if let Err(nonsense) = ended.expect("clients do not panic, and nobody ends them") {
                return nonsense;
            }
        }
        std::future::pending().await
    }

    /// Stops the clients, and has each key read at every server. Gives what all of them have seen.
    pub(crate) async fn finish(mut self) -> Result<History<Op, Ret>, Nonsense> {
        self.shared.stopped.store(true, Ordering::Relaxed);
        while let Some(ended) = self.clients.join_next().await {
            ended.expect("clients do not panic, and nobody ends them")?;
        }
        for server in 0..self.shared.servers.len() {
            let mut client = Client::new(self.shared.clone(), server);
            for key in &self.shared.keys {
                client.read(key).await?;
            }
        }
        let history = &self.shared.history;
        Ok(std::mem::take(
            &mut history.lock().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}
