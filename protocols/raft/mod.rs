//! Raft: consensus on a log, as in Ongaro and Ousterhout, *In Search of an Understandable Consensus Algorithm*
//! (2014), with the client sessions of Ongaro's dissertation, *Consensus: Bridging Theory and Practice* (2014).
//!
//! Sections (§) are those of the paper where nothing else is said. Names are the paper's.
//!
//! # Figure 2, and where it is
//!
//! | Figure 2 | here |
//! |---|---|
//! | State, persistent: `currentTerm`, `votedFor` | [`HardState`], in `record.rs` |
//! | State, persistent: `log[]` | [`Log`], in `log.rs` |
//! | "updated on stable storage before responding to RPCs" | `Server::persist` in `server.rs`, with `disk.rs` |
//! | State, volatile: `commitIndex`, `lastApplied` | [`Server`], in `server.rs` |
//! | State, leaders: `nextIndex[]`, `matchIndex[]` | `Progress`, in `progress.rs` |
//! | AppendEntries RPC, arguments and results | [`AppendEntries`], [`AppendEntriesReply`], in `message.rs` |
//! | AppendEntries RPC, receiver 1 to 5 | `on_append_entries`, `conflict`, `append`, in `replication.rs` |
//! | RequestVote RPC, arguments and results | [`RequestVote`], [`RequestVoteReply`], in `message.rs` |
//! | RequestVote RPC, receiver 1 and 2 | `on_request_vote`, in `election.rs` |
//! | All servers: apply what is committed | `apply_committed`, in `server.rs` |
//! | All servers: adopt a later term | `become_follower`, in `server.rs` |
//! | Followers: election timeout | `wait_for_leader` in `server.rs`, `start_election` in `election.rs` |
//! | Candidates | `start_election`, `on_request_vote_reply`, `count_vote`, in `election.rs` |
//! | Leaders: heartbeats | `on_heartbeat`, in `replication.rs` |
//! | Leaders: command from a client | `on_request` in `server.rs`, `answer_client` in `replication.rs` |
//! | Leaders: send entries, back off on inconsistency | `replicate_to` in `replication.rs`, `Progress` |
//! | Leaders: advance the commit index | `advance_commit_index`, in `replication.rs` |
//!
//! # Other sections
//!
//! | Section | here |
//! |---|---|
//! | §5.2 Leader election | `election.rs` |
//! | §5.3 Log replication; backing off by a term at a time | `replication.rs`; `Progress::conflicted` |
//! | §5.4.1 Election restriction | `on_request_vote`, in `election.rs` |
//! | §5.4.2 Committing entries from previous terms (Figure 8) | `advance_commit_index`, in `replication.rs` |
//! | §5.4.3 Safety argument; Figure 3 | [`invariants`], one file for each property |
//! | §5.5 Crashes: what a restart finds, and when it must not go on | `Recovered` in `record.rs`, `Server::start` |
//! | §5.6 Timing | [`Settings`], in `config.rs` |
//! | §8 Client interaction; no-op at the start of a term | `client.rs`; `become_leader`, in `election.rs` |
//! | Dissertation §6.2 Finding the leader | `client.rs`; `NotLeader` in [`Answer`] |
//! | Dissertation §6.3 Linearizable semantics; Figure 6.1 | [`Machine`], in `session.rs` |
//! | Dissertation §6.4 Reads | they go through the log like writes |
//!
//! # Departures from the paper
//!
//! * A server counts itself, as a voter and as a holder of entries, when its own disk has confirmed; the paper leaves
//!   open when. Others are never counted for less.
//! * Replication is pipelined: until a follower refuses a request, the leader does not wait for an answer before it
//!   sends the next entries, up to a bound (`Pace` in `progress.rs`).
//! * A registration carries a random nonce, so that an answer meant for a client's life before a crash is not taken
//!   for an answer to its present one (`client.rs`).

mod client;
mod config;
mod disk;
mod election;
pub mod invariants;
mod log;
mod message;
mod probes;
mod progress;
mod record;
mod replication;
mod server;
mod session;

pub use client::Client;
pub use config::{Config, Member, Settings, cluster};
pub use log::{Command, Entry, Index, Log, Term};
pub use message::{
    AppendEntries, AppendEntriesReply, Appended, Conflict, Message, Reply, Request, RequestVote,
    RequestVoteReply,
};
pub use record::{HardState, Record};
pub use server::{Role, Server};
pub use session::{Answer, Machine, RequestId, SessionId};

