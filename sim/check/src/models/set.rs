//! A set of numbers. Empty at first.
//!
//! In JSON: `{"f":"add","value":1}` and `{"f":"remove","value":1}` answer `{"changed":true}`, or `false` if the number was there
//! already, or was not; or `{}`, which does not say. `{"f":"contains","value":1}` answers `{"found":true}`; `{"f":"read"}`
//! answers `{"values":[1,2]}`, in any order.
//!
//! Numbers are checked apart, if nothing reads them all.

use crate::{Footprint, Model, Touched};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The model; see the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Set;

/// An operation on the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "OpForm", into = "OpForm")]
pub enum Op {
    /// Puts a number in.
    Add(i64),
    /// Takes a number out.
    Remove(i64),
    /// Asks for a number.
    Contains(i64),
    /// Reads all.
    Read,
}

/// The JSON form: `Read` has braces because serde would let an unknown field pass in a unit variant.
#[derive(Serialize, Deserialize)]
#[serde(tag = "f", rename_all = "snake_case", deny_unknown_fields)]
enum OpForm {
    Add { value: i64 },
    Remove { value: i64 },
    Contains { value: i64 },
    Read {},
}

impl From<OpForm> for Op {
    fn from(form: OpForm) -> Op {
        match form {
            OpForm::Add { value } => Op::Add(value),
            OpForm::Remove { value } => Op::Remove(value),
            OpForm::Contains { value } => Op::Contains(value),
            OpForm::Read {} => Op::Read,
        }
    }
}

impl From<Op> for OpForm {
    fn from(op: Op) -> OpForm {
        match op {
            Op::Add(value) => OpForm::Add { value },
            Op::Remove(value) => OpForm::Remove { value },
            Op::Contains(value) => OpForm::Contains { value },
            Op::Read => OpForm::Read {},
        }
    }
}

/// The answer to an operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RetForm", into = "RetForm")]
pub enum Ret {
    /// To [`Op::Add`] and [`Op::Remove`], where the answer does not say more.
    Done,
    /// To [`Op::Add`] and [`Op::Remove`]: whether the set is another one now.
    Changed(bool),
    /// To [`Op::Contains`].
    Found(bool),
    /// To [`Op::Read`], in any order.
    Values(Vec<i64>),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changed: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    found: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    values: Option<Vec<i64>>,
}

impl From<Ret> for RetForm {
    fn from(ret: Ret) -> RetForm {
        let mut form = RetForm {
            changed: None,
            found: None,
            values: None,
        };
        match ret {
            Ret::Done => {}
            Ret::Changed(changed) => form.changed = Some(changed),
            Ret::Found(found) => form.found = Some(found),
            Ret::Values(values) => form.values = Some(values),
        }
        form
    }
}

impl TryFrom<RetForm> for Ret {
    type Error = &'static str;

    fn try_from(form: RetForm) -> Result<Ret, Self::Error> {
        match (form.changed, form.found, form.values) {
            (None, None, None) => Ok(Ret::Done),
            (Some(changed), None, None) => Ok(Ret::Changed(changed)),
            (None, Some(found), None) => Ok(Ret::Found(found)),
            (None, None, Some(values)) => Ok(Ret::Values(values)),
            _ => Err("expected at most one of `changed`, `found` and `values`"),
        }
    }
}

impl Model for Set {
    type Op = Op;
    type Ret = Ret;
    type State = BTreeSet<i64>;
    type Key = i64;

    fn initial(&self) -> BTreeSet<i64> {
        BTreeSet::new()
    }

    fn footprint<'a>(&self, op: &'a Op) -> Footprint<'a, i64> {
        match op {
            Op::Add(value) | Op::Remove(value) | Op::Contains(value) => Footprint::Key(value),
            Op::Read => Footprint::Several(vec![Touched::Range(&i64::MIN, None)]),
        }
    }

    fn step(&self, state: &BTreeSet<i64>, op: &Op, ret: Option<&Ret>) -> Option<BTreeSet<i64>> {
        let mut after = state.clone();
        let legal = match *op {
            Op::Add(value) => has_changed(after.insert(value), ret),
            Op::Remove(value) => has_changed(after.remove(&value), ret),
            Op::Contains(value) => match ret {
                None => true,
                Some(Ret::Found(found)) => *found == state.contains(&value),
                Some(_) => false,
            },
            Op::Read => match ret {
                None => true,
                Some(Ret::Values(values)) => {
                    values.len() == state.len() && values.iter().all(|v| state.contains(v)) && {
                        let different: BTreeSet<&i64> = values.iter().collect();
                        different.len() == values.len()
                    }
                }
                Some(_) => false,
            },
        };
        legal.then_some(after)
    }

    fn is_read_only(&self, op: &Op, ret: Option<&Ret>) -> bool {
        matches!(op, Op::Contains(_) | Op::Read) || matches!(ret, Some(Ret::Changed(false)))
    }

    fn describe(&self, op: &Op, ret: Option<&Ret>) -> String {
        let answer = match ret {
            None | Some(Ret::Done) => String::new(),
            Some(Ret::Changed(answer) | Ret::Found(answer)) => format!(" -> {answer}"),
            Some(Ret::Values(values)) => format!(" -> {}", list(values.iter())),
        };
        match op {
            Op::Add(value) => format!("add {value}{answer}"),
            Op::Remove(value) => format!("remove {value}{answer}"),
            Op::Contains(value) => format!("contains {value}{answer}"),
            Op::Read => format!("read{answer}"),
        }
    }

    fn needs(&self, op: &Op, ret: &Ret) -> String {
        match (op, ret) {
            (Op::Add(value), Ret::Changed(false))
            | (Op::Remove(value), Ret::Changed(true))
            | (Op::Contains(value), Ret::Found(true)) => format!("{value} in the set"),
            (Op::Add(value), Ret::Changed(true))
            | (Op::Remove(value), Ret::Changed(false))
            | (Op::Contains(value), Ret::Found(false)) => format!("{value} not in the set"),
            (Op::Read, Ret::Values(values)) => {
                format!("the set to be {}, each once", list(values.iter()))
            }
            _ => "another kind of answer".to_owned(),
        }
    }

    fn describe_state(&self, key: Option<&i64>, state: &BTreeSet<i64>) -> String {
        match key {
            Some(key) if state.contains(key) => format!("{key} is in the set"),
            Some(key) => format!("{key} is not in the set"),
            None => format!("the set is {}", list(state.iter())),
        }
    }
}

/// Whether this is the answer of what changed the set, or did not.
fn has_changed(changed: bool, ret: Option<&Ret>) -> bool {
    match ret {
        None | Some(Ret::Done) => true,
        Some(Ret::Changed(answer)) => *answer == changed,
        Some(_) => false,
    }
}

fn list<'a>(values: impl Iterator<Item = &'a i64>) -> String {
    let values: Vec<String> = values.map(i64::to_string).collect();
    format!("{{{}}}", values.join(", "))
}
