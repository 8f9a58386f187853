//! A scenario of any protocol, ready to run: what campaigns, replays and the command line work with.

use crate::Injection;
use crate::engine::{Engine, Wanted};
use crate::panics;
use crate::protocol::{Contradiction, Given, OpOf, Protocol, WorldOf};
use crate::replay::{self, Replay, ReplayError};
use crate::run::{self, Finding, HARNESS_PROPERTIES, Request, Script, Verdict};
use crate::scenario::{
    self, Expect, Loaded, NetworkSpec, Require, ScenarioError, ScenarioOf, Victims, WorkloadSpec,
};
use crate::shrink;
use crate::span::Span;
use crate::world::{Point, Stats, Trace, TraceDetail, probes};
use serde::Deserialize as _;
use serde_json::Value;
use splitbrain_core::{Node as _, NodeId, Seed, Time};
use std::fmt::{self, Debug};
use std::marker::PhantomData;
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;

/// What is known of one run, whatever the protocol.
#[derive(Clone, Debug)]
pub struct Report {
    /// Of this seed.
    pub seed: Seed,
    /// What was found.
    pub verdict: Verdict,
    /// One number for everything that happened.
    pub digest: u64,
    /// What happened, counted.
    pub stats: Stats,
    /// How often each probe was reached, in the order of [`Case::probes`].
    pub probes: Vec<u64>,
    /// How long it lasted in virtual time.
    pub virtual_time: Time,
    /// How long after healing a leader was first seen, if the scenario asks for that.
    pub leader_after_healing_ms: Option<u64>,
    /// Which sources of faults there were and how often they came, if the scenario leaves that to the seed.
    pub swarm: Option<String>,
    /// The faults that were injected, resolved.
    pub faults: Vec<Injection>,
    /// The operations that clients began, if a trace was asked for.
    pub operations: Option<Vec<Request<Value>>>,
    /// The operations that contradict each other, if that is what was found.
    pub contradiction: Contradiction,
    /// The states of the nodes in the end, in words, if a trace was asked for.
    pub states: Option<Vec<String>>,
    /// What happened in words, if it was asked for.
    pub trace: Option<Trace>,
    /// The history, one JSON object a line, if a trace was asked for.
    pub history_jsonl: Option<Vec<u8>>,
}

impl Report {
    /// What was decided in this run, for another one that draws nothing: all of it if the run was traced, and otherwise
    /// the faults.
    pub fn script(&self) -> Script<Value> {
        Script {
            faults: Some(self.faults.clone()),
            operations: self.operations.clone(),
        }
    }
}

/// One way to make a case simpler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// What it leaves to the seed is as this one draws it, whatever seed it is run with. Other changes need this one first, where
    /// anything is drawn.
    AsDrawn(Seed),
    /// Nothing is required to happen.
    RequireNothing,
    /// Nothing is drawn by a nemesis, and nothing is required to happen.
    ScriptOnly,
    /// The safety phase lasts only so long.
    Duration(Span),
    /// After the safety phase, the cluster has so long to converge.
    ConvergeWithin(Span),
    /// Links and disks are like this.
    Network(NetworkSpec),
    /// This node is left out: those behind it move up. Not where a nemesis may name nodes.
    WithoutNode(NodeId),
}

/// A scenario of some protocol.
pub trait Case: Debug + Send + Sync {
    /// Its name: that of its file.
    fn name(&self) -> &str;
    /// What happens in it.
    fn summary(&self) -> &str;
    /// The [engine](Engine) that runs it.
    fn engine(&self) -> &'static str;
    /// What a test expects of it.
    fn expect(&self) -> &Expect;
    /// Every probe: those of the protocol, then those of the kernel.
    fn probes(&self) -> Vec<&'static str>;
    /// The probes that a campaign must reach to prove anything.
    fn required_probes(&self) -> &[String];
    /// How many nodes it has, servers and clients.
    fn nodes(&self) -> usize;
    /// How many of them are servers.
    fn servers(&self) -> usize;
    /// How long the safety phase lasts.
    fn duration(&self) -> Span;
    /// How long the cluster may take to converge after it.
    fn converge_within(&self) -> Span;
    /// Its links and disks.
    fn network(&self) -> &NetworkSpec;
    /// The nodes at which operations begin, one client at each.
    fn invoked_at(&self) -> Vec<NodeId>;
    /// One number for everything that it says, overrides included: another scenario has another one.
    fn fingerprint(&self) -> u64;
    /// The same case made simpler in one respect, if it can be: for shrinking.
    fn changed(&self, change: &Change) -> Option<Box<dyn Case>>;
    /// Runs one seed. The result depends on the arguments only, and the trace changes nothing but itself.
    fn run(&self, seed: Seed, script: &Script<Value>, trace: Option<TraceDetail>) -> Report;
    /// The text of a replay file for a run of this case that was traced.
    ///
    /// # Errors
    /// If it was not traced, its operations are not known.
    fn replay_json(&self, report: &Report, finding: &Finding) -> Result<String, ReplayError>;
}

