//! The protocols as the harness sees them.

mod bully;
mod coordination;
mod raft_kv;
mod registry;
mod service;

pub use bully::Bully;
pub use coordination::Coordination;
pub use raft_kv::RaftKv;
pub use registry::Registry;
pub use service::Service;
