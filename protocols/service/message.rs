//! The messages: those of Raft, and what clients and servers say to each other without the log.

use super::op::WatchKeys;
use crate::kv::watch::Event;
use crate::kv::{self, LeaseId, Revision};
use crate::raft;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Anything that servers and clients send each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Of Raft: between servers, and the requests of clients that need an entry in the log or the leader's word.
    Raft(raft::Message),
    /// Client to any server: a read of whatever it has applied.
    StaleRead(StaleRead),
    /// The answer.
    StaleReadReply(StaleReadReply),
    /// Client to leader.
    KeepAlive(KeepAlive),
    /// The answer.
    KeepAliveReply(KeepAliveReply),
    /// Client to any server.
    Watch(Watch),
    /// Client to server: it has got everything up to there.
    WatchAck(WatchAck),
    /// Client to server: it wants no more.
    Unwatch(Unwatch),
    /// Server to client.
    Events(Events),
    /// Server to client: it cannot serve the watch.
    WatchRefused(WatchRefused),
}

/// A serializable read: of the state as of some moment, which may be long ago.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaleRead {
    /// A random number that no other request of the client bears.
    pub nonce: u64,
    /// What to read.
    #[serde(with = "kv::wire")]
    pub op: kv::Op,
}

/// The answer to [`StaleRead`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaleReadReply {
    /// That of the request.
    pub nonce: u64,
    /// The answer of the store.
    pub ret: kv::Ret,
    /// The revision of the store that gave it.
    pub revision: Revision,
}

/// "Let this lease live on."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepAlive {
    /// Which lease.
    pub lease: LeaseId,
    /// A random number: tells when the client sent it, to the client itself.
    pub nonce: u64,
}

/// The answer to [`KeepAlive`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepAliveReply {
    /// Which lease.
    pub lease: LeaseId,
    /// That of the request.
    pub nonce: u64,
    /// What became of it.
    pub kept: Kept,
}

/// What became of a [`KeepAlive`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kept {
    /// The lease has its whole time to live again, from the moment at which the client sent the request.
    Alive,
    /// There is no such lease any more.
    Gone,
    /// This server does not lead. Another one may: the leader that it knows of.
    NotLeader(Option<splitbrain_core::NodeId>),
}

/// "Tell me of all changes to these keys after this revision." The client says it again from time to time, to any server: where a
/// watch stands is for the client to know, so that it survives every server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// A random number that names the watch.
    pub watch: u64,
    /// What is watched.
    pub keys: Arc<WatchKeys>,
    /// What the client has got; `None` if the watch is to begin with what comes next.
    pub after: Option<Revision>,
}

/// "I have got everything up to this revision."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchAck {
    /// Which watch.
    pub watch: u64,
    /// Up to where.
    pub through: Revision,
}

/// "Tell me no more."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unwatch {
    /// Which watch.
    pub watch: u64,
}

/// All changes to the watched keys after one revision and up to another. Without any: there were none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    /// Which watch.
    pub watch: u64,
    /// What comes before these. A client that has not got that has missed something, and waits for it to be sent again.
    pub after: Revision,
    /// Up to where these are all.
    pub through: Revision,
    /// The changes, by ascending revision.
    pub events: Vec<Arc<Event>>,
}

/// Why a watch is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchRefused {
    /// Which watch.
    pub watch: u64,
    /// Why not.
    pub why: NoWatch,
}

/// Why a watch is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoWatch {
    /// What the client asked for next has been compacted: the history is kept from here on.
    Compacted(Revision),
    /// The server knows of no leader, so that what it knows may be old. Another server may know one.
    NoLeader,
    /// The server has too many watches.
    Busy,
}

/// What any message takes, whatever it says.
const HEADER_BYTES: usize = 32;

impl Message {
    /// How much it would take on a wire, about, in bytes.
    pub fn size_bytes(&self) -> usize {
        match self {
            Message::Raft(message) => message.size_bytes(),
            Message::StaleRead(read) => HEADER_BYTES + read.op.size_bytes(),
            Message::StaleReadReply(reply) => HEADER_BYTES + reply.ret.size_bytes(),
            Message::Events(events) => {
                let sizes = events.events.iter().map(|event| event.size_bytes());
                HEADER_BYTES + sizes.map(|size| HEADER_BYTES + size).sum::<usize>()
            }
            Message::Watch(_)
            | Message::WatchAck(_)
            | Message::Unwatch(_)
            | Message::WatchRefused(_)
            | Message::KeepAlive(_)
            | Message::KeepAliveReply(_) => HEADER_BYTES,
        }
    }
}
