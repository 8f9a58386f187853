//! The order that revisions give to a history: who made which, who read which, and which nobody answered.

use super::violation::NoWriter;
use super::{Operations, Settings, Violation, is_old};
use crate::linearizable::show;
use crate::models::transactional::{Answer, Item, Key, Op, Ret, Transactional, changed, seen};
use crate::{Outcome, Reason, Shown, Undecided};
use std::collections::{BTreeMap, BTreeSet};

/// A completed operation whose revision is known.
#[derive(Clone, Copy)]
pub(super) struct Placed<'a> {
    /// Its index in the history's operations.
    pub(super) id: usize,
    pub(super) op: &'a Op,
    pub(super) ret: &'a Ret,
    /// The events of its invocation and completion.
    called: usize,
    returned: usize,
}

/// An operation of unknown outcome that may have made a revision.
pub(super) struct Unsure<'a> {
    pub(super) op: &'a Op,
    pub(super) called: usize,
}

/// A revision that nobody answered.
pub(super) struct Gap<'a> {
    pub(super) revision: u64,
    /// The event before which it was made.
    pub(super) deadline: usize,
    /// What it wrote, as somebody saw who was told that this revision wrote it.
    pub(super) seen: Vec<(&'a Key, &'a Item)>,
    /// Indices into the unsure operations, ascending: those that can have made it. Nothing: any that is not
    /// [taken](Plan::taken).
    pub(super) candidates: Option<Vec<usize>>,
}

pub(super) struct Plan<'a> {
    pub(super) model: &'a Transactional,
    pub(super) operations: &'a Operations<'a>,
    pub(super) first: u64,
    /// The last revision that somebody saw.
    pub(super) last: u64,
    pub(super) writes: BTreeMap<u64, Placed<'a>>,
    pub(super) reads: BTreeMap<u64, Vec<Placed<'a>>>,
    /// Stale reads without a revision.
    pub(super) loose: Vec<Placed<'a>>,
    /// In order of invocation.
    pub(super) unsure: Vec<Unsure<'a>>,
    /// By unsure operation: whether it is the only one that can have made some revision.
    pub(super) taken: Vec<bool>,
    pub(super) gaps: Vec<Gap<'a>>,
}

impl<'a> Plan<'a> {
    /// Places the operations. Time: O(n log n).
    pub(super) fn new(
        model: &'a Transactional,
        operations: &'a Operations<'a>,
        settings: &Settings,
    ) -> Result<Self, Box<Violation>> {
        let mut plan = Plan {
            model,
            operations,
            first: settings.first_revision,
            last: settings.first_revision,
            writes: BTreeMap::new(),
            reads: BTreeMap::new(),
            loose: Vec::new(),
            unsure: Vec::new(),
            taken: Vec::new(),
            gaps: Vec::new(),
        };
        for (id, operation) in operations.iter().enumerate() {
            let called = operation.invoked.event;
            match (operation.outcome, operation.completed) {
                (Outcome::Ok(ret), Some(completed)) => plan.place(Placed {
                    id,
                    op: operation.op,
                    ret,
                    called,
                    returned: completed.event,
                })?,
                (Outcome::Info, _) if !operation.op.only_reads() => plan.unsure.push(Unsure {
                    op: operation.op,
                    called,
                }),
                _ => {}
            }
        }
        plan.taken = vec![false; plan.unsure.len()];
        plan.check_times()?;
        plan.find_gaps()?;
        plan.take_what_is_seen()?;
        Ok(plan)
    }

    fn place(&mut self, placed: Placed<'a>) -> Result<(), Box<Violation>> {
        let Placed { id, op, ret, .. } = placed;
        let Some(changed) = changed(op, &ret.answer) else {
            let operation = self.show(id);
            return Err(Violation::NoAnswerToThat { operation }.into());
        };
        let revision = match op {
            Op::At(..) if ret.answer == Answer::Compacted => return Ok(()),
            Op::At(_, revision) => *revision,
            _ => {
                let Some(revision) = ret.revision else {
                    self.loose.push(placed);
                    return Ok(());
                };
                revision
            }
        };
        if revision < self.first || changed && revision == self.first {
            return Err(Violation::BeforeFirst {
                operation: self.show(id),
                revision,
                first_revision: self.first,
            }
            .into());
        }
        self.last = self.last.max(revision);
        if !changed {
            self.reads.entry(revision).or_default().push(placed);
        } else if let Some(other) = self.writes.insert(revision, placed) {
            return Err(Violation::SameRevision {
                revision,
                first: self.show(other.id),
                second: self.show(id),
            }
            .into());
        }
        Ok(())
    }

    /// All placed operations, in order of revision: of each, first what made it, then who read it.
    fn slots(&self) -> Vec<(u64, bool, Placed<'a>)> {
        let writes = self.writes.iter();
        let mut slots: Vec<_> = writes
            .map(|(revision, placed)| (*revision, false, *placed))
            .collect();
        for (revision, reads) in &self.reads {
            slots.extend(reads.iter().map(|placed| (*revision, true, *placed)));
        }
        slots.sort_by_key(|(revision, reads, placed)| (*revision, *reads, placed.id));
        slots
    }

