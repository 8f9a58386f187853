//! Who keeps its lease is found.

use super::super::{Peer, Phase, Settings};
use crate::kv::{Key, Revision, Store};
use crate::service::invariants::shortest;
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
    /// By node: its key, since which revision it is there, and until when at least, in true time.
    there: BTreeMap<NodeId, (Key, Revision, Time)>,
    /// How often that has changed, and at which of these each server was last looked at, and at which revision. Time alone makes
    /// nothing worse.
    changes: u64,
    looked_at: BTreeMap<NodeId, (u64, Revision)>,
}

impl Registered {
    /// With clocks as the settings say.
    pub fn new(settings: &Settings) -> Registered {
        Registered {
            clock_drift_ppm_max: settings.service.raft.clock_drift_ppm_max,
            there: BTreeMap::new(),
            changes: 0,
            looked_at: BTreeMap::new(),
        }
    }

    fn check(&self, server: NodeId, store: &Store, now: Time) -> Result<(), String> {
        for (node, (key, since, until)) in &self.there {
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
                if let (Phase::Registered { at, .. }, Some((until, clock))) =
                    (instance.phase(), instance.assured())
                {
                    let until =
                        cluster.now + shortest(until.since(clock), self.clock_drift_ppm_max);
                    let there = (instance.key().clone(), *at, until);
                    self.there.insert(touched, there);
                }
                self.changes += u64::from(before.as_ref() != self.there.get(&touched));
                Ok(())
            }
            Some(Peer::Server(server)) => {
                let now_at = (self.changes, server.store().revision());
                if self.looked_at.insert(touched, now_at) == Some(now_at) {
                    return Ok(());
                }
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
}
