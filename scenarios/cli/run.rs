//! `splitbrain run`.

use super::session::{self, Ended, Outcome};
use super::values::{parse_engine, parse_seed, parse_seeds, parse_time};
use super::{Status, count, print, probes, shrink};
use crate::catalog;
use anyhow::{Context as _, ensure};
use splitbrain::campaign::{Campaign, DistinctFailure, Met, Summary};
use splitbrain::case::Case;
use splitbrain::report::{FailureFolder, write_failure};
use splitbrain::run::{Finding, Script};
use splitbrain::scenario::ExpectedVerdict;
use splitbrain::shrink::Shrunk;
use splitbrain::world::TraceDetail;
use splitbrain::{Seed, Time};
use std::io::Write;
use std::num::NonZeroU64;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Names from the catalog, or TOML files
    #[arg(required = true, value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// Run this seed only
    #[arg(long, conflicts_with = "seeds", value_name = "N", value_parser = parse_seed)]
    seed: Option<Seed>,
    /// Run these seeds; the end is not included. By default 0..100, and with --for as many as there is time for
    #[arg(long, value_name = "A..B", value_parser = parse_seeds)]
    seeds: Option<Range<u64>>,
    /// Begin no more seeds of a scenario after this time by the clock, as in 10m
    #[arg(long = "for", value_name = "TIME", value_parser = parse_time)]
    time: Option<Duration>,
    /// Threads; by default one for each core
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// What runs the nodes: `kernel`, or `madsim`, which can do less and is slower
    #[arg(long, default_value = "kernel", value_parser = parse_engine)]
    engine: String,
    /// Override a value of the scenario, as in network.loss=1/10
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Where failing seeds are written down
    #[arg(long, value_name = "DIR", default_value = "failures")]
    report: PathBuf,
    /// Write down at most so many failing seeds of each scenario; with --distinct the first of each distinct failure only
    #[arg(long, value_name = "N", default_value_t = 100)]
    report_max: usize,
    /// Stop at the first violation
    #[arg(long)]
    stop_at_first: bool,
    /// Stop when so many distinct failures are known: those that differ in the property, or in the shape of what
    /// shrinking leaves of the schedule
    #[arg(long, value_name = "N", conflicts_with = "stop_at_first")]
    distinct: Option<NonZeroU64>,
    /// Write the campaign down in this file while it runs; if the file is there, go on where it ended
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Shrink the first seed of each distinct failure, within so many steps (events of the runs it takes); 0 shrinks
    /// nothing
    #[arg(long, value_name = "STEPS", default_value_t = shrink::BUDGET_STEPS)]
    shrink: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Status> {
    ensure!(
        arguments.resume.is_none() || arguments.scenarios.len() == 1,
        "--resume: a file holds one campaign: expected one scenario, and there are {}",
        arguments.scenarios.len()
    );
    // All must be right before the first one runs.
    let cases = arguments
        .scenarios
        .iter()
        .map(|name| catalog::load_on(&arguments.engine, name, &arguments.sets))
        .collect::<Result<Vec<_>, _>>()?;
    let stop = stop_on_interrupt()?;
    let mut status = Status::Valid;
    let mut unwritten = None;
    let mut objects = Vec::new();
    let mut left = cases.len();
    for case in &cases {
        let mut ran = run_case(arguments, &**case, &stop)?;
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
        let object = match &objects[..] {
            [object] if cases.len() == 1 => object.clone(),
            objects => serde_json::json!({ "runs": objects }),
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
    outcome: Outcome,
    /// Of the first failures, in their order; `None` where there is no folder.
    folders: Vec<Option<FailureFolder>>,
    /// The small runs: the seed, what is left, where it is written down.
    shrunk: Vec<(Seed, Shrunk, FailureFolder)>,
    /// Why not everything could be written down. Hours of work are not thrown away for that.
    unwritten: Option<anyhow::Error>,
}

/// Without --distinct, so many failures of each property are told apart: enough to see what there is, and no campaign
/// takes minutes longer because every seed of it fails.
const TOLD_APART: u64 = 25;

fn campaign(arguments: &Arguments) -> Campaign {
    let seeds = match (arguments.seed, &arguments.seeds) {
        (Some(Seed(seed)), _) => seed..seed.saturating_add(1),
        (None, Some(seeds)) => seeds.clone(),
        (None, None) if arguments.time.is_some() => 0..u64::MAX,
        (None, None) => 0..100,
    };
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Campaign {
        seeds,
        jobs: arguments.jobs.map_or_else(cores, usize::from),
        stop_at_first: arguments.stop_at_first,
        distinct: arguments.distinct,
        tell_apart: if arguments.shrink == 0 { 0 } else { TOLD_APART },
    }
}

fn run_case<'a>(
    arguments: &Arguments,
    case: &'a dyn Case,
    stop: &AtomicBool,
) -> anyhow::Result<Ran<'a>> {
    let campaign = campaign(arguments);
    let resume = arguments.resume.as_deref();
    let mut outcome = session::run(&campaign, case, stop, arguments.time, resume)?;
    let summary = &outcome.summary;
    let to_write =
        |seed: &Seed| arguments.distinct.is_none() || summary.first_shown_by(*seed).is_some();
    let mut folders = Vec::new();
    let mut written = 0;
    let mut unwritten = None;
    for (seed, _) in &summary.failures {
        if written == arguments.report_max {
            break;
        }
        if !to_write(seed) {
            folders.push(None);
            continue;
        }
        match write_failure(&arguments.report, case, *seed) {
            Ok(folder) => folders.push(folder),
            Err(error) => {
                unwritten = Some(error.into());
                break;
            }
        }
        written += 1;
    }
    let mut shrunk = Vec::new();
    if arguments.shrink > 0 && unwritten.is_none() && !stop.load(Relaxed) {
        match shrink_failures(arguments.shrink, case, summary, &folders, stop) {
            Ok(runs) => shrunk = runs,
            Err(error) => unwritten = Some(error),
        }
    }
    let unsaved = outcome.unsaved.take().map(anyhow::Error::from);
    Ok(Ran {
        case,
        asked: campaign.seeds.end - campaign.seeds.start,
        outcome,
        folders,
        shrunk,
        unwritten: unsaved.or(unwritten),
    })
}

