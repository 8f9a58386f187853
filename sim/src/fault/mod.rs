//! Faults as data: what may be done to a world, resolved to concrete nodes, and undone.

mod inject;

pub(crate) use inject::{Undo, inject, restart_halted, undo};

use crate::network::{Degradation, Latency, LinkSet, Shape};
use crate::span::Span;
use crate::world::{Point, Unsynced};
use serde::{Deserialize, Serialize};
use splitbrain_core::NodeId;
use std::collections::BTreeMap;
use std::fmt;

/// One fault, resolved: it names nodes, never roles (law 8). Each is undone when its time is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// Links are cut.
    Partition {
        /// The shape that it was drawn from.
        shape: Shape,
        /// What happens to messages in flight on the cut links.
        in_flight: InFlight,
        /// It flaps: the links are cut for this long, then whole for as long, and so on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        flap: Option<Span>,
        /// By sender, the receivers that no longer hear it.
        cuts: LinkSet,
    },
    /// Links are worse than usual: slower, lossy, narrow.
    Degrade {
        /// By sender, the receivers.
        links: LinkSet,
        /// In which respect.
        by: Degradation,
    },
    /// Links hold what is sent on them, and let it go in the end.
    Clog {
        /// By sender, the receivers.
        links: LinkSet,
    },
    /// Processes stop and lose what they had not synced; in the end they start again.
    Crash {
        /// All at the same instant.
        nodes: Vec<NodeId>,
        /// What their disks keep all the same.
        #[serde(default, skip_serializing_if = "is_lost")]
        unsynced: Unsynced,
    },
    /// Processes stop when they reach a point of their work, if they do; in the end they start again.
    CrashAt {
        /// Each on its own.
        nodes: Vec<NodeId>,
        /// Where.
        point: Point,
    },
    /// Processes stop, and their disks are gone; in the end they start on an empty disk.
    Wipe {
        /// All at the same instant.
        nodes: Vec<NodeId>,
    },
    /// Processes stop with their memory while the world goes on; in the end they resume.
    Pause {
        /// All at the same instant.
        nodes: Vec<NodeId>,
    },
    /// Processes take long for whatever they do.
    Slow {
        /// Each on its own.
        nodes: Vec<NodeId>,
        /// So much for each message, timer and sync.
        per_event: Span,
    },
    /// Monotonic clocks run too fast, or too slow.
    Drift {
        /// By so many parts per million; negative is slow.
        ppm: BTreeMap<NodeId, i32>,
    },
    /// Wall clocks jump, and jump back in the end.
    Jump {
        /// By so many milliseconds; negative is back.
        by_ms: BTreeMap<NodeId, i64>,
    },
    /// Wall clocks jump to and fro.
    Strobe {
        /// Each on its own.
        nodes: Vec<NodeId>,
        /// By so many milliseconds.
        by_ms: i64,
        /// This often.
        every: Span,
    },
    /// Disks take long to sync.
    SlowSync {
        /// Each on its own.
        nodes: Vec<NodeId>,
        /// This long.
        sync: Latency,
    },
    /// Every sync fails. Processes that ended themselves over it are started again in the end.
    FailSync {
        /// Each on its own.
        nodes: Vec<NodeId>,
    },
    /// Disks are full: what is durable fits, and nothing more. Processes that ended themselves over it are started again
    /// in the end.
    FullDisk {
        /// Each on its own.
        nodes: Vec<NodeId>,
    },
    /// A durable record becomes unreadable, for good. The next start finds out.
    Corrupt {
        /// The position of the record, from zero.
        records: BTreeMap<NodeId, u32>,
    },
}

fn rename_keys<V: Copy>(
    by_node: &mut BTreeMap<NodeId, V>,
    name: impl Fn(NodeId) -> Option<NodeId>,
) {
    let renamed = |(&node, &value): (&NodeId, &V)| Some((name(node)?, value));
    *by_node = by_node.iter().filter_map(renamed).collect();
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_lost(unsynced: &Unsynced) -> bool {
    *unsynced == Unsynced::Lost
}

/// What a partition does to messages in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InFlight {
    /// They arrive.
    #[default]
    Keep,
    /// They are lost.
    Cut,
}

