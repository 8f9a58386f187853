//! Histories of transactions, from the steps that Elle and Jepsen write ([`transactions`](super::transactions)) to the checkers of
//! [`crate::transactions`]. A single read or write is a transaction of one step.

mod judge;

use super::dictionary::Fail;
use super::reading::{Bar, JudgeError, Judgement, Reading, Statistics, Time};
use super::transactions::{Step, is_transaction, plain, plain_answer, steps};
use super::{Demand, FormatErrorKind, Kind, Known, Record, Value};
use crate::transactions::{History, Key, Micro, Name, Seen, Status};
use crate::{Outcome, ProcessId};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;

/// What the transactions are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Lists,
    Registers,
}

/// A history that is being read.
pub(super) struct Transactions {
    known: &'static Known,
    over: Over,
    history: History,
    /// Of each process what it does or did last, if that was no transaction.
    plain: FxHashMap<ProcessId, Micro>,
    time: Time,
}

impl Transactions {
    pub(super) fn begin(over: Over, known: &'static Known) -> Box<dyn Reading> {
        Box::new(Transactions {
            known,
            over,
            history: History::new(),
            plain: FxHashMap::default(),
            time: Time::default(),
        })
    }

    /// The steps of an event, which is one of a transaction or of a single operation.
    fn micros(&mut self, record: &Record<'_>) -> Result<Vec<Micro>, FormatErrorKind> {
        let answered = record.kind == Kind::Ok;
        if is_transaction(record) {
            self.plain.remove(&record.process);
            if !matches!(record.kind, Kind::Invoke | Kind::Ok) {
                return Ok(Vec::new());
            }
            let steps = steps(record)?;
            return steps
                .into_iter()
                .map(|step| self.micro(step, answered))
                .collect();
        }
        if record.kind == Kind::Invoke {
            let name = record.f.as_deref().unwrap_or_default();
            let Some(step) = plain(record) else {
                let model = self.known.name;
                return Err(FormatErrorKind::Refused(format!(
                    "{model} has no operation `{name}`, but only txn, and single reads and writes"
                )));
            };
            let micro = self.micro(step.as_step(), false)?;
            self.plain.insert(record.process, micro);
            return Ok(vec![micro]);
        }
        // What it asked for: the end of an operation need not say it again. One that nobody began is refused by the history.
        match self.plain.get(&record.process) {
            Some(Micro::Read { key, .. } | Micro::ReadList { key, .. }) if answered => {
                let key = *key;
                Ok(vec![self.read(key, &plain_answer(record))?])
            }
            Some(asked) if answered => Ok(vec![*asked]),
            _ => Ok(Vec::new()),
        }
    }

    /// What was read.
    fn read(&mut self, key: Key, seen: &Value<'_>) -> Result<Micro, FormatErrorKind> {
        let history = &mut self.history;
        if self.over == Over::Registers {
            let seen = match seen {
                Value::Nil => Seen::Nothing,
                Value::List(_) => return Err(refused("a register is read", seen)),
                value => Seen::Value(history.value(name(value))),
            };
            return Ok(Micro::Read { key, seen });
        }
        let none = Vec::new();
        let list = match seen {
            Value::Nil => &none,
            Value::List(list) => list,
            other => return Err(refused("a list is read", other)),
        };
        let elements: Vec<_> = list
            .iter()
            .map(|value| history.value(name(value)))
            .collect();
        let elements = Some(history.list(elements));
        Ok(Micro::ReadList { key, elements })
    }

    /// A step, as the history has it. An answer says what was read; who asks does not know yet.
    fn micro(&mut self, step: Step<'_>, answered: bool) -> Result<Micro, FormatErrorKind> {
        let history = &mut self.history;
        Ok(match (step, self.over) {
            (Step::Append { key, element }, Over::Lists) => Micro::Append {
                key: history.key(name(key)),
                element: history.value(name(element)),
            },
            (Step::Write { key, value }, Over::Registers) => Micro::Write {
                key: history.key(name(key)),
                value: history.value(name(value)),
            },
            (Step::Read { key, seen }, over) => {
                let key = history.key(name(key));
                match over {
                    _ if answered => self.read(key, seen)?,
                    Over::Lists => Micro::ReadList {
                        key,
                        elements: None,
                    },
                    Over::Registers => Micro::Read {
                        key,
                        seen: Seen::Unknown,
                    },
                }
            }
            (Step::Append { key, .. }, Over::Registers) => {
                return Err(refused("registers are written with :w", key));
            }
            (Step::Write { key, .. }, Over::Lists) => {
                return Err(refused("lists are written with :append", key));
            }
        })
    }
}

