//! Taking events from the queue and calling handlers.

use super::disk::Mark;
use super::probes::own;
use super::queue::{Position, Slot};
use super::timers::Reached;
use super::{
    Event, Observer, Stop, TAG_DELIVER, TAG_INVOKE, TAG_START, TAG_SYNCED, TAG_TIMER, TraceDetail,
    What, World, tag,
};
use splitbrain_core::{Cluster, Context, Node, NodeId, OpId, Status, Time};

/// What became of an entry of the queue.
enum Handled {
    /// A handler was called, at this node.
    At(NodeId),
    /// Nothing happened: it was stale, or it waits for a paused process.
    Nothing,
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
            let Handled::At(node) = self.handle(position, slot) else {
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

    #[inline]
    fn handle(&mut self, position: Position, slot: Slot) -> Handled {
        // A timer's entry that must move on, or wait, stays in the slab; look before taking it out.
        match *self.queue.get(slot) {
            Event::Timer {
                node,
                incarnation,
                slot: number,
            } => {
                return self.handle_timer(position, slot, node, incarnation, number);
            }
            Event::Deliver {
                to, incarnation, ..
            } if self.is_paused(to, incarnation) => {
                self.processes[to.index()].backlog.push(slot);
                return Handled::Nothing;
            }
            Event::Invoke {
                node, incarnation, ..
            } if self.is_paused(node, incarnation) => {
                self.processes[node.index()].backlog.push(slot);
                return Handled::Nothing;
            }
            Event::Synced {
                node,
                incarnation,
                mark,
            } if self.is_paused(node, incarnation) => {
                // The disk goes on while the process is stopped; only the news must wait.
                self.processes[node.index()].disk.durable(mark);
                self.processes[node.index()].backlog.push(slot);
                self.reach_own(
                    node,
                    own!("a sync became durable while its process was paused"),
                );
                return Handled::Nothing;
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
            } => self.synced(node, incarnation, mark),
            Event::Start { node, incarnation } => self.start(node, incarnation),
            Event::Invoke {
                node,
                incarnation,
                id,
                op,
            } => self.invoked(node, incarnation, id, op),
            Event::Cut | Event::Timer { .. } => Handled::Nothing,
        }
    }

    fn is_paused(&self, node: NodeId, incarnation: u32) -> bool {
        self.status[node.index()] == Status::Paused
            && self.processes[node.index()].incarnation == incarnation
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
    ) -> Handled {
        let process = &mut self.processes[node.index()];
        if process.incarnation != incarnation {
            self.queue.remove(slot);
            return Handled::Nothing;
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
            Reached::Fire(_) if self.status[node.index()] == Status::Paused => {
                process.timers.wait(number, position);
                process.backlog.push(slot);
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

    fn synced(&mut self, node: NodeId, incarnation: u32, mark: Mark) -> Handled {
        let process = &mut self.processes[node.index()];
        if process.incarnation != incarnation {
            return Handled::Nothing;
        }
        process.disk.durable(mark);
        process.open_barrier(mark);
        self.stats.syncs += 1;
        self.digest
            .pair(tag(TAG_SYNCED, 0, self.now), node.index() as u64);
        self.trace_detail(|| What::Synced { node });
        self.release(node);
        self.call(node, |state, cx| state.on_synced(mark.sync, cx));
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
        let process = &mut self.processes[node.index()];
        let mut next_sync = process.next_sync;
        let notes = self.trace.is_some().then_some(&mut self.notes);
        let rng = process.rng(self.seed, node);
        let mut cx = Context::new(
            node,
            self.now,
            rng,
            &mut next_sync,
            &mut self.effects,
            notes,
        );
        self.running = Some(node);
        handler(&mut self.nodes[node.index()], &mut cx);
        self.running = None;
        process.next_sync = next_sync;
        self.carry_out(node);
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
