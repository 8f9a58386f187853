//! Append-only logs with offsets, as Kafka and Redpanda have them: the laws of Jepsen's `kafka` workload.
//!
//! A record is sent to the log of a key and gets an offset there; offsets grow, and may have gaps. Whoever polls gets records from where he
//! was on. What is known of a log is all that was sent with an offset, and all that was polled.

use super::show;
use crate::transactions::Name;
use crate::{History, HistoryError, Operation, Outcome, ProcessId, Shown};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An operation. In JSON: `{"f":"send","key":"x","value":1}` answers `{"offset":7}`, or `{}` if the offset is not known;
/// `{"f":"poll"}` answers `{"records":[{"key":"x","offset":7,"value":1}]}`; `{"f":"assign"}` answers `{}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "f", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Sends a record. Each value at most once.
    Send {
        /// To which log.
        key: Name,
        /// What.
        value: Name,
    },
    /// Takes the next records.
    Poll {},
    /// Is assigned logs anew, or subscribes: the next poll may start anywhere.
    Assign {},
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ret {
    /// To [`Op::Send`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// To [`Op::Poll`]: those of one key in the order in which they came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<Record>,
}

/// A record of a log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Of which log.
    pub key: Name,
    /// Where in it.
    pub offset: u64,
    /// What.
    pub value: Name,
}

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Two values at the same offset.
    #[error("{key} has {first_value} at {offset} by {}, and {second_value} by {}", .first.words, .second.words)]
    InconsistentOffset {
        /// Of which log.
        key: Name,
        /// Where.
        offset: u64,
        /// One.
        first_value: Name,
        /// Who said so first.
        first: Shown,
        /// The other.
        second_value: Name,
        /// Who said that.
        second: Shown,
    },
    /// A value at two offsets.
    #[error("{key} has {value} at {first_offset} by {}, and at {second_offset} by {}", .first.words, .second.words)]
    Duplicate {
        /// Of which log.
        key: Name,
        /// What.
        value: Name,
        /// One.
        first_offset: u64,
        /// Who said so first.
        first: Shown,
        /// The other.
        second_offset: u64,
        /// Who said that.
        second: Shown,
    },
    /// A confirmed record that nobody ever got, though others got later ones.
    #[error("{value} of {key} at {offset} is lost: {} was confirmed, nobody polled it, and {} got {later}", .send.words, .poll.words)]
    Lost {
        /// Of which log.
        key: Name,
        /// What.
        value: Name,
        /// Where.
        offset: u64,
        /// How it was sent.
        send: Shown,
        /// The greatest offset that was polled.
        later: u64,
        /// By whom.
        poll: Shown,
    },
    /// A record that nobody had sent, or whose sending failed.
    #[error("{} got {value} of {key} at {offset}, which nobody sent", .poll.words)]
    Unexpected {
        /// Of which log.
        key: Name,
        /// What.
        value: Name,
        /// Where.
        offset: u64,
        /// Who got it.
        poll: Shown,
    },
    /// A process went back.
    #[error("{} got {offset} of {key} after {before}", .poll.words)]
    Reordered {
        /// Of which log.
        key: Name,
        /// What it got.
        offset: u64,
        /// What it had got before, in this poll or an earlier one.
        before: u64,
        /// Who got it.
        poll: Shown,
    },
    /// A process was not given a record that there is.
    #[error("{} got {offset} of {key} after {before}, without {value} at {skipped}", .poll.words)]
    Skipped {
        /// Of which log.
        key: Name,
        /// What it got.
        offset: u64,
        /// What it had got before.
        before: u64,
        /// The first record between the two.
        skipped: u64,
        /// Its value.
        value: Name,
        /// Who got it.
        poll: Shown,
    },
    /// What a process sent later came earlier.
    #[error("{key}: {} got {offset}, but the process had got {before} for an earlier one", .send.words)]
    SentOutOfOrder {
        /// Of which log.
        key: Name,
        /// Which offset it got.
        offset: u64,
        /// Which it had got before.
        before: u64,
        /// Who sent it.
        send: Shown,
    },
}

