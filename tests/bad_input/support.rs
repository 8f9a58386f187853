//! Runs commands that must be refused.

use splitbrain::Seed;
use splitbrain::run::{Script, Verdict};
use splitbrain::world::TraceDetail;
use splitbrain_scenarios::load;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

/// A good scenario, one value to a line, to be made bad.
pub(super) const SCENARIO: &str = r#"summary = "a scenario to be made bad"
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

/// A good replay file, as a run writes it.
pub(super) static REPLAY: LazyLock<String> = LazyLock::new(|| {
    let case = load("bully/partition", &[]).unwrap();
    let report = case.run(Seed(1), &Script::DRAWN, Some(TraceDetail::Notes));
    let Verdict::Invalid(finding) = &report.verdict else {
        panic!("bully does not split: {}", report.verdict);
    };
    case.replay_json(&report, finding).unwrap()
});

/// Writes a file anew. Some file systems wait for the disk when a file is cut short and written again, as programs do
/// that care for it.
pub(super) fn write(file: &Path, bytes: impl AsRef<[u8]>) {
    if file.exists() {
        std::fs::remove_file(file).unwrap();
    }
    std::fs::write(file, bytes).unwrap();
}

pub(super) fn splitbrain(folder: &Path, arguments: &[impl AsRef<OsStr>]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_splitbrain"));
    command.args(arguments).current_dir(folder);
    command.stdin(Stdio::null()).output().unwrap()
}

/// Runs a command that must be refused, and returns what it says.
pub(super) fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = splitbrain(folder, arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
    assert!(stderr.starts_with("error: "), "{arguments:?}: {stderr}");
    let errors = stderr.matches("error: ").count();
    assert_eq!(errors, 1, "one is enough, {arguments:?}: {stderr}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(stdout, "", "{arguments:?}");
    stderr
}

/// Runs a command that must be refused with all of these in one error.
pub(super) fn assert_refused(folder: &Path, arguments: &[&str], expected: &[&str]) {
    let error = refused(folder, arguments);
    for expected in expected {
        assert!(
            error.contains(expected),
            "{arguments:?}\nexpected {expected}\nfound    {error}"
        );
    }
}
