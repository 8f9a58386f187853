//! The law of a circuit breaker (M. Nygard, "Release It!", 2007; M. Fowler's article of 2014), over a trace of calls.
//!
//! * **Closed**: every call is let through. When the threshold of failures is passed, it opens, and not before.
//! * **Open**: no call is let through, for so long. Then it is half-open. (At that very moment, it may be either.) Times are those of
//!   the breaker's own clock.
//! * **Half-open**: so many calls at a time are let through, to try; the others are not. When one fails, it opens again; when so
//!   many have succeeded, it closes.
//!
//! Calls that were let through in an earlier state say nothing: a slow failure from before it opened does not open it again. When
//! several things happen at once, they happen in the order of the trace.
//!
//! After a call that breaks the law, the trace is judged on as if the call had been treated rightly. Time: O(n).

use crate::verdict::seconds;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// What is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// When it opens.
    pub opens: Threshold,
    /// How long it stays open.
    pub open_ns: u64,
    /// How many calls are let through at a time, when it is half-open.
    pub probes_max: u64,
    /// How many of them must succeed for it to close.
    pub successes_min: u64,
}

/// How much must fail for a breaker to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threshold {
    /// So many in a row.
    Consecutive(u64),
    /// Of the last calls that ended, since it closed.
    Share {
        /// So many at most are looked at.
        window: usize,
        /// Only if there are so many.
        calls_min: usize,
        /// At least so many millionths failed.
        failed_ppm_min: u64,
    },
}

/// What happened, in order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// When.
    pub time_ns: u64,
    /// Which call: a number of its own.
    pub call: u64,
    /// What of it.
    pub what: What,
}

/// What happened to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// It was let through.
    Allowed,
    /// It was not.
    Refused,
    /// It had been let through, and succeeded.
    Succeeded,
    /// It had been let through, and failed.
    Failed,
}

/// A call that was not treated as the law says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Refused, although the breaker was closed.
    #[error("call {call} was refused at {}, but there was no reason to open: the breaker has been closed since {}", seconds(*.time_ns), seconds(*.since_ns))]
    RefusedClosed {
        /// Which.
        call: u64,
        /// When.
        time_ns: u64,
        /// Since when it has been closed.
        since_ns: u64,
    },
    /// Let through, although the breaker was open.
    #[error("call {call} was let through at {}, but the breaker opened at {} and stays so until {}", seconds(*.time_ns), seconds(*.since_ns), seconds(*.until_ns))]
    AllowedOpen {
        /// Which.
        call: u64,
        /// When.
        time_ns: u64,
        /// When it opened.
        since_ns: u64,
        /// When it may try again.
        until_ns: u64,
    },
    /// Let through, although there are enough probes.
    #[error("call {call} was let through at {}, but {probes} probes were on their way, and at most {probes_max} may be", seconds(*.time_ns))]
    TooManyProbes {
        /// Which.
        call: u64,
        /// When.
        time_ns: u64,
        /// Without this one.
        probes: u64,
        /// How many may be.
        probes_max: u64,
    },
    /// Refused, although it is time to try.
    #[error("call {call} was refused at {}, but the breaker should try again since {}: {probes} of {probes_max} probes were on their way", seconds(*.time_ns), seconds(*.since_ns))]
    NotTried {
        /// Which.
        call: u64,
        /// When.
        time_ns: u64,
        /// Since when it should have been tried.
        since_ns: u64,
        /// How many probes there were.
        probes: u64,
        /// How many there may be.
        probes_max: u64,
    },
    /// The trace makes no sense: a call ended that had not been let through, or had ended.
    #[error("call {call} ended at {}, but had not been let through, or had ended before", seconds(*.time_ns))]
    NotOpen {
        /// Which.
        call: u64,
        /// When.
        time_ns: u64,
    },
}

#[derive(Clone, Copy)]
enum State {
    Closed {
        since_ns: u64,
    },
    Open {
        since_ns: u64,
    },
    HalfOpen {
        since_ns: u64,
        probes: u64,
        successes: u64,
    },
}

/// A breaker that keeps the law.
struct Breaker<'s> {
    settings: &'s Settings,
    state: State,
    /// How many states there have been.
    period: u64,
    /// Of the calls on their way, the period in which they were let through.
    calls: BTreeMap<u64, u64>,
    /// Since it closed.
    consecutive: u64,
    /// Whether they failed; since it closed.
    last: VecDeque<bool>,
    failed: u64,
}

