//! Many seeds of one scenario, on every core, with a result that does not depend on how many cores there are.

mod saved;
mod summary;

pub use saved::{ResumeError, SavedCampaign};
pub use summary::{DistinctFailure, Met, Summary};

use crate::case::{Case, Report};
use crate::network::derive;
use crate::run::{Finding, Script, Verdict};
use crate::shrink::FailureShape;
use crate::world::TraceDetail;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use splitbrain_core::{Seed, Time};
use std::num::NonZeroU64;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// How many seeds a thread gets at a time. Results are folded in the order of seeds after each round.
const ROUND_PER_JOB: u64 = 32;

/// A scenario that requires probes requires them of campaigns of so many seeds or more: no more than `cargo test` runs.
/// What fewer seeds reach says little, and what a single one reaches nothing.
pub const PROBES_WITHIN_SEEDS: u64 = 20;

/// One run in so many is done twice and compared (law 1).
const RERUN_ONE_IN: u64 = 20;

/// What to run. By default: no seed, on one thread, without telling failures apart.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The seeds.
    pub seeds: Range<u64>,
    /// How many threads. They change nothing but how long it takes.
    pub jobs: usize,
    /// Whether to stop at the first violation.
    pub stop_at_first: bool,
    /// Stop as soon as so many distinct failures are known; for this, all failures are told apart.
    pub distinct: Option<NonZeroU64>,
    /// So many failures of each property are told apart, by the [shape](FailureShape) of what shrinking leaves of them,
    /// which costs up to [`SHAPE_BUDGET_STEPS`](crate::shrink::SHAPE_BUDGET_STEPS) steps each.
    pub tell_apart: u64,
}

impl Default for Campaign {
    fn default() -> Campaign {
        Campaign {
            seeds: 0..0,
            jobs: 1,
            stop_at_first: false,
            distinct: None,
            tell_apart: 0,
        }
    }
}

/// Who watches a campaign.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Set it to end the campaign after the seeds that are under way.
    pub stop: &'a AtomicBool,
    /// Is shown every report as soon as it is there, in no particular order.
    pub on_report: &'a (dyn Fn(&Report) + Sync),
    /// Is shown what was found so far after every round of seeds, and says whether to begin another one.
    pub on_round: &'a dyn Fn(&Summary) -> ControlFlow<()>,
}

impl Watch<'_> {
    /// Nobody watches, and nobody ends it early.
    pub fn nobody() -> Watch<'static> {
        static NEVER: AtomicBool = AtomicBool::new(false);
        Watch {
            stop: &NEVER,
            on_report: &|_| {},
            on_round: &|_| ControlFlow::Continue(()),
        }
    }
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("stop", self.stop)
            .finish_non_exhaustive()
    }
}

/// How often a probe was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Its text.
    pub name: String,
    /// In how many seeds.
    pub seeds: u64,
    /// How often in all of them together.
    pub times: u64,
}

impl Probe {
    fn unreached(name: &str) -> Probe {
        Probe {
            name: name.to_owned(),
            seeds: 0,
            times: 0,
        }
    }
}

impl Campaign {
    /// Runs the seeds.
    pub fn run(&self, case: &dyn Case, watch: Watch<'_>) -> Summary {
        self.resume(case, Summary::none(Seed(self.seeds.start)), watch)
    }

