//! The network of one process: TCP connections to other processes, and the way between nodes in this one.
//!
//! Each process dials every peer whose address it is told, and sends its messages there; answers to nodes that have no address, clients,
//! go back along the connection that they came by. Messages may be lost, as on any network: a
//! connection that breaks takes those with it that waited for it, so that none which was sent to one life of a process reaches the
//! next (the kernel's rule, too). What is sent while there is no connection waits for one, the oldest going first if it is too much.

mod connection;
mod dial;
mod outbox;

use crate::frame::FRAME_BYTES_MAX;
use crate::metrics::NetworkMetrics;
use outbox::Outbox;
use prometheus_client::registry::Registry;
use serde::Serialize;
use serde::de::DeserializeOwned;
use splitbrain_core::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tracing::{Instrument, info_span, warn};

/// What a network needs to be told.
#[derive(Clone, Debug)]
pub struct NetworkSettings {
    /// Which cluster this process belongs to.
    pub cluster: String,
    /// The longest content of a frame, in bytes.
    pub frame_bytes_max: usize,
    /// How many messages wait for one peer, or in front of one node, at most.
    pub queue_max: usize,
    /// How many connections others may have to this process, at most.
    pub connections_max: usize,
    /// How long a connection may take to be made, and to say who it is.
    pub handshake_ms: u64,
    /// How long to wait before the second attempt to reach a peer. Each further wait is twice as long.
    pub backoff_ms_min: u64,
    /// The longest such wait.
    pub backoff_ms_max: u64,
}

impl Default for NetworkSettings {
    fn default() -> NetworkSettings {
        NetworkSettings {
            cluster: String::new(),
            frame_bytes_max: FRAME_BYTES_MAX,
            queue_max: 4096,
            connections_max: 256,
            handshake_ms: 2000,
            backoff_ms_min: 10,
            backoff_ms_max: 1000,
        }
    }
}

/// A message that has arrived, and who has sent it.
pub type Arrived<M> = (NodeId, M);

/// The network of a process, shared by the nodes in it. It ends when the last copy of it, and all that it has given out, are dropped.
#[derive(Debug)]
pub struct Network<M> {
    shared: Arc<Shared<M>>,
    /// Ends all connections when it is dropped.
    tasks: Arc<JoinSet<()>>,
}

impl<M> Clone for Network<M> {
    fn clone(&self) -> Self {
        Network {
            shared: self.shared.clone(),
            tasks: self.tasks.clone(),
        }
    }
}

#[derive(Debug)]
struct Shared<M> {
    settings: NetworkSettings,
    metrics: NetworkMetrics,
    /// The nodes of this process.
    local: BTreeMap<NodeId, mpsc::Sender<Arrived<M>>>,
    /// The peers that are dialled.
    peers: BTreeMap<NodeId, Arc<Outbox<M>>>,
    /// Nodes that have come by a connection which others have made, and the way back to them.
    guests: Mutex<BTreeMap<NodeId, Arc<Outbox<M>>>>,
}

/// The messages for one node.
pub type Inbox<M> = mpsc::Receiver<Arrived<M>>;

impl<M: Serialize + DeserializeOwned + Send + 'static> Network<M> {
    /// The network of a process with the nodes `local`: accepts connections, and makes those to `peers`, at host names or addresses
    /// with a port. Gives the inbox of each node, in the order of `local`.
    pub fn start(
        listener: TcpListener,
        local: &[NodeId],
        peers: BTreeMap<NodeId, String>,
        settings: NetworkSettings,
        registry: &mut Registry,
    ) -> (Network<M>, Vec<Inbox<M>>) {
        let (senders, inboxes): (BTreeMap<_, _>, Vec<_>) = local
            .iter()
            .map(|id| {
                let (sender, inbox) = mpsc::channel(settings.queue_max.max(1));
                ((*id, sender), inbox)
            })
            .unzip();
        let outbox = || Arc::new(Outbox::new(settings.queue_max));
        let shared = Arc::new(Shared {
            metrics: NetworkMetrics::register(registry),
            peers: peers.keys().map(|id| (*id, outbox())).collect(),
            local: senders,
            guests: Mutex::default(),
            settings,
        });
        let mut tasks = JoinSet::new();
        for (id, address) in peers {
            let outbox = shared.peers[&id].clone();
            let span = info_span!("peer", id = %id, address);
            let dial = dial::keep_connected(shared.clone(), id, address, outbox);
            tasks.spawn(dial.instrument(span));
        }
        tasks.spawn(accept(shared.clone(), listener));
        let network = Network {
            shared,
            tasks: Arc::new(tasks),
        };
        (network, inboxes)
    }
}

impl<M> Network<M> {
    /// Sends a message, which may be lost on its way.
    pub(crate) fn send(&self, from: NodeId, to: NodeId, message: M) {
        let shared = &self.shared;
        shared.metrics.sent.inc();
        let lost = if let Some(inbox) = shared.local.get(&to) {
            u64::from(inbox.try_send((from, message)).is_err())
        } else if let Some(outbox) = shared.peers.get(&to) {
            outbox.push((from, to, message))
        } else {
            match shared.guests().get(&to) {
                Some(outbox) => outbox.push((from, to, message)),
                None => 1,
            }
        };
        shared.metrics.lost.inc_by(lost);
    }
}

impl<M> Shared<M> {
    fn guests(&self) -> MutexGuard<'_, BTreeMap<NodeId, Arc<Outbox<M>>>> {
        // Nobody panics while holding it, and a map is whole after each of its calls.
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handshake(&self) -> Duration {
        Duration::from_millis(self.settings.handshake_ms)
    }

    /// The nodes at the other end of a connection that they have made are to be answered along it.
    fn welcome(&self, nodes: &BTreeSet<NodeId>, outbox: &Arc<Outbox<M>>) {
        let mut guests = self.guests();
        for id in nodes {
            if !self.peers.contains_key(id) && !self.local.contains_key(id) {
                guests.insert(*id, outbox.clone());
            }
        }
    }

    /// The connection has ended. Its nodes may have come again by another one already.
    fn farewell(&self, outbox: &Arc<Outbox<M>>) {
        self.guests().retain(|_, other| !Arc::ptr_eq(other, outbox));
    }
}

async fn accept<M: Serialize + DeserializeOwned + Send + 'static>(
    shared: Arc<Shared<M>>,
    listener: TcpListener,
) {
    let room = Arc::new(Semaphore::new(shared.settings.connections_max.max(1)));
    let mut connections = JoinSet::new();
    loop {
        // Those that are over are forgotten.
        while connections.try_join_next().is_some() {}
        let Ok(permit) = room.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, address)) => {
                let span = info_span!("guest", %address);
                let shared = shared.clone();
                let serve = async move {
                    connection::serve(shared, stream).await;
                    drop(permit);
                };
                connections.spawn(serve.instrument(span));
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                // Out of file descriptors, most likely: to try again at once would only burn time.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Takes a port that the system chooses, or the one that is given.
///
/// # Errors
/// If the address is in use, or is none of this machine.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

#[cfg(test)]
mod tests;
