//! Who keeps its lease is found.

use super::super::{Peer, Phase, Settings};
use crate::kv::{Key, Revision, Store};
use crate::service::invariants::{Changed, Clocks, shortest};
use splitbrain_core::{Cluster, Invariant, NodeId, Status, Time, Violation};
use std::collections::BTreeMap;

/// An instance that is registered, and may rely on its lease, is in the store of every server that has applied its
/// registration (the accuracy of Chandra and Toueg's failure detectors: nobody is suspected who is well).
///
/// An observer does not see a node's clock, only what it showed at its last event. The bound on drift says until when it
/// cannot have shown more.
#[derive(Debug)]
pub struct Registered {
    clock_drift_ppm_max: u64,
    clocks: Clocks,
    /// By node: its key, since which revision it is there, and until when at least, in true time.
    there: BTreeMap<NodeId, (Key, Revision, Time)>,
    changed: Changed,
    /// How often that had changed when each server was last looked at, and at which revision it was. Time alone makes nothing
    /// worse.
    looked_at: BTreeMap<NodeId, (u64, Revision)>,
}

impl Registered {
    /// With clocks as the settings say.
    pub fn new(settings: &Settings) -> Registered {
        Registered {
            clock_drift_ppm_max: settings.service.raft.clock_drift_ppm_max,
            clocks: Clocks::default(),
            there: BTreeMap::new(),
            changed: Changed::default(),
            looked_at: BTreeMap::new(),
        }
    }

    /// Until when, at least, in true time, a node relies on something that it relies on until then by its clock, which shows this.
    fn relied_on(&mut self, node: NodeId, (until, clock): (Time, Time), now: Time) -> Time {
        // When it is resumed after a pause, it has not looked at its clock yet.
        let seen_at = self.clocks.seen_at(node, clock, now);
        seen_at + shortest(until.since(clock), self.clock_drift_ppm_max)
    }

    /// Looks at what may be wrong now and was not when the server was last looked at: what has changed since, or all if something
    /// was removed. That the server had a registration when it came to it is `history-equal`.
    fn check(&mut self, server: NodeId, store: &Store, now: Time) -> Result<(), String> {
        let now_at = (self.changed.count(), store.revision());
        let nodes: Vec<NodeId> = match self.looked_at.insert(server, now_at) {
            Some((changes, revision)) if !may_have_removed(store, revision) => {
                self.changed.since(changes).collect()
            }
            _ => self.there.keys().copied().collect(),
        };
        for node in nodes {
            let Some((key, since, until)) = self.there.get(&node) else {
                continue;
            };
            if store.revision() >= *since && now < *until && store.get(key).is_none() {
                return Err(format!(
                    "{server} is at revision {} and does not know of {key}, which {node} has registered at {since} and holds a \
                     lease for",
                    store.revision()
                ));
            }
        }
        Ok(())
    }
}

/// Whether a key may have been removed since the store was at this revision.
fn may_have_removed(store: &Store, revision: Revision) -> bool {
    if store.revision() <= revision {
        // It has not moved, or the server has restarted.
        return store.revision() < revision;
    }
    let since = Revision(revision.0 + 1);
    let changes = store.changes_since(since);
    changes.map_or(true, |mut changes| changes.any(|change| !change.is_put()))
}

impl Invariant<Peer> for Registered {
    fn property(&self) -> &'static str {
        "registered"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        if cluster.status(touched) == Status::Down {
            self.there.remove(&touched);
            return Ok(());
        }
        match cluster.node(touched) {
            Some(Peer::Instance(instance)) => {
                let before = self.there.remove(&touched);
                if let (Phase::Registered { at, .. }, Some(assured)) =
                    (instance.phase(), instance.assured())
                {
                    let until = self.relied_on(touched, assured, cluster.now);
                    let there = (instance.key().clone(), *at, until);
                    self.there.insert(touched, there);
                }
                if before.as_ref() != self.there.get(&touched) {
                    self.changed.note(touched);
                }
                Ok(())
            }
            Some(Peer::Server(server)) => {
                let checked = self.check(touched, server.store(), cluster.now);
                checked.or_else(|what| self.violated(what))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::Op;

    #[test]
    fn who_holds_a_lease_must_be_known_to_who_has_heard_of_it() {
        let (server, node) = (NodeId::from_index(0), NodeId::from_index(3));
        let mut property = Registered::new(&Settings::default());
        let key: Key = "/services/web/n4".into();
        let until = Time::from_secs(5);
        property
            .there
            .insert(node, (key.clone(), Revision(2), until));
        let mut store = Store::new();
        let at = Time::from_secs(1);
        assert_eq!(property.check(server, &store, at), Ok(()), "not yet");
        store.apply(&Op::put(key.clone(), "x"));
        assert_eq!(property.check(server, &store, at), Ok(()));
        store.apply(&Op::Delete { key });
        let error = property.check(server, &store, at).unwrap_err();
        assert!(
            error.contains("does not know of /services/web/n4"),
            "{error}"
        );
        assert_eq!(property.check(server, &store, until), Ok(()));
    }

    #[test]
    fn who_is_resumed_relies_on_nothing_longer_than_before_its_pause() {
        let (node, at) = (NodeId::from_index(3), Time::from_millis);
        let mut property = Registered::new(&Settings::default());
        let assured = (at(1_400), at(400));
        let until = property.relied_on(node, assured, at(5_000));
        assert!(until > at(5_900) && until <= at(6_000), "{until}");
        // Its clock, and so everything that it has seen, is that of three seconds ago.
        assert_eq!(property.relied_on(node, assured, at(8_000)), until);
        let later = property.relied_on(node, (at(1_400), at(1_000)), at(8_000));
        assert!(later > at(8_300) && later <= at(8_400), "{later}");
    }
}
