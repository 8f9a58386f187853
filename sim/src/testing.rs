//! Scenarios as tests: what `cargo test` calls, here and in a user's own crate.

use crate::campaign::{Campaign, Met, Summary, Watch};
use crate::case::{Case, Report};
use crate::report::{Timeline, explanation, timeline, write_failure, write_run};
use crate::run::{Finding, Script, Verdict};
use crate::shrink::{Shrunk, shrink};
use crate::world::TraceDetail;
use serde_json::Value;
use splitbrain_core::{Seed, Time};
use std::env;
use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;

/// How many steps are spent on making a failure small: whoever waits for a failing test waits for seconds. Not a time by
/// the clock, as the message would differ from machine to machine.
const SHRINK_STEPS: u64 = 5_000_000;

/// Runs this many seeds of a scenario, from zero, and says in words what is wrong if that is not what the scenario
/// expects: the verdict, the seed, how small the failure could be made, a timeline of the small run, and the command that
/// shows it again. The first failing seed is written down below `report_dir`, and the small run in it.
///
/// Two environment variables override the seeds: `SPLITBRAIN_SEEDS=1000` (or `=5000..6000`) runs so many, and
/// `SPLITBRAIN_SEED=0x2a` runs that one only, and loudly: verdict, counters and timeline go to standard error, even if
/// there is nothing wrong.
///
/// # Errors
/// What is wrong; or that a variable makes no sense.
pub fn check(case: &dyn Case, seeds: u64, report_dir: &Path) -> Result<Summary, String> {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let one = variable("SPLITBRAIN_SEED");
    let seeds = seeds_from(
        seeds,
        one.as_deref(),
        variable("SPLITBRAIN_SEEDS").as_deref(),
    )?;
    if one.is_some() {
        // Not `eprint!`, which the test harness keeps to itself if the test passes.
        let said = loudly(case, Seed(seeds.start));
        let _ = std::io::stderr().lock().write_all(said.as_bytes());
    }
    let single = seeds.end - seeds.start == 1;
    let summary = Campaign {
        seeds,
        ..Campaign::default()
    }
    .run(case, Watch::nobody());
    let met = match summary.met(case) {
        Met::Yes => return Ok(summary),
        // Of one seed, the expectation can only be that it shows nothing else.
        Met::Unknown(_) if single && summary.invalid == 0 && summary.unknown == 0 => {
            return Ok(summary);
        }
        Met::No(why) | Met::Unknown(why) => why,
    };
    Err(message(case, &met, &summary, report_dir))
}

/// Why the test fails, for whoever reads its panic message.
fn message(case: &dyn Case, met: &str, summary: &Summary, report_dir: &Path) -> String {
    let mut message = format!("{}: {met}", case.name());
    let expected = case.expect().property.as_deref();
    let mut failures = summary.failures.iter();
    let unexpected = failures.find(|(_, finding)| Some(finding.property.as_str()) != expected);
    let seed = match (unexpected, summary.unknowns.first()) {
        (Some((seed, finding)), _) => {
            describe(&mut message, case, *seed, finding, report_dir);
            *seed
        }
        (None, Some((seed, _))) => *seed,
        (None, None) => return message,
    };
    let thread = std::thread::current();
    // In a test of the standard harness, the thread has the name of the test.
    let test = thread.name().filter(|&name| name != "main");
    let test = test.unwrap_or(case.name());
    let _ = write!(
        message,
        "\nagain: SPLITBRAIN_SEED={:#x} cargo test {test}",
        seed.0
    );
    message
}

/// The verdict, the size after shrinking, what happens in the run that is left and what is wrong with it, and where it is
/// written down.
fn describe(
    message: &mut String,
    case: &dyn Case,
    seed: Seed,
    finding: &Finding,
    report_dir: &Path,
) {
    let (verdict, first_line) = (&finding.property, finding.what.lines().next());
    let _ = write!(
        message,
        "\nseed {seed}, invalid: {verdict} at {}: {}",
        finding.at,
        first_line.unwrap_or_default()
    );
    let report = case.run(seed, &Script::DRAWN, Some(TraceDetail::Notes));
    let script = report.script();
    let property = &finding.property;
    let shrunk = shrink(case, seed, &script, property, SHRINK_STEPS, &mut |_, _| {});
    let (small, of) = match &shrunk {
        Some(Shrunk {
            case: small,
            seed,
            script: less,
            runs,
            ..
        }) => {
            let from = size(case, &script);
            let to = size(&**small, less);
            let _ = write!(
                message,
                "\n\nshrunk from {from}\n         to {to}, with seed {seed}, in {runs} runs:"
            );
            (small.run(*seed, less, Some(TraceDetail::Notes)), &**small)
        }
        None => (report, case),
    };
    match &small.verdict {
        Verdict::Invalid(_) => {
            let _ = write!(message, "\n\n{}", explanation(of, &small));
        }
        _ => message.push_str("\nbut it does not fail a second time: the run is not deterministic"),
    }
    let written = write_failure(report_dir, case, seed).and_then(|written| {
        if let (Some(written), Some(shrunk)) = (&written, &shrunk) {
            let folder = written.folder.join("shrunk");
            write_run(&folder, &*shrunk.case, shrunk.seed, &shrunk.script)?;
        }
        Ok(written)
    });
    let _ = match written {
        Ok(Some(written)) => write!(message, "\nsee {}", written.folder.display()),
        Ok(None) => Ok(()),
        Err(error) => write!(message, "\n(it could not be written down: {error})"),
    };
}

