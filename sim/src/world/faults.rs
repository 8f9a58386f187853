//! What can be done to processes, their disks and their clocks.

use super::probes::own;
use super::process::{Process, Untold};
use super::{Event, TAG_CRASH, TAG_HALT, TAG_PAUSE, TAG_RESUME, Unsynced, What, World, tag};
use crate::network::{Delays, Latency};
use splitbrain_core::{Node, NodeId, OpId, Outcome, Status, Time};
use std::time::Duration;

/// A fault that is in force, as the world knows it: to be [ended](World::end).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultId(pub(super) u32);

impl<N: Node> World<N> {
    /// Stops a node and loses what it had not synced. Its open operations end as info. Nothing of before reaches it
    /// afterwards: no timer, no sync, no message sent to it until now.
    pub fn crash(&mut self, node: NodeId) {
        self.crash_keeping(node, Unsynced::Lost);
    }

    /// The same, and says what the disk keeps by chance of what was not synced.
    pub fn crash_keeping(&mut self, node: NodeId, unsynced: Unsynced) {
        if self.is_running_or_starting(node) {
            self.stats.crashes += 1;
            let index = node.index() as u64;
            self.digest.pair(tag(TAG_CRASH, 0, self.now), index);
            self.stop(node, unsynced);
        }
    }

    /// Crashes a node, or finds it down, and takes everything from its disk, what was there before its first start
    /// included.
    pub fn wipe(&mut self, node: NodeId) {
        if node.index() < self.nodes.len() {
            self.crash(node);
            self.stats.wipes += 1;
            self.processes[node.index()].disk.wipe();
        }
    }

    /// A node ends itself.
    pub(super) fn halt(&mut self, node: NodeId, reason: String) {
        self.stats.halts += 1;
        let index = node.index();
        self.digest.pair(tag(TAG_HALT, 0, self.now), index as u64);
        self.trace_note(|| What::Note {
            node,
            words: format!("halts: {reason}"),
        });
        self.stop(node, Unsynced::Lost);
        self.processes[index].halted = Some(reason);
    }

    /// Why a node has ended itself, if it has and was not started since.
    pub fn halted(&self, node: NodeId) -> Option<&str> {
        self.processes.get(node.index())?.halted.as_deref()
    }

    /// Starts a process that has ended itself, as somebody has looked after the cause; or, if it has not yet been told of a
    /// failed sync, as soon as it has ended itself over that.
    /// Nothing happens while another fault of its disk lasts, or one that holds it down.
    pub(crate) fn restart_halted(&mut self, node: NodeId) {
        let Some(process) = self.processes.get_mut(node.index()) else {
            return;
        };
        if process.halted.is_some() {
            self.start_again(node);
        } else if !process.disk.is_faulty() {
            process.untold = process.untold.map(|_| Untold::Remedied);
        }
    }

    /// Starts a process that a fault has brought down, unless another one keeps it there: it is held down, or has ended itself
    /// and its disk is still failing or full. The last of them to end starts it. One that was crashed may start on a bad disk.
    pub(super) fn start_again(&mut self, node: NodeId) {
        let process = &self.processes[node.index()];
        let is_kept_down = process.halted.is_some() && process.disk.is_faulty();
        if process.held_down == 0 && !is_kept_down {
            self.restart(node);
        }
    }

    fn stop(&mut self, node: NodeId, unsynced: Unsynced) {
        let index = node.index();
        self.nodes[index] = None;
        self.status[index] = Status::Down;
        self.disturbed.push(node);
        self.reach_what_a_crash_loses(node);
        let process = &mut self.processes[index];
        self.stats.records_lost += process.crash(unsynced) as u64;
        for (_, slot) in process.backlog.drain(..) {
            self.queue.remove(slot);
        }
        let ended: Vec<OpId> = self
            .open
            .iter()
            .filter(|op| op.node == node)
            .map(|op| op.id)
            .collect();
        for id in ended {
            self.end_op(id, Outcome::Info);
        }
    }

    /// Starts a node that is down, with its journal. The start is an event of its own, at this instant.
    pub fn restart(&mut self, node: NodeId) {
        if self.status.get(node.index()) == Some(&Status::Down)
            && !self.is_running_or_starting(node)
        {
            self.processes[node.index()].starting = true;
            self.processes[node.index()].halted = None;
            let incarnation = self.processes[node.index()].incarnation;
            let position = self.queue.next_position(self.now);
            self.queue
                .push(position, Event::Start { node, incarnation });
        }
    }

