//! Transactions as Elle and Jepsen write them: a `:txn` whose value is a list of steps, `[[:append 3 1] [:r 3 [1]]]` of lists,
//! `[[:w 3 1] [:r 3 1]]` of registers. What is read is `nil` where it is asked for, and filled in where it is answered.

use super::{FormatErrorKind, Record, Value};

/// A step of a transaction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step<'a> {
    /// `[:append key element]`.
    Append {
        /// To which list.
        key: &'a Value<'a>,
        /// What.
        element: &'a Value<'a>,
    },
    /// `[:w key value]`.
    Write {
        /// Which register.
        key: &'a Value<'a>,
        /// What.
        value: &'a Value<'a>,
    },
    /// `[:r key seen]`.
    Read {
        /// Which register or list.
        key: &'a Value<'a>,
        /// What was seen: `nil` before there is an answer, and of a register that has no value.
        seen: &'a Value<'a>,
    },
}

/// Whether the event is one of a transaction.
pub fn is_transaction(record: &Record<'_>) -> bool {
    matches!(record.f.as_deref(), Some("txn" | "transaction")) && !record.native
}

/// The steps of a transaction.
///
/// # Errors
/// If its value is something else.
pub fn steps<'a>(record: &'a Record<'_>) -> Result<Vec<Step<'a>>, FormatErrorKind> {
    let value = record.value.as_ref().unwrap_or(&Value::Nil);
    let steps = value.as_list().ok_or_else(|| bad(value))?;
    steps.iter().map(step).collect()
}

/// A single operation, which is a step of its own.
pub(super) struct Plain<'a> {
    what: What,
    key: Value<'a>,
    value: Value<'a>,
}

#[derive(Clone, Copy)]
enum What {
    Append,
    Write,
    Read,
}

impl Plain<'_> {
    pub(super) fn as_step(&self) -> Step<'_> {
        let Plain { what, key, value } = self;
        match what {
            What::Append => Step::Append {
                key,
                element: value,
            },
            What::Write => Step::Write { key, value },
            What::Read => Step::Read { key, seen: value },
        }
    }
}

/// What is asked for, if it is a single read, write or append. Without a key it is about the only object that there is.
pub(super) fn plain<'a>(record: &'a Record<'_>) -> Option<Plain<'a>> {
    let what = match record.f.as_deref()? {
        "append" => What::Append,
        "write" | "w" | "put" | "set" => What::Write,
        "read" | "r" | "get" => What::Read,
        _ => return None,
    };
    let value = || record.value.as_ref().map_or(Value::Nil, Value::borrow);
    let (key, value) = match (&record.key, record.value.as_ref().and_then(Value::as_list)) {
        (Some(key), _) => (key.borrow(), value()),
        (None, Some([key, value])) => (key.borrow(), value.borrow()),
        (None, _) => (Value::Text("value".into()), value()),
    };
    Some(Plain { what, key, value })
}

/// What a single read answers.
pub(super) fn plain_answer<'a>(record: &'a Record<'_>) -> Value<'a> {
    match (&record.value, record.key.is_none() && !record.native) {
        (Some(Value::List(list)), true) if list.len() == 2 => list[1].borrow(),
        (Some(value), _) => value.borrow(),
        (None, _) => Value::Nil,
    }
}

fn step<'a>(step: &'a Value<'_>) -> Result<Step<'a>, FormatErrorKind> {
    let Some([function, key, value]) = step.as_list() else {
        return Err(bad(step));
    };
    match function.as_str() {
        Some("append") => Ok(Step::Append {
            key,
            element: value,
        }),
        Some("w" | "write") => Ok(Step::Write { key, value }),
        Some("r" | "read") => Ok(Step::Read { key, seen: value }),
        _ => Err(bad(step)),
    }
}

fn bad(found: &Value<'_>) -> FormatErrorKind {
    let found = super::record::shortened(&found.to_string());
    FormatErrorKind::Refused(format!(
        "expected the steps of a transaction, as [[:append key element] [:r key seen] [:w key value]], found {found}"
    ))
}
