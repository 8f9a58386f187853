//! Replay files that cannot be replayed, or not to what they recorded.

use super::support::{REPLAY, SCENARIO, refused, splitbrain, write};
use serde_json::{Value, json};
use tempfile::tempdir;

fn edited(edit: impl FnOnce(&mut Value)) -> String {
    let mut value: Value = serde_json::from_str(&REPLAY).unwrap();
    edit(&mut value);
    serde_json::to_string_pretty(&value).unwrap()
}

/// The value at this place becomes another one.
fn with(place: &str, value: Value) -> String {
    edited(|file| *file.pointer_mut(place).unwrap() = value)
}

fn without(key: &str) -> String {
    edited(|file| {
        file.as_object_mut().unwrap().remove(key).unwrap();
    })
}

fn with_crash(nodes: &Value, at: &str) -> String {
    let crash = json!({ "at": at, "lasting": "1s", "fault": { "crash": { "nodes": nodes } } });
    with("/faults", json!([crash]))
}

#[test]
fn wrong_files() {
    let here = tempdir().unwrap();
    let half = &REPLAY[..REPLAY.len() / 2];
    let open = "[".repeat(1_000_000);
    #[rustfmt::skip] // A table.
    let cases: Vec<(String, &str)> = vec![
        (String::new(), "expected a replay file of format 1"),
        ("null".to_owned(), "expected a replay file of format 1"),
        ("[]".to_owned(), "expected a replay file of format 1"),
        ("{}".to_owned(), "missing field `format`: expected a replay file of format 1"),
        (SCENARIO.to_owned(), "r.json:1: expected value: expected a replay file of format 1"),
        (half.to_owned(), "EOF while parsing"),
        (REPLAY[..REPLAY.len() - 3].to_owned(), "EOF while parsing an object"),
        (format!("{}}}", *REPLAY), "trailing characters"),
        (open.clone(), "r.json:1: "),
        (format!("{{\"format\":1,\"x\":{open}"), "r.json:1: "),
        (format!("{{\"format\":1,\"scenario\":{{\"protocol\":\"bully\"}},\"faults\":{open}"), "r.json:1: "),
        (format!("{{\"format\":{}", "9".repeat(1_000_000)), "r.json:1: number out of range"),
        // What is in another format may look like anything: only the number counts.
        ("{\"format\": 7}".to_owned(), "r.json: a replay file of format 7: expected format 1"),
        (with("/format", json!(2)), "a replay file of format 2: expected format 1"),
        (with("/format", json!("one")), "invalid type: string \"one\", expected u32"),
        (with("/format", json!(-1)), "invalid value: integer `-1`, expected u32"),
        (edited(|file| file["sed"] = json!(3)), "unknown field `sed`, expected one of"),
        (edited(|file| file["finding"]["wat"] = json!(3)), "unknown field `wat`, expected one of"),
        (without("seed"), "missing field `seed`"),
        (without("faults"), "missing field `faults`"),
        (without("operations"), "missing field `operations`"),
        (with("/operations", json!([{ "at": "1s", "client": 0, "op": { "f": "abdicate" } }])), "operations[0]: op: no operation of bully: unknown variant `abdicate`"),
        (with("/operations", json!([{ "at": "1s", "client": -1, "op": {} }])), "invalid value: integer `-1`, expected u32"),
        (without("scenario"), "missing field `scenario`"),
        (with("/seed", json!(-1)), "invalid value: integer `-1`, expected u64"),
        (with("/seed", json!(1e300)), "invalid type: floating point"),
        (with("/digest", json!("xyz")), "`xyz` is not a digest: expected 16 hexadecimal digits"),
        (with("/digest", json!("12")), "`12` is not a digest: expected 16 hexadecimal digits"),
        (with("/digest", json!("+000000000000012")), "is not a digest"),
        (with("/digest", json!(12)), "invalid type: integer `12`"),
        (with("/scenario/protocol", json!("paxos")), "no protocol `paxos`: expected one of bully, raft-kv"),
        (with("/scenario/protocol", json!("raft-kv")), "unknown field"),
        (with("/scenario/cluster/servers", json!(0)), "0 is out of range: expected 1 to 99"),
        (with("/scenario/cluster/servers", json!(2)), "the cluster has 2 nodes"),
        (with("/scenario/cluster/clients", json!(1)), "scenario.cluster: bully has no clients"),
        (with("/scenario/duration", json!("-1s")), "`-1s` is not a duration"),
        (with("/scenario/duration", json!("1s")), "not before the end of the safety phase, 1s"),
        (with("/scenario/settings/heartbeat_ms", json!(0)), "scenario.settings: heartbeat_ms = 0: expected 1 to 3600000"),
        (with("/faults/0/lasting", json!("0s")), "faults[0]: lasting: expected more than no time"),
        (with("/faults/0/fault", json!({ "meteor": {} })), "unknown variant `meteor`, expected one of"),
        (with_crash(&json!(["n6"]), "1s"), "faults[0]: there is no n6: the cluster has 5 nodes"),
        (with_crash(&json!(["n4294967295"]), "1s"), "there is no n4294967295"),
        (with_crash(&json!(["n99999999999"]), "1s"), "`n99999999999` is not a node: expected n1, n2, n3, .."),
        // Law 8: a replay says who, never "the leader".
        (with_crash(&json!(["leader"]), "1s"), "`leader` is not a node"),
        (with_crash(&json!(["n1"]), "20s"), "faults[0]: at: 20s is not before the end of the safety phase, 20s"),
        (with_crash(&json!(["n1"]), "-1s"), "`-1s` is not a duration"),
    ];
    for (text, expected) in cases {
        write(&here.path().join("r.json"), &text);
        let error = refused(here.path(), &["replay", "r.json"]);
        let start: String = text.chars().take(300).collect();
        assert!(
            error.starts_with("error: r.json:") && error.contains(expected),
            "{start}\nexpected {expected}\nfound    {error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

/// Where the text goes wrong is said as of scenarios: `file:line: what`.
#[test]
fn the_line_is_named() {
    let here = tempdir().unwrap();
    let line_of = |what: &str| {
        let at = REPLAY.find(what).unwrap();
        1 + REPLAY[..at].matches('\n').count()
    };
    let seed = REPLAY.replacen("\"seed\": 1,", "\"seed\": \"x\",", 1);
    let shape = REPLAY.replacen("\"halves\"", "\"thirds\"", 1);
    let mut not_utf8 = REPLAY.clone().into_bytes();
    let in_summary = REPLAY.find("\"summary\": \"").unwrap() + 15;
    not_utf8[in_summary] = 0xff;
    for (bytes, line, expected) in [
        (
            seed.into_bytes(),
            line_of("\"seed\""),
            "invalid type: string \"x\", expected u64",
        ),
        (
            shape.into_bytes(),
            line_of("\"halves\""),
            "unknown variant `thirds`",
        ),
        (
            not_utf8,
            line_of("\"summary\""),
            "not UTF-8: expected a replay file",
        ),
    ] {
        write(&here.path().join("r.json"), bytes);
        let error = refused(here.path(), &["replay", "r.json"]);
        let expected = format!("error: r.json:{line}: {expected}");
        assert!(
            error.starts_with(&expected),
            "expected {expected}\nfound    {error}"
        );
    }
}

#[test]
fn files_that_are_no_replays() {
    let here = tempdir().unwrap();
    std::fs::create_dir(here.path().join("folder")).unwrap();
    let noise = |i: u32| (i.wrapping_mul(2_654_435_761) >> 13) as u8 | 0x80;
    let noise: Vec<u8> = (0..5_000).map(noise).collect();
    std::fs::write(here.path().join("noise"), noise).unwrap();
    for (path, expected) in [
        ("nowhere.json", "nowhere.json: cannot be read: No such file"),
        ("folder", "folder/replay.json: cannot be read: No such file"),
        ("noise", "noise:1: not UTF-8: expected a replay file"),
        ("", "a value is required"),
    ] {
        let error = refused(here.path(), &["replay", path]);
        let expected = format!("error: {expected}");
        assert!(
            error.starts_with(&expected),
            "expected {expected}\nfound    {error}"
        );
    }
}

/// A replay that no longer fits the code says so, instead of passing.
#[test]
fn replays_from_other_code() {
    let here = tempdir().unwrap();
    let replay = |text: String| {
        write(&here.path().join("r.json"), text);
        let output = splitbrain(here.path(), &["replay", "r.json"]);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let (status, stdout, _) = replay(REPLAY.clone());
    assert_eq!(status, Some(1));
    assert!(stdout.contains("\nreproduced; digest "), "{stdout}");

    // The same violation, in another run.
    let (status, stdout, stderr) = replay(with("/digest", json!("00000000000000ff")));
    assert_eq!((status, stderr.as_str()), (Some(1), ""));
    let (by, was) = (
        "\nreproduced, by other code: digest ",
        "not 00000000000000ff, recorded by version ",
    );
    assert!(stdout.contains(by) && stdout.contains(was), "{stdout}");

    // No violation at all, or another one.
    let calm = with("/faults", json!([]));
    let other = with("/finding/property", json!("agreement"));
    for (text, now, recorded) in [
        (calm, "valid", "split-brain"),
        (other, "invalid: split-brain", "agreement"),
    ] {
        let (status, stdout, stderr) = replay(text);
        assert_eq!(status, Some(2), "{stdout}{stderr}");
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
