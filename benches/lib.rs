//! Shared set-ups of the benchmarks.
#![warn(missing_docs)]

pub mod clusters;
pub mod echo;
