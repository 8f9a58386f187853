//! `splitbrain replay`.

use super::{Status, count, print};
use crate::catalog;
use anyhow::bail;
use splitbrain::Time;
use splitbrain::case::{Case, Report};
use splitbrain::report::{Timeline, timeline};
use splitbrain::run::Verdict;
use splitbrain::world::TraceDetail;
use std::io::{self, Write};
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
    let report = case.run(replay.seed, &replay.script, Some(detail));
    print(|out| {
        let (faults, operations) = replay.decisions();
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
            print(|out| {
                writeln!(
                    out,
                    "{} at {}: {}\n{how}",
                    finding.property, finding.at, finding.what
                )
            })?;
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

/// The whole trace, or a timeline of what led to the finding.
fn show(out: &mut dyn Write, case: &dyn Case, report: &Report, everything: bool) -> io::Result<()> {
    let Some(trace) = &report.trace else {
        return Ok(());
    };
    if everything {
        return trace
            .events
            .iter()
            .try_for_each(|event| writeln!(out, "{event}"));
    }
    let finding = match &report.verdict {
        Verdict::Invalid(finding) => Some(finding),
        _ => None,
    };
    let until = finding.map_or(report.virtual_time, |finding| finding.at);
    let from = Time::ZERO.max(until - Duration::from_secs(5));
    let nodes = case.servers();
    let what = Timeline {
        nodes,
        from,
        until,
        operations: false,
        rows_max: 40,
        width: 110,
        finding,
    };
    writeln!(out, "\n{}", timeline(trace, &what))
}
