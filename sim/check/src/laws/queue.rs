//! A queue of distinct elements: what goes in comes out, once (the law of Jepsen's `total-queue`), and first in first out.
//!
//! Order and emptiness are checked by the patterns of Henzinger, Sezgin & Vafeiadis, "Aspect-oriented linearizability proofs", CONCUR
//! 2013: an element that certainly went in before another and came out after it, and an answer that the queue is empty while an element was
//! certainly inside. A history without any may still not be linearizable, for the emptiness of a queue can take several elements to refute.

use super::show;
use crate::transactions::Name;
use crate::{History, HistoryError, Operation, Outcome, Shown};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An operation. In JSON: `{"f":"enqueue","element":1}` answers `{}`; `{"f":"dequeue"}` answers `{"element":1}`, or `{}` if the queue is
/// empty; `{"f":"drain"}` answers `{"elements":[1,2]}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "f", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Puts an element at the end.
    Enqueue {
        /// Which.
        element: Name,
    },
    /// Takes the first element.
    Dequeue {},
    /// Takes all elements, at whatever moments while it goes on.
    Drain {},
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ret {
    /// To [`Op::Dequeue`]: what was taken; nothing if the queue was empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element: Option<Name>,
    /// To [`Op::Drain`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elements: Option<Vec<Name>>,
}

/// What the queue is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether elements come out in the order in which they went in.
    pub ordered: bool,
    /// Whether an element may come out more than once.
    pub redelivers: bool,
    /// Whether the history ends with an empty queue, so that what has not come out is lost.
    pub drained: bool,
}

/// What is wrong with a queue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// What went in did not come out.
    #[error("{element} is lost: {} was confirmed, and it never came out", .enqueue.words)]
    Lost {
        /// Which.
        element: Name,
        /// How it went in.
        enqueue: Shown,
    },
    /// What went in once came out twice.
    #[error("{element} came out twice: by {} and by {}", .first.words, .second.words)]
    Duplicate {
        /// Which.
        element: Name,
        /// One.
        first: Shown,
        /// The other.
        second: Shown,
    },
    /// What came out had not gone in.
    #[error("{element} came out by {}, and had not gone in", .dequeue.words)]
    Unexpected {
        /// Which.
        element: Name,
        /// How it came out.
        dequeue: Shown,
    },
    /// What went in first came out last.
    #[error("{} was complete before {}, but {} was complete before {first} came out", .first_in.words, .second_in.words, .second_out.words)]
    Reordered {
        /// What came out too late, or never.
        first: Name,
        /// How it went in.
        first_in: Shown,
        /// How the other went in.
        second_in: Shown,
        /// How the other came out.
        second_out: Shown,
    },
    /// The queue was not empty.
    #[error("{} found nothing, but {element} was inside since {}", .dequeue.words, .enqueue.words)]
    NotEmpty {
        /// What was inside all the time.
        element: Name,
        /// How it had gone in.
        enqueue: Shown,
        /// Who found nothing.
        dequeue: Shown,
    },
    /// An element was enqueued twice, so that nobody can tell what became of it. The history is at fault, not the queue.
    #[error("{element} was enqueued twice: by {} and by {}", .first.words, .second.words)]
    EnqueuedTwice {
        /// Which.
        element: Name,
        /// One.
        first: Shown,
        /// The other.
        second: Shown,
    },
}

impl Violation {
    /// The operations that show it, in the order of its words.
    pub fn operations(&self) -> Vec<&Shown> {
        match self {
            Violation::Lost { enqueue, .. } => vec![enqueue],
            Violation::Duplicate { first, second, .. }
            | Violation::EnqueuedTwice { first, second, .. } => vec![first, second],
            Violation::Unexpected { dequeue, .. } => vec![dequeue],
            Violation::Reordered {
                first_in,
                second_in,
                second_out,
                ..
            } => vec![first_in, second_in, second_out],
            Violation::NotEmpty {
                enqueue, dequeue, ..
            } => vec![enqueue, dequeue],
        }
    }
}

