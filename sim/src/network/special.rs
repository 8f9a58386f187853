//! What few links have: bursts of loss, a limited capacity, a clog.

use super::Passage;
use super::latency::derive;
use crate::span::Span;
use serde::{Deserialize, Serialize};
use splitbrain_core::{Ratio, Time, nanos};
use std::time::Duration;

/// Loss that comes in bursts (Gilbert, 1960; Elliott, 1963): a link is in a good or in a bad state, each for a time that is
/// exponentially distributed, and in the bad one messages are lost. The states are a function of seed, link and time: how
/// many messages are sent does not change them. They are drawn anew for each stretch of time (16 times `good` and `bad`), so
/// that nobody need know what came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bursts {
    /// How long the good state lasts on average.
    pub good: Span,
    /// How long the bad one does.
    pub bad: Span,
    /// How often a message is lost in the bad state.
    #[serde(default = "always")]
    pub loss: Ratio,
}

fn always() -> Ratio {
    Ratio::ALWAYS
}

/// How much fits through a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// How fast it takes messages.
    pub bytes_per_s: u64,
    /// How much may wait for that; what does not fit is lost.
    pub queue_bytes: u64,
}

/// How many good and bad states there are on average in a stretch of time: a message that comes after a long silence looks
/// through one stretch, not through all that was.
const STRETCH: u64 = 16;

/// No state changes more often than this on average: a run would do nothing else.
const LEAST: Span = Span::from_millis(1);

impl Bursts {
    pub(super) fn validate(self) -> Result<(), String> {
        if self.good < LEAST || self.bad < LEAST {
            return Err("bursts: expected `good` and `bad` of at least 1ms".to_owned());
        }
        Ok(())
    }
}

impl Capacity {
    pub(super) fn validate(self) -> Result<(), String> {
        if self.bytes_per_s == 0 {
            return Err(
                "capacity: nothing fits through: expected bytes_per_s of 1 or more".to_owned(),
            );
        }
        Ok(())
    }
}

/// What a link is that is more than latency, loss and duplication, and in which state it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Special {
    bursts: Option<Bursts>,
    capacity: Option<Capacity>,
    /// How many faults clog it now.
    pub(super) clogs: u16,
    /// The stretch of time that the last message was in.
    stretch: Option<u64>,
    /// How many periods have begun in it, and when the last of them ends.
    periods: u64,
    period_ends: Time,
    /// Whether that is a bad one.
    bad: bool,
    /// When the last message that was accepted has left the sender.
    busy_until: Time,
}

impl Special {
    pub(super) fn set(&mut self, profile: &super::LinkProfile) {
        if self.bursts != profile.bursts {
            self.stretch = None;
        }
        if self.capacity != profile.capacity {
            self.busy_until = Time::ZERO;
        }
        self.bursts = profile.bursts;
        self.capacity = profile.capacity;
    }

    /// What becomes of a message of so many bytes.
    pub(super) fn passage(&mut self, key: u64, draw: u64, now: Time, size_bytes: u64) -> Passage {
        if let Some(bursts) = self.bursts
            && self.is_bad(&bursts, key, now)
            && bursts.loss.hits(draw)
        {
            return Passage::LostInBurst;
        }
        let wait_ns = match self.capacity {
            Some(capacity) => self.queue(capacity, now, size_bytes),
            None => Some(0),
        };
        match wait_ns {
            None => Passage::Overflow,
            Some(wait_ns) if self.clogs > 0 => Passage::Clogged { wait_ns },
            Some(wait_ns) => Passage::Through { wait_ns },
        }
    }

    fn is_bad(&mut self, bursts: &Bursts, key: u64, now: Time) -> bool {
        let (good_ns, bad_ns) = (nanos(bursts.good.0), nanos(bursts.bad.0));
        let length_ns = (good_ns + bad_ns) * STRETCH;
        let stretch = now.as_nanos() / length_ns;
        let key = derive(key, stretch);
        if self.stretch != Some(stretch) {
            self.stretch = Some(stretch);
            self.periods = 0;
            self.period_ends = Time::from_nanos(stretch * length_ns);
            // It begins in a bad state as likely as it is in one at any other time; what is left of a state is distributed
            // like a whole one. The loop turns it round first.
            let drawn = (u128::from(derive(key, 0)) * u128::from(good_ns + bad_ns)) >> 64;
            self.bad = drawn >= u128::from(bad_ns);
        }
        while self.period_ends <= now {
            self.bad = !self.bad;
            self.periods += 1;
            let mean_ns = if self.bad { bad_ns } else { good_ns };
            let lasts_ns = exponential(mean_ns, derive(key, self.periods));
            self.period_ends += Duration::from_nanos(lasts_ns);
        }
        self.bad
    }

