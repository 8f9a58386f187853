//! The state, and how an operation changes it.

use super::{Key, Op, Ret, Value};
use std::collections::BTreeMap;

/// The contents of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Store {
    values: BTreeMap<Key, Value>,
}

impl Store {
    /// An empty store.
    pub const fn new() -> Store {
        Store {
            values: BTreeMap::new(),
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// All keys and values, by ascending key.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.values.iter()
    }

    /// Performs an operation.
    pub fn apply(&mut self, op: &Op) -> Ret {
        match op {
            Op::Get { key } => Ret::Value(self.values.get(key).cloned()),
            Op::Put { key, value } => {
                self.values.insert(key.clone(), value.clone());
                Ret::Written
            }
            Op::Delete { key } => Ret::Deleted(self.values.remove(key).is_some()),
            Op::CompareAndSet {
                key,
                expected,
                value,
            } => {
                let as_expected = self.values.get(key) == expected.as_ref();
                if as_expected {
                    self.values.insert(key.clone(), value.clone());
                }
                Ret::Swapped(as_expected)
            }
        }
    }
}

/// A store with these contents.
impl FromIterator<(Key, Value)> for Store {
    fn from_iter<I: IntoIterator<Item = (Key, Value)>>(contents: I) -> Store {
        Store {
            values: contents.into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_does_what_it_says() {
        let mut store = Store::new();
        let key = || Key::from("x");
        let cas = |expected: Option<&str>, value: &str| Op::CompareAndSet {
            key: key(),
            expected: expected.map(Value::from),
            value: value.into(),
        };
        let put = Op::Put {
            key: key(),
            value: "1".into(),
        };
        for (op, ret) in [
            (Op::Get { key: key() }, Ret::Value(None)),
            (Op::Delete { key: key() }, Ret::Deleted(false)),
            (put, Ret::Written),
            (Op::Get { key: key() }, Ret::Value(Some("1".into()))),
            (cas(Some("2"), "3"), Ret::Swapped(false)),
            (cas(None, "3"), Ret::Swapped(false)),
            (cas(Some("1"), "2"), Ret::Swapped(true)),
            (Op::Delete { key: key() }, Ret::Deleted(true)),
            (cas(Some("2"), "3"), Ret::Swapped(false)),
            (cas(None, "3"), Ret::Swapped(true)),
        ] {
            assert_eq!(store.apply(&op), ret, "{op}");
        }
        assert_eq!(store.get("x").map(AsRef::as_ref), Some("3"));
        assert_eq!(store.iter().count(), 1);
    }
}
