//! Sequential consistency (Lamport, "How to make a multiprocessor computer that correctly executes multiprocess programs", 1979): there is
//! one order of all operations that is legal and agrees with the order of each process. It need not agree with real time.
//!
//! Unlike linearizability it is not local: keys cannot be checked alone, though each has a state of its own, and no moment of a history cuts
//! it. So this is a search for the whole history, with a budget. What makes it fast in the usual case: processes are tried in order of real time, and a read that is legal
//! now is taken without trying anything else, for it changes nothing, and only holds up its process.

use crate::linearizable::show;
use crate::{
    Blocked, Budget, Footprint, History, HistoryError, Model, Operation, Outcome, Possible,
};
use crate::{ProcessId, Reason, Shown, Undecided, Verdict};
use rustc_hash::FxHashSet;
use std::collections::BTreeMap;
use std::fmt;

/// Why a history is not sequentially consistent: how far the search came, which tried everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotSequential {
    /// So many completed operations have a legal order, and no order has more.
    pub ordered: usize,
    /// How many completed operations there are.
    pub operations: usize,
    /// The state after that order, in words, as far as `blocked` is about it.
    pub state: String,
    /// The next operation of each process that has one, and what it needs; of [`Blocked::operation`] the index in `next`.
    pub blocked: Vec<Blocked>,
    /// These operations.
    pub next: Vec<Shown>,
}

impl fmt::Display for NotSequential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NotSequential {
            ordered,
            operations,
            state,
            ..
        } = self;
        write!(
            f,
            "no order of all {operations} operations is legal and agrees with each process; after the longest, of {ordered}, {state}, but"
        )?;
        for blocked in &self.blocked {
            let next = &self.next[blocked.operation];
            write!(f, "\n  {} needs {}", next.words, blocked.needs)?;
        }
        Ok(())
    }
}

/// Whether the history is sequentially consistent with respect to the model.
///
/// A failed operation did not happen; an unknown one may have, or not. The problem is NP-complete (Gibbons & Korach, SIAM J. Comput. 1997):
/// in the worst case the time is exponential in the number of processes, until the budget ends it.
///
/// # Errors
/// If the history makes no sense.
pub fn check<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    budget: Budget,
) -> Result<Verdict<NotSequential>, HistoryError> {
    let operations = history.operations()?;
    let mut processes: BTreeMap<ProcessId, Vec<usize>> = BTreeMap::new();
    for (index, operation) in operations.iter().enumerate() {
        if !matches!(operation.outcome, Outcome::Fail) {
            processes.entry(operation.process).or_default().push(index);
        }
    }
    let (parts, keys) = parts(model, &operations);
    let required = operations.iter();
    let required = required.filter(|operation| matches!(operation.outcome, Outcome::Ok(_)));
    let search = Search {
        model,
        operations: &operations,
        processes: processes.into_values().collect(),
        parts,
        keys,
        required: required.count(),
        seen: FxHashSet::default(),
        steps: 0,
        furthest: None,
    };
    Ok(search.run(budget))
}

/// Of each operation which part of the system it is about, and the key of each part. If some operation is about more than one key, all
/// are one part.
fn parts<'a, M: Model>(
    model: &M,
    operations: &[Operation<&'a M::Op, &'a M::Ret>],
) -> (Vec<usize>, Vec<Option<&'a M::Key>>) {
    let mut numbers: BTreeMap<&M::Key, usize> = BTreeMap::new();
    let mut keys = Vec::new();
    let mut parts = Vec::with_capacity(operations.len());
    for operation in operations {
        let Footprint::Key(key) = model.footprint(operation.op) else {
            return (vec![0; operations.len()], vec![None]);
        };
        let next = keys.len();
        let part = *numbers.entry(key).or_insert(next);
        if part == next {
            keys.push(Some(key));
        }
        parts.push(part);
    }
    (parts, keys)
}

/// A place in the search.
#[derive(Clone)]
struct Place<S> {
    /// Of each process how many operations have been ordered.
    positions: Box<[u32]>,
    /// Of each part.
    states: Box<[S]>,
    /// How many of all of these were completed.
    ordered: usize,
}

/// Where the search has been: positions and states.
type Seen<S> = (Box<[u32]>, Box<[S]>);

