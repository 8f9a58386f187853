//! The JSON form of operations and actions: flat objects.

use super::op::{Action, Compare, Op, Query, Span, Transaction};
use super::{Key, Value};
use crate::models::cell;
use serde::{Deserialize, Serialize};

/// An operation.
#[derive(Serialize, Deserialize)]
#[serde(tag = "f", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum OpForm {
    Get {
        key: Key,
        #[serde(default, skip_serializing_if = "Reading::is_linearizable")]
        read: Reading,
    },
    Range {
        from: Key,
        #[serde(deserialize_with = "cell::required")]
        to: Option<Key>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u64>,
        #[serde(default, skip_serializing_if = "is_false")]
        count_only: bool,
        #[serde(default, skip_serializing_if = "Reading::is_linearizable")]
        read: Reading,
    },
    Put {
        key: Key,
        value: Value,
    },
    Delete {
        key: Key,
    },
    DeleteRange {
        from: Key,
        #[serde(deserialize_with = "cell::required")]
        to: Option<Key>,
    },
    CompareAndSet {
        key: Key,
        #[serde(deserialize_with = "cell::required")]
        expected: Option<Value>,
        value: Value,
    },
    Transaction {
        compare: Vec<Compare>,
        then: Vec<Action>,
        otherwise: Vec<Action>,
    },
}

/// An action.
#[derive(Serialize, Deserialize)]
#[serde(tag = "f", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum ActionForm {
    Get {
        key: Key,
    },
    Range {
        from: Key,
        #[serde(deserialize_with = "cell::required")]
        to: Option<Key>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u64>,
        #[serde(default, skip_serializing_if = "is_false")]
        count_only: bool,
    },
    Put {
        key: Key,
        value: Value,
    },
    Delete {
        key: Key,
    },
    DeleteRange {
        from: Key,
        #[serde(deserialize_with = "cell::required")]
        to: Option<Key>,
    },
}

/// How a query is to be answered.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reading {
    #[default]
    Linearizable,
    Stale,
    Revision(u64),
}

impl Reading {
    fn is_linearizable(&self) -> bool {
        matches!(self, Reading::Linearizable)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl From<ActionForm> for Action {
    fn from(form: ActionForm) -> Action {
        match form {
            ActionForm::Get { key } => Action::Read(Query::Get { key }),
            ActionForm::Range {
                from,
                to,
                limit,
                count_only,
            } => Action::Read(Query::Range {
                span: Span { from, to },
                limit,
                count_only,
            }),
            ActionForm::Put { key, value } => Action::Put { key, value },
            ActionForm::Delete { key } => Action::Delete { key },
            ActionForm::DeleteRange { from, to } => Action::DeleteRange(Span { from, to }),
        }
    }
}

impl From<Action> for ActionForm {
    fn from(action: Action) -> ActionForm {
        match action {
            Action::Read(Query::Get { key }) => ActionForm::Get { key },
            Action::Read(Query::Range {
                span: Span { from, to },
                limit,
                count_only,
            }) => ActionForm::Range {
                from,
                to,
                limit,
                count_only,
            },
            Action::Put { key, value } => ActionForm::Put { key, value },
            Action::Delete { key } => ActionForm::Delete { key },
            Action::DeleteRange(Span { from, to }) => ActionForm::DeleteRange { from, to },
        }
    }
}

impl From<OpForm> for Op {
    fn from(form: OpForm) -> Op {
        let reading = |query, read| match read {
            Reading::Linearizable => Op::One(Action::Read(query)),
            Reading::Stale => Op::Stale(query),
            Reading::Revision(revision) => Op::At(query, revision),
        };
        match form {
            OpForm::Get { key, read } => reading(Query::Get { key }, read),
            OpForm::Range {
                from,
                to,
                limit,
                count_only,
                read,
            } => {
                let span = Span { from, to };
                reading(
                    Query::Range {
                        span,
                        limit,
                        count_only,
                    },
                    read,
                )
            }
            OpForm::Put { key, value } => Op::One(Action::Put { key, value }),
            OpForm::Delete { key } => Op::One(Action::Delete { key }),
            OpForm::DeleteRange { from, to } => Op::One(Action::DeleteRange(Span { from, to })),
            OpForm::CompareAndSet {
                key,
                expected,
                value,
            } => Op::CompareAndSet {
                key,
                expected,
                value,
            },
            OpForm::Transaction {
                compare,
                then,
                otherwise,
            } => Op::Transaction(Transaction {
                compare,
                then,
                otherwise,
            }),
        }
    }
}

impl From<Op> for OpForm {
    fn from(op: Op) -> OpForm {
        let reading = |query, read| match query {
            Query::Get { key } => OpForm::Get { key, read },
            Query::Range {
                span: Span { from, to },
                limit,
                count_only,
            } => OpForm::Range {
                from,
                to,
                limit,
                count_only,
                read,
            },
        };
        match op {
            Op::One(Action::Read(query)) => reading(query, Reading::Linearizable),
            Op::Stale(query) => reading(query, Reading::Stale),
            Op::At(query, revision) => reading(query, Reading::Revision(revision)),
            Op::One(Action::Put { key, value }) => OpForm::Put { key, value },
            Op::One(Action::Delete { key }) => OpForm::Delete { key },
            Op::One(Action::DeleteRange(Span { from, to })) => OpForm::DeleteRange { from, to },
            Op::CompareAndSet {
                key,
                expected,
                value,
            } => OpForm::CompareAndSet {
                key,
                expected,
                value,
            },
            Op::Transaction(Transaction {
                compare,
                then,
                otherwise,
            }) => OpForm::Transaction {
                compare,
                then,
                otherwise,
            },
        }
    }
}
