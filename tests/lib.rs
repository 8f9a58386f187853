//! End-to-end tests. This library holds only the README, whose examples are compiled and run.
#![doc = include_str!("../README.md")]
