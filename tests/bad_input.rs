//! Bad input gets one clear error, which names the file, the line where there is one, and what was expected. Never a
//! panic, never a silent default, nothing on standard output, exit status 2.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};
use splitbrain::Seed;
use splitbrain::run::{Faults, Verdict};
use splitbrain_scenarios::{load, load_replay};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use tempfile::{NamedTempFile, TempDir, tempdir};

fn splitbrain(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_splitbrain"));
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Runs a command that must be refused, and returns what it says.
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = splitbrain(folder, arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
    assert!(stderr.starts_with("error: "), "{arguments:?}: {stderr}");
    assert_eq!(
        stderr.matches("error").count(),
        1,
        "one error is enough, {arguments:?}: {stderr}"
    );
    assert!(!stderr.contains("panicked"), "{arguments:?}: {stderr}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{arguments:?}");
    stderr
}

fn assert_refused(folder: &Path, arguments: &[&str], expected: &[&str]) {
    let error = refused(folder, arguments);
    for expected in expected {
        assert!(
            error.contains(expected),
            "{arguments:?}\nexpected {expected}\nfound    {error}"
        );
    }
}

#[test]
fn arguments() {
    let here = tempdir().unwrap();
    let long = "9".repeat(400);
    let refusals: &[(&[&str], &[&str])] = &[
        (&["run"], &["SCENARIO"]),
        (&["rum"], &["'rum'", "'run'"]),
        (
            &["run", "raft/mixd"],
            &[
                "no scenario `raft/mixd`",
                "did you mean `raft/mixed`?",
                "splitbrain list",
            ],
        ),
        (&["run", ""], &["no scenario ``"]),
        (&["run", "raft/"], &["no scenario `raft/`"]),
        (
            &["run", "raft/mixed", "raft/nixed"],
            &["no scenario `raft/nixed`"],
        ),
        (
            &["run", "raft/mixed", "--sed", "3"],
            &["'--sed'", "'--seed'"],
        ),
        (&["run", "raft/mixed", "--seed", "x"], &["'x'", "--seed"]),
        (&["run", "raft/mixed", "--seed", "-1"], &["-1"]),
        (&["run", "raft/mixed", "--seed", "1.5"], &["'1.5'"]),
        (&["run", "raft/mixed", "--seed", &long], &["too large"]),
        (
            &["run", "raft/mixed", "--seed", "18446744073709551615"],
            &["18446744073709551614"],
        ),
        (
            &["run", "raft/mixed", "--seed", "1", "--seeds", "1..2"],
            &["--seed", "--seeds"],
        ),
        (
            &["run", "raft/mixed", "--seeds", "5..3"],
            &["no seed from 5 up to 3", "A less than B"],
        ),
        (
            &["run", "raft/mixed", "--seeds", "5..5"],
            &["no seed from 5 up to 5", "A less than B"],
        ),
        (&["run", "raft/mixed", "--seeds", "5"], &["expected A..B"]),
        (&["run", "raft/mixed", "--seeds", ".."], &["expected A..B"]),
        (
            &["run", "raft/mixed", "--seeds", "0..=5"],
            &["`=5`", "expected A..B"],
        ),
        (
            &["run", "raft/mixed", "--seeds", "0...5"],
            &["`.5`", "expected A..B"],
        ),
        (
            &["run", "raft/mixed", "--seeds", "a..b"],
            &["`a`", "expected A..B"],
        ),
        (
            &["run", "raft/mixed", "--seeds=-3..5"],
            &["`-3`", "expected A..B"],
        ),
        (
            &["run", "raft/mixed", "--seeds", "0..18446744073709551616"],
            &["too large", "expected A..B"],
        ),
        (&["run", "raft/mixed", "--jobs", "0"], &["'0'", "1..=1024"]),
        (&["run", "raft/mixed", "--jobs", "99999"], &["1..=1024"]),
        (
            &["run", "raft/mixed", "--jobs", "many"],
            &["'many'", "--jobs"],
        ),
        (&["run", "raft/mixed", "--report-max", "-1"], &["-1"]),
        (
            &["run", "raft/mixed", "--engine", "madsim"],
            &["'madsim'", "--engine", "kernel"],
        ),
        (
            &["run", "raft/mixed", "--engine", "warp"],
            &["'warp'", "--engine", "kernel"],
        ),
        (&["list", "raft"], &["'raft'"]),
        (&["replay"], &["FILE-OR-FOLDER"]),
        (&["demo", "--json"], &["'--json'"]),
    ];
    for (arguments, expected) in refusals {
        assert_refused(here.path(), arguments, expected);
    }
    assert_eq!(
        here.path().read_dir().unwrap().count(),
        0,
        "what is refused leaves nothing behind"
    );
}

#[test]
fn overrides() {
    let here = tempdir().unwrap();
    for (set, expected) in [
        ("cluster", "expected key=value"),
        ("", "expected key=value"),
        ("=3", "expected a key"),
        ("cluster.=3", "expected a key"),
        (
            "cluster.serves=3",
            "unknown field `serves`, expected `servers` or `clients`",
        ),
        ("clutser.servers=3", "unknown field `clutser`"),
        ("cluster..servers=3", "unknown field ``"),
        ("cluster.servers=0", "0 is out of range: expected 1 to 99"),
        (
            "cluster.servers=100",
            "100 is out of range: expected 1 to 99",
        ),
        ("cluster.servers=-5", "-5 is out of range: expected 1 to 99"),
        ("cluster.servers=99999999999999999999", "expected"),
        ("cluster.servers=three", "invalid type: string \"three\""),
        ("cluster.servers=", "invalid type: string \"\""),
        ("cluster=3", "invalid type: integer `3`"),
        ("cluster.servers.x=3", "`servers` is not a table"),
        ("cluster.clients=0", "expected clients = 1 or more"),
        ("duration=-1s", "`-1s` is not a duration"),
        ("duration=300h", "more than an hour"),
        ("duration=0s", "a run of no time"),
        ("network.loss=3/2", "`3/2` is not a probability"),
        ("network.loss=1/0", "`1/0` is not a probability"),
        ("network.loss=-1%", "`-1%` is not a probability"),
        ("settings.heartbeat_ms=0", "heartbeat_ms"),
        ("settings.heartbeat_ms=100000", "heartbeat_ms"),
        ("settings.heartbeat=50", "unknown field `heartbeat`"),
        (
            "checks.skip=[\"linearizabilty\"]",
            "`linearizabilty` is no property of raft-kv",
        ),
        (
            "expect.property=split-brain",
            "go with verdict = \"violation\"",
        ),
        ("protocol=bully", "protocol"),
        ("summary=1\nprotocol=2", "--set"),
    ] {
        let arguments = ["run", "raft/mixed", "--seed", "1", "--set", set];
        let error = refused(here.path(), &arguments);
        assert!(
            error.starts_with("error: --set "),
            "it was not the file that was wrong: {error}"
        );
        assert!(
            error.contains(set.lines().next().unwrap_or_default()),
            "{error}"
        );
        assert!(
            error.contains(expected),
            "--set {set}\nexpected {expected}\nfound    {error}"
        );
    }
    // The second of two scenarios does not take it: none of them is run.
    let both = [
        "run",
        "raft/healthy",
        "bully/healthy",
        "--seed",
        "1",
        "--set",
        "cluster.clients=2",
    ];
    assert_refused(
        here.path(),
        &both,
        &["--set cluster.clients=2", "bully has no clients"],
    );
}

/// A good scenario, one value to a line, to be made bad.
const GOOD: &str = r#"summary = "a scenario to be made bad"
protocol = "raft-kv"
duration = "5s"

[cluster]
servers = 3
clients = 2

[network]
latency = { min = "1ms", mean = "5ms" }
loss = "1%"

[workload]
operations = 20
think = "50ms"

[[nemesis]]
fault = "partition"
shape = "halves"
at = "1s"
lasting = "500ms"

[[nemesis]]
fault = "crash"
victims = "one"
every = "2s"
lasting = ["50ms", "1s"]

[require]
ops_ok = 1

[expect]
verdict = "valid"
"#;

fn write(folder: &TempDir, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let file = folder.path().join(name);
    std::fs::write(&file, text).unwrap();
    file
}

#[test]
fn scenario_files() {
    let here = tempdir().unwrap();
    write(&here, "s.toml", GOOD);
    let good = splitbrain(here.path(), &["run", "s.toml", "--seeds", "0..2", "--json"]);
    assert_eq!(
        good.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&good.stderr)
    );

    let deep = format!(
        "\"a scenario to be made bad\"\ndeep = {}",
        "[".repeat(100_000)
    );
    let deep_table = format!(
        "\"x\"\nd = {}{}",
        "{ a = ".repeat(50_000),
        "}".repeat(50_000)
    );
    // The line, what stands there, what is written there instead, and what is said about it.
    let cases: &[(usize, &str, &str, &str)] = &[
        (
            1,
            "summary =",
            "sumary =",
            "unknown field `sumary`, expected one of `summary`",
        ),
        (
            1,
            "summary",
            "summary = 1\nsummary",
            "invalid type: integer `1`, expected a string",
        ),
        (
            1,
            "\"a scenario to be made bad\"",
            "\"a scenario",
            "invalid basic string",
        ),
        (
            1,
            "\"a scenario to be made bad\"",
            "",
            "string values must be quoted",
        ),
        (2, "\"a scenario to be made bad\"", &deep, "recursion"),
        (2, "\"a scenario to be made bad\"", &deep_table, "recursion"),
        (3, "\"5s\"", "\"-5s\"", "`-5s` is not a duration"),
        (
            3,
            "\"5s\"",
            "\"300h\"",
            "`300h` is not a duration (more than an hour): expected one like",
        ),
        (
            3,
            "\"5s\"",
            "\"5 parsecs\"",
            "`5 parsecs` is not a duration",
        ),
        (
            3,
            "\"5s\"",
            "\"99999999999999999999999s\"",
            "is not a duration",
        ),
        (
            3,
            "\"5s\"",
            "\"0s\"",
            "duration: a run of no time proves nothing",
        ),
        (
            3,
            "\"5s\"",
            "5",
            "invalid type: integer `5`, expected a string",
        ),
        (3, "\"5s\"", "1979-05-27", "expected a string"),
        (
            6,
            "servers = 3",
            "serves = 3",
            "unknown field `serves`, expected `servers` or `clients`",
        ),
        (
            6,
            "servers = 3",
            "servers = 0",
            "0 is out of range: expected 1 to 99",
        ),
        (
            6,
            "servers = 3",
            "servers = 100",
            "100 is out of range: expected 1 to 99",
        ),
        (
            6,
            "servers = 3",
            "servers = -3",
            "-3 is out of range: expected 1 to 99",
        ),
        (
            6,
            "servers = 3",
            "servers = \"3\"",
            "invalid type: string \"3\"",
        ),
        (
            6,
            "servers = 3",
            "servers = 3.0",
            "invalid type: floating point `3.0`",
        ),
        (
            6,
            "servers = 3",
            "servers = 99999999999999999999",
            "out of range",
        ),
        (6, "servers = 3", "servers = 1e999", "floating"),
        (
            7,
            "servers = 3",
            "servers = 3\nservers = 3",
            "duplicate key",
        ),
        (
            5,
            "clients = 2",
            "",
            "nobody is there to ask for operations: expected clients = 1 or more",
        ),
        (
            10,
            "mean = \"5ms\"",
            "mean = \"0ms\"",
            "mean 0s is less than min 1ms",
        ),
        (
            10,
            "mean = \"5ms\"",
            "means = \"5ms\"",
            "unknown field `means`",
        ),
        (10, ", mean = \"5ms\"", "", "missing field `mean`"),
        (
            10,
            "mean = \"5ms\"",
            "mean = \"5ms\", tail = \"1%\"",
            "tail_max 0s must be more than 9ms",
        ),
        (
            11,
            "\"1%\"",
            "\"101%\"",
            "`101%` is not a probability: expected one like \"1/100\"",
        ),
        (
            11,
            "\"1%\"",
            "\"4294967296/4294967297\"",
            "is not a probability",
        ),
        (14, "20", "0", "0 is out of range: expected 1 to 1000000"),
        (
            14,
            "20",
            "10_000_000",
            "10000000 is out of range: expected 1 to 1000000",
        ),
        (
            18,
            "\"partition\"",
            "\"meteor\"",
            "unknown variant `meteor`, expected one of `partition`, `crash`, `pause`",
        ),
        (
            19,
            "\"halves\"",
            "\"thirds\"",
            "unknown variant `thirds`, expected one of `halves`",
        ),
        (
            19,
            "\"halves\"",
            "[]",
            "nemesis.0.shape: expected at least one shape",
        ),
        (
            19,
            "\"halves\"",
            "\"halves\"\nvictims = \"all\"",
            "a partition has one victim",
        ),
        (
            20,
            "\"1s\"",
            "\"5s\"",
            "nemesis.0.at: 5s is not before the end of the safety phase, 5s",
        ),
        (
            20,
            "\"1s\"",
            "[]",
            "nemesis.0.at: expected at least one time",
        ),
        (
            20,
            "\"1s\"",
            "\"1s\"\nevery = \"1s\"",
            "expected either `at` (fixed times) or `every` (random ones)",
        ),
        (
            21,
            "\"500ms\"",
            "\"0s\"",
            "nemesis.0.lasting: expected one duration, or two",
        ),
        (
            25,
            "\"one\"",
            "\"king\"",
            "`king` names no victims: expected one of one, minority",
        ),
        (
            25,
            "\"one\"",
            "\"n6\"",
            "nemesis.1.victims: there is no n6: the cluster has 5 nodes",
        ),
        (25, "\"one\"", "\"n0\"", "`n0` names no victims"),
        (
            26,
            "\"2s\"",
            "\"1us\"",
            "nemesis.1.every: 1us is too often: expected at least 2ms",
        ),
        (
            27,
            "[\"50ms\", \"1s\"]",
            "[\"1s\", \"50ms\"]",
            "of which the first is less",
        ),
        (
            27,
            "[\"50ms\", \"1s\"]",
            "[\"1s\", \"2s\", \"3s\"]",
            "expected one duration, or two",
        ),
        (
            27,
            "[\"50ms\", \"1s\"]",
            "[1, 2]",
            "invalid type: integer `1`",
        ),
        (30, "1", "-1", "invalid value: integer `-1`"),
        (
            33,
            "\"valid\"",
            "\"violated\"",
            "unknown variant `violated`, expected `valid` or `violation`",
        ),
        (
            32,
            "\"valid\"",
            "\"violation\"",
            "needs the `property` that is to be violated",
        ),
        (
            34,
            "\"valid\"",
            "\"violation\"\nproperty = \"split-brain\"",
            "`split-brain` is no property of raft-kv: expected one of",
        ),
        (
            2,
            "raft-kv",
            "paxos",
            "no protocol `paxos`: expected one of bully, raft-kv",
        ),
    ];
    for &(line, good, bad, expected) in cases {
        write(&here, "s.toml", GOOD.replacen(good, bad, 1));
        let shown = |text: &str| text.chars().take(60).collect::<String>();
        let error = refused(here.path(), &["run", "s.toml"]);
        let (place, expected) = (format!("error: s.toml:{line}: "), expected);
        assert!(
            error.starts_with(&place) && error.contains(expected),
            "{} -> {}\nexpected {place}{expected}\nfound    {}",
            shown(good),
            shown(bad),
            error.chars().take(400).collect::<String>()
        );
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn files_that_are_no_scenarios() {
    let here = tempdir().unwrap();
    std::fs::create_dir(here.path().join("folder.toml")).unwrap();
    std::fs::create_dir(here.path().join("folder")).unwrap();
    write(&here, "empty.toml", "");
    write(
        &here,
        "latin1.toml",
        b"summary = \"x\"\nprotocol = \"raft-kv\"\n# \xe9t\xe9\n",
    );
    write(
        &here,
        "binary",
        (0..=255).cycle().take(10_000).collect::<Vec<u8>>(),
    );
    write(
        &here,
        "missing.toml",
        "summary = \"x\"\nprotocol = \"raft-kv\"\n[cluster]\nservers = 3\n",
    );
    for (file, expected) in [
        (
            "nowhere.toml",
            "error: nowhere.toml: cannot be read: No such file",
        ),
        (
            "folder.toml",
            "error: folder.toml: cannot be read: Is a directory",
        ),
        ("folder", "error: folder: cannot be read: Is a directory"),
        ("empty.toml", "error: empty.toml:1: missing field `summary`"),
        (
            "missing.toml",
            "error: missing.toml:1: missing field `duration`",
        ),
        ("latin1.toml", "error: latin1.toml:3: not UTF-8"),
        ("binary", "error: binary:1: not UTF-8"),
    ] {
        let error = refused(here.path(), &["run", file]);
        assert!(
            error.starts_with(expected),
            "{file}\nexpected {expected}\nfound    {error}"
        );
    }
}

/// A replay file, as a run writes it.
static REPLAY: LazyLock<String> = LazyLock::new(|| {
    let case = load("bully/partition", &[]).unwrap();
    let report = case.run(Seed(1), &Faults::Drawn, None);
    let Verdict::Invalid(finding) = &report.verdict else {
        panic!("bully does not split: {}", report.verdict)
    };
    case.replay_json(&report, finding).unwrap()
});

fn edited(edit: impl FnOnce(&mut Value)) -> String {
    let mut value: Value = serde_json::from_str(&REPLAY).unwrap();
    edit(&mut value);
    serde_json::to_string_pretty(&value).unwrap()
}

#[test]
fn replay_files() {
    let here = tempdir().unwrap();
    let text = |text: &str| text.to_owned().into_bytes();
    let edit = |path: &str, value: Value| {
        edited(|file| *file.pointer_mut(path).unwrap() = value).into_bytes()
    };
    let crash = |nodes: Value, at: &str| {
        edit(
            "/schedule",
            json!([{ "at": at, "lasting": "1s", "fault": { "crash": { "nodes": nodes } } }]),
        )
    };
    let unknown_key = edited(|file| file["sed"] = 3.into()).into_bytes();
    let without =
        |key: &str| edited(|file| drop(file.as_object_mut().unwrap().remove(key))).into_bytes();
    let mut not_utf8 = text(&REPLAY);
    let in_summary = REPLAY.find("\"summary\": \"").unwrap() + 15;
    not_utf8[in_summary] = 0xff;
    let line_of_summary = 1 + REPLAY[..in_summary].matches('\n').count();
    let line_of_summary = format!("r.json:{line_of_summary}: not UTF-8");
    let noise = (0..5_000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect::<Vec<u8>>();

    let cases: Vec<(Vec<u8>, &str)> = vec![
        (text(""), "expected a replay file"),
        (text("null"), "expected a replay file"),
        (text("[]"), "expected a replay file"),
        (text("{}"), "missing field `format`"),
        (text(&REPLAY[..REPLAY.len() / 2]), "EOF while parsing"),
        (text(&REPLAY[..REPLAY.len() - 3]), "EOF while parsing"),
        (text(&format!("{}}}", *REPLAY)), "trailing characters"),
        (noise, "not UTF-8"),
        (not_utf8, &line_of_summary),
        (text(GOOD), "expected a replay file"),
        (text(&"[".repeat(1_000_000)), "recursion limit"),
        (
            text(&format!("{{\"format\":1,\"x\":{}", "[".repeat(1_000_000))),
            "r.json:",
        ),
        (
            text(&format!("{{\"format\":{}", "9".repeat(1_000_000))),
            "number out of range",
        ),
        (
            edit("/format", 2.into()),
            "a replay file of format 2: expected format 1",
        ),
        // What comes after format 1 may look like anything.
        (
            text("{\"format\": 7}"),
            "a replay file of format 7: expected format 1",
        ),
        (
            edit("/format", "one".into()),
            "invalid type: string \"one\", expected u32",
        ),
        (edit("/format", (-1).into()), "expected u32"),
        (unknown_key, "unknown field `sed`, expected one of"),
        (without("seed"), "missing field `seed`"),
        (without("schedule"), "missing field `schedule`"),
        (without("scenario"), "missing field `scenario`"),
        (
            edit("/seed", (-1).into()),
            "invalid value: integer `-1`, expected u64",
        ),
        (edit("/seed", json!(1e300)), "invalid type: floating point"),
        (
            edit("/digest", "xyz".into()),
            "`xyz` is not a digest: expected 16 hexadecimal digits",
        ),
        (
            edit("/digest", "12".into()),
            "`12` is not a digest: expected 16 hexadecimal digits",
        ),
        (
            edit("/digest", "+000000000000012".into()),
            "is not a digest",
        ),
        (edit("/digest", 12.into()), "invalid type: integer `12`"),
        (
            edit("/scenario/protocol", "paxos".into()),
            "no protocol `paxos`: expected one of bully, raft-kv",
        ),
        (
            edit("/scenario/protocol", "raft-kv".into()),
            "unknown field",
        ),
        (
            edit("/scenario/cluster/servers", 0.into()),
            "0 is out of range: expected 1 to 99",
        ),
        (
            edit("/scenario/cluster/servers", 2.into()),
            "the cluster has 2 nodes",
        ),
        (
            edit("/scenario/duration", "-1s".into()),
            "`-1s` is not a duration",
        ),
        (
            edit("/scenario/duration", "0s".into()),
            "duration: a run of no time",
        ),
        (
            edit("/scenario/duration", "1s".into()),
            "not before the end of the safety phase, 1s",
        ),
        (
            edit("/scenario/settings", json!({ "heartbeat_ms": 0 })),
            "heartbeat_ms = 0: expected 1 to 3600000",
        ),
        (
            crash(json!(["n6"]), "1s"),
            "schedule[0]: there is no n6: the cluster has 5 nodes",
        ),
        (
            crash(json!(["n4294967295"]), "1s"),
            "there is no n4294967295",
        ),
        (
            crash(json!(["n99999999999"]), "1s"),
            "`n99999999999` is not a node: expected n1, n2, n3, ..",
        ),
        (crash(json!(["leader"]), "1s"), "`leader` is not a node"),
        (
            crash(json!(["n1"]), "20s"),
            "schedule[0]: 20s is not before the end of the safety phase, 20s",
        ),
        (crash(json!(["n1"]), "-1s"), "`-1s` is not a duration"),
        (
            edit("/schedule/0/lasting", "0s".into()),
            "schedule[0]: lasting: expected more than no time",
        ),
        (
            edit("/schedule/0/fault", json!({ "meteor": {} })),
            "unknown variant `meteor`, expected one of",
        ),
    ];
    for (bytes, expected) in cases {
        write(&here, "r.json", &bytes);
        let error = refused(here.path(), &["replay", "r.json"]);
        let start: String = String::from_utf8_lossy(&bytes).chars().take(300).collect();
        assert!(
            error.starts_with("error: r.json"),
            "{start}\nfound    {error}"
        );
        assert!(
            error.contains(expected),
            "{start}\nexpected {expected}\nfound    {error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn files_that_are_no_replays() {
    let here = tempdir().unwrap();
    std::fs::create_dir(here.path().join("folder")).unwrap();
    for (path, expected) in [
        (
            "nowhere.json",
            "error: nowhere.json: cannot be read: No such file",
        ),
        (
            "folder",
            "error: folder/replay.json: cannot be read: No such file",
        ),
        ("", "cannot be read: No such file"),
    ] {
        let error = refused(here.path(), &["replay", path]);
        assert!(
            error.contains(expected),
            "{path}\nexpected {expected}\nfound    {error}"
        );
    }
}

/// A replay that no longer fits the code says so, instead of passing.
#[test]
fn replays_from_other_code() {
    let here = tempdir().unwrap();
    let replay = |text: String| {
        write(&here, "r.json", text);
        let output = splitbrain(here.path(), &["replay", "r.json"]);
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        (output.status.code().unwrap(), stdout, stderr)
    };
    let (status, stdout, _) = replay(REPLAY.clone());
    assert!(
        status == 1 && stdout.contains("\nreproduced; digest "),
        "{stdout}"
    );

    // The same violation in another run.
    let (status, stdout, stderr) =
        replay(edited(|file| file["digest"] = "00000000000000ff".into()));
    assert_eq!((status, stderr.as_str()), (1, ""));
    assert!(
        stdout.contains("\nreproduced, by other code: digest "),
        "{stdout}"
    );
    assert!(
        stdout.contains("not 00000000000000ff, recorded by version "),
        "{stdout}"
    );

    // No violation, or another one.
    let no_faults = edited(|file| file["schedule"] = json!([]));
    let another = edited(|file| file["finding"]["property"] = "agreement".into());
    for (text, now, recorded) in [
        (no_faults, "valid", "split-brain"),
        (another, "invalid: split-brain", "agreement"),
    ] {
        let (status, stdout, stderr) = replay(text);
        assert_eq!(status, 2, "{stdout}{stderr}");
        assert!(!stdout.contains("reproduced"), "{stdout}");
        let expected = format!(
            "error: r.json: a replay from other code: it recorded a violation of {recorded}, and now the run is {now}"
        );
        assert!(
            stderr.starts_with(&expected),
            "expected {expected}\nfound    {stderr}"
        );
    }
}

/// Where to write is the caller's business, and may be as wrong as anything else.
#[test]
fn report_folders() {
    let here = tempdir().unwrap();
    write(&here, "file", "in the way");
    let arguments = [
        "run",
        "bully/partition",
        "--seed",
        "1",
        "--json",
        "--report",
        "file",
    ];
    assert_refused(
        here.path(),
        &arguments,
        &["file/bully-partition-1: cannot be written: "],
    );
}

#[cfg(unix)]
#[test]
fn paths_that_are_not_unicode() {
    use std::os::unix::ffi::OsStrExt as _;
    let here = tempdir().unwrap();
    let name = std::ffi::OsStr::from_bytes(b"f\xffund");
    let run = |arguments: &[&str], last: &std::ffi::OsStr| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_splitbrain"));
        command
            .args(arguments)
            .arg(last)
            .current_dir(here.path())
            .output()
            .unwrap()
    };
    let found = run(
        &[
            "run",
            "bully/partition",
            "--seed",
            "1",
            "--json",
            "--report",
        ],
        name,
    );
    assert_eq!(
        found.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&found.stderr)
    );
    assert!(
        serde_json::from_slice::<Value>(&found.stdout).unwrap()["failures"][0]["replay"]
            .is_string()
    );
    let folder = Path::new(name).join("bully-partition-1");
    assert_eq!(run(&["replay"], folder.as_os_str()).status.code(), Some(1));
    assert_eq!(run(&["run"], name).status.code(), Some(2));
}

/// Loads bytes as a scenario file. An error names the file and fits on one line; a panic fails the test.
fn load_scenario_bytes(bytes: &[u8]) -> Result<(), String> {
    let file = NamedTempFile::with_suffix(".toml").unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let error = load(file.path().to_str().unwrap(), &[])
        .err()
        .map(|error| error.to_string());
    error.map_or(Ok(()), |error| Err(one_line_about(file.path(), &error)))
}

fn load_replay_bytes(bytes: &[u8]) -> Result<(), String> {
    let file = NamedTempFile::with_suffix(".json").unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let error = load_replay(file.path())
        .err()
        .map(|error| error.to_string());
    error.map_or(Ok(()), |error| Err(one_line_about(file.path(), &error)))
}

/// What the error says after the name of the file.
fn one_line_about(file: &Path, error: &str) -> String {
    assert_eq!(error.lines().count(), 1, "{error}");
    let rest = error
        .strip_prefix(file.to_str().unwrap())
        .unwrap_or_else(|| panic!("names no file: {error}"));
    rest.to_owned()
}

/// Values that somebody, somewhere, has forgotten to think of; as TOML, and most of them as JSON too.
const ODD: &[&str] = &[
    "",
    "0",
    "-0",
    "-1",
    "1",
    "99",
    "100",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "1e999",
    "nan",
    "-inf",
    "true",
    "null",
    "[]",
    "[[]]",
    "{}",
    "[\"\"]",
    "[\"1s\", \"1s\"]",
    "\"\"",
    "\" \"",
    "\"0s\"",
    "\"-1s\"",
    "\"1h\"",
    "\"1ns\"",
    "\"18446744073709551615s\"",
    "\"584y\"",
    "\"1/0\"",
    "\"0/0\"",
    "\"4294967295/4294967295\"",
    "\"n0\"",
    "\"n4294967296\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "'",
    "\"\"\"",
    "1979-05-27T07:32:00Z",
    "0x7fffffffffffffff",
    "\"\u{202e}\u{1f9e0}\"",
    "é",
];

/// A file with one thing wrong, as an editor, a disk or a network would do it.
#[derive(Clone, Debug)]
enum Damage {
    Truncate(Index),
    FlipBit(Index, u8),
    Insert(Index, Vec<u8>),
    DropLine(Index),
    RepeatLine(Index, Index),
    /// The value at the end of a line is replaced.
    Value(Index, &'static str),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        at().prop_map(Damage::Truncate),
        (at(), 0..8_u8).prop_map(|(at, bit)| Damage::FlipBit(at, bit)),
        (at(), proptest::collection::vec(any::<u8>(), 1..8))
            .prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        at().prop_map(Damage::DropLine),
        (at(), at()).prop_map(|(from, to)| Damage::RepeatLine(from, to)),
        (at(), select(ODD)).prop_map(|(at, value)| Damage::Value(at, value)),
        (at(), select(ODD)).prop_map(|(at, value)| Damage::Value(at, value)),
    ]
}

fn damaged(good: &str, damage: &Damage) -> Vec<u8> {
    let mut bytes = good.as_bytes().to_vec();
    let mut lines: Vec<&str> = good.lines().collect();
    let replaced;
    match damage {
        Damage::Truncate(at) => {
            bytes.truncate(at.index(bytes.len()));
            return bytes;
        }
        Damage::FlipBit(at, bit) => {
            *at.get_mut(&mut bytes) ^= 1 << bit;
            return bytes;
        }
        Damage::Insert(at, noise) => {
            let at = at.index(bytes.len());
            bytes.splice(at..at, noise.iter().copied());
            return bytes;
        }
        Damage::DropLine(at) => drop(lines.remove(at.index(lines.len()))),
        Damage::RepeatLine(from, to) => {
            let line = *from.get(&lines);
            lines.insert(to.index(lines.len()), line);
        }
        Damage::Value(at, value) => {
            let line = at.get_mut(&mut lines);
            let end = line.find([':', '=']).map_or(0, |separator| separator + 1);
            let comma = if line.ends_with(',') { "," } else { "" };
            replaced = format!("{} {value}{comma}", &line[..end]);
            *line = &replaced;
        }
    }
    lines.join("\n").into_bytes()
}

proptest! {
    // Damage is cheap to load; failures are minimised and shown, and need no file that remembers them.
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(load_scenario_bytes(&bytes).is_err());
        prop_assert!(load_replay_bytes(&bytes).is_err());
    }

    /// Damage that leaves a good scenario is fine. Otherwise the error names a line.
    #[test]
    fn damaged_scenarios_do_no_harm(damage in damage()) {
        if let Err(error) = load_scenario_bytes(&damaged(GOOD, &damage)) {
            let line = error.strip_prefix(':').and_then(|rest| rest.split_once(": "));
            let line = line.and_then(|(line, _)| line.parse::<usize>().ok());
            prop_assert!(line.is_some_and(|line| line <= GOOD.lines().count() + 3), "no line: {error}");
        }
    }

    #[test]
    fn damaged_replays_do_no_harm(damage in damage()) {
        let truncated = matches!(&damage, Damage::Truncate(at) if at.index(REPLAY.len()) + 1 < REPLAY.len());
        let loaded = load_replay_bytes(&damaged(&REPLAY, &damage));
        prop_assert!(loaded.is_err() || !truncated);
    }

    #[test]
    fn any_override_does_no_harm(
        key in select(&["", "duration", "cluster.servers", "network.loss", "network.latency", "workload.think", "nemesis",
            "nemesis.0.at", "settings.heartbeat_ms", "settings.election_ms_max", "expect.within_seeds", "protocol", "."][..]),
        value in select(ODD),
        noise in "\\PC{0,4}",
    ) {
        for set in [format!("{key}={value}"), format!("{key}={noise}"), format!("{noise}{key}{value}")] {
            if let Err(error) = load("raft/mixed", std::slice::from_ref(&set)) {
                prop_assert!(error.to_string().starts_with("--set "), "{set}: {error}");
            }
        }
    }
}
