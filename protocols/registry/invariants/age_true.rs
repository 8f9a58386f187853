//! No cache says that it is younger than it is.

use super::super::{Peer, Settings, entry};
use crate::discovery::cache::Cache;
use crate::discovery::{Instance, Label};
use crate::kv::{Revision, Store};
use crate::service::invariants::Clocks;
use splitbrain_core::{Cluster, Invariant, NodeId, Status, Time, Violation, nanos};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// What a client knows of a service was so at the time at which it says that it was: nothing of the service had been changed by
/// then that it does not know of. Whoever is told how old an answer is relies on that (Consul: `X-Consul-LastContact`).
///
/// A change has been made when some server has applied it. What a client's clock shows is known as of its last event, and
/// how much earlier something was, within the bound on drift.
#[derive(Debug)]
pub struct AgeTrue {
    clock_drift_ppm_max: u64,
    clocks: Clocks,
    /// Of each service the latest changes: at which revision, and when, at the latest, in true time.
    changes: BTreeMap<Label, VecDeque<(u64, Time)>>,
    /// The furthest that any server has come.
    seen: Revision,
    /// Of each client: what it was last found to know of each service, as of when by its clock.
    looked_at: BTreeMap<NodeId, BTreeMap<Label, (u64, Time)>>,
}

/// So many changes of a service are remembered: a client that is further behind is old anyway.
const CHANGES_MAX: usize = 256;

impl AgeTrue {
    /// With clocks as the settings say.
    pub fn new(settings: &Settings) -> AgeTrue {
        AgeTrue {
            clock_drift_ppm_max: settings.service.raft.clock_drift_ppm_max,
            clocks: Clocks::default(),
            changes: BTreeMap::new(),
            seen: Revision::ZERO,
            looked_at: BTreeMap::new(),
        }
    }

    /// A server has come so far.
    fn applied(&mut self, store: &Store, now: Time) {
        if store.revision() <= self.seen {
            return;
        }
        let instances = entry::all();
        if let Ok(changes) = store.changes_of(&instances, self.seen.next()) {
            for change in changes {
                let Ok((service, _)) = Instance::parse_key(change.key()) else {
                    continue;
                };
                let latest = self.changes.entry(service).or_default();
                if latest.len() >= CHANGES_MAX {
                    latest.pop_front();
                }
                latest.push_back((change.revision().0, now));
            }
        }
        self.seen = store.revision();
    }

    /// A client's clock showed this at that time, and so says when what it knows was so.
    fn check(
        &mut self,
        client: NodeId,
        cache: &Cache,
        shown: Time,
        seen_at: Time,
    ) -> Result<(), String> {
        let looked_at = self.looked_at.entry(client).or_default();
        for (service, revision, as_of) in cache.known() {
            if looked_at.get(service) == Some(&(revision, as_of)) {
                continue;
            }
            looked_at.insert(service.clone(), (revision, as_of));
            // As long ago as may be.
            let ago = longest(shown.since(as_of), self.clock_drift_ppm_max);
            let Some(was_at) = seen_at.as_nanos().checked_sub(nanos(ago)) else {
                continue;
            };
            let was_at = Time::from_nanos(was_at);
            let unknown = self.changes.get(service).and_then(|changes| {
                let next = changes.partition_point(|(changed, _)| *changed <= revision);
                changes.get(next)
            });
            if let Some((changed, at)) = unknown.filter(|(_, at)| *at < was_at) {
                return Err(format!(
                    "{client} knows {service} at revision {revision}, and says that it was so at {was_at}, but it was changed at \
                     revision {changed}, which some server had applied at {at}"
                ));
            }
        }
        Ok(())
    }
}

/// How long it may have taken until a clock had gone on by this much, if it is as slow as may be.
fn longest(shown: Duration, clock_drift_ppm_max: u64) -> Duration {
    let slow = 1_000_000_u64.saturating_sub(clock_drift_ppm_max).max(1);
    let longest = u128::from(nanos(shown)) * 1_000_000 / u128::from(slow);
    Duration::from_nanos(u64::try_from(longest).unwrap_or(u64::MAX)) + Duration::from_nanos(1)
}

impl Invariant<Peer> for AgeTrue {
    fn property(&self) -> &'static str {
        "age-true"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        if cluster.status(touched) == Status::Down {
            self.looked_at.remove(&touched);
            return Ok(());
        }
        let Some(peer) = cluster.node(touched) else {
            return Ok(());
        };
        if let Some(server) = peer.server() {
            self.applied(server.store(), cluster.now);
        }
        if let (Some(engine), Some(client)) = (peer.engine(), peer.service().client()) {
            let shown = client.clock();
            let seen_at = self.clocks.seen_at(touched, shown, cluster.now);
            let checked = self.check(touched, engine.cache(), shown, seen_at);
            return checked.or_else(|what| self.violated(what));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::cache::CacheSettings;
    use crate::kv::Op;

    #[test]
    fn a_cache_that_says_that_it_is_younger_than_it_is_is_found() {
        let (client, at) = (NodeId::from_index(7), Time::from_secs);
        let settings = Settings::default();
        let mut property = AgeTrue::new(&settings);
        let mut store = Store::keeping(99);
        store.apply(&Op::put("/services/web/n4", "x"));
        property.applied(&store, at(10));
        let first = store.revision().0;
        store.apply(&Op::put("/services/db/n5", "x"));
        property.applied(&store, at(15));
        store.apply(&Op::put("/services/web/n4", "y"));
        property.applied(&store, at(20));
        let second = store.revision().0;
        // Its clock is that of two seconds ago.
        let mut check = |revision, as_of| {
            let mut cache = Cache::new(CacheSettings::default());
            let web = Label::new("web").unwrap();
            cache.looked_up(&web, revision, [], at(as_of));
            property.check(client, &cache, at(28), at(30))
        };
        assert_eq!(check(first, 12), Ok(()));
        assert_eq!(check(first, 18), Ok(()));
        assert_eq!(check(second, 28), Ok(()));
        let why = check(first, 27).unwrap_err();
        assert!(
            why.contains("which some server had applied at 20.000s"),
            "{why}"
        );
        assert_eq!(check(first, 27), Ok(()), "it is said once");
    }
}
