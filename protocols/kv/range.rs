//! Reading many keys, as of now or as of an earlier revision (etcd: `RangeRequest`).

use super::key_value::State;
use super::ret::Ranged;
use super::{Key, KeyRange, KeyValue, Ret, Revision, Store, Value};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::num::NonZeroU64;

/// Which keys to read, and what to tell of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// Among which keys.
    pub keys: KeyRange,
    /// As of when; without it, as of now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// How many at most: the first ones, in the order that is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<NonZeroU64>,
    /// What to tell.
    #[serde(default, skip_serializing_if = "Shows::is_default")]
    pub shows: Shows,
    /// In which order; without it, by key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// Only those whose create revision is of these, from the first to the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<(Revision, Revision)>,
    /// Only those whose mod revision is of these, from the first to the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<(Revision, Revision)>,
}

/// What to tell of the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shows {
    /// All that is known.
    #[default]
    All,
    /// All but the values.
    Keys,
    /// How many there are, whatever the limit.
    Count,
}

impl Shows {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes fields by reference"
    )]
    fn is_default(&self) -> bool {
        *self == Shows::All
    }
}

/// By what to sort, where it is not the key. What is equal is sorted by key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// By what.
    pub by: SortBy,
    /// The greatest first.
    #[serde(default)]
    pub descending: bool,
}

/// By what to sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SortBy {
    /// The key.
    Key,
    /// When it came to be: the first is who was first.
    CreateRevision,
    /// When it was last written.
    ModRevision,
    /// How often it was written.
    Version,
    /// The value.
    Value,
}

impl Range {
    /// These keys, as of now, in their order, with all that is known.
    pub fn of(keys: KeyRange) -> Range {
        Range {
            keys,
            revision: None,
            limit: None,
            shows: Shows::All,
            order: None,
            created: None,
            modified: None,
        }
    }

    fn takes(&self, state: &State) -> bool {
        let within = |revision: Revision, bounds: Option<(Revision, Revision)>| {
            bounds.is_none_or(|(first, last)| first <= revision && revision <= last)
        };
        within(state.create_revision, self.created) && within(state.mod_revision, self.modified)
    }

    fn show(&self, key: &Key, state: &State) -> Option<KeyValue> {
        let mut shown = state.key_value(key)?;
        if self.shows == Shows::Keys {
            shown.value = Value::default();
        }
        Some(shown)
    }

    fn limit(&self) -> usize {
        let limit = self.limit.map(|limit| usize::try_from(limit.get()));
        limit.map_or(usize::MAX, |limit| limit.unwrap_or(usize::MAX))
    }
}

impl Order {
    fn compare(self, (key, state): (&Key, &State), (other, of_other): (&Key, &State)) -> Ordering {
        let order = match self.by {
            SortBy::Key => key.cmp(other),
            SortBy::CreateRevision => state.create_revision.cmp(&of_other.create_revision),
            SortBy::ModRevision => state.mod_revision.cmp(&of_other.mod_revision),
            SortBy::Version => state.version.cmp(&of_other.version),
            SortBy::Value => state.value.cmp(&of_other.value),
        };
        let order = if self.descending {
            order.reverse()
        } else {
            order
        };
        order.then_with(|| key.cmp(other))
    }
}

impl Store {
    /// Whether a revision can be read; if not, the answer to that.
    pub(super) fn check_revision(&self, revision: Option<Revision>) -> Result<(), Ret> {
        match revision {
            Some(revision) if revision > self.revision() => Err(Ret::Future(self.revision())),
            Some(revision) if revision < self.compacted() => Err(Ret::Compacted(self.compacted())),
            _ => Ok(()),
        }
    }

