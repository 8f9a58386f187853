//! Splitbrain: a deterministic simulator and test harness for distributed systems.
//!
//! A cluster of [`Node`]s runs in a [`World`]: virtual time, a bad network, disks that forget. A
//! [`scenario`] says what goes wrong; a [`run`](mod@run) of one seed records every client operation, checks
//! [`Invariant`]s after every event and the history at the end, and comes to a
//! [verdict](run::Verdict): valid, invalid or unknown. A [`campaign`] runs many seeds; a failing one becomes a
//! [replay](mod@replay) file.
//!
//! A protocol is put under test by implementing [`protocol::Protocol`] for it; the README shows a complete one.
#![warn(missing_docs)]

pub mod campaign;
pub mod case;
pub mod engine;
mod fault;
mod nemesis;
mod network;
mod panics;
pub mod protocol;
pub mod replay;
pub mod report;
pub mod run;
pub mod scenario;
pub mod shrink;
mod span;
#[cfg(feature = "proptest")]
pub mod strategy;
pub mod testing;
pub mod world;

pub use fault::{Fault, InFlight, Injection};
pub use network::{
    Bursts, Capacity, Degradation, Direction, Latency, LinkProfile, LinkSet, Shape, Topology,
};
pub use span::Span;
pub use splitbrain_check as check;
pub use splitbrain_core::*;
pub use world::{World, WorldConfig};
