//! Doing a fault to a world, and undoing it.

use super::{Fault, InFlight};
use crate::engine::Engine;
use crate::network::LinkSet;
use crate::world::{FaultId, World};
use splitbrain_core::{Node, NodeId, Status};
use std::collections::BTreeMap;
use std::time::Duration;

/// How to end a fault that is in force.
#[derive(Clone, Debug)]
pub(crate) enum Undo {
    Mend(LinkSet),
    Unclog(LinkSet),
    /// Held down until now.
    Restart(Vec<NodeId>),
    /// Nodes with the incarnation they had: one that has crashed since is left alone.
    Resume(Vec<(NodeId, u32)>),
    /// The world knows how; at these nodes.
    End(FaultId, &'static str, Vec<NodeId>),
    SpeedUp(Vec<NodeId>, Duration),
    Undrift(BTreeMap<NodeId, i32>),
    JumpBack(BTreeMap<NodeId, i64>),
    SyncAgain(Vec<NodeId>),
    MakeRoom(Vec<NodeId>),
    /// It is done, and cannot be undone.
    Never,
}

/// Does this to the world, now. Returns what was really done, and how to end it: a process that is down already is not
/// crashed again, one that is not up is not paused. `None` if nothing is left to do.
pub(crate) fn inject<N: Node>(
    world: &mut impl Engine<N>,
    mut fault: Fault,
) -> Option<(Fault, Undo)> {
    let count = world.cluster().len();
    let feasible = |node: NodeId| match &fault {
        Fault::Crash { .. } => world.is_running_or_starting(node),
        Fault::Pause { .. } => world.cluster().status(node) == Status::Up,
        Fault::Corrupt { records } => {
            let there = records.get(&node).copied().unwrap_or(0) as usize;
            there < world.durable_records(node) && !world.is_corrupt(node, there)
        }
        _ => node.index() < count,
    };
    let victims: Vec<NodeId> = fault.nodes().into_iter().filter(|&n| feasible(n)).collect();
    fault.retain(|node| victims.contains(&node));
    if fault.nodes().is_empty() {
        return None;
    }
    world.trace_fault(&victims, || fault.to_string());
    let undo = carry_out(world, &fault, victims);
    Some((fault, undo))
}

/// What every engine can do.
fn carry_out<N: Node>(world: &mut impl Engine<N>, fault: &Fault, victims: Vec<NodeId>) -> Undo {
    match fault {
        Fault::Partition {
            cuts, in_flight, ..
        } => {
            world.cut(cuts, *in_flight == InFlight::Cut);
            Undo::Mend(cuts.clone())
        }
        Fault::Crash { unsynced, .. } => {
            for &node in &victims {
                world.crash_keeping(node, *unsynced);
            }
            hold_down(world, victims)
        }
        Fault::Wipe { .. } => {
            for &node in &victims {
                world.wipe(node);
            }
            hold_down(world, victims)
        }
        Fault::Pause { .. } => {
            for &node in &victims {
                world.pause(node);
            }
            Undo::Resume(with_incarnations(world, &victims))
        }
        _ => match world.kernel() {
            Some(world) => carry_out_in_kernel(world, fault, victims),
            None => panic!("a fault that the engine refuses is no part of a loaded case: {fault}"),
        },
    }
}

/// What only the kernel can do.
fn carry_out_in_kernel<N: Node>(world: &mut World<N>, fault: &Fault, victims: Vec<NodeId>) -> Undo {
    match fault {
        Fault::Partition { .. }
        | Fault::Crash { .. }
        | Fault::Wipe { .. }
        | Fault::Pause { .. } => carry_out(world, fault, victims),
        Fault::Degrade { links, by } => {
            Undo::End(world.degrade(links, *by), "links are as usual", victims)
        }
        Fault::Clog { links } => {
            world.clog(links);
            Undo::Unclog(links.clone())
        }
        Fault::CrashAt { point, .. } => {
            Undo::End(world.arm(&victims, point), "no longer to crash", victims)
        }
        Fault::Slow { per_event, .. } => {
            let slow = |&node: &NodeId| world.slow_down(node, per_event.0, true);
            victims.iter().for_each(slow);
            Undo::SpeedUp(victims, per_event.0)
        }
        Fault::Drift { ppm } => {
            for (&node, &ppm) in ppm {
                world.drift(node, ppm);
            }
            Undo::Undrift(ppm.clone())
        }
        Fault::Jump { by_ms } => {
            let jump = |(&node, &by_ms): (&NodeId, &i64)| world.jump(node, nanoseconds(by_ms));
            by_ms.iter().for_each(jump);
            Undo::JumpBack(by_ms.clone())
        }
        Fault::Strobe { by_ms, every, .. } => {
            let fault = world.strobe(&victims, nanoseconds(*by_ms), every.0);
            Undo::End(fault, "wall clocks are steady", victims)
        }
        Fault::SlowSync { sync, .. } => {
            let fault = world.slow_syncs(&victims, sync);
            Undo::End(fault, "syncs are as fast as usual", victims)
        }
        Fault::FailSync { .. } => {
            let fail = |&node: &NodeId| world.fail_syncs(node, true);
            victims.iter().for_each(fail);
            Undo::SyncAgain(victims)
        }
        Fault::FullDisk { .. } => {
            for &node in &victims {
                world.fill_disk(node, true);
            }
            Undo::MakeRoom(victims)
        }
        Fault::Corrupt { records } => {
            for (&node, &position) in records {
                world.corrupt(node, position as usize);
            }
            Undo::Never
        }
    }
}

fn nanoseconds(ms: i64) -> i64 {
    ms.saturating_mul(1_000_000)
}

fn hold_down<N: Node>(world: &mut impl Engine<N>, nodes: Vec<NodeId>) -> Undo {
    for &node in &nodes {
        world.hold_down(node);
    }
    Undo::Restart(nodes)
}

fn with_incarnations<N: Node>(world: &impl Engine<N>, nodes: &[NodeId]) -> Vec<(NodeId, u32)> {
    nodes
        .iter()
        .map(|&node| (node, world.incarnation(node)))
        .collect()
}

/// Ends a fault.
pub(crate) fn undo<N: Node>(world: &mut impl Engine<N>, undo: &Undo) {
    match undo {
        Undo::Mend(cuts) => {
            world.mend(cuts);
            let nodes: Vec<NodeId> = cuts.nodes().into_iter().collect();
            world.trace_fault(&nodes, || format!("partition heals: {cuts}"));
        }
        Undo::Restart(nodes) => {
            for &node in nodes {
                world.let_up(node);
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
        _ => {
            // Whatever else there is to undo, the kernel has done.
            if let Some(world) = world.kernel() {
                undo_in_kernel(world, undo);
            }
        }
    }
}

fn undo_in_kernel<N: Node>(world: &mut World<N>, undo: &Undo) {
    let say = |world: &mut World<N>, nodes: &[NodeId], words: &str| {
        world.trace_fault(nodes, || words.to_owned());
    };
    match undo {
        Undo::Mend(_) | Undo::Restart(_) | Undo::Resume(_) | Undo::Never => {}
        Undo::Unclog(links) => {
            let nodes: Vec<NodeId> = links.nodes().into_iter().collect();
            world.trace_fault(&nodes, || format!("unclog {}", links.describe()));
            world.unclog(links);
        }
        Undo::End(fault, words, nodes) => {
            world.end(*fault);
            say(world, nodes, words);
        }
        Undo::SpeedUp(nodes, by) => {
            for &node in nodes {
                world.slow_down(node, *by, false);
            }
            say(world, nodes, "no longer slow");
        }
        Undo::Undrift(ppm) => {
            for (&node, &ppm) in ppm {
                world.drift(node, -ppm);
            }
            let nodes: Vec<NodeId> = ppm.keys().copied().collect();
            say(world, &nodes, "clocks run as they should");
        }
        Undo::JumpBack(by_ms) => {
            for (&node, &by_ms) in by_ms {
                world.jump(node, nanoseconds(-by_ms));
            }
            let nodes: Vec<NodeId> = by_ms.keys().copied().collect();
            say(world, &nodes, "wall clocks jump back");
        }
        Undo::SyncAgain(nodes) => {
            for &node in nodes {
                world.fail_syncs(node, false);
            }
            say(world, nodes, "syncs no longer fail");
            restart_halted(world, nodes);
        }
        Undo::MakeRoom(nodes) => {
            for &node in nodes {
                world.fill_disk(node, false);
            }
            say(world, nodes, "there is room on the disk");
            restart_halted(world, nodes);
        }
    }
}

/// Starts processes that have ended themselves: somebody has looked after the cause, as far as there is a remedy.
pub(crate) fn restart_halted<N: Node>(world: &mut impl Engine<N>, nodes: &[NodeId]) {
    for &node in nodes {
        world.restart_halted(node);
    }
}
