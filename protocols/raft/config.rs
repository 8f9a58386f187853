//! What servers and clients are told when they are created.

use super::membership::Membership;
use super::session::Machine;
use super::snapshot::Snapshot;
use crate::kv::Store;
use serde::{Deserialize, Serialize};
use splitbrain_core::{NodeId, Rng};
use std::collections::BTreeMap;
use std::fmt;
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
    /// All servers that there are, members or not. There is at least one.
    pub servers: Arc<[NodeId]>,
    /// The voters that the cluster begins with, if this server is one of them; a spare server knows nobody until somebody
    /// adds it. Of no use to clients.
    pub founders: Arc<[NodeId]>,
    /// How many changes of its past the [store](crate::kv::Store) of a cluster that begins keeps. Of no use to clients.
    pub kept_changes: u64,
    /// Timeouts and bounds, [valid](Settings::validate).
    pub settings: Settings,
}

impl Member {
    /// What a cluster begins with: a snapshot of nothing, but for its members (dissertation §4.4).
    pub(super) fn founding_snapshot(&self) -> Snapshot {
        let voters = self.founders.iter().copied();
        let store = Store::keeping(self.kept_changes);
        Snapshot {
            membership: Arc::new(Membership::new(voters, [])),
            machine: Machine::new(store, BTreeMap::new()),
            ..Snapshot::default()
        }
    }
}

/// The configuration of `servers` servers (the first ids) and `clients` clients (the ids after them). The first
/// [`voters`](Settings::voters) servers found the cluster, whose store keeps nothing of its past.
pub fn cluster(servers: usize, clients: usize, settings: Settings) -> Vec<Config> {
    let voters = settings.voters.map_or(servers, |voters| voters as usize);
    let all: Arc<[NodeId]> = (0..servers).map(NodeId::from_index).collect();
    let founders: Arc<[NodeId]> = all.iter().copied().take(voters).collect();
    let member = |founds: bool| Member {
        servers: all.clone(),
        founders: if founds { founders.clone() } else { [].into() },
        kept_changes: 0,
        settings,
    };
    let servers = (0..servers).map(|index| Config::Server(member(index < voters)));
    servers
        .chain((0..clients).map(|_| Config::Client(member(false))))
        .collect()
}

/// How reads are answered (dissertation §6.4). All are linearizable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reads {
    /// Like writes: each is an entry of the log.
    #[default]
    Log,
    /// The leader confirms with a round of heartbeats that it still leads (ReadIndex).
    Index,
    /// Any server asks the leader for a read index, and answers when it has applied the log that far (the end of §6.4).
    Follower,
    /// The leader answers at once while it has a lease (§6.4.1). This relies on clocks: see
    /// [`clock_drift_ppm_max`](Settings::clock_drift_ppm_max).
    Lease,
}

/// Timeouts and bounds. Times are in milliseconds, and run by each server's own monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How many of the servers are voters when the cluster begins; all, if nothing is said. The others are spare.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voters: Option<u64>,

    /// The least time without a leader after which a server becomes a candidate (§5.2).
    pub election_ms_min: u64,
    /// The greatest such time. Each wait is drawn between the two, so that split votes are rare and soon over.
    pub election_ms_max: u64,
    /// How often a leader speaks to each follower when it has nothing to say.
    pub heartbeat_ms: u64,
    /// Whether a server asks if it could win before it starts an election (dissertation §9.6), so that one that was cut
    /// off does not depose a leader that is well. Without `check_quorum` the others go by its log only.
    pub pre_vote: bool,
    /// Whether a leader that has heard of no quorum for an election timeout steps down (§6.2), and followers help no
    /// candidate while they hear from their leader (§4.2.3).
    pub check_quorum: bool,

    /// How reads are answered.
    pub reads: Reads,
    /// For leases: by how much the clocks of servers may run too fast or too slow, in millionths. A lease is shortened by
    /// it; if a clock is worse, reads may be stale.
    pub clock_drift_ppm_max: u64,

    /// The most entries in one `AppendEntries`.
    pub entries_per_append: u64,
    /// The most `AppendEntries` with entries that a leader sends a follower ahead of its answers. What comes from clients
    /// while so many are under way goes together in the next one.
    pub appends_in_flight: u64,
    /// The most entries that a leader takes from clients ahead of what is committed, and the most reads that a server
    /// lets wait. Clients beyond that are asked to come again.
    pub waiting_max: u64,
    /// After how many applied entries a server takes a snapshot and forgets them (dissertation §5); zero: never.
    pub snapshot_entries: u64,
    /// How many entries before a snapshot a server keeps all the same, for followers that are a little behind.
    pub snapshot_keeps: u64,
    /// The most keys and sessions in one `InstallSnapshot`.
    pub snapshot_parts_per_chunk: u64,
    /// How many client sessions are kept, at most: those that were not used for longest expire (dissertation §6.3).
    pub sessions_max: u64,

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
            voters: None,
            election_ms_min: 150,
            election_ms_max: 300,
            heartbeat_ms: 50,
            pre_vote: true,
            check_quorum: true,
            reads: Reads::Log,
            clock_drift_ppm_max: 100_000,
            entries_per_append: 64,
            appends_in_flight: 4,
            waiting_max: 1024,
            snapshot_entries: 1024,
            snapshot_keeps: 64,
            snapshot_parts_per_chunk: 64,
            sessions_max: 1024,
            client_try_ms: 300,
            client_backoff_ms: 50,
            client_deadline_ms: 2000,
        }
    }
}

