//! The life of one process under madsim: the tasks that drive its node.

use crate::cluster::Cluster;
use madsim::net::{Endpoint, NetSim};
use madsim::task::spawn_local;
use madsim::time::{self, TimeHandle};
use send_wrapper::SendWrapper;
use splitbrain::engine::Wanted;
use splitbrain::engine::parts::Delays;
use splitbrain::{Node, NodeId, Time};
use std::cell::RefCell;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

/// madsim's mailbox hands out one message at a time, a millisecond later; so many may be handed out at once.
const RECEIVERS: usize = 32;

/// All messages bear the same tag: the mailbox is not to sort them.
const TAG: u64 = 0;

/// What a process does, from its start to its end.
pub trait Drive<N: Node>: 'static {
    /// Lives, in tasks of madsim's. Called anew at each start of the process.
    fn live(shared: Rc<Shared<N>>, node: NodeId) -> impl Future<Output = ()> + 'static;

    /// Says what of this it cannot do, though there is a way under madsim.
    ///
    /// # Errors
    /// What it cannot do, in words.
    fn refuse(_what: Wanted<'_>) -> Result<(), String> {
        Ok(())
    }
}

/// Drives a node: messages, timers and operations in, effects out.
#[derive(Debug)]
pub struct Nodes;

impl<N: Node + 'static> Drive<N> for Nodes {
    fn live(shared: Rc<Shared<N>>, node: NodeId) -> impl Future<Output = ()> + 'static {
        life(shared, node)
    }
}

/// What the tasks of a run share. The cluster is there while they run, and with the engine in between.
pub struct Shared<N: Node> {
    pub(crate) cluster: RefCell<Option<Box<Cluster<N>>>>,
    /// Wakes the engine when there is something to tell: an operation has ended, a property is violated.
    pub(crate) news: Notify,
}

/// A message on its way. madsim wants what it carries to be `Send`; nothing of a run ever leaves its thread.
struct Envelope<M> {
    from: NodeId,
    sent_at: Time,
    message: M,
}

/// madsim's time, from zero.
pub(crate) fn now() -> Time {
    Time::ZERO + TimeHandle::current().elapsed()
}

/// Waits until this time, or a millisecond if it has come.
pub(crate) async fn sleep_until(at: Time) {
    time::sleep(at.since(now())).await;
}

pub(crate) fn ip(node: NodeId) -> IpAddr {
    let [.., high, middle, low] = (node.index() as u32 + 1).to_be_bytes();
    Ipv4Addr::new(10, high, middle, low).into()
}

fn address(node: NodeId) -> SocketAddr {
    (ip(node), 1).into()
}

impl<N: Node> fmt::Debug for Shared<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl<N: Node> Shared<N> {
    /// Lets this happen to the cluster, now.
    pub(crate) fn with<R>(&self, happens: impl FnOnce(&mut Cluster<N>) -> R) -> R {
        let mut cluster = self.cluster.borrow_mut();
        let cluster = cluster
            .as_mut()
            .expect("tasks run only while the cluster is lent to them");
        cluster.now = now();
        let result = happens(cluster);
        if cluster.found.is_some() || !cluster.ended.is_empty() {
            self.news.notify_one();
        }
        result
    }
}

/// What a process is told at its start.
pub(crate) struct Driven<C> {
    pub(crate) config: C,
    /// Wakes it when there is an operation for it.
    pub(crate) poked: Rc<Notify>,
}

impl<N: Node> Shared<N> {
    /// The process has come so far that its node starts.
    pub(crate) fn start(&self, node: NodeId) -> Driven<N::Config> {
        self.with(|cluster| {
            cluster.start(node);
            let process = &cluster.processes[node.index()];
            Driven {
                config: process.config.clone(),
                poked: process.poked.clone(),
            }
        })
    }
}

