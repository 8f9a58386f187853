//! The canaries: a sample of the bugs in `tests/zoo` is put back and must be caught. `cargo zoo` does it with all of
//! them and says how soon.

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// The sample: an election, a commit and a session. Each of them costs a build.
const SAMPLE: [&str; 3] = ["E1", "L1", "C1"];

/// How a table begins.
const TABLE: &str = "\
| bug | title | source | property | scenario | seeds median | seeds p90 | caught | events median | shrunk to |
|---|---|---|---|---|---:|---:|---:|---:|---:|
";

fn zoo(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_zoo"))
        .args(arguments)
        .output()
        .unwrap()
}

/// Refused with exit status 2, with nothing on standard output and these words on standard error.
#[track_caller]
fn assert_refused(arguments: &[&str], expected: &[&str]) {
    let output = zoo(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(output.stdout.is_empty());
    for expected in expected {
        assert!(
            said.contains(expected),
            "`{expected}` is missing in: {said}"
        );
    }
}

/// A folder with one patch, made of one that is right.
#[track_caller]
fn assert_patch_refused(change: impl Fn(&str) -> String, expected: &[&str]) {
    let good = "\
bug: B1
title: a test
source: nowhere
property: election-safety
scenario: raft/mixed
budget: 10

diff --git a/protocols/lib.rs b/protocols/lib.rs
--- a/protocols/lib.rs
+++ b/protocols/lib.rs
@@ -1 +1 @@
-this is not in that file
+nor is this
";
    let folder = tempfile::tempdir().unwrap();
    let changed = change(good);
    fs::write(folder.path().join("bad.patch"), changed).unwrap();
    assert_refused(&["--dir", folder.path().to_str().unwrap()], expected);
}

#[test]
fn the_sample_is_caught() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("zoo.md");
    let row = "| L9 | t | s | convergence | raft/mixed | 1 | 2 | 3/3 | 20 | 2 |";
    let page = format!("# Bugs\n\n{TABLE}{row}\n\nThat is all.\n");
    fs::write(&file, page).unwrap();
    let file = file.to_str().unwrap();
    let mut arguments = vec!["--masters", "1", "--json", "--write", file];
    arguments.extend(SAMPLE.iter().flat_map(|bug| ["--only", bug]));
    let output = zoo(&arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{said}{}",
        String::from_utf8_lossy(&output.stdout)
    );
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = object["rows"].as_array().unwrap();
    let mut caught: Vec<&str> = rows
        .iter()
        .filter(|row| row["caught"] == true)
        .filter_map(|row| row["bug"].as_str())
        .collect();
    caught.sort_unstable();
    let mut sample = SAMPLE;
    sample.sort_unstable();
    assert_eq!(caught, sample);
    let page = fs::read_to_string(file).unwrap();
    assert!(page.starts_with(&format!("# Bugs\n\n{TABLE}| C1 | ")));
    assert!(page.ends_with("1 to 3.\n\nThat is all.\n"), "{page}");
    let rows: Vec<&str> = page.lines().skip(4).take(4).collect();
    let bugs = ["| C1 | ", "| E1 | ", "| L1 | "];
    assert!(rows.iter().zip(bugs).all(|(row, bug)| row.starts_with(bug)));
    assert_eq!(rows[3], row, "a row that was not asked for stays as it is");
}

#[test]
fn a_page_that_is_not_its_own_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.md");
    let write = ["--only", "E1", "--write", file.to_str().unwrap()];
    for (text, expected) in [
        (
            "# A page\n".to_owned(),
            "page.md: there is no table of canaries in it",
        ),
        (
            format!("{TABLE}| E1 | t | s | p | raft/mixed | 1 | 2 | 4/3 | 20 | 2 |\n"),
            "page.md:3: `caught` is `4/3`: expected how many masters of how many",
        ),
    ] {
        fs::write(&file, &text).unwrap();
        assert_refused(&write, &[expected]);
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
    let missing = folder.path().join("missing/zoo.md");
    assert_refused(
        &["--write", missing.to_str().unwrap()],
        &["there is no folder", "missing"],
    );
}

#[test]
fn a_patch_that_does_not_apply_is_refused() {
    let expected = [
        "bad.patch: the patch of B1 does not apply",
        "error: patch failed: protocols/lib.rs:1",
    ];
    assert_patch_refused(str::to_owned, &expected);
    let no_such_file = |good: &str| good.replace("protocols/lib.rs", "protocols/no.rs");
    assert_patch_refused(
        no_such_file,
        &["the patch of B1 does not apply", "protocols/no.rs"],
    );
    let cut = |good: &str| good.trim_end_matches("+nor is this\n").to_owned();
    assert_patch_refused(cut, &["the patch of B1 does not apply", "corrupt patch"]);
}

#[test]
fn a_bad_header_is_refused_with_its_line() {
    let without = |good: &str| good.replace("bug: B1\n", "");
    assert_patch_refused(without, &["bad.patch:7: the header ends without `bug`"]);
    let unknown = |good: &str| good.replace("budget", "bugdet");
    assert_patch_refused(
        unknown,
        &["bad.patch:6: there is no key `bugdet`: expected one of `bug`, `title`"],
    );
    let no_scenario = |good: &str| good.replace("raft/mixed", "raft/mixd");
    assert_patch_refused(
        no_scenario,
        &[
            "bad.patch:5: there is no scenario `raft/mixd`",
            "`raft/mixed`?",
        ],
    );
    let loud = |good: &str| good.replace("raft/mixed", "bully/partition");
    assert_patch_refused(
        loud,
        &["bad.patch:5: `bully/partition` expects a violation of the correct code"],
    );
}

#[test]
fn a_bug_that_is_not_there_is_refused_with_those_that_are() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("zoo");
    let bugs = SAMPLE.map(|bug| format!(" {bug}"));
    let expected: Vec<&str> = bugs
        .iter()
        .map(String::as_str)
        .chain(["there is no bug `nessie`"])
        .collect();
    assert_refused(&["--only", "nessie"], &expected);
    assert_refused(
        &["--dir", folder.to_str().unwrap(), "--only", "nessie"],
        &expected,
    );
}

#[test]
fn a_folder_without_patches_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert_refused(
        &["--dir", folder.path().to_str().unwrap()],
        &["there is no *.patch in"],
    );
    let missing = folder.path().join("missing");
    assert_refused(
        &["--dir", missing.to_str().unwrap()],
        &["cannot read the folder", "missing"],
    );
}

#[test]
fn numbers_out_of_range_are_refused() {
    assert_refused(&["--masters", "0"], &["0 is not in 1..=1000"]);
    assert_refused(
        &["--budget", "0"],
        &["expected a number of seeds, 1 to 1000000000"],
    );
    assert_refused(&["--jobs", "many"], &["invalid digit"]);
}
