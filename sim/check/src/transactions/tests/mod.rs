//! Hand-made histories: every anomaly once as it is, and once as it is not.

mod lists;
mod registers;
mod weak;

use super::*;
use crate::{Budget, ProcessId};

/// A history from lines `PROCESS FROM..TO: STEP; STEP`, where `TO` may be `FROM..TO!` (failed) or `FROM..?` (unknown), in milliseconds,
/// no two alike; and a step is `a x 1` (append), `r x [1 2]`, `w x 1`, `r x 1` or `r x nil`.
pub(super) fn history(text: &str) -> History {
    struct Event<'a> {
        time: u64,
        process: ProcessId,
        status: Option<Status>,
        steps: &'a str,
    }
    let mut events = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let (head, steps) = line.split_once(':').unwrap();
        let (process, times) = head.trim().split_once(' ').unwrap();
        let (from, to) = times.trim().split_once("..").unwrap();
        let process = ProcessId(process.parse().unwrap());
        events.push(Event {
            time: from.parse().unwrap(),
            process,
            status: None,
            steps,
        });
        let (to, status) = match to.strip_suffix('!') {
            Some(to) => (to, Status::Fail),
            None => (to, Status::Ok),
        };
        if to != "?" {
            events.push(Event {
                time: to.parse().unwrap(),
                process,
                status: Some(status),
                steps,
            });
        }
    }
    events.sort_by_key(|event| event.time);
    let mut history = History::new();
    for event in events {
        let micros = steps(&mut history, event.steps);
        let (time_ns, process) = (event.time * 1_000_000, event.process);
        match event.status {
            None => history.invoke(time_ns, process, &micros),
            Some(Status::Ok) => history.ok(time_ns, process, &micros),
            Some(_) => history.fail(time_ns, process),
        }
        .unwrap();
    }
    history
}

fn steps(history: &mut History, text: &str) -> Vec<Micro> {
    let steps = text.split(';').map(str::trim);
    let mut micros = Vec::new();
    for step in steps.filter(|step| !step.is_empty()) {
        let words: Vec<&str> = step.splitn(3, ' ').collect();
        let key = history.key(words[1]);
        micros.push(match (words[0], words[2]) {
            ("a", element) => Micro::Append {
                key,
                element: value(history, element),
            },
            ("w", written) => Micro::Write {
                key,
                value: value(history, written),
            },
            ("r", "nil") => Micro::Read {
                key,
                seen: Seen::Nothing,
            },
            ("r", list) if list.starts_with('[') => {
                let elements = list.trim_matches(['[', ']']).split_whitespace();
                let elements: Vec<Value> = elements.map(|e| value(history, e)).collect();
                Micro::ReadList {
                    key,
                    elements: Some(history.list(elements)),
                }
            }
            ("r", seen) => Micro::Read {
                key,
                seen: Seen::Value(value(history, seen)),
            },
            _ => panic!("{step}"),
        });
    }
    micros
}

fn value(history: &mut History, text: &str) -> Value {
    history.value(text.parse::<i64>().unwrap())
}

fn lists(text: &str) -> Report {
    check_lists(&history(text), Budget::default()).unwrap()
}

/// The names of what is found.
fn names(text: &str) -> Vec<String> {
    lists(text).names()
}

const NONE: [&str; 0] = [];
