//! What is wrong with a scenario, and where.

use std::path::PathBuf;
use thiserror::Error;

/// A scenario that cannot be run.
#[derive(Debug, Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("{}: cannot be read", file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text is not what a scenario looks like.
    #[error("{}{}: {message}", file.display(), line.map_or(String::new(), |line| format!(":{line}")))]
    Wrong {
        /// Which file.
        file: PathBuf,
        /// The line, from one, where it is known.
        line: Option<usize>,
        /// What was found and what was expected.
        message: String,
    },
    /// An override on the command line is not `key=value`, or leads nowhere.
    #[error("--set {assignment}: {message}")]
    Set {
        /// As given.
        assignment: String,
        /// What was expected.
        message: String,
    },
}
