//! Linearizability (Herlihy & Wing 1990): every operation appears to take effect at one instant between its
//! invocation and its completion.

mod alike;
mod bits;
mod explain;
mod partition;
mod reduce;
mod search;

use crate::{History, HistoryError, Model, Reason, Undecided, Verdict};
use explain::Failure;
use partition::{Entry, split};
use search::{Progress, Search};

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
    key: Option<&'a M::Key>,
    entries: Vec<Entry<'a, M>>,
    search: Search<'a, M>,
}

/// Whether the history is linearizable with respect to the model.
///
/// Each key of the model is checked alone: linearizability is local (Herlihy & Wing 1990). A failed operation
/// did not happen; an unknown one may take effect at any time after its invocation, or never.
///
/// In the usual case, few operations open at a time, the time is linear in the number of operations. The
/// problem is NP-complete, and in the worst case the time is exponential in the number of operations open at the
/// same time, unknown ones included, until the budget ends it. The budget is for the verdict alone; a
/// counterexample takes a small multiple of the steps that finding the violation took.
///
/// # Errors
/// If the history makes no sense.
pub fn check<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    budget: Budget,
) -> Result<Verdict, HistoryError> {
    let operations = history.operations()?;
    let keys = split(model, &operations);
    let failure = |pending: &Pending<'_, M>| {
        Verdict::Invalid(
            Failure {
                model,
                operations: &operations,
                key: pending.key,
            }
            .explain(&pending.entries, &pending.search),
        )
    };

    let mut left = budget.steps;
    let mut slice = 0;
    let mut undecided = Vec::new();
    for (key, entries) in keys {
        let search = Search::new(model, &entries, model.initial());
        let mut pending = Pending {
            key,
            entries,
            search,
        };
        let first_slice = FIRST_SLICE * pending.entries.len() as u64;
        match advance(&mut pending.search, first_slice, &mut left) {
            Progress::Valid => {}
            Progress::Invalid => return Ok(failure(&pending)),
            Progress::Paused => undecided.push(pending),
        }
        slice = slice.max(first_slice);
    }
    // What is hard is worth a closer look, and a new start.
    for pending in &mut undecided {
        if alike::classify(model, &mut pending.entries).is_some() {
            pending.search = Search::new(model, &pending.entries, model.initial());
        }
    }
    while !undecided.is_empty() && left > 0 {
        slice *= 2;
        let mut still = Vec::new();
        for mut pending in undecided {
            match advance(&mut pending.search, slice, &mut left) {
                Progress::Valid => {}
                Progress::Invalid => return Ok(failure(&pending)),
                Progress::Paused => still.push(pending),
            }
        }
        undecided = still;
    }
    if undecided.is_empty() {
        return Ok(Verdict::Valid);
    }
    Ok(Verdict::Unknown(Reason {
        steps: budget.steps - left,
        undecided: undecided.iter().map(how_far).collect(),
    }))
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
        key: pending.key.map(M::Key::to_string),
        linearized: pending.search.furthest() as usize,
        operations: pending.search.required() as usize,
    }
}

#[cfg(test)]
mod tests;
