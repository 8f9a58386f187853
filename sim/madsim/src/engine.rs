//! madsim as an engine of the harness.

use crate::cluster::{Cluster, Tag};
use crate::life::{self, Drive, Nodes, Shared};
use crate::refuse::{self, OVERHEAD};
use madsim::net::{self, NetSim};
use madsim::runtime::Runtime;
use madsim::{Config, task};
use send_wrapper::SendWrapper;
use splitbrain::check::{History, ProcessId};
use splitbrain::engine::parts::Delays;
use splitbrain::engine::{Engine, Wanted};
use splitbrain::world::{Ended, Stats, Stop, Trace, TraceDetail, Unsynced, What, WorldConfig};
use splitbrain::{
    Cluster as View, Invariant, Latency, LinkProfile, LinkSet, Node, NodeId, OpId, Purpose, Seed,
    Status, Time,
};
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// A cluster of nodes under madsim. To be made in a [thread of its own](Engine::isolated): the order of madsim's hash maps is the same
/// in each run only for the first runtime of a thread.
///
/// What a process does is its [`Drive`]: it drives a node, if nothing else is said.
pub struct Madsim<N: Node + 'static, D = Nodes> {
    runtime: Runtime,
    network: Arc<NetSim>,
    /// madsim's names of the nodes.
    ids: Vec<task::NodeId>,
    /// `None` only while the runtime runs.
    cluster: Option<Box<Cluster<N>>>,
    shared: Rc<Shared<N>>,
    /// Nodes that were crashed, paused or resumed since the invariants last looked.
    disturbed: Vec<NodeId>,
    drive: PhantomData<D>,
}

impl<N: Node, D> fmt::Debug for Madsim<N, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Madsim").finish_non_exhaustive()
    }
}

impl<N: Node, D> Madsim<N, D> {
    fn cluster(&self) -> &Cluster<N> {
        self.cluster.as_deref().expect("the runtime does not run")
    }

    fn cluster_mut(&mut self) -> &mut Cluster<N> {
        let cluster = self.cluster.as_deref_mut();
        cluster.expect("the runtime does not run")
    }

    /// Lets the tasks run until there is news, or a step of time is over.
    ///
    /// Every time that madsim comes back it draws random numbers and lets time pass. So it comes back when this says, and not when the
    /// harness would like it to: a replay, in which nobody looks for what is written down already, is the same run.
    fn run(&mut self) {
        let now_ns = self.cluster().now.as_nanos();
        // No sleep of madsim's is shorter than a millisecond.
        let step = (now_ns + 1_000_000) / STEP_NS + 1;
        let until = Time::from_nanos(step * STEP_NS);
        self.shared.cluster.replace(self.cluster.take());
        let shared = self.shared.clone();
        self.runtime.block_on(async move {
            tokio::select! {
                biased;
                () = shared.news.notified() => {}
                () = life::sleep_until(until) => {}
            }
            if let Some(cluster) = shared.cluster.borrow_mut().as_mut() {
                cluster.now = life::now();
            }
        });
        self.cluster = self.shared.cluster.take();
    }

    /// The links among these that there are.
    fn existing(&self, links: &LinkSet) -> Vec<(NodeId, NodeId)> {
        let nodes = self.ids.len();
        let exists = |link: &(NodeId, NodeId)| link.0.index().max(link.1.index()) < nodes;
        links.iter().filter(exists).collect()
    }

    fn start_again(&mut self, node: NodeId) {
        let cluster = self.cluster_mut();
        let process = &mut cluster.processes[node.index()];
        let is_down = cluster.status[node.index()] == Status::Down && !process.starting;
        if process.held_down == 0 && is_down {
            process.starting = true;
            process.halted = None;
            let id = self.ids[node.index()];
            // One that has ended itself has left its address in use.
            self.runtime.handle().kill(id);
            self.runtime.handle().restart(id);
        }
    }
}

/// How often the harness may act: a fault or an operation comes so much too late at most.
const STEP_NS: u64 = 2_000_000;

/// The latencies that madsim draws, so that with what it adds itself the body of this one comes about.
fn send_latency(latency: &Latency) -> Range<Duration> {
    let end = (latency.mean.0 * 2).saturating_sub(latency.min.0);
    let start = latency.min.0.saturating_sub(OVERHEAD);
    let end = end.saturating_sub(OVERHEAD);
    start..end.max(start + Duration::from_nanos(1))
}

fn net_config(profile: &LinkProfile) -> net::Config {
    let hitting = profile.loss.hitting() as f64;
    net::Config {
        packet_loss_rate: hitting / 2.0_f64.powi(64),
        send_latency: send_latency(&profile.latency),
    }
}

impl<N: Node, D: Drive<N>> Engine<N> for Madsim<N, D> {
    const NAME: &'static str = "madsim";

