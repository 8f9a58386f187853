//! Which unknown operations can stand in for each other, although they are not equal.
//!
//! A write of unknown outcome whose value nobody read or compared is as good as any other such write: all that
//! matters is that the value is none of those that somebody saw. A search that knows this tries one of them
//! instead of all, which is the difference between a count and a subset. Finding out takes a step for every
//! operation in every state, so that only searches that turned out to be hard ask for it.

use super::partition::Entry;
use crate::Model;
use rustc_hash::FxHashMap;

/// Give up beyond this many steps, whatever the budget is.
const STEPS_MAX: usize = 4_000_000;

/// Give up beyond this many states, and four for each operation: some models have no end of them.
const STATES_MAX: usize = 1_000;

/// In the table of steps: the operation is not legal in this state.
pub(super) const IMPOSSIBLE: u32 = u32::MAX;

/// Gives equal [classes](Entry::class) to operations of unknown outcome that lead from each state to states
/// which no sequence of operations can tell apart. `None` if that would take more than `steps_max` steps, or there are not
/// two of them.
///
/// Time and space: the number of states times the number of operations.
pub(super) fn classify<M: Model>(
    model: &M,
    entries: &mut [Entry<'_, M>],
    steps_max: u64,
) -> Option<()> {
    let is_unknown = |entry: &&Entry<'_, M>| entry.returned.is_none() && entry.ret.is_none();
    if entries.iter().filter(is_unknown).count() < 2 {
        return None;
    }
    let steps_max = STEPS_MAX.min(usize::try_from(steps_max).unwrap_or(STEPS_MAX));
    let table = tabulate(model, &[model.initial()], entries, steps_max)?;
    let indistinct = refine(&table, entries.len());
    let mut classes = FxHashMap::default();
    for (index, entry) in entries.iter_mut().enumerate() {
        if entry.returned.is_none() && entry.ret.is_none() {
            let effect = table.iter().map(|row| class_of(&indistinct, row[index]));
            let next = classes.len() as u32;
            entry.class = Some(*classes.entry(effect.collect::<Vec<u32>>()).or_insert(next));
        }
    }
    Some(())
}

/// For each state that the operations, in any order, lead to from `starts`, which are different: the state after
/// each operation. The first states are those of `starts`. `None` if it takes more than `steps_max` steps, or if there are
/// states that only so many operations lead to as there are not.
pub(super) fn tabulate<M: Model>(
    model: &M,
    starts: &[M::State],
    entries: &[Entry<'_, M>],
    steps_max: usize,
) -> Option<Vec<Vec<u32>>> {
    let mut states = starts.to_vec();
    let mut numbers: FxHashMap<M::State, u32> = starts.iter().cloned().zip(0..).collect();
    let mut table = Vec::new();
    // The states before this one are those that `depth` operations lead to, or fewer.
    let (mut depth, mut depth_end) = (0, states.len());
    while table.len() < states.len() {
        if table.len() == depth_end {
            (depth, depth_end) = (depth + 1, states.len());
        }
        if depth > entries.len() {
            return None;
        }
        if states.len() * entries.len() > steps_max || states.len() > STATES_MAX + 4 * entries.len()
        {
            return None;
        }
        let state = states[table.len()].clone();
        let row = entries.iter().map(|entry| {
            let Some(next) = model.step(&state, entry.op, entry.ret) else {
                return IMPOSSIBLE;
            };
            *numbers.entry(next).or_insert_with_key(|next| {
                states.push(next.clone());
                states.len() as u32 - 1
            })
        });
        table.push(row.collect());
    }
    Some(table)
}

/// For each state a class, such that two states are in one class only if the same operations are legal in
/// both, and lead to states that are again in one class: partition refinement (Moore 1956).
fn refine(table: &[Vec<u32>], operations: usize) -> Vec<u32> {
    let mut classes = vec![0; table.len()];
    let mut count = 1;
    loop {
        let mut known = FxHashMap::default();
        let mut finer = Vec::with_capacity(table.len());
        for (state, row) in table.iter().enumerate() {
            let mut signature = Vec::with_capacity(operations + 1);
            signature.push(classes[state]);
            signature.extend(row.iter().map(|next| class_of(&classes, *next)));
            let next = known.len() as u32;
            finer.push(*known.entry(signature).or_insert(next));
        }
        if known.len() == count {
            return classes;
        }
        count = known.len();
        classes = finer;
    }
}

fn class_of(classes: &[u32], state: u32) -> u32 {
    classes.get(state as usize).copied().unwrap_or(IMPOSSIBLE)
}
