//! Findings for people: the timeline, and the failure folder.

mod folder;
mod timeline;

pub use folder::{FailureFolder, write_failure};
pub use timeline::{Timeline, timeline};
