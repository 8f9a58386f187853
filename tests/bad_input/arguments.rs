//! What is wrong on the command line itself.

use super::support::{assert_refused, refused, splitbrain, write};
use serde_json::Value;
use std::ffi::OsStr;
use std::path::Path;
use tempfile::tempdir;

#[test]
fn options() {
    let here = tempdir().unwrap();
    let long = "9".repeat(400);
    #[rustfmt::skip] // A table.
    let refusals: &[(&[&str], &[&str])] = &[
        (&["run"], &["SCENARIO"]),
        (&["rum"], &["'rum'", "'run'"]),
        (&["list", "raft"], &["'raft'"]),
        (&["replay"], &["FILE-OR-FOLDER"]),
        (&["demo", "--json"], &["'--json'"]),
        (&["run", "raft/mixd"], &["no scenario `raft/mixd`", "did you mean `raft/mixed`?", "splitbrain list"]),
        (&["run", ""], &["no scenario ``"]),
        (&["run", "raft/"], &["no scenario `raft/`"]),
        (&["run", "raft/mixed", "raft/nixed"], &["no scenario `raft/nixed`"]),
        (&["run", "raft/mixed", "--sed", "3"], &["'--sed'", "'--seed'"]),
        (&["run", "raft/mixed", "--seed", "x"], &["'x'", "--seed", "expected a number"]),
        (&["run", "raft/mixed", "--seed=-1"], &["'-1'", "expected a number"]),
        (&["run", "raft/mixed", "--seed", "1.5"], &["'1.5'", "expected a number"]),
        (&["run", "raft/mixed", "--seed", &long], &["too large"]),
        (&["run", "raft/mixed", "--seed", "18446744073709551615"], &["expected at most 18446744073709551614"]),
        (&["run", "raft/mixed", "--seed", "1", "--seeds", "1..2"], &["--seed", "--seeds"]),
        (&["run", "raft/mixed", "--seeds", "5..3"], &["no seed from 5 up to 3", "A less than B"]),
        (&["run", "raft/mixed", "--seeds", "5..5"], &["no seed from 5 up to 5", "A less than B"]),
        (&["run", "raft/mixed", "--seeds", "5"], &["expected A..B"]),
        (&["run", "raft/mixed", "--seeds", ".."], &["expected A..B"]),
        (&["run", "raft/mixed", "--seeds", "0..=5"], &["`=5`", "expected A..B"]),
        (&["run", "raft/mixed", "--seeds", "0...5"], &["`.5`", "expected A..B"]),
        (&["run", "raft/mixed", "--seeds", "a..b"], &["`a`", "expected A..B"]),
        (&["run", "raft/mixed", "--seeds=-3..5"], &["`-3`", "expected A..B"]),
        (&["run", "raft/mixed", "--seeds", "0..18446744073709551616"], &["too large", "expected A..B"]),
        (&["run", "raft/mixed", "--jobs", "0"], &["0 is not in 1..=1024"]),
        (&["run", "raft/mixed", "--jobs", "99999"], &["1..=1024"]),
        (&["run", "raft/mixed", "--jobs", "many"], &["'many'", "--jobs"]),
        (&["run", "raft/mixed", "--report-max=-1"], &["'-1'"]),
        (&["run", "raft/mixed", "--for", "0s"], &["'0s'", "--for", "expected more than no time"]),
        (&["run", "raft/mixed", "--for", "10"], &["'10'", "expected a time like 10m"]),
        (&["run", "raft/mixed", "--for=-1m"], &["'-1m'", "expected a time like 10m"]),
        (&["run", "raft/mixed", "--for", "99999999999999999999s"], &["expected a time like 10m"]),
        (&["run", "raft/mixed", "--distinct", "0"], &["'0'", "--distinct"]),
        (&["run", "raft/mixed", "--distinct", "2", "--stop-at-first"], &["--distinct", "--stop-at-first"]),
        (&["run", "raft/mixed", "bully/healthy", "--resume", "file"], &["--resume", "expected one scenario, and there are 2"]),
        (&["run", "raft/mixed", "--resume", "."], &[".: cannot be read: it is not a file"]),
        (&["run", "raft/mixed", "--resume", "no/such/file"], &["no/such/file: cannot be written"]),
        (&["run", "raft/mixed", "--engine", "warp"], &["'warp'", "--engine", "kernel or madsim"]),
        (&["run", "raft/clog", "--engine", "madsim"], &["raft/clog.toml:", "madsim cannot do `clog`"]),
    ];
    for (arguments, expected) in refusals {
        assert_refused(here.path(), arguments, expected);
    }
    let left_behind = here.path().read_dir().unwrap().count();
    assert_eq!(left_behind, 0, "what is refused leaves nothing behind");
}