    /// Stops the process of a node that is up, with its memory. What arrives waits; its disk goes on.
    pub fn pause(&mut self, node: NodeId) {
        if self.status.get(node.index()) == Some(&Status::Up) {
            self.stats.pauses += 1;
            self.digest
                .pair(tag(TAG_PAUSE, 0, self.now), node.index() as u64);
            self.status[node.index()] = Status::Paused;
            self.processes[node.index()].waiting = true;
            self.disturbed.push(node);
        }
    }

    /// Lets a paused node go on: first with what has arrived meanwhile, in order.
    pub fn resume(&mut self, node: NodeId) {
        if self.status.get(node.index()) == Some(&Status::Paused) {
            self.digest
                .pair(tag(TAG_RESUME, 0, self.now), node.index() as u64);
            self.status[node.index()] = Status::Up;
            self.disturbed.push(node);
            if !self.processes[node.index()].backlog.is_empty() {
                self.reach_own(
                    node,
                    own!("a paused process found a backlog when it resumed"),
                );
            }
            let busy_until = self.processes[node.index()].busy_until;
            self.wake_at(node, busy_until.max(self.now));
        }
    }

    /// Lets the process look at its backlog at this time.
    pub(super) fn wake_at(&mut self, node: NodeId, at: Time) {
        let process = &mut self.processes[node.index()];
        process.waiting = true;
        if !process.waking {
            process.waking = true;
            let incarnation = process.incarnation;
            let position = self.queue.next_position(at);
            self.queue.push(position, Event::Wake { node, incarnation });
        }
    }

    /// Whether there is something to crash: a process that runs, is paused, or is about to start at this instant.
    pub(crate) fn is_running_or_starting(&self, node: NodeId) -> bool {
        let Some(process) = self.processes.get(node.index()) else {
            return false;
        };
        process.starting || self.status[node.index()] != Status::Down
    }

    /// A fault holds the process down, once more.
    pub(crate) fn hold_down(&mut self, node: NodeId) {
        self.processes[node.index()].held_down += 1;
    }

    /// One fault less holds it down: when none does, it starts again.
    pub(crate) fn let_up(&mut self, node: NodeId) {
        let process = &mut self.processes[node.index()];
        process.held_down = process.held_down.saturating_sub(1);
        self.start_again(node);
    }

    /// How often this node has crashed.
    pub fn incarnation(&self, node: NodeId) -> u32 {
        self.processes[node.index()].incarnation
    }

    pub(super) fn new_fault(&mut self) -> FaultId {
        self.next_fault += 1;
        FaultId(self.next_fault)
    }

    /// Ends a fault: armed crashes, worse links, strobing clocks, slow disks.
    pub fn end(&mut self, fault: FaultId) {
        self.disarm(fault);
        self.network.restore(fault.0);
        for process in &mut self.processes {
            process.clock.end_strobe(fault.0);
            process.sync_delays.retain(|(by, _)| *by != fault.0);
        }
    }

    /// Makes a node take so much longer for every event from now on, by adding to what it takes already, or by taking away
    /// from it. What arrives while it is busy waits in order.
    pub fn slow_down(&mut self, node: NodeId, by: Duration, more: bool) {
        self.unusual = true;
        if let Some(process) = self.processes.get_mut(node.index()) {
            process.per_event = if more {
                process.per_event.saturating_add(by)
            } else {
                process.per_event.saturating_sub(by)
            };
        }
    }
}

/// Clocks. True time is what [`World::now`] says; a node sees only its own.
impl<N: Node> World<N> {
    /// Makes the monotonic clock of a node run faster by so many parts per million, or slower if negative. Its timers run
    /// by it.
    pub fn drift(&mut self, node: NodeId, by_ppm: i32) {
        let Some(process) = self.processes.get_mut(node.index()) else {
            return;
        };
        if by_ppm == 0 {
            return;
        }
        self.unusual = true;
        let now = self.now;
        // What is left of a timer is left on the node's own clock. One that has run out, and waits for its process to be
        // resumed, keeps its place among all that waits.
        let left: Vec<(N::Timer, Duration)> = process
            .timers
            .armed()
            .filter(|&(_, deadline)| deadline > now)
            .map(|(timer, deadline)| {
                let shown = process.clock.monotonic(deadline);
                (timer, shown.since(process.clock.monotonic(now)))
            })
            .collect();
        process.clock.drift(by_ppm, now);
        for (timer, left) in left {
            self.set_timer(node, timer, left);
        }
    }