impl Reading for Transactions {
    fn push(&mut self, record: &Record<'_>) -> Result<(), FormatErrorKind> {
        let time_ns = self.time.of(record.time_ns, self.history.event_count());
        let process = record.process;
        let micros = self.micros(record)?;
        let done = match record.kind {
            Kind::Invoke => self.history.invoke(time_ns, process, &micros),
            Kind::Ok => self.history.ok(time_ns, process, &micros),
            Kind::Fail => self.history.fail(time_ns, process),
            Kind::Info => self.history.info(time_ns, process),
        };
        done.map_err(|error| {
            FormatErrorKind::Refused(format!("process {} {}", error.process, error.kind))
        })
    }

    fn statistics(&self) -> Statistics {
        let mut statistics = Statistics {
            timed: self.time.timed,
            ..Statistics::default()
        };
        let mut processes = BTreeSet::new();
        let mut changes = vec![0_isize; self.history.event_count()];
        for transaction in self.history.transactions() {
            statistics.operations += 1;
            match transaction.status {
                Status::Ok => statistics.ok += 1,
                Status::Fail => statistics.failed += 1,
                Status::Info => statistics.unknown += 1,
            }
            processes.insert(transaction.process);
            changes[transaction.invoked.event] = 1;
            if let Some(point) = transaction.completed {
                changes[point.event] = -1;
            }
        }
        statistics.processes = processes.len();
        let open = changes.iter().scan(0, |open, change| {
            *open += change;
            Some(*open)
        });
        statistics.concurrency_max = open.max().unwrap_or(0).unsigned_abs();
        statistics
    }

    fn judge(&self, demand: &Demand) -> Result<Judgement, JudgeError> {
        let level = demand.consistency(self.known.name, self.known.levels)?;
        Ok(Judgement {
            verdict: judge::judge(&self.history, self.over, level, demand.budget)?,
            level,
            steps: None,
        })
    }

    fn bars(&self) -> Vec<Bar> {
        let history = &self.history;
        let bars = history.transactions().iter().map(|transaction| {
            let micros = history.micros(transaction);
            let words: Vec<String> = micros
                .iter()
                .map(|micro| history.micro_words(micro))
                .collect();
            let keys: BTreeSet<String> = micros
                .iter()
                .map(|micro| history.key_name(micro.key()).to_string())
                .collect();
            Bar {
                process: transaction.process,
                invoked: transaction.invoked,
                completed: transaction.completed,
                outcome: match transaction.status {
                    Status::Ok => Outcome::Ok(()),
                    Status::Fail => Outcome::Fail,
                    Status::Info => Outcome::Info,
                },
                words: words.join(", "),
                keys: keys.into_iter().collect(),
            }
        });
        bars.collect()
    }
}

fn refused(expected: &str, found: &Value<'_>) -> FormatErrorKind {
    let found = super::record::shortened(&found.to_string());
    FormatErrorKind::Refused(format!("{expected}, found {found}"))
}

/// What a file calls a key or a value.
fn name(value: &Value<'_>) -> Name {
    match value {
        Value::Integer(number) => Name::Number(*number),
        Value::Text(text) | Value::Keyword(text) | Value::Number(text) => Name::from(&**text),
        other => Name::from(&*other.to_string()),
    }
}

/// `:fail` of a transaction means that it was aborted, whoever says so.
pub(super) fn lists(known: &'static Known, _: Fail) -> Box<dyn Reading> {
    Transactions::begin(Over::Lists, known)
}

/// The same of registers.
pub(super) fn registers(known: &'static Known, _: Fail) -> Box<dyn Reading> {
    Transactions::begin(Over::Registers, known)
}
