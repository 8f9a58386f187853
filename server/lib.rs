//! A replicated key-value store and service registry as processes: the commands `splitbrain node` and `splitbrain client`.
//!
//! It links no simulator: what is deployed is the nodes, their host, HTTP and DNS.
#![warn(missing_docs)]

mod checks;
pub mod client;
mod config;
mod dns;
mod http;
pub mod node;
mod registry;
pub mod request;
mod serve;
mod service;

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
