//! All servers go through the same states.

use super::super::Peer;
use super::Property;
use crate::kv::{Change, KeyRange, Revision, Store};
use splitbrain_core::{Cluster, Node, NodeId};
use std::collections::BTreeMap;

/// Every change that was ever seen to be committed, as far back as some server could tell.
#[derive(Debug, Default)]
pub struct Committed {
    /// By revision: all changes from `begin` on, up to `end`.
    changes: BTreeMap<Revision, Vec<Change>>,
    /// Nothing is known of this revision and those before it.
    begin: Revision,
    /// The latest that is known.
    end: Revision,
    /// Where each server had compacted its store when it was last looked at, those included that are down: they come back with it.
    compacted: BTreeMap<NodeId, Revision>,
}

/// So many revisions at least are forgotten at a time.
const FORGOTTEN_MIN: u64 = 1_000;

impl Committed {
    /// The latest revision that any server has shown.
    pub fn end(&self) -> Revision {
        self.end
    }

    /// The changes to some keys after one revision and up to another; nothing, if those are not all known.
    pub fn between(
        &self,
        after: Revision,
        through: Revision,
        keys: &KeyRange,
    ) -> Option<impl Iterator<Item = &Change>> {
        let known = after >= self.begin && through <= self.end.max(after) && after <= through;
        let range = known.then(|| self.changes.range(after.next()..through.next()))?;
        let changes = range.flat_map(|(_, changes)| changes);
        Some(changes.filter(|change| keys.contains(change.key())))
    }

    /// What a server shows of its store, which it was seen with at `before`: what is new is learnt, and the rest compared.
    ///
    /// # Errors
    /// The first revision at which it is not what another server has shown.
    pub fn learn(
        &mut self,
        server: NodeId,
        before: Revision,
        store: &Store,
    ) -> Result<(), Revision> {
        let revision = store.revision();
        if revision <= before {
            return Ok(());
        }
        self.forget(server, store.compacted());
        // A server that has installed a snapshot cannot tell what it skipped.
        let from = before.max(store.compacted());
        if from > self.end {
            self.changes.clear();
            (self.begin, self.end) = (from, from);
        }
        let Ok(changes) = store.changes_since(from.next()) else {
            return Ok(());
        };
        let mut shown: BTreeMap<Revision, Vec<Change>> = BTreeMap::new();
        for change in changes {
            shown
                .entry(change.revision())
                .or_default()
                .push(change.clone());
        }
        let known = self.end.min(revision);
        let mut at = from.max(self.begin).next();
        while at <= known {
            if shown.get(&at) != self.changes.get(&at) {
                return Err(at);
            }
            at = at.next();
        }
        if revision > self.end {
            self.changes.extend(shown.split_off(&self.end.next()));
            self.end = revision;
        }
        Ok(())
    }

    /// A run of any length takes as much room as its stores do: what all servers have compacted is forgotten, but for as much again,
    /// of which clients may still have to be told what they got before.
    fn forget(&mut self, server: NodeId, compacted: Revision) {
        if self.compacted.insert(server, compacted) == Some(compacted) {
            return;
        }
        let Some(Revision(all)) = self.compacted.values().min().copied() else {
            return;
        };
        let horizon = all.saturating_sub(self.end.0.saturating_sub(all));
        if self.begin.0 + FORGOTTEN_MIN <= horizon {
            self.begin = Revision(horizon);
            self.changes = self.changes.split_off(&self.begin.next());
        }
    }
}

/// Servers at the same revision have made the same changes (etcd #13766: one that lost what it had applied went on without
/// it, and was never like the others again; ZOOKEEPER-2846).
#[derive(Debug, Default)]
pub struct HistoryEqual {
    committed: Committed,
    /// Where each server was when it was last looked at.
    seen: BTreeMap<NodeId, Revision>,
}

impl HistoryEqual {
    fn check_store(&mut self, server: NodeId, store: &Store) -> Result<(), String> {
        let before = self
            .seen
            .insert(server, store.revision())
            .unwrap_or_default();
        self.committed
            .learn(server, before, store)
            .map_err(|revision| {
                format!(
                    "{server} has made other changes at revision {revision} than another server has"
                )
            })
    }
}

