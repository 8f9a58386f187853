//! `splitbrain run`.

use super::{Status, count, print, shrink};
use crate::catalog;
use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use splitbrain::Seed;
use splitbrain::campaign::{Campaign, Met, Summary, Watch};
use splitbrain::case::{Case, Report};
use splitbrain::report::{FailureFolder, write_failure};
use splitbrain::run::{Finding, Script, Verdict};
use splitbrain::scenario::ExpectedVerdict;
use splitbrain::shrink::Shrunk;
use splitbrain::world::TraceDetail;
use std::io::Write;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Names from the catalog, or TOML files
    #[arg(required = true, value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// Run this seed only
    #[arg(long, conflicts_with = "seeds", value_name = "N", value_parser = parse_seed)]
    seed: Option<Seed>,
    /// Run these seeds; the end is not included
    #[arg(long, value_name = "A..B", default_value = "0..100", value_parser = parse_seeds)]
    seeds: Range<u64>,
    /// Threads; by default one for each core
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// What runs the nodes: only `kernel`, so far
    #[arg(long, default_value = "kernel", value_parser = parse_engine)]
    engine: String,
    /// Override a value of the scenario, as in network.loss=1/10
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Where failing seeds are written down
    #[arg(long, value_name = "DIR", default_value = "failures")]
    report: PathBuf,
    /// Write down at most so many failing seeds of each scenario
    #[arg(long, value_name = "N", default_value_t = 100)]
    report_max: usize,
    /// Stop at the first violation
    #[arg(long)]
    stop_at_first: bool,
    /// Shrink the first failure of each property, within so many steps (events of the runs it takes); 0 shrinks nothing
    #[arg(long, value_name = "STEPS", default_value_t = shrink::BUDGET_STEPS)]
    shrink: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn parse_engine(text: &str) -> Result<String, String> {
    match text {
        "kernel" => Ok(text.to_owned()),
        "madsim" => Err("nodes do not run under madsim yet: expected kernel".to_owned()),
        _ => Err("expected kernel".to_owned()),
    }
}

fn parse_seed(text: &str) -> Result<Seed, String> {
    // The last number is none: a range that ends behind it cannot be written.
    let last = u64::MAX - 1;
    match text.trim().parse::<Seed>() {
        Ok(seed) if seed.0 <= last => Ok(seed),
        Ok(_) => Err(format!("expected at most {last}")),
        Err(error) => Err(format!("{error}: expected a number from 0 to {last}")),
    }
}

fn parse_seeds(text: &str) -> Result<Range<u64>, String> {
    let expected = "expected A..B with A less than B, as in 0..1000";
    let (start, end) = text.split_once("..").ok_or(expected)?;
    let seed = |text: &str| {
        text.trim()
            .parse::<Seed>()
            .map_err(|error| format!("`{text}`: {error}; {expected}"))
    };
    let (start, end) = (seed(start)?.0, seed(end)?.0);
    if start >= end {
        return Err(format!(
            "there is no seed from {start} up to {end}: {expected}"
        ));
    }
    Ok(start..end)
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Status> {
    // All must be right before the first one runs.
    let cases = arguments
        .scenarios
        .iter()
        .map(|name| catalog::load(name, &arguments.sets))
        .collect::<Result<Vec<_>, _>>()?;
    let stop = stop_on_interrupt()?;
    let mut status = Status::Valid;
    let mut unwritten = None;
    let mut objects = Vec::new();
    let mut left = cases.len();
    for case in &cases {
        let mut ran = run_case(arguments, &**case, &stop);
        status = status.max(ran.status());
        unwritten = unwritten.or(ran.unwritten.take());
        if arguments.json {
            objects.push(ran.json(arguments));
        } else {
            print(|out| ran.print(out))?;
        }
        left -= 1;
        if stop.load(Relaxed) {
            break;
        }
    }
    if left > 0 {
        // Nobody knows what the scenarios that were not run would have come to.
        status = status.max(Status::Unknown);
    }
    if arguments.json {
        let object = match <[_; 1]>::try_from(objects) {
            Ok([object]) if cases.len() == 1 => object,
            Ok(objects) => serde_json::json!({ "runs": objects }),
            Err(objects) => serde_json::json!({ "runs": objects }),
        };
        print(|out| writeln!(out, "{object}"))?;
    }
    match unwritten {
        Some(error) => Err(error),
        None => Ok(status),
    }
}

/// The first Ctrl-C ends the campaign, which still says what it found; the second one ends the process.
fn stop_on_interrupt() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let handler = move || {
        if flag.swap(true, Relaxed) {
            std::process::exit(130);
        }
    };
    ctrlc::set_handler(handler).context("cannot listen for Ctrl-C")?;
    Ok(stop)
}