impl Violation {
    /// The operations that show it, in the order of its words.
    pub fn operations(&self) -> Vec<&Shown> {
        match self {
            Violation::InconsistentOffset { first, second, .. }
            | Violation::Duplicate { first, second, .. } => vec![first, second],
            Violation::Lost { send, poll, .. } => vec![send, poll],
            Violation::Unexpected { poll, .. }
            | Violation::Reordered { poll, .. }
            | Violation::Skipped { poll, .. } => vec![poll],
            Violation::SentOutOfOrder { send, .. } => vec![send],
        }
    }
}

type Operations<'a> = [Operation<&'a Op, &'a Ret>];

/// What is known of one log.
#[derive(Default)]
struct Log<'a> {
    /// By offset: what is there, and who said so first.
    records: BTreeMap<u64, (&'a Name, usize)>,
    /// By value: where it is, and who said so first.
    offsets: BTreeMap<&'a Name, (u64, usize)>,
    /// By value: who asked to send it, unless that failed.
    sent: BTreeMap<&'a Name, usize>,
    /// What was polled, with who got it first.
    polled: BTreeMap<u64, usize>,
}

/// Everything that is wrong: first with offsets, then with what each process did, then what was lost.
///
/// Time: O(n log n) for n records that were sent or polled.
///
/// # Errors
/// If the history makes no sense.
pub fn check(history: &History<Op, Ret>) -> Result<Vec<Violation>, HistoryError> {
    let operations = history.operations()?;
    let mut logs: BTreeMap<&Name, Log<'_>> = BTreeMap::new();
    let mut found = Vec::new();
    for (index, operation) in operations.iter().enumerate() {
        if let (Op::Send { key, value }, false) = (operation.op, operation.outcome == Outcome::Fail)
        {
            logs.entry(key)
                .or_default()
                .sent
                .entry(value)
                .or_insert(index);
        }
    }
    for (index, operation) in operations.iter().enumerate() {
        let Outcome::Ok(ret) = operation.outcome else {
            continue;
        };
        if let (Op::Send { key, value }, Some(offset)) = (operation.op, ret.offset) {
            let log = logs.entry(key).or_default();
            known(&operations, log, (key, offset, value), index, &mut found);
        }
        for record in &ret.records {
            let Record { key, offset, value } = record;
            let log = logs.entry(key).or_default();
            log.polled.entry(*offset).or_insert(index);
            known(&operations, log, (key, *offset, value), index, &mut found);
            let completed = operation.completed.map_or(0, |at| at.event);
            let sent = log.sent.get(value);
            if sent.is_none_or(|sent| operations[*sent].invoked.event > completed) {
                found.push(Violation::Unexpected {
                    key: key.clone(),
                    value: value.clone(),
                    offset: *offset,
                    poll: shown(&operations, index),
                });
            }
        }
    }
    processes(&operations, &logs, &mut found);
    for (key, log) in &logs {
        lost(&operations, key, log, &mut found);
    }
    Ok(found)
}

/// Somebody says that a value is at an offset.
fn known<'a>(
    operations: &Operations<'a>,
    log: &mut Log<'a>,
    (key, offset, value): (&'a Name, u64, &'a Name),
    index: usize,
    found: &mut Vec<Violation>,
) {
    let (first_value, first) = *log.records.entry(offset).or_insert((value, index));
    if first_value != value {
        found.push(Violation::InconsistentOffset {
            key: key.clone(),
            offset,
            first_value: first_value.clone(),
            first: shown(operations, first),
            second_value: value.clone(),
            second: shown(operations, index),
        });
    }
    let (first_offset, first) = *log.offsets.entry(value).or_insert((offset, index));
    if first_offset != offset {
        found.push(Violation::Duplicate {
            key: key.clone(),
            value: value.clone(),
            first_offset,
            first: shown(operations, first),
            second_offset: offset,
            second: shown(operations, index),
        });
    }
}

