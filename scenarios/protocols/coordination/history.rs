//! What clients saw: tokens that grow, queues that are queues, and barriers at which parties wait. Beside it: what they are told of
//! each other (`known.rs`), and of configurations (`configurations.rs`).

use super::{Coordination, configurations, known};
use serde::Serialize;
use splitbrain::check::lock::{self, Kind, Mode};
use splitbrain::check::{History, Operation, Outcome, jsonl};
use splitbrain::protocol::{Contradiction, HistoryOf, Judgement};
use splitbrain_protocols::coordination::{How, Name, Op, Ret};
use splitbrain_protocols::kv::Value;
use std::collections::BTreeMap;
use std::io;

/// Whether tokens are unique and grow, each queue gives what was put into it once, in order, parties wait at barriers, and whoever asks
/// is told of those who are in, and of all that was set.
pub(super) fn judge(history: &HistoryOf<Coordination>) -> Judgement {
    let operations = match history.operations() {
        Ok(operations) => operations,
        Err(error) => return Judgement::Unknown(format!("the history makes no sense: {error}")),
    };
    let locks = tokens(history);
    let all = locks
        .and_then(|()| queues(&operations))
        .and_then(|()| barriers(&operations))
        .and_then(|()| known::check(&operations))
        .and_then(|()| configurations::check(&operations));
    match all {
        Ok(()) => Judgement::Valid,
        Err((what, operations)) => Judgement::Invalid {
            what,
            contradiction: Contradiction {
                operations,
                mentioned: Vec::new(),
            },
        },
    }
}

/// An answer as it is written: `{"answer":"out"}`.
#[derive(Serialize)]
struct WrittenRet {
    answer: Ret,
}

pub(super) fn write(history: &HistoryOf<Coordination>, out: &mut dyn io::Write) -> io::Result<()> {
    let written = history.clone().map(|op| op, |answer| WrittenRet { answer });
    jsonl::write(&written, out)
}

/// What contradicts each other: in words, and which operations.
pub(super) type Contradicts = (String, Vec<usize>);

/// Tokens of locks and elections. That more hold one than may at the same time, clients that are paused cannot help; what is
/// relied on is for invariants.
fn tokens(history: &HistoryOf<Coordination>) -> Result<(), Contradicts> {
    let acquire = |lock: Name, how: How| lock::Op::Acquire {
        lock,
        mode: match how {
            How::Shared => Mode::Shared,
            How::Exclusive | How::Permit(_) | How::Member => Mode::Exclusive,
        },
    };
    let part = history.clone().only(|op| match op {
        Op::Acquire { lock, how, .. } => Some(acquire(lock, how)),
        Op::Campaign { election, .. } => Some(acquire(election, How::Exclusive)),
        Op::Release { lock } | Op::Resign { election: lock } => Some(lock::Op::Release { lock }),
        _ => None,
    });
    let seen: History<lock::Op, lock::Ret> = part.history.map(
        |op| op,
        |ret| lock::Ret {
            token: match ret {
                Ret::In { token } => Some(token.0),
                _ => None,
            },
        },
    );
    // Of a history that makes sense, a part does.
    let events = lock::events(&seen).map_err(|error| (error.to_string(), Vec::new()))?;
    let findings = lock::check(Kind::Mutex, &events, &[]);
    match findings.fencing.first() {
        Some(violation) => Err((violation.to_string(), Vec::new())),
        None => Ok(()),
    }
}

pub(super) type Operations<'a> = [Operation<&'a Op, &'a Ret>];

/// What is known of an element of a queue: the places of its operations.
struct Element<'a> {
    value: &'a Value,
    enqueued: usize,
    dequeued: Option<usize>,
}

fn queues(operations: &Operations<'_>) -> Result<(), Contradicts> {
    let mut queues: BTreeMap<&Name, Vec<usize>> = BTreeMap::new();
    for (place, operation) in operations.iter().enumerate() {
        if let Op::Enqueue { queue, .. } | Op::Dequeue { queue } = operation.op {
            queues.entry(queue).or_default().push(place);
        }
    }
    for (queue, places) in queues {
        check_queue(operations, &places)
            .map_err(|(what, places)| (format!("{queue}: {what}"), places))?;
    }
    Ok(())
}

