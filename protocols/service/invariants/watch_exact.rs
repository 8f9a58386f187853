//! A watch is told of every change once, in order, whole revisions at a time.

use super::super::{Delivery, Peer};
use super::Property;
use super::history_equal::Committed;
use crate::kv::Revision;
use crate::kv::watch::{Event, WatchId};
use splitbrain_core::{Cluster, Node, NodeId};
use std::collections::BTreeMap;

/// What a client is told of the changes after one revision and up to another is what was committed there, no more and no less,
/// and goes on where the last one ended. That is all of what etcd promises of watches: *ordered*, *unique*, *reliable*,
/// *atomic* (nothing of a revision is left for later), *resumable* (whatever server it went on with) and *bookmarkable* (a
/// notification of progress speaks of what has been told).
///
/// A server does not go back with a watch, either (etcd #15271: it did when it had installed a snapshot). Our clients would not
/// notice, as they pass over what they have; others may trust the order of what they are sent.
#[derive(Debug, Default)]
pub struct WatchExact {
    committed: Committed,
    /// Where each server was when it was last looked at.
    seen: BTreeMap<NodeId, Revision>,
    /// How many deliveries of each client have been checked.
    checked: BTreeMap<NodeId, u64>,
    /// How far each client was told of each of its watches.
    told: BTreeMap<NodeId, BTreeMap<u64, Revision>>,
    /// Where each server was with each of its watches, by ascending name.
    positions: BTreeMap<NodeId, Vec<(WatchId, Revision)>>,
}

impl WatchExact {
    fn check_positions(
        &mut self,
        server: NodeId,
        positions: impl Iterator<Item = (WatchId, Revision)>,
    ) -> Result<(), String> {
        let last = self.positions.entry(server).or_default();
        let mut nth = 0;
        for (watch, position) in positions {
            // Those that have ended.
            while last.get(nth).is_some_and(|(known, _)| *known < watch) {
                last.remove(nth);
            }
            match last.get_mut(nth) {
                Some((known, before)) if *known == watch => {
                    if position < *before {
                        return Err(format!(
                            "{server} went back from {before} to {position} with a watch (ordered)"
                        ));
                    }
                    *before = position;
                }
                _ => last.insert(nth, (watch, position)),
            }
            nth += 1;
        }
        last.truncate(nth);
        Ok(())
    }

    /// Each goes on where the one before ended, and nobody is refused what is there for him.
    fn check_order(&mut self, client: NodeId, delivery: &Delivery) -> Result<(), String> {
        let Delivery {
            watch, keys, after, ..
        } = delivery;
        let watches = self.told.entry(client).or_default();
        if let Some(gone) = delivery.compacted {
            watches.remove(watch);
            if *after >= gone {
                return Err(format!(
                    "{client} has all changes to {keys} up to {after}, and was told that those up to {gone} are gone (resumable)"
                ));
            }
            return Ok(());
        }
        match watches.insert(*watch, delivery.through) {
            Some(before) if before != *after => Err(format!(
                "{client} was told of {keys} up to {before}, and then after {after} (resumable)"
            )),
            _ => Ok(()),
        }
    }