/// When an element went in and came out.
struct Passage<'a> {
    element: &'a Name,
    enqueue: usize,
    /// The event at which it was asked for.
    asked: usize,
    /// The event from which on it was certainly inside or out; never if nobody knows.
    inside: usize,
    /// The event before which it was certainly not out; never if it did not come out.
    leaving: usize,
    /// The event at which it was certainly out; never if it did not come out.
    out: usize,
    dequeue: Option<usize>,
}

const NEVER: usize = usize::MAX;

type Operations<'a> = [Operation<&'a Op, &'a Ret>];

/// Everything that is wrong. Each element that comes out too late is named once.
///
/// # Errors
/// If the history makes no sense.
pub fn check(
    history: &History<Op, Ret>,
    settings: Settings,
) -> Result<Vec<Violation>, HistoryError> {
    let operations = history.operations()?;
    let mut found = Vec::new();
    let mut passages = enqueued(&operations, &mut found);
    dequeued(&operations, settings, &mut passages, &mut found);
    // Somebody whose answer nobody knows may have taken anything.
    let anybody = operations.iter().any(|operation| {
        let takes = !matches!(operation.op, Op::Enqueue { .. });
        takes && operation.outcome == Outcome::Info
    });
    if settings.drained && !anybody {
        for passage in passages.values() {
            if passage.dequeue.is_none() && passage.inside != NEVER {
                found.push(Violation::Lost {
                    element: passage.element.clone(),
                    enqueue: shown(&operations, passage.enqueue),
                });
            }
        }
    }
    let passages = passages.into_values();
    let known = |passage: &Passage<'_>| passage.dequeue.is_some() || !anybody;
    let passages: Vec<Passage<'_>> = passages.filter(known).collect();
    if settings.ordered {
        reordered(&operations, &passages, &mut found);
    }
    if !settings.redelivers {
        not_empty(&operations, &passages, &mut found);
    }
    Ok(found)
}

fn enqueued<'a>(
    operations: &Operations<'a>,
    found: &mut Vec<Violation>,
) -> BTreeMap<&'a Name, Passage<'a>> {
    let mut passages: BTreeMap<&Name, Passage<'_>> = BTreeMap::new();
    for (index, operation) in operations.iter().enumerate() {
        let (Op::Enqueue { element }, false) = (operation.op, operation.outcome == Outcome::Fail)
        else {
            continue;
        };
        if let Some(first) = passages.get(element) {
            found.push(Violation::EnqueuedTwice {
                element: element.clone(),
                first: shown(operations, first.enqueue),
                second: shown(operations, index),
            });
            continue;
        }
        let passage = Passage {
            element,
            enqueue: index,
            asked: operation.invoked.event,
            inside: super::done(operation).unwrap_or(NEVER),
            leaving: NEVER,
            out: NEVER,
            dequeue: None,
        };
        passages.insert(element, passage);
    }
    passages
}

fn dequeued<'a>(
    operations: &Operations<'a>,
    settings: Settings,
    passages: &mut BTreeMap<&'a Name, Passage<'a>>,
    found: &mut Vec<Violation>,
) {
    for (index, operation) in operations.iter().enumerate() {
        let (Outcome::Ok(ret), Some(completed)) = (operation.outcome, operation.completed) else {
            continue;
        };
        for element in ret.element.iter().chain(ret.elements.iter().flatten()) {
            let passage = passages.get_mut(element);
            let Some(passage) = passage.filter(|p| p.asked < completed.event) else {
                found.push(Violation::Unexpected {
                    element: element.clone(),
                    dequeue: shown(operations, index),
                });
                continue;
            };
            if let Some(first) = passage.dequeue {
                if !settings.redelivers {
                    found.push(Violation::Duplicate {
                        element: element.clone(),
                        first: shown(operations, first),
                        second: shown(operations, index),
                    });
                }
                continue;
            }
            passage.dequeue = Some(index);
            passage.leaving = operation.invoked.event;
            passage.out = completed.event;
            // It was inside by then, whatever its enqueue says.
            passage.inside = passage.inside.min(completed.event);
        }
    }
}

