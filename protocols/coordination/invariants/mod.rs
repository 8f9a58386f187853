//! What must hold of coordination after every event, one file for each property. With those of the
//! [service](crate::service::invariants) in it.
//!
//! | property | what | file |
//! |---|---|---|
//! | `exclusion` | no more than may rely on a lock, a permit or leadership at once | `exclusion.rs` |
//! | `place-assured` | nobody believes to be in whose lease does not hold | `place_assured.rs` |
//! | `place-listed` | who may rely on a place is in the line, for everybody to see | `place_listed.rs` |
//! | `fencing` | the tokens that a resource accepts never go down | `fencing.rs` |
//! | `herd-free` | whoever goes wakes one | `herd_free.rs` |

mod exclusion;
mod fencing;
mod herd_free;
mod place_assured;
mod place_listed;

pub use exclusion::Exclusion;
pub use fencing::Fencing;
pub use herd_free::HerdFree;
pub use place_assured::PlaceAssured;
pub use place_listed::PlaceListed;

use super::{Peer, Settings};
use crate::service;
use splitbrain_core::{Invariant, NodeId, Time, nanos};
use std::collections::BTreeMap;
use std::time::Duration;

/// All of them, new.
pub fn all(settings: &Settings) -> Vec<Box<dyn Invariant<Peer>>> {
    let mut all = service::invariants::all(&settings.service, Peer::service);
    all.push(Box::new(Exclusion::new(settings)));
    all.push(Box::new(PlaceAssured));
    all.push(Box::new(PlaceListed::new(settings)));
    all.push(Box::new(Fencing::default()));
    all.push(Box::new(HerdFree::default()));
    all
}

/// How long it takes, at least, until a clock has gone on by this much: an observer sees a node's clock at its events only.
fn shortest(left: Duration, clock_drift_ppm_max: u64) -> Duration {
    let ppm = u128::from(clock_drift_ppm_max);
    let shortest = u128::from(nanos(left)) * 1_000_000 / (1_000_000 + ppm);
    Duration::from_nanos(u64::try_from(shortest).unwrap_or(u64::MAX))
}

/// When each client's clock showed what it shows, in true time: an event that is none of its own (it is resumed after a pause)
/// shows nothing.
#[derive(Debug, Default)]
struct Clocks {
    shown: BTreeMap<NodeId, (Time, Time)>,
}

impl Clocks {
    /// Until when, at least, in true time, a client may rely on something on which it may rely until then by its clock, which
    /// shows this.
    fn relied_on(&mut self, client: NodeId, until: Time, shown: Time, now: Time, ppm: u64) -> Time {
        let seen = self.shown.entry(client).or_insert((shown, now));
        if seen.0 != shown {
            *seen = (shown, now);
        }
        seen.1 + shortest(until.since(shown), ppm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_not_seen_to_go_on_has_gone_on() {
        let (client, at) = (NodeId::from_index(3), Time::from_millis);
        let mut clocks = Clocks::default();
        let mut relied_on =
            |shown: u64, now: u64| clocks.relied_on(client, at(1_000), at(shown), at(now), 0);
        assert_eq!(relied_on(500, 700), at(1_200));
        // It was paused in the meantime, and has only been resumed.
        assert_eq!(relied_on(500, 2_000), at(1_200));
        assert_eq!(relied_on(900, 2_000), at(2_100));
    }
}
