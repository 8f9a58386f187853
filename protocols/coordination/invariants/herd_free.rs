//! Whoever goes wakes one.

use super::super::Peer;
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};
use std::collections::BTreeMap;

/// Clients that wait to be alone are woken no more often, all together, than clients have gone that stood before them: each
/// place that was ever taken ends once, and only the one behind it waits for that (ZooKeeper: *Recipes*, "herd effect").
#[derive(Debug, Default)]
pub struct HerdFree {
    /// What each client has said in its present incarnation.
    last: BTreeMap<NodeId, (u64, u64)>,
    /// In all incarnations of all clients: how often somebody stood in a line, and was woken there.
    stood: u64,
    woken: u64,
}

impl HerdFree {
    fn says(&mut self, client: NodeId, (stood, woken): (u64, u64)) -> Result<(), String> {
        let last = self.last.entry(client).or_default();
        if stood < last.0 || woken < last.1 {
            // A new incarnation.
            *last = (0, 0);
        }
        self.stood += stood - last.0;
        self.woken += woken - last.1;
        *last = (stood, woken);
        if self.woken <= self.stood {
            return Ok(());
        }
        Err(format!(
            "those who waited were woken {} times, and there were only {} for whom they could wait",
            self.woken, self.stood
        ))
    }
}

impl Invariant<Peer> for HerdFree {
    fn property(&self) -> &'static str {
        "herd-free"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        let client = cluster.node(touched).and_then(Peer::client);
        let Some(client) = client else {
            return Ok(());
        };
        let says = self.says(touched, client.woken());
        says.or_else(|what| self.violated(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_herd_is_found_across_incarnations() {
        let (a, b) = (NodeId::from_index(3), NodeId::from_index(4));
        let mut property = HerdFree::default();
        assert_eq!(property.says(a, (1, 0)), Ok(()));
        assert_eq!(property.says(b, (1, 1)), Ok(()));
        // It has crashed, and has stood in line since.
        assert_eq!(property.says(a, (0, 0)), Ok(()));
        assert_eq!(property.says(a, (1, 1)), Ok(()));
        assert_eq!(property.says(b, (1, 2)), Ok(()));
        assert!(property.says(b, (1, 3)).is_err());
    }
}
