//! Transactions: compare, then do one thing or the other, in one revision (etcd: `TxnRequest`).
//!
//! Whatever can be wrong with a transaction is found before anything of it is done. What it compares is the state before
//! it, in the transactions within it as well, so that which way it goes is known from the beginning (etcd: `compareToPath`).

use super::key_value::State;
use super::store::Edit;
use super::{Key, KeyRange, LeaseId, Op, Refusal, Ret, Revision, Store, Value, ret};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

/// How many comparisons, and how many operations in one branch, a transaction may have; those that it is within included
/// (etcd: `--max-txn-ops`).
pub const TRANSACTION_OPS_MAX: usize = 128;

/// Compares, and does one thing or the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transaction {
    /// What must be so: all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compare: Vec<Compare>,
    /// What to do then, in order. Reads see what was written before them. No key may be changed twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub then: Vec<Op>,
    /// What to do otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub otherwise: Vec<Op>,
}

/// A comparison of some keys with something. It holds if it holds for each; of no keys, if it would of one that does not
/// exist.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compare {
    /// Which keys.
    pub keys: KeyRange,
    /// How what they have must be.
    pub is: Relation,
    /// To this.
    pub to: Operand,
}

/// A relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// The same.
    Equal,
    /// Another.
    NotEqual,
    /// Greater.
    Greater,
    /// Less.
    Less,
}

/// What a key has. If it does not exist, all but its value is zero, and no comparison with its value holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operand {
    /// Its value.
    Value(Value),
    /// How often it was written since it came to be.
    Version(u64),
    /// When it came to be.
    CreateRevision(Revision),
    /// When it was last written.
    ModRevision(Revision),
    /// The lease that it goes with.
    Lease(Option<LeaseId>),
}

impl Compare {
    /// A comparison of one key.
    pub fn key(key: impl Into<Key>, is: Relation, to: Operand) -> Compare {
        Compare {
            keys: KeyRange::Key(key.into()),
            is,
            to,
        }
    }

    /// That the key exists.
    pub fn exists(key: impl Into<Key>) -> Compare {
        Compare::key(key, Relation::Greater, Operand::Version(0))
    }

    /// That the key does not exist.
    pub fn missing(key: impl Into<Key>) -> Compare {
        Compare::key(key, Relation::Equal, Operand::Version(0))
    }

    fn holds_of(&self, state: &State) -> bool {
        let order = match &self.to {
            Operand::Value(value) => match &state.value {
                Some(found) => found.cmp(value),
                None => return false,
            },
            Operand::Version(version) => state.version.cmp(version),
            Operand::CreateRevision(revision) => state.create_revision.cmp(revision),
            Operand::ModRevision(revision) if state.is_live() => state.mod_revision.cmp(revision),
            Operand::ModRevision(revision) => Revision::ZERO.cmp(revision),
            Operand::Lease(lease) => state.lease.cmp(lease),
        };
        match self.is {
            Relation::Equal => order == Ordering::Equal,
            Relation::NotEqual => order != Ordering::Equal,
            Relation::Greater => order == Ordering::Greater,
            Relation::Less => order == Ordering::Less,
        }
    }

    fn holds(&self, store: &Store) -> bool {
        let mut found = store.scan(&self.keys, None).peekable();
        if found.peek().is_none() {
            return self.holds_of(&State::default());
        }
        found.all(|(_, state)| self.holds_of(state))
    }
}

impl Transaction {
    /// Whether it changes nothing, whatever the state.
    pub fn is_read(&self) -> bool {
        self.then.iter().chain(&self.otherwise).all(Op::is_read)
    }

    /// How much the keys and the values take, in bytes.
    pub fn size_bytes(&self) -> usize {
        let compared = self.compare.iter().map(|compare| {
            let value = match &compare.to {
                Operand::Value(value) => value.len(),
                _ => 8,
            };
            compare.keys.size_bytes() + value
        });
        let done = self.then.iter().chain(&self.otherwise);
        compared.sum::<usize>() + done.map(Op::size_bytes).sum::<usize>()
    }

    fn branch(&self, succeeded: bool) -> &[Op] {
        if succeeded {
            &self.then
        } else {
            &self.otherwise
        }
    }

    /// Whether it is one that can be done in any state, if there are so many operations at most.
    fn check(&self, most: usize) -> Result<Footprint<'_>, Refusal> {
        let longest = self.compare.len().max(self.then.len());
        let longest = longest.max(self.otherwise.len());
        if longest > most {
            return Err(Refusal::TooLong);
        }
        // What is within counts, too, so that no nesting is endless.
        let left = most - longest;
        let mut both = Footprint::of(&self.then, left)?;
        // One of the two is done, so that both may change the same key.
        both.extend(Footprint::of(&self.otherwise, left)?);
        Ok(both)
    }
}

/// What operations may change.
#[derive(Default)]
struct Footprint<'a> {
    puts: BTreeSet<&'a Key>,
    /// Of sequential keys. They are new, so that two of them are never the same.
    prefixes: Vec<KeyRange>,
    /// What is deleted twice is deleted once.
    deletions: Vec<KeyRange>,
}

