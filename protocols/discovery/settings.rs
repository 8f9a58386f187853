//! What may be wrong with settings, whatever they are for.

use std::ops::RangeInclusive;

/// No time is larger: an hour in milliseconds. More is a typing mistake.
pub(super) const LARGEST_MS: u64 = 3_600_000;

/// Why something cannot work with its settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// This setting is out of its range.
    #[error("{name} = {value}: expected {least} to {most}")]
    OutOfRange {
        /// Which one.
        name: &'static str,
        /// What it is.
        value: u64,
        /// The least that it may be.
        least: u64,
        /// The most that it may be.
        most: u64,
    },
    /// This setting is larger than another one that it must not exceed.
    #[error("{name} = {value}: expected at most {limit} ({most})")]
    Exceeds {
        /// Which one.
        name: &'static str,
        /// What it is.
        value: u64,
        /// The other one.
        limit: &'static str,
        /// What that one is.
        most: u64,
    },
}

/// Whether a setting is in its range.
pub(super) fn within(
    name: &'static str,
    value: u64,
    range: RangeInclusive<u64>,
) -> Result<(), SettingsError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(SettingsError::OutOfRange {
        name,
        value,
        least: *range.start(),
        most: *range.end(),
    })
}

/// Whether a setting is at most another one.
pub(super) fn at_most(
    (name, value): (&'static str, u64),
    (limit, most): (&'static str, u64),
) -> Result<(), SettingsError> {
    if value <= most {
        return Ok(());
    }
    Err(SettingsError::Exceeds {
        name,
        value,
        limit,
        most,
    })
}
