//! What runs the nodes of a scenario: the [kernel](World), or a simulator that somebody else has made.
//!
//! The harness (phases, clients, faults, verdict) is written once against an [`Engine`], so that the same scenario means the
//! same wherever it runs.

use crate::network::{Latency, LinkProfile, LinkSet};
use crate::scenario::NetworkSpec;
use crate::world::probes;
use crate::world::{Ended, Stats, Stop, Trace, TraceDetail, Unsynced, World, WorldConfig};
use splitbrain_check::{History, ProcessId};
use splitbrain_core::{Cluster, Invariant, Node, NodeId, OpId, Seed, Time};

/// A cluster of nodes in virtual time, as the harness sees it. Everything that happens in one is a function of its seed, of what
/// it is made of and of what is done to it.
///
/// An engine other than the kernel need not do everything that the kernel does. It must [refuse](Engine::refuse) what it cannot do:
/// that is said when a scenario or a replay is loaded.
pub trait Engine<N: Node>: Sized {
    /// Its name, as `--engine` and replay files have it.
    const NAME: &'static str;

    /// A cluster in which a node with each of these configurations starts at time zero, named n1, n2, .. in order.
    fn new(seed: Seed, config: &WorldConfig, nodes: Vec<N::Config>) -> Self;

    /// Does the work of one run where no other run can have a say in it.
    fn isolated<T: Send>(run: impl FnOnce() -> T + Send) -> T {
        run()
    }

    /// Says what of this it cannot do, if there is something.
    ///
    /// # Errors
    /// What it cannot do, in words.
    fn refuse(_what: Wanted<'_>) -> Result<(), String> {
        Ok(())
    }

    /// The kernel, if that is what this is: there is more that can be done to it.
    fn kernel(&mut self) -> Option<&mut World<N>> {
        None
    }

    /// Virtual time.
    fn now(&self) -> Time;
    /// All nodes, as an omniscient observer sees them.
    fn cluster(&self) -> Cluster<'_, N>;
    /// Every operation so far.
    fn history(&self) -> &History<N::Op, N::Ret>;
    /// Every operation, at the end.
    fn into_history(self) -> History<N::Op, N::Ret>;
    /// What has happened so far, counted.
    fn stats(&self) -> Stats;
    /// One number for everything that happened so far.
    fn digest(&self) -> u64;
    /// How often each probe was reached: those of the nodes, then those of the kernel.
    fn probes(&self) -> Vec<u64>;
    /// Writes down what happens from now on. Changes nothing of what happens.
    fn trace(&mut self, detail: TraceDetail);
    /// What was written down.
    fn take_trace(&mut self) -> Option<Trace>;
    /// Writes down a fault, in words, at the nodes it concerns.
    fn trace_fault(&mut self, nodes: &[NodeId], words: impl FnOnce() -> String);

    /// Begins an operation at a node, as this process, now. If the node is down the operation fails at once.
    fn invoke(&mut self, process: ProcessId, node: NodeId, op: N::Op) -> OpId;
    /// Takes the operations that ended since the last call, in order.
    fn take_ended(&mut self) -> Vec<Ended<N::Ret>>;
    /// Lets everything happen that is due by `until`, shows the cluster to the invariants after each event, and comes back early when
    /// operations have ended and on a finding. What cannot be timed as exactly may come back a little later.
    fn run_until(&mut self, until: Time, invariants: &mut Vec<Box<dyn Invariant<N>>>) -> Stop;

    /// Makes every link like this.
    fn set_links(&mut self, profile: &LinkProfile);
    /// Makes every disk take this long to sync.
    fn set_sync_latency(&mut self, latency: &Latency);

    /// Cuts links, once more where they are cut already; what is in flight arrives, unless `cut_in_flight`.
    fn cut(&mut self, cuts: &LinkSet, cut_in_flight: bool);
    /// Undoes one cut of these links.
    fn mend(&mut self, cuts: &LinkSet);
    /// Stops a node; its open operations end as info.
    fn crash_keeping(&mut self, node: NodeId, unsynced: Unsynced);
    /// Stops a node, and takes everything from its disk.
    fn wipe(&mut self, node: NodeId);
    /// A fault holds the process down, once more.
    fn hold_down(&mut self, node: NodeId);
    /// One fault less holds it down: when none does, it starts again.
    fn let_up(&mut self, node: NodeId);
    /// Stops the process of a node that is up, with its memory.
    fn pause(&mut self, node: NodeId);
    /// Lets a paused node go on.
    fn resume(&mut self, node: NodeId);
    /// Starts a process that has ended itself, unless a fault holds it down.
    fn restart_halted(&mut self, node: NodeId);

    /// How often this node has crashed.
    fn incarnation(&self, node: NodeId) -> u32;
    /// Whether there is something to crash.
    fn is_running_or_starting(&self, node: NodeId) -> bool;
    /// Why a node has ended itself, if it has and was not started since.
    fn halted(&self, node: NodeId) -> Option<&str>;
    /// How many records a restart of this node would find.
    fn durable_records(&self, node: NodeId) -> usize;
    /// Whether a sync of this node is under way.
    fn is_syncing(&self, node: NodeId) -> bool;