/// A scenario that was run.
struct Ran<'a> {
    case: &'a dyn Case,
    asked: u64,
    stop_at_first: bool,
    summary: Summary,
    met: Met,
    wall: Duration,
    /// Of the first failures, in their order; `None` where there is no folder.
    folders: Vec<Option<FailureFolder>>,
    /// The small runs: the seed, what is left, where it is written down.
    shrunk: Vec<(Seed, Shrunk, FailureFolder)>,
    /// Why not all failures could be written down. Hours of work are not thrown away for that.
    unwritten: Option<anyhow::Error>,
}

fn run_case<'a>(arguments: &Arguments, case: &'a dyn Case, stop: &AtomicBool) -> Ran<'a> {
    let seeds = arguments
        .seed
        .map_or(arguments.seeds.clone(), |Seed(seed)| {
            seed..seed.saturating_add(1)
        });
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let jobs = arguments.jobs.map_or_else(cores, usize::from);
    let asked = seeds.end - seeds.start;
    let campaign = Campaign {
        seeds,
        jobs,
        stop_at_first: arguments.stop_at_first,
    };
    let bar = progress_bar(case.name(), asked);
    let failures = AtomicU64::new(0);
    let on_report = |report: &Report| {
        if matches!(report.verdict, Verdict::Invalid(_)) {
            let failures = failures.fetch_add(1, Relaxed) + 1;
            bar.set_message(format!("({failures} invalid)"));
        }
        bar.inc(1);
    };
    let (summary, wall) = timed(|| {
        campaign.run(
            case,
            Watch {
                stop,
                on_report: &on_report,
            },
        )
    });
    bar.finish_and_clear();
    let mut folders = Vec::new();
    let mut unwritten = None;
    for (seed, _) in summary.failures.iter().take(arguments.report_max) {
        match write_failure(&arguments.report, case, *seed) {
            Ok(folder) => folders.push(folder),
            Err(error) => {
                unwritten = Some(error.into());
                break;
            }
        }
    }
    let mut shrunk = Vec::new();
    if arguments.shrink > 0 && unwritten.is_none() && !stop.load(Relaxed) {
        match shrink_failures(arguments.shrink, case, &summary, &folders) {
            Ok(runs) => shrunk = runs,
            Err(error) => unwritten = Some(error),
        }
    }
    let met = summary.met(case);
    Ran {
        case,
        asked,
        stop_at_first: arguments.stop_at_first,
        summary,
        met,
        wall,
        folders,
        shrunk,
        unwritten,
    }
}

/// Shrinks the first failure of each property that was written down, into a folder within its own.
fn shrink_failures(
    budget_steps: u64,
    case: &dyn Case,
    summary: &Summary,
    folders: &[Option<FailureFolder>],
) -> anyhow::Result<Vec<(Seed, Shrunk, FailureFolder)>> {
    let mut runs: Vec<(Seed, Shrunk, FailureFolder)> = Vec::new();
    for ((seed, finding), folder) in summary.failures.iter().zip(folders) {
        let known = runs
            .iter()
            .any(|(_, shrunk, _)| shrunk.finding.property == finding.property);
        let Some(folder) = folder.as_ref().filter(|_| !known) else {
            continue;
        };
        let report = case.run(*seed, &Script::DRAWN, Some(TraceDetail::Notes));
        let script = Script {
            faults: Some(report.faults),
            operations: report.operations,
        };
        if let Some(shrunk) = shrink::shrunk(case, *seed, &script, &finding.property, budget_steps)
        {
            let written = shrink::write(&folder.folder.join("shrunk"), &shrunk)?;
            runs.push((*seed, shrunk, written));
        }
    }
    Ok(runs)
}

