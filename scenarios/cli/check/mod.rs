//! `splitbrain check`: histories of any origin.

mod input;
mod outcome;

use super::{Status, print};
use anyhow::{Context as _, bail, ensure};
use clap::builder::PossibleValuesParser;
use indicatif::MultiProgress;
use outcome::Checked;
use rayon::prelude::*;
use splitbrain::check::Budget;
use splitbrain::check::formats::{
    self, CATALOG, Consistency, Demand, Fail, Format, Known, Misfit, Reading, Record, Summary,
};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Files, plain or packed with gzip or zstd; `-` is standard input
    #[arg(required = true, value_name = "HISTORY")]
    histories: Vec<PathBuf>,
    /// What the system should be; `auto` takes the first of these that knows every operation
    #[arg(long, default_value = "auto", value_parser = models())]
    model: String,
    /// What the answers are held to; by default the first that the model knows: `linearizable`, or of transactions
    /// `strict-serializable`. Asks for a model that knows it
    #[arg(long, value_name = "LEVEL", value_parser = levels())]
    level: Option<String>,
    /// How many permits there are; needed by the model `semaphore`
    #[arg(long, value_name = "N")]
    permits: Option<u64>,
    /// What the files look like; `auto` sees it. `edn` is also the form of Porcupine's key-value store
    #[arg(long, default_value = "auto", value_parser = format_names())]
    format: String,
    /// What `:fail` means: that nothing happened (as Jepsen has it), or that a compare-and-set saw another value (as
    /// Porcupine has it)
    #[arg(long, default_value = "dropped", value_parser = PossibleValuesParser::new(["dropped", "observed"]))]
    fail: String,
    /// Write a page that shows all operations, and those that contradict each other: one file, which loads nothing
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// How much work each check may be, in steps, each of which asks the model once
    #[arg(long, value_name = "STEPS", default_value_t = Budget::default().steps)]
    budget: u64,
    /// Threads, each of which checks one file at a time; by default one for each core
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const AUTO: &str = "auto";

fn models() -> PossibleValuesParser {
    let mut names = vec![AUTO];
    for known in CATALOG {
        if !names.contains(&known.name) {
            names.push(known.name);
        }
    }
    PossibleValuesParser::new(names)
}

fn levels() -> PossibleValuesParser {
    PossibleValuesParser::new(Consistency::all().map(Consistency::name))
}

fn format_names() -> PossibleValuesParser {
    PossibleValuesParser::new([AUTO].into_iter().chain(Format::ALL.map(Format::name)))
}

/// What is asked of every history.
#[derive(Debug)]
struct Question {
    model: Option<String>,
    format: Option<Format>,
    fail: Fail,
    demand: Demand,
    html: Option<PathBuf>,
}

pub(super) fn command(arguments: &Arguments) -> anyhow::Result<Status> {
    let histories = &arguments.histories;
    let from_standard_input = histories.iter().filter(|path| **path == Path::new("-"));
    ensure!(
        from_standard_input.count() <= 1,
        "standard input can be read once: expected `-` at most once"
    );
    ensure!(
        arguments.html.is_none() || histories.len() == 1,
        "--html: a page shows one history: expected one, and there are {}",
        histories.len()
    );
    let of_semaphore = arguments.model == "semaphore";
    ensure!(
        arguments.permits.is_none() || of_semaphore,
        "--permits: only a semaphore has some: expected --model semaphore, found --model {}",
        arguments.model
    );
    ensure!(
        arguments.permits.is_some() || !of_semaphore,
        "--model semaphore: expected --permits N beside it, for the history does not say how many there are"
    );
    let question = Question {
        model: Some(arguments.model.clone()).filter(|name| name != AUTO),
        format: Format::ALL
            .into_iter()
            .find(|format| format.name() == arguments.format),
        fail: if arguments.fail == "observed" {
            Fail::Observed
        } else {
            Fail::Dropped
        },
        demand: Demand {
            level: arguments.level.as_deref().and_then(Consistency::named),
            permits: arguments.permits,
            budget: Budget {
                steps: arguments.budget,
            },
        },
        html: arguments.html.clone(),
    };
    let (model, level) = (question.model.as_deref(), question.demand.level);
    if let Some(level) = level
        && formats::candidates(model, Some(level)).is_empty()
    {
        bail!("{}", not_of_model(&arguments.model, level));
    }
    let bars = MultiProgress::new();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(arguments.jobs.map_or(0, usize::from))
        .build()
        .context("cannot start threads")?;
    let checked: Vec<anyhow::Result<Checked>> = pool.install(|| {
        let one = |path: &PathBuf| check(path, &question, &bars);
        histories.par_iter().map(one).collect()
    });
    let mut status = Status::Valid;
    let mut unreadable = Vec::new();
    for (path, checked) in histories.iter().zip(&checked) {
        match checked {
            Ok(checked) => status = status.max(checked.status()),
            Err(error) => unreadable.push(format!("{}: {error:#}", path.display())),
        }
    }
    let several = histories.len() > 1;
    if arguments.json {
        if several || unreadable.is_empty() {
            let object = outcome::json(histories, &checked);
            print(|out| writeln!(out, "{object}"))?;
        }
    } else {
        print(|out| {
            for checked in checked.iter().flatten() {
                checked.print(out)?;
            }
            if several {
                outcome::print_sums(out, &checked)?;
            }
            Ok(())
        })?;
    }
    if !unreadable.is_empty() {
        bail!("{}", unreadable.join("\nerror: "));
    }
    Ok(status)
}

