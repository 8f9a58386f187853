//! What is asked of clients and instances, and their answers.

use crate::discovery::Label;
use crate::discovery::health::Status;
use serde::{Deserialize, Serialize};
use splitbrain_core::NodeId;
use std::fmt;
use std::net::SocketAddr;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Op {
    /// Have something done by an instance of a service.
    Call {
        /// Which service.
        service: Label,
        /// What it is about.
        key: String,
        /// Whether to leave the choice to a proxy: discovery on the server's side.
        #[serde(default)]
        by_proxy: bool,
    },
    /// Find the instances of a service.
    LookUp {
        /// Which service.
        service: Label,
        /// Only those with this tag.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tag: Option<Label>,
        /// Only those that are well.
        passing: bool,
        /// Where.
        from: Source,
    },
    /// Find out by DNS where the instances of a service listen that are well.
    Resolve {
        /// Which service.
        service: Label,
        /// Only those with this tag.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tag: Option<Label>,
    },
    /// Have an instance do something for a while.
    Order {
        /// At which node.
        instance: NodeId,
        /// What.
        order: Order,
        /// For how long, in milliseconds.
        lasting_ms: u64,
    },
}

/// Where to look for instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// What the client knows.
    Cache,
    /// What the registry knows: linearizable.
    Registry,
    /// What some server knows, which may be old.
    AnyServer,
}

/// What an instance may be told to do for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Shut down: deregister, and register again when the time is over.
    Deregister,
    /// Be out of service on purpose.
    Maintenance,
    /// Take long for everything.
    Slow,
    /// Fail at everything.
    Failing,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Order::Deregister => "deregister",
            Order::Maintenance => "be in maintenance",
            Order::Slow => "be slow",
            Order::Failing => "fail",
        })
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Call {
                service,
                key,
                by_proxy,
            } => {
                let by = if *by_proxy { " by proxy" } else { "" };
                write!(f, "call {service} for {key}{by}")
            }
            Op::LookUp { service, from, .. } => write!(f, "look up {service} in {from:?}"),
            Op::Resolve { service, .. } => write!(f, "resolve {service}"),
            Op::Order {
                instance,
                order,
                lasting_ms,
            } => write!(f, "{instance} is to {order} for {lasting_ms}ms"),
        }
    }
}

/// The answer to an [`Op`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ret {
    /// To `Call`.
    Called(Called),
    /// To `LookUp`.
    Found(Found),
    /// To `Resolve`: where the instances listen, in the order of the server.
    Resolved(Vec<SocketAddr>),
    /// To `Order`: so it is.
    Obeyed,
}

/// How a call was answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Called {
    /// The service of the instance that answered, as it said.
    pub service: Label,
    /// The instance that answered, as it said.
    pub instance: Label,
    /// How many instances were tried, this one included.
    pub attempts: u64,
    /// How old was what was known of the service when the instance was chosen, in milliseconds.
    pub age_ms: u64,
    /// Whether that is so old that it is called stale.
    pub stale: bool,
    /// Whether so few were healthy that it was chosen among all.
    pub panic: bool,
}

/// The instances that were found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Found {
    /// Their ids, ascending, and how they are.
    pub instances: Vec<(Label, Status)>,
    /// The revision of the store at which it was so.
    pub revision: u64,
    /// It was so this long ago, in milliseconds; nothing, if nobody knows.
    pub age_ms: Option<u64>,
    /// Whether so few were healthy that all are shown.
    pub panic: bool,
}

impl fmt::Display for Ret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ret::Called(called) => write!(
                f,
                "{} of {} answered the attempt {}, known {}ms ago",
                called.instance, called.service, called.attempts, called.age_ms
            ),
            Ret::Found(found) => {
                f.write_str("found")?;
                for (instance, status) in &found.instances {
                    write!(f, " {instance} ({status})")?;
                }
                write!(f, " at {}", found.revision)
            }
            Ret::Resolved(sockets) => write!(f, "{sockets:?}"),
            Ret::Obeyed => f.write_str("obeyed"),
        }
    }
}
