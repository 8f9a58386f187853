//! Members that believe themselves coordinator at the same time.

use crate::bully::{Member, Role, Settings};
use splitbrain_core::{Cluster, NodeId, Time};
use std::fmt;
use std::time::Duration;

/// Follows who believes itself coordinator, and for how long each two of them have been opposed to each other.
///
/// Costs one look at the touched member as long as there is at most one.
#[derive(Clone, Debug)]
pub(super) struct Rivals {
    heartbeat: Duration,
    /// The last event.
    seen: Time,
    /// Who believes itself coordinator, by ascending id. Usually one.
    coordinators: Vec<Believer>,
    /// Which two of them are opposed, and since when without interruption.
    opposed: Vec<(NodeId, NodeId, Time)>,
}

/// A member that believes itself coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Believer {
    id: NodeId,
    /// The beginning of its life.
    started: Time,
    /// The beginning of its belief.
    since: Time,
}

/// Two coordinators that are opposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    one: Believer,
    other: Believer,
    /// Since when, without interruption.
    pub(super) since: Time,
}

impl Rivals {
    pub(super) fn new(settings: &Settings) -> Rivals {
        Rivals {
            heartbeat: Duration::from_millis(settings.heartbeat_ms),
            seen: Time::ZERO,
            coordinators: Vec::new(),
            opposed: Vec::new(),
        }
    }

    /// After an event at `touched`: the two coordinators that are opposed for the longest time. Whether two are opposed
    /// is for the caller to say; the time of a pair begins anew whenever they are not.
    pub(super) fn longest(
        &mut self,
        cluster: Cluster<'_, Member>,
        touched: NodeId,
        opposed: impl Fn(NodeId, NodeId) -> bool,
    ) -> Option<Pair> {
        self.follow(cluster, touched);
        // A running coordinator lets no more than a heartbeat pass without an event. After a longer silence (all were
        // paused, or nobody asked) the time that was not seen is not held against anybody.
        let stopped = cluster.now.since(self.seen) > self.heartbeat;
        self.seen = cluster.now;
        if stopped || self.coordinators.len() < 2 {
            self.opposed.clear();
        }
        if self.coordinators.len() < 2 {
            return None;
        }
        let earlier = std::mem::take(&mut self.opposed);
        let mut longest: Option<Pair> = None;
        for (index, &one) in self.coordinators.iter().enumerate() {
            for &other in &self.coordinators[index + 1..] {
                if !opposed(one.id, other.id) {
                    continue;
                }
                let known = earlier
                    .iter()
                    .find(|pair| (pair.0, pair.1) == (one.id, other.id));
                let since = known
                    .map_or(cluster.now, |pair| pair.2)
                    .max(one.since)
                    .max(other.since);
                self.opposed.push((one.id, other.id, since));
                if longest.is_none_or(|pair| since < pair.since) {
                    longest = Some(Pair { one, other, since });
                }
            }
        }
        longest
    }

    fn follow(&mut self, cluster: Cluster<'_, Member>, touched: NodeId) {
        // Whoever has crashed, or changed its mind, or crashed and come back.
        self.coordinators.retain(|believer| {
            let same = |member: &Member| {
                member.started == believer.started && member.role() == Role::Coordinating
            };
            cluster.node(believer.id).is_some_and(same)
        });
        let Some(member) = cluster.node(touched) else {
            return;
        };
        let known = || self.coordinators.iter().any(|known| known.id == touched);
        if member.role() == Role::Coordinating && !known() {
            self.coordinators.push(Believer {
                id: touched,
                started: member.started,
                since: cluster.now,
            });
            self.coordinators.sort_unstable_by_key(|known| known.id);
        }
    }
}

/// `n3 (since 1.210s) and n5 (since 0.000s)`.
impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pair { one, other, .. } = self;
        write!(
            f,
            "{} (since {}) and {} (since {})",
            one.id, one.since, other.id, other.since
        )
    }
}