/// What each process got and sent, in its order.
fn processes<'a>(
    operations: &Operations<'a>,
    logs: &BTreeMap<&'a Name, Log<'a>>,
    found: &mut Vec<Violation>,
) {
    let mut polled: BTreeMap<ProcessId, BTreeMap<&Name, u64>> = BTreeMap::new();
    let mut sent: BTreeMap<(ProcessId, &Name), u64> = BTreeMap::new();
    for (index, operation) in operations.iter().enumerate() {
        let process = operation.process;
        if let Op::Assign {} = operation.op {
            polled.remove(&process);
        }
        let Outcome::Ok(ret) = operation.outcome else {
            continue;
        };
        if let (Op::Send { key, .. }, Some(offset)) = (operation.op, ret.offset)
            && let Some(before) = sent.insert((process, key), offset)
            && before >= offset
        {
            found.push(Violation::SentOutOfOrder {
                key: key.clone(),
                offset,
                before,
                send: shown(operations, index),
            });
        }
        for Record { key, offset, .. } in &ret.records {
            let positions = polled.entry(process).or_default();
            let Some(before) = positions.insert(key, *offset) else {
                continue;
            };
            if before >= *offset {
                found.push(Violation::Reordered {
                    key: key.clone(),
                    offset: *offset,
                    before,
                    poll: shown(operations, index),
                });
                continue;
            }
            let between = logs
                .get(key)
                .and_then(|log| log.records.range(before + 1..*offset).next());
            if let Some((skipped, (value, _))) = between {
                found.push(Violation::Skipped {
                    key: key.clone(),
                    offset: *offset,
                    before,
                    skipped: *skipped,
                    value: (*value).clone(),
                    poll: shown(operations, index),
                });
            }
        }
    }
}

fn lost(operations: &Operations<'_>, key: &Name, log: &Log<'_>, found: &mut Vec<Violation>) {
    let Some((later, poll)) = log.polled.last_key_value() else {
        return;
    };
    for (offset, (value, _)) in log.records.range(..*later) {
        if log.polled.contains_key(offset) {
            continue;
        }
        // It is known by its sending, then.
        let Some(send) = log.sent.get(value) else {
            continue;
        };
        found.push(Violation::Lost {
            key: key.clone(),
            value: (*value).clone(),
            offset: *offset,
            send: shown(operations, *send),
            later: *later,
            poll: shown(operations, *poll),
        });
    }
}

