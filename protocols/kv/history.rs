//! What has changed since the last compaction, in order (etcd: the revisions of `mvcc`, kept until `Compact`).
//!
//! Each change holds what its key was before it, so that a key's past is found from its present by going back from change to
//! change, and forgetting the oldest changes takes nothing from what the later ones say. etcd keeps it the other way
//! round, all values by revision, and must look for those that are still needed when it compacts.

use super::key_value::State;
use super::{Key, KeyValue, LeaseId, Revision, Value};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Change {
    pub(super) revision: Revision,
    pub(super) key: Key,
    /// Nothing, if it was deleted.
    pub(super) value: Option<Value>,
    pub(super) lease: Option<LeaseId>,
    pub(super) previous: State,
}

impl Change {
    /// The revision that it belongs to. A transaction makes several changes of the same one.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Whether it was written, and not deleted.
    pub fn is_put(&self) -> bool {
        self.value.is_some()
    }

    /// What the key is now; nothing, if it was deleted.
    pub fn current(&self) -> Option<KeyValue> {
        let value = self.value.as_ref()?;
        let next = self
            .previous
            .put(value.clone(), self.lease, self.revision, 0);
        next.key_value(&self.key)
    }

    /// What the key was before; nothing, if it did not exist.
    pub fn previous(&self) -> Option<KeyValue> {
        self.previous.key_value(&self.key)
    }

    /// How much it takes, in bytes.
    pub fn size_bytes(&self) -> usize {
        let length = |value: &Option<Value>| value.as_ref().map_or(0, |value| value.len());
        self.key.len() + length(&self.value) + length(&self.previous.value)
    }
}

/// So many changes are shared between clones of a store, at most.
const BLOCK: u64 = 128;

/// The changes that are kept. They are numbered from 1 on, and a number is never used again.
///
/// What is shared by clones is never changed: blocks begin at multiples of [`BLOCK`], but for the first, which begins
/// where keeping began.
#[derive(Clone, Debug)]
pub(super) struct History {
    full: VecDeque<Arc<[Change]>>,
    /// The changes after those.
    last: Vec<Change>,
    /// The position of the first change that is held: at most `begin`, as blocks are forgotten as a whole.
    held: u64,
    /// The position of the first change that counts.
    begin: u64,
    /// The position that the next change will have.
    end: u64,
}

impl Default for History {
    fn default() -> History {
        History::starting_at(1)
    }
}

impl History {
    /// Nothing yet, and the next change has this position.
    pub(super) fn starting_at(position: u64) -> History {
        History {
            full: VecDeque::new(),
            last: Vec::new(),
            held: position,
            begin: position,
            end: position,
        }
    }

    /// The position of the first change that is kept.
    pub(super) fn begin(&self) -> u64 {
        self.begin
    }

    /// The position that the next change will have.
    #[inline]
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// How many are kept.
    #[inline]
    pub(super) fn len(&self) -> u64 {
        self.end - self.begin
    }

    /// Adds a change, to be kept.
    #[inline]
    pub(super) fn push(&mut self, change: Change) {
        if self.last.capacity() == 0 {
            self.last.reserve_exact(BLOCK as usize);
        }
        self.last.push(change);
        self.end += 1;
        if self.end.is_multiple_of(BLOCK) {
            self.full.push_back(std::mem::take(&mut self.last).into());
        }
    }

    /// Counts a change that is not to be kept. None is, then.
    #[inline]
    pub(super) fn skip(&mut self) {
        debug_assert!(self.begin == self.end, "changes are kept");
        self.end += 1;
        self.begin = self.end;
        self.held = self.end;
    }

    /// Forgets the changes before this position.
    pub(super) fn forget(&mut self, before: u64) {
        self.begin = before.clamp(self.begin, self.end);
        while let Some(block) = self.full.front()
            && self.held + block.len() as u64 <= self.begin
        {
            self.held += block.len() as u64;
            self.full.pop_front();
        }
        if self.begin == self.end {
            self.last.clear();
            self.held = self.end;
        }
    }

