//! What is counted, for Prometheus.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Of a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct NetworkMetrics {
    pub(crate) sent: Counter,
    pub(crate) received: Counter,
    pub(crate) lost: Counter,
    pub(crate) broken: Counter,
}

impl NetworkMetrics {
    pub(crate) fn register(registry: &mut Registry) -> NetworkMetrics {
        let metrics = NetworkMetrics::default();
        let NetworkMetrics {
            sent,
            received,
            lost,
            broken,
        } = metrics.clone();
        registry.register("messages_sent", "Messages that nodes here have sent", sent);
        registry.register(
            "messages_received",
            "Messages that have come from other processes",
            received,
        );
        registry.register(
            "messages_lost",
            "Messages that were lost here: no way, no room, or a broken connection",
            lost,
        );
        registry.register("connections_broken", "Connections that have ended", broken);
        metrics
    }
}

/// What a node is doing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Role {
    role: &'static str,
}

/// Of a node.
#[derive(Clone, Debug)]
pub(crate) struct NodeMetrics {
    pub(crate) events: Counter,
    pub(crate) syncs: Counter,
    pub(crate) batches: Counter,
    pub(crate) syncs_failed: Counter,
    pub(crate) sync_seconds: Histogram,
    pub(crate) progress: Gauge,
    roles: Family<Role, Gauge>,
}

impl NodeMetrics {
    pub(crate) fn register(registry: &mut Registry) -> NodeMetrics {
        let metrics = NodeMetrics {
            events: Counter::default(),
            syncs: Counter::default(),
            batches: Counter::default(),
            syncs_failed: Counter::default(),
            // From a tenth of a millisecond to a little over three seconds.
            sync_seconds: Histogram::new(exponential_buckets(0.0001, 2.0, 16)),
            progress: Gauge::default(),
            roles: Family::default(),
        };
        let all = metrics.clone();
        registry.register("events", "Handlers that were called", all.events);
        registry.register("syncs", "Syncs that became durable", all.syncs);
        registry.register(
            "sync_batches",
            "Writes to the disk, each for all syncs that waited",
            all.batches,
        );
        registry.register("syncs_failed", "Syncs that failed", all.syncs_failed);
        registry.register_with_unit(
            "sync",
            "How long a write to the disk took",
            Unit::Seconds,
            all.sync_seconds,
        );
        registry.register(
            "progress",
            "How far the node has come; of a server of Raft, its commit index",
            all.progress,
        );
        registry.register("role", "One for what the node is doing now", all.roles);
        metrics
    }

    /// The node does this now, and did that before.
    pub(crate) fn role(&self, before: &'static str, now: &'static str) {
        for (role, value) in [(before, 0), (now, 1)] {
            if !role.is_empty() {
                self.roles.get_or_create(&Role { role }).set(value);
            }
        }
    }
}
