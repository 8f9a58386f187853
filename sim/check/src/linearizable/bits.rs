//! A set of small numbers: one word in the usual case, any number of words when needed.

/// A set of numbers below the `len` it was made for.
///
/// The first 64 live inline; a set made for no more allocates nothing. Sets that are compared, by any of the
/// operators, are made for the same `len`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Bits {
    first: u64,
    rest: Box<[u64]>,
}

impl Bits {
    pub(super) fn new(len: usize) -> Bits {
        Bits {
            first: 0,
            rest: vec![0; len.saturating_sub(1) / 64].into(),
        }
    }

    #[inline]
    pub(super) fn get(&self, n: u32) -> bool {
        let word = if n < 64 {
            self.first
        } else {
            self.rest[n as usize / 64 - 1]
        };
        word >> (n % 64) & 1 == 1
    }

    #[inline]
    fn word(&mut self, n: u32) -> &mut u64 {
        if n < 64 {
            &mut self.first
        } else {
            &mut self.rest[n as usize / 64 - 1]
        }
    }

    #[inline]
    pub(super) fn insert(&mut self, n: u32) {
        *self.word(n) |= 1 << (n % 64);
    }

    #[inline]
    pub(super) fn remove(&mut self, n: u32) {
        *self.word(n) &= !(1 << (n % 64));
    }

    /// The first 64 numbers, as a mask.
    #[inline]
    pub(super) fn first_word(&self) -> u64 {
        self.first
    }

    pub(super) fn count(&self) -> u32 {
        self.first.count_ones() + self.rest.iter().map(|word| word.count_ones()).sum::<u32>()
    }

    #[inline]
    pub(super) fn is_subset_of(&self, other: &Bits) -> bool {
        self.first & !other.first == 0
            && self.rest.iter().zip(&*other.rest).all(|(a, b)| a & !b == 0)
    }

    /// The first number of `start..end` that is not in the set.
    #[inline]
    pub(super) fn first_missing(&self, start: u32, end: u32) -> Option<u32> {
        (start..end).find(|&n| !self.get(n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaves_alike_on_both_sides_of_64() {
        for len in [1, 64, 65, 128, 129, 200] {
            let mut all = Bits::new(len);
            for n in 0..len as u32 {
                let mut one = Bits::new(len);
                assert!(!all.get(n));
                one.insert(n);
                assert!(!one.is_subset_of(&all));
                all.insert(n);
                assert!(all.get(n) && one.is_subset_of(&all));
            }
            assert_eq!(all.count(), len as u32);
            assert_eq!(all.first_missing(0, len as u32), None);
            all.remove(len as u32 - 1);
            assert_eq!(all.first_missing(0, len as u32), Some(len as u32 - 1));
            assert_eq!(all.first_missing(0, len as u32 - 1), None);
            assert!(!all.get(len as u32 - 1));
            assert_eq!(all.count(), len as u32 - 1);
        }
    }
}
