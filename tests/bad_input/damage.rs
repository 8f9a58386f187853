//! Files as an editor, a disk or a network may damage them. They are loaded and not run: how long a run takes is
//! bounded by what the file says, and a damaged file may say much.

use super::support::{REPLAY, SCENARIO};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestRunner;
use splitbrain_scenarios::{CatalogError, load, load_replay};
use std::io::Write as _;
use std::path::Path;
use tempfile::NamedTempFile;

/// One thing that goes wrong with a file.
#[derive(Clone, Debug)]
enum Damage {
    Truncate(Index),
    FlipBit(Index, u8),
    Insert(Index, Vec<u8>),
    DropLine(Index),
    RepeatLine(Index, Index),
    /// The value at the end of a line becomes another one.
    Value(Index, &'static str),
}

/// Values that somebody, somewhere, has not thought of: as TOML, and most of them as JSON.
#[rustfmt::skip] // A table.
const ODD: &[&str] = &[
    "", "0", "-0", "-1", "1", "99", "100", "4294967296", "9223372036854775807", "-9223372036854775808",
    "18446744073709551615", "18446744073709551616", "0x7fffffffffffffff", "1e308", "1e999", "nan", "-inf", "true", "null",
    "[]", "[[]]", "{}", "[\"\"]", "[\"1s\", \"1s\"]", "\"\"", "\" \"", "\"0s\"", "\"-1s\"", "\"1h\"", "\"1ns\"",
    "\"18446744073709551615s\"", "\"584y\"", "\"1/0\"", "\"0/0\"", "\"4294967295/4294967295\"", "\"n0\"", "\"n4294967295\"",
    "\"n4294967296\"", "\"\\u0000\"", "\"\\ud800\"", "'", "\"\"\"", "1979-05-27T07:32:00Z", "\"\u{202e}\u{1f9e0}\"", "\u{e9}",
];

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    let noise = proptest::collection::vec(any::<u8>(), 1..8);
    prop_oneof![
        1 => at().prop_map(Damage::Truncate),
        1 => (at(), 0..8_u8).prop_map(|(at, bit)| Damage::FlipBit(at, bit)),
        1 => (at(), noise).prop_map(|(at, noise)| Damage::Insert(at, noise)),
        1 => at().prop_map(Damage::DropLine),
        1 => (at(), at()).prop_map(|(from, to)| Damage::RepeatLine(from, to)),
        3 => (at(), select(ODD)).prop_map(|(at, value)| Damage::Value(at, value)),
    ]
}

impl Damage {
    fn done_to(&self, good: &str) -> Vec<u8> {
        let mut bytes = good.as_bytes().to_vec();
        let mut lines: Vec<String> = good.lines().map(str::to_owned).collect();
        match self {
            Damage::Truncate(at) => bytes.truncate(at.index(bytes.len())),
            Damage::FlipBit(at, bit) => *at.get_mut(&mut bytes) ^= 1 << bit,
            Damage::Insert(at, noise) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, noise.iter().copied());
            }
            Damage::DropLine(at) => {
                lines.remove(at.index(lines.len()));
            }
            Damage::RepeatLine(from, to) => {
                let line = from.get(&lines).clone();
                lines.insert(to.index(lines.len()), line);
            }
            Damage::Value(at, value) => {
                let line = at.get_mut(&mut lines);
                let key = line.find([':', '=']).map_or(0, |separator| separator + 1);
                let comma = if line.ends_with(',') { "," } else { "" };
                *line = format!("{} {value}{comma}", &line[..key]);
            }
        }
        match self {
            Damage::Truncate(_) | Damage::FlipBit(..) | Damage::Insert(..) => bytes,
            Damage::DropLine(_) | Damage::RepeatLine(..) | Damage::Value(..) => {
                lines.join("\n").into_bytes()
            }
        }
    }
}

/// Checks many inputs. What fails is made small and shown, so no file needs to remember it.
fn check<S: Strategy>(input: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = ProptestConfig {
        cases: 3_000,
        failure_persistence: None,
        source_file: Some(file!()),
        ..ProptestConfig::default()
    };
    TestRunner::new(config)
        .run(input, test)
        .unwrap_or_else(|failure| panic!("{failure}"));
}

fn scenario_error(bytes: &[u8]) -> Option<String> {
    error_of(bytes, |file| load(file.to_str().unwrap(), &[]).err())
}

fn replay_error(bytes: &[u8]) -> Option<String> {
    error_of(bytes, |file| load_replay(file).err())
}

/// What the error says behind the name of the file.
fn error_of(bytes: &[u8], error: impl FnOnce(&Path) -> Option<CatalogError>) -> Option<String> {
    let mut file = NamedTempFile::with_suffix(".toml").unwrap();
    file.write_all(bytes).unwrap();
    let error = error(file.path())?.to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    let named = error.strip_prefix(file.path().to_str().unwrap());
    let named = named.unwrap_or_else(|| panic!("names no file: {error}"));
    Some(named.to_owned())
}

#[test]
fn noise_is_refused() {
    check(&proptest::collection::vec(any::<u8>(), 0..300), |bytes| {
        prop_assert!(scenario_error(&bytes).is_some());
        prop_assert!(replay_error(&bytes).is_some());
        Ok(())
    });
}

/// Some damage leaves a good scenario. Of all other the error names a line.
#[test]
fn damaged_scenarios_do_no_harm() {
    check(&damage(), |damage| {
        let bytes = damage.done_to(SCENARIO);
        let lines = bytes.split(|&byte| byte == b'\n').count();
        if let Some(error) = scenario_error(&bytes) {
            let line = error
                .strip_prefix(':')
                .and_then(|rest| rest.split_once(": "));
            let line = line.and_then(|(line, _)| line.parse::<usize>().ok());
            let there = line.is_some_and(|line| (1..=lines).contains(&line));
            prop_assert!(there, "no line: {error}");
        }
        Ok(())
    });
}

/// So does some damage to a replay, but none that cuts off its end.
#[test]
fn damaged_replays_do_no_harm() {
    check(&damage(), |damage| {
        let bytes = damage.done_to(&REPLAY);
        let whole = bytes.trim_ascii_end().len() >= REPLAY.trim_end().len();
        let truncated = matches!(damage, Damage::Truncate(_)) && !whole;
        let error = replay_error(&bytes);
        prop_assert!(error.is_some() || !truncated);
        Ok(())
    });
}

#[rustfmt::skip] // A table.
const KEYS: &[&str] = &[
    "", ".", "duration", "cluster.servers", "cluster.clients", "network.loss", "network.latency", "workload.think",
    "nemesis", "nemesis.0.at", "settings.heartbeat_ms", "settings.election_ms_max", "expect.within_seeds", "protocol",
];

/// An override that is refused is blamed itself, never the file.
#[test]
fn any_override_does_no_harm() {
    let input = (select(KEYS), select(ODD), "\\PC{0,4}");
    check(&input, |(key, value, noise)| {
        let sets = [
            format!("{key}={value}"),
            format!("{key}={noise}"),
            format!("{noise}{key}{value}"),
        ];
        for set in sets {
            if let Err(error) = load("raft/mixed", std::slice::from_ref(&set)) {
                let error = error.to_string();
                prop_assert!(error.starts_with("--set "), "{set}: {error}");
            }
        }
        Ok(())
    });
}
