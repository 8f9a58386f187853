//! Crashes at a point: not at a time, but where it hurts.

use super::{FaultId, World};
use serde::{Deserialize, Serialize};
use splitbrain_core::{Node, NodeId};

/// Where in its work a node crashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
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
    /// The node has just reached this [probe](splitbrain_core::probe!); what its handler does behind it does not happen.
    Probe(String),
}

impl Point {
    /// All points that every protocol has.
    pub const ALL: [Point; 5] = [
        Point::BeforeSync,
        Point::AfterSync,
        Point::AfterSend,
        Point::Compaction,
        Point::RoleChange,
    ];

    /// In words.
    pub fn words(&self) -> String {
        match self {
            Point::BeforeSync => "just before a sync is durable".to_owned(),
            Point::AfterSync => "just after a sync is durable".to_owned(),
            Point::AfterSend => "just after a message has left".to_owned(),
            Point::Compaction => "just after its journal was compacted".to_owned(),
            Point::RoleChange => "just after a change of role".to_owned(),
            Point::Probe(probe) => format!("where {probe}"),
        }
    }

    /// Its name in scenarios; that of a probe is its text.
    pub fn name(&self) -> &str {
        match self {
            Point::BeforeSync => "before-sync",
            Point::AfterSync => "after-sync",
            Point::AfterSend => "after-send",
            Point::Compaction => "compaction",
            Point::RoleChange => "role-change",
            Point::Probe(probe) => probe,
        }
    }
}

impl From<Point> for String {
    fn from(point: Point) -> String {
        point.name().to_owned()
    }
}

/// A name without spaces must be one of those above; anything else is the text of a probe, which only its protocol knows.
impl TryFrom<String> for Point {
    type Error = String;
    fn try_from(text: String) -> Result<Point, String> {
        if let Some(point) = Point::ALL.into_iter().find(|point| point.name() == text) {
            return Ok(point);
        }
        if text.contains(' ') {
            return Ok(Point::Probe(text));
        }
        let known: Vec<String> = Point::ALL.map(String::from).to_vec();
        Err(format!(
            "`{text}` is no point: expected one of {}, or the text of a probe",
            known.join(", ")
        ))
    }
}

/// A crash that waits for its node to reach a point.
#[derive(Clone, Debug)]
pub(super) struct Armed {
    fault: FaultId,
    node: NodeId,
    point: Point,
    /// Whether it has happened.
    crashed: bool,
}

impl<N: Node> World<N> {
    /// Lets these nodes crash as soon as each reaches this point, once. When the fault [ends](World::end), those that have not
    /// crashed will not, and those that have are started again, unless another fault holds them down.
    pub fn arm(&mut self, nodes: &[NodeId], point: &Point) -> FaultId {
        let fault = self.new_fault();
        self.unusual = true;
        let armed = |&node: &NodeId| Armed {
            fault,
            node,
            point: point.clone(),
            crashed: false,
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
            if armed.crashed {
                self.let_up(armed.node);
            }
        }
    }

    /// Crashes the node if it was to crash at this point. Returns whether it has.
    #[inline]
    pub(super) fn crashes_at(&mut self, node: NodeId, point: &'static Point) -> bool {
        !self.armed.is_empty() && self.crash_armed(node, |armed| armed == point)
    }

    /// The same for the probe at this position in [`Node::PROBES`].
    #[inline]
    pub(super) fn crashes_at_probe(&mut self, node: NodeId, index: usize) -> bool {
        !self.armed.is_empty()
            && self.crash_armed(
                node,
                |armed| matches!(armed, Point::Probe(probe) if N::PROBES.get(index) == Some(&&**probe)),
            )
    }

    #[cold]
    fn crash_armed(&mut self, node: NodeId, is_here: impl Fn(&Point) -> bool) -> bool {
        let waits =
            |armed: &&mut Armed| !armed.crashed && armed.node == node && is_here(&armed.point);
        let Some(armed) = self.armed.iter_mut().find(waits) else {
            return false;
        };
        armed.crashed = true;
        let words = armed.point.words();
        self.stats.crashes_at_a_point += 1;
        self.trace_fault(&[node], || format!("crash {node} {words}"));
        self.crash(node);
        self.hold_down(node);
        true
    }
}
