//! From the text of a TOML file to a scenario that can be run, or to an error that names the line.

use super::draw::Draw;
use super::error::{ScenarioError, one_line};
use super::spec::{Scenario, ScenarioOf};
use super::validate::validate;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::Path;
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

/// A scenario as it is written, and as seeds draw it.
#[derive(Debug)]
pub(crate) struct Loaded<S> {
    /// As it is written.
    pub(crate) scenario: ScenarioOf<S>,
    /// Every combination of what it leaves to the seed; nothing if it leaves nothing.
    pub(crate) combinations: Vec<ScenarioOf<S>>,
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
) -> Result<Loaded<S>, ScenarioError> {
    let scenario: ScenarioOf<S> =
        toml::from_str(text).map_err(|error| wrong(text, file, &error))?;
    validate(&scenario)
        .and_then(|()| check(&scenario))
        .map_err(|invalid| invalid.located(text, file))?;
    if sets.is_empty() && scenario.draw.is_empty() {
        return Ok(Loaded {
            scenario,
            combinations: Vec::new(),
        });
    }
    let mut table: toml::Table = toml::from_str(text).map_err(|error| wrong(text, file, &error))?;
    if sets.is_empty() {
        let combinations = combinations(&scenario.draw, &table, &check)
            .map_err(|invalid| invalid.located(text, file))?;
        return Ok(Loaded {
            scenario,
            combinations,
        });
    }
    for assignment in sets {
        set(&mut table, assignment)?;
    }
    let error = |message: &str| ScenarioError::Set {
        assignment: sets.join(" --set "),
        message: one_line(message),
    };
    let mut overridden: ScenarioOf<S> = table
        .clone()
        .try_into()
        .map_err(|wrong: toml::de::Error| error(wrong.message()))?;
    if overridden.protocol != scenario.protocol {
        // It decides what the rest of the file means.
        return Err(error(
            "the protocol of a scenario cannot be set: run another scenario",
        ));
    }
    for (path, _) in sets.iter().filter_map(|set| set.split_once('=')) {
        overridden.draw.forget(path.trim());
    }
    validate(&overridden)
        .and_then(|()| check(&overridden))
        .and_then(|()| combinations(&overridden.draw, &table, &check))
        .map(|combinations| Loaded {
            scenario: overridden,
            combinations,
        })
        .map_err(|invalid| error(&invalid.to_string()))
}

/// Every combination of what a scenario leaves to the seed, each as good as a scenario of its own.
fn combinations<S: DeserializeOwned + Default>(
    draw: &Draw,
    table: &toml::Table,
    check: &impl Fn(&ScenarioOf<S>) -> Result<(), Invalid>,
) -> Result<Vec<ScenarioOf<S>>, Invalid> {
    if draw.is_empty() {
        return Ok(Vec::new());
    }
    let mut table = table.clone();
    table.remove("draw");
    let combination = |number| {
        let mut drawn = table.clone();
        draw.apply(number, &mut drawn)?;
        let with =
            |what: &str| Invalid::new(&["draw"], format!("with {}: {what}", draw.words(number)));
        let scenario: ScenarioOf<S> = drawn
            .try_into()
            .map_err(|wrong: toml::de::Error| with(wrong.message()))?;
        validate(&scenario)
            .and_then(|()| check(&scenario))
            .map_err(|invalid| with(&invalid.to_string()))?;
        Ok(scenario)
    };
    (0..draw.combinations()?).map(combination).collect()
}

fn wrong(text: &str, file: &Path, error: &toml::de::Error) -> ScenarioError {
    let line = error.span().map(|span| line_of(text, span.start));
    ScenarioError::Wrong {
        file: file.to_owned(),
        line,
        message: one_line(error.message()),
    }
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
    if path.trim().is_empty() {
        return Err(error("expected a key before the ="));
    }
    set_value(table, path, value).map_err(|what| error(&what))
}

/// Puts a value at a path.
pub(super) fn set_value(
    table: &mut toml::Table,
    path: &str,
    value: toml::Value,
) -> Result<(), String> {
    let mut keys: Vec<&str> = path.split('.').map(str::trim).collect();
    let last = keys
        .pop()
        .filter(|key| !key.is_empty())
        .ok_or_else(|| "expected a key at the end of the path".to_owned())?;
    // The last key of a table may be new; an element of a list must be there.
    let no_place = |key: &str| format!("`{key}` is no table or list that can be set into");
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
            message: one_line(&self.to_string()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::OneOrMany;
    use crate::span::Span;

    const GOOD: &str = "summary = 's'\nprotocol = 'p'\nduration = '10s'\n[cluster]\nservers = 3\n";

    fn load(text: &str) -> Result<Scenario, ScenarioError> {
        load_with(text, &[])
    }

    fn load_with(text: &str, sets: &[String]) -> Result<Scenario, ScenarioError> {
        from_toml(text, Path::new("s.toml"), sets, |_| Ok(())).map(|loaded| loaded.scenario)
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
                nemesis("lasting = '1s'\nat = '1s'\nvictims = 'King'\n"),
                "s.toml:10: `King` names no victims",
            ),
            (
                nemesis("lasting = '1s'\nat = '1s'\n"),
                "nemesis.0.victims: expected the victims",
            ),
            (
                format!("{GOOD}[budget]\ndisks = -1\n"),
                "s.toml:7: -1 is out of range: expected 0 to 99",
            ),
            (
                format!("{GOOD}[require]\ncrahses = 2\n"),
                "s.toml:7: unknown field `crahses`",
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
    fn keys_of_a_fault_must_belong_to_its_kind_and_make_sense() {
        let nemesis = |lines: &str| format!("{GOOD}[[nemesis]]\nfault = 'crash'\n{lines}");
        let cases = [
            (
                nemesis("lasting = '1s'\nat = '1s'\nvictims = 'one'\nppm = [1, 2]\n"),
                "s.toml:7: nemesis.0.fault: `ppm` goes with fault = drift",
            ),
            (
                nemesis("lasting = '1s'\nat = '1s'\nvictims = 'one'\nfrom = '2s'\n"),
                "s.toml:9: nemesis.0.at: `from` and `until` go with `every`",
            ),
            (
                nemesis("lasting = '1s'\nevery = '1s'\nvictims = 'one'\nfrom = '12s'\n"),
                "s.toml:11: nemesis.0.from: nothing happens from 12s",
            ),
            (
                nemesis("lasting = '1s'\nat = '1s'\nvictims = 'one'\n")
                    .replace("'crash'", "'drift'"),
                "nemesis.0.fault: a fault of kind drift needs `ppm`",
            ),
            (
                nemesis("lasting = '1s'\nat = '1s'\nvictims = 'one'\n")
                    .replace("'crash'", "'degrade'"),
                "expected at least one of latency, loss",
            ),
            (
                nemesis("lasting = '1s'\nat = '1s'\nvictims = 'one'\nppm = [2, 1]\n")
                    .replace("'crash'", "'drift'"),
                "s.toml:11: nemesis.0.ppm: expected two numbers",
            ),
        ];
        for (text, expected) in cases {
            let error = load(&text).unwrap_err().to_string();
            assert!(
                error.contains(expected),
                "for\n{text}\nexpected {expected}\nfound    {error}"
            );
        }
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
