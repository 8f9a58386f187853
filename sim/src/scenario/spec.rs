//! What a scenario says: the data of a TOML file.

use crate::fault::InFlight;
use crate::network::{Latency, LinkProfile, Shape};
use crate::span::Span;
use serde::{Deserialize, Serialize};
use splitbrain_core::{NodeId, Ratio};

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
    /// After the safety phase everything is healed, and the cluster must converge and answer final reads in this time.
    #[serde(default = "default_converge_within")]
    pub converge_within: Span,
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
    pub clients: Count<0, 99>,
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
}

impl NetworkSpec {
    /// Of every link that is not in the list of links.
    pub(crate) fn profile(&self) -> LinkProfile {
        LinkProfile {
            latency: self.latency,
            loss: self.loss,
            duplication: self.duplication,
        }
    }
}

impl LinkSpec {
    /// Of this link.
    pub(crate) fn profile(&self, network: &NetworkSpec) -> LinkProfile {
        LinkProfile {
            latency: self.latency.unwrap_or(network.latency),
            loss: self.loss.unwrap_or(network.loss),
            duplication: self.duplication.unwrap_or(network.duplication),
        }
    }
}

impl Default for NetworkSpec {
    fn default() -> NetworkSpec {
        let world = crate::WorldConfig::default();
        let LinkProfile {
            latency,
            loss,
            duplication,
        } = world.links;
        NetworkSpec {
            latency,
            loss,
            duplication,
            sync: world.sync_latency,
            links: Vec::new(),
        }
    }
}

/// What clients do. Each process runs one operation after the other, and thinks in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkloadSpec {
    /// How many operations in all; they may be fewer if the cluster is slow.
    pub operations: Count<1, 1_000_000>,
    /// How many keys they are spread over, for protocols that have keys.
    pub keys: Count<1, 10_000>,
    /// The mean time between an answer and the next operation; drawn from a half to one and a half of it.
    pub think: Span,
}

impl Default for WorkloadSpec {
    fn default() -> WorkloadSpec {
        WorkloadSpec {
            operations: Count(500),
            keys: Count(5),
            think: Span::from_millis(200),
        }
    }
}

/// One source of faults. With `at` its faults come at fixed times, with `every` at random ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultSpec {
    /// The kind.
    pub fault: FaultKind,
    /// At this time, or at each of these. Either this or `every`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<OneOrMany<Span>>,
    /// Again and again, this far apart on average: drawn from a half to one and a half of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// How long each lasts: always the same, or drawn between two.
    pub lasting: OneOrMany<Span>,
    /// To whom. Of a partition: who gets the bad place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub victims: Option<Victims>,
    /// Of a partition: its shape, or the shapes to draw from; all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<OneOrMany<Shape>>,
    /// Of a partition: what it does to messages in flight. Drawn for each partition by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<InFlight>,
}

/// The kinds of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Links are cut.
    Partition,
    /// Processes stop, lose what was not synced, and start again.
    Crash,
    /// Processes stop with their memory, and resume.
    Pause,
}

/// Whom a fault is done to, resolved when it is injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Victims {
    /// One server at random.
    One,
    /// Fewer than half of the servers, as many as possible.
    Minority,
    /// More than half of the servers, as few as possible.
    Majority,
    /// All servers.
    All,
    /// The servers one after the other.
    Rolling,
    /// The interesting server, as the protocol says; a random one while there is none.
    Leader,
    /// A client at random.
    Client,
    /// This node.
    Node(NodeId),
}

impl Victims {
    const NAMES: [(&'static str, Victims); 7] = [
        ("one", Victims::One),
        ("minority", Victims::Minority),
        ("majority", Victims::Majority),
        ("all", Victims::All),
        ("rolling", Victims::Rolling),
        ("leader", Victims::Leader),
        ("client", Victims::Client),
    ];
}

impl TryFrom<String> for Victims {
    type Error = String;
    fn try_from(text: String) -> Result<Victims, String> {
        let named = Victims::NAMES
            .iter()
            .find(|(name, _)| *name == text)
            .map(|&(_, victims)| victims);
        named
            .or_else(|| text.parse().ok().map(Victims::Node))
            .ok_or_else(|| {
                let names: Vec<&str> = Victims::NAMES.iter().map(|&(name, _)| name).collect();
                format!(
                    "`{text}` names no victims: expected one of {}, or a node like n1",
                    names.join(", ")
                )
            })
    }
}

impl From<Victims> for String {
    fn from(victims: Victims) -> String {
        match victims {
            Victims::Node(node) => node.to_string(),
            named => {
                let found = Victims::NAMES
                    .iter()
                    .find(|&&(_, victims)| victims == named);
                found.map_or(String::new(), |(name, _)| (*name).to_owned())
            }
        }
    }
}

/// `x` or `[x, y]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// One.
    One(T),
    /// Several, or none.
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// All of them.
    pub fn as_slice(&self) -> &[T] {
        match self {
            OneOrMany::One(one) => std::slice::from_ref(one),
            OneOrMany::Many(many) => many,
        }
    }
}

/// Not derived: serde's untagged enums forget what was wrong with the value.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Visitor<T> {
            type Value = OneOrMany<T>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string or a list of strings")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                T::deserialize(serde::de::value::StrDeserializer::new(text)).map(OneOrMany::One)
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut list: A,
            ) -> Result<Self::Value, A::Error> {
                let mut many = Vec::new();
                while let Some(item) = list.next_element()? {
                    many.push(item);
                }
                Ok(OneOrMany::Many(many))
            }
        }
        deserializer.deserialize_any(Visitor(std::marker::PhantomData))
    }
}

/// What must have happened for a run to prove anything (law 7). A run that falls short is *unknown: vacuous*.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Require {
    /// Operations that took effect.
    pub ops_ok: u64,
    /// Times that another node than before was seen to lead, the first one included.
    pub leaders: u64,
    /// Faults injected.
    pub faults: u64,
    /// Messages that a partition dropped.
    pub dropped_by_partition: u64,
    /// Messages lost on a link.
    pub dropped_by_loss: u64,
    /// Messages duplicated.
    pub duplicated: u64,
    /// Probes that some run must reach: not each run, but every [campaign](crate::campaign) of
    /// [20 seeds](crate::campaign::PROBES_WITHIN_SEEDS) or more. One that reaches less is *unknown*.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<String>,
}

impl Require {
    /// Any run will do: for one that was made as small as possible.
    pub(crate) const NOTHING: Require = Require {
        ops_ok: 0,
        leaders: 0,
        faults: 0,
        dropped_by_partition: 0,
        dropped_by_loss: 0,
        duplicated: 0,
        probes: Vec::new(),
    };
}

impl Default for Require {
    fn default() -> Require {
        Require {
            ops_ok: 10,
            leaders: 0,
            faults: 0,
            dropped_by_partition: 0,
            dropped_by_loss: 0,
            duplicated: 0,
            probes: Vec::new(),
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
}
