//! What nodes are told when they are created.

use crate::discovery::balance::Policy;
use crate::discovery::breaker::BreakerSettings;
use crate::discovery::cache::CacheSettings;
use crate::discovery::dns::{DnsError, Zone, ZoneSettings};
use crate::discovery::health::{CheckKind, CheckSettings, ProbeSettings};
use crate::discovery::outlier::OutlierSettings;
use crate::discovery::retry::{BackoffSettings, RetryBudgetSettings};
use crate::discovery::{Label, LabelError, SettingsError};
use crate::service;
use serde::{Deserialize, Serialize};
use splitbrain_core::NodeId;
use std::sync::Arc;

/// A node, as it is created.
#[derive(Clone, Debug)]
pub struct Config {
    /// What it is to the service.
    pub service: service::Config,
    /// What it is beside that.
    pub role: Role,
    /// All proxies that there are.
    pub proxies: Arc<[NodeId]>,
    /// The domain that servers answer for.
    pub zone: Arc<Zone>,
    /// Timeouts and bounds, [valid](Settings::validate).
    pub settings: Arc<Settings>,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// A server of the registry.
    Server,
    /// An instance of a service.
    Instance {
        /// Which service.
        service: Label,
        /// The port that it listens at.
        port: u16,
        /// Whether the registry asks it how it is; otherwise it says so itself, by heartbeats.
        probed: bool,
    },
    /// It calls services for others.
    Proxy,
    /// It calls services.
    Client,
}

/// The port of the first service; the second one has the next, and so on.
pub const FIRST_PORT: u16 = 8000;

/// Which service: `s1`, `s2`, ..
///
/// # Errors
/// Never, as that is a name.
pub fn service_name(number: u64) -> Result<Label, LabelError> {
    Label::new(&format!("s{number}"))
}

/// The configuration of `servers` servers (the first ids), and then of instances, proxies and [clients](Settings::callers),
/// `others` in all.
///
/// # Errors
/// What is wrong with the settings.
pub fn cluster(
    servers: usize,
    others: usize,
    settings: Settings,
) -> Result<Vec<Config>, ConfigError> {
    settings.validate(servers, others)?;
    let zone = Arc::new(Zone::new(settings.zone.clone())?);
    let services = service::cluster(servers, others, settings.service);
    let proxies = settings.proxies as usize;
    let instances = settings.instances(others) as usize;
    let first_proxy = servers + instances;
    let all_proxies: Arc<[NodeId]> = (first_proxy..first_proxy + proxies)
        .map(NodeId::from_index)
        .collect();
    let settings = Arc::new(settings);
    let config = |(index, service): (usize, service::Config)| {
        let role = if index < servers {
            Role::Server
        } else if index < first_proxy {
            let nth = (index - servers) as u64;
            let number = nth % settings.services;
            Role::Instance {
                service: service_name(number + 1).map_err(ConfigError::Name)?,
                port: FIRST_PORT + (number as u16),
                probed: nth + settings.probed_instances >= instances as u64,
            }
        } else if index < first_proxy + proxies {
            Role::Proxy
        } else {
            Role::Client
        };
        Ok(Config {
            service,
            role,
            proxies: all_proxies.clone(),
            zone: zone.clone(),
            settings: settings.clone(),
        })
    };
    services.into_iter().enumerate().map(config).collect()
}

