//! What is said when something is wrong, and how the client ends.

use super::cluster::{Cluster, SPLITBRAIN, free_address};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn node(config: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(SPLITBRAIN);
    command.args(["node", "--config"]).arg(config).args(more);
    command.output().expect("it runs")
}

/// One error, on one line or with the place in the file, and nothing else.
fn refused(output: &Output, why: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(output.stdout.is_empty() && !said.contains("panicked"));
    assert!(said.starts_with("error: ") && said.contains(why), "{said}");
    assert_eq!(said.matches("error: ").count(), 1, "{said}");
}

#[test]
fn what_is_wrong_with_a_file_is_said_once_and_clearly() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    refused(&node(&file, &[]), "node.toml: No such file");
    let good = "node = \"n1\"\ncluster = \"c\"\ndata = \"d\"\nhttp = \"127.0.0.1:1\"\n\
                [peers]\nn1 = \"127.0.0.1:2\"\nn2 = \"127.0.0.1:3\"\n";
    for (from, to, why) in [
        ("node = \"n1\"", "node = \"one\"", "`one` is not a node"),
        (
            "node = \"n1\"",
            "node = \"n3\"",
            "n3\" is none of the peers",
        ),
        ("cluster = \"c\"\n", "", "missing field `cluster`"),
        ("data", "date", "unknown field `date`"),
        ("127.0.0.1:1\"", "localhost\"", "line 4"),
        ("n2 =", "n3 =", "n2 is missing"),
        ("[peers]", "clients = 0\n[peers]", "clients (0)"),
        ("[peers]", "clients = 513\n[peers]", "clients (513)"),
        (
            "[peers]",
            "raft = { heartbeat_ms = 900 }\n[peers]",
            "heartbeat_ms (900)",
        ),
        (
            "[peers]",
            "raft = { heartbeat = 9 }\n[peers]",
            "unknown field `heartbeat`",
        ),
        (
            "[peers]",
            "raft = { sessions_max = 9 }\n[peers]",
            "sessions_max (9)",
        ),
        ("[peers]", "[peers", "line 5"),
    ] {
        let text = good.replace(from, to);
        assert_ne!(text, good);
        fs::write(&file, text).unwrap();
        refused(&node(&file, &[]), why);
    }
    fs::write(&file, good).unwrap();
    // Said by the parser of arguments, with a hint at the help.
    let usage = node(&file, &["--log", "loud"]);
    let said = String::from_utf8_lossy(&usage.stderr);
    assert!(
        usage.status.code() == Some(2) && said.contains("--log"),
        "{said}"
    );
}

#[test]
fn a_disk_is_formatted_once_used_by_one_and_never_made_up() {
    let mut cluster = Cluster::new(1, "");
    let config = cluster.config(0);
    refused(&node(&config, &["--format"]), "a journal here already");
    cluster.start(0);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(cluster.caught_up(0));
    refused(&node(&config, &[]), "another process uses this journal");
    cluster.kill(0);
    let journal = cluster.journal(0);
    fs::write(&journal, b"dear diary").unwrap();
    refused(&node(&config, &[]), "this is no journal");
    fs::remove_file(&journal).unwrap();
    refused(&node(&config, &[]), "--format");
}

#[test]
fn the_client_says_how_it_ended() {
    let mut cluster = Cluster::new(1, "");
    cluster.start(0);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(cluster.caught_up(0));
    let nobody = free_address().to_string();
    let servers = format!("{nobody},{}", cluster.http()[0]);
    let client = |servers: &str, arguments: &[&str]| {
        let mut command = Command::new(SPLITBRAIN);
        command
            .args(["client", "--servers", servers])
            .args(arguments);
        let output = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code().unwrap(), said)
    };
    let transaction = r#"{"compare": [{"keys": {"key": "a"}, "is": "equal", "to": {"value": "1"}}],
                          "then": [{"put": {"key": "a", "value": "2"}}, {"get": {"key": "a"}}]}"#;
    for (arguments, code, says) in [
        (&["get", "a"][..], 1, ""),
        (&["put", "a", "1"], 0, ""),
        (&["get", "a"], 0, "1\n"),
        (&["txn", transaction], 0, r#""succeeded":true"#),
        (&["get", "a"], 0, "2\n"),
        (&["delete", "a"], 0, ""),
        (&["delete", "a"], 1, ""),
        (&["txn", "{"], 2, ""),
        (&["txn", r#"{"then": [{"keep": {"changes": 1}}]}"#], 1, ""),
        (&["status"], 0, r#""role":"leader""#),
    ] {
        let (found, said) = client(&servers, arguments);
        assert_eq!(found, code, "{arguments:?}: {said}");
        assert!(
            said.contains(says) && said.is_empty() == says.is_empty(),
            "{arguments:?}: {said}"
        );
    }
    assert_eq!(client(&nobody, &["get", "a"]).0, 1);
    // The server is stopped: it may have heard what is asked.
    cluster.signal(0, "STOP");
    let (code, _) = client(
        &cluster.http()[0],
        &["--timeout-ms", "200", "put", "a", "3"],
    );
    assert_eq!(code, 3);
    cluster.signal(0, "CONT");
    // Told to stop, it does, and says that all is well.
    cluster.signal(0, "TERM");
    let status = runtime.block_on(cluster.ended(0));
    assert_eq!(status.code(), Some(0), "{}", cluster.said(0));
}
