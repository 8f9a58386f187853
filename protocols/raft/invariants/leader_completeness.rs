//! Leader completeness (§5.4, Figure 3).

use super::{Peer, PerNode, server};
use crate::raft::{Index, Role, Server, Term};
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};

/// "If a log entry is committed in a given term, then that entry will be present in the logs of the leaders for all
/// higher-numbered terms" (§5.4, Figure 3).
#[derive(Clone, Debug, Default)]
pub struct LeaderCompleteness {
    /// By index less one: the entries that any server has known to be committed.
    committed: Vec<Committed>,
    /// What each node was last seen to know.
    known: PerNode<Known>,
}

#[derive(Clone, Copy, Debug)]
struct Committed {
    /// The term of the entry.
    term: Term,
    /// The term in which it was committed: that of the server that was the first to know.
    in_term: Term,
    /// That server.
    by: NodeId,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    commit_index: Index,
    led: Option<Term>,
}

impl LeaderCompleteness {
    /// Checks a leader against the committed entries from `first` on.
    fn check(&self, id: NodeId, leader: &Server, first: Index) -> Result<(), Violation> {
        let mut index = first;
        for committed in &self.committed[first.since(Index::FIRST)..] {
            let held = leader.log().term_at(index);
            if committed.in_term < leader.term() && held != Some(committed.term) {
                let held = held.map_or("nothing".to_owned(), |term| format!("one of term {term}"));
                return self.violated(format!(
                    "{id} leads term {} without the entry of term {} at index {index}, which {} committed \
                     in term {}; it has {held} there",
                    leader.term(),
                    committed.term,
                    committed.by,
                    committed.in_term,
                ));
            }
            index = index.next();
        }
        Ok(())
    }
}

impl Invariant<Peer> for LeaderCompleteness {
    fn property(&self) -> &'static str {
        "leader-completeness"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        let known = self.known.of(touched);
        let Some(server) = server(&cluster, touched) else {
            *known = Known::default();
            return Ok(());
        };
        let led = (server.role() == Role::Leader).then(|| server.term());
        let new_leader = led.is_some() && led != known.led;
        let commit_index = server.commit_index();
        let news = commit_index > known.commit_index;
        *known = Known { commit_index, led };

        let first_new = Index::FIRST.plus(self.committed.len());
        if news && commit_index >= first_new {
            let (log, in_term, by) = (server.log(), server.term(), touched);
            let entries = log.starting_at(first_new).iter();
            let committed = entries
                .take(commit_index.next().since(first_new))
                .map(|entry| Committed {
                    term: entry.term,
                    in_term,
                    by,
                });
            self.committed.extend(committed);
            for (id, peer) in cluster.nodes() {
                let leader = peer.server().filter(|server| server.role() == Role::Leader);
                if let Some(leader) = leader {
                    self.check(id, leader, first_new)?;
                }
            }
        }
        if new_leader {
            self.check(touched, server, Index::FIRST)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{State, observe_all};
    use super::*;

    #[test]
    fn a_later_leader_must_hold_what_was_committed() {
        // Figure 8: n1 commits its entry of term 2 by counting, crashes, and n2, which lacks it, is elected.
        let mut invariant = LeaderCompleteness::default();
        let behind = State::follower(3).log(&[1, 3]);
        let before = [State::leader(4).log(&[1, 2]).committed(2), behind];
        assert_eq!(observe_all(&mut invariant, &before), Ok(()));
        let after = [State::down(), State::leader(5).log(&[1, 3])];
        let violation = observe_all(&mut invariant, &after).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "leader-completeness: n2 leads term 5 without the entry of term 2 at index 2, which n1 committed in \
             term 4; it has one of term 3 there"
        );
    }

    #[test]
    fn so_must_one_that_leads_already_when_an_earlier_one_commits() {
        let mut invariant = LeaderCompleteness::default();
        let later = State::leader(2).log(&[]);
        let before = [State::leader(1).log(&[1]), later.clone()];
        assert_eq!(observe_all(&mut invariant, &before), Ok(()));
        let after = [State::leader(1).log(&[1]).committed(1), later];
        assert!(observe_all(&mut invariant, &after).is_err());
    }

    #[test]
    fn an_earlier_leader_need_not_hold_what_is_committed_without_it() {
        let mut invariant = LeaderCompleteness::default();
        let states = [
            State::leader(1).log(&[1, 1]).committed(1),
            State::leader(2).log(&[1, 2]).committed(2),
        ];
        assert_eq!(observe_all(&mut invariant, &states), Ok(()));
        assert_eq!(observe_all(&mut invariant, &states), Ok(()));
    }
}
