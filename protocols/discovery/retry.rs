//! Whether to try again, and when.
//!
//! Retries are what turns an overload into a collapse that outlives its cause (Bronson et al., *Metastable Failures in
//! Distributed Systems*, HotOS 2021). Two things keep them in bounds:
//!
//! * [`RetryBudget`]: retries may be a fraction of requests, and a few per second beside that, so that a client with few
//!   requests can retry at all (Finagle's `RetryBudget`, and linkerd's after it). However much fails, the load is never
//!   more than that fraction greater.
//! * [`Backoff`]: waits that grow, and are random, so that those that failed together do not come back together
//!   (Brooker, *Exponential Backoff and Jitter*, AWS Architecture Blog, 2015).

use super::SettingsError;
use super::settings::{LARGEST_MS, at_most, within};
use serde::{Deserialize, Serialize};
use splitbrain_core::{Rng, Time, nanos};
use std::time::Duration;

/// How many retries there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryBudgetSettings {
    /// How many retries there may be for a hundred requests.
    pub retry_percent: u64,
    /// How many there may be each second beside those.
    pub retries_per_second_min: u64,
    /// The most that can be saved up.
    pub retries_saved_max: u64,
}

/// The rates are Finagle's defaults. Finagle lets what is saved expire after ten seconds; here it is bounded, which needs no
/// memory of when it was saved: ten seconds of the minimum.
impl Default for RetryBudgetSettings {
    fn default() -> RetryBudgetSettings {
        RetryBudgetSettings {
            retry_percent: 20,
            retries_per_second_min: 10,
            retries_saved_max: 100,
        }
    }
}

impl RetryBudgetSettings {
    /// Whether a budget can work so.
    ///
    /// # Errors
    /// Which setting is wrong, and why.
    pub fn validate(&self) -> Result<(), SettingsError> {
        within("retry_percent", self.retry_percent, 0..=1000)?;
        within(
            "retries_per_second_min",
            self.retries_per_second_min,
            0..=1_000_000,
        )?;
        within("retries_saved_max", self.retries_saved_max, 1..=1_000_000)
    }
}

/// What a retry costs, so that a percent of one, and what comes in a nanosecond, are whole numbers.
const RETRY_COST: u64 = PERCENT * 100;
/// What a hundredth of a retry costs.
const PERCENT: u64 = 1_000_000_000;

/// How many retries a client may still make: a token bucket.
///
/// Between any two times there are at most as many retries as could be saved up, and the percentage of the requests in
/// between, and the minimum of the seconds in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    settings: RetryBudgetSettings,
    /// In hundredths of a billionth of a retry; at most `retries_saved_max` of them.
    saved: u64,
    /// Up to when the minimum has been credited.
    credited: Time,
}

impl RetryBudget {
    /// A full one, with [valid](RetryBudgetSettings::validate) settings.
    pub fn new(settings: RetryBudgetSettings, now: Time) -> RetryBudget {
        RetryBudget {
            settings,
            saved: settings.retries_saved_max.saturating_mul(RETRY_COST),
            credited: now,
        }
    }

    /// A request is made, for the first time.
    pub fn on_request(&mut self, now: Time) {
        self.credit(now);
        self.save(u128::from(self.settings.retry_percent) * u128::from(PERCENT));
    }

    /// Whether a request may be made again; if so, it is paid for.
    #[must_use]
    pub fn try_retry(&mut self, now: Time) -> bool {
        self.credit(now);
        let rest = self.saved.checked_sub(RETRY_COST);
        self.saved = rest.unwrap_or(self.saved);
        rest.is_some()
    }

    /// How many retries could be made now.
    pub fn retries_left(&self, now: Time) -> u64 {
        let mut then = self.clone();
        then.credit(now);
        then.saved / RETRY_COST
    }

    fn credit(&mut self, now: Time) {
        let elapsed = nanos(now.since(self.credited));
        self.credited = self.credited.max(now);
        // What a second brings is the minimum times a hundred percent of a billion: so a nanosecond brings this.
        self.save(u128::from(elapsed) * u128::from(self.settings.retries_per_second_min) * 100);
    }

