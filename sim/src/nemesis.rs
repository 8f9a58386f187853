//! The nemesis: decides over time what goes wrong, and resolves it to nodes when it happens.

use crate::fault::{Fault, InFlight, Injection};
use crate::network::{Cuts, Shape};
use crate::scenario::{FaultKind, FaultSpec, Victims};
use crate::span::Span;
use splitbrain_core::{NodeId, Purpose, Rng, Seed, Time};
use std::time::Duration;

/// What a nemesis may know when it chooses victims.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Targets<'a> {
    pub(crate) servers: &'a [NodeId],
    pub(crate) clients: &'a [NodeId],
    /// The interesting server, if there is one.
    pub(crate) leader: Option<NodeId>,
}

/// All sources of faults of a scenario, in the order of the file.
#[derive(Clone, Debug)]
pub(crate) struct Nemesis {
    sources: Vec<Source>,
    /// Faults begin before this.
    until: Time,
}

#[derive(Clone, Debug)]
struct Source {
    spec: FaultSpec,
    /// A stream of its own: what one source draws does not change what another one does.
    rng: Rng,
    /// When its next fault begins.
    next: Option<Time>,
    injected: usize,
}

impl Nemesis {
    pub(crate) fn new(seed: Seed, specs: &[FaultSpec], until: Time) -> Nemesis {
        let source = |(index, spec): (usize, &FaultSpec)| {
            let rng = seed.stream(Purpose::Nemesis(index as u32));
            let mut source = Source {
                spec: spec.clone(),
                rng,
                next: None,
                injected: 0,
            };
            source.schedule(Time::ZERO);
            source
        };
        Nemesis {
            sources: specs.iter().enumerate().map(source).collect(),
            until,
        }
    }

    /// When the next fault begins, if there is one.
    pub(crate) fn next_at(&self) -> Option<Time> {
        self.sources
            .iter()
            .filter_map(|source| source.next)
            .filter(|&at| at < self.until)
            .min()
    }

    /// Draws the fault that is due at `now`, the time that [`next_at`](Nemesis::next_at) said.
    pub(crate) fn draw(&mut self, now: Time, targets: Targets<'_>) -> Option<Injection> {
        let source = self
            .sources
            .iter_mut()
            .find(|source| source.next == Some(now))?;
        let lasting = whole_ms(source.rng.duration(source.spec.lasting.range()));
        let fault = source.fault(targets);
        source.injected += 1;
        source.schedule(now);
        Some(Injection {
            at: Span(now.since(Time::ZERO)),
            lasting: Span(lasting),
            fault,
        })
    }
}

/// To the millisecond, and at least one: a schedule is read by people.
fn whole_ms(duration: Duration) -> Duration {
    Duration::from_millis((duration.as_millis() as u64).max(1))
}

impl Source {
    fn schedule(&mut self, now: Time) {
        self.next = match (&self.spec.at, self.spec.every) {
            (Some(at), _) => {
                let mut all: Vec<Span> = at.as_slice().to_vec();
                all.sort_unstable();
                all.get(self.injected).map(|at| Time::ZERO + at.0)
            }
            (None, Some(every)) => {
                let between = self.rng.duration(every.0 / 2..=every.0 * 3 / 2);
                Some(now + whole_ms(between))
            }
            (None, None) => None,
        };
    }

    fn fault(&mut self, targets: Targets<'_>) -> Fault {
        match self.spec.fault {
            FaultKind::Partition => self.partition(targets),
            FaultKind::Crash => Fault::Crash {
                nodes: self.victims(targets),
            },
            FaultKind::Pause => Fault::Pause {
                nodes: self.victims(targets),
            },
        }
    }

    fn partition(&mut self, targets: Targets<'_>) -> Fault {
        let shapes = self
            .spec
            .shape
            .as_ref()
            .map_or(&Shape::ALL[..], |shape| shape.as_slice());
        let shape = self.rng.pick(shapes).copied().unwrap_or(Shape::Halves);
        // Drawn whether it is needed or not, so that a fixed choice does not shift what follows.
        let drawn = if self.rng.below(2) == 0 {
            InFlight::Keep
        } else {
            InFlight::Cut
        };
        let in_flight = self.spec.in_flight.unwrap_or(drawn);
        let victim = match self.spec.victims {
            Some(_) => self.victims(targets).first().copied(),
            None => None,
        };
        let cuts = Cuts::draw(
            shape,
            targets.servers,
            targets.clients,
            victim,
            &mut self.rng,
        );
        Fault::Partition {
            shape,
            in_flight,
            cuts,
        }
    }

