//! Nobody believes to be in whose lease does not hold.

use super::super::Peer;
use crate::kv::Key;
use splitbrain_core::{Cluster, Invariant, NodeId, Time, Violation};

/// Whatever a client holds after an event of its own goes with a lease that holds by its clock (etcd #11456: `Lock` returned
/// after waiting for its turn, and its own lease had run out while it waited).
#[derive(Clone, Copy, Debug)]
pub struct PlaceAssured;

fn check(
    prefix: &Key,
    assured_until: Option<Time>,
    shown: Time,
    client: NodeId,
) -> Result<(), String> {
    match assured_until {
        Some(until) if until > shown => Ok(()),
        Some(_) => Err(format!(
            "{client} believes to be in {prefix}, under a lease that has run out by its own clock"
        )),
        None => Err(format!(
            "{client} believes to be in {prefix}, under a lease that it does not hold"
        )),
    }
}

impl Invariant<Peer> for PlaceAssured {
    fn property(&self) -> &'static str {
        "place-assured"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        let Some(client) = cluster.node(touched).and_then(Peer::client) else {
            return Ok(());
        };
        for (prefix, place) in client.places() {
            let service = client.service().client();
            let until = service.and_then(|service| service.assured_until(place.lease));
            let checked = check(prefix, until, client.clock(), touched);
            checked.or_else(|what| self.violated(what))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_without_a_lease_is_found() {
        let client = NodeId::from_index(3);
        let checked = |until: Option<u64>| {
            let until = until.map(Time::from_millis);
            check(&"lock/a/".into(), until, Time::from_millis(500), client)
        };
        assert_eq!(checked(Some(501)), Ok(()));
        assert!(checked(Some(500)).unwrap_err().contains("run out"));
        assert!(checked(None).unwrap_err().contains("does not hold"));
    }
}
