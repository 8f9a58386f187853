//! Raft: consensus on a log, as in Ongaro's dissertation, *Consensus: Bridging Theory and Practice* (2014), whole, and in the
//! paper before it, Ongaro and Ousterhout, *In Search of an Understandable Consensus Algorithm* (2014).
//!
//! Sections (§) up to §5.6 and Figures 2, 3, 7 and 8 are those of the paper, unless the dissertation is named. Names are
//! the paper's.
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
//! | AppendEntries RPC, receiver 1 to 5 | `on_append_entries`, `conflict`, `append`, in `append.rs` |
//! | RequestVote RPC, arguments and results | [`RequestVote`], [`RequestVoteReply`], in `message.rs` |
//! | RequestVote RPC, receiver 1 and 2 | `on_request_vote`, in `election.rs` |
//! | All servers: apply what is committed | `apply_committed`, in `server.rs` |
//! | All servers: adopt a later term | `become_follower`, in `server.rs` |
//! | Followers: election timeout | `wait_for_leader` in `server.rs`, `on_election_timeout` in `election.rs` |
//! | Candidates | `start_election`, `on_request_vote_reply`, `count_vote`, in `election.rs` |
//! | Leaders: heartbeats | `on_heartbeat`, in `replication.rs` |
//! | Leaders: command from a client | `on_request` in `server.rs`, `propose` in `replication.rs`, `answer_client` in `leader.rs` |
//! | Leaders: send entries, back off on inconsistency | `replicate_to` in `replication.rs`, `Progress` |
//! | Leaders: advance the commit index | `advance_commit_index`, in `replication.rs` |
//!
//! # The paper, by section
//!
//! | Section | here |
//! |---|---|
//! | §5.2 Leader election | `election.rs` |
//! | §5.3 Log replication; backing off by a term at a time | `replication.rs`, `append.rs`; `Progress::conflicted` |
//! | §5.4.1 Election restriction | `is_up_to_date`, in `election.rs` |
//! | §5.4.2 Committing entries from previous terms (Figure 8) | `advance_commit_index`, in `replication.rs` |
//! | §5.4.3 Safety argument; Figure 3 | [`invariants`], one file for each property |
//! | §5.5 Crashes: what a restart finds, and when it must not go on | `Recovered` in `record.rs`, `Server::start` |
//! | §5.6 Timing | [`Settings`], in `config.rs` |
//! | §6 Membership, §7 Compaction, §8 Clients | §4, §5 and §6 of the dissertation, below |
//!
//! # The dissertation, by section
//!
//! | Section | here |
//! |---|---|
//! | §3.1 to §3.3 The parts, and how they fit | Figure 2, above |
//! | §3.4 Election, §3.5 Replication, §3.6 Safety, §3.7 Crashes, §3.9 Timing | §5.2 to §5.6 of the paper, above |
//! | §3.8 Persisted state and restarts | `disk.rs`, `record.rs` |
//! | §3.10 Leadership transfer | `transfer.rs` |
//! | §4.1 A membership is in force as soon as it is in the log; one change at a time | [`Membership`], `Memberships`, in `membership.rs`; `on_change_members` in `reconfiguration.rs` |
//! | §4.2.1 New servers get the log first | `go_on_with_change`, in `reconfiguration.rs` |
//! | §4.2.2 A leader that removes itself | `members_committed` in `reconfiguration.rs`, `may_campaign` in `election.rs` |
//! | §4.2.3 Servers that were removed disrupt nobody | `is_loyal`, in `election.rs`; `pre_vote.rs` |
//! | §4.2.4 Who is available during a change | `go_on_with_change`, in `reconfiguration.rs` |
//! | §4.3 Joint consensus | `reconfiguration.rs`, [`Quorum`](crate::quorum::Quorum) |
//! | §4.4 How a cluster begins | [`Member::founders`], `Peer::format` |
//! | §5.1 Snapshots of a state machine in memory | `take_snapshot`, in `install.rs`; [`Snapshot`] |
//! | §5.1.1 Snapshots beside the rest, §5.1.2 When to take one | `take_snapshot` in `install.rs`; `snapshot_entries` of [`Settings`] |
//! | §5, Figure 5.3: InstallSnapshot | [`InstallSnapshot`], `on_install_snapshot` in `install.rs`, `Progress` |
//! | §5.2 to §5.4 State machines on disk, cleaning, snapshots by the leader only | not here: other ways to do the same |
//! | §6.1 Finding the cluster | [`Member::servers`]: clients are told |
//! | §6.2 Routing requests to the leader; a leader without followers steps down | `client.rs`; `on_heartbeat` in `replication.rs`, `rounds.rs` |
//! | §6.3 Linearizable semantics, sessions and their expiry; Figure 6.1 | [`Machine`], in `session.rs` |
//! | §6.4 Reads without log entries | `reads.rs`, `rounds.rs` |
//! | §6.4.1 Leases, and what clocks must be like for them | `Settings::lease` in `config.rs`, `Rounds::has_lease` |
//! | §9.6 Preventing disruptions: pre-vote | `pre_vote.rs` |
//! | §10.2.1 Writing to the leader's disk in parallel | `propose`, `replicate_to`, in `replication.rs` |
//! | §10.2.2 Batching and pipelining | `Progress::next_batch` |
//! | §8 Correctness; Figure 3.2, the TLA+ specification (appendix B) | [`invariants`] |
//!
//! # Departures
//!
//! * A server counts itself, as a voter and as a holder of entries, when its own disk has confirmed; the paper leaves
//!   open when. Others are never counted for less.
//! * What a server cannot read on its disk it does not guess. A term and vote are written twice, and if both are gone, or
//!   the disk is empty, the server halts; entries come back from the others, and until then it does not vote
//!   ([`Server::is_recovering`]; Protocol-Aware Recovery, FAST 2018).
//! * A server that starts counts as having just heard from a leader, as it may have before: a lease may rest on that.
//! * A later term undoes no promise: who has lately heard from a leader votes for nobody else even in a term that it has
//!   learned of since, as that leader may count on it for its lease. §4.2.3 speaks of "a current leader" only.
//! * A leader that is about to give way creates no entries at all, those of a change of members included (§3.10 speaks of
//!   clients).
//! * A registration carries a random nonce, so that an answer meant for a client's life before a crash is not taken
//!   for an answer to its present one (`client.rs`).
//! * A leader may propose what no client has asked for, without a session: a node that is more than a server does so
//!   (`Server::propose_own`), and asks for confirmation that it leads for other things than reads
//!   (`Server::confirm_leadership`).
//! * Sessions expire when there are too many, not by time (both are in §6.3): no clock is needed for it.

