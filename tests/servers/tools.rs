//! Programs that a test needs and that are not ours.

use std::io::{Write as _, stderr};
use std::process::Command;

/// Whether it is there. If not, whoever runs the test is told, past what the test harness captures; where everything must run, as in
/// `.ci/run`, which sets `SPLITBRAIN_ALL_TESTS`, that is a failure.
pub(super) fn installed(program: &str, version: &str, package: &str) -> bool {
    let found = Command::new(program).arg(version).output();
    if found.is_ok() {
        return true;
    }
    let words =
        format!("SKIPPED, as `{program}` is not installed (Debian: apt-get install {package})");
    assert!(
        std::env::var_os("SPLITBRAIN_ALL_TESTS").is_none(),
        "{words}"
    );
    let test = std::thread::current();
    let test = test.name().unwrap_or("a test");
    // Nobody could be told that it cannot be told.
    let _ = writeln!(stderr(), "\n*** {test}: {words}\n");
    false
}
