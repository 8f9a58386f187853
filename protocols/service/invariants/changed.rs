//! What has changed since somebody last looked.

use splitbrain_core::NodeId;
use std::collections::BTreeMap;

/// Nodes in the order in which something about them changed last, so that whoever looks again looks only at those. Time: O(log n)
/// a change.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    count: u64,
    /// The number of the last change of each node; `by_change` is the same the other way round.
    last: BTreeMap<NodeId, u64>,
    by_change: BTreeMap<u64, NodeId>,
}

impl Changed {
    /// Something about the node has changed.
    pub(crate) fn note(&mut self, node: NodeId) {
        self.count += 1;
        if let Some(before) = self.last.insert(node, self.count) {
            self.by_change.remove(&before);
        }
        self.by_change.insert(self.count, node);
    }

    /// How many changes there have been.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The nodes about which something has changed since there had been so many changes.
    pub(crate) fn since(&self, count: u64) -> impl Iterator<Item = NodeId> {
        self.by_change.range(count + 1..).map(|(_, node)| *node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_is_there_once_after_its_last_change() {
        let node = NodeId::from_index;
        let mut changed = Changed::default();
        for index in [1, 2, 1, 3] {
            changed.note(node(index));
        }
        let since = |count| changed.since(count).collect::<Vec<_>>();
        assert_eq!(since(0), [node(2), node(1), node(3)]);
        assert_eq!(since(2), [node(1), node(3)]);
        assert_eq!(since(changed.count()), []);
    }
}
