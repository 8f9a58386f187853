//! Terms and votes (§5.1, §5.2).

use super::{Peer, PerNode, server};
use crate::quorum::Tally;
use crate::raft::{HardState, Role, Server, Term};
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};

/// A server's term never decreases, and it votes for one candidate in each (§5.1, §5.2), crashes or not: what others count
/// is on its disk (Figure 2, "updated on stable storage before responding to RPCs"). `MonotonicTerm`, `MonotonicVote` and
/// `VotesGrantedInv` of the TLA+ specifications.
#[derive(Debug, Default)]
pub struct VotesDurable {
    /// What each node was last seen to hold in memory, if it is up.
    now: PerNode<Option<(HardState, Role, usize)>>,
    /// What each node was last seen to have on its disk.
    durable: PerNode<HardState>,
}

/// Whether the second is a state that the first may have become.
fn follows(before: HardState, now: HardState) -> bool {
    let kept = before.voted_for.is_none() || before.voted_for == now.voted_for;
    now.term > before.term || (now.term == before.term && kept)
}

fn words(state: HardState) -> String {
    let vote = state
        .voted_for
        .map_or("no vote".to_owned(), |id| format!("a vote for {id}"));
    format!("term {} and {vote}", state.term)
}

impl VotesDurable {
    /// Whether a server cannot have voted for somebody else in that term, nor will.
    fn has_voted(&self, voter: NodeId, candidate: NodeId, term: Term) -> bool {
        self.durable.get(voter).is_some_and(|durable| {
            // It may have gone on to a later term since.
            durable.term > term || (durable.term == term && durable.voted_for == Some(candidate))
        })
    }

    fn check_votes(&self, id: NodeId, server: &Server) -> Option<String> {
        let term = server.term();
        if server.role() == Role::Leader {
            let quorum = server.membership().quorum();
            let tally = quorum.tally(|voter| Some(self.has_voted(voter, id, term)));
            return (tally != Tally::Won).then(|| {
                let members = server.membership();
                format!("{id} leads term {term}, but its votes are not on the disks of a quorum of {members}")
            });
        }
        let mut votes = server.votes();
        let not_durable = votes.find(|&voter| !self.has_voted(voter, id, term));
        not_durable.map(|voter| {
            let durable = self.durable.get(voter).copied().unwrap_or_default();
            format!(
                "{id} counts a vote of {voter} in term {term}, but on the disk of {voter} is {}",
                words(durable)
            )
        })
    }
}

impl Invariant<Peer> for VotesDurable {
    fn property(&self) -> &'static str {
        "hard-state"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        let seen = self.now.of(touched);
        let Some(server) = server(&cluster, touched) else {
            *seen = None;
            return Ok(());
        };
        let (role, state) = (server.role(), server.hard_state);
        let votes = if role == Role::Candidate {
            server.votes().count()
        } else {
            0
        };
        let before = seen.replace((state, role, votes));
        let durable = std::mem::replace(self.durable.of(touched), server.durable_hard_state());
        if before == Some((state, role, votes)) {
            return Ok(());
        }
        // After a crash its disk speaks for it.
        let earlier = before.map_or(durable, |(state, ..)| state);
        if !follows(earlier, state) {
            let (earlier, now) = (words(earlier), words(state));
            return self.violated(format!("{touched} had {earlier}, and has {now}"));
        }
        let elected =
            role == Role::Leader && before.is_none_or(|(_, role, _)| role != Role::Leader);
        if votes > 0 || elected {
            let found = self.check_votes(touched, server);
            return found.map_or(Ok(()), |what| self.violated(what));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{State, observe, observe_all};
    use super::*;

    #[test]
    fn terms_grow_and_a_vote_is_for_good() {
        let mut invariant = VotesDurable::default();
        for state in [
            State::follower(1),
            State::follower(1).voted(1),
            State::follower(2),
            State::follower(2).voted(2),
        ] {
            assert_eq!(observe(&mut invariant, &state), Ok(()));
        }
        let violation = observe(&mut invariant, &State::follower(2).voted(1)).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "hard-state: n1 had term 2 and a vote for n3, and has term 2 and a vote for n2"
        );
        let mut invariant = VotesDurable::default();
        assert_eq!(observe(&mut invariant, &State::follower(2)), Ok(()));
        assert!(observe(&mut invariant, &State::follower(1)).is_err());
    }

    #[test]
    fn a_crash_may_undo_only_what_was_not_durable() {
        let durable = State::follower(2).voted(2);
        let voted = State::follower(3).voted(1).durably(2, Some(2));
        let mut invariant = VotesDurable::default();
        for state in [voted.clone(), State::down(), durable.clone()] {
            assert_eq!(observe(&mut invariant, &state), Ok(()));
        }
        let mut invariant = VotesDurable::default();
        for state in [voted, State::down()] {
            assert_eq!(observe(&mut invariant, &state), Ok(()));
        }
        assert!(observe(&mut invariant, &State::follower(2).voted(0)).is_err());
    }

    #[test]
    fn a_vote_that_is_counted_is_durable() {
        let candidate = State::candidate(3, &[0, 1]).voted(0);
        let voter = State::follower(3).voted(0);
        let with = |voter: State| {
            let mut invariant = VotesDurable::default();
            observe_all(&mut invariant, &[State::down(), voter.clone()])?;
            observe_all(&mut invariant, &[candidate.clone(), voter])
        };
        assert_eq!(with(voter.clone()), Ok(()));
        assert_eq!(with(State::follower(4)), Ok(()));
        let violation = with(voter.durably(2, None)).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "hard-state: n1 counts a vote of n2 in term 3, but on the disk of n2 is term 2 and no vote"
        );
    }

    #[test]
    fn a_leader_has_a_quorum_of_durable_votes() {
        let leader = State::leader(3).voted(0).voters(3);
        let with = |second: State| {
            let mut invariant = VotesDurable::default();
            let followers = [State::down(), second.clone(), State::follower(2)];
            observe_all(&mut invariant, &followers)?;
            observe_all(&mut invariant, &[leader.clone(), second])
        };
        assert_eq!(with(State::follower(3).voted(0)), Ok(()));
        assert!(with(State::follower(3).voted(1)).is_err());
    }
}
