//! Brute force: whether some order of the committed transactions explains a small history, by trying all.

pub(crate) mod weak;

use splitbrain_check::transactions::{History, Micro, Seen, Status, Transaction, Value};

/// What is to be explained.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Criterion {
    /// One transaction after the other, in an order that agrees with that of each process, or with real time.
    Serial { sessions: bool, real_time: bool },
    /// Each transaction reads at one moment and writes at a later one, and nobody else writes the same between the two.
    Snapshot { real_time: bool },
}

/// Whether the history can be explained. Those of unknown outcome may have been committed or not.
pub(crate) fn possible(history: &History, criterion: Criterion) -> bool {
    let transactions = history.transactions();
    let unknown: Vec<usize> = (0..transactions.len())
        .filter(|index| transactions[*index].status == Status::Info)
        .collect();
    (0..1_u32 << unknown.len()).any(|mask| {
        let chosen = |index: &usize| match transactions[*index].status {
            Status::Ok => true,
            Status::Fail => false,
            Status::Info => {
                let bit = unknown.iter().position(|other| other == index);
                bit.is_some_and(|bit| mask >> bit & 1 == 1)
            }
        };
        let chosen: Vec<usize> = (0..transactions.len()).filter(chosen).collect();
        let mut search = Search {
            history,
            criterion,
            chosen,
            commits: Vec::new(),
            started: Vec::new(),
        };
        search.run()
    })
}

struct Search<'a> {
    history: &'a History,
    criterion: Criterion,
    chosen: Vec<usize>,
    /// The transactions that took effect, in order.
    commits: Vec<usize>,
    /// Those that read but have not written yet, with how many commits they see.
    started: Vec<(usize, usize)>,
}

impl Search<'_> {
    fn run(&mut self) -> bool {
        if self.commits.len() == self.chosen.len() {
            return true;
        }
        for index in self.chosen.clone() {
            if self.commits.contains(&index) {
                continue;
            }
            let began = self.started.iter().position(|(other, _)| *other == index);
            if let Criterion::Serial { .. } = self.criterion {
                if self.may_start(index) && self.reads_right(index, self.commits.len()) {
                    self.commits.push(index);
                    if self.run() {
                        return true;
                    }
                    self.commits.pop();
                }
                continue;
            }
            match began {
                None => {
                    if self.may_start(index) && self.reads_right(index, self.commits.len()) {
                        self.started.push((index, self.commits.len()));
                        if self.run() {
                            return true;
                        }
                        self.started.pop();
                    }
                }
                Some(place) => {
                    let (_, snapshot) = self.started[place];
                    let clash = |other: &usize| self.both_write(index, *other);
                    if self.commits[snapshot..].iter().any(clash) {
                        continue;
                    }
                    let entry = self.started.remove(place);
                    self.commits.push(index);
                    if self.run() {
                        return true;
                    }
                    self.commits.pop();
                    self.started.insert(place, entry);
                }
            }
        }
        false
    }

    fn transaction(&self, index: usize) -> &Transaction {
        &self.history.transactions()[index]
    }

    /// Whether everything that must be before it has taken effect.
    fn may_start(&self, index: usize) -> bool {
        let this = self.transaction(index);
        let must_be_before = |other: &usize| {
            let other = self.transaction(*other);
            let earlier = other.status == Status::Ok
                && other
                    .completed
                    .is_some_and(|at| at.event < this.invoked.event);
            let same = other.process == this.process && other.invoked.event < this.invoked.event;
            match self.criterion {
                Criterion::Serial {
                    sessions,
                    real_time,
                } => sessions && same || real_time && earlier,
                Criterion::Snapshot { real_time } => real_time && earlier,
            }
        };
        let mut before = self.chosen.iter().filter(|other| must_be_before(other));
        before.all(|other| self.commits.contains(other))
    }

    fn writes(&self, index: usize) -> Vec<(u32, Value)> {
        let micros = self.history.micros(self.transaction(index)).iter();
        let writes = micros.filter_map(|micro| match *micro {
            Micro::Append {
                key,
                element: value,
            }
            | Micro::Write { key, value } => Some((key.0, value)),
            _ => None,
        });
        writes.collect()
    }

    fn both_write(&self, one: usize, other: usize) -> bool {
        let other = self.writes(other);
        let one = self.writes(one);
        one.iter()
            .any(|(key, _)| other.iter().any(|(also, _)| key == also))
    }

    /// Whether all reads are right if the transaction sees what so many commits made, and its own writes.
    fn reads_right(&self, index: usize, commits: usize) -> bool {
        let transaction = self.transaction(index);
        if transaction.status != Status::Ok {
            return true;
        }
        let mut own: Vec<(u32, Value)> = Vec::new();
        let before: Vec<(u32, Value)> = self.commits[..commits]
            .iter()
            .flat_map(|other| self.writes(*other))
            .collect();
        for micro in self.history.micros(transaction) {
            let key = micro.key().0;
            let all = before.iter().chain(&own);
            let mine: Vec<Value> = all.filter(|(of, _)| *of == key).map(|(_, v)| *v).collect();
            let right = match *micro {
                Micro::Append { element: value, .. } | Micro::Write { value, .. } => {
                    own.push((key, value));
                    true
                }
                Micro::ReadList { elements, .. } => {
                    elements.is_some_and(|list| self.history.elements(list) == mine)
                }
                Micro::Read { seen, .. } => match seen {
                    Seen::Unknown => true,
                    Seen::Nothing => mine.is_empty(),
                    Seen::Value(value) => mine.last() == Some(&value),
                },
            };
            if !right {
                return false;
            }
        }
        true
    }
}
