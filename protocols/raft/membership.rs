//! Who the members are: dissertation §4, by joint consensus (§4.3), with non-voting members (§4.2.1).

use super::log::{Command, Entry, Index};
use crate::quorum::Quorum;
use serde::{Deserialize, Serialize};
use splitbrain_core::NodeId;
use std::fmt;
use std::sync::Arc;

/// The members of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Who votes, and is counted; ascending. While `outgoing` is not empty: who is to vote alone.
    voters: Vec<NodeId>,
    /// Who voted before, while the voters change: a joint configuration, in which every decision needs a majority of both;
    /// ascending. Empty otherwise.
    outgoing: Vec<NodeId>,
    /// Who gets the log and is not counted; ascending. Never in `voters`. One who is still in `outgoing` will be a learner
    /// when the change is over.
    learners: Vec<NodeId>,
}

impl Membership {
    /// These voters, and these learners. Who is named as both is a voter.
    pub fn new(
        voters: impl IntoIterator<Item = NodeId>,
        learners: impl IntoIterator<Item = NodeId>,
    ) -> Membership {
        let voters = ascending(voters);
        let mut learners = ascending(learners);
        learners.retain(|id| voters.binary_search(id).is_err());
        Membership {
            voters,
            outgoing: Vec::new(),
            learners,
        }
    }

    /// The joint configuration on the way to `target`.
    #[must_use]
    pub(super) fn joint(&self, target: &Membership) -> Membership {
        debug_assert!(!self.is_joint() && !target.is_joint());
        Membership {
            voters: target.voters.clone(),
            outgoing: self.voters.clone(),
            learners: target.learners.clone(),
        }
    }

    /// Where the joint configuration leads to.
    #[must_use]
    pub(super) fn settled(&self) -> Membership {
        Membership {
            voters: self.voters.clone(),
            outgoing: Vec::new(),
            learners: self.learners.clone(),
        }
    }

    /// Who decides.
    #[inline]
    pub fn quorum(&self) -> Quorum<'_> {
        Quorum {
            voters: &self.voters,
            outgoing: &self.outgoing,
        }
    }

    /// Who votes; in a joint configuration, who is to vote alone.
    pub fn voters(&self) -> &[NodeId] {
        &self.voters
    }

    /// In a joint configuration, who voted before.
    pub fn outgoing(&self) -> &[NodeId] {
        &self.outgoing
    }

    /// Who gets the log and is not counted.
    pub fn learners(&self) -> &[NodeId] {
        &self.learners
    }

    /// Whether the voters are being changed.
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether this server's vote counts.
    pub fn is_voter(&self, id: NodeId) -> bool {
        self.voters.binary_search(&id).is_ok() || self.outgoing.binary_search(&id).is_ok()
    }

    /// Whether this server is a voter or a learner.
    pub fn contains(&self, id: NodeId) -> bool {
        self.is_voter(id) || self.learners.binary_search(&id).is_ok()
    }

    /// Everybody who gets the log, ascending.
    pub fn members(&self) -> Vec<NodeId> {
        let all = [&self.voters, &self.outgoing, &self.learners];
        ascending(all.into_iter().flatten().copied())
    }

    /// How much it would take on a wire, about, in bytes.
    pub fn size_bytes(&self) -> usize {
        4 * (self.voters.len() + self.outgoing.len() + self.learners.len())
    }
}

fn ascending(ids: impl IntoIterator<Item = NodeId>) -> Vec<NodeId> {
    let mut ids: Vec<NodeId> = ids.into_iter().collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// `{n1 n2 n3}`; `{n1 n2 n3}>{n3 n4 n5}` on the way from the first to the second; `{n1}+{n2}` with a learner.
impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = |f: &mut fmt::Formatter<'_>, ids: &[NodeId]| {
            f.write_str("{")?;
            for (place, id) in ids.iter().enumerate() {
                if place > 0 {
                    f.write_str(" ")?;
                }
                id.fmt(f)?;
            }
            f.write_str("}")
        };
        if self.is_joint() {
            set(f, &self.outgoing)?;
            f.write_str(">")?;
        }
        set(f, &self.voters)?;
        if !self.learners.is_empty() {
            f.write_str("+")?;
            set(f, &self.learners)?;
        }
        Ok(())
    }
}

