//! Who is out of service on purpose stays so.

use super::super::{Peer, status_of};
use crate::discovery::Instance;
use crate::discovery::health::Status;
use crate::kv::{Key, Revision, Store};
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};
use std::collections::BTreeMap;

/// An instance that has registered as in maintenance, and is to stay so, is so in every store that has come so far:
/// whatever the registry finds out by asking it (Consul: maintenance mode is a check of its own that only the agent ends).
#[derive(Debug, Default)]
pub struct Maintained {
    /// By node: its key, and since which revision it is in maintenance.
    since: BTreeMap<NodeId, (Key, Revision)>,
}

impl Maintained {
    fn check(&self, server: NodeId, store: &Store) -> Result<(), String> {
        for (node, (key, since)) in &self.since {
            let value = store.get(key).filter(|_| store.revision() >= *since);
            let Some(found) = value.and_then(|value| Instance::decode(key, value).ok()) else {
                continue;
            };
            let status = status_of(&found);
            if status != Status::Maintenance {
                return Err(format!(
                    "{server} is at revision {} and has {key} as {status}, but {node} is in maintenance since {since}",
                    store.revision()
                ));
            }
        }
        Ok(())
    }
}

impl Invariant<Peer> for Maintained {
    fn property(&self) -> &'static str {
        "maintained"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        match cluster.node(touched) {
            Some(Peer::Instance(instance)) => {
                self.since.remove(&touched);
                if let Some(since) = instance.in_maintenance() {
                    self.since.insert(touched, (instance.key().clone(), since));
                }
                Ok(())
            }
            Some(Peer::Server(server)) => {
                let checked = self.check(touched, server.store());
                checked.or_else(|what| self.violated(what))
            }
            Some(_) => Ok(()),
            None => {
                self.since.remove(&touched);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::entry::{address_of, with_status};
    use super::*;
    use crate::kv::Op;

    fn instance(status: Status) -> Instance {
        let node = NodeId::from_index(3);
        let instance = Instance::new("web", "web-n4", address_of(node), 80).unwrap();
        with_status(&instance, status).unwrap()
    }

    fn store(status: Status) -> Store {
        let mut store = Store::new();
        let instance = instance(status);
        store.apply(&Op::put(instance.key(), instance.encode()));
        store
    }

    #[test]
    fn who_is_in_maintenance_stays_so() {
        let (server, node) = (NodeId::from_index(0), NodeId::from_index(3));
        let key = instance(Status::Passing).key();
        let mut property = Maintained::default();
        property.since.insert(node, (key, Revision(2)));
        assert_eq!(
            property.check(server, &Store::new()),
            Ok(()),
            "it is behind"
        );
        assert_eq!(property.check(server, &store(Status::Maintenance)), Ok(()));
        let passing = property.check(server, &store(Status::Passing));
        assert_eq!(
            passing.unwrap_err(),
            "n1 is at revision 2 and has /services/web/web-n4 as passing, but n4 is in maintenance since 2"
        );
    }
}
