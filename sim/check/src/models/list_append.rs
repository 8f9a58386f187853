//! A map from strings to lists of numbers: append to one, read one. All are empty at first.
//!
//! In JSON: `{"f":"append","key":"x","value":1}` answers `{}`; `{"f":"read","key":"x"}` answers `{"values":[1,2]}`.

use crate::{Footprint, Model};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The model; see the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct ListAppend;

/// A key.
pub type Key = Arc<str>;

/// An operation on one list.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "f", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Appends a number.
    Append {
        /// To which list.
        key: Key,
        /// What.
        value: i64,
    },
    /// Reads all of a list.
    Read {
        /// Which.
        key: Key,
    },
}

/// The answer to an operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ret {
    /// To [`Op::Read`]: the list. To [`Op::Append`] nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<i64>>,
}

impl Model for ListAppend {
    type Op = Op;
    type Ret = Ret;
    type State = Vec<i64>;
    type Key = Key;

    fn initial(&self) -> Vec<i64> {
        Vec::new()
    }

    fn footprint<'a>(&self, op: &'a Op) -> Footprint<'a, Key> {
        let (Op::Append { key, .. } | Op::Read { key }) = op;
        Footprint::Key(key)
    }

    fn step(&self, state: &Vec<i64>, op: &Op, ret: Option<&Ret>) -> Option<Vec<i64>> {
        match (op, ret.map(|ret| &ret.values)) {
            (Op::Append { value, .. }, None | Some(None)) => {
                let mut after = Vec::with_capacity(state.len() + 1);
                after.extend_from_slice(state);
                after.push(*value);
                Some(after)
            }
            (Op::Read { .. }, Some(Some(values))) => (values == state).then(|| state.clone()),
            (Op::Read { .. }, None) => Some(state.clone()),
            _ => None,
        }
    }

    fn is_read_only(&self, op: &Op, _ret: Option<&Ret>) -> bool {
        matches!(op, Op::Read { .. })
    }

    fn describe(&self, op: &Op, ret: Option<&Ret>) -> String {
        let values = ret.and_then(|ret| ret.values.as_deref());
        let answer = values.map_or_else(String::new, |values| format!(" -> {}", list(values)));
        match op {
            Op::Append { key, value } => format!("append {value} to {key}{answer}"),
            Op::Read { key } => format!("read {key}{answer}"),
        }
    }

    fn needs(&self, op: &Op, ret: &Ret) -> String {
        match (op, &ret.values) {
            (Op::Read { key }, Some(values)) => format!("{key} = {}", list(values)),
            _ => "another kind of answer".to_owned(),
        }
    }

    fn describe_state(&self, key: Option<&Key>, state: &Vec<i64>) -> String {
        let key = key.map_or("", |key| key);
        format!("{key} is {}", list(state))
    }
}

/// The list in words: the end of it, if it is long.
fn list(values: &[i64]) -> String {
    const SHOWN_MAX: usize = 12;
    let hidden = values.len().saturating_sub(SHOWN_MAX);
    let shown = values[hidden..].iter().map(i64::to_string);
    let shown = shown.collect::<Vec<String>>().join(", ");
    match hidden {
        0 => format!("[{shown}]"),
        hidden => format!("[{hidden} more, {shown}]"),
    }
}
