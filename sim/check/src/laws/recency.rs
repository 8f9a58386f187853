//! Registers that converge: how stale reads are, for how long, and whether everybody agrees in the end.
//!
//! A read is stale by so much time: as long as what it returned had certainly been overwritten when it was asked for. So a register is
//! Δ-atomic (Golab, Li & Shah, "Analyzing consistency properties for fun and profit", PODC 2011) only if none is stale by more than Δ; the reverse
//! does not hold, for reads are not held against each other here. Values are distinct.

use super::show;
use crate::transactions::Name;
use crate::{History, HistoryError, Operation, Outcome, ProcessId, Shown};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An operation. In JSON: `{"f":"write","key":"x","value":1}` answers `{}`; `{"f":"read","key":"x"}` answers `{"value":1}`, or `{}`
/// if there is nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "f", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Writes. Each value of a key at most once.
    Write {
        /// Which register.
        key: Name,
        /// What.
        value: Name,
    },
    /// Reads.
    Read {
        /// Which register.
        key: Name,
    },
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ret {
    /// To [`Op::Read`]: what is there, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Name>,
}

/// What is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Reads may be stale by so much.
    pub stale_ns_max: u64,
    /// Reads that are asked for so long after the last write of their key was complete agree. Nothing: that is not checked.
    pub converged_after_ns: Option<u64>,
}

/// How stale a read is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// Which.
    pub read: Shown,
    /// By so much.
    pub by_ns: u64,
    /// The write that had certainly overwritten what it saw, and was complete first of those.
    pub newer: Shown,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A read is too stale.
    #[error("{} is stale by {} ms: {} had been complete since then", .0.read.words, .0.by_ns / 1_000_000, .0.newer.words)]
    TooStale(Stale),
    /// Two reads, long after the last write, do not agree.
    #[error("{key} does not converge: {} ms after the last write, {} and {} do not agree", .quiet_ns / 1_000_000, .first.words, .second.words)]
    Diverged {
        /// What.
        key: Name,
        /// How long nothing had been written when the second was asked for.
        quiet_ns: u64,
        /// One.
        first: Shown,
        /// The other.
        second: Shown,
    },
    /// What nobody had written when it was read, or whose writing failed.
    #[error("{} is out of thin air", .read.words)]
    ThinAir {
        /// Which.
        read: Shown,
    },
    /// A value was written twice, so that nobody can tell which one was read. The history is at fault, not the register.
    #[error("{} and {} wrote the same", .first.words, .second.words)]
    WrittenTwice {
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
            Violation::TooStale(stale) => vec![&stale.read, &stale.newer],
            Violation::Diverged { first, second, .. }
            | Violation::WrittenTwice { first, second } => vec![first, second],
            Violation::ThinAir { read } => vec![read],
        }
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Everything that is wrong, by key.
    pub violations: Vec<Violation>,
    /// How many reads had an answer.
    pub reads: usize,
    /// How many of them were stale at all.
    pub stale: usize,
    /// The one that was stale by most.
    pub worst: Option<Stale>,
    /// Of each process that read something stale, for how long it did: from when its first stale read was asked for to when the last one
    /// returned, in nanoseconds.
    pub stale_for_ns: BTreeMap<ProcessId, u64>,
}

type Operations<'a> = [Operation<&'a Op, &'a Ret>];

/// What is wrong, and how stale reads were.
///
/// Time: O(n log n).
///
/// # Errors
/// If the history makes no sense.
pub fn check(history: &History<Op, Ret>, settings: Settings) -> Result<Findings, HistoryError> {
    let operations = history.operations()?;
    let mut keys: BTreeMap<&Name, Vec<usize>> = BTreeMap::new();
    for (index, operation) in operations.iter().enumerate() {
        let (Op::Write { key, .. } | Op::Read { key }) = operation.op;
        keys.entry(key).or_default().push(index);
    }
    let mut findings = Findings::default();
    let mut spans: BTreeMap<ProcessId, (u64, u64)> = BTreeMap::new();
    for (key, indices) in keys {
        let mut register = Register {
            operations: &operations,
            settings,
            writes: BTreeMap::new(),
            complete: Vec::new(),
            findings: &mut findings,
            spans: &mut spans,
        };
        register.writes(&indices);
        register.reads(&indices);
        register.converges(key, &indices);
    }
    let spans = spans.into_iter();
    findings.stale_for_ns = spans
        .map(|(process, (from, to))| (process, to - from))
        .collect();
    Ok(findings)
}

struct Register<'a, 'b> {
    operations: &'b Operations<'a>,
    settings: Settings,
    /// Who wrote a value.
    writes: BTreeMap<&'a Name, usize>,
    /// Writes that are known to be complete, in order of invocation; of each, the one that was complete first from there on.
    complete: Vec<(usize, usize)>,
    findings: &'b mut Findings,
    /// Of each process when it began to see stale values, and when it last did.
    spans: &'b mut BTreeMap<ProcessId, (u64, u64)>,
}

