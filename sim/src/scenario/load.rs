//! From the text of a TOML file to a scenario that can be run, or to an error that names the line.

use super::error::ScenarioError;
use super::spec::{
    Expect, ExpectedVerdict, FaultKind, FaultSpec, LinkSpec, OneOrMany, Scenario, ScenarioOf,
    Victims,
};
use crate::network::Shape;
use crate::span::Span;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::time::Duration;
use toml::de::{DeTable, DeValue};

/// What must be known of a scenario before the rest can be understood.
#[derive(Clone, Debug)]
pub struct Head {
    /// The name of its protocol.
    pub protocol: String,
    /// The line that names it.
    pub protocol_line: usize,
}

#[derive(Deserialize)]
struct HeadAsWritten {
    protocol: toml::Spanned<String>,
}

/// Reads only the head of a scenario.
///
/// # Errors
/// Text that is not TOML, or without a head.
pub fn head(text: &str, file: &Path) -> Result<Head, ScenarioError> {
    let head: HeadAsWritten = toml::from_str(text).map_err(|error| {
        // A key that is misspelt says more than one that is missing.
        let error = toml::from_str::<Scenario>(text).err().unwrap_or(error);
        wrong(text, file, &error)
    })?;
    let protocol_line = line_of(text, head.protocol.span().start);
    Ok(Head {
        protocol: head.protocol.into_inner(),
        protocol_line,
    })
}

/// Reads a scenario of a protocol with settings `S`, with these `key=value` overrides. `check` finds what only the
/// protocol can know to be wrong.
///
/// # Errors
/// A typing error, an unknown key, a value out of range, a contradiction: with its line, or with the overrides if the
/// file is good without them.
pub(crate) fn from_toml<S: DeserializeOwned + Default>(
    text: &str,
    file: &Path,
    sets: &[String],
    check: impl Fn(&ScenarioOf<S>) -> Result<(), Invalid>,
) -> Result<ScenarioOf<S>, ScenarioError> {
    let scenario: ScenarioOf<S> =
        toml::from_str(text).map_err(|error| wrong(text, file, &error))?;
    validate(&scenario)
        .and_then(|()| check(&scenario))
        .map_err(|invalid| invalid.located(text, file))?;
    if sets.is_empty() {
        return Ok(scenario);
    }
    let mut table: toml::Table = toml::from_str(text).map_err(|error| wrong(text, file, &error))?;
    for assignment in sets {
        set(&mut table, assignment)?;
    }
    let error = |message: &str| ScenarioError::Set {
        assignment: sets.join(" --set "),
        message: one_line(message),
    };
    let overridden: ScenarioOf<S> = table
        .try_into()
        .map_err(|wrong: toml::de::Error| error(wrong.message()))?;
    if overridden.protocol != scenario.protocol {
        // It decides what the rest of the file means.
        return Err(error(
            "the protocol of a scenario cannot be set: run another scenario",
        ));
    }
    validate(&overridden)
        .and_then(|()| check(&overridden))
        .map_err(|invalid| error(&invalid.to_string()))?;
    Ok(overridden)
}

fn wrong(text: &str, file: &Path, error: &toml::de::Error) -> ScenarioError {
    let line = error.span().map(|span| line_of(text, span.start));
    ScenarioError::Wrong {
        file: file.to_owned(),
        line,
        message: one_line(error.message()),
    }
}

fn one_line(message: &str) -> String {
    message.trim_end().replace('\n', "; ")
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text
        .bytes()
        .take(offset)
        .filter(|&byte| byte == b'\n')
        .count()
}

