//! A circuit breaker: no more calls to what fails, until it has had time, and then a few at first.
//!
//! Nygard, *Release It!* (2007), with what later ones added: a failure rate over a window with a least volume (Hystrix), and
//! a bounded number of probes in the half-open state (resilience4j).
//!
//! ```text
//!              too many failures                 open for long enough
//!   Closed  ----------------------->  Open  ---------------------------->  HalfOpen
//!     ^                                ^                                    |    |
//!     |                                +------- a probe failed, or none ----+    |
//!     |                                         answered in time                 |
//!     +---------------------------------- enough probes succeeded ---------------+
//! ```
//!
//! Two mistakes have been made in the half-open state by others, and are ruled out here:
//!
//! * All calls were let through (opossum #119): with many callers that is the load that broke it. Here at most
//!   [`probes_max`](BreakerSettings::probes_max) are under way at any time.
//! * A probe's failure was looked at only if there had been calls enough in the window (opossum #276), and the breaker stayed half
//!   open for ever. Here the window has no say in it; and as a probe may be lost with its caller, the state
//!   has an end of its own.
//!
//! A [`Permit`] tells to which state a call belongs. What was let through before the breaker opened, and comes back
//! after, says nothing of how things are now.

mod window;

use super::SettingsError;
use super::settings::{LARGEST_MS, at_most, within};
use serde::{Deserialize, Serialize};
use splitbrain_core::Time;
use std::time::Duration;
use window::Window;

/// When a breaker opens, and how it closes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerSettings {
    /// How many failures in a row open it.
    pub consecutive_failures: u64,
    /// How many failures of a hundred calls in the window open it.
    pub failure_percent: u64,
    /// How many calls there must have been in the window for that.
    pub calls_min: u64,
    /// How far back the window reaches.
    pub window_ms: u64,
    /// How long it is open, the first time.
    pub open_ms: u64,
    /// The longest that it is open: each time that its probes fail it is twice as long as before, up to this.
    pub open_ms_max: u64,
    /// The most probes that are under way at any time.
    pub probes_max: u64,
    /// How many probes in a row must succeed to close it.
    pub successes_to_close: u64,
    /// How long it is half open at most, before it counts as failed.
    pub half_open_ms_max: u64,
}

impl Default for BreakerSettings {
    fn default() -> BreakerSettings {
        BreakerSettings {
            consecutive_failures: 5,
            failure_percent: 50,
            calls_min: 20,
            window_ms: 10_000,
            open_ms: 1000,
            open_ms_max: 30_000,
            probes_max: 1,
            successes_to_close: 2,
            half_open_ms_max: 10_000,
        }
    }
}

impl BreakerSettings {
    /// Whether a breaker can work so.
    ///
    /// # Errors
    /// Which setting is wrong, and why.
    pub fn validate(&self) -> Result<(), SettingsError> {
        let most = 1_000_000;
        within("consecutive_failures", self.consecutive_failures, 1..=most)?;
        within("failure_percent", self.failure_percent, 1..=100)?;
        within("calls_min", self.calls_min, 1..=most)?;
        within("window_ms", self.window_ms, 1..=LARGEST_MS)?;
        within("open_ms", self.open_ms, 1..=LARGEST_MS)?;
        within("open_ms_max", self.open_ms_max, 1..=LARGEST_MS)?;
        within("probes_max", self.probes_max, 1..=most)?;
        within("successes_to_close", self.successes_to_close, 1..=most)?;
        within("half_open_ms_max", self.half_open_ms_max, 1..=LARGEST_MS)?;
        at_most(("open_ms", self.open_ms), ("open_ms_max", self.open_ms_max))
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallOutcome {
    /// What was called is well.
    Succeeded,
    /// It is not.
    Failed,
    /// It says nothing of what was called: the call was not made after all, or was wrong itself.
    Abandoned,
}

/// What a breaker lets through, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BreakerState {
    /// Everything.
    Closed,
    /// Nothing, until then.
    Open {
        /// When it becomes half open.
        until: Time,
    },
    /// A few probes.
    HalfOpen {
        /// How many are under way.
        probes: u64,
        /// When it counts as failed.
        until: Time,
    },
}

/// Leave to make one call. How it ended is to be [reported](Breaker::report) with it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "the outcome of the call is to be reported"]
pub struct Permit {
    /// The state that it was given in.
    period: u64,
}

/// A circuit breaker before one thing that may fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    settings: BreakerSettings,
    phase: Phase,
    /// How often the phase has changed.
    period: u64,
    /// How often it has opened without having been closed.
    openings: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Closed {
        window: Window,
        /// Failures since the last success.
        in_a_row: u64,
    },
    Open {
        until: Time,
    },
    HalfOpen {
        /// Under way; at most `probes_max`.
        probes: u64,
        /// Fewer than `successes_to_close`.
        succeeded: u64,
        until: Time,
    },
}