impl<'a> Footprint<'a> {
    /// Of operations that are all done.
    fn of(ops: &'a [Op], left: usize) -> Result<Footprint<'a>, Refusal> {
        let mut all = Footprint::default();
        for op in ops {
            let mut one = Footprint::default();
            match op {
                Op::Get { .. } | Op::Range(_) => continue,
                Op::Put { key, .. } | Op::CompareAndSet { key, .. } => {
                    one.puts.insert(key);
                }
                Op::Delete { key } => one.deletions.push(KeyRange::Key(key.clone())),
                Op::DeleteRange { keys, .. } => one.deletions.push(keys.clone()),
                Op::PutSequential { prefix, .. } => {
                    one.prefixes.push(KeyRange::Prefix(prefix.clone()));
                }
                Op::Transaction(transaction) => one = transaction.check(left)?,
                _ => return Err(Refusal::OnItsOwn),
            }
            if let Some(key) = all.clash(&one).or_else(|| one.clash(&all)) {
                return Err(Refusal::ChangedTwice(key));
            }
            all.extend(one);
        }
        Ok(all)
    }

    /// What a put of this, and another change of the other, may both change.
    fn clash(&self, other: &Footprint<'_>) -> Option<Key> {
        let put = self.puts.iter().find(|key| {
            let (mut prefixes, mut deletions) = (other.prefixes.iter(), other.deletions.iter());
            other.puts.contains(*key)
                || prefixes.any(|prefix| prefix.contains(key))
                || deletions.any(|keys| keys.contains(key))
        });
        let put = put.map(|key| Key::clone(key));
        put.or_else(|| {
            let prefix = self.prefixes.iter().find(|prefix| {
                let mut deletions = other.deletions.iter();
                deletions.any(|keys| keys.overlaps(prefix))
            });
            prefix.map(|prefix| prefix.start().clone())
        })
    }

    fn extend(&mut self, other: Footprint<'a>) {
        self.puts.extend(other.puts);
        self.prefixes.extend(other.prefixes);
        self.deletions.extend(other.deletions);
    }
}

impl Store {
    /// Does a transaction, if nothing is wrong with it.
    pub(super) fn transaction(&mut self, transaction: &Transaction, edit: Edit) -> Ret {
        let checked = transaction.check(TRANSACTION_OPS_MAX).map(|_| ());
        if let Err(refusal) = checked {
            return Ret::Refused(refusal);
        }
        let mut path = Vec::new();
        if let Err(refusal) = self.plan(transaction, &mut path) {
            return refusal;
        }
        self.carry_out(transaction, edit, &mut path.into_iter())
    }

    /// A transaction that changes nothing.
    pub(super) fn read_transaction(&self, transaction: &Transaction) -> Ret {
        if let Err(refusal) = transaction.check(TRANSACTION_OPS_MAX) {
            return Ret::Refused(refusal);
        }
        let mut path = Vec::new();
        if let Err(refusal) = self.plan(transaction, &mut path) {
            return refusal;
        }
        self.read_out(transaction, &mut path.into_iter())
    }

    /// Which way it goes, and the transactions within it, in order; or what is wrong with what it would then do.
    fn plan(&self, transaction: &Transaction, path: &mut Vec<bool>) -> Result<(), Ret> {
        let succeeded = transaction
            .compare
            .iter()
            .all(|compare| compare.holds(self));
        path.push(succeeded);
        for op in transaction.branch(succeeded) {
            match op {
                Op::Put { lease, .. } | Op::PutSequential { lease, .. } => {
                    self.check_lease(*lease)?;
                }
                Op::Range(range) => self.check_revision(range.revision)?,
                Op::Transaction(within) => self.plan(within, path)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn carry_out(
        &mut self,
        transaction: &Transaction,
        edit: Edit,
        path: &mut impl Iterator<Item = bool>,
    ) -> Ret {
        let succeeded = path.next().unwrap_or_default();
        let mut rets = Vec::with_capacity(transaction.branch(succeeded).len());
        for op in transaction.branch(succeeded) {
            rets.push(match op {
                Op::Transaction(within) => self.carry_out(within, edit, path),
                op => self.perform(op, edit),
            });
        }
        transacted(self.revision_in(edit), succeeded, rets)
    }

    fn read_out(&self, transaction: &Transaction, path: &mut impl Iterator<Item = bool>) -> Ret {
        let succeeded = path.next().unwrap_or_default();
        let ops = transaction.branch(succeeded).iter();
        let rets = ops.map(|op| match op {
            Op::Transaction(within) => self.read_out(within, path),
            op => self.read(op),
        });
        let rets = rets.collect();
        transacted(self.revision(), succeeded, rets)
    }
}

fn transacted(revision: Revision, succeeded: bool, rets: Vec<Ret>) -> Ret {
    Ret::Transaction(
        ret::Transacted {
            revision,
            succeeded,
            rets,
        }
        .into(),
    )
}

impl fmt::Display for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list(f: &mut fmt::Formatter<'_>, items: &[impl fmt::Display]) -> fmt::Result {
            for (nth, item) in items.iter().enumerate() {
                write!(f, "{}{item}", if nth == 0 { "" } else { "; " })?;
            }
            Ok(())
        }
        f.write_str("if [")?;
        list(f, &self.compare)?;
        f.write_str("] then [")?;
        list(f, &self.then)?;
        f.write_str("]")?;
        if !self.otherwise.is_empty() {
            f.write_str(" otherwise [")?;
            list(f, &self.otherwise)?;
            f.write_str("]")?;
        }
        Ok(())
    }
}

impl fmt::Display for Compare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is = match self.is {
            Relation::Equal => "=",
            Relation::NotEqual => "!=",
            Relation::Greater => ">",
            Relation::Less => "<",
        };
        let keys = &self.keys;
        match &self.to {
            Operand::Value(value) => write!(f, "value of {keys} {is} {value}"),
            Operand::Version(version) => write!(f, "version of {keys} {is} {version}"),
            Operand::CreateRevision(revision) => write!(f, "creation of {keys} {is} {revision}"),
            Operand::ModRevision(revision) => write!(f, "revision of {keys} {is} {revision}"),
            Operand::Lease(Some(lease)) => write!(f, "lease of {keys} {is} {lease}"),
            Operand::Lease(None) => write!(f, "lease of {keys} {is} none"),
        }
    }
}

#[cfg(test)]
mod tests;