    fn check_delivery(&mut self, client: NodeId, delivery: &Delivery) -> Result<(), String> {
        self.check_order(client, delivery)?;
        let Delivery {
            keys,
            after,
            through,
            events,
            ..
        } = delivery;
        let told = format!("{client} was told of {keys} after {after} up to {through}");
        let end = self.committed.end();
        // A client may ask for what comes after a revision that is yet to come: told that it is still there, it was told nothing.
        if *through > end.max(*after) {
            return Err(format!(
                "{told}, but no server is further than {end} (bookmarkable)"
            ));
        }
        let Some(committed) = self.committed.between(*after, *through, keys) else {
            return Ok(());
        };
        let mut committed = committed.peekable();
        let mut last: Option<&Event> = None;
        for event in events {
            if committed
                .next_if(|change| Event::of(change, false) == **event)
                .is_some()
            {
                last = Some(event);
                continue;
            }
            let what = format!(
                "{} at {}",
                event.key_value.key, event.key_value.mod_revision
            );
            let guarantee = match last {
                Some(last) if *last == **event => "unique",
                Some(last) if last.key_value.mod_revision > event.key_value.mod_revision => {
                    "ordered"
                }
                _ if event.key_value.mod_revision <= *after => "unique",
                _ => match committed.peek() {
                    Some(missed) => {
                        let missed = format!("{} at {}", missed.key(), missed.revision());
                        return Err(format!(
                            "{told}: {what} came, and {missed} did not (reliable)"
                        ));
                    }
                    None => "no such change was committed",
                },
            };
            return Err(format!("{told}: {what} ({guarantee})"));
        }
        match committed.next() {
            Some(missed) => {
                let same =
                    last.is_some_and(|last| last.key_value.mod_revision == missed.revision());
                let guarantee = if same { "atomic" } else { "reliable" };
                Err(format!(
                    "{told}: {} at {} is missing ({guarantee})",
                    missed.key(),
                    missed.revision()
                ))
            }
            None => Ok(()),
        }
    }
}

