//! What is wrong with a scenario that no single value shows.

use super::fault::{FaultKind, FaultSpec, Victims};
use super::load::Invalid;
use super::spec::{Expect, ExpectedVerdict, LinkSpec, ScenarioOf};
use super::work;
use crate::fault::{valid_jump, valid_ppm};
use crate::network::{Degradation, Shape};
use crate::span::Span;
use std::time::Duration;

/// Finds what no single value shows.
pub(crate) fn validate<S>(scenario: &ScenarioOf<S>) -> Result<(), Invalid> {
    if scenario.duration.0.is_zero() {
        return Err(Invalid::new(
            &["duration"],
            "a run of no time proves nothing: expected one like \"30s\"",
        ));
    }
    if scenario.converge_within.0.is_zero() {
        return Err(Invalid::new(
            &["converge_within"],
            "nobody converges in no time: expected one like \"10s\"",
        ));
    }
    if let Some(within) = scenario.leader_within {
        let wrong = |what: &str| Err(Invalid::new(&["leader_within"], what));
        if within.0.is_zero() {
            return wrong("nobody is elected in no time: expected one like \"3s\"");
        }
        if within > scenario.converge_within {
            let all = scenario.converge_within;
            return wrong(&format!(
                "a leader is part of converging: expected at most converge_within, which is {all}"
            ));
        }
    }
    if scenario.workload.think.0 < Duration::from_millis(1) {
        // Operations that are answered at once would follow each other without time passing.
        let message = "clients think for at least 1ms between operations";
        return Err(Invalid::new(&["workload", "think"], message));
    }
    let mix = &scenario.workload.mix;
    mix.validate()
        .map_err(|what| Invalid::new(&["workload", "mix"], what))?;
    scenario
        .network
        .latency
        .validate()
        .map_err(|what| Invalid::new(&["network", "latency"], what))?;
    scenario
        .network
        .sync
        .validate()
        .map_err(|what| Invalid::new(&["network", "sync"], what))?;
    let network = scenario.network.profile();
    let special = Degradation {
        bursts: network.bursts,
        capacity: network.capacity,
        ..Degradation::default()
    };
    special
        .validate_parts()
        .map_err(|what| Invalid::new(&["network"], what))?;
    for (index, link) in scenario.network.links.iter().enumerate() {
        validate_link(scenario, link)
            .map_err(|what| Invalid::new(&["network", "links", &index.to_string()], what))?;
    }
    for (index, spec) in scenario.nemesis.iter().enumerate() {
        validate_fault(scenario, spec)
            .map_err(|(key, what)| Invalid::new(&["nemesis", &index.to_string(), key], what))?;
    }
    work::validate(scenario)?;
    let Expect {
        verdict,
        property,
        within_seeds,
    } = &scenario.expect;
    match verdict {
        ExpectedVerdict::Violation if property.is_none() => Err(Invalid::new(
            &["expect"],
            "verdict = \"violation\" needs the `property` that is to be violated",
        )),
        ExpectedVerdict::Valid | ExpectedVerdict::Unrecoverable
            if property.is_some() || within_seeds.is_some() =>
        {
            Err(Invalid::new(
                &["expect"],
                "`property` and `within_seeds` go with verdict = \"violation\"",
            ))
        }
        _ => Ok(()),
    }
}

fn validate_link<S>(scenario: &ScenarioOf<S>, link: &LinkSpec) -> Result<(), String> {
    let nodes = scenario.cluster.nodes();
    if let Some(node) = [link.from, link.to]
        .into_iter()
        .find(|node| node.index() >= nodes)
    {
        return Err(format!("there is no {node}: the cluster has {nodes} nodes"));
    }
    link.degradation().validate_parts()
}

