//! From records to a history, and to a verdict about it.

use super::dictionary::{Fail, Meaning};
use super::{Consistency, Demand, Known};
use super::{FormatErrorKind, Kind, Record, jsonl};
use crate::{
    Counterexample, Event, History, HistoryError, Outcome, Pairing, Point, ProcessId, Shown,
    Verdict, What,
};
use rustc_hash::FxHashMap;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;

/// A history that is being read, of a model that is known by its name.
pub trait Reading {
    /// Takes the next event.
    ///
    /// # Errors
    /// If the model has no such operation or answer, or if the event makes no sense after those before it.
    fn push(&mut self, record: &Record<'_>) -> Result<(), FormatErrorKind>;

    /// What the events were, in numbers.
    fn statistics(&self) -> Statistics;

    /// Whether the history is what is demanded of it.
    ///
    /// # Errors
    /// If that cannot be demanded of the model, or the history makes no sense, which [`Reading::push`] would have said.
    fn judge(&self, demand: &Demand) -> Result<Judgement, JudgeError>;

    /// All operations, as they are shown.
    fn bars(&self) -> Vec<Bar>;
}

/// A history that no verdict can be given on.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// It makes no sense.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// As a history of a store.
    #[error(transparent)]
    Store(#[from] crate::transactional::Error),
    /// As a history of transactions.
    #[error(transparent)]
    Transactions(#[from] crate::transactions::Unfit),
    /// It cannot be held to that.
    #[error("{model} cannot be held to {level}, but only to {}", names(.known))]
    Level {
        /// The name of the model.
        model: &'static str,
        /// What was demanded.
        level: Consistency,
        /// What can be.
        known: Vec<Consistency>,
    },
    /// It does not tell what became of something.
    #[error("the history cannot be judged: {0}")]
    Law(String),
    /// Nobody has said how many permits the semaphore has.
    #[error("the history does not say how many permits the semaphore has")]
    Permits,
}

fn names(known: &[Consistency]) -> String {
    let names: Vec<&str> = known.iter().map(|known| known.name()).collect();
    names.join(", ")
}

/// What became of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Whether it is what was demanded.
    pub verdict: Verdict<Wrong>,
    /// What it was held to.
    pub level: Consistency,
    /// The steps that the search took, if there is one that counts them.
    pub steps: Option<u64>,
}

/// What is wrong with a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// In words.
    pub what: String,
    /// The operations that contradict each other, where the checker tells: if there are several contradictions, those of the first.
    pub operations: Vec<Shown>,
    /// More about them, of histories that are not linearizable. Its operations are the same.
    pub counterexample: Option<Counterexample>,
}

/// A history in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Operations.
    pub operations: usize,
    /// Of these, how many were answered,
    pub ok: usize,
    /// did not happen,
    pub failed: usize,
    /// or have an unknown outcome.
    pub unknown: usize,
    /// Clients, each of which had one operation at a time.
    pub processes: usize,
    /// How many operations clients waited for at the same time, at most.
    pub concurrency_max: usize,
    /// Whether the file says when events happened. If not, an event is one millisecond.
    pub timed: bool,
}

/// An operation as it is shown: a bar from its invocation to its completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Whose.
    pub process: ProcessId,
    /// When it was invoked.
    pub invoked: Point,
    /// When it was completed; nothing if it never was.
    pub completed: Option<Point>,
    /// How it ended.
    pub outcome: Outcome<()>,
    /// What was asked for and answered.
    pub words: String,
    /// The keys it is about, in words, if the model has any.
    pub keys: Vec<String>,
}

/// What a history came to that was held to this.
pub(super) type Judge<Op, Ret> = fn(
    &History<Op, Ret>,
    Consistency,
    &Demand,
) -> Result<(Verdict<Wrong>, Option<u64>), JudgeError>;

/// A history of operations of one kind.
pub(super) struct Typed<Op, Ret> {
    known: &'static Known,
    fail: Fail,
    judge: Judge<Op, Ret>,
    bars: fn(&History<Op, Ret>) -> Vec<Bar>,
    history: History<Op, Ret>,
    pairing: Pairing,
    /// What each process does or did last: the index of the word.
    at: FxHashMap<ProcessId, u8>,
    time: Time,
}

/// When events are: as the file says, or a millisecond each if it says nothing.
#[derive(Debug, Default)]
pub(super) struct Time {
    pub(super) timed: bool,
    last_ns: u64,
}

impl Time {
    /// The time of the event with this number, of which the file says this.
    pub(super) fn of(&mut self, said: Option<u64>, event: usize) -> u64 {
        if event == 0 {
            self.timed = said.is_some();
        }
        match said {
            Some(time_ns) if self.timed => self.last_ns = time_ns,
            _ if self.timed => {}
            _ => self.last_ns = event as u64 * UNTIMED_NS,
        }
        self.last_ns
    }
}

