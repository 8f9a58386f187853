//! What was ever seen of the logs: shared by the invariants, so that each entry is looked at once.

use super::{Peer, PerNode, server};
use crate::raft::{Entry, Index, Log, Term};
use splitbrain_core::{Cluster, NodeId};
use std::cell::{Ref, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The book that all invariants of one run write in and read from.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Rc<RefCell<Book>>);

impl Seen {
    /// Everything that was seen up to this event at `touched`.
    #[inline]
    pub(super) fn up_to(&self, cluster: &Cluster<'_, Peer>, touched: NodeId) -> Ref<'_, Book> {
        let is_news = self.0.borrow().is_news(cluster, touched);
        if is_news {
            self.0.borrow_mut().observe(cluster, touched);
        }
        self.0.borrow()
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

    fn is_news(&self, cluster: &Cluster<'_, Peer>, touched: NodeId) -> bool {
        let now = server(cluster, touched).map(|server| LookedAt {
            log: server.log().version(),
            commit_index: server.commit_index(),
        });
        self.looked_at.get(touched).copied().flatten() != now
    }

    fn observe(&mut self, cluster: &Cluster<'_, Peer>, touched: NodeId) {
        let looked_at = self.looked_at.of(touched);
        let Some(server) = server(cluster, touched) else {
            *looked_at = None;
            return;
        };
        let (log, commit_index) = (server.log(), server.commit_index());
        let before = looked_at.replace(LookedAt {
            log: log.version(),
            commit_index,
        });
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
