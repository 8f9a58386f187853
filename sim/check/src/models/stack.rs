//! A stack of numbers: last in, first out. Empty at first.
//!
//! In JSON: `{"f":"push","value":1}` answers `{}`; `{"f":"pop"}` answers `{"value":1}`, or `{"value":null}` if there was
//! nothing.

use super::container::{self, Action};
use crate::monitors::{self, Object};
use crate::{Footprint, Model};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;

pub use super::container::Ret;

/// The model; see the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Stack;

/// An operation on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "OpForm", into = "OpForm")]
pub enum Op {
    /// Puts a number in.
    Push(i64),
    /// Takes a number out, if there is one.
    Pop,
}

/// The JSON form: `Pop` has braces because serde would let an unknown field pass in a unit variant.
#[derive(Serialize, Deserialize)]
#[serde(tag = "f", rename_all = "snake_case", deny_unknown_fields)]
enum OpForm {
    Push { value: i64 },
    Pop {},
}

impl From<OpForm> for Op {
    fn from(form: OpForm) -> Op {
        match form {
            OpForm::Push { value } => Op::Push(value),
            OpForm::Pop {} => Op::Pop,
        }
    }
}

impl From<Op> for OpForm {
    fn from(op: Op) -> OpForm {
        match op {
            Op::Push(value) => OpForm::Push { value },
            Op::Pop => OpForm::Pop {},
        }
    }
}

impl Op {
    fn action(self) -> Action {
        match self {
            Op::Push(value) => Action::Put(value),
            Op::Pop => Action::Take,
        }
    }
}

impl Model for Stack {
    type Op = Op;
    type Ret = Ret;
    type State = Vec<i64>;
    type Key = Infallible;

    fn initial(&self) -> Vec<i64> {
        Vec::new()
    }

    fn footprint<'a>(&self, _op: &'a Op) -> Footprint<'a, Infallible> {
        Footprint::Whole
    }

    fn step(&self, state: &Vec<i64>, op: &Op, ret: Option<&Ret>) -> Option<Vec<i64>> {
        let top = |state: &[i64]| state.len().checked_sub(1);
        container::step(state, op.action(), ret.copied(), Vec::push, top)
    }

    fn is_read_only(&self, op: &Op, ret: Option<&Ret>) -> bool {
        container::is_read_only(op.action(), ret.copied())
    }

    fn object(&self) -> Option<Object> {
        Some(Object::Stack)
    }

    fn action<'a>(&self, op: &'a Op, ret: Option<&'a Ret>) -> Option<monitors::Action<'a>> {
        container::monitored(op.action(), ret.copied())
    }

    fn describe(&self, op: &Op, ret: Option<&Ret>) -> String {
        container::describe(("push", "pop"), op.action(), ret.copied())
    }

    fn needs(&self, op: &Op, ret: &Ret) -> String {
        container::needs("on top", op.action(), *ret)
    }

    fn describe_state(&self, _key: Option<&Infallible>, state: &Vec<i64>) -> String {
        container::describe_state("the stack", state)
    }
}
