//! A scenario: one TOML file, one test.

mod error;
mod load;
mod spec;

pub use error::ScenarioError;
pub use load::{Head, head};
pub(crate) use load::{Invalid, from_toml, validate};
pub use spec::{
    Checks, ClusterSpec, Count, Expect, ExpectedVerdict, FaultKind, FaultSpec, LinkSpec,
    NetworkSpec, OneOrMany, Require, Scenario, ScenarioOf, Victims, WorkloadSpec,
};
