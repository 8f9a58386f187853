//! A counter: what is read lies between what must have been added by then, and what may have been (the law of Jepsen's `counter`).

use super::{done, show};
use crate::{History, HistoryError, Outcome, Shown};
use serde::{Deserialize, Serialize};

/// An operation. In JSON: `{"f":"add","amount":1}` answers `{}`; `{"f":"read"}` answers `{"value":1}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "f", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Adds, or takes away if negative.
    Add {
        /// How much.
        amount: i64,
    },
    /// Reads.
    Read {},
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ret {
    /// To [`Op::Read`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<i64>,
}

/// A read out of bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is not between {least} and {greatest}", .read.words)]
pub struct OutOfBounds {
    /// Which.
    pub read: Shown,
    /// The least that it may have been.
    pub least: i128,
    /// The greatest that it may have been.
    pub greatest: i128,
}

impl OutOfBounds {
    /// The operations that show it, in the order of its words.
    pub fn operations(&self) -> Vec<&Shown> {
        vec![&self.read]
    }
}

/// An amount at an event.
struct Change {
    event: usize,
    amount: i128,
}

/// What was added before each event, as sums of the changes before it.
struct Sums(Vec<Change>);

impl Sums {
    fn new(mut changes: Vec<Change>) -> Sums {
        changes.sort_by_key(|change| change.event);
        let mut sum = 0;
        for change in &mut changes {
            sum += change.amount;
            change.amount = sum;
        }
        Sums(changes)
    }

    fn before(&self, event: usize) -> i128 {
        let until = self.0.partition_point(|change| change.event < event);
        until.checked_sub(1).map_or(0, |last| self.0[last].amount)
    }
}

/// All reads that are out of bounds. The counter is 0 at first.
///
/// # Errors
/// If the history makes no sense.
pub fn check(history: &History<Op, Ret>) -> Result<Vec<OutOfBounds>, HistoryError> {
    let operations = history.operations()?;
    // By sign: of those that may have happened, from when they were asked for; of those that have, from when that was known.
    let (mut asked, mut known) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for operation in &operations {
        let (Op::Add { amount }, false) = (operation.op, operation.outcome == Outcome::Fail) else {
            continue;
        };
        let (sign, amount) = (usize::from(*amount < 0), i128::from(*amount));
        let event = operation.invoked.event;
        asked[sign].push(Change { event, amount });
        if let Some(event) = done(operation) {
            known[sign].push(Change { event, amount });
        }
    }
    let (asked, known) = (asked.map(Sums::new), known.map(Sums::new));
    let mut found = Vec::new();
    for (index, operation) in operations.iter().enumerate() {
        let (Outcome::Ok(Ret { value: Some(value) }), Some(completed)) =
            (operation.outcome, operation.completed)
        else {
            continue;
        };
        let (from, to) = (operation.invoked.event, completed.event);
        let greatest = asked[0].before(to) + known[1].before(from);
        let least = known[0].before(from) + asked[1].before(to);
        if !(least..=greatest).contains(&i128::from(*value)) {
            found.push(OutOfBounds {
                read: show(index, &format!("read -> {value}"), operation),
                least,
                greatest,
            });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProcessId;

    const NONE: Ret = Ret { value: None };

    /// +5 for certain, then -2 and +10 open, +100 failed, then a read of this.
    fn reads(value: i64) -> usize {
        let mut history = History::new();
        let [p, q, r, s] = [0, 1, 2, 3].map(ProcessId);
        history.invoke(0, p, Op::Add { amount: 5 });
        history.ok(1, p, NONE);
        history.invoke(2, q, Op::Add { amount: -2 });
        history.invoke(3, r, Op::Add { amount: 10 });
        history.invoke(4, p, Op::Add { amount: 100 });
        history.invoke(5, s, Op::Read {});
        history.ok(6, s, Ret { value: Some(value) });
        history.fail(7, p);
        history.invoke(8, p, Op::Add { amount: 1000 });
        history.ok(9, p, NONE);
        history.info(10, q);
        check(&history).unwrap().len()
    }

    #[test]
    fn a_read_lies_between_what_must_and_what_may_have_been_added() {
        for good in [3, 5, 13, 15] {
            assert_eq!(reads(good), 0, "{good}");
        }
        for bad in [2, 16, 105] {
            assert_eq!(reads(bad), 1, "{bad}");
        }
    }

    #[test]
    fn sums_do_not_overflow() {
        let mut history = History::new();
        for time in 0..4 {
            history.invoke(2 * time, ProcessId(0), Op::Add { amount: i64::MAX });
            history.ok(2 * time + 1, ProcessId(0), NONE);
        }
        history.invoke(9, ProcessId(0), Op::Read {});
        history.ok(10, ProcessId(0), Ret { value: Some(-4) });
        let found = check(&history).unwrap();
        assert_eq!(found[0].least, 4 * i128::from(i64::MAX));
    }
}