/// A protocol as a catalog lists it: how to read its scenarios and replays.
#[derive(Clone, Copy, Debug)]
pub struct ProtocolEntry {
    /// Its name in scenarios.
    pub name: &'static str,
    /// The [engine](Engine) that runs its scenarios.
    pub engine: &'static str,
    from_toml: FromToml,
    from_replay: FromReplay,
}

/// From the name, the text and the path of a scenario file, and the overrides.
type FromToml = fn(&str, &str, &Path, &[String]) -> Result<Box<dyn Case>, ScenarioError>;
/// From the text and the path of a replay file.
type FromReplay = fn(&str, &Path) -> Result<(Box<dyn Case>, Replay), ReplayError>;

impl ProtocolEntry {
    /// The entry of a protocol that the kernel runs.
    pub const fn of<P: Protocol>() -> ProtocolEntry {
        ProtocolEntry::on::<P, WorldOf<P>>()
    }

    /// The entry of a protocol that another engine runs.
    pub const fn on<P: Protocol, E: Engine<P::Node> + 'static>() -> ProtocolEntry {
        ProtocolEntry {
            name: P::NAME,
            engine: E::NAME,
            from_toml: Prepared::<P, E>::from_toml,
            from_replay: Prepared::<P, E>::from_replay,
        }
    }

    /// Makes a scenario file of this protocol ready to run, with `key=value` overrides.
    ///
    /// # Errors
    /// What is wrong with the file, with its line.
    pub fn load(
        &self,
        name: &str,
        text: &str,
        file: &Path,
        sets: &[String],
    ) -> Result<Box<dyn Case>, ScenarioError> {
        (self.from_toml)(name, text, file, sets)
    }

    /// Makes a replay file of this protocol ready to run.
    ///
    /// # Errors
    /// What is wrong with the file, with its line.
    pub fn load_replay(
        &self,
        text: &str,
        file: &Path,
    ) -> Result<(Box<dyn Case>, Replay), ReplayError> {
        (self.from_replay)(text, file)
    }
}

struct Prepared<P: Protocol, E> {
    name: String,
    scenario: ScenarioOf<P::Settings>,
    /// Every combination of what the scenario leaves to the seed; nothing if it leaves nothing.
    combinations: Vec<ScenarioOf<P::Settings>>,
    /// What runs it, of which there is one for each run.
    on: PhantomData<fn(P) -> E>,
}

// Not derived: nobody need be able to show the engine.
impl<P: Protocol, E> Debug for Prepared<P, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Prepared { name, scenario, .. } = self;
        let mut shown = f.debug_struct("Prepared");
        shown.field("name", name).field("scenario", scenario);
        shown.finish_non_exhaustive()
    }
}

impl<P: Protocol, E: Engine<P::Node> + 'static> Prepared<P, E> {
    /// The scenario as this seed draws it, and in words what it drew.
    fn as_drawn(&self, seed: Seed) -> (&ScenarioOf<P::Settings>, Option<String>) {
        if self.combinations.is_empty() {
            return (&self.scenario, None);
        }
        let number = scenario::drawn_by(seed, self.combinations.len());
        let words = self.scenario.draw.words(number);
        (&self.combinations[number], Some(words))
    }

    fn from_toml(
        name: &str,
        text: &str,
        file: &Path,
        sets: &[String],
    ) -> Result<Box<dyn Case>, ScenarioError> {
        let Loaded {
            scenario,
            combinations,
        } = scenario::from_toml(text, file, sets, check_with_protocol::<P, E>)?;
        Ok(Box::new(Prepared::<P, E> {
            name: name.to_owned(),
            scenario,
            combinations,
            on: PhantomData,
        }))
    }

    fn from_replay(text: &str, file: &Path) -> Result<(Box<dyn Case>, Replay), ReplayError> {
        let (scenario, replay) = replay::parse::<P>(text, file)?;
        let wrong = |invalid: scenario::Invalid| ReplayError::Wrong {
            file: file.to_owned(),
            line: None,
            message: scenario::one_line(&format!("scenario.{invalid}")),
        };
        scenario::validate(&scenario).map_err(wrong)?;
        if !scenario.draw.is_empty() {
            let what = "a replay draws nothing: what the seed drew is said where it belongs";
            return Err(wrong(scenario::Invalid::new(&["draw"], what)));
        }
        check_with_protocol::<P, E>(&scenario).map_err(wrong)?;
        for injection in replay.script.faults.iter().flatten() {
            let refused = E::refuse(Wanted::Fault(injection.fault.kind()));
            refused.map_err(|why| ReplayError::Wrong {
                file: file.to_owned(),
                line: None,
                message: format!("faults: {} {why}", E::NAME),
            })?;
        }
        let name = replay.scenario.clone();
        Ok((
            Box::new(Prepared::<P, E> {
                name,
                scenario,
                combinations: Vec::new(),
                on: PhantomData,
            }),
            replay,
        ))
    }
}

