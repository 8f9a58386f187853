//! What can be wrong with a history of the store.

use crate::verdict::seconds;
use crate::{Counterexample, Shown};
use std::fmt;

/// Why a history is not one of the store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Of a history without revisions: no order of the operations is legal.
    #[error("{0}")]
    NotLinearizable(Counterexample),
    /// Of a history without revisions: no order is legal in which each stale read, too, has a place where it is right.
    #[error("a stale read is right at no moment: {0}")]
    NotAnOldState(Counterexample),
    /// An answer of another kind than the question.
    #[error("{} is no answer to that operation", .operation.words)]
    NoAnswerToThat {
        /// Which.
        operation: Shown,
    },
    /// A revision before that of the empty store, or a write that has its revision.
    #[error("{} has revision {revision}, but the empty store has {first_revision}", .operation.words)]
    BeforeFirst {
        /// Which.
        operation: Shown,
        /// What it answered.
        revision: u64,
        /// That of the empty store.
        first_revision: u64,
    },
    /// Two operations changed the store at the same revision.
    #[error("revision {revision} was made twice: by {} and by {}", .first.words, .second.words)]
    SameRevision {
        /// Which.
        revision: u64,
        /// One.
        first: Shown,
        /// The other, invoked later.
        second: Shown,
    },
    /// The revision exists, for later ones do, but no operation can have made it.
    #[error("no operation can have made revision {revision}: {reason}")]
    NoWriter {
        /// Which.
        revision: u64,
        /// Why none of those of unknown outcome can.
        reason: NoWriter,
    },
    /// The operation would have answered otherwise at its revision.
    #[error("{} is wrong at revision {revision}: it needs {needs}, but {state}", .operation.words)]
    WrongAnswer {
        /// Which.
        operation: Shown,
        /// That of the state it read or changed.
        revision: u64,
        /// What would have to hold, in words.
        needs: String,
        /// What it touches, as it was before it, in words.
        state: String,
    },
    /// Revisions do not grow with real time.
    #[error("{} came after {} had returned, but has no later revision ({revision} and {revision_before})", .operation.words, .before.words)]
    OutOfOrder {
        /// What was invoked later.
        operation: Shown,
        /// Its revision.
        revision: u64,
        /// What had returned before.
        before: Shown,
        /// Its revision.
        revision_before: u64,
    },
    /// An old state that did not exist yet.
    #[error("{} returned before its revision {revision} was asked for, by {}", .read.words, .write.words)]
    FromTheFuture {
        /// The read.
        read: Shown,
        /// Its revision.
        revision: u64,
        /// What came after it, and has this revision or an earlier one.
        write: Shown,
    },
    /// A stale read that should have known better.
    #[error("{} is of revision {revision}, but {since} revision {known} was known: {}", .read.words, .newer.words)]
    TooOld {
        /// The read.
        read: Shown,
        /// Its revision.
        revision: u64,
        /// What it had to know.
        since: Since,
        /// The revision it had to know.
        known: u64,
        /// Who had answered with it.
        newer: Shown,
    },
    /// A stale read without a revision that is right at none of those that it may be of.
    #[error("{} is right at no revision from {from} to {to}", .read.words)]
    NoSuchState {
        /// The read.
        read: Shown,
        /// The oldest that it may be of.
        from: u64,
        /// The newest that existed when it returned.
        to: u64,
    },
}

/// What a stale read had to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// What had been answered so many nanoseconds before it was invoked.
    Bound(u64),
    /// What its own process had been answered before.
    Session,
}

/// Why no operation of unknown outcome can have made a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoWriter {
    /// So many revisions have no writer, and only so many operations are of unknown outcome.
    TooFew {
        /// Revisions that nobody answered.
        missing: u64,
        /// Operations of unknown outcome that may write.
        unknown: usize,
    },
    /// None of them sets the key to the value that this read saw.
    NotSeen {
        /// The read, or what else answered with it.
        reader: Shown,
    },
    /// Each was invoked too late, would change nothing, or is needed for another revision.
    NoneFits,
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Since::Bound(bound_ns) => write!(f, "{} before it was invoked", seconds(*bound_ns)),
            Since::Session => f.write_str("to its own process"),
        }
    }
}

impl fmt::Display for NoWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoWriter::TooFew { missing, unknown } => write!(
                f,
                "of {missing} nobody answered that they were theirs, and {unknown} operations are of unknown outcome"
            ),
            NoWriter::NotSeen { reader } => write!(
                f,
                "no operation of unknown outcome that is not needed elsewhere writes what {} saw",
                reader.words
            ),
            NoWriter::NoneFits => f.write_str(
                "each operation of unknown outcome came too late, changes nothing then, or is needed elsewhere",
            ),
        }
    }
}