mod append;
mod client;
mod config;
mod disk;
mod election;
#[cfg(test)]
mod embedded;
mod install;
pub mod invariants;
mod leader;
mod log;
mod membership;
mod message;
mod op;
mod pre_vote;
mod probes;
mod progress;
mod reads;
mod reconfiguration;
mod record;
mod replication;
mod rounds;
mod server;
mod session;
mod snapshot;
mod transfer;
mod view;

pub use client::Client;
pub use config::{Config, ConfigError, Member, Reads, Settings, cluster};
pub use log::{Command, Entry, Index, Log, Term};
pub use membership::Membership;
pub use message::{
    AppendEntries, AppendEntriesReply, Appended, Conflict, InstallSnapshot, InstallSnapshotReply,
    Message, ReadIndex, ReadIndexReply, Reply, Request, RequestPreVote, RequestPreVoteReply,
    RequestVote, RequestVoteReply, TimeoutNow,
};
pub use op::{Op, Ret};
pub use record::{HardState, Record};
pub use server::{Role, Server};
pub use session::{Answer, Machine, Refusal, RequestId, Session, SessionId};
pub use snapshot::{Part, Snapshot};
pub use view::View;

use splitbrain_core::{Context, Journal, Node, NodeId, OpId, Outcome, SyncId};

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

    /// The same, for the node that it is a part of.
    pub fn server_mut(&mut self) -> Option<&mut Server> {
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
    type Op = Op;
    type Ret = Ret;
    type Config = Config;
    const PROBES: &'static [&'static str] = probes::PROBES;

    const ROLES: &'static [&'static str] = &[
        "follower",
        "pre-candidate",
        "candidate",
        "leader",
        "installing",
        "learner",
        "spare",
        "client",
    ];

    fn format(config: &Config) -> Vec<Record> {
        match config {
            Config::Server(member) => {
                let founding = (!member.founders.is_empty()).then(|| member.founding_snapshot());
                record::format(founding)
            }
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

    fn on_invoke(&mut self, id: OpId, op: Op, cx: &mut Context<'_, Peer>) {
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
                Role::Follower if server.is_installing() => "installing",
                Role::Follower if server.membership().is_voter(server.id()) => "follower",
                Role::Follower if server.membership().contains(server.id()) => "learner",
                Role::Follower => "spare",
                Role::PreCandidate => "pre-candidate",
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
