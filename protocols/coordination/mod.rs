//! Coordination: the recipes that people build on ZooKeeper and etcd, on our [`crate::service`].
//!
//! | recipe | where | the classic mistake | canary |
//! |---|---|---|---|
//! | lock | `line.rs`, `order.rs` | to say that it is held after the wait, and the own lease has run out | K9 |
//! | fencing tokens | `resource.rs` | a resource that does not look at them: who was paused writes after the next holder | K10 |
//! | any use of a place | `client.rs` | to go on until one is told that it is lost, while one cannot be reached | K11 |
//! | any wait | `order.rs` | to wait for all before: whoever goes wakes everybody, and one of them gets in | H4 |
//! | read-write lock, semaphore | `order.rs` | readers that overtake a writer; one more than there are permits | X2, X1 |
//! | leader election | `line.rs`, `election.rs` | to take the newest candidate for the leader | X7 |
//! | group | `line.rs`, `group.rs` | a member whose key goes with no lease | X6 |
//! | queue | `queue.rs` | to read the head, and to delete it later | X3 |
//! | barrier | `line.rs`, `barrier.rs` | to take an opening of before one came for one's own | X4 |
//! | configuration | `configuration.rs` | to watch from now on, and not from what was read | X5 |
//!
//! Locks, permits, leadership and membership are one thing: a place in a line. What differs is who in the line is in
//! (`order.rs`). Each place has a lease of its own: to go is to revoke it, and if nobody hears of that, it runs out. Its token
//! is the revision at which its key was created, which is greater than that of any place taken before (Chubby's sequencers).
//!
//! The recipes are pure: each says what it needs next of the store, and is told the answer ([`Step`], [`Told`]). A [`Client`]
//! runs one at a time on its client of the service. What exclusion is worth: `invariants/`.

pub mod barrier;
mod client;
mod config;
pub mod configuration;
pub mod election;
pub mod group;
pub mod invariants;
mod line;
mod message;
mod once;
mod op;
mod order;
mod probes;
pub mod queue;
mod resource;
mod step;

pub use client::{Client, Place};
pub use config::{Config, Settings, cluster};
pub use line::Line;
pub use message::{Access, AccessReply, Message, Verdict};
pub use once::Once;
pub use op::{How, Name, Op, Ret};
pub use order::{Standing, own_key, standing};
pub use resource::{Confirmed, Mark, Resource};
pub use step::{Step, Told};

use crate::{raft, service};
use splitbrain_core::{
    Contains, Context, Doings, Journal, Node, NodeId, OpId, Outcome, SyncError, SyncId,
};

/// The timers of servers and clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// Of the service.
    Service(service::Timer),
    /// A client waits for the resource.
    Access,
}

/// What is on a disk.
#[derive(Clone, Debug)]
pub enum Record {
    /// Of a server.
    Raft(raft::Record),
    /// Of the resource: what it knows of the users of a lock.
    Mark(Name, Mark),
}

/// A node.
#[derive(Clone, Debug)]
pub enum Peer {
    /// A server of the service.
    Server(Box<Server>),
    /// A client.
    Client(Box<Client>),
    /// What locks protect.
    Resource(Resource),
}

/// A server of the service, in this cluster.
#[derive(Clone, Debug)]
pub struct Server {
    service: service::Peer,
    doings: Doings<service::Peer>,
}

impl Peer {
    /// The node of the service in it, if there is one.
    pub fn service(&self) -> Option<&service::Peer> {
        match self {
            Peer::Server(server) => Some(&server.service),
            Peer::Client(client) => Some(client.service()),
            Peer::Resource(_) => None,
        }
    }

    /// The client that it is, if it is one.
    pub fn client(&self) -> Option<&Client> {
        match self {
            Peer::Client(client) => Some(client),
            Peer::Server(_) | Peer::Resource(_) => None,
        }
    }

