//! Taking events from the queue and calling handlers.

use super::disk::Mark;
use super::probes::own;
use super::process::Untold;
use super::queue::{Position, Slot};
use super::timers::Reached;
use super::{
    Event, Observer, Point, Stop, TAG_DELIVER, TAG_INVOKE, TAG_START, TAG_SYNC_FAILED, TAG_SYNCED,
    TAG_TIMER, TraceDetail, What, World, tag,
};
use crate::network::keyed;
use splitbrain_core::{Cluster, Context, Node, NodeId, OpId, Status, SyncError, SyncId, Time};

/// What became of an entry of the queue.
enum Handled {
    /// A handler was called, at this node.
    At(NodeId),
    /// Nothing happened: it was stale, or it waits for a process that is paused or busy.
    Nothing,
    /// The one that has [waited](World::instead) is to be handled now.
    Instead,
}

/// What became of a sync with which the disk is done.
enum Settled {
    Durable,
    /// It has failed, and with it those that follow until the process is told.
    Failed(SyncError),
    /// It fails with an earlier one.
    Never,
    /// The node has crashed just before it was durable.
    Crashed,
}

impl<N: Node> World<N> {
    pub(super) fn run_events(&mut self, until: Time, observer: &mut impl Observer<N>) -> Stop {
        if !self.ended.is_empty() {
            return Stop::Ended;
        }
        for node in std::mem::take(&mut self.disturbed) {
            let cluster = Cluster::new(self.now, &self.nodes, &self.status, &self.links);
            if let Err(violation) = observer.observe(cluster, node) {
                return Stop::Violation(violation);
            }
        }
        while let Some((position, slot)) = self.queue.pop(until) {
            if position.at > self.now {
                self.now = position.at;
                self.events_this_instant = 0;
            }
            let (mut entry, mut waited) = ((position, slot), false);
            let node = loop {
                match self.handle(entry.0, entry.1, waited) {
                    Handled::At(node) => break Some(node),
                    Handled::Nothing => break None,
                    Handled::Instead => match self.instead.take() {
                        Some(other) => (entry, waited) = (other, true),
                        None => break None,
                    },
                }
            };
            let Some(node) = node else {
                continue;
            };
            self.stats.events += 1;
            self.events_this_instant += 1;
            let cluster = Cluster::new(self.now, &self.nodes, &self.status, &self.links);
            if let Err(violation) = observer.observe(cluster, node) {
                return Stop::Violation(violation);
            }
            if self.events_this_instant > self.events_per_instant_max {
                return Stop::Livelock {
                    node,
                    events: self.events_this_instant,
                };
            }
            if self.stats.events >= self.look_at
                && let Some(stop) = self.exhausted()
            {
                return stop;
            }
            if !self.ended.is_empty() {
                return Stop::Ended;
            }
        }
        if until > self.now {
            self.now = until;
            self.events_this_instant = 0;
        }
        Stop::Time
    }

    /// Whether the run has become more than it may be. That is looked at now and then: it costs something, and nothing
    /// depends on the very event.
    #[cold]
    fn exhausted(&mut self) -> Option<Stop> {
        const LOOK_EVERY: u64 = 256;
        let events = self.stats.events;
        self.look_at = (events + LOOK_EVERY).min(self.events_max);
        let waiting = self.queue.len() + self.clogged.len();
        let exhausted = events >= self.events_max || waiting > self.waiting_max;
        exhausted.then_some(Stop::Exhausted { events, waiting })
    }

