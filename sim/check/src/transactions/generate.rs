//! Transactional histories to try the checkers on: of a store that is right, and of stores with known faults. For tests and benchmarks.

use super::history::{History, Key, Micro, Seen, Value};
use crate::ProcessId;
use crate::generate::SplitMix;

/// What the generated history looks like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Number of transactions.
    pub transactions: usize,
    /// Transactions open at a time, not counting unknown ones; at least 1.
    pub processes: usize,
    /// Number of keys in use at a time; at least 1.
    pub keys: usize,
    /// A key that was written so often is replaced by a new one; at least 1.
    pub writes_per_key: usize,
    /// Steps of a transaction at most; at least 1.
    pub steps_max: usize,
    /// How many transactions of 1000 end unknown. Half of them take effect.
    pub info_per_mille: u64,
    /// How many transactions of 1000 fail.
    pub fail_per_mille: u64,
    /// Lists and appends, or registers and writes.
    pub lists: bool,
    /// What is wrong with the store.
    pub fault: Fault,
}

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: it is strictly serializable.
    None,
    /// Each transaction sees the state at its invocation and the writes of nobody else; of two that wrote the same, both are committed.
    LostUpdates,
    /// The same, but of two that wrote the same, the second fails: snapshot isolation, which allows write skew.
    WriteSkew,
    /// From some step on, a transaction sees the state of three commits ago, and its own writes.
    TornReads,
    /// One read of so many sees the state of some transactions ago.
    StaleReads(u64),
    /// What failed transactions wrote stays.
    KeepsAborted,
}

/// A history of this shape. A function of shape and seed alone. Linear time, but for the elements of lists.
pub fn transactions(shape: &Shape, seed: u64) -> History {
    let mut generator = Generator {
        random: SplitMix(seed),
        shape,
        history: History::new(),
        cells: Vec::new(),
        keys: Vec::new(),
        next_key: -1,
        next_value: 0,
    };
    for _ in 0..shape.keys {
        generator.new_key();
    }
    generator.run()
}

/// A list, or the last value of a register as a list of all.
#[derive(Debug, Default)]
struct Cell {
    /// Element, and the number of the commit that made it.
    versions: Vec<(Value, u64)>,
    asked: usize,
}

struct Generator<'a> {
    random: SplitMix,
    shape: &'a Shape,
    history: History,
    /// Of every key.
    cells: Vec<Cell>,
    /// Those in use.
    keys: Vec<Key>,
    next_key: i64,
    next_value: i64,
}

/// What one client is at.
enum Client {
    Idle,
    /// Its steps, and how many commits there had been when it asked.
    Open(Vec<Micro>, u64),
    /// It has taken effect.
    Done(Vec<Micro>),
    /// It has not, and will not.
    Lost,
}

