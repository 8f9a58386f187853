//! Transactions over lists or registers: which isolation levels a history rules out, and by which anomalies.

mod history;

pub use history::{History, Key, List, Micro, Name, Seen, Status, Transaction, Value};
