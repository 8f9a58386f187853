//! One process: everything about a node that is not its state.

use splitbrain::engine::parts::{Disk, Mark};
use splitbrain::world::Unsynced;
use splitbrain::{Node, NodeId, OpId, Outcome, Purpose, Rng, Seed, SyncId, Time};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use tokio::sync::Notify;

/// What waits behind a sync (law 4).
pub(crate) enum Held<N: Node> {
    /// Everything behind this leaves once the sync is durable.
    Barrier(SyncId),
    Send {
        to: NodeId,
        message: N::Message,
    },
    Complete {
        id: OpId,
        outcome: Outcome<N::Ret>,
    },
}

pub(crate) struct Process<N: Node> {
    pub(crate) config: N::Config,
    /// How often it has crashed.
    pub(crate) incarnation: u32,
    /// Whether madsim has begun to start it, and its node is not there yet.
    pub(crate) starting: bool,
    rng: Option<Rng>,
    pub(crate) disk: Disk<N::Record>,
    pub(crate) next_sync: SyncId,
    /// Syncs that were called, and when each is durable. In the order of their calls, which is that of their times.
    pub(crate) syncs: VecDeque<(Mark, Time)>,
    /// Output behind syncs that are not durable yet. Invariant: empty, or the first is a barrier.
    pub(crate) outbox: VecDeque<Held<N>>,
    /// One slot for each kind.
    pub(crate) timers: BTreeMap<N::Timer, Time>,
    /// Operations that it has not been told of.
    pub(crate) asked: VecDeque<(OpId, N::Op)>,
    /// Wakes its task when there is one.
    pub(crate) poked: Rc<Notify>,
    /// Messages to hand to the network, by the task that has called the handler.
    pub(crate) leaving: Vec<(NodeId, N::Message)>,
    /// How many faults hold it down.
    pub(crate) held_down: u32,
    /// Why it ended itself, if it did and has not been started since.
    pub(crate) halted: Option<String>,
}

/// What a process does next, of what it does by the clock.
pub(crate) enum Due<N: Node> {
    Synced(Mark),
    Timer(N::Timer),
}

impl<N: Node> Process<N> {
    pub(crate) fn new(config: N::Config) -> Process<N> {
        Process {
            disk: Disk::new(N::format(&config)),
            config,
            incarnation: 0,
            starting: true,
            rng: None,
            next_sync: SyncId(0),
            syncs: VecDeque::new(),
            outbox: VecDeque::new(),
            timers: BTreeMap::new(),
            asked: VecDeque::new(),
            poked: Rc::default(),
            leaving: Vec::new(),
            held_down: 0,
            halted: None,
        }
    }

    /// Forgets everything but what is durable. Returns how many records are lost.
    pub(crate) fn crash(&mut self, unsynced: Unsynced, now: Time) -> usize {
        // The disk of a paused process has gone on without it.
        for (mark, at) in self.syncs.drain(..) {
            if at <= now {
                self.disk.durable(mark);
            }
        }
        self.incarnation += 1;
        self.starting = false;
        self.rng = None;
        self.next_sync = SyncId(0);
        self.outbox.clear();
        self.timers.clear();
        self.asked.clear();
        self.leaving.clear();
        // A poke that nobody has felt is for the process that was.
        self.poked = Rc::default();
        self.disk.crash(unsynced)
    }

    /// Whether there is output that waits for a sync.
    pub(crate) fn holds_output(&self) -> bool {
        let output = |held: &Held<N>| !matches!(held, Held::Barrier(_));
        self.outbox.iter().any(output)
    }

    pub(crate) fn rng(&mut self, seed: Seed, node: NodeId) -> &mut Rng {
        let incarnation = self.incarnation;
        self.rng
            .get_or_insert_with(|| seed.stream(Purpose::Node { node, incarnation }))
    }

    /// When something is due next.
    pub(crate) fn next_at(&self) -> Option<Time> {
        let sync = self.syncs.front().map(|(_, at)| *at);
        let timer = self.timers.values().min().copied();
        sync.into_iter().chain(timer).min()
    }

    /// Takes what is due now, the earliest first.
    pub(crate) fn take_due(&mut self, now: Time) -> Option<Due<N>> {
        let at = self.next_at().filter(|at| *at <= now)?;
        if self.syncs.front().is_some_and(|(_, sync)| *sync == at) {
            return self.syncs.pop_front().map(|(mark, _)| Due::Synced(mark));
        }
        let due = |(timer, due): (&N::Timer, &Time)| (*due == at).then_some(*timer);
        let timer = self.timers.iter().find_map(due)?;
        self.timers.remove(&timer);
        Some(Due::Timer(timer))
    }
}
