//! Who may rely on a place is in the line, for everybody to see.

use super::super::{Peer, Settings};
use super::relied_on;
use crate::kv::{self, Key, Revision, Store};
use crate::service::invariants::Clocks;
use splitbrain_core::{Cluster, Invariant, NodeId, Status, Time, Violation};
use std::collections::BTreeMap;

/// As long as a client relies on a place, its key is in the store of every server that has come to where it was created: whoever
/// reads the line, a group or who leads, finds it.
#[derive(Debug)]
pub struct PlaceListed {
    clock_drift_ppm_max: u64,
    clocks: Clocks,
    /// Who relies on which key: its token, and until when at least.
    relied_on: BTreeMap<(NodeId, Key), (Revision, Time)>,
}

impl PlaceListed {
    /// With clocks as the settings say.
    pub fn new(settings: &Settings) -> PlaceListed {
        PlaceListed {
            clock_drift_ppm_max: settings.service.raft.clock_drift_ppm_max,
            clocks: Clocks::default(),
            relied_on: BTreeMap::new(),
        }
    }

    fn check_store(&self, server: NodeId, store: &Store, now: Time) -> Result<(), String> {
        for ((client, key), (token, until)) in &self.relied_on {
            if *until <= now || store.revision() < *token {
                continue;
            }
            let get = kv::Op::Get { key: key.clone() };
            if store.read(&get) == kv::Ret::Value(None) {
                let left = until.since(now).as_millis();
                return Err(format!(
                    "{server} has no {key} any more, on which {client} relies for {left}ms more"
                ));
            }
        }
        Ok(())
    }
}

impl Invariant<Peer> for PlaceListed {
    fn property(&self) -> &'static str {
        "place-listed"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        let node = cluster.node(touched);
        if let Some(client) = node.and_then(Peer::client) {
            self.relied_on.retain(|(holder, _), _| *holder != touched);
            let seen_at = self.clocks.seen_at(touched, client.clock(), cluster.now);
            for place in client.places().values() {
                if let Some(until) = client.relies_until(place) {
                    let (shown, ppm) = (client.clock(), self.clock_drift_ppm_max);
                    let until = relied_on(until, shown, seen_at, ppm);
                    let key = (touched, place.own.clone());
                    self.relied_on.insert(key, (place.token, until));
                }
            }
            return Ok(());
        }
        if cluster.status(touched) == Status::Down {
            self.relied_on.retain(|(holder, _), _| *holder != touched);
        }
        if self.relied_on.is_empty() {
            return Ok(());
        }
        let service = node.and_then(Peer::service);
        let Some(server) = service.and_then(|service| service.server()) else {
            return Ok(());
        };
        let checked = self.check_store(touched, server.store(), cluster.now);
        checked.or_else(|what| self.violated(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_is_not_listed_is_found_while_it_relies_on_it() {
        let mut property = PlaceListed::new(&Settings::default());
        let (server, client) = (NodeId::from_index(0), NodeId::from_index(3));
        let key: Key = "group/a/m-7".into();
        let until = Time::from_millis(1_000);
        property
            .relied_on
            .insert((client, key.clone()), (Revision(2), until));
        let check = |store: &Store, now| {
            let now = Time::from_millis(now);
            property.check_store(server, store, now)
        };
        let mut store = Store::new();
        // It has not come so far.
        assert_eq!(check(&store, 500), Ok(()));
        store.apply(&kv::Op::put(key.clone(), "7"));
        assert_eq!(check(&store, 500), Ok(()));
        store.apply(&kv::Op::Delete { key });
        assert_eq!(
            check(&store, 900).unwrap_err(),
            "n1 has no group/a/m-7 any more, on which n4 relies for 100ms more"
        );
        assert_eq!(check(&store, 1_000), Ok(()));
    }
}
