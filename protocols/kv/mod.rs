//! A key-value store: the state machine that the other protocols replicate.
//!
//! Deterministic and free of effects: the same operations in the same order give the same answers and the same
//! state, which is all that state-machine replication asks for.

mod op;
mod store;

pub use op::{Key, Op, Ret, Value};
pub use store::Store;
