//! Linearizability (Herlihy & Wing 1990): every operation appears to take effect at one instant between its
//! invocation and its completion.

mod alike;
mod bits;
mod explain;
mod memory;
mod partition;
mod reduce;
mod search;
mod split;

use crate::monitors::{Monitored, monitor};
use crate::{Counterexample, History, HistoryError, Model, Operation, Reason, Undecided, Verdict};
use explain::Failure;
pub(crate) use explain::show;
pub(crate) use partition::Entry;
use search::{Progress, Search};
use split::{Called, Group, split};

/// How much work a check may do.
///
/// Counted in steps, each of which asks the model once, and never in time: a verdict is the same on every
/// machine. A million steps take about a tenth of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Steps in all.
    pub steps: u64,
}

impl Default for Budget {
    /// Ten million steps: a second or two, and far more than the history of a working system needs.
    fn default() -> Budget {
        Budget { steps: 10_000_000 }
    }
}

/// The steps that a key gets in the first round, for each of its operations. Each round doubles it, so that one
/// hard key does not hide an easy violation in another.
const FIRST_SLICE: u64 = 100;

struct Pending<'a, M: Model> {
    group: Group<'a, M>,
    search: Search<'a, M>,
}

/// Whether the history is linearizable with respect to the model.
///
/// Keys that no operation touches together are checked alone: linearizability is local (Herlihy & Wing 1990). A
/// failed operation did not happen; an unknown one may take effect at any time after its invocation, or never.
///
/// Where the model is an [object with a monitor](crate::monitors) and its values are distinct, the time is
/// O(n log n), and no budget is needed. Otherwise, in the usual case, few operations open at a time, the time is linear in
/// the number of operations. The problem is NP-complete, and in the worst case the time is exponential in the number of
/// operations open at the same time, unknown ones included, until the budget ends it. The budget is for the verdict alone; a
/// counterexample takes a small multiple of the steps that finding the violation took.
///
/// # Errors
/// If the history makes no sense.
pub fn check<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    mut budget: Budget,
) -> Result<Verdict, HistoryError> {
    check_within(model, history, &mut budget)
}

/// The same, and takes the steps that it took from the budget.
///
/// # Errors
/// If the history makes no sense.
pub fn check_within<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    budget: &mut Budget,
) -> Result<Verdict, HistoryError> {
    let operations = history.operations()?;
    let called = |operation: &Operation<&M::Op, &M::Ret>| operation.invoked.event;
    Ok(check_operations(model, &operations, &called, budget))
}

/// The same without a counterexample, which takes many times as long to make as to know that there is one.
///
/// # Errors
/// If the history makes no sense.
pub fn decide<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    mut budget: Budget,
) -> Result<Verdict<()>, HistoryError> {
    let operations = history.operations()?;
    let called = |operation: &Operation<&M::Op, &M::Ret>| operation.invoked.event;
    Ok(
        match decide_operations(model, &operations, &called, &mut budget) {
            Decision::Valid => Verdict::Valid,
            Decision::Searched(_) | Decision::Monitored(..) => Verdict::Invalid(()),
            Decision::Unknown(reason) => Verdict::Unknown(reason),
        },
    )
}

/// The same of operations that may take effect from the event on that `called` says, which may be another one than
/// that of their invocation.
pub(crate) fn check_operations<M: Model>(
    model: &M,
    operations: &[Operation<&M::Op, &M::Ret>],
    called: Called<'_, M::Op, M::Ret>,
    budget: &mut Budget,
) -> Verdict {
    match decide_operations(model, operations, called, budget) {
        Decision::Valid => Verdict::Valid,
        Decision::Unknown(reason) => Verdict::Unknown(reason),
        Decision::Searched(pending) => {
            let failure = Failure {
                model,
                operations,
                group: &pending.group,
            };
            Verdict::Invalid(failure.explain(&pending.search))
        }
        Decision::Monitored(group, few) => {
            Verdict::Invalid(explain_few(model, operations, group, &few))
        }
    }
}

