//! Which keys: one, those with a prefix, or an interval (etcd: `key` and `range_end` of a request).

use super::Key;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Bound;

/// Some keys that are neighbours. The order is that of their bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum KeyRange {
    /// One key.
    Key(Key),
    /// All that begin with this; with nothing, all there are.
    Prefix(Key),
    /// From this one on.
    From(Key),
    /// From the first one on, up to the second one and without it.
    Between(Key, Key),
}

impl KeyRange {
    /// All keys.
    pub fn all() -> KeyRange {
        KeyRange::From(Key::default())
    }

    /// Whether the key is one of them.
    pub fn contains(&self, key: &str) -> bool {
        match self {
            KeyRange::Key(only) => **only == *key,
            KeyRange::Prefix(prefix) => key.starts_with(&**prefix),
            KeyRange::From(from) => **from <= *key,
            KeyRange::Between(from, to) => **from <= *key && *key < **to,
        }
    }

    /// The first key that may be one of them.
    pub fn start(&self) -> &Key {
        match self {
            KeyRange::Key(start)
            | KeyRange::Prefix(start)
            | KeyRange::From(start)
            | KeyRange::Between(start, _) => start,
        }
    }

    /// Whether no key at all can be one of them.
    pub fn is_empty(&self) -> bool {
        matches!(self, KeyRange::Between(from, to) if from >= to)
    }

    /// Whether some key can be one of both: two intervals meet where one of them begins.
    pub fn overlaps(&self, other: &KeyRange) -> bool {
        !self.is_empty()
            && !other.is_empty()
            && (self.contains(other.start()) || other.contains(self.start()))
    }

    /// Where to begin and end in an ordered map. What lies between is in the range until the first key that is not.
    pub(super) fn bounds(&self) -> (Bound<&str>, Bound<&str>) {
        match self {
            KeyRange::Key(only) => (Bound::Included(only), Bound::Included(only)),
            KeyRange::Prefix(start) | KeyRange::From(start) => {
                (Bound::Included(start), Bound::Unbounded)
            }
            KeyRange::Between(from, to) => (Bound::Included(from), Bound::Excluded(to.max(from))),
        }
    }

    /// How much it takes, in bytes.
    pub fn size_bytes(&self) -> usize {
        match self {
            KeyRange::Key(key) | KeyRange::Prefix(key) | KeyRange::From(key) => key.len(),
            KeyRange::Between(from, to) => from.len() + to.len(),
        }
    }
}

impl fmt::Display for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyRange::Key(key) => f.write_str(key),
            KeyRange::Prefix(prefix) => write!(f, "{prefix}*"),
            KeyRange::From(from) => write!(f, "{from}.."),
            KeyRange::Between(from, to) => write!(f, "{from}..{to}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn ranges() -> Vec<KeyRange> {
        let key = |text: &str| Key::from(text);
        let mut ranges = vec![KeyRange::all()];
        for a in ["", "a", "aa", "ab", "b"] {
            ranges.extend([KeyRange::Key(key(a)), KeyRange::Prefix(key(a))]);
            ranges.push(KeyRange::From(key(a)));
            ranges.extend(["", "a", "ab", "b", "c"].map(|b| KeyRange::Between(key(a), key(b))));
        }
        ranges
    }

    #[test]
    fn bounds_and_overlaps_agree_with_what_is_contained() {
        let texts = ["", "a", "aa", "aab", "ab", "abc", "b", "ba", "c"];
        let set: BTreeSet<Key> = texts.map(Key::from).into();
        for range in ranges() {
            let inside = |text: &&str| range.contains(text);
            let expected: Vec<&str> = texts.iter().copied().filter(inside).collect();
            let found = set.range::<str, _>(range.bounds()).map(|key| &**key);
            let found: Vec<&str> = found.take_while(|key| range.contains(key)).collect();
            assert_eq!(found, expected, "{range}");
            for other in ranges() {
                let meets = texts
                    .iter()
                    .any(|text| range.contains(text) && other.contains(text));
                // The texts hold every place where one of these can begin.
                assert_eq!(range.overlaps(&other), meets, "{range} and {other}");
            }
        }
    }

    #[test]
    fn a_range_that_ends_before_it_begins_is_empty() {
        let range = KeyRange::Between("b".into(), "a".into());
        assert!(range.is_empty() && !range.contains("a") && !range.contains("b"));
        let set: BTreeSet<Key> = ["a", "b"].map(Key::from).into();
        assert_eq!(set.range::<str, _>(range.bounds()).count(), 0);
    }
}
