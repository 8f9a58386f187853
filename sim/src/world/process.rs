//! One process: everything about a node that is not its state.

use super::clock::Clock;
use super::disk::{Disk, Mark, Unsynced};
use super::queue::{Position, Slot};
use super::timers::Timers;
use crate::network::Delays;
use splitbrain_core::{Node, NodeId, OpId, Outcome, Purpose, Rng, Seed, SyncId, Time};
use std::collections::VecDeque;
use std::time::Duration;

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

/// A failed sync of which the process has not been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Untold {
    /// If it ends itself over that, it is to be found so.
    Failed,
    /// Somebody has looked after the cause meanwhile: if it ends itself, it is started again.
    Remedied,
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
    /// The last sync of this incarnation that failed; all before it that were not durable failed with it.
    pub(super) failed_sync: Option<SyncId>,
    /// A failed sync of which the process, paused or busy, has not been told. Until it is, nothing it writes becomes durable,
    /// and what is held stays held: it goes on in the belief that the sync may still succeed.
    pub(super) untold: Option<Untold>,
    /// Whether what arrives must wait: the process is paused, or busy, or others wait already.
    pub(super) waiting: bool,
    /// What arrived meanwhile, in order of arrival.
    pub(super) backlog: VecDeque<(Position, Slot)>,
    /// Whether the event is in the queue at which it looks at its backlog.
    pub(super) waking: bool,
    /// How long it takes for each event; no time, if it is not slow.
    pub(super) per_event: Duration,
    /// Until when the last event takes.
    pub(super) busy_until: Time,
    pub(super) clock: Clock,
    /// How long its syncs take, if not as long as those of others, and which fault says so: of several, the last counts.
    pub(super) sync_delays: Vec<(u32, Delays)>,
    /// How many faults hold it down.
    pub(super) held_down: u32,
    /// Why it ended itself, if it did and has not been started since.
    pub(super) halted: Option<String>,
}

impl<N: Node> Process<N> {
    pub(super) fn new(config: N::Config) -> Process<N> {
        Process {
            disk: Disk::new(N::format(&config)),
            config,
            incarnation: 0,
            starting: false,
            rng: None,
            timers: Timers::new(),
            next_sync: SyncId(0),
            outbox: VecDeque::new(),
            failed_sync: None,
            untold: None,
            waiting: false,
            backlog: VecDeque::new(),
            waking: false,
            per_event: Duration::ZERO,
            busy_until: Time::ZERO,
            clock: Clock::new(),
            sync_delays: Vec::new(),
            held_down: 0,
            halted: None,
        }
    }

    /// Forgets everything but what is durable. Returns how many records are lost.
    pub(super) fn crash(&mut self, unsynced: Unsynced) -> usize {
        self.incarnation += 1;
        self.starting = false;
        self.rng = None;
        self.timers.clear();
        self.next_sync = SyncId(0);
        self.outbox.clear();
        self.failed_sync = None;
        self.untold = None;
        self.waiting = false;
        self.waking = false;
        self.busy_until = Time::ZERO;
        self.disk.crash(unsynced)
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

    /// Whether this sync, which was not durable yet, never will be.
    pub(super) fn has_failed(&self, sync: SyncId) -> bool {
        self.untold.is_some() || self.failed_sync.is_some_and(|failed| sync <= failed)
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
