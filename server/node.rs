//! `splitbrain node`: one server.

use crate::Status;
use crate::config::NodeConfig;
use crate::serve::{format, serve};
use std::io::stderr;
use std::path::PathBuf;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;

/// What follows `splitbrain node`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What this server is told
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Make its journal, and end: to be done once, before it runs for the first time
    #[arg(long)]
    format: bool,
    /// How much to say: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    log: LevelFilter,
}

/// Runs until it is told to stop (SIGINT, SIGTERM).
///
/// # Errors
/// If the server cannot start, or ends itself.
pub fn command(arguments: &Arguments) -> anyhow::Result<Status> {
    let config = NodeConfig::read(&arguments.config)?;
    if arguments.format {
        format(&config)?;
        return Ok(Status::Done);
    }
    tracing_subscriber::fmt()
        .with_max_level(arguments.log)
        .with_writer(stderr)
        .with_ansi(false)
        .init();
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        let (mut interrupt, mut terminate) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        );
        let stopped = async {
            tokio::select! {
                biased;
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        serve(&config, stopped).await?;
        anyhow::Ok(Status::Done)
    })
}