fn check_queue(operations: &Operations<'_>, places: &[usize]) -> Result<(), Contradicts> {
    let mut elements: BTreeMap<&Value, Element<'_>> = BTreeMap::new();
    for &place in places {
        if let Op::Enqueue { value, .. } = operations[place].op {
            let element = Element {
                value,
                enqueued: place,
                dequeued: None,
            };
            elements.insert(value, element);
        }
    }
    let mut empty = Vec::new();
    for &place in places {
        let Outcome::Ok(Ret::Dequeued(found)) = &operations[place].outcome else {
            continue;
        };
        let Some(value) = found else {
            empty.push(place);
            continue;
        };
        let Some(element) = elements.get_mut(value) else {
            return Err((
                format!("{value} was never put in, and taken out"),
                vec![place],
            ));
        };
        if before(operations, place, element.enqueued) {
            return Err((
                format!("{value} was taken out before it was put in"),
                vec![element.enqueued, place],
            ));
        }
        if let Some(first) = element.dequeued.replace(place) {
            return Err((format!("{value} was taken out twice"), vec![first, place]));
        }
    }
    let taken: Vec<&Element<'_>> = elements
        .values()
        .filter(|element| element.dequeued.is_some())
        .collect();
    for element in &taken {
        let Some(dequeued) = element.dequeued else {
            continue;
        };
        // It was in the queue all the time.
        if let Some(nothing) = empty.iter().find(|&&nothing| {
            before(operations, element.enqueued, nothing) && before(operations, nothing, dequeued)
        }) {
            let what = format!(
                "the queue was found empty while {} was in it",
                element.value
            );
            return Err((what, vec![element.enqueued, *nothing, dequeued]));
        }
        let overtakes = |other: &&&Element<'_>| {
            before(operations, element.enqueued, other.enqueued)
                && other
                    .dequeued
                    .is_some_and(|other| before(operations, other, dequeued))
        };
        if let Some(other) = taken.iter().find(overtakes) {
            let what = format!("{} overtook {}", other.value, element.value);
            return Err((what, vec![element.enqueued, other.enqueued, dequeued]));
        }
    }
    Ok(())
}

/// Whether nobody passed a barrier before enough others had come who may have been there still.
fn barriers(operations: &Operations<'_>) -> Result<(), Contradicts> {
    let entered = |place: usize| match operations[place].op {
        Op::EnterBarrier {
            barrier, parties, ..
        } => Some((barrier, parties.get())),
        _ => None,
    };
    // Who came, and when it certainly had gone.
    let mut came: BTreeMap<&Name, Vec<(usize, Option<usize>)>> = BTreeMap::new();
    for (place, operation) in operations.iter().enumerate() {
        if let Some((barrier, _)) = entered(place) {
            came.entry(barrier).or_default().push((place, None));
        }
        if let Op::LeaveBarrier { barrier, .. } = operation.op {
            let came = came.entry(barrier).or_default().iter_mut().rev();
            let mut own = came.filter(|(place, _)| operations[*place].process == operation.process);
            if let Some((_, gone)) = own.next() {
                *gone = Some(place);
            }
        }
    }
    for (barrier, came) in &came {
        for (place, _) in came {
            let (Outcome::Ok(_), Some(passed)) =
                (operations[*place].outcome, operations[*place].completed)
            else {
                continue;
            };
            let others = came.iter().filter(|(other, gone)| {
                other != place
                    && operations[*other].invoked.event < passed.event
                    && gone.is_none_or(|gone| !before(operations, gone, *place))
            });
            let (there, parties) = (
                1 + others.count() as u64,
                entered(*place).map_or(0, |(_, parties)| parties),
            );
            if there < parties {
                let what =
                    format!("{barrier} was passed by one of {parties}, when {there} had come");
                return Err((what, vec![*place]));
            }
        }
    }
    Ok(())
}

