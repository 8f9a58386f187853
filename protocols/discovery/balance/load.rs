//! By chance, by load, or both.

use super::members::Members;
use crate::discovery::Label;
use splitbrain_core::Rng;
use std::collections::BTreeSet;

/// Any, with a probability that its weight says.
pub(super) fn random(
    members: &Members,
    excluded: &BTreeSet<Label>,
    rng: &mut Rng,
) -> Option<usize> {
    let eligible = members.eligible(excluded);
    let total: u64 = eligible
        .clone()
        .map(|(_, member)| u64::from(member.weight))
        .sum();
    let mut draw = rng.below(total);
    for (index, member) in eligible {
        match draw.checked_sub(u64::from(member.weight)) {
            Some(rest) => draw = rest,
            None => return Some(index),
        }
    }
    None
}

/// The least loaded; any of those, if there are several, so that not every balancer without requests begins with the
/// same one.
pub(super) fn least(members: &Members, excluded: &BTreeSet<Label>, rng: &mut Rng) -> Option<usize> {
    let all = members.as_slice();
    let mut least: Vec<usize> = Vec::new();
    for (index, member) in members.eligible(excluded) {
        match least.first() {
            Some(&best) if all[best].is_less_loaded_than(member) => {}
            Some(&best) if !member.is_less_loaded_than(&all[best]) => least.push(index),
            _ => {
                least.clear();
                least.push(index);
            }
        }
    }
    rng.pick(&least).copied()
}

/// The less loaded one of two that are drawn; of equals the first drawn.
pub(super) fn better_of_two(
    members: &Members,
    excluded: &BTreeSet<Label>,
    rng: &mut Rng,
) -> Option<usize> {
    let all = members.as_slice();
    let (first, second) = if excluded.is_empty() {
        two_below(all.len(), rng)?
    } else {
        let eligible: Vec<usize> = members.eligible(excluded).map(|(index, _)| index).collect();
        let (first, second) = two_below(eligible.len(), rng)?;
        (eligible[first], eligible[second])
    };
    if all[second].is_less_loaded_than(&all[first]) {
        Some(second)
    } else {
        Some(first)
    }
}

/// Two different numbers below `len`, or one twice if there is only one.
fn two_below(len: usize, rng: &mut Rng) -> Option<(usize, usize)> {
    if len <= 1 {
        return (len == 1).then_some((0, 0));
    }
    let first = rng.index(len);
    let second = rng.index(len - 1);
    // The first one is left out of what the second is drawn from.
    Some((first, second + usize::from(second >= first)))
}
