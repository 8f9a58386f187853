//! Many seeds of one scenario, on every core, with a result that does not depend on how many cores there are.

use crate::case::{Case, Report};
use crate::network::derive;
use crate::run::{Finding, Script, Unknown, Verdict};
use crate::scenario::ExpectedVerdict;
use crate::world::{Stats, TraceDetail};
use rayon::prelude::*;
use serde::Serialize;
use splitbrain_core::{Seed, Time};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How many seeds a thread gets at a time. Results are folded in the order of seeds after each round.
const ROUND_PER_JOB: u64 = 32;

/// A scenario that requires probes requires them of campaigns of so many seeds or more: no more than `cargo test` runs.
/// What fewer seeds reach says little, and what a single one reaches nothing.
pub const PROBES_WITHIN_SEEDS: u64 = 20;

/// One run in so many is done twice and compared (law 1).
const RERUN_ONE_IN: u64 = 20;

/// What to run.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The seeds.
    pub seeds: Range<u64>,
    /// How many threads.
    pub jobs: usize,
    /// Whether to stop at the first violation.
    pub stop_at_first: bool,
}

/// Who watches a campaign.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Set it to end the campaign after the seeds that are under way.
    pub stop: &'a AtomicBool,
    /// Is shown every report as soon as it is there, in no particular order.
    pub on_report: &'a (dyn Fn(&Report) + Sync),
}

impl Watch<'_> {
    /// Nobody watches, and nobody ends it early.
    pub fn nobody() -> Watch<'static> {
        static NEVER: AtomicBool = AtomicBool::new(false);
        Watch {
            stop: &NEVER,
            on_report: &|_| {},
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// Its text.
    pub name: &'static str,
    /// In how many seeds.
    pub seeds: u64,
    /// How often in all of them together.
    pub times: u64,
}

/// What a campaign found. The same whatever the number of jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The first seed.
    pub first: Seed,
    /// How many seeds were run; fewer than asked for if it was stopped.
    pub seeds: u64,
    /// Runs in which everything that was checked holds.
    pub valid: u64,
    /// Runs in which something does not.
    pub invalid: u64,
    /// Runs that prove nothing.
    pub unknown: u64,
    /// What happened, counted.
    pub stats: Stats,
    /// Every probe: those of the protocol, then those of the kernel. A probe is a place in the code, so both phases of a
    /// run count.
    pub probes: Vec<Probe>,
    /// Virtual time in nanoseconds, all runs together.
    pub virtual_ns: u128,
    /// Over the digests of all runs, in the order of seeds.
    pub digest: u64,
    /// The violations, in the order of seeds.
    pub failures: Vec<(Seed, Finding)>,
    /// The runs that prove nothing, in the order of seeds.
    pub unknowns: Vec<(Seed, Unknown)>,
}

/// Whether a campaign found what its scenario expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Met {
    /// It did.
    Yes,
    /// There is a violation that is not expected, or an expected one is missing; in words.
    No(String),
    /// Too many runs prove nothing; in words.
    Unknown(String),
}

impl Campaign {
    /// Runs the seeds.
    pub fn run(&self, case: &dyn Case, watch: Watch<'_>) -> Summary {
        let unreached = |name| Probe {
            name,
            seeds: 0,
            times: 0,
        };
        let mut summary = Summary {
            first: Seed(self.seeds.start),
            probes: case.probes().into_iter().map(unreached).collect(),
            ..Summary::default()
        };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.jobs)
            .build();
        let per_round = self.jobs as u64 * ROUND_PER_JOB;
        let mut next = self.seeds.start;
        while next < self.seeds.end {
            let round = next..self.seeds.end.min(next.saturating_add(per_round));
            next = round.end;
            let one = |seed| (!watch.stop.load(Relaxed)).then(|| run_one(case, Seed(seed), watch));
            let reports: Vec<Option<Report>> = match &pool {
                Ok(pool) if self.jobs > 1 => {
                    pool.install(|| round.into_par_iter().map(one).collect())
                }
                // One job, or no threads to be had.
                _ => round.map(one).collect(),
            };
            for report in reports {
                let Some(report) = report else { return summary };
                let invalid = summary.add(report);
                if invalid && self.stop_at_first {
                    return summary;
                }
            }
        }
        summary
    }
}

