//! What clients ask for, and its JSON form.

use super::form::{ActionForm, OpForm};
use super::{Key, Value};
use crate::Touched;
use crate::models::cell;
use serde::{Deserialize, Serialize};

/// An operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "OpForm", into = "OpForm")]
pub enum Op {
    /// One action by itself.
    One(Action),
    /// Writes a key if it has the expected value.
    CompareAndSet {
        /// Which.
        key: Key,
        /// What its value must be; absent, if nothing.
        expected: Option<Value>,
        /// Its new value.
        value: Value,
    },
    /// Several actions at once.
    Transaction(Transaction),
    /// A read that may be answered from an old state ("serializable" in etcd).
    Stale(Query),
    /// A read of the state at a revision.
    At(Query, u64),
}

/// What one step reads or writes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "ActionForm", into = "ActionForm")]
pub enum Action {
    /// Reads.
    Read(Query),
    /// Writes a key.
    Put {
        /// Which.
        key: Key,
        /// Its new value.
        value: Value,
    },
    /// Removes a key.
    Delete {
        /// Which.
        key: Key,
    },
    /// Removes all keys of a range.
    DeleteRange(Span),
}

/// What is to be read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Query {
    /// One key.
    Get {
        /// Which.
        key: Key,
    },
    /// The keys of a range, in order.
    Range {
        /// Which.
        span: Span,
        /// Only so many of them, the first ones.
        limit: Option<u64>,
        /// None of them: only how many there are.
        count_only: bool,
    },
}

/// All keys from `from` to before `to`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// The first.
    pub from: Key,
    /// The first one that does not belong to it; nothing if it goes on to the last key of all.
    #[serde(deserialize_with = "cell::required")]
    pub to: Option<Key>,
}

/// If all comparisons hold, then the one list of actions, otherwise the other one; in order, at once, and each action sees
/// what those before it did. (etcd takes no two writes of one key in a transaction; here the later one wins.)
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transaction {
    /// What must hold. Of no comparisons, all hold.
    pub compare: Vec<Compare>,
    /// What is done if it does.
    pub then: Vec<Action>,
    /// What is done if it does not.
    pub otherwise: Vec<Action>,
}

/// A comparison: something of a key is in this relation to what it is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compare {
    /// Which.
    pub key: Key,
    /// The relation.
    pub is: Relation,
    /// What it is compared with.
    pub target: Target,
}

/// How two things compare. Values are compared byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// The same.
    Equal,
    /// Not the same.
    NotEqual,
    /// What the key has is greater.
    Greater,
    /// What the key has is less.
    Less,
}

/// What is compared, and what with. An absent key has version and revisions 0, and no value: any comparison of its value
/// is false, as in etcd.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The value.
    Value(Value),
    /// How many times it was written since it was last created.
    Version(u64),
    /// The revision that created it.
    CreateRevision(u64),
    /// The revision that last wrote it.
    ModRevision(u64),
    /// Whether it is there; absent is less than present.
    Exists(bool),
}

impl Span {
    /// All keys that start with `prefix`.
    pub fn prefix(prefix: &str) -> Span {
        let from: Key = prefix.into();
        // The least string that is greater than all of them: the last character that has a successor, moved on.
        let mut end: Vec<char> = prefix.chars().collect();
        while let Some(last) = end.pop() {
            if let Some(next) = (last..=char::MAX).nth(1) {
                end.push(next);
                let end: String = end.into_iter().collect();
                return Span {
                    from,
                    to: Some(end.into()),
                };
            }
        }
        Span { from, to: None }
    }

    /// Whether the key is one of them.
    pub fn contains(&self, key: &str) -> bool {
        *self.from <= *key && self.to.as_ref().is_none_or(|to| *key < **to)
    }

    fn touched(&self) -> Touched<'_, Key> {
        Touched::Range(&self.from, self.to.as_ref())
    }
}

impl Query {
    /// One key.
    pub fn get(key: &str) -> Query {
        Query::Get { key: key.into() }
    }

    /// All keys of a range.
    pub fn range(span: Span) -> Query {
        Query::Range {
            span,
            limit: None,
            count_only: false,
        }
    }

    fn touched(&self) -> Touched<'_, Key> {
        match self {
            Query::Get { key } => Touched::Key(key),
            Query::Range { span, .. } => span.touched(),
        }
    }
}

impl Action {
    fn touched(&self) -> Touched<'_, Key> {
        match self {
            Action::Read(query) => query.touched(),
            Action::Put { key, .. } | Action::Delete { key } => Touched::Key(key),
            Action::DeleteRange(span) => span.touched(),
        }
    }
}

impl Op {
    /// Reads a key.
    pub fn get(key: &str) -> Op {
        Op::One(Action::Read(Query::get(key)))
    }

    /// Reads a range.
    pub fn range(span: Span) -> Op {
        Op::One(Action::Read(Query::range(span)))
    }

    /// Writes a key.
    pub fn put(key: &str, value: &str) -> Op {
        Op::One(Action::Put {
            key: key.into(),
            value: value.into(),
        })
    }

    /// Removes a key.
    pub fn delete(key: &str) -> Op {
        Op::One(Action::Delete { key: key.into() })
    }

    /// What it reads or may write.
    pub(super) fn touched(&self) -> Vec<Touched<'_, Key>> {
        match self {
            Op::One(action) => vec![action.touched()],
            Op::CompareAndSet { key, .. } => vec![Touched::Key(key)],
            Op::Stale(query) | Op::At(query, _) => vec![query.touched()],
            Op::Transaction(transaction) => {
                let compared = transaction.compare.iter();
                let compared = compared.map(|compare| Touched::Key(&compare.key));
                let actions = transaction.actions().map(Action::touched);
                compared.chain(actions).collect()
            }
        }
    }

    /// Whether it may set the key to the value.
    pub(crate) fn may_put(&self, key: &Key, value: &Value) -> bool {
        let puts = |action: &Action| matches!(action, Action::Put { key: k, value: v } if (k, v) == (key, value));
        match self {
            Op::One(action) => puts(action),
            Op::CompareAndSet {
                key: k, value: v, ..
            } => (k, v) == (key, value),
            Op::Transaction(transaction) => transaction.actions().any(puts),
            Op::Stale(_) | Op::At(..) => false,
        }
    }

    /// Whether it writes nothing, whatever is in the store.
    pub fn only_reads(&self) -> bool {
        let reads = |action: &Action| matches!(action, Action::Read(_));
        match self {
            Op::One(action) => reads(action),
            Op::CompareAndSet { .. } => false,
            Op::Transaction(transaction) => transaction.actions().all(reads),
            Op::Stale(_) | Op::At(..) => true,
        }
    }
}

impl Transaction {
    /// What is done.
    pub(super) fn branch(&self, holds: bool) -> &[Action] {
        if holds { &self.then } else { &self.otherwise }
    }

    /// The actions of both lists.
    pub(super) fn actions(&self) -> impl Iterator<Item = &Action> {
        self.then.iter().chain(&self.otherwise)
    }
}