impl Breaker {
    /// A closed one, with [valid](BreakerSettings::validate) settings.
    pub fn new(settings: BreakerSettings) -> Breaker {
        Breaker {
            settings,
            phase: closed(&settings),
            period: 0,
            openings: 0,
        }
    }

    /// Asks for leave to make a call.
    ///
    /// # Errors
    /// Until when the state lasts that lets nothing through. While probes are under way it may end sooner, by them.
    pub fn try_call(&mut self, now: Time) -> Result<Permit, Time> {
        self.tick(now);
        match &mut self.phase {
            Phase::Closed { .. } => {}
            Phase::Open { until } => return Err(*until),
            Phase::HalfOpen { probes, until, .. } => {
                if *probes >= self.settings.probes_max {
                    return Err(*until);
                }
                *probes += 1;
            }
        }
        Ok(Permit {
            period: self.period,
        })
    }

    /// Tells how a call ended.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a permit is good for one call, and so for one report"
    )]
    pub fn report(&mut self, permit: Permit, outcome: CallOutcome, now: Time) {
        self.tick(now);
        if permit.period != self.period {
            return;
        }
        match self.phase {
            Phase::Closed { .. } => self.report_call(outcome, now),
            Phase::Open { .. } => {}
            Phase::HalfOpen { .. } => self.report_probe(outcome, now),
        }
    }

    /// What it lets through now.
    pub fn state(&self, now: Time) -> BreakerState {
        let mut then = self.clone();
        then.tick(now);
        match then.phase {
            Phase::Closed { .. } => BreakerState::Closed,
            Phase::Open { until } => BreakerState::Open { until },
            Phase::HalfOpen { probes, until, .. } => BreakerState::HalfOpen { probes, until },
        }
    }

    fn report_call(&mut self, outcome: CallOutcome, now: Time) {
        let Phase::Closed { window, in_a_row } = &mut self.phase else {
            return;
        };
        match outcome {
            CallOutcome::Succeeded => *in_a_row = 0,
            CallOutcome::Failed => *in_a_row += 1,
            CallOutcome::Abandoned => return,
        }
        window.add(outcome == CallOutcome::Failed, now);
        let counts = window.counts(now);
        let is_rate = counts.calls >= self.settings.calls_min
            && counts.failures.saturating_mul(100)
                >= self.settings.failure_percent.saturating_mul(counts.calls);
        if is_rate || *in_a_row >= self.settings.consecutive_failures {
            self.open(now);
        }
    }

    fn report_probe(&mut self, outcome: CallOutcome, now: Time) {
        let Phase::HalfOpen {
            probes, succeeded, ..
        } = &mut self.phase
        else {
            return;
        };
        *probes = probes.saturating_sub(1);
        match outcome {
            CallOutcome::Abandoned => {}
            CallOutcome::Failed => self.open(now),
            CallOutcome::Succeeded => {
                *succeeded += 1;
                if *succeeded >= self.settings.successes_to_close {
                    self.openings = 0;
                    self.enter(closed(&self.settings));
                }
            }
        }
    }

    /// Lets time pass: through more than one state, if nobody has asked for long.
    fn tick(&mut self, now: Time) {
        // What nobody has used has not failed: only one half-open state with probes in it can be over at a time.
        match self.phase {
            Phase::HalfOpen { probes, until, .. } if now >= until && probes > 0 => self.open(until),
            _ => {}
        }
        match self.phase {
            Phase::Open { until } if now >= until => self.half_open(now),
            Phase::HalfOpen { until, .. } if now >= until => self.half_open(now),
            _ => {}
        }
    }

    fn open(&mut self, now: Time) {
        let doubled = 1_u64.checked_shl(self.openings).unwrap_or(u64::MAX);
        let open_ms = self.settings.open_ms.saturating_mul(doubled);
        self.openings = self.openings.saturating_add(1);
        let until = now + Duration::from_millis(open_ms.min(self.settings.open_ms_max));
        self.enter(Phase::Open { until });
    }

    fn half_open(&mut self, now: Time) {
        self.enter(Phase::HalfOpen {
            probes: 0,
            succeeded: 0,
            until: now + Duration::from_millis(self.settings.half_open_ms_max),
        });
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.period += 1;
    }
}

/// With nothing held against what is called.
fn closed(settings: &BreakerSettings) -> Phase {
    Phase::Closed {
        window: Window::new(Duration::from_millis(settings.window_ms)),
        in_a_row: 0,
    }
}

#[cfg(test)]
mod tests;
