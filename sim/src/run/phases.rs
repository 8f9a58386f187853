//! The two phases of a run (law 9): safety, then healing.

use super::agenda::FaultAgenda;
use super::clients::Clients;
use super::verdict::{Finding, Unknown, Verdict};
use super::{CHECK_BUDGET_STEPS, FaultSource, Run, Script};
use crate::engine::Engine;
use crate::nemesis::Nemesis;
use crate::protocol::{Contradiction, Given, Judgement, OpOf, Protocol};
use crate::scenario::ScenarioOf;
use crate::span::Span;
use crate::world::{Stats, Stop, WorldConfig};
use splitbrain_core::{Invariant, NodeId, Seed, Status, Time};
use std::collections::VecDeque;
use std::time::Duration;

/// How often convergence is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Properties that the harness itself checks, of every protocol.
pub(crate) const HARNESS_PROPERTIES: [&str; 5] = [
    "panic",
    "livelock",
    LEADER_AFTER_HEALING,
    "convergence",
    "final-reads",
];

const LEADER_AFTER_HEALING: &str = "leader-after-healing";

/// A run that is under way.
pub(super) struct Running<'a, P: Protocol, E> {
    scenario: &'a ScenarioOf<P::Settings>,
    seed: Seed,
    pub(super) world: E,
    invariants: Vec<Box<dyn Invariant<P::Node>>>,
    faults: FaultAgenda,
    clients: Clients<'a, P>,
    leader: Option<NodeId>,
    /// How often the leader was seen to be another than before.
    leaders: u64,
    /// How long after healing there was one, if the scenario asks for that and there was.
    leader_after_healing_ms: Option<u64>,
    /// What had happened by the end of the safety phase: what is healed proves nothing about what is broken.
    safety_stats: Stats,
    /// The operations that were found to contradict each other.
    contradiction: Contradiction,
    /// Why nobody could have converged, if nobody could.
    unrecoverable: Option<String>,
}

impl<'a, P: Protocol, E: Engine<P::Node>> Running<'a, P, E> {
    pub(super) fn new(
        scenario: &'a ScenarioOf<P::Settings>,
        seed: Seed,
        script: &Script<OpOf<P>>,
    ) -> Self {
        let given = Given::from(scenario);
        let servers = scenario.cluster.servers.get();
        let clients = scenario.cluster.clients.get();
        let config = WorldConfig {
            links: scenario.network.profile(),
            sync_latency: scenario.network.sync,
            ..WorldConfig::default()
        };
        let mut world = E::new(seed, &config, P::nodes(given));
        if let Some(world) = world.kernel() {
            for link in &scenario.network.links {
                world.set_link(link.from, link.to, &link.profile(&scenario.network));
            }
        }
        let source = if let Some(faults) = &script.faults {
            let mut schedule: VecDeque<_> = faults.iter().cloned().collect();
            schedule
                .make_contiguous()
                .sort_by_key(|injection| injection.at);
            FaultSource::Scheduled(schedule)
        } else {
            let until = Time::ZERO + scenario.duration.0;
            FaultSource::Drawn(Nemesis::new(seed, &scenario.nemesis, until))
        };
        let ids = |range: std::ops::Range<usize>| range.map(NodeId::from_index).collect();
        let mut invariants = P::invariants(&scenario.settings);
        invariants.retain(|invariant| !skipped(scenario, invariant.property()));
        Running {
            scenario,
            seed,
            world,
            invariants,
            faults: FaultAgenda::new(
                source,
                ids(0..servers),
                ids(servers..servers + clients),
                scenario.budget.disks(servers),
            ),
            clients: Clients::new(
                seed,
                given,
                &P::invoked_at(given),
                script.operations.as_deref(),
            ),
            leader: None,
            leaders: 0,
            leader_after_healing_ms: None,
            safety_stats: Stats::default(),
            contradiction: Contradiction::default(),
            unrecoverable: None,
        }
    }

    pub(super) fn phases(&mut self) -> Result<(), Verdict> {
        self.safety()?;
        self.heal();
        self.converge()?;
        if self.unrecoverable.is_some() {
            return Ok(());
        }
        self.final_reads()
    }

    /// Anything may break, until the scenario's duration is over.
    fn safety(&mut self) -> Result<(), Verdict> {
        let end = Time::ZERO + self.scenario.duration.0;
        while self.world.now() < end {
            let agenda = self
                .faults
                .next_at()
                .into_iter()
                .chain(self.clients.next_at());
            let until = agenda.min().map_or(end, |next| next.min(end));
            self.advance(until)?;
            if self.world.now() >= until && until < end {
                self.faults.act::<P>(&mut self.world);
                self.clients.act(&mut self.world);
            }
            self.look_at_leader();
        }
        Ok(())
    }

