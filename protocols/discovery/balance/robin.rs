//! One after the other.

use super::members::{Members, Place};
use crate::discovery::Label;
use std::collections::BTreeSet;

/// The first one that may be chosen after the last one that was. As that is remembered by its place and not by a number,
/// nobody is skipped or served twice when others come or go.
pub(super) fn next(
    members: &Members,
    excluded: &BTreeSet<Label>,
    last: &mut Option<Place>,
) -> Option<usize> {
    let all = members.as_slice();
    let start = last.as_ref().map_or(0, |place| members.after(place));
    let index = (start..all.len())
        .chain(0..start)
        .find(|&index| excluded.is_empty() || !excluded.contains(&all[index].id))?;
    *last = Some(all[index].place());
    Some(index)
}

/// Smooth weighted round robin: everybody is owed its weight more, and the one that is owed most is chosen, and owed all
/// that was given out less. Of weights 5, 1 and 1 that makes `a a b a c a a`, where the plain way is `a a a a a b c`.
pub(super) fn most_owed(members: &mut Members, excluded: &BTreeSet<Label>) -> Option<usize> {
    let mut given = 0;
    let mut most: Option<(usize, i64)> = None;
    for (index, member) in members.eligible_mut(excluded) {
        member.owed += i64::from(member.weight);
        given += i64::from(member.weight);
        if most.is_none_or(|(_, owed)| member.owed > owed) {
            most = Some((index, member.owed));
        }
    }
    let (index, _) = most?;
    members.owes_less(index, given);
    Some(index)
}
