//! From records to a history of a model, and to a verdict about it.

use super::dictionary::{Dictionary, Fail, Meaning};
use super::{FormatErrorKind, Kind, Record, jsonl};
use crate::{
    Budget, Counterexample, Event, Footprint, History, HistoryError, Model, Outcome, Pairing,
    Point, ProcessId, Verdict, What, check,
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

    /// Whether the history satisfies the model.
    ///
    /// # Errors
    /// If it makes no sense, which [`Reading::push`] would have said.
    fn judge(&self, budget: Budget) -> Result<Verdict<Wrong>, JudgeError>;

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
}

/// What is wrong with a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// In words.
    pub what: String,
    /// The operations that contradict each other, where the checker tells.
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

type Judge<M> = fn(
    &M,
    &History<<M as Model>::Op, <M as Model>::Ret>,
    Budget,
) -> Result<Verdict<Wrong>, JudgeError>;

/// A history of one model.
pub(super) struct Typed<M: Model> {
    dictionary: &'static Dictionary,
    fail: Fail,
    model: fn(&History<M::Op, M::Ret>) -> M,
    judge: Judge<M>,
    history: History<M::Op, M::Ret>,
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

impl<M> Typed<M>
where
    M: Model + Copy + Default + 'static,
    M::Op: DeserializeOwned,
    M::Ret: DeserializeOwned,
{
    /// A history that is to be linearizable with respect to a model.
    pub(super) fn begin(_: M, dictionary: &'static Dictionary, fail: Fail) -> Box<dyn Reading> {
        Typed::with(dictionary, fail, linearizable::<M>, |_| M::default())
    }
}

impl<M> Typed<M>
where
    M: Model + 'static,
    M::Op: DeserializeOwned,
    M::Ret: DeserializeOwned,
{
    /// A history with a checker of its own.
    pub(super) fn with(
        dictionary: &'static Dictionary,
        fail: Fail,
        judge: Judge<M>,
        model: fn(&History<M::Op, M::Ret>) -> M,
    ) -> Box<dyn Reading> {
        Box::new(Typed {
            dictionary,
            fail,
            model,
            judge,
            history: History::new(),
            pairing: Pairing::default(),
            at: FxHashMap::default(),
            time: Time::default(),
        })
    }

    fn event(&mut self, record: &Record<'_>) -> Result<Event<M::Op, M::Ret>, String> {
        if record.native {
            return jsonl::typed(record).map_err(|error| error.to_string());
        }
        let name = record.f.as_deref().unwrap_or_default();
        let word = self.dictionary.word(name)?;
        if record.kind == Kind::Invoke {
            self.at.insert(record.process, word);
        } else if let Some(&asked) = self.at.get(&record.process)
            && asked != word
        {
            let asked = self.dictionary.words[usize::from(asked)].names[0];
            return Err(format!(
                "process {} asked for `{asked}`, and this is the end of `{name}`",
                record.process
            ));
        }
        let what = match self.dictionary.meaning(record, word, self.fail)? {
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

impl<M> Reading for Typed<M>
where
    M: Model + 'static,
    M::Op: DeserializeOwned,
    M::Ret: DeserializeOwned,
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

    fn judge(&self, budget: Budget) -> Result<Verdict<Wrong>, JudgeError> {
        let model = (self.model)(&self.history);
        (self.judge)(&model, &self.history, budget)
    }

    fn bars(&self) -> Vec<Bar> {
        let model = (self.model)(&self.history);
        // It was paired while it was read.
        let operations = self.history.operations().unwrap_or_default();
        let bars = operations.into_iter().map(|operation| {
            let (ret, outcome) = match operation.outcome {
                Outcome::Ok(ret) => (Some(ret), Outcome::Ok(())),
                Outcome::Fail => (None, Outcome::Fail),
                Outcome::Info => (None, Outcome::Info),
            };
            Bar {
                process: operation.process,
                invoked: operation.invoked,
                completed: operation.completed,
                outcome,
                words: model.describe(operation.op, ret),
                keys: keys(model.footprint(operation.op)),
            }
        });
        bars.collect()
    }
}

fn linearizable<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    budget: Budget,
) -> Result<Verdict<Wrong>, JudgeError> {
    Ok(match check(model, history, budget)? {
        Verdict::Valid => Verdict::Valid,
        Verdict::Invalid(why) => Verdict::Invalid(Wrong {
            what: why.to_string(),
            counterexample: Some(why),
        }),
        Verdict::Unknown(reason) => Verdict::Unknown(reason),
    })
}

fn keys<K: std::fmt::Display>(footprint: Footprint<'_, K>) -> Vec<String> {
    use crate::Touched;
    match footprint {
        Footprint::Whole => Vec::new(),
        Footprint::Key(key) => vec![key.to_string()],
        Footprint::Several(touched) => {
            let keys = touched.into_iter().map(|touched| match touched {
                Touched::Key(key) => key.to_string(),
                Touched::Range(from, Some(to)) => format!("{from}..{to}"),
                Touched::Range(from, None) => format!("{from}.."),
            });
            keys.collect()
        }
    }
}
