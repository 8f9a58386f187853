//! What clients ask for, and the answers.

use crate::kv::{Revision, Value};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

/// The name of a lock, an election, a queue, a group, a barrier or a configuration.
pub type Name = Arc<str>;

/// How a place in a line is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Alone: a mutex, a writer, a leader.
    #[default]
    Exclusive,
    /// As a reader: with other readers, and no writer.
    Shared,
    /// With so many in all.
    Permit(NonZeroU64),
    /// With everybody: a member of a group.
    Member,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Op {
    /// Waits until a lock is held, and gets its token. A client that holds it already gives it back first.
    Acquire {
        /// Which lock.
        lock: Name,
        /// How it is to be held: all who ask for it must agree on what kind of lock it is.
        #[serde(default)]
        how: How,
        /// How long to wait.
        wait_ms: u64,
    },
    /// Writes to the resource that a lock protects.
    Write {
        /// The lock, which must be held.
        lock: Name,
        /// What.
        value: Value,
    },
    /// Reads the resource that a lock protects.
    Read {
        /// The lock, which must be held.
        lock: Name,
    },
    /// Gives a lock back.
    Release {
        /// Which lock.
        lock: Name,
    },
    /// Who stands in line for a lock, those who hold it first.
    Line {
        /// Which lock.
        lock: Name,
    },
    /// Waits until it leads.
    Campaign {
        /// Which election.
        election: Name,
        /// What it has to say as the leader.
        value: Value,
        /// How long to wait.
        wait_ms: u64,
    },
    /// Says something else as the leader.
    Proclaim {
        /// Which election.
        election: Name,
        /// What.
        value: Value,
    },
    /// Leads no longer.
    Resign {
        /// Which election.
        election: Name,
    },
    /// What the leader has to say.
    Observe {
        /// Which election.
        election: Name,
    },
    /// Puts something at the end of a queue.
    Enqueue {
        /// Which queue.
        queue: Name,
        /// What.
        value: Value,
    },
    /// Takes what is at the head of a queue.
    Dequeue {
        /// Which queue.
        queue: Name,
    },
    /// Becomes a member.
    Join {
        /// Of which group.
        group: Name,
        /// What the others are to know: an address.
        value: Value,
    },
    /// Is a member no longer.
    Leave {
        /// Of which group.
        group: Name,
    },
    /// Who is a member.
    Members {
        /// Of which group.
        group: Name,
    },
    /// Comes to a barrier, and waits until so many have come. All parties must agree on how many, and leave before they come again.
    EnterBarrier {
        /// Which barrier.
        barrier: Name,
        /// How many.
        parties: NonZeroU64,
        /// How long to wait.
        wait_ms: u64,
    },
    /// Goes from a barrier, and waits until all have gone.
    LeaveBarrier {
        /// Which barrier.
        barrier: Name,
        /// How long to wait.
        wait_ms: u64,
    },
    /// Sets a configuration.
    SetConfig {
        /// Which one.
        config: Name,
        /// To what.
        value: Value,
    },
    /// Reads a configuration.
    GetConfig {
        /// Which one.
        config: Name,
    },
    /// Waits until a configuration is another one than it was at a revision.
    AwaitConfig {
        /// Which one.
        config: Name,
        /// What is known.
        after: Revision,
        /// How long to wait.
        wait_ms: u64,
    },
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Acquire { lock, how, .. } => match how {
                How::Exclusive => write!(f, "acquire {lock}"),
                How::Shared => write!(f, "acquire {lock} as a reader"),
                How::Permit(permits) => write!(f, "acquire {lock}, one of {permits}"),
                How::Member => write!(f, "acquire {lock} with everybody"),
            },
            Op::Write { lock, value } => write!(f, "write {value} under {lock}"),
            Op::Read { lock } => write!(f, "read under {lock}"),
            Op::Release { lock } => write!(f, "release {lock}"),
            Op::Line { lock } => write!(f, "line for {lock}"),
            Op::Campaign {
                election, value, ..
            } => write!(f, "campaign in {election} with {value}"),
            Op::Proclaim { election, value } => write!(f, "proclaim {value} in {election}"),
            Op::Resign { election } => write!(f, "resign in {election}"),
            Op::Observe { election } => write!(f, "observe {election}"),
            Op::Enqueue { queue, value } => write!(f, "enqueue {value} in {queue}"),
            Op::Dequeue { queue } => write!(f, "dequeue from {queue}"),
            Op::Join { group, value } => write!(f, "join {group} as {value}"),
            Op::Leave { group } => write!(f, "leave {group}"),
            Op::Members { group } => write!(f, "members of {group}"),
            Op::EnterBarrier {
                barrier, parties, ..
            } => write!(f, "enter {barrier} with {parties} parties"),
            Op::LeaveBarrier { barrier, .. } => write!(f, "leave {barrier}"),
            Op::SetConfig { config, value } => write!(f, "set {config} to {value}"),
            Op::GetConfig { config } => write!(f, "get {config}"),
            Op::AwaitConfig { config, after, .. } => write!(f, "await {config} after {after}"),
        }
    }
}

/// The answer to an [`Op`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ret {
    /// To `Acquire`, `Campaign`, `Join` and `EnterBarrier`: the client is in. The token is greater than those of all who came before.
    In {
        /// When its place was taken.
        token: Revision,
    },
    /// To `Release`, `Resign`, `Leave` and `LeaveBarrier`.
    Out,
    /// To `Write`, `Proclaim` and `Enqueue`.
    Written,
    /// To `Read`: nothing, if nothing was ever written.
    Value(Option<Value>),
    /// To `Write` and `Read`: the resource has seen a newer token, and done nothing.
    Fenced {
        /// The newest that it has seen.
        seen: Revision,
    },
    /// To `Line` and `Members`: what they have to say, in the order in which they came.
    Listed(Vec<Value>),
    /// To `Observe`.
    Leader(Option<Value>),
    /// To `Dequeue`: nothing, if the queue was empty.
    Dequeued(Option<Value>),
    /// To `SetConfig`, `GetConfig` and `AwaitConfig`: what it is, and since when, or as of when.
    Config {
        /// Nothing, if it was never set, or is as it was.
        value: Option<Value>,
        /// The revision to wait for changes after.
        revision: Revision,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_say_what_they_do() {
        let acquire = |how| Op::Acquire {
            lock: "l1".into(),
            how,
            wait_ms: 5,
        };
        assert_eq!(acquire(How::Exclusive).to_string(), "acquire l1");
        assert_eq!(acquire(How::Shared).to_string(), "acquire l1 as a reader");
        let two = How::Permit(NonZeroU64::MIN.saturating_add(1));
        assert_eq!(acquire(two).to_string(), "acquire l1, one of 2");
    }
}
