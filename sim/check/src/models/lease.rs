//! A lock that is lost when it is not renewed in time. Free at first.
//!
//! In JSON: `{"f":"acquire","owner":1}`, `{"f":"renew","owner":1}` and `{"f":"release","owner":1}` answer `{"done":true}`, or
//! `{"done":false}` where the lock was held, or was not the owner's any more. `{"f":"expire","owner":1}`, which no client asks for,
//! is that the owner's time is up: it answers `{"done":true}`, if the service says when that was. Where a history does not
//! say, an `expire` of unknown outcome, invoked when the time may be up at the earliest, stands for it.

use super::mutex::{Owner, Ret};
use crate::{Footprint, Model};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;

/// The model; see the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Lease;

/// An operation on the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "f", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Takes the lock.
    Acquire {
        /// For whom.
        owner: Owner,
    },
    /// Keeps the lock for longer.
    Renew {
        /// Whose.
        owner: Owner,
    },
    /// Gives the lock back.
    Release {
        /// Whose.
        owner: Owner,
    },
    /// The lock is taken from its owner.
    Expire {
        /// From whom.
        owner: Owner,
    },
}

impl Model for Lease {
    type Op = Op;
    type Ret = Ret;
    type State = Option<Owner>;
    type Key = Infallible;

    fn initial(&self) -> Option<Owner> {
        None
    }

    fn footprint<'a>(&self, _op: &'a Op) -> Footprint<'a, Infallible> {
        Footprint::Whole
    }

    fn step(&self, state: &Option<Owner>, op: &Op, ret: Option<&Ret>) -> Option<Option<Owner>> {
        let (possible, after) = match *op {
            Op::Acquire { owner } => (state.is_none(), Some(owner)),
            Op::Renew { owner } => (*state == Some(owner), Some(owner)),
            Op::Release { owner } | Op::Expire { owner } => (*state == Some(owner), None),
        };
        match ret {
            Some(Ret { done }) if *done != possible => None,
            _ if possible => Some(after),
            _ => Some(*state),
        }
    }

    fn is_read_only(&self, op: &Op, ret: Option<&Ret>) -> bool {
        matches!(op, Op::Renew { .. }) || ret.is_some_and(|ret| !ret.done)
    }

    fn describe(&self, op: &Op, ret: Option<&Ret>) -> String {
        let answer = if ret.is_some_and(|ret| !ret.done) {
            " -> refused"
        } else {
            ""
        };
        match op {
            Op::Acquire { owner } => format!("acquire for {owner}{answer}"),
            Op::Renew { owner } => format!("renew for {owner}{answer}"),
            Op::Release { owner } => format!("release by {owner}{answer}"),
            Op::Expire { owner } => format!("expire for {owner}{answer}"),
        }
    }

    fn needs(&self, op: &Op, ret: &Ret) -> String {
        let (Op::Acquire { owner }
        | Op::Renew { owner }
        | Op::Release { owner }
        | Op::Expire { owner }) = op;
        match (op, ret.done) {
            (Op::Acquire { .. }, true) => "the lock free".to_owned(),
            (Op::Acquire { .. }, false) => "the lock held".to_owned(),
            (_, true) => format!("the lock held by {owner}"),
            (_, false) => format!("the lock not held by {owner}"),
        }
    }

    fn describe_state(&self, _key: Option<&Infallible>, state: &Option<Owner>) -> String {
        match state {
            Some(owner) => format!("the lock is held by {owner}"),
            None => "the lock is free".to_owned(),
        }
    }
}