/// A fault, when it begins and how long it lasts: one decision of a nemesis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Injection {
    /// Since the start of the run.
    pub at: Span,
    /// Until it is undone. What is still in force at the end of the safety phase is undone then.
    pub lasting: Span,
    /// What.
    pub fault: Fault,
}

impl Fault {
    /// The name of its kind, as scenarios say it.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Partition { .. } => "partition",
            Fault::Degrade { .. } => "degrade",
            Fault::Clog { .. } => "clog",
            Fault::Crash { .. } => "crash",
            Fault::CrashAt { .. } => "crash-at",
            Fault::Wipe { .. } => "wipe",
            Fault::Pause { .. } => "pause",
            Fault::Slow { .. } => "slow",
            Fault::Drift { .. } => "drift",
            Fault::Jump { .. } => "jump",
            Fault::Strobe { .. } => "strobe",
            Fault::SlowSync { .. } => "slow-sync",
            Fault::FailSync { .. } => "fail-sync",
            Fault::FullDisk { .. } => "full-disk",
            Fault::Corrupt { .. } => "corrupt",
        }
    }

    /// The nodes it is done to, or whose links it is done to.
    pub fn nodes(&self) -> Vec<NodeId> {
        match self {
            Fault::Partition { cuts: links, .. }
            | Fault::Degrade { links, .. }
            | Fault::Clog { links } => links.nodes().into_iter().collect(),
            Fault::Crash { nodes, .. }
            | Fault::CrashAt { nodes, .. }
            | Fault::Wipe { nodes }
            | Fault::Pause { nodes }
            | Fault::Slow { nodes, .. }
            | Fault::Strobe { nodes, .. }
            | Fault::SlowSync { nodes, .. }
            | Fault::FailSync { nodes }
            | Fault::FullDisk { nodes } => nodes.clone(),
            Fault::Drift { ppm } => ppm.keys().copied().collect(),
            Fault::Jump { by_ms } => by_ms.keys().copied().collect(),
            Fault::Corrupt { records } => records.keys().copied().collect(),
        }
    }

    /// Leaves out the nodes for which this does not hold, and their links.
    pub(crate) fn retain(&mut self, keep: impl Fn(NodeId) -> bool) {
        self.rename(|node| keep(node).then_some(node));
    }

    /// Gives the nodes other names, and leaves out those without a name, and their links.
    pub(crate) fn rename(&mut self, name: impl Fn(NodeId) -> Option<NodeId>) {
        match self {
            Fault::Partition { cuts: links, .. }
            | Fault::Degrade { links, .. }
            | Fault::Clog { links } => *links = links.renamed(name),
            Fault::Crash { nodes, .. }
            | Fault::CrashAt { nodes, .. }
            | Fault::Wipe { nodes }
            | Fault::Pause { nodes }
            | Fault::Slow { nodes, .. }
            | Fault::Strobe { nodes, .. }
            | Fault::SlowSync { nodes, .. }
            | Fault::FailSync { nodes }
            | Fault::FullDisk { nodes } => {
                *nodes = nodes.iter().copied().filter_map(name).collect();
            }
            Fault::Drift { ppm } => rename_keys(ppm, name),
            Fault::Jump { by_ms } => rename_keys(by_ms, name),
            Fault::Corrupt { records } => rename_keys(records, name),
        }
    }

    /// Whether what it does to a disk outlasts it, and no restart mends it.
    pub(crate) fn damages_disks(&self) -> bool {
        matches!(self, Fault::Wipe { .. } | Fault::Corrupt { .. })
    }

    /// Says what is wrong with it, if anything is.
    ///
    /// # Errors
    /// Numbers that make no sense: a file may say anything.
    pub(crate) fn validate(&self) -> Result<(), String> {
        let least = Span::from_millis(1);
        let positive = |what: &str, span: Span| {
            if span < least {
                Err(format!(
                    "{what}: {span} is too short: expected at least {least}"
                ))
            } else {
                Ok(())
            }
        };
        match self {
            Fault::Partition {
                flap: Some(flap), ..
            } => positive("flap", *flap),
            Fault::Degrade { by, .. } => by.validate(),
            Fault::Strobe { every, .. } => positive("every", *every),
            Fault::SlowSync { sync, .. } => sync.validate(),
            Fault::Drift { ppm } => ppm.values().try_for_each(|&ppm| valid_ppm(ppm)),
            Fault::Jump { by_ms } => by_ms.values().try_for_each(|&by_ms| valid_jump(by_ms)),
            _ => Ok(()),
        }?;
        match self {
            Fault::Strobe { by_ms, .. } => valid_jump(*by_ms),
            _ => Ok(()),
        }
    }
}

