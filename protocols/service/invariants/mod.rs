//! What must hold of the service after every event, one file for each property.
//!
//! | property | what | file |
//! |---|---|---|
//! | `lease-assured` | a lease is there as long as its holder may rely on it | `lease_assured.rs` |
//! | `lease-ends` | a lease that nobody keeps alive goes | `lease_ends.rs` |
//! | `history-equal` | all servers go through the same states | `history_equal.rs` |
//! | `watch` | a watch is told of every change once, in order, whole revisions at a time | `watch_exact.rs` |
//!
//! Each is told of stores and clients in plain words, so that a protocol that contains the service can use it, and tests can
//! make up bad states.

mod changed;
mod clocks;
mod history_equal;
mod lease_assured;
mod lease_ends;
mod led;
mod watch_exact;

pub(crate) use changed::Changed;
pub(crate) use clocks::{Clocks, shortest};
pub use history_equal::{Committed, HistoryEqual};
pub use lease_assured::LeaseAssured;
pub use lease_ends::LeaseEnds;
pub(crate) use led::{Led, Mark};
pub use watch_exact::WatchExact;

use super::{Peer, Settings};
use splitbrain_core::{Cluster, Invariant, Node, NodeId, Violation};
use std::fmt;

/// Some property of the service, for whoever contains it.
pub trait Property: fmt::Debug {
    /// Its name.
    fn property(&self) -> &'static str;

    /// Looks at the cluster after an event at `touched`. `part` finds the node of the service in a node.
    ///
    /// # Errors
    /// What contradicts what, in words.
    fn check<N: Node>(
        &mut self,
        cluster: Cluster<'_, N>,
        touched: NodeId,
        part: fn(&N) -> Option<&Peer>,
    ) -> Result<(), String>;
}

/// A property of the service as an invariant of nodes that contain it.
#[derive(Debug)]
pub struct Within<N, P> {
    property: P,
    part: fn(&N) -> Option<&Peer>,
}

impl<N, P> Within<N, P> {
    /// The property, of the nodes of the service that `part` finds.
    pub fn new(property: P, part: fn(&N) -> Option<&Peer>) -> Within<N, P> {
        Within { property, part }
    }
}

impl<N: Node + fmt::Debug, P: Property> Invariant<N> for Within<N, P> {
    fn property(&self) -> &'static str {
        self.property.property()
    }

    fn observe(&mut self, cluster: Cluster<'_, N>, touched: NodeId) -> Result<(), Violation> {
        let checked = self.property.check(cluster, touched, self.part);
        checked.or_else(|what| self.violated(what))
    }
}

/// All of them, new, for nodes in which `part` finds those of the service.
pub fn all<N: Node + fmt::Debug + 'static>(
    settings: &Settings,
    part: fn(&N) -> Option<&Peer>,
) -> Vec<Box<dyn Invariant<N>>> {
    vec![
        Box::new(Within::new(LeaseAssured::new(settings), part)),
        Box::new(Within::new(LeaseEnds::new(settings), part)),
        Box::new(Within::new(HistoryEqual::default(), part)),
        Box::new(Within::new(WatchExact::default(), part)),
    ]
}