/// Starts a node and drives it, until it ends itself.
async fn life<N: Node + 'static>(shared: Rc<Shared<N>>, node: NodeId) {
    let bound = Endpoint::bind(address(node)).await;
    let endpoint = bound.expect("a process that was killed has left its address");
    let (sender, mut inbox) = mpsc::unbounded_channel();
    for _ in 0..RECEIVERS {
        spawn_local(receive(endpoint.clone(), sender.clone()));
    }
    let Driven { poked, .. } = shared.start(node);
    loop {
        send_all(&shared, &endpoint, node);
        if shared.with(|cluster| cluster.is_over(node)) {
            return;
        }
        let due = shared.with(|cluster| cluster.processes[node.index()].next_at());
        let reached = async {
            match due {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = poked.notified() => shared.with(|cluster| while cluster.do_asked(node) {}),
            Some(envelope) = inbox.recv() => {
                let Envelope { from, sent_at, message } = SendWrapper::take(envelope);
                shared.with(|cluster| cluster.deliver(from, node, sent_at, message));
            }
            // One at a time: what the first one does may end the node, or set the second one anew.
            () = reached => { shared.with(|cluster| cluster.do_due(node)); }
        }
    }
}

/// Takes messages from madsim and gives them to the node. A task of its own: what madsim has handed out is lost if it is not awaited to
/// the end.
async fn receive<M: 'static>(
    endpoint: Endpoint,
    inbox: mpsc::UnboundedSender<SendWrapper<Envelope<M>>>,
) {
    while let Ok((payload, _)) = endpoint.recv_from_raw(TAG).await {
        // Nobody else sends anything.
        if let Ok(envelope) = payload.downcast()
            && inbox.send(*envelope).is_err()
        {
            return;
        }
    }
}

/// Hands what the node has sent to madsim's network, each message in a task of its own: madsim takes a millisecond for each.
fn send_all<N: Node + 'static>(shared: &Rc<Shared<N>>, endpoint: &Endpoint, from: NodeId) {
    let leaving = shared.with(|cluster| {
        let leaving = std::mem::take(&mut cluster.processes[from.index()].leaving);
        let with_wait = leaving.into_iter().map(|(to, message)| {
            let wait = long_tail(cluster);
            (to, message, wait)
        });
        with_wait.collect::<Vec<_>>()
    });
    for (to, message, wait) in leaving {
        let (shared, endpoint) = (shared.clone(), endpoint.clone());
        spawn_local(async move {
            let envelope = Envelope {
                from,
                sent_at: now(),
                message,
            };
            if !wait.is_zero() {
                time::sleep(wait).await;
            }
            let payload = Box::new(SendWrapper::new(envelope));
            let sent = endpoint.send_to_raw(address(to), TAG, payload).await;
            debug_assert!(sent.is_ok(), "sending a datagram does not fail");
            shared.with(|cluster| count(cluster, from, to));
        });
    }
}

/// By how much a message is later than madsim would have it, if the links have a long tail and it is in it.
fn long_tail<N: Node>(cluster: &mut Cluster<N>) -> Duration {
    let latency = cluster.profile.latency;
    if latency.tail.is_never() || !latency.tail.hits(cluster.network_rng.next_u64()) {
        return Duration::ZERO;
    }
    let tail = splitbrain::Latency {
        tail: splitbrain::Ratio::ALWAYS,
        ..latency
    };
    let delay = Duration::from_nanos(Delays::new(&tail).draw(cluster.network_rng.next_u64()));
    delay.saturating_sub(latency.mean.0)
}

/// Finds out what madsim has done with a message that it was given just now.
fn count<N: Node>(cluster: &mut Cluster<N>, from: NodeId, to: NodeId) {
    let passed = NetSim::current().stat().msg_count;
    if passed > cluster.passed {
        cluster.passed = passed;
        if cluster.nodes[to.index()].is_none() {
            cluster.stats.dropped_at_dead_node += 1;
            cluster.dropped(from, to, "the receiver is down");
        }
    } else if cluster.links.connected(from, to) {
        cluster.stats.dropped_by_loss += 1;
        cluster.dropped(from, to, "lost");
    } else {
        cluster.stats.dropped_by_partition += 1;
        cluster.dropped(from, to, "the link is cut");
    }
}
