//! The command line.

mod check;
mod demo;
mod list;
mod probes;
mod progress;
mod replay;
mod run;
mod session;
mod shrink;
mod values;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use std::io::{self, BufWriter, Write, stdout};
use std::process::ExitCode;

/// Find the split brain before your users do: one seed, one history, every fault replayable.
#[derive(Debug, Parser)]
#[command(name = "splitbrain", version, after_help = EXIT_STATUSES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXIT_STATUSES: &str = "\
Exit status: 0 valid (or, where a violation is expected: found), 1 invalid (replay: reproduced), \
2 bad usage or input, 3 unknown.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the scenarios there are
    List(list::Arguments),
    /// See bully election elect two leaders, and Raft survive the same faults
    Demo(demo::Arguments),
    /// Run seeds of one or more scenarios
    Run(run::Arguments),
    /// Run a failing seed again from its replay file, loudly
    Replay(replay::Arguments),
    /// Make a failing run small: fewer faults and operations, the same property violated
    Shrink(shrink::Arguments),
    /// Check histories of any origin: Jepsen's, Porcupine's, our own
    Check(check::Arguments),
    /// Run one server of a replicated key-value store, over real TCP
    #[cfg(feature = "server")]
    Node(splitbrain_server::node::Arguments),
    /// Ask servers of the key-value store
    #[cfg(feature = "server")]
    Client(splitbrain_server::client::Arguments),
}

/// What a command came to; of several, the last one here counts.
///
/// The order is that of the variants, which explicit discriminants (the exit statuses) would change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    /// Valid, or what was expected.
    Valid,
    /// Nobody can tell.
    Unknown,
    /// A violation that is not expected; of a replay: one that was reproduced.
    Invalid,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> ExitCode {
        ExitCode::from(match status {
            Status::Valid => 0,
            Status::Invalid => 1,
            Status::Unknown => 3,
        })
    }
}

#[cfg(feature = "server")]
impl From<splitbrain_server::Status> for Status {
    fn from(status: splitbrain_server::Status) -> Status {
        match status {
            splitbrain_server::Status::Done => Status::Valid,
            splitbrain_server::Status::NotDone => Status::Invalid,
            splitbrain_server::Status::Unknown => Status::Unknown,
        }
    }
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::List(arguments) => list::list(&arguments),
        Command::Demo(arguments) => demo::demo(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Replay(arguments) => replay::replay(&arguments),
        Command::Shrink(arguments) => shrink::command(&arguments),
        Command::Check(arguments) => check::command(&arguments),
        #[cfg(feature = "server")]
        Command::Node(arguments) => splitbrain_server::node::command(&arguments).map(Status::from),
        #[cfg(feature = "server")]
        Command::Client(arguments) => {
            splitbrain_server::client::command(&arguments).map(Status::from)
        }
    };
    match result {
        Ok(status) => status.into(),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Prints. Whoever reads the output may have seen enough (`splitbrain list | head`): that is no error, and does not
/// change what the command came to.
fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
    let mut out = BufWriter::new(stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// `1 seed`, `2 seeds`.
fn count(number: impl Into<u64>, what: &str) -> String {
    let number = number.into();
    if number == 1 {
        format!("{number} {what}")
    } else {
        format!("{number} {what}s")
    }
}
