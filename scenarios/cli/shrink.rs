//! `splitbrain shrink`, and the shrinking at the end of `splitbrain run`.

use super::{Status, count, print};
use crate::catalog;
use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use splitbrain::Seed;
use splitbrain::case::Case;
use splitbrain::report::{FailureFolder, write_run};
use splitbrain::run::Script;
use splitbrain::shrink::{Shrunk, shrink};
use std::path::{Path, PathBuf};

/// How many steps shrinking may take unless it is said otherwise: some ten to twenty seconds on two cores.
pub(super) const BUDGET_STEPS: u64 = 60_000_000;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A replay file, or the failure folder that holds one
    #[arg(value_name = "FILE-OR-FOLDER")]
    path: PathBuf,
    /// Stop within so many steps: events of the runs it takes
    #[arg(long, value_name = "STEPS", default_value_t = BUDGET_STEPS)]
    budget: u64,
    /// Where the small run is written down; by default beside the file, in a folder `shrunk`
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

pub(super) fn command(arguments: &Arguments) -> anyhow::Result<Status> {
    let (case, replay) = catalog::load_replay(&arguments.path)?;
    let (faults, operations) = replay.decisions();
    let property = &replay.finding.property;
    let Some(shrunk) = shrunk(
        &*case,
        replay.seed,
        &replay.script,
        property,
        arguments.budget,
    ) else {
        bail!(
            "{}: a replay from other code: it recorded a violation of {property}, and the run does not violate it now",
            arguments.path.display()
        );
    };
    let beside = if arguments.path.is_dir() {
        arguments.path.clone()
    } else {
        arguments
            .path
            .parent()
            .map_or_else(PathBuf::new, Path::to_owned)
    };
    let folder = arguments
        .report
        .clone()
        .unwrap_or_else(|| beside.join("shrunk"));
    let written = write(&folder, &shrunk)?;
    print(|out| {
        writeln!(out, "{}: {}", case.name(), case.summary())?;
        let from = format!(
            "{} and {}",
            count(faults as u64, "fault"),
            count(operations as u64, "operation")
        );
        writeln!(
            out,
            "seed {}, shrunk from {from} to {}\n",
            replay.seed,
            in_words(&shrunk)
        )?;
        writeln!(out, "{}", written.explanation)?;
        writeln!(
            out,
            "replay: splitbrain replay {}",
            written.folder.display()
        )
    })?;
    Ok(Status::Valid)
}

/// Shrinks a failing run, with a line of progress on a terminal.
pub(super) fn shrunk(
    case: &dyn Case,
    seed: Seed,
    script: &Script<Value>,
    property: &str,
    budget_steps: u64,
) -> Option<Shrunk> {
    let bar = ProgressBar::new(budget_steps);
    if let Ok(style) =
        ProgressStyle::with_template("shrinking [{bar:30}] {human_pos} steps, {msg} left")
    {
        bar.set_style(style.progress_chars("=> "));
    }
    let mut show = |steps, left| {
        bar.set_position(steps);
        bar.set_message(format!("{left} faults and operations"));
    };
    let shrunk = shrink(case, seed, script, property, budget_steps, &mut show);
    bar.finish_and_clear();
    shrunk
}

/// Writes the small run down.
pub(super) fn write(folder: &Path, shrunk: &Shrunk) -> anyhow::Result<FailureFolder> {
    write_run(folder, &*shrunk.case, shrunk.seed, &shrunk.script)?
        .context("the small run failed only once")
}

/// `2 faults and 3 operations with seed 7, in 812 runs (34567 steps)`.
pub(super) fn in_words(shrunk: &Shrunk) -> String {
    let Script { faults, operations } = &shrunk.script;
    let faults = faults.as_ref().map_or(0, Vec::len) as u64;
    let operations = operations.as_ref().map_or(0, Vec::len) as u64;
    format!(
        "{} and {} with seed {}, in {} ({})",
        count(faults, "fault"),
        count(operations, "operation"),
        shrunk.seed,
        count(shrunk.runs, "run"),
        count(shrunk.steps, "step")
    )
}