impl Property for HistoryEqual {
    fn property(&self) -> &'static str {
        "history-equal"
    }

    fn check<N: Node>(
        &mut self,
        cluster: Cluster<'_, N>,
        touched: NodeId,
        part: fn(&N) -> Option<&Peer>,
    ) -> Result<(), String> {
        match cluster.node(touched).and_then(part) {
            Some(Peer::Server(server)) => self.check_store(touched, server.store()),
            Some(Peer::Client(_)) => Ok(()),
            None => {
                // It begins anew with what it has on its disk.
                self.seen.remove(&touched);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::kv::Op;

    /// A store after these puts, one revision each.
    pub(in super::super) fn store(puts: &[(&'static str, &'static str)]) -> Store {
        let mut store = Store::keeping(99);
        for (key, value) in puts {
            store.apply(&Op::put(*key, *value));
        }
        store
    }

    #[test]
    fn servers_that_part_are_found_at_the_revision_at_which_they_part() {
        let mut property = HistoryEqual::default();
        let [a, b, c] = [0, 1, 2].map(NodeId::from_index);
        assert_eq!(
            property.check_store(a, &store(&[("x", "1"), ("y", "2")])),
            Ok(())
        );
        assert_eq!(property.check_store(b, &store(&[("x", "1")])), Ok(()));
        assert_eq!(
            property.check_store(b, &store(&[("x", "1"), ("y", "2"), ("x", "3")])),
            Ok(())
        );
        assert_eq!(
            property
                .check_store(a, &store(&[("x", "1"), ("y", "2"), ("x", "4")]))
                .unwrap_err(),
            "n1 has made other changes at revision 4 than another server has"
        );
        assert_eq!(
            property.check_store(c, &store(&[("y", "1")])).unwrap_err(),
            "n3 has made other changes at revision 2 than another server has"
        );
    }

    #[test]
    fn what_was_compacted_is_not_compared() {
        let mut committed = Committed::default();
        let mut compacted = store(&[("x", "1"), ("x", "2"), ("y", "3")]);
        compacted.apply(&Op::Compact {
            revision: Revision(3),
        });
        assert_eq!(
            committed.learn(NodeId::from_index(0), Revision::ZERO, &compacted),
            Ok(())
        );
        let keys = KeyRange::all();
        assert!(committed.between(Revision(2), Revision(4), &keys).is_none());
        let changes = committed.between(Revision(3), Revision(4), &keys).unwrap();
        assert_eq!(
            changes.map(|change| &**change.key()).collect::<Vec<_>>(),
            ["y"]
        );
        assert!(committed.between(Revision(3), Revision(5), &keys).is_none());
        let none = KeyRange::Key("x".into());
        assert_eq!(
            committed
                .between(Revision(3), Revision(4), &none)
                .unwrap()
                .count(),
            0
        );
    }

    #[test]
    fn what_all_servers_have_compacted_is_forgotten() {
        let mut property = HistoryEqual::default();
        let [a, b] = [0, 1].map(NodeId::from_index);
        let mut stores = [Store::keeping(10), Store::keeping(10)];
        let mut put = |property: &mut HistoryEqual, nth: usize, times: u64| {
            for _ in 0..times {
                let value = stores[nth].revision().to_string();
                stores[nth].apply(&Op::put("x", value));
                property.check_store([a, b][nth], &stores[nth]).unwrap();
            }
            property.committed.changes.len()
        };
        // The other one may still show all of it.
        put(&mut property, 1, 1);
        assert_eq!(put(&mut property, 0, 5_000), 5_000);
        put(&mut property, 1, 4_999);
        for _ in 0..5 {
            put(&mut property, 0, 5_000);
            put(&mut property, 1, 5_000);
        }
        let most = FORGOTTEN_MIN as usize + 100;
        assert!(property.committed.changes.len() < 5_000 + most);
        // And yet what differs now is found.
        stores[0].apply(&Op::put("y", "1"));
        property.check_store(a, &stores[0]).unwrap();
        stores[1].apply(&Op::put("y", "2"));
        assert!(property.check_store(b, &stores[1]).is_err());
    }
}