    /// Runs until this time, or until operations have ended.
    fn advance(&mut self, until: Time) -> Result<Vec<(usize, bool)>, Verdict> {
        let stop = self.world.run_until(until, &mut self.invariants);
        let (property, what) = match stop {
            Stop::Time => return Ok(Vec::new()),
            Stop::Ended => return Ok(self.clients.go_on(&mut self.world)),
            Stop::Violation(violation) => (violation.property, violation.what),
            Stop::Panic { node, message } => ("panic", format!("{node} panics: {message}")),
            Stop::Livelock { node, events } => (
                "livelock",
                format!("{events} events without time passing, the last one at {node}"),
            ),
            Stop::Exhausted { events, waiting } => {
                let now = self.world.now();
                let what = format!("{events} events by {now}, and {waiting} more to come");
                return Err(Verdict::Unknown(Unknown::GaveUp(what)));
            }
        };
        Err(Verdict::Invalid(self.finding(property, what)))
    }

    fn finding(&self, property: &str, what: String) -> Finding {
        Finding {
            property: property.to_owned(),
            what,
            at: self.world.now(),
        }
    }

    fn look_at_leader(&mut self) {
        let leader = P::leader(self.world.cluster());
        if leader.is_some() && leader != self.leader {
            self.leader = leader;
            self.leaders += 1;
        }
    }

    /// Undoes every fault and makes links and disks plain. Nothing breaks from here on.
    fn heal(&mut self) {
        self.safety_stats = self.world.stats();
        self.faults.heal::<P>(&mut self.world);
        let network = &self.scenario.network;
        self.world.set_links(&network.profile().plain());
        if let Some(world) = self.world.kernel() {
            for link in &network.links {
                world.set_link(link.from, link.to, &link.profile(network).plain());
            }
        }
        self.world.set_sync_latency(&network.sync.without_tail());
        self.world
            .trace_fault(&[], || "healed: from here on nothing breaks".to_owned());
    }

    /// Waits until all nodes are up, the last answers are there, and the protocol says that the cluster has converged; and
    /// until there was a leader, if the scenario asks for one.
    fn converge(&mut self) -> Result<(), Verdict> {
        let healed = self.world.now();
        let deadline = healed + self.scenario.converge_within.0;
        loop {
            let leader_within = self.leader_is_missing(healed);
            let waits_for = self.not_converged();
            if waits_for.is_none() && leader_within.is_none() {
                return Ok(());
            }
            self.unrecoverable = self.could_not_be_live();
            if self.unrecoverable.is_some() {
                return Ok(());
            }
            let reason = waits_for.as_deref().unwrap_or("nobody leads");
            let leader_by = leader_within.map_or(deadline, |within| healed + within.0);
            if let Some(within) = leader_within.filter(|_| self.world.now() >= leader_by) {
                let what = format!(
                    "{within} after everything was healed, nobody has led yet; the cluster waits: {reason}"
                );
                return Err(Verdict::Invalid(self.finding(LEADER_AFTER_HEALING, what)));
            }
            if self.world.now() >= deadline {
                if skipped(self.scenario, "convergence") {
                    return Ok(());
                }
                let within = self.scenario.converge_within;
                let what = format!(
                    "{within} after everything was healed, the cluster still waits: {reason}"
                );
                return Err(Verdict::Invalid(self.finding("convergence", what)));
            }
            let next = (self.world.now() + LOOK_EVERY).min(leader_by).min(deadline);
            self.advance(next)?;
        }
    }

    /// Looks whether there is a leader now, if there was none since healing and the scenario asks for one: within what time, if it
    /// still has to be waited for.
    fn leader_is_missing(&mut self, healed: Time) -> Option<Span> {
        let within = self.scenario.leader_within?;
        if self.leader_after_healing_ms.is_some() {
            return None;
        }
        if P::is_led(self.world.cluster()) {
            let after = self.world.now().since(healed);
            self.leader_after_healing_ms = Some(after.as_millis() as u64);
            return None;
        }
        (!skipped(self.scenario, LEADER_AFTER_HEALING)).then_some(within)
    }

    /// What the healed cluster is still waiting for.
    fn not_converged(&self) -> Option<String> {
        let cluster = self.world.cluster();
        // A node that was just restarted starts in an event of its own: what it will do is not known before.
        for node in (0..cluster.len()).map(NodeId::from_index) {
            let is_damaged = || self.faults.damaged.contains(&node);
            match self.world.halted(node) {
                Some(_) if is_damaged() => {}
                Some(reason) => {
                    return Some(format!(
                        "{node} has halted, and nothing is wrong with its disk: {reason}"
                    ));
                }
                None if cluster.status(node) == Status::Up => {}
                None => return Some(format!("{node} has not started")),
            }
        }
        if let Err(reason) = P::converged(cluster) {
            return Some(reason);
        }
        let waiting = self.clients.waiting().next();
        waiting.map(|node| format!("{node} has had no answer to its last operation"))
    }