    fn save(&mut self, amount: u128) {
        let most = self.settings.retries_saved_max.saturating_mul(RETRY_COST);
        let saved = u128::from(self.saved) + amount;
        self.saved = u64::try_from(saved).unwrap_or(u64::MAX).min(most);
    }
}

/// How long to wait before trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackoffSettings {
    /// What the waits begin with.
    pub base_ms: u64,
    /// No wait is longer.
    pub cap_ms: u64,
    /// How they are drawn.
    pub jitter: Jitter,
}

/// How a wait is drawn: the two of Brooker's that spread best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Jitter {
    /// Between nothing and the base doubled with every attempt.
    #[default]
    Full,
    /// Between the base and three times the wait before.
    Decorrelated,
}

impl Default for BackoffSettings {
    fn default() -> BackoffSettings {
        BackoffSettings {
            base_ms: 50,
            cap_ms: 5000,
            jitter: Jitter::Full,
        }
    }
}

impl BackoffSettings {
    /// Whether waits can be drawn so.
    ///
    /// # Errors
    /// Which setting is wrong, and why.
    pub fn validate(&self) -> Result<(), SettingsError> {
        within("base_ms", self.base_ms, 1..=LARGEST_MS)?;
        within("cap_ms", self.cap_ms, 1..=LARGEST_MS)?;
        at_most(("base_ms", self.base_ms), ("cap_ms", self.cap_ms))
    }
}

/// The waits between the attempts at one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    settings: BackoffSettings,
    /// The upper end of the last wait (full jitter), or the last wait (decorrelated); the base before the first.
    last: Duration,
    attempts: u64,
}

impl Backoff {
    /// Before the first failure, with [valid](BackoffSettings::validate) settings.
    pub fn new(settings: BackoffSettings) -> Backoff {
        Backoff {
            settings,
            last: Duration::from_millis(settings.base_ms),
            attempts: 0,
        }
    }

    /// An attempt has failed: how long to wait before the next one.
    pub fn next_wait(&mut self, rng: &mut Rng) -> Duration {
        let base = Duration::from_millis(self.settings.base_ms);
        let cap = Duration::from_millis(self.settings.cap_ms);
        let is_first = self.attempts == 0;
        self.attempts = self.attempts.saturating_add(1);
        match self.settings.jitter {
            Jitter::Full => {
                if !is_first {
                    self.last = self.last.saturating_mul(2).min(cap);
                }
                rng.duration(Duration::ZERO..=self.last)
            }
            Jitter::Decorrelated => {
                let wait = rng.duration(base..=self.last.saturating_mul(3));
                self.last = wait.min(cap);
                self.last
            }
        }
    }

    /// How many waits there were.
    pub fn attempts(&self) -> u64 {
        self.attempts
    }

