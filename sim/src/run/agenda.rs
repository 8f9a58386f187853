//! What the harness itself does to the world: faults begin and end.

use crate::engine::Engine;
use crate::fault;
use crate::fault::{Fault, InFlight, Injection, Undo};
use crate::nemesis::{Drawn, Fact, Targets};
use crate::protocol::Protocol;
use crate::run::FaultSource;
use crate::span::Span;
use splitbrain_core::{Node, NodeId, Status, Time};
use std::collections::BTreeSet;
use std::time::Duration;

/// How often it is looked whether a node is far enough behind.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The faults that are in force and those to come.
#[derive(Clone, Debug)]
pub(super) struct FaultAgenda {
    pub(super) source: FaultSource,
    pub(super) servers: Vec<NodeId>,
    pub(super) clients: Vec<NodeId>,
    /// How many servers may have their disks damaged.
    disks_max: usize,
    /// Those that have.
    pub(super) damaged: BTreeSet<NodeId>,
    in_force: Vec<InForce>,
    /// What was injected so far, resolved.
    pub(super) injected: Vec<Injection>,
}

/// A fault that is in force.
#[derive(Clone, Debug)]
struct InForce {
    until: Time,
    undo: Undo,
    /// Its place among those injected.
    place: usize,
    /// It comes and goes.
    flap: Option<Flap>,
    /// It is over when this node is so far behind; when that is looked at next.
    behind: Option<(NodeId, u64, Time)>,
}

/// A partition that comes and goes.
#[derive(Clone, Copy, Debug)]
struct Flap {
    /// How long each lasts.
    every: Duration,
    /// When it comes or goes next.
    next: Time,
    /// Whether it is gone now.
    gone: bool,
    /// What is in flight is cut as often as it comes.
    in_flight: InFlight,
}

impl FaultAgenda {
    pub(super) fn new(
        source: FaultSource,
        servers: Vec<NodeId>,
        clients: Vec<NodeId>,
        disks_max: usize,
    ) -> FaultAgenda {
        FaultAgenda {
            source,
            servers,
            clients,
            disks_max,
            damaged: BTreeSet::new(),
            in_force: Vec::new(),
            injected: Vec::new(),
        }
    }

    /// When the next fault begins, ends, comes or goes.
    pub(super) fn next_at(&self) -> Option<Time> {
        let own = |fault: &InForce| {
            let flaps = fault.flap.map(|flap| flap.next);
            let looks = fault.behind.map(|(_, _, next)| next);
            [Some(fault.until), flaps, looks]
                .into_iter()
                .flatten()
                .min()
        };
        let ends = self.in_force.iter().filter_map(own).min();
        let begins = match &self.source {
            FaultSource::Drawn(nemesis) => nemesis.next_at(),
            FaultSource::Scheduled(schedule) => schedule.front().map(|next| Time::ZERO + next.at.0),
        };
        ends.into_iter().chain(begins).min()
    }

    /// Does what is due now: ends first, so that a fault may follow another at the same instant.
    pub(super) fn act<P: Protocol>(&mut self, world: &mut impl Engine<P::Node>) {
        let now = world.now();
        self.look_who_is_behind::<P>(world);
        for over in self.in_force.extract_if(.., |fault| fault.until <= now) {
            over.end(world);
        }
        for fault in &mut self.in_force {
            fault.flap(world);
        }
        while let Some(Drawn {
            injection,
            until_behind,
        }) = self.due::<P>(world)
        {
            let Injection {
                at,
                lasting,
                mut fault,
            } = injection;
            // An engine may come a little late; what is written down, and replayed, is when it was to be.
            let begun = Time::ZERO + at.0;
            self.keep_within_budget(&mut fault);
            let Some((fault, undo)) = fault::inject(world, fault) else {
                continue;
            };
            if fault.damages_disks() {
                let servers = fault
                    .nodes()
                    .into_iter()
                    .filter(|node| self.servers.contains(node));
                self.damaged.extend(servers);
            }
            let flap = match &fault {
                Fault::Partition {
                    flap: Some(every),
                    in_flight,
                    ..
                } => Some(Flap {
                    every: every.0,
                    next: begun + every.0,
                    gone: false,
                    in_flight: *in_flight,
                }),
                _ => None,
            };
            self.in_force.push(InForce {
                until: begun + lasting.0,
                undo,
                place: self.injected.len(),
                flap,
                behind: until_behind.map(|(node, far)| (node, far, begun + LOOK_EVERY)),
            });
            self.injected.push(Injection { at, lasting, fault });
        }
    }

