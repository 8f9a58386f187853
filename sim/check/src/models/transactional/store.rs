//! The state: keys with their values, versions and revisions; and what an operation does to it.

use super::op::{Action, Compare, Op, Query, Relation, Span, Target, Transaction};
use super::ret::{Answer, Item, Ret};
use super::{Key, Value};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;

/// What is counted. What is not is 1 of every key that is there: a comparison with 0 still tells whether it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tracking {
    pub(crate) versions: bool,
    /// Then versions are, too.
    pub(crate) revisions: bool,
}

/// Some keys of the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Store {
    /// That of the last change; always the first one where revisions are not counted.
    pub(crate) revision: u64,
    pub(crate) keys: BTreeMap<Key, Held>,
}

/// A key that is there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    pub(crate) value: Value,
    pub(crate) version: u64,
    pub(crate) create_revision: u64,
    pub(crate) mod_revision: u64,
}

/// How to take a change back.
#[derive(Debug)]
pub(crate) struct Undo {
    revision: u64,
    /// What keys were before, in the order in which they were changed.
    keys: Vec<(Key, Option<Held>)>,
}

impl Held {
    fn is(&self, item: &Item) -> bool {
        let counts = |counted: u64, said: Option<u64>| said.is_none_or(|said| said == counted);
        self.value == item.value
            && counts(self.version, item.version)
            && counts(self.create_revision, item.create_revision)
            && counts(self.mod_revision, item.mod_revision)
    }
}

impl Store {
    pub(crate) fn new(first_revision: u64) -> Store {
        Store {
            revision: first_revision,
            keys: BTreeMap::new(),
        }
    }

