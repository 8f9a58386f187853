//! Isolation levels (Adya 1999, tables 3.1 and 4.1; Daudjee & Salem, "Lazy database replication with snapshot isolation", VLDB 2006, for
//! the strong ones), as far as they speak of items and not of predicates.

use super::class::{Class, Order};
use std::fmt;

/// What a database may promise of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// PL-1: writes of different transactions are ordered; what was read was written, once.
    ReadUncommitted,
    /// PL-2: what was read was committed, and information flows one way.
    ReadCommitted,
    /// PL-2.99: what was read is not overwritten before the end. Without predicates, the cycles are those of serializability.
    RepeatableRead,
    /// PL-SI: a transaction reads from one moment, and of two at a time only one writes the same item.
    SnapshotIsolation,
    /// PL-3: there is a serial order.
    Serializable,
    /// Snapshots are never older than what the same process did before.
    StrongSessionSnapshotIsolation,
    /// There is a serial order that agrees with that of each process.
    StrongSessionSerializable,
    /// Snapshots are never older than what was complete before.
    StrongSnapshotIsolation,
    /// There is a serial order that agrees with real time.
    StrictSerializable,
}

impl Level {
    /// All, from weak to strong as far as they can be compared.
    pub const ALL: [Level; 9] = [
        Level::ReadUncommitted,
        Level::ReadCommitted,
        Level::RepeatableRead,
        Level::SnapshotIsolation,
        Level::Serializable,
        Level::StrongSessionSnapshotIsolation,
        Level::StrongSessionSerializable,
        Level::StrongSnapshotIsolation,
        Level::StrictSerializable,
    ];

    /// The order that transactions must agree with beside that of the data.
    pub fn order(self) -> Order {
        match self {
            Level::StrongSessionSnapshotIsolation | Level::StrongSessionSerializable => {
                Order::Process
            }
            Level::StrongSnapshotIsolation | Level::StrictSerializable => Order::RealTime,
            _ => Order::Data,
        }
    }

    /// Whether this level forbids cycles of the class.
    pub fn forbids(self, class: Class) -> bool {
        let greatest = match self {
            Level::ReadUncommitted => Class::G0,
            Level::ReadCommitted => Class::G1c,
            Level::SnapshotIsolation
            | Level::StrongSessionSnapshotIsolation
            | Level::StrongSnapshotIsolation => Class::GNonadjacent,
            Level::RepeatableRead
            | Level::Serializable
            | Level::StrongSessionSerializable
            | Level::StrictSerializable => Class::G2Item,
        };
        class <= greatest
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::ReadUncommitted => "read uncommitted",
            Level::ReadCommitted => "read committed",
            Level::RepeatableRead => "repeatable read",
            Level::SnapshotIsolation => "snapshot isolation",
            Level::Serializable => "serializability",
            Level::StrongSessionSnapshotIsolation => "strong session snapshot isolation",
            Level::StrongSessionSerializable => "strong session serializability",
            Level::StrongSnapshotIsolation => "strong snapshot isolation",
            Level::StrictSerializable => "strict serializability",
        })
    }
}
