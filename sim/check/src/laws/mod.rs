//! What histories of simple services must hold to, whatever order their operations took effect in.
//!
//! Each law takes a [`History`](crate::History) of its own operations and gives all violations, each one sentence; a law cannot give up. They are weaker
//! than linearizability, say more precisely what went wrong, and are near-linear in the length of the history. Operations of unknown outcome may or
//! may not have happened; those that failed have not.

pub mod bank;
pub mod counter;
pub mod ids;
pub mod log;
pub mod queue;
pub mod recency;
pub mod set;

use crate::verdict::seconds;
use crate::{Operation, Outcome, Shown};

/// An operation as a person is to see it, with its index and what it was in words.
fn show<Op, Ret>(index: usize, what: &str, operation: &Operation<&Op, &Ret>) -> Shown {
    let known = matches!(operation.outcome, Outcome::Ok(_));
    let until = match operation.completed {
        Some(at) if known => seconds(at.time_ns),
        Some(at) if matches!(operation.outcome, Outcome::Fail) => {
            format!("{}, failed", seconds(at.time_ns))
        }
        _ => " unknown".to_owned(),
    };
    let (process, from) = (operation.process, seconds(operation.invoked.time_ns));
    Shown {
        operation: index,
        words: format!("{what} by {process} ({from}..{until})"),
        optional: matches!(operation.outcome, Outcome::Info),
    }
}

/// The event from which on an operation has certainly taken effect; nothing if nobody knows that it has.
fn done<Op, Ret>(operation: &Operation<&Op, &Ret>) -> Option<usize> {
    match operation.outcome {
        Outcome::Ok(_) => operation.completed.map(|at| at.event),
        _ => None,
    }
}
