//! Protocols as pure state machines, to be read beside their papers.
//!
//! Each is a [`Node`](splitbrain_core::Node) in a folder of its own; what several share is a file beside them.
#![warn(missing_docs)]

pub mod bully;
pub mod coordination;
pub mod discovery;
pub mod kv;
pub mod quorum;
pub mod raft;
pub mod registry;
pub mod service;
