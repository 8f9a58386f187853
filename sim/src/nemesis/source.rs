//! One source of faults: when its faults come, and what they are.

use super::{Drawn, Fact, Targets, begins};
use crate::fault::{Fault, InFlight, Injection};
use crate::network::{LinkSet, Shape};
use crate::scenario::{FaultKind, FaultSpec, OneOrMany, UnsyncedKind, Victims};
use crate::span::Span;
use crate::world::{Point, Unsynced};
use splitbrain_core::{NodeId, Purpose, Rng, Seed, Time, nanos};
use std::time::Duration;

/// At most so many unsynced records are kept by chance.
const KEPT_MAX: u64 = 8;

#[derive(Clone, Debug)]
pub(super) struct Source {
    spec: FaultSpec,
    /// A stream of its own: what one source draws does not change what another one does.
    rng: Rng,
    /// Whether this seed has it at all.
    on: bool,
    /// The mean time between its faults in this seed, if they come at random times.
    every: Option<Duration>,
    /// Its faults begin before this.
    until: Time,
    /// When its next fault begins.
    pub(super) next: Option<Time>,
    injected: usize,
}

impl Source {
    pub(super) fn new(seed: Seed, index: usize, spec: &FaultSpec, until: Time) -> Source {
        let mut rng = seed.stream(Purpose::Nemesis(index as u32));
        let on = spec.chance.is_none_or(|chance| rng.chance(chance));
        let every = spec.every.as_ref().map(|every| {
            let range = every.range();
            if range.start() == range.end() {
                *range.start()
            } else {
                log_uniform(&mut rng, *range.start(), *range.end())
            }
        });
        let own_end = spec.until.map_or(until, |until| Time::ZERO + until.0);
        let mut source = Source {
            spec: spec.clone(),
            rng,
            on,
            every,
            until: until.min(own_end),
            next: None,
            injected: 0,
        };
        source.schedule(Time::ZERO + spec.from.unwrap_or_default().0);
        source
    }

    /// Whether the seed decides whether it is there, or how often.
    pub(super) fn is_drawn(&self) -> bool {
        let ranged = |every: std::ops::RangeInclusive<Duration>| every.start() != every.end();
        let every = self.spec.every.as_ref();
        self.spec.chance.is_some() || every.is_some_and(|every| ranged(every.range()))
    }

    /// In words, if it is there: `crash leader every 1.2s`.
    pub(super) fn describe(&self) -> Option<String> {
        if !self.on {
            return None;
        }
        let kinds = self.spec.fault.as_slice();
        let kinds: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
        let mut words = kinds.join(" or ");
        if let Some(victims) = self.spec.victims.clone() {
            words = format!("{words} {}", String::from(victims));
        }
        if let Some(every) = self.every {
            words = format!("{words} every {}", Span(whole_ms(every)));
        }
        Some(words)
    }

    fn schedule(&mut self, now: Time) {
        let next = match (&self.spec.at, self.every) {
            (Some(at), _) => {
                let mut all: Vec<Span> = at.as_slice().to_vec();
                all.sort_unstable();
                all.get(self.injected).map(|at| Time::ZERO + at.0)
            }
            (None, Some(every)) => {
                let between = self.rng.duration(every / 2..=every * 3 / 2);
                Some(now + whole_ms(between))
            }
            (None, None) => None,
        };
        self.next = next.filter(|&next| self.on && next < self.until);
    }

    /// Draws the faults that are due, and those that follow from them.
    pub(super) fn draw(&mut self, now: Time, targets: Targets<'_>) -> Vec<Drawn> {
        let at = now.since(Time::ZERO);
        let kinds = self.spec.fault.as_slice();
        let kind = match kinds {
            [kind] => *kind,
            kinds => kinds[self.rng.index(kinds.len())],
        };
        let mut drawn = if kind == FaultKind::Swizzle {
            self.swizzle(at, targets)
        } else {
            let lasting = self.lasting();
            let (fault, victim) = self.fault(kind, targets);
            let until_behind = self.spec.until_behind.zip(victim);
            match self.spec.spread {
                // In a mix, not every kind can be spread: a link has two ends.
                Some(spread) if kind.keys().0.contains(&"spread") && fault.nodes().len() > 1 => {
                    self.spread(at, spread.0, &fault)
                }
                _ => vec![Drawn {
                    injection: Injection {
                        at: Span(at),
                        lasting: Span(lasting),
                        fault,
                    },
                    until_behind: until_behind.map(|(far, victim)| (victim, far)),
                }],
            }
        };
        self.injected += 1;
        self.schedule(now);
        drawn.retain(|drawn| begins(drawn) < self.until);
        drawn
    }

    fn lasting(&mut self) -> Duration {
        whole_ms(self.rng.duration(self.spec.lasting.range()))
    }

