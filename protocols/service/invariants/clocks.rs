//! What an observer knows of the clocks of nodes: what they showed at their events.

use splitbrain_core::{NodeId, Time, nanos};
use std::collections::BTreeMap;
use std::time::Duration;

/// When each node's clock showed what it shows, in true time: an event that is none of its own (it is resumed after a pause)
/// shows nothing.
#[derive(Debug, Default)]
pub(crate) struct Clocks {
    shown: BTreeMap<NodeId, (Time, Time)>,
}

impl Clocks {
    /// The clock of this node shows this now, or has not been looked at since it did: when it did.
    pub(crate) fn seen_at(&mut self, node: NodeId, shown: Time, now: Time) -> Time {
        let seen = self.shown.entry(node).or_insert((shown, now));
        if seen.0 != shown {
            *seen = (shown, now);
        }
        seen.1
    }
}

/// How long it takes, at least, until a clock has gone on by this much, if it is as fast as may be.
pub(crate) fn shortest(left: Duration, clock_drift_ppm_max: u64) -> Duration {
    let ppm = u128::from(clock_drift_ppm_max);
    let shortest = u128::from(nanos(left)) * 1_000_000 / (1_000_000 + ppm);
    Duration::from_nanos(u64::try_from(shortest).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_not_seen_to_go_on_has_gone_on() {
        let (node, at) = (NodeId::from_index(3), Time::from_millis);
        let mut clocks = Clocks::default();
        assert_eq!(clocks.seen_at(node, at(500), at(700)), at(700));
        // It was paused in the meantime, and has only been resumed.
        assert_eq!(clocks.seen_at(node, at(500), at(2_000)), at(700));
        assert_eq!(clocks.seen_at(node, at(900), at(2_000)), at(2_000));
    }
}
