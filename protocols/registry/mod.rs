//! Service discovery: the parts of [discovery](crate::discovery) in nodes of the coordination [`crate::service`].
//!
//! # What it promises
//!
//! | to whom | what | where | canaries |
//! |---|---|---|---|
//! | an instance that keeps its lease | it is in the store of every server that has heard of it | `invariants/registered.rs` | |
//! | an instance that has deregistered | it does not come back, whatever comes late | `entry.rs`, `invariants/gone.rs` | H7, H9 |
//! | an instance in maintenance | it stays so, whatever a check finds out | `checks.rs`, `invariants/maintained.rs` | X10 |
//! | who looks up | an instance that died is gone when its lease has run out, or it has been critical for long, whoever leads meanwhile | `checks.rs`, `invariants/critical_goes.rs` | X11 |
//! | an instance that is asked | it is not taken out because somebody else leads | `checks.rs`, `invariants/asked.rs` | |
//! | who asks DNS | nobody is said to be gone by a server that does not know yet, or has heard of no leader for long | `server.rs`, `invariants/told.rs` | |
//! | who looks up, or asks DNS | those that are well, if it wants those; those with a tag, if it wants those | `client.rs`, `server.rs` | X8, X9 |
//! | who calls | an answer by its deadline | `engine.rs`, `invariants/deadline.rs` | |
//! | who calls | some instance, as long as one is well; without the registry, from what is known, and how old that is | `feed.rs`, `engine.rs` | |
//! | instances | each has its share of calls, as the policy says | `pool.rs`, [`balance`](crate::discovery::balance) | X12 to X15 |
//! | instances that recover | a few calls at first, and never more retries than the budget allows | `pool.rs`, `invariants/` | H1, H3, H5, H5b |
//!
//! # Where is what
//!
//! | Consul | Eureka | ZooKeeper (Curator) | here |
//! |---|---|---|---|
//! | `/agent/service/register`, TTL check | register, renew | ephemeral node, session | `instance.rs`: a key under a lease |
//! | HTTP, TCP and gRPC checks; `deregister_critical_service_after` | | | `checks.rs`, on whoever leads |
//! | anti-entropy of agents | re-registration at 404 | | `instance.rs`: what should be there is made so |
//! | maintenance mode | `OUT_OF_SERVICE` | | [`Order::Maintenance`] |
//! | `/health/service?passing`, `?stale`, blocking queries | full and delta fetch | `ServiceCache` | `client.rs`, [`Source`]; `feed.rs` |
//! | agent cache, `stale-if-error` | client cache | `ServiceCache` | [`cache`](crate::discovery::cache) |
//! | DNS interface | | | `server.rs`, [`dns`](crate::discovery::dns) |
//! | Envoy, Connect | Ribbon | `ServiceProvider` | `engine.rs`, `pool.rs`: in clients, and in a [`Proxy`] |
//! | `ModifyIndex` and check-and-set | `lastDirtyTimestamp` | version of a node | `entry.rs`: fences |
//!
//! Nodes are at addresses in 10.0.0.0/8, by their number: [`address_of`].

mod caller;
mod checks;
mod client;
mod config;
mod engine;
mod entry;
mod feed;
mod instance;
pub mod invariants;
mod message;
mod op;
mod pool;
mod probes;
mod proxy;
mod server;

pub use caller::Caller;
pub use checks::{Asked, Checks, Due};
pub use client::Client;
pub use config::{Config, ConfigError, FIRST_PORT, Role, Settings, cluster, service_name};
pub use engine::{DRAWS_MAX, Engine, Tally};
pub use entry::{
    address_of, check_of, critical_for, deregister, entry_of, fence_of, if_unchanged, node_of,
    read, register, status_of, with_check, with_critical_for, with_status,
};
pub use instance::{Instance, Phase, id_of};
pub use message::{Answer, Call, Dns, Message, Ordered, Probe, Probed, Relayed, Uncalled};
pub use op::{Called, Found, Op, Order, Ret, Source};
pub use pool::{PICKS_MAX, Pick};
pub use proxy::Proxy;
pub use server::{Server, entries, find};

use crate::{raft, service};
use splitbrain_core::{
    Cluster, Contains, Context, Journal, Node, NodeId, OpId, Outcome, Status, SyncError, SyncId,
};

/// The timers of all nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// Of the service.
    Service(service::Timer),
    /// A leading server is to look at instances.
    Checks,
    /// An instance is to look at its entry.
    Upkeep,
    /// An instance is done with something.
    Work,
    /// A client or proxy is to look at its cache.
    Feed,
    /// A client or proxy is to look at its calls.
    Calls,
    /// A client is to look at what it has asked others for.
    Asks,
}

/// A node.
#[derive(Clone, Debug)]
pub enum Peer {
    /// A server of the registry.
    Server(Server),
    /// An instance of a service.
    Instance(Instance),
    /// It calls services for others.
    Proxy(Proxy),
    /// It calls services.
    Client(Client),
}

impl Peer {
    /// The node of the service that it contains.
    pub fn service(&self) -> &service::Peer {
        match self {
            Peer::Server(server) => server.service(),
            Peer::Instance(instance) => instance.service(),
            Peer::Proxy(proxy) => proxy.caller().service(),
            Peer::Client(client) => client.caller().service(),
        }
    }