    fn victims(&mut self, targets: Targets<'_>) -> Vec<NodeId> {
        let servers = targets.servers;
        let mut order = servers.to_vec();
        self.rng.shuffle(&mut order);
        let any = order.first().copied();
        let some = |count: usize| order.iter().copied().take(count).collect::<Vec<_>>();
        let minority = servers.len().saturating_sub(1) / 2;
        let mut nodes = match self.spec.victims {
            None | Some(Victims::One) => some(1),
            Some(Victims::Minority) => some(minority),
            Some(Victims::Majority) => some(servers.len() / 2 + 1),
            Some(Victims::All) => servers.to_vec(),
            Some(Victims::Rolling) => servers
                .get(self.injected % servers.len().max(1))
                .copied()
                .into_iter()
                .collect(),
            Some(Victims::Leader) => targets.leader.or(any).into_iter().collect(),
            Some(Victims::Client) => self
                .rng
                .pick(targets.clients)
                .copied()
                .into_iter()
                .collect(),
            Some(Victims::Node(node)) => vec![node],
        };
        nodes.sort_unstable();
        nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> FaultSpec {
        toml::from_str(text).unwrap()
    }

    fn all(specs: &[FaultSpec], seed: u64, leader: Option<usize>) -> Vec<Injection> {
        let servers: Vec<NodeId> = (0..5).map(NodeId::from_index).collect();
        let clients: Vec<NodeId> = (5..7).map(NodeId::from_index).collect();
        let leader = leader.map(NodeId::from_index);
        let targets = Targets {
            servers: &servers,
            clients: &clients,
            leader,
        };
        let mut nemesis = Nemesis::new(Seed(seed), specs, Time::from_secs(30));
        let mut drawn = Vec::new();
        while let Some(at) = nemesis.next_at() {
            drawn.push(nemesis.draw(at, targets).unwrap());
        }
        drawn
    }

    #[test]
    fn victims_are_as_many_as_they_say() {
        for (victims, count) in [
            ("one", 1),
            ("minority", 2),
            ("majority", 3),
            ("all", 5),
            ("n4", 1),
            ("client", 1),
        ] {
            let spec = spec(&format!(
                "fault = 'crash'\nevery = '1s'\nlasting = '1s'\nvictims = '{victims}'"
            ));
            for injection in all(&[spec], 3, None) {
                assert_eq!(injection.fault.nodes().len(), count, "{victims}");
            }
        }
    }

    #[test]
    fn the_leader_is_resolved_when_it_happens_and_rolling_goes_round() {
        let leader = spec("fault = 'pause'\nat = ['9s', '1s']\nlasting = '1s'\nvictims = 'leader'");
        let drawn = all(&[leader], 1, Some(3));
        assert_eq!(drawn.len(), 2);
        assert_eq!(
            drawn[0].at,
            Span::from_secs(1),
            "in order of time, whatever the order in the file"
        );
        assert!(drawn.iter().all(|d| d.fault
            == Fault::Pause {
                nodes: vec![NodeId::from_index(3)]
            }));
        let rolling =
            spec("fault = 'crash'\nat = ['1s', '2s', '3s']\nlasting = '1s'\nvictims = 'rolling'");
        let names: Vec<String> = all(&[rolling], 1, None)
            .iter()
            .map(|d| d.fault.to_string())
            .collect();
        assert_eq!(names, ["crash n1", "crash n2", "crash n3"]);
    }

    #[test]
    fn a_source_draws_the_same_whatever_stands_beside_it_and_whoever_leads() {
        let crash = spec("fault = 'crash'\nevery = '2s'\nlasting = ['1s', '3s']\nvictims = 'one'");
        let leader = spec("fault = 'partition'\nevery = '3s'\nlasting = '1s'\nvictims = 'leader'");
        let alone = all(std::slice::from_ref(&crash), 9, None);
        let both = all(&[crash, leader.clone()], 9, Some(2));
        let crashes: Vec<_> = both
            .into_iter()
            .filter(|d| matches!(d.fault, Fault::Crash { .. }))
            .collect();
        assert_eq!(alone, crashes);
        let times = |leader_index| -> Vec<_> {
            all(std::slice::from_ref(&leader), 9, leader_index)
                .iter()
                .map(|d| (d.at, d.lasting))
                .collect()
        };
        assert_eq!(times(None), times(Some(1)));
    }
}
