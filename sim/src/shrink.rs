//! Making a failing run small: fewer faults and operations, shorter, quieter, the same property violated.
//!
//! Delta debugging (Zeller and Hildebrandt, 2002) over the decisions of a run. It works because
//! randomness has an address (law 2): what is left out does not change the fate of what is left. The
//! result is a function of the run and the budget alone, whatever the number of threads.

mod list;
mod shape;

pub use shape::{FailureShape, FaultShape, SHAPE_BUDGET_RUNS};

use crate::case::{Case, Change};
use crate::fault::Injection;
use crate::run::{Finding, Request, Script, Verdict};
use crate::span::Span;
use rayon::prelude::*;
use serde_json::Value;
use splitbrain_core::{Seed, Time};
use std::time::Duration;

/// A failing run, as small as it could be made.
#[derive(Debug)]
pub struct Shrunk {
    /// The scenario, with what does not matter taken out of it.
    pub case: Box<dyn Case>,
    /// The faults and operations that are left.
    pub script: Script<Value>,
    /// What was found in the small run.
    pub finding: Finding,
    /// How many runs it took.
    pub runs: u64,
}

impl Shrunk {
    /// How many faults and operations are left.
    pub fn decisions(&self) -> usize {
        faults(&self.script).len() + operations(&self.script).len()
    }
}

fn faults(script: &Script<Value>) -> &[Injection] {
    script.faults.as_deref().unwrap_or_default()
}

fn operations(script: &Script<Value>) -> &[Request<Value>] {
    script.operations.as_deref().unwrap_or_default()
}

/// Makes a failing run smaller, in at most about `budget_runs` runs. `None` if the script does not violate the property
/// in the first place.
///
/// `on_run` is told the number of runs so far and of decisions left.
pub fn shrink(
    case: &dyn Case,
    seed: Seed,
    script: &Script<Value>,
    property: &str,
    budget_runs: u64,
    on_run: &mut dyn FnMut(u64, usize),
) -> Option<Shrunk> {
    // The nemesis and what the scenario requires have no say in a scripted run.
    let case = case.changed(&Change::ScriptOnly)?;
    let mut search = Search {
        seed,
        property,
        budget_runs,
        on_run,
        runs: 0,
    };
    let finding = search.violates(&*case, script)?;
    let mut best = Shrunk {
        case,
        script: script.clone(),
        finding,
        runs: 0,
    };
    while search.pass(&mut best) && search.runs < budget_runs {}
    best.runs = search.runs;
    Some(best)
}

struct Search<'a> {
    seed: Seed,
    property: &'a str,
    budget_runs: u64,
    on_run: &'a mut dyn FnMut(u64, usize),
    runs: u64,
}

/// A smaller run to try: another scenario, if that is what is smaller, and a script.
struct Candidate {
    case: Option<Box<dyn Case>>,
    script: Script<Value>,
}