    /// Why no protocol could be live now, if none could: too many servers have ended themselves over damaged disks.
    fn could_not_be_live(&self) -> Option<String> {
        let servers = self.faults.servers.len();
        let damaged: Vec<NodeId> = self.faults.damaged.iter().copied().collect();
        let cluster = self.world.cluster();
        // What a server will be that is still to start, nobody can say.
        let starts = |node| self.world.halted(node).is_none() && cluster.status(node) != Status::Up;
        if (0..servers).map(NodeId::from_index).any(starts) {
            return None;
        }
        if P::can_be_live(Given::from(self.scenario), cluster, &damaged) {
            return None;
        }
        let names: Vec<String> = damaged.iter().map(NodeId::to_string).collect();
        let count = damaged.len();
        Some(format!(
            "the disks of {count} of {servers} servers are damaged: {}",
            names.join(" ")
        ))
    }

    /// Every final operation must succeed; one that does not is tried again, after a while, until time is up.
    fn final_reads(&mut self) -> Result<(), Verdict> {
        let deadline = self.world.now() + self.scenario.converge_within.0;
        let mut to_do: VecDeque<OpOf<P>> = P::final_operations(Given::from(self.scenario)).into();
        let mut open: Vec<Option<OpOf<P>>> = (0..self.clients.len()).map(|_| None).collect();
        let mut not_before = self.world.now();
        loop {
            for (index, slot) in open
                .iter_mut()
                .enumerate()
                .filter(|(_, slot)| slot.is_none())
            {
                let Some(op) = to_do.front().filter(|_| self.world.now() >= not_before) else {
                    break;
                };
                if self.clients.begin(&mut self.world, index, op.clone()) {
                    *slot = to_do.pop_front();
                }
            }
            let Some(unanswered) = open.iter().flatten().chain(&to_do).next() else {
                return Ok(());
            };
            if self.world.now() >= deadline {
                if skipped(self.scenario, "final-reads") {
                    return Ok(());
                }
                let within = self.scenario.converge_within;
                let what = format!(
                    "{within} after convergence there is still no answer to {unanswered:?}"
                );
                return Err(Verdict::Invalid(self.finding("final-reads", what)));
            }
            let next = (self.world.now() + LOOK_EVERY).min(deadline);
            for (index, ok) in self.advance(next)? {
                let op = open[index].take();
                if !ok {
                    to_do.extend(op);
                    not_before = self.world.now() + LOOK_EVERY;
                }
            }
        }
    }

    /// The verdict on a run in which no invariant was violated.
    pub(super) fn judge(&mut self) -> Verdict {
        if let Some(property) =
            P::HISTORY_PROPERTY.filter(|property| !skipped(self.scenario, property))
        {
            match P::judge(self.world.history(), CHECK_BUDGET_STEPS) {
                Judgement::Valid => {}
                Judgement::Invalid {
                    what,
                    contradiction,
                } => {
                    self.contradiction = contradiction;
                    return Verdict::Invalid(self.finding(property, what));
                }
                Judgement::Unknown(why) => return Verdict::Unknown(Unknown::GaveUp(why)),
            }
        }
        if let Some(missing) = self.missing() {
            return Verdict::Unknown(Unknown::Vacuous(missing));
        }
        match &self.unrecoverable {
            Some(why) => Verdict::Unknown(Unknown::Unrecoverable(why.clone())),
            None => Verdict::Valid,
        }
    }

    /// What the scenario requires and did not happen.
    fn missing(&self) -> Option<String> {
        let faults = self.faults.injected.len() as u64;
        let require = &self.scenario.require;
        let (name, least, found) = require.missing(&self.safety_stats, self.leaders, faults)?;
        let what = name.replace('_', " ");
        Some(format!(
            "{found} {what}, where the scenario requires {least}"
        ))
    }

    /// What each node says of its state.
    fn states(&self) -> Vec<String> {
        let cluster = self.world.cluster();
        let state = |node| match (cluster.status(node), cluster.node(node)) {
            (Status::Paused, Some(state)) => {
                P::state_in_words(state).map(|words| format!("paused: {words}"))
            }
            (_, Some(state)) => P::state_in_words(state),
            (_, None) => Some("down".to_owned()),
        };
        let nodes = (0..cluster.len()).map(NodeId::from_index);
        nodes.map(|node| state(node).unwrap_or_default()).collect()
    }

    pub(super) fn finish(mut self, verdict: Verdict) -> Run<P> {
        let trace = self.world.take_trace();
        let states = trace.as_ref().map(|_| self.states());
        Run {
            seed: self.seed,
            verdict,
            digest: self.world.digest(),
            stats: self.world.stats(),
            probes: self.world.probes(),
            virtual_time: self.world.now(),
            leader_after_healing_ms: self.leader_after_healing_ms,
            swarm: match &self.faults.source {
                FaultSource::Drawn(nemesis) => nemesis.swarm(),
                FaultSource::Scheduled(_) => None,
            },
            faults: self.faults.injected,
            operations: self.clients.begun,
            contradiction: self.contradiction,
            states,
            trace,
            history: self.world.into_history(),
        }
    }
}

fn skipped<S>(scenario: &ScenarioOf<S>, property: &str) -> bool {
    scenario
        .checks
        .skip
        .iter()
        .any(|skipped| skipped == property)
}
