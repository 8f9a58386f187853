//! What was ever seen of the logs: shared by the invariants, so that each entry is looked at once.

use super::{Peer, PerNode, server};
use crate::raft::{Entry, HardState, Index, Log, Role, Server, Term};
use splitbrain_core::{Cluster, NodeId};
use std::cell::{Cell, Ref, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// What all invariants of one run share.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    shared: Rc<Shared>,
    /// Which of those that share it this is.
    nth: usize,
}

#[derive(Debug, Default)]
struct Shared {
    book: RefCell<Book>,
    /// What the last event was news of.
    news: Cell<News>,
    /// Who writes: the one that was asked first, and will be asked first after every event.
    writer: Cell<Option<usize>>,
}

/// What an event has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct News(u8);

impl News {
    /// Entries, or the base.
    pub(super) const LOG: News = News(1);
    /// The commit index, or what is applied.
    pub(super) const APPLIED: News = News(2);
    /// The snapshot.
    pub(super) const SNAPSHOT: News = News(4);
    /// The role, term or vote, in memory or on the disk, or the votes of others.
    pub(super) const ROLE: News = News(8);
    /// What a leader believes of its followers.
    pub(super) const MATCH: News = News(16);
    /// Reads were answered by lease.
    pub(super) const LEASE: News = News(32);
    /// How much of the log is durable.
    const STORED: News = News(64);
    /// All of it: the server was started, or has crashed.
    const ALL: News = News(127);

    /// Either.
    pub(super) const fn or(self, other: News) -> News {
        News(self.0 | other.0)
    }

    fn when(self, is: bool) -> News {
        if is { self } else { News(0) }
    }
}

impl Seen {
    /// The same, for another invariant.
    pub(super) fn share(&self) -> Seen {
        Seen {
            shared: self.shared.clone(),
            nth: Rc::strong_count(&self.shared),
        }
    }

    /// Whether this event at `touched` is news of any of that. To be asked after every event.
    #[inline]
    pub(super) fn is_news(&self, of: News, cluster: &Cluster<'_, Peer>, touched: NodeId) -> bool {
        let shared = &*self.shared;
        let writer = shared.writer.get();
        if writer.is_none_or(|writer| writer == self.nth) {
            self.write(cluster, touched);
        }
        shared.news.get().0 & of.0 != 0
    }

    // Apart, so that all others only look at a flag.
    #[inline(never)]
    fn write(&self, cluster: &Cluster<'_, Peer>, touched: NodeId) {
        self.shared.writer.set(Some(self.nth));
        let news = self.shared.book.borrow_mut().observe(cluster, touched);
        self.shared.news.set(news);
    }

    /// Everything that was seen up to this event.
    #[inline]
    pub(super) fn book(&self) -> Ref<'_, Book> {
        self.shared.book.borrow()
    }
}

/// Every entry that any log has held, and which of them are committed. Logs forget what a snapshot stands for; the book
/// does not.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// By index less one: the entry that was seen there first.
    first_seen: Vec<Option<Record>>,
    /// Entries of other terms that were seen at the same index.
    others_seen: BTreeMap<(Index, Term), Record>,
    /// The first two entries that should have been the same and were not.
    pub(super) mismatch: Option<String>,
    /// By index less one: what any server has known to be committed. A hole is an entry that no log was seen to hold.
    committed: Vec<Option<Committed>>,
    /// What each node was like when it was looked at last.
    looked_at: PerNode<Option<LookedAt>>,
    /// What each node had when it was last up.
    stored: PerNode<Stored>,
}

/// An entry that some log has held.
#[derive(Clone, Debug)]
struct Record {
    entry: Entry,
    previous_term: Term,
    node: NodeId,
}

/// That an entry is committed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Committed {
    /// The term of the entry.
    pub(super) term: Term,
    /// The term in which it was committed: that of the server that was the first to know.
    pub(super) in_term: Term,
    /// That server.
    pub(super) by: NodeId,
}

#[derive(Clone, Copy, Debug)]
struct LookedAt {
    log: u64,
    base: Index,
    commit_index: Index,
    last_applied: Index,
    snapshot: Index,
    role: Role,
    state: HardState,
    durable: HardState,
    votes: usize,
    /// Another number whenever any match index is.
    matches: u64,
    lease_reads: u64,
    durable_index: Index,
    recovering: bool,
}

/// What a server that is down may have on its disk.
#[derive(Clone, Copy, Debug, Default)]
struct Stored {
    /// Its term when it was last up, durable or not.
    term: Term,
    /// The end of its log, durable or not.
    last: (Index, Term),
    /// Up to here it knew its log to be durable.
    durable_index: Index,
    recovering: bool,
}

/// Whether something is on a server's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Yes,
    No,
    /// It was written before the server crashed. If others rely on it, then it was durable, as a restart will show.
    Perhaps,
}

