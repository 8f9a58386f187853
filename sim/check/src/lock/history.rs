//! Histories of locks, as clients see them, and what their holders could rely on.
//!
//! In JSON: `{"f":"acquire","lock":"x"}`, perhaps with `"mode":"shared"`, answers `{"token":7}`, or `{}` where there are
//! no tokens; `{"f":"release","lock":"x"}` answers `{}`.

use super::{Event, Mode, Name, What};
use crate::{History, HistoryError, Outcome};
use serde::{Deserialize, Serialize};

/// An operation on a lock.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "f", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Waits until it is held.
    Acquire {
        /// Which.
        lock: Name,
        /// How.
        #[serde(default, skip_serializing_if = "is_exclusive")]
        mode: Mode,
    },
    /// Gives it back.
    Release {
        /// Which.
        lock: Name,
    },
}

/// The answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ret {
    /// To [`Op::Acquire`], where there are fencing tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_exclusive(mode: &Mode) -> bool {
    *mode == Mode::Exclusive
}

/// What the clients of a history could rely on: they hold a lock from the answer to an acquisition on, until they ask for
/// its release, unless that certainly did not happen. An acquisition of unknown outcome is none.
///
/// Pauses and crashes are not in a history; whoever knows of them adds them, in order of time.
///
/// # Errors
/// If the history makes no sense.
pub fn events(history: &History<Op, Ret>) -> Result<Vec<Event>, HistoryError> {
    let mut events = Vec::new();
    for operation in history.operations()? {
        let (at, what) = match (operation.op, operation.outcome, operation.completed) {
            (Op::Acquire { lock, mode }, Outcome::Ok(ret), Some(completed)) => (
                completed,
                What::Acquired {
                    lock: lock.clone(),
                    mode: *mode,
                    asked_ns: operation.invoked.time_ns,
                    token: ret.token,
                },
            ),
            (Op::Release { lock }, Outcome::Ok(_) | Outcome::Info, _) => {
                (operation.invoked, What::Released { lock: lock.clone() })
            }
            _ => continue,
        };
        events.push((
            at.event,
            Event {
                time_ns: at.time_ns,
                holder: operation.process,
                what,
            },
        ));
    }
    events.sort_by_key(|(event, _)| *event);
    Ok(events.into_iter().map(|(_, event)| event).collect())
}
