//! Who is not well for long goes.

use super::super::checks::note_every;
use super::super::{Peer, Settings, check_of, critical_for, entry, status_of};
use crate::discovery::Instance;
use crate::discovery::health::Status;
use crate::kv::{Key, KeyValue, Revision, Store};
use crate::service::invariants::{Led, Mark};
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};
use std::collections::BTreeMap;
use std::time::Duration;

/// An instance that the registry asks, and that is critical for long, is removed (Consul: `deregister_critical_service_after`):
/// within the time that the settings say, of time in which a leader could have done so, and some allowance. Leaders may change
/// meanwhile: if each began anew, an instance that died would be there for ever.
///
/// The allowance: half as much again for clocks that drift, an attempt or two, and a few seconds for commits. For each change of
/// leader, what it had not written down yet, an attempt, and the time until its successor notices.
#[derive(Debug)]
pub struct CriticalGoes {
    within: Duration,
    per_change: Duration,
    led: Led,
    /// Since when, at least, each key has been critical in the store without having been registered anew.
    since: BTreeMap<Key, Mark>,
    /// Where the leader's store was when it was last looked at.
    seen: Revision,
}

impl CriticalGoes {
    /// As the settings say.
    pub fn new(settings: &Settings) -> CriticalGoes {
        let ms = Duration::from_millis;
        let within = ms(settings.deregister_after_ms);
        let allowance = within / 2 + ms(2 * settings.probe.interval_ms) + ms(3_000);
        let raft = &settings.service.raft;
        CriticalGoes {
            within: within + allowance,
            per_change: note_every(within)
                + ms(settings.probe.timeout_ms + 2 * raft.election_ms_max),
            led: Led::default(),
            since: BTreeMap::new(),
            seen: Revision::ZERO,
        }
    }

    /// Goes through what has happened in the leader's store since it was last looked at.
    fn look(&mut self, store: &Store) {
        if store.revision() <= self.seen {
            return;
        }
        let range = entry::all();
        let now = self.led.mark();
        if let Ok(changes) = store.changes_of(&range, self.seen.next()) {
            for change in changes {
                match change.current().as_ref().map(is_critical) {
                    Some(Some(Critical::StillSo)) => {
                        self.since.entry(change.key().clone()).or_insert(now);
                    }
                    Some(Some(Critical::Anew)) => {
                        self.since.insert(change.key().clone(), now);
                    }
                    Some(None) | None => {
                        self.since.remove(change.key());
                    }
                }
            }
        } else {
            // Nobody knows what has happened.
            self.since.clear();
            let keys = store.iter().map(|(key, _)| key);
            for key in keys.filter(|key| range.contains(key)) {
                if store
                    .key_value(key)
                    .as_ref()
                    .and_then(is_critical)
                    .is_some()
                {
                    self.since.insert(key.clone(), now);
                }
            }
        }
        self.seen = store.revision();
    }

    fn check(&self) -> Result<(), String> {
        for (key, since) in &self.since {
            let led = self.led.since(*since);
            if led.time > self.within + led.changes * self.per_change {
                return Err(format!(
                    "{key} is critical, and still there after {}ms in which it could have been removed, {} changes of leader \
                     included",
                    led.time.as_millis(),
                    led.changes
                ));
            }
        }
        Ok(())
    }
}

/// How an entry came to be critical.
enum Critical {
    /// It has been registered so.
    Anew,
    /// The registry has found so, and may have before.
    StillSo,
}

/// Whether an entry is of an instance that is asked, and critical.
fn is_critical(found: &KeyValue) -> Option<Critical> {
    let instance = Instance::decode(&found.key, &found.value).ok()?;
    let is = status_of(&instance) == Status::Critical && check_of(&instance).is_some();
    is.then(|| match critical_for(&instance) {
        Some(_) => Critical::StillSo,
        None => Critical::Anew,
    })
}

impl Invariant<Peer> for CriticalGoes {
    fn property(&self) -> &'static str {
        "critical-goes"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        let server = cluster.node(touched).and_then(Peer::server);
        let service = server.and_then(|server| server.service().server());
        self.led.observe(cluster, touched, service);
        match server {
            Some(server) if self.led.is_by(touched) => {
                self.look(server.store());
                self.check().or_else(|what| self.violated(what))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::entry::{address_of, with_check, with_critical_for, with_status};
    use super::*;
    use crate::discovery::health::{CheckKind, CheckSettings, ProbeSettings};
    use crate::kv::Op;
    use splitbrain_core::Time;

    fn instance() -> Instance {
        let node = NodeId::from_index(3);
        let instance = Instance::new("web", "web-n4", address_of(node), 80).unwrap();
        let check = CheckSettings {
            kind: CheckKind::Probe(ProbeSettings::default()),
            deregister_after_ms: Some(5_000),
        };
        with_check(&instance, &check).unwrap()
    }

    /// The time at which it is found that the instance is there for too long, of a store to which this is done every
    /// second, with leaders that change every so many seconds.
    fn found_at(reign_s: u64, mut every_second: impl FnMut(u64, &mut Store)) -> Option<u64> {
        let mut property = CriticalGoes::new(&Settings::default());
        let mut store = Store::keeping(99);
        for second in 0..60 {
            property.led.goes_on(Time::from_secs(second));
            let term = second / reign_s;
            let server = NodeId::from_index((term % 3) as usize);
            property.led.decides(Some((term, server)));
            every_second(second, &mut store);
            property.look(&store);
            if property.check().is_err() {
                return Some(second);
            }
        }
        None
    }

    fn put(store: &mut Store, instance: &Instance) {
        store.apply(&Op::put(instance.key(), instance.encode()));
    }

    #[test]
    fn who_is_critical_for_too_long_is_found_whoever_leads() {
        let critical = |long_s| with_critical_for(&instance(), Duration::from_secs(long_s));
        let critical = |long_s| critical(long_s).unwrap();
        // 5 s, 2.5 for clocks, two attempts, and 3.
        let lives = |second, store: &mut Store| {
            if second == 1 {
                put(store, &critical(0));
            }
        };
        assert_eq!(found_at(100, lives), Some(13));
        let forgets = |second: u64, store: &mut Store| {
            if second.is_multiple_of(4) {
                put(store, &critical(0));
            }
        };
        let found = found_at(4, forgets).unwrap();
        assert!((13..40).contains(&found), "{found}");
    }

    #[test]
    fn who_recovers_or_registers_anew_may_stay() {
        let critical = with_critical_for(&instance(), Duration::from_secs(1)).unwrap();
        for other in [Status::Passing, Status::Critical, Status::Maintenance] {
            let other = with_status(&instance(), other).unwrap();
            let comes_back = |second: u64, store: &mut Store| {
                // Both at once, for whoever looks.
                if second.is_multiple_of(8) {
                    put(store, &other);
                    put(store, &critical);
                }
            };
            assert_eq!(found_at(100, comes_back), None);
        }
    }
}
