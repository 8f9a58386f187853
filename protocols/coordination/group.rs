//! Who stands in a line, for those who only want to know: the members of a group (Curator: `GroupMember`), or whoever holds
//! a lock or waits for it. To join a group is to take a place in a line in which nobody waits: see `line.rs`.

use super::once::Once;
use super::op::Ret;
use crate::kv::{self, Key, KeyRange, Order, Range, SortBy};
use crate::service;
use std::sync::Arc;

/// What all below this prefix have to say, in the order in which they came.
pub fn members(prefix: &Key) -> Once {
    let mut range = Range::of(KeyRange::Prefix(prefix.clone()));
    range.order = Some(Order {
        by: SortBy::CreateRevision,
        descending: false,
    });
    Once::new(kv::Op::Range(Arc::new(range)), |ret| match ret {
        service::Ret::Kv(kv::Ret::Range(found)) => {
            let values = found.keys.iter().map(|member| member.value.clone());
            Some(Ret::Listed(values.collect()))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::Store;

    #[test]
    fn members_are_told_in_the_order_in_which_they_came() {
        let mut store = Store::new();
        for (key, value) in [("group/a/z", "1"), ("group/a/b", "2"), ("group/ab", "3")] {
            store.apply(&kv::Op::put(key, value));
        }
        let listed = Ret::Listed(vec!["1".into(), "2".into()]);
        assert_eq!(members(&"group/a/".into()).at(&mut store), Some(listed));
    }
}