/// Sets `network.loss=1/10` in a table. The value is TOML if it can be, and otherwise a string.
fn set(table: &mut toml::Table, assignment: &str) -> Result<(), ScenarioError> {
    let error = |message: &str| ScenarioError::Set {
        assignment: assignment.to_owned(),
        message: message.to_owned(),
    };
    let (path, value) = assignment
        .split_once('=')
        .ok_or_else(|| error("expected key=value, as in network.loss=1/10"))?;
    let value = toml::from_str::<toml::Table>(&format!("value = {value}"))
        .ok()
        .and_then(|mut parsed| {
            if parsed.len() == 1 {
                parsed.remove("value")
            } else {
                None
            }
        })
        .unwrap_or_else(|| toml::Value::String(value.trim().to_owned()));
    let mut keys: Vec<&str> = path.split('.').map(str::trim).collect();
    let last = keys
        .pop()
        .filter(|key| !key.is_empty())
        .ok_or_else(|| error("expected a key before the ="))?;
    // The last key of a table may be new; an element of a list must be there.
    let no_place = |key: &str| error(&format!("`{key}` is no table or list that can be set into"));
    let mut place = Place::Table(table);
    for key in keys {
        place = match place.get(key) {
            Some(toml::Value::Table(table)) => Place::Table(table),
            Some(toml::Value::Array(list)) => Place::List(list),
            _ => return Err(no_place(key)),
        };
    }
    match place {
        Place::Table(table) => drop(table.insert(last.to_owned(), value)),
        Place::List(list) => {
            let index = last.parse::<usize>().ok();
            *index
                .and_then(|index| list.get_mut(index))
                .ok_or_else(|| no_place(last))? = value;
        }
    }
    Ok(())
}

/// Where an override is on its way to.
enum Place<'a> {
    Table(&'a mut toml::Table),
    List(&'a mut Vec<toml::Value>),
}

impl<'a> Place<'a> {
    /// What is at this key, or an empty table where a table has none.
    fn get(self, key: &str) -> Option<&'a mut toml::Value> {
        match self {
            Place::Table(table) => Some(
                table
                    .entry(key)
                    .or_insert_with(|| toml::Value::Table(toml::Table::new())),
            ),
            Place::List(list) => list.get_mut(key.parse::<usize>().ok()?),
        }
    }
}

/// A contradiction, and the path of the value that it is about: `["nemesis", "2", "lasting"]`.
#[derive(Debug)]
pub(crate) struct Invalid {
    path: Vec<String>,
    message: String,
}

impl std::fmt::Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path.join("."), self.message)
    }
}

impl Invalid {
    pub(crate) fn new(path: &[&str], message: impl Into<String>) -> Invalid {
        Invalid {
            path: path.iter().map(|&key| key.to_owned()).collect(),
            message: message.into(),
        }
    }

    pub(crate) fn located(self, text: &str, file: &Path) -> ScenarioError {
        let line = locate(text, &self.path).map(|offset| line_of(text, offset));
        ScenarioError::Wrong {
            file: file.to_owned(),
            line,
            message: self.to_string(),
        }
    }
}

/// Where in the text the value at this path, or the nearest thing around it that is there, begins.
fn locate(text: &str, path: &[String]) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let (first, rest) = path.split_first()?;
    let mut value = document.get_ref().get(first.as_str())?;
    let mut offset = value.span().start;
    for key in rest {
        let next = match value.get_ref() {
            DeValue::Table(table) => table.get(key.as_str()),
            DeValue::Array(list) => key.parse::<usize>().ok().and_then(|index| list.get(index)),
            _ => None,
        };
        let Some(next) = next else { break };
        value = next;
        offset = value.span().start;
    }
    Some(offset)
}

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
    if scenario.workload.think.0 < Duration::from_millis(1) {
        // Operations that are answered at once would follow each other without time passing.
        let message = "clients think for at least 1ms between operations";
        return Err(Invalid::new(&["workload", "think"], message));
    }
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
    for (index, link) in scenario.network.links.iter().enumerate() {
        validate_link(scenario, link)
            .map_err(|what| Invalid::new(&["network", "links", &index.to_string()], what))?;
    }
    for (index, spec) in scenario.nemesis.iter().enumerate() {
        validate_fault(scenario, spec)
            .map_err(|(key, what)| Invalid::new(&["nemesis", &index.to_string(), key], what))?;
    }
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
        ExpectedVerdict::Valid if property.is_some() || within_seeds.is_some() => {
            Err(Invalid::new(
                &["expect"],
                "`property` and `within_seeds` go with verdict = \"violation\"",
            ))
        }
        _ => Ok(()),
    }
}

fn validate_link<S>(scenario: &ScenarioOf<S>, link: &LinkSpec) -> Result<(), String> {
    let nodes = scenario.cluster.servers.get() + scenario.cluster.clients.get();
    if let Some(node) = [link.from, link.to]
        .into_iter()
        .find(|node| node.index() >= nodes)
    {
        return Err(format!("there is no {node}: the cluster has {nodes} nodes"));
    }
    link.latency.map_or(Ok(()), |latency| latency.validate())
}

