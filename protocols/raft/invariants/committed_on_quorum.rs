//! What is committed is on a quorum (§5.3).

use super::seen::{Holds, News, Relied, Seen};
use super::{Peer, PerNode, depends, server};
use crate::raft::{Index, Role, Term};
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};
use std::collections::BTreeSet;

/// "A log entry is committed once the leader that created the entry has replicated it on a majority of the servers" (§5.3;
/// `ReplicationInv` and `QuorumLogInv` in TLA+ specifications); on their disks, and in a joint configuration on a majority of both
/// (dissertation §4.3).
///
/// Which servers those are the leader's log says, as it was when the leader counted them. One that is down counts with what
/// was on its disk, one whose disk has lost entries with all that it may have acknowledged.
#[derive(Debug, Default)]
pub struct CommittedOnQuorum {
    seen: Seen,
    /// The term that a node was last seen to lead, its commit index, and the end of its log.
    led: PerNode<Option<(Term, Index, Index)>>,
    relied: Relied,
}

impl CommittedOnQuorum {
    pub(super) fn new(seen: &Seen) -> CommittedOnQuorum {
        CommittedOnQuorum {
            seen: seen.share(),
            ..CommittedOnQuorum::default()
        }
    }
}

impl Invariant<Peer> for CommittedOnQuorum {
    fn property(&self) -> &'static str {
        "committed-on-quorum"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        if !self.seen.is_news(
            News::LOG.or(News::APPLIED).or(News::ROLE),
            &cluster,
            touched,
        ) {
            return Ok(());
        }
        let book = self.seen.book();
        if let Some(missing) = self.relied.missing((&book, &cluster), touched) {
            drop(book);
            return self.violated(missing);
        }
        let led = self.led.of(touched);
        let leader = server(&cluster, touched).filter(|server| server.role() == Role::Leader);
        let Some(leader) = leader else {
            *led = None;
            return Ok(());
        };
        let (term, index) = (leader.term(), leader.commit_index());
        let before = led.replace((term, index, leader.log().last_index()));
        let Some((led_term, known, last_index)) = before else {
            return Ok(());
        };
        if led_term != term || known == index {
            return Ok(());
        }
        // What it has appended since it counted does not matter yet.
        let membership = leader.memberships.at(last_index);
        let entry_term = leader.log().term_at(index).unwrap_or_default();
        let entry = (index, entry_term);
        let quorum = membership.quorum();
        let voters = quorum.voters.iter().chain(quorum.outgoing);
        let who = voters.map(|&id| (id, book.holds(&cluster, id, entry)));
        if let Some(needed) = depends(quorum, who.clone()) {
            for id in needed {
                self.relied.rely(id, entry);
            }
            return Ok(());
        }
        let holders = who.filter(|(_, holds)| *holds != Holds::No);
        let holders: BTreeSet<NodeId> = holders.map(|(id, _)| id).collect();
        let holders: Vec<String> = holders.iter().map(ToString::to_string).collect();
        let holders = if holders.is_empty() {
            "nobody".to_owned()
        } else {
            holders.join(" ")
        };
        let what = format!(
            "{touched} has committed the entry of term {entry_term} at index {index} in term {term}, but of {membership} \
             it is on the disks of {holders}"
        );
        drop(book);
        self.violated(what)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{State, observe_all};
    use super::*;

    fn observed(followers: [State; 2]) -> Result<(), Violation> {
        let mut invariant = CommittedOnQuorum::default();
        let leader = State::leader(1).log(&[1, 1]).voters(3).durable(2);
        let [second, third] = followers;
        let mut states = [leader.clone(), second, third];
        assert_eq!(observe_all(&mut invariant, &states), Ok(()));
        states[0] = leader.committed(2);
        observe_all(&mut invariant, &states)
    }

    #[test]
    fn a_majority_must_hold_it_on_its_disks() {
        let follower = State::follower(1).log(&[1, 1]);
        let behind = State::follower(1).log(&[1]).durable(1);
        assert_eq!(
            observed([follower.clone().durable(2), behind.clone()]),
            Ok(())
        );
        let violation = observed([follower.durable(1), behind]).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "committed-on-quorum: n1 has committed the entry of term 1 at index 2 in term 1, \
             but of {n1 n2 n3} it is on the disks of n1"
        );
    }

    #[test]
    fn another_entry_does_not_count_and_one_that_was_lost_does() {
        let behind = State::follower(2).durable(0);
        let other = State::follower(2).log(&[1, 2]).durable(2);
        assert!(observed([other, behind.clone()]).is_err());
        let mut recovering = State::follower(2).durable(0);
        recovering.server().recovering = Some(Term(1));
        assert_eq!(observed([behind, recovering]), Ok(()));
    }

    #[test]
    fn a_server_that_is_down_counts_with_what_a_restart_will_find_on_its_disk() {
        let mut invariant = CommittedOnQuorum::default();
        let leader = State::leader(1).log(&[1, 1]).voters(3).durable(2);
        let follower = State::follower(1).log(&[1, 1]);
        let up = [leader.clone(), follower.clone().durable(1), State::down()];
        assert_eq!(observe_all(&mut invariant, &up), Ok(()));
        let leader = leader.committed(2);
        // It may have been durable by the time that it crashed.
        let down = [leader.clone(), State::down(), State::down()];
        assert_eq!(observe_all(&mut invariant, &down), Ok(()));
        let again = [leader.clone(), State::follower(1).log(&[1]), State::down()];
        let violation = observe_all(&mut invariant, &again).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "committed-on-quorum: n2 has restarted without the entry of term 1 at index 2, on which others relied"
        );
    }

    #[test]
    fn a_server_that_is_down_does_not_count_with_what_it_never_had() {
        let mut invariant = CommittedOnQuorum::default();
        let leader = State::leader(1).log(&[1, 1]).voters(3).durable(2);
        let up = [leader.clone(), State::follower(1).log(&[1]), State::down()];
        assert_eq!(observe_all(&mut invariant, &up), Ok(()));
        let down = [leader.committed(2), State::down(), State::down()];
        assert!(observe_all(&mut invariant, &down).is_err());
    }
}
