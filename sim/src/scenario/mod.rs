//! A scenario: one TOML file, one test.

mod draw;
mod error;
mod fault;
mod load;
mod mix;
mod one_or_many;
mod require;
mod spec;
mod validate;
mod work;

pub use draw::Draw;
pub(crate) use draw::drawn_by;
pub use error::ScenarioError;
pub(crate) use error::one_line;
pub use fault::{FaultKind, FaultSpec, UnsyncedKind, Victims};
pub use load::{Head, head};
pub(crate) use load::{Invalid, Loaded, from_toml};
pub use mix::Mix;
pub use one_or_many::OneOrMany;
pub use require::Require;
pub use spec::{
    Budget, Checks, ClusterSpec, Count, Expect, ExpectedVerdict, LinkSpec, NetworkSpec, Scenario,
    ScenarioOf, WorkloadSpec,
};
pub(crate) use validate::validate;
pub(crate) use work::validate_schedule;
