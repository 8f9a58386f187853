//! Faults as data: what may be done to a world, resolved to concrete nodes, and undone.

use crate::network::{Cuts, Shape};
use crate::span::Span;
use crate::world::World;
use serde::{Deserialize, Serialize};
use splitbrain_core::{Node, NodeId, Status};
use std::fmt;

/// One fault, resolved: it names nodes, never roles (law 8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// Links are cut.
    Partition {
        /// The shape that it was drawn from.
        shape: Shape,
        /// What happens to messages in flight on the cut links.
        in_flight: InFlight,
        /// By sender, the receivers that no longer hear it.
        cuts: Cuts,
    },
    /// Processes stop and lose what they had not synced; in the end they start again.
    Crash {
        /// All at the same instant.
        nodes: Vec<NodeId>,
    },
    /// Processes stop with their memory while the world goes on; in the end they resume.
    Pause {
        /// All at the same instant.
        nodes: Vec<NodeId>,
    },
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

/// How to end a fault that is in force.
#[derive(Clone, Debug)]
pub(crate) enum Undo {
    Mend(Cuts),
    /// Nodes with the incarnation they will have: one that was restarted or crashed again since is left alone.
    Restart(Vec<(NodeId, u32)>),
    Resume(Vec<(NodeId, u32)>),
}

impl Fault {
    /// The name of its kind, as in scenarios.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Partition { .. } => "partition",
            Fault::Crash { .. } => "crash",
            Fault::Pause { .. } => "pause",
        }
    }

    /// The nodes it is done to.
    pub fn nodes(&self) -> Vec<NodeId> {
        match self {
            Fault::Partition { cuts, .. } => cuts.nodes().into_iter().collect(),
            Fault::Crash { nodes } | Fault::Pause { nodes } => nodes.clone(),
        }
    }
}

/// `crash n3`, `partition halves: n1 n2 | n3 n4 n5`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |nodes: &[NodeId]| {
            nodes
                .iter()
                .map(NodeId::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        };
        match self {
            Fault::Partition { shape, cuts, .. } => write!(f, "partition {}: {cuts}", shape.name()),
            Fault::Crash { nodes } => write!(f, "crash {}", names(nodes)),
            Fault::Pause { nodes } => write!(f, "pause {}", names(nodes)),
        }
    }
}

/// Does this to the world, now. Returns what was really done, and how to end it: a process that is down already is not
/// crashed again, one that is not up is not paused. `None` if nothing is left to do.
pub(crate) fn inject<N: Node>(world: &mut World<N>, mut fault: Fault) -> Option<(Fault, Undo)> {
    match &mut fault {
        Fault::Partition { cuts, .. } if cuts.iter().next().is_none() => return None,
        Fault::Partition { .. } => {}
        Fault::Crash { nodes } => nodes.retain(|&node| world.is_running_or_starting(node)),
        Fault::Pause { nodes } => nodes.retain(|&node| world.cluster().status(node) == Status::Up),
    }
    let victims = fault.nodes();
    if victims.is_empty() {
        return None;
    }
    world.trace_fault(&victims, || fault.to_string());
    let undo = match &fault {
        Fault::Partition {
            cuts, in_flight, ..
        } => {
            world.cut(cuts, *in_flight == InFlight::Cut);
            Undo::Mend(cuts.clone())
        }
        Fault::Crash { .. } => {
            for &node in &victims {
                world.crash(node);
            }
            Undo::Restart(with_incarnations(world, &victims))
        }
        Fault::Pause { .. } => {
            for &node in &victims {
                world.pause(node);
            }
            Undo::Resume(with_incarnations(world, &victims))
        }
    };
    Some((fault, undo))
}

fn with_incarnations<N: Node>(world: &World<N>, nodes: &[NodeId]) -> Vec<(NodeId, u32)> {
    nodes
        .iter()
        .map(|&node| (node, world.incarnation(node)))
        .collect()
}

/// Ends a fault.
pub(crate) fn undo<N: Node>(world: &mut World<N>, undo: &Undo) {
    match undo {
        Undo::Mend(cuts) => {
            world.mend(cuts);
            let nodes: Vec<NodeId> = cuts.nodes().into_iter().collect();
            world.trace_fault(&nodes, || format!("partition heals: {cuts}"));
        }
        Undo::Restart(nodes) => {
            for &(node, incarnation) in nodes {
                if world.incarnation(node) == incarnation {
                    world.restart(node);
                }
            }
        }
        Undo::Resume(nodes) => {
            for &(node, incarnation) in nodes {
                if world.incarnation(node) == incarnation
                    && world.cluster().status(node) == Status::Paused
                {
                    world.resume(node);
                    world.trace_fault(&[node], || format!("resume {node}"));
                }
            }
        }
    }
}
