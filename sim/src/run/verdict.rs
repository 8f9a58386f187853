//! Verdicts have three values (law 6).

use serde::{Deserialize, Serialize};
use splitbrain_core::Time;
use std::fmt;

/// What a run proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything that was checked holds.
    Valid,
    /// A property is violated.
    Invalid(Finding),
    /// The run proves nothing.
    Unknown(Unknown),
}

/// A violated property.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Its name: `election-safety`, `linearizability`, `panic`, `livelock`, `leader-after-healing`, `convergence`,
    /// `final-reads`.
    pub property: String,
    /// The states or operations that contradict each other, in words.
    pub what: String,
    /// When it was noticed.
    pub at: Time,
}

/// Why a run proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unknown {
    /// Too little happened (law 7); what was missing.
    Vacuous(String),
    /// The checker gave up; how far it came.
    GaveUp(String),
    /// What was checked holds, and whether the cluster is live nobody can say: so much is destroyed that it could not be; what.
    Unrecoverable(String),
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unknown::Vacuous(what) => write!(f, "vacuous: {what}"),
            Unknown::GaveUp(what) => write!(f, "gave up: {what}"),
            Unknown::Unrecoverable(what) => write!(f, "could not be live: {what}"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Valid => f.write_str("valid"),
            Verdict::Invalid(finding) => {
                write!(f, "invalid: {}: {}", finding.property, finding.what)
            }
            Verdict::Unknown(why) => write!(f, "unknown: {why}"),
        }
    }
}
