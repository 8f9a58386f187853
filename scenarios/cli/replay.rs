//! `splitbrain replay`.

use super::{Status, count, print};
use crate::catalog;
use anyhow::bail;
use splitbrain::case::{Case, Report};
use splitbrain::report::explanation;
use splitbrain::run::{Finding, Verdict};
use splitbrain::world::TraceDetail;
use std::io::{self, Write};
use std::path::PathBuf;

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
    let report = case.run(replay.seed, &replay.script, Some(detail));
    print(|out| {
        let (faults, operations) = replay.script.counts();
        writeln!(
            out,
            "{}: {}\nseed {}, {}, {}",
            case.name(),
            case.summary(),
            replay.seed,
            count(faults as u64, "fault"),
            count(operations as u64, "operation"),
        )?;
        show(out, &*case, &report, arguments.trace)
    })?;
    let same = report.digest == replay.digest;
    let was = format!(
        "{:016x}, recorded by version {}",
        replay.digest, replay.version
    );
    let now = report.digest;
    match &report.verdict {
        Verdict::Invalid(finding) if finding.property == replay.finding.property => {
            let how = if same {
                format!("reproduced; digest {now:016x} as recorded")
            } else {
                format!("reproduced, by other code: digest {now:016x}, not {was}")
            };
            print(|out| writeln!(out, "{how}"))?;
            Ok(Status::Invalid)
        }
        verdict => bail!(
            "{}: a replay from other code: it recorded a violation of {}, and now the run is {verdict} (digest \
             {now:016x}, not {was}); check out the code that wrote it to see the violation",
            arguments.path.display(),
            replay.finding.property,
        ),
    }
}

/// The whole trace, or a timeline of what led to the finding; then the finding.
fn show(out: &mut dyn Write, case: &dyn Case, report: &Report, everything: bool) -> io::Result<()> {
    let Some(trace) = &report.trace else {
        return Ok(());
    };
    if everything {
        for event in &trace.events {
            writeln!(out, "{event}")?;
        }
        if let Verdict::Invalid(Finding { property, what, at }) = &report.verdict {
            writeln!(out, "{property} at {at}: {what}")?;
        }
        return Ok(());
    }
    write!(out, "\n{}", explanation(case, report))
}
