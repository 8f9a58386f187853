//! The replicated log: terms, indexes, entries, and the few ways to change them (§5.3; compaction: dissertation §5).

use super::membership::Membership;
use super::session::{RequestId, SessionId};
use crate::kv;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A period of time with at most one leader (§5.1): the logical clock of Raft.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Term(pub u64);

impl Term {
    /// Before the first election.
    pub const ZERO: Term = Term(0);

    /// The term after this one.
    #[must_use]
    pub const fn next(self) -> Term {
        Term(self.0 + 1)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A position in the log. The first entry is at 1; zero is "before the first entry".
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Index(pub u64);

impl Index {
    /// Before the first entry.
    pub const ZERO: Index = Index(0);
    /// The first entry.
    pub const FIRST: Index = Index(1);

    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Index {
        Index(self.0 + 1)
    }

    /// The position before this one, which must not be zero.
    #[must_use]
    pub const fn previous(self) -> Index {
        Index(self.0 - 1)
    }

    /// The position `count` entries further.
    #[must_use]
    pub const fn plus(self, count: usize) -> Index {
        Index(self.0 + count as u64)
    }

    /// How many entries there are after `earlier` up to this position; none if `earlier` is later.
    pub const fn since(self, earlier: Index) -> usize {
        self.0.saturating_sub(earlier.0) as usize
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an entry asks the state machine to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Nothing: the entry with which a leader opens its term (dissertation §6.4).
    Noop,
    /// Open a session for a client (dissertation §6.3). Its id will be the index of the entry.
    Register {
        /// Names the request towards the client that made it.
        nonce: u64,
        /// How many sessions are kept, at most: the ones that were not used for longest go. It is in the entry because
        /// all servers must decide alike, whatever their settings say at the time.
        sessions_max: u32,
    },
    /// These are the members from here on: as soon as the entry is in a log, not when it is committed (dissertation §4.1).
    Members(Arc<Membership>),
    /// Perform an operation, once.
    Apply {
        /// The session of the client.
        session: SessionId,
        /// The number of the operation in its session.
        sequence: u64,
        /// The operation.
        #[serde(with = "kv::wire")]
        op: kv::Op,
    },
    /// Perform an operation that the leader itself has proposed: nobody waits for the answer, and it does no harm if it is
    /// performed twice.
    Own {
        /// The operation.
        #[serde(with = "kv::wire")]
        op: kv::Op,
    },
}

impl Command {
    /// How much its operation takes, in bytes.
    pub fn size_bytes(&self) -> usize {
        match self {
            Command::Apply { op, .. } | Command::Own { op } => op.size_bytes(),
            Command::Members(members) => members.size_bytes(),
            Command::Noop | Command::Register { .. } => 0,
        }
    }

    /// The client request that it came from.
    pub fn request(&self) -> Option<RequestId> {
        match *self {
            Command::Noop | Command::Members(_) | Command::Own { .. } => None,
            Command::Register { nonce, .. } => Some(RequestId::Register { nonce }),
            Command::Apply {
                session, sequence, ..
            } => Some(RequestId::Apply { session, sequence }),
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Noop => f.write_str("no-op"),
            Command::Register { nonce, .. } => write!(f, "register {nonce:x}"),
            Command::Members(members) => write!(f, "members {members}"),
            Command::Apply {
                session,
                sequence,
                op,
            } => write!(f, "{op} ({session}#{sequence})"),
            Command::Own { op } => write!(f, "{op} (own)"),
        }
    }
}

/// An entry of the log. Small, and cheap to clone: logs, journals and messages share the command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The term in which a leader created it.
    pub term: Term,
    /// What it asks for.
    pub command: Arc<Command>,
}

impl Entry {
    /// An entry of this term that asks for this.
    pub(super) fn new(term: Term, command: Command) -> Entry {
        Entry {
            term,
            command: Arc::new(command),
        }
    }
}

/// The log of one server: the entries after those that a snapshot stands for.
///
/// Everything that changes entries goes through `splice` and `restart_at`, which count: an observer that missed no
/// change needs to look at the changed suffix only.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// The last position that is not in the log because a snapshot stands for it, with its term; zero if none is missing.
    base: Index,
    base_term: Term,
    /// The entry at index `i` is `entries[i - base - 1]`. Terms never decrease along the log.
    entries: Vec<Entry>,
    version: u64,
    changed_from: Index,
    overwrites: u64,
}

impl Log {
    /// A log with these entries after that position, whose entry was of that term.
    pub(super) fn new(base: Index, base_term: Term, entries: Vec<Entry>) -> Log {
        Log {
            base,
            base_term,
            entries,
            ..Log::default()
        }
    }

    /// The position before the first entry that is held: entries up to here were compacted.
    pub fn base(&self) -> Index {
        self.base
    }

    /// The index of the last entry, which may be [`base`](Log::base); zero if there never was one.
    pub fn last_index(&self) -> Index {
        self.base.plus(self.entries.len())
    }

    /// The term of the last entry; zero if there never was one.
    pub fn last_term(&self) -> Term {
        self.entries
            .last()
            .map_or(self.base_term, |entry| entry.term)
    }

    /// The term of the entry at `index`, if that is known: from [`base`](Log::base) to the last. Before the first entry
    /// there ever was, zero.
    pub fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.base {
            Some(self.base_term)
        } else {
            self.entry(index).map(|entry| entry.term)
        }
    }

    /// The entry at `index`, if it is held.
    pub fn entry(&self, index: Index) -> Option<&Entry> {
        let after_base = index.0.checked_sub(self.base.0)?;
        self.entries.get((after_base as usize).checked_sub(1)?)
    }

