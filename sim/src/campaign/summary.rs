//! What a campaign found, and whether that is what was expected.

use super::{FoundShape, PROBES_WITHIN_SEEDS, Probe};
use crate::case::{Case, Report};
use crate::run::{Finding, Unknown, Verdict};
use crate::scenario::ExpectedVerdict;
use crate::shrink::FailureShape;
use crate::world::Stats;
use serde::{Deserialize, Serialize};
use splitbrain_core::Seed;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What a campaign found. The same whatever the number of jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
    /// How long after healing a leader was first seen, at most, if the scenario asks for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader_after_healing_ms: Option<u64>,
    /// Over the digests of all runs, in the order of seeds.
    pub digest: u64,
    /// The violations, in the order of seeds.
    pub failures: Vec<(Seed, Finding)>,
    /// The runs that prove nothing, in the order of seeds.
    pub unknowns: Vec<(Seed, Unknown)>,
    /// The failures that were told apart, in the order of their first seeds.
    pub distinct: Vec<DistinctFailure>,
}

/// Failing seeds that look alike: they violate the same property, and what shrinking left of each holds the same small
/// shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DistinctFailure {
    /// What is violated.
    pub property: String,
    /// The smallest shape; `None` if a schedule alone does not show the failure.
    pub shape: Option<FailureShape>,
    /// How many seeds showed it.
    pub seeds: u64,
    /// The first of them.
    pub first: Seed,
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

impl Summary {
    /// Of a campaign that begins with this seed, before it does.
    pub fn none(first: Seed) -> Summary {
        Summary {
            first,
            ..Summary::default()
        }
    }

    /// The seed after the last one that was run.
    pub fn next_seed(&self) -> u64 {
        self.first.0.saturating_add(self.seeds)
    }

    /// The failure that this seed was the first to show, if it was told apart from the others.
    pub fn first_shown_by(&self, seed: Seed) -> Option<&DistinctFailure> {
        self.distinct.iter().find(|known| known.first == seed)
    }

    /// How many of the failures that violate this property were told apart.
    pub(super) fn told_apart(&self, property: &str) -> u64 {
        let same = self.distinct.iter().filter(|d| d.property == property);
        same.map(|distinct| distinct.seeds).sum()
    }

    /// Adds the report of the next seed, with its shape if it is a failure to be told apart from others.
    pub(super) fn add(&mut self, report: Report, shape: Option<FoundShape>) {
        self.seeds += 1;
        self.stats += report.stats;
        for (probe, times) in self.probes.iter_mut().zip(&report.probes) {
            probe.seeds += u64::from(*times > 0);
            probe.times += times;
        }
        self.virtual_ns += u128::from(report.virtual_time.as_nanos());
        self.leader_after_healing_ms = self
            .leader_after_healing_ms
            .max(report.leader_after_healing_ms);
        self.digest = xxh3_64_with_seed(&report.digest.to_le_bytes(), self.digest);
        match report.verdict {
            Verdict::Valid => self.valid += 1,
            Verdict::Invalid(finding) => {
                self.invalid += 1;
                if let Some(FoundShape(shape)) = shape {
                    self.count_shape(report.seed, &finding.property, shape);
                }
                self.failures.push((report.seed, finding));
            }
            Verdict::Unknown(why) => {
                self.unknown += 1;
                self.unknowns.push((report.seed, why));
            }
        }
    }

    /// Counts the failure to the first one that it may be. If it is smaller than some that are known, those were this one
    /// with something around it.
    fn count_shape(&mut self, seed: Seed, property: &str, shape: Option<FailureShape>) {
        let holds =
            |small: &Option<FailureShape>, large: &Option<FailureShape>| match (small, large) {
                (Some(small), Some(large)) => small.fits_in(large),
                (None, None) => true,
                _ => false,
            };
        let mut known = self.distinct.iter_mut().filter(|d| d.property == property);
        if let Some(known) = known.find(|known| holds(&known.shape, &shape)) {
            known.seeds += 1;
            return;
        }
        let mut new = DistinctFailure {
            property: property.to_owned(),
            shape,
            seeds: 1,
            first: seed,
        };
        self.distinct.retain(|known| {
            let same = known.property == property && holds(&new.shape, &known.shape);
            if same {
                new.seeds += known.seeds;
                new.first = new.first.min(known.first);
            }
            !same
        });
        let place = self
            .distinct
            .partition_point(|known| known.first < new.first);
        self.distinct.insert(place, new);
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
                let mut from = first;
                for end in seeds.chain([self.next_seed()]) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shrink::shape;

    /// Property, shape, how many seeds, the first one.
    fn told_apart(summary: &Summary) -> Vec<(&str, Option<String>, u64, u64)> {
        let words = |d: &'_ DistinctFailure| d.shape.as_ref().map(ToString::to_string);
        let distinct = summary.distinct.iter();
        distinct
            .map(|d| (d.property.as_str(), words(d), d.seeds, d.first.0))
            .collect()
    }

    #[test]
    fn a_failure_is_counted_to_the_first_known_one_that_is_in_it() {
        let mut summary = Summary::default();
        let mut count = |seed, property, shape| summary.count_shape(Seed(seed), property, shape);
        count(
            3,
            "safety",
            Some(shape(&[("crash", 1), ("pause", 1)], &["get"])),
        );
        count(4, "safety", Some(shape(&[("partition", 5)], &["get"])));
        count(5, "liveness", Some(shape(&[("crash", 1)], &["get"])));
        count(
            6,
            "safety",
            Some(shape(&[("partition", 5)], &["get", "put"])),
        );
        count(7, "determinism", None);
        count(8, "determinism", None);
        let words = |words: &str| Some(words.to_owned());
        assert_eq!(
            told_apart(&summary),
            [
                ("safety", words("crash of 1, pause of 1; get"), 1, 3),
                ("safety", words("partition of 5; get"), 2, 4),
                ("liveness", words("crash of 1; get"), 1, 5),
                ("determinism", None, 2, 7),
            ]
        );
        assert_eq!(summary.told_apart("safety"), 3);
        // A smaller one shows what the first one was about.
        summary.count_shape(Seed(9), "safety", Some(shape(&[("pause", 1)], &[])));
        summary.count_shape(Seed(10), "safety", Some(shape(&[], &[])));
        assert_eq!(
            told_apart(&summary),
            [
                ("safety", words("no fault; no operation"), 5, 3),
                ("liveness", words("crash of 1; get"), 1, 5),
                ("determinism", None, 2, 7),
            ]
        );
    }
}