/// Finds what only the protocol can know to be wrong.
fn check_with_protocol<P: Protocol, E: Engine<P::Node>>(
    scenario: &ScenarioOf<P::Settings>,
) -> Result<(), scenario::Invalid> {
    check_with_engine::<P, E>(scenario)?;
    let given = Given::from(scenario);
    validate_mix::<P>(&scenario.workload)?;
    P::validate(given).map_err(|what| {
        // Where not even the default settings will do, it is the cluster that is wrong.
        let settings = &P::Settings::default();
        let default = P::validate(Given { settings, ..given });
        let place = if default.is_err() {
            "cluster"
        } else {
            "settings"
        };
        scenario::Invalid::new(&[place], what)
    })?;
    if P::invoked_at(given).is_empty() {
        return Err(scenario::Invalid::new(
            &["cluster"],
            "nobody is there to ask for operations: expected clients = 1 or more",
        ));
    }
    if scenario.leader_within.is_some() && !P::HAS_LEADER {
        let what = format!("nobody leads: {} has no leader", P::NAME);
        return Err(scenario::Invalid::new(&["leader_within"], what));
    }
    for (index, spec) in scenario.nemesis.iter().enumerate() {
        let by_progress = matches!(spec.victims, Some(Victims::Behind | Victims::Ahead));
        if !P::HAS_PROGRESS && (by_progress || spec.until_behind.is_some()) {
            let key = if by_progress {
                "victims"
            } else {
                "until_behind"
            };
            let path = ["nemesis", &index.to_string(), key];
            let what = format!(
                "nobody is behind or ahead: nodes of {} do not say how far they are",
                P::NAME
            );
            return Err(scenario::Invalid::new(&path, what));
        }
        let points = spec.point.iter().flat_map(scenario::OneOrMany::as_slice);
        for point in points {
            if let Point::Probe(probe) = point
                && !P::Node::PROBES.contains(&&**probe)
            {
                let path = ["nemesis", &index.to_string(), "point"];
                let what = format!("`{probe}` is no probe of {}", P::NAME);
                return Err(scenario::Invalid::new(&path, what));
            }
        }
        if let Some(Victims::Role(word)) = &spec.victims
            && !P::Node::ROLES.contains(&&**word)
        {
            let roles = P::Node::ROLES.join(", ");
            let what = format!(
                "`{word}` names no victims: expected one of {}, a role of {} ({roles}), or a node like n1",
                Victims::names(),
                P::NAME
            );
            let path = ["nemesis", &index.to_string(), "victims"];
            return Err(scenario::Invalid::new(&path, what));
        }
    }
    let invariants = P::invariants(&scenario.settings);
    let known: Vec<&str> = invariants
        .iter()
        .map(|invariant| invariant.property())
        .chain(P::HISTORY_PROPERTY)
        .chain(HARNESS_PROPERTIES)
        .collect();
    let unknown = |property: &String| {
        (!known.contains(&property.as_str())).then(|| {
            format!(
                "`{property}` is no property of {}: expected one of {}",
                P::NAME,
                known.join(", ")
            )
        })
    };
    if let Some(message) = scenario.checks.skip.iter().find_map(unknown) {
        return Err(scenario::Invalid::new(&["checks", "skip"], message));
    }
    if let Some(message) = scenario.expect.property.as_ref().and_then(unknown) {
        return Err(scenario::Invalid::new(&["expect", "property"], message));
    }
    let known: Vec<&str> = probes::names::<P::Node>().collect();
    for (index, probe) in scenario.require.probes.iter().enumerate() {
        if !known.contains(&probe.as_str()) {
            let message = format!(
                "`{probe}` is no probe of {}: expected one of `{}`",
                P::NAME,
                known.join("`, `")
            );
            let path = ["require", "probes", &index.to_string()];
            return Err(scenario::Invalid::new(&path, message));
        }
    }
    Ok(())
}

