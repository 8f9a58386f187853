//! The event kernel: a cluster of nodes, a network, disks, and virtual time.
//!
//! A [`World`] is a pure function of its seed, its configuration and what is done to it ([`invoke`](World::invoke),
//! crash, partition). It knows no scenario, nemesis or checker; [`run`](crate::run) composes those.

mod clock;
mod digest;
mod disk;
mod effects;
mod events;
mod faults;
mod links;
mod point;
pub(crate) mod probes;
mod process;
mod queue;
mod stats;
mod timers;
mod trace;

pub use digest::Digest;
pub use disk::{Disk, Mark, Unsynced};
pub use faults::FaultId;
pub use point::Point;
pub use stats::Stats;
pub use trace::{Trace, TraceDetail, TraceEvent, What};

use crate::network::{Delays, Latency, LinkProfile, Network};
use crate::panics;
use effects::Sent;
use point::Armed;
use process::Process;
use queue::{Position, Queue, Slot};
use splitbrain_check::{History, ProcessId};
use splitbrain_core::{
    Cluster, Effect, Links, Node, NodeId, OpId, Outcome, Purpose, Seed, Status, SyncError, Time,
    Violation,
};

/// Something that watches the cluster after every event: a set of invariants, or nothing (`()`).
pub trait Observer<N: Node> {
    /// Looks at the cluster after an event at `touched`.
    ///
    /// # Errors
    /// The property that is violated, which ends the run.
    fn observe(&mut self, cluster: Cluster<'_, N>, touched: NodeId) -> Result<(), Violation>;
}

impl<N: Node> Observer<N> for () {
    #[inline]
    fn observe(&mut self, _: Cluster<'_, N>, _: NodeId) -> Result<(), Violation> {
        Ok(())
    }
}

impl<N: Node> Observer<N> for Vec<Box<dyn splitbrain_core::Invariant<N>>> {
    #[inline]
    fn observe(&mut self, cluster: Cluster<'_, N>, touched: NodeId) -> Result<(), Violation> {
        self.iter_mut()
            .try_for_each(|invariant| invariant.observe(cluster, touched))
    }
}

/// Why [`World::run_until`] came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Nothing more is due by the given time, which it now is.
    Time,
    /// One or more operations ended: see [`World::take_ended`].
    Ended,
    /// The observer found a violation.
    Violation(Violation),
    /// A handler of this node panicked. The node is down; nothing that its handler did has happened.
    Panic {
        /// The node.
        node: NodeId,
        /// The panic's message, and where in the source it was raised.
        message: String,
    },
    /// So many events happened at one instant of virtual time that the cluster must be looping without time passing.
    Livelock {
        /// The node of the last event.
        node: NodeId,
        /// How many events there were at this instant.
        events: u32,
    },
    /// So much happened, or is to happen, that the run is given up.
    Exhausted {
        /// How many events there were.
        events: u64,
        /// How many wait.
        waiting: usize,
    },
}

/// How an operation ended: what [`World::take_ended`] returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended<Ret> {
    /// The process that asked.
    pub process: ProcessId,
    /// What it was told.
    pub outcome: Outcome<Ret>,
}

/// What a world is made of, besides its nodes.
#[derive(Clone, Copy, Debug)]
pub struct WorldConfig {
    /// Every link.
    pub links: LinkProfile,
    /// How long a `sync` takes.
    pub sync_latency: Latency,
    /// More events than this at one instant of virtual time are a livelock.
    pub events_per_instant_max: u32,
    /// After so many events the run is [given up](Stop::Exhausted): a typing error in a scenario must not take for ever.
    pub events_max: u64,
    /// The same if so many wait in the queue: that is what takes memory.
    pub waiting_max: usize,
}

/// Messages take 1 to 10 ms, a sync takes half a millisecond to two.
impl Default for WorldConfig {
    fn default() -> WorldConfig {
        let us = |us| crate::Span(std::time::Duration::from_micros(us));
        WorldConfig {
            links: LinkProfile::default(),
            sync_latency: Latency::uniform(us(500), us(2000)),
            events_per_instant_max: 100_000,
            events_max: 50_000_000,
            waiting_max: 2_000_000,
        }
    }
}

