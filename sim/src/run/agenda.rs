//! What the harness itself does to the world: faults begin and end.

use crate::fault;
use crate::fault::{Injection, Undo};
use crate::nemesis::Targets;
use crate::protocol::{Protocol, WorldOf};
use crate::run::FaultSource;
use splitbrain_core::{NodeId, Time};

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
            let Injection { at, lasting, fault } = injection;
            if let Some((fault, undo)) = fault::inject(world, fault) {
                self.in_force.push((until, undo));
                self.injected.push(Injection { at, lasting, fault });
            }
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