impl Generator<'_> {
    fn run(mut self) -> History {
        let mut clients: Vec<(u64, Client)> = (0..)
            .map(|id| (id, Client::Idle))
            .take(self.shape.processes)
            .collect();
        let mut next_id = clients.len() as u64;
        let (mut invoked, mut time_ns, mut commits) = (0, 0, 0);
        while invoked < self.shape.transactions {
            time_ns += 1 + self.random.below(2_000_000);
            let client = self.random.index(clients.len());
            let (id, state) = &mut clients[client];
            let process = ProcessId(*id);
            let chance = self.random.below(1000);
            let (info, fail) = (self.shape.info_per_mille, self.shape.fail_per_mille);
            *state = match std::mem::replace(state, Client::Idle) {
                Client::Idle => {
                    let steps = self.steps();
                    self.history.invoke(time_ns, process, &steps).ok();
                    invoked += 1;
                    Client::Open(steps, commits)
                }
                Client::Open(steps, _) if chance < info => {
                    if self.random.below(2) == 0 {
                        commits += 1;
                        self.take_effect(steps, commits, commits);
                    }
                    self.history.info(time_ns, process).ok();
                    *id = next_id;
                    next_id += 1;
                    Client::Idle
                }
                Client::Open(steps, _) if chance < info + fail => {
                    if self.shape.fault == Fault::KeepsAborted {
                        commits += 1;
                        self.take_effect(steps, commits, commits);
                    }
                    Client::Lost
                }
                Client::Open(steps, asked) => {
                    let snapshot = match self.shape.fault {
                        Fault::LostUpdates | Fault::WriteSkew => asked,
                        _ => commits,
                    };
                    if self.shape.fault == Fault::WriteSkew && self.conflicts(&steps, snapshot) {
                        Client::Lost
                    } else {
                        commits += 1;
                        Client::Done(self.take_effect(steps, snapshot, commits))
                    }
                }
                Client::Done(steps) => {
                    self.history.ok(time_ns, process, &steps).ok();
                    Client::Idle
                }
                Client::Lost => {
                    self.history.fail(time_ns, process).ok();
                    Client::Idle
                }
            };
        }
        self.history
    }

    fn new_key(&mut self) -> Key {
        self.next_key += 1;
        let key = self.history.key(self.next_key);
        self.cells.push(Cell::default());
        self.keys.push(key);
        key
    }

    fn steps(&mut self) -> Vec<Micro> {
        let count = 1 + self.random.index(self.shape.steps_max);
        (0..count).map(|_| self.step()).collect()
    }

    fn step(&mut self) -> Micro {
        let index = self.random.index(self.keys.len());
        let key = self.keys[index];
        if self.random.below(2) == 0 {
            return if self.shape.lists {
                Micro::ReadList {
                    key,
                    elements: None,
                }
            } else {
                Micro::Read {
                    key,
                    seen: Seen::Unknown,
                }
            };
        }
        let cell = &mut self.cells[key.0 as usize];
        cell.asked += 1;
        if cell.asked == self.shape.writes_per_key {
            self.keys.swap_remove(index);
            self.new_key();
        }
        self.next_value += 1;
        let value = self.history.value(self.next_value);
        if self.shape.lists {
            Micro::Append {
                key,
                element: value,
            }
        } else {
            Micro::Write { key, value }
        }
    }

    /// Whether something that the steps write was written after the snapshot.
    fn conflicts(&self, steps: &[Micro], snapshot: u64) -> bool {
        steps.iter().any(|step| {
            let newest = self.cells[step.key().0 as usize].versions.last();
            let writes = matches!(step, Micro::Append { .. } | Micro::Write { .. });
            writes && newest.is_some_and(|(_, commit)| *commit > snapshot)
        })
    }

    /// Carries the steps out, and says what they saw.
    fn take_effect(&mut self, mut steps: Vec<Micro>, snapshot: u64, commit: u64) -> Vec<Micro> {
        // Torn reads see an old state from this step on.
        let torn = self.random.index(steps.len() + 1);
        for (index, step) in steps.iter_mut().enumerate() {
            let mut horizon = snapshot;
            match self.shape.fault {
                Fault::TornReads if index >= torn => horizon = snapshot.saturating_sub(3),
                Fault::StaleReads(one_in) if self.random.below(one_in) == 0 => {
                    horizon = snapshot.saturating_sub(1 + self.random.below(5));
                }
                _ => {}
            }
            let cell = &mut self.cells[step.key().0 as usize];
            let visible = |(_, made): &&(Value, u64)| *made <= horizon || *made == commit;
            match step {
                Micro::Append { element: value, .. } | Micro::Write { value, .. } => {
                    cell.versions.push((*value, commit));
                }
                Micro::ReadList { elements, .. } => {
                    let seen = cell.versions.iter().filter(visible);
                    let seen: Vec<Value> = seen.map(|(value, _)| *value).collect();
                    *elements = Some(self.history.list(seen));
                }
                Micro::Read { seen, .. } => {
                    let newest = cell.versions.iter().rev().find(visible);
                    *seen = newest.map_or(Seen::Nothing, |(value, _)| Seen::Value(*value));
                }
            }
        }
        steps
    }
}
