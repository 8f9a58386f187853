//! Histories: what the clients of a system saw, in real-time order.

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A logical client: it has at most one operation open at a time.
///
/// A client whose operation ended unknown goes on under a new id, for the old operation is still open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProcessId(pub u64);

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

/// What happened to an operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum What<Op, Ret> {
    /// The client asked for it.
    Invoke(Op),
    /// It happened, with this answer.
    Ok(Ret),
    /// It certainly did not happen and never will.
    Fail,
    /// Unknown, a timeout for example: it may have happened, may still happen at any later time, or never.
    Info,
}

/// One line of a history.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Event<Op, Ret> {
    /// When, in nanoseconds since the start of the run. For people: order in time is the order of events.
    pub time_ns: u64,
    /// Whose operation.
    pub process: ProcessId,
    /// What happened to it.
    pub what: What<Op, Ret>,
}

/// A sequence of events, in real-time order.
///
/// Building one never fails; [`History::operations`] says whether it makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History<Op, Ret> {
    events: Vec<Event<Op, Ret>>,
}

impl<Op, Ret> Default for History<Op, Ret> {
    fn default() -> Self {
        History { events: Vec::new() }
    }
}

impl<Op, Ret> History<Op, Ret> {
    /// An empty history.
    pub fn new() -> Self {
        History::default()
    }

    /// Appends an event.
    pub fn push(&mut self, event: Event<Op, Ret>) {
        self.events.push(event);
    }

    /// `process` asks for `op`.
    pub fn invoke(&mut self, time_ns: u64, process: ProcessId, op: Op) {
        self.add(time_ns, process, What::Invoke(op));
    }

    /// The open operation of `process` happened and answered `ret`.
    pub fn ok(&mut self, time_ns: u64, process: ProcessId, ret: Ret) {
        self.add(time_ns, process, What::Ok(ret));
    }

    /// The open operation of `process` certainly did not happen.
    pub fn fail(&mut self, time_ns: u64, process: ProcessId) {
        self.add(time_ns, process, What::Fail);
    }

    /// `process` gave up waiting: its operation may take effect at any later time, or never.
    pub fn info(&mut self, time_ns: u64, process: ProcessId) {
        self.add(time_ns, process, What::Info);
    }

    fn add(&mut self, time_ns: u64, process: ProcessId, what: What<Op, Ret>) {
        self.push(Event {
            time_ns,
            process,
            what,
        });
    }

    /// The events, in real-time order.
    pub fn events(&self) -> &[Event<Op, Ret>] {
        &self.events
    }

    /// The number of events.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there are no events.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The same history in the words of another model.
    pub fn map<Op2, Ret2>(
        self,
        mut f_op: impl FnMut(Op) -> Op2,
        mut f_ret: impl FnMut(Ret) -> Ret2,
    ) -> History<Op2, Ret2> {
        let events = self.events.into_iter().map(|event| Event {
            time_ns: event.time_ns,
            process: event.process,
            what: match event.what {
                What::Invoke(op) => What::Invoke(f_op(op)),
                What::Ok(ret) => What::Ok(f_ret(ret)),
                What::Fail => What::Fail,
                What::Info => What::Info,
            },
        });
        History {
            events: events.collect(),
        }
    }

    /// The operations that a checker is to see, in the words of its model: those for which `f` says nothing are left out,
    /// each with its completion.
    ///
    /// Of a history that makes no sense, what remains may make sense.
    pub fn only<Op2>(self, mut f: impl FnMut(Op) -> Option<Op2>) -> Part<Op2, Ret> {
        let mut part = Part {
            history: History::new(),
            places: Vec::new(),
        };
        let mut invoked = 0;
        // Of these processes, the operation that is open now, or was last, is not in the part.
        let mut left_out = FxHashSet::default();
        for Event {
            time_ns,
            process,
            what,
        } in self.events
        {
            let what = match what {
                What::Invoke(op) => {
                    let place = invoked;
                    invoked += 1;
                    let Some(op) = f(op) else {
                        left_out.insert(process);
                        continue;
                    };
                    left_out.remove(&process);
                    part.places.push(place);
                    What::Invoke(op)
                }
                _ if left_out.contains(&process) => continue,
                What::Ok(ret) => What::Ok(ret),
                What::Fail => What::Fail,
                What::Info => What::Info,
            };
            part.history.add(time_ns, process, what);
        }
        part
    }

