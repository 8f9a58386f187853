//! A set that elements are added to, and that is read as a whole: the law of Jepsen's `set-full`.
//!
//! An element is *known* once its addition was confirmed or a read that saw it had returned. From then on each read that is asked for must
//! see it. One that does not is *stale* if a later read sees the element, and else shows that it is *lost*.

use super::{done, show};
use crate::transactions::Name;
use crate::{History, HistoryError, Operation, Outcome, Shown};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An operation. In JSON: `{"f":"add","element":1}` answers `{}`; `{"f":"read"}` answers `{"elements":[1,2]}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "f", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Adds an element. Each at most once.
    Add {
        /// Which.
        element: Name,
    },
    /// Reads all.
    Read {},
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ret {
    /// To [`Op::Read`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elements: Option<Vec<Name>>,
}

/// What is wrong with a set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A known element is not seen any more.
    #[error("{element} is lost: it was known by {}, and {} does not see it, nor does a later one", .known.words, .read.words)]
    Lost {
        /// Which.
        element: Name,
        /// Why it was known.
        known: Shown,
        /// The last read without it.
        read: Shown,
    },
    /// A known element is not seen for a while.
    #[error("{element} was known by {}, and {} does not see it, but {} does again", .known.words, .read.words, .again.words)]
    Stale {
        /// Which.
        element: Name,
        /// Why it was known.
        known: Shown,
        /// The last read without it.
        read: Shown,
        /// The first read after that with it.
        again: Shown,
    },
    /// An element is there more than once.
    #[error("{} has {element} {times} times", .read.words)]
    Duplicate {
        /// Which.
        element: Name,
        /// How often.
        times: usize,
        /// The first such read.
        read: Shown,
    },
    /// An element that nobody had asked to add when it was read, or whose addition failed.
    #[error("{} has {element}, which nobody added", .read.words)]
    Unexpected {
        /// Which.
        element: Name,
        /// The first such read.
        read: Shown,
    },
    /// An element was added twice, so that nobody can tell what became of it. The history is at fault, not the set.
    #[error("{element} was added twice: by {} and by {}", .first.words, .second.words)]
    AddedTwice {
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
            Violation::Lost { known, read, .. } => vec![known, read],
            Violation::Stale {
                known, read, again, ..
            } => vec![known, read, again],
            Violation::Duplicate { read, .. } | Violation::Unexpected { read, .. } => vec![read],
            Violation::AddedTwice { first, second, .. } => vec![first, second],
        }
    }
}

/// What is known of an element.
struct Element {
    add: usize,
    /// The event at which it became known, and the operation by which.
    known: Option<(usize, usize)>,
    /// The reads that saw it, as places in order of invocation.
    seen: Vec<usize>,
    duplicated: bool,
}

type Operations<'a> = [Operation<&'a Op, &'a Ret>];

/// Everything that is wrong: first duplicates and what was unexpected, then by element.
///
/// # Errors
/// If the history makes no sense.
pub fn check(history: &History<Op, Ret>) -> Result<Vec<Violation>, HistoryError> {
    let operations = history.operations()?;
    let mut found = Vec::new();
    let mut elements: BTreeMap<&Name, Element> = BTreeMap::new();
    for (index, operation) in operations.iter().enumerate() {
        let Op::Add { element } = operation.op else {
            continue;
        };
        if let Some(first) = elements.get(element) {
            found.push(Violation::AddedTwice {
                element: element.clone(),
                first: shown(&operations, first.add),
                second: shown(&operations, index),
            });
            continue;
        }
        let new = Element {
            add: index,
            known: done(operation).map(|event| (event, index)),
            seen: Vec::new(),
            duplicated: false,
        };
        elements.insert(element, new);
    }
    let reads: Vec<usize> = (0..operations.len())
        .filter(|index| answer(&operations[*index]).is_some())
        .collect();
    for (place, index) in reads.iter().enumerate() {
        look(&operations, *index, place, &mut elements, &mut found);
    }
    for (name, element) in elements {
        found.extend(missing(&operations, &reads, name, &element));
    }
    Ok(found)
}

fn answer<'a>(operation: &Operation<&'a Op, &'a Ret>) -> Option<&'a [Name]> {
    match operation.outcome {
        Outcome::Ok(Ret {
            elements: Some(elements),
        }) => Some(elements),
        _ => None,
    }
}

fn shown(operations: &Operations<'_>, index: usize) -> Shown {
    let operation = &operations[index];
    let what = match operation.op {
        Op::Add { element } => format!("add {element}"),
        Op::Read {} => match answer(operation) {
            Some(elements) => format!("read of {} elements", elements.len()),
            None => "read".to_owned(),
        },
    };
    show(index, &what, operation)
}

/// Notes what one read saw.
fn look<'a>(
    operations: &Operations<'a>,
    index: usize,
    place: usize,
    elements: &mut BTreeMap<&'a Name, Element>,
    found: &mut Vec<Violation>,
) {
    let operation = &operations[index];
    let Some(returned) = done(operation) else {
        return;
    };
    let mut seen: Vec<&Name> = answer(operation).into_iter().flatten().collect();
    seen.sort_unstable();
    for same in seen.chunk_by(|one, other| one == other) {
        let name = same[0];
        let element = elements.get_mut(name).filter(|element| {
            let add = &operations[element.add];
            add.outcome != Outcome::Fail && add.invoked.event < returned
        });
        let Some(element) = element else {
            found.push(Violation::Unexpected {
                element: name.clone(),
                read: shown(operations, index),
            });
            continue;
        };
        if same.len() > 1 && !element.duplicated {
            element.duplicated = true;
            found.push(Violation::Duplicate {
                element: name.clone(),
                times: same.len(),
                read: shown(operations, index),
            });
        }
        element.seen.push(place);
        if element.known.is_none_or(|(event, _)| returned < event) {
            element.known = Some((returned, index));
        }
    }
}

/// The last read that had to see the element and did not.
fn missing(
    operations: &Operations<'_>,
    reads: &[usize],
    name: &Name,
    element: &Element,
) -> Option<Violation> {
    let (event, by) = element.known?;
    let mut seen = element.seen.iter().rev().peekable();
    let mut places = (0..reads.len()).rev();
    let last = places.find(|place| seen.next_if_eq(&place).is_none())?;
    let read = reads[last];
    if operations[read].invoked.event < event {
        return None;
    }
    let again = element.seen.iter().find(|place| **place > last);
    let (element, known) = (name.clone(), shown(operations, by));
    let read = shown(operations, read);
    Some(match again {
        None => Violation::Lost {
            element,
            known,
            read,
        },
        Some(again) => Violation::Stale {
            element,
            known,
            read,
            again: shown(operations, reads[*again]),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProcessId;

    /// Adds and reads, one after the other: `+1`, `-1` (failed), `?1` (unknown), or the elements that were read.
    fn found(steps: &[&str]) -> Vec<String> {
        let mut history = History::new();
        for (time, step) in (0..).zip(steps) {
            let process = ProcessId(time);
            let name = |text: &str| Name::Number(text.parse().unwrap());
            let add = step.starts_with(['+', '-', '?']);
            let op = if add {
                Op::Add {
                    element: name(&step[1..]),
                }
            } else {
                Op::Read {}
            };
            history.invoke(2 * time, process, op);
            match step.chars().next() {
                Some('+') => history.ok(2 * time + 1, process, Ret::default()),
                Some('-') => history.fail(2 * time + 1, process),
                Some('?') => history.info(2 * time + 1, process),
                _ => {
                    let elements = Some(step.split_whitespace().map(name).collect());
                    history.ok(2 * time + 1, process, Ret { elements });
                }
            }
        }
        let found = check(&history).unwrap();
        found
            .iter()
            .map(|violation| {
                let words = format!("{violation:?}");
                let name = words.split_whitespace().next().unwrap_or_default();
                name.to_owned()
            })
            .collect()
    }

    #[test]
    fn known_elements_are_seen() {
        assert_eq!(found(&["+1", "1", "?2", "1", "1 2", "1 2"]), [""; 0]);
        assert_eq!(found(&["+1", ""]), ["Lost"]);
        assert_eq!(found(&["+1", "1", "", "1"]), ["Stale"]);
        assert_eq!(found(&["+1", "1", "1", ""]), ["Lost"]);
        // An unknown one is known when it was seen.
        assert_eq!(found(&["?1", "", "1"]), [""; 0]);
        assert_eq!(found(&["?1", "1", ""]), ["Lost"]);
    }

    #[test]
    fn only_what_was_added_is_seen_and_once() {
        assert_eq!(found(&["-1", "1"]), ["Unexpected"]);
        assert_eq!(found(&["1", "+1"]), ["Unexpected", "Lost"][..1]);
        assert_eq!(found(&["+1", "1 1", "1 1"]), ["Duplicate"]);
        assert_eq!(found(&["+1", "+1"]), ["AddedTwice"]);
    }

    #[test]
    fn a_read_of_the_same_time_need_not_see_it() {
        let mut history = History::new();
        let [p, q] = [0, 1].map(ProcessId);
        history.invoke(0, q, Op::Read {});
        history.invoke(1, p, Op::Add { element: 1.into() });
        history.ok(2, p, Ret::default());
        history.ok(
            3,
            q,
            Ret {
                elements: Some(vec![]),
            },
        );
        assert_eq!(check(&history).unwrap(), []);
    }
}
