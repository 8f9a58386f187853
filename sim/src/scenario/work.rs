//! How much work the faults of a run are: a typing error in a file must be an error, and not a night.
//!
//! What a fault costs grows with the links that it may touch, and with the other faults that are in force then.

use super::fault::{FaultKind, FaultSpec};
use super::load::Invalid;
use super::spec::ScenarioOf;
use crate::fault::{Fault, Injection};
use crate::span::Span;

/// No scenario may ask for more: faults, times those in force at once, times links. It is minutes at worst.
const MOST: u128 = 1_000_000_000;

/// A replay holds what was drawn, which may be more than what was to be expected.
const MOST_OF_REPLAY: u128 = 10 * MOST;

/// Finds sources of faults that are too much work together.
pub(super) fn validate<S>(scenario: &ScenarioOf<S>) -> Result<(), Invalid> {
    let servers = scenario.cluster.servers.get();
    let nodes = scenario.cluster.nodes();
    let (mut all, mut at_once) = (0, 0);
    for (index, spec) in scenario.nemesis.iter().enumerate() {
        let (count, in_force) = expected(scenario.duration, servers, spec);
        all += count;
        at_once += in_force;
        if work(all, at_once, nodes) > MOST {
            let key = if spec.at.is_some() { "at" } else { "every" };
            return Err(Invalid::new(
                &["nemesis", &index.to_string(), key],
                too_much(all, at_once, nodes),
            ));
        }
    }
    Ok(())
}

/// Says whether a schedule is too much work for a cluster of so many nodes.
pub(crate) fn validate_schedule(faults: &[Injection], nodes: usize) -> Result<(), String> {
    let changes = |injection: &Injection| match &injection.fault {
        Fault::Partition {
            flap: Some(flap), ..
        } => 1 + times(injection.lasting, *flap),
        _ => 1,
    };
    let all = faults.iter().map(changes).sum();
    let begins = faults.iter().map(|injection| (injection.at.0, 1));
    let ends = faults
        .iter()
        .map(|injection| (injection.at.0 + injection.lasting.0, -1));
    let mut edges: Vec<_> = begins.chain(ends).collect();
    edges.sort_unstable();
    let (mut now, mut at_once) = (0_i64, 0_i64);
    for (_, change) in edges {
        now += change;
        at_once = at_once.max(now);
    }
    let at_once = u128::from(at_once.unsigned_abs());
    if work(all, at_once, nodes) > MOST_OF_REPLAY {
        return Err(too_much(all, at_once, nodes));
    }
    Ok(())
}

fn work(all: u128, at_once: u128, nodes: usize) -> u128 {
    let links = (nodes as u128).pow(2);
    all.saturating_mul(at_once).saturating_mul(links)
}

fn too_much(all: u128, at_once: u128, nodes: usize) -> String {
    format!(
        "too much work: about {all} faults, {at_once} of them at once, among {nodes} nodes: expected fewer, shorter or farther apart"
    )
}

/// How often this comes in a run, and how many of it are in force at once, about.
fn expected(duration: Span, servers: usize, spec: &FaultSpec) -> (u128, u128) {
    let lasting = spec.lasting.as_slice().last().copied().unwrap_or_default();
    let (mut count, mut at_once) = match (&spec.at, &spec.every) {
        (Some(at), _) => {
            let count = at.as_slice().len() as u128;
            (count, count)
        }
        (None, Some(every)) => {
            let every = every.as_slice().first().copied().unwrap_or_default();
            let until = spec.until.unwrap_or(duration).min(duration);
            let window = until.0.saturating_sub(spec.from.unwrap_or_default().0);
            let count = 1 + times(Span(window), every);
            (count, count.min(1 + times(lasting, every)))
        }
        (None, None) => (0, 0),
    };
    if spec.spread.is_some() || spec.fault.as_slice().contains(&FaultKind::Swizzle) {
        // One for each victim.
        count *= servers as u128;
        at_once *= servers as u128;
    }
    let flaps = spec.flap.map_or(0, |flap| times(lasting, flap));
    (count * (1 + flaps), at_once)
}

fn times(long: Span, short: Span) -> u128 {
    long.0.as_nanos() / short.0.as_nanos().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(servers: usize, nemesis: &str) -> Result<(), Invalid> {
        let text = format!(
            "summary = 's'\nprotocol = 'p'\nduration = '1h'\ncluster = {{ servers = {servers} }}\n[[nemesis]]\n{nemesis}"
        );
        validate(&toml::from_str::<crate::scenario::Scenario>(&text).unwrap())
    }

    #[test]
    fn what_takes_minutes_is_allowed_and_what_takes_a_night_is_not() {
        let often = "fault = 'pause'\nvictims = 'one'\nevery = '1s'\nlasting = '5s'";
        assert!(check(9, often).is_ok());
        assert!(check(99, often).is_ok());
        for too_much in [
            often.replace("1s", "2ms").replace("5s", "1h"),
            often
                .replace("one", "all")
                .replace("pause", "swizzle")
                .replace("1s", "10ms"),
            "fault = 'partition'\nevery = '1s'\nlasting = '10s'\nflap = '1ms'".to_owned(),
            format!(
                "fault = 'pause'\nvictims = 'one'\nlasting = '1s'\nat = [{}]",
                "'1s',".repeat(10_000)
            ),
        ] {
            let error = check(9, &too_much).unwrap_err().to_string();
            assert!(error.starts_with("nemesis.0."), "{error}");
            assert!(error.contains("too much work"), "{error}");
        }
    }

    #[test]
    fn a_schedule_is_counted_as_it_is() {
        let pause = |at: u64| Injection {
            at: Span::from_millis(at),
            lasting: Span::from_secs(1),
            fault: Fault::Pause { nodes: Vec::new() },
        };
        let apart: Vec<Injection> = (0..10_000).map(|n| pause(n * 1_000)).collect();
        assert_eq!(validate_schedule(&apart, 9), Ok(()));
        let together: Vec<Injection> = (0..20_000).map(|_| pause(0)).collect();
        assert!(validate_schedule(&together, 9).is_err());
    }
}
