//! What clients did to the store, in the words of the checker's model.

use super::Service;
use splitbrain::check::models::transactional::{
    Action, Answer, Compare, Item, Op as Checked, Query, Relation, Ret as CheckedRet, Span, Target,
    Transaction,
};
use splitbrain::check::transactional::{self, Settings, Violation};
use splitbrain::check::{Budget, Part, Verdict, jsonl};
use splitbrain::protocol::{Contradiction, HistoryOf, Judgement};
use splitbrain_protocols::kv::{self, KeyRange, Operand};
use splitbrain_protocols::service::{Op, Ret};
use std::io;

/// Whether the operations on the store are linearizable, and each stale read is right at some moment before it returned.
pub(super) fn judge(history: &HistoryOf<Service>, budget_steps: u64) -> Judgement {
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

pub(super) fn write(history: &HistoryOf<Service>, out: &mut dyn io::Write) -> io::Result<()> {
    jsonl::write(&checkable(history).history, out)
}

/// Operations on keys that go with no lease. The others also go when nobody asks for it, and are watched by invariants, as
/// watches are. Revisions count both, and are left out for that.
fn checkable(history: &HistoryOf<Service>) -> Part<Checked, CheckedRet> {
    let part = history.clone().only(|op| match op {
        Op::Kv(op) => checked(&op),
        Op::Stale { read } => match action(&read)? {
            Action::Read(query) => Some(Checked::Stale(query)),
            _ => None,
        },
        Op::Hold { .. } | Op::Abandon { .. } | Op::Changes { .. } => None,
    });
    part.map(|op| op, checked_ret)
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
        op => action(op).map(Checked::One),
    }
}

fn action(op: &kv::Op) -> Option<Action> {
    Some(match op {
        kv::Op::Get { key } => Action::Read(Query::Get { key: key.clone() }),
        kv::Op::Range(range) => Action::Read(Query::Range {
            span: span(&range.keys),
            limit: range.limit.map(Into::into),
            count_only: range.shows == kv::Shows::Count,
        }),
        kv::Op::Put {
            key,
            value,
            lease: None,
            ..
        } => Action::Put {
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

fn checked_ret(ret: Ret) -> CheckedRet {
    let answer = match ret {
        Ret::Kv(ret) | Ret::Stale(ret, _) => answer(&ret),
        Ret::Held | Ret::Abandoned | Ret::Changes { .. } | Ret::Compacted(_) => {
            unreachable!("an answer to an operation that was left out")
        }
    };
    CheckedRet {
        revision: None,
        answer,
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
                .map(|found| (found.key.clone(), Item::plain(&found.value)))
                .collect(),
            count: None,
        },
        kv::Ret::DeletedRange(deleted) => Answer::Deleted(deleted.deleted),
        kv::Ret::Transaction(done) => Answer::Transaction {
            succeeded: done.succeeded,
            answers: done.rets.iter().map(answer).collect(),
        },
        // The store does not refuse what the model allows.
        refused => unreachable!("{refused} is no answer to an operation that is checked"),
    }
}
