//! A replicated key-value store as processes: the commands `splitbrain node` and `splitbrain client`.
//!
//! It links no simulator: what is deployed is the nodes, their host, and HTTP.
#![warn(missing_docs)]

pub mod client;
mod config;
mod http;
pub mod node;
pub mod request;
mod serve;

/// What a command came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// What was asked for.
    Done,
    /// Certainly not that; or there is no such key.
    NotDone,
    /// Nobody knows.
    Unknown,
}
