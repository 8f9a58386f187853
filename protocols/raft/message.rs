//! The messages: one small struct for each, as in Figure 2 and in the dissertation (§4, §5, §6, §9.6).
//!
//! Who sent a message (`candidateId`, `leaderId`) is told by the network, and so is not in it.

use super::log::{Entry, Index, Term};
use super::membership::Membership;
use super::session::{Answer, RequestId, SessionId};
use super::snapshot::Part;
use crate::kv;
use serde::{Deserialize, Serialize};
use splitbrain_core::NodeId;
use std::sync::Arc;

/// Anything that servers and clients send each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Server to server, before it becomes a candidate.
    RequestPreVote(RequestPreVote),
    /// The answer.
    RequestPreVoteReply(RequestPreVoteReply),
    /// Candidate to server.
    RequestVote(RequestVote),
    /// Server to candidate.
    RequestVoteReply(RequestVoteReply),
    /// Leader to server.
    AppendEntries(AppendEntries),
    /// Server to leader.
    AppendEntriesReply(AppendEntriesReply),
    /// Leader to server that is far behind.
    InstallSnapshot(InstallSnapshot),
    /// Server to leader.
    InstallSnapshotReply(InstallSnapshotReply),
    /// Leader to the server that is to lead.
    TimeoutNow(TimeoutNow),
    /// Server to leader.
    ReadIndex(ReadIndex),
    /// Leader to server.
    ReadIndexReply(ReadIndexReply),
    /// Client to server.
    Request(Request),
    /// Server to client.
    Reply(Reply),
}

/// What any message or entry takes, whatever it says.
const HEADER_BYTES: usize = 32;

impl Message {
    /// How much it would take on a wire, about, in bytes: what matters is that entries and values count.
    pub fn size_bytes(&self) -> usize {
        let payload = match self {
            Message::AppendEntries(request) => {
                let sizes = request
                    .entries
                    .iter()
                    .map(|entry| entry.command.size_bytes());
                sizes.map(|size| HEADER_BYTES + size).sum()
            }
            Message::InstallSnapshot(request) => {
                let parts = request.parts.iter().map(Part::size_bytes);
                request.membership.size_bytes() + parts.sum::<usize>()
            }
            Message::Request(Request::Apply { op, .. } | Request::Read { op, .. }) => {
                op.size_bytes()
            }
            _ => 0,
        };
        HEADER_BYTES + payload
    }
}

/// "Would you vote for me, if I asked?" (dissertation §9.6)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestPreVote {
    /// The term that the server would be a candidate in.
    pub term: Term,
    /// The index of its last entry.
    pub last_index: Index,
    /// The term of its last entry.
    pub last_term: Term,
}

/// The answer to [`RequestPreVote`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestPreVoteReply {
    /// The term of the voter, for the other to update itself.
    pub term: Term,
    /// The term that was asked for.
    pub asked_term: Term,
    /// Whether it would get the vote.
    pub granted: bool,
}

/// "Will you vote for me?" (§5.2)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestVote {
    /// The candidate's term.
    pub term: Term,
    /// The index of the candidate's last entry.
    pub last_index: Index,
    /// The term of the candidate's last entry.
    pub last_term: Term,
    /// Whether the leader itself wants this election (dissertation §3.10), so that loyalty to it is no reason to refuse.
    pub transfer: bool,
}

/// The answer to [`RequestVote`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestVoteReply {
    /// The voter's term, for the candidate to update itself; the term of the vote, if it is granted.
    pub term: Term,
    /// Whether the candidate has got the vote.
    pub granted: bool,
}

/// "Append these entries after that one" (§5.3). Without entries: a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendEntries {
    /// The leader's term.
    pub term: Term,
    /// The leader's latest round (dissertation §6.4), to be repeated in the answer.
    pub round: u64,
    /// The index just before the new entries.
    pub previous_index: Index,
    /// The term of the entry at that index, in the leader's log.
    pub previous_term: Term,
    /// The new entries.
    pub entries: Vec<Entry>,
    /// The leader's commit index.
    pub commit_index: Index,
}

