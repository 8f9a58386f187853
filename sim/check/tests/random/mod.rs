//! Random histories of any model, and an oracle that shares nothing with the checker but the model: all orders of all
//! subsets.
#![allow(dead_code, reason = "each test uses a part of it")]

use proptest::prelude::*;
use splitbrain_check::monitors::{Action, Object};
use splitbrain_check::{Footprint, History, Model, Operation, Outcome, ProcessId};

/// Who moves next, and three choices.
pub(crate) type Move = (usize, u8, u8, u8);

/// Up to `length` moves of four clients.
pub(crate) fn moves(length: usize) -> impl Strategy<Value = Vec<Move>> {
    prop::collection::vec(
        (0..4_usize, any::<u8>(), any::<u8>(), any::<u8>()),
        1..length,
    )
}

/// How often the tests try: `SPLITBRAIN_CASES`, or as often as the test says.
pub(crate) fn cases(otherwise: u32) -> ProptestConfig {
    let asked = std::env::var("SPLITBRAIN_CASES");
    let cases = asked.map_or(otherwise, |cases| cases.parse().expect("a number"));
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

/// What the histories are made of.
pub(crate) struct Player<'a, M: Model> {
    pub(crate) model: &'a M,
    /// The nth operation, of this client, by two choices.
    pub(crate) op: &'a dyn Fn(usize, usize, u8, u8) -> M::Op,
    /// What answers there are.
    pub(crate) answers: &'a [M::Ret],
    pub(crate) operations_max: usize,
    /// How many of 16 completed operations lie, and how many end unknown.
    pub(crate) lies: u8,
    pub(crate) unknown: u8,
}

enum Client<M: Model> {
    Idle,
    Open(M::Op),
    Done(M::Op, usize),
}

impl<M: Model<Op: Clone, Ret: Clone>> Player<'_, M> {
    /// Plays the moves: each invokes, executes or completes an operation. An answer may be a lie, and an effect may be
    /// lost or late.
    pub(crate) fn play(&self, moves: &[Move]) -> History<M::Op, M::Ret> {
        let mut history = History::new();
        let mut clients: Vec<(u64, Client<M>)> = (0..4).map(|id| (id, Client::Idle)).collect();
        let mut state = self.model.initial();
        let mut late: Vec<M::Op> = Vec::new();
        let mut invoked = 0;
        for (time, &(client, a, b, c)) in (0..).zip(moves) {
            if c % 5 == 0
                && let Some(op) = late.pop()
            {
                self.execute(&mut state, &op);
            }
            let (id, now) = &mut clients[client];
            let process = ProcessId(*id);
            *now = match std::mem::replace(now, Client::Idle) {
                Client::Idle if invoked < self.operations_max => {
                    let op = (self.op)(invoked, *id as usize % 4, a, b);
                    invoked += 1;
                    history.invoke(time, process, op.clone());
                    Client::Open(op)
                }
                Client::Idle => Client::Idle,
                Client::Open(op) if a % 16 < self.unknown => {
                    history.info(time, process);
                    *id += 4;
                    late.push(op);
                    Client::Idle
                }
                Client::Open(op) if a % 32 == 31 => {
                    // It did not happen, whatever it was.
                    drop(op);
                    history.fail(time, process);
                    Client::Idle
                }
                Client::Open(op) => {
                    let answer = self.execute(&mut state, &op);
                    Client::Done(op, answer)
                }
                Client::Done(..) if b % 16 < self.unknown / 2 => {
                    history.info(time, process);
                    *id += 4;
                    Client::Idle
                }
                Client::Done(_, mut answer) => {
                    if a % 16 < self.lies {
                        answer = usize::from(b) % self.answers.len();
                    }
                    history.ok(time, process, self.answers[answer].clone());
                    Client::Idle
                }
            };
        }
        history
    }

    /// Which answer is legal now, and does it.
    fn execute(&self, state: &mut M::State, op: &M::Op) -> usize {
        let legal = |answer: &M::Ret| self.model.step(state, op, Some(answer));
        let mut found = self.answers.iter().map(legal).enumerate();
        let found = found.find_map(|(index, next)| Some((index, next?)));
        let (index, next) = found.expect("one of the answers is legal");
        *state = next;
        index
    }
}

/// Whether the history is linearizable, by trying everything.
pub(crate) fn brute_force<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> bool {
    let operations = history.operations().expect("well-formed");
    let happened = |operation: &&Operation<&M::Op, &M::Ret>| operation.outcome != Outcome::Fail;
    let operations: Vec<_> = operations.iter().filter(happened).collect();
    has_order(
        model,
        &operations,
        &mut vec![false; operations.len()],
        &model.initial(),
    )
}

fn has_order<M: Model>(
    model: &M,
    operations: &[&Operation<&M::Op, &M::Ret>],
    done: &mut Vec<bool>,
    state: &M::State,
) -> bool {
    let returned = |operation: &Operation<&M::Op, &M::Ret>| match operation.outcome {
        Outcome::Ok(_) => operation.completed.map(|at| at.event),
        _ => None,
    };
    let open = (0..operations.len()).filter(|&index| !done[index]);
    let Some(first_return) = open.filter_map(|index| returned(operations[index])).min() else {
        return true;
    };
    for index in 0..operations.len() {
        let operation = operations[index];
        if done[index] || operation.invoked.event > first_return {
            continue;
        }
        let ret = match operation.outcome {
            Outcome::Ok(ret) => Some(ret),
            _ => None,
        };
        if let Some(next) = model.step(state, operation.op, ret) {
            done[index] = true;
            let found = has_order(model, operations, done, &next);
            done[index] = false;
            if found {
                return true;
            }
        }
    }
    false
}

/// The same model, without a monitor.
pub(crate) struct Searched<'a, M>(pub(crate) &'a M);

impl<M: Model> Model for Searched<'_, M> {
    type Op = M::Op;
    type Ret = M::Ret;
    type State = M::State;
    type Key = M::Key;

    fn initial(&self) -> M::State {
        self.0.initial()
    }

    fn footprint<'a>(&self, op: &'a M::Op) -> Footprint<'a, M::Key> {
        self.0.footprint(op)
    }

    fn step(&self, state: &M::State, op: &M::Op, ret: Option<&M::Ret>) -> Option<M::State> {
        self.0.step(state, op, ret)
    }

    fn is_read_only(&self, op: &M::Op, ret: Option<&M::Ret>) -> bool {
        self.0.is_read_only(op, ret)
    }

    fn object(&self) -> Option<Object> {
        None
    }

    fn action<'a>(&self, _op: &'a M::Op, _ret: Option<&'a M::Ret>) -> Option<Action<'a>> {
        None
    }

    fn describe(&self, op: &M::Op, ret: Option<&M::Ret>) -> String {
        self.0.describe(op, ret)
    }

    fn needs(&self, op: &M::Op, ret: &M::Ret) -> String {
        self.0.needs(op, ret)
    }

    fn describe_state(&self, key: Option<&M::Key>, state: &M::State) -> String {
        self.0.describe_state(key, state)
    }
}
