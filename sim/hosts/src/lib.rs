//! Runs any [`Node`](splitbrain_core::Node) outside the kernel: over real TCP, with its journal in a real file, by real clocks.
#![warn(missing_docs)]
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "law 1 is for what happens inside a run; this is the world outside, which has clocks and threads"
)]

mod frame;
mod host;
mod journal;
mod metrics;
mod network;
#[cfg(test)]
mod power_loss;
#[cfg(test)]
mod testing;

pub use frame::{FRAME_BYTES_MAX, Frame, FrameCodec, FrameError, Hello};
pub use host::{Ended, Handle, Surroundings, host};
pub use journal::{FileJournal, JournalError};
pub use network::{Arrived, Inbox, Network, NetworkSettings, listen};
