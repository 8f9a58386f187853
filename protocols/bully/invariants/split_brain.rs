//! Two coordinators at the same time.

use super::rivals::Rivals;
use crate::bully::observe::allegiances;
use crate::bully::{Member, Settings};
use splitbrain_core::{Cluster, Invariant, NodeId, Status, Violation};
use std::time::Duration;

/// No two running members believe themselves coordinator at the same time, but for a handover.
///
/// Garcia-Molina 1982, section III, Assertion 1: two nodes in the Normal state have the same coordinator. In the paper
/// a new coordinator first halts the others by calls that return; here its claim is a message, so two may coexist for
/// [`Settings::handover`].
///
/// Holds in a network that is whole and timely. **Does not hold under a partition**, where it is expected to be
/// violated: there is no quorum that only one side could have. A paused member is no coordinator while it is paused;
/// its time begins when it goes on.
#[derive(Clone, Debug)]
pub struct SplitBrain {
    grace: Duration,
    rivals: Rivals,
}

impl SplitBrain {
    /// For members with these timeouts.
    pub fn new(settings: &Settings) -> SplitBrain {
        SplitBrain {
            grace: settings.handover(),
            rivals: Rivals::new(settings),
        }
    }
}

impl Invariant<Member> for SplitBrain {
    fn property(&self) -> &'static str {
        "split-brain"
    }

    fn observe(&mut self, cluster: Cluster<'_, Member>, touched: NodeId) -> Result<(), Violation> {
        let up = |id| cluster.status(id) == Status::Up;
        let pair = self
            .rivals
            .longest(cluster, touched, |one, other| up(one) && up(other));
        match pair {
            Some(pair) if cluster.now.since(pair.since) > self.grace => self.violated(format!(
                "{pair} both believe themselves coordinator at {}, for longer than a handover ({:?}) takes; {}",
                cluster.now,
                self.grace,
                allegiances(cluster)
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::hand_made::{HandMade, n};
    use super::*;
    use crate::bully::Role;

    #[test]
    fn two_coordinators_for_longer_than_a_handover_are_a_split_brain() {
        let mut group = HandMade::agreed(5);
        let mut invariant = SplitBrain::new(&Settings::default());
        assert_eq!(group.pass(&mut invariant, 0, 1000), Ok(()));
        group.put(3, Role::Coordinating);
        group.put(1, Role::Obeying(n(3)));
        group.put(2, Role::Waiting);
        assert_eq!(group.show(&mut invariant, 1000, 3), Ok(()));
        assert_eq!(group.pass(&mut invariant, 1050, 1140), Ok(()));
        let violation = group.show(&mut invariant, 1141, 4).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "split-brain: n3 (since 1.000s) and n5 (since 0.000s) both believe themselves coordinator at 1.141s, for \
             longer than a handover (140ms) takes; n1 and n3 obey n3; n2 obeys nobody; n4 and n5 obey n5"
        );
    }

    #[test]
    fn a_handover_is_none() {
        let mut group = HandMade::agreed(3);
        let mut invariant = SplitBrain::new(&Settings::default());
        for round in 0..10 {
            let at = 200 * round;
            group.put(2, Role::Coordinating);
            assert_eq!(group.show(&mut invariant, at, 2), Ok(()));
            assert_eq!(group.pass(&mut invariant, at, at + 140), Ok(()));
            group.put(2, Role::Obeying(n(3)));
            assert_eq!(group.pass(&mut invariant, at + 150, at + 199), Ok(()));
        }
    }

    #[test]
    fn the_dead_and_the_paused_do_not_count_and_a_resumed_one_counts_from_then() {
        let mut group = HandMade::agreed(3);
        let mut invariant = SplitBrain::new(&Settings::default());
        assert_eq!(group.show(&mut invariant, 0, 3), Ok(()));
        group.put(2, Role::Coordinating);
        assert_eq!(group.show(&mut invariant, 0, 2), Ok(()));
        group.status[1] = Status::Paused;
        assert_eq!(group.pass(&mut invariant, 50, 2000), Ok(()));
        group.status[1] = Status::Up;
        assert_eq!(group.pass(&mut invariant, 2001, 2141), Ok(()));
        assert!(group.show(&mut invariant.clone(), 2142, 1).is_err());
        group.status[1] = Status::Down;
        group.members[1] = None;
        assert_eq!(group.pass(&mut invariant, 2142, 3000), Ok(()));
    }

    #[test]
    fn neither_does_time_in_which_nobody_ran_nor_an_earlier_life() {
        let mut group = HandMade::agreed(3);
        group.put(2, Role::Coordinating);
        let mut invariant = SplitBrain::new(&Settings::default());
        assert_eq!(group.show(&mut invariant, 0, 2), Ok(()));
        assert_eq!(group.pass(&mut invariant, 0, 100), Ok(()));
        // Nothing happens for longer than a heartbeat: both were stopped, though nobody saw it.
        assert_eq!(group.pass(&mut invariant, 5000, 5140), Ok(()));
        group.restart(2, 5141, Role::Coordinating);
        assert_eq!(group.show(&mut invariant, 5141, 2), Ok(()));
        assert_eq!(group.pass(&mut invariant, 5150, 5281), Ok(()));
        assert!(group.show(&mut invariant, 5282, 3).is_err());
    }
}
