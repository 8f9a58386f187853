//! What can be wrong with a transactional history, by name, with its evidence in words.

use super::class::{Class, Order};
use super::dependency::Dependency;
use super::level::Level;
use crate::Shown;
use std::fmt;

/// Something that a level of isolation forbids.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Anomaly {
    /// Transactions come before each other in a circle.
    #[error("{0}")]
    Cycle(Cycle),
    /// G1a (Adya 1999, section 3.1): what an aborted transaction wrote was seen.
    #[error("G1a, an aborted read: {} saw {value} of {key}, which was written by {}, which failed", .read.words, .write.words)]
    AbortedRead {
        /// Of what.
        key: String,
        /// What it saw.
        value: String,
        /// Who saw it.
        read: Shown,
        /// Who had written it.
        write: Shown,
    },
    /// G1b (the same): what a transaction overwrote itself was seen by another one.
    #[error("G1b, an intermediate read: {} saw {value} of {key}, which is not the last that was written by {}", .read.words, .write.words)]
    IntermediateRead {
        /// Of what.
        key: String,
        /// What it saw.
        value: String,
        /// Who saw it.
        read: Shown,
        /// Who had written it.
        write: Shown,
    },
    /// What an aborted transaction wrote went into what a committed one wrote after it.
    #[error("a dirty update: {value} of {key} was written by {}, which failed, and is still there below what was written by {}", .aborted.words, .committed.words)]
    DirtyUpdate {
        /// Of what.
        key: String,
        /// What the aborted one wrote.
        value: String,
        /// The aborted one.
        aborted: Shown,
        /// The committed one.
        committed: Shown,
    },
    /// A transaction does not agree with itself: axiom INT of Cerone, Bernardi & Gotsman, CONCUR 2015.
    #[error("an internal inconsistency: {} has {step}, which after its earlier steps must be {expected}", .transaction.words)]
    Internal {
        /// Which.
        transaction: Shown,
        /// The step, in words.
        step: String,
        /// What it had to see, in words.
        expected: String,
    },
    /// Two lists of the same key neither of which is the beginning of the other: one of them was undone.
    #[error("incompatible orders of {key}: {} saw {first_list}, and {} saw {second_list}", .first.words, .second.words)]
    IncompatibleOrders {
        /// Of what.
        key: String,
        /// One.
        first: Shown,
        /// What it saw.
        first_list: String,
        /// The other.
        second: Shown,
        /// What it saw.
        second_list: String,
    },
    /// An element that was appended once is in a list twice.
    #[error("a duplicate element: {} saw {element} twice in {key}", .read.words)]
    DuplicateElement {
        /// In what.
        key: String,
        /// Which.
        element: String,
        /// Who saw it.
        read: Shown,
    },
    /// What nobody wrote was seen.
    #[error("a read out of thin air: {} saw {value} of {key}, which nobody wrote", .read.words)]
    ThinAir {
        /// Of what.
        key: String,
        /// What.
        value: String,
        /// Who saw it.
        read: Shown,
    },
    /// A transaction saw what it wrote itself only later.
    #[error("a read from the future: {} saw {value} of {key} before it wrote that itself", .transaction.words)]
    FutureRead {
        /// Of what.
        key: String,
        /// What.
        value: String,
        /// Which.
        transaction: Shown,
    },
    /// Two elements that one transaction appended are in the wrong order, or only the later one is there.
    #[error("a torn append: {} saw {later} in {key} without {earlier} before it, as {} appended them", .read.words, .write.words)]
    TornAppend {
        /// To what.
        key: String,
        /// What was appended first.
        earlier: String,
        /// What was appended next.
        later: String,
        /// Who saw it.
        read: Shown,
        /// Who appended them.
        write: Shown,
    },
    /// P4 (Berenson et al., SIGMOD 1995): two transactions read the same, and both wrote, so that one write went unnoticed.
    #[error("a lost update: {} and {} both read {version} of {key}, and then wrote it", .first.words, .second.words)]
    LostUpdate {
        /// Of what.
        key: String,
        /// What both had read, in words.
        version: String,
        /// One.
        first: Shown,
        /// The other.
        second: Shown,
    },
    /// An element whose append had been confirmed is not there any more, or not yet.
    #[error("a lost element: {} was complete before {} was asked for, which does not see {element} in {key}, and neither does anybody else", .append.words, .read.words)]
    LostElement {
        /// Of what.
        key: String,
        /// Which.
        element: String,
        /// Who appended it.
        append: Shown,
        /// Who does not see it: the last one.
        read: Shown,
    },
    /// What is known of the order in which a register had its values contradicts itself.
    #[error("versions of {key} in a circle: {}", .reasons.join("; "))]
    CyclicVersions {
        /// Of what.
        key: String,
        /// Why each value comes before the next, in words.
        reasons: Vec<String>,
        /// The transactions that they speak of, each once.
        transactions: Vec<Shown>,
        /// The order that levels must agree with to imply all of these.
        order: Order,
    },
}

/// A cycle of dependencies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// Of which kind.
    pub class: Class,
    /// With which order beside that of the data.
    pub order: Order,
    /// One for each transaction: why it comes before that of the next step, and the last before the first.
    pub steps: Vec<Step>,
}

/// Why one transaction of a cycle comes before the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The transaction.
    pub transaction: Shown,
    /// How it comes before the next one.
    pub dependency: Dependency,
    /// The key that it is about, if it is about one.
    pub key: Option<String>,
    /// The same in words, after "it": `appended 3 to x, which the next one saw`.
    pub why: String,
}

