//! Making a failing run small: fewer faults and operations, fewer nodes, shorter, quieter, the same property violated.
//!
//! Delta debugging (Zeller and Hildebrandt, 2002) over the decisions of a run. It works because
//! randomness has an address (law 2): what is left out does not change the fate of what is left. Where everything hangs
//! on timing that is not enough, as every fault changes when later messages are sent. So a smaller run
//! that does not violate the property is tried again with other seeds, and far smaller runs are drawn at random. The
//! result is a function of the run and the budget alone, whatever the number of threads.

mod faults;
mod jump;
mod list;
mod network;
mod plain;
mod search;
mod shape;

pub(crate) use network::without_node;
#[cfg(test)]
pub(crate) use shape::shape;
pub use shape::{FailureShape, FaultShape, SHAPE_BUDGET_STEPS};

use crate::case::{Case, Change};
use crate::fault::Injection;
use crate::run::{Finding, Request, Script};
use crate::span::Span;
use search::{Found, Search, Trial};
use serde_json::Value;
use splitbrain_core::{NodeId, Seed, Time};
use std::sync::Arc;
use std::time::Duration;

/// A failing run, as small as it could be made.
#[derive(Debug)]
pub struct Shrunk {
    /// The scenario, with what does not matter taken out of it.
    pub case: Arc<dyn Case>,
    /// Its seed: another one than before, if that made it smaller.
    pub seed: Seed,
    /// The faults and operations that are left.
    pub script: Script<Value>,
    /// What was found in the small run.
    pub finding: Finding,
    /// How many runs it took.
    pub runs: u64,
    /// How many steps: the events of all these runs, and a few more for each run.
    pub steps: u64,
}

impl Shrunk {
    /// How many faults and operations are left.
    pub fn decisions(&self) -> usize {
        self.script.decisions()
    }
}

fn faults_of(script: &Script<Value>) -> &[Injection] {
    script.faults.as_deref().unwrap_or_default()
}

fn operations_of(script: &Script<Value>) -> &[Request<Value>] {
    script.operations.as_deref().unwrap_or_default()
}

/// Makes a failing run smaller in at most so many steps, beside those of the first run, which shows that there is something
/// to be made smaller. `None` if the script does not violate the property in the first place.
///
/// `on_progress` is told the number of steps so far and of decisions left.
pub fn shrink(
    case: &dyn Case,
    seed: Seed,
    script: &Script<Value>,
    property: &str,
    budget_steps: u64,
    on_progress: &mut dyn FnMut(u64, usize),
) -> Option<Shrunk> {
    let case: Arc<dyn Case> = Arc::from(case.changed(&Change::AsDrawn(seed))?);
    // The nemesis and what the scenario requires have no say in a scripted run.
    let scripted: Arc<dyn Case> = Arc::from(case.changed(&Change::ScriptOnly)?);
    let trial = Trial {
        case: scripted,
        seed,
        script: script.clone(),
    };
    let (_, first) = Search::new(property, u64::MAX, &mut |_, _| {}).first([trial], 0)?;
    let mut best = Best::from(first);
    let mut drawn: Arc<dyn Case> = Arc::from(case.changed(&Change::RequireNothing)?);
    // What is violated while things break needs no healing to be seen.
    let in_safety = best.finding.at < Time::ZERO + case.duration().0;
    if in_safety {
        change(&mut best.case, &Change::ConvergeWithin(Span::default()));
        change(&mut drawn, &Change::ConvergeWithin(Span::default()));
    }
    // Something is kept for what makes a run easier to read, once there is little to be read.
    let search = Search::new(property, budget_steps - budget_steps / 8, on_progress);
    let mut shrinking = Shrinking {
        search,
        best,
        drawn,
    };
    shrinking.leave_out();
    shrinking.search.allow(budget_steps);
    shrinking.make_plain();
    let Shrinking {
        search, mut best, ..
    } = shrinking;
    if in_safety {
        change(
            &mut best.case,
            &Change::ConvergeWithin(case.converge_within()),
        );
    }
    Some(Shrunk {
        case: best.case,
        seed: best.seed,
        script: best.script,
        finding: best.finding,
        runs: search.runs,
        steps: search.steps,
    })
}

