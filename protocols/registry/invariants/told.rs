//! No server tells less than it has known.

use super::super::Peer;
use crate::kv::Revision;
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};
use std::collections::BTreeMap;

/// What a server answers by DNS is never as of an older revision than it had come to, before a restart or since: one that does
/// not know again yet who is registered says so (SERVFAIL), and not that nobody is, which resolvers would remember (RFC 2308).
#[derive(Debug, Default)]
pub struct ToldCurrent {
    servers: BTreeMap<NodeId, Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// How far its store had come.
    revision: Revision,
    /// What it last told, since it started.
    told: Option<Revision>,
}

impl ToldCurrent {
    fn check(
        &mut self,
        server: NodeId,
        revision: Revision,
        told: Option<Revision>,
    ) -> Result<(), String> {
        let known = self.servers.entry(server).or_default();
        let is_new = known.told != told;
        known.told = told;
        if let Some(told) = told.filter(|told| is_new && *told < known.revision) {
            return Err(format!(
                "{server} has answered a DNS query with what was at revision {told}, but had known revision {}",
                known.revision
            ));
        }
        known.revision = known.revision.max(revision);
        Ok(())
    }
}

impl Invariant<Peer> for ToldCurrent {
    fn property(&self) -> &'static str {
        "told-current"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        match cluster.node(touched).and_then(Peer::server) {
            Some(server) => {
                let checked = self.check(touched, server.store().revision(), server.told());
                checked.or_else(|what| self.violated(what))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_has_forgotten_and_tells_all_the_same_is_found() {
        let (server, mut property) = (NodeId::from_index(1), ToldCurrent::default());
        let mut check = |revision, told: Option<u64>| {
            property.check(server, Revision(revision), told.map(Revision))
        };
        assert_eq!(check(3, None), Ok(()));
        assert_eq!(check(3, Some(3)), Ok(()));
        assert_eq!(check(9, Some(3)), Ok(()), "it told that before");
        // It has restarted.
        assert_eq!(check(0, None), Ok(()));
        assert_eq!(
            check(0, Some(0)).unwrap_err(),
            "n2 has answered a DNS query with what was at revision 0, but had known revision 9"
        );
        assert_eq!(check(0, None), Ok(()));
        assert_eq!(check(9, Some(9)), Ok(()));
    }
}