    /// The fault, and the one node that it is about, if there is one.
    fn fault(&mut self, kind: FaultKind, targets: Targets<'_>) -> (Fault, Option<NodeId>) {
        if kind == FaultKind::Partition {
            return self.partition(targets);
        }
        let nodes = self.victims(targets);
        let fault = match kind {
            FaultKind::Degrade => Fault::Degrade {
                links: self.links(&nodes, targets),
                by: self.spec.degradation(),
            },
            FaultKind::Clog | FaultKind::Swizzle | FaultKind::Partition => Fault::Clog {
                links: self.links(&nodes, targets),
            },
            FaultKind::Crash => Fault::Crash {
                nodes,
                unsynced: self.unsynced(),
            },
            FaultKind::CrashAt => Fault::CrashAt {
                nodes,
                point: self.point(),
            },
            FaultKind::Wipe => Fault::Wipe { nodes },
            FaultKind::Pause => Fault::Pause { nodes },
            FaultKind::Slow => Fault::Slow {
                nodes,
                per_event: self.per_event(),
            },
            FaultKind::Drift => Fault::Drift {
                ppm: nodes.iter().map(|&node| (node, self.ppm())).collect(),
            },
            FaultKind::Jump => Fault::Jump {
                by_ms: nodes.iter().map(|&node| (node, self.by_ms())).collect(),
            },
            FaultKind::Strobe => Fault::Strobe {
                nodes,
                by_ms: self.by_ms(),
                every: self.spec.period.unwrap_or(Span::from_secs(1)),
            },
            FaultKind::SlowSync => Fault::SlowSync {
                nodes,
                sync: self
                    .spec
                    .sync
                    .unwrap_or_else(|| crate::WorldConfig::default().sync_latency),
            },
            FaultKind::FailSync => Fault::FailSync { nodes },
            FaultKind::FullDisk => Fault::FullDisk { nodes },
            FaultKind::Corrupt => self.corrupt(&nodes, targets),
        };
        (fault, None)
    }

    fn partition(&mut self, targets: Targets<'_>) -> (Fault, Option<NodeId>) {
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
        let victim = match self.spec.victims {
            Some(_) => self.victims(targets).first().copied(),
            None => None,
        };
        let Targets {
            servers, clients, ..
        } = targets;
        let fault = Fault::Partition {
            shape,
            in_flight: self.spec.in_flight.unwrap_or(drawn),
            flap: self.spec.flap,
            cuts: shape.draw(servers, clients, victim, &mut self.rng),
        };
        (fault, victim)
    }

    fn links(&self, victims: &[NodeId], targets: Targets<'_>) -> LinkSet {
        let nodes = targets.servers.len() + targets.clients.len();
        LinkSet::of(victims, nodes, self.spec.direction.unwrap_or_default())
    }

    fn unsynced(&mut self) -> Unsynced {
        let Some(kinds) = &self.spec.unsynced else {
            return Unsynced::Lost;
        };
        let kind = self.rng.pick(kinds.as_slice()).copied();
        let kept = self.rng.below(KEPT_MAX) as u32;
        match kind {
            None | Some(UnsyncedKind::Lost) => Unsynced::Lost,
            Some(UnsyncedKind::Kept) => Unsynced::Kept(kept + 1),
            Some(UnsyncedKind::Torn) => Unsynced::Torn(kept),
        }
    }

    fn point(&mut self) -> Point {
        let points = self.spec.point.as_ref();
        let points = points.map_or(&Point::ALL[..], |point| point.as_slice());
        self.rng.pick(points).cloned().unwrap_or(Point::AfterSync)
    }

    fn per_event(&mut self) -> Span {
        let range = self.spec.per_event.as_ref().map(OneOrMany::range);
        let drawn = range
            .map(|range| self.rng.duration(range))
            .unwrap_or_default();
        // To the microsecond: it is read by people.
        Span(Duration::from_micros((drawn.as_micros() as u64).max(1)))
    }

    fn ppm(&mut self) -> i32 {
        let [least, most] = self.spec.ppm.unwrap_or_default();
        let width = u64::from(most.abs_diff(least));
        least.saturating_add_unsigned(self.rng.between(0..=width) as u32)
    }

    fn by_ms(&mut self) -> i64 {
        let [least, most] = self.spec.by_ms.unwrap_or_default();
        least.saturating_add_unsigned(self.rng.between(0..=most.abs_diff(least)))
    }

    fn corrupt(&mut self, nodes: &[NodeId], targets: Targets<'_>) -> Fault {
        let mut record = |&node: &NodeId| {
            let fact = targets.facts.iter().find(|fact| fact.node == node);
            let records = fact.map_or(0, |fact| fact.records);
            let position = self.rng.index(records);
            (records > 0).then_some((node, position as u32))
        };
        Fault::Corrupt {
            records: nodes.iter().filter_map(&mut record).collect(),
        }
    }