impl Search<'_> {
    /// Whether this run violates the property; what is found is counted as one run.
    fn violates(&mut self, case: &dyn Case, script: &Script<Value>) -> Option<Finding> {
        self.runs += 1;
        violation(case, self.seed, script, self.property)
    }

    /// Tries these and takes the first that still violates the property. Returns its place.
    fn first(&mut self, best: &mut Shrunk, candidates: Vec<Candidate>) -> Option<usize> {
        let left = self.budget_runs.saturating_sub(self.runs) as usize;
        let count = candidates.len().min(left);
        let (seed, property, old) = (self.seed, self.property, &*best.case);
        let found = candidates
            .into_par_iter()
            .take(count)
            .enumerate()
            .find_map_first(|(place, candidate)| {
                let case = candidate.case.as_deref().unwrap_or(old);
                let finding = violation(case, seed, &candidate.script, property)?;
                Some((place, candidate, finding))
            });
        // Threads may have tried more; what is counted does not depend on them.
        self.runs += found.as_ref().map_or(count, |(place, ..)| place + 1) as u64;
        let found = found.map(|(place, candidate, finding)| {
            if let Some(case) = candidate.case {
                best.case = case;
            }
            best.script = candidate.script;
            best.finding = finding;
            place
        });
        (self.on_run)(self.runs, best.decisions());
        found
    }

    /// Tries everything once. Returns whether anything became smaller.
    fn pass(&mut self, best: &mut Shrunk) -> bool {
        let mut smaller = self.cut_short(best);
        smaller |= self.fewer(best, |script| &mut script.operations);
        smaller |= self.fewer(best, |script| &mut script.faults);
        smaller |= self.milder(best);
        smaller |= self.plainer(best);
        smaller
    }

    /// Ends the safety phase as soon as the property is violated, or in half the time.
    fn cut_short(&mut self, best: &mut Shrunk) -> bool {
        let mut smaller = false;
        loop {
            let duration = best.case.duration();
            let ms = |ns: u128| Span(Duration::from_millis((ns / 1_000_000) as u64));
            let found = ms(best.finding.at.since(Time::ZERO).as_nanos() + 1_000_000);
            let last = last_decision(&best.script);
            let shorter = [
                found,
                Span(last.0 + Duration::from_millis(1)),
                ms(duration.0.as_nanos() / 2),
            ];
            let candidates = shorter
                .into_iter()
                .filter(|&shorter| shorter < duration && !shorter.0.is_zero());
            let candidates = candidates.filter_map(|shorter| {
                let case = best.case.changed(&Change::Duration(shorter))?;
                Some(Candidate {
                    case: Some(case),
                    script: before(&best.script, shorter),
                })
            });
            let candidates = candidates.collect();
            if self.first(best, candidates).is_none() {
                return smaller;
            }
            smaller = true;
        }
    }

    /// Leaves out operations, or faults: many at once first, then fewer.
    fn fewer<T: Clone>(
        &mut self,
        best: &mut Shrunk,
        list: impl Fn(&mut Script<Value>) -> &mut Option<Vec<T>>,
    ) -> bool {
        let mut items = list(&mut best.script.clone()).clone().unwrap_or_default();
        let before = items.len();
        let mut size = items.len();
        while size > 0 {
            let mut from = 0;
            while from < items.len() && self.runs < self.budget_runs {
                let places: Vec<usize> = (from..items.len()).step_by(size).collect();
                let candidate = |&place: &usize| {
                    let mut script = best.script.clone();
                    *list(&mut script) = Some(list::without(&items, place, size));
                    Candidate { case: None, script }
                };
                let candidates = places.iter().map(candidate).collect();
                match self.first(best, candidates) {
                    Some(found) => {
                        items = list::without(&items, places[found], size);
                        from = places[found];
                    }
                    None => break,
                }
            }
            size /= 2;
        }
        items.len() < before
    }

    /// Makes each fault shorter, and done to fewer nodes.
    fn milder(&mut self, best: &mut Shrunk) -> bool {
        let mut smaller = false;
        let mut index = 0;
        while index < faults(&best.script).len() && self.runs < self.budget_runs {
            let milder = list::milder(&faults(&best.script)[index]);
            let candidate = |milder: Injection| {
                let mut script = best.script.clone();
                if let Some(faults) = &mut script.faults {
                    faults[index] = milder;
                }
                Candidate { case: None, script }
            };
            let candidates = milder.into_iter().map(candidate).collect();
            match self.first(best, candidates) {
                Some(_) => smaller = true,
                None => index += 1,
            }
        }
        smaller
    }

    /// A smaller cluster and a better network.
    fn plainer(&mut self, best: &mut Shrunk) -> bool {
        let mut smaller = false;
        for change in [
            Change::PlainLinks,
            Change::NoLoss,
            Change::NoDuplication,
            Change::NoTail,
            Change::NoSlowSync,
        ] {
            smaller |= self.change(best, &change, Some);
        }
        while self.one_client_less(best) {
            smaller = true;
        }
        smaller
    }

    fn one_client_less(&mut self, best: &mut Shrunk) -> bool {
        let node = best.case.nodes() - 1;
        let client = node.checked_sub(best.case.servers());
        client.is_some_and(|client| {
            let adapt = |script| list::without_client(script, client as u32, node);
            self.change(best, &Change::OneClientLess, adapt)
        })
    }

    fn change(
        &mut self,
        best: &mut Shrunk,
        change: &Change,
        adapt: impl Fn(Script<Value>) -> Option<Script<Value>>,
    ) -> bool {
        let candidate = || {
            let case = best.case.changed(change)?;
            Some(Candidate {
                case: Some(case),
                script: adapt(best.script.clone())?,
            })
        };
        let candidates: Vec<Candidate> = candidate().into_iter().collect();
        self.first(best, candidates).is_some()
    }
}

fn violation(
    case: &dyn Case,
    seed: Seed,
    script: &Script<Value>,
    property: &str,
) -> Option<Finding> {
    match case.run(seed, script, None).verdict {
        Verdict::Invalid(finding) if finding.property == property => Some(finding),
        _ => None,
    }
}

/// The decisions that come before this time.
fn before(script: &Script<Value>, end: Span) -> Script<Value> {
    let mut script = script.clone();
    if let Some(faults) = &mut script.faults {
        faults.retain(|fault| fault.at < end);
    }
    if let Some(operations) = &mut script.operations {
        operations.retain(|operation| operation.at < end);
    }
    script
}

fn last_decision(script: &Script<Value>) -> Span {
    let faults = faults(script).iter().map(|fault| fault.at);
    let operations = operations(script).iter().map(|operation| operation.at);
    faults.chain(operations).max().unwrap_or_default()
}
