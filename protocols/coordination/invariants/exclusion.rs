//! No more than may rely on a lock at once.

use super::super::{How, Peer, Settings};
use super::relied_on;
use crate::kv::Key;
use crate::service::invariants::Clocks;
use splitbrain_core::{Cluster, Invariant, NodeId, Status, Time, Violation};
use std::collections::BTreeMap;

/// At no moment do two clients rely on a mutex or lead, a writer and a reader on the same lock, or more than so many on a
/// semaphore (Gray and Cheriton, *Leases*, SOSP 1989).
///
/// To rely is not to believe: a client that was paused believes what it believed, and looks at its clock before it acts. An
/// observer does not see that clock; the bound on drift says until when it cannot have shown the end of the lease.
#[derive(Debug)]
pub struct Exclusion {
    clock_drift_ppm_max: u64,
    clocks: Clocks,
    /// Who relies on what, by the prefix of the line: how, and until when at least.
    relied_on: BTreeMap<Key, BTreeMap<NodeId, (How, Time)>>,
}

impl Exclusion {
    /// With clocks as the settings say.
    pub fn new(settings: &Settings) -> Exclusion {
        Exclusion {
            clock_drift_ppm_max: settings.service.raft.clock_drift_ppm_max,
            clocks: Clocks::default(),
            relied_on: BTreeMap::new(),
        }
    }

    fn forget(&mut self, client: NodeId) {
        for holders in self.relied_on.values_mut() {
            holders.remove(&client);
        }
    }

    /// A client relies on a line for so long; whether with others that it may not.
    fn relies(
        &mut self,
        client: NodeId,
        prefix: &Key,
        how: How,
        until: Time,
        now: Time,
    ) -> Result<(), String> {
        // It was paused, and does not know yet.
        if until <= now {
            return Ok(());
        }
        let holders = self.relied_on.entry(prefix.clone()).or_default();
        holders.retain(|_, (_, until)| *until > now);
        let mut others = holders.iter().filter(|(other, _)| **other != client);
        let most = match how {
            How::Member => None,
            How::Exclusive => others.next().map(|other| (other, 1)),
            How::Shared => {
                let writer = others.find(|(_, (how, _))| *how == How::Exclusive);
                writer.map(|other| (other, 1))
            }
            How::Permit(permits) => {
                let count = others.clone().count() as u64;
                let other = others.next().filter(|_| count >= permits.get());
                other.map(|other| (other, permits.get()))
            }
        };
        if let Some(((other, (_, other_until)), most)) = most {
            let left = other_until.since(now).as_millis();
            return Err(format!(
                "{client} relies on {prefix}, and so does {other} for {left}ms more; at most {most} may"
            ));
        }
        holders.insert(client, (how, until));
        Ok(())
    }
}

impl Invariant<Peer> for Exclusion {
    fn property(&self) -> &'static str {
        "exclusion"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        let client = cluster.node(touched).and_then(Peer::client);
        if cluster.status(touched) == Status::Down {
            self.forget(touched);
        }
        let Some(client) = client else {
            return Ok(());
        };
        self.forget(touched);
        let (now, shown) = (cluster.now, client.clock());
        let seen_at = self.clocks.seen_at(touched, shown, now);
        for (prefix, place) in client.places() {
            if let Some(until) = client.relies_until(place) {
                let ppm = self.clock_drift_ppm_max;
                let until = relied_on(until, shown, seen_at, ppm);
                let relies = self.relies(touched, prefix, place.how, until, now);
                relies.or_else(|what| self.violated(what))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU64;

    fn relies(property: &mut Exclusion, client: usize, how: How, now: u64) -> Result<(), String> {
        let (until, now) = (Time::from_millis(now + 1_000), Time::from_millis(now));
        let client = NodeId::from_index(client);
        property.relies(client, &"lock/a/".into(), how, until, now)
    }

    #[test]
    fn two_may_not_rely_on_a_mutex_until_one_cannot_any_more() {
        let mut property = Exclusion::new(&Settings::default());
        assert_eq!(relies(&mut property, 3, How::Exclusive, 0), Ok(()));
        assert_eq!(relies(&mut property, 3, How::Exclusive, 100), Ok(()));
        let both = relies(&mut property, 4, How::Exclusive, 1_000);
        assert_eq!(
            both.unwrap_err(),
            "n5 relies on lock/a/, and so does n4 for 100ms more; at most 1 may"
        );
        assert_eq!(relies(&mut property, 4, How::Exclusive, 1_100), Ok(()));
        // The first one is resumed after a pause: whatever it believes, it cannot rely on it.
        let (resumed, now) = (NodeId::from_index(3), Time::from_millis(1_100));
        let relies_still = property.relies(resumed, &"lock/a/".into(), How::Exclusive, now, now);
        assert_eq!(relies_still, Ok(()));
        property.forget(NodeId::from_index(4));
        assert_eq!(relies(&mut property, 5, How::Exclusive, 1_200), Ok(()));
    }

    #[test]
    fn readers_may_rely_on_it_together_and_not_with_a_writer() {
        let mut property = Exclusion::new(&Settings::default());
        for reader in [3, 4] {
            assert_eq!(relies(&mut property, reader, How::Shared, 0), Ok(()));
        }
        assert!(relies(&mut property, 5, How::Exclusive, 10).is_err());
        let mut property = Exclusion::new(&Settings::default());
        assert_eq!(relies(&mut property, 5, How::Exclusive, 0), Ok(()));
        assert!(relies(&mut property, 3, How::Shared, 10).is_err());
    }

    #[test]
    fn as_many_may_rely_on_a_semaphore_as_it_says() {
        let two = How::Permit(NonZeroU64::MIN.saturating_add(1));
        let mut property = Exclusion::new(&Settings::default());
        for holder in [3, 4] {
            assert_eq!(relies(&mut property, holder, two, 0), Ok(()));
        }
        assert!(relies(&mut property, 5, two, 10).is_err());
    }
}