/// A clock that stands still, or runs ten times too fast, is no clock.
pub(crate) fn valid_ppm(ppm: i32) -> Result<(), String> {
    if (-900_000..=9_000_000).contains(&ppm) {
        Ok(())
    } else {
        Err(format!(
            "ppm: {ppm} is out of range: expected -900000 to 9000000"
        ))
    }
}

/// No clock is off by more than a year.
pub(crate) fn valid_jump(by_ms: i64) -> Result<(), String> {
    const YEAR_MS: i64 = 365 * 24 * 3_600_000;
    if (-YEAR_MS..=YEAR_MS).contains(&by_ms) {
        Ok(())
    } else {
        Err(format!("by_ms: {by_ms} is more than a year"))
    }
}

/// `crash n3`, `partition halves: n1 n2 | n3 n4 n5`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |nodes: &[NodeId]| {
            let names: Vec<String> = nodes.iter().map(NodeId::to_string).collect();
            names.join(" ")
        };
        match self {
            Fault::Partition {
                shape, cuts, flap, ..
            } => {
                write!(f, "partition {}: {cuts}", shape.name())?;
                flap.map_or(Ok(()), |flap| write!(f, ", flapping every {flap}"))
            }
            Fault::Degrade { links, by } => write!(f, "degrade {}: {by}", links.describe()),
            Fault::Clog { links } => write!(f, "clog {}", links.describe()),
            Fault::Crash { nodes, unsynced } => {
                write!(f, "crash {}{unsynced}", names(nodes))
            }
            Fault::CrashAt { nodes, point } => {
                write!(f, "to crash {} {}", point.words(), names(nodes))
            }
            Fault::Wipe { nodes } => write!(f, "wipe {}", names(nodes)),
            Fault::Pause { nodes } => write!(f, "pause {}", names(nodes)),
            Fault::Slow { nodes, per_event } => {
                write!(f, "slow {}: {per_event} for each event", names(nodes))
            }
            Fault::Drift { ppm } => write!(f, "clocks drift: {}", each(ppm, " ppm")),
            Fault::Jump { by_ms } => write!(f, "wall clocks jump: {}", each(by_ms, "ms")),
            Fault::Strobe {
                nodes,
                by_ms,
                every,
            } => write!(
                f,
                "wall clocks strobe: {} by {by_ms:+}ms every {every}",
                names(nodes)
            ),
            Fault::SlowSync { nodes, sync } => {
                write!(f, "slow syncs at {}: {sync}", names(nodes))
            }
            Fault::FailSync { nodes } => write!(f, "syncs fail at {}", names(nodes)),
            Fault::FullDisk { nodes } => write!(f, "disk full at {}", names(nodes)),
            Fault::Corrupt { records } => {
                let record =
                    |(node, position): (&NodeId, &u32)| format!("{node} record {position}");
                let records: Vec<String> = records.iter().map(record).collect();
                write!(f, "corrupt {}", records.join(", "))
            }
        }
    }
}

/// `n1 +20 ppm, n3 -5 ppm`.
fn each<V: fmt::Display>(values: &BTreeMap<NodeId, V>, unit: &str) -> String {
    let one = |(node, value): (&NodeId, &V)| format!("{node} {value:+}{unit}");
    values.iter().map(one).collect::<Vec<_>>().join(", ")
}
