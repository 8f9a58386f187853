//! What clients did to the store, in the words of the checker's model.
//!
//! All answers have revisions, which say in which order the store did what it did, so that the check takes little more than
//! reading. Whatever changes the store must be in the history for that, and so must be what nobody asks for: that a lease runs
//! out. It is an operation of unknown outcome, possible from when its key was put.

use super::Service;
use splitbrain::check::models::transactional::{
    Action, Answer, Compare, Item, Op as Checked, Query, Relation, Ret as CheckedRet, Span, Target,
    Transaction,
};
use splitbrain::check::transactional::{self, Settings, Violation};
use splitbrain::check::{
    Budget, Event, History, Operation, Outcome, Part, ProcessId, Verdict, What, jsonl,
};
use splitbrain::protocol::{Contradiction, HistoryOf, Judgement};
use splitbrain_protocols::kv::{self, Key, KeyRange, LeaseId, Operand, Value};
use splitbrain_protocols::service::{Op, Ret};
use std::collections::BTreeMap;
use std::io;

/// Whether the operations on the store are strictly serializable, in the order of their revisions, and each stale read is right
/// at its revision.
pub(super) fn judge(history: &HistoryOf<Service>, budget_steps: u64) -> Judgement {
    if let Some((place, what)) = wrong_future(history) {
        return Judgement::Invalid {
            what,
            contradiction: Contradiction {
                operations: vec![place],
                mentioned: Vec::new(),
            },
        };
    }
    let part = checkable(history);
    let budget = Budget {
        steps: budget_steps,
    };
    let judgement = match transactional::check(&part.history, &Settings::default(), budget) {
        Ok(Verdict::Valid) => Judgement::Valid,
        Ok(Verdict::Unknown(reason)) => Judgement::Unknown(reason.to_string()),
        Ok(Verdict::Invalid(violation)) => Judgement::Invalid {
            what: violation.to_string(),
            contradiction: match &violation {
                Violation::NotLinearizable(why) | Violation::NotAnOldState(why) => why.into(),
                _ => Contradiction::default(),
            },
        },
        Err(error) => Judgement::Unknown(format!("the history makes no sense: {error}")),
    };
    judgement.in_whole(&part)
}

/// A read of a revision that was said to be to come, by a store that was there.
fn wrong_future(history: &HistoryOf<Service>) -> Option<(usize, String)> {
    let operations = history.operations().ok()?;
    let wrong = |operation: &Operation<&Op, &Ret>| match (operation.op, &operation.outcome) {
        (Op::Kv(kv::Op::Range(range)), Outcome::Ok(Ret::Kv(kv::Ret::Future(at)))) => {
            let asked = range.revision.filter(|asked| asked <= at)?;
            Some(format!(
                "revision {asked} was said to be to come, by a store that is at {at}"
            ))
        }
        _ => None,
    };
    let mut numbered = operations.iter().enumerate();
    numbered.find_map(|(place, operation)| Some((place, wrong(operation)?)))
}

pub(super) fn write(history: &HistoryOf<Service>, out: &mut dyn io::Write) -> io::Result<()> {
    jsonl::write(&checkable(history).history, out)
}

/// The processes to which leases that run out belong have the numbers from here on: no client has.
const NOBODY: u64 = 1 << 32;

/// The history as it is translated.
struct Translated {
    part: Part<Checked, CheckedRet>,
    /// The key that was put under each lease, and its value, which no other put has.
    leased: BTreeMap<LeaseId, (Key, Value)>,
    /// Whether the operation that each process is at, or was at last, is translated.
    is_in: BTreeMap<ProcessId, bool>,
}

fn checkable(history: &HistoryOf<Service>) -> Part<Checked, CheckedRet> {
    let mut translated = Translated {
        part: Part {
            history: History::new(),
            places: Vec::new(),
        },
        leased: BTreeMap::new(),
        is_in: BTreeMap::new(),
    };
    let mut place = 0;
    for event in history.events() {
        match &event.what {
            What::Invoke(op) => {
                translated.invoke(event.time_ns, event.process, op, place);
                place += 1;
            }
            what => {
                if translated.is_in.get(&event.process) == Some(&true) {
                    translated.complete(event.time_ns, event.process, what);
                }
            }
        }
    }
    translated.part
}

