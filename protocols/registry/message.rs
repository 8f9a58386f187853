//! The messages: those of the service, and what the registry, instances and those who call them say to each other.

use super::op::{Called, Order};
use crate::discovery::Label;
use crate::discovery::dns::Transport;
use crate::discovery::health::{Attempt, Report};
use crate::kv::Key;
use crate::service;
use std::time::Duration;

/// Anything that nodes send each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Of the service.
    Service(service::Message),
    /// Registry to instance: how are you?
    Probe(Probe),
    /// The answer.
    Probed(Probed),
    /// Client or proxy to instance.
    Call(Call),
    /// The answer.
    Answer(Answer),
    /// Client to proxy: a call to any instance. The nonce is one of the client's.
    Relay(Call),
    /// The answer.
    Relayed(Relayed),
    /// Anybody to instance.
    Order(Ordered),
    /// The answer: it is done.
    Obeyed(u64),
    /// Anybody to a server: a DNS query.
    Dns(Dns),
    /// The response.
    DnsReply(Dns),
}

/// "How are you?"
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The entry that it is about.
    pub key: Key,
    /// In which term the server that asks leads: numbers of attempts begin anew in each.
    pub term: u64,
    /// Which attempt.
    pub attempt: Attempt,
}

/// The answer to [`Probe`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// What was asked.
    pub probe: Probe,
    /// How it is.
    pub report: Report,
}

/// Something to be done by an instance of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// A random number that no other request of the sender bears.
    pub nonce: u64,
    /// Which service. An address may be somebody else's by now.
    pub service: Label,
    /// What it is about.
    pub key: String,
}

/// The answer to [`Call`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// That of the call.
    pub nonce: u64,
    /// The service of which the answering instance is one.
    pub service: Label,
    /// Which one it is.
    pub instance: Label,
    /// Whether it has done it. If not, it never will.
    pub done: bool,
}

/// The answer to a relayed call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relayed {
    /// That of the call.
    pub nonce: u64,
    /// How it ended.
    pub result: Result<Called, Uncalled>,
}

/// Why a call was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uncalled {
    /// No instance has done it, and none will.
    Never,
    /// Some instance may have, or may still do it.
    Perhaps,
}

/// "Do this, for so long."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// A random number that no other request of the sender bears.
    pub nonce: u64,
    /// What.
    pub order: Order,
    /// For how long.
    pub lasting: Duration,
}

/// A DNS message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// A random number that no other request of the sender bears: its port.
    pub nonce: u64,
    /// How it was sent, and the response to it is.
    pub transport: Transport,
    /// The message.
    pub bytes: Vec<u8>,
}

/// What any message takes, whatever it says.
const HEADER_BYTES: usize = 32;

impl Message {
    /// How much it would take on a wire, about, in bytes.
    pub fn size_bytes(&self) -> usize {
        match self {
            Message::Service(message) => message.size_bytes(),
            Message::Dns(dns) | Message::DnsReply(dns) => HEADER_BYTES + dns.bytes.len(),
            Message::Call(call) | Message::Relay(call) => HEADER_BYTES + call.key.len(),
            Message::Probe(probe) | Message::Probed(Probed { probe, .. }) => {
                HEADER_BYTES + probe.key.len()
            }
            Message::Answer(_) | Message::Relayed(_) | Message::Order(_) | Message::Obeyed(_) => {
                HEADER_BYTES
            }
        }
    }
}
