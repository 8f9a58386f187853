//! One node, driven: events in, one after the other, and effects out, in their order, as the kernel does it
//! (`sim/src/world/effects.rs`).
//!
//! One task owns the node. What is appended goes into a batch; when a sync is called and the disk is free, the batch goes to a blocking
//! thread, and everything that happens meanwhile goes into the next one: many syncs share one `fsync`. Output behind a sync is
//! held until it is durable.

mod effects;
mod handle;
mod pending;

use crate::journal::FileJournal;
use crate::metrics::NodeMetrics;
use crate::network::{Inbox, Network};
use effects::Held;
pub use handle::Handle;
use handle::{Command, Reply};
use pending::{Pending, Writing};
use prometheus_client::registry::Registry;
use serde::Serialize;
use serde::de::DeserializeOwned;
use splitbrain_core::{
    Context, Effect, Journal, Node, NodeId, OpId, Outcome, Purpose, Rng, Seed, SyncId, Time,
};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::SystemTime;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::{Instrument, info, info_span};

/// How many messages and operations are taken between two looks at the timers.
const ROUND: usize = 256;

/// What a node needs besides its configuration.
#[derive(Debug)]
pub struct Surroundings<N: Node> {
    /// Which node it is.
    pub id: NodeId,
    /// What its [own randomness](Context::rng) comes from: another seed in each life.
    pub seed: Seed,
    /// The way to the others.
    pub network: Network<N::Message>,
    /// What comes from them.
    pub inbox: Inbox<N::Message>,
    /// Its disk, and what was found on it. A node that writes nothing, a client, needs none.
    pub journal: Option<(FileJournal, Journal<N::Record>)>,
}

/// How a node has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Somebody has [stopped](Handle::stop) it, or nobody has a handle of it any more. What it had written is durable.
    Stopped,
    /// It has ended itself, and why.
    Halted(String),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Stopped => f.write_str("stopped"),
            Ended::Halted(why) => write!(f, "ended itself: {why}"),
        }
    }
}

/// Starts a node: gives its handle, and the life of it, to be spawned or awaited. It starts when that is first polled.
pub fn host<N>(
    config: N::Config,
    surroundings: Surroundings<N>,
    registry: &mut Registry,
) -> (Handle<N>, impl Future<Output = Ended> + Send + use<N>)
where
    N: Node<
            Message: Serialize + DeserializeOwned + Send + 'static,
            Record: Serialize + Send + 'static,
            Timer: Send,
            Op: Send,
            Ret: Send,
            Config: Send,
        > + Send
        + 'static,
{
    let (sender, commands) = mpsc::channel(ROUND);
    let id = surroundings.id;
    let node = registry.sub_registry_with_label(("node".into(), id.to_string().into()));
    let metrics = NodeMetrics::register(node);
    let life = async move {
        let mut running = Running::start(&config, surroundings, commands, metrics);
        let ended = running.live().await;
        info!(how = %ended, "the node has ended");
        ended
    };
    (
        Handle::new(sender),
        life.instrument(info_span!("node", %id)),
    )
}

struct Running<N: Node> {
    id: NodeId,
    /// `None` only while it starts.
    node: Option<N>,
    rng: Rng,
    next_sync: SyncId,
    effects: Vec<Effect<N>>,
    notes: Vec<String>,
    /// One slot for each kind.
    timers: BTreeMap<N::Timer, Instant>,
    /// Output behind syncs that are not durable yet. Invariant: empty, or the first is a barrier.
    outbox: VecDeque<Held<N>>,
    pending: Pending,
    writing: Writing,
    /// Who waits for the end of which operation.
    open: BTreeMap<OpId, Reply<N::Ret>>,
    next_op: OpId,
    halted: Option<String>,
    started: Instant,
    role: &'static str,
    network: Network<N::Message>,
    inbox: Inbox<N::Message>,
    commands: mpsc::Receiver<Command<N>>,
    metrics: NodeMetrics,
}

/// What a node waits for.
enum Woken<N: Node> {
    /// The disk is done with a batch.
    Written(pending::Written),
    Message(NodeId, N::Message),
    Command(Option<Command<N>>),
    Timer,
}

