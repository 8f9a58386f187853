//! What servers and clients are told when they are created.

use super::lessor::Terms;
use crate::kv::KEPT_CHANGES;
use crate::raft;
use serde::{Deserialize, Serialize};
use splitbrain_core::NodeId;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A node of the service, as it is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What it is to Raft.
    pub raft: raft::Config,
    /// Timeouts and bounds, [valid](Settings::validate).
    pub settings: Settings,
}

impl Config {
    /// All servers that there are.
    pub fn servers(&self) -> &Arc<[NodeId]> {
        let (raft::Config::Server(member) | raft::Config::Client(member)) = &self.raft;
        &member.servers
    }
}

/// The configuration of `servers` servers (the first ids) and `clients` clients (the ids after them).
pub fn cluster(servers: usize, clients: usize, settings: Settings) -> Vec<Config> {
    let configs = raft::cluster(servers, clients, settings.raft);
    let config = |mut raft: raft::Config| {
        let (raft::Config::Server(member) | raft::Config::Client(member)) = &mut raft;
        member.kept_changes = settings.kept_changes;
        Config { raft, settings }
    };
    configs.into_iter().map(config).collect()
}

/// Timeouts and bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Those of Raft. Its bound on the drift of clocks is also that of leases.
    pub raft: raft::Settings,
    /// How many changes of the past are kept, to be read and watched, from the beginning on: see
    /// [`kv::Op::Keep`](crate::kv::Op::Keep).
    pub kept_changes: u64,
    /// How often a leader writes down how much remains of a lease that is not kept alive, in milliseconds: a lease lasts so
    /// much longer, at most, for each change of leader. etcd's default is five minutes, for leases that may last for years.
    pub lease_checkpoint_ms: u64,
    /// How often a client says again what it has got of a watch, in milliseconds.
    pub watch_refresh_ms: u64,
    /// When nothing was heard for so long of a server that is asked for a watch, the next one is asked, in milliseconds.
    pub watch_silence_ms: u64,
    /// A client drops a watch that nobody has waited for for so long, and a server one that no client has spoken of, in
    /// milliseconds.
    pub watch_idle_ms: u64,
    /// How many messages with events a server sends ahead of what the client has taken.
    pub watch_window: u64,
    /// How many events a message holds, but for a revision that has more: it is never parted.
    pub watch_batch_events: u64,
    /// How many watches a server serves.
    pub watches_max: u64,
    /// How many operations a client accepts ahead of the one under way.
    pub client_queue_max: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            raft: raft::Settings::default(),
            kept_changes: KEPT_CHANGES,
            lease_checkpoint_ms: 2_000,
            watch_refresh_ms: 200,
            watch_silence_ms: 700,
            watch_idle_ms: 10_000,
            watch_window: 8,
            watch_batch_events: 100,
            watches_max: 10_000,
            client_queue_max: 16,
        }
    }
}

/// What is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// Those of Raft.
    Raft(raft::ConfigError),
    /// It must not be zero.
    Zero(&'static str),
    /// It must be at most that.
    TooLarge {
        /// Which setting.
        name: &'static str,
        /// What it is.
        value: u64,
        /// The limit, in words.
        limit: &'static str,
        /// What that is.
        most: u64,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Raft(error) => write!(f, "raft: {error}"),
            ConfigError::Zero(name) => write!(f, "{name} must not be zero"),
            ConfigError::TooLarge {
                name,
                value,
                limit,
                most,
            } => write!(f, "{name} ({value}) must be at most {limit} ({most})"),
        }
    }
}

impl std::error::Error for ConfigError {}

/// As in Raft: a day, or more entries than anybody has memory for.
const LARGEST: u64 = 1_000_000_000;

impl Settings {
    /// Whether a cluster of so many servers can work with these.
    ///
    /// # Errors
    /// Which setting is wrong and why.
    pub fn validate(&self, servers: usize) -> Result<(), ConfigError> {
        self.raft.validate(servers).map_err(ConfigError::Raft)?;
        for (name, value) in [
            ("lease_checkpoint_ms", self.lease_checkpoint_ms),
            ("watch_refresh_ms", self.watch_refresh_ms),
            ("watch_silence_ms", self.watch_silence_ms),
            ("watch_idle_ms", self.watch_idle_ms),
            ("watch_window", self.watch_window),
            ("watch_batch_events", self.watch_batch_events),
            ("watches_max", self.watches_max),
            ("client_queue_max", self.client_queue_max),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero(name));
            }
            at_most(name, value, "the largest number there may be", LARGEST)?;
        }
        // A client that says nothing for longer than a server remembers it would begin again and again.
        let (refresh, silence) = (self.watch_refresh_ms, self.watch_silence_ms);
        at_most("watch_refresh_ms", refresh, "watch_silence_ms", silence)?;
        let idle = self.watch_idle_ms;
        at_most("watch_silence_ms", silence, "watch_idle_ms", idle)
    }

    /// How a leader measures leases.
    pub(super) fn terms(&self) -> Terms {
        Terms {
            clock_drift_ppm_max: u32::try_from(self.raft.clock_drift_ppm_max).unwrap_or(u32::MAX),
            checkpoint_every: Duration::from_millis(self.lease_checkpoint_ms),
        }
    }
}

fn at_most(
    name: &'static str,
    value: u64,
    limit: &'static str,
    most: u64,
) -> Result<(), ConfigError> {
    if value <= most {
        return Ok(());
    }
    Err(ConfigError::TooLarge {
        name,
        value,
        limit,
        most,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        assert_eq!(Settings::default().validate(3), Ok(()));
        let refused = |change: fn(&mut Settings), why: &str| {
            let mut settings = Settings::default();
            change(&mut settings);
            let error = settings.validate(3).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        };
        refused(
            |s| s.raft.heartbeat_ms = 0,
            "raft: heartbeat_ms must not be zero",
        );
        refused(|s| s.watch_window = 0, "watch_window must not be zero");
        refused(
            |s| s.watch_refresh_ms = 800,
            "watch_refresh_ms (800) must be at most watch_silence_ms (700)",
        );
        refused(|s| s.watch_silence_ms = 20_000, "watch_idle_ms (10000)");
        refused(|s| s.watches_max = u64::MAX, "watches_max");
    }
}
