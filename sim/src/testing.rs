//! Scenarios as tests: what `cargo test` calls, here and in a user's own crate.

use crate::campaign::{Campaign, Met, Summary, Watch};
use crate::case::Case;
use crate::report::write_failure;
use splitbrain_core::Seed;
use std::env;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

/// Runs this many seeds of a scenario, from zero, and says in words what is wrong if that is not what the scenario
/// expects. The first failing seed is written down below `report_dir`.
///
/// Two environment variables override the seeds: `SPLITBRAIN_SEED=0x2a` runs that one only, and
/// `SPLITBRAIN_SEEDS=1000` (or `=5000..6000`) runs so many.
///
/// # Errors
/// The verdict, the seed, and the commands that show more; or that a variable makes no sense.
pub fn check(case: &dyn Case, seeds: u64, report_dir: &Path) -> Result<Summary, String> {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let seeds = seeds_from(
        seeds,
        variable("SPLITBRAIN_SEED").as_deref(),
        variable("SPLITBRAIN_SEEDS").as_deref(),
    )?;
    let single = seeds.end - seeds.start == 1;
    let summary = Campaign {
        seeds,
        jobs: 1,
        stop_at_first: false,
    }
    .run(case, Watch::nobody());
    let met = match summary.met(case) {
        Met::Yes => return Ok(summary),
        // Of one seed, the expectation can only be that it shows nothing else.
        Met::Unknown(_) if single && summary.invalid == 0 && summary.unknown == 0 => {
            return Ok(summary);
        }
        Met::No(why) | Met::Unknown(why) => why,
    };
    let mut message = format!("{}: {met}", case.name());
    let expected = case.expect().property.as_deref();
    let unexpected = summary
        .failures
        .iter()
        .find(|(_, finding)| Some(finding.property.as_str()) != expected);
    if let Some((seed, finding)) = unexpected {
        let _ = write!(message, "\nseed {seed} violates {}", finding.property);
        match write_failure(report_dir, case, *seed) {
            Ok(Some(written)) => {
                let _ = write!(
                    message,
                    "\n\n{}\nsee {}",
                    written.explanation,
                    written.folder.display()
                );
            }
            Ok(None) => message
                .push_str("\nbut it does not fail a second time: the run is not deterministic"),
            Err(error) => {
                let _ = write!(message, "\n(it could not be written down: {error})");
            }
        }
        let _ = write!(
            message,
            "\nagain: SPLITBRAIN_SEED={:#x} cargo test {}",
            seed.0,
            case.name()
        );
    }
    Err(message)
}

fn seeds_from(default: u64, one: Option<&str>, many: Option<&str>) -> Result<Range<u64>, String> {
    let parse = |name: &str, text: &str| {
        text.trim()
            .parse::<Seed>()
            .map(|seed| seed.0)
            .map_err(|error| format!("{name}={text}: {error}"))
    };
    match (one, many) {
        (Some(one), _) => {
            let seed = parse("SPLITBRAIN_SEED", one)?;
            Ok(seed..seed.saturating_add(1))
        }
        (None, Some(many)) => {
            let (start, end) = many.split_once("..").unwrap_or(("0", many));
            let range = parse("SPLITBRAIN_SEEDS", start)?..parse("SPLITBRAIN_SEEDS", end)?;
            if range.is_empty() {
                Err(format!("SPLITBRAIN_SEEDS={many}: there are no such seeds"))
            } else {
                Ok(range)
            }
        }
        (None, None) => Ok(0..default),
    }
}

#[cfg(test)]
mod tests {
    use super::seeds_from;

    #[test]
    fn the_environment_overrides_the_seeds() {
        assert_eq!(seeds_from(20, None, None), Ok(0..20));
        assert_eq!(seeds_from(20, None, Some("1000")), Ok(0..1000));
        assert_eq!(seeds_from(20, None, Some("0x10..20")), Ok(16..20));
        assert_eq!(seeds_from(20, Some("0x2a"), Some("1000")), Ok(42..43));
        for (one, many) in [
            (Some("x"), None),
            (None, Some("0")),
            (None, Some("9..3")),
            (None, Some("-1")),
        ] {
            let error = seeds_from(20, one, many).unwrap_err();
            assert!(error.contains("SPLITBRAIN_SEED"), "{error}");
        }
    }
}
