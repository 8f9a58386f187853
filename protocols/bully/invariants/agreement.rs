//! Everybody obeys the highest.

use crate::bully::observe::{allegiances, coordinator, highest};
use crate::bully::{Member, Settings};
use splitbrain_core::{Cluster, Invariant, Links, NodeId, Status, Time, Violation};
use std::time::Duration;

/// Once the network has been whole, and no member has come or gone, for [`Settings::settle`], all running members
/// obey the highest of them.
///
/// Garcia-Molina 1982, section III, Assertion 2: if nothing fails during the election, it ends with one node that
/// coordinates itself, and all others in the Normal state with that node as their coordinator. The bound is ours.
///
/// Must hold in every scenario whose network is timely and loses nothing while it is whole: who misses some heartbeats
/// in a row suspects the coordinator, rightly.
#[derive(Clone, Debug)]
pub struct Agreement {
    settings: Settings,
    /// The links and the processes, each with the beginning of its life, when they were last seen to change; and when
    /// that was.
    links: Links,
    processes: Vec<(Status, Option<Time>)>,
    changed: Time,
    whole: bool,
    /// The last event that was seen.
    seen: Time,
    /// Whom all must obey, once the time to settle is over.
    settled: Option<NodeId>,
}

impl Agreement {
    /// For members with these timeouts.
    pub fn new(settings: &Settings) -> Agreement {
        Agreement {
            settings: *settings,
            links: Links::whole(0),
            processes: Vec::new(),
            changed: Time::ZERO,
            whole: false,
            seen: Time::ZERO,
            settled: None,
        }
    }

    /// Whether a link or a process is not as it was, or may not have been for some time.
    fn differs(&self, cluster: Cluster<'_, Member>) -> bool {
        self.links != *cluster.links()
            || processes(cluster).ne(self.processes.iter().copied())
            || self.was_stopped(cluster)
    }

    /// Whether so long nothing has happened that processes must have been stopped, unseen: a coordinator lets no more
    /// than a heartbeat pass, and without one some timer runs out.
    fn was_stopped(&self, cluster: Cluster<'_, Member>) -> bool {
        let settings = &self.settings;
        let longest = settings
            .coordinator_timeout_ms
            .max(settings.answer_timeout_ms)
            .max(settings.coordinator_wait_ms);
        let quiet = cluster.now.since(self.seen);
        quiet > Duration::from_millis(settings.heartbeat_ms)
            && (quiet > Duration::from_millis(longest) || coordinator(cluster).is_some())
    }

    /// Begins the wait anew.
    fn unsettle(&mut self, cluster: Cluster<'_, Member>) {
        let ids = || (0..cluster.len()).map(NodeId::from_index);
        self.links.clone_from(cluster.links());
        self.processes.clear();
        self.processes.extend(processes(cluster));
        self.changed = cluster.now;
        self.whole =
            ids().all(|from| ids().all(|to| from == to || cluster.links().connected(from, to)));
        self.settled = None;
    }
}

/// What each process is doing, and when its life began.
fn processes(cluster: Cluster<'_, Member>) -> impl Iterator<Item = (Status, Option<Time>)> {
    (0..cluster.len()).map(NodeId::from_index).map(move |id| {
        let started = cluster.node(id).map(|member| member.started);
        (cluster.status(id), started)
    })
}

