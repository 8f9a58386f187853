//! What a history is held to, by name.

use super::JudgeError;
use crate::Budget;
use crate::transactions::{Guarantee, Level, WeakLevel};
use std::fmt;

/// What a system may promise of its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Consistency {
    /// Each operation takes effect at one moment between its invocation and its completion: [`crate::check`].
    Linearizable,
    /// There is one order of all operations, and each process agrees with it: [`crate::sequential`].
    Sequential,
    /// What histories of simple services must hold to, whatever the order: [`crate::laws`].
    Law,
    /// An isolation level of transactions, by Elle's method.
    Transactions(Level),
    /// A weak level of transactions over registers, decided exactly.
    Weak(WeakLevel),
    /// A guarantee to each process.
    Session(Guarantee),
}

use Consistency::{Law, Linearizable, Sequential, Session, Transactions, Weak};

/// What transactions over registers can be held to. The first is what they are held to if nobody says.
pub(super) const OF_REGISTERS: &[Consistency] = &[
    Transactions(Level::StrictSerializable),
    Transactions(Level::StrongSnapshotIsolation),
    Transactions(Level::StrongSessionSerializable),
    Transactions(Level::StrongSessionSnapshotIsolation),
    Transactions(Level::Serializable),
    Transactions(Level::SnapshotIsolation),
    Transactions(Level::RepeatableRead),
    Transactions(Level::ReadCommitted),
    Transactions(Level::ReadUncommitted),
    Weak(WeakLevel::Causal),
    Weak(WeakLevel::ReadAtomic),
    Weak(WeakLevel::ReadCommitted),
    Session(Guarantee::ReadYourWrites),
    Session(Guarantee::MonotonicReads),
    Session(Guarantee::MonotonicWrites),
    Session(Guarantee::WritesFollowReads),
];

/// What transactions can be held to whatever they are about: the isolation levels, which come first.
pub(super) const OF_TRANSACTIONS: &[Consistency] = OF_REGISTERS.split_at(Level::ALL.len()).0;

impl Consistency {
    /// All, those of single operations first.
    pub fn all() -> impl Iterator<Item = Consistency> {
        let rest = OF_REGISTERS.iter().copied();
        [Linearizable, Sequential, Law].into_iter().chain(rest)
    }

    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Linearizable => "linearizable",
            Sequential => "sequential",
            Law => "law",
            Transactions(Level::ReadUncommitted) => "read-uncommitted",
            Transactions(Level::ReadCommitted) => "read-committed",
            Transactions(Level::RepeatableRead) => "repeatable-read",
            Transactions(Level::SnapshotIsolation) => "snapshot-isolation",
            Transactions(Level::Serializable) => "serializable",
            Transactions(Level::StrongSessionSnapshotIsolation) => {
                "strong-session-snapshot-isolation"
            }
            Transactions(Level::StrongSessionSerializable) => "strong-session-serializable",
            Transactions(Level::StrongSnapshotIsolation) => "strong-snapshot-isolation",
            Transactions(Level::StrictSerializable) => "strict-serializable",
            // What Biswas & Enea call read committed is more than Adya's: whoever has seen something of a transaction sees all of it
            // from then on, which Bailis et al., VLDB 2013, call so.
            Weak(WeakLevel::ReadCommitted) => "monotonic-atomic-view",
            Weak(WeakLevel::ReadAtomic) => "read-atomic",
            Weak(WeakLevel::Causal) => "causal",
            Session(Guarantee::ReadYourWrites) => "read-your-writes",
            Session(Guarantee::MonotonicReads) => "monotonic-reads",
            Session(Guarantee::MonotonicWrites) => "monotonic-writes",
            Session(Guarantee::WritesFollowReads) => "writes-follow-reads",
        }
    }

    /// The one with this name.
    pub fn named(name: &str) -> Option<Consistency> {
        Consistency::all().find(|consistency| consistency.name() == name)
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is asked of a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// What it is held to; nothing: the first that its model knows.
    pub level: Option<Consistency>,
    /// How many permits a semaphore has. No other model has any use for it.
    pub permits: Option<u64>,
    /// How much work the verdict may be.
    pub budget: Budget,
}

impl Demand {
    /// What a model is held to that knows these.
    pub(super) fn consistency(
        &self,
        model: &'static str,
        known: &'static [Consistency],
    ) -> Result<Consistency, JudgeError> {
        match self.level {
            None => Ok(known[0]),
            Some(level) if known.contains(&level) => Ok(level),
            Some(level) => Err(JudgeError::Level {
                model,
                level,
                known: known.to_vec(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_name_of_its_own() {
        for consistency in Consistency::all() {
            assert_eq!(Consistency::named(consistency.name()), Some(consistency));
        }
        assert_eq!(Consistency::named("eventual"), None);
        for level in Level::ALL {
            assert!(OF_TRANSACTIONS.contains(&Transactions(level)), "{level}");
        }
    }
}
