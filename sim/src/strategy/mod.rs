//! Faults as proptest draws them (feature `proptest`): for properties that must hold whatever goes wrong.
//!
//! A nemesis draws faults from a seed, as its scenario says. A [`Schedule`] is drawn by proptest instead, together with
//! whatever else a test draws, and is a value: it can be changed, compared, and run with any seed.
//!
//! A failing schedule is made small by either of two shrinkers. Proptest's own tries fewer faults, on fewer nodes, shorter,
//! earlier, at rounder times, for any property that a test may state. [`shrink`](crate::shrink::shrink) knows what a run is: it
//! leaves out operations, clients and noise as well, for as long as the same property of the run is violated; give it
//! [`Schedule::script`] in a test whose `max_shrink_iters` is 0.
//!
//! ```
//! use proptest::prelude::*;
//! use splitbrain::run::Verdict;
//! use splitbrain::scenario::FaultKind;
//! use splitbrain::strategy::Faults;
//! use splitbrain::{Seed, case::Case};
//!
//! /// For a case of any protocol: nothing is violated, whatever happens to its links and processes.
//! fn survives(case: &dyn Case) {
//!     let kinds = [FaultKind::Partition, FaultKind::Crash, FaultKind::Pause];
//!     let faults = Faults::of(case).kinds(&kinds).at_most(4);
//!     proptest!(|(schedule in faults.schedule(), seed in 0_u64..1000)| {
//!         let report = schedule.run(case, Seed(seed));
//!         let violated = matches!(report.verdict, Verdict::Invalid(_));
//!         prop_assert!(!violated, "{}", report.verdict);
//!     });
//! }
//! ```

mod kinds;
mod parts;

use crate::case::{Case, Report};
use crate::fault::{Fault, Injection};
use crate::run::Script;
use crate::scenario::FaultKind;
use crate::span::Span;
use crate::world::TraceDetail;
use proptest::collection::vec;
use proptest::strategy::{BoxedStrategy, Strategy as _, Union};
use serde_json::Value;
use splitbrain_core::{NodeId, Seed};
use std::fmt;
use std::time::Duration;

/// Which faults to draw: a builder of strategies.
#[derive(Clone, Debug)]
pub struct Faults {
    servers: Vec<NodeId>,
    clients: Vec<NodeId>,
    within: Span,
    longest: Span,
    at_most: usize,
    kinds: Vec<FaultKind>,
}

impl Faults {
    /// Of all kinds, up to eight, for a cluster of so many nodes, beginning within this time; each lasts up to a quarter of
    /// it.
    ///
    /// # Panics
    /// If there are no servers, or no whole millisecond to begin in.
    pub fn new(servers: usize, clients: usize, within: Span) -> Faults {
        assert!(servers > 0, "somebody must be there to have faults");
        assert!(parts::ms(within) > 0, "no fault begins within {within}");
        let ids = |range: std::ops::Range<usize>| range.map(NodeId::from_index).collect();
        Faults {
            servers: ids(0..servers),
            clients: ids(servers..servers + clients),
            within,
            longest: Span::from_millis((parts::ms(within) / 4).max(1)),
            at_most: 8,
            kinds: FaultKind::ALL.to_vec(),
        }
    }

    /// For the cluster and the safety phase of this case.
    ///
    /// # Panics
    /// If its safety phase lasts less than a millisecond.
    pub fn of(case: &dyn Case) -> Faults {
        let servers = case.servers();
        Faults::new(servers, case.nodes() - servers, case.duration())
    }

    /// Only of these kinds; those first are tried first when a schedule is made small.
    ///
    /// # Panics
    /// If there are none.
    #[must_use]
    pub fn kinds(mut self, kinds: &[FaultKind]) -> Faults {
        assert!(!kinds.is_empty(), "expected at least one kind of fault");
        self.kinds = kinds.to_vec();
        self
    }

    /// So many faults at most.
    #[must_use]
    pub fn at_most(mut self, faults: usize) -> Faults {
        self.at_most = faults;
        self
    }

    /// Each lasts at most so long; at least a millisecond.
    #[must_use]
    pub fn lasting_at_most(mut self, longest: Span) -> Faults {
        self.longest = longest.max(Span::from_millis(1));
        self
    }

    /// Schedules of these faults, in the order in which they begin.
    pub fn schedule(&self) -> BoxedStrategy<Schedule> {
        let in_order = |mut faults: Vec<Injection>| {
            faults.sort_by_key(|injection| injection.at);
            Schedule(faults)
        };
        vec(self.injection(), 0..=self.at_most)
            .prop_map(in_order)
            .boxed()
    }

    /// One fault, when it begins and how long it lasts.
    pub fn injection(&self) -> BoxedStrategy<Injection> {
        let last = Span(self.within.0.saturating_sub(Duration::from_millis(1)));
        let at = parts::span(Span::default(), last);
        let lasting = parts::span(Span::from_millis(1), self.longest);
        (at, lasting, self.fault())
            .prop_map(|(at, lasting, fault)| Injection { at, lasting, fault })
            .boxed()
    }

    /// One fault of any of the kinds.
    pub fn fault(&self) -> BoxedStrategy<Fault> {
        let each = self.kinds.iter().map(|&kind| self.fault_of(kind));
        Union::new(each).boxed()
    }

    /// One fault of this kind. A swizzle is several faults; what it is made of is a clog.
    pub fn fault_of(&self, kind: FaultKind) -> BoxedStrategy<Fault> {
        kinds::fault(kind, &self.servers, &self.clients)
    }
}

/// Faults as they were drawn, resolved to nodes. It is printed as the `faults` of a replay file.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Schedule(
    /// In the order in which they begin.
    pub Vec<Injection>,
);

impl Schedule {
    /// These faults and no others; the operations are drawn by the workload.
    pub fn script(&self) -> Script<Value> {
        Script {
            faults: Some(self.0.clone()),
            operations: None,
        }
    }

    /// Runs a case with these faults instead of those of its nemesis.
    pub fn run(&self, case: &dyn Case, seed: Seed) -> Report {
        case.run(seed, &self.script(), None)
    }

    /// The same run, with everything that happens in words, and with what a replay file needs.
    pub fn run_traced(&self, case: &dyn Case, seed: Seed) -> Report {
        case.run(seed, &self.script(), Some(TraceDetail::Everything))
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (index, injection) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let json = serde_json::to_string(injection).map_err(|_| fmt::Error)?;
            write!(f, "{comma}\n  {json}")?;
        }
        f.write_str(if self.0.is_empty() { "]" } else { "\n]" })
    }
}

#[cfg(test)]
mod tests;
