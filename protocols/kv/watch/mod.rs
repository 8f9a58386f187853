//! Watches: everything that happens to some keys, from some revision on (etcd: `mvcc/watchable_store.go`; its guarantees are
//! those of its documentation and of its robustness tests).
//!
//! | guarantee | how |
//! |---|---|
//! | ordered, unique | a watcher has one position, which only goes on; the past is one list |
//! | reliable | whoever is not told at once is told from the past, and if that is forgotten, that it is |
//! | atomic | no batch ends in the middle of a revision |
//! | resumable | [`Delivered::Events`] says how far it goes: a new watch from the revision after that misses nothing |
//! | bookmarkable | [`Delivered::Progress`] speaks of the watcher's own position, and comes after what leads up to it |
//!
//! A [`Hub`] is not replicated: each server has its own, for the watchers that are connected to it.

mod hub;
mod index;
mod watcher;

pub use hub::Hub;
pub use watcher::{Delivered, Delivery, Event, EventKind, Watch, WatchId};