impl Invariant<Member> for Agreement {
    fn property(&self) -> &'static str {
        "agreement"
    }

    fn observe(&mut self, cluster: Cluster<'_, Member>, touched: NodeId) -> Result<(), Violation> {
        if self.differs(cluster) {
            self.unsettle(cluster);
        }
        self.seen = cluster.now;
        let settle = self.settings.settle(cluster.len());
        if !self.whole || cluster.now.since(self.changed) <= settle {
            return Ok(());
        }
        let obeys = |id, highest| {
            let member = cluster.node(id);
            cluster.status(id) != Status::Up
                || member.is_some_and(|member| member.coordinator() == Some(highest))
        };
        // All are looked at once, when the time is over; afterwards only who is touched can change its mind.
        let agreed = match (self.settled, highest(cluster)) {
            (Some(highest), _) => obeys(touched, highest),
            (None, None) => true,
            (None, Some(highest)) => {
                self.settled = Some(highest);
                (0..cluster.len()).all(|index| obeys(NodeId::from_index(index), highest))
            }
        };
        if agreed {
            return Ok(());
        }
        self.violated(format!(
            "at {}, though the network has been whole and nobody has come or gone since {}, longer than it takes to \
             settle ({settle:?}), not all obey the highest running member; {}",
            cluster.now,
            self.changed,
            allegiances(cluster)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::hand_made::{HandMade, n};
    use super::*;
    use crate::bully::Role;

    /// Three members, which settle in 700 ms; shown an event at time zero.
    fn three() -> (HandMade, Agreement) {
        let group = HandMade::agreed(3);
        let mut invariant = Agreement::new(&Settings::default());
        assert_eq!(group.show(&mut invariant, 0, 1), Ok(()));
        (group, invariant)
    }

    #[test]
    fn who_does_not_obey_in_time_violates_it() {
        let (mut group, mut invariant) = three();
        group.put(1, Role::Obeying(n(2)));
        assert_eq!(group.pass(&mut invariant, 0, 700), Ok(()));
        let violation = group.show(&mut invariant, 701, 2).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "agreement: at 0.701s, though the network has been whole and nobody has come or gone since 0.000s, longer \
             than it takes to settle (700ms), not all obey the highest running member; n1 obeys n2; n2 and n3 obey n3"
        );
    }

    #[test]
    fn so_does_who_changes_its_mind_afterwards() {
        let (mut group, mut invariant) = three();
        assert_eq!(group.pass(&mut invariant, 0, 5000), Ok(()));
        group.put(2, Role::Electing);
        assert!(group.show(&mut invariant, 5000, 2).is_err());
    }

    #[test]
    fn a_cut_link_excuses_and_mending_it_begins_the_wait_anew() {
        let (mut group, mut invariant) = three();
        group.links.cut(n(1), n(3));
        group.put(1, Role::Obeying(n(2)));
        assert_eq!(group.pass(&mut invariant, 0, 5000), Ok(()));
        group.links.mend(n(1), n(3));
        assert_eq!(group.pass(&mut invariant, 5001, 5701), Ok(()));
        assert!(group.show(&mut invariant, 5702, 2).is_err());
    }

    #[test]
    fn the_highest_running_member_is_meant() {
        let (mut group, mut invariant) = three();
        group.status[2] = Status::Paused;
        group.put(1, Role::Obeying(n(2)));
        group.put(2, Role::Coordinating);
        assert_eq!(group.pass(&mut invariant, 100, 801), Ok(()));
        // With n3 down, and not only paused, everything begins anew, and n2 is still the one.
        group.status[2] = Status::Down;
        group.members[2] = None;
        assert_eq!(group.pass(&mut invariant, 900, 1601), Ok(()));
        group.put(1, Role::Obeying(n(3)));
        assert!(group.show(&mut invariant, 1602, 1).is_err());
    }

    #[test]
    fn a_new_life_and_time_in_which_nobody_ran_begin_the_wait_anew_though_unseen() {
        let (mut group, mut invariant) = three();
        assert_eq!(group.pass(&mut invariant, 0, 1000), Ok(()));
        group.restart(1, 1001, Role::Electing);
        assert_eq!(group.show(&mut invariant, 1001, 1), Ok(()));
        assert_eq!(group.pass(&mut invariant, 1050, 1701), Ok(()));
        assert_eq!(group.pass(&mut invariant, 5000, 5700), Ok(()));
        assert!(group.show(&mut invariant, 5701, 1).is_err());
    }
}
