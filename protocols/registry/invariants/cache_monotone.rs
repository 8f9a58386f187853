//! No cache goes back.

use super::super::Peer;
use crate::discovery::Label;
use crate::discovery::cache::Cache;
use splitbrain_core::{Cluster, Invariant, NodeId, Status, Violation};
use std::collections::BTreeMap;

/// What a client knows of a service is never as of an older revision than before, as long as the client runs: whoever has
/// once seen that an instance is gone does not see it again (ZooKeeper #1154 and its kin: time going back with the
/// next server).
#[derive(Debug, Default)]
pub struct CacheMonotone {
    /// Of each node, by ascending service: the revision that it was last known at.
    known: BTreeMap<NodeId, Vec<(Label, u64)>>,
}

impl CacheMonotone {
    fn check(&mut self, node: NodeId, cache: &Cache) -> Result<(), String> {
        let known = self.known.entry(node).or_default();
        // Both are in order, so that nothing has to be searched for.
        let mut nth = 0;
        for (service, revision) in cache.services() {
            // What is forgotten must not come back older, either.
            while known.get(nth).is_some_and(|(before, _)| before < service) {
                nth += 1;
            }
            match known.get_mut(nth) {
                Some((same, before)) if same == service => {
                    if revision < *before {
                        return Err(format!(
                            "{node} knows {service} as of revision {revision}, but knew it as of {before}"
                        ));
                    }
                    *before = revision;
                }
                _ => known.insert(nth, (service.clone(), revision)),
            }
            nth += 1;
        }
        Ok(())
    }
}

impl Invariant<Peer> for CacheMonotone {
    fn property(&self) -> &'static str {
        "cache-monotone"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        if cluster.status(touched) == Status::Down {
            self.known.remove(&touched);
            return Ok(());
        }
        match cluster.node(touched).and_then(Peer::engine) {
            Some(engine) => {
                let checked = self.check(touched, engine.cache());
                checked.or_else(|what| self.violated(what))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::cache::CacheSettings;
    use splitbrain_core::Time;

    #[test]
    fn a_cache_that_goes_back_is_found() {
        let node = NodeId::from_index(4);
        let web = Label::new("web").unwrap();
        let at = |revision| {
            let mut cache = Cache::new(CacheSettings::default());
            cache.looked_up(&web, revision, [], Time::ZERO);
            cache
        };
        let mut property = CacheMonotone::default();
        assert_eq!(property.check(node, &at(3)), Ok(()));
        assert_eq!(property.check(node, &at(5)), Ok(()));
        let mut other = Cache::new(CacheSettings::default());
        other.looked_up(&Label::new("db").unwrap(), 1, [], Time::ZERO);
        other.looked_up(&Label::new("zoo").unwrap(), 1, [], Time::ZERO);
        assert_eq!(property.check(node, &other), Ok(()), "one is forgotten");
        assert_eq!(
            property.check(node, &at(4)).unwrap_err(),
            "n5 knows web as of revision 4, but knew it as of 5"
        );
    }
}
