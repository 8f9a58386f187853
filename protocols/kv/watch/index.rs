//! Who is to be told of a key: without asking everybody.

use super::super::{Key, KeyRange};
use std::collections::BTreeMap;

/// Watchers by what they watch. A watcher is the number of its place.
///
/// One key, and all with a prefix, are what most are about: they are found by look-ups. Other intervals are kept sorted.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    keys: BTreeMap<Key, Vec<usize>>,
    prefixes: BTreeMap<Key, Vec<usize>>,
    /// How many different prefixes there are of each length, in bytes.
    lengths: BTreeMap<usize, usize>,
    intervals: Intervals,
}

impl Index {
    pub(super) fn insert(&mut self, range: &KeyRange, watcher: usize) {
        match range {
            KeyRange::Key(key) => add(&mut self.keys, key, watcher),
            KeyRange::Prefix(prefix) => {
                if !self.prefixes.contains_key(prefix) {
                    *self.lengths.entry(prefix.len()).or_default() += 1;
                }
                add(&mut self.prefixes, prefix, watcher);
            }
            KeyRange::From(_) | KeyRange::Between(..) => self.intervals.insert(range, watcher),
        }
    }

    pub(super) fn remove(&mut self, range: &KeyRange, watcher: usize) {
        match range {
            KeyRange::Key(key) => {
                take(&mut self.keys, key, watcher);
            }
            KeyRange::Prefix(prefix) => {
                if take(&mut self.prefixes, prefix, watcher)
                    && let Some(count) = self.lengths.get_mut(&prefix.len())
                {
                    *count -= 1;
                    if *count == 0 {
                        self.lengths.remove(&prefix.len());
                    }
                }
            }
            KeyRange::From(_) | KeyRange::Between(..) => self.intervals.remove(watcher),
        }
    }

    /// To be called before [`matching`](Index::matching), if anything was inserted or removed.
    pub(super) fn sort(&mut self) {
        self.intervals.sort();
    }

    /// All watchers of the key.
    pub(super) fn matching(&self, key: &str, mut tell: impl FnMut(usize)) {
        let mut all = |watchers: Option<&Vec<usize>>| {
            let watchers = watchers.into_iter().flatten();
            watchers.for_each(|watcher| tell(*watcher));
        };
        all(self.keys.get(key));
        for length in self.lengths.keys() {
            let Some(prefix) = key.get(..*length) else {
                // Too long, or in the middle of a letter.
                continue;
            };
            all(self.prefixes.get(prefix));
        }
        self.intervals.containing(key, &mut tell);
    }
}

fn add(map: &mut BTreeMap<Key, Vec<usize>>, key: &Key, watcher: usize) {
    let watchers = map.entry(key.clone()).or_default();
    if let Err(place) = watchers.binary_search(&watcher) {
        watchers.insert(place, watcher);
    }
}

/// Whether it was the last.
fn take(map: &mut BTreeMap<Key, Vec<usize>>, key: &Key, watcher: usize) -> bool {
    let Some(watchers) = map.get_mut(key) else {
        return false;
    };
    if let Ok(place) = watchers.binary_search(&watcher) {
        watchers.remove(place);
    }
    let is_last = watchers.is_empty();
    if is_last {
        map.remove(key);
    }
    is_last
}

/// Intervals in the order of their beginnings, as a balanced tree: the one in the middle is its root, those before it and after
/// it are its subtrees. Each knows the latest end in its subtree, so that subtrees that end too early are passed over.
#[derive(Clone, Debug, Default)]
struct Intervals {
    by_watcher: BTreeMap<usize, (Key, End)>,
    sorted: Vec<Interval>,
    /// Whether `sorted` is what `by_watcher` says.
    is_sorted: bool,
}

#[derive(Clone, Debug)]
struct Interval {
    start: Key,
    end: End,
    latest_end: End,
    watcher: usize,
}

/// Up to this key and without it; or all there are. In this order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Before(Key),
    Never,
}