/// Reads one history and checks it.
fn check(path: &Path, question: &Question, bars: &MultiProgress) -> anyhow::Result<Checked> {
    let name = if path == Path::new("-") {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    let bar = input::bar(bars, &name);
    #[expect(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        reason = "how long it took, for people; nothing depends on it"
    )]
    let started = std::time::Instant::now();
    let input = input::open(path, &bar)?;
    let Read {
        known,
        reading,
        summary,
    } = read(input, question)?;
    let import = started.elapsed();
    let statistics = reading.statistics();
    input::works(
        &bar,
        format!("checking {} operations", statistics.operations),
    );
    let judgement = reading.judge(&question.demand)?;
    let wall = started.elapsed();
    let checked = Checked {
        name,
        known: *known,
        model_guessed: question.model.is_none(),
        summary,
        format_guessed: question.format.is_none(),
        statistics,
        judgement,
        level_asked: question.demand.level.is_some(),
        import,
        wall,
    };
    if let Some(file) = &question.html {
        let failed = || format!("cannot write {}", file.display());
        let mut out = BufWriter::new(File::create(file).with_context(failed)?);
        checked
            .write_page(&reading.bars(), &mut out)
            .and_then(|()| out.flush())
            .with_context(failed)?;
    }
    bar.finish_and_clear();
    Ok(checked)
}

/// A history that was read.
struct Read {
    known: &'static Known,
    reading: Box<dyn Reading>,
    summary: Summary,
}

/// Reads a history of the model that is asked for, or of the first that knows every event.
fn read(input: impl std::io::Read, question: &Question) -> anyhow::Result<Read> {
    let candidates = formats::candidates(question.model.as_deref(), question.demand.level);
    if let [known] = candidates[..] {
        let mut reading = known.begin(question.fail);
        let summary = formats::read(input, question.format, |record| reading.push(&record));
        return Ok(Read {
            known,
            reading,
            summary: summary?,
        });
    }
    let mut records: Vec<Record<'static>> = Vec::new();
    let summary = formats::read(input, question.format, |record| {
        records.push(record.into_owned());
        Ok(())
    })?;
    match formats::guess(&records, candidates, question.fail) {
        Ok((known, reading)) => Ok(Read {
            known,
            reading,
            summary,
        }),
        Err(misfits) => bail!("{}", no_model(&misfits)),
    }
}

/// What a model can be held to instead.
fn not_of_model(model: &str, level: Consistency) -> String {
    let mut names: Vec<&str> = Vec::new();
    for known in formats::candidates(Some(model), None) {
        for known in known.levels {
            if !names.contains(&known.name()) {
                names.push(known.name());
            }
        }
    }
    format!(
        "--level {level}: {model} cannot be held to that; expected one of {}",
        names.join(", ")
    )
}

/// Why no model fits: of all that do not know the same event, the first says so.
fn no_model(misfits: &[Misfit]) -> String {
    let models: Vec<String> = misfits.iter().map(Misfit::to_string).collect();
    format!(
        "no model fits; expected a history of one of\n  {}",
        models.join("\n  ")
    )
}
