//! One value that may be absent: what registers and the keys of a key-value store have in common.

use crate::monitors::{self, Datum};
use serde::{Deserialize, Deserializer};
use std::fmt::Display;

/// What an operation does to the cell.
pub(super) enum Action<'a, V> {
    Read,
    Write(&'a V),
    Delete,
    CompareAndSet {
        expected: Option<&'a V>,
        value: &'a V,
    },
}

/// What it answered.
pub(super) enum Answer<'a, V> {
    Value(Option<&'a V>),
    Written,
    /// Whether there was a value.
    Deleted(bool),
    /// Whether the value was the expected one.
    Swapped(bool),
}

// Not derived: a derive would ask for `V: Copy`.
impl<V> Copy for Action<'_, V> {}
impl<V> Clone for Action<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<V> Copy for Answer<'_, V> {}
impl<V> Clone for Answer<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}

/// See [`crate::Model::step`]. An answer of another kind than the action's is impossible in any state.
#[expect(
    clippy::option_option,
    clippy::ref_option,
    reason = "the state itself is an `Option`"
)]
pub(super) fn step<V: Clone + Eq>(
    state: &Option<V>,
    action: Action<'_, V>,
    answer: Option<Answer<'_, V>>,
) -> Option<Option<V>> {
    match action {
        Action::Read => match answer {
            None => Some(state.clone()),
            Some(Answer::Value(value)) => (state.as_ref() == value).then(|| state.clone()),
            Some(_) => None,
        },
        Action::Write(value) => match answer {
            None | Some(Answer::Written) => Some(Some(value.clone())),
            Some(_) => None,
        },
        Action::Delete => match answer {
            None => Some(None),
            Some(Answer::Deleted(existed)) => (existed == state.is_some()).then_some(None),
            Some(_) => None,
        },
        Action::CompareAndSet { expected, value } => {
            let swaps = state.as_ref() == expected;
            match answer {
                Some(Answer::Swapped(swapped)) if swapped != swaps => None,
                None | Some(Answer::Swapped(_)) if swaps => Some(Some(value.clone())),
                None | Some(Answer::Swapped(_)) => Some(state.clone()),
                Some(_) => None,
            }
        }
    }
}

/// See [`crate::Model::is_read_only`]: a compare-and-set that did not match and a delete of nothing only look.
pub(super) fn is_read_only<V>(action: Action<'_, V>, answer: Option<Answer<'_, V>>) -> bool {
    matches!(action, Action::Read)
        || matches!(
            answer,
            Some(Answer::Deleted(false) | Answer::Swapped(false))
        )
}

/// See [`crate::Model::action`]; `datum` says what the monitors are to know a value by.
pub(super) fn monitored<'a, V>(
    action: Action<'a, V>,
    answer: Option<Answer<'a, V>>,
    datum: impl Fn(&'a V) -> Datum<'a>,
) -> Option<monitors::Action<'a>> {
    match (action, answer) {
        (Action::Write(value), None | Some(Answer::Written)) => Some(monitors::Action::Put {
            value: datum(value),
            priority: 0,
        }),
        (Action::Read, Some(Answer::Value(None))) => Some(monitors::Action::ReadNothing),
        (Action::Read, Some(Answer::Value(Some(value)))) => {
            Some(monitors::Action::Read(datum(value)))
        }
        _ => None,
    }
}

/// What must hold of the cell called `name`, in words.
pub(super) fn needs<V: Display>(
    name: &dyn Display,
    action: Action<'_, V>,
    answer: Answer<'_, V>,
) -> String {
    match (action, answer) {
        (Action::Read, Answer::Value(Some(value))) => format!("{name} = {value}"),
        (Action::Read, Answer::Value(None)) | (Action::Delete, Answer::Deleted(false)) => {
            format!("{name} absent")
        }
        (Action::Delete, Answer::Deleted(true)) => format!("{name} present"),
        (Action::CompareAndSet { expected, .. }, Answer::Swapped(swapped)) => {
            match (expected, swapped) {
                (Some(value), true) => format!("{name} = {value}"),
                (Some(value), false) => format!("{name} other than {value}"),
                (None, true) => format!("{name} absent"),
                (None, false) => format!("{name} present"),
            }
        }
        _ => "another kind of answer".to_owned(),
    }
}

/// The state of the cell called `name`, in words.
pub(super) fn describe_state<V: Display>(name: &dyn Display, state: Option<&V>) -> String {
    format!("{name} is {}", or_absent(state))
}

/// The arrow and what was answered, in words; nothing where success says nothing.
pub(super) fn describe_answer<V: Display>(answer: Option<Answer<'_, V>>) -> String {
    match answer {
        None | Some(Answer::Written) => String::new(),
        Some(Answer::Value(value)) => format!(" -> {}", or_absent(value)),
        Some(Answer::Deleted(answer) | Answer::Swapped(answer)) => format!(" -> {answer}"),
    }
}

/// The value in words.
pub(super) fn or_absent<V: Display>(value: Option<&V>) -> String {
    value.map_or_else(|| "absent".to_owned(), V::to_string)
}

/// The fields of an answer in JSON; at most one of them is there.
#[expect(
    clippy::option_option,
    reason = "a field that is `null` is not one that is missing"
)]
#[derive(serde::Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "V: Deserialize<'de>"))]
pub(super) struct AnswerForm<V> {
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) value: Option<Option<V>>,
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) deleted: Option<bool>,
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) swapped: Option<bool>,
}

impl<V> AnswerForm<V> {
    /// No field: the answer of a write.
    pub(super) const EMPTY: Self = AnswerForm {
        value: None,
        deleted: None,
        swapped: None,
    };
}

/// A field that may be missing: `null` is a value, and not the same as missing.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Option<T>, D::Error> {
    T::deserialize(d).map(Some)
}

/// A field that must be there, even where `null` is one of its values.
pub(super) fn required<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    d: D,
) -> Result<T, D::Error> {
    T::deserialize(d)
}