/// Finds what the engine cannot do.
fn check_with_engine<P: Protocol, E: Engine<P::Node>>(
    scenario: &ScenarioOf<P::Settings>,
) -> Result<(), scenario::Invalid> {
    let refuse = |path: &[&str], what| {
        let refused = E::refuse(what);
        refused.map_err(|why| scenario::Invalid::new(path, format!("{} {why}", E::NAME)))
    };
    refuse(&["network"], Wanted::Network(&scenario.network))?;
    for (index, spec) in scenario.nemesis.iter().enumerate() {
        for kind in spec.fault.as_slice() {
            let path = ["nemesis", &index.to_string(), "fault"];
            refuse(&path, Wanted::Fault(kind.name()))?;
        }
    }
    for (index, probe) in scenario.require.probes.iter().enumerate() {
        if !P::Node::PROBES.contains(&probe.as_str()) {
            let path = ["require", "probes", &index.to_string()];
            refuse(&path, Wanted::KernelProbe(probe))?;
        }
    }
    Ok(())
}

/// A workload may ask for the special operations that the protocol knows.
fn validate_mix<P: Protocol>(workload: &WorkloadSpec) -> Result<(), scenario::Invalid> {
    let Some(name) = workload.mix.names().find(|name| !P::MIX.contains(name)) else {
        return Ok(());
    };
    let known = match P::MIX {
        [] => "it has none".to_owned(),
        known => format!("expected one of {}", known.join(", ")),
    };
    let what = format!("`{name}` is no special operation of {}: {known}", P::NAME);
    Err(scenario::Invalid::new(&["workload", "mix", name], what))
}

/// A script whose operations are those of the protocol.
///
/// # Panics
/// If they are not: a replay file is checked when it is loaded.
fn typed<P: Protocol>(script: &Script<Value>) -> Script<OpOf<P>> {
    let typed = |request: &Request<Value>| match OpOf::<P>::deserialize(&request.op) {
        Ok(op) => Request {
            at: request.at,
            client: request.client,
            op,
        },
        Err(error) => panic!("`{}` is no operation of {}: {error}", request.op, P::NAME),
    };
    Script {
        faults: script.faults.clone(),
        operations: script
            .operations
            .as_ref()
            .map(|requests| requests.iter().map(typed).collect()),
    }
}

