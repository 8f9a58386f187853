//! How histories of operations are judged and shown: one function for each kind of row of the [catalog](super::CATALOG).

use super::dictionary::Fail;
use super::plain::plain_bars;
use super::reading::{Bar, JudgeError, Reading, Typed, Wrong, bars};
use super::{Consistency, Demand, Known};
use crate::laws::{bank, counter, ids, log, queue, recency, set};
use crate::models::{semaphore, transactional};
use crate::transactions::Name;
use crate::{
    Footprint, History, Model, Outcome, Shown, Touched, Verdict, check_within, sequential,
};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

type Judged = Result<(Verdict<Wrong>, Option<u64>), JudgeError>;

/// Of a model that says what each operation does.
pub(super) fn model<M>(_: M, known: &'static Known, fail: Fail) -> Box<dyn Reading>
where
    M: Model + Default + 'static,
    M::Op: DeserializeOwned,
    M::Ret: DeserializeOwned,
{
    Typed::begin(
        known,
        fail,
        |history, level, demand| judge_model(&M::default(), history, level, demand),
        |history| model_bars(&M::default(), history),
    )
}

fn judge_model<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    level: Consistency,
    demand: &Demand,
) -> Judged {
    if level == Consistency::Sequential {
        let verdict = sequential::check(model, history, demand.budget)?;
        return Ok((in_words(verdict, |why| (why.next.clone(), None)), None));
    }
    let mut budget = demand.budget;
    let verdict = check_within(model, history, &mut budget)?;
    let steps = demand.budget.steps - budget.steps;
    let verdict = in_words(verdict, |why| (why.operations.clone(), Some(why.clone())));
    Ok((verdict, Some(steps)))
}

fn in_words<Why: fmt::Display>(
    verdict: Verdict<Why>,
    show: impl FnOnce(&Why) -> (Vec<Shown>, Option<crate::Counterexample>),
) -> Verdict<Wrong> {
    match verdict {
        Verdict::Valid => Verdict::Valid,
        Verdict::Unknown(reason) => Verdict::Unknown(reason),
        Verdict::Invalid(why) => {
            let (operations, counterexample) = show(&why);
            Verdict::Invalid(Wrong {
                what: why.to_string(),
                operations,
                counterexample,
            })
        }
    }
}

fn model_bars<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> Vec<Bar> {
    bars(history, |op, ret| {
        (model.describe(op, ret), keys(model.footprint(op)))
    })
}

