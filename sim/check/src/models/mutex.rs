//! A lock that one owner holds at a time. Free at first.
//!
//! In JSON: `{"f":"acquire","owner":1}` and `{"f":"release","owner":1}` answer `{"done":true}`, or `{"done":false}` where the
//! lock was held by another or by the owner itself, or was not the owner's to release. An owner is a number, such as the process.

use crate::monitors::{self, Datum, Object};
use crate::{Footprint, Model};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;

/// The model; see the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Mutex;

/// Who asks for the lock.
pub type Owner = u64;

/// An operation on the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "f", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Takes the lock.
    Acquire {
        /// For whom.
        owner: Owner,
    },
    /// Gives the lock back.
    Release {
        /// Whose.
        owner: Owner,
    },
}

/// The answer to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ret {
    /// Whether it was possible, and is done.
    pub done: bool,
}

impl Model for Mutex {
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
            Op::Release { owner } => (*state == Some(owner), None),
        };
        match ret {
            Some(Ret { done }) if *done != possible => None,
            _ if possible => Some(after),
            _ => Some(*state),
        }
    }

    fn is_read_only(&self, _op: &Op, ret: Option<&Ret>) -> bool {
        ret.is_some_and(|ret| !ret.done)
    }

    fn object(&self) -> Option<Object> {
        Some(Object::Mutex)
    }

    fn action<'a>(&self, op: &'a Op, ret: Option<&'a Ret>) -> Option<monitors::Action<'a>> {
        let datum = |owner: Owner| Datum::Number(owner.cast_signed());
        match *op {
            _ if ret.is_some_and(|ret| !ret.done) => None,
            Op::Acquire { owner } => Some(monitors::Action::Acquire(datum(owner))),
            Op::Release { owner } => Some(monitors::Action::Release(datum(owner))),
        }
    }

    fn describe(&self, op: &Op, ret: Option<&Ret>) -> String {
        let answer = if ret.is_some_and(|ret| !ret.done) {
            " -> refused"
        } else {
            ""
        };
        match op {
            Op::Acquire { owner } => format!("acquire for {owner}{answer}"),
            Op::Release { owner } => format!("release by {owner}{answer}"),
        }
    }

    fn needs(&self, op: &Op, ret: &Ret) -> String {
        match (op, ret.done) {
            (Op::Acquire { .. }, true) => "the lock free".to_owned(),
            (Op::Acquire { .. }, false) => "the lock held".to_owned(),
            (Op::Release { owner }, true) => format!("the lock held by {owner}"),
            (Op::Release { owner }, false) => format!("the lock not held by {owner}"),
        }
    }

    fn describe_state(&self, _key: Option<&Infallible>, state: &Option<Owner>) -> String {
        match state {
            Some(owner) => format!("the lock is held by {owner}"),
            None => "the lock is free".to_owned(),
        }
    }
}
