//! The protocols as the harness sees them.

mod bully;
mod coordination;
mod raft_kv;
mod service;

pub use bully::Bully;
pub use coordination::Coordination;
pub use raft_kv::RaftKv;
pub use service::Service;
