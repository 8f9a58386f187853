//! What a handler may do: a sink of effects, in order.

use crate::{Node, NodeId, OpId, Outcome, Rng, SyncId, Time};
use std::fmt;
use std::time::Duration;

/// One thing that a handler did. The kernel or host carries effects out in the order of their calls.
#[derive(Clone, Debug)]
pub enum Effect<N: Node> {
    /// Hand the message to the network once every earlier `Sync` is durable.
    Send {
        /// The receiver.
        to: NodeId,
        /// What to send.
        message: N::Message,
    },
    /// Hand the message to the network now.
    SendEager {
        /// The receiver.
        to: NodeId,
        /// What to send.
        message: N::Message,
    },
    /// Arm a timer, replacing what was set for the same kind.
    SetTimer {
        /// Which one.
        timer: N::Timer,
        /// From now.
        after: Duration,
    },
    /// Disarm a timer.
    CancelTimer(N::Timer),
    /// Add a record to the end of the journal.
    Append(N::Record),
    /// Replace the journal.
    Compact(Vec<N::Record>),
    /// Make everything before it durable; hold everything that leaves the node after it until then.
    Sync(SyncId),
    /// Answer a client, once every earlier `Sync` is durable.
    Complete {
        /// The operation.
        id: OpId,
        /// How it ended.
        outcome: Outcome<N::Ret>,
    },
    /// End the process; what follows in the same call does not happen.
    Halt(String),
    /// The handler has come to this place: a position in [`Node::PROBES`].
    Probe(usize),
}

/// What a handler sees of the world, and what it may do to it.
///
/// **Output is in order, and `sync` holds what follows until it is durable**, across steps too: a message sent in
/// a later step waits behind a sync called in an earlier one. So "persist before you reply" is the order of two
/// calls, to be read in the protocol's source. [`send_eager`](Context::send_eager) is the only exception, and can
/// be searched for. Timers are the node's own and are never held.
#[derive(Debug)]
pub struct Context<'a, N: Node> {
    id: NodeId,
    now: Time,
    wall_clock: Time,
    rng: &'a mut Rng,
    next_sync: &'a mut SyncId,
    effects: &'a mut Vec<Effect<N>>,
    notes: Option<&'a mut Vec<String>>,
}