/// Timeouts and bounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Those of the service.
    pub service: service::Settings,
    /// How many of the nodes that are no servers are clients: the last ones. By default half of them, or one more. The others
    /// are instances and, after those, proxies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callers: Option<u64>,
    /// Of how many services there are instances, in turn.
    pub services: u64,
    /// How many of the instances are asked by the registry: the last ones. The others send heartbeats.
    pub probed_instances: u64,
    /// How many of the nodes that are neither servers nor clients are proxies.
    pub proxies: u64,
    /// How long an instance is there without a heartbeat, in milliseconds.
    pub ttl_ms: u64,
    /// How the registry asks.
    pub probe: ProbeSettings,
    /// After how long as critical an instance that is asked is removed, in milliseconds.
    pub deregister_after_ms: u64,
    /// How often an instance looks whether it is still registered, in milliseconds.
    pub verify_ms: u64,
    /// How long an instance, or a cache, waits after it could not reach the registry, in milliseconds.
    pub retry_ms: u64,
    /// How long an instance takes for a call, in milliseconds. It does one after the other.
    pub work_ms: u64,
    /// How long it takes when it is slow, in milliseconds.
    pub slow_work_ms: u64,
    /// How many calls wait at an instance at most.
    pub waiting_max: u64,
    /// How clients and proxies choose an instance.
    pub policy: Policy,
    /// How long what they know is good.
    pub cache: CacheSettings,
    /// How often they find out how old that is, in milliseconds.
    pub refresh_ms: u64,
    /// How long they wait for changes at a time, in milliseconds.
    pub watch_ms: u64,
    /// When they call an instance no more.
    pub breaker: BreakerSettings,
    /// When they leave an instance out for a while.
    pub outliers: OutlierSettings,
    /// How often they call again.
    pub budget: RetryBudgetSettings,
    /// How long they wait before that.
    pub backoff: BackoffSettings,
    /// How long they wait for an instance, in milliseconds.
    pub call_timeout_ms: u64,
    /// How long a call may take in all, in milliseconds.
    pub call_deadline_ms: u64,
    /// How many instances are tried for a call.
    pub attempts_max: u64,
    /// How long a call waits that finds nobody to go to, in milliseconds.
    pub nobody_wait_ms: u64,
    /// How long a client waits for a proxy, an order or a DNS response, in milliseconds.
    pub ask_timeout_ms: u64,
    /// The domain that servers answer for.
    pub zone: ZoneSettings,
    /// How long a server that knows of no leader answers DNS queries with what it has, in milliseconds.
    pub unled_ms_max: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            service: service::Settings::default(),
            callers: None,
            services: 1,
            probed_instances: 0,
            proxies: 0,
            ttl_ms: 3_000,
            probe: ProbeSettings {
                interval_ms: 500,
                timeout_ms: 300,
                ..ProbeSettings::default()
            },
            deregister_after_ms: 5_000,
            verify_ms: 1_000,
            retry_ms: 200,
            work_ms: 2,
            slow_work_ms: 400,
            waiting_max: 100,
            policy: Policy::PowerOfTwoChoices,
            cache: CacheSettings::default(),
            refresh_ms: 400,
            watch_ms: 2_000,
            breaker: BreakerSettings {
                open_ms: 500,
                open_ms_max: 4_000,
                half_open_ms_max: 2_000,
                ..BreakerSettings::default()
            },
            outliers: OutlierSettings {
                base_ejection_ms: 1_000,
                max_ejection_ms: 4_000,
                max_ejection_percent: 50,
                ..OutlierSettings::default()
            },
            budget: RetryBudgetSettings::default(),
            backoff: BackoffSettings {
                base_ms: 20,
                cap_ms: 500,
                ..BackoffSettings::default()
            },
            call_timeout_ms: 250,
            call_deadline_ms: 3_000,
            attempts_max: 4,
            nobody_wait_ms: 100,
            ask_timeout_ms: 4_000,
            zone: ZoneSettings::default(),
            unled_ms_max: 10_000,
        }
    }
}

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Those of the service.
    #[error("service: {0}")]
    Service(service::ConfigError),
    /// Those of a part.
    #[error("{part}: {why}")]
    Part {
        /// Which part.
        part: &'static str,
        /// What is wrong with it.
        why: SettingsError,
    },
    /// The domain.
    #[error("zone: {0}")]
    Zone(#[from] DnsError),
    /// A service has no name.
    #[error("services: {0}")]
    Name(LabelError),
    /// It is too small, or too large.
    #[error("{name} = {value}: expected {least} to {most}")]
    OutOfRange {
        /// Which setting.
        name: &'static str,
        /// What it is.
        value: u64,
        /// The least that it may be.
        least: u64,
        /// The most that it may be.
        most: u64,
    },
}

/// An hour in milliseconds.
const LARGEST_MS: u64 = 3_600_000;

