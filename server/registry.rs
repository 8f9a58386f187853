//! The registry over HTTP: instances are registered, say that they live, and are looked up.
//!
//! An entry lies in the store as the registry of the kernel has it ([`splitbrain_protocols::registry`]): under a lease, if
//! the instance says by heartbeats that it lives, and guarded by a fence, so that what comes late does not bring back what is gone.

use crate::checks::PATH;
use crate::http::Shared;
use crate::service::{Failure, Service};
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use splitbrain_protocols::discovery::health::{CheckKind, CheckSettings, ProbeSettings, Status};
use splitbrain_protocols::discovery::{INSTANCES_PREFIX, Instance, Label};
use splitbrain_protocols::kv::{self, Key, KeyRange, KeyValue, LeaseId, Op, Range, Revision};
use splitbrain_protocols::registry::{self, fence_of, if_unchanged, status_of};
use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// How often what depends on the state is tried again, when others have changed it in between.
const ATTEMPTS: u32 = 5;
/// How long a look-up waits for a change, at most.
const WAIT_MS_MAX: u64 = 600_000;
/// What the registry itself writes into the metadata of an entry.
const RESERVED: [&str; 4] = ["status", "critical-for-ms", "check", PATH];

/// What an instance says of itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registration {
    /// Where it is.
    address: IpAddr,
    port: u16,
    /// What it is known as beside its service.
    #[serde(default)]
    tags: Vec<String>,
    /// What else is to be known of it.
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    /// Its share of requests, relative to the others.
    #[serde(default = "one")]
    weight: u16,
    /// How it is known that it is well; without, it is until it is deregistered.
    check: Option<Check>,
}

const fn one() -> u16 {
    1
}

/// How it is known that an instance is well.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Check {
    /// It says so by heartbeats, and is gone when it has not for so long.
    Ttl { ttl_ms: u64 },
    /// The registry connects to it.
    Tcp {
        #[serde(default)]
        probe: ProbeSettings,
        /// After how long as critical it is removed; never, if nothing is said.
        deregister_after_ms: Option<u64>,
    },
    /// The registry asks it for a page.
    Http {
        path: String,
        #[serde(default)]
        probe: ProbeSettings,
        deregister_after_ms: Option<u64>,
    },
}

fn malformed(error: impl std::fmt::Display) -> Failure {
    Failure::Malformed(error.to_string())
}

impl Registration {
    /// The instance, and the time to live of its lease, if it is to have one.
    fn instance(self, service: &str, id: &str) -> Result<(Instance, Option<u64>), Failure> {
        if let Some(reserved) = RESERVED
            .iter()
            .find(|key| self.metadata.contains_key(**key))
        {
            return Err(malformed(format_args!(
                "metadata `{reserved}` is the registry's own"
            )));
        }
        let mut metadata = self.metadata;
        let (ttl_ms, probe) = match self.check {
            None => (None, None),
            Some(Check::Ttl { ttl_ms }) => (Some(ttl_ms), None),
            Some(Check::Tcp {
                probe,
                deregister_after_ms,
            }) => (None, Some((probe, deregister_after_ms))),
            Some(Check::Http {
                path,
                probe,
                deregister_after_ms,
            }) => {
                let uri = path.parse::<hyper::Uri>();
                if !path.starts_with('/') || uri.is_err() {
                    return Err(malformed(format_args!("`{path}` is no path")));
                }
                metadata.insert(PATH.to_owned(), path);
                (None, Some((probe, deregister_after_ms)))
            }
        };
        let instance = Instance::new(service, id, self.address, self.port)
            .and_then(|instance| instance.with_tags(self.tags.iter().map(String::as_str)))
            .and_then(|instance| instance.with_metadata(metadata))
            .and_then(|instance| instance.with_weight(self.weight))
            .map_err(malformed)?;
        let Some((probe, deregister_after_ms)) = probe else {
            return Ok((instance, ttl_ms));
        };
        let check = CheckSettings {
            kind: CheckKind::Probe(probe),
            deregister_after_ms,
        };
        check.validate().map_err(malformed)?;
        let checked = registry::with_check(&instance, &check);
        // Until it has been asked.
        let unknown =
            checked.and_then(|checked| registry::with_status(&checked, initial(&checked)));
        let unknown = unknown.map_err(malformed)?;
        // There must be room for what will be found out of it.
        registry::with_critical_for(&unknown, Duration::MAX).map_err(malformed)?;
        Ok((unknown, None))
    }
}