struct Search<'a, 'h, M: Model> {
    model: &'a M,
    operations: &'a [Operation<&'h M::Op, &'h M::Ret>],
    /// The operations of each process, in order.
    processes: Vec<Vec<usize>>,
    parts: Vec<usize>,
    keys: Vec<Option<&'h M::Key>>,
    required: usize,
    seen: FxHashSet<Seen<M::State>>,
    steps: u64,
    furthest: Option<Place<M::State>>,
}

impl<M: Model> Search<'_, '_, M> {
    fn run(mut self, budget: Budget) -> Verdict<NotSequential> {
        let start = self.start();
        let mut open = vec![start];
        while let Some(mut place) = open.pop() {
            self.take_reads(&mut place);
            if place.ordered == self.required {
                return Verdict::Valid;
            }
            let key = (place.positions.clone(), place.states.clone());
            // What takes room counts, too.
            self.steps += (key.0.len() + key.1.len()) as u64 / 16;
            if !self.seen.insert(key) {
                continue;
            }
            if self.steps > budget.steps {
                return Verdict::Unknown(Reason {
                    steps: self.steps,
                    undecided: vec![Undecided {
                        key: None,
                        linearized: self.furthest.map_or(0, |place| place.ordered),
                        operations: self.required,
                    }],
                });
            }
            // The one that was asked for first is tried first: it is pushed last.
            let mut next: Vec<(usize, usize)> = (0..self.processes.len())
                .filter_map(|process| Some((self.next(&place, process)?, process)))
                .collect();
            next.sort_unstable();
            for (index, process) in next.into_iter().rev() {
                if let Some(state) = self.step(&place, index) {
                    open.push(self.advance(&place, process, index, state));
                }
            }
            let ordered = |place: &Place<M::State>| place.ordered;
            if self.furthest.as_ref().map(ordered) < Some(place.ordered) {
                self.furthest = Some(place);
            }
        }
        Verdict::Invalid(self.explain())
    }

    fn start(&self) -> Place<M::State> {
        Place {
            positions: vec![0; self.processes.len()].into(),
            states: vec![self.model.initial(); self.keys.len()].into(),
            ordered: 0,
        }
    }

    fn next(&self, place: &Place<M::State>, process: usize) -> Option<usize> {
        let position = place.positions[process] as usize;
        self.processes[process].get(position).copied()
    }

    fn answer(&self, index: usize) -> Option<&M::Ret> {
        match &self.operations[index].outcome {
            Outcome::Ok(ret) => Some(*ret),
            _ => None,
        }
    }

    fn step(&mut self, place: &Place<M::State>, index: usize) -> Option<M::State> {
        self.steps += 1;
        let op = self.operations[index].op;
        let state = &place.states[self.parts[index]];
        self.model.step(state, op, self.answer(index))
    }

    fn advance(
        &self,
        place: &Place<M::State>,
        process: usize,
        index: usize,
        state: M::State,
    ) -> Place<M::State> {
        let mut positions = place.positions.clone();
        positions[process] += 1;
        let mut states = place.states.clone();
        states[self.parts[index]] = state;
        Place {
            positions,
            states,
            ordered: place.ordered + usize::from(self.answer(index).is_some()),
        }
    }

    /// Takes all reads that are legal now.
    fn take_reads(&mut self, place: &mut Place<M::State>) {
        for process in 0..self.processes.len() {
            while let Some(index) = self.next(place, process) {
                let op = self.operations[index].op;
                if !self.model.is_read_only(op, self.answer(index)) {
                    break;
                }
                if self.step(place, index).is_none() {
                    break;
                }
                place.positions[process] += 1;
                place.ordered += usize::from(self.answer(index).is_some());
            }
        }
    }

