//! The failure folder: everything about one failing run, in one place.

use super::explain::{conditions, explanation};
use crate::case::{Case, Report};
use crate::replay::ReplayError;
use crate::run::{Finding, Script, Verdict};
use crate::world::TraceDetail;
use serde_json::Value;
use splitbrain_check::Shown;
use splitbrain_check::formats::jsonl_bars;
use splitbrain_check::html::{self, Page};
use splitbrain_core::Seed;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// A failing run that was written down.
#[derive(Clone, Debug)]
pub struct FailureFolder {
    /// The folder.
    pub folder: PathBuf,
    /// The replay file in it.
    pub replay: PathBuf,
    /// The timeline of what led to the finding and the finding in words, as they stand in the report.
    pub explanation: String,
}

/// Runs the seed once more, loudly, and writes `replay.json`, `history.jsonl`, `history.html` (the same as a page), `trace.txt` and
/// `report.txt` into
/// `<dir>/<scenario>-<seed>/`. `None` if the seed does not fail.
///
/// # Errors
/// What the file system says.
pub fn write_failure(
    dir: &Path,
    case: &dyn Case,
    seed: Seed,
) -> Result<Option<FailureFolder>, ReplayError> {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "-_".contains(c) {
            c
        } else {
            '-'
        }
    };
    let name: String = case.name().chars().map(plain).collect();
    write_run(
        &dir.join(format!("{name}-{seed}")),
        case,
        seed,
        &Script::DRAWN,
    )
}

/// The same for a run that follows a script, into this folder.
///
/// # Errors
/// What the file system says.
pub fn write_run(
    folder: &Path,
    case: &dyn Case,
    seed: Seed,
    script: &Script<Value>,
) -> Result<Option<FailureFolder>, ReplayError> {
    let report = case.run(seed, script, Some(TraceDetail::Everything));
    let Verdict::Invalid(finding) = &report.verdict else {
        return Ok(None);
    };
    let replay = folder.join("replay.json");
    let write = |file: &str, text: &[u8]| {
        let file = folder.join(file);
        // A new file: some file systems wait for the disk when an old one is cut and written again.
        let _ = fs::remove_file(&file);
        fs::write(&file, text).map_err(|source| ReplayError::Write { file, source })
    };
    fs::create_dir_all(folder).map_err(|source| ReplayError::Write {
        file: folder.to_owned(),
        source,
    })?;
    write(
        "replay.json",
        case.replay_json(&report, finding)?.as_bytes(),
    )?;
    let history = report.history_jsonl.as_deref().unwrap_or_default();
    write("history.jsonl", history)?;
    write("history.html", &page(case, &report, finding, history))?;
    let mut lines = String::new();
    for event in report.trace.iter().flat_map(|trace| &trace.events) {
        let _ = writeln!(lines, "{event}");
    }
    write("trace.txt", lines.as_bytes())?;
    let explanation = explanation(case, &report);
    let text = describe(case, &report, &explanation, &replay);
    write("report.txt", text.as_bytes())?;
    Ok(Some(FailureFolder {
        folder: folder.to_owned(),
        replay,
        explanation,
    }))
}

/// What clients saw, with what contradicts each other marked, if that is what was found.
fn page(case: &dyn Case, report: &Report, finding: &Finding, history: &[u8]) -> Vec<u8> {
    let operations: Vec<Shown> = report
        .contradiction
        .operations
        .iter()
        .copied()
        .map(marked)
        .collect();
    let page = Page {
        title: &format!("{}, seed {}", case.name(), report.seed),
        verdict: "invalid",
        summary: case.summary(),
        why: &format!("{} at {}: {}", finding.property, finding.at, finding.what),
        // It was written a moment ago; of a run that panicked there is none.
        bars: &jsonl_bars(history).unwrap_or_default(),
        timed: true,
        operations: &operations,
        counterexample: None,
    };
    let mut text = Vec::new();
    // Writing to memory cannot fail.
    let _ = html::write(&page, &mut text);
    text
}

/// The page has the words of each operation already.
fn marked(operation: usize) -> Shown {
    Shown {
        operation,
        words: String::new(),
        optional: false,
    }
}

fn describe(case: &dyn Case, report: &Report, explanation: &str, replay: &Path) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}: {}\n", case.name(), case.summary());
    let _ = writeln!(
        text,
        "seed {}, {} in the safety phase",
        report.seed,
        case.duration()
    );
    let _ = writeln!(text, "{}\n", conditions(case));
    if let Some(swarm) = &report.swarm {
        let _ = writeln!(text, "this seed drew: {swarm}\n");
    }
    if report.faults.is_empty() {
        let _ = writeln!(text, "no faults");
    } else {
        let _ = writeln!(text, "faults:");
    }
    for injection in &report.faults {
        let _ = writeln!(
            text,
            "  {:>10} for {:>10}: {}",
            injection.at.to_string(),
            injection.lasting.to_string(),
            injection.fault
        );
    }
    let _ = writeln!(
        text,
        "\n{explanation}\nreplay: splitbrain replay {}",
        replay.display()
    );
    text
}