    /// Handles an entry of the queue; `waited` says whether it has waited in the backlog of its process already.
    #[inline]
    fn handle(&mut self, position: Position, slot: Slot, waited: bool) -> Handled {
        // A timer's entry that must move on, or wait, stays in the slab; look before taking it out.
        match *self.queue.get(slot) {
            Event::Timer {
                node,
                incarnation,
                slot: number,
            } => {
                return self.handle_timer(position, slot, node, incarnation, number, waited);
            }
            Event::Deliver {
                to: node,
                incarnation,
                ..
            }
            | Event::Invoke {
                node, incarnation, ..
            } if !waited && self.must_wait(node, incarnation) => {
                return self.wait(node, position, slot);
            }
            Event::Synced {
                node,
                incarnation,
                mark,
            } if !waited && self.must_wait(node, incarnation) => {
                // The disk goes on while the process does not; only the news must wait.
                match self.settle(node, mark) {
                    Settled::Crashed => {
                        self.queue.remove(slot);
                        return Handled::At(node);
                    }
                    Settled::Failed(error) => {
                        *self.queue.get_mut(slot) = Event::SyncFailed {
                            node,
                            incarnation,
                            error,
                        };
                    }
                    Settled::Durable if self.status[node.index()] == Status::Paused => self
                        .reach_own(
                            node,
                            own!("a sync became durable while its process was paused"),
                        ),
                    Settled::Durable | Settled::Never => {}
                }
                return self.wait(node, position, slot);
            }
            _ => {}
        }
        match self.queue.remove(slot) {
            Event::Deliver {
                from,
                to,
                incarnation,
                message,
            } => self.deliver(from, to, incarnation, message),
            Event::Synced {
                node,
                incarnation,
                mark,
            } => self.synced(node, incarnation, mark, waited),
            Event::SyncFailed {
                node,
                incarnation,
                error,
            } => self.sync_failed(node, incarnation, error),
            Event::Start { node, incarnation } => self.start(node, incarnation),
            Event::Invoke {
                node,
                incarnation,
                id,
                op,
            } => self.invoked(node, incarnation, id, op),
            Event::Wake { node, incarnation } => self.wake(node, incarnation),
            Event::Cut | Event::Timer { .. } => Handled::Nothing,
        }
    }

    #[inline]
    fn must_wait(&self, node: NodeId, incarnation: u32) -> bool {
        let process = &self.processes[node.index()];
        process.waiting && process.incarnation == incarnation
    }

    #[cold]
    fn wait(&mut self, node: NodeId, position: Position, slot: Slot) -> Handled {
        self.stats.waited += 1;
        let backlog = &mut self.processes[node.index()].backlog;
        backlog.push_back((position, slot));
        Handled::Nothing
    }

    /// The process is no longer busy, or was resumed: it takes the first event of its backlog.
    #[cold]
    fn wake(&mut self, node: NodeId, incarnation: u32) -> Handled {
        let process = &mut self.processes[node.index()];
        if process.incarnation != incarnation {
            return Handled::Nothing;
        }
        process.waking = false;
        if self.status[node.index()] == Status::Paused {
            return Handled::Nothing; // resuming wakes it
        }
        if process.busy_until > self.now {
            let busy_until = process.busy_until;
            self.wake_at(node, busy_until);
            return Handled::Nothing;
        }
        self.instead = process.backlog.pop_front();
        if self.instead.is_none() {
            process.waiting = false;
            return Handled::Nothing;
        }
        // It looks again when it is done with this one.
        self.wake_at(node, self.now);
        Handled::Instead
    }

    #[inline]
    fn deliver(
        &mut self,
        from: NodeId,
        to: NodeId,
        incarnation: u32,
        message: N::Message,
    ) -> Handled {
        let alive = self.status[to.index()] == Status::Up
            && self.processes[to.index()].incarnation == incarnation;
        if !alive {
            self.stats.dropped_at_dead_node += 1;
            if self.status[to.index()] == Status::Up {
                self.reach_own(
                    to,
                    own!("a message from before a crash arrived after the restart"),
                );
            }
            self.trace_detail(|| What::Drop {
                from,
                to,
                why: "the receiver is not the one it was sent to",
            });
            return Handled::Nothing;
        }
        self.stats.messages_delivered += 1;
        let ends = ((from.index() as u64) << 32) | to.index() as u64;
        self.digest.pair(tag(TAG_DELIVER, 0, self.now), ends);
        self.trace_detail(|| What::Deliver {
            from,
            to,
            message: format!("{message:?}"),
        });
        self.call(to, |state, cx| state.on_message(from, message, cx));
        Handled::At(to)
    }

