//! Replay files: a failing run, small enough to be kept and read.

mod json;

use crate::case::Report;
use crate::protocol::{OpOf, Protocol};
use crate::run::{Finding, Request, Script};
use crate::scenario::{self, ScenarioOf, one_line};
use crate::{Injection, span::Span};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use splitbrain_core::Seed;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What has run whatever a file does not say otherwise of.
pub(crate) const KERNEL: &str = "kernel";

/// The version of the format. A file of another version is refused, not guessed at.
const FORMAT: u32 = 1;

/// A replay file that cannot be used.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The file cannot be read.
    #[error("{}: cannot be read", file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file cannot be written.
    #[error("{}: cannot be written", file.display())]
    Write {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text is not a replay file.
    #[error("{}{}: {message}", file.display(), line.map_or(String::new(), |line| format!(":{line}")))]
    Wrong {
        /// Which file.
        file: PathBuf,
        /// The line, from one, where it is known.
        line: Option<usize>,
        /// What was found and what was expected.
        message: String,
    },
}

/// What a replay file says besides its scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The name of the scenario it came from.
    pub scenario: String,
    /// The version of Splitbrain that wrote it.
    pub version: String,
    /// The seed.
    pub seed: Seed,
    /// The digest of the run it came from: the same code replays to the same digest.
    pub digest: u64,
    /// What was found.
    pub finding: Finding,
    /// The faults, resolved, and the operations: a replay uses these and draws none.
    pub script: Script<Value>,
}

/// The file as it is written; documented by DESIGN.md.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[serde(bound(deserialize = "S: serde::de::DeserializeOwned + Default"))]
struct File<S> {
    format: u32,
    version: String,
    name: String,
    /// Without this, the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    engine: Option<String>,
    seed: Seed,
    digest: Hex,
    finding: Finding,
    faults: Vec<Injection>,
    operations: Vec<Request<Value>>,
    scenario: ScenarioOf<S>,
}

/// Only what tells whether to go on at all: another format may look like anything else.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// Only what tells which protocol's settings to expect.
#[derive(Deserialize)]
struct Head {
    engine: Option<String>,
    scenario: HeadScenario,
}

#[derive(Deserialize)]
struct HeadScenario {
    protocol: String,
}

/// A digest as people compare it. Not a number: 64 bits do not survive every JSON reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct Hex(pub(crate) u64);

impl From<Hex> for String {
    fn from(hex: Hex) -> String {
        format!("{:016x}", hex.0)
    }
}

impl TryFrom<String> for Hex {
    type Error = String;
    fn try_from(text: String) -> Result<Hex, String> {
        let whole = text.len() == 16 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        let digest = u64::from_str_radix(&text, 16).ok().filter(|_| whole);
        digest
            .map(Hex)
            .ok_or_else(|| format!("`{text}` is not a digest: expected 16 hexadecimal digits"))
    }
}

pub(crate) fn to_json<S: Clone + Serialize>(
    name: &str,
    engine: &str,
    scenario: &ScenarioOf<S>,
    report: &Report,
    finding: &Finding,
) -> Result<String, ReplayError> {
    let Some(operations) = report.operations.clone() else {
        return Err(ReplayError::Wrong {
            file: PathBuf::from(name),
            line: None,
            message: "only a run that was traced can be written down".to_owned(),
        });
    };
    let mut scenario = scenario.clone();
    // They are required of campaigns. A replay must outlive a probe that is renamed.
    scenario.require.probes.clear();
    let file = File {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        name: name.to_owned(),
        engine: (engine != KERNEL).then(|| engine.to_owned()),
        seed: report.seed,
        digest: Hex(report.digest),
        finding: finding.clone(),
        faults: report.faults.clone(),
        operations,
        scenario,
    };
    json::to_string(&file).map_err(|error| wrong(Path::new(name), &error))
}

fn wrong(file: &Path, error: &serde_json::Error) -> ReplayError {
    let (line, message) = json_error(error);
    ReplayError::Wrong {
        file: file.to_owned(),
        line,
        message,
    }
}

/// The line of what is wrong with JSON, where it is known, and what it is, on one line.
pub(crate) fn json_error(error: &serde_json::Error) -> (Option<usize>, String) {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let line = (error.line() > 0).then_some(error.line());
    (line, one_line(text.strip_suffix(&place).unwrap_or(&text)))
}

/// What a replay file is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayOf {
    /// The protocol, by its name in scenarios.
    pub protocol: String,
    /// The [engine](crate::engine::Engine) that ran it, by its name.
    pub engine: String,
}

/// Which protocol a replay file is of, and which engine ran it.
///
/// # Errors
/// Text that is not JSON, not a replay file, or one of another format.
pub fn head(text: &str, file: &Path) -> Result<ReplayOf, ReplayError> {
    let Format { format } = serde_json::from_str(text).map_err(|error| {
        let mut error = wrong(file, &error);
        if let ReplayError::Wrong { message, .. } = &mut error {
            *message = format!("{message}: expected a replay file of format {FORMAT}");
        }
        error
    })?;
    if format != FORMAT {
        return Err(ReplayError::Wrong {
            file: file.to_owned(),
            line: None,
            message: format!("a replay file of format {format}: expected format {FORMAT}"),
        });
    }
    let head: Head = serde_json::from_str(text).map_err(|error| wrong(file, &error))?;
    Ok(ReplayOf {
        protocol: head.scenario.protocol,
        engine: head.engine.unwrap_or_else(|| KERNEL.to_owned()),
    })
}

pub(crate) fn parse<P: Protocol>(
    text: &str,
    file: &Path,
) -> Result<(ScenarioOf<P::Settings>, Replay), ReplayError> {
    let parsed: File<P::Settings> =
        serde_json::from_str(text).map_err(|error| wrong(file, &error))?;
    let nodes = parsed.scenario.cluster.nodes();
    let duration = parsed.scenario.duration;
    let wrong = |list: &str, index: usize, what: &str| ReplayError::Wrong {
        file: file.to_owned(),
        line: None,
        message: one_line(&format!("{list}[{index}]: {what}")),
    };
    for (index, request) in parsed.operations.iter().enumerate() {
        if let Err(error) = OpOf::<P>::deserialize(&request.op) {
            let what = format!("op: no operation of {}: {error}", P::NAME);
            return Err(wrong("operations", index, &what));
        }
    }
    for (index, injection) in parsed.faults.iter().enumerate() {
        let wrong = |what: &str| wrong("faults", index, what);
        if let Some(node) = injection
            .fault
            .nodes()
            .into_iter()
            .find(|node| node.index() >= nodes)
        {
            return Err(wrong(&format!(
                "there is no {node}: the cluster has {nodes} nodes"
            )));
        }
        if let Err(what) = injection.fault.validate() {
            return Err(wrong(&what));
        }
        if injection.lasting == Span::default() {
            return Err(wrong("lasting: expected more than no time"));
        }
        if injection.at >= duration {
            return Err(wrong(&format!(
                "at: {} is not before the end of the safety phase, {duration}",
                injection.at
            )));
        }
    }
    scenario::validate_schedule(&parsed.faults, nodes).map_err(|what| ReplayError::Wrong {
        file: file.to_owned(),
        line: None,
        message: format!("faults: {what}"),
    })?;
    let replay = Replay {
        scenario: parsed.name,
        version: parsed.version,
        seed: parsed.seed,
        digest: parsed.digest.0,
        finding: parsed.finding,
        script: Script {
            faults: Some(parsed.faults),
            operations: Some(parsed.operations),
        },
    };
    Ok((parsed.scenario, replay))
}
