//! Runs the nodes of a scenario under [madsim](https://docs.rs/madsim), another deterministic simulator: its executor, its clock, its
//! random numbers and its network in place of the kernel's.
//!
//! Each node is a process of madsim's that drives the node by asynchronous tasks and sends over an `Endpoint`, so that a
//! protocol is seen by a second simulator that knows nothing of the first. What the harness does (workload, nemesis, invariants, history,
//! verdict) is the same code: [`Madsim`] is an [`Engine`](splitbrain::engine::Engine). A partition is madsim's clog, a crash its kill
//! and restart, a pause its pause. The disk is the kernel's, as madsim has none that forgets what was not synced.
//!
//! What runs under madsim need not be a node: a [`Service`](service::Service) is ordinary asynchronous Rust.
//!
//! madsim simulates only when it is compiled with `--cfg madsim`, which `.cargo/config.toml` sets for the workspace. Without that this
//! crate is empty.
#![cfg(madsim)]
#![warn(missing_docs)]

mod cluster;
mod engine;
mod life;
mod process;
mod refuse;
pub mod service;

pub use engine::Madsim;
pub use life::{Drive, Nodes, Shared};