    fn new(seed: Seed, config: &WorldConfig, nodes: Vec<N::Config>) -> Self {
        let count = nodes.len();
        let runtime = Runtime::with_seed_and_config(
            seed.key(Purpose::User(0)),
            Config {
                net: net_config(&config.links),
                ..Config::default()
            },
        );
        // Nothing else runs yet.
        let network = runtime.block_on(async { NetSim::current() });
        let shared = Rc::new(Shared {
            cluster: RefCell::new(None),
            news: Notify::new(),
        });
        let node = |index| {
            let node = NodeId::from_index(index);
            let shared = SendWrapper::new(shared.clone());
            let builder = runtime.create_node().name(node.to_string());
            let builder = builder.ip(life::ip(node));
            let life = move || D::live((*shared).clone(), node);
            builder.init(life).build().id()
        };
        Madsim {
            ids: (0..count).map(node).collect(),
            cluster: Some(Box::new(Cluster::new(
                seed,
                config.links,
                Delays::new(&config.sync_latency),
                nodes,
            ))),
            shared,
            runtime,
            network,
            disturbed: Vec::new(),
            drive: PhantomData,
        }
    }

    /// A thread of its own for each run.
    fn isolated<T: Send>(run: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(run);
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn refuse(what: Wanted<'_>) -> Result<(), String> {
        refuse::refuse(what)?;
        D::refuse(what)
    }

    fn now(&self) -> Time {
        self.cluster().now
    }
    fn cluster(&self) -> View<'_, N> {
        self.cluster().view()
    }
    fn history(&self) -> &History<N::Op, N::Ret> {
        &self.cluster().history
    }
    fn into_history(mut self) -> History<N::Op, N::Ret> {
        std::mem::take(&mut self.cluster_mut().history)
    }
    fn stats(&self) -> Stats {
        self.cluster().stats
    }
    fn digest(&self) -> u64 {
        self.cluster().digest.finish()
    }
    fn probes(&self) -> Vec<u64> {
        self.cluster().probes.clone()
    }
    fn trace(&mut self, detail: TraceDetail) {
        self.cluster_mut().trace = Some(Trace::new(detail));
    }
    fn take_trace(&mut self) -> Option<Trace> {
        self.cluster_mut().trace.take()
    }
    fn trace_fault(&mut self, nodes: &[NodeId], words: impl FnOnce() -> String) {
        self.cluster_mut().note(|| What::Fault {
            nodes: nodes.to_vec(),
            words: words(),
        });
    }

    fn invoke(&mut self, process: ProcessId, node: NodeId, op: N::Op) -> OpId {
        self.cluster_mut().invoke(process, node, op)
    }
    fn take_ended(&mut self) -> Vec<Ended<N::Ret>> {
        std::mem::take(&mut self.cluster_mut().ended)
    }

    fn run_until(&mut self, until: Time, invariants: &mut Vec<Box<dyn Invariant<N>>>) -> Stop {
        let disturbed = std::mem::take(&mut self.disturbed);
        let cluster = self.cluster_mut();
        std::mem::swap(&mut cluster.invariants, invariants);
        for node in disturbed {
            cluster.observe(node);
        }
        loop {
            let cluster = self.cluster_mut();
            let stop = match &cluster.found {
                Some(found) => found.clone(),
                None if !cluster.ended.is_empty() => Stop::Ended,
                None if cluster.now >= until => Stop::Time,
                None => {
                    self.run();
                    continue;
                }
            };
            std::mem::swap(&mut cluster.invariants, invariants);
            return stop;
        }
    }

    fn set_links(&mut self, profile: &LinkProfile) {
        self.cluster_mut().profile = *profile;
        let config = net_config(profile);
        self.network.update_config(|old| *old = config);
    }
    fn set_sync_latency(&mut self, latency: &Latency) {
        self.cluster_mut().sync_delays = Delays::new(latency);
    }

