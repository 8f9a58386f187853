//! Histories of transactions, from the steps that Elle and Jepsen write ([`transactions`](super::transactions)) to the checkers of
//! [`crate::transactions`].

use super::dictionary::{Dictionary, Fail};
use super::reading::{Bar, JudgeError, Reading, Statistics, Time, Wrong};
use super::transactions::{Step, steps};
use super::{FormatErrorKind, Kind, Record, Value};
use crate::transactions::{
    History, Level, Micro, Name, RegisterSettings, Report, Seen, Status, check_lists,
    check_registers,
};
use crate::{Budget, Outcome, Verdict};
use std::collections::BTreeSet;

/// What the transactions are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Lists,
    Registers,
}

/// A history that is being read.
pub(super) struct Transactions {
    dictionary: &'static Dictionary,
    over: Over,
    history: History,
    time: Time,
}

/// What a history is held to, as nobody says what the system promises: all that there is. What is ruled out is said of all levels.
const LEVEL: Level = Level::StrictSerializable;

impl Transactions {
    pub(super) fn begin(over: Over, dictionary: &'static Dictionary) -> Box<dyn Reading> {
        Box::new(Transactions {
            dictionary,
            over,
            history: History::new(),
            time: Time::default(),
        })
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
            (Step::Read { key, .. }, Over::Lists) if !answered => Micro::ReadList {
                key: history.key(name(key)),
                elements: None,
            },
            (Step::Read { key, seen }, Over::Lists) => {
                let none = Vec::new();
                let list = match seen {
                    Value::Nil => &none,
                    Value::List(list) => list,
                    other => return Err(refused("a list is read", other)),
                };
                let key = history.key(name(key));
                let elements: Vec<_> = list
                    .iter()
                    .map(|value| history.value(name(value)))
                    .collect();
                Micro::ReadList {
                    key,
                    elements: Some(history.list(elements)),
                }
            }
            (Step::Read { key, seen }, Over::Registers) => {
                let seen = match seen {
                    _ if !answered => Seen::Unknown,
                    Value::Nil => Seen::Nothing,
                    Value::List(_) => return Err(refused("a register is read", seen)),
                    value => Seen::Value(history.value(name(value))),
                };
                Micro::Read {
                    key: history.key(name(key)),
                    seen,
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

    fn report(&self, budget: Budget) -> Result<Report, JudgeError> {
        Ok(match self.over {
            Over::Lists => check_lists(&self.history, budget)?,
            Over::Registers => check_registers(&self.history, RegisterSettings::default(), budget)?,
        })
    }
}

impl Reading for Transactions {
    fn push(&mut self, record: &Record<'_>) -> Result<(), FormatErrorKind> {
        if record.native || !super::transactions::is_transaction(record) {
            let name = record.f.as_deref().unwrap_or_default();
            let model = self.dictionary.model;
            return Err(FormatErrorKind::Refused(format!(
                "{model} has no operation `{name}`, but only txn"
            )));
        }
        let time_ns = self.time.of(record.time_ns, self.history.event_count());
        let process = record.process;
        let mut micros = Vec::new();
        if matches!(record.kind, Kind::Invoke | Kind::Ok) {
            for step in steps(record)? {
                micros.push(self.micro(step, record.kind == Kind::Ok)?);
            }
        }
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

    fn judge(&self, budget: Budget) -> Result<Verdict<Wrong>, JudgeError> {
        let report = self.report(budget)?;
        Ok(match report.verdict(LEVEL) {
            Verdict::Valid => Verdict::Valid,
            Verdict::Unknown(reason) => Verdict::Unknown(reason),
            Verdict::Invalid(_) => Verdict::Invalid(Wrong {
                what: report.to_string(),
                counterexample: None,
            }),
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
pub(super) fn lists(dictionary: &'static Dictionary, _: Fail) -> Box<dyn Reading> {
    Transactions::begin(Over::Lists, dictionary)
}

/// The same of registers.
pub(super) fn registers(dictionary: &'static Dictionary, _: Fail) -> Box<dyn Reading> {
    Transactions::begin(Over::Registers, dictionary)
}