impl Book {
    /// Up to where anything is known to be committed.
    pub(super) fn commit_index(&self) -> Index {
        Index::ZERO.plus(self.committed.len())
    }

    /// What is committed at `index`, if that is known.
    pub(super) fn committed(&self, index: Index) -> Option<Committed> {
        let slot = (index.0 as usize).checked_sub(1)?;
        self.committed.get(slot).copied().flatten()
    }

    /// The entry of that term at `index`, if a log has held it.
    pub(super) fn entry(&self, index: Index, term: Term) -> Option<&Entry> {
        self.record(index, term).map(|record| &record.entry)
    }

    /// The term of the entry before that one.
    pub(super) fn previous_term(&self, index: Index, term: Term) -> Option<Term> {
        self.record(index, term).map(|record| record.previous_term)
    }

    fn record(&self, index: Index, term: Term) -> Option<&Record> {
        let slot = (index.0 as usize).checked_sub(1)?;
        let first = self.first_seen.get(slot)?.as_ref()?;
        if first.entry.term == term {
            return Some(first);
        }
        self.others_seen.get(&(index, term))
    }

    /// Whether a server holds the entry of that term at `index` durably, or has compacted it. If it is down: whether it did
    /// when it was last up, or may have by the time that it crashed.
    ///
    /// One that has lost entries with its disk is taken to hold whatever it may have acknowledged: it votes for nobody
    /// until it has it back, so that it need not hold it.
    pub(super) fn holds(
        &self,
        cluster: &Cluster<'_, Peer>,
        id: NodeId,
        (index, term): (Index, Term),
    ) -> Holds {
        if let Some(server) = server(cluster, id) {
            let log = server.log();
            let agrees = index < log.base() || log.term_at(index) == Some(term);
            let holds = server.is_recovering() || (server.durable_index() >= index && agrees);
            return if holds { Holds::Yes } else { Holds::No };
        }
        match self.stored.get(id) {
            Some(stored) if stored.recovering => Holds::Yes,
            Some(stored) if self.is_before((index, term), stored.last) => {
                if index <= stored.durable_index {
                    Holds::Yes
                } else {
                    Holds::Perhaps
                }
            }
            _ => Holds::No,
        }
    }

    /// The latest term that a server has seen. If it is down: that it had when it was last up.
    pub(super) fn term_of(&self, cluster: &Cluster<'_, Peer>, id: NodeId) -> Term {
        let stored = || self.stored.get(id).map(|stored| stored.term);
        let now = server(cluster, id).map(Server::term);
        now.or_else(stored).unwrap_or_default()
    }

    /// Whether a log with the second of these entries has the first one, which is not after it.
    fn is_before(&self, first: (Index, Term), (index, term): (Index, Term)) -> bool {
        let (mut at, mut at_term) = (index, term);
        while at > first.0 {
            let Some(previous) = self.previous_term(at, at_term) else {
                // No log was seen to hold it, so that it came with a snapshot: what it stands for is committed.
                return self
                    .committed(first.0)
                    .is_some_and(|committed| committed.term == first.1);
            };
            (at, at_term) = (at.previous(), previous);
        }
        (at, at_term) == first
    }

    fn observe(&mut self, cluster: &Cluster<'_, Peer>, touched: NodeId) -> News {
        let looked_at = self.looked_at.of(touched);
        let Some(server) = server(cluster, touched) else {
            return News::ALL.when(looked_at.take().is_some());
        };
        let now = LookedAt::new(server);
        let before = looked_at.replace(now);
        let news = before.map_or(News::ALL, |before| now.news_since(&before));
        if news == News::default() {
            return news;
        }
        let (log, commit_index) = (server.log(), server.commit_index());
        *self.stored.of(touched) = Stored {
            term: server.term(),
            last: (log.last_index(), log.last_term()),
            durable_index: server.durable_index(),
            recovering: server.is_recovering(),
        };
        match before {
            Some(before) if before.log == log.version() => {}
            Some(before) if before.log + 1 == log.version() => {
                self.read(log, log.changed_from(), touched);
            }
            _ => self.read(log, Index::FIRST, touched),
        }
        if commit_index > self.commit_index() {
            self.commit(log, commit_index, server.term(), touched);
        }
        news
    }

    /// Looks at the entries from `from` on.
    fn read(&mut self, log: &Log, from: Index, node: NodeId) {
        // What was compacted in the same event is known by the term of the last of it.
        let mut index = from.max(log.base().next());
        let mut previous_term = log.term_at(index.previous()).unwrap_or_default();
        for entry in log.starting_at(index) {
            let seen = self.recall(index, entry, previous_term, node);
            if seen.previous_term != previous_term || seen.entry.command != entry.command {
                let (what, first) = (seen.difference(entry, previous_term), seen.node);
                let term = entry.term;
                self.mismatch.get_or_insert_with(|| {
                    format!(
                        "{first} and {node} have held different logs up to index {index} of term {term}: {what}"
                    )
                });
                return;
            }
            previous_term = entry.term;
            index = index.next();
        }
    }

