//! Records what clients of a real etcd see while its servers are killed and paused, and checks it.

use anyhow::Context as _;
use clap::Parser;
use splitbrain_example_etcd::{Settings, record};
use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::runtime::Runtime;

/// Kill and pause the servers of a real etcd while clients use it, and check what they saw
#[derive(Debug, Parser)]
#[command(
    name = "splitbrain-example-etcd",
    version,
    after_help = "Exit status: 0 valid, 1 invalid, 2 it cannot be done, 3 unknown: nothing was answered, or the check gave up."
)]
struct Arguments {
    #[command(flatten)]
    settings: Settings,
    /// Where the history goes, for `splitbrain check`
    #[arg(long, value_name = "FILE", default_value = "etcd.jsonl")]
    out: PathBuf,
}

fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    // Before all the work, so that it is not done in vain.
    let cannot = || format!("cannot write {}", arguments.out.display());
    let out = File::create(&arguments.out).with_context(cannot)?;
    let runtime = Runtime::new()?;
    let recorded = runtime.block_on(record(&arguments.settings, &mut |line| println!("{line}")))?;
    recorded.write(&out).with_context(cannot)?;
    let checked = recorded.check()?;
    println!("{}: {checked}", arguments.out.display());
    println!(
        "Check it again, and look at it: splitbrain check {} --html etcd.html",
        arguments.out.display()
    );
    Ok(checked.status().into())
}

fn main() -> ExitCode {
    run(&Arguments::parse()).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}
