//! A priority queue of numbers: the least comes out first. Empty at first.
//!
//! In JSON: `{"f":"insert","value":1}` answers `{}`; `{"f":"delete_min"}` answers `{"value":1}`, or `{"value":null}` if there was
//! nothing.

use super::container::{self, Action};
use crate::monitors::{self, Object};
use crate::{Footprint, Model};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;

pub use super::container::Ret;

/// The model; see the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct PriorityQueue;

/// An operation on the priority queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "OpForm", into = "OpForm")]
pub enum Op {
    /// Puts a number in.
    Insert(i64),
    /// Takes a number out, if there is one.
    DeleteMin,
}

/// The JSON form: `DeleteMin` has braces because serde would let an unknown field pass in a unit variant.
#[derive(Serialize, Deserialize)]
#[serde(tag = "f", rename_all = "snake_case", deny_unknown_fields)]
enum OpForm {
    Insert { value: i64 },
    DeleteMin {},
}

impl From<OpForm> for Op {
    fn from(form: OpForm) -> Op {
        match form {
            OpForm::Insert { value } => Op::Insert(value),
            OpForm::DeleteMin {} => Op::DeleteMin,
        }
    }
}

impl From<Op> for OpForm {
    fn from(op: Op) -> OpForm {
        match op {
            Op::Insert(value) => OpForm::Insert { value },
            Op::DeleteMin => OpForm::DeleteMin {},
        }
    }
}

impl Op {
    fn action(self) -> Action {
        match self {
            Op::Insert(value) => Action::Put(value),
            Op::DeleteMin => Action::Take,
        }
    }
}

impl Model for PriorityQueue {
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
        // In order.
        let put = |state: &mut Vec<i64>, value| {
            let place = state.partition_point(|other| *other < value);
            state.insert(place, value);
        };
        let least = |state: &[i64]| (!state.is_empty()).then_some(0);
        container::step(state, op.action(), ret.copied(), put, least)
    }

    fn is_read_only(&self, op: &Op, ret: Option<&Ret>) -> bool {
        container::is_read_only(op.action(), ret.copied())
    }

    fn object(&self) -> Option<Object> {
        Some(Object::PriorityQueue)
    }

    fn action<'a>(&self, op: &'a Op, ret: Option<&'a Ret>) -> Option<monitors::Action<'a>> {
        container::monitored(op.action(), ret.copied())
    }

    fn describe(&self, op: &Op, ret: Option<&Ret>) -> String {
        container::describe(("insert", "delete min"), op.action(), ret.copied())
    }

    fn needs(&self, op: &Op, ret: &Ret) -> String {
        container::needs("as the least", op.action(), *ret)
    }

    fn describe_state(&self, _key: Option<&Infallible>, state: &Vec<i64>) -> String {
        container::describe_state("the priority queue", state)
    }
}