    fn cut(&mut self, cuts: &LinkSet, cut_in_flight: bool) {
        let links = self.existing(cuts);
        let cluster = self.cluster_mut();
        cluster.stats.partitions += u64::from(!cuts.is_empty());
        cluster.mark(Tag::Cut, links.len() as u64);
        for &(from, to) in &links {
            cluster.links.cut(from, to);
            if cut_in_flight {
                let now = cluster.now;
                cluster.cut_at.insert((from, to), now);
            }
        }
        for (from, to) in links {
            let (from, to) = (self.ids[from.index()], self.ids[to.index()]);
            self.network.clog_link(from, to);
        }
    }
    fn mend(&mut self, cuts: &LinkSet) {
        let mut links = self.existing(cuts);
        let cluster = self.cluster_mut();
        cluster.mark(Tag::Mend, links.len() as u64);
        for &(from, to) in &links {
            cluster.links.mend(from, to);
        }
        // Another fault may still cut it.
        links.retain(|(from, to)| cluster.links.connected(*from, *to));
        for (from, to) in links {
            let (from, to) = (self.ids[from.index()], self.ids[to.index()]);
            self.network.unclog_link(from, to);
        }
    }
    fn crash_keeping(&mut self, node: NodeId, unsynced: Unsynced) {
        if self.is_running_or_starting(node) {
            let cluster = self.cluster_mut();
            cluster.stats.crashes += 1;
            cluster.mark(Tag::Crash, node.index() as u64);
            cluster.stop(node, unsynced);
            self.disturbed.push(node);
            self.runtime.handle().kill(self.ids[node.index()]);
        }
    }
    fn wipe(&mut self, node: NodeId) {
        if node.index() < self.ids.len() {
            self.crash_keeping(node, Unsynced::Lost);
            let cluster = self.cluster_mut();
            cluster.stats.wipes += 1;
            cluster.processes[node.index()].disk.wipe();
        }
    }
    fn hold_down(&mut self, node: NodeId) {
        self.cluster_mut().processes[node.index()].held_down += 1;
    }
    fn let_up(&mut self, node: NodeId) {
        let process = &mut self.cluster_mut().processes[node.index()];
        process.held_down = process.held_down.saturating_sub(1);
        self.start_again(node);
    }
    fn pause(&mut self, node: NodeId) {
        let cluster = self.cluster_mut();
        if cluster.status.get(node.index()) == Some(&Status::Up) {
            cluster.stats.pauses += 1;
            cluster.mark(Tag::Pause, node.index() as u64);
            cluster.status[node.index()] = Status::Paused;
            self.disturbed.push(node);
            self.runtime.handle().pause(self.ids[node.index()]);
        }
    }
    fn resume(&mut self, node: NodeId) {
        let cluster = self.cluster_mut();
        if cluster.status.get(node.index()) == Some(&Status::Paused) {
            cluster.mark(Tag::Resume, node.index() as u64);
            cluster.status[node.index()] = Status::Up;
            let now = cluster.now;
            let process = &cluster.processes[node.index()];
            let synced = process.syncs.front().is_some_and(|(_, at)| *at < now);
            // Of messages only madsim knows.
            let waits = process.next_at().is_some_and(|at| at < now) || !process.asked.is_empty();
            if synced {
                let text = "a sync became durable while its process was paused";
                cluster.reach_kernels(node, text);
            }
            if waits {
                let text = "a paused process found a backlog when it resumed";
                cluster.reach_kernels(node, text);
            }
            self.disturbed.push(node);
            self.runtime.handle().resume(self.ids[node.index()]);
        }
    }
    fn restart_halted(&mut self, node: NodeId) {
        let process = self.cluster().processes.get(node.index());
        if process.is_some_and(|process| process.halted.is_some()) {
            self.start_again(node);
        }
    }

    fn incarnation(&self, node: NodeId) -> u32 {
        self.cluster().processes[node.index()].incarnation
    }
    fn is_running_or_starting(&self, node: NodeId) -> bool {
        let cluster = self.cluster();
        let process = cluster.processes.get(node.index());
        let running = cluster.view().status(node) != Status::Down;
        process.is_some_and(|process| process.starting || running)
    }
    fn halted(&self, node: NodeId) -> Option<&str> {
        let process = self.cluster().processes.get(node.index())?;
        process.halted.as_deref()
    }
    fn durable_records(&self, node: NodeId) -> usize {
        let process = self.cluster().processes.get(node.index());
        process.map_or(0, |process| process.disk.durable_len())
    }
    fn is_syncing(&self, node: NodeId) -> bool {
        let process = self.cluster().processes.get(node.index());
        process.is_some_and(|process| !process.outbox.is_empty())
    }
}

/// A runtime that ends with tasks in it would leave their memory behind.
impl<N: Node, D> Drop for Madsim<N, D> {
    fn drop(&mut self) {
        for id in &self.ids {
            self.runtime.handle().kill(*id);
        }
        self.runtime
            .block_on(async { madsim::time::sleep(Duration::from_millis(1)).await });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use splitbrain::{Ratio, Span};

    #[test]
    fn with_what_madsim_adds_a_message_takes_as_long_as_it_is_to_take() {
        let ms = Span::from_millis;
        let range = |min, max| {
            let range = send_latency(&Latency::uniform(ms(min), ms(max)));
            (range.start.as_millis(), range.end.as_millis())
        };
        assert_eq!(range(3, 11), (1, 9));
        // Less than madsim adds there is not.
        assert_eq!(range(1, 9), (0, 7));
        let constant = send_latency(&Latency::constant(ms(5)));
        assert!(constant.start == Duration::from_millis(3) && !constant.is_empty());
    }

    #[test]
    fn as_many_messages_are_lost_as_are_to_be() {
        let rate = |loss| {
            let profile = LinkProfile {
                loss,
                ..LinkProfile::default()
            };
            net_config(&profile).packet_loss_rate
        };
        assert!((rate(Ratio::new(1, 10).unwrap()) - 0.1).abs() < 1e-9);
        assert!(rate(Ratio::NEVER) < 1e-9 && rate(Ratio::ALWAYS) > 1.0 - 1e-9);
    }
}