    /// Whether the durable record at this position is one that cannot be read.
    fn is_corrupt(&self, _node: NodeId, _position: usize) -> bool {
        false
    }
}

/// Something that a scenario or a replay asks of an engine.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// Links and disks like these.
    Network(&'a NetworkSpec),
    /// Faults of this kind, by its name in scenarios.
    Fault(&'a str),
    /// That this probe of the kernel is reached.
    KernelProbe(&'a str),
}

impl<N: Node> Engine<N> for World<N> {
    const NAME: &'static str = "kernel";

    fn new(seed: Seed, config: &WorldConfig, nodes: Vec<N::Config>) -> Self {
        World::new(seed, config, nodes)
    }
    fn kernel(&mut self) -> Option<&mut World<N>> {
        Some(self)
    }
    fn now(&self) -> Time {
        World::now(self)
    }
    fn cluster(&self) -> Cluster<'_, N> {
        World::cluster(self)
    }
    fn history(&self) -> &History<N::Op, N::Ret> {
        World::history(self)
    }
    fn into_history(self) -> History<N::Op, N::Ret> {
        World::into_history(self)
    }
    fn stats(&self) -> Stats {
        *World::stats(self)
    }
    fn digest(&self) -> u64 {
        World::digest(self)
    }
    fn probes(&self) -> Vec<u64> {
        World::probes(self).map(|(_, times)| times).collect()
    }
    fn trace(&mut self, detail: TraceDetail) {
        World::trace(self, detail);
    }
    fn take_trace(&mut self) -> Option<Trace> {
        World::take_trace(self)
    }
    fn trace_fault(&mut self, nodes: &[NodeId], words: impl FnOnce() -> String) {
        World::trace_fault(self, nodes, words);
    }
    fn invoke(&mut self, process: ProcessId, node: NodeId, op: N::Op) -> OpId {
        World::invoke(self, process, node, op)
    }
    fn take_ended(&mut self) -> Vec<Ended<N::Ret>> {
        World::take_ended(self).collect()
    }
    fn run_until(&mut self, until: Time, invariants: &mut Vec<Box<dyn Invariant<N>>>) -> Stop {
        World::run_until(self, until, invariants)
    }
    fn set_links(&mut self, profile: &LinkProfile) {
        World::set_links(self, profile);
    }
    fn set_sync_latency(&mut self, latency: &Latency) {
        World::set_sync_latency(self, latency);
    }
    fn cut(&mut self, cuts: &LinkSet, cut_in_flight: bool) {
        World::cut(self, cuts, cut_in_flight);
    }
    fn mend(&mut self, cuts: &LinkSet) {
        World::mend(self, cuts);
    }
    fn crash_keeping(&mut self, node: NodeId, unsynced: Unsynced) {
        World::crash_keeping(self, node, unsynced);
    }
    fn wipe(&mut self, node: NodeId) {
        World::wipe(self, node);
    }
    fn hold_down(&mut self, node: NodeId) {
        World::hold_down(self, node);
    }
    fn let_up(&mut self, node: NodeId) {
        World::let_up(self, node);
    }
    fn pause(&mut self, node: NodeId) {
        World::pause(self, node);
    }
    fn resume(&mut self, node: NodeId) {
        World::resume(self, node);
    }
    fn restart_halted(&mut self, node: NodeId) {
        World::restart_halted(self, node);
    }
    fn incarnation(&self, node: NodeId) -> u32 {
        World::incarnation(self, node)
    }
    fn is_running_or_starting(&self, node: NodeId) -> bool {
        World::is_running_or_starting(self, node)
    }
    fn halted(&self, node: NodeId) -> Option<&str> {
        World::halted(self, node)
    }
    fn durable_records(&self, node: NodeId) -> usize {
        World::durable_records(self, node)
    }
    fn is_syncing(&self, node: NodeId) -> bool {
        World::is_syncing(self, node)
    }
    fn is_corrupt(&self, node: NodeId, position: usize) -> bool {
        World::is_corrupt(self, node, position)
    }
}

/// What whoever makes an engine can take from the kernel, so that what is not different is the same.
pub mod parts {
    pub use crate::network::Delays;
    pub use crate::panics::catch;
    pub use crate::world::{Digest, Disk, Mark};

    use super::{Node, probes};

    /// Room to count the probes of these nodes, and behind them those of the kernel.
    pub fn unreached<N: Node>() -> Vec<u64> {
        probes::unreached::<N>()
    }

    /// Where the probe of the kernel with this text stands behind those of the nodes.
    pub fn kernel_probe(text: &str) -> Option<usize> {
        probes::PROBES.iter().position(|probe| *probe == text)
    }
}