impl Settings {
    /// Whether a cluster of so many servers and others can work with these.
    ///
    /// # Errors
    /// Which setting is wrong and why.
    pub fn validate(&self, servers: usize, others: usize) -> Result<(), ConfigError> {
        let valid = self.service.validate(servers);
        valid.map_err(ConfigError::Service)?;
        let part = |part, valid: Result<(), SettingsError>| {
            valid.map_err(|why| ConfigError::Part { part, why })
        };
        part("probe", self.check().validate())?;
        part("policy", self.policy.validate())?;
        part("cache", self.cache.validate())?;
        part("breaker", self.breaker.validate())?;
        part("outliers", self.outliers.validate())?;
        part("budget", self.budget.validate())?;
        part("backoff", self.backoff.validate())?;
        Zone::new(self.zone.clone())?;
        let instances = self.instances(others);
        let both = (others - self.callers(others)) as u64;
        let ports = u64::from(u16::MAX - FIRST_PORT);
        for (name, value, least, most) in [
            (
                "callers",
                self.callers.unwrap_or(1),
                1,
                (others as u64).saturating_sub(1),
            ),
            ("proxies", self.proxies, 0, both.saturating_sub(1)),
            ("services", self.services, 1, ports.min(instances)),
            ("probed_instances", self.probed_instances, 0, instances),
            ("ttl_ms", self.ttl_ms, 1, LARGEST_MS),
            ("verify_ms", self.verify_ms, 1, LARGEST_MS),
            ("retry_ms", self.retry_ms, 1, LARGEST_MS),
            ("work_ms", self.work_ms, 0, LARGEST_MS),
            ("slow_work_ms", self.slow_work_ms, self.work_ms, LARGEST_MS),
            ("waiting_max", self.waiting_max, 1, 1_000_000),
            ("refresh_ms", self.refresh_ms, 1, LARGEST_MS),
            ("watch_ms", self.watch_ms, 1, LARGEST_MS),
            ("call_timeout_ms", self.call_timeout_ms, 1, LARGEST_MS),
            ("call_deadline_ms", self.call_deadline_ms, 1, LARGEST_MS),
            ("attempts_max", self.attempts_max, 1, 1_000),
            ("nobody_wait_ms", self.nobody_wait_ms, 1, LARGEST_MS),
            ("ask_timeout_ms", self.ask_timeout_ms, 1, LARGEST_MS),
            ("unled_ms_max", self.unled_ms_max, 1, LARGEST_MS),
        ] {
            if !(least..=most).contains(&value) {
                return Err(ConfigError::OutOfRange {
                    name,
                    value,
                    least,
                    most,
                });
            }
        }
        Ok(())
    }

    /// How many clients there are among so many nodes that are no servers.
    pub fn callers(&self, others: usize) -> usize {
        match self.callers {
            None => others.div_ceil(2),
            Some(callers) => usize::try_from(callers).unwrap_or(others).min(others),
        }
    }

    /// How many instances there are among so many nodes that are no servers.
    pub fn instances(&self, others: usize) -> u64 {
        let both = (others - self.callers(others)) as u64;
        both.saturating_sub(self.proxies)
    }

    /// How the registry asks an instance.
    pub(super) fn check(&self) -> CheckSettings {
        CheckSettings {
            kind: CheckKind::Probe(self.probe),
            deregister_after_ms: Some(self.deregister_after_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        assert!(Settings::default().validate(3, 8).is_ok());
        let refused = |change: fn(&mut Settings), why: &str| {
            let mut settings = Settings::default();
            change(&mut settings);
            let error = settings.validate(3, 8).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        };
        refused(|s| s.callers = Some(0), "callers = 0: expected 1 to 7");
        refused(|s| s.callers = Some(8), "callers = 8: expected 1 to 7");
        refused(|s| s.services = 5, "services = 5: expected 1 to 4");
        refused(|s| s.proxies = 4, "proxies = 4: expected 0 to 3");
        refused(|s| s.probed_instances = 5, "probed_instances = 5");
        refused(|s| s.slow_work_ms = 1, "slow_work_ms");
        refused(|s| s.probe.rise = 0, "probe: rise = 0");
        refused(|s| s.breaker.probes_max = 0, "breaker: probes_max = 0");
        refused(|s| s.backoff.cap_ms = 1, "backoff: base_ms");
        refused(|s| s.zone.domain = "..".to_owned(), "zone: ");
        refused(|s| s.service.watch_window = 0, "service: watch_window");
    }

    #[test]
    fn nodes_are_servers_instances_proxies_and_clients_in_this_order() {
        let settings = Settings {
            services: 2,
            probed_instances: 1,
            proxies: 1,
            ..Settings::default()
        };
        let roles: Vec<Role> = cluster(3, 10, settings)
            .unwrap()
            .into_iter()
            .map(|config| config.role)
            .collect();
        let instance = |number: u64, probed| Role::Instance {
            service: service_name(number).unwrap(),
            port: 7_999 + number as u16,
            probed,
        };
        assert_eq!(roles[..3], [Role::Server, Role::Server, Role::Server]);
        assert_eq!(
            roles[3..],
            [
                instance(1, false),
                instance(2, false),
                instance(1, false),
                instance(2, true),
                Role::Proxy,
                Role::Client,
                Role::Client,
                Role::Client,
                Role::Client,
                Role::Client,
            ]
        );
    }
}
