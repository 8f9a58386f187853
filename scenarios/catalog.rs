//! What there is to run.

use crate::protocols::{Bully, Coordination, RaftKv, Registry, Service};
use splitbrain::case::{Case, ProtocolEntry};
#[cfg(all(feature = "madsim", madsim))]
use splitbrain::protocol::Protocol;
use splitbrain::replay::{self, Replay, ReplayError, ReplayOf};
use splitbrain::scenario::{self, ScenarioError};
#[cfg(all(feature = "madsim", madsim))]
use splitbrain_madsim::Madsim;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::{fs, io};
use thiserror::Error;

/// Every protocol that scenarios can name. A new one is one line here.
pub const PROTOCOLS: [ProtocolEntry; 5] = [
    ProtocolEntry::of::<Bully>(),
    ProtocolEntry::of::<RaftKv>(),
    ProtocolEntry::of::<Registry>(),
    ProtocolEntry::of::<Service>(),
    ProtocolEntry::of::<Coordination>(),
];

/// Those among them that can run under another engine than the kernel, if this was built with one.
#[cfg(all(feature = "madsim", madsim))]
pub const ON_OTHER_ENGINES: &[ProtocolEntry] = &[
    ProtocolEntry::on::<Bully, Madsim<<Bully as Protocol>::Node>>(),
    ProtocolEntry::on::<RaftKv, Madsim<<RaftKv as Protocol>::Node>>(),
];
/// Those among them that can run under another engine than the kernel, if this was built with one.
#[cfg(not(all(feature = "madsim", madsim)))]
pub const ON_OTHER_ENGINES: &[ProtocolEntry] = &[];

/// The scenario files of this folder, by name, in order.
static SCENARIOS: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/scenarios.rs"));

/// The names of all scenarios in the catalog, in order.
pub static NAMES: std::sync::LazyLock<Vec<&'static str>> =
    std::sync::LazyLock::new(|| SCENARIOS.iter().map(|(name, _)| *name).collect());

/// Something that is not to be had from the catalog.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// Neither a name nor a file.
    #[error("there is no scenario `{name}`{}; `splitbrain list` shows them all", hint.map_or(String::new(), |hint| format!(" (did you mean `{hint}`?)")))]
    NoSuchScenario {
        /// As given.
        name: String,
        /// The nearest name there is.
        hint: Option<&'static str>,
    },
    /// A file names a protocol that is not there.
    #[error(
        "{}{}: there is no protocol `{protocol}`: expected one of {}",
        file.display(),
        line.map_or(String::new(), |line| format!(":{line}")),
        known.join(", ")
    )]
    NoSuchProtocol {
        /// The file.
        file: PathBuf,
        /// The line, from one, where it is known.
        line: Option<usize>,
        /// As given.
        protocol: String,
        /// Those there are.
        known: Vec<&'static str>,
    },
    /// An engine does not run the protocol of a file.
    #[error("{}: {engine} does not run {protocol}{}", file.display(), if known.is_empty() {
        ": it is not built in, expected kernel".to_owned()
    } else {
        format!(": expected a scenario of {}", known.join(", "))
    })]
    NotOnEngine {
        /// The file.
        file: PathBuf,
        /// As given.
        engine: String,
        /// Of the file.
        protocol: String,
        /// Those that it runs.
        known: Vec<&'static str>,
    },
    /// A scenario that cannot be run.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A replay file that cannot be used.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

/// Every scenario of the catalog, ready to run.
///
/// # Errors
/// The first scenario that is wrong.
pub fn catalog() -> Result<Vec<Box<dyn Case>>, CatalogError> {
    NAMES.iter().map(|name| load(name, &[])).collect()
}

/// A scenario by its name in the catalog or the path of its file, with `key=value` overrides.
///
/// # Errors
/// What is wrong with the name or the file, with its line.
pub fn load(name: &str, sets: &[String]) -> Result<Box<dyn Case>, CatalogError> {
    load_on(KERNEL, name, sets)
}

/// The engine that runs every protocol.
pub const KERNEL: &str = "kernel";

/// The same, to be run by another engine.
///
/// # Errors
/// What is wrong with the name or the file, or what the engine cannot do.
pub fn load_on(engine: &str, name: &str, sets: &[String]) -> Result<Box<dyn Case>, CatalogError> {
    if let Some((name, text)) = SCENARIOS.iter().find(|(known, _)| *known == name) {
        return load_text(
            engine,
            name,
            text,
            Path::new(&format!("scenarios/{name}.toml")),
            sets,
        );
    }
    let file = Path::new(name);
    if !file.exists() && file.extension().is_none_or(|extension| extension != "toml") {
        return Err(CatalogError::NoSuchScenario {
            name: name.to_owned(),
            hint: nearest(name),
        });
    }
    let bytes = read(file).map_err(|source| ScenarioError::Read {
        file: file.to_owned(),
        source,
    })?;
    from_bytes(engine, bytes, file, sets)
}

/// A scenario from what its file holds, with `key=value` overrides.
///
/// # Errors
/// What is wrong with it, with its line.
pub fn scenario_from_bytes(
    bytes: Vec<u8>,
    file: &Path,
    sets: &[String],
) -> Result<Box<dyn Case>, CatalogError> {
    from_bytes(KERNEL, bytes, file, sets)
}

