//! What nodes are told when they are created.

use crate::kv::TTL_MS_MAX;
use crate::service;
use serde::{Deserialize, Serialize};
use splitbrain_core::NodeId;

/// A node, as it is created.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each node, made once"
)]
pub enum Config {
    /// A server of the service.
    Server(service::Config),
    /// A client.
    Client {
        /// As a client of the service.
        service: service::Config,
        /// Where what locks protect is.
        resource: NodeId,
        /// Timeouts.
        settings: Settings,
    },
    /// What locks protect.
    Resource,
}

/// `servers` servers (the first ids), `clients` clients (the ids after them), and one resource (the last).
pub fn cluster(servers: usize, clients: usize, settings: Settings) -> Vec<Config> {
    let resource = NodeId::from_index(servers + clients);
    let nodes = service::cluster(servers, clients, settings.service);
    let config = |(nth, service): (usize, service::Config)| {
        if nth < servers {
            return Config::Server(service);
        }
        Config::Client {
            service,
            resource,
            settings,
        }
    };
    let nodes = nodes.into_iter().enumerate().map(config);
    nodes.chain([Config::Resource]).collect()
}

/// Timeouts, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Those of the service.
    pub service: service::Settings,
    /// How long a lock, leadership or membership lasts when its holder does not keep it alive.
    pub ttl_ms: u64,
    /// How long a holder waits for the resource before it asks again.
    pub access_try_ms: u64,
    /// How long a holder tries to reach the resource before it gives its lock up.
    pub access_deadline_ms: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            service: service::Settings::default(),
            ttl_ms: 2_000,
            access_try_ms: 300,
            access_deadline_ms: 2_000,
        }
    }
}

impl Settings {
    /// Whether a cluster of so many servers can work with these.
    ///
    /// # Errors
    /// Which setting is wrong and why.
    pub fn validate(&self, servers: usize) -> Result<(), String> {
        let service = self.service.validate(servers);
        service.map_err(|error| format!("service: {error}"))?;
        for (name, value) in [
            ("ttl_ms", self.ttl_ms),
            ("access_try_ms", self.access_try_ms),
            ("access_deadline_ms", self.access_deadline_ms),
        ] {
            if !(1..=TTL_MS_MAX).contains(&value) {
                return Err(format!(
                    "{name} ({value}) must be from 1 to {TTL_MS_MAX} milliseconds"
                ));
            }
        }
        Ok(())
    }
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
            let error = settings.validate(3).unwrap_err();
            assert!(error.contains(why), "{error}");
        };
        refused(|s| s.ttl_ms = 0, "ttl_ms (0)");
        refused(|s| s.service.watch_window = 0, "service: watch_window");
    }
}
