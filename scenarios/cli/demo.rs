//! `splitbrain demo`: what a newcomer runs first.

use super::{Status, print};
use crate::catalog;
use anyhow::{Context as _, bail};
use splitbrain::case::Case;
use splitbrain::report::{Timeline, timeline, write_failure};
use splitbrain::run::{Finding, Script, Verdict};
use splitbrain::world::{Trace, TraceDetail};
use splitbrain::{Injection, Seed, Time};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where the failing seed is written down
    #[arg(long, value_name = "DIR", default_value = "failures")]
    report: PathBuf,
}

const SPLITS: &str = "bully/partition";
const HOLDS: &str = "raft/healthy";
/// Seeds to look through; the first one is enough, as long as bully is bully.
const SEEDS: u64 = 100;

pub(super) fn demo(arguments: &Arguments) -> anyhow::Result<Status> {
    let mut out = String::new();
    let bully = catalog::load(SPLITS, &[])?;
    writeln!(
        out,
        "Five members elect a coordinator with the bully algorithm. Then the network splits in two.\n"
    )?;
    let failing = (0..SEEDS).map(Seed).find_map(|seed| {
        let report = bully.run(seed, &Script::DRAWN, Some(TraceDetail::Notes));
        matches!(report.verdict, Verdict::Invalid(_)).then_some(report)
    });
    let Some(report) = failing else {
        bail!(
            "{SPLITS}: no split brain in {SEEDS} seeds: this is not the bully algorithm any more"
        );
    };
    let Verdict::Invalid(finding) = &report.verdict else {
        bail!("{SPLITS}: no finding")
    };
    let split = report
        .faults
        .first()
        .context("the scenario has no partition")?;
    let split_at = Time::ZERO + split.at.0;
    write!(
        out,
        "{}",
        picture(
            &*bully,
            report.trace.as_ref(),
            split_at,
            finding.at,
            Some(finding)
        )
    )?;
    writeln!(
        out,
        "\nseed {}: {} at {}",
        report.seed, finding.property, finding.at
    )?;
    writeln!(out, "{}\n", finding.what)?;

    let raft = catalog::load(HOLDS, &[])?;
    let faults: Vec<Injection> = report.faults.clone();
    let held = raft.run(
        report.seed,
        &Script {
            faults: Some(faults),
            operations: None,
        },
        Some(TraceDetail::Notes),
    );
    writeln!(
        out,
        "The same seed and the same faults, and five Raft servers:\n"
    )?;
    let until = split_at + split.lasting.0 + Duration::from_secs(1);
    write!(
        out,
        "{}",
        picture(&*raft, held.trace.as_ref(), split_at, until, None)
    )?;
    if held.verdict != Verdict::Valid {
        bail!("{HOLDS}: Raft does not hold: {}", held.verdict);
    }
    writeln!(
        out,
        "\nRaft holds: {} operations, linearizable; a leader needs a majority, and only one side has one.\n",
        held.stats.ops_ok
    )?;
    let folder = write_failure(&arguments.report, &*bully, report.seed)?
        .context("the failing seed failed only once")?;
    writeln!(out, "Replay the split brain:")?;
    writeln!(
        out,
        "  cargo run --release -- replay {}",
        folder.folder.display()
    )?;
    print(|stdout| stdout.write_all(out.as_bytes()))?;
    Ok(Status::Valid)
}

fn picture(
    case: &dyn Case,
    trace: Option<&Trace>,
    from: Time,
    until: Time,
    finding: Option<&Finding>,
) -> String {
    let what = Timeline {
        nodes: case.servers(),
        from,
        until,
        operations: false,
        marked: None,
        rows_max: 12,
        width: 100,
        finding,
        states: &[],
    };
    trace.map_or(String::new(), |trace| timeline(trace, &what))
}
