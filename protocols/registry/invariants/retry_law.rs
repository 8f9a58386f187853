//! Retries are few, and do not come together.

use super::super::engine::{DRAWS_MAX, Tally};
use super::super::{Peer, Settings};
use crate::discovery::retry::{BackoffSettings, Jitter, RetryBudgetSettings};
use splitbrain_core::{Cluster, Invariant, NodeId, Violation, nanos};
use std::time::Duration;

/// However much fails, retries are no more than the budget allows of the time and the calls so far, none waits longer than
/// the cap, and they spread: what failed together does not come back together (Bronson et al., *Metastable Failures in
/// Distributed Systems*, HotOS 2021).
///
/// Waits are drawn between nothing and a bound. That so many in a row are all within a tenth of theirs has a chance of 1 in 10^32.
#[derive(Debug)]
pub struct RetryLaw {
    budget: RetryBudgetSettings,
    backoff: BackoffSettings,
}

impl RetryLaw {
    /// With a budget and waits as the settings say.
    pub fn new(settings: &Settings) -> RetryLaw {
        RetryLaw {
            budget: settings.budget,
            backoff: settings.backoff,
        }
    }

    fn check(&self, tally: &Tally) -> Result<(), String> {
        let elapsed = u128::from(nanos(tally.as_of.since(tally.began_at)));
        let (second, percent) = (1_000_000_000_u128, 100_u128);
        // In hundredths of a billionth of a retry.
        let allowed = u128::from(self.budget.retries_saved_max) * percent * second
            + u128::from(tally.requests) * u128::from(self.budget.retry_percent) * second
            + elapsed * u128::from(self.budget.retries_per_second_min) * percent;
        if u128::from(tally.retries) * percent * second > allowed {
            return Err(format!(
                "{} calls were made again, of {} in {}ms: the budget allows {}",
                tally.retries,
                tally.requests,
                elapsed / 1_000_000,
                allowed / (percent * second)
            ));
        }
        let cap = Duration::from_millis(self.backoff.cap_ms);
        if let Some((nth, wait)) = tally.draws.iter().find(|(_, wait)| *wait > cap) {
            return Err(format!(
                "retry {nth} of a call waited {wait:?}: the cap is {cap:?}"
            ));
        }
        let is_full = tally.draws.len() >= DRAWS_MAX && self.backoff.jitter == Jitter::Full;
        let is_late = |(nth, wait): &(u64, Duration)| *wait * 10 >= self.bound(*nth) * 9;
        if is_full && tally.draws.iter().all(is_late) {
            return Err(format!(
                "the last {DRAWS_MAX} retries have all waited as long as they could: nothing spreads them"
            ));
        }
        Ok(())
    }

    /// How long the nth retry of a call may wait.
    fn bound(&self, nth: u64) -> Duration {
        let doubled = u32::try_from(nth.saturating_sub(1)).ok();
        let factor = doubled.and_then(|times| 1_u64.checked_shl(times));
        let bound_ms = factor.and_then(|factor| self.backoff.base_ms.checked_mul(factor));
        Duration::from_millis(bound_ms.unwrap_or(u64::MAX).min(self.backoff.cap_ms))
    }
}

impl Invariant<Peer> for RetryLaw {
    fn property(&self) -> &'static str {
        "retry-law"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        let Some(engine) = cluster.node(touched).and_then(Peer::engine) else {
            return Ok(());
        };
        let checked = self.check(engine.tally());
        checked.or_else(|what| self.violated(format!("at {touched}, {what}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use splitbrain_core::Time;

    fn tally() -> Tally {
        Tally {
            began_at: Time::from_secs(1),
            as_of: Time::from_secs(3),
            requests: 50,
            // 100 saved, 10 of the requests, 20 of the seconds.
            retries: 130,
            draws: [(1, Duration::from_millis(20))].into(),
        }
    }

    #[test]
    fn too_many_retries_and_waits_that_are_too_long_or_all_the_same_are_found() {
        let law = RetryLaw::new(&Settings::default());
        assert_eq!(law.check(&tally()), Ok(()));
        let mut many = tally();
        many.retries += 1;
        let error = law.check(&many).unwrap_err();
        assert!(error.contains("the budget allows 130"), "{error}");
        let mut long = tally();
        long.draws.push_back((9, Duration::from_millis(501)));
        assert!(law.check(&long).unwrap_err().contains("the cap is 500ms"));
        let mut same = tally();
        let waits = [20, 40, 80, 160];
        same.draws = (0..DRAWS_MAX as u64)
            .map(|nth| (nth % 4 + 1, Duration::from_millis(waits[nth as usize % 4])))
            .collect();
        let error = law.check(&same).unwrap_err();
        assert!(error.contains("nothing spreads them"), "{error}");
        same.draws[7].1 = Duration::from_millis(50);
        assert_eq!(law.check(&same), Ok(()));
    }
}
