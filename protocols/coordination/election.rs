//! Leader election: whoever is first in line leads (etcd: `concurrency.Election`; Curator: `LeaderLatch`). To campaign is to
//! wait in line, and to resign is to leave it: see `line.rs`. What is here is for leaders who have something new to say, and
//! for those who want to know what the leader says.

use super::once::Once;
use super::op::Ret;
use crate::kv::{
    self, Compare, Key, KeyRange, LeaseId, Operand, Order, Range, Relation, Revision, SortBy,
    Transaction, Value,
};
use crate::service;
use std::num::NonZeroU64;
use std::sync::Arc;

/// Says something else, if the key with which the leader was elected is still there: not one of the same name that came later.
pub fn proclaim(own: &Key, token: Revision, lease: LeaseId, value: Value) -> Once {
    let created = Operand::CreateRevision(token);
    let put = kv::Op::Put {
        key: own.clone(),
        value,
        lease: Some(lease),
        previous: false,
    };
    let transaction = Transaction {
        compare: vec![Compare::key(own.clone(), Relation::Equal, created)],
        then: vec![put],
        otherwise: Vec::new(),
    };
    Once::new(
        kv::Op::Transaction(Arc::new(transaction)),
        |ret| match ret {
            service::Ret::Kv(kv::Ret::Transaction(done)) if done.succeeded => Some(Ret::Written),
            _ => None,
        },
    )
}

/// What the leader says: whoever came first of those below the prefix.
pub fn observe(prefix: &Key) -> Once {
    let mut range = Range::of(KeyRange::Prefix(prefix.clone()));
    range.limit = Some(NonZeroU64::MIN);
    range.order = Some(Order {
        by: SortBy::CreateRevision,
        descending: false,
    });
    Once::new(kv::Op::Range(Arc::new(range)), |ret| match ret {
        service::Ret::Kv(kv::Ret::Range(found)) => {
            let leader = found.keys.first();
            Some(Ret::Leader(leader.map(|leader| leader.value.clone())))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::Store;

    fn campaign(store: &mut Store, key: &str, lease: u64, value: &str) -> Revision {
        let lease = LeaseId::new(lease);
        let ttl_ms = 1_000;
        store.apply(&kv::Op::LeaseGrant { lease, ttl_ms });
        store.apply(&kv::Op::Put {
            key: key.into(),
            value: value.into(),
            lease,
            previous: false,
        });
        store.revision()
    }

    #[test]
    fn the_leader_is_who_came_first_and_only_it_proclaims() {
        let mut store = Store::new();
        let prefix: Key = "election/a/".into();
        let ask = |store: &mut Store, once: Once| once.at(store);
        assert_eq!(ask(&mut store, observe(&prefix)), Some(Ret::Leader(None)));
        let token = campaign(&mut store, "election/a/z", 1, "z");
        campaign(&mut store, "election/a/b", 2, "b");
        let leader = |value: &str| Some(Ret::Leader(Some(value.into())));
        assert_eq!(ask(&mut store, observe(&prefix)), leader("z"));
        let (own, lease): (Key, _) = ("election/a/z".into(), LeaseId::new(1).unwrap());
        let says = |token| proclaim(&own, token, lease, "z2".into());
        assert_eq!(ask(&mut store, says(token)), Some(Ret::Written));
        assert_eq!(ask(&mut store, observe(&prefix)), leader("z2"));
        store.apply(&kv::Op::LeaseRevoke { lease });
        assert_eq!(ask(&mut store, says(token)), None);
        assert_eq!(ask(&mut store, observe(&prefix)), leader("b"));
    }
}