    /// The keys of a range, in order.
    pub(super) fn range<'s>(&'s self, span: &'s Span) -> impl Iterator<Item = (&'s Key, &'s Held)> {
        let from = Bound::Included(&*span.from);
        // A map takes no range that ends before it starts.
        let empty = span.to.as_ref().is_some_and(|to| *to <= span.from);
        let to = match &span.to {
            Some(to) if !empty => Bound::Excluded(&**to),
            Some(_) => Bound::Included(&*span.from),
            None => Bound::Unbounded,
        };
        let range = self.keys.range::<str, _>((from, to));
        range.take_while(move |_| !empty)
    }

    /// Whether a read of this state can have answered that.
    pub(crate) fn reads(&self, query: &Query, answer: &Answer) -> bool {
        match (query, answer) {
            (Query::Get { key }, Answer::Value(item)) => match (self.keys.get(key), item) {
                (Some(held), Some(item)) => held.is(item),
                (held, item) => held.is_none() && item.is_none(),
            },
            (
                Query::Range {
                    span,
                    limit,
                    count_only,
                },
                Answer::Range { entries, count },
            ) => {
                let shown = if *count_only {
                    0
                } else {
                    limit.unwrap_or(u64::MAX) as usize
                };
                let mut said = entries.iter();
                let alike = self.range(span).take(shown).all(|(key, held)| {
                    said.next()
                        .is_some_and(|(other, item)| key == other && held.is(item))
                });
                alike
                    && said.next().is_none()
                    && count.is_none_or(|count| count == self.range(span).count() as u64)
            }
            _ => false,
        }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let held = self.keys.get(&compare.key);
        let count = |counted: fn(&Held) -> u64| held.map_or(0, counted);
        let order = match &compare.target {
            Target::Value(value) => match held {
                Some(held) => held.value.cmp(value),
                None => return false,
            },
            Target::Version(version) => count(|held| held.version).cmp(version),
            Target::CreateRevision(revision) => count(|held| held.create_revision).cmp(revision),
            Target::ModRevision(revision) => count(|held| held.mod_revision).cmp(revision),
            Target::Exists(exists) => held.is_some().cmp(exists),
        };
        match compare.is {
            Relation::Equal => order == Ordering::Equal,
            Relation::NotEqual => order != Ordering::Equal,
            Relation::Greater => order == Ordering::Greater,
            Relation::Less => order == Ordering::Less,
        }
    }

    /// What is done, and whether the comparisons held.
    fn branch<'t>(&self, transaction: &'t Transaction) -> (bool, &'t [Action]) {
        let holds = transaction
            .compare
            .iter()
            .all(|compare| self.holds(compare));
        (holds, transaction.branch(holds))
    }

    /// The state after `op` answered `ret`: see [`crate::Model::step`].
    pub(super) fn step(&self, tracking: Tracking, op: &Op, ret: Option<&Ret>) -> Option<Store> {
        if self.is_plainly_wrong(op, ret) {
            return None;
        }
        let mut next = self.clone();
        next.apply(tracking, op, ret).ok()?;
        Some(next)
    }

    /// Whether it can be seen without a copy of the state that this cannot be the answer.
    fn is_plainly_wrong(&self, op: &Op, ret: Option<&Ret>) -> bool {
        match (op, ret.map(|ret| &ret.answer)) {
            (Op::One(Action::Read(query)), Some(answer)) => !self.reads(query, answer),
            (Op::CompareAndSet { key, expected, .. }, Some(Answer::Swapped(swapped))) => {
                self.has(key, expected.as_ref()) != *swapped
            }
            (Op::Transaction(transaction), Some(Answer::Transaction { succeeded, .. })) => {
                self.branch(transaction).0 != *succeeded
            }
            _ => false,
        }
    }

    /// Whether the key is as an answer shows it.
    pub(crate) fn has_item(&self, key: &Key, item: &Item) -> bool {
        self.keys.get(key).is_some_and(|held| held.is(item))
    }

    /// The keys that an operation touches, in words.
    pub(crate) fn describe_touched(&self, op: &Op) -> String {
        super::words::describe_touched(op, self)
    }

    fn has(&self, key: &Key, value: Option<&Value>) -> bool {
        self.keys.get(key).map(|held| &held.value) == value
    }

    /// Does `op` to the state, if it can answer that.
    ///
    /// # Errors
    /// If it cannot. Then the state is as it was.
    pub(crate) fn apply(
        &mut self,
        tracking: Tracking,
        op: &Op,
        ret: Option<&Ret>,
    ) -> Result<Undo, NotThisAnswer> {
        let mut undo = Undo {
            revision: self.revision,
            keys: Vec::new(),
        };
        let answer = ret.map(|ret| &ret.answer);
        let mut fits = self.try_apply(tracking, op, answer, &mut undo);
        if tracking.revisions && !undo.keys.is_empty() {
            self.revision += 1;
        }
        fits &= match (op, ret.and_then(|ret| ret.revision)) {
            (_, None) => true,
            // That of the store when an old state was read, which may be any later one.
            (Op::At(_, revision), Some(said)) => said >= *revision,
            (_, Some(said)) => said == self.revision,
        };
        if fits {
            return Ok(undo);
        }
        self.undo(undo);
        Err(NotThisAnswer)
    }

    /// Does it, or a part of it if it cannot answer that.
    fn try_apply(
        &mut self,
        tracking: Tracking,
        op: &Op,
        answer: Option<&Answer>,
        undo: &mut Undo,
    ) -> bool {
        match op {
            Op::One(action) => self.act(tracking, action, answer, undo),
            Op::CompareAndSet {
                key,
                expected,
                value,
            } => {
                let swaps = self.has(key, expected.as_ref());
                if swaps {
                    self.put(tracking, key, value, undo);
                }
                answer.is_none_or(|answer| *answer == Answer::Swapped(swaps))
            }
            Op::Transaction(transaction) => {
                let (holds, actions) = self.branch(transaction);
                let answers = match answer {
                    None => None,
                    Some(Answer::Transaction { succeeded, answers })
                        if *succeeded == holds && answers.len() == actions.len() =>
                    {
                        Some(answers)
                    }
                    Some(_) => return false,
                };
                actions.iter().enumerate().all(|(index, action)| {
                    let answer = answers.map(|answers| &answers[index]);
                    self.act(tracking, action, answer, undo)
                })
            }
            Op::Stale(query) => answer.is_none_or(|answer| self.reads(query, answer)),
            Op::At(query, revision) => answer.is_none_or(|answer| {
                *answer == Answer::Compacted
                    || self.revision == *revision && self.reads(query, answer)
            }),
        }
    }

    fn act(
        &mut self,
        tracking: Tracking,
        action: &Action,
        answer: Option<&Answer>,
        undo: &mut Undo,
    ) -> bool {
        let expected = match action {
            Action::Read(query) => return answer.is_none_or(|answer| self.reads(query, answer)),
            Action::Put { key, value } => {
                self.put(tracking, key, value, undo);
                Answer::Written
            }
            Action::Delete { key } => Answer::Deleted(self.delete(key, undo)),
            Action::DeleteRange(span) => {
                let keys: Vec<Key> = self.range(span).map(|(key, _)| key.clone()).collect();
                Answer::Deleted(keys.iter().map(|key| self.delete(key, undo)).sum())
            }
        };
        answer.is_none_or(|answer| *answer == expected)
    }

    fn put(&mut self, tracking: Tracking, key: &Key, value: &Value, undo: &mut Undo) {
        let before = self.keys.get(key);
        let revision = if tracking.revisions {
            undo.revision + 1
        } else {
            1
        };
        let version = match before {
            Some(before) if tracking.versions || tracking.revisions => before.version + 1,
            _ => 1,
        };
        let held = Held {
            value: value.clone(),
            version,
            create_revision: before.map_or(revision, |before| before.create_revision),
            mod_revision: revision,
        };
        let before = self.keys.insert(key.clone(), held);
        undo.keys.push((key.clone(), before));
    }

    fn delete(&mut self, key: &Key, undo: &mut Undo) -> u64 {
        let Some(before) = self.keys.remove(key) else {
            return 0;
        };
        undo.keys.push((key.clone(), Some(before)));
        1
    }

    /// Takes back the last change.
    pub(crate) fn undo(&mut self, undo: Undo) {
        self.revision = undo.revision;
        for (key, before) in undo.keys.into_iter().rev() {
            match before {
                Some(held) => self.keys.insert(key, held),
                None => self.keys.remove(&key),
            };
        }
    }
}

