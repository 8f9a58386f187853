//! Transactions over lists or registers: which isolation levels a history rules out, and by which anomalies.
//!
//! The method is Elle's (Kingsbury & Alvaro, "Elle: inferring isolation anomalies from experimental observations", VLDB 2020): infer from
//! what was read in which order each key had its versions, draw the graph of Adya's dependencies, add the orders of processes and of real
//! time, and look for cycles.
//!
//! * [`check_lists`]: transactions append to lists and read them. A list that was read shows all versions that it had, so the order is known.
//! * [`check_registers`]: transactions write and read registers. Which version came after which is inferred, as far as
//!   [`RegisterSettings`] allow.
//! * [`check_weak`]: read committed, read atomic and causal consistency of registers, decided exactly: no order of versions is
//!   assumed.
//!
//! What is found is certain, given that values are not written twice. What is not found may still have happened: nobody can tell from a
//! history that a level holds. A level is *ruled out* exactly if the inferred graph has a cycle that the level forbids, or there is
//! another anomaly that it forbids; to decide that takes linear time. The [`Budget`](crate::Budget) bounds the search for the shortest
//! cycles of each class.

mod anomaly;
mod class;
mod cycles;
mod dependency;
pub mod generate;
mod graph;
mod history;
mod level;
mod lists;
mod reads;
mod registers;
mod report;
mod search;
mod versions;
mod weak;
mod words;

pub use anomaly::{Anomaly, Cycle, Pattern, Step};
pub use class::{Class, Order};
pub use dependency::Dependency;
pub use history::{History, Key, List, Micro, Name, Seen, Status, Transaction, Value};
pub use level::Level;
pub use lists::check_lists;
pub use registers::{RegisterSettings, check_registers};
pub use report::{Report, Unfit};
pub use weak::{WeakLevel, WeakStep, WeakViolation, check_weak};

#[cfg(test)]
mod tests;
