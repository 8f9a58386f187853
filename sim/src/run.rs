//! One seed: safety, healing, convergence, final reads, and the verdict.

mod agenda;
mod clients;
mod phases;
mod verdict;

pub(crate) use phases::HARNESS_PROPERTIES;
pub use verdict::{Finding, Unknown, Verdict};

use crate::engine::Engine;
use crate::fault::Injection;
use crate::nemesis::Nemesis;
use crate::protocol::{Contradiction, HistoryOf, OpOf, Protocol, WorldOf};
use crate::scenario::ScenarioOf;
use crate::span::Span;
use crate::world::{Stats, Trace, TraceDetail};
use serde::{Deserialize, Serialize};
use splitbrain_core::{Seed, Time};
use std::collections::VecDeque;

/// What is decided before a run begins. Whatever is not is drawn from the seed, as the scenario says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script<Op> {
    /// The faults, resolved; `None`: the nemesis draws them.
    pub faults: Option<Vec<Injection>>,
    /// The operations of the clients; `None`: the workload draws them.
    pub operations: Option<Vec<Request<Op>>>,
}

impl<Op> Script<Op> {
    /// Everything is drawn.
    pub const DRAWN: Script<Op> = Script {
        faults: None,
        operations: None,
    };

    /// How many faults and how many operations it says.
    pub fn counts(&self) -> (usize, usize) {
        (
            self.faults.as_ref().map_or(0, Vec::len),
            self.operations.as_ref().map_or(0, Vec::len),
        )
    }

    /// How many faults and operations it says, together.
    pub fn decisions(&self) -> usize {
        let (faults, operations) = self.counts();
        faults + operations
    }
}

/// An operation of a client, and when it begins: later if the client is still busy then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request<Op> {
    /// Since the start of the run.
    pub at: Span,
    /// Which client, from zero.
    pub client: u32,
    /// What it asks for.
    pub op: Op,
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
    /// How often each probe was reached, in both phases: those of the node, then those of the kernel.
    pub probes: Vec<u64>,
    /// How long it lasted in virtual time.
    pub virtual_time: Time,
    /// How long after healing a leader was first seen, if the scenario asks for that.
    pub leader_after_healing_ms: Option<u64>,
    /// Which sources of faults there were and how often they came, if the scenario leaves that to the seed.
    pub swarm: Option<String>,
    /// The faults that were injected, resolved.
    pub faults: Vec<Injection>,
    /// The operations that clients began in the safety phase.
    pub operations: Vec<Request<OpOf<P>>>,
    /// The operations.
    pub history: HistoryOf<P>,
    /// The operations that contradict each other, if that is what was found.
    pub contradiction: Contradiction,
    /// The states of the nodes in the end, in words, if a trace was asked for.
    pub states: Option<Vec<String>>,
    /// What happened in words, if it was asked for.
    pub trace: Option<Trace>,
}

/// The budget of the history checker, in steps, for one run.
pub(crate) const CHECK_BUDGET_STEPS: u64 = 5_000_000;

/// Runs one seed of a scenario in the kernel. The result depends on the arguments only; `trace` changes nothing but the trace.
pub fn run<P: Protocol>(
    scenario: &ScenarioOf<P::Settings>,
    seed: Seed,
    script: &Script<OpOf<P>>,
    trace: Option<TraceDetail>,
) -> Run<P> {
    run_on::<P, WorldOf<P>>(scenario, seed, script, trace)
}

/// The same in another engine.
pub(crate) fn run_on<P: Protocol, E: Engine<P::Node>>(
    scenario: &ScenarioOf<P::Settings>,
    seed: Seed,
    script: &Script<OpOf<P>>,
    trace: Option<TraceDetail>,
) -> Run<P> {
    let mut run = phases::Running::<P, E>::new(scenario, seed, script);
    if let Some(detail) = trace {
        run.world.trace(detail);
    }
    let verdict = match run.phases() {
        Err(verdict) => verdict,
        Ok(()) => run.judge(),
    };
    run.finish(verdict)
}

#[cfg(test)]
mod tests;
