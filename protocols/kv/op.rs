//! What clients ask of the store, and its answers.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A key. Shared, so that logs, messages and histories hold the same text.
pub type Key = Arc<str>;
/// A value.
pub type Value = Arc<str>;

/// An operation on the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Op {
    /// Reads a key.
    Get {
        /// The key.
        key: Key,
    },
    /// Writes a key.
    Put {
        /// The key.
        key: Key,
        /// Its new value.
        value: Value,
    },
    /// Removes a key.
    Delete {
        /// The key.
        key: Key,
    },
    /// Writes a key if its value is as expected.
    CompareAndSet {
        /// The key.
        key: Key,
        /// What it must hold; `None` if it must not exist.
        expected: Option<Value>,
        /// Its new value.
        value: Value,
    },
}

impl Op {
    /// The one key that the operation reads or writes.
    pub fn key(&self) -> &Key {
        match self {
            Op::Get { key }
            | Op::Put { key, .. }
            | Op::Delete { key }
            | Op::CompareAndSet { key, .. } => key,
        }
    }

    /// How much the key and the values take, in bytes.
    pub fn size_bytes(&self) -> usize {
        let values = match self {
            Op::Get { .. } | Op::Delete { .. } => 0,
            Op::Put { value, .. } => value.len(),
            Op::CompareAndSet {
                expected, value, ..
            } => expected.as_ref().map_or(0, |expected| expected.len()) + value.len(),
        };
        self.key().len() + values
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Get { key } => write!(f, "get {key}"),
            Op::Put { key, value } => write!(f, "put {key} = {value}"),
            Op::Delete { key } => write!(f, "delete {key}"),
            Op::CompareAndSet {
                key,
                expected,
                value,
            } => {
                let expected = expected.as_deref().unwrap_or("nothing");
                write!(f, "compare-and-set {key} from {expected} to {value}")
            }
        }
    }
}

/// The answer to an [`Op`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ret {
    /// To `Get`: the value, or `None` if the key does not exist.
    Value(Option<Value>),
    /// To `Put`.
    Written,
    /// To `Delete`: whether the key existed.
    Deleted(bool),
    /// To `CompareAndSet`: whether the value was as expected, and so was replaced.
    Swapped(bool),
}

impl fmt::Display for Ret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ret::Value(value) => value.as_deref().unwrap_or("nothing"),
            Ret::Written => "written",
            Ret::Deleted(true) => "deleted",
            Ret::Deleted(false) => "nothing to delete",
            Ret::Swapped(true) => "swapped",
            Ret::Swapped(false) => "not as expected",
        })
    }
}
