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
