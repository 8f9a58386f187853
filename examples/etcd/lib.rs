//! A system that is not ours under test: etcd, as it is installed. Real servers on loopback are killed and paused while clients use
//! them over the HTTP gateway, and what the clients saw is written down and checked.
//!
//! `cluster.rs` runs the servers, `nemesis.rs` is not kind to them, `gateway.rs` is a client of etcd, `load.rs` has many of them at work
//! and writes down what they see. `outcome.rs` says what it came to. None of it is simulated, and no two runs are the same: a seed
//! decides only what is asked for and when something is done to a server.
#![warn(missing_docs)]
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "law 1 is for what happens inside a run; this is the world outside, which has clocks"
)]

mod cluster;
mod gateway;
mod load;
mod nemesis;
mod outcome;

use cluster::Cluster;
pub use cluster::ClusterError;
pub use gateway::Nonsense;
use load::Load;
use nemesis::Nemesis;
pub use nemesis::{Fault, Happened};
pub use outcome::Checked;
use outcome::count;
use splitbrain_check::History;
use splitbrain_check::models::key_value::{Op, Ret};
use splitbrain_core::{Purpose, Seed};
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;
use tokio::time::sleep;

/// What is to be recorded.
#[derive(Clone, Debug, clap::Args)]
pub struct Settings {
    /// How long clients use the servers
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// How many servers
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=7))]
    pub servers: u8,
    /// How many clients use them at the same time
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub clients: u8,
    /// How many keys they share
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub keys: u8,
    /// What is asked for, and when something is done to the servers; not when they answer
    #[arg(long, value_name = "SEED", default_value = "0", value_parser = |text: &str| text.parse::<Seed>())]
    pub seed: Seed,
    /// Make the clients err, to see that it is found
    #[arg(long, value_name = "MISTAKE")]
    pub mistake: Option<Mistake>,
    /// Where servers keep their data, for as long as this runs; in the folder for temporary files, if nothing is said. In memory
    /// (/dev/shm) they are faster, and who is killed loses no more
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// The program
    #[arg(long, value_name = "PROGRAM", default_value = "etcd")]
    pub etcd: String,
}

/// What a client of etcd may get wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mistake {
    /// It does not look at errors: what it wants to write at a server that is down it takes for written
    IgnoredErrors,
    /// It lets a server answer reads from what it has (`serializable`): who was paused has not heard of what came since
    StaleReads,
}

/// Why nothing was recorded.
#[derive(Debug, Error)]
pub enum RecordError {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Settings(&'static str),
    /// Something is wrong with the servers.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Something is wrong with what they say.
    #[error(transparent)]
    Nonsense(#[from] Nonsense),
}

/// What was recorded.
#[derive(Debug)]
pub struct Recorded {
    /// What the clients saw.
    pub history: History<Op, Ret>,
    /// What was done to the servers.
    pub faults: Vec<Happened>,
    /// Which etcd it was.
    pub version: String,
}

/// Runs the servers, has clients use them and the nemesis do its work, until the time is up or somebody presses Ctrl-C. In the end
/// all servers are well again, and all keys are read at each. `tell` is called with what happens, when it does.
///
/// # Errors
/// If the servers cannot be started or do not come back, or say what no etcd says.
pub async fn record(
    settings: &Settings,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<Recorded, RecordError> {
    if settings.mistake == Some(Mistake::StaleReads) && settings.servers == 1 {
        let why = "--mistake stale-reads: a single server has nobody to be behind; expected --servers of at least 2";
        return Err(RecordError::Settings(why));
    }
    let version = cluster::version(&settings.etcd)?;
    let mut cluster = Cluster::start(
        &settings.etcd,
        settings.servers.into(),
        settings.data.as_deref(),
    )?;
    cluster.all_serve().await?;
    tell(&format!(
        "etcd {version}: {}, {}, {}s; seed {}",
        count(settings.servers.into(), "server"),
        count(settings.clients.into(), "client"),
        settings.seconds,
        settings.seed
    ));
    let mut load = Load::start(cluster.addresses(), settings);
    let mut nemesis = Nemesis::new(settings.seed.stream(Purpose::Nemesis(0)), load.clock());
    let over = async {
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => {}
            () = sleep(Duration::from_secs(settings.seconds)) => {}
        }
    };
    tokio::select! {
        biased;
        () = over => {}
        failed = nemesis.work(&mut cluster, tell) => return Err(failed.into()),
        failed = load.failed() => return Err(failed.into()),
    }
    nemesis.undo(&mut cluster, tell)?;
    cluster.all_serve().await?;
    let history = load.finish().await?;
    Ok(Recorded {
        history,
        faults: nemesis.happened(),
        version,
    })
}
