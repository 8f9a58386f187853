//! Doing the operations in the order of their revisions, forwards and backwards.

use super::Violation;
use super::plan::{Gap, Placed, Plan};
use crate::Model;
use crate::models::transactional::{Item, Key, Op, Store, Undo};
use std::collections::BTreeMap;

pub(super) struct Replay<'p, 'a> {
    plan: &'p Plan<'a>,
    pub(super) store: Store,
    /// One for each revision after the first.
    undos: Vec<Undo>,
    /// How many operations were done or read, or turned out not to fit.
    pub(super) steps: u64,
}

/// How far it came.
pub(super) enum Progress {
    /// To the last revision.
    Done,
    /// To where nobody says who made the next revision.
    Gap,
    Wrong(Box<Violation>),
}

impl<'p, 'a> Replay<'p, 'a> {
    pub(super) fn new(plan: &'p Plan<'a>) -> Self {
        Replay {
            plan,
            store: plan.model.initial(),
            undos: Vec::new(),
            steps: 0,
        }
    }

    /// Reads the current revision, and goes on to the next one that has no known writer.
    pub(super) fn advance(&mut self) -> Progress {
        loop {
            let revision = self.store.revision;
            let reads = self.plan.reads.get(&revision).into_iter().flatten();
            for read in reads {
                self.steps += 1;
                if self
                    .store
                    .apply(self.plan.model.tracking, read.op, Some(read.ret))
                    .is_err()
                {
                    return self.wrong(read, revision);
                }
            }
            if revision == self.plan.last {
                return Progress::Done;
            }
            let Some(write) = self.plan.writes.get(&(revision + 1)) else {
                return Progress::Gap;
            };
            self.steps += 1;
            match self
                .store
                .apply(self.plan.model.tracking, write.op, Some(write.ret))
            {
                Ok(undo) => self.undos.push(undo),
                Err(_) => return self.wrong(write, revision + 1),
            }
        }
    }

    /// Does an operation of unknown outcome, if it changes something.
    pub(super) fn fill(&mut self, op: &Op) -> bool {
        self.steps += 1;
        match self.store.apply(self.plan.model.tracking, op, None) {
            Ok(undo) if undo.is_change() => {
                self.undos.push(undo);
                true
            }
            _ => false,
        }
    }

    /// Whether the current state is as somebody saw it.
    pub(super) fn shows(&self, gap: &Gap<'_>) -> bool {
        let has = |(key, item): &(&Key, &Item)| self.store.has_item(key, item);
        gap.seen.iter().all(has)
    }

    /// Goes on to the last revision, in an order that is known to be right.
    pub(super) fn finish(&mut self, fillers: &BTreeMap<u64, usize>) {
        while let Progress::Gap = self.advance() {
            let filler = fillers.get(&(self.store.revision + 1));
            if !filler.is_some_and(|&filler| self.fill(self.plan.unsure[filler].op)) {
                return;
            }
        }
    }

    /// Whether an old read is right in the current state, its revision apart.
    pub(super) fn reads(&self, read: &Placed<'a>) -> bool {
        match read.op {
            Op::Stale(query) => self.store.reads(query, &read.ret.answer),
            _ => false,
        }
    }

    /// Goes back to this revision.
    pub(super) fn rewind(&mut self, revision: u64) {
        while self.store.revision > revision
            && let Some(undo) = self.undos.pop()
        {
            self.store.undo(undo);
        }
    }

    fn wrong(&self, placed: &Placed<'a>, revision: u64) -> Progress {
        Progress::Wrong(Box::new(Violation::WrongAnswer {
            operation: self.plan.show(placed.id),
            revision,
            needs: self.plan.model.needs(placed.op, placed.ret),
            state: self.store.describe_touched(placed.op),
        }))
    }
}