    /// The change at this position, if it is kept.
    #[inline]
    pub(super) fn get(&self, position: u64) -> Option<&Change> {
        if position < self.begin || position >= self.end {
            return None;
        }
        let nth = (position / BLOCK - self.held / BLOCK) as usize;
        let block = self.full.get(nth).map_or(&*self.last, |block| &**block);
        let first = if nth == 0 {
            self.held
        } else {
            position / BLOCK * BLOCK
        };
        block.get((position - first) as usize)
    }

    /// The changes from this position on, or from the first that is kept.
    pub(super) fn starting_with(&self, position: u64) -> impl Iterator<Item = &Change> {
        (position.max(self.begin)..self.end).filter_map(|position| self.get(position))
    }

    /// The position of the first change of this revision or a later one. Most ask for the latest, so the search goes back
    /// from the end in steps that grow.
    pub(super) fn first_of(&self, revision: Revision) -> u64 {
        let is_before = |position| {
            self.get(position)
                .is_some_and(|change| change.revision < revision)
        };
        let (mut low, mut high, mut step) = (self.begin, self.end, 1);
        while high - low > step {
            if is_before(high - step) {
                low = high - step + 1;
                break;
            }
            high -= step;
            step *= 2;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if is_before(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// The same changes are kept, whatever else is still held.
impl PartialEq for History {
    fn eq(&self, other: &History) -> bool {
        if (self.begin, self.end) != (other.begin, other.end) {
            return false;
        }
        let shared = |position: u64| match (self.get(position), other.get(position)) {
            (Some(here), Some(there)) => std::ptr::eq(here, there) || here == there,
            (here, there) => here == there,
        };
        (self.begin..self.end).all(shared)
    }
}

impl Eq for History {}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(revision: u64) -> Change {
        Change {
            revision: Revision(revision),
            key: "k".into(),
            value: None,
            lease: None,
            previous: State::default(),
        }
    }

    fn revisions(history: &History, position: u64) -> Vec<u64> {
        let changes = history.starting_with(position);
        changes.map(|change| change.revision.0).collect()
    }

    /// Begun anywhere, with two changes of each revision, and forgotten up to anywhere.
    #[test]
    fn changes_are_found_by_position_and_by_revision() {
        for start in [1, 100, 127, 128, 129] {
            let mut history = History::starting_at(start);
            for nth in 0..600 {
                history.push(change(10 + nth / 2));
            }
            for before in [start, start + 1, start + 127, start + 301, start + 600] {
                history.forget(before);
                assert_eq!(history.get(before - 1), None);
                let skipped = before - start;
                let expected: Vec<u64> = (skipped..600).map(|nth| 10 + nth / 2).collect();
                assert_eq!(revisions(&history, 0), expected, "{start} {before}");
                for revision in 0..=320 {
                    let first = expected.iter().position(|&found| found >= revision);
                    let first = first.map_or(history.end(), |nth| before + nth as u64);
                    assert_eq!(history.first_of(Revision(revision)), first);
                }
                assert!(history.full.len() * BLOCK as usize <= 600 - skipped as usize + 256);
            }
            history.push(change(999));
            assert_eq!(revisions(&history, 0), [999]);
        }
    }

    #[test]
    fn what_is_kept_is_compared_and_not_what_is_still_held() {
        let mut long = History::starting_at(5);
        (5..300).for_each(|nth| long.push(change(nth)));
        long.forget(250);
        let mut short = History::starting_at(250);
        (250..299).for_each(|nth| short.push(change(nth)));
        assert_ne!(long, short);
        short.push(change(299));
        assert_eq!(long, short);
        let other = long.clone();
        long.push(change(300));
        short.push(change(301));
        assert_ne!(long, short);
        assert_eq!(other.len(), 50);
    }

    #[test]
    fn a_change_says_what_came_of_the_key() {
        let before = State::default().put("1".into(), None, Revision(3), 1);
        let after = Change {
            revision: Revision(5),
            key: "k".into(),
            value: Some("2".into()),
            lease: None,
            previous: before.clone(),
        };
        let current = after.current().unwrap();
        assert_eq!(
            (current.create_revision, current.mod_revision),
            (Revision(3), Revision(5))
        );
        assert_eq!((&*current.value, current.version), ("2", 2));
        assert_eq!(&*after.previous().unwrap().value, "1");
        assert!(after.is_put() && !change(1).is_put() && change(1).current().is_none());
    }
}
