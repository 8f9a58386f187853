//! Leaving operations out of an illegal history, so that what remains is illegal for the same reason.
//!
//! It is not enough that the rest is illegal too: without the write that somebody read, anything is. What is
//! left out must not be missed, in this sense. Let the full operations run in any legal order, and
//! beside them the remaining ones alone, in the same order. If at every moment what comes next in the first is also
//! possible in the second, then a legal order of the full operations contains one of the rest; and since the
//! rest has none, neither have the full.

use super::alike::{IMPOSSIBLE, tabulate};
use super::partition::Entry;
use super::search::{Progress, Search};
use crate::Model;
use rustc_hash::FxHashSet;

/// Steps for each question whether fewer operations are still illegal. Out of steps, they stay.
pub(super) const STEPS: u64 = 20_000;
/// Steps for all the questions of a counterexample.
const EFFORT: u64 = 400_000;
/// Steps for the table of what each operation does in each state. Beyond, only reads are left out.
const TABLE_STEPS: usize = 50_000;
/// Pairs of states looked at to answer whether operations are missed. Beyond, they stay.
const PAIRS_MAX: usize = 4_000;

/// What is left of the steps for a counterexample. When there are none, no question is answered with yes.
pub(super) struct Effort {
    left: u64,
}

impl Effort {
    pub(super) fn new() -> Effort {
        Effort { left: EFFORT }
    }

    fn spend(&mut self, steps: u64) {
        self.left = self.left.saturating_sub(steps);
    }

    /// Whether there is no legal order from any of the states.
    pub(super) fn is_illegal<M: Model>(
        &mut self,
        model: &M,
        starts: &[M::State],
        entries: &[Entry<'_, M>],
    ) -> bool {
        starts.iter().all(|start| {
            let mut search = Search::new(model, entries, start.clone());
            let progress = search.run(STEPS.min(self.left));
            self.spend(search.steps() + entries.len() as u64);
            progress == Progress::Invalid
        })
    }

    /// Leaves out as many of the entries, which are illegal from any of the states, as it can, greedily.
    pub(super) fn reduce<M: Model>(
        &mut self,
        model: &M,
        starts: &[M::State],
        entries: &mut Vec<Entry<'_, M>>,
    ) {
        let table = tabulate(model, starts, entries, TABLE_STEPS);
        let steps = table
            .as_ref()
            .map_or(TABLE_STEPS, |table| table.len() * entries.len());
        self.spend(steps as u64);
        let mut reduction = Reduction {
            model,
            starts,
            entries,
            table,
            kept: vec![true; entries.len()],
            effort: self,
        };
        reduction.run();
        let mut kept = reduction.kept.into_iter();
        entries.retain(|_| kept.next() == Some(true));
    }
}

struct Reduction<'a, 'e, M: Model> {
    model: &'e M,
    starts: &'e [M::State],
    entries: &'e [Entry<'a, M>],
    table: Option<Vec<Vec<u32>>>,
    kept: Vec<bool>,
    effort: &'e mut Effort,
}

impl<M: Model> Reduction<'_, '_, M> {
    fn run(&mut self) {
        let required = |entry: &Entry<'_, M>| entry.returned.is_some();
        // One operation that is impossible whatever happens: the last to return is what the search failed at.
        let last = (0..self.entries.len()).max_by_key(|&index| self.entries[index].returned);
        if self.keep_only(|index| Some(index) == last) {
            return;
        }
        self.keep_only(|index| required(&self.entries[index]));
        let mut changed = true;
        while changed {
            changed = false;
            for left_out in (0..self.entries.len()).rev() {
                changed |= self.kept[left_out] && self.keep_only(|index| index != left_out);
            }
        }
    }

    /// Leaves out the others, if the rest is still illegal and does not miss them.
    fn keep_only(&mut self, keep: impl Fn(usize) -> bool) -> bool {
        let rest: Vec<bool> = (0..self.kept.len())
            .map(|i| self.kept[i] && keep(i))
            .collect();
        if self.effort.left == 0 {
            return false;
        }
        let entries = self.entries.iter().zip(&rest).filter(|(_, kept)| **kept);
        let entries: Vec<_> = entries.map(|(entry, _)| *entry).collect();
        let fine = self.effort.is_illegal(self.model, self.starts, &entries) && !self.misses(&rest);
        if fine {
            self.kept = rest;
        }
        fine
    }

    /// Whether the rest could miss what is kept now.
    fn misses(&mut self, rest: &[bool]) -> bool {
        let Some(table) = &self.table else {
            let now = self.entries.iter().zip(&self.kept).zip(rest);
            let mut left_out = now.filter(|((_, kept), rest)| **kept && !**rest);
            return !left_out.all(|((entry, _), _)| entry.is_read_only(self.model));
        };
        // The state with all operations, and the state with the rest of them.
        let mut pairs: Vec<(u32, u32)> = (0..self.starts.len() as u32).map(|s| (s, s)).collect();
        let mut known: FxHashSet<(u32, u32)> = pairs.iter().copied().collect();
        while let Some((with, without)) = pairs.pop() {
            self.effort.spend(self.entries.len() as u64 / 4 + 1);
            for index in (0..self.entries.len()).filter(|&index| self.kept[index]) {
                let after = table[with as usize][index];
                if after == IMPOSSIBLE {
                    continue;
                }
                let instead = match table[without as usize][index] {
                    _ if !rest[index] => without,
                    // An optional operation that had no effect can be left out of the order as well.
                    IMPOSSIBLE if after == with && self.entries[index].returned.is_none() => {
                        without
                    }
                    IMPOSSIBLE => return true,
                    instead => instead,
                };
                if known.insert((after, instead)) {
                    pairs.push((after, instead));
                }
            }
            if known.len() > PAIRS_MAX || self.effort.left == 0 {
                return true;
            }
        }
        false
    }
}
