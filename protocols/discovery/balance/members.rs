//! The instances to choose from, and how many requests each has.

use crate::discovery::Label;
use std::collections::{BTreeMap, BTreeSet};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Where an instance stands among others, wherever those come and go: by a hash of its id, so that each balancer has an
/// order of its own.
pub(super) type Place = (u64, Label);

/// One instance.
#[derive(Clone, Debug)]
pub(super) struct Member {
    order: u64,
    pub(super) id: Label,
    /// At least 1.
    pub(super) weight: u32,
    pub(super) outstanding: u64,
    /// By how much it has had less than its share, in smooth weighted round robin.
    pub(super) owed: i64,
}

impl Member {
    pub(super) fn place(&self) -> Place {
        (self.order, self.id.clone())
    }

    /// Whether it has less to do than another one, for its weight, with the request that is to be given to one of them.
    pub(super) fn is_less_loaded_than(&self, other: &Member) -> bool {
        let load = |member: &Member| u128::from(member.outstanding) + 1;
        load(self) * u128::from(other.weight) < load(other) * u128::from(self.weight)
    }
}

/// The instances to choose from.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    /// Ascending by place.
    members: Vec<Member>,
    /// What is outstanding at instances that are gone; never zero.
    gone: BTreeMap<Label, u64>,
}

impl Members {
    /// Replaces the instances. If an id is there twice, the last one counts.
    pub(super) fn set(&mut self, weights: impl IntoIterator<Item = (Label, u32)>, seed: u64) {
        let mut before: BTreeMap<Label, Member> = std::mem::take(&mut self.members)
            .into_iter()
            .map(|member| (member.id.clone(), member))
            .collect();
        let weights: BTreeMap<Label, u32> = weights.into_iter().collect();
        for (id, weight) in weights {
            let (outstanding, owed) = match before.remove(&id) {
                Some(member) => (member.outstanding, member.owed),
                None => (self.gone.remove(&id).unwrap_or(0), 0),
            };
            self.members.push(Member {
                order: order(&id, seed),
                id,
                weight: weight.max(1),
                outstanding,
                owed,
            });
        }
        self.members
            .sort_unstable_by(|a, b| (a.order, &a.id).cmp(&(b.order, &b.id)));
        let left = before.into_values().filter(|member| member.outstanding > 0);
        self.gone
            .extend(left.map(|member| (member.id, member.outstanding)));
    }

    pub(super) fn as_slice(&self) -> &[Member] {
        &self.members
    }

    /// The index of the first instance after a place, if there is one.
    pub(super) fn after(&self, (order, id): &Place) -> usize {
        self.members
            .partition_point(|member| (member.order, &member.id) <= (*order, id))
    }

    /// Those that may be chosen, with their indexes.
    pub(super) fn eligible<'a>(
        &'a self,
        excluded: &'a BTreeSet<Label>,
    ) -> impl Iterator<Item = (usize, &'a Member)> + Clone {
        self.members
            .iter()
            .enumerate()
            .filter(|(_, member)| excluded.is_empty() || !excluded.contains(&member.id))
    }

    /// Those that may be chosen, to be changed.
    pub(super) fn eligible_mut<'a>(
        &'a mut self,
        excluded: &'a BTreeSet<Label>,
    ) -> impl Iterator<Item = (usize, &'a mut Member)> {
        self.members
            .iter_mut()
            .enumerate()
            .filter(|(_, member)| !excluded.contains(&member.id))
    }

    pub(super) fn owes_less(&mut self, index: usize, by: i64) {
        self.members[index].owed -= by;
    }

    pub(super) fn begin(&mut self, index: usize) -> Label {
        let member = &mut self.members[index];
        member.outstanding += 1;
        member.id.clone()
    }

    /// What is finished more often than it was begun is finished.
    pub(super) fn finish(&mut self, id: &Label, seed: u64) {
        if let Some(index) = self.find(id, seed) {
            let outstanding = &mut self.members[index].outstanding;
            *outstanding = outstanding.saturating_sub(1);
        } else if let Some(outstanding) = self.gone.get_mut(id) {
            *outstanding -= 1;
            if *outstanding == 0 {
                self.gone.remove(id);
            }
        }
    }

    pub(super) fn outstanding(&self, id: &Label, seed: u64) -> u64 {
        match self.find(id, seed) {
            Some(index) => self.members[index].outstanding,
            None => self.gone.get(id).copied().unwrap_or(0),
        }
    }

    fn find(&self, id: &Label, seed: u64) -> Option<usize> {
        let place = (order(id, seed), id);
        self.members
            .binary_search_by(|member| (member.order, &member.id).cmp(&place))
            .ok()
    }
}

fn order(id: &Label, seed: u64) -> u64 {
    xxh3_64_with_seed(id.as_str().as_bytes(), seed)
}
