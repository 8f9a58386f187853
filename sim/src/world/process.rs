//! One process: everything about a node that is not its state.

use super::disk::{Disk, Mark};
use super::queue::Slot;
use super::timers::Timers;
use splitbrain_core::{Node, NodeId, OpId, Outcome, Purpose, Rng, Seed, SyncId};
use std::collections::VecDeque;

/// What waits behind a sync (law 4).
#[derive(Clone, Debug)]
pub(super) enum Held<N: Node> {
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

#[derive(Clone, Debug)]
pub(super) struct Process<N: Node> {
    pub(super) config: N::Config,
    /// How often the process has crashed. Events carry the incarnation they are meant for.
    pub(super) incarnation: u32,
    /// Whether its start is in the queue.
    pub(super) starting: bool,
    /// The stream of this incarnation; made when it starts.
    pub(super) rng: Option<Rng>,
    pub(super) timers: Timers<N::Timer>,
    pub(super) disk: Disk<N::Record>,
    pub(super) next_sync: SyncId,
    /// Output behind syncs that are not durable yet. Invariant: empty, or the first is a barrier.
    pub(super) outbox: VecDeque<Held<N>>,
    /// What arrived while the process was paused, in order of arrival.
    pub(super) backlog: Vec<Slot>,
}

impl<N: Node> Process<N> {
    pub(super) fn new(config: N::Config) -> Process<N> {
        Process {
            config,
            incarnation: 0,
            starting: false,
            rng: None,
            timers: Timers::new(),
            disk: Disk::empty(),
            next_sync: SyncId(0),
            outbox: VecDeque::new(),
            backlog: Vec::new(),
        }
    }

    pub(super) fn crash(&mut self) {
        self.incarnation += 1;
        self.starting = false;
        self.rng = None;
        self.timers.clear();
        self.disk.crash();
        self.next_sync = SyncId(0);
        self.outbox.clear();
    }

    /// Whether there is output that waits for a sync.
    pub(super) fn holds_output(&self) -> bool {
        let output = |held: &Held<N>| !matches!(held, Held::Barrier(_));
        self.outbox.iter().any(output)
    }

    pub(super) fn rng(&mut self, seed: Seed, node: NodeId) -> &mut Rng {
        let incarnation = self.incarnation;
        self.rng
            .get_or_insert_with(|| seed.stream(Purpose::Node { node, incarnation }))
    }

    /// Takes away the barrier of this sync, which is the first in the outbox.
    pub(super) fn open_barrier(&mut self, mark: Mark) {
        let front = self.outbox.pop_front();
        debug_assert!(
            matches!(front, Some(Held::Barrier(sync)) if sync == mark.sync),
            "syncs become durable in the order of their calls"
        );
    }
}
