//! The tokens that a resource accepts never go down.

use super::super::{Confirmed, Name, Peer};
use crate::kv::Revision;
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};
use std::collections::BTreeMap;

/// Once a resource has confirmed an access with a token, it confirms no write with a lesser one; once it has confirmed a
/// write, no read with a lesser one, and no earlier write of the same token (M. Kleppmann, *How to do distributed locking*, 2016).
/// Crashes of the resource make no difference.
#[derive(Debug, Default)]
pub struct Fencing {
    /// How much was confirmed when it was last looked at.
    counts: BTreeMap<NodeId, u64>,
    /// The greatest token of an access, and the latest write.
    newest: BTreeMap<(NodeId, Name), (Revision, (Revision, u64))>,
}

impl Fencing {
    fn confirms(&mut self, resource: NodeId, access: &Confirmed) -> Result<(), String> {
        let Confirmed {
            lock,
            token,
            nth,
            is_write,
        } = access;
        let (seen, written) = self.newest.entry((resource, lock.clone())).or_default();
        let newer = if *is_write { *seen } else { written.0 };
        let what = if *is_write { "write" } else { "read" };
        if *token < newer {
            return Err(format!(
                "{resource} confirmed a {what} under {lock} with token {token}, after one with token {newer}"
            ));
        }
        if *is_write && (*token, *nth) <= *written {
            return Err(format!(
                "{resource} confirmed write {nth} under {lock} with token {token} after write {}",
                written.1
            ));
        }
        if *is_write {
            *written = (*token, *nth);
        }
        *seen = (*seen).max(*token);
        Ok(())
    }
}

impl Invariant<Peer> for Fencing {
    fn property(&self) -> &'static str {
        "fencing"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        let Some(resource) = cluster.node(touched).and_then(Peer::resource) else {
            return Ok(());
        };
        let (count, confirmed) = resource.confirmed();
        if self.counts.insert(touched, count) == Some(count) {
            return Ok(());
        }
        for access in confirmed {
            let confirms = self.confirms(touched, access);
            confirms.or_else(|what| self.violated(what))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confirms(property: &mut Fencing, token: u64, nth: u64, is_write: bool) -> bool {
        let access = Confirmed {
            lock: "l1".into(),
            token: Revision(token),
            nth,
            is_write,
        };
        property.confirms(NodeId::from_index(9), &access).is_ok()
    }

    #[test]
    fn an_old_token_after_a_newer_one_is_found() {
        let mut property = Fencing::default();
        assert!(confirms(&mut property, 5, 1, true));
        assert!(confirms(&mut property, 7, 1, true));
        assert!(!confirms(&mut property, 5, 2, true));
        assert!(!confirms(&mut property, 5, 2, false));
        assert!(!confirms(&mut property, 7, 1, true), "the same write twice");
        assert!(confirms(&mut property, 9, 1, false));
        assert!(confirms(&mut property, 8, 1, false), "another reader");
        assert!(!confirms(&mut property, 8, 2, true), "a reader came later");
    }
}