/// Each element against the one that came out last of those that had certainly gone in before it was asked for.
fn reordered(operations: &Operations<'_>, passages: &[Passage<'_>], found: &mut Vec<Violation>) {
    let mut by_inside: Vec<&Passage<'_>> = passages.iter().filter(|p| p.inside != NEVER).collect();
    by_inside.sort_by_key(|passage| passage.inside);
    let mut by_asked: Vec<&Passage<'_>> = passages.iter().filter(|p| p.out != NEVER).collect();
    by_asked.sort_by_key(|passage| passage.asked);
    let mut inside = by_inside.into_iter().peekable();
    let mut latest: Option<&Passage<'_>> = None;
    let mut named = Vec::new();
    for second in by_asked {
        while let Some(passage) = inside.next_if(|passage| passage.inside < second.asked) {
            if latest.is_none_or(|latest| latest.leaving < passage.leaving) {
                latest = Some(passage);
            }
        }
        let Some(first) = latest.filter(|first| second.out < first.leaving) else {
            continue;
        };
        let Some(dequeue) = second.dequeue else {
            continue;
        };
        if named.last() != Some(&first.enqueue) {
            named.push(first.enqueue);
            found.push(Violation::Reordered {
                first: first.element.clone(),
                first_in: shown(operations, first.enqueue),
                second_in: shown(operations, second.enqueue),
                second_out: shown(operations, dequeue),
            });
        }
    }
}

/// Each answer that there is nothing against the one that came out last of those that had certainly gone in before it was asked for.
fn not_empty(operations: &Operations<'_>, passages: &[Passage<'_>], found: &mut Vec<Violation>) {
    let mut by_inside: Vec<&Passage<'_>> = passages.iter().filter(|p| p.inside != NEVER).collect();
    by_inside.sort_by_key(|passage| passage.inside);
    let mut inside = by_inside.into_iter().peekable();
    let mut latest: Option<&Passage<'_>> = None;
    for (index, operation) in operations.iter().enumerate() {
        let (Op::Dequeue {}, Outcome::Ok(Ret { element: None, .. }), Some(completed)) =
            (operation.op, operation.outcome, operation.completed)
        else {
            continue;
        };
        let asked = operation.invoked.event;
        while let Some(passage) = inside.next_if(|passage| passage.inside < asked) {
            if latest.is_none_or(|latest| latest.leaving < passage.leaving) {
                latest = Some(passage);
            }
        }
        if let Some(passage) = latest.filter(|passage| completed.event < passage.leaving) {
            found.push(Violation::NotEmpty {
                element: passage.element.clone(),
                enqueue: shown(operations, passage.enqueue),
                dequeue: shown(operations, index),
            });
        }
    }
}