impl<'a, N: Node> Context<'a, N> {
    /// A context for one handler call; for kernels, hosts and tests. `effects` is appended to. `next_sync` numbers
    /// the syncs of this incarnation. `notes` collects what the node says of itself, if anybody listens.
    pub fn new(
        id: NodeId,
        now: Time,
        rng: &'a mut Rng,
        next_sync: &'a mut SyncId,
        effects: &'a mut Vec<Effect<N>>,
        notes: Option<&'a mut Vec<String>>,
    ) -> Context<'a, N> {
        Context {
            id,
            now,
            wall_clock: now,
            rng,
            next_sync,
            effects,
            notes,
        }
    }

    /// The same with a wall clock that does not agree with the monotonic one; for kernels, hosts and tests.
    #[must_use]
    pub fn with_wall_clock(self, wall_clock: Time) -> Context<'a, N> {
        Context { wall_clock, ..self }
    }

    /// This node.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// This node's monotonic clock: never goes back, jumps nowhere, and may run too fast or too slow (drift). Timers run
    /// by it. It says nothing about the clocks of others.
    pub fn now(&self) -> Time {
        self.now
    }

    /// This node's wall clock: near true time while somebody sets it right, and no further. It may be off, and jump forward
    /// and back at any time. A protocol whose safety depends on it is wrong unless it says so.
    pub fn wall_clock(&self) -> Time {
        self.wall_clock
    }

    /// This node's own stream of randomness, a new one in each incarnation.
    pub fn rng(&mut self) -> &mut Rng {
        self.rng
    }

    /// Sends a message, which leaves once every earlier [`sync`](Context::sync) is durable. Sending to oneself goes
    /// through the network like any other message.
    #[inline]
    pub fn send(&mut self, to: NodeId, message: N::Message) {
        self.effects.push(Effect::Send { to, message });
    }

    /// Sends a message that overtakes pending syncs. To be used only where the protocol proves that nothing in the
    /// message depends on what is not yet durable.
    #[inline]
    pub fn send_eager(&mut self, to: NodeId, message: N::Message) {
        self.effects.push(Effect::SendEager { to, message });
    }

    /// Arms the timer of this kind to run out `after` from now; if it was armed, it is moved.
    #[inline]
    pub fn set_timer(&mut self, timer: N::Timer, after: Duration) {
        self.effects.push(Effect::SetTimer { timer, after });
    }

    /// Disarms the timer of this kind, if it is armed.
    #[inline]
    pub fn cancel_timer(&mut self, timer: N::Timer) {
        self.effects.push(Effect::CancelTimer(timer));
    }

    /// Appends a record to the journal. It survives a crash only once a later [`sync`](Context::sync) is durable.
    #[inline]
    pub fn append(&mut self, record: N::Record) {
        self.effects.push(Effect::Append(record));
    }

    /// Replaces the whole journal by these records, atomically: once a later [`sync`](Context::sync) is durable, a
    /// restart finds them; before that, it finds what was durable before.
    pub fn compact(&mut self, records: Vec<N::Record>) {
        self.effects.push(Effect::Compact(records));
    }

    /// Makes everything appended so far durable, and holds every message and answer that follows until it is.
    /// [`Node::on_synced`] is called with the returned id when that has happened, and [`Node::on_sync_failed`] if it never will.
    #[inline]
    pub fn sync(&mut self) -> SyncId {
        let id = *self.next_sync;
        self.next_sync.0 += 1;
        self.effects.push(Effect::Sync(id));
        id
    }

    /// Answers a client operation; it leaves once every earlier [`sync`](Context::sync) is durable. The second
    /// answer to an operation is ignored and counted.
    #[inline]
    pub fn complete(&mut self, id: OpId, outcome: Outcome<N::Ret>) {
        self.effects.push(Effect::Complete { id, outcome });
    }

    /// Ends this process: nothing that follows in this call happens, and what was not synced may be lost, as in a crash.
    /// For a node that cannot go on and must not guess: its disk is damaged, a sync has failed. It stays down until
    /// somebody starts it again.
    pub fn halt(&mut self, reason: impl Into<String>) {
        self.effects.push(Effect::Halt(reason.into()));
    }

    /// Says that the handler has come to the probe at this position in [`Node::PROBES`]. Written as
    /// [`probe!`](crate::probe!), which finds the position.
    ///
    /// # Panics
    /// If the node has no such probe: the list in scope is not that of the node.
    #[inline]
    pub fn probe(&mut self, index: usize) {
        assert!(
            index < N::PROBES.len(),
            "the `PROBES` in scope are not those of the node"
        );
        self.effects.push(Effect::Probe(index));
    }

    /// Says in words what just happened ("becomes leader of term 3"), for traces and timelines. Costs nothing when
    /// nobody listens: the arguments are then not formatted.
    #[inline]
    pub fn note(&mut self, words: fmt::Arguments<'_>) {
        if let Some(notes) = &mut self.notes {
            notes.push(words.to_string());
        }
    }

    /// What a part of this node sees: the same, and its effects apart.
    pub(crate) fn of_part<'b, P: Node>(
        &'b mut self,
        effects: &'b mut Vec<Effect<P>>,
    ) -> Context<'b, P> {
        Context {
            id: self.id,
            now: self.now,
            wall_clock: self.wall_clock,
            rng: self.rng,
            next_sync: self.next_sync,
            effects,
            notes: self.notes.as_deref_mut(),
        }
    }

    /// A part has called [`sync`](Context::sync), and has its number already.
    pub(crate) fn synced_by_part(&mut self, id: SyncId) {
        self.effects.push(Effect::Sync(id));
    }
}