    fn explain(mut self) -> NotSequential {
        let start = self.start();
        let place = self.furthest.take().unwrap_or(start);
        let (mut blocked, mut next, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        for process in 0..self.processes.len() {
            let Some(index) = self.next(&place, process) else {
                continue;
            };
            if self.answer(index).is_none() || self.step(&place, index).is_some() {
                continue;
            }
            let operation = &self.operations[index];
            let Some(ret) = self.answer(index) else {
                continue;
            };
            let part = self.parts[index];
            if !parts.contains(&part) {
                parts.push(part);
            }
            blocked.push(Blocked {
                operation: next.len(),
                needs: self.model.needs(operation.op, ret),
                possible: Possible::Never,
            });
            next.push(show(self.model, operation, index));
        }
        let describe = |part: &usize| {
            self.model
                .describe_state(self.keys[*part], &place.states[*part])
        };
        let states: Vec<String> = parts.iter().map(describe).collect();
        NotSequential {
            ordered: place.ordered,
            operations: self.required,
            state: states.join(", "),
            blocked,
            next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::key_value::{KeyValue, Op, Ret};

    /// Processes with what they do, one after the other in real time: `x=1` (write) or `x 1` (read; `x -`: nothing there).
    fn verdict(operations: &[(u64, &str)], steps: u64) -> Verdict<NotSequential> {
        let mut history = History::new();
        for (time, (process, text)) in (0..).zip(operations) {
            let (time, process) = (2_000_000 * time, ProcessId(*process));
            if let Some((key, value)) = text.split_once('=') {
                let (key, value) = (key.into(), value.into());
                history.invoke(time, process, Op::Put { key, value });
                history.ok(time + 1, process, Ret::Written);
            } else if let Some((key, value)) = text.split_once(' ') {
                history.invoke(time, process, Op::Get { key: key.into() });
                let value = (value != "-").then(|| value.into());
                history.ok(time + 1, process, Ret::Value(value));
            } else {
                let (key, value) = ("x".into(), (*text).into());
                history.invoke(time, process, Op::Put { key, value });
                history.info(time + 1, process);
            }
        }
        check(&KeyValue, &history, Budget { steps }).unwrap()
    }

    fn valid(operations: &[(u64, &str)]) -> bool {
        verdict(operations, 1_000_000) == Verdict::Valid
    }

    #[test]
    fn reads_may_be_stale_but_each_process_goes_forward() {
        assert!(valid(&[(0, "x=1"), (1, "x -"), (1, "x 1")]));
        assert!(!valid(&[(0, "x=1"), (1, "x 1"), (1, "x -")]));
        // Not even to its own process.
        assert!(!valid(&[(0, "x=1"), (0, "x -")]));
        // Two processes see two writes in one order.
        assert!(valid(&[
            (0, "x=1"),
            (1, "x=2"),
            (2, "x 2"),
            (2, "x 1"),
            (3, "x 2"),
            (3, "x 1")
        ]));
        assert!(!valid(&[
            (0, "x=1"),
            (1, "x=2"),
            (2, "x 2"),
            (2, "x 1"),
            (3, "x 1"),
            (3, "x 2")
        ]));
    }

    #[test]
    fn it_is_not_local() {
        // Dekker's algorithm: each key alone is in order.
        assert!(!valid(&[(0, "x=1"), (1, "y=1"), (0, "y -"), (1, "x -")]));
        assert!(valid(&[(0, "x=1"), (1, "y=1"), (0, "y 1"), (1, "x -")]));
    }

    #[test]
    fn unknown_operations_may_have_happened() {
        assert!(valid(&[(0, "1"), (1, "x 1")]));
        assert!(valid(&[(0, "1"), (1, "x -")]));
        assert!(!valid(&[(0, "1"), (1, "x 1"), (1, "x -")]));
    }

    #[test]
    fn a_counterexample_says_how_far_it_came() {
        let Verdict::Invalid(why) = verdict(&[(0, "x=1"), (1, "x 1"), (1, "x -")], 100) else {
            panic!("a read that goes back");
        };
        assert_eq!((why.ordered, why.operations), (2, 3));
        assert!(why.to_string().ends_with("needs x = nothing") || !why.blocked.is_empty());
        assert_eq!(why.next[0].operation, 2);
    }

    #[test]
    fn it_gives_up_when_the_budget_ends() {
        let given_up = verdict(&[(0, "x=1"), (1, "x=2"), (2, "x 1"), (3, "x 3")], 1);
        let Verdict::Unknown(reason) = given_up else {
            panic!("{given_up:?}");
        };
        assert_eq!(reason.undecided[0].operations, 4);
    }
}