/// `1 fault`, `2 faults`.
fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// `1 fault, 3 operations, 5 servers, 2 clients, 1s 200ms`.
fn size(case: &dyn Case, script: &Script<Value>) -> String {
    let (faults, operations) = script.counts();
    let clients = case.nodes() - case.servers();
    let mut parts = vec![
        count(faults, "fault"),
        count(operations, "operation"),
        count(case.servers(), "server"),
    ];
    if clients > 0 {
        parts.push(count(clients, "client"));
    }
    parts.push(case.duration().to_string());
    parts.join(", ")
}

/// Everything about one seed that people read.
fn loudly(case: &dyn Case, seed: Seed) -> String {
    let report = case.run(seed, &Script::DRAWN, Some(TraceDetail::Notes));
    let Report {
        verdict,
        stats,
        swarm,
        faults,
        trace,
        virtual_time,
        digest,
        ..
    } = &report;
    let finding = match verdict {
        Verdict::Invalid(finding) => Some(finding),
        Verdict::Valid | Verdict::Unknown(_) => None,
    };
    let what = Timeline {
        nodes: case.servers(),
        from: Time::ZERO,
        until: finding.map_or(*virtual_time, |finding| finding.at),
        operations: false,
        marked: Some(&report.contradiction),
        rows_max: 500,
        width: 110,
        finding,
        states: report.states.as_deref().unwrap_or_default(),
    };
    let picture = trace.as_ref().map(|trace| timeline(trace, &what));
    let drew = swarm
        .as_ref()
        .map(|swarm| format!("this seed drew: {swarm}\n"));
    let counters = serde_json::to_string(stats).unwrap_or_default();
    format!(
        "\n{}: {}\n{}\nseed {seed} ({:#x}): {verdict}\n{} in {virtual_time} of virtual time; digest {digest:016x}\n{}{counters}\n",
        case.name(),
        case.summary(),
        picture.unwrap_or_default(),
        seed.0,
        count(faults.len(), "fault"),
        drew.unwrap_or_default(),
    )
}

fn seeds_from(default: u64, one: Option<&str>, many: Option<&str>) -> Result<Range<u64>, String> {
    let parse = |name: &str, text: &str| {
        text.trim()
            .parse::<Seed>()
            .map(|seed| seed.0)
            .map_err(|error| format!("{name}={text}: {error}"))
    };
    match (one, many) {
        (Some(one), _) => {
            let seed = parse("SPLITBRAIN_SEED", one)?;
            Ok(seed..seed.saturating_add(1))
        }
        (None, Some(many)) => {
            let (start, end) = many.split_once("..").unwrap_or(("0", many));
            let range = parse("SPLITBRAIN_SEEDS", start)?..parse("SPLITBRAIN_SEEDS", end)?;
            if range.is_empty() {
                Err(format!("SPLITBRAIN_SEEDS={many}: there are no such seeds"))
            } else {
                Ok(range)
            }
        }
        (None, None) => Ok(0..default),
    }
}

#[cfg(test)]
mod tests {
    use super::seeds_from;

    #[test]
    fn the_environment_overrides_the_seeds() {
        assert_eq!(seeds_from(20, None, None), Ok(0..20));
        assert_eq!(seeds_from(20, None, Some("1000")), Ok(0..1000));
        assert_eq!(seeds_from(20, None, Some("0x10..20")), Ok(16..20));
        assert_eq!(seeds_from(20, Some("0x2a"), Some("1000")), Ok(42..43));
        for (one, many) in [
            (Some("x"), None),
            (None, Some("0")),
            (None, Some("9..3")),
            (None, Some("-1")),
        ] {
            let error = seeds_from(20, one, many).unwrap_err();
            assert!(error.contains("SPLITBRAIN_SEED"), "{error}");
        }
    }
}
