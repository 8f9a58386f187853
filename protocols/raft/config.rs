//! What servers and clients are told when they are created.

use serde::{Deserialize, Serialize};
use splitbrain_core::{NodeId, Rng};
use std::sync::Arc;
use std::time::Duration;

/// A node of a Raft cluster, as it is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Config {
    /// One of the servers.
    Server(Member),
    /// One of their clients.
    Client(Member),
}

/// What a node knows of its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// All servers. There is at least one.
    pub servers: Arc<[NodeId]>,
    /// Timeouts and bounds, [valid](Settings::validate).
    pub settings: Settings,
}

/// The configuration of `servers` servers (the first ids) and `clients` clients (the ids after them).
pub fn cluster(servers: usize, clients: usize, settings: Settings) -> Vec<Config> {
    let member = Member {
        servers: (0..servers).map(NodeId::from_index).collect(),
        settings,
    };
    let servers = std::iter::repeat_n(Config::Server(member.clone()), servers);
    servers
        .chain(std::iter::repeat_n(Config::Client(member), clients))
        .collect()
}

/// Timeouts and bounds. Times are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The least time without a leader after which a server becomes a candidate (§5.2).
    pub election_ms_min: u64,
    /// The greatest such time. Each wait is drawn between the two, so that split votes are rare and soon over.
    pub election_ms_max: u64,
    /// How often a leader speaks to each follower when it has nothing to say.
    pub heartbeat_ms: u64,
    /// The most entries in one `AppendEntries`.
    pub entries_per_append: u64,
    /// The most entries that a leader sends a follower ahead of its answers.
    pub entries_in_flight: u64,
    /// How long a client waits for a server before it asks another one.
    pub client_try_ms: u64,
    /// How long a client waits when nobody could tell it who leads.
    pub client_backoff_ms: u64,
    /// How long a client tries before it gives an operation up.
    pub client_deadline_ms: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            election_ms_min: 150,
            election_ms_max: 300,
            heartbeat_ms: 50,
            entries_per_append: 64,
            entries_in_flight: 256,
            client_try_ms: 300,
            client_backoff_ms: 50,
            client_deadline_ms: 2000,
        }
    }
}

/// No setting is larger: an hour in milliseconds. More is a typing mistake.
const LARGEST: u64 = 3_600_000;

impl Settings {
    /// Whether a cluster can work with these.
    ///
    /// # Errors
    /// In words, which setting is wrong and why.
    pub fn validate(&self) -> Result<(), String> {
        for (name, value) in [
            ("election_ms_min", self.election_ms_min),
            ("election_ms_max", self.election_ms_max),
            ("heartbeat_ms", self.heartbeat_ms),
            ("entries_per_append", self.entries_per_append),
            ("entries_in_flight", self.entries_in_flight),
            ("client_try_ms", self.client_try_ms),
            ("client_backoff_ms", self.client_backoff_ms),
            ("client_deadline_ms", self.client_deadline_ms),
        ] {
            if value == 0 {
                return Err(format!("{name} must not be zero"));
            }
            if value > LARGEST {
                return Err(format!("{name} ({value}) must be at most {LARGEST}"));
            }
        }
        let at_most = |what: &str, value: u64, limit_name: &str, limit: u64| {
            if value > limit {
                return Err(format!(
                    "{what} ({value}) must be at most {limit_name} ({limit})"
                ));
            }
            Ok(())
        };
        let (min, max) = (self.election_ms_min, self.election_ms_max);
        at_most("election_ms_min", min, "election_ms_max", max)?;
        if self.heartbeat_ms >= min {
            return Err(format!(
                "heartbeat_ms ({}) must be less than election_ms_min ({min}), or followers give up on a leader that is well",
                self.heartbeat_ms
            ));
        }
        let deadline = self.client_deadline_ms;
        at_most(
            "client_try_ms",
            self.client_try_ms,
            "client_deadline_ms",
            deadline,
        )
    }

    /// A random time to wait for a leader (§5.2).
    pub(super) fn election_timeout(&self, rng: &mut Rng) -> Duration {
        rng.duration(
            Duration::from_millis(self.election_ms_min)
                ..=Duration::from_millis(self.election_ms_max),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        let good = Settings::default();
        assert_eq!(good.validate(), Ok(()));
        let refused = |change: fn(&mut Settings), name: &str| {
            let mut settings = good;
            change(&mut settings);
            let why = settings.validate().unwrap_err();
            assert!(why.starts_with(name), "{why}");
        };
        refused(|s| s.heartbeat_ms = 0, "heartbeat_ms");
        refused(|s| s.heartbeat_ms = 150, "heartbeat_ms");
        refused(|s| s.election_ms_min = 301, "election_ms_min");
        refused(|s| s.client_try_ms = 2001, "client_try_ms");
        refused(|s| s.entries_in_flight = 0, "entries_in_flight");
        refused(|s| s.election_ms_max = u64::MAX, "election_ms_max");
    }

    #[test]
    fn servers_come_first() {
        let configs = cluster(3, 2, Settings::default());
        assert_eq!(configs.len(), 5);
        for (index, config) in configs.iter().enumerate() {
            let (Config::Server(member) | Config::Client(member)) = config;
            assert_eq!(matches!(config, Config::Server(_)), index < 3);
            assert_eq!(member.servers.len(), 3);
        }
    }
}