    /// The server of the registry, if it is one.
    pub fn server(&self) -> Option<&Server> {
        match self {
            Peer::Server(server) => Some(server),
            _ => None,
        }
    }

    /// The instance, if it is one.
    pub fn instance(&self) -> Option<&Instance> {
        match self {
            Peer::Instance(instance) => Some(instance),
            _ => None,
        }
    }

    /// What it calls with, if it does.
    pub fn engine(&self) -> Option<&Engine> {
        match self {
            Peer::Proxy(proxy) => Some(proxy.caller().engine()),
            Peer::Client(client) => Some(client.caller().engine()),
            Peer::Server(_) | Peer::Instance(_) => None,
        }
    }
}

impl Contains<service::Peer> for Peer {
    const PROBES_FROM: usize = probes::PROBES.len();

    fn message(message: service::Message) -> Message {
        Message::Service(message)
    }

    fn timer(timer: service::Timer) -> Timer {
        Timer::Service(timer)
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
    const ROLES: &'static [&'static str] = &probes::ROLES;

    fn format(config: &Config) -> Vec<raft::Record> {
        service::Peer::format(&config.service)
    }

    fn start(config: &Config, journal: Journal<raft::Record>, cx: &mut Context<'_, Peer>) -> Peer {
        match &config.role {
            Role::Server => Peer::Server(Server::start(config, journal, cx)),
            Role::Instance {
                service,
                port,
                probed,
            } => Peer::Instance(Instance::start(config, (service, *port, *probed), cx)),
            Role::Proxy => Peer::Proxy(Proxy::start(config, cx)),
            Role::Client => Peer::Client(Client::start(config, cx)),
        }
    }

    fn on_message(&mut self, from: NodeId, message: Message, cx: &mut Context<'_, Peer>) {
        match self {
            Peer::Server(server) => server.on_message(from, message, cx),
            Peer::Instance(instance) => instance.on_message(from, message, cx),
            Peer::Proxy(proxy) => proxy.on_message(from, message, cx),
            Peer::Client(client) => client.on_message(from, message, cx),
        }
    }

    fn on_timer(&mut self, timer: Timer, cx: &mut Context<'_, Peer>) {
        match self {
            Peer::Server(server) => server.on_timer(timer, cx),
            Peer::Instance(instance) => instance.on_timer(timer, cx),
            Peer::Proxy(proxy) => proxy.on_timer(timer, cx),
            Peer::Client(client) => client.on_timer(timer, cx),
        }
    }

    fn on_invoke(&mut self, id: OpId, op: Op, cx: &mut Context<'_, Peer>) {
        match self {
            Peer::Server(_) | Peer::Proxy(_) => {
                cx.complete(id, Outcome::Fail("it is not a client"));
            }
            Peer::Instance(instance) => instance.on_invoke(id, &op, cx),
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
            _ => cx.halt(error.to_string()),
        }
    }

    fn role(&self) -> &'static str {
        match self {
            Peer::Instance(_) => "instance",
            Peer::Proxy(_) => "proxy",
            Peer::Server(_) | Peer::Client(_) => self.service().role(),
        }
    }

    fn progress(&self) -> u64 {
        self.service().progress()
    }

    fn size_bytes(message: &Message) -> usize {
        message.size_bytes()
    }
}

/// Whether the registry says what is: every instance that runs is in every server's store, and passing; nobody else is; and
/// whoever calls knows it.
///
/// # Errors
/// In words, what is still to happen.
pub fn converged(cluster: Cluster<'_, Peer>) -> Result<(), String> {
    let running = || {
        let nodes = cluster.nodes();
        nodes.filter(move |(id, _)| cluster.status(*id) == Status::Up)
    };
    let mut expected = std::collections::BTreeSet::new();
    for (id, instance) in running().filter_map(|(id, node)| Some((id, node.instance()?))) {
        if instance.is_ordered() {
            return Err(format!("{id} still does what it was ordered"));
        }
        if !matches!(instance.phase(), Phase::Registered { .. }) {
            return Err(format!("{id} is not registered"));
        }
        expected.insert(instance.key().clone());
    }
    for (id, server) in running().filter_map(|(id, node)| Some((id, node.server()?))) {
        let instances = entry::all();
        let mut found = std::collections::BTreeSet::new();
        for (key, value) in server.store().iter() {
            if !instances.contains(key) {
                continue;
            }
            let entry = crate::discovery::Instance::decode(key, value);
            let status = entry
                .map_err(|error| error.to_string())
                .map(|entry| status_of(&entry))?;
            if status != crate::discovery::health::Status::Passing {
                return Err(format!("{id} has {key} as {status:?}"));
            }
            found.insert(key.clone());
        }
        if let Some(missing) = expected.difference(&found).next() {
            return Err(format!("{id} does not know of {missing}"));
        }
        if let Some(dead) = found.difference(&expected).next() {
            return Err(format!("{id} still knows of {dead}"));
        }
    }
    for (id, engine) in running().filter_map(|(id, node)| Some((id, node.engine()?))) {
        if engine.cache().services().next().is_none() {
            return Err(format!("{id} knows of no service"));
        }
    }
    Ok(())
}
