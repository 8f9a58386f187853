//! The values of options, as people type them.

use crate::catalog::{KERNEL, ON_OTHER_ENGINES};
use splitbrain::Seed;
use std::ops::Range;
use std::time::Duration;

pub(super) fn parse_engine(text: &str) -> Result<String, String> {
    let mut known = vec![KERNEL];
    known.extend(ON_OTHER_ENGINES.iter().map(|entry| entry.engine));
    known.dedup();
    if known.contains(&text) {
        Ok(text.to_owned())
    } else if text == "madsim" {
        Err(
            "built without madsim (feature `madsim`, and `--cfg madsim`): expected kernel"
                .to_owned(),
        )
    } else {
        Err(format!("expected {}", known.join(" or ")))
    }
}

pub(super) fn parse_time(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("expected more than no time".to_owned()),
        Ok(time) => Ok(time),
        Err(error) => Err(format!("{error}: expected a time like 10m, 90s or 1h 30m")),
    }
}

pub(super) fn parse_seed(text: &str) -> Result<Seed, String> {
    // The last number is none: a range that ends behind it cannot be written.
    let last = u64::MAX - 1;
    match text.trim().parse::<Seed>() {
        Ok(seed) if seed.0 <= last => Ok(seed),
        Ok(_) => Err(format!("expected at most {last}")),
        Err(error) => Err(format!("{error}: expected a number from 0 to {last}")),
    }
}

pub(super) fn parse_seeds(text: &str) -> Result<Range<u64>, String> {
    let expected = "expected A..B with A less than B, as in 0..1000";
    let (start, end) = text.split_once("..").ok_or(expected)?;
    let seed = |text: &str| {
        text.trim()
            .parse::<Seed>()
            .map_err(|error| format!("`{text}`: {error}; {expected}"))
    };
    let (start, end) = (seed(start)?.0, seed(end)?.0);
    if start >= end {
        return Err(format!(
            "there is no seed from {start} up to {end}: {expected}"
        ));
    }
    Ok(start..end)
}