/// An event that waits in the queue. Every one names the incarnation it is for, and is dropped if that is over: nothing
/// from before a crash reaches the node after it.
#[derive(Clone, Debug)]
enum Event<N: Node> {
    Start {
        node: NodeId,
        incarnation: u32,
    },
    Deliver {
        from: NodeId,
        to: NodeId,
        incarnation: u32,
        message: N::Message,
    },
    Timer {
        node: NodeId,
        incarnation: u32,
        slot: u32,
    },
    Synced {
        node: NodeId,
        incarnation: u32,
        mark: Mark,
    },
    /// A sync that failed while its process could not be told.
    SyncFailed {
        node: NodeId,
        incarnation: u32,
        error: SyncError,
    },
    Invoke {
        node: NodeId,
        incarnation: u32,
        id: OpId,
        op: N::Op,
    },
    /// The process looks at what has arrived while it was paused or busy.
    Wake {
        node: NodeId,
        incarnation: u32,
    },
    /// A message that was cut in flight; its slot is freed when its time comes.
    Cut,
}

#[derive(Clone, Copy, Debug)]
struct OpenOp {
    id: OpId,
    process: ProcessId,
    node: NodeId,
}

/// A cluster of nodes in virtual time. Cloning it forks the run.
#[derive(Clone, Debug)]
pub struct World<N: Node> {
    seed: Seed,
    now: Time,
    queue: Queue<Event<N>>,
    /// The states of the nodes; `None` is down. Apart from the processes, so that a [`Cluster`] can be lent.
    nodes: Vec<Option<N>>,
    status: Vec<Status>,
    processes: Vec<Process<N>>,
    links: Links,
    network: Network,
    sync_delays: Delays,
    disk_key: u64,
    events_per_instant_max: u32,
    events_max: u64,
    waiting_max: usize,
    /// The number of events at which these two are looked at next.
    look_at: u64,
    events_this_instant: u32,
    next_op: u64,
    open: Vec<OpenOp>,
    ended: Vec<Ended<N::Ret>>,
    history: History<N::Op, N::Ret>,
    digest: Digest,
    stats: Stats,
    /// How often each probe was reached: those of the nodes, then those of the kernel.
    probes: Vec<u64>,
    /// Scratch space of a handler call, kept for its capacity.
    effects: Vec<Effect<N>>,
    notes: Vec<String>,
    trace: Option<Trace>,
    /// Nodes that were crashed, paused or resumed since the observer last looked.
    disturbed: Vec<NodeId>,
    /// The node whose handler is running: who is to blame for a panic.
    running: Option<NodeId>,
    /// Crashes that wait for a node to reach a point.
    armed: Vec<Armed>,
    next_fault: u32,
    /// What is held at clogged links, in the order in which it was sent.
    clogged: Vec<Sent<N>>,
    /// Whether any clock, slow process or armed crash makes a handler call more than that. Once it is, it stays.
    unusual: bool,
    /// The entry of a backlog that is to be handled next.
    instead: Option<(Position, Slot)>,
}

impl<N: Node> World<N> {
    /// A world in which a node with each of these configurations starts at time zero, named n1, n2, .. in order.
    pub fn new(
        seed: Seed,
        config: &WorldConfig,
        nodes: impl IntoIterator<Item = N::Config>,
    ) -> Self {
        let processes: Vec<Process<N>> = nodes.into_iter().map(Process::new).collect();
        let count = processes.len();
        let mut world = World {
            seed,
            now: Time::ZERO,
            queue: Queue::new(),
            nodes: (0..count).map(|_| None).collect(),
            status: vec![Status::Down; count],
            processes,
            links: Links::whole(count),
            network: Network::new(seed, count, &config.links),
            sync_delays: Delays::new(&config.sync_latency),
            disk_key: seed.key(Purpose::Disk),
            events_per_instant_max: config.events_per_instant_max,
            events_max: config.events_max,
            waiting_max: config.waiting_max,
            look_at: 0,
            events_this_instant: 0,
            next_op: 0,
            open: Vec::new(),
            ended: Vec::new(),
            history: History::new(),
            digest: Digest::new(),
            stats: Stats::default(),
            probes: probes::unreached::<N>(),
            effects: Vec::new(),
            notes: Vec::new(),
            trace: None,
            disturbed: Vec::new(),
            running: None,
            armed: Vec::new(),
            next_fault: 0,
            clogged: Vec::new(),
            unusual: false,
            instead: None,
        };
        for index in 0..count {
            world.restart(NodeId::from_index(index));
        }
        world
    }

