//! The messages: one small struct per RPC of Figure 2 and of the client protocol (dissertation §6).
//!
//! Who sent a message (`candidateId`, `leaderId`) is told by the network, and so is not in it.

use super::log::{Command, Entry, Index, Term};
use super::session::{Answer, RequestId, SessionId};
use crate::kv;

/// Anything that servers and clients send each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Candidate to server.
    RequestVote(RequestVote),
    /// Server to candidate.
    RequestVoteReply(RequestVoteReply),
    /// Leader to server.
    AppendEntries(AppendEntries),
    /// Server to leader.
    AppendEntriesReply(AppendEntriesReply),
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
            Message::Request(Request::Apply { op, .. }) => op.size_bytes(),
            _ => 0,
        };
        HEADER_BYTES + payload
    }
}

/// "Will you vote for me?" (§5.2)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestVote {
    /// The candidate's term.
    pub term: Term,
    /// The index of the candidate's last entry.
    pub last_index: Index,
    /// The term of the candidate's last entry.
    pub last_term: Term,
}

/// The answer to [`RequestVote`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestVoteReply {
    /// The voter's term, for the candidate to update itself; the term of the vote, if it is granted.
    pub term: Term,
    /// Whether the candidate has got the vote.
    pub granted: bool,
}

/// "Append these entries after that one" (§5.3). Without entries: a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendEntries {
    /// The leader's term.
    pub term: Term,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendEntriesReply {
    /// The follower's term, for the leader to update itself.
    pub term: Term,
    /// What became of the entries.
    pub appended: Appended,
}

/// What became of the entries of an [`AppendEntries`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// The follower's log agrees with the leader's up to this index, durably.
    Matched(Index),
    /// The follower's log does not hold the previous entry.
    Conflict(Conflict),
    /// The request came from a leader of an earlier term.
    StaleTerm,
}

/// Where a follower's log parts from the leader's, so that the leader need not back off one entry at a time (§5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The previous index of the refused request, which tells its answer from those to other requests.
    pub refused: Index,
    /// The term of the follower's entry there; `None` if its log is too short.
    pub term: Option<Term>,
    /// The first index that the follower holds of that term; if its log is too short, the index after its end.
    pub first_index: Index,
}

/// What a client asks of the leader (dissertation §6.3).
#[derive(Clone, Debug, PartialEq, Eq)]
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
        op: kv::Op,
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
        }
    }
}

impl From<Request> for Command {
    fn from(request: Request) -> Command {
        match request {
            Request::Register { nonce } => Command::Register { nonce },
            Request::Apply {
                session,
                sequence,
                op,
            } => Command::Apply {
                session,
                sequence,
                op,
            },
        }
    }
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The request that it answers.
    pub request: RequestId,
    /// The answer.
    pub answer: Answer,
}
