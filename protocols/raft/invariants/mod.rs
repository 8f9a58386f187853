//! The five properties that Raft guarantees at all times (Figure 3), each in a file of its own.
//!
//! Each compares what it sees with all that was ever seen, not only with what the other servers hold at the moment:
//! a leader may crash before the next one of its term is elected, and the term has had two leaders all the same.
//! After a crash a server is looked at as if for the first time.

mod election_safety;
mod leader_append_only;
mod leader_completeness;
mod log_matching;
mod seen;
mod state_machine_safety;
#[cfg(test)]
mod testing;

pub use election_safety::ElectionSafety;
pub use leader_append_only::LeaderAppendOnly;
pub use leader_completeness::LeaderCompleteness;
pub use log_matching::LogMatching;
pub use state_machine_safety::StateMachineSafety;

use super::{Peer, Server};
use seen::Seen;
use splitbrain_core::{Cluster, Invariant, NodeId};

/// All of them, new.
pub fn all() -> Vec<Box<dyn Invariant<Peer>>> {
    let seen = Seen::default();
    vec![
        Box::new(ElectionSafety::default()),
        Box::new(LeaderAppendOnly::default()),
        Box::new(LogMatching::new(&seen)),
        Box::new(LeaderCompleteness::new(&seen)),
        Box::new(StateMachineSafety::new(&seen)),
    ]
}

/// What an invariant remembers of each node.
#[derive(Clone, Debug, Default)]
struct PerNode<T>(Vec<T>);

impl<T: Clone + Default> PerNode<T> {
    fn get(&self, id: NodeId) -> Option<&T> {
        self.0.get(id.index())
    }

    fn of(&mut self, id: NodeId) -> &mut T {
        if id.index() >= self.0.len() {
            self.0.resize(id.index() + 1, T::default());
        }
        &mut self.0[id.index()]
    }
}

/// The server with this id, if it is one and is not down.
fn server<'a>(cluster: &Cluster<'a, Peer>, id: NodeId) -> Option<&'a Server> {
    cluster.node(id).and_then(Peer::server)
}
