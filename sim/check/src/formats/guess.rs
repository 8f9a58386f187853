//! Which model a history is of, where nobody says so: the first of the [catalog](super::CATALOG) that knows every event.

use super::{CATALOG, Consistency, Fail, FormatErrorKind, Known, Reading, Record};
use std::fmt;

/// A model that a history is not of.
#[derive(Debug)]
pub struct Misfit {
    /// Its name.
    pub model: &'static str,
    /// The line of the first event that it does not know.
    pub line: u64,
    /// Where in that line the event begins, in bytes from 1.
    pub column: u64,
    /// Why not.
    pub kind: FormatErrorKind,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Misfit {
            model,
            line,
            column,
            kind,
        } = self;
        write!(f, "{model}: line {line}, column {column}: {kind}")
    }
}

/// The rows of the catalog that are called so and can be held to this; without a name or a level, all.
pub fn candidates(name: Option<&str>, level: Option<Consistency>) -> Vec<&'static Known> {
    let called = |known: &&Known| {
        name.is_none_or(|name| known.name == name)
            && level.is_none_or(|level| known.levels.contains(&level))
    };
    CATALOG.iter().filter(called).collect()
}

/// Takes the first of these models that knows every event.
///
/// # Errors
/// What each of them does not know, if it is not known to any.
pub fn guess(
    records: &[Record<'_>],
    candidates: impl IntoIterator<Item = &'static Known>,
    fail: Fail,
) -> Result<(&'static Known, Box<dyn Reading>), Vec<Misfit>> {
    let mut misfits = Vec::new();
    for known in candidates {
        let mut reading = known.begin(fail);
        let refused = records
            .iter()
            .find_map(|record| reading.push(record).err().map(|kind| (record, kind)));
        let Some((record, kind)) = refused else {
            return Ok((known, reading));
        };
        misfits.push(Misfit {
            model: known.name,
            line: record.line,
            column: record.column,
            kind,
        });
    }
    Err(misfits)
}