/// No setting is larger: an hour in milliseconds. More is a typing mistake.
const LARGEST: u64 = 3_600_000;

/// Clocks that stand still, or run at double speed, are no clocks.
const DRIFT_PPM_LARGEST: u64 = 900_000;

/// Why a cluster cannot work with some [`Settings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// This setting must not be zero.
    Zero(&'static str),
    /// This setting is larger than makes sense.
    TooLarge {
        /// Which one.
        name: &'static str,
        /// What it is.
        value: u64,
        /// The most that it may be.
        most: u64,
        /// What sets that limit, if it is another setting.
        limit: &'static str,
        /// Why.
        why: &'static str,
    },
    /// Leases need followers that help no candidate while they hear from the leader.
    LeaseWithoutCheckQuorum,
    /// There are fewer servers than voters.
    TooFewServers {
        /// How many there are.
        servers: usize,
        /// How many are to be voters.
        voters: u64,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Zero(name) => write!(f, "{name} must not be zero"),
            ConfigError::TooLarge {
                name,
                value,
                most,
                limit,
                why,
            } => {
                write!(f, "{name} ({value}) must be at most ")?;
                if limit.is_empty() {
                    write!(f, "{most}")?;
                } else {
                    write!(f, "{limit} ({most})")?;
                }
                if why.is_empty() {
                    Ok(())
                } else {
                    write!(f, ", or {why}")
                }
            }
            ConfigError::LeaseWithoutCheckQuorum => f.write_str(
                "reads = \"lease\" needs check_quorum = true: no lease holds if followers vote while they hear from the leader",
            ),
            ConfigError::TooFewServers { servers, voters } => {
                write!(f, "voters ({voters}) must be at most the number of servers ({servers})")
            }
        }
    }
}

impl std::error::Error for ConfigError {}

impl Settings {
    /// Whether a cluster of so many servers can work with these.
    ///
    /// # Errors
    /// Which setting is wrong and why.
    pub fn validate(&self, servers: usize) -> Result<(), ConfigError> {
        self.validate_sizes()?;
        let at_most = |name, value, most, limit, why| {
            let error = ConfigError::TooLarge {
                name,
                value,
                most,
                limit,
                why,
            };
            if value > most { Err(error) } else { Ok(()) }
        };
        let min = self.election_ms_min;
        at_most(
            "election_ms_min",
            min,
            self.election_ms_max,
            "election_ms_max",
            "",
        )?;
        at_most(
            "heartbeat_ms",
            self.heartbeat_ms,
            min - 1,
            "election_ms_min less one",
            "followers give up on a leader that is well",
        )?;
        at_most(
            "client_try_ms",
            self.client_try_ms,
            self.client_deadline_ms,
            "client_deadline_ms",
            "",
        )?;
        let drift = self.clock_drift_ppm_max;
        at_most("clock_drift_ppm_max", drift, DRIFT_PPM_LARGEST, "", "")?;
        if self.reads == Reads::Lease && !self.check_quorum {
            return Err(ConfigError::LeaseWithoutCheckQuorum);
        }
        match self.voters {
            Some(voters) if voters > servers as u64 => {
                Err(ConfigError::TooFewServers { servers, voters })
            }
            _ => Ok(()),
        }
    }

