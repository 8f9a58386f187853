//! Findings for people: the timeline, and the failure folder.

mod explain;
mod folder;
mod timeline;

pub use explain::explanation;
pub use folder::{FailureFolder, write_failure, write_run};
pub use timeline::{Timeline, timeline};