    /// Reads keys. `now` is the revision that the answer bears: in a transaction, the one that it is about to make.
    pub(super) fn range(&self, range: &Range, now: Revision) -> Ret {
        if let Err(refusal) = self.check_revision(range.revision) {
            return refusal;
        }
        let found = self
            .scan(&range.keys, range.revision)
            .filter(|(_, state)| range.takes(state));
        let mut answer = Ranged {
            revision: now,
            keys: Vec::new(),
            more: false,
            count: 0,
        };
        if range.shows == Shows::Count {
            answer.count = found.count() as u64;
            return Ret::Range(answer.into());
        }
        let limit = range.limit();
        match range.order {
            None => {
                let mut found = found;
                let shown = found.by_ref().take(limit);
                answer.keys = shown
                    .filter_map(|(key, state)| range.show(key, state))
                    .collect();
                answer.more = found.next().is_some();
            }
            Some(order) => {
                let mut found: Vec<(&Key, &State)> = found.collect();
                found.sort_unstable_by(|a, b| order.compare(*a, *b));
                answer.more = found.len() > limit;
                let shown = found.into_iter().take(limit);
                answer.keys = shown
                    .filter_map(|(key, state)| range.show(key, state))
                    .collect();
            }
        }
        answer.count = answer.keys.len() as u64;
        Ret::Range(answer.into())
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.shows {
            Shows::All => "range ",
            Shows::Keys => "keys of range ",
            Shows::Count => "count of range ",
        })?;
        self.keys.fmt(f)?;
        if let Some(revision) = self.revision {
            write!(f, " at {revision}")?;
        }
        if let Some(limit) = self.limit {
            write!(f, ", {limit} at most")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Op;
    use super::*;

    /// Keys a to e, of which c was written first and a last, and b twice.
    fn store() -> Store {
        let mut store = Store::keeping(100);
        for (key, value) in [
            ("c", "9"),
            ("b", "8"),
            ("d", "7"),
            ("e", "6"),
            ("b", "5"),
            ("a", "4"),
        ] {
            store.apply(&Op::put(key, value));
        }
        store
    }

    fn keys(store: &Store, range: &Range) -> (Vec<String>, bool, u64) {
        let Ret::Range(found) = store.range(range, store.revision()) else {
            panic!("{range} is refused");
        };
        let keys = found.keys.iter().map(|found| found.key.to_string());
        (keys.collect(), found.more, found.count)
    }

    #[test]
    fn limits_orders_and_bounds() {
        let store = store();
        let all = || Range::of(KeyRange::all());
        let with = |range: Range, expected: &str, more: bool| {
            let (keys, found_more, count) = keys(&store, &range);
            assert_eq!(
                (keys.concat().as_str(), found_more),
                (expected, more),
                "{range:?}"
            );
            assert_eq!(count, expected.len() as u64);
        };
        let limit = NonZeroU64::new(2);
        let by = |by, descending| Some(Order { by, descending });
        with(all(), "abcde", false);
        with(Range { limit, ..all() }, "ab", true);
        let limit_of_all = NonZeroU64::new(5);
        with(
            Range {
                limit: limit_of_all,
                ..all()
            },
            "abcde",
            false,
        );
        for (order, expected) in [
            (by(SortBy::Key, true), "ed"),
            (by(SortBy::CreateRevision, false), "cb"),
            (by(SortBy::ModRevision, true), "ab"),
            (by(SortBy::Version, true), "ba"),
            (by(SortBy::Value, false), "ab"),
        ] {
            let range = Range {
                limit,
                order,
                ..all()
            };
            with(range, expected, true);
        }
        let created = Some((Revision(3), Revision(4)));
        with(Range { created, ..all() }, "bd", false);
        let modified = Some((Revision(6), Revision(7)));
        with(Range { modified, ..all() }, "ab", false);
    }

    #[test]
    fn what_is_not_asked_for_is_not_told() {
        let store = store();
        let range = |shows| Range {
            shows,
            limit: NonZeroU64::new(1),
            ..Range::of(KeyRange::Prefix("b".into()))
        };
        let Ret::Range(found) = store.range(&range(Shows::Keys), store.revision()) else {
            panic!("refused");
        };
        assert_eq!((&*found.keys[0].value, found.keys[0].version), ("", 2));
        let count = Range {
            keys: KeyRange::all(),
            ..range(Shows::Count)
        };
        assert_eq!(keys(&store, &count), (vec![], false, 5));
    }

    #[test]
    fn the_past_is_read_as_it_was() {
        let mut store = store();
        store.apply(&Op::Delete { key: "c".into() });
        let at = |store: &Store, revision: u64| {
            let range = Range {
                revision: Some(Revision(revision)),
                ..Range::of(KeyRange::all())
            };
            store.range(&range, store.revision())
        };
        let values = |ret: Ret| {
            let Ret::Range(found) = ret else {
                panic!("{ret}");
            };
            let words = found.keys.iter().map(|found| format!("{found} "));
            words.collect::<String>()
        };
        assert_eq!(values(at(&store, 1)), "");
        assert_eq!(values(at(&store, 3)), "b = 8 c = 9 ");
        assert_eq!(values(at(&store, 8)), "a = 4 b = 5 d = 7 e = 6 ");
        assert_eq!(at(&store, 9), Ret::Future(Revision(8)));
        let revision = Revision(3);
        assert_eq!(store.apply(&Op::Compact { revision }), Ret::Done);
        assert_eq!(values(at(&store, 3)), "b = 8 c = 9 ");
        assert_eq!(at(&store, 2), Ret::Compacted(revision));
    }
}