fn from_bytes(
    engine: &str,
    bytes: Vec<u8>,
    file: &Path,
    sets: &[String],
) -> Result<Box<dyn Case>, CatalogError> {
    let text = utf8(bytes).map_err(|line| ScenarioError::Wrong {
        file: file.to_owned(),
        line: Some(line),
        message: "not UTF-8: expected a scenario in TOML".to_owned(),
    })?;
    // The whole path, so that failures of files of the same name do not overwrite each other.
    let name = file.with_extension("").to_string_lossy().into_owned();
    let name = name.trim_start_matches(['.', '/']);
    load_text(engine, name, &text, file, sets)
}

fn load_text(
    engine: &str,
    name: &str,
    text: &str,
    file: &Path,
    sets: &[String],
) -> Result<Box<dyn Case>, CatalogError> {
    let head = scenario::head(text, file)?;
    let entry = entry(engine, &head.protocol, file, Some(head.protocol_line))?;
    Ok(entry.load(name, text, file, sets)?)
}

/// No scenario or replay is larger than this; a device that never ends is.
const FILE_BYTES_MAX: u64 = 64 << 20;

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = fs::File::open(file)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "larger than 64 MiB",
        ));
    }
    Ok(bytes)
}

/// The text, or the line at which it stops being text: a replaced character would be a silent change.
fn utf8(bytes: Vec<u8>) -> Result<String, usize> {
    String::from_utf8(bytes).map_err(|error| {
        let text = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        text.split(|&byte| byte == b'\n').count()
    })
}

fn entry(
    engine: &str,
    protocol: &str,
    file: &Path,
    line: Option<usize>,
) -> Result<&'static ProtocolEntry, CatalogError> {
    let everywhere = PROTOCOLS.iter().find(|entry| entry.name == protocol);
    if engine != KERNEL && everywhere.is_some() {
        let on_it = || {
            ON_OTHER_ENGINES
                .iter()
                .filter(|entry| entry.engine == engine)
        };
        let entry = on_it().find(|entry| entry.name == protocol);
        return entry.ok_or_else(|| CatalogError::NotOnEngine {
            file: file.to_owned(),
            engine: engine.to_owned(),
            protocol: protocol.to_owned(),
            known: on_it().map(|entry| entry.name).collect(),
        });
    }
    everywhere.ok_or_else(|| CatalogError::NoSuchProtocol {
        file: file.to_owned(),
        line,
        // As a literal, and not all of it: it is shown on one line.
        protocol: protocol
            .chars()
            .take(100)
            .flat_map(char::escape_debug)
            .collect(),
        known: PROTOCOLS.iter().map(|entry| entry.name).collect(),
    })
}

/// A replay file, or the folder that holds one.
///
/// # Errors
/// What is wrong with it, with its line.
pub fn load_replay(path: &Path) -> Result<(Box<dyn Case>, Replay), CatalogError> {
    let file = if path.is_dir() {
        path.join("replay.json")
    } else {
        path.to_owned()
    };
    let bytes = read(&file).map_err(|source| ReplayError::Read {
        file: file.clone(),
        source,
    })?;
    replay_from_bytes(bytes, &file)
}

/// A replay from what its file holds.
///
/// # Errors
/// What is wrong with it, with its line.
pub fn replay_from_bytes(
    bytes: Vec<u8>,
    file: &Path,
) -> Result<(Box<dyn Case>, Replay), CatalogError> {
    let text = utf8(bytes).map_err(|line| ReplayError::Wrong {
        file: file.to_owned(),
        line: Some(line),
        message: "not UTF-8: expected a replay file".to_owned(),
    })?;
    let ReplayOf { protocol, engine } = replay::head(&text, file)?;
    let entry = entry(&engine, &protocol, file, None)?;
    Ok(entry.load_replay(&text, file)?)
}

/// The name of the catalog that shares the most with what was typed, if that is at least half of it.
fn nearest(typed: &str) -> Option<&'static str> {
    let pairs =
        |text: &str| -> Vec<(char, char)> { text.chars().zip(text.chars().skip(1)).collect() };
    let wanted = pairs(typed);
    let shared = |name: &str| {
        pairs(name)
            .iter()
            .filter(|pair| wanted.contains(pair))
            .count()
    };
    let best = NAMES.iter().copied().max_by_key(|name| shared(name))?;
    (shared(best) * 2 >= wanted.len().max(1)).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_catalog_can_be_loaded() {
        let names: Vec<String> = catalog()
            .unwrap()
            .iter()
            .map(|case| case.name().to_owned())
            .collect();
        assert_eq!(names, *NAMES);
        assert!(names.contains(&"raft/mixed".to_owned()));
    }

    #[test]
    fn a_typing_error_gets_a_hint() {
        let error = load("raft/mixd", &[]).unwrap_err().to_string();
        assert!(error.contains("did you mean `raft/mixed`?"), "{error}");
        let error = load("jjj", &[]).unwrap_err().to_string();
        assert!(!error.contains("did you mean"), "{error}");
    }
}
