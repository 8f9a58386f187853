//! What queues, stacks and priority queues have in common: numbers are put in, and taken out one at a time.

use super::cell::AnswerForm;
use crate::monitors::{self, Datum};
use serde::{Deserialize, Serialize};

/// The answer to an operation on a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "AnswerForm<i64>", into = "AnswerForm<i64>")]
pub enum Ret {
    /// To what puts something in.
    Done,
    /// To what takes something out: what it took, nothing if there was nothing.
    Taken(Option<i64>),
}

impl From<Ret> for AnswerForm<i64> {
    fn from(ret: Ret) -> Self {
        let mut form = AnswerForm::EMPTY;
        if let Ret::Taken(value) = ret {
            form.value = Some(value);
        }
        form
    }
}

impl TryFrom<AnswerForm<i64>> for Ret {
    type Error = &'static str;

    fn try_from(form: AnswerForm<i64>) -> Result<Self, Self::Error> {
        match (form.value, form.deleted, form.swapped) {
            (Some(value), None, None) => Ok(Ret::Taken(value)),
            (None, None, None) => Ok(Ret::Done),
            _ => Err("expected `value` or nothing"),
        }
    }
}

/// What an operation does.
#[derive(Clone, Copy)]
pub(super) enum Action {
    Put(i64),
    Take,
}

/// See [`crate::Model::step`]: `put` puts something in, and `taken` says which is next to come out, and where it is.
pub(super) fn step(
    state: &[i64],
    action: Action,
    ret: Option<Ret>,
    put: impl Fn(&mut Vec<i64>, i64),
    next: impl Fn(&[i64]) -> Option<usize>,
) -> Option<Vec<i64>> {
    match (action, ret) {
        (Action::Put(value), None | Some(Ret::Done)) => {
            let mut after = Vec::with_capacity(state.len() + 1);
            after.extend_from_slice(state);
            put(&mut after, value);
            Some(after)
        }
        (Action::Take, None | Some(Ret::Taken(_))) => {
            let place = next(state);
            if let Some(Ret::Taken(taken)) = ret
                && taken != place.map(|place| state[place])
            {
                return None;
            }
            let mut after = state.to_vec();
            if let Some(place) = place {
                after.remove(place);
            }
            Some(after)
        }
        _ => None,
    }
}

/// See [`crate::Model::is_read_only`]: what found nothing only looked.
pub(super) fn is_read_only(action: Action, ret: Option<Ret>) -> bool {
    matches!((action, ret), (Action::Take, Some(Ret::Taken(None))))
}

/// See [`crate::Model::action`].
pub(super) fn monitored<'a>(action: Action, ret: Option<Ret>) -> Option<monitors::Action<'a>> {
    match (action, ret) {
        (Action::Put(value), None | Some(Ret::Done)) => Some(monitors::Action::Put {
            value: Datum::Number(value),
            priority: value,
        }),
        (Action::Take, Some(Ret::Taken(Some(value)))) => {
            Some(monitors::Action::Took(Datum::Number(value)))
        }
        (Action::Take, Some(Ret::Taken(None))) => Some(monitors::Action::TookNothing),
        (Action::Take, None) => Some(monitors::Action::Take),
        _ => None,
    }
}

/// The operation in words, by the words for putting in and taking out.
pub(super) fn describe((put, take): (&str, &str), action: Action, ret: Option<Ret>) -> String {
    let answer = match ret {
        Some(Ret::Taken(Some(value))) => format!(" -> {value}"),
        Some(Ret::Taken(None)) => " -> nothing".to_owned(),
        Some(Ret::Done) | None => String::new(),
    };
    match action {
        Action::Put(value) => format!("{put} {value}{answer}"),
        Action::Take => format!("{take}{answer}"),
    }
}

/// What must hold, in words; `place` is where something is when it is next to come out: `at the front`.
pub(super) fn needs(place: &str, action: Action, ret: Ret) -> String {
    match (action, ret) {
        (Action::Take, Ret::Taken(Some(value))) => format!("{value} {place}"),
        (Action::Take, Ret::Taken(None)) => "nothing in it".to_owned(),
        _ => "another kind of answer".to_owned(),
    }
}

/// The state in words.
pub(super) fn describe_state(name: &str, state: &[i64]) -> String {
    const SHOWN_MAX: usize = 12;
    if state.is_empty() {
        return format!("{name} is empty");
    }
    let shown = state.iter().take(SHOWN_MAX).map(i64::to_string);
    let shown = shown.collect::<Vec<String>>().join(", ");
    match state.len().saturating_sub(SHOWN_MAX) {
        0 => format!("{name} holds {shown}"),
        more => format!("{name} holds {shown} and {more} more"),
    }
}