/// Whether one had ended, and certainly was done, before the other began.
pub(super) fn before(operations: &Operations<'_>, first: usize, then: usize) -> bool {
    let (first, then) = (&operations[first], &operations[then]);
    match (first.outcome, first.completed) {
        (Outcome::Ok(_), Some(completed)) => completed.event < then.invoked.event,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use splitbrain::check::ProcessId;
    use splitbrain_protocols::kv::Revision;

    #[derive(Clone, Copy)]
    enum Did {
        In(&'static str),
        Out(Option<&'static str>),
        Lock(u64),
        Enter,
    }

    /// One operation after the other.
    fn judged(all: &[Did]) -> Judgement {
        let mut history = History::new();
        for (nth, did) in all.iter().enumerate() {
            let queue: Name = "q1".into();
            let (op, ret) = match did {
                Did::In(value) => (
                    Op::Enqueue {
                        queue,
                        value: (*value).into(),
                    },
                    Ret::Written,
                ),
                Did::Out(found) => (Op::Dequeue { queue }, Ret::Dequeued(found.map(Into::into))),
                Did::Enter => (
                    Op::EnterBarrier {
                        barrier: "b1".into(),
                        parties: std::num::NonZeroU64::MIN.saturating_add(1),
                        wait_ms: 1,
                    },
                    Ret::In { token: Revision(1) },
                ),
                Did::Lock(token) => (
                    Op::Acquire {
                        lock: "l1".into(),
                        how: How::Exclusive,
                        wait_ms: 1,
                    },
                    Ret::In {
                        token: Revision(*token),
                    },
                ),
            };
            let (at, process) = (10 * nth as u64, ProcessId(nth as u64 % 2));
            history.invoke(at, process, op);
            history.ok(at + 5, process, ret);
        }
        judge(&history)
    }

    fn why(all: &[Did]) -> String {
        match judged(all) {
            Judgement::Invalid { what, .. } => what,
            other => panic!("expected a contradiction, found {other:?}"),
        }
    }

    #[test]
    fn a_queue_that_is_none_is_found() {
        use Did::{In, Out};
        let good = [In("a"), In("b"), Out(Some("a")), Out(Some("b")), Out(None)];
        assert_eq!(judged(&good), Judgement::Valid);
        // Nobody has taken it yet.
        assert_eq!(judged(&[In("a"), Out(None)]), Judgement::Valid);
        assert_eq!(
            why(&[In("a"), Out(Some("a")), Out(Some("a"))]),
            "q1: a was taken out twice"
        );
        assert_eq!(
            why(&[In("a"), In("b"), Out(Some("b")), Out(Some("a"))]),
            "q1: b overtook a"
        );
        assert_eq!(
            why(&[In("a"), Out(None), Out(Some("a"))]),
            "q1: the queue was found empty while a was in it"
        );
        assert!(why(&[Out(Some("a")), In("a")]).contains("before it was put in"));
        assert!(why(&[Out(Some("c"))]).contains("never put in"));
    }

    #[test]
    fn a_barrier_that_is_passed_alone_is_found() {
        let alone = "b1 was passed by one of 2, when 1 had come";
        assert_eq!(why(&[Did::Enter, Did::Enter]), alone);
        // Both have gone when the next one comes, by whom they are not waited for.
        let mut history = History::new();
        let [p, q] = [ProcessId(0), ProcessId(1)];
        let barrier: Name = "b1".into();
        let enter = Op::EnterBarrier {
            barrier: barrier.clone(),
            parties: std::num::NonZeroU64::MIN.saturating_add(1),
            wait_ms: 1,
        };
        for (at, process) in [(1, p), (2, q)] {
            history.invoke(at, process, enter.clone());
        }
        for (at, process) in [(3, p), (4, q)] {
            history.ok(at, process, Ret::In { token: Revision(1) });
        }
        assert_eq!(judge(&history), Judgement::Valid);
        let leave = Op::LeaveBarrier {
            barrier,
            wait_ms: 1,
        };
        for (at, process) in [(5, p), (7, q)] {
            history.invoke(at, process, leave.clone());
            history.ok(at + 1, process, Ret::Out);
        }
        history.invoke(9, p, enter);
        history.ok(10, p, Ret::In { token: Revision(2) });
        assert!(matches!(judge(&history), Judgement::Invalid { .. }));
    }

    #[test]
    fn a_token_that_is_not_greater_is_found() {
        let grows = [Did::Lock(3), Did::Lock(5)];
        assert_eq!(judged(&grows), Judgement::Valid);
        assert!(why(&[Did::Lock(5), Did::Lock(3)]).contains("got token 3"));
        assert!(why(&[Did::Lock(5), Did::Lock(5)]).contains("token 5"));
    }
}
