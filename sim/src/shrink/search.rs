//! Trying smaller runs, many at once, within a budget, with a result that does not depend on the threads.

use crate::case::{Case, Report};
use crate::run::{Finding, Script, Verdict};
use rayon::prelude::*;
use serde_json::Value;
use splitbrain_core::Seed;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// So many trials are under way at once. A constant, as what is tried must not depend on the number of threads.
const BATCH: usize = 64;

/// A run to try. Where the script has no faults, the nemesis of the case draws them.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    pub(super) case: Arc<dyn Case>,
    pub(super) seed: Seed,
    pub(super) script: Script<Value>,
}

/// A trial that violates the property.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) trial: Trial,
    pub(super) finding: Finding,
    /// How many events the run took.
    pub(super) steps: u64,
}

/// Asks whether runs violate the property, and counts what that costs.
pub(super) struct Search<'a> {
    property: &'a str,
    budget_steps: u64,
    on_progress: &'a mut dyn FnMut(u64, usize),
    pub(super) steps: u64,
    pub(super) runs: u64,
    /// The next trial would have cost more than what was left.
    pub(super) exhausted: bool,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        property: &'a str,
        budget_steps: u64,
        on_progress: &'a mut dyn FnMut(u64, usize),
    ) -> Search<'a> {
        Search {
            property,
            budget_steps,
            on_progress,
            steps: 0,
            runs: 0,
            exhausted: false,
        }
    }

    /// From now on there is so much to spend, with what is spent already.
    pub(super) fn allow(&mut self, budget_steps: u64) {
        self.budget_steps = budget_steps;
        self.exhausted = false;
    }

    /// Tells how far it is, with so many decisions left in the smallest run so far.
    pub(super) fn tell(&mut self, decisions: usize) {
        (self.on_progress)(self.steps, decisions);
    }

    /// The first of these that violates the property, and its place; the later ones cost nothing. Where faults are drawn,
    /// there must be fewer decisions than this.
    pub(super) fn first(
        &mut self,
        trials: impl IntoIterator<Item = Trial>,
        decisions: usize,
    ) -> Option<(usize, Found)> {
        let mut trials = trials.into_iter();
        let mut place = 0;
        while !self.exhausted {
            let batch: Vec<Trial> = trials.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return None;
            }
            for tried in try_all(self.property, &batch, decisions) {
                // Beyond the first one that was found.
                let Some((steps, found)) = tried else { break };
                if self.steps.saturating_add(steps) > self.budget_steps {
                    self.exhausted = true;
                    break;
                }
                self.steps += steps;
                self.runs += 1;
                if let Some(found) = found {
                    return Some((place, found));
                }
                place += 1;
            }
            self.tell(decisions);
        }
        None
    }
}

/// What each costs and what is found. Trials behind the first that violates the property may be left out.
fn try_all(
    property: &str,
    trials: &[Trial],
    decisions: usize,
) -> Vec<Option<(u64, Option<Found>)>> {
    let first = AtomicUsize::new(usize::MAX);
    let try_one = |(place, trial): (usize, &Trial)| {
        if first.load(Relaxed) < place {
            return None;
        }
        let (steps, found) = try_one(property, trial, decisions);
        if found.is_some() {
            first.fetch_min(place, Relaxed);
        }
        Some((steps, found))
    };
    trials.par_iter().enumerate().map(try_one).collect()
}

fn try_one(property: &str, trial: &Trial, decisions: usize) -> (u64, Option<Found>) {
    let report = trial.case.run(trial.seed, &trial.script, None);
    let steps = steps(&report);
    let Verdict::Invalid(finding) = report.verdict else {
        return (steps, None);
    };
    let mut trial = trial.clone();
    let drawn = trial.script.faults.is_none();
    trial.script.faults.get_or_insert(report.faults);
    let fewer = !drawn || trial.script.decisions() < decisions;
    let found = Found {
        trial,
        finding,
        steps,
    };
    (
        steps,
        (fewer && found.finding.property == property).then_some(found),
    )
}

/// What a run costs: its events, and something for setting it up.
fn steps(report: &Report) -> u64 {
    report.stats.events + 50
}