impl Register<'_, '_> {
    fn completed(&self, index: usize) -> Option<usize> {
        super::done(&self.operations[index])
    }

    fn writes(&mut self, indices: &[usize]) {
        for &index in indices {
            let operation = &self.operations[index];
            let (Op::Write { value, .. }, false) =
                (operation.op, operation.outcome == Outcome::Fail)
            else {
                continue;
            };
            let first = *self.writes.entry(value).or_insert(index);
            if first != index {
                self.findings.violations.push(Violation::WrittenTwice {
                    first: shown(self.operations, first),
                    second: shown(self.operations, index),
                });
            }
            if self.completed(index).is_some() {
                self.complete.push((index, index));
            }
        }
        for place in (1..self.complete.len()).rev() {
            let (first, own) = (self.complete[place].1, self.complete[place - 1].1);
            if self.completed(first) < self.completed(own) {
                self.complete[place - 1].1 = first;
            }
        }
    }

    fn reads(&mut self, indices: &[usize]) {
        for &index in indices {
            let operation = &self.operations[index];
            let (Op::Read { .. }, Outcome::Ok(ret), Some(completed)) =
                (operation.op, operation.outcome, operation.completed)
            else {
                continue;
            };
            self.findings.reads += 1;
            // From when on what it saw had been written for certain; of the initial state, from the beginning.
            let from = match &ret.value {
                None => 0,
                Some(value) => {
                    let write = self.writes.get(value).copied();
                    let asked = |write: &usize| self.operations[*write].invoked.event;
                    let Some(write) = write.filter(|write| asked(write) < completed.event) else {
                        let read = shown(self.operations, index);
                        self.findings.violations.push(Violation::ThinAir { read });
                        continue;
                    };
                    // Who knows when an unknown one was done.
                    match self.completed(write) {
                        Some(event) => event,
                        None => continue,
                    }
                }
            };
            let asked = |(write, _): &(usize, usize)| self.operations[*write].invoked.event;
            let later = self.complete.partition_point(|write| asked(write) < from);
            let Some((_, newer)) = self.complete.get(later).copied() else {
                continue;
            };
            if self
                .completed(newer)
                .is_some_and(|event| event < operation.invoked.event)
            {
                self.stale(index, newer);
            }
        }
    }

    fn stale(&mut self, index: usize, newer: usize) {
        let (read, write) = (&self.operations[index], &self.operations[newer]);
        let (Some(returned), Some(overwritten)) = (read.completed, write.completed) else {
            return;
        };
        let asked_ns = read.invoked.time_ns;
        let stale = Stale {
            read: shown(self.operations, index),
            by_ns: asked_ns.saturating_sub(overwritten.time_ns),
            newer: shown(self.operations, newer),
        };
        self.findings.stale += 1;
        let span = self.spans.entry(read.process);
        let span = span.or_insert((asked_ns, returned.time_ns));
        span.0 = span.0.min(asked_ns);
        span.1 = span.1.max(returned.time_ns);
        let worst = self.findings.worst.as_ref();
        if worst.is_none_or(|worst| worst.by_ns < stale.by_ns) {
            self.findings.worst = Some(stale.clone());
        }
        if stale.by_ns > self.settings.stale_ns_max {
            self.findings.violations.push(Violation::TooStale(stale));
        }
    }

    /// All reads of the end against the first of them.
    fn converges(&mut self, key: &Name, indices: &[usize]) {
        let Some(after_ns) = self.settings.converged_after_ns else {
            return;
        };
        let mut last_ns = 0;
        for write in self.writes.values() {
            let operation = &self.operations[*write];
            match operation
                .completed
                .filter(|_| operation.outcome != Outcome::Info)
            {
                Some(at) => last_ns = last_ns.max(at.time_ns),
                // It may take effect at any time: nothing is known to be the end.
                None => return,
            }
        }
        let mut first: Option<(usize, &Ret)> = None;
        for &index in indices {
            let operation = &self.operations[index];
            let (Op::Read { .. }, Outcome::Ok(ret)) = (operation.op, operation.outcome) else {
                continue;
            };
            let quiet_ns = operation.invoked.time_ns.saturating_sub(last_ns);
            if operation.invoked.time_ns < last_ns || quiet_ns < after_ns {
                continue;
            }
            match first {
                None => first = Some((index, ret)),
                Some((first, agreed)) if agreed != ret => {
                    self.findings.violations.push(Violation::Diverged {
                        key: key.clone(),
                        quiet_ns,
                        first: shown(self.operations, first),
                        second: shown(self.operations, index),
                    });
                }
                Some(_) => {}
            }
        }
    }
}