impl Property for WatchExact {
    fn property(&self) -> &'static str {
        "watch"
    }

    fn check<N: Node>(
        &mut self,
        cluster: Cluster<'_, N>,
        touched: NodeId,
        part: fn(&N) -> Option<&Peer>,
    ) -> Result<(), String> {
        match cluster.node(touched).and_then(part) {
            Some(Peer::Server(server)) => {
                let store = server.store();
                let before = self.seen.insert(touched, store.revision());
                // That servers differ is for another property to say.
                let _ = self
                    .committed
                    .learn(touched, before.unwrap_or_default(), store);
                self.check_positions(touched, server.watch_positions())
            }
            Some(Peer::Client(client)) => {
                let (count, deliveries) = client.delivered();
                let checked = self.checked.insert(touched, count).unwrap_or_default();
                if count == checked {
                    return Ok(());
                }
                deliveries
                    .iter()
                    .try_for_each(|delivery| self.check_delivery(touched, delivery))
            }
            None => {
                self.seen.remove(&touched);
                self.checked.remove(&touched);
                self.told.remove(&touched);
                self.positions.remove(&touched);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::history_equal::tests::store;
    use super::*;
    use crate::kv::{Change, KeyRange, Op, Transaction};
    use std::sync::Arc;

    /// At revision 2 x, at 3 y, at 4 both x and y.
    fn property() -> (WatchExact, Vec<Change>) {
        let mut store = store(&[("x", "1"), ("y", "2")]);
        let both = Transaction {
            then: vec![Op::put("x", "3"), Op::put("y", "4")],
            ..Transaction::default()
        };
        store.apply(&Op::Transaction(Arc::new(both)));
        let mut property = WatchExact::default();
        let server = NodeId::from_index(0);
        property
            .committed
            .learn(server, Revision::ZERO, &store)
            .unwrap();
        let changes = store.changes_since(Revision::FIRST.next());
        let changes = changes.unwrap().cloned().collect();
        (property, changes)
    }

    fn told(after: u64, through: u64, events: &[&Change]) -> Result<(), String> {
        let delivery = delivery(after, through, events);
        property()
            .0
            .check_delivery(NodeId::from_index(4), &delivery)
    }

    fn delivery(after: u64, through: u64, events: &[&Change]) -> Delivery {
        Delivery {
            watch: 7,
            keys: Arc::new(KeyRange::all()),
            after: Revision(after),
            through: Revision(through),
            events: events
                .iter()
                .map(|change| Arc::new(Event::of(change, false)))
                .collect(),
            compacted: None,
        }
    }

    #[test]
    fn a_watch_goes_on_where_it_was() {
        let (mut property, changes) = property();
        let client = NodeId::from_index(4);
        let [a, b, ..] = &changes[..] else {
            panic!("{changes:?}")
        };
        let mut told = |delivery: &Delivery| property.check_delivery(client, delivery);
        assert_eq!(told(&delivery(1, 2, &[a])), Ok(()));
        assert_eq!(told(&delivery(2, 3, &[b])), Ok(()));
        let again = told(&delivery(2, 3, &[b])).unwrap_err();
        assert!(
            again.ends_with("up to 3, and then after 2 (resumable)"),
            "{again}"
        );
        let refused = |after, gone| Delivery {
            compacted: Some(Revision(gone)),
            ..delivery(after, after, &[])
        };
        assert_eq!(told(&refused(3, 4)), Ok(()));
        let has = told(&refused(3, 3)).unwrap_err();
        assert!(has.ends_with("those up to 3 are gone (resumable)"), "{has}");
        // Another watch begins where it likes.
        let other = Delivery {
            watch: 8,
            ..delivery(1, 2, &[a])
        };
        assert_eq!(told(&other), Ok(()));
    }

    #[test]
    fn a_watch_that_goes_back_is_found() {
        use crate::kv::Store;
        use crate::kv::watch::{Hub, Watch};
        let (server, store) = (NodeId::from_index(0), Store::new());
        let mut hub = Hub::new();
        let [a, b] = [(); 2].map(|()| hub.watch(&store, Watch::of(KeyRange::all())));
        let (mut property, _) = property();
        let mut at = |positions: &[(WatchId, u64)]| {
            let positions = positions.iter().map(|(id, at)| (*id, Revision(*at)));
            property.check_positions(server, positions)
        };
        assert_eq!(at(&[(a, 3), (b, 7)]), Ok(()));
        assert_eq!(at(&[(a, 5), (b, 7)]), Ok(()));
        let back = at(&[(a, 4), (b, 9)]).unwrap_err();
        assert_eq!(back, "n1 went back from 5 to 4 with a watch (ordered)");
        // It has ended, and another one of that name is another one.
        assert_eq!(at(&[(b, 9)]), Ok(()));
        assert_eq!(at(&[(a, 4), (b, 9)]), Ok(()));
    }

    #[test]
    fn whatever_is_not_as_committed_is_named() {
        let (_, changes) = property();
        let [a, b, c, d] = &changes[..] else {
            panic!("{changes:?}")
        };
        assert_eq!(told(1, 4, &[a, b, c, d]), Ok(()));
        assert_eq!(told(2, 3, &[b]), Ok(()));
        assert_eq!(told(4, 4, &[]), Ok(()));
        // Of a revision to come, nothing but that one waits for it.
        assert_eq!(told(9, 9, &[]), Ok(()));
        for (after, through, events, guarantee) in [
            (
                1,
                5,
                vec![a, b, c, d],
                "no server is further than 4 (bookmarkable)",
            ),
            (9, 10, vec![], "no server is further than 4 (bookmarkable)"),
            (9, 9, vec![a], "x at 2 (unique)"),
            (1, 3, vec![b], "y at 3 came, and x at 2 did not (reliable)"),
            (1, 3, vec![a], "y at 3 is missing (reliable)"),
            (1, 4, vec![a, b, c], "y at 4 is missing (atomic)"),
            (1, 3, vec![a, a, b], "x at 2 (unique)"),
            (2, 3, vec![a, b], "x at 2 (unique)"),
            (
                1,
                4,
                vec![a, b, d, c],
                "y at 4 came, and x at 4 did not (reliable)",
            ),
            (1, 4, vec![a, b, c, a, d], "x at 2 (ordered)"),
            (1, 2, vec![a, b], "y at 3 (no such change was committed)"),
        ] {
            let error = told(after, through, &events).unwrap_err();
            assert!(error.ends_with(guarantee), "{error}");
        }
    }
}
