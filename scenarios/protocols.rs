//! The protocols as the harness sees them.

mod bully;
mod raft_kv;

pub use bully::Bully;
pub use raft_kv::RaftKv;
