//! `cargo zoo`: is the tester any good?
//!
//! Puts each published bug of a folder of patches into a copy of the workspace and measures how many seeds it takes
//! until it is caught, by a property that it may violate. The correct code must be silent under the same scenarios.

mod cargo;
mod git;
mod hunt;
mod page;
mod patch;
mod row;
mod scratch;
mod statistics;

use crate::cargo::Workspace;
use crate::hunt::{Failure, Hunt, Hunter};
use crate::page::Page;
use crate::patch::Patch;
use crate::row::Row;
use crate::scratch::Scratch;
use anyhow::{Context as _, bail};
use clap::Parser;
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use rayon::ThreadPool;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Write as _, stdout};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Put published bugs back, one at a time, and measure how soon each is caught.
#[derive(Debug, Parser)]
#[command(name = "cargo zoo", after_help = EXIT_STATUSES)]
struct Arguments {
    /// The folder with the patches; by default tests/zoo
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Only this bug; may be given several times
    #[arg(long, value_name = "ID")]
    only: Vec<String>,
    /// Independent series of seeds for each bug
    #[arg(long, value_name = "M", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    masters: u64,
    /// Seeds in each series, instead of what the patch says
    #[arg(long, value_name = "SEEDS", value_parser = patch::parse_seeds)]
    budget: Option<u64>,
    /// Threads: so many series at once; by default one for each core
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Shrink each of the runs within so many steps (events of the runs it takes), instead of what `splitbrain run` takes for
    /// enough; 0 shrinks nothing
    #[arg(long, value_name = "STEPS")]
    shrink: Option<u64>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Write the table into this Markdown file, row by row as bugs are caught: with --only those rows, and the others stay
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

const EXIT_STATUSES: &str = "\
Exit status: 0 every bug was caught in every series, 1 some were not, 2 bad usage or input, a patch that does not apply \
or compile, or correct code that is not silent.

The median of an even number of series is the lower one of the two in the middle. Of each bug, the runs of the first \
five series that caught it are shrunk.";

/// So many runs of each bug are made small: enough for a median, and each takes as long as thousands of seeds.
const SHRUNK_MAX: usize = 5;

/// The correct code is run for so many seeds of each scenario at most: to see that it is silent there is the business
/// of the scenario's own test; here it is enough that the measuring is not off.
const CORRECT_SEEDS_MAX: u64 = 100;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match zoo(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether every bug was caught.
fn zoo(arguments: &Arguments) -> anyhow::Result<bool> {
    let workspace = Workspace::of_this_program()?;
    let folder = arguments
        .dir
        .clone()
        .unwrap_or_else(|| workspace.root.join("tests/zoo"));
    let patches = patch::select(patch::read_folder(&folder)?, &arguments.only)?;
    arguments.write.as_deref().map(Page::read).transpose()?;
    let cage = Cage::new(arguments, &workspace)?;
    // All must be right before the first one is built.
    for patch in &patches {
        patch.check_scenario(&workspace.root)?;
        cage.scratch.check(&workspace.root, patch)?;
    }
    fs::create_dir_all(&cage.folder)
        .with_context(|| format!("cannot make {}", cage.folder.display()))?;
    let _lock = cage.lock()?;
    cage.check_correct_code(&patches)?;
    let mut rows = Vec::new();
    for (n, patch) in (1..).zip(&patches) {
        cage.progress
            .set_prefix(format!("[{n}/{}] {}", patches.len(), patch.bug));
        let row = cage.row(patch)?;
        if let Some(file) = &arguments.write {
            // Read again: it may have taken hours, and nothing that somebody wrote meanwhile is lost.
            let mut page = Page::read(file)?;
            page.put(&row);
            if arguments.only.is_empty() {
                page.retain(&patches);
            }
            page.write(file, &arguments.command(&workspace.root, file))?;
        }
        rows.push(row);
    }
    cage.progress.finish_and_clear();
    let mut out = stdout().lock();
    if arguments.json {
        writeln!(
            out,
            "{}",
            serde_json::to_string(&BTreeMap::from([("rows", &rows)]))?
        )?;
    } else {
        write!(out, "{}", row::table(&rows))?;
    }
    Ok(rows.iter().all(|row| row.caught))
}

impl Arguments {
    /// What was asked of `cargo zoo`, but for what does not change the numbers.
    fn command(&self, root: &Path, file: &Path) -> String {
        let mut command = format!("--masters {}", self.masters);
        for (option, value) in [("budget", self.budget), ("shrink", self.shrink)] {
            if let Some(value) = value {
                let _ = write!(command, " --{option} {value}");
            }
        }
        for (option, path) in [("dir", self.dir.as_deref()), ("write", Some(file))] {
            let Some(path) = path else { continue };
            // Where this workspace lies, or what is beside it, is nobody's business.
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            let name = path.file_name().map_or(Path::new(""), Path::new);
            let path = path.strip_prefix(root).unwrap_or(name);
            let _ = write!(command, " --{option} {}", path.display());
        }
        command
    }
}

/// Where one bug at a time is looked at.
struct Cage<'a> {
    arguments: &'a Arguments,
    /// All that is written is in here.
    folder: PathBuf,
    scratch: Scratch,
    /// A thread for each series that is under way.
    pool: ThreadPool,
    /// Silent unless standard error is a terminal.
    progress: ProgressBar,
}

impl Cage<'_> {
    fn new<'a>(arguments: &'a Arguments, workspace: &Workspace) -> anyhow::Result<Cage<'a>> {
        let folder = workspace.target.join("zoo");
        let scratch = Scratch::read(&workspace.root, &workspace.target, folder.join("source"))?;
        // An error clears the line, too.
        let progress = ProgressBar::new_spinner().with_finish(ProgressFinish::AndClear);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}: {msg} ({elapsed})") {
            progress.set_style(style);
        }
        progress.enable_steady_tick(Duration::from_millis(200));
        let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads = arguments.jobs.map_or_else(cores, usize::from);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        Ok(Cage {
            arguments,
            folder,
            scratch,
            pool: pool.context("cannot start threads")?,
            progress,
        })
    }

    /// Keeps another zoo off the same folder, until it is dropped.
    fn lock(&self) -> anyhow::Result<File> {
        self.progress.set_prefix("zoo");
        self.progress
            .set_message("waiting for another one to finish");
        let path = self.folder.join("lock");
        let locked = File::create(&path).and_then(|file| file.lock().map(|()| file));
        locked.with_context(|| format!("cannot lock {}", path.display()))
    }

    /// The code without any patch must be silent, or nothing that is caught means anything.
    fn check_correct_code(&self, patches: &[Patch]) -> anyhow::Result<()> {
        self.progress.set_prefix("the correct code");
        self.scratch.restore()?;
        let program = self.build().context("the workspace does not build")?;
        let mut scenarios = BTreeMap::new();
        for patch in patches {
            let budget = self.budget(patch).min(CORRECT_SEEDS_MAX);
            let seeds = scenarios.entry(patch.scenario_to_run()?).or_insert(budget);
            *seeds = budget.max(*seeds);
        }
        let report = self.report("correct")?;
        for (scenario, seeds) in scenarios {
            self.progress
                .set_message(format!("running {}", scenario.display()));
            if let Some(failure) = self
                .hunter(&program, &report, 1)
                .first_failure(&scenario, 0..seeds)?
            {
                let replay = failure.replay.unwrap_or(report);
                bail!(
                    "the correct protocol is not silent: seed {} of {} violates {}: {}",
                    failure.seed,
                    scenario.display(),
                    failure.property,
                    replay.display()
                );
            }
        }
        Ok(())
    }

    fn row(&self, patch: &Patch) -> anyhow::Result<Row> {
        self.scratch.apply(patch)?;
        let file = patch.file.display();
        let program = self
            .build()
            .with_context(|| format!("{file}: the patched code does not compile"))?;
        let report = self.report(&patch.bug)?;
        let regression = patch.regression();
        if regression.exists() {
            self.progress.set_message("replaying its regression");
            self.hunter(&program, &report, 1)
                .reproduces(&regression, patch)?;
        }
        let (budget, masters) = (self.budget(patch), self.arguments.masters);
        let hunt = |master: u64| {
            let scenario = &patch.scenario;
            self.progress.set_message(format!(
                "running {scenario}, series {} of {masters}",
                master + 1
            ));
            let hunter = self.hunter(&program, &report, masters as usize);
            hunter.hunt(patch, budget, master)
        };
        let hunts: Vec<Hunt> = self
            .each((0..masters).collect(), hunt)
            .with_context(|| file.to_string())?;
        let caught = hunts.iter().filter_map(|hunt| match hunt {
            Hunt::Caught { failure, .. } => Some(failure),
            _ => None,
        });
        let first: Vec<&Failure> = caught.take(SHRUNK_MAX).collect();
        let small = first.len();
        let shrink = |failure: &Failure| {
            self.progress
                .set_message(format!("shrinking seed {}", failure.seed));
            self.hunter(&program, &report, small).shrink(patch, failure)
        };
        let shrunk = self.each(first, shrink).with_context(|| file.to_string())?;
        let shrunk: Vec<u64> = shrunk.into_iter().flatten().collect();
        Ok(Row::new(patch, budget, &hunts, &shrunk))
    }

    /// Does something with each of these, several at once. What comes of it is in their order. Begins none any more after
    /// one that failed.
    fn each<T: Send, R: Send>(
        &self,
        of: Vec<T>,
        work: impl Fn(T) -> anyhow::Result<R> + Sync,
    ) -> anyhow::Result<Vec<R>> {
        let work = || of.into_par_iter().with_max_len(1).map(&work).collect();
        self.pool.install(work)
    }

    fn budget(&self, patch: &Patch) -> u64 {
        self.arguments.budget.unwrap_or(patch.budget)
    }

    fn build(&self) -> anyhow::Result<PathBuf> {
        self.progress.set_message("building");
        // One for all: what no patch touches is compiled once.
        cargo::build(self.scratch.folder(), &self.folder.join("target"))
    }

    /// An empty folder for the failures that are found.
    fn report(&self, of: &str) -> anyhow::Result<PathBuf> {
        let folder = self.folder.join("failures").join(of);
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot clear {}", folder.display()))?;
        }
        Ok(folder)
    }

    /// One of several: they share the threads.
    fn hunter<'a>(&'a self, program: &'a Path, report: &'a Path, of: usize) -> Hunter<'a> {
        Hunter {
            program,
            folder: self.scratch.folder(),
            report,
            shrink_steps: self.arguments.shrink,
            jobs: (self.pool.current_num_threads() / of.max(1)).max(1),
        }
    }
}