impl Translated {
    fn invoke(&mut self, time_ns: u64, process: ProcessId, op: &Op, place: usize) {
        let checked = match op {
            Op::Kv(kv::Op::LeaseRevoke { lease }) => {
                self.leased.get(lease).map(|(key, value)| ends(key, value))
            }
            Op::Kv(op) => checked(op),
            Op::Stale { read } => match action(read) {
                Some(Action::Read(query)) => Some(Checked::Stale(query)),
                _ => None,
            },
            Op::Hold { .. } | Op::Abandon { .. } | Op::Changes { .. } => None,
        };
        self.is_in.insert(process, checked.is_some());
        let Some(checked) = checked else {
            return;
        };
        self.part.history.invoke(time_ns, process, checked);
        self.part.places.push(place);
        if let Op::Kv(kv::Op::Put {
            key,
            value,
            lease: Some(lease),
            ..
        }) = op
        {
            let nobody = ProcessId(NOBODY + place as u64);
            self.part.history.invoke(time_ns, nobody, ends(key, value));
            self.part.places.push(place);
            self.leased.insert(*lease, (key.clone(), value.clone()));
        }
    }

    fn complete(&mut self, time_ns: u64, process: ProcessId, what: &What<Op, Ret>) {
        let what = match what {
            // It was not done, and never will be. What is to come was not read: asked for is what an earlier run had come to, if
            // this one is made of what it did.
            What::Ok(Ret::Kv(kv::Ret::Refused(_) | kv::Ret::Future(_))) | What::Fail => What::Fail,
            What::Ok(ret) => What::Ok(checked_ret(ret)),
            What::Info => What::Info,
            What::Invoke(_) => return,
        };
        self.part.history.push(Event {
            time_ns,
            process,
            what,
        });
    }
}

/// A lease ends: the key that was put under it is removed, if nobody has written it since.
fn ends(key: &Key, value: &Value) -> Checked {
    Checked::Transaction(Transaction {
        compare: vec![Compare {
            key: key.clone(),
            is: Relation::Equal,
            target: Target::Value(value.clone()),
        }],
        then: vec![Action::Delete { key: key.clone() }],
        otherwise: Vec::new(),
    })
}

fn checked(op: &kv::Op) -> Option<Checked> {
    match op {
        kv::Op::CompareAndSet {
            key,
            expected,
            value,
        } => Some(Checked::CompareAndSet {
            key: key.clone(),
            expected: expected.clone(),
            value: value.clone(),
        }),
        kv::Op::Transaction(transaction) => {
            let actions = |ops: &[kv::Op]| ops.iter().map(action).collect::<Option<Vec<_>>>();
            Some(Checked::Transaction(Transaction {
                compare: transaction
                    .compare
                    .iter()
                    .map(compare)
                    .collect::<Option<_>>()?,
                then: actions(&transaction.then)?,
                otherwise: actions(&transaction.otherwise)?,
            }))
        }
        kv::Op::Range(range) => match (range.revision, query(range)) {
            (Some(revision), query) => Some(Checked::At(query, revision.0)),
            (None, query) => Some(Checked::One(Action::Read(query))),
        },
        op => action(op).map(Checked::One),
    }
}

fn query(range: &kv::Range) -> Query {
    Query::Range {
        span: span(&range.keys),
        limit: range.limit.map(Into::into),
        count_only: range.shows == kv::Shows::Count,
    }
}

fn action(op: &kv::Op) -> Option<Action> {
    Some(match op {
        kv::Op::Get { key } => Action::Read(Query::Get { key: key.clone() }),
        // Of reads within others, none is of the past.
        kv::Op::Range(range) if range.revision.is_none() => Action::Read(query(range)),
        kv::Op::Put { key, value, .. } => Action::Put {
            key: key.clone(),
            value: value.clone(),
        },
        kv::Op::Delete { key } => Action::Delete { key: key.clone() },
        kv::Op::DeleteRange { keys, .. } => Action::DeleteRange(span(keys)),
        _ => return None,
    })
}

fn span(keys: &KeyRange) -> Span {
    match keys {
        KeyRange::Key(key) => Span {
            from: key.clone(),
            to: Some(format!("{key}\0").into()),
        },
        KeyRange::Prefix(prefix) => Span::prefix(prefix),
        KeyRange::From(from) => Span {
            from: from.clone(),
            to: None,
        },
        KeyRange::Between(from, to) => Span {
            from: from.clone(),
            to: Some(to.clone()),
        },
    }
}

