//! A counter: a number to add to. 0 at first.
//!
//! In JSON: `{"f":"add","value":2}` answers `{}`, or `{"value":5}` with what it is then; `{"f":"read"}` answers `{"value":5}`.

use crate::{Footprint, Model};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;

/// The model; see the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter;

/// An operation on the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "OpForm", into = "OpForm")]
pub enum Op {
    /// Adds a number, which may be negative.
    Add(i64),
    /// Reads it.
    Read,
}

/// The answer to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ret {
    /// What the counter is after the operation. To [`Op::Add`], it may say nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<i64>,
}

/// The JSON form: `Read` has braces because serde would let an unknown field pass in a unit variant.
#[derive(Serialize, Deserialize)]
#[serde(tag = "f", rename_all = "snake_case", deny_unknown_fields)]
enum OpForm {
    Add { value: i64 },
    Read {},
}

impl From<OpForm> for Op {
    fn from(form: OpForm) -> Op {
        match form {
            OpForm::Add { value } => Op::Add(value),
            OpForm::Read {} => Op::Read,
        }
    }
}

impl From<Op> for OpForm {
    fn from(op: Op) -> OpForm {
        match op {
            Op::Add(value) => OpForm::Add { value },
            Op::Read => OpForm::Read {},
        }
    }
}

impl Model for Counter {
    type Op = Op;
    type Ret = Ret;
    /// It does not overflow: no sum of 64-bit numbers that fits into memory does.
    type State = i128;
    type Key = Infallible;

    fn initial(&self) -> i128 {
        0
    }

    fn footprint<'a>(&self, _op: &'a Op) -> Footprint<'a, Infallible> {
        Footprint::Whole
    }

    fn step(&self, state: &i128, op: &Op, ret: Option<&Ret>) -> Option<i128> {
        let after = match op {
            Op::Add(value) => state + i128::from(*value),
            Op::Read => *state,
        };
        let legal = match (op, ret.map(|ret| ret.value)) {
            (_, None) | (Op::Add(_), Some(None)) => true,
            (Op::Read, Some(None)) => false,
            (_, Some(Some(value))) => after == i128::from(value),
        };
        legal.then_some(after)
    }

    fn is_read_only(&self, op: &Op, _ret: Option<&Ret>) -> bool {
        matches!(op, Op::Read | Op::Add(0))
    }

    fn describe(&self, op: &Op, ret: Option<&Ret>) -> String {
        let value = ret.and_then(|ret| ret.value);
        let answer = value.map_or_else(String::new, |value| format!(" -> {value}"));
        match op {
            Op::Add(value) => format!("add {value}{answer}"),
            Op::Read => format!("read{answer}"),
        }
    }

    fn needs(&self, op: &Op, ret: &Ret) -> String {
        match (op, ret.value) {
            (Op::Read, Some(value)) => format!("counter = {value}"),
            (Op::Add(more), Some(value)) => {
                format!("counter = {}", i128::from(value) - i128::from(*more))
            }
            _ => "another kind of answer".to_owned(),
        }
    }

    fn describe_state(&self, _key: Option<&Infallible>, state: &i128) -> String {
        format!("counter is {state}")
    }
}