/// How an instance is before anything is found out of it.
fn initial(instance: &Instance) -> Status {
    use splitbrain_protocols::discovery::health::Initial::{FullyUp, Up};
    match registry::check_of(instance).map(|check| check.kind) {
        Some(CheckKind::Probe(probe)) if !matches!(probe.initial, FullyUp | Up) => Status::Critical,
        _ => Status::Passing,
    }
}

/// An instance, as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    #[serde(flatten)]
    instance: Instance,
    status: Status,
}

fn show(instance: &Instance) -> Shown {
    let mut metadata = instance.metadata().clone();
    metadata.retain(|key, _| !RESERVED.contains(&key.as_str()));
    let shown = instance.clone().with_metadata(metadata);
    Shown {
        status: status_of(instance),
        instance: shown.unwrap_or_else(|_| instance.clone()),
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Registered {
    /// The store, then.
    revision: Revision,
}

/// Registers an instance, or what has changed of it.
pub(crate) async fn register(
    State(service): Shared,
    Path((name, id)): Path<(String, String)>,
    registration: Result<Json<Registration>, JsonRejection>,
) -> Result<Json<Registered>, Failure> {
    let Json(registration) = registration.map_err(|rejection| malformed(rejection.body_text()))?;
    let (instance, ttl_ms) = registration.instance(&name, &id)?;
    let (key, value) = (instance.key(), instance.encode());
    let lease = match ttl_ms {
        Some(ttl_ms) => Some(service.grant(ttl_ms).await?),
        None => None,
    };
    for _ in 0..ATTEMPTS {
        let before = service.entry(&key).await?;
        let fence = service.fence(&key).await?;
        let op = registry::register(&key, &value, lease, fence, incarnation());
        if let Some(revision) = service.transact(op).await? {
            if let Some(lease) = before.and_then(|before| before.lease) {
                service.revoke(lease).await;
            }
            return Ok(Json(Registered { revision }));
        }
    }
    Err(Failure::Contended)
}

/// Removes an instance, which does not come back unless it registers again.
pub(crate) async fn deregister(
    State(service): Shared,
    Path((name, id)): Path<(String, String)>,
) -> Result<StatusCode, Failure> {
    let key = key_of(&name, &id)?;
    for _ in 0..ATTEMPTS {
        let Some(before) = service.entry(&key).await? else {
            return Err(Failure::Missing("instance"));
        };
        let fence = service.fence(&key).await?;
        let op = registry::deregister(&key, fence, incarnation());
        if service.transact(op).await?.is_some() {
            if let Some(lease) = before.lease {
                service.revoke(lease).await;
            }
            return Ok(StatusCode::NO_CONTENT);
        }
    }
    Err(Failure::Contended)
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Heartbeat {
    /// How it is: passing, if it says nothing.
    status: Option<splitbrain_protocols::discovery::health::Report>,
}

/// An instance says that it lives, and how it is.
pub(crate) async fn heartbeat(
    State(service): Shared,
    Path((name, id)): Path<(String, String)>,
    said: Result<Query<Heartbeat>, QueryRejection>,
) -> Result<StatusCode, Failure> {
    let Query(said) = said.map_err(|rejection| malformed(rejection.body_text()))?;
    let key = key_of(&name, &id)?;
    let said = said.status.map_or(Status::Passing, Status::from);
    for _ in 0..ATTEMPTS {
        let entry = service.entry(&key).await?;
        let Some((lease, entry)) = entry.and_then(|entry| Some((entry.lease?, entry))) else {
            return Err(Failure::Missing("instance that has heartbeats"));
        };
        // It is in the log, so that every later leader counts from it.
        let renew = Op::LeaseCheckpoint {
            lease,
            remaining_ms: kv::TTL_MS_MAX,
        };
        match service.perform(renew).await {
            // It has run out meanwhile.
            Err(Failure::Refused(_)) => {
                return Err(Failure::Missing("instance that has heartbeats"));
            }
            renewed => renewed?,
        };
        let instance = Instance::decode(&key, &entry.value).map_err(malformed)?;
        let is = status_of(&instance);
        if is == said || is == Status::Maintenance {
            return Ok(StatusCode::NO_CONTENT);
        }
        if service.write_status(&entry, &instance, said).await? {
            return Ok(StatusCode::NO_CONTENT);
        }
    }
    Err(Failure::Contended)
}

/// Takes an instance out of service, whatever is found out of it.
pub(crate) async fn begin_maintenance(
    State(service): Shared,
    Path((name, id)): Path<(String, String)>,
) -> Result<StatusCode, Failure> {
    service.maintain(&name, &id, true).await
}

/// Puts an instance back into service.
pub(crate) async fn end_maintenance(
    State(service): Shared,
    Path((name, id)): Path<(String, String)>,
) -> Result<StatusCode, Failure> {
    service.maintain(&name, &id, false).await
}

/// What is asked of the instances of a service.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LookUp {
    /// Only those with this tag.
    tag: Option<Label>,
    /// Only those that are well.
    #[serde(default)]
    passing: bool,
    /// What this server has applied, at once and without the leader.
    #[serde(default)]
    stale: bool,
    /// Not before something has changed after this revision (Consul: blocking queries), or
    after: Option<u64>,
    /// so long has passed. Half a minute, if nothing is said.
    wait_ms: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Found {
    /// The store, then: to ask for what comes after.
    revision: Revision,
    instances: Vec<Shown>,
}

/// Who is there.
pub(crate) async fn look_up(
    State(service): Shared,
    Path(name): Path<String>,
    asked: Result<Query<LookUp>, QueryRejection>,
) -> Result<Json<Found>, Failure> {
    let Query(asked) = asked.map_err(|rejection| malformed(rejection.body_text()))?;
    let name = Label::new(&name).map_err(malformed)?;
    let keys = KeyRange::Prefix(Instance::prefix_of(&name));
    if let Some(after) = asked.after {
        let wait = Duration::from_millis(asked.wait_ms.unwrap_or(30_000).min(WAIT_MS_MAX));
        service
            .wait_for_change(keys.clone(), Revision(after), wait)
            .await?;
    } else if asked.wait_ms.is_some() {
        return Err(malformed("wait_ms goes with `after`"));
    }
    let (revision, found) = service.range(keys, asked.stale).await?;
    let instances = found
        .iter()
        .filter_map(|found| Instance::decode(&found.key, &found.value).ok());
    let wanted = instances.filter(|instance| {
        let is_tagged = asked
            .tag
            .as_ref()
            .is_none_or(|tag| instance.tags().contains(tag));
        is_tagged && (!asked.passing || status_of(instance) == Status::Passing)
    });
    Ok(Json(Found {
        revision,
        instances: wanted.map(|instance| show(&instance)).collect(),
    }))
}

#[derive(Debug, Serialize)]
pub(crate) struct Services {
    revision: Revision,
    /// How many instances each has.
    services: BTreeMap<Label, usize>,
}

/// Which services there are.
pub(crate) async fn services(State(service): Shared) -> Result<Json<Services>, Failure> {
    let keys = KeyRange::Prefix(INSTANCES_PREFIX.into());
    let (revision, found) = service.range(keys, false).await?;
    let mut services = BTreeMap::new();
    for (name, _) in found
        .iter()
        .filter_map(|found| Instance::parse_key(&found.key).ok())
    {
        *services.entry(name).or_default() += 1;
    }
    Ok(Json(Services { revision, services }))
}

fn key_of(service: &str, id: &str) -> Result<Key, Failure> {
    let service = Label::new(service).map_err(malformed)?;
    let id = Label::new(id).map_err(malformed)?;
    Ok(Instance::key_of(&service, &id))
}

/// A number that no other registration has.
fn incarnation() -> u64 {
    RandomState::new().hash_one("incarnation")
}

/// What requests are made of.
impl Service {
    async fn range(
        self: &Arc<Self>,
        keys: KeyRange,
        stale: bool,
    ) -> Result<(Revision, Vec<KeyValue>), Failure> {
        let read = Op::Range(Arc::new(Range::of(keys)));
        let ret = if stale {
            self.look(move |server| server.store().read(&read)).await?
        } else {
            self.perform(read).await?
        };
        match ret {
            kv::Ret::Range(found) => Ok((found.revision, found.keys.clone())),
            _ => Err(Failure::NotDone("the store did not understand")),
        }
    }

    async fn entry(self: &Arc<Self>, key: &Key) -> Result<Option<KeyValue>, Failure> {
        let (_, found) = self.range(KeyRange::Key(key.clone()), false).await?;
        Ok(found.into_iter().next())
    }

    /// When the fence of an entry was last written.
    async fn fence(self: &Arc<Self>, key: &Key) -> Result<Revision, Failure> {
        let fence = self.entry(&fence_of(key)).await?;
        Ok(fence.map_or(Revision::ZERO, |fence| fence.mod_revision))
    }

    async fn grant(&self, ttl_ms: u64) -> Result<LeaseId, Failure> {
        let lease = None;
        match self.perform(Op::LeaseGrant { lease, ttl_ms }).await {
            Ok(kv::Ret::Granted { lease, .. }) => Ok(lease),
            Ok(_) => Err(Failure::NotDone("the store did not understand")),
            Err(Failure::Refused(refusal)) => Err(malformed(refusal)),
            Err(other) => Err(other),
        }
    }

    /// Ends a lease that nothing goes with any more. If that fails, it runs out.
    async fn revoke(&self, lease: LeaseId) {
        let _ = self.perform(Op::LeaseRevoke { lease }).await;
    }

    /// Whether a transaction did what it is for: at which revision.
    async fn transact(&self, op: Op) -> Result<Option<Revision>, Failure> {
        match self.perform(op).await? {
            kv::Ret::Transaction(done) => Ok(done.succeeded.then_some(done.revision)),
            _ => Err(Failure::NotDone("the store did not understand")),
        }
    }

    /// Whether it is written: not if somebody else has written the entry since.
    async fn write_status(
        &self,
        entry: &KeyValue,
        instance: &Instance,
        status: Status,
    ) -> Result<bool, Failure> {
        let written = registry::with_status(instance, status).map_err(malformed)?;
        let put = Op::Put {
            key: entry.key.clone(),
            value: written.encode(),
            lease: entry.lease,
            previous: false,
        };
        let op = if_unchanged(&entry.key, entry.mod_revision, put);
        Ok(self.transact(op).await?.is_some())
    }

    async fn maintain(
        self: &Arc<Self>,
        name: &str,
        id: &str,
        on: bool,
    ) -> Result<StatusCode, Failure> {
        let key = key_of(name, id)?;
        for _ in 0..ATTEMPTS {
            let Some(entry) = self.entry(&key).await? else {
                return Err(Failure::Missing("instance"));
            };
            let instance = Instance::decode(&key, &entry.value).map_err(malformed)?;
            let is_on = status_of(&instance) == Status::Maintenance;
            let status = if on {
                Status::Maintenance
            } else {
                initial(&instance)
            };
            if is_on == on || self.write_status(&entry, &instance, status).await? {
                return Ok(StatusCode::NO_CONTENT);
            }
        }
        Err(Failure::Contended)
    }
}
