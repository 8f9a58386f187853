//! What a leader believes of its followers is true (Figure 2).

use super::seen::{Book, News, Relied, Seen};
use super::{Peer, PerNode, server};
use crate::raft::{Index, Role, Server, Term};
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};

/// "`matchIndex[]`: for each server, index of highest log entry known to be replicated on server (… increases
/// monotonically)" (Figure 2; `MonotonicMatchIndexProp` and `MatchIndexBoundedByLogInv` in TLA+ specifications): the follower's log agrees with the leader's
/// up to there, on its disk.
///
/// A follower that has gone on to a later term may have overwritten what it had acknowledged before; one whose disk has
/// lost it must get it back before it is of any weight.
#[derive(Debug, Default)]
pub struct MatchIndex {
    seen: Seen,
    /// The term that a node was last seen to lead, and what it believed.
    believed: PerNode<(Term, Vec<(NodeId, Index)>)>,
    relied: Relied,
}

impl MatchIndex {
    pub(super) fn new(seen: &Seen) -> MatchIndex {
        MatchIndex {
            seen: seen.share(),
            ..MatchIndex::default()
        }
    }
}

/// What is wrong with what a leader has come to believe, in words.
fn wrong(
    book: &Book,
    cluster: &Cluster<'_, Peer>,
    (id, leader): (NodeId, &Server),
    (follower, before, index): (NodeId, Index, Index),
    relied: &mut Relied,
) -> Option<String> {
    let (log, term) = (leader.log(), leader.term());
    if index < before {
        return Some(format!(
            "{id} leads term {term}, and what it believes to be on {follower} went back from {before} to {index}"
        ));
    }
    // Of entries that it has compacted the leader knows that they are committed.
    let committed = || book.committed(index).map(|committed| committed.term);
    let entry_term = log.term_at(index).or_else(committed);
    let true_enough = book.term_of(cluster, follower) > term
        || entry_term.is_some_and(|term| relied.holds((book, cluster), follower, (index, term)));
    (!true_enough).then(|| {
        format!(
            "{id} leads term {term} and believes that {follower} has its log up to {index} on its disk, \
             which it has not"
        )
    })
}

impl Invariant<Peer> for MatchIndex {
    fn property(&self) -> &'static str {
        "match-index"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        if !self.seen.is_news(News::MATCH, &cluster, touched) {
            return Ok(());
        }
        let book = self.seen.book();
        if let Some(missing) = self.relied.missing((&book, &cluster), touched) {
            drop(book);
            return self.violated(missing);
        }
        let leader = server(&cluster, touched).filter(|server| server.role() == Role::Leader);
        let Some(leader) = leader else {
            return Ok(());
        };
        let (term, believed) = self.believed.of(touched);
        if *term != leader.term() {
            *term = leader.term();
            believed.clear();
        }
        if leader.match_indexes().eq(believed.iter().copied()) {
            return Ok(());
        }
        let mut found = None;
        for (place, (id, index)) in leader.match_indexes().enumerate() {
            let known = believed[place.min(believed.len())..].iter();
            // Who is no longer among the followers, or not yet, takes no place.
            let gone = known.clone().position(|(earlier, _)| *earlier == id);
            believed.drain(place..place + gone.unwrap_or(0));
            if gone.is_none() {
                believed.insert(place, (id, Index::ZERO));
            }
            let earlier = std::mem::replace(&mut believed[place].1, index);
            if earlier != index && found.is_none() {
                let relied = &mut self.relied;
                found = wrong(
                    &book,
                    &cluster,
                    (touched, leader),
                    (id, earlier, index),
                    relied,
                );
            }
        }
        believed.truncate(leader.match_indexes().count());
        drop(book);
        found.map_or(Ok(()), |what| self.violated(what))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{State, observe_all};
    use super::*;

    fn observed(index: u64, follower: State) -> Result<(), Violation> {
        let mut invariant = MatchIndex::default();
        let leader = State::leader(2).log(&[1, 2, 2]).voters(2);
        let states = [leader.clone(), follower.clone()];
        assert_eq!(observe_all(&mut invariant, &states), Ok(()));
        observe_all(&mut invariant, &[leader.matched(1, index), follower])
    }

    #[test]
    fn the_follower_must_hold_it_on_its_disk() {
        let follower = State::follower(2).log(&[1, 2]);
        assert_eq!(observed(2, follower.clone().durable(2)), Ok(()));
        let violation = observed(2, follower.durable(1)).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "match-index: n1 leads term 2 and believes that n2 has its log up to 2 on its disk, \
             which it has not"
        );
        let other = State::follower(2).log(&[1, 1]).durable(2);
        assert_eq!(observed(1, other.clone()), Ok(()));
        assert!(observed(2, other).is_err());
    }

    #[test]
    fn one_that_has_gone_on_or_has_lost_it_is_excused() {
        assert_eq!(observed(2, State::follower(3).durable(0)), Ok(()));
        let mut recovering = State::follower(2).durable(0);
        assert!(observed(2, recovering.clone()).is_err());
        recovering.server().recovering = Some(Term(2));
        assert_eq!(observed(2, recovering), Ok(()));
    }
}
