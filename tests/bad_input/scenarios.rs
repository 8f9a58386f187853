//! Scenario files that cannot be run.

use super::support::{SCENARIO, refused, splitbrain, write};
use tempfile::tempdir;

#[test]
fn wrong_values() {
    let here = tempdir().unwrap();
    let file = here.path().join("s.toml");
    std::fs::write(&file, SCENARIO).unwrap();
    let good = splitbrain(here.path(), &["run", "s.toml", "--seeds", "0..2"]);
    let stdout = String::from_utf8_lossy(&good.stdout);
    assert_eq!(good.status.code(), Some(0), "{stdout}");

    let summary = "\"a scenario to be made bad\"";
    let deep_list = format!("\"x\"\nd = {}", "[".repeat(100_000));
    let deep_table = format!(
        "\"x\"\nd = {}1{}",
        "{ a = ".repeat(50_000),
        "}".repeat(50_000)
    );
    // The line that must be named; what stands there and what is written instead; what must be said about it.
    #[rustfmt::skip] // A table.
    let cases: &[(usize, &str, &str, &str)] = &[
        (1, "summary =", "sumary =", "unknown field `sumary`, expected one of `summary`"),
        (1, summary, "1", "invalid type: integer `1`, expected a string"),
        (1, summary, "\"a scenario", "invalid basic string"),
        (1, summary, "", "string values must be quoted"),
        (2, summary, &deep_list, "recursion"),
        (2, summary, &deep_table, "recursion"),
        (2, "protocol =", "protocl =", "unknown field `protocl`, expected one of `summary`, `protocol`"),
        (2, "raft-kv", "paxos", "no protocol `paxos`: expected one of bully, raft-kv"),
        (3, "\"5s\"", "\"-5s\"", "`-5s` is not a duration"),
        (3, "\"5s\"", "\"300h\"", "`300h` is not a duration (more than an hour): expected one like"),
        (3, "\"5s\"", "\"5 parsecs\"", "`5 parsecs` is not a duration"),
        (3, "\"5s\"", "\"99999999999999999999999s\"", "is not a duration"),
        (3, "\"5s\"", "\"0s\"", "duration: a run of no time proves nothing"),
        (3, "\"5s\"", "5", "invalid type: integer `5`, expected a string"),
        (3, "\"5s\"", "1979-05-27", "expected a string"),
        (5, "clients = 2", "", "nobody is there to ask for operations: expected clients = 1 or more"),
        (6, "servers = 3", "serves = 3", "unknown field `serves`, expected `servers` or `clients`"),
        (6, "servers = 3", "servers = 0", "0 is out of range: expected 1 to 99"),
        (6, "servers = 3", "servers = 100", "100 is out of range: expected 1 to 99"),
        (6, "servers = 3", "servers = -3", "-3 is out of range: expected 1 to 99"),
        (6, "servers = 3", "servers = \"3\"", "invalid type: string \"3\""),
        (6, "servers = 3", "servers = 3.0", "invalid type: floating point `3.0`"),
        (6, "servers = 3", "servers = 99999999999999999999", "99999999999999999999"),
        (6, "servers = 3", "servers = 1e999", "floating"),
        (7, "servers = 3", "servers = 3\nservers = 3", "duplicate key"),
        (10, "mean = \"5ms\"", "mean = \"0ms\"", "mean 0s is less than min 1ms"),
        (10, "mean = \"5ms\"", "means = \"5ms\"", "unknown field `means`"),
        (10, ", mean = \"5ms\"", "", "missing field `mean`"),
        (10, "mean = \"5ms\"", "mean = \"5ms\", tail = \"1%\"", "tail_max 0s must be more than 9ms"),
        (11, "\"1%\"", "\"101%\"", "`101%` is not a probability: expected one like \"1/100\""),
        (11, "\"1%\"", "\"4294967296/4294967297\"", "is not a probability"),
        (14, "20", "0", "0 is out of range: expected 1 to 1000000"),
        (14, "20", "10_000_000", "10000000 is out of range: expected 1 to 1000000"),
        (18, "\"partition\"", "\"meteor\"", "unknown variant `meteor`, expected one of `partition`, `degrade`, `clog`"),
        (18, "at = \"1s\"", "", "nemesis.0.fault: expected either `at` (fixed times) or `every` (random ones)"),
        (18, "at = \"1s\"", "at = \"1s\"\nevery = \"1s\"", "expected either `at` (fixed times) or `every` (random ones)"),
        (19, "\"halves\"", "\"thirds\"", "unknown variant `thirds`, expected one of `halves`"),
        (19, "\"halves\"", "[]", "nemesis.0.shape: expected at least one shape"),
        (20, "\"halves\"", "\"halves\"\nvictims = \"all\"", "a partition has one victim"),
        (20, "at = \"1s\"", "at = \"5s\"", "nemesis.0.at: 5s is not before the end of the safety phase, 5s"),
        (20, "at = \"1s\"", "at = []", "nemesis.0.at: expected at least one time"),
        (21, "\"500ms\"", "\"0s\"", "nemesis.0.lasting: expected one duration, or two"),
        (25, "\"one\"", "\"king\"", "`king` names no victims: expected one of one, minority"),
        (25, "\"one\"", "\"n6\"", "nemesis.1.victims: there is no n6: the cluster has 5 nodes"),
        (25, "\"one\"", "\"n0\"", "`n0` names no victims"),
        (26, "\"2s\"", "\"1us\"", "nemesis.1.every: 1us is too often: expected at least 2ms"),
        (27, "[\"50ms\", \"1s\"]", "[\"1s\", \"50ms\"]", "of which the first is less"),
        (27, "[\"50ms\", \"1s\"]", "[\"1s\", \"2s\", \"3s\"]", "expected one duration, or two"),
        (27, "[\"50ms\", \"1s\"]", "[1, 2]", "invalid type: integer `1`"),
        (30, "ops_ok = 1", "ops_ok = -1", "invalid value: integer `-1`"),
        (31, "ops_ok = 1", "ops_ok = 1\nprobes = [\"a king was crowned\"]", "`a king was crowned` is no probe of raft-kv: expected one of `an election ended without"),
        (32, "\"valid\"", "\"violation\"", "needs the `property` that is to be violated"),
        (33, "\"valid\"", "\"violated\"", "unknown variant `violated`, expected one of `valid`, `violation`"),
        (34, "\"valid\"", "\"violation\"\nproperty = \"split-brain\"", "`split-brain` is no property of raft-kv: expected one of"),
    ];
    for &(line, good, bad, expected) in cases {
        write(&file, SCENARIO.replacen(good, bad, 1));
        let error = refused(here.path(), &["run", "s.toml"]);
        let place = format!("error: s.toml:{line}: ");
        let bad: String = bad.chars().take(60).collect();
        assert!(
            error.starts_with(&place) && error.contains(expected),
            "{good} -> {bad}\nexpected {place}{expected}\nfound    {error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn files_that_are_no_scenarios() {
    let here = tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| write(&here.path().join(name), bytes);
    std::fs::create_dir(here.path().join("folder.toml")).unwrap();
    std::fs::create_dir(here.path().join("folder")).unwrap();
    write("empty.toml", b"");
    write(
        "latin1.toml",
        b"summary = \"x\"\nprotocol = \"raft-kv\"\n# \xe9t\xe9\n",
    );
    write("half.toml", &SCENARIO.as_bytes()[..SCENARIO.len() / 2]);
    write("missing.toml", b"summary = \"x\"\nprotocol = \"raft-kv\"\n");
    let deep_key = format!("{SCENARIO}{}a = 1\n", "a.".repeat(50_000));
    write("deep_key.toml", deep_key.as_bytes());
    let binary: Vec<u8> = (128..=255).cycle().take(10_000).collect();
    write("binary", &binary);
    #[rustfmt::skip] // A table.
    let cases = [
        ("nowhere.toml", "nowhere.toml: cannot be read: No such file"),
        ("folder.toml", "folder.toml: cannot be read: Is a directory"),
        ("folder", "folder: cannot be read: Is a directory"),
        ("empty.toml", "empty.toml:1: missing field `summary`"),
        ("missing.toml", "missing.toml:1: missing field `duration`"),
        ("half.toml", "half.toml:15: invalid basic string"),
        ("latin1.toml", "latin1.toml:3: not UTF-8: expected a scenario in TOML"),
        ("deep_key.toml", "deep_key.toml: recursion limit"),
        ("binary", "binary:1: not UTF-8"),
    ];
    for (file, expected) in cases {
        let error = refused(here.path(), &["run", file]);
        assert!(
            error.starts_with(&format!("error: {expected}")),
            "{file}\nexpected {expected}\nfound    {error}"
        );
    }
}

/// Bully has no clients, whatever its settings: the cluster gets the blame.
#[test]
fn a_cluster_that_does_not_fit_the_protocol() {
    let here = tempdir().unwrap();
    let scenario = "summary = 'x'\nprotocol = 'bully'\nduration = '5s'\n\n[cluster]\nservers = 3\nclients = 1\n";
    std::fs::write(here.path().join("s.toml"), scenario).unwrap();
    let error = refused(here.path(), &["run", "s.toml"]);
    assert_eq!(
        error,
        "error: s.toml:5: cluster: bully has no clients: operations begin at the members\n"
    );
}
