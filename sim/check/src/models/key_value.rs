//! A map from strings to strings: get, put, append, delete, compare-and-set. Every key is absent at first.
//!
//! In JSON: `{"f":"get","key":"x"}` answers `{"value":"1"}` or `{"value":null}`;
//! `{"f":"put","key":"x","value":"1"}` answers `{}`, and so does `{"f":"append","key":"x","value":"1"}`, which puts the value
//! behind the one that is there, or in its place if there is none; `{"f":"delete","key":"x"}` answers `{"deleted":true}`, or
//! `false` if there was nothing to delete; `{"f":"compare_and_set","key":"x","expected":"1","value":"2"}`
//! answers `{"swapped":true}`, where `"expected":null` expects the key to be absent.

use super::cell::{self, Action, Answer, AnswerForm};
use crate::monitors::{self, Datum, Object};
use crate::{Footprint, Model};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A key.
pub type Key = Arc<str>;
/// A value.
pub type Value = Arc<str>;

/// The model; see the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyValue;

/// An operation on one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "f", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Reads a key.
    Get {
        /// Which.
        key: Key,
    },
    /// Writes a key.
    Put {
        /// Which.
        key: Key,
        /// Its new value.
        value: Value,
    },
    /// Writes a key: its value with this one behind it, or this one if it was absent.
    Append {
        /// Which.
        key: Key,
        /// What comes behind its value.
        value: Value,
    },
    /// Removes a key.
    Delete {
        /// Which.
        key: Key,
    },
    /// Writes a key if it is as expected.
    CompareAndSet {
        /// Which.
        key: Key,
        /// What it must be; absent, if nothing.
        #[serde(deserialize_with = "cell::required")]
        expected: Option<Value>,
        /// Its new value.
        value: Value,
    },
}

/// The answer to an operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "AnswerForm<Value>", into = "AnswerForm<Value>")]
pub enum Ret {
    /// To [`Op::Get`]: the value, nothing if the key was absent.
    Value(Option<Value>),
    /// To [`Op::Put`] and [`Op::Append`].
    Written,
    /// To [`Op::Delete`]: whether the key was there.
    Deleted(bool),
    /// To [`Op::CompareAndSet`]: whether the key was as expected, and is now written.
    Swapped(bool),
}

impl Op {
    /// The key it is about.
    pub fn key(&self) -> &Key {
        match self {
            Op::Get { key }
            | Op::Put { key, .. }
            | Op::Append { key, .. }
            | Op::Delete { key }
            | Op::CompareAndSet { key, .. } => key,
        }
    }

    /// As one on a cell, whose value is not made of others.
    fn action(&self) -> Option<Action<'_, Value>> {
        Some(match self {
            Op::Append { .. } => return None,
            Op::Get { .. } => Action::Read,
            Op::Put { value, .. } => Action::Write(value),
            Op::Delete { .. } => Action::Delete,
            Op::CompareAndSet {
                expected, value, ..
            } => Action::CompareAndSet {
                expected: expected.as_ref(),
                value,
            },
        })
    }
}

impl Ret {
    fn answer(&self) -> Answer<'_, Value> {
        match self {
            Ret::Value(value) => Answer::Value(value.as_ref()),
            Ret::Written => Answer::Written,
            Ret::Deleted(existed) => Answer::Deleted(*existed),
            Ret::Swapped(swapped) => Answer::Swapped(*swapped),
        }
    }
}

impl From<Ret> for AnswerForm<Value> {
    fn from(ret: Ret) -> Self {
        let mut form = AnswerForm::EMPTY;
        match ret {
            Ret::Value(value) => form.value = Some(value),
            Ret::Written => {}
            Ret::Deleted(existed) => form.deleted = Some(existed),
            Ret::Swapped(swapped) => form.swapped = Some(swapped),
        }
        form
    }
}

impl TryFrom<AnswerForm<Value>> for Ret {
    type Error = &'static str;

    fn try_from(form: AnswerForm<Value>) -> Result<Self, Self::Error> {
        match (form.value, form.deleted, form.swapped) {
            (Some(value), None, None) => Ok(Ret::Value(value)),
            (None, None, None) => Ok(Ret::Written),
            (None, Some(existed), None) => Ok(Ret::Deleted(existed)),
            (None, None, Some(swapped)) => Ok(Ret::Swapped(swapped)),
            _ => Err("expected at most one of `value`, `deleted` and `swapped`"),
        }
    }
}

impl Model for KeyValue {
    type Op = Op;
    type Ret = Ret;
    type State = Option<Value>;
    type Key = Key;

    fn initial(&self) -> Option<Value> {
        None
    }

    fn footprint<'a>(&self, op: &'a Op) -> Footprint<'a, Key> {
        Footprint::Key(op.key())
    }

    fn step(&self, state: &Option<Value>, op: &Op, ret: Option<&Ret>) -> Option<Option<Value>> {
        if let Some(action) = op.action() {
            return cell::step(state, action, ret.map(Ret::answer));
        }
        match (op, ret) {
            (Op::Append { value, .. }, None | Some(Ret::Written)) => Some(Some(match state {
                Some(before) => [&**before, &**value].concat().into(),
                None => value.clone(),
            })),
            _ => None,
        }
    }

    fn is_read_only(&self, op: &Op, ret: Option<&Ret>) -> bool {
        op.action()
            .is_some_and(|action| cell::is_read_only(action, ret.map(Ret::answer)))
    }

    fn object(&self) -> Option<Object> {
        Some(Object::Register)
    }

    fn action<'a>(&self, op: &'a Op, ret: Option<&'a Ret>) -> Option<monitors::Action<'a>> {
        cell::monitored(op.action()?, ret.map(Ret::answer), |value| {
            Datum::Text(value)
        })
    }

    fn describe(&self, op: &Op, ret: Option<&Ret>) -> String {
        let answer = cell::describe_answer(ret.map(Ret::answer));
        match op {
            Op::Get { key } => format!("get {key}{answer}"),
            Op::Put { key, value } => format!("put {key} = {value}{answer}"),
            Op::Append { key, value } => format!("append {value} to {key}{answer}"),
            Op::Delete { key } => format!("delete {key}{answer}"),
            Op::CompareAndSet {
                key,
                expected,
                value,
            } => {
                let expected = cell::or_absent(expected.as_ref());
                format!("compare-and-set {key} from {expected} to {value}{answer}")
            }
        }
    }

    fn needs(&self, op: &Op, ret: &Ret) -> String {
        match op.action() {
            Some(action) => cell::needs(op.key(), action, ret.answer()),
            None => "another kind of answer".to_owned(),
        }
    }

    fn describe_state(&self, key: Option<&Key>, state: &Option<Value>) -> String {
        cell::describe_state(&key.map_or("", |key| key), state.as_ref())
    }
}