    fn validate_sizes(&self) -> Result<(), ConfigError> {
        for (name, value, may_be_zero) in [
            ("voters", self.voters.unwrap_or(1), false),
            ("election_ms_min", self.election_ms_min, false),
            ("election_ms_max", self.election_ms_max, false),
            ("heartbeat_ms", self.heartbeat_ms, false),
            ("entries_per_append", self.entries_per_append, false),
            ("appends_in_flight", self.appends_in_flight, false),
            ("waiting_max", self.waiting_max, false),
            ("snapshot_entries", self.snapshot_entries, true),
            ("snapshot_keeps", self.snapshot_keeps, true),
            (
                "snapshot_parts_per_chunk",
                self.snapshot_parts_per_chunk,
                false,
            ),
            ("sessions_max", self.sessions_max, false),
            ("client_try_ms", self.client_try_ms, false),
            ("client_backoff_ms", self.client_backoff_ms, false),
            ("client_deadline_ms", self.client_deadline_ms, false),
        ] {
            if value == 0 && !may_be_zero {
                return Err(ConfigError::Zero(name));
            }
            if value > LARGEST {
                return Err(ConfigError::TooLarge {
                    name,
                    value,
                    most: LARGEST,
                    limit: "",
                    why: "",
                });
            }
        }
        Ok(())
    }

    /// A random time to wait for a leader (§5.2).
    pub(super) fn election_timeout(&self, rng: &mut Rng) -> Duration {
        rng.duration(
            Duration::from_millis(self.election_ms_min)
                ..=Duration::from_millis(self.election_ms_max),
        )
    }

    /// For so long after a follower has heard from a leader it helps nobody else to an election, by its own clock.
    pub(super) fn loyalty(&self) -> Duration {
        Duration::from_millis(self.election_ms_min)
    }

    /// For so long after a leader has sent what a quorum answered it has a lease, by its own clock (dissertation §6.4.1).
    ///
    /// The followers stay loyal for `election_ms_min` by clocks that may be too fast by the bound on drift, so for less
    /// than that; and the leader measures it with a clock that may be too slow by as much.
    pub(super) fn lease(&self) -> Duration {
        let nanos = u128::from(self.election_ms_min) * 1_000_000;
        let (slow, fast) = (
            1_000_000 - self.clock_drift_ppm_max,
            1_000_000 + self.clock_drift_ppm_max,
        );
        Duration::from_nanos((nanos * u128::from(slow) / u128::from(fast)) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        let good = Settings::default();
        assert_eq!(good.validate(3), Ok(()));
        let refused = |change: fn(&mut Settings), why: &str| {
            let mut settings = good;
            change(&mut settings);
            let error = settings.validate(3).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        };
        refused(|s| s.heartbeat_ms = 0, "heartbeat_ms must not be zero");
        refused(
            |s| s.heartbeat_ms = 150,
            "heartbeat_ms (150) must be at most",
        );
        refused(|s| s.election_ms_min = 301, "election_ms_min (301)");
        refused(|s| s.client_try_ms = 2001, "client_try_ms (2001)");
        refused(|s| s.appends_in_flight = 0, "appends_in_flight");
        refused(|s| s.election_ms_max = u64::MAX, "election_ms_max");
        refused(|s| s.voters = Some(0), "voters must not be zero");
        refused(|s| s.voters = Some(4), "voters (4)");
        refused(|s| s.clock_drift_ppm_max = 1_000_000, "clock_drift_ppm_max");
        refused(
            |s| (s.reads, s.check_quorum) = (Reads::Lease, false),
            "check_quorum",
        );
    }

    #[test]
    fn a_lease_is_shorter_than_the_loyalty_of_a_fast_clock_measured_by_a_slow_one() {
        let settings = Settings::default();
        // 150 ms by a clock 10 % too fast are 136.36 ms, of which a clock 10 % too slow shows 122.72 ms.
        assert_eq!(settings.lease().as_micros(), 122_727);
        let exact = Settings {
            clock_drift_ppm_max: 0,
            ..settings
        };
        assert_eq!(exact.lease(), exact.loyalty());
    }

    #[test]
    fn servers_come_first_and_founders_before_spares() {
        let settings = Settings {
            voters: Some(2),
            ..Settings::default()
        };
        let configs = cluster(3, 2, settings);
        assert_eq!(configs.len(), 5);
        for (index, config) in configs.iter().enumerate() {
            let (Config::Server(member) | Config::Client(member)) = config;
            assert_eq!(matches!(config, Config::Server(_)), index < 3);
            assert_eq!(member.servers.len(), 3);
            assert_eq!(member.founders.len(), if index < 2 { 2 } else { 0 });
        }
    }
}
