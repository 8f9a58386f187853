//! How long a message travels.

use crate::span::Span;
use serde::{Deserialize, Serialize};
use splitbrain_core::{Ratio, nanos};
use std::fmt;

/// The delays of a link, or of a disk: a body and a long tail.
///
/// The body is uniform from `min` to `2 mean - min`, so that its mean is `mean` and what can overtake what is plain
/// to see. With probability `tail`, a delay is drawn from the tail instead: from the end of the body up to `tail_max`,
/// every doubling equally likely, as in the queues of real networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// The least delay.
    pub min: Span,
    /// The mean of the body; at least `min`.
    pub mean: Span,
    /// How often the tail is drawn.
    #[serde(default)]
    pub tail: Ratio,
    /// The largest delay of the tail.
    #[serde(default)]
    pub tail_max: Span,
}

impl Latency {
    /// Always this long.
    pub fn constant(delay: Span) -> Latency {
        Latency {
            min: delay,
            mean: delay,
            tail: Ratio::NEVER,
            tail_max: Span::default(),
        }
    }

    /// Between these two, with no tail.
    pub fn uniform(min: Span, max: Span) -> Latency {
        let mean = Span((min.0 + max.0) / 2);
        Latency {
            min,
            mean,
            tail: Ratio::NEVER,
            tail_max: Span::default(),
        }
    }

    /// The same body without the tail.
    #[must_use]
    pub fn without_tail(self) -> Latency {
        Latency {
            tail: Ratio::NEVER,
            ..self
        }
    }

    /// The same body, and no trace of a tail.
    #[must_use]
    pub(crate) fn plain(self) -> Latency {
        Latency {
            tail_max: Span::default(),
            ..self.without_tail()
        }
    }

    /// Says what is wrong with it, if anything is.
    ///
    /// # Errors
    /// A mean below the minimum; a tail that ends within the body.
    pub fn validate(&self) -> Result<(), String> {
        if self.mean.0 < self.min.0 {
            return Err(format!(
                "latency: mean {} is less than min {}",
                self.mean, self.min
            ));
        }
        let body_max = (self.mean.0 * 2).saturating_sub(self.min.0);
        if !self.tail.is_never() && self.tail_max.0 <= body_max {
            return Err(format!(
                "latency: tail_max {} must be more than {}, where the body ends (2 mean - min)",
                self.tail_max,
                Span(body_max)
            ));
        }
        Ok(())
    }
}

/// `1ms..9ms`, `1ms..9ms, 1/20 up to 300ms`.
impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = Span((self.mean.0 * 2).saturating_sub(self.min.0));
        if end == self.min {
            write!(f, "{}", self.min)?;
        } else {
            write!(f, "{}..{end}", self.min)?;
        }
        if self.tail.is_never() {
            return Ok(());
        }
        write!(f, ", {} up to {}", self.tail, self.tail_max)
    }
}

/// A [`Latency`] made ready for drawing.
#[derive(Clone, Copy, Debug)]
pub struct Delays {
    min_ns: u64,
    width_ns: u64,
    tail: Ratio,
    tail_max_ns: u64,
}

impl Delays {
    /// Of this latency.
    pub fn new(latency: &Latency) -> Delays {
        let min_ns = nanos(latency.min.0);
        let width_ns = nanos(latency.mean.0)
            .saturating_sub(min_ns)
            .saturating_mul(2);
        Delays {
            min_ns,
            width_ns,
            tail: latency.tail,
            tail_max_ns: nanos(latency.tail_max.0),
        }
    }

    /// The delay in nanoseconds that a uniformly drawn number stands for.
    #[inline]
    pub fn draw(&self, draw: u64) -> u64 {
        if !self.tail.is_never() && self.tail.hits(derive(draw, 1)) {
            return self.draw_tail(derive(draw, 2));
        }
        self.min_ns
            .saturating_add(((u128::from(draw) * (u128::from(self.width_ns) + 1)) >> 64) as u64)
    }

    /// Uniform in the logarithm, in integers: first which doubling, then where within it.
    fn draw_tail(&self, draw: u64) -> u64 {
        let body_max = self.min_ns.saturating_add(self.width_ns).max(1);
        let doublings = (self.tail_max_ns / body_max).max(1).ilog2() + 1;
        let doubling = derive(draw, 1) % u64::from(doublings);
        let start = body_max << doubling;
        let end = start.saturating_mul(2).min(self.tail_max_ns);
        let width = end.saturating_sub(start);
        start + ((u128::from(draw) * u128::from(width)) >> 64) as u64
    }
}

/// Another uniform number from a uniform one: the finaliser of `SplitMix64` (Steele, Lea and Flood, 2014).
#[inline]
pub(crate) fn derive(draw: u64, nth: u64) -> u64 {
    let mut z = draw.wrapping_add(nth.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn ms(ms: u64) -> Span {
        Span(Duration::from_millis(ms))
    }

    #[test]
    fn draws_keep_the_bounds_and_the_mean() {
        let tail = Ratio::new(1, 10).unwrap();
        let latency = Latency {
            min: ms(1),
            mean: ms(5),
            tail,
            tail_max: ms(200),
        };
        latency.validate().unwrap();
        let delays = Delays::new(&latency);
        let draws: Vec<u64> = (0..100_000).map(|i| delays.draw(derive(i, 7))).collect();
        let (body, tail): (Vec<u64>, Vec<u64>) = draws.iter().partition(|&&d| d <= 9_000_000);
        assert!(draws.iter().all(|d| (1_000_000..=200_000_000).contains(d)));
        let mean = body.iter().sum::<u64>() / body.len() as u64;
        assert!((4_950_000..5_050_000).contains(&mean), "{mean}");
        assert!((9_500..10_500).contains(&tail.len()), "{}", tail.len());
        let long = tail.iter().filter(|&&d| d > 100_000_000).count();
        assert!(
            long > tail.len() / 10,
            "the far end of the tail is reached: {long}"
        );
    }

    #[test]
    fn a_constant_latency_is_constant_and_zero_is_allowed() {
        for span in [ms(0), ms(3)] {
            let delays = Delays::new(&Latency::constant(span));
            assert!((0..100).all(|i| u128::from(delays.draw(derive(i, 1))) == span.0.as_nanos()));
        }
    }

    #[test]
    fn contradictions_are_named() {
        let contradiction = Latency {
            mean: ms(1),
            ..Latency::constant(ms(2))
        };
        assert!(
            contradiction
                .validate()
                .unwrap_err()
                .contains("less than min")
        );
        let short_tail = Latency {
            tail: Ratio::ALWAYS,
            ..Latency::constant(ms(2))
        };
        assert!(short_tail.validate().unwrap_err().contains("tail_max"));
    }
}
