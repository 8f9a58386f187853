//! What must hold of a group of members, or must be seen not to: one file each.

mod agreement;
mod one_leader_per_component;
mod rivals;
mod split_brain;

pub use agreement::Agreement;
pub use one_leader_per_component::OneLeaderPerComponent;
pub use split_brain::SplitBrain;

use super::{Member, Settings};
use splitbrain_core::Invariant;

/// All invariants of this protocol.
pub fn all(settings: &Settings) -> Vec<Box<dyn Invariant<Member>>> {
    vec![
        Box::new(SplitBrain::new(settings)),
        Box::new(OneLeaderPerComponent::new(settings)),
        Box::new(Agreement::new(settings)),
    ]
}

/// Hand-made clusters for the tests of the invariants.
#[cfg(test)]
mod hand_made {
    use crate::bully::{Member, Role, Settings, cluster};
    use splitbrain_core::{Cluster, Invariant, Links, NodeId, Status, Time, Violation};

    /// Members whose state a test writes down.
    pub(super) struct HandMade {
        pub(super) members: Vec<Option<Member>>,
        pub(super) status: Vec<Status>,
        pub(super) links: Links,
    }

    pub(super) fn n(number: usize) -> NodeId {
        NodeId::from_index(number - 1)
    }

    impl HandMade {
        /// Members that all obey the highest.
        pub(super) fn agreed(members: usize) -> HandMade {
            let configs = cluster(members, Settings::default()).into_iter();
            let mut made = HandMade {
                members: configs
                    .enumerate()
                    .map(|(index, config)| {
                        Some(Member {
                            id: NodeId::from_index(index),
                            config,
                            started: Time::ZERO,
                            role: Role::Obeying(n(members)),
                        })
                    })
                    .collect(),
                status: vec![Status::Up; members],
                links: Links::whole(members),
            };
            made.put(members, Role::Coordinating);
            made
        }

        /// Writes down the role of a member.
        pub(super) fn put(&mut self, number: usize, role: Role) {
            self.members[number - 1].as_mut().unwrap().role = role;
        }

        /// Crashes a member and starts it again, without an event in between.
        pub(super) fn restart(&mut self, number: usize, at_ms: u64, role: Role) {
            self.members[number - 1].as_mut().unwrap().started = Time::from_millis(at_ms);
            self.put(number, role);
        }

        /// Shows the invariant an event at a member.
        pub(super) fn show(
            &self,
            invariant: &mut impl Invariant<Member>,
            at_ms: u64,
            touched: usize,
        ) -> Result<(), Violation> {
            let now = Time::from_millis(at_ms);
            let cluster = Cluster::new(now, &self.members, &self.status, &self.links);
            invariant.observe(cluster, n(touched))
        }

        /// Shows it an event at the last member every 50 ms, from here to there: so often that nobody can have been
        /// stopped unseen.
        pub(super) fn pass(
            &self,
            invariant: &mut impl Invariant<Member>,
            from_ms: u64,
            to_ms: u64,
        ) -> Result<(), Violation> {
            let mut times = (from_ms..to_ms).step_by(50).chain([to_ms]);
            times.try_for_each(|at| self.show(invariant, at, self.members.len()))
        }
    }
}
