//! What a scenario says: the data of a TOML file.

use super::{Draw, FaultSpec, Mix, Require};
use crate::network::{Bursts, Capacity, Degradation, Latency, LinkProfile};
use crate::span::Span;
use serde::{Deserialize, Serialize};
use splitbrain_core::{NodeId, Ratio, Rng};

/// A scenario whose protocol's settings are not yet understood.
pub type Scenario = ScenarioOf<toml::Table>;

/// A scenario of a protocol with settings `S`. The field documentation is the reference of the file format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioOf<S> {
    /// One line that says what happens and what is expected.
    pub summary: String,
    /// The name of a protocol in the catalog.
    pub protocol: String,
    /// How long the safety phase lasts, in virtual time.
    pub duration: Span,
    /// How many nodes.
    pub cluster: ClusterSpec,
    /// Of the protocol: its timeouts.
    #[serde(default)]
    pub settings: S,
    /// Links and disks when nothing is wrong with them.
    #[serde(default)]
    pub network: NetworkSpec,
    /// What clients do.
    #[serde(default)]
    pub workload: WorkloadSpec,
    /// What goes wrong.
    #[serde(default)]
    pub nemesis: Vec<FaultSpec>,
    /// What keeps the cluster recoverable.
    #[serde(default, skip_serializing_if = "Budget::is_default")]
    pub budget: Budget,
    /// After the safety phase everything is healed, and the cluster must converge and answer final reads in this time.
    #[serde(default = "default_converge_within")]
    pub converge_within: Span,
    /// How soon after healing a leader must be seen, for protocols that have one: the same that `victims = "leader"` means. At most
    /// `converge_within`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader_within: Option<Span>,
    /// What each seed draws for itself.
    #[serde(default, skip_serializing_if = "Draw::is_empty")]
    pub draw: Draw,
    /// What must have happened for a run to prove anything.
    #[serde(default)]
    pub require: Require,
    /// What is checked.
    #[serde(default)]
    pub checks: Checks,
    /// What a test expects.
    #[serde(default)]
    pub expect: Expect,
}

fn default_converge_within() -> Span {
    Span::from_secs(10)
}

/// A number of nodes or operations: bounded, so that a typing error is an error and not an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "i64", try_from = "i64")]
pub struct Count<const MIN: i64, const MAX: i64>(u32);

impl<const MIN: i64, const MAX: i64> Count<MIN, MAX> {
    /// The number.
    pub fn get(self) -> usize {
        self.0 as usize
    }
}

impl<const MIN: i64, const MAX: i64> Count<MIN, MAX> {
    /// One less, if that is allowed.
    pub(crate) fn decrease(&mut self) -> bool {
        let less = Count::try_from(i64::from(self.0) - 1);
        if let Ok(less) = less {
            *self = less;
        }
        less.is_ok()
    }
}

impl<const MIN: i64, const MAX: i64> TryFrom<i64> for Count<MIN, MAX> {
    type Error = String;
    fn try_from(number: i64) -> Result<Self, String> {
        let in_range = (MIN..=MAX).contains(&number);
        match u32::try_from(number) {
            Ok(number) if in_range => Ok(Count(number)),
            _ => Err(format!("{number} is out of range: expected {MIN} to {MAX}")),
        }
    }
}

impl<const MIN: i64, const MAX: i64> From<Count<MIN, MAX>> for i64 {
    fn from(count: Count<MIN, MAX>) -> i64 {
        i64::from(count.0)
    }
}

/// How many nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterSpec {
    /// Nodes of the protocol: n1, n2, ..
    pub servers: Count<1, 99>,
    /// Client nodes, after the servers; for protocols that have them.
    #[serde(default)]
    pub clients: Count<0, 3999>,
}

impl ClusterSpec {
    /// Servers and clients.
    pub fn nodes(&self) -> usize {
        self.servers.get() + self.clients.get()
    }
}

/// Links and disks when nothing is wrong with them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkSpec {
    /// How long a message travels.
    pub latency: Latency,
    /// How often a message is lost.
    pub loss: Ratio,
    /// How often a message arrives twice.
    pub duplication: Ratio,
    /// Times at which more is lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bursts: Option<Bursts>,
    /// How much fits through a link; without this, everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// How long a disk takes to sync.
    pub sync: Latency,
    /// Links that differ from the others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkSpec>,
}

/// A link, in one direction, that differs from the others. What is not said is as it is for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkSpec {
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// How long a message travels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// How often a message is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Ratio>,
    /// How often a message arrives twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplication: Option<Ratio>,
    /// Times at which more is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bursts: Option<Bursts>,
    /// How much fits through it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
}

