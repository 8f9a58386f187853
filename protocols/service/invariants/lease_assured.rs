//! A lease is there as long as its holder may rely on it.

use super::super::{Peer, Settings};
use super::{Changed, Clocks, Property, shortest};
use crate::kv::{LeaseId, Store};
use splitbrain_core::{Cluster, Node, NodeId, Status, Time};
use std::collections::BTreeMap;
use std::time::Duration;

/// No server has ended a lease while its holder, by its own clock, may rely on it: what goes with the lease (a lock, an entry
/// in a registry) could be somebody else's already (etcd #15247; Gray and Cheriton, *Leases*, SOSP 1989).
///
/// An observer does not see a node's clock, only what it showed at its last event. The bound on drift says until when it
/// cannot have shown more.
#[derive(Debug)]
pub struct LeaseAssured {
    clock_drift_ppm_max: u64,
    clocks: Clocks,
    /// Who holds which lease, and until when, at least, in true time.
    held: BTreeMap<NodeId, Vec<(LeaseId, Time)>>,
    /// The renewals that had been agreed on when a lease was first seen: whoever has applied so many has granted it.
    granted: BTreeMap<LeaseId, u64>,
    changed: Changed,
    /// Each server when it was last looked at. Time alone makes nothing worse.
    looked_at: BTreeMap<NodeId, Look>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    /// How often what is held had changed.
    changes: u64,
    /// How many leases there were, and how many times one had been granted or renewed. If both are what they were, then none has
    /// ended: whatever had taken its place was granted.
    leases: (usize, u64),
}

impl LeaseAssured {
    /// With clocks as the settings say.
    pub fn new(settings: &Settings) -> LeaseAssured {
        LeaseAssured {
            clock_drift_ppm_max: settings.raft.clock_drift_ppm_max,
            clocks: Clocks::default(),
            held: BTreeMap::new(),
            granted: BTreeMap::new(),
            changed: Changed::default(),
            looked_at: BTreeMap::new(),
        }
    }

    /// The client holds these leases, of which each may be relied on for so long by its clock.
    fn holds(
        &mut self,
        client: NodeId,
        leases: impl Iterator<Item = (LeaseId, Duration)>,
        now: Time,
    ) {
        let ppm = self.clock_drift_ppm_max;
        let now_held = leases.map(|(lease, left)| (lease, now + shortest(left, ppm)));
        let held = self.held.entry(client).or_default();
        let mut nth = 0;
        let mut is_same = true;
        for one in now_held {
            if held.get(nth) != Some(&one) {
                is_same = false;
                held.truncate(nth);
                held.push(one);
            }
            nth += 1;
        }
        is_same &= held.len() == nth;
        held.truncate(nth);
        if !is_same {
            self.changed.note(client);
        }
    }

    /// Looks at what may be wrong now and was not when the server was last looked at.
    fn check_store(&mut self, server: NodeId, store: &Store, now: Time) -> Result<(), String> {
        let look = Look {
            changes: self.changed.count(),
            leases: (store.leases().len(), store.lease_renewals()),
        };
        let clients: Vec<NodeId> = match self.looked_at.insert(server, look) {
            Some(last) if last.leases == look.leases => self.changed.since(last.changes).collect(),
            _ => self.held.keys().copied().collect(),
        };
        let mut clients = clients.into_iter();
        clients.try_for_each(|client| self.check_client(client, server, store, now))
    }

    fn check_client(
        &mut self,
        client: NodeId,
        server: NodeId,
        store: &Store,
        now: Time,
    ) -> Result<(), String> {
        for (lease, until) in self.held.get(&client).into_iter().flatten() {
            if let Some(found) = store.lease(*lease) {
                self.granted.entry(*lease).or_insert(found.renewals());
                continue;
            }
            let was_there = self
                .granted
                .get(lease)
                .is_some_and(|granted| *granted <= store.lease_renewals());
            if was_there && now < *until {
                let left = until.since(now).as_millis();
                return Err(format!(
                    "{server} has ended lease {lease}, on which {client} may rely for {left}ms more"
                ));
            }
        }
        Ok(())
    }
}

impl Property for LeaseAssured {
    fn property(&self) -> &'static str {
        "lease-assured"
    }

    fn check<N: Node>(
        &mut self,
        cluster: Cluster<'_, N>,
        touched: NodeId,
        part: fn(&N) -> Option<&Peer>,
    ) -> Result<(), String> {
        if cluster.status(touched) == Status::Down {
            self.held.remove(&touched);
            return Ok(());
        }
        match cluster.node(touched).and_then(part) {
            Some(Peer::Client(client)) => {
                let shown = client.clock();
                let leases = client.held().map(|(id, until)| (id, until.since(shown)));
                // Only an event of its own shows its clock.
                let seen_at = self.clocks.seen_at(touched, shown, cluster.now);
                self.holds(touched, leases, seen_at);
                Ok(())
            }
            Some(Peer::Server(server)) if !self.held.is_empty() => {
                self.check_store(touched, server.store(), cluster.now)
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

    fn granted() -> Store {
        let mut store = Store::new();
        store.apply(&Op::LeaseGrant {
            lease: Some(lease()),
            ttl_ms: 3_000,
        });
        store
    }

    fn ended() -> Store {
        let mut store = granted();
        store.apply(&Op::LeaseRevoke { lease: lease() });
        store
    }

    #[test]
    fn a_lease_may_not_end_while_its_holder_relies_on_it() {
        let (server, client) = (NodeId::from_index(0), NodeId::from_index(3));
        let at = Time::from_millis;
        let mut property = LeaseAssured::new(&Settings::default());
        property.clock_drift_ppm_max = 100_000;
        property.holds(
            client,
            [(lease(), Duration::from_millis(1_100))].into_iter(),
            at(500),
        );
        // Not granted yet.
        assert_eq!(property.check_store(server, &Store::new(), at(600)), Ok(()));
        assert_eq!(property.check_store(server, &granted(), at(600)), Ok(()));
        assert_eq!(
            property
                .check_store(server, &ended(), at(1_400))
                .unwrap_err(),
            "n1 has ended lease l7, on which n4 may rely for 100ms more"
        );
        // Its clock may show the end by now, if it is as fast as can be.
        assert_eq!(property.check_store(server, &ended(), at(1_500)), Ok(()));
        property.holds(client, [].into_iter(), at(700));
        assert_eq!(property.check_store(server, &ended(), at(800)), Ok(()));
    }
}
