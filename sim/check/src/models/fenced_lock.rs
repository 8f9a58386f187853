//! A lock whose every holder gets a number that is greater than those of all holders before it, a fencing token (Kleppmann 2016,
//! "How to do distributed locking"): what the lock protects can refuse who held it once. Free at first.
//!
//! In JSON: `{"f":"acquire","owner":1}` answers `{"fence":7}`, or `{"done":false}` where the lock was held;
//! `{"f":"release","owner":1}` answers `{"done":true}`, or `{"done":false}` where the lock was not the owner's.

use super::mutex::{Op, Owner};
use crate::{Footprint, Model};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;

/// The model; see the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct FencedLock;

/// The answer to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RetForm", into = "RetForm")]
pub enum Ret {
    /// To [`Op::Acquire`]: the number of this holder.
    Fence(u64),
    /// To [`Op::Release`].
    Released,
    /// It was not possible.
    Refused,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fence: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    done: Option<bool>,
}

impl From<Ret> for RetForm {
    fn from(ret: Ret) -> RetForm {
        let (fence, done) = match ret {
            Ret::Fence(fence) => (Some(fence), None),
            Ret::Released => (None, Some(true)),
            Ret::Refused => (None, Some(false)),
        };
        RetForm { fence, done }
    }
}

impl TryFrom<RetForm> for Ret {
    type Error = &'static str;

    fn try_from(form: RetForm) -> Result<Ret, Self::Error> {
        match (form.fence, form.done) {
            (Some(fence), None) => Ok(Ret::Fence(fence)),
            (None, Some(true)) => Ok(Ret::Released),
            (None, Some(false)) => Ok(Ret::Refused),
            _ => Err("expected one of `fence` and `done`"),
        }
    }
}

/// The state of the lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    /// Who holds it.
    holder: Option<Owner>,
    /// The least number that the last holder can have had.
    fence: Option<u64>,
}

impl Model for FencedLock {
    type Op = Op;
    type Ret = Ret;
    type State = State;
    type Key = Infallible;

    fn initial(&self) -> State {
        State::default()
    }

    fn footprint<'a>(&self, _op: &'a Op) -> Footprint<'a, Infallible> {
        Footprint::Whole
    }

    fn step(&self, state: &State, op: &Op, ret: Option<&Ret>) -> Option<State> {
        match (*op, ret) {
            (Op::Acquire { .. }, Some(Ret::Refused)) => state.holder.is_some().then_some(*state),
            (Op::Acquire { owner }, Some(Ret::Fence(fence))) => {
                let holder = Some(owner);
                let is_legal = state.holder.is_none() && Some(*fence) > state.fence;
                is_legal.then_some(State {
                    holder,
                    fence: Some(*fence),
                })
            }
            (Op::Acquire { .. }, None) if state.holder.is_some() => Some(*state),
            // Nobody knows its number: at least it is the next one. After the greatest there is none.
            (Op::Acquire { owner }, None) => match state.fence {
                Some(u64::MAX) => Some(*state),
                fence => Some(State {
                    holder: Some(owner),
                    fence: Some(fence.map_or(0, |fence| fence + 1)),
                }),
            },
            (Op::Release { owner }, ret) => {
                let is_holder = state.holder == Some(owner);
                let fence = state.fence;
                let released = State {
                    holder: None,
                    fence,
                };
                match ret {
                    Some(Ret::Released) | None if is_holder => Some(released),
                    Some(Ret::Refused) | None if !is_holder => Some(*state),
                    _ => None,
                }
            }
            (Op::Acquire { .. }, Some(Ret::Released)) => None,
        }
    }

    fn is_read_only(&self, _op: &Op, ret: Option<&Ret>) -> bool {
        matches!(ret, Some(Ret::Refused))
    }

    fn describe(&self, op: &Op, ret: Option<&Ret>) -> String {
        let answer = match ret {
            Some(Ret::Fence(fence)) => format!(" -> fence {fence}"),
            Some(Ret::Refused) => " -> refused".to_owned(),
            Some(Ret::Released) | None => String::new(),
        };
        match op {
            Op::Acquire { owner } => format!("acquire for {owner}{answer}"),
            Op::Release { owner } => format!("release by {owner}{answer}"),
        }
    }

    fn needs(&self, op: &Op, ret: &Ret) -> String {
        match (op, ret) {
            (Op::Acquire { .. }, Ret::Fence(fence)) => {
                format!("the lock free and fences below {fence}")
            }
            (Op::Acquire { .. }, Ret::Refused) => "the lock held".to_owned(),
            (Op::Release { owner }, Ret::Released) => format!("the lock held by {owner}"),
            (Op::Release { owner }, Ret::Refused) => format!("the lock not held by {owner}"),
            _ => "another kind of answer".to_owned(),
        }
    }

    fn describe_state(&self, _key: Option<&Infallible>, state: &State) -> String {
        let lock = match state.holder {
            Some(owner) => format!("the lock is held by {owner}"),
            None => "the lock is free".to_owned(),
        };
        match state.fence {
            Some(fence) => format!("{lock}, the last fence was {fence} or more"),
            None => format!("{lock}, and was never held"),
        }
    }
}