/// What is wrong with a source of faults: the key, and why.
type WrongFault = (&'static str, String);

fn validate_fault<S>(scenario: &ScenarioOf<S>, spec: &FaultSpec) -> Result<(), WrongFault> {
    validate_times(scenario.duration, spec)?;
    validate_victims(scenario, spec)?;
    if spec.fault != FaultKind::Partition {
        if spec.shape.is_some() || spec.in_flight.is_some() {
            let message = "`shape` and `in_flight` go with fault = \"partition\"";
            return Err(("fault", message.to_owned()));
        }
        return Ok(());
    }
    let servers = scenario.cluster.servers.get();
    let shapes = spec
        .shape
        .as_ref()
        .map_or(&Shape::ALL[..], |shape| shape.as_slice());
    if shapes.is_empty() {
        return Err(("shape", "expected at least one shape".to_owned()));
    }
    // Where the shape is drawn, one that cuts nothing is no fault; where it is named, it is a mistake.
    let ring = spec.shape.is_some() && shapes.contains(&Shape::MajoritiesRing);
    if servers < 2 || (ring && servers < 4) {
        let message = format!("{servers} servers cannot be partitioned like that: expected more");
        return Err(("shape", message));
    }
    Ok(())
}

fn validate_times(duration: Span, spec: &FaultSpec) -> Result<(), WrongFault> {
    match (&spec.at, &spec.every) {
        (Some(_), Some(_)) | (None, None) => {
            let message = "expected either `at` (fixed times) or `every` (random ones)";
            return Err(("fault", message.to_owned()));
        }
        (Some(at), None) if at.as_slice().is_empty() => {
            return Err(("at", "expected at least one time".to_owned()));
        }
        (Some(at), None) => {
            if let Some(late) = at.as_slice().iter().find(|at| **at >= duration) {
                let message =
                    format!("{late} is not before the end of the safety phase, {duration}");
                return Err(("at", message));
            }
        }
        (None, Some(every)) if every.0 < Duration::from_millis(2) => {
            return Err((
                "every",
                format!("{every} is too often: expected at least 2ms"),
            ));
        }
        (None, Some(_)) => {}
    }
    match spec.lasting.as_slice() {
        [one] if !one.0.is_zero() => Ok(()),
        [least, most] if !least.0.is_zero() && least <= most => Ok(()),
        _ => {
            let expected =
                "expected one duration, or two of which the first is less: [\"1s\", \"3s\"]";
            Err(("lasting", expected.to_owned()))
        }
    }
}

fn validate_victims<S>(scenario: &ScenarioOf<S>, spec: &FaultSpec) -> Result<(), WrongFault> {
    let servers = scenario.cluster.servers.get();
    let nodes = servers + scenario.cluster.clients.get();
    let is_partition = spec.fault == FaultKind::Partition;
    let message = match spec.victims {
        Some(Victims::Node(node)) if node.index() >= nodes => {
            format!("there is no {node}: the cluster has {nodes} nodes")
        }
        Some(Victims::Client) if scenario.cluster.clients.get() == 0 => {
            "there are no clients in this cluster".to_owned()
        }
        Some(Victims::Minority) if servers < 3 => {
            format!("{servers} servers have no minority: expected one, or more servers")
        }
        Some(Victims::One | Victims::Leader | Victims::Rolling | Victims::Node(_)) => return Ok(()),
        Some(_) if is_partition => {
            "a partition has one victim: expected one, leader, rolling or a node like n1".to_owned()
        }
        None if !is_partition => "expected the victims of the fault".to_owned(),
        _ => return Ok(()),
    };
    Err(("victims", message))
}

impl OneOrMany<Span> {
    /// As a range: one value, or the first and the last of two.
    pub(crate) fn range(&self) -> std::ops::RangeInclusive<Duration> {
        let all = self.as_slice();
        let end = |span: Option<&Span>| span.map_or(Duration::ZERO, |span| span.0);
        end(all.first())..=end(all.last())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "summary = 's'\nprotocol = 'p'\nduration = '10s'\n[cluster]\nservers = 3\n";

    fn load(text: &str) -> Result<Scenario, ScenarioError> {
        load_with(text, &[])
    }

    fn load_with(text: &str, sets: &[String]) -> Result<Scenario, ScenarioError> {
        from_toml(text, Path::new("s.toml"), sets, |_| Ok(()))
    }

    #[test]
    fn every_error_names_its_line_and_what_was_expected() {
        let nemesis = |lines: &str| format!("{GOOD}[[nemesis]]\nfault = 'crash'\n{lines}");
        let cases = [
            (
                GOOD.replace("summary", "sumary"),
                "s.toml:1: unknown field `sumary`",
            ),
            (
                GOOD.replace("'10s'", "'-10s'"),
                "s.toml:3: `-10s` is not a duration",
            ),
            (
                GOOD.replace("'10s'", "10"),
                "s.toml:3: invalid type: integer",
            ),
            (
                GOOD.replace("'10s'", "'0s'"),
                "s.toml:3: duration: a run of no time",
            ),
            (
                GOOD.replace("'10s'", "'300h'"),
                "s.toml:3: `300h` is not a duration (more than an hour)",
            ),
            (
                GOOD.replace("servers = 3", "servers = 0"),
                "s.toml:5: 0 is out of range: expected 1 to 99",
            ),
            (
                GOOD.replace("servers = 3", "servers = 3.5"),
                "s.toml:5: invalid type: floating point",
            ),
            (GOOD.replace("'p'", "'p"), "s.toml:2: "),
            (
                format!("{GOOD}[network]\nloss = '3/2'\n"),
                "s.toml:7: `3/2` is not a probability",
            ),
            (
                format!("{GOOD}[network]\nlatency = {{ min = '5ms', mean = '1ms' }}\n"),
                "s.toml:7: network.latency: latency: mean 1ms is less than min 5ms",
            ),
            (
                nemesis("lasting = '1s'\nvictims = 'one'\n"),
                "s.toml:7: nemesis.0.fault: expected either `at`",
            ),
            (
                nemesis("lasting = '1s'\nat = '11s'\nvictims = 'one'\n"),
                "s.toml:9: nemesis.0.at: 11s is not before",
            ),
            (
                nemesis("lasting = ['2s','1s']\nat = '1s'\nvictims = 'one'\n"),
                "s.toml:8: nemesis.0.lasting",
            ),
            (
                nemesis("lasting = '1s'\nat = '1s'\nvictims = 'n9'\n"),
                "s.toml:10: nemesis.0.victims: there is no n9",
            ),
            (
                nemesis("lasting = '1s'\nat = '1s'\nvictims = 'king'\n"),
                "s.toml:10: `king` names no victims",
            ),
            (
                nemesis("lasting = '1s'\nat = '1s'\n"),
                "nemesis.0.victims: expected the victims",
            ),
            (
                format!("{GOOD}[expect]\nverdict = 'violation'\n"),
                "s.toml:6: expect: verdict",
            ),
        ];
        for (text, expected) in cases {
            let error = load(&text).unwrap_err().to_string();
            assert!(
                error.contains(expected),
                "for\n{text}\nexpected {expected}\nfound    {error}"
            );
        }
        assert!(load(GOOD).is_ok());
    }

    #[test]
    fn overrides_reach_nested_keys_and_are_checked_like_the_file() {
        let with = |set: &str| load_with(GOOD, &[set.to_owned()]);
        assert_eq!(
            with("network.loss=1/10").unwrap().network.loss.to_string(),
            "1/10"
        );
        assert_eq!(with("cluster.servers=7").unwrap().cluster.servers.get(), 7);
        let crash =
            format!("{GOOD}[[nemesis]]\nfault='crash'\nat='1s'\nlasting='1s'\nvictims='one'");
        let with_list = |set: &str| load_with(&crash, &[set.to_owned()]);
        let lasting = with_list("nemesis.0.lasting=3s").unwrap().nemesis[0]
            .lasting
            .clone();
        assert_eq!(lasting, OneOrMany::One(Span::from_secs(3)));
        let beyond = with_list("nemesis.1.lasting=3s").unwrap_err().to_string();
        assert!(beyond.contains("`1` is no table or list"), "{beyond}");
        for (bad, expected) in [
            ("network.los=1/10", "unknown field `los`"),
            ("cluster.servers=0", "out of range"),
            ("cluster", "expected key=value"),
            ("=3", "expected a key"),
            ("summary.x=3", "no table or list"),
            ("nemesis.0.every=3s", "expected a sequence"),
            ("duration=0s", "a run of no time"),
        ] {
            let error = with(bad).unwrap_err().to_string();
            assert!(
                error.starts_with("--set") && error.contains(expected),
                "{bad}: {error}"
            );
        }
    }
}