/// What is shown where the file does not say when: so many nanoseconds an event.
const UNTIMED_NS: u64 = 1_000_000;

impl<Op, Ret> Typed<Op, Ret>
where
    Op: DeserializeOwned + 'static,
    Ret: DeserializeOwned + 'static,
{
    /// A history that is read as the operations of a model, and judged and shown like this.
    pub(super) fn begin(
        known: &'static Known,
        fail: Fail,
        judge: Judge<Op, Ret>,
        bars: fn(&History<Op, Ret>) -> Vec<Bar>,
    ) -> Box<dyn Reading> {
        Box::new(Typed {
            known,
            fail,
            judge,
            bars,
            history: History::new(),
            pairing: Pairing::default(),
            at: FxHashMap::default(),
            time: Time::default(),
        })
    }

    fn event(&mut self, record: &Record<'_>) -> Result<Event<Op, Ret>, String> {
        if record.native {
            return jsonl::typed(record).map_err(|error| error.to_string());
        }
        let name = record.f.as_deref().unwrap_or_default();
        let word = self.known.dictionary.word(name)?;
        if record.kind == Kind::Invoke {
            self.at.insert(record.process, word);
        } else if let Some(&asked) = self.at.get(&record.process)
            && asked != word
        {
            let asked = self.known.dictionary.words[usize::from(asked)].names[0];
            return Err(format!(
                "process {} asked for `{asked}`, and this is the end of `{name}`",
                record.process
            ));
        }
        let what = match self.known.dictionary.meaning(record, word, self.fail)? {
            Meaning::Invoke(op) => What::Invoke(op),
            Meaning::Ok(ret) => What::Ok(ret),
            Meaning::Fail => What::Fail,
            Meaning::Info => What::Info,
        };
        Ok(Event {
            time_ns: self.time.of(record.time_ns, self.history.len()),
            process: record.process,
            what,
        })
    }
}

impl<Op, Ret> Reading for Typed<Op, Ret>
where
    Op: DeserializeOwned + 'static,
    Ret: DeserializeOwned + 'static,
{
    fn push(&mut self, record: &Record<'_>) -> Result<(), FormatErrorKind> {
        let event = self.event(record).map_err(FormatErrorKind::Refused)?;
        let paired = self
            .pairing
            .next(self.history.len(), event.process, &event.what);
        paired.map_err(|error| {
            FormatErrorKind::Refused(format!("process {} {}", error.process, error.kind))
        })?;
        self.history.push(event);
        Ok(())
    }

    fn statistics(&self) -> Statistics {
        let mut statistics = Statistics {
            timed: self.time.timed,
            ..Statistics::default()
        };
        let mut open = 0;
        let mut processes = BTreeSet::new();
        for event in self.history.events() {
            processes.insert(event.process);
            match event.what {
                What::Invoke(_) => {
                    statistics.operations += 1;
                    open += 1;
                    statistics.concurrency_max = statistics.concurrency_max.max(open);
                    continue;
                }
                What::Ok(_) => statistics.ok += 1,
                What::Fail => statistics.failed += 1,
                What::Info => {}
            }
            open -= 1;
        }
        statistics.processes = processes.len();
        statistics.unknown = statistics.operations - statistics.ok - statistics.failed;
        statistics
    }

    fn judge(&self, demand: &Demand) -> Result<Judgement, JudgeError> {
        let level = demand.consistency(self.known.name, self.known.levels)?;
        let (verdict, steps) = (self.judge)(&self.history, level, demand)?;
        Ok(Judgement {
            verdict,
            level,
            steps,
        })
    }

    fn bars(&self) -> Vec<Bar> {
        (self.bars)(&self.history)
    }
}

/// The operations as bars, of which one is in these words and about these keys.
pub(super) fn bars<Op, Ret>(
    history: &History<Op, Ret>,
    words: impl Fn(&Op, Option<&Ret>) -> (String, Vec<String>),
) -> Vec<Bar> {
    // It was paired while it was read.
    let operations = history.operations().unwrap_or_default();
    let bars = operations.into_iter().map(|operation| {
        let (ret, outcome) = match operation.outcome {
            Outcome::Ok(ret) => (Some(ret), Outcome::Ok(())),
            Outcome::Fail => (None, Outcome::Fail),
            Outcome::Info => (None, Outcome::Info),
        };
        let (words, keys) = words(operation.op, ret);
        Bar {
            process: operation.process,
            invoked: operation.invoked,
            completed: operation.completed,
            outcome,
            words,
            keys,
        }
    });
    bars.collect()
}