    /// Goes on after what an earlier campaign over these seeds found before it was ended. What comes of it is what would
    /// have come of one that was not.
    pub fn resume(&self, case: &dyn Case, so_far: Summary, watch: Watch<'_>) -> Summary {
        let mut summary = so_far;
        if summary.seeds == 0 {
            summary.probes = case.probes().into_iter().map(Probe::unreached).collect();
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.jobs.max(1))
            .build();
        let Watch {
            stop, on_report, ..
        } = watch;
        let per_round = self.jobs.max(1) as u64 * ROUND_PER_JOB;
        while !self.is_over(&summary) {
            let next = summary.next_seed();
            let round = next..self.seeds.end.min(next.saturating_add(per_round));
            // Seeds behind the first violation have no say any more. Those before it are all run, whoever is quicker.
            let first = AtomicU64::new(u64::MAX);
            let one = |seed| {
                if stop.load(Relaxed) || first.load(Relaxed) < seed {
                    return None;
                }
                let report = run_one(case, Seed(seed), on_report);
                if self.stop_at_first && matches!(report.verdict, Verdict::Invalid(_)) {
                    first.fetch_min(seed, Relaxed);
                }
                Some(report)
            };
            let reports: Vec<Option<Report>> = match &pool {
                Ok(pool) if self.jobs > 1 => {
                    pool.install(|| round.into_par_iter().map(one).collect())
                }
                // One job, or no threads to be had.
                _ => round.map(one).collect(),
            };
            for report in reports {
                let Some(report) = report else { return summary };
                let telling = self.tells_apart(&report, &summary);
                if telling.is_some() && stop.load(Relaxed) {
                    // That takes a while.
                    return summary;
                }
                let shape = telling.map(|property| {
                    let shape = || FailureShape::of(case, report.seed, property);
                    FoundShape(match &pool {
                        Ok(pool) => pool.install(shape),
                        Err(_) => shape(),
                    })
                });
                summary.add(report, shape);
                if self.is_over(&summary) {
                    break;
                }
            }
            if (watch.on_round)(&summary).is_break() {
                break;
            }
        }
        summary
    }

    /// Whether there is nothing left to do: all seeds were run, or what was found is enough.
    pub fn is_over(&self, summary: &Summary) -> bool {
        summary.next_seed() >= self.seeds.end || self.found_enough(summary)
    }

    /// Whether it stops here because of what was found.
    pub fn found_enough(&self, summary: &Summary) -> bool {
        let enough = |distinct: NonZeroU64| summary.distinct.len() as u64 >= distinct.get();
        (self.stop_at_first && summary.invalid > 0) || self.distinct.is_some_and(enough)
    }

    /// The property that is violated, if this is a failure that is told apart from others. Asked in the order of seeds, so
    /// that only what was found before has a say.
    fn tells_apart<'a>(&self, report: &'a Report, summary: &Summary) -> Option<&'a str> {
        let Verdict::Invalid(Finding { property, .. }) = &report.verdict else {
            return None;
        };
        let more = self.distinct.is_some() || summary.told_apart(property) < self.tell_apart;
        more.then_some(property)
    }
}

/// What is known of the shape of a failure after it was made small: nothing, if a schedule alone does not show it.
#[derive(Debug)]
struct FoundShape(Option<FailureShape>);

/// Runs one seed, and a share of the seeds twice.
fn run_one(case: &dyn Case, seed: Seed, on_report: &(dyn Fn(&Report) + Sync)) -> Report {
    let mut report = case.run(seed, &Script::DRAWN, None);
    if derive(seed.0, 1).is_multiple_of(RERUN_ONE_IN) {
        let again = case.run(seed, &Script::DRAWN, None);
        let same = again.digest == report.digest
            && again.verdict == report.verdict
            && again.stats == report.stats
            && again.probes == report.probes
            && again.faults == report.faults;
        if !same {
            let what = first_difference(case, seed);
            report.verdict = Verdict::Invalid(Finding {
                property: "determinism".to_owned(),
                what,
                at: Time::ZERO,
            });
        }
    }
    on_report(&report);
    report
}

/// The first event in which two runs of the same seed differ.
fn first_difference(case: &dyn Case, seed: Seed) -> String {
    let events = || {
        case.run(seed, &Script::DRAWN, Some(TraceDetail::Everything))
            .trace
            .map(|trace| trace.events)
    };
    let (first, second) = (events().unwrap_or_default(), events().unwrap_or_default());
    let length = first.len().max(second.len());
    let differing = (0..length).find(|&at| first.get(at) != second.get(at));
    match differing {
        Some(at) => {
            let show = |events: &[crate::world::TraceEvent]| {
                events
                    .get(at)
                    .map_or("nothing".to_owned(), ToString::to_string)
            };
            format!(
                "two runs of this seed differ at event {at}: `{}` and `{}`",
                show(&first),
                show(&second)
            )
        }
        None => "two runs of this seed had different digests, two more did not".to_owned(),
    }
}
