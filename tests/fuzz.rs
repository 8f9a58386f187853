//! Files as nobody would write them: noise, damage, and every value replaced by one that nobody has thought of. Reading them
//! ends well or in one clear error; what is read can be run, and the run ends.
//! `SPLITBRAIN_FUZZ_CASES=100000 cargo test --test fuzz` tries more of them.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "how long it takes is told, and decides nothing"
)]

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestRunner;
use splitbrain::case::Case;
use splitbrain::run::{Script, Verdict};
use splitbrain::{Seed, replay::Replay};
use splitbrain_scenarios::{CatalogError, replay_from_bytes, scenario_from_bytes};
use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

#[path = "fuzz/mutate.rs"]
mod mutate;
#[path = "fuzz/seeds.rs"]
mod seeds;

use mutate::{Format, Mutation, mutated, mutations};

/// Of so many files that could be read, one is run.
const RUN_ONE_IN: usize = 5;

fn cases(usual: u32) -> u32 {
    let more = std::env::var("SPLITBRAIN_FUZZ_CASES").ok();
    let more = more.map(|text| {
        text.parse()
            .expect("SPLITBRAIN_FUZZ_CASES: expected a number")
    });
    more.unwrap_or(usual)
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 500,
        source_file: Some(file!()),
        ..ProptestConfig::default()
    }
}

/// What became of all of them.
#[derive(Default)]
struct Tally {
    refused: Cell<usize>,
    without_line: Cell<usize>,
    read: Cell<usize>,
    run: Cell<usize>,
    given_up: Cell<usize>,
    slowest_read: Cell<Duration>,
    slowest_run: Cell<Duration>,
}

fn count(cell: &Cell<usize>) -> usize {
    cell.set(cell.get() + 1);
    cell.get()
}

/// One line that begins with the file, and says something.
fn is_clear(error: &CatalogError, tally: &Tally) -> Result<(), TestCaseError> {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    prop_assert!(!text.contains(char::is_control), "not one line: {text:?}");
    prop_assert!(text.len() < 5_000, "too long: {} bytes", text.len());
    let said = text.strip_prefix("fuzz.file");
    prop_assert!(
        said.is_some_and(|said| said.len() > 5),
        "names no file: {text}"
    );
    count(&tally.refused);
    let has_line = said.is_some_and(|said| {
        let line = said
            .strip_prefix(':')
            .and_then(|rest| rest.split_once(": "));
        line.is_some_and(|(line, _)| line.parse::<usize>().is_ok())
    });
    if !has_line {
        count(&tally.without_line);
    }
    Ok(())
}

/// A run of what was read comes to a verdict, and no code outside of a node panics.
fn runs(
    case: &dyn Case,
    seed: Seed,
    script: &Script<serde_json::Value>,
    tally: &Tally,
) -> Result<(), TestCaseError> {
    if !count(&tally.read).is_multiple_of(RUN_ONE_IN) {
        return Ok(());
    }
    count(&tally.run);
    let started = Instant::now();
    let report = case.run(seed, script, None);
    tally
        .slowest_run
        .set(tally.slowest_run.get().max(started.elapsed()));
    if let Verdict::Invalid(finding) = &report.verdict {
        prop_assert!(finding.property != "panic", "{}", report.verdict);
    }
    if matches!(
        report.verdict,
        Verdict::Unknown(splitbrain::run::Unknown::GaveUp(_))
    ) {
        count(&tally.given_up);
    }
    Ok(())
}

fn check(
    name: &str,
    format: Format,
    good: &'static [String],
    read: impl Fn(Vec<u8>, &Tally) -> Result<(), TestCaseError>,
) {
    let tally = Tally::default();
    let started = Instant::now();
    let input = (select(good), select(good), mutations());
    let cases = cases(3_000);
    let outcome = TestRunner::new(config(cases)).run(
        &input,
        |(one, other, mutations): (String, String, Vec<Mutation>)| {
            let bytes = mutated(format, &one, &other, &mutations);
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(6_000)]).into_owned();
            let started = Instant::now();
            read(bytes, &tally)
                .map_err(|error| TestCaseError::fail(format!("{error}\n{shown}")))?;
            tally
                .slowest_read
                .set(tally.slowest_read.get().max(started.elapsed()));
            Ok(())
        },
    );
    println!(
        "{name}: {cases} files in {:?}: {} refused ({} without a line), {} read, {} run, {} given up; slowest file {:?}, slowest run {:?}",
        started.elapsed(),
        tally.refused.get(),
        tally.without_line.get(),
        tally.read.get(),
        tally.run.get(),
        tally.given_up.get(),
        tally.slowest_read.get(),
        tally.slowest_run.get(),
    );
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(
        tally.refused.get() > 0 && tally.run.get() > 0,
        "both must happen"
    );
}

#[test]
fn scenarios() {
    check(
        "scenarios",
        Format::Toml,
        &seeds::SCENARIOS,
        |bytes, tally| match scenario_from_bytes(bytes, Path::new("fuzz.file"), &[]) {
            Ok(case) => runs(&*case, Seed(1), &Script::DRAWN, tally),
            Err(error) => is_clear(&error, tally),
        },
    );
}

#[test]
fn replays() {
    check(
        "replays",
        Format::Json,
        &seeds::REPLAYS,
        |bytes, tally| match replay_from_bytes(bytes, Path::new("fuzz.file")) {
            Ok((case, Replay { seed, script, .. })) => runs(&*case, seed, &script, tally),
            Err(error) => is_clear(&error, tally),
        },
    );
}

/// What makes a run large, as far as files may say it: each is refused, or ends. One after the other, as they take memory.
#[test]
fn extremes_are_refused_or_end() {
    let mut extremes = seeds::extremes();
    if std::env::var("SPLITBRAIN_FUZZ_CASES").is_err() {
        let before = extremes.len();
        extremes.retain(|(what, _)| !seeds::SLOW.contains(what));
        assert_eq!(before - extremes.len(), seeds::SLOW.len());
    }
    for (what, text) in extremes {
        let started = Instant::now();
        let outcome = match scenario_from_bytes(text.into_bytes(), Path::new("fuzz.file"), &[]) {
            Ok(case) => {
                let report = case.run(Seed(1), &Script::DRAWN, None);
                if let Verdict::Invalid(finding) = &report.verdict {
                    assert!(finding.property != "panic", "{what}: {}", report.verdict);
                }
                let verdict = report.verdict.to_string();
                format!(
                    "{} events, {}",
                    report.stats.events,
                    verdict.chars().take(100).collect::<String>()
                )
            }
            Err(error) => {
                is_clear(&error, &Tally::default()).unwrap();
                error.to_string()
            }
        };
        println!("{what}: {:?}: {outcome}", started.elapsed());
    }
}