    /// Pairs invocations with completions: the operations, in order of invocation.
    ///
    /// An operation still open at the end has the outcome [`Outcome::Info`] and no completion. Linear time.
    ///
    /// # Errors
    /// The first event that breaks the rule of [`Pairing`].
    pub fn operations(&self) -> Result<Vec<Operation<&Op, &Ret>>, HistoryError> {
        let mut pairing = Pairing::default();
        let mut operations: Vec<Operation<&Op, &Ret>> = Vec::with_capacity(self.len() / 2 + 1);
        for (
            event,
            Event {
                time_ns,
                process,
                what,
            },
        ) in self.events.iter().enumerate()
        {
            let at = Point {
                event,
                time_ns: *time_ns,
            };
            let operation = pairing.next(event, *process, what)?;
            let outcome = match what {
                What::Invoke(op) => {
                    operations.push(Operation {
                        process: *process,
                        op,
                        invoked: at,
                        completed: None,
                        outcome: Outcome::Info,
                    });
                    continue;
                }
                What::Ok(ret) => Outcome::Ok(ret),
                What::Fail => Outcome::Fail,
                What::Info => Outcome::Info,
            };
            operations[operation].completed = Some(at);
            operations[operation].outcome = outcome;
        }
        Ok(operations)
    }
}

/// Some operations of a history, and where in it they are: see [`History::only`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<Op, Ret> {
    /// The operations.
    pub history: History<Op, Ret>,
    /// Of each operation of the part its index in [`History::operations`] of the whole, ascending.
    pub places: Vec<usize>,
}

impl<Op, Ret> Part<Op, Ret> {
    /// The same part in the words of another model.
    pub fn map<Op2, Ret2>(
        self,
        f_op: impl FnMut(Op) -> Op2,
        f_ret: impl FnMut(Ret) -> Ret2,
    ) -> Part<Op2, Ret2> {
        Part {
            history: self.history.map(f_op, f_ret),
            places: self.places,
        }
    }
}

/// The rule of a history: a process has one operation open at a time, and none after an unknown one.
///
/// Fed with the events one by one, so that a reader can name the line that breaks it.
#[derive(Clone, Debug, Default)]
pub struct Pairing {
    /// Operations invoked so far.
    invoked: usize,
    processes: FxHashMap<ProcessId, State>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Idle,
    Open(usize),
    /// Its last operation ended unknown.
    Gone,
}

impl Pairing {
    /// The number, in order of invocation, of the operation to which the next event belongs.
    ///
    /// # Errors
    /// If the event cannot come now. `event` only goes into the error.
    pub fn next<Op, Ret>(
        &mut self,
        event: usize,
        process: ProcessId,
        what: &What<Op, Ret>,
    ) -> Result<usize, HistoryError> {
        let state = self.processes.entry(process).or_insert(State::Idle);
        let error = |kind| HistoryError {
            event,
            process,
            kind,
        };
        match (*state, what) {
            (State::Gone, _) => Err(error(HistoryErrorKind::UsedAfterInfo)),
            (State::Open(_), What::Invoke(_)) => Err(error(HistoryErrorKind::AlreadyOpen)),
            (State::Idle, What::Invoke(_)) => {
                let operation = self.invoked;
                self.invoked += 1;
                *state = State::Open(operation);
                Ok(operation)
            }
            (State::Idle, _) => Err(error(HistoryErrorKind::NotOpen)),
            (State::Open(operation), What::Info) => {
                *state = State::Gone;
                Ok(operation)
            }
            (State::Open(operation), What::Ok(_) | What::Fail) => {
                *state = State::Idle;
                Ok(operation)
            }
        }
    }
}

/// A place in a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The index of the event: what the order in time is decided by.
    pub event: usize,
    /// Its time in nanoseconds, for people.
    pub time_ns: u64,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<Ret> {
    /// It happened between its invocation and its completion, with this answer.
    Ok(Ret),
    /// It did not happen.
    Fail,
    /// It may have happened, may happen at any later time, or never.
    Info,
}

/// An invocation with its completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation<Op, Ret> {
    /// Whose.
    pub process: ProcessId,
    /// What was asked for.
    pub op: Op,
    /// When it was asked for.
    pub invoked: Point,
    /// When the answer, or the news that there will be none, came; nothing if the history ends before.
    pub completed: Option<Point>,
    /// How it ended.
    pub outcome: Outcome<Ret>,
}

/// A history that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {event}: process {process} {kind}")]
pub struct HistoryError {
    /// The index of the event, from 0.
    pub event: usize,
    /// Whose event.
    pub process: ProcessId,
    /// What is wrong with it.
    pub kind: HistoryErrorKind,
}

