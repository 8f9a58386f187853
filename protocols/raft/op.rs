//! What clients ask of a Raft cluster, and its answers.

use super::log::Index;
use crate::kv;
use serde::{Deserialize, Serialize};
use splitbrain_core::NodeId;
use std::fmt;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Op {
    /// Make these servers the voters, and these the learners, whoever was it before (dissertation §4). Servers that are new
    /// get the log first. It says how things are to be, so asking twice changes nothing, unless somebody else has asked
    /// for something else in between.
    ChangeMembers {
        /// Who is to vote.
        voters: Vec<NodeId>,
        /// Who is to get the log without a vote.
        learners: Vec<NodeId>,
    },
    /// Make this server the leader (dissertation §3.10).
    TransferLeadership {
        /// Which one.
        to: NodeId,
    },
    /// An operation on the key-value store. Written like one: `{"put": {"key": "x", "value": "1"}}`.
    #[serde(untagged)]
    Kv(kv::Op),
}

impl Op {
    /// The operation on the store that it is, if it is one.
    pub fn kv(&self) -> Option<&kv::Op> {
        match self {
            Op::Kv(op) => Some(op),
            Op::ChangeMembers { .. } | Op::TransferLeadership { .. } => None,
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Kv(op) => op.fmt(f),
            Op::ChangeMembers { voters, learners } => {
                let membership =
                    super::Membership::new(voters.iter().copied(), learners.iter().copied());
                write!(f, "change members to {membership}")
            }
            Op::TransferLeadership { to } => write!(f, "transfer leadership to {to}"),
        }
    }
}

/// The answer to an [`Op`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ret {
    /// To an operation on the store.
    Kv(kv::Ret),
    /// The members are as asked, by the entry at this index or before it.
    Changed(Index),
    /// The leader gave way to the server that was named, or to a third one.
    Transferred,
}

impl Ret {
    /// The answer of the store, if it is one.
    pub fn kv(&self) -> Option<&kv::Ret> {
        match self {
            Ret::Kv(ret) => Some(ret),
            Ret::Changed(_) | Ret::Transferred => None,
        }
    }
}

impl fmt::Display for Ret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ret::Kv(ret) => ret.fmt(f),
            Ret::Changed(index) => write!(f, "changed at {index}"),
            Ret::Transferred => f.write_str("transferred"),
        }
    }
}