/// The memberships that a server's log speaks of, and before them the one of its snapshot.
///
/// A server goes by the latest one in its log, committed or not (dissertation §4.1). So when an entry is removed from the
/// log, the membership that it brought is gone, too, and the one before it is in force again.
#[derive(Clone, Debug)]
pub(super) struct Memberships {
    /// The membership at the log's base.
    base: Arc<Membership>,
    /// The index of the entry that brought it; the log's base, if that entry was never in this server's log.
    base_index: Index,
    /// Those in the log after it, by ascending index.
    changes: Vec<(Index, Arc<Membership>)>,
}

impl Memberships {
    /// Those of a log with this membership at its base, and these entries after it.
    pub(super) fn new(base: Arc<Membership>, base_index: Index, entries: &[Entry]) -> Memberships {
        let mut memberships = Memberships {
            base,
            base_index,
            changes: Vec::new(),
        };
        memberships.spliced(base_index.next(), entries);
        memberships
    }

    /// The one in force.
    #[inline]
    pub(super) fn latest(&self) -> &Arc<Membership> {
        self.changes
            .last()
            .map_or(&self.base, |(_, membership)| membership)
    }

    /// The index of the entry that brought the one in force, or of one after it that is committed.
    #[inline]
    pub(super) fn latest_index(&self) -> Index {
        self.changes
            .last()
            .map_or(self.base_index, |(index, _)| *index)
    }

    /// The one that was in force up to this index, which is not before the base.
    pub(super) fn at(&self, index: Index) -> &Arc<Membership> {
        let before = self.changes.iter().rev();
        let latest = before.clone().find(|(changed_at, _)| *changed_at <= index);
        latest.map_or(&self.base, |(_, membership)| membership)
    }

    /// The log has got these entries at `first`, in place of all that was there.
    #[inline]
    pub(super) fn spliced(&mut self, first: Index, entries: &[Entry]) {
        while self.changes.pop_if(|(index, _)| *index >= first).is_some() {}
        let mut index = first;
        for entry in entries {
            if let Command::Members(membership) = &*entry.command {
                self.changes.push((index, membership.clone()));
            }
            index = index.next();
        }
    }

    /// The log has been compacted up to here.
    pub(super) fn compacted(&mut self, up_to: Index) {
        let kept = self.changes.partition_point(|(index, _)| *index <= up_to);
        if let Some((index, membership)) = self.changes.drain(..kept).next_back() {
            self.base = membership;
            self.base_index = index;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::log::Term;
    use super::*;

    fn ids(ids: &[usize]) -> Vec<NodeId> {
        ids.iter().map(|&id| NodeId::from_index(id)).collect()
    }

    fn members(voters: &[usize]) -> Membership {
        Membership::new(ids(voters), [])
    }

    fn entry(membership: &Membership) -> Entry {
        Entry::new(Term(1), Command::Members(Arc::new(membership.clone())))
    }

    fn noop() -> Entry {
        Entry::new(Term(1), Command::Noop)
    }

    #[test]
    fn a_joint_configuration_counts_both_and_leads_to_the_new_one() {
        let target = Membership::new(ids(&[2, 4, 3]), ids(&[0, 2]));
        let joint = members(&[0, 1, 2]).joint(&target);
        assert_eq!(joint.to_string(), "{n1 n2 n3}>{n3 n4 n5}+{n1}");
        assert!(joint.is_joint() && joint.is_voter(ids(&[0])[0]));
        assert_eq!(joint.members(), ids(&[0, 1, 2, 3, 4]));
        assert_eq!(joint.settled(), target);
        assert!(!target.is_voter(ids(&[0])[0]) && target.contains(ids(&[0])[0]));
    }

    #[test]
    fn the_latest_in_the_log_is_in_force_and_one_that_is_removed_is_not() {
        let base = Arc::new(members(&[0]));
        let (second, third) = (members(&[0, 1]), members(&[1]));
        let log = [noop(), entry(&second), noop(), entry(&third)];
        let mut memberships = Memberships::new(base.clone(), Index(10), &log);
        assert_eq!(**memberships.latest(), third);
        assert_eq!(memberships.latest_index(), Index(14));
        assert_eq!(**memberships.at(Index(13)), second);
        assert_eq!(*memberships.at(Index(11)), base);
        memberships.spliced(Index(14), &[noop()]);
        assert_eq!(**memberships.latest(), second);
        let mut compacted = memberships.clone();
        compacted.compacted(Index(13));
        assert_eq!(**compacted.latest(), second);
        assert_eq!(compacted.latest_index(), Index(12));
        memberships.spliced(Index(11), &[]);
        assert_eq!(*memberships.latest(), base);
    }
}
