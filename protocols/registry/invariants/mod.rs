//! What must hold of the registry after every event, one file for each property, beside those of the
//! [service](crate::service::invariants).
//!
//! | property | what | file |
//! |---|---|---|
//! | `registered` | who keeps its lease is in the store of every server that has heard of it | `registered.rs` |
//! | `gone` | who has deregistered does not come back | `gone.rs` |
//! | `maintained` | who is out of service on purpose stays so | `maintained.rs` |
//! | `asked-before` | who was well is found to be critical only by being asked | `asked.rs` |
//! | `critical-goes` | who is asked, and critical for long, is removed | `critical_goes.rs` |
//! | `age-true` | no cache says that it is younger than it is | `age_true.rs` |
//! | `cache-monotone` | no cache goes back to an older revision | `cache_monotone.rs` |
//! | `told-current` | no server tells by DNS what is older than what it has known | `told.rs` |
//! | `breaker-law` | an open breaker is open for its time; a half-open one has as many probes under way as it says, and not too many | `breaker_law.rs` |
//! | `deadline-kept` | no call waits for anything beyond its deadline | `deadline.rs` |
//! | `retry-law` | retries stay within the budget, and their waits within the cap, and spread | `retry_law.rs` |

mod age_true;
mod asked;
mod breaker_law;
mod cache_monotone;
mod critical_goes;
mod deadline;
mod gone;
mod maintained;
mod registered;
mod retry_law;
mod told;

pub use age_true::AgeTrue;
pub use asked::AskedBefore;
pub use breaker_law::BreakerLaw;
pub use cache_monotone::CacheMonotone;
pub use critical_goes::CriticalGoes;
pub use deadline::DeadlineKept;
pub use gone::Gone;
pub use maintained::Maintained;
pub use registered::Registered;
pub use retry_law::RetryLaw;
pub use told::ToldCurrent;

use super::{Peer, Settings};
use crate::service;
use splitbrain_core::Invariant;

/// All of them, new, and those of the service.
pub fn all(settings: &Settings) -> Vec<Box<dyn Invariant<Peer>>> {
    let mut all = service::invariants::all(&settings.service, |peer: &Peer| Some(peer.service()));
    all.push(Box::new(Registered::new(settings)));
    all.push(Box::new(Gone::default()));
    all.push(Box::new(Maintained::default()));
    all.push(Box::new(AskedBefore::new(settings)));
    all.push(Box::new(CriticalGoes::new(settings)));
    all.push(Box::new(AgeTrue::new(settings)));
    all.push(Box::new(CacheMonotone::default()));
    all.push(Box::new(ToldCurrent::default()));
    all.push(Box::new(BreakerLaw::new(settings)));
    all.push(Box::new(DeadlineKept));
    all.push(Box::new(RetryLaw::new(settings)));
    all
}
