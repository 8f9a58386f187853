//! What a search remembers: configurations that failed, and states and sets by number.

use super::bits::Bits;
use rustc_hash::FxHashMap;
use std::hash::Hash;

/// How far a search is: what it has linearized, and the state that this led to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Config {
    /// All required operations below this rank are linearized.
    pub(super) position: u32,
    /// Interned.
    pub(super) state: u32,
    /// Slots of the operations of the window that are linearized.
    pub(super) window: Bits,
    /// The optional operations that are used: an interned set of their numbers.
    pub(super) used: u32,
}

/// Things by number: equal ones have equal numbers.
pub(super) struct Interned<T> {
    all: Vec<T>,
    numbers: FxHashMap<T, u32>,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Interned {
            all: Vec::new(),
            numbers: FxHashMap::default(),
        }
    }
}

impl<T: Clone + Eq + Hash> Interned<T> {
    #[inline]
    pub(super) fn intern(&mut self, thing: T) -> u32 {
        if let Some(&number) = self.numbers.get(&thing) {
            return number;
        }
        let number = self.all.len() as u32;
        self.all.push(thing.clone());
        self.numbers.insert(thing, number);
        number
    }

    #[inline]
    pub(super) fn get(&self, number: u32) -> &T {
        &self.all[number as usize]
    }

    /// In order of number.
    pub(super) fn all(&self) -> &[T] {
        &self.all
    }
}

/// Configurations from which there is no legal order.
#[derive(Default)]
pub(super) struct Failed {
    /// Position, state and window, to the first of the sets of optional operations used.
    first: FxHashMap<(u32, u32, Bits), u32>,
    /// Each with the index of the next.
    sets: Vec<(u32, Option<u32>)>,
}

impl Failed {
    /// Whether this configuration failed, or one that used fewer optional operations and is otherwise equal.
    pub(super) fn contains(&self, config: &Config, sets: &Interned<Bits>) -> bool {
        if self.sets.is_empty() {
            return false;
        }
        let key = (config.position, config.state, config.window.clone());
        let mut next = self.first.get(&key).copied();
        while let Some(index) = next {
            let (set, after) = self.sets[index as usize];
            if set == config.used || sets.get(set).is_subset_of(sets.get(config.used)) {
                return true;
            }
            next = after;
        }
        false
    }

    pub(super) fn insert(&mut self, config: Config) {
        let index = self.sets.len() as u32;
        let key = (config.position, config.state, config.window);
        let after = self.first.insert(key, index);
        self.sets.push((config.used, after));
    }
}
