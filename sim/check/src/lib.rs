//! Consistency checkers for histories of any origin.
//!
//! A [`History`] is what the clients of a system saw: invocations and completions, in real-time order. A
//! [`Model`] says what the system should have been. [`check`] decides whether the history is linearizable
//! with respect to the model, and if it is not, says why in a [`Counterexample`] that a person can read.
//!
//! Not everything is a history of operations on one object. What else a coordination service promises has a checker of
//! its own, which takes a trace of what happened and says what is wrong with it: [`transactional`] (transactions, revisions, stale
//! reads), [`watch`], [`lock`], [`leases`], [`registry`], [`balance`], [`breaker`].
//!
//! This crate knows no simulator: a history may come from a simulated run, from a test against a real
//! cluster, or from a file ([`jsonl`]).
//!
//! ```
//! use splitbrain_check::models::key_value::{KeyValue, Op, Ret};
//! use splitbrain_check::{Budget, History, ProcessId, Verdict, check};
//!
//! let mut history = History::new();
//! let put = |value: &str| Op::Put { key: "x".into(), value: value.into() };
//! history.invoke(0, ProcessId(0), put("1"));
//! history.ok(10, ProcessId(0), Ret::Written);
//! history.invoke(20, ProcessId(1), Op::Get { key: "x".into() });
//! history.ok(30, ProcessId(1), Ret::Value(None));
//!
//! let verdict = check(&KeyValue, &history, Budget::default())?;
//! let Verdict::Invalid(why) = verdict else { panic!("a stale read") };
//! assert_eq!(why.key.as_deref(), Some("x"));
//! # Ok::<(), splitbrain_check::HistoryError>(())
//! ```
#![warn(missing_docs)]

pub mod balance;
pub mod breaker;
pub mod formats;
pub mod generate;
mod history;
pub mod html;
pub mod laws;
pub mod leases;
mod linearizable;
pub mod lock;
mod model;
pub mod models;
pub mod monitors;
pub mod online;
pub mod registry;
pub mod sequential;
pub mod transactional;
pub mod transactions;
mod verdict;
pub mod watch;

pub use formats::jsonl;
pub use history::{
    Event, History, HistoryError, HistoryErrorKind, Operation, Outcome, Pairing, Part, Point,
    ProcessId, What,
};
pub use linearizable::{Budget, check, check_within, decide};
pub use model::{Footprint, Model, Touched};
pub use verdict::{Blocked, Counterexample, Possible, Reason, Shown, Start, Undecided, Verdict};