    #[inline]
    fn handle_timer(
        &mut self,
        position: Position,
        slot: Slot,
        node: NodeId,
        incarnation: u32,
        number: u32,
        waited: bool,
    ) -> Handled {
        let process = &mut self.processes[node.index()];
        if process.incarnation != incarnation {
            self.queue.remove(slot);
            return Handled::Nothing;
        }
        if process.waiting && !waited && process.timers.is_due(number, position) {
            return self.wait(node, position, slot);
        }
        match process.timers.reached(number, position) {
            Reached::Requeue(position) => {
                self.queue.requeue(position, slot);
                Handled::Nothing
            }
            Reached::Stale => {
                self.queue.remove(slot);
                Handled::Nothing
            }
            Reached::Fire(timer) => {
                self.queue.remove(slot);
                self.digest.pair(
                    tag(TAG_TIMER, u64::from(number), self.now),
                    node.index() as u64,
                );
                self.trace_detail(|| What::Timer {
                    node,
                    timer: format!("{timer:?}"),
                });
                self.call(node, |state, cx| state.on_timer(timer, cx));
                Handled::At(node)
            }
        }
    }

    /// The disk is done with a sync.
    fn settle(&mut self, node: NodeId, mark: Mark) -> Settled {
        if self.processes[node.index()].has_failed(mark.sync) {
            return Settled::Never;
        }
        if self.crashes_at(node, &Point::BeforeSync) {
            return Settled::Crashed;
        }
        let process = &mut self.processes[node.index()];
        if let Some(error) = process.disk.failure(mark) {
            process.untold = Some(Untold::Failed);
            return Settled::Failed(error);
        }
        process.disk.durable(mark);
        Settled::Durable
    }

    fn synced(&mut self, node: NodeId, incarnation: u32, mark: Mark, settled: bool) -> Handled {
        let process = &self.processes[node.index()];
        if process.incarnation != incarnation || process.has_failed(mark.sync) {
            return Handled::Nothing;
        }
        if !settled {
            match self.settle(node, mark) {
                Settled::Durable => {}
                Settled::Failed(error) => return self.sync_failed(node, incarnation, error),
                Settled::Crashed => return Handled::At(node),
                Settled::Never => return Handled::Nothing,
            }
        }
        if self.crashes_at(node, &Point::AfterSync) {
            return Handled::At(node);
        }
        self.processes[node.index()].open_barrier(mark);
        self.stats.syncs += 1;
        self.digest
            .pair(tag(TAG_SYNCED, 0, self.now), node.index() as u64);
        self.trace_detail(|| What::Synced { node });
        self.release(node);
        if self.processes[node.index()].incarnation == incarnation {
            self.call(node, |state, cx| state.on_synced(mark.sync, cx));
        }
        Handled::At(node)
    }

    /// The process is told that a sync has failed. With it fails every sync that was called until now: one word is enough for
    /// all of them.
    fn sync_failed(&mut self, node: NodeId, incarnation: u32, error: SyncError) -> Handled {
        let process = &mut self.processes[node.index()];
        if process.incarnation != incarnation {
            return Handled::Nothing;
        }
        let last = SyncId(process.next_sync.0 - 1);
        process.failed_sync = Some(last);
        let remedied = process.untold.take() == Some(Untold::Remedied);
        process.outbox.clear();
        let address = [(1 << 32) | node.index() as u64, self.now.as_nanos(), last.0];
        self.stats.records_lost += process.disk.fail(error, keyed(self.disk_key, address)) as u64;
        self.stats.syncs_failed += 1;
        self.digest
            .pair(tag(TAG_SYNC_FAILED, 0, self.now), node.index() as u64);
        self.trace_note(|| What::Note {
            node,
            words: error.to_string(),
        });
        self.call(node, |state, cx| state.on_sync_failed(last, error, cx));
        if remedied && self.halted(node).is_some() {
            self.start_again(node);
        }
        Handled::At(node)
    }

