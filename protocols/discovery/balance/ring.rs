//! Consistent hashing with bounded loads.
//!
//! Each instance has many points on a ring of hashes, as many as its weight says. A key belongs to the first point after its own
//! hash. With *m* requests outstanding at *n* instances, one more is only given to an instance with fewer than
//! *⌈c (m + 1) / n⌉*; else to the next one on the ring that has room, and there always is one, as not all can have more
//! than their share.

use super::members::Members;
use crate::discovery::Label;
use std::collections::BTreeSet;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How many points an instance has for each unit of its weight. Shares of keys differ by about a tenth with it
/// (the square root of its inverse).
const POINTS_PER_WEIGHT: u32 = 100;

/// Where which instance begins.
#[derive(Clone, Debug, Default)]
pub(super) struct Ring {
    /// Ascending: a hash, and the index of its instance among the members.
    points: Vec<(u64, u32)>,
}

impl Ring {
    /// Of other members. The points of those that stay are where they were.
    pub(super) fn rebuild(&mut self, members: &Members, seed: u64) {
        self.points.clear();
        for (index, member) in members.as_slice().iter().enumerate() {
            // A point is the hash of its number under a seed that is the hash of its instance.
            let own = xxh3_64_with_seed(member.id.as_str().as_bytes(), seed);
            self.points
                .extend((0..member.weight * POINTS_PER_WEIGHT).map(|number| {
                    let hash = xxh3_64_with_seed(&number.to_le_bytes(), own);
                    (hash, index as u32)
                }));
        }
        self.points.sort_unstable();
    }

    /// The first instance from a hash on that is not excluded and has room.
    pub(super) fn first_with_room(
        &self,
        hash: u64,
        members: &Members,
        excluded: &BTreeSet<Label>,
        load_percent_max: u32,
    ) -> Option<usize> {
        let all = members.as_slice();
        // Only those count that may be chosen: what the others have to do makes no room here.
        let (mut outstanding, mut weights) = (1_u128, 0_u128);
        for (_, member) in members.eligible(excluded) {
            outstanding += u128::from(member.outstanding);
            weights += u128::from(member.weight);
        }
        // Everything times 100, as the bound is in percent, and times the weights, as they divide.
        let has_room = |index: usize| {
            let share = u128::from(load_percent_max) * outstanding * u128::from(all[index].weight);
            let room = share.div_ceil(100 * weights);
            u128::from(all[index].outstanding) < room && !excluded.contains(&all[index].id)
        };
        if weights == 0 {
            return None;
        }
        let start = self.points.partition_point(|&(point, _)| point < hash);
        let (before, after) = self.points.split_at(start);
        after
            .iter()
            .chain(before)
            .map(|&(_, index)| index as usize)
            .find(|&index| has_room(index))
    }
}
