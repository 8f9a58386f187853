//! A view of all nodes at one instant, and the invariants that watch it.

use crate::{Node, NodeId, Time};
use std::fmt;

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Running.
    Up,
    /// Stopped, with its memory: it will go on as if no time had passed. The mother of lease bugs.
    Paused,
    /// Crashed: only its journal is left.
    Down,
}

/// Which links are cut, in each direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    nodes: usize,
    /// Row by sender, column by receiver: how many faults cut this link; whole at zero.
    cuts: Vec<u16>,
}

impl Links {
    /// All links of a cluster of `nodes`, whole.
    pub fn whole(nodes: usize) -> Links {
        Links {
            nodes,
            cuts: vec![0; nodes * nodes],
        }
    }

    /// Cuts the link once more; it is whole again when it has been mended as often.
    pub fn cut(&mut self, from: NodeId, to: NodeId) {
        self.cuts[from.index() * self.nodes + to.index()] += 1;
    }

    /// Undoes one cut.
    pub fn mend(&mut self, from: NodeId, to: NodeId) {
        let cuts = &mut self.cuts[from.index() * self.nodes + to.index()];
        *cuts = cuts.saturating_sub(1);
    }

    /// Whether what `from` sends now can reach `to`.
    pub fn connected(&self, from: NodeId, to: NodeId) -> bool {
        self.cuts[from.index() * self.nodes + to.index()] == 0
    }

    /// Whether each of the two can reach the other.
    pub fn mutually_connected(&self, a: NodeId, b: NodeId) -> bool {
        self.connected(a, b) && self.connected(b, a)
    }
}

/// All nodes of a cluster at one instant, as an omniscient observer sees them.
#[derive(Debug)]
pub struct Cluster<'a, N> {
    /// True time.
    pub now: Time,
    nodes: &'a [Option<N>],
    status: &'a [Status],
    links: &'a Links,
}

// Not derived: a view is copied whatever the node is.
impl<N> Clone for Cluster<'_, N> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<N> Copy for Cluster<'_, N> {}

impl<'a, N> Cluster<'a, N> {
    /// A view of these nodes; `None` is a node that is down. For kernels, and for tests that make up a bad state.
    ///
    /// # Panics
    /// If the three do not speak of the same number of nodes.
    pub fn new(now: Time, nodes: &'a [Option<N>], status: &'a [Status], links: &'a Links) -> Self {
        assert!(nodes.len() == status.len() && nodes.len() == links.nodes);
        Cluster {
            now,
            nodes,
            status,
            links,
        }
    }

    /// How many nodes there are, running or not.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The state of a node, unless it is down (or does not exist).
    pub fn node(&self, id: NodeId) -> Option<&'a N> {
        self.nodes.get(id.index())?.as_ref()
    }

    /// The states of all nodes that are not down, by ascending id.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &'a N)> + use<'a, N> {
        let nodes = self.nodes;
        nodes
            .iter()
            .enumerate()
            .filter_map(|(index, node)| node.as_ref().map(|node| (NodeId::from_index(index), node)))
    }

    /// What the process of this node is doing; `Down` if there is no such node.
    pub fn status(&self, id: NodeId) -> Status {
        self.status.get(id.index()).copied().unwrap_or(Status::Down)
    }

    /// Which links are cut now.
    pub fn links(&self) -> &'a Links {
        self.links
    }
}

/// A property that the cluster violates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The name of the property, as scenarios and reports use it: `election-safety`.
    pub property: &'static str,
    /// The states that contradict each other, in words.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.property, self.what)
    }
}

/// A property of the cluster's state that is checked after every event.
///
/// An invariant remembers what it needs (who led which term, what was committed where) and is asked after every
/// event, so it must be cheap: look at the node that was touched, and at the others only when that one changed.
pub trait Invariant<N: Node>: fmt::Debug {
    /// Its name, as scenarios and reports use it: `election-safety`.
    fn property(&self) -> &'static str;

    /// Looks at the cluster after an event at `touched`: a handler call, a start, a crash.
    ///
    /// # Errors
    /// The violation, with the states that contradict each other.
    fn observe(&mut self, cluster: Cluster<'_, N>, touched: NodeId) -> Result<(), Violation>;

    /// A violation of this property.
    ///
    /// # Errors
    /// Always: the violation is the error.
    fn violated(&self, what: String) -> Result<(), Violation> {
        Err(Violation {
            property: self.property(),
            what,
        })
    }
}