use crate::kv;
use splitbrain_core::{Cluster, Context, Journal, Node, NodeId, OpId, Outcome, Status, SyncId};

/// The timers of servers and clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// A server has waited for a leader long enough.
    Election,
    /// A leader is to speak to its followers.
    Heartbeat,
    /// A client has waited for a server long enough.
    Try,
    /// A client has tried an operation long enough.
    Deadline,
}

/// A node of a Raft cluster.
#[derive(Clone, Debug)]
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
}

impl Node for Peer {
    type Message = Message;
    type Timer = Timer;
    type Record = Record;
    type Op = kv::Op;
    type Ret = kv::Ret;
    type Config = Config;
    const PROBES: &'static [&'static str] = probes::PROBES;

    const ROLES: &'static [&'static str] = &["follower", "candidate", "leader", "client"];

    fn format(config: &Config) -> Vec<Record> {
        match config {
            Config::Server(_) => record::format(),
            Config::Client(_) => Vec::new(),
        }
    }

    fn start(config: &Config, journal: Journal<Record>, cx: &mut Context<'_, Peer>) -> Peer {
        match config {
            Config::Server(member) => Peer::Server(Server::start(member, journal, cx)),
            Config::Client(member) => Peer::Client(Client::start(member, cx)),
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

    fn on_invoke(&mut self, id: OpId, op: kv::Op, cx: &mut Context<'_, Peer>) {
        match self {
            Peer::Server(_) => cx.complete(id, Outcome::Fail("a server is not a client")),
            Peer::Client(client) => client.on_invoke(id, op, cx),
        }
    }

    fn on_synced(&mut self, sync: SyncId, cx: &mut Context<'_, Peer>) {
        match self {
            Peer::Server(server) => server.on_synced(sync, cx),
            Peer::Client(_) => {}
        }
    }

    fn role(&self) -> &'static str {
        match self {
            Peer::Server(server) => match server.role() {
                Role::Follower => "follower",
                Role::Candidate => "candidate",
                Role::Leader => "leader",
            },
            Peer::Client(_) => "client",
        }
    }

    fn progress(&self) -> u64 {
        self.server().map_or(0, |server| server.commit_index().0)
    }

    fn size_bytes(message: &Message) -> usize {
        message.size_bytes()
    }
}

/// The servers that are running, by ascending id.
fn running<'a>(cluster: &Cluster<'a, Peer>) -> impl Iterator<Item = (NodeId, &'a Server)> {
    let view = *cluster;
    let servers = cluster
        .nodes()
        .filter_map(|(id, peer)| Some((id, peer.server()?)));
    servers.filter(move |(id, _)| view.status(*id) == Status::Up)
}

/// The running leader of the highest term: the one that the others will obey.
pub fn leader(cluster: &Cluster<'_, Peer>) -> Option<NodeId> {
    leading(cluster).map(|(id, _)| id)
}

fn leading<'a>(cluster: &Cluster<'a, Peer>) -> Option<(NodeId, &'a Server)> {
    running(cluster)
        .filter(|(_, server)| server.role() == Role::Leader)
        .max_by_key(|(_, server)| server.term())
}

/// Whether all running servers follow one leader and have caught up with it.
///
/// # Errors
/// In words, what is still to happen.
pub fn converged(cluster: &Cluster<'_, Peer>) -> Result<(), String> {
    let Some((leader_id, leader)) = leading(cluster) else {
        let Some((id, server)) = running(cluster).max_by_key(|(_, server)| server.term()) else {
            return Err("no server is running".to_owned());
        };
        let (term, role) = (server.term(), server.role());
        return Err(format!(
            "no server leads; the latest term is {term}, in which {id} is a {role}"
        ));
    };
    let (term, last) = (leader.term(), leader.log().last_index());
    for (id, server) in running(cluster) {
        let reason = if server.term() != term {
            format!("is in term {}", server.term())
        } else if server.leader() != Some(leader_id) {
            "does not know it".to_owned()
        } else if server.log().last_index() != last {
            format!("has a log up to {}, not {last}", server.log().last_index())
        } else if server.last_applied() != last {
            format!("has applied up to {}, not {last}", server.last_applied())
        } else {
            continue;
        };
        return Err(format!("{leader_id} leads term {term}, but {id} {reason}"));
    }
    Ok(())
}