/// The answer to [`AppendEntries`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendEntriesReply {
    /// The follower's term, for the leader to update itself.
    pub term: Term,
    /// The round of the request; zero if a leader of an earlier term had made it.
    pub round: u64,
    /// What became of the entries.
    pub appended: Appended,
}

/// What became of the entries of an [`AppendEntries`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Appended {
    /// The follower's log agrees with the leader's up to this index, durably.
    Matched(Index),
    /// The follower's log does not hold the previous entry.
    Conflict(Conflict),
    /// The request came from a leader of an earlier term.
    StaleTerm,
}

/// Where a follower's log parts from the leader's, so that the leader need not back off one entry at a time (§5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The previous index of the refused request, which tells its answer from those to other requests.
    pub refused: Index,
    /// The term of the follower's entry there; `None` if its log is too short.
    pub term: Option<Term>,
    /// The first index that the follower holds of that term; if its log is too short, the index after its end.
    pub first_index: Index,
}

/// A chunk of a snapshot (dissertation §5, Figure 5.3). The chunks of a snapshot are sent in order, each when the one
/// before it has been received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallSnapshot {
    /// The leader's term.
    pub term: Term,
    /// The leader's latest round, as in [`AppendEntries`].
    pub round: u64,
    /// The last index that the snapshot stands for.
    pub last_index: Index,
    /// The term of that entry.
    pub last_term: Term,
    /// The members at that index.
    pub membership: Arc<Membership>,
    /// What there is one of in the store at that index.
    pub store: kv::Header,
    /// How many parts come before these.
    pub offset: usize,
    /// Parts of the state.
    pub parts: Vec<Part>,
    /// Whether these are the last.
    pub done: bool,
}

/// The answer to [`InstallSnapshot`], if there are chunks to come. When the last one has come, the answer is an
/// [`AppendEntriesReply`]: the logs agree up to the snapshot's last index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallSnapshotReply {
    /// The follower's term, for the leader to update itself.
    pub term: Term,
    /// The round of the request; zero if a leader of an earlier term had made it.
    pub round: u64,
    /// The last index of the snapshot.
    pub last_index: Index,
    /// How many parts of it the follower has got, from the first on.
    pub received: usize,
}

/// "Start an election now" (dissertation §3.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeoutNow {
    /// The leader's term.
    pub term: Term,
}

/// "Up to where must I have applied the log, to answer a read?" (dissertation §6.4)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadIndex {
    /// A random number that no other question bears: an answer to an earlier one says nothing about this one.
    pub nonce: u64,
}

/// The answer to [`ReadIndex`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadIndexReply {
    /// The number of the question.
    pub nonce: u64,
    /// Up to here.
    pub index: Index,
}

/// What a client asks of the leader (dissertation §6.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Open a session.
    Register {
        /// A random number that no other request of this client bears, in any of its lives.
        nonce: u64,
    },
    /// Perform an operation, once, however often this request arrives.
    Apply {
        /// The session.
        session: SessionId,
        /// The number of the operation in its session, ascending.
        sequence: u64,
        /// The operation.
        #[serde(with = "kv::wire")]
        op: kv::Op,
    },
    /// Perform an operation that changes nothing, without an entry in the log (dissertation §6.4).
    Read {
        /// A random number, as in `Register`.
        nonce: u64,
        /// The operation.
        #[serde(with = "kv::wire")]
        op: kv::Op,
    },
    /// Change the members (dissertation §4).
    ChangeMembers {
        /// A random number, as in `Register`.
        nonce: u64,
        /// What they are to be.
        target: Arc<Membership>,
    },
    /// Give leadership to this server (dissertation §3.10).
    TransferLeadership {
        /// A random number, as in `Register`.
        nonce: u64,
        /// Which one.
        to: NodeId,
    },
}

impl Request {
    /// What the answer will refer to.
    pub fn id(&self) -> RequestId {
        match *self {
            Request::Register { nonce } => RequestId::Register { nonce },
            Request::Apply {
                session, sequence, ..
            } => RequestId::Apply { session, sequence },
            Request::Read { nonce, .. }
            | Request::ChangeMembers { nonce, .. }
            | Request::TransferLeadership { nonce, .. } => RequestId::Other { nonce },
        }
    }
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The request that it answers.
    pub request: RequestId,
    /// The answer.
    pub answer: Answer,
}
