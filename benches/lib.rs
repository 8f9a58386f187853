//! Shared set-ups of the benchmarks.
