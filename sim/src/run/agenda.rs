//! What the harness itself has to do next: begin and end faults, begin operations.

use crate::fault;
use crate::fault::{Injection, Undo};
use crate::nemesis::Targets;
use crate::protocol::{OpOf, Protocol, RetOf, WorldOf};
use crate::run::FaultSource;
use crate::scenario::WorkloadSpec;
use splitbrain_check::ProcessId;
use splitbrain_core::{NodeId, Outcome, Purpose, Rng, Seed, Status, Time};
use std::time::Duration;

/// The faults that are in force and those to come.
#[derive(Clone, Debug)]
pub(super) struct FaultAgenda {
    pub(super) source: FaultSource,
    pub(super) servers: Vec<NodeId>,
    pub(super) clients: Vec<NodeId>,
    /// Faults in force, with the time at which they end.
    in_force: Vec<(Time, Undo)>,
    /// What was injected so far, resolved.
    pub(super) injected: Vec<Injection>,
}

impl FaultAgenda {
    pub(super) fn new(
        source: FaultSource,
        servers: Vec<NodeId>,
        clients: Vec<NodeId>,
    ) -> FaultAgenda {
        FaultAgenda {
            source,
            servers,
            clients,
            in_force: Vec::new(),
            injected: Vec::new(),
        }
    }

    /// When the next fault begins or ends.
    pub(super) fn next_at(&self) -> Option<Time> {
        let ends = self.in_force.iter().map(|(until, _)| *until).min();
        let begins = match &self.source {
            FaultSource::Drawn(nemesis) => nemesis.next_at(),
            FaultSource::Scheduled(schedule) => schedule.front().map(|next| Time::ZERO + next.at.0),
        };
        ends.into_iter().chain(begins).min()
    }

    /// Does what is due now: ends first, so that a fault may follow another at the same instant.
    pub(super) fn act<P: Protocol>(&mut self, world: &mut WorldOf<P>) {
        let now = world.now();
        for (_, over) in self.in_force.extract_if(.., |(until, _)| *until <= now) {
            fault::undo(world, &over);
        }
        while let Some(injection) = self.due::<P>(world) {
            let until = now + injection.lasting.0;
            let undo = fault::inject(world, &injection.fault);
            self.in_force.push((until, undo));
            self.injected.push(injection);
        }
    }

    fn due<P: Protocol>(&mut self, world: &WorldOf<P>) -> Option<Injection> {
        let now = world.now();
        match &mut self.source {
            FaultSource::Drawn(nemesis) => {
                nemesis.next_at().filter(|&at| at <= now)?;
                let leader = P::leader(world.cluster());
                nemesis.draw(
                    now,
                    Targets {
                        servers: &self.servers,
                        clients: &self.clients,
                        leader,
                    },
                )
            }
            FaultSource::Scheduled(schedule) => {
                schedule
                    .front()
                    .filter(|next| Time::ZERO + next.at.0 <= now)?;
                schedule.pop_front()
            }
        }
    }

    /// Ends everything, whenever it was to end.
    pub(super) fn heal<P: Protocol>(&mut self, world: &mut WorldOf<P>) {
        for (_, over) in self.in_force.drain(..) {
            fault::undo(world, &over);
        }
    }
}

/// A client: one process at a time, what it does next, and when.
#[derive(Clone, Debug)]
struct Client<P: Protocol> {
    node: NodeId,
    /// How many processes it has been. After an info it goes on as a new one (law 5).
    generation: u64,
    rng: Rng,
    /// Operations of the workload that it has begun.
    begun: u64,
    /// Its last operation, and the answer once there is one.
    previous: Option<(OpOf<P>, Option<RetOf<P>>)>,
    /// When its next operation begins; `None` while one is open.
    next: Option<Time>,
}

/// The clients. Whatever one of them does has its own address (its number, its own count), so that the fate of one
/// does not change what the others ask for.
#[derive(Clone, Debug)]
pub(super) struct Clients<P: Protocol> {
    workload: WorkloadSpec,
    all: Vec<Client<P>>,
    begun: u64,
}

impl<P: Protocol> Clients<P> {
    pub(super) fn new(seed: Seed, workload: WorkloadSpec, nodes: &[NodeId]) -> Clients<P> {
        let client = |(index, &node): (usize, &NodeId)| {
            let mut rng = seed.stream(Purpose::Workload(index as u32));
            let first = think(&workload, &mut rng);
            Client {
                node,
                generation: 0,
                rng,
                begun: 0,
                previous: None,
                next: Some(Time::ZERO + first),
            }
        };
        Clients {
            workload,
            all: nodes.iter().enumerate().map(client).collect(),
            begun: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    fn process(&self, index: usize) -> ProcessId {
        ProcessId(self.all[index].generation * self.len() as u64 + index as u64)
    }

    /// When the next operation begins.
    pub(super) fn next_at(&self) -> Option<Time> {
        if self.begun >= self.workload.operations.get() as u64 {
            return None;
        }
        self.all.iter().filter_map(|client| client.next).min()
    }

    /// Begins the operations that are due.
    pub(super) fn act(&mut self, world: &mut WorldOf<P>) {
        let now = world.now();
        let count = self.len() as u64;
        for index in 0..self.len() {
            let process = self.process(index);
            let client = &mut self.all[index];
            if client.next.is_none_or(|next| next > now)
                || self.begun >= self.workload.operations.get() as u64
            {
                continue;
            }
            if world.cluster().status(client.node) == Status::Down {
                client.next = Some(now + think(&self.workload, &mut client.rng));
                continue;
            }
            let previous = client
                .previous
                .as_ref()
                .and_then(|(op, ret)| ret.as_ref().map(|ret| (op, ret)));
            let nth = client.begun * count + index as u64;
            let op = P::operation(&self.workload, nth, previous, &mut client.rng);
            client.begun += 1;
            client.next = None;
            client.previous = Some((op.clone(), None));
            self.begun += 1;
            world.invoke(process, client.node, op);
        }
    }

    /// Begins an operation that is not part of the workload, if the client is free and its node is not down.
    pub(super) fn begin(&mut self, world: &mut WorldOf<P>, index: usize, op: OpOf<P>) -> bool {
        let process = self.process(index);
        let client = &mut self.all[index];
        if client.next.is_none() || world.cluster().status(client.node) == Status::Down {
            return false;
        }
        client.next = None;
        world.invoke(process, client.node, op);
        true
    }

    /// Takes the operations that have ended: their clients think, then go on. Returns which ended, and whether ok.
    pub(super) fn go_on(&mut self, world: &mut WorldOf<P>) -> Vec<(usize, bool)> {
        let now = world.now();
        let mut went_on = Vec::new();
        for ended in world.take_ended() {
            let index = (ended.process.0 % self.len() as u64) as usize;
            let client = &mut self.all[index];
            client.generation += u64::from(matches!(ended.outcome, Outcome::Info));
            client.next = Some(now + think(&self.workload, &mut client.rng));
            let ret = if let Outcome::Ok(ret) = ended.outcome {
                Some(ret)
            } else {
                None
            };
            went_on.push((index, ret.is_some()));
            if let Some((_, answer)) = &mut client.previous {
                *answer = ret;
            }
        }
        went_on
    }

    /// The clients that wait for an answer.
    pub(super) fn waiting(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.all
            .iter()
            .filter(|client| client.next.is_none())
            .map(|client| client.node)
    }
}

fn think(workload: &WorkloadSpec, rng: &mut Rng) -> Duration {
    rng.duration(workload.think.0 / 2..=workload.think.0 * 3 / 2)
}