impl<N> Running<N>
where
    N: Node<Message: Send + 'static, Record: Serialize>,
{
    fn start(
        config: &N::Config,
        surroundings: Surroundings<N>,
        commands: mpsc::Receiver<Command<N>>,
        metrics: NodeMetrics,
    ) -> Running<N> {
        let Surroundings {
            id,
            seed,
            network,
            inbox,
            journal,
        } = surroundings;
        let (disk, found) = match journal {
            Some((disk, found)) => (Some(disk), found),
            None => (None, Journal::empty()),
        };
        for (position, damage) in found.damage() {
            tracing::warn!(position, %damage, "a record of the journal cannot be read");
        }
        let node = Purpose::Node {
            node: id,
            incarnation: 0,
        };
        let mut running = Running {
            id,
            node: None,
            rng: seed.stream(node),
            next_sync: SyncId(0),
            effects: Vec::new(),
            notes: Vec::new(),
            timers: BTreeMap::new(),
            outbox: VecDeque::new(),
            pending: Pending::default(),
            writing: Writing::new(disk),
            open: BTreeMap::new(),
            next_op: OpId(0),
            halted: None,
            started: Instant::now(),
            role: "",
            network,
            inbox,
            commands,
            metrics,
        };
        running.enter(|node, cx| *node = Some(N::start(config, found, cx)));
        running
    }

    async fn live(&mut self) -> Ended {
        loop {
            if let Some(why) = self.halted.take() {
                return Ended::Halted(why);
            }
            self.write();
            match self.wait().await {
                Woken::Written(written) => self.written(written),
                Woken::Message(from, message) => self.message(from, message),
                Woken::Command(Some(command)) => {
                    if !self.obey(command) {
                        return self.stop().await;
                    }
                }
                Woken::Command(None) => return self.stop().await,
                Woken::Timer => {}
            }
            self.fire_timers();
            for _ in 0..ROUND {
                if self.halted.is_some() {
                    break;
                }
                let Ok((from, message)) = self.inbox.try_recv() else {
                    break;
                };
                self.message(from, message);
            }
            for _ in 0..ROUND {
                if self.halted.is_some() {
                    break;
                }
                let Ok(command) = self.commands.try_recv() else {
                    break;
                };
                if !self.obey(command) {
                    return self.stop().await;
                }
            }
        }
    }

    /// What happens next. In a fixed order where several things have happened, so that a simulated host is deterministic;
    /// nothing starves, as all have their turn before the next wait.
    async fn wait(&mut self) -> Woken<N> {
        let deadline = self.timers.values().min().copied();
        let reached = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            written = self.writing.done() => Woken::Written(written),
            Some((from, message)) = self.inbox.recv() => Woken::Message(from, message),
            command = self.commands.recv() => Woken::Command(command),
            () = reached => Woken::Timer,
        }
    }

    /// Returns whether the node is to go on.
    fn obey(&mut self, command: Command<N>) -> bool {
        match command {
            Command::Invoke { op, reply } => {
                let id = self.next_op;
                self.next_op.0 += 1;
                self.open.insert(id, reply);
                self.call(|node, cx| node.on_invoke(id, op, cx));
            }
            Command::Look(look) => look(self.node.as_ref()),
            Command::Stop => return false,
        }
        true
    }

    fn message(&mut self, from: NodeId, message: N::Message) {
        self.call(|node, cx| node.on_message(from, message, cx));
    }

    /// Those that are due, in the order of their deadlines.
    fn fire_timers(&mut self) {
        let now = Instant::now();
        while self.halted.is_none()
            && let Some((at, timer)) = self.timers.iter().map(|(timer, at)| (*at, *timer)).min()
            && at <= now
        {
            self.timers.remove(&timer);
            self.call(|node, cx| node.on_timer(timer, cx));
        }
    }

    /// Makes durable what was written, lets out what waited for it, and ends. What does not become durable in this way is lost, as
    /// with a crash.
    async fn stop(&mut self) -> Ended {
        self.pending.sync_all();
        loop {
            self.write();
            if !self.writing.is_busy() {
                return match self.halted.take() {
                    Some(why) => Ended::Halted(why),
                    None => Ended::Stopped,
                };
            }
            let written = self.writing.done().await;
            self.written(written);
        }
    }

    /// Calls a handler, and carries out what it did.
    fn call(&mut self, handler: impl FnOnce(&mut N, &mut Context<'_, N>)) {
        self.metrics.events.inc();
        self.enter(|node, cx| {
            if let Some(node) = node {
                handler(node, cx);
            }
        });
    }

    fn enter(&mut self, handler: impl FnOnce(&mut Option<N>, &mut Context<'_, N>)) {
        let elapsed = self.started.elapsed();
        let now = Time::ZERO + elapsed;
        // Before 1970 it is 1970. A node may not rely on it anyway.
        let wall_clock = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let notes = tracing::enabled!(tracing::Level::INFO).then_some(&mut self.notes);
        let mut cx = Context::new(
            self.id,
            now,
            &mut self.rng,
            &mut self.next_sync,
            &mut self.effects,
            notes,
        )
        .with_wall_clock(Time::ZERO + wall_clock);
        handler(&mut self.node, &mut cx);
        for words in self.notes.drain(..) {
            info!("{words}");
        }
        self.carry_out();
        if let Some(node) = &self.node {
            let role = node.role();
            if role != self.role {
                self.metrics.role(self.role, role);
                self.role = role;
            }
            self.metrics
                .progress
                .set(i64::try_from(node.progress()).unwrap_or(i64::MAX));
        }
    }

    /// Ends an operation; a second end is ignored.
    fn end_op(&mut self, id: OpId, outcome: Outcome<N::Ret>) {
        if let Some(reply) = self.open.remove(&id) {
            // Whoever has asked may not wait any more.
            let _ = reply.send(outcome);
        }
    }
}

#[cfg(test)]
mod tests;
