//! Who has deregistered does not come back.

use super::super::{Peer, Phase};
use crate::kv::{Key, Revision, Store};
use splitbrain_core::{Cluster, Invariant, NodeId, Status, Violation};
use std::collections::BTreeMap;

/// An instance that has deregistered, and has not asked to be registered since, is in no store that has come so far: not by
/// an earlier registration that came late, and not by what the registry has found out of it meanwhile.
#[derive(Debug, Default)]
pub struct Gone {
    /// By node: its key, and since which revision it is gone.
    gone: BTreeMap<NodeId, (Key, Revision)>,
}

impl Gone {
    fn check(&self, server: NodeId, store: &Store) -> Result<(), String> {
        for (node, (key, since)) in &self.gone {
            if store.revision() >= *since && store.get(key).is_some() {
                return Err(format!(
                    "{server} is at revision {} and knows of {key}, but {node} has deregistered at {since}",
                    store.revision()
                ));
            }
        }
        Ok(())
    }
}

impl Invariant<Peer> for Gone {
    fn property(&self) -> &'static str {
        "gone"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        if cluster.status(touched) == Status::Down {
            // It begins anew, and so registers.
            self.gone.remove(&touched);
            return Ok(());
        }
        match cluster.node(touched) {
            Some(Peer::Instance(instance)) => {
                if let Phase::Deregistered { at } = instance.phase() {
                    self.gone.insert(touched, (instance.key().clone(), *at));
                } else {
                    self.gone.remove(&touched);
                }
                Ok(())
            }
            Some(Peer::Server(server)) => {
                let checked = self.check(touched, server.store());
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
    fn who_has_deregistered_may_be_known_only_to_who_has_not_heard_of_it() {
        let (server, node) = (NodeId::from_index(0), NodeId::from_index(3));
        let key: Key = "/services/web/n4".into();
        let mut property = Gone::default();
        property.gone.insert(node, (key.clone(), Revision(3)));
        let mut store = Store::new();
        store.apply(&Op::put(key.clone(), "x"));
        assert_eq!(property.check(server, &store), Ok(()), "it is behind");
        store.apply(&Op::Delete { key: key.clone() });
        assert_eq!(property.check(server, &store), Ok(()));
        store.apply(&Op::put(key, "x"));
        assert_eq!(
            property.check(server, &store).unwrap_err(),
            "n1 is at revision 4 and knows of /services/web/n4, but n4 has deregistered at 3"
        );
    }
}
