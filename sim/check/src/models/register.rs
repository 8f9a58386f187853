//! One integer that may be absent, and is at first: read and write.
//!
//! In JSON: `{"f":"read"}` answers `{"value":1}` or `{"value":null}`; `{"f":"write","value":1}` answers `{}`.

use super::cell::{self, Action, Answer, AnswerForm};
use crate::monitors::{self, Datum, Object};
use crate::{Footprint, Model};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;

/// The model; see the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Register;

/// An operation on the register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "OpForm", into = "OpForm")]
pub enum Op {
    /// Reads it.
    Read,
    /// Writes it.
    Write(i64),
}

/// The answer to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "AnswerForm<i64>", into = "AnswerForm<i64>")]
pub enum Ret {
    /// To [`Op::Read`]: the value, if there is one.
    Value(Option<i64>),
    /// To [`Op::Write`].
    Written,
}

/// The JSON form: `Read` has braces because serde would let an unknown field pass in a unit variant.
#[derive(Serialize, Deserialize)]
#[serde(tag = "f", rename_all = "snake_case", deny_unknown_fields)]
enum OpForm {
    Read {},
    Write { value: i64 },
}

impl From<OpForm> for Op {
    fn from(form: OpForm) -> Op {
        match form {
            OpForm::Read {} => Op::Read,
            OpForm::Write { value } => Op::Write(value),
        }
    }
}

impl From<Op> for OpForm {
    fn from(op: Op) -> OpForm {
        match op {
            Op::Read => OpForm::Read {},
            Op::Write(value) => OpForm::Write { value },
        }
    }
}

impl From<Ret> for AnswerForm<i64> {
    fn from(ret: Ret) -> Self {
        let mut form = AnswerForm::EMPTY;
        if let Ret::Value(value) = ret {
            form.value = Some(value);
        }
        form
    }
}

impl TryFrom<AnswerForm<i64>> for Ret {
    type Error = &'static str;

    fn try_from(form: AnswerForm<i64>) -> Result<Self, Self::Error> {
        match (form.value, form.deleted, form.swapped) {
            (Some(value), None, None) => Ok(Ret::Value(value)),
            (None, None, None) => Ok(Ret::Written),
            _ => Err("expected `value` or nothing"),
        }
    }
}

impl Op {
    fn action(&self) -> Action<'_, i64> {
        match self {
            Op::Read => Action::Read,
            Op::Write(value) => Action::Write(value),
        }
    }
}

impl Ret {
    fn answer(&self) -> Answer<'_, i64> {
        match self {
            Ret::Value(value) => Answer::Value(value.as_ref()),
            Ret::Written => Answer::Written,
        }
    }
}

impl Model for Register {
    type Op = Op;
    type Ret = Ret;
    type State = Option<i64>;
    type Key = Infallible;

    fn initial(&self) -> Option<i64> {
        None
    }

    fn footprint<'a>(&self, _op: &'a Op) -> Footprint<'a, Infallible> {
        Footprint::Whole
    }

    fn step(&self, state: &Option<i64>, op: &Op, ret: Option<&Ret>) -> Option<Option<i64>> {
        cell::step(state, op.action(), ret.map(Ret::answer))
    }

    fn is_read_only(&self, op: &Op, ret: Option<&Ret>) -> bool {
        cell::is_read_only(op.action(), ret.map(Ret::answer))
    }

    fn object(&self) -> Option<Object> {
        Some(Object::Register)
    }

    fn action<'a>(&self, op: &'a Op, ret: Option<&'a Ret>) -> Option<monitors::Action<'a>> {
        cell::monitored(op.action(), ret.map(Ret::answer), |value| {
            Datum::Number(*value)
        })
    }

    fn describe(&self, op: &Op, ret: Option<&Ret>) -> String {
        let answer = cell::describe_answer(ret.map(Ret::answer));
        match op {
            Op::Read => format!("read{answer}"),
            Op::Write(value) => format!("write {value}{answer}"),
        }
    }

    fn needs(&self, op: &Op, ret: &Ret) -> String {
        cell::needs(&"value", op.action(), ret.answer())
    }

    fn describe_state(&self, _key: Option<&Infallible>, state: &Option<i64>) -> String {
        cell::describe_state(&"value", state.as_ref())
    }
}