    /// An attempt has succeeded: the next failure is a first one.
    pub fn reset(&mut self) {
        *self = Backoff::new(self.settings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use splitbrain_core::{Purpose, Seed};

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    #[test]
    fn when_everything_fails_the_load_grows_by_the_percentage() {
        let settings = RetryBudgetSettings {
            retry_percent: 20,
            retries_per_second_min: 0,
            retries_saved_max: 10,
        };
        let mut budget = RetryBudget::new(settings, at(0));
        let retries = (0..1000)
            .filter(|&ms| {
                budget.on_request(at(ms));
                budget.try_retry(at(ms))
            })
            .count();
        assert!((200..=210).contains(&retries), "{retries}");
    }

    #[test]
    fn a_quiet_client_can_retry_all_the_same_but_not_for_ever() {
        let settings = RetryBudgetSettings {
            retry_percent: 0,
            retries_per_second_min: 2,
            retries_saved_max: 3,
        };
        let mut budget = RetryBudget::new(settings, at(0));
        let burst =
            |budget: &mut RetryBudget, now| (0..100).filter(|_| budget.try_retry(now)).count();
        assert_eq!(burst(&mut budget, at(0)), 3);
        assert_eq!(burst(&mut budget, at(499)), 0);
        assert_eq!(budget.retries_left(at(500)), 1);
        assert_eq!(burst(&mut budget, at(500)), 1);
        assert_eq!(burst(&mut budget, at(3_600_000)), 3, "no more is saved");
    }

    #[test]
    fn waits_double_up_to_the_cap_and_begin_anew() {
        let settings = BackoffSettings {
            base_ms: 10,
            cap_ms: 100,
            jitter: Jitter::Full,
        };
        let longest = |attempt: usize| {
            (0..300)
                .map(|seed| {
                    let mut rng = Seed(seed).stream(Purpose::User(0));
                    let mut backoff = Backoff::new(settings);
                    let wait = (0..=attempt).map(|_| backoff.next_wait(&mut rng)).last();
                    assert_eq!(backoff.attempts(), attempt as u64 + 1);
                    backoff.reset();
                    assert!(backoff.next_wait(&mut rng) <= Duration::from_millis(10));
                    wait.unwrap().as_micros()
                })
                .max()
                .unwrap()
        };
        for (attempt, most) in [(0, 10), (1, 20), (2, 40), (3, 80), (4, 100), (200, 100)] {
            let longest = longest(attempt);
            assert!(
                longest <= most * 1000 && longest > most * 900,
                "{attempt}: {longest}"
            );
        }
    }

    #[test]
    fn those_that_failed_together_do_not_come_back_together() {
        for jitter in [Jitter::Full, Jitter::Decorrelated] {
            let settings = BackoffSettings {
                jitter,
                ..BackoffSettings::default()
            };
            settings.validate().unwrap();
            // A thousand clients, their third wait, in windows of 10 ms.
            let mut windows = std::collections::BTreeMap::new();
            for seed in 0..1000 {
                let mut rng = Seed(seed).stream(Purpose::User(0));
                let mut backoff = Backoff::new(settings);
                let waits: Duration = (0..3).map(|_| backoff.next_wait(&mut rng)).sum();
                *windows.entry(waits.as_millis() / 10).or_insert(0) += 1;
            }
            let most = windows.values().max().unwrap();
            assert!(*most < 120, "{jitter:?}: {most} within 10 ms");
        }
    }

    proptest! {
        /// Between any two retries, both included, there are no more than the law of the bucket allows.
        #[test]
        fn the_budget_is_never_exceeded(
            retry_percent in 0_u64..150,
            retries_per_second_min in 0_u64..20,
            retries_saved_max in 1_u64..10,
            steps in proptest::collection::vec((0_u64..300, any::<bool>()), 1..150),
        ) {
            let settings = RetryBudgetSettings { retry_percent, retries_per_second_min, retries_saved_max };
            settings.validate().unwrap();
            let mut budget = RetryBudget::new(settings, at(0));
            let (mut now, mut events) = (0, Vec::new());
            for (wait, is_request) in steps {
                now += wait;
                if is_request {
                    budget.on_request(at(now));
                    events.push((now, true));
                } else {
                    let left = budget.retries_left(at(now));
                    let granted = budget.try_retry(at(now));
                    prop_assert_eq!(granted, left > 0);
                    if granted {
                        events.push((now, false));
                    }
                }
            }
            for (start, &(from, _)) in events.iter().enumerate() {
                let (mut requests, mut retries) = (0, 0);
                for &(to, is_request) in &events[start..] {
                    if is_request { requests += 1 } else { retries += 1 }
                    // In thousandths of a percent of a retry.
                    let allowed = retries_saved_max * 100_000
                        + retry_percent * requests * 1000
                        + retries_per_second_min * (to - from) * 100;
                    prop_assert!(retries * 100_000 <= allowed);
                }
            }
        }

        #[test]
        fn no_wait_is_out_of_bounds(
            base_ms in 1_u64..100, more in 0_u64..1000, decorrelated in any::<bool>(), seed in any::<u64>(),
        ) {
            let jitter = if decorrelated { Jitter::Decorrelated } else { Jitter::Full };
            let settings = BackoffSettings { base_ms, cap_ms: base_ms + more, jitter };
            let mut rng = Seed(seed).stream(Purpose::User(0));
            let mut backoff = Backoff::new(settings);
            for _ in 0..100 {
                let wait = backoff.next_wait(&mut rng);
                prop_assert!(wait <= Duration::from_millis(settings.cap_ms));
                prop_assert!(!decorrelated || wait >= Duration::from_millis(base_ms));
            }
        }
    }
}