    /// The entries from `first` on, as far as they are held.
    pub fn starting_at(&self, first: Index) -> &[Entry] {
        let skipped = first.since(self.base.next());
        self.entries.get(skipped..).unwrap_or_default()
    }

    /// The first index held with an entry of this term.
    pub fn first_index_of(&self, term: Term) -> Option<Index> {
        let before = self.entries.partition_point(|entry| entry.term < term);
        (self.entries.get(before)?.term == term).then(|| self.base.next().plus(before))
    }

    /// The last index known to be of this term.
    pub fn last_index_of(&self, term: Term) -> Option<Index> {
        let last = self
            .base
            .plus(self.entries.partition_point(|entry| entry.term <= term));
        (self.term_at(last) == Some(term) && last > Index::ZERO).then_some(last)
    }

    /// How often the log has changed since the server started. Compaction changes nothing that it says.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The lowest index that the last change touched.
    pub fn changed_from(&self) -> Index {
        self.changed_from
    }

    /// How many of the changes removed an entry, or put another in its place.
    pub fn overwrites(&self) -> u64 {
        self.overwrites
    }

    /// Puts these entries at `first` and after, in place of everything that was there. `first` is after
    /// [`base`](Log::base), and at most the index after the last entry.
    pub(super) fn splice(&mut self, first: Index, entries: impl IntoIterator<Item = Entry>) {
        debug_assert!(first > self.base && first <= self.last_index().next());
        self.version += 1;
        self.changed_from = first;
        self.overwrites += u64::from(first <= self.last_index());
        self.entries.truncate(first.since(self.base.next()));
        self.entries.extend(entries);
    }

    /// Forgets the entries up to this one, which a snapshot stands for from now on. It must be held.
    pub(super) fn compact(&mut self, up_to: Index) {
        if let Some(term) = self.term_at(up_to) {
            self.entries.drain(..up_to.since(self.base));
            self.base = up_to;
            self.base_term = term;
        } else {
            debug_assert!(false, "there is no entry {up_to} to compact up to");
        }
    }

    /// Forgets all entries: a snapshot up to here stands for the whole log.
    pub(super) fn restart_at(&mut self, base: Index, base_term: Term) {
        self.version += 1;
        self.changed_from = base.next();
        self.overwrites += 1;
        self.entries.clear();
        self.base = base;
        self.base_term = base_term;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(terms: &[u64]) -> Log {
        Log::new(Index::ZERO, Term::ZERO, entries(terms))
    }

    fn entries(terms: &[u64]) -> Vec<Entry> {
        let noop = |&term| Entry::new(Term(term), Command::Noop);
        terms.iter().map(noop).collect()
    }

    #[test]
    fn the_empty_log_ends_at_zero() {
        let empty = Log::default();
        assert_eq!(
            (empty.last_index(), empty.last_term()),
            (Index::ZERO, Term::ZERO)
        );
        assert_eq!(empty.term_at(Index::ZERO), Some(Term::ZERO));
        assert_eq!(empty.term_at(Index::FIRST), None);
        assert_eq!(empty.starting_at(Index::FIRST), &[]);
        assert_eq!(empty.first_index_of(Term::ZERO), None);
        assert_eq!(empty.last_index_of(Term::ZERO), None);
    }

    #[test]
    fn terms_are_found_from_both_ends() {
        let log = log(&[1, 1, 4, 4, 5]);
        for (term, first, last) in [(1, 1, 2), (4, 3, 4), (5, 5, 5)] {
            assert_eq!(log.first_index_of(Term(term)), Some(Index(first)));
            assert_eq!(log.last_index_of(Term(term)), Some(Index(last)));
        }
        for missing in [0, 2, 6] {
            assert_eq!(log.first_index_of(Term(missing)), None);
            assert_eq!(log.last_index_of(Term(missing)), None);
        }
    }

    #[test]
    fn a_splice_replaces_the_rest_and_is_counted() {
        let mut log = log(&[1, 1, 4]);
        log.splice(Index(4), entries(&[5]));
        assert_eq!((log.version(), log.overwrites()), (1, 0));
        log.splice(Index(2), entries(&[6, 6]));
        assert_eq!((log.version(), log.overwrites()), (2, 1));
        assert_eq!(log.changed_from(), Index(2));
        assert_eq!(log.starting_at(Index::FIRST), entries(&[1, 6, 6]));
        assert_eq!(log.starting_at(Index(4)), &[]);
        assert_eq!(log.starting_at(Index(9)), &[]);
    }
    #[test]
    fn compaction_forgets_entries_and_nothing_else() {
        let mut log = log(&[1, 1, 4, 4, 5]);
        log.compact(Index(3));
        assert_eq!((log.base(), log.last_index()), (Index(3), Index(5)));
        assert_eq!(log.term_at(Index(2)), None);
        assert_eq!(log.term_at(Index(3)), Some(Term(4)));
        assert_eq!(log.starting_at(Index::FIRST), entries(&[4, 5]));
        assert_eq!(log.starting_at(Index(5)), entries(&[5]));
        assert_eq!(log.first_index_of(Term(4)), Some(Index(4)));
        assert_eq!(log.last_index_of(Term(4)), Some(Index(4)));
        assert_eq!((log.version(), log.overwrites()), (0, 0));
        log.compact(Index(5));
        assert_eq!((log.last_index(), log.last_term()), (Index(5), Term(5)));
        assert_eq!(log.last_index_of(Term(5)), Some(Index(5)));
        log.splice(Index(6), entries(&[6]));
        assert_eq!(log.entry(Index(6)), entries(&[6]).first());
        log.restart_at(Index(9), Term(7));
        assert_eq!((log.last_index(), log.last_term()), (Index(9), Term(7)));
        assert_eq!(log.changed_from(), Index(10));
    }
}
