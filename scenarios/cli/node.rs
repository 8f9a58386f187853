//! `splitbrain node`.

use super::Status;
use crate::server::config::NodeConfig;
use crate::server::{format, serve};
use std::io::stderr;
use std::path::PathBuf;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
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

/// Runs until it is told to stop (SIGINT, SIGTERM), or ends itself, which is an error.
pub(super) fn command(arguments: &Arguments) -> anyhow::Result<Status> {
    let config = NodeConfig::read(&arguments.config)?;
    if arguments.format {
        format(&config)?;
        return Ok(Status::Valid);
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
        anyhow::Ok(Status::Valid)
    })
}
