//! One number that stands for everything that happened in a run.

use std::hash::{Hash, Hasher};
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

const WORDS: usize = 64;

/// A running hash over the events of a run. Words are collected and hashed a block at a time, each block seeded with
/// the hash of those before it.
#[derive(Clone, Debug)]
pub struct Digest {
    block: [u64; WORDS],
    used: usize,
    chain: u64,
}

impl Default for Digest {
    fn default() -> Digest {
        Digest::new()
    }
}

impl Digest {
    /// Of nothing yet.
    pub fn new() -> Digest {
        Digest {
            block: [0; WORDS],
            used: 0,
            chain: 0,
        }
    }

    /// Adds two words.
    #[inline]
    pub fn pair(&mut self, first: u64, second: u64) {
        self.block[self.used] = first;
        self.block[self.used + 1] = second;
        self.used += 2;
        if self.used == WORDS {
            self.chain = hash(&self.block, self.chain);
            self.used = 0;
        }
    }

    /// Adds anything that can be hashed; for what happens rarely (operations and their answers).
    pub fn value(&mut self, tag: u64, value: &impl Hash) {
        let mut hasher = Portable(Xxh3::new());
        value.hash(&mut hasher);
        self.pair(tag, hasher.finish());
    }

    /// The number, so far.
    pub fn finish(&self) -> u64 {
        hash(&self.block[..self.used], self.chain)
    }
}

fn hash(words: &[u64], seed: u64) -> u64 {
    let mut bytes = [0; WORDS * 8];
    for (bytes, word) in bytes.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    xxh3_64_with_seed(&bytes[..words.len() * 8], seed)
}

/// `Hash` of the standard library feeds integers in native byte order and `usize` at native width; a digest must not
/// depend on the machine.
struct Portable(Xxh3);

impl Hasher for Portable {
    fn finish(&self) -> u64 {
        self.0.digest()
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
    fn write_u16(&mut self, i: u16) {
        self.write(&i.to_le_bytes());
    }
    fn write_u32(&mut self, i: u32) {
        self.write(&i.to_le_bytes());
    }
    fn write_u64(&mut self, i: u64) {
        self.write(&i.to_le_bytes());
    }
    fn write_u128(&mut self, i: u128) {
        self.write(&i.to_le_bytes());
    }
    fn write_usize(&mut self, i: usize) {
        self.write(&(i as u64).to_le_bytes());
    }
    fn write_isize(&mut self, i: isize) {
        self.write(&(i as i64).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_and_its_place_count() {
        let of = |words: &[(u64, u64)]| {
            let mut digest = Digest::new();
            for &(first, second) in words {
                digest.pair(first, second);
            }
            digest.finish()
        };
        let long: Vec<(u64, u64)> = (0..100).map(|i| (i, i)).collect();
        let mut swapped = long.clone();
        swapped.swap(3, 4);
        let mut shorter = long.clone();
        shorter.pop();
        assert_eq!(of(&long), of(&long));
        let all = [
            of(&long),
            of(&swapped),
            of(&shorter),
            of(&[]),
            of(&[(0, 0)]),
        ];
        let distinct: std::collections::BTreeSet<u64> = all.into_iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
