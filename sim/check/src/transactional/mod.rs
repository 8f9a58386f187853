//! Histories of a key-value store with transactions ([`models::transactional`](crate::models::transactional)): strict
//! serializability of what reads and writes the latest state, and what may be said of reads of older ones.
//!
//! * If every completed operation says its revision, the order of writes is known: it is replayed, each answer compared
//!   with the state at its revision, and revisions must grow with real time. (etcd's guarantees, "KV API guarantees":
//!   operations are strictly serializable, and the revision is their order.) Revisions that nobody answered are those of
//!   operations of unknown outcome: which of them made which one is searched for, within the budget. Time: O(n log n), and
//!   exponential in the number of such revisions that nobody saw, in the worst case.
//! * Otherwise the general search of [`crate::check`] looks for an order. Without any revision or version in the history
//!   it does so for each group of keys that operations touch together.
//!
//! A *stale* read ("serializable" in etcd) is answered from the state of one member. It must be right at some revision that
//! was committed, or on its way, when it returned; by [`Settings`], not older than a bound, or than what the same process has
//! seen before. etcd promises neither, so that both must be asked for. A read *at a revision* must be right there;
//! that it was "compacted" is believed. What a stale read without a revision saw of operations of unknown outcome takes the
//! general search to decide, and is undecided if sessions are asked for as well.

mod gaps;
mod plan;
mod replay;
mod stale;
mod violation;

use crate::linearizable::check_operations;
use crate::models::transactional::{Op, Ret, Transactional};
use crate::{Budget, History, HistoryError, Operation, Outcome, Verdict};
use gaps::Filled;
use plan::Plan;
pub use violation::{Since, Violation};

/// What is expected of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The revision of the empty store.
    pub first_revision: u64,
    /// How old a stale read may be: it must know everything that had been answered so many nanoseconds before it was
    /// invoked. Nothing for any age.
    pub staleness_ns_max: Option<u64>,
    /// Whether a stale read must know what earlier answers to the same process knew. Needs revisions.
    pub sessions: bool,
}

impl Default for Settings {
    /// As etcd: revision 1 at first, and a stale read may be of any age.
    fn default() -> Settings {
        Settings {
            first_revision: 1,
            staleness_ns_max: None,
            sessions: false,
        }
    }
}

/// A history that cannot be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It makes no sense.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// Sessions were asked for, but some completed operations have no revision.
    #[error("operation {operation} was answered without a revision: sessions cannot be checked")]
    SessionsNeedRevisions {
        /// Its index in [`History::operations`].
        operation: usize,
    },
}

/// The operations as a checker sees them.
type Operations<'a> = [Operation<&'a Op, &'a Ret>];

/// Whether the history is one of a store as expected. The budget is for each of up to two searches.
///
/// # Errors
/// If the history cannot be checked.
pub fn check(
    history: &History<Op, Ret>,
    settings: &Settings,
    budget: Budget,
) -> Result<Verdict<Violation>, Error> {
    let operations = history.operations()?;
    let model = Transactional::of(history, settings.first_revision);
    let without_revision = operations.iter().position(|operation| {
        let is_latest = !is_old(operation.op);
        is_latest && matches!(operation.outcome, Outcome::Ok(ret) if ret.revision.is_none())
    });
    if let Some(operation) = without_revision {
        if settings.sessions {
            return Err(Error::SessionsNeedRevisions { operation });
        }
        return Ok(by_search(&model, &operations, settings, budget));
    }
    if !model.tracking.revisions {
        return Ok(by_search(&model, &operations, settings, budget));
    }
    let plan = match Plan::new(&model, &operations, settings) {
        Ok(plan) => plan,
        Err(violation) => return Ok(Verdict::Invalid(*violation)),
    };
    Ok(match gaps::fill(&plan, budget) {
        Filled::Order(fillers) => match stale::check(&plan, &fillers, settings) {
            Ok(()) => Verdict::Valid,
            // It may have seen what an operation of unknown outcome wrote, at another revision than was guessed.
            Err(why)
                if matches!(*why, Violation::NoSuchState { .. }) && !plan.unsure.is_empty() =>
            {
                if settings.sessions {
                    Verdict::Unknown(plan.gave_up(plan.last, budget.steps))
                } else {
                    by_search(&model, &operations, settings, budget)
                }
            }
            Err(why) => Verdict::Invalid(*why),
        },
        Filled::Invalid(violation) => Verdict::Invalid(violation),
        Filled::GaveUp(reason) => Verdict::Unknown(reason),
    })
}

/// Whether it may be answered from an old state.
fn is_old(op: &Op) -> bool {
    matches!(op, Op::Stale(_) | Op::At(..))
}

/// Without a known order. An old read is one that may take effect long before its invocation: from the beginning, or
/// from the moment on that the bound allows.
fn by_search(
    model: &Transactional,
    operations: &Operations<'_>,
    settings: &Settings,
    budget: Budget,
) -> Verdict<Violation> {
    let latest = operations.iter().map(|operation| Operation {
        outcome: match operation.outcome {
            _ if is_old(operation.op) => Outcome::Fail,
            outcome => outcome,
        },
        ..*operation
    });
    let latest: Vec<_> = latest.collect();
    let invoked = |operation: &Operation<&Op, &Ret>| operation.invoked.event;
    match check_operations(model, &latest, &invoked, &mut { budget }) {
        Verdict::Valid => {}
        Verdict::Invalid(why) => return Verdict::Invalid(Violation::NotLinearizable(why)),
        Verdict::Unknown(reason) => return Verdict::Unknown(reason),
    }
    let completed = |operation: &&Operation<&Op, &Ret>| matches!(operation.outcome, Outcome::Ok(_));
    if !operations
        .iter()
        .filter(completed)
        .any(|operation| is_old(operation.op))
    {
        return Verdict::Valid;
    }
    let events = operations
        .iter()
        .flat_map(|operation| [Some(operation.invoked), operation.completed]);
    let mut times: Vec<(usize, u64)> = events.flatten().map(|at| (at.event, at.time_ns)).collect();
    times.sort_unstable();
    let earliest =
        |operation: &Operation<&Op, &Ret>| match (operation.op, settings.staleness_ns_max) {
            (Op::At(..), _) | (Op::Stale(_), None) => 0,
            // What had returned by then, this last event included, comes before it.
            (Op::Stale(_), Some(bound_ns)) => {
                let Some(since) = operation.invoked.time_ns.checked_sub(bound_ns) else {
                    return 0;
                };
                let later = times.partition_point(|(_, time_ns)| *time_ns <= since);
                later
                    .checked_sub(1)
                    .map_or(0, |last| times[last].0.min(operation.invoked.event))
            }
            _ => operation.invoked.event,
        };
    match check_operations(model, operations, &earliest, &mut { budget }) {
        Verdict::Valid => Verdict::Valid,
        Verdict::Invalid(why) => Verdict::Invalid(Violation::NotAnOldState(why)),
        Verdict::Unknown(reason) => Verdict::Unknown(reason),
    }
}

#[cfg(test)]
mod tests;