impl Undo {
    /// Whether there is anything to take back.
    pub(crate) fn is_change(&self) -> bool {
        !self.keys.is_empty()
    }
}

/// The operation would have answered otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotThisAnswer;

/// Whether an operation that answered this changed the store, if it is an answer to it at all.
pub(crate) fn changed(op: &Op, answer: &Answer) -> Option<bool> {
    match (op, answer) {
        (Op::One(action), _) => acted(action, answer),
        (Op::CompareAndSet { .. }, Answer::Swapped(swapped)) => Some(*swapped),
        (Op::Transaction(transaction), Answer::Transaction { succeeded, answers }) => {
            let actions = transaction.branch(*succeeded);
            let mut any = (actions.len() == answers.len()).then_some(false);
            for (action, answer) in actions.iter().zip(answers) {
                any = Some(any? | acted(action, answer)?);
            }
            any
        }
        (Op::Stale(query) | Op::At(query, _), _) => acted(&Action::Read(query.clone()), answer)
            .or(matches!((op, answer), (Op::At(..), Answer::Compacted)).then_some(false)),
        _ => None,
    }
}

/// The keys that an answer shows, with what it says of them.
pub(crate) fn seen<'a>(op: &'a Op, answer: &'a Answer) -> Vec<(&'a Key, &'a Item)> {
    match (op, answer) {
        (Op::One(Action::Read(query)) | Op::Stale(query) | Op::At(query, _), _) => {
            read(query, answer)
        }
        (Op::Transaction(transaction), Answer::Transaction { succeeded, answers }) => {
            let actions = transaction.branch(*succeeded).iter().zip(answers);
            let read = actions.flat_map(|(action, answer)| match action {
                Action::Read(query) => read(query, answer),
                _ => Vec::new(),
            });
            read.collect()
        }
        _ => Vec::new(),
    }
}

fn read<'a>(query: &'a Query, answer: &'a Answer) -> Vec<(&'a Key, &'a Item)> {
    match (query, answer) {
        (Query::Get { key }, Answer::Value(Some(item))) => vec![(key, item)],
        (_, Answer::Range { entries, .. }) => {
            entries.iter().map(|(key, item)| (key, item)).collect()
        }
        _ => Vec::new(),
    }
}

fn acted(action: &Action, answer: &Answer) -> Option<bool> {
    match (action, answer) {
        (Action::Read(Query::Get { .. }), Answer::Value(_))
        | (Action::Read(Query::Range { .. }), Answer::Range { .. }) => Some(false),
        (Action::Put { .. }, Answer::Written) => Some(true),
        (Action::Delete { .. } | Action::DeleteRange(_), Answer::Deleted(deleted)) => {
            Some(*deleted > 0)
        }
        _ => None,
    }
}
