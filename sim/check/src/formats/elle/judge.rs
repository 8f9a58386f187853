//! What a history of transactions came to.

use super::super::{Consistency, JudgeError, Wrong};
use super::Over;
use crate::transactions::{
    Anomaly, History, Level, Order, RegisterSettings, Report, SessionViolation, WeakViolation,
    check_lists, check_registers, check_session, check_weak,
};
use crate::{Budget, Shown, Verdict};

pub(super) fn judge(
    history: &History,
    over: Over,
    level: Consistency,
    budget: Budget,
) -> Result<Verdict<Wrong>, JudgeError> {
    Ok(match (level, over) {
        (Consistency::Weak(level), _) => wrong(check_weak(history, level)?, |why| of_weak(&why)),
        (Consistency::Session(guarantee), _) => {
            wrong(check_session(history, guarantee)?, |why| of_session(&why))
        }
        (Consistency::Transactions(level), Over::Lists) => {
            of_level(&check_lists(history, budget)?, level)
        }
        (Consistency::Transactions(level), Over::Registers) => registers(history, level, budget)?,
        // What is no level of transactions is not one of the row.
        (Consistency::Linearizable | Consistency::Sequential | Consistency::Law, _) => {
            Verdict::Valid
        }
    })
}

/// First with what nearly every database promises, so that what is ruled out is so for everybody. Where that rules out nothing, with
/// all that the level itself implies of the order in which a register had its values.
fn registers(
    history: &History,
    level: Level,
    budget: Budget,
) -> Result<Verdict<Wrong>, JudgeError> {
    let usual = RegisterSettings {
        writes_follow_reads: level >= Level::ReadCommitted,
        ..RegisterSettings::default()
    };
    let verdict = of_level(&check_registers(history, usual, budget)?, level);
    if verdict != Verdict::Valid || level.order() == Order::Data {
        return Ok(verdict);
    }
    let implied = RegisterSettings {
        sequential_keys: true,
        linearizable_keys: level.order() == Order::RealTime,
        ..usual
    };
    let report = check_registers(history, implied, budget)?;
    Ok(wrong(report.verdict(level), |anomalies| {
        let lines: Vec<String> = anomalies.iter().map(Anomaly::to_string).collect();
        let each = if level.order() == Order::RealTime {
            "is linearizable"
        } else {
            "is sequentially consistent"
        };
        Wrong {
            what: format!(
                "ruled out: {level}, as it implies that each register alone {each}\n{}",
                lines.join("\n")
            ),
            operations: of_first(&anomalies),
            counterexample: None,
        }
    }))
}

fn of_level(report: &Report, level: Level) -> Verdict<Wrong> {
    wrong(report.verdict(level), |anomalies| Wrong {
        what: report.to_string(),
        operations: of_first(&anomalies),
        counterexample: None,
    })
}

fn of_first(anomalies: &[Anomaly]) -> Vec<Shown> {
    let mut first = anomalies.iter().map(Anomaly::transactions);
    let first = first.find(|transactions| !transactions.is_empty());
    first.into_iter().flatten().cloned().collect()
}

fn of_weak(violation: &WeakViolation) -> Wrong {
    let operations = match violation {
        WeakViolation::Reads(report) => of_first(&report.anomalies),
        WeakViolation::Circle { steps, .. } => {
            steps.iter().map(|step| step.transaction.clone()).collect()
        }
        WeakViolation::InitialRead { read, write, .. } => vec![write.clone(), read.clone()],
    };
    Wrong {
        what: violation.to_string(),
        operations,
        counterexample: None,
    }
}

fn of_session(violation: &SessionViolation) -> Wrong {
    let mut operations: Vec<Shown> = Vec::new();
    for transaction in violation.steps.iter().flat_map(|step| &step.transactions) {
        if !operations.contains(transaction) {
            operations.push(transaction.clone());
        }
    }
    Wrong {
        what: violation.to_string(),
        operations,
        counterexample: None,
    }
}

fn wrong<Why>(verdict: Verdict<Why>, put: impl FnOnce(Why) -> Wrong) -> Verdict<Wrong> {
    match verdict {
        Verdict::Valid => Verdict::Valid,
        Verdict::Unknown(reason) => Verdict::Unknown(reason),
        Verdict::Invalid(why) => Verdict::Invalid(put(why)),
    }
}
