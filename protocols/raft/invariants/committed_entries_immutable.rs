//! Committed entries are for ever (§5.4).

use super::seen::{Book, Committed, News, Seen};
use super::{Peer, PerNode, server};
use crate::raft::{Index, Server, Term};
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};

/// What is committed at an index never changes, and whoever has it keeps it: entries are removed from a log only if they
/// are not committed (§5.3, §5.4; `CommittedLogNeverChangesProp` and `CommittedLogAppendOnlyProp` in TLA+ specifications).
///
/// A server that is still in an earlier term than that in which the entry was committed may lose it: the leader of its term,
/// deposed by now, may lack the entry, and its request come late. Nobody has counted that server for the entry, and it gets it
/// again from a later leader, all of which have it (§5.4.3).
#[derive(Debug, Default)]
pub struct CommittedEntriesImmutable {
    seen: Seen,
    before: PerNode<Option<Before>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Before {
    version: u64,
    overwrites: u64,
    commit_index: Index,
    last: (Index, Term),
}

impl CommittedEntriesImmutable {
    pub(super) fn new(seen: &Seen) -> CommittedEntriesImmutable {
        CommittedEntriesImmutable {
            seen: seen.share(),
            ..CommittedEntriesImmutable::default()
        }
    }
}

/// A committed entry that a log which ended there held and had to keep, and this one does not have.
fn removed(book: &Book, before: (Index, Term), id: NodeId, now: &Server) -> Option<String> {
    let (mut index, mut term) = before;
    // The last entry that it held and that was committed in its term or before it. All before it are as well, and were held.
    let had_to_stay =
        |committed: Committed, term| committed.term == term && committed.in_term <= now.term();
    while !book
        .committed(index)
        .is_some_and(|it| had_to_stay(it, term))
    {
        term = book.previous_term(index, term)?;
        index = index.previous();
    }
    let log = now.log();
    if index <= log.base() || log.term_at(index) == Some(term) {
        return None;
    }
    let by = book.committed(index)?.by;
    Some(format!(
        "{id} has removed the entry of term {term} at index {index} from its log, which {by} knew to be committed"
    ))
}

/// An entry that a server takes for committed from `first` on, where another one is.
fn other(book: &Book, first: Index, id: NodeId, server: &Server) -> Option<String> {
    let log = server.log();
    let mut index = first.max(log.base()).max(Index::FIRST);
    while index <= server.commit_index() {
        if let (Some(term), Some(committed)) = (log.term_at(index), book.committed(index))
            && term != committed.term
        {
            let (by, first_term) = (committed.by, committed.term);
            return Some(format!(
                "at index {index}, {by} knew an entry of term {first_term} to be committed, but {id} one of term {term}"
            ));
        }
        index = index.next();
    }
    None
}

impl Invariant<Peer> for CommittedEntriesImmutable {
    fn property(&self) -> &'static str {
        "committed-entries-immutable"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        if !self
            .seen
            .is_news(News::LOG.or(News::APPLIED), &cluster, touched)
        {
            return Ok(());
        }
        let book = self.seen.book();
        let before = self.before.of(touched);
        let Some(server) = server(&cluster, touched) else {
            *before = None;
            return Ok(());
        };
        let (log, commit_index) = (server.log(), server.commit_index());
        let unchanged = before.is_some_and(|before| {
            before.version == log.version() && before.commit_index == commit_index
        });
        if unchanged {
            return Ok(());
        }
        let before = before.replace(Before {
            version: log.version(),
            overwrites: log.overwrites(),
            commit_index,
            last: (log.last_index(), log.last_term()),
        });
        let overwritten = before.filter(|before| before.overwrites != log.overwrites());
        let known = before.map_or(Index::ZERO, |before| before.commit_index);
        let found = overwritten
            .and_then(|before| removed(&book, before.last, touched, server))
            .or_else(|| other(&book, known.next(), touched, server));
        drop(book);
        found.map_or(Ok(()), |what| self.violated(what))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{State, observe_all};
    use super::*;

    #[test]
    fn two_servers_must_not_take_different_entries_for_committed() {
        let mut invariant = CommittedEntriesImmutable::default();
        let first = State::follower(3).log(&[1, 2]).committed(2);
        let behind = State::follower(3).log(&[1, 3]).committed(1);
        let both = [first.clone(), behind];
        assert_eq!(observe_all(&mut invariant, &both), Ok(()));
        let both = [first, State::follower(3).log(&[1, 3]).committed(2)];
        let violation = observe_all(&mut invariant, &both).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "committed-entries-immutable: at index 2, n1 knew an entry of term 2 to be committed, \
             but n2 one of term 3"
        );
    }

    #[test]
    fn who_has_a_committed_entry_keeps_it_though_it_knows_not_that_it_is() {
        let mut invariant = CommittedEntriesImmutable::default();
        let first = State::follower(3).log(&[1, 2]).committed(2);
        let mut second = State::follower(3).log(&[1, 2, 2]);
        let states = [first.clone(), second.clone()];
        assert_eq!(observe_all(&mut invariant, &states), Ok(()));
        // What is not committed may go.
        second.server().log.splice(Index(3), []);
        let states = [first.clone(), second.clone()];
        assert_eq!(observe_all(&mut invariant, &states), Ok(()));
        second.server().log.splice(Index(2), []);
        let violation = observe_all(&mut invariant, &[first, second]).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "committed-entries-immutable: n2 has removed the entry of term 2 at index 2 from its log, \
             which n1 knew to be committed"
        );
    }

    #[test]
    fn who_is_in_an_earlier_term_may_lose_it_to_a_leader_of_that_term() {
        let mut invariant = CommittedEntriesImmutable::default();
        // Committed in term 4: the first entry by what follows it, too.
        let first = State::follower(4).log(&[2, 2, 4]).committed(3);
        let mut behind = State::follower(3).log(&[2, 2]);
        let states = [first.clone(), behind.clone()];
        assert_eq!(observe_all(&mut invariant, &states), Ok(()));
        behind
            .server()
            .log
            .splice(Index(2), [super::super::testing::entry(3)]);
        assert_eq!(
            observe_all(&mut invariant, &[first.clone(), behind]),
            Ok(())
        );

        // The same, and it has gone on to term 4.
        let mut invariant = CommittedEntriesImmutable::default();
        let mut there = State::follower(4).log(&[2, 2]);
        let states = [first.clone(), there.clone()];
        assert_eq!(observe_all(&mut invariant, &states), Ok(()));
        there
            .server()
            .log
            .splice(Index(2), [super::super::testing::entry(3)]);
        assert!(observe_all(&mut invariant, &[first, there]).is_err());
    }

    #[test]
    fn a_snapshot_may_take_its_place() {
        let mut invariant = CommittedEntriesImmutable::default();
        let first = State::follower(3).log(&[1, 2, 2]).committed(3);
        let second = State::follower(3).log(&[1, 2]);
        let states = [first.clone(), second.clone()];
        assert_eq!(observe_all(&mut invariant, &states), Ok(()));
        let states = [first, second.installed(3, 2)];
        assert_eq!(observe_all(&mut invariant, &states), Ok(()));
    }
}