/// The smallest run so far.
#[derive(Clone, Debug)]
struct Best {
    case: Arc<dyn Case>,
    seed: Seed,
    script: Script<Value>,
    finding: Finding,
    /// What it costs to run it.
    steps: u64,
}

impl From<Found> for Best {
    fn from(found: Found) -> Best {
        let Trial { case, seed, script } = found.trial;
        Best {
            case,
            seed,
            script,
            finding: found.finding,
            steps: found.steps,
        }
    }
}

/// Changes a scenario, if it can be changed in this way.
fn change(case: &mut Arc<dyn Case>, change: &Change) {
    if let Some(changed) = case.changed(change) {
        *case = Arc::from(changed);
    }
}

/// How hard it is tried, in steps.
#[derive(Clone, Copy, Debug)]
struct Effort {
    /// Only while there are more decisions than this.
    beyond: usize,
    /// For each smaller run: as many other seeds as that pays for.
    candidate: u64,
    /// For runs with so many decisions that are drawn at random.
    jump: u64,
}

/// The more is left, the harder it is tried: nobody minds whether there are two decisions or three.
const EFFORTS: [Effort; 4] = [
    Effort {
        beyond: 0,
        candidate: 5_000,
        jump: 50_000,
    },
    Effort {
        beyond: 1,
        candidate: 10_000,
        jump: 200_000,
    },
    Effort {
        beyond: 3,
        candidate: 50_000,
        jump: 1_000_000,
    },
    Effort {
        beyond: 8,
        candidate: 200_000,
        jump: 3_000_000,
    },
];

/// At most so many other seeds for one smaller run.
const SEEDS_MAX: u64 = 10_000;

/// A smaller run to try: another scenario, if that is what is smaller, and a script.
struct Candidate {
    case: Option<Arc<dyn Case>>,
    script: Script<Value>,
}

struct Shrinking<'a> {
    search: Search<'a>,
    best: Best,
    /// The scenario as it was, with its nemesis.
    drawn: Arc<dyn Case>,
}