fn compare(compare: &kv::Compare) -> Option<Compare> {
    let KeyRange::Key(key) = &compare.keys else {
        return None;
    };
    Some(Compare {
        key: key.clone(),
        is: match compare.is {
            kv::Relation::Equal => Relation::Equal,
            kv::Relation::NotEqual => Relation::NotEqual,
            kv::Relation::Greater => Relation::Greater,
            kv::Relation::Less => Relation::Less,
        },
        target: match &compare.to {
            Operand::Value(value) => Target::Value(value.clone()),
            Operand::Version(version) => Target::Version(*version),
            Operand::CreateRevision(_) | Operand::ModRevision(_) | Operand::Lease(_) => {
                return None;
            }
        },
    })
}

fn checked_ret(ret: &Ret) -> CheckedRet {
    let (revision, answer) = match ret {
        Ret::Kv(ret) => (revision(ret), answer(ret)),
        Ret::Stale(ret, revision) => (Some(*revision), answer(ret)),
        Ret::Held | Ret::Abandoned | Ret::Changes { .. } | Ret::Compacted(_) => {
            unreachable!("an answer to an operation that was left out")
        }
    };
    CheckedRet {
        revision: revision.map(|revision| revision.0),
        answer,
    }
}

/// The revision that an answer speaks of.
fn revision(ret: &kv::Ret) -> Option<kv::Revision> {
    match ret {
        kv::Ret::Put(put) => Some(put.revision),
        kv::Ret::Range(found) => Some(found.revision),
        kv::Ret::DeletedRange(deleted) => Some(deleted.revision),
        kv::Ret::Transaction(done) => Some(done.revision),
        kv::Ret::Revoked { revision, .. } => Some(*revision),
        _ => None,
    }
}

fn answer(ret: &kv::Ret) -> Answer {
    match ret {
        kv::Ret::Value(value) => Answer::Value(value.as_deref().map(Item::plain)),
        kv::Ret::Written | kv::Ret::Put(_) => Answer::Written,
        kv::Ret::Deleted(existed) => Answer::Deleted(u64::from(*existed)),
        kv::Ret::Swapped(swapped) => Answer::Swapped(*swapped),
        kv::Ret::Range(found) => Answer::Range {
            entries: found
                .keys
                .iter()
                .map(|found| (found.key.clone(), item(found)))
                .collect(),
            count: None,
        },
        kv::Ret::DeletedRange(deleted) => Answer::Deleted(deleted.deleted),
        kv::Ret::Transaction(done) => Answer::Transaction {
            succeeded: done.succeeded,
            answers: done.rets.iter().map(answer).collect(),
        },
        kv::Ret::Revoked { keys, .. } => Answer::Transaction {
            succeeded: *keys > 0,
            answers: vec![Answer::Deleted(1); usize::from(*keys > 0)],
        },
        kv::Ret::Compacted(_) => Answer::Compacted,
        // The store does not refuse what the model allows.
        refused => unreachable!("{refused} is no answer to an operation that is checked"),
    }
}

fn item(found: &kv::KeyValue) -> Item {
    Item {
        version: Some(found.version),
        create_revision: Some(found.create_revision.0),
        mod_revision: Some(found.mod_revision.0),
        ..Item::plain(&found.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use splitbrain_protocols::kv::Revision;
    use std::sync::Arc;

    /// A script that was made small asks for what the whole run had come to.
    #[test]
    fn a_revision_that_is_to_come_is_no_answer_and_none_that_was_there_is_to_come() {
        let read_at = |revision| {
            Op::Kv(kv::Op::Range(Arc::new(kv::Range {
                revision: Some(Revision(revision)),
                ..kv::Range::of(KeyRange::Key("x".into()))
            })))
        };
        let answered = |asked, at| {
            let mut history = History::new();
            let client = ProcessId(0);
            history.invoke(1, client, read_at(asked));
            history.ok(2, client, Ret::Kv(kv::Ret::Future(Revision(at))));
            history
        };
        assert_eq!(judge(&answered(9, 5), 1_000), Judgement::Valid);
        let mut written = Vec::new();
        write(&answered(9, 5), &mut written).unwrap();
        let written = String::from_utf8(written).unwrap();
        assert!(written.contains("fail"), "{written}");
        let Judgement::Invalid { what, .. } = judge(&answered(9, 9), 1_000) else {
            panic!("it was there")
        };
        assert!(what.contains("revision 9"), "{what}");
    }
}
