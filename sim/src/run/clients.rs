//! What clients do: one operation after the other, drawn by the workload or read from a script.

use crate::engine::Engine;
use crate::protocol::{Given, OpOf, Protocol, RetOf};
use crate::run::Request;
use crate::scenario::WorkloadSpec;
use crate::span::Span;
use splitbrain_check::ProcessId;
use splitbrain_core::{NodeId, Outcome, Purpose, Rng, Seed, Status, Time};
use std::collections::VecDeque;
use std::time::Duration;

/// How often a scripted operation looks whether its client's node is up again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

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
    /// Whether it waits for an answer.
    busy: bool,
    /// When its next operation begins, if it is not busy and has one.
    next: Option<Time>,
    /// What it is to ask for, if that is decided already.
    script: Option<VecDeque<Request<OpOf<P>>>>,
}

/// The clients. Whatever one of them does has its own address (its number, its own count), so that the fate of one
/// does not change what the others ask for.
#[derive(Clone, Debug)]
pub(super) struct Clients<'a, P: Protocol> {
    given: Given<'a, P::Settings>,
    all: Vec<Client<P>>,
    /// Every operation that was begun, to be replayed.
    pub(super) begun: Vec<Request<OpOf<P>>>,
}

impl<'a, P: Protocol> Clients<'a, P> {
    /// Clients at these nodes. Scripted operations of clients that do not exist are left out.
    pub(super) fn new(
        seed: Seed,
        given: Given<'a, P::Settings>,
        nodes: &[NodeId],
        script: Option<&[Request<OpOf<P>>]>,
    ) -> Clients<'a, P> {
        let client = |(index, &node): (usize, &NodeId)| {
            let own = |script: &[Request<OpOf<P>>]| {
                let mut own: VecDeque<Request<OpOf<P>>> = script
                    .iter()
                    .filter(|request| request.client as usize == index)
                    .cloned()
                    .collect();
                own.make_contiguous().sort_by_key(|request| request.at);
                own
            };
            let mut client = Client {
                node,
                generation: 0,
                rng: seed.stream(Purpose::Workload(index as u32)),
                begun: 0,
                previous: None,
                busy: false,
                next: None,
                script: script.map(own),
            };
            client.schedule(given.workload, Time::ZERO);
            client
        };
        Clients {
            given,
            all: nodes.iter().enumerate().map(client).collect(),
            begun: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    fn process(&self, index: usize) -> ProcessId {
        ProcessId(self.all[index].generation * self.len() as u64 + index as u64)
    }

    fn all_begun(&self) -> bool {
        self.begun.len() >= self.given.workload.operations.get()
    }

    /// When the next operation begins.
    pub(super) fn next_at(&self) -> Option<Time> {
        if self.all_begun() {
            return None;
        }
        self.all
            .iter()
            .filter(|client| !client.busy)
            .filter_map(|client| client.next)
            .min()
    }

    /// Begins the operations that are due.
    pub(super) fn act(&mut self, world: &mut impl Engine<P::Node>) {
        let now = world.now();
        let count = self.len() as u64;
        for index in 0..self.len() {
            let all_begun = self.all_begun();
            let process = self.process(index);
            let client = &mut self.all[index];
            let Some(due) = client.next.filter(|&next| next <= now) else {
                continue;
            };
            if all_begun || client.busy {
                continue;
            }
            if world.cluster().status(client.node) == Status::Down {
                client.wait(self.given.workload, now);
                continue;
            }
            let nth = client.begun * count + index as u64;
            let Some(op) = client.next_operation(self.given, nth) else {
                continue;
            };
            client.begun += 1;
            client.busy = true;
            client.previous = Some((op.clone(), None));
            let at = Span(due.since(Time::ZERO));
            self.begun.push(Request {
                at,
                client: index as u32,
                op: op.clone(),
            });
            world.invoke(process, client.node, op);
        }
    }

    /// Begins an operation that is not part of the workload, if the client is free and its node is not down.
    pub(super) fn begin(
        &mut self,
        world: &mut impl Engine<P::Node>,
        index: usize,
        op: OpOf<P>,
    ) -> bool {
        let process = self.process(index);
        let client = &mut self.all[index];
        if client.busy || world.cluster().status(client.node) == Status::Down {
            return false;
        }
        client.busy = true;
        world.invoke(process, client.node, op);
        true
    }

    /// Takes the operations that have ended: their clients think, then go on. Returns which ended, and whether ok.
    pub(super) fn go_on(&mut self, world: &mut impl Engine<P::Node>) -> Vec<(usize, bool)> {
        let now = world.now();
        let mut went_on = Vec::new();
        for ended in world.take_ended() {
            let index = (ended.process.0 % self.len() as u64) as usize;
            let client = &mut self.all[index];
            client.generation += u64::from(matches!(ended.outcome, Outcome::Info));
            client.busy = false;
            client.schedule(self.given.workload, now);
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
            .filter(|client| client.busy)
            .map(|client| client.node)
    }
}

impl<P: Protocol> Client<P> {
    /// Decides when the next operation begins: after some thought, or when the script says so.
    fn schedule(&mut self, workload: &WorkloadSpec, now: Time) {
        self.next = match &self.script {
            Some(script) => script
                .front()
                .map(|request| now.max(Time::ZERO + request.at.0)),
            None => Some(think(workload, &mut self.rng, now)),
        };
    }

    /// Its node is down: it tries later.
    fn wait(&mut self, workload: &WorkloadSpec, now: Time) {
        self.next = Some(match self.script {
            Some(_) => now + LOOK_AGAIN,
            None => think(workload, &mut self.rng, now),
        });
    }

    fn next_operation(&mut self, given: Given<'_, P::Settings>, nth: u64) -> Option<OpOf<P>> {
        if let Some(script) = &mut self.script {
            return script.pop_front().map(|request| request.op);
        }
        let answered = self.previous.as_ref();
        let previous = answered.and_then(|(op, ret)| ret.as_ref().map(|ret| (op, ret)));
        Some(P::operation(given, nth, previous, &mut self.rng))
    }
}

/// When a client that thinks from now on goes on: at a whole millisecond, as scripts are read by people.
fn think(workload: &WorkloadSpec, rng: &mut Rng, now: Time) -> Time {
    let until = now + rng.duration(workload.think.0 / 2..=workload.think.0 * 3 / 2);
    Time::from_millis(until.as_nanos().div_ceil(1_000_000))
}