/// What is wrong with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryErrorKind {
    /// A completion of nothing.
    #[error("completes an operation, but has none open")]
    NotOpen,
    /// A second invocation.
    #[error("invokes an operation while its last one is still open")]
    AlreadyOpen,
    /// An event of a process whose last operation is unknown, hence still open.
    #[error("goes on after an operation of unknown outcome; the client needs a new process id")]
    UsedAfterInfo,
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: ProcessId = ProcessId(3);

    fn error_of(build: impl Fn(&mut History<u8, u8>)) -> HistoryError {
        let mut history = History::new();
        build(&mut history);
        history.operations().unwrap_err()
    }

    #[test]
    fn pairs_interleaved_operations_and_leaves_open_ones_unknown() {
        let mut history = History::new();
        history.invoke(1, ProcessId(0), 'a');
        history.invoke(2, ProcessId(1), 'b');
        history.ok(3, ProcessId(1), 7);
        history.fail(4, ProcessId(0));
        history.invoke(5, ProcessId(0), 'c');
        let operations = history.operations().unwrap();
        assert_eq!(operations[0].outcome, Outcome::Fail);
        assert_eq!(operations[1].outcome, Outcome::Ok(&7));
        let point = |event, time_ns| Point { event, time_ns };
        assert_eq!(operations[1].invoked, point(1, 2));
        assert_eq!(operations[1].completed, Some(point(2, 3)));
        assert_eq!(operations[2].outcome, Outcome::Info);
        assert_eq!(operations[2].completed, None);
    }

    #[test]
    fn nonsense_is_a_typed_error() {
        let not_open = error_of(|h| h.ok(1, P, 0));
        assert_eq!(not_open.kind, HistoryErrorKind::NotOpen);
        let twice = error_of(|h| {
            h.invoke(1, P, 0);
            h.invoke(2, P, 0);
        });
        assert_eq!(twice.kind, HistoryErrorKind::AlreadyOpen);
        let zombie = error_of(|h| {
            h.invoke(1, P, 0);
            h.info(2, P);
            h.invoke(3, P, 0);
        });
        assert_eq!(
            zombie.to_string(),
            "event 2: process p3 goes on after an operation of unknown outcome; the client needs a new process id"
        );
    }

    #[test]
    fn map_changes_the_words_and_nothing_else() {
        let mut history = History::new();
        history.invoke(1, P, 1);
        history.ok(2, P, 2);
        let mapped = history.map(|op| op + 10, |ret| ret + 20);
        assert_eq!(mapped.events()[0].what, What::Invoke(11));
        assert_eq!(mapped.events()[1].what, What::Ok(22));
        assert_eq!(mapped.events()[1].time_ns, 2);
    }
    #[test]
    fn an_operation_that_is_left_out_takes_its_completion_with_it() {
        let (p, q, r) = (ProcessId(0), ProcessId(1), ProcessId(2));
        let mut history = History::new();
        history.invoke(1, p, -1);
        history.invoke(2, q, 1);
        history.ok(3, p, "left out");
        history.invoke(4, r, -2);
        history.invoke(5, p, 2);
        history.ok(6, q, "one");
        history.info(7, r);
        history.fail(8, p);
        history.invoke(9, q, -3);
        let mut expected = History::new();
        expected.invoke(2, q, '1');
        expected.invoke(5, p, '2');
        expected.ok(6, q, "one");
        expected.fail(8, p);
        let whole = history.clone();
        let part = history.only(|op| char::from_digit(u32::try_from(op).ok()?, 10));
        assert_eq!((&part.history, &part.places), (&expected, &vec![1, 3]));
        let (inner, outer) = (part.history.operations(), whole.operations());
        let outer = outer.unwrap();
        for (operation, &place) in inner.unwrap().iter().zip(&part.places) {
            assert_eq!(operation.process, outer[place].process);
            assert_eq!(operation.outcome, outer[place].outcome);
            assert_eq!(operation.invoked.time_ns, outer[place].invoked.time_ns);
        }
        let mapped = part.map(|op| op, str::len);
        assert_eq!(mapped.history.events()[2].what, What::Ok(3));
        assert_eq!(mapped.places, [1, 3]);
    }

    #[test]
    fn all_operations_and_none_are_parts() {
        let mut history = History::new();
        history.invoke(1, P, 1);
        history.ok(2, P, 2);
        history.invoke(3, P, 3);
        let all = history.clone().only(Some);
        assert_eq!((&all.history, all.places), (&history, vec![0, 1]));
        let none = history.only(|_| None::<u8>);
        assert!(none.history.is_empty() && none.places.is_empty());
    }
}