/// Everything that breaks the law, in order.
pub fn check(settings: &Settings, events: &[Event]) -> Vec<Violation> {
    let mut breaker = Breaker {
        settings,
        state: State::Closed { since_ns: 0 },
        period: 0,
        calls: BTreeMap::new(),
        consecutive: 0,
        last: VecDeque::new(),
        failed: 0,
    };
    events
        .iter()
        .filter_map(|event| breaker.take(*event))
        .collect()
}

impl Breaker<'_> {
    fn take(&mut self, event: Event) -> Option<Violation> {
        let Event {
            time_ns,
            call,
            what,
        } = event;
        if let State::Open { since_ns } = self.state {
            let tries_ns = since_ns.saturating_add(self.settings.open_ns);
            if tries_ns <= time_ns {
                self.enter(State::HalfOpen {
                    since_ns: tries_ns,
                    probes: 0,
                    successes: 0,
                });
            }
        }
        match what {
            What::Allowed => self.allowed(time_ns, call),
            What::Refused => self.refused(time_ns, call),
            What::Succeeded | What::Failed => {
                let Some(period) = self.calls.remove(&call) else {
                    return Some(Violation::NotOpen { call, time_ns });
                };
                if period == self.period {
                    self.ended(time_ns, what == What::Failed);
                }
                None
            }
        }
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.period += 1;
        self.consecutive = 0;
        self.last.clear();
        self.failed = 0;
    }

    fn allowed(&mut self, time_ns: u64, call: u64) -> Option<Violation> {
        // Of a call that should not be there, the outcome says nothing.
        const NEVER: u64 = u64::MAX;
        let probes_max = self.settings.probes_max;
        let violation = match &mut self.state {
            State::Closed { .. } => None,
            State::Open { since_ns } => Some(Violation::AllowedOpen {
                call,
                time_ns,
                since_ns: *since_ns,
                until_ns: since_ns.saturating_add(self.settings.open_ns),
            }),
            State::HalfOpen { probes, .. } if *probes >= probes_max => {
                Some(Violation::TooManyProbes {
                    call,
                    time_ns,
                    probes: *probes,
                    probes_max,
                })
            }
            State::HalfOpen { probes, .. } => {
                *probes += 1;
                None
            }
        };
        let period = if violation.is_some() {
            NEVER
        } else {
            self.period
        };
        self.calls.insert(call, period);
        violation
    }

    fn refused(&self, time_ns: u64, call: u64) -> Option<Violation> {
        match self.state {
            State::Closed { since_ns } => Some(Violation::RefusedClosed {
                call,
                time_ns,
                since_ns,
            }),
            State::HalfOpen {
                since_ns, probes, ..
            } if probes < self.settings.probes_max && since_ns < time_ns => {
                Some(Violation::NotTried {
                    call,
                    time_ns,
                    since_ns,
                    probes,
                    probes_max: self.settings.probes_max,
                })
            }
            State::Open { .. } | State::HalfOpen { .. } => None,
        }
    }

    /// A call of the current period ended.
    fn ended(&mut self, time_ns: u64, failed: bool) {
        match &mut self.state {
            State::Closed { .. } => {
                self.count(failed);
                if self.is_over_threshold() {
                    self.enter(State::Open { since_ns: time_ns });
                }
            }
            State::Open { .. } => {}
            State::HalfOpen { .. } if failed => self.enter(State::Open { since_ns: time_ns }),
            State::HalfOpen {
                probes, successes, ..
            } => {
                *probes -= 1;
                *successes += 1;
                if *successes >= self.settings.successes_min {
                    self.enter(State::Closed { since_ns: time_ns });
                }
            }
        }
    }

    fn count(&mut self, failed: bool) {
        self.consecutive = if failed { self.consecutive + 1 } else { 0 };
        if let Threshold::Share { window, .. } = self.settings.opens {
            self.last.push_back(failed);
            self.failed += u64::from(failed);
            if self.last.len() > window {
                self.failed -= u64::from(self.last.pop_front() == Some(true));
            }
        }
    }

    fn is_over_threshold(&self) -> bool {
        match self.settings.opens {
            Threshold::Consecutive(failures) => self.consecutive >= failures,
            Threshold::Share {
                calls_min,
                failed_ppm_min,
                ..
            } => {
                let calls = self.last.len();
                let share = u128::from(self.failed) * 1_000_000;
                calls >= calls_min.max(1) && share >= u128::from(failed_ppm_min) * calls as u128
            }
        }
    }
}

#[cfg(test)]
mod tests;
