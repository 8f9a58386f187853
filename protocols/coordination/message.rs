//! What nodes send each other: what the service does, and accesses to what locks protect.

use super::op::Name;
use crate::kv::{Revision, Value};
use crate::service;

/// Anything that nodes send each other.
#[derive(Clone, Debug)]
pub enum Message {
    /// Of the service.
    Service(service::Message),
    /// Client to resource.
    Access(Access),
    /// The answer.
    AccessReply(AccessReply),
}

/// A read or write of what a lock protects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Which lock.
    pub lock: Name,
    /// The token with which it was acquired.
    pub token: Revision,
    /// Which access with this token, from 1. What is sent again has the same number.
    pub nth: u64,
    /// What to write; nothing, if it is a read.
    pub write: Option<Value>,
}

/// The answer to [`Access`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessReply {
    /// That of the access.
    pub lock: Name,
    /// That of the access.
    pub token: Revision,
    /// That of the access.
    pub nth: u64,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of an access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was done; a read found this.
    Accepted(Option<Value>),
    /// Somebody came with this token, which is newer.
    Refused(Revision),
}

impl Message {
    /// How much it would take on a wire, about, in bytes.
    pub fn size_bytes(&self) -> usize {
        let header = 32;
        match self {
            Message::Service(message) => message.size_bytes(),
            Message::Access(access) => {
                let value = access.write.as_ref().map_or(0, |value| value.len());
                header + access.lock.len() + value
            }
            Message::AccessReply(reply) => {
                let value = match &reply.verdict {
                    Verdict::Accepted(Some(value)) => value.len(),
                    _ => 0,
                };
                header + reply.lock.len() + value
            }
        }
    }
}
