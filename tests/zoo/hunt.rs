//! Runs of the program `splitbrain`, and what came of them.

use crate::patch::{Patch, SEEDS_MAX};
use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One way to run the program.
#[derive(Debug)]
pub(crate) struct Hunter<'a> {
    /// The program `splitbrain`.
    pub(crate) program: &'a Path,
    /// Where it is run: the copy of the workspace it was built from.
    pub(crate) folder: &'a Path,
    /// Where it writes down what it found.
    pub(crate) report: &'a Path,
    /// Within how many steps it shrinks a run; if nothing is said, it decides.
    pub(crate) shrink_steps: Option<u64>,
    /// Its threads.
    pub(crate) jobs: usize,
}

/// A seed that violates a property.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) seed: u64,
    pub(crate) property: String,
    /// Its replay file.
    pub(crate) replay: Option<PathBuf>,
    /// What is left when the run is made small.
    pub(crate) shrunk: Option<Shrunk>,
}

/// A run that was made small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shrunk {
    /// How many faults and operations are left.
    pub(crate) decisions: u64,
    /// Its replay file.
    pub(crate) replay: PathBuf,
}

/// How one series of seeds ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hunt {
    /// A property was violated that the bug may violate.
    Caught {
        /// The seed that did, and the property.
        failure: Failure,
        /// How many seeds were run, that one included.
        seeds: u64,
        /// The events of that one.
        events: u64,
    },
    /// The first violation was of something that the bug has nothing to do with.
    WrongProperty(Failure),
    /// The budget was used up.
    NotCaught,
}

/// What `splitbrain run --json` prints, as far as it is of use here.
#[derive(Debug, Deserialize)]
struct Summary {
    seeds: u64,
    events: u64,
    failures: Vec<Failure>,
}

impl Hunter<'_> {
    /// Runs a series of seeds of its own for each master, up to the first violation.
    pub(crate) fn hunt(&self, patch: &Patch, budget: u64, master: u64) -> anyhow::Result<Hunt> {
        let scenario = patch.scenario_to_run()?;
        let first = master * SEEDS_MAX;
        let Some(failure) = self.first_failure(&scenario, first..first + budget)? else {
            return Ok(Hunt::NotCaught);
        };
        if !patch.properties.contains(&failure.property) {
            return Ok(Hunt::WrongProperty(failure));
        }
        let again = self.run(&scenario, failure.seed..failure.seed + 1, false)?;
        let properties: Vec<&str> = again
            .failures
            .iter()
            .map(|again| again.property.as_str())
            .collect();
        ensure!(
            properties == [failure.property.as_str()],
            "seed {} of {} violated {}, but not when it was run again",
            failure.seed,
            scenario.display(),
            failure.property
        );
        Ok(Hunt::Caught {
            seeds: failure.seed - first + 1,
            events: again.events,
            failure,
        })
    }

    /// Makes a run that caught the bug small: how many faults and operations are left of it.
    pub(crate) fn shrink(&self, patch: &Patch, failure: &Failure) -> anyhow::Result<Option<u64>> {
        let seeds = failure.seed..failure.seed + 1;
        let summary = self.run(&patch.scenario_to_run()?, seeds, true)?;
        let failure = summary.failures.into_iter().next();
        Ok(failure.and_then(|failure| Some(failure.shrunk?.decisions)))
    }

    /// Replays a small run that caught this bug once, which must show it still: the same file is valid without the patch.
    pub(crate) fn reproduces(&self, regression: &Path, patch: &Patch) -> anyhow::Result<()> {
        let mut command = Command::new(self.program);
        command
            .current_dir(self.folder)
            .stdin(Stdio::null())
            .arg("replay")
            .arg(std::path::absolute(regression)?);
        let output = command
            .output()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        ensure!(
            output.status.code() == Some(1),
            "{}: it does not show {} any more: {}\n(a new one is written below target/zoo/failures/{} when the bug is caught)",
            regression.display(),
            patch.bug,
            String::from_utf8_lossy(&output.stderr).trim_end(),
            patch.bug
        );
        Ok(())
    }

    /// The first violation in a series of seeds.
    pub(crate) fn first_failure(
        &self,
        scenario: &Path,
        seeds: Range<u64>,
    ) -> anyhow::Result<Option<Failure>> {
        let asked = seeds.end - seeds.start;
        let summary = self.run(scenario, seeds, false)?;
        let failure = summary.failures.into_iter().next();
        ensure!(
            failure.is_some() || summary.seeds == asked,
            "splitbrain ran only {} of {asked} seeds of {}",
            summary.seeds,
            scenario.display()
        );
        Ok(failure)
    }

    fn run(&self, scenario: &Path, seeds: Range<u64>, shrink: bool) -> anyhow::Result<Summary> {
        let mut command = Command::new(self.program);
        command.current_dir(self.folder).stdin(Stdio::null());
        command
            .arg("run")
            .arg(scenario)
            .arg("--seeds")
            .arg(format!("{}..{}", seeds.start, seeds.end));
        command
            .args(["--stop-at-first", "--json", "--report-max=1", "--report"])
            .arg(self.report);
        let steps = if shrink { self.shrink_steps } else { Some(0) };
        if let Some(steps) = steps {
            command.arg(format!("--shrink={steps}"));
        }
        command.arg("--jobs").arg(self.jobs.to_string());
        // Of what shrinks it, which is not the campaign.
        command.env("RAYON_NUM_THREADS", self.jobs.to_string());
        let output = command
            .output()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        // Valid, invalid and unknown are all answers here.
        if !matches!(output.status.code(), Some(0 | 1 | 3)) {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!(
                "splitbrain run {}: {}: {}",
                scenario.display(),
                output.status,
                said.trim_end()
            );
        }
        serde_json::from_slice(&output.stdout).context("cannot read what splitbrain run says")
    }
}