/// A well-known shape of a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    /// P4 of Berenson et al., SIGMOD 1995: two transactions read the same version, and both wrote.
    LostUpdate,
    /// A5B of the same: two transactions read what the other one then wrote.
    WriteSkew,
    /// Sovran et al., SOSP 2011: two readers see two writes in different orders.
    LongFork,
}

impl Cycle {
    /// Whether it has a shape with a name of its own.
    pub fn pattern(&self) -> Option<Pattern> {
        use Dependency::{ReadWrite, WriteRead, WriteWrite};
        let kinds: Vec<Dependency> = self.steps.iter().map(|step| step.dependency).collect();
        let keys: Vec<_> = self.steps.iter().map(|step| &step.key).collect();
        match kinds[..] {
            [ReadWrite, WriteWrite] | [WriteWrite, ReadWrite] if keys[0] == keys[1] => {
                Some(Pattern::LostUpdate)
            }
            [ReadWrite, ReadWrite] if keys[0] != keys[1] => Some(Pattern::WriteSkew),
            [WriteRead, ReadWrite, WriteRead, ReadWrite]
            | [ReadWrite, WriteRead, ReadWrite, WriteRead] => Some(Pattern::LongFork),
            _ => None,
        }
    }
}

impl Anomaly {
    /// Its name: `G1a`, `G-single-realtime`, `lost update`.
    pub fn name(&self) -> String {
        match self {
            Anomaly::Cycle(cycle) => {
                let suffix = match cycle.order {
                    Order::Data => "",
                    Order::Process => "-process",
                    Order::RealTime => "-realtime",
                };
                format!("{}{suffix}", cycle.class)
            }
            Anomaly::AbortedRead { .. } => "G1a".into(),
            Anomaly::IntermediateRead { .. } => "G1b".into(),
            Anomaly::DirtyUpdate { .. } => "dirty update".into(),
            Anomaly::Internal { .. } => "internal".into(),
            Anomaly::IncompatibleOrders { .. } => "incompatible orders".into(),
            Anomaly::DuplicateElement { .. } => "duplicate element".into(),
            Anomaly::ThinAir { .. } => "thin air".into(),
            Anomaly::FutureRead { .. } => "future read".into(),
            Anomaly::TornAppend { .. } => "torn append".into(),
            Anomaly::LostUpdate { .. } => "lost update".into(),
            Anomaly::LostElement { .. } => "lost element".into(),
            Anomaly::CyclicVersions { .. } => "cyclic versions".into(),
        }
    }

    /// The transactions that show it, in the order of its words.
    pub fn transactions(&self) -> Vec<&Shown> {
        match self {
            Anomaly::Cycle(cycle) => cycle.steps.iter().map(|step| &step.transaction).collect(),
            Anomaly::AbortedRead { read, write, .. }
            | Anomaly::IntermediateRead { read, write, .. }
            | Anomaly::TornAppend { read, write, .. } => vec![read, write],
            Anomaly::DirtyUpdate {
                aborted, committed, ..
            } => vec![aborted, committed],
            Anomaly::IncompatibleOrders { first, second, .. }
            | Anomaly::LostUpdate { first, second, .. } => vec![first, second],
            Anomaly::Internal { transaction, .. } | Anomaly::FutureRead { transaction, .. } => {
                vec![transaction]
            }
            Anomaly::DuplicateElement { read, .. } | Anomaly::ThinAir { read, .. } => vec![read],
            Anomaly::LostElement { append, read, .. } => vec![append, read],
            Anomaly::CyclicVersions { transactions, .. } => transactions.iter().collect(),
        }
    }

    /// Whether a history with it cannot be one of the level.
    pub fn rules_out(&self, level: Level) -> bool {
        match self {
            Anomaly::Cycle(cycle) => level.order() >= cycle.order && level.forbids(cycle.class),
            // No order of the writes explains it, whatever is isolated from what.
            Anomaly::DuplicateElement { .. }
            | Anomaly::ThinAir { .. }
            | Anomaly::FutureRead { .. }
            | Anomaly::TornAppend { .. } => true,
            Anomaly::AbortedRead { .. }
            | Anomaly::IntermediateRead { .. }
            | Anomaly::DirtyUpdate { .. }
            | Anomaly::IncompatibleOrders { .. } => level >= Level::ReadCommitted,
            Anomaly::Internal { .. } | Anomaly::LostUpdate { .. } => level >= Level::RepeatableRead,
            Anomaly::LostElement { .. } => level.order() == Order::RealTime,
            // Levels from read committed on that agree with the order imply what the versions were ordered by; see `RegisterSettings`.
            Anomaly::CyclicVersions { order, .. } => {
                level >= Level::ReadCommitted && level.order() >= *order
            }
        }
    }
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Anomaly::Cycle(self.clone()).name())?;
        match self.pattern() {
            Some(Pattern::LostUpdate) => f.write_str(", a lost update")?,
            Some(Pattern::WriteSkew) => f.write_str(", write skew")?,
            Some(Pattern::LongFork) => f.write_str(", a long fork")?,
            None => {}
        }
        write!(
            f,
            ": {} transactions, each before the next",
            self.steps.len()
        )?;
        for (index, step) in self.steps.iter().enumerate() {
            let next = (index + 1) % self.steps.len() + 1;
            write!(f, "\n  {}. {}", index + 1, step.transaction.words)?;
            write!(
                f,
                "\n     before {next} ({}): it {}",
                step.dependency, step.why
            )?;
        }
        Ok(())
    }
}
