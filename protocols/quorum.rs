//! Majorities: pure arithmetic, in one place.
//!
//! Any two majorities of the same voters have a voter in common. Everything safe about consensus leans on that. While a
//! cluster goes from one set of voters to another, a decision needs a majority of both (joint consensus: Raft
//! dissertation §4.3), so that it meets every decision of either.

use splitbrain_core::NodeId;
use std::fmt::{Display, Write as _};

/// How many voters out of `voters` make a majority.
pub const fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// Who decides: the voters, or, while they change, a majority of the old ones as well.
///
/// Ids are ascending in each. Where there are no voters at all nothing is ever decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum<'a> {
    /// The voters, or those that are to be.
    pub voters: &'a [NodeId],
    /// While the voters change: those that there were. Otherwise nobody.
    pub outgoing: &'a [NodeId],
}

/// How a vote stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tally {
    /// A quorum has said yes.
    Won,
    /// Neither can be said yet.
    Open,
    /// So many have said no that no quorum can say yes any more.
    Lost,
}

impl Quorum<'_> {
    /// The greatest value that a quorum has reached, given what each voter has reached; the default value if there are no
    /// voters.
    ///
    /// Of the match indexes of all voters this is the greatest index up to which a quorum stores the log.
    #[inline]
    pub fn reached<T: Copy + Ord + Default>(self, of: impl Fn(NodeId) -> T) -> T {
        let incoming = reached(self.voters, &of);
        if self.outgoing.is_empty() {
            incoming
        } else {
            incoming.min(reached(self.outgoing, &of))
        }
    }

    /// How the vote stands, given what each voter has said, if anything.
    pub fn tally(self, said: impl Fn(NodeId) -> Option<bool>) -> Tally {
        // Where silence counts as a no, the vote is won or not yet; where it counts as a yes, it is lost or not yet.
        if self.reached(|id| said(id) == Some(true)) {
            Tally::Won
        } else if self.reached(|id| said(id) != Some(false)) {
            Tally::Open
        } else {
            Tally::Lost
        }
    }

    /// Who has reached what, and what that comes to, for people to look at: a line for each voter, and below them what a
    /// majority of them has reached.
    pub fn picture<T: Copy + Ord + Default + Display>(self, of: impl Fn(NodeId) -> T) -> String {
        let mut text = String::new();
        for (name, voters) in [("voters", self.voters), ("outgoing", self.outgoing)] {
            if voters.is_empty() {
                continue;
            }
            let decided = reached(voters, &of);
            let needed = majority(voters.len());
            let _ = writeln!(text, "{name}, {needed} of {} decide:", voters.len());
            for &id in voters {
                let mark = if of(id) >= decided { '#' } else { '.' };
                let _ = writeln!(text, "  {mark} {id} {}", of(id));
            }
            let _ = writeln!(text, "  = {decided}");
        }
        if text.is_empty() {
            text.push_str("no voters: nothing is decided\n");
        } else if !self.outgoing.is_empty() {
            let _ = writeln!(text, "both: {}", self.reached(&of));
        }
        text
    }
}

fn reached<T: Copy + Ord + Default>(voters: &[NodeId], of: &impl Fn(NodeId) -> T) -> T {
    let needed = majority(voters.len());
    let has = |value: T| voters.iter().filter(|&&id| of(id) >= value).count() >= needed;
    // Quadratic, but over a handful of voters, and without a buffer to sort.
    let values = voters.iter().map(|&id| of(id));
    values.filter(|&value| has(value)).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids(range: std::ops::Range<usize>) -> Vec<NodeId> {
        range.map(NodeId::from_index).collect()
    }

    fn simple(voters: &[NodeId]) -> Quorum<'_> {
        Quorum {
            voters,
            outgoing: &[],
        }
    }

    #[test]
    fn two_majorities_always_meet_and_no_smaller_set_would_do() {
        for voters in 1..=9 {
            assert!(2 * majority(voters) > voters, "{voters}");
            assert!(2 * (majority(voters) - 1) <= voters, "{voters}");
        }
    }

    #[test]
    fn reached_is_the_lower_median_in_any_order() {
        for (each, value) in [
            (&[][..], 0),
            (&[7], 7),
            (&[7, 0], 0),
            (&[3, 7], 3),
            (&[0, 9, 4], 4),
            (&[9, 9, 0, 0], 0),
            (&[5, 1, 4, 2, 3], 3),
            (&[0, 0, 8, 8, 8], 8),
            (&[0, 0, 0, 8, 8], 0),
        ] {
            let voters = ids(0..each.len());
            let of = |id: NodeId| each[id.index()];
            let picture = simple(&voters).picture(of);
            assert_eq!(simple(&voters).reached(of), value, "{picture}");
        }
    }

    #[test]
    fn a_joint_decision_needs_both_majorities() {
        let (old, new) = (ids(0..3), ids(2..5));
        let joint = Quorum {
            voters: &new,
            outgoing: &old,
        };
        let values = [9, 9, 5, 0, 7];
        let of = |id: NodeId| values[id.index()];
        assert_eq!(joint.reached(of), 5, "{}", joint.picture(of));
        assert_eq!(
            joint.picture(of),
            "voters, 2 of 3 decide:\n  # n3 5\n  . n4 0\n  # n5 7\n  = 5\n\
             outgoing, 2 of 3 decide:\n  # n1 9\n  # n2 9\n  . n3 5\n  = 9\nboth: 5\n"
        );
        assert_eq!(simple(&[]).picture(of), "no voters: nothing is decided\n");
    }

    #[test]
    fn a_vote_is_open_until_it_is_certain() {
        let voters = ids(0..4);
        for (said, tally) in [
            ([None, None, None, None], Tally::Open),
            ([Some(true), Some(true), None, None], Tally::Open),
            ([Some(true), Some(true), Some(true), None], Tally::Won),
            ([Some(true), Some(true), None, Some(false)], Tally::Open),
            ([Some(true), Some(false), None, Some(false)], Tally::Lost),
        ] {
            let of = |id: NodeId| said[id.index()];
            assert_eq!(simple(&voters).tally(of), tally, "{said:?}");
        }
        assert_eq!(simple(&[]).tally(|_| Some(true)), Tally::Lost);
    }

    proptest! {
        /// Whatever has been decided by one quorum, any other quorum of the same voters, or of voters that are changed
        /// through a joint quorum, has somebody who knows.
        #[test]
        fn decisions_of_neighbouring_quorums_meet(
            old in proptest::collection::btree_set(0_usize..7, 1..6),
            new in proptest::collection::btree_set(0_usize..7, 1..6),
            yes in proptest::collection::vec(any::<bool>(), 7),
        ) {
            let (old, new): (Vec<NodeId>, Vec<NodeId>) = (
                old.into_iter().map(NodeId::from_index).collect(),
                new.into_iter().map(NodeId::from_index).collect(),
            );
            let joint = Quorum { voters: &new, outgoing: &old };
            let (said, opposed) = (|id: NodeId| Some(yes[id.index()]), |id: NodeId| Some(!yes[id.index()]));
            for neighbour in [simple(&old), simple(&new), joint] {
                let both = joint.tally(said) == Tally::Won && neighbour.tally(opposed) == Tally::Won;
                prop_assert!(!both);
            }
        }
    }
}