impl NetworkSpec {
    /// Of every link that is not in the list of links.
    pub(crate) fn profile(&self) -> LinkProfile {
        LinkProfile {
            latency: self.latency,
            loss: self.loss,
            duplication: self.duplication,
            bursts: self.bursts,
            capacity: self.capacity,
        }
    }
}

impl LinkSpec {
    /// In which respect it differs.
    pub(super) fn degradation(&self) -> Degradation {
        Degradation {
            latency: self.latency,
            loss: self.loss,
            duplication: self.duplication,
            bursts: self.bursts,
            capacity: self.capacity,
        }
    }

    /// Of this link.
    pub(crate) fn profile(&self, network: &NetworkSpec) -> LinkProfile {
        network.profile().degraded(&self.degradation())
    }
}

impl Default for NetworkSpec {
    fn default() -> NetworkSpec {
        let world = crate::WorldConfig::default();
        let LinkProfile {
            latency,
            loss,
            duplication,
            bursts,
            capacity,
        } = world.links;
        NetworkSpec {
            latency,
            loss,
            duplication,
            bursts,
            capacity,
            sync: world.sync_latency,
            links: Vec::new(),
        }
    }
}

/// What clients do. Each process runs one operation after the other, and thinks in between.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkloadSpec {
    /// How many operations in all; they may be fewer if the cluster is slow.
    pub operations: Count<1, 1_000_000>,
    /// How many keys they are spread over, for protocols that have keys.
    pub keys: Count<1, 10_000>,
    /// The mean time between an answer and the next operation; drawn from a half to one and a half of it.
    pub think: Span,
    /// The shares of special operations among all, for protocols that have some: `{ transfer = "1/50" }`.
    #[serde(skip_serializing_if = "Mix::is_empty")]
    pub mix: Mix,
}

impl WorkloadSpec {
    /// Whether the next operation is a special one, and which: one of [`Protocol::MIX`](crate::protocol::Protocol::MIX). Where
    /// the workload asks for none, nothing is drawn.
    pub fn special(&self, rng: &mut Rng) -> Option<&str> {
        self.mix.draw(|| rng.next_u64())
    }
}

impl Default for WorkloadSpec {
    fn default() -> WorkloadSpec {
        WorkloadSpec {
            operations: Count(500),
            keys: Count(5),
            think: Span::from_millis(200),
            mix: Mix::default(),
        }
    }
}

/// What keeps a cluster recoverable: what faults may not do all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// How many servers may have their disk wiped or corrupted in one run. A fault beyond that is not done. By default
    /// fewer than half of them, as many as possible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disks: Option<Count<0, 99>>,
}

impl Budget {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde hands over a reference"
    )]
    fn is_default(&self) -> bool {
        *self == Budget::default()
    }

    /// How many of so many servers.
    pub(crate) fn disks(self, servers: usize) -> usize {
        self.disks.map_or(Budget::minority(servers), Count::get)
    }

    /// As many as possible that are fewer than half.
    fn minority(servers: usize) -> usize {
        servers.saturating_sub(1) / 2
    }

    /// For a cluster of one server less than so many: what was fewer than half of them stays fewer than half.
    pub(crate) fn for_one_less(&mut self, servers: usize) {
        let Some(disks) = self.disks else { return };
        let then = Budget::minority(servers.saturating_sub(1));
        if (then + 1..=Budget::minority(servers)).contains(&disks.get()) {
            // By default it is the most that is fewer than half.
            self.disks = None;
        }
    }
}

/// What is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Checks {
    /// Properties that are not checked in this scenario, because it is known that they do not hold in it.
    pub skip: Vec<String>,
}

/// What a test expects of this scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// `valid`, or `violation`.
    pub verdict: ExpectedVerdict,
    /// The property that must be violated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub property: Option<String>,
    /// Of every so many seeds in a row, at least one must violate it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within_seeds: Option<Count<1, 1_000_000>>,
}

/// Whether the protocol is expected to survive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExpectedVerdict {
    /// Every seed is valid.
    #[default]
    Valid,
    /// The property is violated: that is how the protocol is.
    Violation,
    /// So much is destroyed that no cluster could be live afterwards; what was safe before must still be.
    Unrecoverable,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether too much may be destroyed is the same in the smaller cluster.
    #[test]
    fn the_budget_of_disks_means_the_same_with_one_server_less() {
        for servers in 2..9 {
            for disks in [None, Some(0), Some(1), Some(2), Some(3), Some(4), Some(9)] {
                let mut budget = Budget {
                    disks: disks.map(Count),
                };
                let is_minority = |budget: Budget, servers| budget.disks(servers) * 2 < servers;
                let before = is_minority(budget, servers);
                budget.for_one_less(servers);
                if before {
                    assert!(is_minority(budget, servers - 1), "{disks:?} of {servers}");
                } else {
                    assert_eq!(budget.disks.map(|Count(disks)| disks), disks);
                }
            }
        }
    }
}