#[test]
fn overrides() {
    let here = tempdir().unwrap();
    #[rustfmt::skip] // A table.
    let cases = [
        ("cluster", "expected key=value, as in network.loss=1/10"),
        ("", "expected key=value"),
        ("=3", "expected a key"),
        ("cluster.=3", "expected a key"),
        ("cluster.serves=3", "unknown field `serves`, expected `servers` or `clients`"),
        ("clutser.servers=3", "unknown field `clutser`"),
        ("cluster..servers=3", "unknown field ``"),
        ("cluster.servers=0", "0 is out of range: expected 1 to 99"),
        ("cluster.servers=100", "100 is out of range: expected 1 to 99"),
        ("cluster.servers=-5", "-5 is out of range: expected 1 to 99"),
        ("cluster.servers=99999999999999999999", "expected"),
        ("cluster.servers=three", "invalid type: string \"three\""),
        ("cluster.servers=", "invalid type: string \"\""),
        ("cluster=3", "invalid type: integer `3`"),
        ("cluster.servers.x=3", "`servers` is no table or list"),
        ("cluster.clients=0", "expected clients = 1 or more"),
        ("nemesis.99.every=9s", "`99` is no table or list"),
        ("duration=-1s", "`-1s` is not a duration"),
        ("duration=300h", "more than an hour"),
        ("duration=0s", "a run of no time"),
        ("converge_within=0s", "converge_within: nobody converges in no time"),
        ("leader_within=0s", "leader_within: nobody is elected in no time"),
        ("leader_within=11s", "leader_within: a leader is part of converging: expected at most converge_within, which is 10s"),
        ("workload.mix=1/2", "invalid type: string \"1/2\", expected a map"),
        ("workload.mix.dance=1/2", "workload.mix.dance: `dance` is no special operation of raft-kv"),
        ("workload.mix.dance=3/2", "`3/2` is not a probability"),
        ("network.loss=3/2", "`3/2` is not a probability"),
        ("network.loss=1/0", "`1/0` is not a probability"),
        ("network.loss=-1%", "`-1%` is not a probability"),
        ("settings.heartbeat_ms=0", "settings: heartbeat_ms"),
        ("settings.heartbeat_ms=100000", "settings: heartbeat_ms"),
        ("settings.heartbeat=50", "unknown field `heartbeat`"),
        ("checks.skip=[\"linearizabilty\"]", "`linearizabilty` is no property of raft-kv"),
        ("expect.property=split-brain", "go with verdict = \"violation\""),
        ("protocol=bully", "the protocol of a scenario cannot be set"),
    ];
    for (set, expected) in cases {
        let arguments = ["run", "raft/mixed", "--seed", "1", "--set", set];
        let error = refused(here.path(), &arguments);
        // The file is good: it must not get the blame.
        let place = format!("error: --set {set}: ");
        assert!(
            error.starts_with(&place) && error.contains(expected),
            "expected {place}{expected}\nfound    {error}"
        );
    }
    // The second of two scenarios does not take it: neither is run.
    let set = "cluster.clients=2";
    let scenarios = ["run", "raft/healthy", "bully/healthy"];
    let arguments = [&scenarios[..], &["--seed", "1", "--set", set]].concat();
    let expected = "error: --set cluster.clients=2: cluster: bully has no clients";
    assert_refused(here.path(), &arguments, &[expected]);
}

