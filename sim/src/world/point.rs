//! Crashes at a point: not at a time, but where it hurts.

use super::{FaultId, World};
use serde::{Deserialize, Serialize};
use splitbrain_core::{Node, NodeId};

/// Where in its work a node crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Point {
    /// A sync is about to become durable: what was appended is lost after all, and nothing that waited for it has left.
    BeforeSync,
    /// A sync has just become durable: what was appended is kept, and nothing that waited for it has left.
    AfterSync,
    /// A message has just left; those that were to follow it in the same step have not.
    AfterSend,
    /// The journal has just been replaced by a shorter one (a snapshot was written), which is not durable yet.
    Compaction,
    /// The node has just taken on another [role](Node::role), and what it did about it is done.
    RoleChange,
}

impl Point {
    /// All points.
    pub const ALL: [Point; 5] = [
        Point::BeforeSync,
        Point::AfterSync,
        Point::AfterSend,
        Point::Compaction,
        Point::RoleChange,
    ];

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Point::BeforeSync => "just before a sync is durable",
            Point::AfterSync => "just after a sync is durable",
            Point::AfterSend => "just after a message has left",
            Point::Compaction => "just after its journal was compacted",
            Point::RoleChange => "just after a change of role",
        }
    }
}

/// A crash that waits for its node to reach a point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Armed {
    fault: FaultId,
    node: NodeId,
    point: Point,
    /// The incarnation after the crash, once it has happened.
    crashed: Option<u32>,
}

impl<N: Node> World<N> {
    /// Lets these nodes crash as soon as each reaches this point, once. When the fault [ends](World::end), those that have not
    /// crashed will not, and those that have, and that nobody has started since, are started again.
    pub fn arm(&mut self, nodes: &[NodeId], point: Point) -> FaultId {
        let fault = self.new_fault();
        let armed = |&node: &NodeId| Armed {
            fault,
            node,
            point,
            crashed: None,
        };
        let exists = |node: &&NodeId| node.index() < self.nodes.len();
        self.armed.extend(nodes.iter().filter(exists).map(armed));
        fault
    }

    pub(super) fn disarm(&mut self, fault: FaultId) {
        let armed: Vec<Armed> = self
            .armed
            .extract_if(.., |armed| armed.fault == fault)
            .collect();
        for armed in armed {
            if armed.crashed == Some(self.incarnation(armed.node)) {
                self.restart(armed.node);
            }
        }
    }

    /// Crashes the node if it was to crash at this point. Returns whether it has.
    #[inline]
    pub(super) fn crashes_at(&mut self, node: NodeId, point: Point) -> bool {
        !self.armed.is_empty() && self.crash_armed(node, point)
    }

    #[cold]
    fn crash_armed(&mut self, node: NodeId, point: Point) -> bool {
        let waits = |armed: &&mut Armed| {
            armed.crashed.is_none() && armed.node == node && armed.point == point
        };
        let Some(armed) = self.armed.iter_mut().find(waits) else {
            return false;
        };
        armed.crashed = Some(self.processes[node.index()].incarnation + 1);
        self.stats.crashes_at_a_point += 1;
        self.trace_fault(&[node], || format!("crash {node} {}", point.words()));
        self.crash(node);
        true
    }
}