fn shown(operations: &Operations<'_>, index: usize) -> Shown {
    let operation = &operations[index];
    let what = match (operation.op, operation.outcome) {
        (Op::Write { key, value }, _) => format!("write {key} {value}"),
        (Op::Read { key }, Outcome::Ok(Ret { value: Some(value) })) => {
            format!("read {key} -> {value}")
        }
        (Op::Read { key }, Outcome::Ok(_)) => format!("read {key} -> nothing"),
        (Op::Read { key }, _) => format!("read {key}"),
    };
    show(index, &what, operation)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Writes (`w1`) and reads (`r1`, `r`) of one key by processes of their own, from one millisecond to another.
    fn findings(settings: Settings, operations: &[(&str, u64, u64)]) -> Findings {
        let mut events = Vec::new();
        for (process, (text, from, to)) in (0..).zip(operations) {
            events.push((*from, ProcessId(process), *text, true));
            events.push((*to, ProcessId(process), *text, false));
        }
        events.sort_unstable();
        let mut history = History::new();
        for (time, process, text, invoked) in events {
            let value = text[1..].parse().ok().map(Name::Number);
            let key = Name::from("x");
            let write = text.starts_with('w');
            match (invoked, write, value) {
                (true, true, Some(value)) => {
                    history.invoke(time * MS, process, Op::Write { key, value });
                }
                (true, ..) => history.invoke(time * MS, process, Op::Read { key }),
                (false, true, _) => history.ok(time * MS, process, Ret::default()),
                (false, false, value) => history.ok(time * MS, process, Ret { value }),
            }
        }
        check(&history, settings).unwrap()
    }

    const STRICT: Settings = Settings {
        stale_ns_max: 0,
        converged_after_ns: None,
    };

    #[test]
    fn a_read_is_stale_by_as_long_as_it_was_overwritten() {
        let history = [
            ("w1", 0, 1),
            ("w2", 2, 5),
            ("w3", 3, 4),
            ("r1", 10, 11),
            ("r2", 12, 13),
        ];
        let found = findings(STRICT, &history);
        assert_eq!((found.reads, found.stale), (2, 1));
        assert_eq!(
            found.violations[0].to_string(),
            "read x -> 1 by p3 (0.010s..0.011s) is stale by 6 ms: write x 3 by p2 (0.003s..0.004s) had been complete since then"
        );
        assert_eq!(found.stale_for_ns, BTreeMap::from([(ProcessId(3), MS)]));
        let lax = Settings {
            stale_ns_max: 6 * MS,
            ..STRICT
        };
        let found = findings(lax, &history);
        assert_eq!(
            (found.violations.len(), found.worst.unwrap().by_ns),
            (0, 6 * MS)
        );
    }

    #[test]
    fn the_initial_state_is_stale_too() {
        assert_eq!(findings(STRICT, &[("w1", 0, 1), ("r", 2, 3)]).stale, 1);
        assert_eq!(findings(STRICT, &[("w1", 0, 4), ("r", 2, 3)]).stale, 0);
        // Of the same time: either may be the last.
        assert_eq!(
            findings(STRICT, &[("w1", 0, 4), ("w2", 1, 5), ("r1", 6, 7)]).stale,
            0
        );
    }

    #[test]
    fn reads_are_of_what_was_written() {
        let thin = |found: Findings| matches!(found.violations[..], [Violation::ThinAir { .. }]);
        assert!(thin(findings(STRICT, &[("r1", 0, 1)])));
        assert!(thin(findings(STRICT, &[("r1", 0, 1), ("w1", 2, 3)])));
        assert_eq!(
            findings(STRICT, &[("w1", 0, 3), ("r1", 1, 2)]).violations,
            []
        );
        let twice = findings(STRICT, &[("w1", 0, 1), ("w1", 2, 3)]);
        assert!(matches!(
            twice.violations[..],
            [Violation::WrittenTwice { .. }]
        ));
    }

    #[test]
    fn everybody_agrees_in_the_end() {
        let settings = Settings {
            stale_ns_max: u64::MAX,
            converged_after_ns: Some(10 * MS),
        };
        let diverged = [("w1", 0, 3), ("w2", 1, 4), ("r1", 20, 21), ("r2", 22, 23)];
        let found = findings(settings, &diverged);
        assert!(
            matches!(found.violations[..], [Violation::Diverged { .. }]),
            "{found:?}"
        );
        let too_soon = [("w1", 0, 3), ("w2", 1, 4), ("r1", 10, 11), ("r2", 22, 23)];
        assert_eq!(findings(settings, &too_soon).violations, []);
        let agreed = [("w1", 0, 3), ("w2", 1, 4), ("r1", 20, 21), ("r1", 22, 23)];
        assert_eq!(findings(settings, &agreed).violations, []);
    }
}