    /// Leaves out the nodes whose disks may not be damaged any more.
    fn keep_within_budget(&self, fault: &mut Fault) {
        if !fault.damages_disks() {
            return;
        }
        let mut left = self.disks_max.saturating_sub(self.damaged.len());
        let mut allowed = self.damaged.clone();
        for node in fault.nodes() {
            if !self.servers.contains(&node) {
                allowed.insert(node); // what clients have on their disks keeps nobody from living on
            } else if left > 0 && allowed.insert(node) {
                left -= 1;
            }
        }
        fault.retain(|node| allowed.contains(&node));
    }

    /// Ends faults whose node is far enough behind, and writes down how long that took: what is replayed is a time.
    fn look_who_is_behind<P: Protocol>(&mut self, world: &impl Engine<P::Node>) {
        let now = world.now();
        let progress = |id: NodeId| world.cluster().node(id).map(P::Node::progress);
        let ahead = self.servers.iter().filter_map(|&id| progress(id)).max();
        for fault in &mut self.in_force {
            let Some((node, far, next)) = &mut fault.behind else {
                continue;
            };
            if *next > now {
                continue;
            }
            let looked = *next;
            *next = looked + LOOK_EVERY;
            // Of a node that is down nobody knows how far it is.
            let Some(own) = progress(*node) else {
                continue;
            };
            if ahead.unwrap_or(0) >= own.saturating_add(*far) {
                let injected = &mut self.injected[fault.place];
                injected.lasting = Span(looked.since(Time::ZERO + injected.at.0));
                fault.until = now;
            }
        }
    }

    fn due<P: Protocol>(&mut self, world: &impl Engine<P::Node>) -> Option<Drawn> {
        let now = world.now();
        match &mut self.source {
            FaultSource::Drawn(nemesis) => {
                let at = nemesis.next_at().filter(|&at| at <= now)?;
                let facts: Vec<Fact> = self.servers.iter().map(|&id| fact(world, id)).collect();
                let targets = Targets {
                    servers: &self.servers,
                    clients: &self.clients,
                    leader: P::leader(world.cluster()),
                    facts: &facts,
                };
                nemesis.draw(at, targets)
            }
            FaultSource::Scheduled(schedule) => {
                schedule
                    .front()
                    .filter(|next| Time::ZERO + next.at.0 <= now)?;
                let injection = schedule.pop_front()?;
                Some(Drawn {
                    injection,
                    until_behind: None,
                })
            }
        }
    }

    /// Ends everything, whenever it was to end, and starts whatever has ended itself.
    pub(super) fn heal<P: Protocol>(&mut self, world: &mut impl Engine<P::Node>) {
        for over in self.in_force.drain(..) {
            over.end(world);
        }
        let all: Vec<NodeId> = (0..world.cluster().len()).map(NodeId::from_index).collect();
        fault::restart_halted(world, &all);
    }
}

impl InForce {
    fn end<N: Node>(&self, world: &mut impl Engine<N>) {
        if !self.flap.is_some_and(|flap| flap.gone) {
            fault::undo(world, &self.undo);
        }
    }

    /// Lets it come or go, if that is due.
    fn flap<N: Node>(&mut self, world: &mut impl Engine<N>) {
        let (Some(flap), Undo::Mend(cuts)) = (&mut self.flap, &self.undo) else {
            return;
        };
        if flap.next <= world.now() {
            if flap.gone {
                world.cut(cuts, flap.in_flight == InFlight::Cut);
            } else {
                world.mend(cuts);
            }
            flap.gone = !flap.gone;
            flap.next += flap.every;
        }
    }
}

fn fact<N: Node>(world: &impl Engine<N>, node: NodeId) -> Fact {
    let cluster = world.cluster();
    let state = cluster.node(node);
    Fact {
        node,
        up: cluster.status(node) == Status::Up,
        role: state.map_or("", N::role),
        progress: state.map_or(0, N::progress),
        syncing: world.is_syncing(node),
        records: world.durable_records(node),
    }
}
