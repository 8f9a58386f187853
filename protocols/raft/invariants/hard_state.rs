//! Terms and votes (§5.1, §5.2).

use super::seen::{Holds, News, Seen};
use super::{Peer, PerNode, depends, server};
use crate::raft::{HardState, Role, Server, Term};
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};
use std::collections::BTreeSet;

/// A server's term never decreases, and it votes for one candidate in each (§5.1, §5.2), crashes or not: what others count
/// is on its disk (Figure 2, "updated on stable storage before responding to RPCs"). `MonotonicTermProp` and
/// `LeaderVotesQuorum` in TLA+ specifications.
///
/// What a server that is down has last written may have become durable: if somebody counts it, it has, and the restart is
/// held to that.
#[derive(Debug, Default)]
pub struct VotesDurable {
    seen: Seen,
    nodes: PerNode<Held>,
    /// Every vote that was ever seen, durable or not: in which term, whose, and for whom.
    cast: BTreeSet<(Term, NodeId, NodeId)>,
}

/// What a node was last seen to hold.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    is_up: bool,
    is_leader: bool,
    /// How many votes it counts.
    votes: usize,
    state: HardState,
    durable: HardState,
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
    pub(super) fn new(seen: &Seen) -> VotesDurable {
        VotesDurable {
            seen: seen.share(),
            ..VotesDurable::default()
        }
    }

    /// Whether a server has voted for that candidate in that term, durably; it may have gone on to a later one since.
    fn has_voted(&self, voter: NodeId, candidate: NodeId, term: Term) -> Holds {
        let cast = self.cast.contains(&(term, voter, candidate));
        let grants = |state: HardState| {
            (state.term > term && cast)
                || (state.term == term && state.voted_for == Some(candidate))
        };
        match self.nodes.get(voter) {
            Some(seen) if grants(seen.durable) => Holds::Yes,
            Some(seen) if !seen.is_up && grants(seen.state) => Holds::Perhaps,
            _ => Holds::No,
        }
    }

    fn check_votes(&mut self, id: NodeId, server: &Server) -> Option<String> {
        let term = server.term();
        let needed = if server.role() == Role::Leader {
            let quorum = server.membership().quorum();
            let voters = quorum.voters.iter().chain(quorum.outgoing);
            let who = voters.map(|&voter| (voter, self.has_voted(voter, id, term)));
            let Some(needed) = depends(quorum, who) else {
                let members = server.membership();
                return Some(format!(
                    "{id} leads term {term}, but its votes are not on the disks of a quorum of {members}"
                ));
            };
            needed
        } else {
            let has_not = |voter: &NodeId| self.has_voted(*voter, id, term) == Holds::No;
            if let Some(voter) = server.votes().find(has_not) {
                let durable = words(self.nodes.of(voter).durable);
                return Some(format!(
                    "{id} counts a vote of {voter} in term {term}, but on the disk of {voter} is {durable}"
                ));
            }
            server.votes().collect()
        };
        for voter in needed {
            // Of what it has written, that much must have become durable; what it wrote after that need not.
            if self.has_voted(voter, id, term) == Holds::Perhaps {
                self.nodes.of(voter).durable = HardState {
                    term,
                    voted_for: Some(id),
                };
            }
        }
        None
    }
}

impl Invariant<Peer> for VotesDurable {
    fn property(&self) -> &'static str {
        "hard-state"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        if !self.seen.is_news(News::ROLE, &cluster, touched) {
            return Ok(());
        }
        let seen = self.nodes.of(touched);
        let Some(server) = server(&cluster, touched) else {
            (seen.is_up, seen.is_leader, seen.votes) = (false, false, 0);
            return Ok(());
        };
        let role = server.role();
        let now = Held {
            is_up: true,
            is_leader: role == Role::Leader,
            votes: if role == Role::Candidate {
                server.votes().count()
            } else {
                0
            },
            state: server.hard_state,
            durable: server.durable_hard_state(),
        };
        let before = std::mem::replace(seen, now);
        if let Some(candidate) = now.state.voted_for
            && before.state != now.state
        {
            self.cast.insert((now.state.term, touched, candidate));
        }
        // After a crash its disk speaks for it.
        let earlier = if before.is_up {
            before.state
        } else {
            before.durable
        };
        if earlier != now.state && !follows(earlier, now.state) {
            let (earlier, now) = (words(earlier), words(now.state));
            return self.violated(format!("{touched} had {earlier}, and has {now}"));
        }
        if now.votes > before.votes || (now.is_leader && !before.is_leader) {
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
        let violation = with(voter.clone().durably(2, None)).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "hard-state: n1 counts a vote of n2 in term 3, but on the disk of n2 is term 2 and no vote"
        );
        // Who has gone on to a later term has voted in the earlier one, or has not.
        let went_on = State::follower(4);
        assert!(with(went_on.clone()).is_err());
        let mut invariant = VotesDurable::default();
        for (first, second) in [
            (State::down(), voter),
            (State::down(), went_on.clone()),
            (candidate, went_on),
        ] {
            assert_eq!(observe_all(&mut invariant, &[first, second]), Ok(()));
        }
    }

    #[test]
    fn a_vote_of_a_server_that_is_down_is_counted_only_if_a_restart_will_find_it() {
        let leader = State::leader(3).voted(0).voters(3);
        let voted = State::follower(3).voted(0).durably(2, None);
        let lost = State::follower(2);
        for (third, result) in [(State::down(), false), (State::follower(3).voted(0), true)] {
            let mut invariant = VotesDurable::default();
            let mut observed = |states: [State; 3]| observe_all(&mut invariant, &states);
            let before = State::candidate(3, &[]).voted(0);
            let first = third.clone();
            assert_eq!(observed([before, voted.clone(), first]), Ok(()));
            assert_eq!(
                observed([State::down(), State::down(), third.clone()]),
                Ok(())
            );
            assert_eq!(
                observed([leader.clone(), State::down(), third.clone()]),
                Ok(())
            );
            // If the third has voted, nothing depends on the second.
            assert_eq!(
                observed([leader.clone(), lost.clone(), third]).is_ok(),
                result
            );
        }
    }

    #[test]
    fn what_it_wrote_after_a_vote_that_is_counted_may_be_lost() {
        let mut invariant = VotesDurable::default();
        let candidate = |votes: &[usize]| State::candidate(3, votes).voted(0);
        let voted = State::follower(3).voted(0);
        let went_on = State::candidate(4, &[]).voted(1).durably(3, Some(0));
        for (first, second) in [
            (candidate(&[]), voted.clone()),
            (candidate(&[]), went_on),
            (candidate(&[]), State::down()),
            (candidate(&[1]), State::down()),
            (candidate(&[1]), voted),
        ] {
            assert_eq!(observe_all(&mut invariant, &[first, second]), Ok(()));
        }
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
