//! The catalog of protocols and scenarios, and the command line `splitbrain`.
#![warn(missing_docs)]

mod catalog;
pub mod cli;
mod protocols;

pub use catalog::{
    CatalogError, KERNEL, NAMES, ON_OTHER_ENGINES, PROTOCOLS, catalog, load, load_on, load_replay,
    replay_from_bytes, scenario_from_bytes,
};
pub use protocols::{Bully, Coordination, RaftKv, Registry, Service};
