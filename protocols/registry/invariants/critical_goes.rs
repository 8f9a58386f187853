//! Who is not well for long goes.

use super::super::{Peer, Settings, check_of, entry, status_of};
use crate::discovery::Instance;
use crate::discovery::health::Status;
use crate::kv::{Key, Revision, Store};
use crate::raft::Role;
use crate::service;
use splitbrain_core::{Cluster, Invariant, NodeId, Time, Violation};
use std::collections::BTreeMap;
use std::time::Duration;

/// An instance that the registry asks, and that is critical for long, is removed (Consul: `deregister_critical_service_after`):
/// within the time that the settings say, as long as one server leads, by its clock, and a few seconds.
#[derive(Debug)]
pub struct CriticalGoes {
    within: Duration,
    /// Who leads, in which term.
    led: Option<(NodeId, u64)>,
    /// Since when, at least, each key has been critical in the leader's store.
    since: BTreeMap<Key, Time>,
    /// Where the leader's store was when it was last looked at.
    seen: Revision,
}

impl CriticalGoes {
    /// As the settings say.
    pub fn new(settings: &Settings) -> CriticalGoes {
        let within = Duration::from_millis(settings.deregister_after_ms);
        // Clocks, commits, and the time until the registry looks.
        let allowance = within / 2 + Duration::from_secs(3);
        CriticalGoes {
            within: within + allowance,
            led: None,
            since: BTreeMap::new(),
            seen: Revision::ZERO,
        }
    }

    fn look(&mut self, store: &Store, now: Time) {
        self.seen = store.revision();
        let range = entry::all();
        let critical = store.iter().filter(|(key, value)| {
            range.contains(key)
                && Instance::decode(key, value).is_ok_and(|found| {
                    status_of(&found) == Status::Critical && check_of(&found).is_some()
                })
        });
        let before = std::mem::take(&mut self.since);
        self.since = critical
            .map(|(key, _)| (key.clone(), before.get(key).copied().unwrap_or(now)))
            .collect();
    }

    fn check(&self, now: Time) -> Result<(), String> {
        let late = self
            .since
            .iter()
            .find(|(_, since)| **since + self.within < now);
        match late {
            Some((key, since)) => Err(format!(
                "{key} is critical since {since}, and still there at {now}, under the same leader"
            )),
            None => Ok(()),
        }
    }
}

impl Invariant<Peer> for CriticalGoes {
    fn property(&self) -> &'static str {
        "critical-goes"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        let server = cluster.node(touched).and_then(Peer::server);
        let raft = server.and_then(|server| server.service().server());
        let leads = raft
            .map(service::Server::raft)
            .filter(|raft| raft.role() == Role::Leader);
        let Some((server, raft)) = server.zip(leads) else {
            if self.led.is_some_and(|(leader, _)| leader == touched) {
                self.led = None;
            }
            return Ok(());
        };
        let (store, term) = (server.store(), raft.term().0);
        let is_same = self.led == Some((touched, term));
        if !is_same && self.led.is_some_and(|(_, later)| later > term) {
            return Ok(());
        }
        if !is_same {
            self.led = Some((touched, term));
            self.since.clear();
        }
        if !is_same || store.revision() != self.seen {
            self.look(store, cluster.now);
        }
        let checked = self.check(cluster.now);
        checked.or_else(|what| self.violated(what))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::entry::{address_of, with_check, with_status};
    use super::*;
    use crate::discovery::health::{CheckKind, CheckSettings, ProbeSettings};
    use crate::kv::Op;

    fn instance(status: Status) -> Instance {
        let node = NodeId::from_index(3);
        let instance = Instance::new("web", "web-n4", address_of(node), 80).unwrap();
        let check = CheckSettings {
            kind: CheckKind::Probe(ProbeSettings::default()),
            deregister_after_ms: Some(5_000),
        };
        with_status(&with_check(&instance, &check).unwrap(), status).unwrap()
    }

    fn store(status: Status) -> Store {
        let mut store = Store::new();
        let instance = instance(status);
        store.apply(&Op::put(instance.key(), instance.encode()));
        store
    }

    #[test]
    fn who_is_critical_for_too_long_is_found() {
        let mut property = CriticalGoes::new(&Settings::default());
        let at = Time::from_secs;
        property.look(&store(Status::Critical), at(1));
        property.look(&store(Status::Critical), at(4));
        assert_eq!(property.check(at(11)), Ok(()), "5 s, and 5.5 s on top");
        assert!(
            property
                .check(at(12))
                .unwrap_err()
                .contains("/services/web/web-n4")
        );
        property.look(&store(Status::Passing), at(12));
        assert_eq!(property.check(at(12)), Ok(()));
    }
}
