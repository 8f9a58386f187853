//! Histories of any origin: how they are read from files, and written.
//!
//! A file is read as a sequence of [`Record`]s, a piece at a time, without knowing what its operations mean ([`read`()]). What
//! they mean is said by a model: [`CATALOG`] has them by name, and begins a [`Reading`] that takes records for its operations and
//! answers.
//!
//! | format | what |
//! |---|---|
//! | [`jsonl`] | our own: a JSON object a line, with the names of the model |
//! | `json` | Jepsen's `history.json`, or an object a line |
//! | [`edn`] | Jepsen's `history.edn`, Elle's histories, those of Porcupine's key-value store |
//! | [`log`] | the lines of `jepsen.log` |

mod catalog;
mod consistency;
mod dictionary;
pub mod edn;
mod elle;
mod guess;
mod json;
pub mod jsonl;
mod judges;
pub mod log;
mod plain;
mod reading;
mod record;
mod source;
pub mod transactions;
mod value;

pub use catalog::{CATALOG, Known};
pub use consistency::{Consistency, Demand};
pub use dictionary::Fail;
pub use guess::{Misfit, candidates, guess};
pub use plain::jsonl_bars;
pub use reading::{Bar, JudgeError, Judgement, Reading, Statistics, Wrong};
pub use record::{Kind, Record};
use source::Source;
use std::fmt;
use std::io::{self, Read};
pub use value::Value;

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Our own: see [`jsonl`].
    Jsonl,
    /// Jepsen's, in JSON.
    Json,
    /// Jepsen's, Elle's, and that of Porcupine's key-value store, in EDN: see [`edn`].
    Edn,
    /// The lines that Jepsen logs: see [`log`].
    Log,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 4] = [Format::Jsonl, Format::Json, Format::Edn, Format::Log];

    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Jsonl => "jsonl",
            Format::Json => "json",
            Format::Edn => "edn",
            Format::Log => "log",
        }
    }

    /// What these first bytes of a file look like.
    fn of(head: &[u8]) -> Option<Format> {
        let is_log = |line: &[u8]| matches!(log::event(line), Ok(Some(_)));
        let first = head.iter().position(|byte| !byte.is_ascii_whitespace())?;
        let inside = match head[first] {
            b'[' | b'(' => head[first + 1..].trim_ascii_start(),
            _ => &head[first..],
        };
        match inside {
            [b'{', fields @ ..] => match fields.trim_ascii_start() {
                [b'"', ..] => {
                    let object = fields.split(|byte| *byte == b'\n').next().unwrap_or(fields);
                    let native = memchr::memmem::find(object, b"\"time_ns\"").is_some();
                    return Some(if native { Format::Jsonl } else { Format::Json });
                }
                [b':', ..] => return Some(Format::Edn),
                _ => {}
            },
            [b'#' | b';' | b'^', ..] => return Some(Format::Edn),
            _ => {}
        }
        // The last line of the head may be cut off, and is one of many.
        head.split(|byte| *byte == b'\n')
            .any(is_log)
            .then_some(Format::Log)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("line {line}, column {column}: {kind}")]
pub struct FormatError {
    /// From 1.
    pub line: u64,
    /// From 1, in bytes.
    pub column: u64,
    /// What is wrong there.
    pub kind: FormatErrorKind,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum FormatErrorKind {
    /// The input failed.
    #[error("cannot be read: {0}")]
    Io(#[source] io::Error),
    /// Nothing is in it.
    #[error("expected a history, found no event{}", if *.0 == 0 { String::new() } else { format!(" in {} lines", .0) })]
    Empty(u64),
    /// It begins like none of the formats.
    #[error(
        "expected a history as jsonl, json, edn or lines of a Jepsen log, found {0}; say which with --format"
    )]
    Unknown(String),
    /// Something else is there.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What should be there.
        expected: &'static str,
        /// What is.
        found: String,
    },
    /// No JSON object.
    #[error("expected an event as one JSON object: {0}")]
    Syntax(String),
    /// A field is there twice.
    #[error("field `{0}` is there twice")]
    Twice(String),
    /// A field that every event has is missing or of the wrong kind.
    #[error("expected {expected} in the field `{field}`, found {found}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What it holds in a good event.
        expected: &'static str,
        /// What it holds here.
        found: String,
    },
    /// An event that does not end.
    #[error("expected an event of at most {0} MiB")]
    TooLong(usize),
    /// What the reader of the events has against one.
    #[error("{0}")]
    Refused(String),
}

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The form of the file.
    pub format: Format,
    /// How many events clients had.
    pub events: u64,
    /// How many lines or events were none of a client: noise in a log, the doings of a nemesis.
    pub others: u64,
}

/// Reads a file, event by event, up to the end. Without a format, takes the one that it looks like.
///
/// Linear time, and memory for one event and a piece of the file.
///
/// # Errors
/// The first thing that is no event, or that `each` refuses.
pub fn read(
    input: impl Read,
    format: Option<Format>,
    mut each: impl FnMut(Record<'_>) -> Result<(), FormatErrorKind>,
) -> Result<Summary, FormatError> {
    let mut source = Source::new(input);
    source.more()?;
    if source.rest().starts_with(b"\xef\xbb\xbf") {
        source.consume(3);
    }
    let format = match format.or_else(|| Format::of(source.rest())) {
        Some(format) => format,
        None if source.rest().trim_ascii().is_empty() => {
            return Err(source.error(0, FormatErrorKind::Empty(0)));
        }
        None => {
            let found = edn::found(source.rest());
            return Err(source.error(0, FormatErrorKind::Unknown(found)));
        }
    };
    let mut events = 0;
    let count = |record: Record<'_>| {
        events += 1;
        each(record)
    };
    let others = match format {
        Format::Jsonl => json::read(&mut source, true, count),
        Format::Json => json::read(&mut source, false, count),
        Format::Edn => edn::read(&mut source, count),
        Format::Log => log::read(&mut source, count),
    }?;
    if events == 0 {
        return Err(source.error(0, FormatErrorKind::Empty(others)));
    }
    Ok(Summary {
        format,
        events,
        others,
    })
}
