//! Splitting a history into groups of operations that can be checked alone.
//!
//! Two keys belong together if some operation touches both: groups are the connected components of keys
//! (union-find, Galler & Fischer 1964). Linearizability is local (Herlihy & Wing 1990) to them, as to objects.

use super::partition::Entry;
use crate::{Footprint, Model, Operation, Outcome, Touched};
use std::collections::BTreeMap;

/// Keys that belong together, and the operations on them.
pub(super) struct Group<'a, M: Model> {
    /// In order; none if the model cannot be split, or its operations touch no key.
    pub(super) keys: Vec<&'a M::Key>,
    /// In order of invocation.
    pub(super) entries: Vec<Entry<'a, M>>,
}

impl<M: Model> Group<'_, M> {
    /// The key, if it is one.
    pub(super) fn only_key(&self) -> Option<&M::Key> {
        match *self.keys {
            [key] => Some(key),
            _ => None,
        }
    }

    /// The keys in words: the first of them.
    pub(super) fn name(&self) -> Option<String> {
        const SHOWN_MAX: usize = 3;
        let mut names: Vec<String> = self.keys.iter().map(ToString::to_string).collect();
        let more = names.len().saturating_sub(SHOWN_MAX);
        names.truncate(SHOWN_MAX);
        let names = names.join(", ");
        match (self.keys.len(), more) {
            (0, _) => None,
            (_, 0) => Some(names),
            _ => Some(format!("{names} and {more} more")),
        }
    }
}

/// When an operation may take effect at the earliest: the index of an event.
pub(super) type Called<'f, Op, Ret> = &'f dyn Fn(&Operation<&Op, &Ret>) -> usize;

/// An operation that touches several keys.
type Joint<'a, M> = (Entry<'a, M>, Vec<Touched<'a, <M as Model>::Key>>);

/// Splits operations into groups, in order of their first keys. Those that failed did not happen and are left out.
///
/// Linear time, if each operation touches one key; otherwise O((n + k) log k) for `k` keys that `n` operations
/// name, however wide their ranges are.
pub(super) fn split<'a, M: Model>(
    model: &M,
    operations: &[Operation<&'a M::Op, &'a M::Ret>],
    called: Called<'_, M::Op, M::Ret>,
) -> Vec<Group<'a, M>> {
    let mut whole = Vec::new();
    let mut single: BTreeMap<&'a M::Key, Vec<Entry<'a, M>>> = BTreeMap::new();
    let mut joint: Vec<Joint<'a, M>> = Vec::new();
    for (id, operation) in operations.iter().enumerate() {
        let (ret, returned) = match operation.outcome {
            Outcome::Fail => continue,
            Outcome::Ok(ret) => (Some(ret), operation.completed.map(|at| at.event as u32)),
            Outcome::Info => (None, None),
        };
        let entry = Entry {
            op: operation.op,
            ret,
            called: called(operation) as u32,
            returned,
            id: id as u32,
            class: None,
        };
        match model.footprint(operation.op) {
            Footprint::Whole => whole.push(entry),
            Footprint::Key(key) => single.entry(key).or_default().push(entry),
            Footprint::Several(touched) => joint.push((entry, touched)),
        }
    }
    let mut groups = if whole.is_empty() {
        Components::new(single, joint).groups()
    } else {
        whole.extend(single.into_values().flatten());
        whole.extend(joint.into_iter().map(|(entry, _)| entry));
        vec![Group {
            keys: Vec::new(),
            entries: whole,
        }]
    };
    for group in &mut groups {
        group
            .entries
            .sort_unstable_by_key(|entry| (entry.called, entry.id));
    }
    groups
}

/// Keys by their place in the order of keys, joined in a forest: the root of a tree is its first key.
struct Components<'a, M: Model> {
    keys: Vec<&'a M::Key>,
    parents: Vec<usize>,
    entries: Vec<Vec<Entry<'a, M>>>,
    /// Operations on keys that nobody names.
    untouched: Vec<Entry<'a, M>>,
}

impl<'a, M: Model> Components<'a, M> {
    fn new(mut single: BTreeMap<&'a M::Key, Vec<Entry<'a, M>>>, joint: Vec<Joint<'a, M>>) -> Self {
        for (_, touched) in &joint {
            for touched in touched {
                if let Touched::Key(key) = touched {
                    single.entry(key).or_default();
                }
            }
        }
        let (keys, entries): (Vec<_>, Vec<_>) = single.into_iter().unzip();
        let mut components = Components {
            parents: (0..keys.len()).collect(),
            keys,
            entries,
            untouched: Vec::new(),
        };
        components.join(joint);
        components
    }

    fn join(&mut self, joint: Vec<Joint<'a, M>>) {
        // By key: so many ranges more (or fewer) than at the key before cover this key and the next.
        let mut spans = vec![0_isize; self.keys.len() + 1];
        let mut homes = Vec::with_capacity(joint.len());
        for (entry, touched) in joint {
            let mut home: Option<usize> = None;
            for touched in touched {
                let (from, to) = self.places(&touched);
                if from >= to {
                    continue;
                }
                spans[from] += 1;
                spans[to - 1] -= 1;
                if let Some(home) = home {
                    self.union(home, from);
                }
                home = Some(from);
            }
            homes.push((entry, home));
        }
        let mut open = 0;
        for place in 1..self.keys.len() {
            open += spans[place - 1];
            if open > 0 {
                self.union(place - 1, place);
            }
        }
        for (entry, home) in homes {
            match home {
                Some(home) => self.entries[home].push(entry),
                None => self.untouched.push(entry),
            }
        }
    }

    /// The keys touched: from the first place to before the second.
    fn places(&self, touched: &Touched<'_, M::Key>) -> (usize, usize) {
        let place = |key: &M::Key| self.keys.partition_point(|other| *other < key);
        match touched {
            Touched::Key(key) => (place(key), place(key) + 1),
            Touched::Range(from, to) => (place(from), to.map_or(self.keys.len(), place)),
        }
    }

    fn root(&mut self, mut place: usize) -> usize {
        while self.parents[place] != place {
            self.parents[place] = self.parents[self.parents[place]];
            place = self.parents[place];
        }
        place
    }

    fn union(&mut self, left: usize, right: usize) {
        let (left, right) = (self.root(left), self.root(right));
        self.parents[left.max(right)] = left.min(right);
    }

    fn groups(mut self) -> Vec<Group<'a, M>> {
        let mut places: Vec<usize> = Vec::with_capacity(self.keys.len());
        let mut groups: Vec<Group<'a, M>> = Vec::new();
        for (place, entries) in std::mem::take(&mut self.entries).into_iter().enumerate() {
            let (key, root) = (self.keys[place], self.root(place));
            if root == place {
                places.push(groups.len());
                groups.push(Group {
                    keys: vec![key],
                    entries,
                });
            } else {
                let group = places[root];
                places.push(group);
                groups[group].keys.push(key);
                groups[group].entries.extend(entries);
            }
        }
        if !self.untouched.is_empty() {
            groups.push(Group {
                keys: Vec::new(),
                entries: self.untouched,
            });
        }
        groups
    }
}