/// Runs one seed, and a share of the seeds twice.
fn run_one(case: &dyn Case, seed: Seed, watch: Watch<'_>) -> Report {
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
    (watch.on_report)(&report);
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

impl Summary {
    /// Adds the report of the next seed. Returns whether it is a violation.
    fn add(&mut self, report: Report) -> bool {
        self.seeds += 1;
        self.stats += report.stats;
        for (probe, times) in self.probes.iter_mut().zip(&report.probes) {
            probe.seeds += u64::from(*times > 0);
            probe.times += times;
        }
        self.virtual_ns += u128::from(report.virtual_time.as_nanos());
        self.digest = xxh3_64_with_seed(&report.digest.to_le_bytes(), self.digest);
        match report.verdict {
            Verdict::Valid => self.valid += 1,
            Verdict::Invalid(finding) => {
                self.invalid += 1;
                self.failures.push((report.seed, finding));
                return true;
            }
            Verdict::Unknown(why) => {
                self.unknown += 1;
                self.unknowns.push((report.seed, why));
            }
        }
        false
    }

    /// Every run must end with so much destroyed that it could not be live.
    fn met_unrecoverable(&self) -> Met {
        let other = |(_, why): &&(Seed, Unknown)| !matches!(why, Unknown::Unrecoverable(_));
        match self.unknowns.iter().find(other) {
            Some((seed, why)) => Met::Unknown(format!("seed {seed} proves nothing: {why}")),
            None if self.valid > 0 => Met::No(format!(
                "{} of {} seeds recovered, which nobody could have expected",
                self.valid, self.seeds
            )),
            None if self.seeds == 0 => Met::Unknown("no seed was run".to_owned()),
            None => Met::Yes,
        }
    }

    /// Whether this is what the scenario expects, and has reached the probes that it requires.
    pub fn met(&self, case: &dyn Case) -> Met {
        match self.met_verdict(case) {
            Met::Yes => self.missed(case).map_or(Met::Yes, Met::Unknown),
            not_met => not_met,
        }
    }

    /// The required probes that were not reached, where there were seeds enough.
    fn missed(&self, case: &dyn Case) -> Option<String> {
        let missed = |name: &&String| {
            let mut reached = self.probes.iter().filter(|probe| probe.seeds > 0);
            !reached.any(|probe| probe.name == **name)
        };
        let missed: Vec<String> = case
            .required_probes()
            .iter()
            .filter(missed)
            .map(|name| format!("`{name}`"))
            .collect();
        (self.seeds >= PROBES_WITHIN_SEEDS && !missed.is_empty()).then(|| {
            format!(
                "none of {} seeds reached {}, which the scenario requires",
                self.seeds,
                missed.join(", ")
            )
        })
    }

    fn met_verdict(&self, case: &dyn Case) -> Met {
        let expect = case.expect();
        let expected = match expect.verdict {
            ExpectedVerdict::Valid | ExpectedVerdict::Unrecoverable => None,
            ExpectedVerdict::Violation => expect.property.as_deref(),
        };
        if let Some((seed, finding)) = self
            .failures
            .iter()
            .find(|(_, f)| Some(f.property.as_str()) != expected)
        {
            return Met::No(format!(
                "seed {seed} violates {}, which is not expected",
                finding.property
            ));
        }
        match expected {
            None if expect.verdict == ExpectedVerdict::Unrecoverable => self.met_unrecoverable(),
            None => match self.unknowns.first() {
                Some((seed, why)) => Met::Unknown(format!(
                    "{} of {} seeds prove nothing; seed {seed}: {why}",
                    self.unknown, self.seeds
                )),
                None if self.seeds == 0 => Met::Unknown("no seed was run".to_owned()),
                None => Met::Yes,
            },
            Some(property) => {
                let within = expect.within_seeds.map_or(1, |within| within.get() as u64);
                if self.failures.is_empty() && self.seeds < within {
                    return Met::Unknown(format!(
                        "{property} was not violated, but only in {} seeds: expected within {within}",
                        self.seeds
                    ));
                }
                // The longest run of seeds without the violation that is expected in every `within` of them.
                let seeds = self.failures.iter().map(|(seed, _)| seed.0);
                let first = self.first.0;
                let ends: Vec<u64> = seeds.chain([first.saturating_add(self.seeds)]).collect();
                let mut from = first;
                for end in ends {
                    if end.saturating_sub(from) >= within {
                        return Met::No(format!(
                            "{property} was expected within {within} seeds, and seeds {from}..{end} are free of it"
                        ));
                    }
                    from = end.saturating_add(1);
                }
                Met::Yes
            }
        }
    }
}
