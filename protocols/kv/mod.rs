//! A key-value store with a past, leases and watches: the state machine that the other protocols replicate, and what a
//! coordination service is made of. The semantics are those of etcd, version 3, which has most of its names, too; sequential
//! keys are ZooKeeper's.
//!
//! Deterministic and free of effects: the same operations in the same order give the same answers and the same
//! state, which is all that state-machine replication asks for. There is no time in it: see `lease.rs`.
//!
//! # etcd, and where it is
//!
//! | etcd | here |
//! |---|---|
//! | `mvccpb.KeyValue`: create and mod revision, version, lease | [`KeyValue`], in `key_value.rs` |
//! | The revision of the store; a change, a delete range and a transaction each take one | [`Revision`]; [`Store::apply`], in `store.rs` |
//! | `key` and `range_end` of requests | [`KeyRange`], in `key_range.rs` |
//! | `RangeRequest`: limit, revision, sort order, keys only, count only, bounds of revisions | [`Range`], in `range.rs` |
//! | `PutRequest`, `DeleteRangeRequest` | [`Op`], in `op.rs` |
//! | Answers, and errors (`ErrCompacted`, `ErrFutureRev`, `ErrLeaseNotFound`, `ErrDuplicateKey`) | [`Ret`] and [`Refusal`], in `ret.rs` |
//! | `TxnRequest`, `Compare` | [`Transaction`], [`Compare`], in `transaction.rs` |
//! | The index and the backend of `mvcc`: what was at each revision | `history.rs` |
//! | `Compact`, and `--auto-compaction-retention` by revisions | [`Op::Compact`], [`Op::Keep`]; `Store::trim`, in `store.rs` |
//! | `LeaseGrant`, `LeaseRevoke`, `LeaseTimeToLive`, `LeaseCheckpoint`; attached keys | [`Lease`], in `lease.rs` |
//! | `Watch`: `mvcc/watchable_store.go` | [`watch`] |
//! | Snapshots | [`Piece`], in `piece.rs` |
//!
//! # Departures
//!
//! * A lease that has run out is ended by [`Op::LeaseExpire`], which does nothing if the lease was renewed after it was found
//!   to have run out; etcd's leader makes sure that it still leads, and revokes.
//! * A watch begins after the compacted revision, never at it: etcd keeps the latest change of a live key there, and has
//!   forgotten that of a deleted one.
//! * A range counts what it shows, unless it is asked to count all: to go through all keys for a few of them is for those who
//!   want it.

mod history;
mod key_range;
mod key_value;
mod lease;
mod nesting;
mod op;
mod piece;
mod range;
#[cfg(test)]
mod reference;
mod ret;
mod store;
mod transaction;
pub mod watch;
pub(crate) mod wire;

pub use history::Change;
pub use key_range::KeyRange;
pub use key_value::{Key, KeyValue, Revision, State, Value};
pub use lease::{Lease, LeaseId, TTL_MS_MAX};
pub use op::Op;
pub use piece::{Header, Piece};
pub use range::{Order, Range, Shows, SortBy};
pub use ret::{DeletedRange, LeaseView, Put, Ranged, Refusal, Ret, Transacted};
pub use store::{Compacted, KEPT_CHANGES, Store};
pub use transaction::{Compare, Operand, Relation, TRANSACTION_OPS_MAX, Transaction};
