//! Leader completeness (§5.4, Figure 3).

use super::seen::{Book, News, Seen};
use super::{Peer, PerNode, server};
use crate::raft::{Index, Role, Server, Term};
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};

/// "If a log entry is committed in a given term, then that entry will be present in the logs of the leaders for all
/// higher-numbered terms" (§5.4, Figure 3; `LeaderCompleteness` in TLA+ specifications).
///
/// What a leader has compacted counts as present if the last entry of it is the one that was committed there, and its
/// snapshot reaches that far.
#[derive(Debug, Default)]
pub struct LeaderCompleteness {
    seen: Seen,
    /// Up to where running leaders were held to what is committed.
    checked: Index,
    /// The term that each node was last seen to lead.
    led: PerNode<Option<Term>>,
}

/// Checks a leader against the committed entries from `first` on; what it lacks, in words.
fn lacks(book: &Book, id: NodeId, leader: &Server, first: Index) -> Option<String> {
    let log = leader.log();
    // If the log was compacted further than the snapshot reaches, all that was compacted is lost.
    let compacted = log.base() <= leader.snapshot().last_index;
    let mut index = if compacted {
        first.max(log.base()).max(Index::FIRST)
    } else {
        first
    };
    while index <= book.commit_index() {
        let held = log
            .term_at(index)
            .filter(|_| compacted || index > log.base());
        if let Some(committed) = book.committed(index)
            && committed.in_term < leader.term()
            && held != Some(committed.term)
        {
            let held = held.map_or("nothing".to_owned(), |term| format!("one of term {term}"));
            return Some(format!(
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
    None
}

impl LeaderCompleteness {
    pub(super) fn new(seen: &Seen) -> LeaderCompleteness {
        LeaderCompleteness {
            seen: seen.share(),
            ..LeaderCompleteness::default()
        }
    }
}

impl Invariant<Peer> for LeaderCompleteness {
    fn property(&self) -> &'static str {
        "leader-completeness"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        if !self
            .seen
            .is_news(News::APPLIED.or(News::ROLE), &cluster, touched)
        {
            return Ok(());
        }
        let book = self.seen.book();
        let server = server(&cluster, touched);
        let leader = server.filter(|server| server.role() == Role::Leader);
        let led = leader.map(Server::term);
        let before = std::mem::replace(self.led.of(touched), led);
        let mut found = None;
        if book.commit_index() > self.checked {
            let first_new = self.checked.next();
            self.checked = book.commit_index();
            let peers = cluster.nodes();
            let servers = peers.filter_map(|(id, peer)| Some((id, peer.server()?)));
            let mut leaders = servers.filter(|(_, server)| server.role() == Role::Leader);
            found = leaders.find_map(|(id, leader)| lacks(&book, id, leader, first_new));
        }
        if let Some(leader) = leader
            && before != led
        {
            found = found.or_else(|| lacks(&book, touched, leader, Index::FIRST));
        }
        drop(book);
        found.map_or(Ok(()), |what| self.violated(what))
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

    #[test]
    fn a_leader_may_hold_it_in_a_snapshot_that_ends_with_what_was_committed() {
        let committed = State::leader(2).log(&[1, 1, 2]).committed(3);
        let with = |leader: State| {
            let mut invariant = LeaderCompleteness::default();
            observe_all(&mut invariant, &[committed.clone(), leader])
        };
        let leader = State::leader(3);
        assert_eq!(with(leader.clone().log(&[1, 1, 2]).compacted(2)), Ok(()));
        assert_eq!(with(leader.clone().installed(2, 1).appended(&[2])), Ok(()));
        assert_eq!(with(leader.clone().installed(3, 2)), Ok(()));
        assert!(with(leader.clone().installed(2, 1)).is_err());
        assert!(with(leader.clone().installed(3, 1)).is_err());
        let mut lost = leader.log(&[1, 1, 2]);
        lost.server().log.compact(Index(2));
        let violation = with(lost).unwrap_err().to_string();
        assert!(violation.contains("has nothing there"), "{violation}");
    }
}
