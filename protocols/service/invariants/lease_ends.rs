//! A lease that nobody keeps alive goes.

use super::super::{Peer, Settings};
use super::{Led, Mark, Property};
use crate::kv::{LeaseId, Store};
use splitbrain_core::{Cluster, Node, NodeId, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A lease that no client holds any more goes within its time to live, and some allowance, of time in which a leader could
/// have ended it (etcd #13294, #17132: with every change of leader it had its whole time to live again, and lived for ever).
///
/// Only time in which some running server decides on leases counts. The allowance: as much again for clocks that drift and
/// commits that are slow, what [`Settings::lease_checkpoint_ms`] says and an election timeout for each change of leader, and a
/// few seconds.
#[derive(Debug)]
pub struct LeaseEnds {
    allowance: Duration,
    per_change: Duration,
    led: Led,
    /// Of every lease that some server has and nobody holds: when it was last held or first seen.
    unheld: BTreeMap<LeaseId, Mark>,
    /// Which leases each client holds, and all that some client holds.
    held: BTreeMap<NodeId, Vec<LeaseId>>,
    all_held: BTreeSet<LeaseId>,
    /// When the leases were last looked at: [`LOOK_EVERY`], as there may be many.
    looked_at: Option<Time>,
}

/// Short beside the allowance.
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl LeaseEnds {
    /// With a leader as patient as the settings say.
    pub fn new(settings: &Settings) -> LeaseEnds {
        let ms = Duration::from_millis;
        LeaseEnds {
            allowance: ms(5_000),
            per_change: ms(settings.lease_checkpoint_ms + 2 * settings.raft.election_ms_max),
            led: Led::default(),
            unheld: BTreeMap::new(),
            held: BTreeMap::new(),
            all_held: BTreeSet::new(),
            looked_at: None,
        }
    }

    fn holds(&mut self, client: NodeId, leases: Vec<LeaseId>) {
        let before = self.held.entry(client).or_default();
        if *before == leases {
            return;
        }
        // A lease has one holder: it is made by whoever holds it.
        for lease in &*before {
            self.all_held.remove(lease);
        }
        for lease in &leases {
            self.unheld.remove(lease);
            self.all_held.insert(*lease);
        }
        *before = leases;
    }

    fn check_store(&mut self, store: &Store) -> Result<(), String> {
        let mark = self.led.mark();
        self.unheld.retain(|id, _| store.lease(*id).is_some());
        for (id, lease) in store.leases() {
            if self.all_held.contains(&id) {
                self.unheld.remove(&id);
                continue;
            }
            let led = self.led.since(*self.unheld.entry(id).or_insert(mark));
            let changes = led.changes;
            let ttl = Duration::from_millis(lease.ttl_ms());
            let limit = 2 * ttl + self.allowance + changes * self.per_change;
            if led.time > limit {
                return Err(format!(
                    "lease {id} of {}ms is still there, though nobody has kept it alive for {}ms in which it could have ended, \
                     {changes} changes of leader included",
                    lease.ttl_ms(),
                    led.time.as_millis()
                ));
            }
        }
        Ok(())
    }
}

impl Property for LeaseEnds {
    fn property(&self) -> &'static str {
        "lease-ends"
    }

    fn check<N: Node>(
        &mut self,
        cluster: Cluster<'_, N>,
        touched: NodeId,
        part: fn(&N) -> Option<&Peer>,
    ) -> Result<(), String> {
        let peer = cluster.node(touched).and_then(part);
        self.led
            .observe(cluster, touched, peer.and_then(Peer::server));
        match peer {
            Some(Peer::Client(client)) => {
                self.holds(touched, client.held().map(|(id, _)| id).collect());
            }
            Some(Peer::Server(_)) => {}
            None => self.holds(touched, Vec::new()),
        }
        let is_due = self
            .looked_at
            .is_none_or(|last| last + LOOK_EVERY <= cluster.now);
        match peer {
            Some(Peer::Server(server)) if is_due && self.led.is_by(touched) => {
                self.looked_at = Some(cluster.now);
                self.check_store(server.store())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::Op;

    fn lease() -> LeaseId {
        LeaseId::new(7).unwrap()
    }

    #[test]
    fn a_lease_that_nobody_holds_does_not_live_for_ever() {
        let (server, client) = (NodeId::from_index(0), NodeId::from_index(3));
        let at = Time::from_secs;
        let mut store = Store::new();
        store.apply(&Op::LeaseGrant {
            lease: Some(lease()),
            ttl_ms: 3_000,
        });
        let mut property = LeaseEnds::new(&Settings::default());
        property.led.decides(Some((1, server)));
        property.holds(client, vec![lease()]);
        property.led.goes_on(at(100));
        assert_eq!(property.check_store(&store), Ok(()));
        property.holds(client, vec![]);
        assert_eq!(property.check_store(&store), Ok(()));
        // Twice three seconds, and five.
        property.led.goes_on(at(111));
        assert_eq!(property.check_store(&store), Ok(()));
        // Nobody could have ended it, and then somebody begins anew.
        property.led.decides(None);
        property.led.goes_on(at(200));
        property.led.decides(Some((2, server)));
        property.led.goes_on(at(203));
        assert_eq!(property.check_store(&store), Ok(()));
        property.led.goes_on(at(207));
        assert_eq!(
            property.check_store(&store).unwrap_err(),
            "lease l7 of 3000ms is still there, though nobody has kept it alive for 18000ms in which it could have ended, \
             2 changes of leader included"
        );
        store.apply(&Op::LeaseRevoke { lease: lease() });
        assert_eq!(property.check_store(&store), Ok(()));
    }
}
