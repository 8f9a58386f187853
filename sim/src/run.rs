//! One seed: safety, healing, convergence, final reads, and the verdict.

mod agenda;
mod phases;
mod verdict;

pub(crate) use phases::HARNESS_PROPERTIES;
pub use verdict::{Finding, Unknown, Verdict};

use crate::fault::Injection;
use crate::nemesis::Nemesis;
use crate::protocol::{HistoryOf, Protocol};
use crate::scenario::ScenarioOf;
use crate::world::{Stats, Trace, TraceDetail};
use splitbrain_core::{Seed, Time};
use std::collections::VecDeque;

/// Where the faults of a run come from.
#[derive(Clone, Debug)]
pub enum Faults {
    /// From the scenario's nemesis, which draws and resolves them.
    Drawn,
    /// From a schedule that was resolved before.
    Scheduled(Vec<Injection>),
}

/// The faults of a run that is under way.
#[derive(Clone, Debug)]
pub(crate) enum FaultSource {
    Drawn(Nemesis),
    Scheduled(VecDeque<Injection>),
}

/// Everything about one run.
#[derive(Debug)]
pub struct Run<P: Protocol> {
    /// Of this seed.
    pub seed: Seed,
    /// What was found.
    pub verdict: Verdict,
    /// One number for everything that happened.
    pub digest: u64,
    /// What happened, counted.
    pub stats: Stats,
    /// How long it lasted in virtual time.
    pub virtual_time: Time,
    /// The faults that were injected, resolved.
    pub schedule: Vec<Injection>,
    /// The operations.
    pub history: HistoryOf<P>,
    /// What happened in words, if it was asked for.
    pub trace: Option<Trace>,
}

/// The budget of the history checker, in steps, for one run.
pub(crate) const CHECK_BUDGET_STEPS: u64 = 5_000_000;

/// Runs one seed of a scenario. The result depends on the arguments only; `trace` changes nothing but the trace.
pub fn run<P: Protocol>(
    scenario: &ScenarioOf<P::Settings>,
    seed: Seed,
    faults: &Faults,
    trace: Option<TraceDetail>,
) -> Run<P> {
    let mut run = phases::Running::<P>::new(scenario, seed, faults);
    if let Some(detail) = trace {
        run.world.trace(detail);
    }
    let verdict = match run.phases() {
        Err(finding) => Verdict::Invalid(finding),
        Ok(()) => run.judge(),
    };
    run.finish(verdict)
}

#[cfg(test)]
mod tests;