    /// Moves the wall clock of a node by so many nanoseconds.
    pub fn jump(&mut self, node: NodeId, by_ns: i64) {
        if let Some(process) = self.processes.get_mut(node.index()) {
            self.unusual = true;
            self.stats.clock_jumps += 1;
            process.clock.jump(by_ns);
        }
    }

    /// Makes the wall clocks of these nodes jump by so many nanoseconds and back again, each time after `every`, until the
    /// fault [ends](World::end).
    pub fn strobe(&mut self, nodes: &[NodeId], by_ns: i64, every: Duration) -> FaultId {
        let fault = self.new_fault();
        self.unusual = true;
        let now = self.now;
        for &node in nodes {
            if let Some(process) = self.processes.get_mut(node.index()) {
                self.stats.clock_jumps += 1;
                process.clock.strobe(fault.0, by_ns, every, now);
            }
        }
        fault
    }

    /// What the monotonic and the wall clock of a node show.
    #[inline]
    pub fn clocks(&self, node: NodeId) -> (Time, Time) {
        if self.unusual {
            self.own_clocks(node)
        } else {
            (self.now, self.now)
        }
    }

    #[cold]
    fn own_clocks(&self, node: NodeId) -> (Time, Time) {
        match self.processes.get(node.index()) {
            Some(Process { clock, .. }) => (clock.monotonic(self.now), clock.wall(self.now)),
            None => (self.now, self.now),
        }
    }
}

/// Disks.
impl<N: Node> World<N> {
    /// Makes every disk take this long to sync from now on.
    pub fn set_sync_latency(&mut self, latency: &Latency) {
        self.sync_delays = Delays::new(latency);
    }

    /// Makes the disks of these nodes take this long to sync, until the fault [ends](World::end). Of two such faults the later
    /// counts.
    pub fn slow_syncs(&mut self, nodes: &[NodeId], latency: &Latency) -> FaultId {
        let fault = self.new_fault();
        for &node in nodes {
            if let Some(process) = self.processes.get_mut(node.index()) {
                process.sync_delays.push((fault.0, Delays::new(latency)));
            }
        }
        fault
    }

    /// Makes every sync of a node that is due from now on fail, once more; or once less.
    pub fn fail_syncs(&mut self, node: NodeId, more: bool) {
        if let Some(process) = self.processes.get_mut(node.index()) {
            count(&mut process.disk.failing, more);
        }
    }

    /// Fills the disk of a node, once more; or once less. What is durable fits, and nothing longer.
    pub fn fill_disk(&mut self, node: NodeId, more: bool) {
        if let Some(process) = self.processes.get_mut(node.index()) {
            count(&mut process.disk.full, more);
        }
    }

    /// Makes the durable record at this position, from zero, unreadable. The node finds out when it starts the next time.
    /// Returns whether there was a readable record.
    pub fn corrupt(&mut self, node: NodeId, position: usize) -> bool {
        let process = self.processes.get_mut(node.index());
        process.is_some_and(|process| process.disk.corrupt(position))
    }

    /// Whether the record at this position is one that cannot be read.
    pub fn is_corrupt(&self, node: NodeId, position: usize) -> bool {
        let process = self.processes.get(node.index());
        process.is_some_and(|process| process.disk.is_corrupt(position))
    }

    /// How many records a restart of this node would find.
    pub fn durable_records(&self, node: NodeId) -> usize {
        let process = self.processes.get(node.index());
        process.map_or(0, |process| process.disk.durable_len())
    }

    /// Whether a sync of this node is under way.
    pub fn is_syncing(&self, node: NodeId) -> bool {
        let process = self.processes.get(node.index());
        process.is_some_and(|process| !process.outbox.is_empty())
    }
}

fn count(faults: &mut u32, more: bool) {
    *faults = if more {
        faults.saturating_add(1)
    } else {
        faults.saturating_sub(1)
    };
}
