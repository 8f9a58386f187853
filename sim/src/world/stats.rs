//! What happened in a run, counted.

use serde::{Deserialize, Serialize};
use std::ops::AddAssign;

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// What happened in a run, or in many.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Stats {
            $($(#[doc = $doc])* pub $name: u64,)*
        }

        impl Stats {
            /// The names of all counters.
            pub const NAMES: &[&str] = &[$(stringify!($name)),*];

            /// A counter by its name.
            pub fn get(&self, name: &str) -> Option<u64> {
                match name {
                    $(stringify!($name) => Some(self.$name),)*
                    _ => None,
                }
            }
        }

        impl AddAssign for Stats {
            fn add_assign(&mut self, other: Stats) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

counters! {
    /// Handler calls: deliveries, timers, syncs, starts, invocations.
    events,
    /// Messages handed to the network.
    messages_sent,
    /// Messages that reached a handler, copies included.
    messages_delivered,
    /// Messages lost by the network.
    dropped_by_loss,
    /// Messages among them that were lost in a burst.
    dropped_in_bursts,
    /// Messages that found the queue of a narrow link full.
    dropped_by_overflow,
    /// Messages that were held at a clogged link.
    clogged,
    /// Messages dropped at a cut link, or cut in flight.
    dropped_by_partition,
    /// Messages to a node that is down, or was when they were sent to its earlier incarnation.
    dropped_at_dead_node,
    /// Messages to a node that does not exist.
    dropped_unknown_node,
    /// Messages that the network copied.
    duplicated,
    /// Syncs that became durable.
    syncs,
    /// Crashes.
    crashes,
    /// Crashes among them that waited for the node to reach a point.
    crashes_at_a_point,
    /// Disks from which everything was taken.
    wipes,
    /// Processes that ended themselves.
    halts,
    /// Pauses.
    pauses,
    /// Events that waited for a process that was paused or busy.
    waited,
    /// Records that were appended, not synced, and lost in a crash or a failed sync.
    records_lost,
    /// Records that a start could not read.
    records_damaged,
    /// Syncs that failed.
    syncs_failed,
    /// Wall clocks that jumped, or began to strobe.
    clock_jumps,
    /// Partitions.
    partitions,
    /// Operations begun.
    ops_invoked,
    /// Operations that took effect.
    ops_ok,
    /// Operations that did not.
    ops_fail,
    /// Operations of which nobody knows.
    ops_info,
    /// Answers to operations that had ended before; a protocol that gives many is wasteful, not wrong.
    late_answers,
}
