//! What was found in a history of transactions.

use super::anomaly::Anomaly;
use super::class::{Class, Order};
use super::cycles::{Cycles, cycles};
use super::dependency::Links;
use super::graph::Graph;
use super::history::History;
use super::level::Level;
use super::search::Hop;
use super::versions::Versions;
use super::words;
use crate::{Budget, Shown, Verdict};
use std::fmt;

/// A history that the checker cannot judge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A step on another kind of thing.
    #[error("{step} is no step on {wanted}, in {}", .transaction.words)]
    WrongKind {
        /// Which transaction.
        transaction: Box<Shown>,
        /// The step, in words.
        step: String,
        /// `lists` or `registers`.
        wanted: &'static str,
    },
    /// A transaction was committed, and one of its reads has no answer.
    #[error("{step} has no answer, in {}", .transaction.words)]
    NoAnswer {
        /// Which transaction.
        transaction: Box<Shown>,
        /// The step, in words.
        step: String,
    },
    /// The same value was written twice, so that nobody can tell which one was read.
    #[error("{value} was written to {key} twice: by {} and by {}", .first.words, .second.words)]
    WrittenTwice {
        /// Where to.
        key: String,
        /// What.
        value: String,
        /// One.
        first: Box<Shown>,
        /// The other, perhaps the same.
        second: Box<Shown>,
    },
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Of each kind at most some: first those of single reads, then cycles, the worst first.
    pub anomalies: Vec<Anomaly>,
    /// So many more there are: of cycles, so many parts of the graph in which there may be some.
    pub left_out: usize,
    /// The levels that the history cannot be of, in order of [`Level::ALL`].
    pub ruled_out: Vec<Level>,
    /// Whether there are cycles of these classes, nobody knows: the budget was too small. The levels are decided all the same.
    pub undecided: Vec<(Class, Order)>,
}

impl Report {
    /// Whether the history can be one of the level, as far as anybody can tell from it; if not, why.
    pub fn verdict(&self, level: Level) -> Verdict<Vec<Anomaly>> {
        if !self.ruled_out.contains(&level) {
            return Verdict::Valid;
        }
        let anomalies = self.anomalies.iter();
        let reasons = anomalies.filter(|anomaly| anomaly.rules_out(level));
        Verdict::Invalid(reasons.cloned().collect())
    }

    /// The names of the anomalies, each once, in their order.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in self.anomalies.iter().map(Anomaly::name) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ruled_out.is_empty() {
            f.write_str("nothing rules out any level")?;
        } else {
            let levels: Vec<String> = self.ruled_out.iter().map(Level::to_string).collect();
            write!(f, "ruled out: {}", levels.join(", "))?;
        }
        for anomaly in &self.anomalies {
            write!(f, "\n{anomaly}")?;
        }
        if self.left_out > 0 {
            write!(f, "\nand {} more like these", self.left_out)?;
        }
        for (class, order) in &self.undecided {
            write!(f, "\nundecided: {class} ({order:?})")?;
        }
        Ok(())
    }
}

/// So many anomalies of each kind that are not cycles are shown.
const SHOWN_MAX: usize = 8;

/// Anomalies of one kind, of which only the first ones are put into words.
#[derive(Debug, Default)]
pub(crate) struct Few {
    pub(crate) anomalies: Vec<Anomaly>,
    left_out: usize,
}

impl Few {
    pub(crate) fn add(&mut self, anomaly: impl FnOnce() -> Anomaly) {
        if self.anomalies.len() < SHOWN_MAX {
            self.anomalies.push(anomaly());
        } else {
            self.left_out += 1;
        }
    }
}

/// Finds the cycles, and sums up. What is known of the reason why versions are in the order of a dependency is added to its words.
pub(crate) fn report(
    history: &History,
    versions: &Versions,
    nodes: usize,
    links: &Links,
    few: Vec<Few>,
    reason: &dyn Fn(&Hop) -> Option<String>,
    budget: Budget,
) -> Report {
    let graph = Graph::new(nodes, links);
    let transactions = history.transactions().len() as u32;
    let Cycles {
        worst,
        found,
        left_out,
        undecided,
    } = cycles(&graph, transactions, budget.steps);
    let mut report = Report {
        left_out,
        undecided,
        ..Report::default()
    };
    for few in few {
        report.anomalies.extend(few.anomalies);
        report.left_out += few.left_out;
    }
    let in_words = |found| Anomaly::Cycle(words::cycle(history, versions, reason, found));
    report.anomalies.extend(found.iter().map(in_words));
    let ruled_out = |level: &Level| {
        worst[level.order() as usize].is_some_and(|worst| level.forbids(worst))
            || report
                .anomalies
                .iter()
                .any(|anomaly| anomaly.rules_out(*level))
    };
    report.ruled_out = Level::ALL.into_iter().filter(ruled_out).collect();
    report
}