impl End {
    fn is_after(&self, key: &str) -> bool {
        match self {
            End::Before(end) => key < &**end,
            End::Never => true,
        }
    }
}

impl Intervals {
    fn insert(&mut self, range: &KeyRange, watcher: usize) {
        let end = match range {
            KeyRange::Between(_, end) => End::Before(end.clone()),
            _ => End::Never,
        };
        let interval = (range.start().clone(), end);
        self.by_watcher.insert(watcher, interval);
        self.is_sorted = false;
    }

    fn remove(&mut self, watcher: usize) {
        self.by_watcher.remove(&watcher);
        self.is_sorted = false;
    }

    fn sort(&mut self) {
        if self.is_sorted {
            return;
        }
        let intervals = self
            .by_watcher
            .iter()
            .map(|(watcher, (start, end))| Interval {
                start: start.clone(),
                end: end.clone(),
                latest_end: end.clone(),
                watcher: *watcher,
            });
        self.sorted = intervals.collect();
        self.sorted
            .sort_unstable_by(|a, b| (&a.start, a.watcher).cmp(&(&b.start, b.watcher)));
        note_latest_end(&mut self.sorted);
        self.is_sorted = true;
    }

    fn containing(&self, key: &str, tell: &mut impl FnMut(usize)) {
        debug_assert!(self.is_sorted || self.by_watcher.is_empty());
        containing(&self.sorted, key, tell);
    }
}

/// The latest end in a subtree.
fn note_latest_end(tree: &mut [Interval]) -> Option<&End> {
    let middle = tree.len() / 2;
    let (before, rest) = tree.split_at_mut(middle);
    let (root, after) = rest.split_first_mut()?;
    for end in [note_latest_end(before), note_latest_end(after)] {
        if let Some(end) = end.filter(|end| **end > root.latest_end) {
            root.latest_end = end.clone();
        }
    }
    Some(&root.latest_end)
}

fn containing(tree: &[Interval], key: &str, tell: &mut impl FnMut(usize)) {
    let (before, rest) = tree.split_at(tree.len() / 2);
    let Some((root, after)) = rest.split_first() else {
        return;
    };
    if !root.latest_end.is_after(key) {
        return;
    }
    containing(before, key, tell);
    if *root.start <= *key {
        if root.end.is_after(key) {
            tell(root.watcher);
        }
        containing(after, key, tell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = Key> {
        "[aäb]{0,4}".prop_map(Key::from)
    }

    fn key_range() -> impl Strategy<Value = KeyRange> {
        prop_oneof![
            text().prop_map(KeyRange::Key),
            text().prop_map(KeyRange::Prefix),
            text().prop_map(KeyRange::From),
            (text(), text()).prop_map(|(from, to)| KeyRange::Between(from, to)),
        ]
    }

    proptest! {
        #[test]
        fn whoever_watches_a_key_is_found_and_nobody_else(
            ranges in prop::collection::vec((key_range(), any::<bool>()), 0..60),
            keys in prop::collection::vec(text(), 1..20),
        ) {
            let mut index = Index::default();
            for (watcher, (range, _)) in ranges.iter().enumerate() {
                index.insert(range, watcher);
            }
            for gone in [false, true] {
                if gone {
                    for (watcher, (range, stays)) in ranges.iter().enumerate() {
                        if !stays {
                            index.remove(range, watcher);
                        }
                    }
                }
                index.sort();
                for key in &keys {
                    let mut found = Vec::new();
                    index.matching(key, |watcher| found.push(watcher));
                    found.sort_unstable();
                    let watches = |&watcher: &usize| {
                        let (range, stays) = &ranges[watcher];
                        (*stays || !gone) && range.contains(key)
                    };
                    let expected: Vec<usize> = (0..ranges.len()).filter(watches).collect();
                    prop_assert_eq!(found, expected, "{}", key);
                }
            }
            prop_assert_eq!(index.lengths.values().sum::<usize>(), index.prefixes.len());
        }
    }
}