    /// Writes down what happens from now on. Changes nothing of what happens.
    pub fn trace(&mut self, detail: TraceDetail) {
        self.trace = Some(Trace::new(detail));
    }

    /// What was written down since [`trace`](World::trace) was called.
    pub fn take_trace(&mut self) -> Option<Trace> {
        self.trace.take()
    }

    /// Virtual time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// All nodes, as an omniscient observer sees them.
    pub fn cluster(&self) -> Cluster<'_, N> {
        Cluster::new(self.now, &self.nodes, &self.status, &self.links)
    }

    /// Every operation so far.
    pub fn history(&self) -> &History<N::Op, N::Ret> {
        &self.history
    }

    /// Every operation, at the end.
    pub fn into_history(self) -> History<N::Op, N::Ret> {
        self.history
    }

    /// What has happened so far, counted.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// One number for everything that happened so far.
    pub fn digest(&self) -> u64 {
        self.digest.finish()
    }

    /// Begins an operation at a node, as this process, now. The process must have none open. If the node is down the
    /// operation fails at once.
    pub fn invoke(&mut self, process: ProcessId, node: NodeId, op: N::Op) -> OpId {
        let id = OpId(self.next_op);
        self.next_op += 1;
        self.stats.ops_invoked += 1;
        self.digest
            .value(tag(TAG_INVOKE, 0, self.now), &(process.0, &op));
        self.history
            .invoke(self.now.as_nanos(), process, op.clone());
        self.open.push(OpenOp { id, process, node });
        self.trace_note(|| What::Invoke {
            node,
            process,
            op: format!("{op:?}"),
        });
        match self.status.get(node.index()) {
            Some(Status::Up | Status::Paused) => {
                let incarnation = self.processes[node.index()].incarnation;
                let position = self.queue.next_position(self.now);
                self.queue.push(
                    position,
                    Event::Invoke {
                        node,
                        incarnation,
                        id,
                        op,
                    },
                );
            }
            _ => self.end_op(id, Outcome::Fail("the node is down")),
        }
        id
    }

    /// Takes the operations that ended since the last call, in order.
    pub fn take_ended(&mut self) -> impl Iterator<Item = Ended<N::Ret>> + use<'_, N> {
        self.ended.drain(..)
    }

    /// Lets everything happen that is due by `until`. Shows the cluster to the observer after each
    /// event, and first of all for the nodes that were crashed, paused or resumed since the last
    /// call. Comes back early when operations have ended, so that their processes can go on, and on
    /// a finding.
    ///
    /// # Panics
    /// If the observer or the simulator itself does. A panic of a node is a [`Stop::Panic`].
    pub fn run_until(&mut self, until: Time, observer: &mut impl Observer<N>) -> Stop {
        let caught = panics::catch(|| self.run_events(until, observer));
        match caught {
            Ok(stop) => stop,
            Err(message) => {
                let Some(node) = self.running.take() else {
                    panic!("in the simulator, at {}: {message}", self.now);
                };
                self.effects.clear();
                self.notes.clear();
                self.crash(node);
                Stop::Panic { node, message }
            }
        }
    }

    /// Writes down a fault, in words, at the nodes it concerns.
    pub fn trace_fault(&mut self, nodes: &[NodeId], words: impl FnOnce() -> String) {
        self.trace_note(|| What::Fault {
            nodes: nodes.to_vec(),
            words: words(),
        });
    }
}

const TAG_DELIVER: u64 = 1;
const TAG_TIMER: u64 = 2;
const TAG_SYNCED: u64 = 3;
const TAG_START: u64 = 4;
const TAG_INVOKE: u64 = 5;
const TAG_END: u64 = 6;
const TAG_CRASH: u64 = 7;
const TAG_PAUSE: u64 = 8;
const TAG_RESUME: u64 = 9;
const TAG_HALT: u64 = 10;
const TAG_SYNC_FAILED: u64 = 11;

/// The first word of an event in the digest: what and when.
#[inline]
fn tag(kind: u64, detail: u64, now: Time) -> u64 {
    now.as_nanos() ^ (kind << 60) ^ (detail << 48)
}

#[cfg(test)]
mod tests;
