//! A map from strings to strings that can be appended to: get, put, append. Every key is the empty string at first.
//!
//! The store of the key-value histories that come with Porcupine (and of the course whose test programs wrote them, MIT 6.824).
//!
//! In JSON: `{"f":"get","key":"x"}` answers `{"value":"1"}`; `{"f":"put","key":"x","value":"1"}` and
//! `{"f":"append","key":"x","value":"2"}` answer `{}`.

use crate::{Footprint, Model};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A key.
pub type Key = Arc<str>;
/// A value.
pub type Value = Arc<str>;

/// The model; see the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Strings;

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
    /// Writes at the end of what a key is.
    Append {
        /// Which.
        key: Key,
        /// What.
        value: Value,
    },
}

/// The answer to an operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "AnswerForm", into = "AnswerForm")]
pub enum Ret {
    /// To [`Op::Get`].
    Value(Value),
    /// To [`Op::Put`] and [`Op::Append`].
    Written,
}

/// The JSON form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
}

impl From<AnswerForm> for Ret {
    fn from(form: AnswerForm) -> Ret {
        form.value.map_or(Ret::Written, Ret::Value)
    }
}

impl From<Ret> for AnswerForm {
    fn from(ret: Ret) -> AnswerForm {
        AnswerForm {
            value: match ret {
                Ret::Value(value) => Some(value),
                Ret::Written => None,
            },
        }
    }
}

impl Op {
    /// The key it is about.
    pub fn key(&self) -> &Key {
        match self {
            Op::Get { key } | Op::Put { key, .. } | Op::Append { key, .. } => key,
        }
    }
}

impl Model for Strings {
    type Op = Op;
    type Ret = Ret;
    type State = Value;
    type Key = Key;

    fn initial(&self) -> Value {
        "".into()
    }

    fn footprint<'a>(&self, op: &'a Op) -> Footprint<'a, Key> {
        Footprint::Key(op.key())
    }

    fn step(&self, state: &Value, op: &Op, ret: Option<&Ret>) -> Option<Value> {
        match (op, ret) {
            (Op::Get { .. }, Some(Ret::Value(value))) => (state == value).then(|| state.clone()),
            (Op::Get { .. }, None) => Some(state.clone()),
            (Op::Put { value, .. }, None | Some(Ret::Written)) => Some(value.clone()),
            (Op::Append { value, .. }, None | Some(Ret::Written)) => {
                Some([&**state, &**value].concat().into())
            }
            _ => None,
        }
    }

    fn is_read_only(&self, op: &Op, _ret: Option<&Ret>) -> bool {
        matches!(op, Op::Get { .. })
    }

    fn describe(&self, op: &Op, ret: Option<&Ret>) -> String {
        match (op, ret) {
            (Op::Get { key }, Some(Ret::Value(value))) => format!("get {key} -> {value:?}"),
            (Op::Get { key }, _) => format!("get {key}"),
            (Op::Put { key, value }, _) => format!("put {key} = {value:?}"),
            (Op::Append { key, value }, _) => format!("append {value:?} to {key}"),
        }
    }

    fn needs(&self, op: &Op, ret: &Ret) -> String {
        match (op, ret) {
            (Op::Get { key }, Ret::Value(value)) => format!("{key} = {value:?}"),
            _ => "another kind of answer".to_owned(),
        }
    }

    fn describe_state(&self, key: Option<&Key>, state: &Value) -> String {
        format!("{} is {state:?}", key.map_or("", |key| key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Budget, History, ProcessId, Verdict, check};

    const P: ProcessId = ProcessId(0);

    /// A put, an append, and a get that answered this.
    fn verdict_of(answer: &str) -> Verdict {
        let key: Key = "x".into();
        let mut history = History::new();
        history.invoke(1, P, Op::Get { key: key.clone() });
        history.ok(2, P, Ret::Value("".into()));
        let put = Op::Put {
            key: key.clone(),
            value: "a".into(),
        };
        history.invoke(3, P, put);
        history.ok(4, P, Ret::Written);
        let append = Op::Append {
            key: key.clone(),
            value: "b".into(),
        };
        history.invoke(5, P, append);
        history.ok(6, P, Ret::Written);
        history.invoke(7, P, Op::Get { key });
        history.ok(8, P, Ret::Value(answer.into()));
        check(&Strings, &history, Budget::default()).unwrap()
    }

    #[test]
    fn what_is_appended_comes_behind() {
        assert_eq!(verdict_of("ab"), Verdict::Valid);
        for wrong in ["", "a", "b", "ba"] {
            let Verdict::Invalid(why) = verdict_of(wrong) else {
                panic!("{wrong:?} must be wrong");
            };
            assert_eq!(why.state, "x is \"ab\"");
            assert_eq!(why.blocked[0].needs, format!("x = {wrong:?}"));
        }
    }
}