fn shown(operations: &Operations<'_>, index: usize) -> Shown {
    let operation = &operations[index];
    let what = match (operation.op, operation.outcome) {
        (Op::Enqueue { element }, _) => format!("enqueue {element}"),
        (Op::Drain {}, _) => "drain".to_owned(),
        (Op::Dequeue {}, Outcome::Ok(ret)) => match &ret.element {
            Some(element) => format!("dequeue -> {element}"),
            None => "dequeue -> nothing".to_owned(),
        },
        (Op::Dequeue {}, _) => "dequeue".to_owned(),
    };
    show(index, &what, operation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProcessId;

    const FIFO: Settings = Settings {
        ordered: true,
        redelivers: false,
        drained: true,
    };

    /// Operations `+1` (enqueue), `-1` (dequeue), `-` (nothing there), `!1` (failed enqueue), `?1` (unknown enqueue) or `?` (unknown
    /// dequeue), each from one event to another.
    fn history(operations: &[(&str, u64, u64)]) -> History<Op, Ret> {
        let mut events = Vec::new();
        for (process, (text, from, to)) in (0..).zip(operations) {
            events.push((*from, ProcessId(process), *text, true));
            events.push((*to, ProcessId(process), *text, false));
        }
        events.sort_unstable();
        let mut history = History::new();
        for (time, process, text, invoked) in events {
            let (kind, number) = text.split_at(1);
            let name = number.parse().ok().map(Name::Number);
            let enqueue = kind != "-" && name.is_some();
            match (invoked, kind, name) {
                (true, _, Some(element)) if enqueue => {
                    history.invoke(time, process, Op::Enqueue { element });
                }
                (true, ..) => history.invoke(time, process, Op::Dequeue {}),
                (false, "!", _) => history.fail(time, process),
                (false, "?", _) => history.info(time, process),
                (false, "-", element) => {
                    let elements = None;
                    history.ok(time, process, Ret { element, elements });
                }
                (false, ..) => history.ok(time, process, Ret::default()),
            }
        }
        history
    }

    fn found(settings: Settings, operations: &[(&str, u64, u64)]) -> Vec<String> {
        let found = check(&history(operations), settings).unwrap();
        let words = found.iter().map(|violation| format!("{violation:?}"));
        words
            .map(|words| words.split(' ').next().unwrap_or_default().to_owned())
            .collect()
    }

    #[test]
    fn what_goes_in_comes_out_once() {
        assert_eq!(
            found(FIFO, &[("+1", 0, 1), ("-1", 2, 3), ("-", 4, 5)]),
            [""; 0]
        );
        assert_eq!(found(FIFO, &[("+1", 0, 1)]), ["Lost"]);
        assert_eq!(found(FIFO, &[("+1", 0, 1), ("?", 2, 3)]), [""; 0]);
        assert_eq!(found(FIFO, &[("?1", 0, 1)]), [""; 0]);
        assert_eq!(found(FIFO, &[("!1", 0, 1), ("-1", 2, 3)]), ["Unexpected"]);
        assert_eq!(
            found(FIFO, &[("-1", 0, 1), ("+1", 2, 3)]),
            ["Unexpected", "Lost"]
        );
        let twice = [("+1", 0, 1), ("-1", 2, 3), ("-1", 4, 5)];
        assert_eq!(found(FIFO, &twice), ["Duplicate"]);
        let at_least_once = Settings {
            redelivers: true,
            ..FIFO
        };
        assert_eq!(found(at_least_once, &twice), [""; 0]);
        assert_eq!(
            found(FIFO, &[("+1", 0, 1), ("+1", 2, 3), ("-1", 4, 5)]),
            ["EnqueuedTwice"]
        );
    }

    #[test]
    fn what_goes_in_first_comes_out_first() {
        let bad = [("+1", 0, 1), ("+2", 2, 3), ("-2", 4, 5), ("-1", 6, 7)];
        assert_eq!(found(FIFO, &bad), ["Reordered"]);
        let unordered = Settings {
            ordered: false,
            ..FIFO
        };
        assert_eq!(found(unordered, &bad), [""; 0]);
        let in_at_a_time = [("+1", 0, 3), ("+2", 1, 2), ("-2", 4, 5), ("-1", 6, 7)];
        assert_eq!(found(FIFO, &in_at_a_time), [""; 0]);
        let out_at_a_time = [("+1", 0, 1), ("+2", 2, 3), ("-2", 4, 6), ("-1", 5, 7)];
        assert_eq!(found(FIFO, &out_at_a_time), [""; 0]);
    }

    #[test]
    fn a_queue_with_something_in_it_is_not_empty() {
        let bad = [("+1", 0, 1), ("-", 2, 3), ("-1", 4, 5)];
        assert_eq!(found(FIFO, &bad), ["NotEmpty"]);
        let leaving = [("+1", 0, 1), ("-", 2, 5), ("-1", 3, 4)];
        assert_eq!(found(FIFO, &leaving), [""; 0]);
        let entering = [("+1", 0, 2), ("-", 1, 3), ("-1", 4, 5)];
        assert_eq!(found(FIFO, &entering), [""; 0]);
    }
}