    /// The resource that it is, if it is one.
    pub fn resource(&self) -> Option<&Resource> {
        match self {
            Peer::Resource(resource) => Some(resource),
            Peer::Server(_) | Peer::Client(_) => None,
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

    fn record(record: raft::Record) -> Record {
        Record::Raft(record)
    }
}

impl Node for Peer {
    type Message = Message;
    type Timer = Timer;
    type Record = Record;
    type Op = Op;
    type Ret = Ret;
    type Config = Config;
    const PROBES: &'static [&'static str] = &probes::ALL;
    const ROLES: &'static [&'static str] = <service::Peer as Node>::ROLES;

    fn format(config: &Config) -> Vec<Record> {
        match config {
            Config::Server(config) => {
                let records = service::Peer::format(config);
                records.into_iter().map(Record::Raft).collect()
            }
            Config::Client { .. } | Config::Resource => Vec::new(),
        }
    }

    fn start(config: &Config, journal: Journal<Record>, cx: &mut Context<'_, Peer>) -> Peer {
        match config {
            Config::Server(config) => {
                let journal = journal.map(|record| match record {
                    Record::Raft(record) => record,
                    Record::Mark(..) => unreachable!("a server writes no marks"),
                });
                let mut doings = Doings::new();
                let service = cx.part(&mut doings, |cx| service::Peer::start(config, journal, cx));
                Peer::Server(Box::new(Server { service, doings }))
            }
            Config::Client {
                service,
                resource,
                settings,
            } => Peer::Client(Box::new(Client::start(service, *resource, *settings, cx))),
            Config::Resource => Peer::Resource(Resource::start(journal, cx)),
        }
    }

    fn on_message(&mut self, from: NodeId, message: Message, cx: &mut Context<'_, Peer>) {
        match (self, message) {
            (Peer::Server(server), Message::Service(message)) => {
                let Server { service, doings } = &mut **server;
                cx.part(doings, |cx| service.on_message(from, message, cx));
            }
            (Peer::Client(client), message) => client.on_message(from, message, cx),
            (Peer::Resource(resource), Message::Access(access)) => {
                resource.on_access(from, &access, cx);
            }
            _ => debug_assert!(false, "a message for somebody else"),
        }
    }

    fn on_timer(&mut self, timer: Timer, cx: &mut Context<'_, Peer>) {
        match (self, timer) {
            (Peer::Server(server), Timer::Service(timer)) => {
                let Server { service, doings } = &mut **server;
                cx.part(doings, |cx| service.on_timer(timer, cx));
            }
            (Peer::Client(client), timer) => client.on_timer(timer, cx),
            _ => debug_assert!(false, "a timer of somebody else"),
        }
    }

    fn on_invoke(&mut self, id: OpId, op: Op, cx: &mut Context<'_, Peer>) {
        match self {
            Peer::Client(client) => client.on_invoke(id, op, cx),
            Peer::Server(_) | Peer::Resource(_) => {
                cx.complete(id, Outcome::Fail("it is not a client"));
            }
        }
    }

    fn on_synced(&mut self, sync: SyncId, cx: &mut Context<'_, Peer>) {
        match self {
            Peer::Server(server) => {
                let Server { service, doings } = &mut **server;
                cx.part(doings, |cx| service.on_synced(sync, cx));
            }
            Peer::Resource(resource) => resource.on_synced(sync),
            Peer::Client(_) => {}
        }
    }

    fn on_sync_failed(&mut self, sync: SyncId, error: SyncError, cx: &mut Context<'_, Peer>) {
        match self {
            Peer::Server(server) => {
                let Server { service, doings } = &mut **server;
                cx.part(doings, |cx| service.on_sync_failed(sync, error, cx));
            }
            Peer::Client(_) | Peer::Resource(_) => cx.halt(error.to_string()),
        }
    }

    fn role(&self) -> &'static str {
        self.service().map_or("", Node::role)
    }

    fn progress(&self) -> u64 {
        self.service().map_or(0, Node::progress)
    }

    fn size_bytes(message: &Message) -> usize {
        message.size_bytes()
    }
}