    /// How long a message waits until it has left the sender, in nanoseconds; `None` if there is no room for it.
    fn queue(&mut self, capacity: Capacity, now: Time, size_bytes: u64) -> Option<u64> {
        let rate = u128::from(capacity.bytes_per_s);
        let start = self.busy_until.max(now);
        let waiting_ns = nanos(start.since(now));
        let waiting_bytes = u128::from(waiting_ns) * rate / 1_000_000_000;
        // What finds the link free need not wait, however long it is.
        if waiting_ns > 0
            && waiting_bytes + u128::from(size_bytes) > u128::from(capacity.queue_bytes)
        {
            return None;
        }
        let takes_ns =
            u64::try_from(u128::from(size_bytes) * 1_000_000_000 / rate).unwrap_or(u64::MAX);
        self.busy_until = start + Duration::from_nanos(takes_ns);
        Some(waiting_ns.saturating_add(takes_ns))
    }
}

/// An exponentially distributed time, in nanoseconds; at least one. The logarithm is the same on every machine.
#[expect(
    clippy::cast_sign_loss,
    reason = "the logarithm of a number up to one is not positive"
)]
fn exponential(mean_ns: u64, draw: u64) -> u64 {
    let uniform = ((draw >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
    ((-libm::log(uniform) * mean_ns as f64) as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::super::LinkProfile;
    use super::*;

    fn special(bursts: Option<Bursts>, capacity: Option<Capacity>) -> Special {
        let mut special = Special::default();
        let profile = LinkProfile {
            bursts,
            capacity,
            ..LinkProfile::default()
        };
        special.set(&profile);
        special
    }

    #[test]
    fn losses_come_in_bursts_of_the_right_length_and_share() {
        let bursts = Bursts {
            good: Span::from_millis(90),
            bad: Span::from_millis(10),
            loss: Ratio::ALWAYS,
        };
        let mut link = special(Some(bursts), None);
        let lost: Vec<bool> = (0..1_000_000)
            .map(|tenth_ms| {
                let now = Time::from_nanos(tenth_ms * 100_000);
                link.passage(7, derive(tenth_ms, 1), now, 1) == Passage::LostInBurst
            })
            .collect();
        let count = lost.iter().filter(|&&lost| lost).count();
        assert!((80_000..120_000).contains(&count), "a tenth: {count}");
        let bursts = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        let mean = count / bursts;
        assert!(
            (85..115).contains(&mean),
            "10 ms each, 100 messages: {mean}"
        );
    }

    #[test]
    fn the_state_depends_on_time_and_not_on_who_looks() {
        let bursts = Bursts {
            good: Span::from_millis(5),
            bad: Span::from_millis(5),
            loss: Ratio::ALWAYS,
        };
        let (mut busy, mut quiet) = (special(Some(bursts), None), special(Some(bursts), None));
        for ms in 0..1000 {
            let lost = busy.passage(3, 0, Time::from_millis(ms), 1);
            if ms % 50 == 0 {
                assert_eq!(quiet.passage(3, 0, Time::from_millis(ms), 1), lost);
            }
        }
    }

    #[test]
    fn a_narrow_link_delays_and_its_queue_overflows() {
        let capacity = Capacity {
            bytes_per_s: 1000,
            queue_bytes: 25,
        };
        let waits = |ms: u64| Passage::Through {
            wait_ns: ms * 1_000_000,
        };
        let mut link = special(None, Some(capacity));
        let mut send = |ms, bytes| link.passage(0, 0, Time::from_millis(ms), bytes);
        assert_eq!(send(0, 10), waits(10));
        assert_eq!(send(0, 10), waits(20));
        assert_eq!(send(0, 10), Passage::Overflow, "20 wait, and 5 more fit");
        assert_eq!(send(0, 5), waits(25));
        assert_eq!(send(15, 10), waits(20), "15 bytes have left");
        assert_eq!(send(100, 99), waits(99), "a free link takes anything");
    }
}
