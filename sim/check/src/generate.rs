//! Histories to try a checker on: valid by construction, for tests and benchmarks.

use crate::models::key_value::{Op, Ret};
use crate::{History, ProcessId};
use std::sync::Arc;

/// What the generated history looks like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Number of operations.
    pub operations: usize,
    /// Operations open at a time, not counting unknown ones; at least 1.
    pub processes: usize,
    /// Number of keys, each as likely as the others; at least 1.
    pub keys: usize,
    /// Number of different values, so that a value can come back; at least 1.
    pub values: usize,
    /// How many operations of 1000 end unknown. Half of them take effect, some of these late.
    pub info_per_mille: u64,
}

/// A key-value history of this shape: half reads, the rest writes of all kinds. Linearizable, for it was made by
/// letting every operation take effect at one instant between its invocation and its completion.
///
/// A function of shape and seed alone. Linear time.
pub fn key_value(shape: &Shape, seed: u64) -> History<Op, Ret> {
    Generator {
        random: SplitMix(seed),
        shape,
        names: (0..shape.keys).map(|n| format!("k{n}").into()).collect(),
        values: (0..shape.values).map(|n| n.to_string().into()).collect(),
        store: vec![None; shape.keys],
        late: Vec::new(),
        history: History::new(),
    }
    .run()
}

struct Generator<'a> {
    random: SplitMix,
    shape: &'a Shape,
    names: Vec<Arc<str>>,
    values: Vec<Arc<str>>,
    store: Vec<Option<Arc<str>>>,
    /// Operations that nobody waits for any more, and that have not taken effect yet.
    late: Vec<(usize, Op)>,
    history: History<Op, Ret>,
}

/// What one client is at.
enum Client {
    Idle,
    Invoked(usize, Op),
    Done(Ret),
}

impl Generator<'_> {
    fn run(mut self) -> History<Op, Ret> {
        let mut clients: Vec<(u64, Client)> = (0..)
            .map(|id| (id, Client::Idle))
            .take(self.shape.processes)
            .collect();
        let mut next_id = clients.len() as u64;
        let mut invoked = 0;
        let mut time_ns = 0;
        while self.history.is_empty() || invoked < self.shape.operations {
            time_ns += 1 + self.random.below(2_000_000);
            if !self.late.is_empty() && self.random.below(8) == 0 {
                let index = self.random.index(self.late.len());
                let (key, op) = self.late.swap_remove(index);
                apply(&mut self.store[key], &op);
            }
            let client = self.random.index(clients.len());
            let (id, state) = &mut clients[client];
            let process = ProcessId(*id);
            let unknown = self.random.below(1000) < self.shape.info_per_mille;
            *state = match std::mem::replace(state, Client::Idle) {
                Client::Idle => {
                    let (key, op) = self.operation();
                    self.history.invoke(time_ns, process, op.clone());
                    invoked += 1;
                    Client::Invoked(key, op)
                }
                Client::Invoked(key, op) if unknown => {
                    self.history.info(time_ns, process);
                    if self.random.below(2) == 0 {
                        self.late.push((key, op));
                    }
                    *id = next_id;
                    next_id += 1;
                    Client::Idle
                }
                Client::Invoked(key, op) => Client::Done(apply(&mut self.store[key], &op)),
                Client::Done(ret) => {
                    self.history.ok(time_ns, process, ret);
                    Client::Idle
                }
            };
        }
        self.history
    }

    fn operation(&mut self) -> (usize, Op) {
        let index = self.random.index(self.names.len());
        let key = self.names[index].clone();
        let op = match self.random.below(8) {
            0..4 => Op::Get { key },
            4..6 => Op::Put {
                key,
                value: self.value(),
            },
            6 => Op::CompareAndSet {
                key,
                expected: self.store[index]
                    .clone()
                    .filter(|_| self.random.below(4) > 0),
                value: self.value(),
            },
            _ => Op::Delete { key },
        };
        (index, op)
    }

    fn value(&mut self) -> Arc<str> {
        let index = self.random.index(self.values.len());
        self.values[index].clone()
    }
}

/// Does the operation on its key.
fn apply(cell: &mut Option<Arc<str>>, op: &Op) -> Ret {
    match op {
        Op::Get { .. } => Ret::Value(cell.clone()),
        Op::Put { value, .. } => {
            *cell = Some(value.clone());
            Ret::Written
        }
        Op::Delete { .. } => Ret::Deleted(cell.take().is_some()),
        Op::CompareAndSet {
            expected, value, ..
        } => {
            let swapped = cell == expected;
            if swapped {
                *cell = Some(value.clone());
            }
            Ret::Swapped(swapped)
        }
    }
}

/// `SplitMix64` (Steele, Lea & Flood 2014): a few lines, and good enough to vary a test.
pub(crate) struct SplitMix(pub(crate) u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is above 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    pub(crate) fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }
}