fn shown(operations: &Operations<'_>, index: usize) -> Shown {
    let operation = &operations[index];
    let what = match (operation.op, operation.outcome) {
        (
            Op::Send { key, value },
            Outcome::Ok(Ret {
                offset: Some(offset),
                ..
            }),
        ) => format!("send {value} to {key} -> {offset}"),
        (Op::Send { key, value }, _) => format!("send {value} to {key}"),
        (Op::Poll {}, Outcome::Ok(ret)) => format!("poll of {} records", ret.records.len()),
        (Op::Poll {}, _) => "poll".to_owned(),
        (Op::Assign {}, _) => "assign".to_owned(),
    };
    show(index, &what, operation)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Operations one after the other: process and `+1@5` (sent 1, got 5), `+1` (sent, no offset), `?1` (unknown), `!1` (failed), `=` (assigned), or
    /// what was polled, `1@5 2@6`.
    fn found(operations: &[(u64, &str)]) -> Vec<String> {
        let mut history = History::new();
        let key = || Name::from("x");
        for (time, (process, text)) in (0..).zip(operations) {
            let (time, process) = (2 * time, ProcessId(*process));
            let (kind, rest) = text.split_at(usize::from(!text.is_empty()));
            let (value, offset) = match rest.split_once('@') {
                Some((value, offset)) => (value, offset.parse().ok()),
                None => (rest, None),
            };
            let send = || Op::Send {
                key: key(),
                value: Name::Number(value.parse().unwrap()),
            };
            let sent = Ret {
                offset,
                ..Ret::default()
            };
            match kind {
                "+" | "?" | "!" => history.invoke(time, process, send()),
                "=" => history.invoke(time, process, Op::Assign {}),
                _ => history.invoke(time, process, Op::Poll {}),
            }
            match kind {
                "+" => history.ok(time + 1, process, sent),
                "?" => history.info(time + 1, process),
                "!" => history.fail(time + 1, process),
                "=" => history.ok(time + 1, process, Ret::default()),
                _ => {
                    let records = text.split_whitespace().map(|record| {
                        let (value, offset) = record.split_once('@').unwrap();
                        Record {
                            key: key(),
                            offset: offset.parse().unwrap(),
                            value: Name::Number(value.parse().unwrap()),
                        }
                    });
                    let records = records.collect();
                    history.ok(
                        time + 1,
                        process,
                        Ret {
                            offset: None,
                            records,
                        },
                    );
                }
            }
        }
        let found = check(&history).unwrap();
        let words = found.iter().map(|violation| format!("{violation:?}"));
        words
            .map(|words| words.split(' ').next().unwrap_or_default().to_owned())
            .collect()
    }

    #[test]
    fn a_good_log() {
        let good = [
            (0, "+1@5"),
            (0, "+2@7"),
            (1, "1@5"),
            (1, "2@7"),
            (2, "1@5 2@7"),
        ];
        assert_eq!(found(&good), [""; 0]);
        // Nobody has come so far yet.
        assert_eq!(found(&[(0, "+1@5"), (0, "+2@6"), (1, "1@5")]), [""; 0]);
        // Unknown ones may be there or not, and come whenever.
        assert_eq!(found(&[(0, "?1"), (1, "+2@6"), (2, "2@6 1@8")]), [""; 0]);
    }

    #[test]
    fn offsets_and_values_belong_together() {
        let bad = [(0, "+1@5"), (1, "+2@6"), (2, "2@5")];
        assert_eq!(found(&bad)[..2], ["InconsistentOffset", "Duplicate"]);
        assert_eq!(found(&[(0, "+1"), (2, "1@5 1@6")]), ["Duplicate"]);
    }

    #[test]
    fn what_was_sent_is_polled() {
        let lost = [
            (0, "+1@5"),
            (0, "+2@6"),
            (0, "+3@7"),
            (1, "1@5 3@7"),
            (2, "1@5"),
        ];
        assert_eq!(found(&lost), ["Skipped", "Lost"]);
        let skipped = [
            (0, "+1@5"),
            (0, "+2@6"),
            (0, "+3@7"),
            (1, "1@5 3@7"),
            (2, "1@5 2@6"),
        ];
        assert_eq!(found(&skipped), ["Skipped"]);
        assert_eq!(found(&[(0, "!1"), (1, "1@5")]), ["Unexpected"]);
        assert_eq!(found(&[(1, "1@5"), (0, "+1@5")]), ["Unexpected"]);
    }

    #[test]
    fn nobody_goes_back() {
        let sends = [(0, "+1@5"), (0, "+2@6")];
        let polls = |polls: &[(u64, &'static str)]| found(&[&sends, polls].concat());
        assert_eq!(polls(&[(1, "1@5 2@6"), (1, "1@5")]), ["Reordered"]);
        assert_eq!(polls(&[(1, "2@6 1@5")]), ["Reordered"]);
        assert_eq!(polls(&[(1, "1@5 2@6"), (1, "="), (1, "1@5")]), [""; 0]);
        assert_eq!(found(&[(0, "+1@6"), (0, "+2@5")]), ["SentOutOfOrder"]);
        assert_eq!(found(&[(0, "+1@6"), (1, "+2@5")]), [""; 0]);
    }
}