    /// Whether what comes later in the order had not returned before what comes earlier was invoked.
    fn check_times(&self) -> Result<(), Box<Violation>> {
        let mut latest: Option<(u64, Placed<'a>)> = None;
        let slots = self.slots();
        for slot in slots.chunk_by(|left, right| (left.0, left.1) == (right.0, right.1)) {
            for (revision, _, placed) in slot {
                let Some((revision_earlier, earlier)) = latest else {
                    continue;
                };
                if placed.returned > earlier.called {
                    continue;
                }
                return Err(Box::new(if is_old(placed.op) {
                    Violation::FromTheFuture {
                        read: self.show(placed.id),
                        revision: *revision,
                        write: self.show(earlier.id),
                    }
                } else {
                    Violation::OutOfOrder {
                        operation: self.show(earlier.id),
                        revision: revision_earlier,
                        before: self.show(placed.id),
                        revision_before: *revision,
                    }
                }));
            }
            for (revision, _, placed) in slot {
                let later = latest.is_none_or(|(_, latest)| placed.called > latest.called);
                if later && !is_old(placed.op) {
                    latest = Some((*revision, *placed));
                }
            }
        }
        Ok(())
    }

    fn find_gaps(&mut self) -> Result<(), Box<Violation>> {
        let missing = self.last - self.first - self.writes.len() as u64;
        let mut revisions = (self.first..self.last).map(|before| before + 1);
        let mut next = || revisions.find(|revision| !self.writes.contains_key(revision));
        let unknown = self.unsure.len();
        if missing > unknown as u64 {
            return Err(Violation::NoWriter {
                revision: next().unwrap_or(self.last),
                reason: NoWriter::TooFew { missing, unknown },
            }
            .into());
        }
        let gaps: Vec<u64> = std::iter::from_fn(next).collect();
        if gaps.is_empty() {
            return Ok(());
        }
        let mut slots = self.slots();
        let mut deadline = usize::MAX;
        for revision in gaps.into_iter().rev() {
            while let Some((_, _, placed)) = slots.pop_if(|slot| slot.0 >= revision) {
                deadline = deadline.min(placed.returned);
            }
            self.gaps.push(Gap {
                revision,
                deadline,
                seen: Vec::new(),
                candidates: None,
            });
        }
        self.gaps.reverse();
        Ok(())
    }

    /// Where an answer says that a revision without a writer wrote this key and value, only those that do so can have made
    /// it. If that is one, it made no other.
    fn take_what_is_seen(&mut self) -> Result<(), Box<Violation>> {
        if self.gaps.is_empty() {
            return Ok(());
        }
        let mut readers = BTreeMap::new();
        let placed = self.writes.values().chain(self.reads.values().flatten());
        for placed in placed.chain(&self.loose) {
            for (key, item) in seen(placed.op, &placed.ret.answer) {
                let revision = item.mod_revision.unwrap_or(self.first);
                if let Ok(gap) = self
                    .gaps
                    .binary_search_by_key(&revision, |gap| gap.revision)
                {
                    self.gaps[gap].seen.push((key, item));
                    readers.entry(gap).or_insert(placed.id);
                }
            }
        }
        let mut single = Vec::new();
        let mut wanted_by: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for &gap in readers.keys() {
            let Gap { deadline, seen, .. } = &mut self.gaps[gap];
            seen.sort_unstable_by_key(|(key, item)| (*key, &item.value));
            seen.dedup_by_key(|(key, item)| (*key, &item.value));
            let fits = |unsure: &Unsure<'a>| {
                unsure.called < *deadline
                    && seen
                        .iter()
                        .all(|(key, item)| unsure.op.may_put(key, &item.value))
            };
            let candidates = (0..self.unsure.len()).filter(|&index| fits(&self.unsure[index]));
            let candidates: Vec<usize> = candidates.collect();
            for &candidate in &candidates {
                wanted_by.entry(candidate).or_default().push(gap);
            }
            if candidates.len() <= 1 {
                single.push(gap);
            }
            self.gaps[gap].candidates = Some(candidates);
        }
        let mut done = BTreeSet::new();
        while let Some(gap) = single.pop() {
            let candidates = self.gaps[gap].candidates.as_deref().unwrap_or_default();
            let Some(&only) = candidates.first() else {
                return Err(Violation::NoWriter {
                    revision: self.gaps[gap].revision,
                    reason: NoWriter::NotSeen {
                        reader: self.show(readers[&gap]),
                    },
                }
                .into());
            };
            self.taken[only] = true;
            if !done.insert(gap) {
                continue;
            }
            for &other in wanted_by.get(&only).into_iter().flatten() {
                if other != gap
                    && let Some(candidates) = &mut self.gaps[other].candidates
                {
                    candidates.retain(|&candidate| candidate != only);
                    if candidates.len() <= 1 {
                        single.push(other);
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn show(&self, id: usize) -> Shown {
        show(self.model, &self.operations[id], id)
    }

    /// That it was given up, with everything in order up to the revision.
    pub(super) fn gave_up(&self, revision: u64, steps: u64) -> Reason {
        let placed = |until| {
            let reads = self.reads.range(..=until).map(|(_, reads)| reads.len());
            self.writes.range(..=until).count() + reads.sum::<usize>()
        };
        Reason {
            steps,
            undecided: vec![Undecided {
                key: None,
                linearized: placed(revision),
                operations: placed(u64::MAX) + self.loose.len(),
            }],
        }
    }
}
