//! Probabilities as integer ratios: exact, portable, readable.

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::str::FromStr;

/// A probability `numerator / denominator`, from 0 to 1.
///
/// Integers, because a run must be the same on every machine and a scenario must say exactly what it means.
/// Written `1/100`, `3%`, `0` or `1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(into = "String")]
pub struct Ratio {
    /// At most `denominator`.
    numerator: u32,
    /// At least 1.
    denominator: u32,
}

impl Ratio {
    /// Never.
    pub const NEVER: Ratio = Ratio {
        numerator: 0,
        denominator: 1,
    };
    /// Always.
    pub const ALWAYS: Ratio = Ratio {
        numerator: 1,
        denominator: 1,
    };

    /// `numerator` times out of `denominator`, or `None` if that is no probability.
    pub const fn new(numerator: u32, denominator: u32) -> Option<Ratio> {
        if denominator == 0 || numerator > denominator {
            None
        } else if numerator == 0 {
            Some(Ratio::NEVER)
        } else if numerator == denominator {
            // Written like `ALWAYS`, it must be read as the same thing.
            Some(Ratio::ALWAYS)
        } else {
            Some(Ratio {
                numerator,
                denominator,
            })
        }
    }

    /// Whether it is zero.
    pub const fn is_never(self) -> bool {
        self.numerator == 0
    }

    /// Half of it, if its denominator stays at most `most`; the same otherwise. Whatever [hits](Ratio::hits) with half of it
    /// also hits with all of it.
    #[must_use]
    pub const fn half(self, most: u32) -> Ratio {
        match self.denominator.checked_mul(2) {
            Some(denominator) if denominator <= most && !self.is_never() => Ratio {
                denominator,
                ..self
            },
            _ => self,
        }
    }

    /// Decides by a uniformly drawn 64-bit number; true with this probability, to within 2^-64.
    #[inline]
    pub const fn hits(self, draw: u64) -> bool {
        ((draw as u128 * self.denominator as u128) >> 64) < self.numerator as u128
    }

    /// How many of all 2^64 draws [hit](Ratio::hits): those below this number.
    pub const fn hitting(self) -> u128 {
        ((self.numerator as u128) << 64).div_ceil(self.denominator as u128)
    }
}

impl Default for Ratio {
    fn default() -> Ratio {
        Ratio::NEVER
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.numerator == 0 || self.numerator == self.denominator {
            write!(f, "{}", self.numerator / self.denominator)
        } else {
            write!(f, "{}/{}", self.numerator, self.denominator)
        }
    }
}

/// What was not a probability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotARatio(pub String);

impl fmt::Display for NotARatio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a probability: expected one like \"1/100\", \"3%\", \"0\" or \"1\"",
            self.0
        )
    }
}

impl std::error::Error for NotARatio {}

impl FromStr for Ratio {
    type Err = NotARatio;
    fn from_str(text: &str) -> Result<Ratio, NotARatio> {
        let number = |digits: &str| digits.trim().parse::<u32>().ok();
        let ratio = if let Some((numerator, denominator)) = text.split_once('/') {
            number(numerator).zip(number(denominator))
        } else if let Some(percent) = text.strip_suffix('%') {
            number(percent).map(|percent| (percent, 100))
        } else {
            number(text).map(|whole| (whole, 1))
        };
        ratio
            .and_then(|(numerator, denominator)| Ratio::new(numerator, denominator))
            .ok_or_else(|| NotARatio(text.to_owned()))
    }
}

/// From text, or from a bare 0 or 1.
impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Ratio, D::Error> {
        struct Written;
        impl Visitor<'_> for Written {
            type Value = Ratio;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a probability like \"1/100\", \"3%\", 0 or 1")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Ratio, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, whole: i64) -> Result<Ratio, E> {
                self.visit_str(&whole.to_string())
            }
            fn visit_u64<E: de::Error>(self, whole: u64) -> Result<Ratio, E> {
                self.visit_str(&whole.to_string())
            }
        }
        deserializer.deserialize_any(Written)
    }
}

impl From<Ratio> for String {
    fn from(ratio: Ratio) -> String {
        ratio.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_exact() {
        for draw in [0, 1, u64::MAX / 2, u64::MAX] {
            assert!(!Ratio::NEVER.hits(draw));
            assert!(Ratio::ALWAYS.hits(draw));
        }
        let half = Ratio::new(1, 2).unwrap();
        assert!(half.hits(u64::MAX / 2) && !half.hits(u64::MAX / 2 + 1));
    }

    #[test]

    fn as_many_draws_hit_as_it_says() {
        assert_eq!(Ratio::NEVER.hitting(), 0);
        assert_eq!(Ratio::ALWAYS.hitting(), 1 << 64);
        for (numerator, denominator) in [(1, 2), (1, 3), (2, 3), (1, u32::MAX), (7, 1_000_003)] {
            let ratio = Ratio::new(numerator, denominator).unwrap();
            let first_miss = u64::try_from(ratio.hitting()).unwrap();
            assert!(ratio.hits(first_miss - 1) && !ratio.hits(first_miss));
        }
    }

    #[test]
    fn half_of_it_is_half_of_it_or_the_same() {
        let small = Ratio::new(1, u32::MAX - 1).unwrap();
        assert_eq!(small.half(u32::MAX), small, "there is no room for its half");
        let third = Ratio::new(1, 3).unwrap();
        assert_eq!(
            (third.half(6), third.half(5)),
            (Ratio::new(1, 6).unwrap(), third)
        );
        assert_eq!(Ratio::NEVER.half(u32::MAX), Ratio::NEVER);
    }

    #[test]
    fn text_round_trips_and_junk_is_refused() {
        for (text, shown) in [
            ("1/100", "1/100"),
            ("3%", "3/100"),
            ("0", "0"),
            ("1", "1"),
            ("100%", "1"),
        ] {
            let ratio = text.parse::<Ratio>().unwrap();
            assert_eq!(ratio.to_string(), shown);
            assert_eq!(shown.parse::<Ratio>().unwrap(), ratio);
        }
        for junk in ["", "2", "1/0", "3/2", "-1/2", "0.5", "101%", "1/2/3", "x"] {
            assert!(junk.parse::<Ratio>().is_err(), "{junk}");
        }
    }
}