    /// What was seen before of this index and term; if nothing, then it is seen now.
    fn recall(
        &mut self,
        index: Index,
        entry: &Entry,
        previous_term: Term,
        node: NodeId,
    ) -> &Record {
        let record = || Record {
            entry: entry.clone(),
            previous_term,
            node,
        };
        let slot = index.since(Index::FIRST);
        if slot >= self.first_seen.len() {
            self.first_seen.resize(slot + 1, None);
        }
        let first = self.first_seen[slot].get_or_insert_with(record);
        if first.entry.term == entry.term {
            return first;
        }
        let key = (index, entry.term);
        self.others_seen.entry(key).or_insert_with(record)
    }

    /// The first server knows that everything up to here is committed.
    fn commit(&mut self, log: &Log, commit_index: Index, in_term: Term, by: NodeId) {
        let first_new = self.commit_index().next();
        self.committed.resize(commit_index.0 as usize, None);
        let mut index = commit_index;
        let mut next_term = None;
        while index >= first_new {
            // What it has compacted in the same event follows from the entry after it.
            let follows = || self.previous_term(index.next(), next_term?);
            let term = log.term_at(index).or_else(follows);
            self.committed[index.since(Index::FIRST)] =
                term.map(|term| Committed { term, in_term, by });
            next_term = term;
            index = index.previous();
        }
    }
}

impl LookedAt {
    #[inline]
    fn new(server: &Server) -> LookedAt {
        let role = server.role();
        let add = |sum: u64, (id, index): (NodeId, Index)| {
            let next = (id.index() as u64) << 48 ^ index.0;
            (sum.rotate_left(5) ^ next).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        };
        LookedAt {
            log: server.log().version(),
            base: server.log().base(),
            commit_index: server.commit_index(),
            last_applied: server.last_applied(),
            snapshot: server.snapshot().last_index,
            role,
            state: server.hard_state,
            durable: server.durable_hard_state(),
            votes: match role {
                Role::Candidate => server.votes().count(),
                _ => 0,
            },
            matches: match role {
                Role::Leader => server.match_indexes().fold(0, add),
                _ => 0,
            },
            lease_reads: server.lease_reads(),
            durable_index: server.durable_index(),
            recovering: server.is_recovering(),
        }
    }

    #[inline]
    fn news_since(&self, before: &LookedAt) -> News {
        let (now, was) = (self, before);
        let log = (now.log, now.base) != (was.log, was.base);
        let applied = (now.commit_index, now.last_applied) != (was.commit_index, was.last_applied);
        let states = now.state != was.state || now.durable != was.durable;
        let role = states || now.role != was.role || now.votes != was.votes;
        let stored = (now.durable_index, now.recovering) != (was.durable_index, was.recovering);
        News::LOG
            .when(log)
            .or(News::APPLIED.when(applied))
            .or(News::SNAPSHOT.when(now.snapshot != was.snapshot))
            .or(News::ROLE.when(role))
            .or(News::MATCH.when(now.matches != was.matches))
            .or(News::LEASE.when(now.lease_reads != was.lease_reads))
            .or(News::STORED.when(stored))
    }
}

impl Record {
    fn difference(&self, entry: &Entry, previous_term: Term) -> String {
        if self.entry.command == entry.command {
            format!(
                "the entries before it are of terms {} and {previous_term}",
                self.previous_term
            )
        } else {
            format!("`{}` and `{}`", self.entry.command, entry.command)
        }
    }
}

/// What others rely on a server to have on its disk, while it is down.
#[derive(Clone, Debug, Default)]
pub(super) struct Relied(PerNode<Option<(Index, Term)>>);

impl Relied {
    /// Somebody relies on it that the server has the entry on its disk.
    pub(super) fn rely(&mut self, id: NodeId, entry: (Index, Term)) {
        let relied = self.0.of(id);
        *relied = (*relied).max(Some(entry));
    }

    /// Whether the server holds the entry, as far as can be said now. If it is down, it will be held to that.
    pub(super) fn holds(
        &mut self,
        (book, cluster): (&Book, &Cluster<'_, Peer>),
        id: NodeId,
        entry: (Index, Term),
    ) -> bool {
        let holds = book.holds(cluster, id, entry);
        if holds == Holds::Perhaps {
            self.rely(id, entry);
        }
        holds != Holds::No
    }

    /// What is missing on the disk of a server that has just restarted, in words.
    pub(super) fn missing(
        &mut self,
        (book, cluster): (&Book, &Cluster<'_, Peer>),
        id: NodeId,
    ) -> Option<String> {
        server(cluster, id)?;
        let (index, term) = self.0.of(id).take()?;
        (book.holds(cluster, id, (index, term)) == Holds::No).then(|| {
            format!(
                "{id} has restarted without the entry of term {term} at index {index}, on which others relied"
            )
        })
    }
}