/// A file that cannot be resumed from is never taken for one that is not there.
#[test]
fn files_of_campaigns() {
    let here = tempdir().unwrap();
    let file = here.path().join("campaign.json");
    let run = |more: &[&str]| {
        let run = ["run", "bully/healthy", "--resume", "campaign.json"];
        [&run[..], more]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let begun = splitbrain(here.path(), &run(&["--seeds", "0..5"]));
    assert_eq!(begun.status.code(), Some(0));
    let good = std::fs::read(&file).unwrap();
    let other = "campaign.json: another campaign, which cannot be resumed here: its ";
    #[rustfmt::skip] // A table.
    let others: &[(&[&str], &str)] = &[
        (&["--seeds", "0..6"], "range of seeds is 0..5, and here it is 0..6"),
        (&["--seeds", "1..5"], "range of seeds is 0..5, and here it is 1..5"),
        (&["--seeds", "0..5", "--set", "network.loss=1/100"], "scenario's content (its fingerprint) is "),
        (&["--seeds", "0..5", "--stop-at-first"], "stopping at the first violation is false, and here it is true"),
        (&["--seeds", "0..5", "--distinct", "2"], "number of distinct failures asked for is none, and here it is 2"),
        (&["--seeds", "0..5", "--shrink", "0"], "number of failures told apart is 25, and here it is 0"),
    ];
    for (more, expected) in others {
        let arguments = run(more);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        assert_refused(here.path(), &arguments, &[other, expected]);
    }
    let cluster = [
        "run",
        "raft/healthy",
        "--seeds",
        "0..5",
        "--resume",
        "campaign.json",
    ];
    let expected = "scenario is bully/healthy, and here it is raft/healthy";
    assert_refused(here.path(), &cluster, &[other, expected]);
    let same = run(&["--seeds", "0..5"]);
    let same: Vec<&str> = same.iter().map(String::as_str).collect();
    let format = String::from_utf8(good.clone())
        .unwrap()
        .replace("\"format\":1", "\"format\":7");
    let valid = String::from_utf8(good.clone())
        .unwrap()
        .replace("\"valid\":5", "\"valid\":6");
    for (bytes, expected) in [
        (
            &b""[..],
            "campaign.json:1: not a campaign that can be resumed: EOF",
        ),
        (
            &good[..good.len() / 2],
            "campaign.json:1: not a campaign that can be resumed: EOF",
        ),
        (
            b"\xff\xfe",
            "campaign.json:1: not a campaign that can be resumed: ",
        ),
        (
            b"{}",
            "not a campaign that can be resumed: missing field `format`",
        ),
        (
            format.as_bytes(),
            "campaign.json: a campaign of format 7: expected format 1",
        ),
        (
            valid.as_bytes(),
            "campaign.json: damaged: its checksum does not fit what it says",
        ),
    ] {
        write(&file, bytes);
        assert_refused(here.path(), &same, &[expected]);
        assert_eq!(std::fs::read(&file).unwrap(), bytes, "it is not touched");
    }
    write(&file, &good);
    assert_eq!(splitbrain(here.path(), &same).status.code(), Some(0));
}

/// Where the findings go is found to be wrong only when there is one. It is printed all the same: it may have taken
/// hours.
#[test]
fn a_report_folder_that_cannot_be_written() {
    let here = tempdir().unwrap();
    std::fs::write(here.path().join("file"), "in the way").unwrap();
    let run = ["run", "bully/partition", "--seeds", "1..3", "--json"];
    let output = splitbrain(here.path(), &[&run[..], &["--report", "file"]].concat());
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    let expected = "error: file/bully-partition-1: cannot be written: ";
    assert!(stderr.starts_with(expected), "{stderr}");
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["invalid"], 2);
    assert_eq!(object["failures"][1]["replay"], Value::Null);
}

#[cfg(unix)]
#[test]
fn paths_that_are_not_unicode() {
    use std::os::unix::ffi::OsStrExt as _;
    let here = tempdir().unwrap();
    let name = OsStr::from_bytes(b"f\xffund");
    // Not every file system takes such a name.
    if std::fs::create_dir(here.path().join(name)).is_err() {
        return;
    }
    let run = |arguments: &[&str], last: &OsStr| {
        let mut all: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        all.push(last);
        splitbrain(here.path(), &all)
    };
    let partition = ["run", "bully/partition", "--seed", "1", "--json"];
    let found = run(&[&partition[..], &["--report"]].concat(), name);
    let stderr = String::from_utf8_lossy(&found.stderr);
    assert_eq!(found.status.code(), Some(0), "{stderr}");
    let object: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert!(object["failures"][0]["replay"].is_string(), "{object}");
    let folder = Path::new(name).join("bully-partition-1");
    let replayed = run(&["replay"], folder.as_os_str());
    assert_eq!(replayed.status.code(), Some(1));
    assert_eq!(run(&["run"], name).status.code(), Some(2));
}
