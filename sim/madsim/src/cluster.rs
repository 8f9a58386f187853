//! The state of a run: the nodes, and what is recorded of them. It is looked at and changed between two awaits only.

use crate::process::{Due, Held, Process};
use splitbrain::check::{History, ProcessId};
use splitbrain::engine::parts::{self, Delays, Digest, Mark};
use splitbrain::world::{Ended, Stats, Stop, Trace, TraceDetail, Unsynced, What};
use splitbrain::{
    Cluster as View, Context, Effect, Invariant, LinkProfile, Links, Node, NodeId, OpId, Outcome,
    Purpose, Rng, Seed, Status, Time,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// A run of more events than this is given up: the kernel's bound.
const EVENTS_MAX: u64 = 50_000_000;

pub(crate) struct OpenOp {
    id: OpId,
    process: ProcessId,
    node: NodeId,
}

pub(crate) struct Cluster<N: Node> {
    pub(crate) seed: Seed,
    pub(crate) now: Time,
    pub(crate) nodes: Vec<Option<N>>,
    pub(crate) status: Vec<Status>,
    pub(crate) links: Links,
    pub(crate) processes: Vec<Process<N>>,
    /// What every link is like, as far as that is not madsim's.
    pub(crate) profile: LinkProfile,
    pub(crate) sync_delays: Delays,
    /// Of what a link does that madsim's do not: long tails, duplication.
    pub(crate) network_rng: Rng,
    disk_rng: Rng,
    /// When what was in flight on a link was last cut.
    pub(crate) cut_at: BTreeMap<(NodeId, NodeId), Time>,
    next_op: u64,
    pub(crate) open: Vec<OpenOp>,
    pub(crate) ended: Vec<Ended<N::Ret>>,
    pub(crate) history: History<N::Op, N::Ret>,
    pub(crate) digest: Digest,
    pub(crate) stats: Stats,
    pub(crate) probes: Vec<u64>,
    pub(crate) trace: Option<Trace>,
    pub(crate) invariants: Vec<Box<dyn Invariant<N>>>,
    /// What was found, after which nothing happens any more.
    pub(crate) found: Option<Stop>,
    /// How many messages madsim has let through.
    pub(crate) passed: u64,
    effects: Vec<Effect<N>>,
    notes: Vec<String>,
}

/// What happens, for the digest.
#[derive(Clone, Copy)]
pub(crate) enum Tag {
    Deliver = 1,
    Timer,
    Synced,
    Start,
    Invoke,
    End,
    Crash,
    Pause,
    Resume,
    Halt,
    Cut,
    Mend,
}

impl<N: Node> Cluster<N> {
    pub(crate) fn new(
        seed: Seed,
        profile: LinkProfile,
        sync_delays: Delays,
        nodes: Vec<N::Config>,
    ) -> Cluster<N> {
        let count = nodes.len();
        Cluster {
            seed,
            now: Time::ZERO,
            nodes: (0..count).map(|_| None).collect(),
            status: vec![Status::Down; count],
            links: Links::whole(count),
            processes: nodes.into_iter().map(Process::new).collect(),
            profile,
            sync_delays,
            network_rng: seed.stream(Purpose::Network),
            disk_rng: seed.stream(Purpose::Disk),
            cut_at: BTreeMap::new(),
            next_op: 0,
            open: Vec::new(),
            ended: Vec::new(),
            history: History::new(),
            digest: Digest::new(),
            stats: Stats::default(),
            probes: parts::unreached::<N>(),
            trace: None,
            invariants: Vec::new(),
            found: None,
            passed: 0,
            effects: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub(crate) fn view(&self) -> View<'_, N> {
        View::new(self.now, &self.nodes, &self.status, &self.links)
    }

    /// Whether its task has nothing to do any more: its node has ended, or the run has.
    pub(crate) fn is_over(&self, node: NodeId) -> bool {
        self.found.is_some() || self.nodes[node.index()].is_none()
    }

    pub(crate) fn mark(&mut self, tag: Tag, what: u64) {
        self.digest
            .pair(self.now.as_nanos() ^ ((tag as u64) << 60), what);
    }

    /// One event more has happened at this node: the invariants look.
    fn happened(&mut self, node: NodeId) {
        self.stats.events += 1;
        self.observe(node);
        if self.stats.events >= EVENTS_MAX && self.found.is_none() {
            self.found = Some(Stop::Exhausted {
                events: self.stats.events,
                waiting: 0,
            });
        }
    }

    pub(crate) fn observe(&mut self, node: NodeId) {
        let view = View::new(self.now, &self.nodes, &self.status, &self.links);
        for invariant in &mut self.invariants {
            if let Err(violation) = invariant.observe(view, node) {
                self.found.get_or_insert(Stop::Violation(violation));
                return;
            }
        }
    }

    /// The process has come so far that its node starts.
    pub(crate) fn start(&mut self, node: NodeId) {
        let index = node.index();
        let process = &mut self.processes[index];
        process.starting = false;
        let incarnation = process.incarnation;
        let journal = process.disk.journal();
        let config = process.config.clone();
        self.stats.records_damaged += journal.damage().count() as u64;
        self.mark(Tag::Start, (u64::from(incarnation) << 32) | index as u64);
        self.note(|| What::Start { node, incarnation });
        self.status[index] = Status::Up;
        self.call(node, |state, cx| {
            *state = Some(N::start(&config, journal, cx));
        });
    }

    pub(crate) fn deliver(&mut self, from: NodeId, to: NodeId, sent_at: Time, message: N::Message) {
        let cut = self.cut_at.get(&(from, to));
        if cut.is_some_and(|cut| sent_at <= *cut) {
            self.stats.dropped_by_partition += 1;
            self.reach_kernels(to, "a message was cut in flight");
            self.dropped(from, to, "cut in flight");
            return;
        }
        self.stats.messages_delivered += 1;
        self.mark(
            Tag::Deliver,
            ((from.index() as u64) << 32) | to.index() as u64,
        );
        self.detail(|| What::Deliver {
            from,
            to,
            message: format!("{message:?}"),
        });
        self.call_up(to, |state, cx| state.on_message(from, message, cx));
    }

    /// Does what is due at this node by the clock: once, and says whether there was something.
    pub(crate) fn do_due(&mut self, node: NodeId) -> bool {
        let due = self.processes[node.index()].take_due(self.now);
        match due {
            None => return false,
            Some(Due::Synced(mark)) => self.synced(node, mark),
            Some(Due::Timer(timer)) => {
                self.mark(Tag::Timer, node.index() as u64);
                self.detail(|| What::Timer {
                    node,
                    timer: format!("{timer:?}"),
                });
                self.call_up(node, |state, cx| state.on_timer(timer, cx));
            }
        }
        true
    }

    fn synced(&mut self, node: NodeId, mark: Mark) {
        let process = &mut self.processes[node.index()];
        process.disk.durable(mark);
        let barrier = process.outbox.pop_front();
        debug_assert!(
            matches!(barrier, Some(Held::Barrier(sync)) if sync == mark.sync),
            "syncs become durable in the order of their calls"
        );
        self.stats.syncs += 1;
        self.mark(Tag::Synced, node.index() as u64);
        self.detail(|| What::Synced { node });
        while let Some(held) = self.processes[node.index()].outbox.pop_front() {
            match held {
                Held::Send { to, message } => self.send(node, to, message),
                Held::Complete { id, outcome } => self.end_op(id, outcome),
                barrier @ Held::Barrier(_) => {
                    self.processes[node.index()].outbox.push_front(barrier);
                    break;
                }
            }
        }
        self.call_up(node, |state, cx| state.on_synced(mark.sync, cx));
    }

    /// The next operation that was asked for at this node.
    pub(crate) fn take_asked(&mut self, node: NodeId) -> Option<(OpId, N::Op)> {
        let asked = self.processes[node.index()].asked.pop_front()?;
        self.mark(Tag::Invoke, asked.0.0);
        Some(asked)
    }

    /// Tells the node of the operations that were asked for: one, and says whether there was one.
    pub(crate) fn do_asked(&mut self, node: NodeId) -> bool {
        let Some((id, op)) = self.take_asked(node) else {
            return false;
        };
        self.call_up(node, |state, cx| state.on_invoke(id, op, cx));
        true
    }

    fn call_up(&mut self, node: NodeId, handler: impl FnOnce(&mut N, &mut Context<'_, N>)) {
        self.call(node, |state, cx| {
            if let Some(state) = state {
                handler(state, cx);
            }
        });
    }

    /// Calls a handler, and carries out what it did.
    fn call(&mut self, node: NodeId, handler: impl FnOnce(&mut Option<N>, &mut Context<'_, N>)) {
        if self.found.is_some() {
            return;
        }
        let seed = self.seed;
        let process = &mut self.processes[node.index()];
        let mut next_sync = process.next_sync;
        let notes = self.trace.is_some().then_some(&mut self.notes);
        let rng = process.rng(seed, node);
        let mut cx = Context::new(
            node,
            self.now,
            rng,
            &mut next_sync,
            &mut self.effects,
            notes,
        );
        let state = &mut self.nodes[node.index()];
        let panicked = parts::catch(|| handler(state, &mut cx));
        process.next_sync = next_sync;
        if let Err(message) = panicked {
            self.effects.clear();
            self.notes.clear();
            self.stop(node, Unsynced::Lost);
            self.found.get_or_insert(Stop::Panic { node, message });
            return;
        }
        for words in std::mem::take(&mut self.notes) {
            self.note(|| What::Note { node, words });
        }
        self.carry_out(node);
        self.happened(node);
    }

    /// Carries out the effects of the last handler call, in order (law 4).
    fn carry_out(&mut self, node: NodeId) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            let process = &mut self.processes[node.index()];
            match effect {
                Effect::Send { to, message } if process.outbox.is_empty() => {
                    self.send(node, to, message);
                }
                Effect::Send { to, message } => {
                    process.outbox.push_back(Held::Send { to, message });
                }
                Effect::SendEager { to, message } => self.send(node, to, message),
                Effect::Complete { id, outcome } if process.outbox.is_empty() => {
                    self.end_op(id, outcome);
                }
                Effect::Complete { id, outcome } => {
                    process.outbox.push_back(Held::Complete { id, outcome });
                }
                Effect::SetTimer { timer, after } => {
                    process.timers.insert(timer, self.now + after);
                }
                Effect::CancelTimer(timer) => {
                    process.timers.remove(&timer);
                }
                Effect::Append(record) => process.disk.append(record),
                Effect::Compact(records) => process.disk.compact(records),
                Effect::Sync(sync) => {
                    let took = self.sync_delays.draw(self.disk_rng.next_u64());
                    let at = self.now + Duration::from_nanos(took);
                    // In the order of their calls.
                    let at = process.syncs.back().map_or(at, |(_, last)| at.max(*last));
                    process.syncs.push_back((process.disk.mark(sync), at));
                    process.outbox.push_back(Held::Barrier(sync));
                }
                Effect::Halt(reason) => {
                    self.halt(node, reason);
                    break; // the rest does not happen
                }
                Effect::Probe(index) => {
                    self.probes[index] += 1;
                    self.detail(|| What::Probe {
                        node,
                        probe: N::PROBES[index],
                    });
                }
            }
        }
        self.effects = effects;
    }

    fn send(&mut self, from: NodeId, to: NodeId, message: N::Message) {
        self.stats.messages_sent += 1;
        self.detail(|| What::Send {
            from,
            to,
            message: format!("{message:?}"),
        });
        if to.index() >= self.nodes.len() {
            self.stats.dropped_unknown_node += 1;
            self.dropped(from, to, "there is no such node");
            return;
        }
        let process = &mut self.processes[from.index()];
        let twice = self.profile.duplication;
        if !twice.is_never() && twice.hits(self.network_rng.next_u64()) {
            self.stats.duplicated += 1;
            process.leaving.push((to, message.clone()));
        }
        process.leaving.push((to, message));
    }

    pub(crate) fn halt(&mut self, node: NodeId, reason: String) {
        self.stats.halts += 1;
        self.mark(Tag::Halt, node.index() as u64);
        self.note(|| What::Note {
            node,
            words: format!("halts: {reason}"),
        });
        self.stop(node, Unsynced::Lost);
        self.processes[node.index()].halted = Some(reason);
    }

    /// The process is gone.
    pub(crate) fn stop(&mut self, node: NodeId, unsynced: Unsynced) {
        let index = node.index();
        self.nodes[index] = None;
        self.status[index] = Status::Down;
        let process = &mut self.processes[index];
        let (records, output) = (process.disk.has_unsynced(), process.holds_output());
        self.stats.records_lost += process.crash(unsynced, self.now) as u64;
        if self.open.iter().any(|open| open.node == node) {
            self.reach_kernels(node, "a crash ended an operation");
        }
        if records {
            self.reach_kernels(node, "a crash lost records that were not synced");
        }
        if output {
            self.reach_kernels(node, "a crash lost output that waited for a sync");
        }
        let at_node = |open: &OpenOp| (open.node == node).then_some(open.id);
        let ended: Vec<OpId> = self.open.iter().filter_map(at_node).collect();
        for id in ended {
            self.end_op(id, Outcome::Info);
        }
    }

    pub(crate) fn invoke(&mut self, process: ProcessId, node: NodeId, op: N::Op) -> OpId {
        let id = OpId(self.next_op);
        self.next_op += 1;
        self.stats.ops_invoked += 1;
        let tag = self.now.as_nanos() ^ ((Tag::Invoke as u64) << 60);
        self.digest.value(tag, &(process.0, &op));
        self.history
            .invoke(self.now.as_nanos(), process, op.clone());
        self.open.push(OpenOp { id, process, node });
        self.note(|| What::Invoke {
            node,
            process,
            op: format!("{op:?}"),
        });
        match self.status.get(node.index()) {
            Some(Status::Up | Status::Paused) => {
                let process = &mut self.processes[node.index()];
                process.asked.push_back((id, op));
                process.poked.notify_one();
            }
            _ => self.end_op(id, Outcome::Fail("the node is down")),
        }
        id
    }

    /// Ends an operation in the history; a second end is counted and ignored.
    pub(crate) fn end_op(&mut self, id: OpId, outcome: Outcome<N::Ret>) {
        let Some(at) = self.open.iter().position(|open| open.id == id) else {
            self.stats.late_answers += 1;
            return;
        };
        let OpenOp { process, node, .. } = self.open.swap_remove(at);
        let tag = self.now.as_nanos() ^ ((Tag::End as u64) << 60);
        self.digest.value(tag, &(process.0, &outcome));
        self.note(|| What::End {
            node,
            process,
            outcome: match &outcome {
                Outcome::Ok(ret) => format!("ok {ret:?}"),
                Outcome::Fail(why) => format!("fail: {why}"),
                Outcome::Info => "info: nobody knows".to_owned(),
            },
        });
        let now_ns = self.now.as_nanos();
        match &outcome {
            Outcome::Ok(ret) => {
                self.stats.ops_ok += 1;
                self.history.ok(now_ns, process, ret.clone());
            }
            Outcome::Fail(_) => {
                self.stats.ops_fail += 1;
                self.history.fail(now_ns, process);
            }
            Outcome::Info => {
                self.stats.ops_info += 1;
                self.history.info(now_ns, process);
            }
        }
        self.ended.push(Ended { process, outcome });
    }

    /// Something that the kernel has a probe for has happened here, too.
    pub(crate) fn reach_kernels(&mut self, node: NodeId, text: &'static str) {
        if let Some(index) = parts::kernel_probe(text) {
            self.probes[N::PROBES.len() + index] += 1;
            self.detail(|| What::Probe { node, probe: text });
        }
    }

    pub(crate) fn dropped(&mut self, from: NodeId, to: NodeId, why: &'static str) {
        self.detail(|| What::Drop { from, to, why });
    }

    /// Writes down what a timeline shows.
    pub(crate) fn note(&mut self, what: impl FnOnce() -> What) {
        if let Some(trace) = &mut self.trace {
            trace.push(self.now, what());
        }
    }

    /// Writes down what only a full trace shows.
    pub(crate) fn detail(&mut self, what: impl FnOnce() -> What) {
        if let Some(trace) = &mut self.trace
            && trace.detail == TraceDetail::Everything
        {
            trace.push(self.now, what());
        }
    }
}
