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
    /// Pauses.
    pauses,
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