    fn start(&mut self, node: NodeId, incarnation: u32) -> Handled {
        let index = node.index();
        if self.processes[index].incarnation != incarnation || self.status[index] != Status::Down {
            return Handled::Nothing;
        }
        self.digest.pair(
            tag(TAG_START, 0, self.now),
            (u64::from(incarnation) << 32) | index as u64,
        );
        self.trace_note(|| What::Start { node, incarnation });
        let process = &mut self.processes[index];
        process.starting = false;
        let journal = process.disk.journal();
        self.stats.records_damaged += journal.damage().count() as u64;
        let config = process.config.clone();
        self.status[index] = Status::Up;
        self.enter(node, |state, cx| {
            *state = Some(N::start(&config, journal, cx));
        });
        Handled::At(node)
    }

    fn invoked(&mut self, node: NodeId, incarnation: u32, id: OpId, op: N::Op) -> Handled {
        if self.processes[node.index()].incarnation != incarnation {
            return Handled::Nothing; // the crash has ended it as info
        }
        self.digest.pair(tag(TAG_INVOKE, 1, self.now), id.0);
        self.call(node, |state, cx| state.on_invoke(id, op, cx));
        Handled::At(node)
    }

    /// Calls a handler of a node that is up, and carries out what it did.
    #[inline]
    fn call(&mut self, node: NodeId, handler: impl FnOnce(&mut N, &mut Context<'_, N>)) {
        self.enter(node, |state, cx| match state {
            Some(state) => handler(state, cx),
            None => debug_assert!(false, "a handler is called on a node that is up"),
        });
    }

    /// Lends out the state of a node with a context, and carries out what was done through it.
    #[inline]
    fn enter(&mut self, node: NodeId, handler: impl FnOnce(&mut Option<N>, &mut Context<'_, N>)) {
        let unusual = self.unusual;
        let (now, wall_clock) = self.clocks(node);
        let role = if unusual { self.role(node) } else { None };
        let process = &mut self.processes[node.index()];
        let mut next_sync = process.next_sync;
        let notes = self.trace.is_some().then_some(&mut self.notes);
        let rng = process.rng(self.seed, node);
        let mut cx = Context::new(node, now, rng, &mut next_sync, &mut self.effects, notes)
            .with_wall_clock(wall_clock);
        self.running = Some(node);
        handler(&mut self.nodes[node.index()], &mut cx);
        self.running = None;
        process.next_sync = next_sync;
        if unusual {
            self.be_busy(node);
        }
        self.carry_out(node);
        if unusual {
            self.crash_if_changed(node, role);
        }
    }

    /// A slow process takes its time for the event that it has just handled.
    #[cold]
    fn be_busy(&mut self, node: NodeId) {
        let process = &mut self.processes[node.index()];
        if !process.per_event.is_zero() {
            let until = self.now + process.per_event;
            process.busy_until = until;
            self.wake_at(node, until);
        }
    }

    #[cold]
    fn crash_if_changed(&mut self, node: NodeId, before: Option<&'static str>) {
        if before.is_some() && self.role(node).is_some_and(|after| Some(after) != before) {
            self.crashes_at(node, &Point::RoleChange);
        }
    }

    fn role(&self, node: NodeId) -> Option<&'static str> {
        self.nodes[node.index()].as_ref().map(N::role)
    }

    /// Writes down what a timeline shows.
    pub(super) fn trace_note(&mut self, what: impl FnOnce() -> What) {
        if let Some(trace) = &mut self.trace {
            trace.push(self.now, what());
        }
    }

    /// Writes down what only a full trace shows.
    #[inline]
    pub(super) fn trace_detail(&mut self, what: impl FnOnce() -> What) {
        if let Some(trace) = &mut self.trace
            && trace.detail == TraceDetail::Everything
        {
            trace.push(self.now, what());
        }
    }
}
