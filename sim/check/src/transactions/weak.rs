//! Weak isolation of registers: read committed, read atomic and causal consistency, as Biswas & Enea, "On the complexity of checking
//! transactional consistency", OOPSLA 2019, define them by axioms; decided without a search, as Møldrup & Pavlogiannis, "AWDIT: an
//! optimal weak database isolation tester", PLDI 2025, show how: infer the least that any order of commits must contain, and look for a
//! circle.
//!
//! Each level says: if one transaction is seen, in the level's sense, by another, and both it and somebody else wrote what the other read
//! from somebody else, then it was committed before that somebody else. The order of each process and of reading from each other are part
//! of the order of commits, too.

mod infer;
mod scan;

use super::history::History;
use super::report::{Report, Unfit};
use super::words::show;
use crate::{Shown, Verdict};
use infer::{Reason, infer};
use scan::Scan;
use std::fmt;

/// A weak level of isolation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WeakLevel {
    /// What a transaction reads is never older than what it had read from before.
    ReadCommitted,
    /// What a transaction reads is never older than what it reads from anywhere, or what its process did before: no fractured reads
    /// (Bailis et al., SIGMOD 2014).
    ReadAtomic,
    /// What a transaction reads is never older than what it depends on, directly or not.
    Causal,
}

impl fmt::Display for WeakLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WeakLevel::ReadCommitted => "read committed",
            WeakLevel::ReadAtomic => "read atomic",
            WeakLevel::Causal => "causal consistency",
        })
    }
}

/// Why a history is not of a weak level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakViolation {
    /// Something is wrong with single reads already: what no committed transaction wrote, or not last, or not what it wrote itself.
    #[error("{0}")]
    Reads(Report),
    /// No order of commits agrees with all of these.
    #[error("no order of commits agrees with {level}:{}", Lines(.steps))]
    Circle {
        /// Which level.
        level: WeakLevel,
        /// Each comes before the next, and the last before the first.
        steps: Vec<WeakStep>,
    },
    /// The same, with the initial state: something that was seen wrote what was read as it was at first.
    #[error("against {level}: {} saw nothing in {key}, but what it had seen includes {}", .read.words, .write.words)]
    InitialRead {
        /// Which level.
        level: WeakLevel,
        /// Who read it.
        read: Shown,
        /// What.
        key: String,
        /// Who had written it.
        write: Shown,
    },
}

/// One transaction that comes before the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeakStep {
    /// Which.
    pub transaction: Shown,
    /// Why, in words.
    pub why: String,
}

struct Lines<'a>(&'a [WeakStep]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            let next = (index + 1) % self.0.len() + 1;
            write!(f, "\n  {}. {}", index + 1, step.transaction.words)?;
            write!(f, "\n     before {next}: {}", step.why)?;
        }
        Ok(())
    }
}

/// Whether the history is of the level.
///
/// Transactions of unknown outcome count if somebody saw what they wrote. Time: linear in the number of steps for read committed and read
/// atomic if transactions are short (to the power 3/2 if not); for causal consistency times the number of processes.
///
/// # Errors
/// If there are steps on lists, a value was written to a key twice, or a committed read has no answer.
pub fn check_weak(history: &History, level: WeakLevel) -> Result<Verdict<WeakViolation>, Unfit> {
    let (scan, few) = Scan::new(history)?;
    let mut report = Report::default();
    for few in few {
        report.anomalies.extend(few.anomalies);
    }
    if !report.anomalies.is_empty() {
        return Ok(Verdict::Invalid(WeakViolation::Reads(report)));
    }
    let name = |transaction: u32| show(history, transaction);
    let inferred = match infer(&scan, level) {
        Ok(inferred) => inferred,
        Err(initial) => {
            return Ok(Verdict::Invalid(WeakViolation::InitialRead {
                level,
                read: name(initial.reader),
                key: history.key_name(initial.key).to_string(),
                write: name(initial.writer),
            }));
        }
    };
    let components = inferred.components(|_| true);
    let Some(circle) = inferred.shortest_circle(&components) else {
        return Ok(Verdict::Valid);
    };
    let step = |link: &super::graph::Link<Reason>| WeakStep {
        transaction: name(link.from),
        why: match link.label {
            Reason::Process => "its process did the next one later".to_owned(),
            Reason::Read => "the next one read from it".to_owned(),
            Reason::Seen { reader, key } => format!(
                "{} saw it, and yet read {} from the next one, which both wrote",
                name(reader).words,
                history.key_name(key)
            ),
        },
    };
    Ok(Verdict::Invalid(WeakViolation::Circle {
        level,
        steps: circle.iter().map(step).collect(),
    }))
}