fn keys<K: fmt::Display>(footprint: Footprint<'_, K>) -> Vec<String> {
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

/// Of a semaphore, of which somebody must say how many permits it has.
pub(super) fn semaphore(known: &'static Known, fail: Fail) -> Box<dyn Reading> {
    use semaphore::Semaphore;
    Typed::begin(
        known,
        fail,
        |history, level, demand| {
            let permits = demand.permits.ok_or(JudgeError::Permits)?;
            judge_model(&Semaphore { permits }, history, level, demand)
        },
        |history| model_bars(&Semaphore { permits: 0 }, history),
    )
}

/// Of a store with transactions, revisions and stale reads, whose history says what must be kept of it.
pub(super) fn store(known: &'static Known, fail: Fail) -> Box<dyn Reading> {
    use crate::transactional::{Settings, Violation, check};
    Typed::begin(
        known,
        fail,
        |history, _, demand| {
            let verdict = check(history, &Settings::default(), demand.budget)?;
            let verdict = in_words(verdict, |violation| match violation {
                Violation::NotLinearizable(why) | Violation::NotAnOldState(why) => {
                    (why.operations.clone(), Some(why.clone()))
                }
                _ => (Vec::new(), None),
            });
            Ok((verdict, None))
        },
        |history| model_bars(&transactional::Transactional::of(history, 1), history),
    )
}

pub(super) fn ids(known: &'static Known, fail: Fail) -> Box<dyn Reading> {
    let judge = |history: &_, _, _: &_| Ok(law(&ids::check(history)?, ids::Duplicate::operations));
    Typed::begin(known, fail, judge, plain_bars)
}

pub(super) fn counter(known: &'static Known, fail: Fail) -> Box<dyn Reading> {
    let judge = |history: &_, _, _: &_| {
        Ok(law(
            &counter::check(history)?,
            counter::OutOfBounds::operations,
        ))
    };
    Typed::begin(known, fail, judge, plain_bars)
}

pub(super) fn log(known: &'static Known, fail: Fail) -> Box<dyn Reading> {
    let judge = |history: &_, _, _: &_| Ok(law(&log::check(history)?, log::Violation::operations));
    Typed::begin(known, fail, judge, plain_bars)
}

pub(super) fn set(known: &'static Known, fail: Fail) -> Box<dyn Reading> {
    fn judge(history: &History<set::Op, set::Ret>, _: Consistency, _: &Demand) -> Judged {
        let found = set::check(history)?;
        match found
            .iter()
            .find(|found| matches!(found, set::Violation::AddedTwice { .. }))
        {
            Some(twice) => Err(JudgeError::Law(twice.to_string())),
            None => Ok(law(&found, set::Violation::operations)),
        }
    }
    Typed::begin(known, fail, judge, plain_bars)
}

/// What is in a queue at the end is lost if somebody drained it.
pub(super) fn queue(known: &'static Known, fail: Fail) -> Box<dyn Reading> {
    fn judge(history: &History<queue::Op, queue::Ret>, _: Consistency, _: &Demand) -> Judged {
        let operations = history.operations()?;
        let settings = queue::Settings {
            ordered: false,
            redelivers: false,
            drained: operations.iter().any(|operation| {
                *operation.op == queue::Op::Drain {} && matches!(operation.outcome, Outcome::Ok(_))
            }),
        };
        let found = queue::check(history, settings)?;
        let twice =
            |found: &&queue::Violation| matches!(found, queue::Violation::EnqueuedTwice { .. });
        match found.iter().find(twice) {
            Some(twice) => Err(JudgeError::Law(twice.to_string())),
            None => Ok(law(&found, queue::Violation::operations)),
        }
    }
    Typed::begin(known, fail, judge, plain_bars)
}

/// The history does not say what the bank is like: it has the accounts and the money that the first read shows, and nobody can be
/// overdrawn who was not so then.
pub(super) fn bank(known: &'static Known, fail: Fail) -> Box<dyn Reading> {
    fn judge(history: &History<bank::Op, bank::Ret>, _: Consistency, _: &Demand) -> Judged {
        let operations = history.operations()?;
        let first = operations
            .iter()
            .find_map(|operation| match operation.outcome {
                Outcome::Ok(ret) => ret.balances.as_ref(),
                _ => None,
            });
        let accounts: BTreeMap<Name, i64> = first.into_iter().flatten().cloned().collect();
        let negative = accounts.values().any(|balance| *balance < 0);
        let found = bank::check(history, &bank::Settings { accounts, negative })?;
        Ok(law(&found, bank::Violation::operations))
    }
    Typed::begin(known, fail, judge, plain_bars)
}

/// Any stale read is one too many: how many there are is said as well.
pub(super) fn recency(known: &'static Known, fail: Fail) -> Box<dyn Reading> {
    fn judge(history: &History<recency::Op, recency::Ret>, _: Consistency, _: &Demand) -> Judged {
        let settings = recency::Settings {
            stale_ns_max: 0,
            converged_after_ns: None,
        };
        let mut findings = recency::check(history, settings)?;
        let twice =
            |found: &&recency::Violation| matches!(found, recency::Violation::WrittenTwice { .. });
        if let Some(twice) = findings.violations.iter().find(twice) {
            return Err(JudgeError::Law(twice.to_string()));
        }
        let by = |found: &recency::Violation| match found {
            recency::Violation::TooStale(stale) => stale.by_ns,
            _ => u64::MAX,
        };
        findings
            .violations
            .sort_by_key(|found| std::cmp::Reverse(by(found)));
        let (mut verdict, steps) = law(&findings.violations, recency::Violation::operations);
        if let (Verdict::Invalid(wrong), Some(worst)) = (&mut verdict, &findings.worst) {
            let longest_ns = findings.stale_for_ns.values().max().copied().unwrap_or(0);
            let (by, long) = (worst.by_ns / 1_000_000, longest_ns / 1_000_000);
            wrong.what = format!(
                "{} of {} reads are stale, by {by} ms at most, and {long} ms long to the same process\n{}",
                findings.stale, findings.reads, wrong.what
            );
        }
        Ok((verdict, steps))
    }
    Typed::begin(known, fail, judge, plain_bars)
}

/// So many violations of a law are told.
const TOLD_MAX: usize = 20;

fn law<V: fmt::Display>(
    found: &[V],
    operations: fn(&V) -> Vec<&Shown>,
) -> (Verdict<Wrong>, Option<u64>) {
    let Some(first) = found.first() else {
        return (Verdict::Valid, None);
    };
    let told = found.iter().take(TOLD_MAX).map(V::to_string);
    let mut what = told.collect::<Vec<String>>().join("\n");
    if found.len() > TOLD_MAX {
        // Writing to memory cannot fail.
        let _ = write!(what, "\nand {} more", found.len() - TOLD_MAX);
    }
    let wrong = Wrong {
        what,
        operations: operations(first).into_iter().cloned().collect(),
        counterexample: None,
    };
    (Verdict::Invalid(wrong), None)
}
