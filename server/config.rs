//! `node.toml`: what one server of the key-value store is told.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use splitbrain_core::NodeId;
use splitbrain_protocols::discovery::dns::{Zone, ZoneSettings};
use splitbrain_protocols::raft::{Reads, Settings};
use splitbrain_protocols::service::{self, Config, cluster};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::{fs, io};
use thiserror::Error;
use toml::Table;

/// The file, as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeConfig {
    /// Which of the peers this is.
    pub(crate) node: NodeId,
    /// Which cluster it belongs to: others are not talked to.
    pub(crate) cluster: String,
    /// Where its journal is. A relative path begins at the folder of the file.
    pub(crate) data: PathBuf,
    /// Where it speaks HTTP.
    pub(crate) http: SocketAddr,
    /// Where it answers DNS queries, over UDP and TCP; nowhere, if nothing is said.
    #[serde(default)]
    pub(crate) dns: Option<SocketAddr>,
    /// The domain that services are below, and how answers about it are given.
    #[serde(default)]
    pub(crate) zone: ZoneSettings,
    /// All servers of the cluster, `n1` to the last, this one included, and where each listens to the others. They trust whoever
    /// speaks there.
    pub(crate) peers: BTreeMap<NodeId, SocketAddr>,
    /// How many operations of its own clients it has under way at once.
    #[serde(default = "sixty_four")]
    pub(crate) clients: u32,
    /// Timeouts and bounds of Raft: what differs from those of [`unhurried`].
    #[serde(default = "unhurried", deserialize_with = "over_unhurried")]
    pub(crate) raft: Settings,
}

/// The defaults of the kernel are those of the paper, for a network of some milliseconds and processes that nobody stops. Real
/// machines are busy now and then, and to elect somebody for that helps nobody (etcd waits for a second, too).
fn unhurried() -> Settings {
    Settings {
        election_ms_min: 500,
        election_ms_max: 1000,
        heartbeat_ms: 100,
        reads: Reads::Index,
        snapshot_entries: 10_000,
        client_try_ms: 1500,
        client_deadline_ms: 8000,
        ..Settings::default()
    }
}

fn over_unhurried<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Settings, D::Error> {
    let said = Table::deserialize(deserializer)?;
    let mut all = Table::try_from(unhurried()).map_err(D::Error::custom)?;
    all.extend(said);
    all.try_into().map_err(D::Error::custom)
}

const fn sixty_four() -> u32 {
    64
}

/// No server has more clients of its own: each is a task, and a session at the cluster.
const CLIENTS_MAX: u32 = 512;

/// How many changes of the past are kept: whoever has waited for one for long sees which came since, and reads anew if it was too long.
const KEPT_CHANGES: u64 = 1000;

/// How many requests may wait for changes at one server.
const WATCHES_MAX: u64 = 1000;

/// Why a server cannot be what the file says.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    #[error("{path}: {error}")]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{path}: {error}")]
    Malformed {
        path: PathBuf,
        error: Box<toml::de::Error>,
    },
    #[error("{path}: {what}")]
    Wrong { path: PathBuf, what: String },
}

impl NodeConfig {
    /// Reads the file.
    pub(crate) fn read(path: &Path) -> Result<NodeConfig, ConfigError> {
        let text = fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
            path: path.to_owned(),
            error,
        })?;
        let mut config: NodeConfig =
            toml::from_str(&text).map_err(|error| ConfigError::Malformed {
                path: path.to_owned(),
                error: Box::new(error),
            })?;
        if let Err(what) = config.validate() {
            let path = path.to_owned();
            return Err(ConfigError::Wrong { path, what });
        }
        if let Some(folder) = path.parent() {
            config.data = folder.join(&config.data);
        }
        Ok(config)
    }

    fn validate(&self) -> Result<(), String> {
        let NodeConfig { node, peers, .. } = self;
        if !peers.contains_key(node) {
            return Err(format!("node = \"{node}\" is none of the peers"));
        }
        let expected = (0..peers.len()).map(NodeId::from_index);
        if let Some((missing, _)) = expected.zip(peers.keys()).find(|(a, b)| a != *b) {
            return Err(format!(
                "of {} peers, {missing} is missing: they are numbered from n1 on",
                peers.len()
            ));
        }
        if !(1..=CLIENTS_MAX).contains(&self.clients) {
            return Err(format!(
                "clients ({}) must be between 1 and {CLIENTS_MAX}",
                self.clients
            ));
        }
        let sessions = u64::from(self.clients) * peers.len() as u64;
        if sessions > self.raft.sessions_max {
            return Err(format!(
                "raft.sessions_max ({}) must be at least {sessions}: {} clients at each of {} servers",
                self.raft.sessions_max,
                self.clients,
                peers.len()
            ));
        }
        Zone::new(self.zone.clone()).map_err(|error| format!("zone: {error}"))?;
        let valid = self.settings().validate(peers.len());
        valid.map_err(|error| error.to_string())
    }

    fn settings(&self) -> service::Settings {
        service::Settings {
            raft: self.raft,
            kept_changes: KEPT_CHANGES,
            client_queue_max: WATCHES_MAX,
            ..service::Settings::default()
        }
    }

    /// What the server is told, and what each of its clients is.
    pub(crate) fn nodes(&self) -> (Config, Config) {
        let all = cluster(self.peers.len(), 1, self.settings());
        let server = all[self.node.index()].clone();
        let client = all[self.peers.len()].clone();
        (server, client)
    }

    /// The names of its clients, which no other server's have: they come behind the servers. The first one is to watch, the
    /// others are for operations.
    pub(crate) fn client_ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        let clients = self.clients as usize + 1;
        let before = (CLIENTS_MAX as usize + 1) * self.node.index() + self.peers.len();
        (before..before + clients).map(NodeId::from_index)
    }
}
