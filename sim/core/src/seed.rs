//! One seed, split by purpose: randomness has an address.
//!
//! A stream is named by what it is *for*, never by the order in which somebody asked. So a node that draws one
//! number more does not change what its neighbour, the workload or the nemesis draws. (The fate of messages is
//! addressed more finely still, by a keyed hash per message: that is the network's business.)

use crate::{NodeId, Ratio, time::nanos};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::ParseIntError;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// The one number that decides everything random in a run.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seed(pub u64);

/// What a stream of random numbers is for: its address under a [`Seed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Draws of a node in one incarnation: the second life does not depend on how much the first one drew.
    Node {
        /// The node.
        node: NodeId,
        /// How often it had crashed.
        incarnation: u32,
    },
    /// The operations of one client process.
    Workload(u32),
    /// One source of faults of a scenario.
    Nemesis(u32),
    /// The key of the hash that decides the fate of messages.
    Network,
    /// The key of the hash that decides how long syncs take.
    Disk,
    /// What a scenario leaves to the seed.
    Scenario,
    /// Anything a user's own harness draws.
    User(u32),
}

impl Purpose {
    /// A distinct `ChaCha` stream number per purpose: the kind in the top byte, its parameters below.
    fn stream(self) -> u64 {
        let (kind, high, low) = match self {
            Purpose::Node { node, incarnation } => (1, node.index() as u64, incarnation),
            Purpose::Workload(process) => (2, 0, process),
            Purpose::Nemesis(source) => (3, 0, source),
            Purpose::Network => (4, 0, 0),
            Purpose::Disk => (5, 0, 0),
            Purpose::User(purpose) => (6, 0, purpose),
            Purpose::Scenario => (7, 0, 0),
        };
        debug_assert!(high < 1 << 24, "node ids fit in 24 bits");
        (kind << 56) | (high << 32) | u64::from(low)
    }
}

impl Seed {
    /// The stream of random numbers for one purpose.
    pub fn stream(self, purpose: Purpose) -> Rng {
        let mut chacha = ChaCha8Rng::seed_from_u64(self.0);
        chacha.set_stream(purpose.stream());
        Rng { chacha }
    }

    /// A 64-bit key for one purpose, for keyed hashes.
    pub fn key(self, purpose: Purpose) -> u64 {
        self.stream(purpose).next_u64()
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

/// Decimal, or hexadecimal after `0x`.
impl FromStr for Seed {
    type Err = ParseIntError;
    fn from_str(text: &str) -> Result<Seed, ParseIntError> {
        match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16),
            None => text.parse(),
        }
        .map(Seed)
    }
}

/// A stream of random numbers (`ChaCha8`), the same on every machine.
#[derive(Clone, Debug)]
pub struct Rng {
    chacha: ChaCha8Rng,
}

impl Rng {
    /// A uniform 64-bit number.
    pub fn next_u64(&mut self) -> u64 {
        self.chacha.next_u64()
    }

    /// A uniform number below `bound`; zero if `bound` is zero. Biased by at most `bound` / 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A uniform index into a collection of `len` elements; zero if it is empty.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// A uniform number in the range; its start if the range is empty.
    pub fn between(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (start, end) = range.into_inner();
        match end.saturating_sub(start).checked_add(1) {
            Some(width) => start + self.below(width),
            None => self.next_u64(),
        }
    }

    /// A uniform duration in the range, to the nanosecond; its start if the range is empty.
    pub fn duration(&mut self, range: RangeInclusive<Duration>) -> Duration {
        Duration::from_nanos(self.between(nanos(*range.start())..=nanos(*range.end())))
    }

    /// True with the given probability.
    pub fn chance(&mut self, ratio: Ratio) -> bool {
        ratio.hits(self.next_u64())
    }

    /// A uniform element, or `None` of an empty slice.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() {
            None
        } else {
            Some(&items[self.index(items.len())])
        }
    }

    /// Puts the items in a uniformly random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_depend_on_seed_and_purpose_only() {
        let node = |index, incarnation| Purpose::Node {
            node: NodeId::from_index(index),
            incarnation,
        };
        let purposes = [
            node(0, 0),
            node(1, 0),
            node(0, 1),
            Purpose::Workload(0),
            Purpose::Workload(1),
            Purpose::Nemesis(0),
            Purpose::Network,
            Purpose::Disk,
            Purpose::Scenario,
            Purpose::User(0),
        ];
        let draws: std::collections::BTreeSet<u64> = purposes
            .iter()
            .flat_map(|&purpose| [Seed(1).key(purpose), Seed(2).key(purpose)])
            .collect();
        assert_eq!(draws.len(), 2 * purposes.len());
        assert_eq!(Seed(7).key(node(3, 2)), Seed(7).key(node(3, 2)));
    }

    #[test]
    fn golden_draws_never_change() {
        let mut rng = Seed(42).stream(Purpose::Workload(3));
        let draws = [rng.next_u64(), rng.below(1000), rng.between(5..=9)];
        assert_eq!(
            draws, GOLDEN,
            "a changed stream makes every replay file wrong"
        );
    }
    const GOLDEN: [u64; 3] = [13_394_343_449_031_102_965, 739, 6];

    #[test]
    fn bounds_hold() {
        let mut rng = Seed(0).stream(Purpose::User(0));
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.pick::<u8>(&[]), None);
        assert_eq!(rng.between(3..=3), 3);
        let _ = rng.between(0..=u64::MAX);
        let mut seen = [false; 3];
        for _ in 0..100 {
            seen[rng.between(5..=7) as usize - 5] = true;
        }
        assert_eq!(seen, [true; 3]);
        let mut items = [1, 2, 3, 4, 5];
        rng.shuffle(&mut items);
        items.sort_unstable();
        assert_eq!(items, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn seeds_parse_in_both_bases() {
        assert_eq!("0x2A".parse(), Ok(Seed(42)));
        assert_eq!("42".parse(), Ok(Seed(42)));
        assert!("-1".parse::<Seed>().is_err() && "0x".parse::<Seed>().is_err());
    }
}