/// What is wrong with a source of faults: the key, and why.
type WrongFault = (&'static str, String);

fn validate_fault<S>(scenario: &ScenarioOf<S>, spec: &FaultSpec) -> Result<(), WrongFault> {
    let kinds = spec.fault.as_slice();
    if kinds.is_empty() {
        return Err(("fault", "expected at least one kind".to_owned()));
    }
    validate_times(scenario.duration, spec)?;
    validate_keys(kinds, spec)?;
    for &kind in kinds {
        validate_victims(scenario, kind, spec)?;
    }
    validate_values(kinds, spec)?;
    if kinds.contains(&FaultKind::Partition) {
        validate_shape(scenario.cluster.servers.get(), spec)?;
    }
    Ok(())
}

/// Every key must belong to a kind, and none that a kind needs may be missing.
fn validate_keys(kinds: &[FaultKind], spec: &FaultSpec) -> Result<(), WrongFault> {
    let said = spec.said();
    let belongs = |key: &&str| kinds.iter().any(|kind| kind.keys().0.contains(key));
    if let Some(key) = said.iter().find(|key| !belongs(key)) {
        let owners = FaultKind::ALL
            .iter()
            .filter(|kind| kind.keys().0.contains(key));
        let owners: Vec<&str> = owners.map(|kind| kind.name()).collect();
        return Err((
            "fault",
            format!("`{key}` goes with fault = {}", owners.join(" or ")),
        ));
    }
    for kind in kinds {
        if let Some(key) = kind.keys().1.iter().find(|key| !said.contains(key)) {
            return Err((
                "fault",
                format!("a fault of kind {} needs `{key}`", kind.name()),
            ));
        }
    }
    Ok(())
}

fn validate_values(kinds: &[FaultKind], spec: &FaultSpec) -> Result<(), WrongFault> {
    if kinds.contains(&FaultKind::Degrade) {
        spec.degradation()
            .validate()
            .map_err(|what| ("fault", what))?;
    }
    let least = Span::from_millis(1);
    for (key, span) in [
        ("flap", spec.flap),
        ("spread", spec.spread),
        ("period", spec.period),
    ] {
        if let Some(span) = span.filter(|&span| span < least) {
            return Err((
                key,
                format!("{span} is too short: expected at least {least}"),
            ));
        }
    }
    if let Some(per_event) = &spec.per_event {
        ascending("per_event", per_event.as_slice())?;
    }
    if let Some(sync) = &spec.sync {
        sync.validate().map_err(|what| ("sync", what))?;
    }
    two("ppm", spec.ppm, valid_ppm, "a drift of nothing is none")?;
    two("by_ms", spec.by_ms, valid_jump, "a jump of nothing is none")?;
    let longest = spec.lasting.as_slice().last().copied().unwrap_or_default();
    if let Some(flap) = spec.flap.filter(|&flap| flap >= longest) {
        return Err((
            "flap",
            format!("nothing that lasts {longest} comes and goes every {flap}"),
        ));
    }
    let empty = |list: Option<usize>| list == Some(0);
    if empty(spec.unsynced.as_ref().map(|list| list.as_slice().len())) {
        return Err((
            "unsynced",
            "expected at least one of lost, kept, torn".to_owned(),
        ));
    }
    if empty(spec.point.as_ref().map(|list| list.as_slice().len())) {
        return Err(("point", "expected at least one point".to_owned()));
    }
    Ok(())
}

fn validate_shape(servers: usize, spec: &FaultSpec) -> Result<(), WrongFault> {
    let shapes = spec
        .shape
        .as_ref()
        .map_or(&Shape::ALL[..], |shape| shape.as_slice());
    if shapes.is_empty() {
        return Err(("shape", "expected at least one shape".to_owned()));
    }
    // Where the shape is drawn, one that cuts nothing is no fault; where it is named, it is a mistake.
    let named = |shape: Shape| spec.shape.is_some() && shapes.contains(&shape);
    let needed = match () {
        () if named(Shape::MajoritiesRing) => 4,
        () if named(Shape::Partial) => 3,
        () => 2,
    };
    if servers < needed {
        let message = format!("{servers} servers cannot be partitioned like that: expected more");
        return Err(("shape", message));
    }
    if spec.until_behind.is_some() && spec.victims.is_none() {
        let message = "who is to be behind? expected the `victims` of the partition";
        return Err(("until_behind", message.to_owned()));
    }
    Ok(())
}

fn validate_times(duration: Span, spec: &FaultSpec) -> Result<(), WrongFault> {
    match (&spec.at, &spec.every) {
        (Some(_), Some(_)) | (None, None) => {
            let message = "expected either `at` (fixed times) or `every` (random ones)";
            return Err(("fault", message.to_owned()));
        }
        (Some(at), None) => validate_fixed(duration, at.as_slice(), spec)?,
        (None, Some(every)) => {
            ascending("every", every.as_slice())?;
            let least = every.as_slice()[0];
            if least.0 < Duration::from_millis(2) {
                return Err((
                    "every",
                    format!("{least} is too often: expected at least 2ms"),
                ));
            }
        }
    }
    let from = spec.from.unwrap_or_default();
    let until = spec.until.unwrap_or(duration);
    if from >= until || from >= duration {
        let message = format!("nothing happens from {from} until {}", until.min(duration));
        return Err((if spec.from.is_some() { "from" } else { "until" }, message));
    }
    ascending("lasting", spec.lasting.as_slice())
}

fn validate_fixed(duration: Span, at: &[Span], spec: &FaultSpec) -> Result<(), WrongFault> {
    if at.is_empty() {
        return Err(("at", "expected at least one time".to_owned()));
    }
    if let Some(late) = at.iter().find(|at| **at >= duration) {
        let message = format!("{late} is not before the end of the safety phase, {duration}");
        return Err(("at", message));
    }
    if spec.from.is_some() || spec.until.is_some() {
        return Err(("at", "`from` and `until` go with `every`".to_owned()));
    }
    Ok(())
}

/// Two numbers in ascending order, each of which may be used, and not both of them nothing.
fn two<N: Copy + Default + PartialOrd>(
    key: &'static str,
    numbers: Option<[N; 2]>,
    valid: impl Fn(N) -> Result<(), String>,
    nothing: &str,
) -> Result<(), WrongFault> {
    let Some([least, most]) = numbers else {
        return Ok(());
    };
    valid(least)
        .and_then(|()| valid(most))
        .map_err(|what| (key, what))?;
    if least > most {
        let expected = "expected two numbers of which the first is less";
        return Err((key, expected.to_owned()));
    }
    if least == N::default() && most == least {
        return Err((key, nothing.to_owned()));
    }
    Ok(())
}

/// One duration, or two in ascending order.
fn ascending(key: &'static str, spans: &[Span]) -> Result<(), WrongFault> {
    match spans {
        [one] if !one.0.is_zero() => Ok(()),
        [least, most] if !least.0.is_zero() && least <= most => Ok(()),
        _ => {
            let expected =
                "expected one duration, or two of which the first is less: [\"1s\", \"3s\"]";
            Err((key, expected.to_owned()))
        }
    }
}

fn validate_victims<S>(
    scenario: &ScenarioOf<S>,
    kind: FaultKind,
    spec: &FaultSpec,
) -> Result<(), WrongFault> {
    let servers = scenario.cluster.servers.get();
    let nodes = scenario.cluster.nodes();
    let message = match &spec.victims {
        Some(Victims::Node(node)) if node.index() >= nodes => {
            format!("there is no {node}: the cluster has {nodes} nodes")
        }
        Some(Victims::Client) if scenario.cluster.clients.get() == 0 => {
            "there are no clients in this cluster".to_owned()
        }
        Some(Victims::Minority) if servers < 3 => {
            format!("{servers} servers have no minority: expected one, or more servers")
        }
        Some(Victims::Client) if kind == FaultKind::Partition => {
            "a partition has a server as its victim; clients fall on a side at random".to_owned()
        }
        Some(Victims::Node(node)) if kind == FaultKind::Partition && node.index() >= servers => {
            format!("a partition has a server as its victim, and {node} is a client")
        }
        Some(victims) if kind == FaultKind::Partition && !victims.is_one() => {
            "a partition has one victim: expected one, leader, rolling or a node like n1".to_owned()
        }
        Some(_) => return Ok(()),
        None if kind == FaultKind::Partition => return Ok(()),
        None => "expected the victims of the fault".to_owned(),
    };
    Err(("victims", message))
}
