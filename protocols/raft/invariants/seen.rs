//! What was ever seen of the logs: shared by the invariants, so that each entry is looked at once.

use super::{Peer, PerNode, server};
use crate::raft::{Entry, Index, Log, Server, Term};
use splitbrain_core::{Cluster, NodeId};
use std::cell::{Ref, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The book that all invariants of one run write in and read from.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    book: Rc<RefCell<Book>>,
    /// Somebody else, who is asked first, writes down what there is to see.
    reads_only: bool,
}

impl Seen {
    /// The same book, for one who only reads it.
    pub(super) fn to_read(&self) -> Seen {
        Seen {
            book: self.book.clone(),
            reads_only: true,
        }
    }

    /// Everything that was seen up to this event at `touched`.
    #[inline]
    pub(super) fn up_to(&self, cluster: &Cluster<'_, Peer>, touched: NodeId) -> Ref<'_, Book> {
        if !self.reads_only && self.book.borrow().is_news(cluster, touched) {
            self.book.borrow_mut().observe(cluster, touched);
        }
        self.book.borrow()
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
    /// What each node has on its disk, as it was last known to itself: a crash leaves that.
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LookedAt {
    log: u64,
    commit_index: Index,
    term: Term,
    durable_index: Index,
    recovering: bool,
}

/// What a server that is down has on its disk.
#[derive(Clone, Copy, Debug, Default)]
struct Stored {
    /// Its term when it was last up, durable or not.
    term: Term,
    /// The log up to here, whose last entry is of this term.
    last_index: Index,
    last_term: Term,
    recovering: bool,
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
    /// when it was last up.
    ///
    /// One that has lost entries with its disk is taken to hold whatever it may have acknowledged: it votes for nobody
    /// until it has it back, so that it need not hold it.
    pub(super) fn holds(
        &self,
        cluster: &Cluster<'_, Peer>,
        id: NodeId,
        (index, term): (Index, Term),
    ) -> bool {
        if let Some(server) = server(cluster, id) {
            let log = server.log();
            let agrees = index < log.base() || log.term_at(index) == Some(term);
            return server.is_recovering() || (server.durable_index() >= index && agrees);
        }
        let Some(stored) = self.stored.get(id) else {
            return false;
        };
        stored.recovering || self.is_before((index, term), (stored.last_index, stored.last_term))
    }

    /// The latest term that a server has seen. If it is down: that it had when it was last up.
    pub(super) fn term_of(&self, cluster: &Cluster<'_, Peer>, id: NodeId) -> Term {
        let stored = || self.stored.get(id).map(|stored| stored.term);
        let now = server(cluster, id).map(Server::term);
        now.or_else(stored).unwrap_or_default()
    }

    /// Whether a log with the second of these entries has the first one, which is not after it.
    pub(super) fn is_before(&self, first: (Index, Term), (index, term): (Index, Term)) -> bool {
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

    fn is_news(&self, cluster: &Cluster<'_, Peer>, touched: NodeId) -> bool {
        let now = server(cluster, touched).map(LookedAt::new);
        self.looked_at.get(touched).copied().flatten() != now
    }

    fn observe(&mut self, cluster: &Cluster<'_, Peer>, touched: NodeId) {
        let looked_at = self.looked_at.of(touched);
        let Some(server) = server(cluster, touched) else {
            *looked_at = None;
            return;
        };
        let (log, commit_index) = (server.log(), server.commit_index());
        let before = looked_at.replace(LookedAt::new(server));
        let last_index = server.durable_index();
        *self.stored.of(touched) = Stored {
            term: server.term(),
            last_index,
            // What it has compacted further than that is committed; a snapshot is on its way to the disk.
            last_term: log
                .term_at(last_index)
                .or_else(|| self.committed(last_index).map(|committed| committed.term))
                .unwrap_or_default(),
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
        LookedAt {
            log: server.log().version(),
            commit_index: server.commit_index(),
            term: server.term(),
            durable_index: server.durable_index(),
            recovering: server.is_recovering(),
        }
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
