//! What a node finds on its disk when it starts.

use std::fmt;

/// What a node finds on its disk when it starts: the records that were durable when it last stopped, in the order in
/// which they were appended.
///
/// The whole disk of a node is one journal of typed records: it is written with
/// [`append`](crate::Context::append), [`compact`](crate::Context::compact) and [`sync`](crate::Context::sync),
/// and read once, here, when the node [starts](crate::Node::start). A node is a fold over its journal.
///
/// Disks fail. A record that cannot be read stands in its place as a [`Damage`], and it is the protocol that must
/// decide what that means: a torn record at the end was never confirmed, and can be left out; a corrupt one may have
/// been promised to others. A journal without any record is a disk that was wiped, if the protocol
/// [formats](crate::Node::format) its disks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal<R> {
    records: Vec<Result<R, Damage>>,
}

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Damage {
    /// The write of it was cut short by a crash. Only the last record can be torn, and no sync behind it was durable.
    Torn,
    /// It was durable, and is not what was written.
    Corrupt,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Damage::Torn => "torn",
            Damage::Corrupt => "corrupt",
        })
    }
}

impl<R> Journal<R> {
    /// A disk with nothing on it.
    pub const fn empty() -> Journal<R> {
        Journal {
            records: Vec::new(),
        }
    }

    /// A journal that holds these records, all of them readable; for hosts, kernels and tests.
    pub fn from_records(records: Vec<R>) -> Journal<R> {
        Journal {
            records: records.into_iter().map(Ok).collect(),
        }
    }

    /// How many records there are, readable or not.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is nothing on the disk.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The same disk in the words of a part of the node, for which all of it was written.
    pub fn map<Other>(self, mut f: impl FnMut(R) -> Other) -> Journal<Other> {
        let records = self.records.into_iter();
        records.map(|record| record.map(&mut f)).collect()
    }

    /// The records that cannot be read: their positions, from zero, and why.
    pub fn damage(&self) -> impl Iterator<Item = (usize, Damage)> + '_ {
        let damage = |(position, record): (usize, &Result<R, Damage>)| {
            Some((position, *record.as_ref().err()?))
        };
        self.records.iter().enumerate().filter_map(damage)
    }
}

/// A journal of which some records may not be readable; for hosts, kernels and tests.
impl<R> FromIterator<Result<R, Damage>> for Journal<R> {
    fn from_iter<I: IntoIterator<Item = Result<R, Damage>>>(records: I) -> Journal<R> {
        Journal {
            records: records.into_iter().collect(),
        }
    }
}

impl<R> IntoIterator for Journal<R> {
    type Item = Result<R, Damage>;
    type IntoIter = std::vec::IntoIter<Result<R, Damage>>;
    fn into_iter(self) -> Self::IntoIter {
        self.records.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_stands_in_its_place() {
        let journal: Journal<u32> = [Ok(1), Err(Damage::Corrupt), Ok(3), Err(Damage::Torn)]
            .into_iter()
            .collect();
        assert_eq!(journal.len(), 4);
        let damage: Vec<(usize, Damage)> = journal.damage().collect();
        assert_eq!(damage, [(1, Damage::Corrupt), (3, Damage::Torn)]);
        let mapped = journal.clone().map(|record| (record,));
        assert_eq!(mapped.damage().count(), 2);
        assert_eq!(mapped.into_iter().next(), Some(Ok((1,))));
        let readable: Vec<u32> = journal.into_iter().filter_map(Result::ok).collect();
        assert_eq!(readable, [1, 3]);
        assert_eq!(Journal::from_records(vec![7]).damage().next(), None);
    }
}
