//! The coordination service: the [store](crate::kv) on [Raft](crate::raft), with leases that run out and watches that miss
//! nothing. What etcd is to its clients.
//!
//! # What it promises
//!
//! | to whom | what | where | canaries |
//! |---|---|---|---|
//! | who writes, or reads | linearizable: as if there were one store, and each operation happened at one moment | `raft`, `kv` | X16, X20 |
//! | who reads the past | what was there at that revision, or that it was compacted | `kv` | |
//! | who reads [stale](Op::Stale) | some state that there was, of some server | `server.rs` | |
//! | who holds a lease | its keys are there as long as [`Client::assured_until`] says, by the holder's own clock | `lessor.rs`, `client/` | K5, K5b, K13 |
//! | everybody else | keys of a lease that nobody keeps alive go, at most its time to live and a little later | `lessor.rs` | K7, X17 |
//! | who [watches](Op::Changes) | every change after a revision, once, in order, those of a revision together; or that it was compacted | `watches.rs`, `client/` | K14, K15, K17, K19, X19 |
//!
//! # Where is what
//!
//! | etcd | here |
//! |---|---|
//! | `Range`, `Put`, `DeleteRange`, `Txn`, `Compact` | [`crate::kv::Op`] |
//! | `serializable` | [`Op::Stale`] |
//! | `LeaseGrant` with `LeaseKeepAlive`, `lease.Lessor`, checkpoints | [`Op::Hold`], `lessor.rs`, `server.rs`, `client/leases.rs` |
//! | `Watch`, progress notifications, `WithRequireLeader` | [`Op::Changes`], `watches.rs`, `client/` |
//!
//! A [`Client`] is a node that others contain: the recipes for locks and elections, and service discovery.

mod client;
mod config;
pub mod invariants;
mod lessor;
mod message;
mod op;
mod probes;
mod server;
mod watches;

pub use client::{Client, Delivery};
pub use config::{Config, ConfigError, Settings, cluster};
pub use lessor::{Due, Lessor, Terms};
pub use message::{
    Events, KeepAlive, KeepAliveReply, Kept, Message, NoWatch, StaleRead, StaleReadReply, Unwatch,
    Watch, WatchAck, WatchRefused,
};
pub use op::{Op, Ret, WatchKeys};
pub use server::Server;

use crate::kv::{self, LeaseId};
use crate::raft;
use splitbrain_core::{
    Cluster, Contains, Context, Journal, Node, NodeId, OpId, Outcome, SyncError, SyncId,
};
use std::collections::BTreeSet;

/// The timers of servers and clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// Of Raft.
    Raft(raft::Timer),
    /// A leader is to look at leases.
    Leases,
    /// A server is to look at its watches.
    Watches,
    /// A client is to look at the leases that it holds.
    Holdings,
    /// A client is to look at its stale reads.
    Reads,
    /// A client is to look at its watches.
    Streams,
}

/// A node of the service.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "most nodes are servers, and they are where the time goes"
)]
pub enum Peer {
    /// A server.
    Server(Server),
    /// A client of the servers.
    Client(Client),
}

impl Peer {
    /// The server that the node is, if it is one.
    pub fn server(&self) -> Option<&Server> {
        match self {
            Peer::Server(server) => Some(server),
            Peer::Client(_) => None,
        }
    }

    /// The client that the node is, if it is one.
    pub fn client(&self) -> Option<&Client> {
        match self {
            Peer::Server(_) => None,
            Peer::Client(client) => Some(client),
        }
    }

    /// Proposes an operation on the store that no client has asked for, for whatever the server is a part of, if it is one and
    /// [decides](Server::is_lessor) at present; whether it did. That it is committed is not certain, and nobody is told: it
    /// shows in the store.
    pub fn propose_own(&mut self, op: kv::Op, cx: &mut Context<'_, Peer>) -> bool {
        match self {
            Peer::Server(server) if server.is_lessor() => server.propose(op, cx).is_some(),
            _ => false,
        }
    }
}

impl Contains<raft::Peer> for Peer {
    const PROBES_FROM: usize = probes::PROBES.len();

    fn message(message: raft::Message) -> Message {
        Message::Raft(message)
    }

    fn timer(timer: raft::Timer) -> Timer {
        Timer::Raft(timer)
    }

    fn record(record: raft::Record) -> raft::Record {
        record
    }
}

impl Node for Peer {
    type Message = Message;
    type Timer = Timer;
    type Record = raft::Record;
    type Op = Op;
    type Ret = Ret;
    type Config = Config;
    const PROBES: &'static [&'static str] = &probes::ALL;
    const ROLES: &'static [&'static str] = <raft::Peer as Node>::ROLES;

    fn format(config: &Config) -> Vec<raft::Record> {
        raft::Peer::format(&config.raft)
    }

    fn start(config: &Config, journal: Journal<raft::Record>, cx: &mut Context<'_, Peer>) -> Peer {
        match &config.raft {
            raft::Config::Server(_) => Peer::Server(Server::start(config, journal, cx)),
            raft::Config::Client(_) => Peer::Client(Client::start(config, cx)),
        }
    }

    fn on_message(&mut self, from: NodeId, message: Message, cx: &mut Context<'_, Peer>) {
        match self {
            Peer::Server(server) => server.on_message(from, message, cx),
            Peer::Client(client) => client.on_message(from, message, cx),
        }
    }

    fn on_timer(&mut self, timer: Timer, cx: &mut Context<'_, Peer>) {
        match self {
            Peer::Server(server) => server.on_timer(timer, cx),
            Peer::Client(client) => client.on_timer(timer, cx),
        }
    }

    fn on_invoke(&mut self, id: OpId, op: Op, cx: &mut Context<'_, Peer>) {
        match self {
            Peer::Server(_) => cx.complete(id, Outcome::Fail("a server is not a client")),
            Peer::Client(client) => client.on_invoke(id, op, cx),
        }
    }

    fn on_synced(&mut self, sync: SyncId, cx: &mut Context<'_, Peer>) {
        if let Peer::Server(server) = self {
            server.on_synced(sync, cx);
        }
    }

    fn on_sync_failed(&mut self, sync: SyncId, error: SyncError, cx: &mut Context<'_, Peer>) {
        match self {
            Peer::Server(server) => server.on_sync_failed(sync, error, cx),
            Peer::Client(_) => cx.halt(error.to_string()),
        }
    }

    fn role(&self) -> &'static str {
        match self {
            Peer::Server(server) => server.raft_peer().role(),
            Peer::Client(_) => "client",
        }
    }

    fn progress(&self) -> u64 {
        self.server()
            .map_or(0, |server| server.raft().commit_index().0)
    }

    fn size_bytes(message: &Message) -> usize {
        message.size_bytes()
    }
}

/// Whether every lease is held by somebody, and nobody still waits in vain: what nobody keeps alive is gone. `part` finds the
/// node of the service in a node.
///
/// # Errors
/// In words, what is still to happen.
pub fn converged<N>(cluster: Cluster<'_, N>, part: fn(&N) -> Option<&Peer>) -> Result<(), String> {
    let clients = cluster.nodes().filter_map(|(_, node)| part(node)?.client());
    let held: BTreeSet<LeaseId> = clients
        .flat_map(|client| client.held().map(|(lease, _)| lease))
        .collect();
    for (id, node) in cluster.nodes() {
        let Some(server) = part(node).and_then(Peer::server) else {
            continue;
        };
        for (lease, _) in server.store().leases() {
            if !held.contains(&lease) {
                return Err(format!("{id} still has lease {lease}, which nobody holds"));
            }
        }
    }
    Ok(())
}
