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
use service::invariants::shortest;
use splitbrain_core::{Invariant, Time};

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

/// Until when, at least, in true time, a client relies on something that it relies on until then by its clock, which showed
/// `shown` at `seen_at`.
fn relied_on(until: Time, shown: Time, seen_at: Time, clock_drift_ppm_max: u64) -> Time {
    seen_at + shortest(until.since(shown), clock_drift_ppm_max)
}
