//! A key-value store with transactions and revisions, as etcd's: get, put, delete, compare-and-set, ranges, and
//! transactions over several keys. Every key is absent at first.
//!
//! The reference is etcd's (documentation of its API, "Data model" and "KV API guarantees"): the store has a
//! *revision*, which every operation that changes something counts up by one, a transaction as a whole; a key has a *version*
//! (how many times it was written since it was created) and knows the revisions of its creation and its last change.
//! Answers may carry any of these, or none: what they carry is checked.
//!
//! A history is checked by [`crate::transactional::check`], which uses revisions where there are any. To this model alone,
//! with [`crate::check`], a stale read is one of the latest state, and one at a revision comes when that is the latest.
//!
//! In JSON an operation has the fields `f` and
//! * `get`: `key`; `range`: `from`, `to` (or `null`), perhaps `limit`, `count_only`; both perhaps
//!   `"read":"stale"` or `"read":{"revision":7}`;
//! * `put`: `key`, `value`; `delete`: `key`; `delete_range`: `from`, `to`; `compare_and_set`: `key`, `expected`, `value`;
//! * `transaction`: `compare`, a list of `{"key":"x","is":"equal","target":{"value":"1"}}` (`not_equal`, `greater`,
//!   `less`; `version`, `create_revision`, `mod_revision`, `exists`), and `then` and `otherwise`, lists of actions, which
//!   look like the operations `get`, `range`, `put`, `delete` and `delete_range`.
//!
//! An answer may have `revision`, and `value` with perhaps `version`, `create_revision`, `mod_revision`; or `entries`, a list of
//! such with `key`, and perhaps `count`; or `deleted`, a number; or `swapped`; or `succeeded` and `answers`; or
//! `"compacted":true`; or nothing, to a put.
//!
//! What no client asked for, such as a lease that expires, changes the store, too: it is an operation (a transaction that
//! deletes its keys) of a process of its own, of unknown outcome, invoked when it could happen at the earliest.

mod form;
mod op;
mod ret;
mod store;
mod words;

use crate::{Footprint, History, Model, Touched, What};
pub use op::{Action, Compare, Op, Query, Relation, Span, Target, Transaction};
pub use ret::{Answer, Item, Ret};
use std::sync::Arc;
pub use store::Store;
pub(crate) use store::{Tracking, Undo, changed, seen};

/// A key.
pub type Key = Arc<str>;
/// A value.
pub type Value = Arc<str>;

/// The model; see the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct Transactional {
    first_revision: u64,
    pub(crate) tracking: Tracking,
}

impl Transactional {
    /// The model for a history: it counts versions and revisions if the history's operations or answers depend on them.
    /// Revisions belong to the whole store, so that a history with revisions is not split by keys.
    ///
    /// `first_revision` is that of the empty store (1 in etcd).
    pub fn of(history: &History<Op, Ret>, first_revision: u64) -> Transactional {
        let mut tracking = Tracking {
            versions: false,
            revisions: false,
        };
        for event in history.events() {
            match &event.what {
                What::Invoke(Op::Transaction(transaction)) => {
                    for compare in &transaction.compare {
                        let asks =
                            |count: u64| count > 0 && !(count == 1 && compare.is == Relation::Less);
                        match compare.target {
                            Target::Version(count) => tracking.versions |= asks(count),
                            Target::CreateRevision(count) | Target::ModRevision(count) => {
                                tracking.revisions |= asks(count);
                            }
                            Target::Value(_) | Target::Exists(_) => {}
                        }
                    }
                }
                What::Invoke(Op::At(..)) => tracking.revisions = true,
                What::Ok(ret) => {
                    tracking.revisions |= ret.revision.is_some();
                    for item in ret.answer.items() {
                        tracking.versions |= item.version.is_some();
                        tracking.revisions |=
                            item.create_revision.is_some() || item.mod_revision.is_some();
                    }
                }
                What::Invoke(_) | What::Fail | What::Info => {}
            }
        }
        Transactional {
            first_revision,
            tracking,
        }
    }
}

impl Model for Transactional {
    type Op = Op;
    type Ret = Ret;
    type State = Store;
    type Key = Key;

    fn initial(&self) -> Store {
        Store::new(self.first_revision)
    }

    fn footprint<'a>(&self, op: &'a Op) -> Footprint<'a, Key> {
        if self.tracking.revisions {
            return Footprint::Whole;
        }
        let touched = op.touched();
        match *touched {
            [Touched::Key(key)] => Footprint::Key(key),
            _ => Footprint::Several(touched),
        }
    }

    fn step(&self, state: &Store, op: &Op, ret: Option<&Ret>) -> Option<Store> {
        state.step(self.tracking, op, ret)
    }

    fn is_read_only(&self, op: &Op, ret: Option<&Ret>) -> bool {
        op.only_reads() || ret.is_some_and(|ret| changed(op, &ret.answer) == Some(false))
    }

    fn describe(&self, op: &Op, ret: Option<&Ret>) -> String {
        words::describe(op, ret)
    }

    fn needs(&self, op: &Op, ret: &Ret) -> String {
        words::needs(op, ret)
    }

    fn describe_state(&self, key: Option<&Key>, state: &Store) -> String {
        words::describe_state(key, state, self.tracking.revisions)
    }
}