impl Ran<'_> {
    fn status(&self) -> Status {
        match self.met {
            // Nobody knows what the seeds that were not run would have come to.
            Met::Yes if self.interrupted() => Status::Unknown,
            Met::Yes => Status::Valid,
            Met::No(_) => Status::Invalid,
            Met::Unknown(_) => Status::Unknown,
        }
    }

    fn interrupted(&self) -> bool {
        self.summary.seeds < self.asked && !(self.stop_at_first && self.summary.invalid > 0)
    }

    fn expected(&self) -> &str {
        let expect = self.case.expect();
        let property = expect
            .property
            .as_deref()
            .filter(|_| expect.verdict == ExpectedVerdict::Violation);
        property.unwrap_or("valid")
    }

    fn json(&self, arguments: &Arguments) -> serde_json::Value {
        let Summary {
            first,
            seeds,
            valid,
            invalid,
            unknown,
            stats,
            virtual_ns,
            digest,
            failures,
            unknowns,
        } = &self.summary;
        // A path need not be Unicode, and JSON must be.
        let replay = |folder: &Option<FailureFolder>| {
            let replay = folder.as_ref().map(|folder| folder.replay.display());
            replay.map(|path| path.to_string())
        };
        let replays = self.folders.iter().map(replay);
        let replays = replays.chain(std::iter::repeat(None));
        let failure = |((seed, finding), replay): (&'_ (Seed, Finding), Option<String>)| {
            let small = self.shrunk.iter().find(|(small, ..)| small == seed);
            let shrunk = small.map(|(_, shrunk, folder)| {
                let replay = folder.replay.display().to_string();
                serde_json::json!({ "decisions": shrunk.decisions(), "seed": shrunk.seed, "runs": shrunk.runs, "steps": shrunk.steps, "replay": replay })
            });
            serde_json::json!({ "seed": seed, "property": finding.property, "replay": replay, "shrunk": shrunk })
        };
        serde_json::json!({
            "scenario": self.case.name(),
            "engine": arguments.engine,
            "first_seed": first,
            "seeds": seeds,
            "valid": valid,
            "invalid": invalid,
            "unknown": unknown,
            "expected": self.expected(),
            "met": self.met == Met::Yes,
            "events": stats.events,
            "messages": stats.messages_sent,
            "ops": stats.ops_invoked,
            "virtual_seconds": *virtual_ns as f64 / 1e9,
            "wall_seconds": self.wall.as_secs_f64(),
            "digest": format!("{digest:016x}"),
            "failures": failures.iter().zip(replays).map(failure).collect::<Vec<_>>(),
            "unknowns": unknowns.iter().map(|(seed, why)| serde_json::json!({ "seed": seed, "why": why.to_string() })).collect::<Vec<_>>(),
            "stats": stats,
        })
    }

    fn print(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let Summary {
            seeds,
            valid,
            invalid,
            unknown,
            stats,
            virtual_ns,
            digest,
            failures,
            ..
        } = &self.summary;
        writeln!(out, "{}: {}", self.case.name(), self.case.summary())?;
        writeln!(
            out,
            "  {}: {valid} valid, {invalid} invalid, {unknown} unknown; digest {digest:016x}",
            count(*seeds, "seed")
        )?;
        writeln!(
            out,
            "  {} events, {} messages, {} operations ({} ok, {} unknown) in {:.0} virtual seconds",
            stats.events,
            stats.messages_sent,
            stats.ops_invoked,
            stats.ops_ok,
            stats.ops_info,
            *virtual_ns as f64 / 1e9
        )?;
        let wall = self.wall.as_secs_f64();
        writeln!(
            out,
            "  {wall:.2} s by the clock, {:.0} seeds/s",
            *seeds as f64 / wall.max(1e-9)
        )?;
        if *seeds < self.asked {
            writeln!(out, "  stopped after {seeds} of {} seeds", self.asked)?;
        }
        let folders = self.folders.iter().map(Option::as_ref);
        let folders = folders.chain(std::iter::repeat(None));
        for ((seed, finding), folder) in failures.iter().zip(folders).take(SHOWN_MAX) {
            let first_line = finding.what.lines().next().unwrap_or_default();
            writeln!(
                out,
                "  seed {seed}, {} at {}: {first_line}",
                finding.property, finding.at
            )?;
            if let Some(folder) = folder {
                writeln!(
                    out,
                    "    replay: splitbrain replay {}",
                    folder.folder.display()
                )?;
            }
        }
        if failures.len() > SHOWN_MAX {
            writeln!(out, "  .. and {} more", failures.len() - SHOWN_MAX)?;
        }
        for (seed, shrunk, folder) in &self.shrunk {
            writeln!(out, "  seed {seed} shrunk to {}", shrink::in_words(shrunk))?;
            writeln!(
                out,
                "    replay: splitbrain replay {}",
                folder.folder.display()
            )?;
        }
        match &self.met {
            Met::Yes if self.expected() == "valid" => writeln!(out, "  as expected: valid"),
            Met::Yes => writeln!(out, "  as expected: violates {}", self.expected()),
            Met::No(why) => writeln!(out, "  NOT as expected: {why}"),
            Met::Unknown(why) => writeln!(out, "  UNKNOWN: {why}"),
        }
    }
}

/// How many failing seeds are shown to a person.
const SHOWN_MAX: usize = 10;

/// A bar on standard error, if that is a terminal.
fn progress_bar(name: &str, seeds: u64) -> ProgressBar {
    let bar = ProgressBar::new(seeds);
    let template = "{prefix} [{bar:30}] {human_pos}/{human_len} seeds, {per_sec}, {eta} left {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(name.to_owned());
    bar
}

/// How long something takes by the clock on the wall: for people, outside of any run.
#[expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "measures the harness, not a run"
)]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = std::time::Instant::now();
    let result = work();
    (result, start.elapsed())
}