    /// One fault for each victim, at a time and for a time of its own.
    fn spread(&mut self, at: Duration, within: Duration, fault: &Fault) -> Vec<Drawn> {
        let one = |node: NodeId| {
            let mut fault = fault.clone();
            fault.retain(|other| other == node);
            let later = Duration::from_millis(self.rng.between(0..=nanos(within) / 1_000_000));
            Drawn {
                injection: Injection {
                    at: Span(at + later),
                    lasting: Span(self.lasting()),
                    fault,
                },
                until_behind: None,
            }
        };
        fault.nodes().into_iter().map(one).collect()
    }

    /// In the first half of the time, the victims are clogged one after the other; in the second, they are let go in an
    /// order of its own.
    fn swizzle(&mut self, at: Duration, targets: Targets<'_>) -> Vec<Drawn> {
        let lasting = self.lasting();
        let mut victims = self.victims(targets);
        self.rng.shuffle(&mut victims);
        let step = (lasting / 2) / (victims.len().max(1) as u32);
        let mut places: Vec<u32> = (1..=victims.len() as u32).collect();
        self.rng.shuffle(&mut places);
        let one = |(nth, (victim, place)): (usize, (&NodeId, u32))| {
            let from = whole_ms(step * nth as u32);
            let until = whole_ms(lasting / 2 + step * place);
            Drawn {
                injection: Injection {
                    at: Span(at + from),
                    lasting: Span(whole_ms(until.saturating_sub(from))),
                    fault: Fault::Clog {
                        links: self.links(&[*victim], targets),
                    },
                },
                until_behind: None,
            }
        };
        victims.iter().zip(places).enumerate().map(one).collect()
    }

    fn victims(&mut self, targets: Targets<'_>) -> Vec<NodeId> {
        let servers = targets.servers;
        let mut order = servers.to_vec();
        self.rng.shuffle(&mut order);
        let any = order.first().copied();
        let some = |count: usize| order.iter().copied().take(count).collect::<Vec<_>>();
        let one = |node: Option<NodeId>| node.or(any).into_iter().collect::<Vec<_>>();
        let minority = servers.len().saturating_sub(1) / 2;
        // In the random order: of several, or of those equally far, it is not always the same one.
        let facts = || {
            let fact = |node: &NodeId| targets.facts.iter().find(|fact| fact.node == *node);
            order.iter().filter_map(fact)
        };
        let first =
            |is: &dyn Fn(&Fact) -> bool| facts().find(|fact| is(fact)).map(|fact| fact.node);
        let up = || facts().filter(|fact| fact.up);
        let mut nodes = match &self.spec.victims {
            None | Some(Victims::One) => some(1),
            Some(Victims::Minority) => some(minority),
            Some(Victims::Majority) => some(servers.len() / 2 + 1),
            Some(Victims::All) => servers.to_vec(),
            Some(Victims::Rolling) => servers
                .get(self.injected % servers.len().max(1))
                .copied()
                .into_iter()
                .collect(),
            Some(Victims::Leader) => one(targets.leader),
            Some(Victims::Follower) => one(first(&|fact| Some(fact.node) != targets.leader)),
            Some(Victims::Syncing) => one(first(&|fact| fact.syncing)),
            Some(Victims::Role(role)) => one(first(&|fact| fact.role == &**role)),
            Some(Victims::Behind) => one(up().min_by_key(|fact| fact.progress).map(|f| f.node)),
            Some(Victims::Ahead) => {
                let others = up().filter(|fact| Some(fact.node) != targets.leader);
                one(others
                    .max_by_key(|fact| fact.progress)
                    .map(|fact| fact.node))
            }
            Some(Victims::Client) => self
                .rng
                .pick(targets.clients)
                .copied()
                .into_iter()
                .collect(),
            Some(Victims::Node(node)) => vec![*node],
        };
        nodes.sort_unstable();
        nodes
    }
}

/// To the millisecond, and at least one: a schedule is read by people.
fn whole_ms(duration: Duration) -> Duration {
    Duration::from_millis((duration.as_millis() as u64).max(1))
}

/// Every doubling equally likely, and uniform within it: in integers, the same on every machine.
fn log_uniform(rng: &mut Rng, least: Duration, most: Duration) -> Duration {
    let (least, most) = (nanos(least).max(1), nanos(most));
    let whole = (most / least).max(1).ilog2();
    let doublings = (whole + u32::from(least << whole < most)).max(1);
    let start = least << rng.below(u64::from(doublings));
    Duration::from_nanos(rng.between(start..=most.min(start.saturating_mul(2))))
}