/// Shrinks the first seed of each distinct failure, if it was written down, into a folder within its own.
fn shrink_failures(
    budget_steps: u64,
    case: &dyn Case,
    summary: &Summary,
    folders: &[Option<FailureFolder>],
    stop: &AtomicBool,
) -> anyhow::Result<Vec<(Seed, Shrunk, FailureFolder)>> {
    let mut runs: Vec<(Seed, Shrunk, FailureFolder)> = Vec::new();
    for ((seed, finding), folder) in summary.failures.iter().zip(folders) {
        let is_first = summary.first_shown_by(*seed).is_some();
        let Some(folder) = folder.as_ref().filter(|_| is_first) else {
            continue;
        };
        if stop.load(Relaxed) {
            break;
        }
        let report = case.run(*seed, &Script::DRAWN, Some(TraceDetail::Notes));
        let script = report.script();
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
        match self.outcome.met {
            // Nobody knows what the seeds that were not run would have come to.
            Met::Yes if self.outcome.ended == Ended::Interrupted => Status::Unknown,
            Met::Yes => Status::Valid,
            Met::No(_) => Status::Invalid,
            Met::Unknown(_) => Status::Unknown,
        }
    }

    fn expected(&self) -> &str {
        let expect = self.case.expect();
        match expect.verdict {
            ExpectedVerdict::Valid => "valid",
            ExpectedVerdict::Violation => expect.property.as_deref().unwrap_or("violation"),
            ExpectedVerdict::Unrecoverable => "unrecoverable",
        }
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
            leader_after_healing_ms,
            digest,
            failures,
            unknowns,
            distinct,
            probes,
        } = &self.outcome.summary;
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
        let told_apart = |known: &DistinctFailure| {
            serde_json::json!({
                "property": known.property,
                "shape": known.shape.as_ref().map(ToString::to_string),
                "seeds": known.seeds,
                "first_seed": known.first,
                "replay": self.smallest_of(known.first).map(|folder| folder.replay.display().to_string()),
            })
        };
        let resumed_from = self
            .outcome
            .done_before
            .map(|done| first.0.saturating_add(done));
        serde_json::json!({
            "scenario": self.case.name(),
            "engine": arguments.engine,
            "first_seed": first,
            "seeds": seeds,
            "valid": valid,
            "invalid": invalid,
            "unknown": unknown,
            "expected": self.expected(),
            "met": self.outcome.met == Met::Yes,
            "events": stats.events,
            "messages": stats.messages_sent,
            "ops": stats.ops_invoked,
            "virtual_seconds": *virtual_ns as f64 / 1e9,
            "leader_after_healing_ms": leader_after_healing_ms,
            "wall_seconds": self.outcome.wall.as_secs_f64(),
            "digest": format!("{digest:016x}"),
            "failures": failures.iter().zip(replays).map(failure).collect::<Vec<_>>(),
            "distinct": distinct.iter().map(told_apart).collect::<Vec<_>>(),
            "ended": self.outcome.ended.name(),
            "resumed_from": resumed_from,
            "unknowns": unknowns.iter().map(|(seed, why)| serde_json::json!({ "seed": seed, "why": why.to_string() })).collect::<Vec<_>>(),
            "stats": stats,
            "probes": probes,
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
            leader_after_healing_ms,
            digest,
            ..
        } = &self.outcome.summary;
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
        if let Some(ms) = leader_after_healing_ms {
            let after = Time::from_millis(*ms);
            writeln!(
                out,
                "  a leader was there {after} after healing at the latest"
            )?;
        }
        self.print_course(out)?;
        self.print_swarm(out)?;
        probes::print(&self.outcome.summary, self.case.required_probes(), out)?;
        self.print_failures(out)?;
        for (seed, shrunk, folder) in &self.shrunk {
            writeln!(out, "  seed {seed} shrunk to {}", shrink::in_words(shrunk))?;
            writeln!(
                out,
                "    replay: splitbrain replay {}",
                folder.folder.display()
            )?;
        }
        match &self.outcome.met {
            Met::Yes => match self.case.expect().verdict {
                ExpectedVerdict::Violation => {
                    writeln!(out, "  as expected: violates {}", self.expected())
                }
                _ => writeln!(out, "  as expected: {}", self.expected()),
            },
            Met::No(why) => writeln!(out, "  NOT as expected: {why}"),
            Met::Unknown(why) => writeln!(out, "  UNKNOWN: {why}"),
        }
    }

    /// What a single seed drew, if the scenario leaves to seeds which faults there are.
    fn print_swarm(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let Summary {
            first, seeds: 1, ..
        } = self.outcome.summary
        else {
            return Ok(());
        };
        match self.case.run(first, &Script::DRAWN, None).swarm {
            Some(swarm) => writeln!(out, "  this seed drew: {swarm}"),
            None => Ok(()),
        }
    }

    /// How long it took, and where it began and ended, if not with the first seed and the last.
    fn print_course(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let seeds = self.outcome.summary.seeds;
        let done_before = self.outcome.done_before.unwrap_or(0);
        let wall = self.outcome.wall.as_secs_f64();
        writeln!(
            out,
            "  {wall:.2} s by the clock, {:.0} seeds/s",
            (seeds - done_before) as f64 / wall.max(1e-9)
        )?;
        if done_before > 0 {
            writeln!(out, "  resumed after {}", count(done_before, "seed"))?;
        }
        match self.outcome.ended {
            Ended::Time => writeln!(out, "  its time was up after {}", count(seeds, "seed")),
            _ if seeds < self.asked => {
                writeln!(out, "  stopped after {seeds} of {} seeds", self.asked)
            }
            _ => Ok(()),
        }
    }

    /// The first seed of each distinct failure; of those that were not told apart, the seeds.
    fn print_failures(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let summary = &self.outcome.summary;
        let Summary {
            failures, distinct, ..
        } = summary;
        let shown = |(_, (seed, _)): &(usize, &(Seed, Finding))| {
            distinct.is_empty() || summary.first_shown_by(*seed).is_some()
        };
        for (place, (seed, finding)) in failures.iter().enumerate().filter(shown).take(SHOWN_MAX) {
            let first_line = finding.what.lines().next().unwrap_or_default();
            writeln!(
                out,
                "  seed {seed}, {} at {}: {first_line}",
                finding.property, finding.at
            )?;
            if let Some(DistinctFailure { shape, seeds, .. }) = summary.first_shown_by(*seed) {
                let shape = shape.as_ref().map_or_else(
                    || "not shown by its schedule alone".to_owned(),
                    ToString::to_string,
                );
                writeln!(out, "    {} like this: {shape}", count(*seeds, "seed"))?;
            }
            if let Some(Some(folder)) = self.folders.get(place) {
                writeln!(
                    out,
                    "    replay: splitbrain replay {}",
                    folder.folder.display()
                )?;
            }
        }
        let told_apart: u64 = distinct.iter().map(|known| known.seeds).sum();
        let more = distinct.len().saturating_sub(SHOWN_MAX);
        if more > 0 {
            writeln!(
                out,
                "  .. and {}",
                count(more as u64, "more distinct failure")
            )?;
        }
        let seeds = failures.len() as u64 - told_apart;
        match distinct.is_empty() {
            false if seeds > 0 => {
                let seeds = count(seeds, "more failing seed");
                writeln!(out, "  .. and {seeds}, not told apart")
            }
            true if failures.len() > SHOWN_MAX => {
                writeln!(out, "  .. and {} more", failures.len() - SHOWN_MAX)
            }
            _ => Ok(()),
        }
    }

    /// Where the smallest run of this failing seed is written down.
    fn smallest_of(&self, seed: Seed) -> Option<&FailureFolder> {
        let shrunk = self.shrunk.iter().find(|(small, ..)| *small == seed);
        let place = || {
            let failures = &self.outcome.summary.failures;
            let place = failures.iter().position(|(failing, _)| *failing == seed)?;
            self.folders.get(place)?.as_ref()
        };
        shrunk.map(|(_, _, folder)| folder).or_else(place)
    }
}

/// How many failing seeds are shown to a person.
const SHOWN_MAX: usize = 10;
