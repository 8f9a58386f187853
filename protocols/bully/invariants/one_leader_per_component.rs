//! Two coordinators that could talk to each other.

use super::rivals::Rivals;
use crate::bully::observe::allegiances;
use crate::bully::{Member, Settings};
use splitbrain_core::{Cluster, Invariant, NodeId, Status, Violation};

/// No two members that are running and mutually connected both believe themselves coordinator, but for the time that it
/// takes to find out: [`Settings::settle`] without interruption, so that it begins anew when their links or their
/// status change.
///
/// Garcia-Molina 1982, section IV, replaces the one coordinator of Assertion 1 by one for each group of nodes, since
/// under a partition nobody can promise more. A component is meant here in the strict sense: two members each of which
/// reaches the other. A third that sees both sides does not connect them.
///
/// Must hold in every scenario: it is what mends a split brain after the partition.
#[derive(Clone, Debug)]
pub struct OneLeaderPerComponent {
    settings: Settings,
    rivals: Rivals,
}

impl OneLeaderPerComponent {
    /// For members with these timeouts.
    pub fn new(settings: &Settings) -> OneLeaderPerComponent {
        OneLeaderPerComponent {
            settings: *settings,
            rivals: Rivals::new(settings),
        }
    }
}

impl Invariant<Member> for OneLeaderPerComponent {
    fn property(&self) -> &'static str {
        "one-leader-per-component"
    }

    fn observe(&mut self, cluster: Cluster<'_, Member>, touched: NodeId) -> Result<(), Violation> {
        let up = |id| cluster.status(id) == Status::Up;
        let pair = self.rivals.longest(cluster, touched, |one, other| {
            up(one) && up(other) && cluster.links().mutually_connected(one, other)
        });
        let Some(pair) = pair else { return Ok(()) };
        let settle = self.settings.settle(cluster.len());
        if cluster.now.since(pair.since) <= settle {
            return Ok(());
        }
        self.violated(format!(
            "{pair} both believe themselves coordinator at {}, though both have been running and connected since {}, \
             longer than it takes to settle ({settle:?}); {}",
            cluster.now,
            pair.since,
            allegiances(cluster)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::hand_made::{HandMade, n};
    use super::*;
    use crate::bully::Role;

    /// Three members, of which n2 (since 100 ms) and n3 coordinate; they settle in 700 ms.
    fn two_coordinators() -> (HandMade, OneLeaderPerComponent) {
        let mut group = HandMade::agreed(3);
        let mut invariant = OneLeaderPerComponent::new(&Settings::default());
        assert_eq!(group.pass(&mut invariant, 0, 100), Ok(()));
        group.put(2, Role::Coordinating);
        assert_eq!(group.show(&mut invariant, 100, 2), Ok(()));
        (group, invariant)
    }

    #[test]
    fn two_connected_coordinators_must_settle() {
        let (group, mut invariant) = two_coordinators();
        assert_eq!(group.pass(&mut invariant, 100, 800), Ok(()));
        let violation = group.show(&mut invariant, 801, 1).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "one-leader-per-component: n2 (since 0.100s) and n3 (since 0.000s) both believe themselves coordinator at \
             0.801s, though both have been running and connected since 0.100s, longer than it takes to settle (700ms); \
             n1 and n3 obey n3; n2 obeys n2"
        );
    }

    #[test]
    fn a_link_cut_in_one_direction_excuses_them_and_mending_it_begins_their_time_anew() {
        let (mut group, mut invariant) = two_coordinators();
        group.links.cut(n(2), n(3));
        assert_eq!(group.pass(&mut invariant, 100, 5000), Ok(()));
        group.links.mend(n(2), n(3));
        assert_eq!(group.pass(&mut invariant, 5001, 5701), Ok(()));
        assert!(group.show(&mut invariant, 5702, 1).is_err());
    }

    #[test]
    fn a_pause_excuses_them_too() {
        let (mut group, mut invariant) = two_coordinators();
        group.status[1] = Status::Paused;
        assert_eq!(group.pass(&mut invariant, 100, 5000), Ok(()));
        group.status[1] = Status::Up;
        assert_eq!(group.pass(&mut invariant, 5001, 5701), Ok(()));
        assert!(group.show(&mut invariant, 5702, 1).is_err());
    }
}