impl<P: Protocol, E: Engine<P::Node> + 'static> Case for Prepared<P, E> {
    fn name(&self) -> &str {
        &self.name
    }

    fn summary(&self) -> &str {
        &self.scenario.summary
    }

    fn engine(&self) -> &'static str {
        E::NAME
    }

    fn expect(&self) -> &Expect {
        &self.scenario.expect
    }

    fn probes(&self) -> Vec<&'static str> {
        probes::names::<P::Node>().collect()
    }

    fn required_probes(&self) -> &[String] {
        &self.scenario.require.probes
    }

    fn nodes(&self) -> usize {
        self.scenario.cluster.nodes()
    }

    fn servers(&self) -> usize {
        self.scenario.cluster.servers.get()
    }

    fn duration(&self) -> Span {
        self.scenario.duration
    }

    fn converge_within(&self) -> Span {
        self.scenario.converge_within
    }

    fn network(&self) -> &NetworkSpec {
        &self.scenario.network
    }

    fn invoked_at(&self) -> Vec<NodeId> {
        P::invoked_at(Given::from(&self.scenario))
    }

    fn fingerprint(&self) -> u64 {
        let text = serde_json::to_string(&self.scenario);
        // Settings may have maps that JSON cannot write.
        let mut text = text.unwrap_or_else(|_| format!("{:?}", self.scenario));
        if E::NAME != replay::KERNEL {
            // The same scenario elsewhere is another campaign.
            text.push_str(E::NAME);
        }
        xxh3_64(text.as_bytes())
    }

    fn changed(&self, change: &Change) -> Option<Box<dyn Case>> {
        if let Change::AsDrawn(seed) = change {
            return Some(Box::new(Prepared::<P, E> {
                name: self.name.clone(),
                scenario: self.as_drawn(*seed).0.clone(),
                combinations: Vec::new(),
                on: PhantomData,
            }));
        }
        // Whoever changes a case decides first what of it is drawn.
        if !self.combinations.is_empty() {
            return None;
        }
        let mut scenario = self.scenario.clone();
        let ScenarioOf {
            network,
            cluster,
            nemesis,
            budget,
            ..
        } = &mut scenario;
        let simpler = match change {
            Change::AsDrawn(_) => true,
            Change::RequireNothing => {
                scenario.require = Require::NOTHING;
                true
            }
            Change::ScriptOnly => {
                nemesis.clear();
                scenario.require = Require::NOTHING;
                true
            }
            Change::Duration(duration) => {
                let shorter = *duration < scenario.duration;
                scenario.duration = *duration;
                shorter
            }
            Change::ConvergeWithin(within) => {
                scenario.converge_within = *within;
                true
            }
            Change::Network(plainer) => {
                let other = network != plainer;
                network.clone_from(plainer);
                other
            }
            Change::WithoutNode(gone) => {
                shrink::without_node(&mut network.links, *gone);
                if !nemesis.is_empty() {
                    false
                } else if gone.index() < cluster.servers.get() {
                    budget.for_one_less(cluster.servers.get());
                    cluster.servers.decrease()
                } else {
                    cluster.clients.decrease()
                }
            }
        };
        if !simpler || check_with_protocol::<P, E>(&scenario).is_err() {
            return None;
        }
        Some(Box::new(Prepared::<P, E> {
            name: self.name.clone(),
            scenario,
            combinations: Vec::new(),
            on: PhantomData,
        }))
    }

    fn run(&self, seed: Seed, script: &Script<Value>, trace: Option<TraceDetail>) -> Report {
        E::isolated(|| self.report(seed, script, trace))
    }

    fn replay_json(&self, report: &Report, finding: &Finding) -> Result<String, ReplayError> {
        let (scenario, _) = self.as_drawn(report.seed);
        replay::to_json(&self.name, E::NAME, scenario, report, finding)
    }
}

impl<P: Protocol, E: Engine<P::Node> + 'static> Prepared<P, E> {
    fn report(&self, seed: Seed, script: &Script<Value>, trace: Option<TraceDetail>) -> Report {
        let (scenario, drew) = self.as_drawn(seed);
        let script = typed::<P>(script);
        match panics::catch(|| run::run_on::<P, E>(scenario, seed, &script, trace)) {
            Ok(run) => {
                let mut history = Vec::new();
                // Writing to memory cannot fail.
                let history_jsonl =
                    trace.and_then(|_| P::write_history(&run.history, &mut history).ok());
                let json = |request: &Request<OpOf<P>>| {
                    let op = serde_json::to_value(&request.op).ok()?;
                    Some(Request {
                        at: request.at,
                        client: request.client,
                        op,
                    })
                };
                let operations = trace.and_then(|_| run.operations.iter().map(json).collect());
                Report {
                    seed,
                    verdict: run.verdict,
                    digest: run.digest,
                    stats: run.stats,
                    probes: run.probes,
                    virtual_time: run.virtual_time,
                    leader_after_healing_ms: run.leader_after_healing_ms,
                    swarm: match (drew, run.swarm) {
                        (Some(drew), Some(swarm)) => Some(format!("{drew}; {swarm}")),
                        (drew, swarm) => drew.or(swarm),
                    },
                    faults: run.faults,
                    operations,
                    contradiction: run.contradiction,
                    states: run.states,
                    trace: run.trace,
                    history_jsonl: history_jsonl.map(|()| history),
                }
            }
            // Not a node (that is a finding of the run) but an invariant, a checker or the simulator itself.
            Err(message) => Report {
                seed,
                verdict: Verdict::Invalid(Finding {
                    property: "panic".to_owned(),
                    what: format!("outside of any node: {message}"),
                    at: Time::ZERO,
                }),
                digest: 0,
                stats: Stats::default(),
                probes: Vec::new(),
                virtual_time: Time::ZERO,
                leader_after_healing_ms: None,
                swarm: None,
                faults: Vec::new(),
                operations: None,
                contradiction: Contradiction::default(),
                states: None,
                trace: None,
                history_jsonl: None,
            },
        }
    }
}
