//! `splitbrain replay`.

use super::Status;
use crate::catalog;
use anyhow::bail;
use splitbrain::Time;
use splitbrain::report::{Timeline, timeline};
use splitbrain::run::{Faults, Verdict};
use splitbrain::world::TraceDetail;
use std::io::{Write as _, stdout};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A replay file, or the failure folder that holds one
    #[arg(value_name = "FILE-OR-FOLDER")]
    path: PathBuf,
    /// Print every message, timer and sync
    #[arg(long)]
    trace: bool,
}

pub(super) fn replay(arguments: &Arguments) -> anyhow::Result<Status> {
    let (case, replay) = catalog::load_replay(&arguments.path)?;
    let detail = if arguments.trace {
        TraceDetail::Everything
    } else {
        TraceDetail::Notes
    };
    let report = case.run(
        replay.seed,
        &Faults::Scheduled(replay.schedule.clone()),
        Some(detail),
    );
    let mut out = stdout().lock();
    writeln!(out, "{}: {}", case.name(), case.summary())?;
    writeln!(
        out,
        "seed {}, {} faults",
        replay.seed,
        replay.schedule.len()
    )?;
    let finding = match &report.verdict {
        Verdict::Invalid(finding) => Some(finding),
        _ => None,
    };
    let end = finding.map_or(report.virtual_time, |finding| finding.at);
    if let Some(trace) = &report.trace {
        if arguments.trace {
            for event in &trace.events {
                writeln!(out, "{event}")?;
            }
        } else {
            let from = Time::ZERO.max(end - Duration::from_secs(5));
            let nodes = case.servers();
            let what = Timeline {
                nodes,
                from,
                until: end,
                operations: false,
                rows_max: 40,
                width: 110,
                finding,
            };
            writeln!(out, "\n{}", timeline(trace, &what))?;
        }
    }
    let same = report.digest == replay.digest;
    let was = format!(
        "{:016x}, recorded by version {}",
        replay.digest, replay.version
    );
    match &report.verdict {
        Verdict::Invalid(finding) if finding.property == replay.finding.property => {
            writeln!(
                out,
                "{} at {}: {}",
                finding.property, finding.at, finding.what
            )?;
            if same {
                writeln!(out, "reproduced; digest {:016x} as recorded", report.digest)?;
            } else {
                writeln!(
                    out,
                    "reproduced, by other code: digest {:016x}, not {was}",
                    report.digest
                )?;
            }
            Ok(Status::Invalid)
        }
        verdict => {
            out.flush()?;
            let recorded = &replay.finding.property;
            let path = arguments.path.display();
            bail!(
                "{path}: a replay from other code: it recorded a violation of {recorded}, and now the run is {verdict} \
                 (digest {:016x}, not {was}); check out the code that wrote it to see the violation",
                report.digest
            )
        }
    }
}