impl Shrinking<'_> {
    /// As few decisions as possible.
    fn leave_out(&mut self) {
        while self.pass(0) {}
        for (round, effort) in (0..).zip(EFFORTS) {
            while self.best.script.decisions() > effort.beyond
                && (self.redraw(effort.jump, round)
                    || self.jump(effort.jump, round)
                    || self.pass(effort.candidate))
            {
                while self.pass(0) {}
            }
        }
    }

    /// Tries these and takes the first that still violates the property, each with its own seed and then with as
    /// many others as these steps pay for. Returns its place.
    fn first(&mut self, candidates: Vec<Candidate>, steps: u64) -> Option<usize> {
        let best = &self.best;
        let seeds = (steps / best.steps.max(1)).min(SEEDS_MAX);
        let each = seeds as usize + 1;
        let trials = candidates
            .into_iter()
            .flat_map(|Candidate { case, script }| {
                let case = case.unwrap_or_else(|| Arc::clone(&best.case));
                let seeds = std::iter::once(best.seed).chain((1..=seeds).map(Seed));
                seeds.map(move |seed| Trial {
                    case: Arc::clone(&case),
                    seed,
                    script: script.clone(),
                })
            });
        let (place, found) = self.search.first(trials, best.script.decisions())?;
        self.best = Best::from(found);
        self.search.tell(self.best.script.decisions());
        Some(place / each)
    }

    /// Draws far smaller runs, the smallest first, for so many steps of each size.
    fn jump(&mut self, steps: u64, round: u64) -> bool {
        let decisions = self.best.script.decisions();
        for size in (0..8).chain((3..).flat_map(|n| [1 << n, 3 << (n - 1)])) {
            if size >= decisions || self.search.exhausted {
                return false;
            }
            let best = self.best.clone();
            if self.drawn_from(jump::trials(&best, size, round), steps) {
                return true;
            }
        }
        false
    }

    /// Draws far shorter runs of the scenario itself, the shortest first, for so many steps of each length: a nemesis that
    /// follows the leader hits another one in another run.
    fn redraw(&mut self, steps: u64, round: u64) -> bool {
        let longest = self.best.case.duration();
        let durations = (0..).map(|doubling| Span::from_millis(250 << doubling));
        for duration in durations.take_while(|&duration| duration < longest) {
            let (best, drawn) = (self.best.clone(), Arc::clone(&self.drawn));
            let trials = jump::redrawn(&best, &drawn, duration, round);
            if self.drawn_from(trials, steps) {
                change(&mut self.best.case, &Change::ScriptOnly);
                return true;
            }
        }
        false
    }

    /// Takes the first of these that violates the property, within so many steps.
    fn drawn_from(&mut self, mut trials: impl Iterator<Item = Trial>, steps: u64) -> bool {
        let decisions = self.best.script.decisions();
        let until = self.search.steps.saturating_add(steps);
        while self.search.steps < until && !self.search.exhausted {
            let some = trials.by_ref().take(256);
            if let Some((_, found)) = self.search.first(some, decisions) {
                self.best = Best::from(found);
                return true;
            }
        }
        false
    }

    /// Leaves everything out once. Returns whether anything became smaller.
    fn pass(&mut self, steps: u64) -> bool {
        let mut smaller = self.cut_short();
        smaller |= self.fewer_nodes(steps);
        smaller |= self.fewer(steps, |script| &mut script.operations);
        smaller |= self.fewer(steps, |script| &mut script.faults);
        smaller
    }

    /// Ends the safety phase as soon as the property is violated, or in half the time.
    fn cut_short(&mut self) -> bool {
        let mut smaller = false;
        loop {
            let best = &self.best;
            let duration = best.case.duration();
            let ms = |ns: u128| Span(Duration::from_millis((ns / 1_000_000) as u64));
            let found = ms(best.finding.at.since(Time::ZERO).as_nanos() + 1_000_000);
            let last = list::last_decision(&best.script);
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
                    case: Some(Arc::from(case)),
                    script: list::before(&best.script, shorter),
                })
            });
            let candidates = candidates.collect();
            if self.first(candidates, 0).is_none() {
                return smaller;
            }
            smaller = true;
        }
    }

    /// Leaves out servers and clients, with what they do and what is done to them.
    fn fewer_nodes(&mut self, steps: u64) -> bool {
        let mut smaller = false;
        loop {
            let best = &self.best;
            let nodes = (0..best.case.nodes()).rev().map(NodeId::from_index);
            let candidate = |gone| {
                let case = best.case.changed(&Change::WithoutNode(gone))?;
                let (before, then) = (best.case.invoked_at(), case.invoked_at());
                Some(Candidate {
                    script: list::without_node(&best.script, gone, &before, &then),
                    case: Some(Arc::from(case)),
                })
            };
            let candidates = nodes.filter_map(candidate).collect();
            if self.first(candidates, steps).is_none() {
                return smaller;
            }
            smaller = true;
        }
    }

    /// Leaves out operations, or faults: many at once first, then fewer.
    fn fewer<T: Clone>(
        &mut self,
        steps: u64,
        list: impl Fn(&mut Script<Value>) -> &mut Option<Vec<T>>,
    ) -> bool {
        let mut items = list(&mut self.best.script.clone())
            .clone()
            .unwrap_or_default();
        let before = items.len();
        let mut size = items.len();
        while size > 0 {
            let mut from = 0;
            while from < items.len() && !self.search.exhausted {
                let places: Vec<usize> = (from..items.len()).step_by(size).collect();
                let candidate = |&place: &usize| {
                    let mut script = self.best.script.clone();
                    *list(&mut script) = Some(list::without(&items, place, size));
                    Candidate { case: None, script }
                };
                let candidates = places.iter().map(candidate).collect();
                match self.first(candidates, steps) {
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
}