/// The steps that a search may take, for each operation, to find again what a monitor found.
const AGAIN: u64 = 20;
/// Beyond this many operations, what the monitor found is explained alone.
const AGAIN_MAX: usize = 10_000;

/// Explains a group of which a few entries, with these indices, are already illegal alone.
fn explain_few<M: Model>(
    model: &M,
    operations: &[Operation<&M::Op, &M::Ret>],
    mut group: Group<'_, M>,
    few: &[usize],
) -> Counterexample {
    // The search knows what state the first operations led to, which makes for a shorter story.
    if group.entries.len() <= AGAIN_MAX {
        let mut search = Search::new(model, &group.entries, model.initial());
        if search.run(AGAIN * group.entries.len() as u64) == Progress::Invalid {
            let failure = Failure {
                model,
                operations,
                group: &group,
            };
            return failure.explain(&search);
        }
    }
    group.entries = few.iter().map(|&index| group.entries[index]).collect();
    let mut search = Search::new(model, &group.entries, model.initial());
    let progress = search.run(Budget::default().steps);
    debug_assert_ne!(
        progress,
        Progress::Valid,
        "the monitor and the search disagree"
    );
    Failure {
        model,
        operations,
        group: &group,
    }
    .explain_from_the_start(&search)
}

enum Decision<'a, M: Model> {
    Valid,
    /// By search, which failed for these.
    Searched(Box<Pending<'a, M>>),
    /// By a monitor: the entries with these indices have no legal order.
    Monitored(Group<'a, M>, Vec<usize>),
    Unknown(Reason),
}

fn decide_operations<'a, M: Model>(
    model: &'a M,
    operations: &[Operation<&'a M::Op, &'a M::Ret>],
    called: Called<'_, M::Op, M::Ret>,
    budget: &mut Budget,
) -> Decision<'a, M> {
    let allowed = budget.steps;
    let left = &mut budget.steps;
    let mut slice = 0;
    let mut undecided = Vec::new();
    for group in split(model, operations, called) {
        match monitor(model, &group.entries) {
            Some(Monitored::Valid) => continue,
            Some(Monitored::Invalid(few)) => return Decision::Monitored(group, few),
            None => {}
        }
        let search = Search::new(model, &group.entries, model.initial());
        let mut pending = Pending { group, search };
        let first_slice = FIRST_SLICE * pending.group.entries.len() as u64;
        match advance(&mut pending.search, first_slice, left) {
            Progress::Valid => {}
            Progress::Invalid => return Decision::Searched(Box::new(pending)),
            Progress::Paused => undecided.push(pending),
        }
        slice = slice.max(first_slice);
    }
    // What is hard is worth a closer look, and a new start.
    for pending in &mut undecided {
        if alike::classify(model, &mut pending.group.entries, *left).is_some() {
            pending.search = Search::new(model, &pending.group.entries, model.initial());
        }
    }
    while !undecided.is_empty() && *left > 0 {
        slice *= 2;
        let mut still = Vec::new();
        for mut pending in undecided {
            match advance(&mut pending.search, slice, left) {
                Progress::Valid => {}
                Progress::Invalid => return Decision::Searched(Box::new(pending)),
                Progress::Paused => still.push(pending),
            }
        }
        undecided = still;
    }
    if undecided.is_empty() {
        return Decision::Valid;
    }
    Decision::Unknown(Reason {
        steps: allowed - *left,
        undecided: undecided.iter().map(how_far).collect(),
    })
}

/// Runs a search for at most `slice` more steps, and takes them from what is left.
fn advance<M: Model>(search: &mut Search<'_, M>, slice: u64, left: &mut u64) -> Progress {
    let before = search.steps();
    let progress = search.run(before + slice.min(*left));
    *left = left.saturating_sub(search.steps() - before);
    progress
}

fn how_far<M: Model>(pending: &Pending<'_, M>) -> Undecided {
    Undecided {
        key: pending.group.name(),
        linearized: pending.search.furthest() as usize,
        operations: pending.search.required() as usize,
    }
}

#[cfg(test)]
mod tests;
