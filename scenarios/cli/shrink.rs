//! `splitbrain shrink`, and the shrinking at the end of `splitbrain run`.

use super::{Status, count, print};
use crate::catalog;
use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use splitbrain::Seed;
use splitbrain::case::Case;
use splitbrain::replay::Replay;
use splitbrain::report::{FailureFolder, write_run};
use splitbrain::run::{Script, Verdict};
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
    let kept = smaller_there(&folder, &replay, &shrunk);
    let written = match &kept {
        Some((case, kept)) => write_small(&folder, &**case, kept.seed, &kept.script)?,
        None => write(&folder, &shrunk)?,
    };
    print(|out| {
        writeln!(out, "{}: {}", case.name(), case.summary())?;
        writeln!(
            out,
            "seed {}, shrunk from {} to {}",
            replay.seed,
            decisions(&replay.script),
            in_words(&shrunk)
        )?;
        if let Some((_, kept)) = &kept {
            writeln!(
                out,
                "kept the smaller run that was there: {} with seed {}",
                decisions(&kept.script),
                kept.seed
            )?;
        }
        writeln!(out)?;
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

/// The run in this folder, if it violates the same property of the same scenario, as it did when it was written, and is smaller:
/// shrinking again with a smaller budget makes nothing larger.
fn smaller_there(
    folder: &Path,
    replay: &Replay,
    shrunk: &Shrunk,
) -> Option<(Box<dyn Case>, Replay)> {
    let size = |case: &dyn Case, script: &Script<Value>| {
        (script.decisions(), case.nodes(), case.duration())
    };
    let (case, there) = catalog::load_replay(folder).ok()?;
    let same = |a: &Replay, b: &Replay| {
        (&a.scenario, &a.finding.property) == (&b.scenario, &b.finding.property)
    };
    if !same(&there, replay) || size(&*case, &there.script) >= size(&*shrunk.case, &shrunk.script) {
        return None;
    }
    let report = case.run(there.seed, &there.script, None);
    let still = matches!(report.verdict, Verdict::Invalid(found) if found == there.finding);
    (still && report.digest == there.digest).then_some((case, there))
}

/// Writes the small run down.
pub(super) fn write(folder: &Path, shrunk: &Shrunk) -> anyhow::Result<FailureFolder> {
    write_small(folder, &*shrunk.case, shrunk.seed, &shrunk.script)
}

fn write_small(
    folder: &Path,
    case: &dyn Case,
    seed: Seed,
    script: &Script<Value>,
) -> anyhow::Result<FailureFolder> {
    write_run(folder, case, seed, script)?.context("the small run failed only once")
}

/// `2 faults and 3 operations`.
fn decisions(script: &Script<Value>) -> String {
    let (faults, operations) = script.counts();
    format!(
        "{} and {}",
        count(faults as u64, "fault"),
        count(operations as u64, "operation")
    )
}

/// `2 faults and 3 operations with seed 7, in 812 runs (34567 steps)`.
pub(super) fn in_words(shrunk: &Shrunk) -> String {
    format!(
        "{} with seed {}, in {} ({})",
        decisions(&shrunk.script),
        shrunk.seed,
        count(shrunk.runs, "run"),
        count(shrunk.steps, "step")
    )
}
