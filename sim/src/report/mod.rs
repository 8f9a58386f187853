//! Findings for people: the timeline, and the failure folder.

mod folder;
mod timeline;

pub(crate) use folder::timeline_of;
pub use folder::{FailureFolder, write_failure, write_run};
pub use timeline::{Timeline, timeline};
