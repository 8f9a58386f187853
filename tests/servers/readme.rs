//! The section of the README about three servers on loopback is run as it stands there, but for the address.

use super::cluster::{PATIENCE, SPLITBRAIN};
use super::tools::installed;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

/// All blocks of this kind in the section under a heading, one after the other.
fn blocks(text: &str, heading: &str, kind: &str, most: usize) -> String {
    let (_, section) = text.split_once(heading).expect("the heading is there");
    let section = section.split("\n## ").next().unwrap_or_default();
    let begins = format!("```{kind}\n");
    let found: Vec<&str> = section
        .split(&begins)
        .skip(1)
        .map(|rest| rest.split_once("```").expect("it ends").0)
        .collect();
    assert_eq!(found.len(), 2, "the servers, and then their registry");
    found[..most].concat()
}

#[test]
fn three_servers_come_up_as_the_readme_says() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = fs::read_to_string(readme).unwrap();
    if !installed("curl", "--version", "curl") {
        return;
    }
    let most = if installed("dig", "-v", "bind9-dnsutils") {
        2
    } else {
        1
    };
    let mut script = blocks(&text, "## Three servers", "sh", most);
    // All of 127.0.0.0/8 is this machine. The ports of the README may be in use at the usual address, and are not at this one.
    let [_, a, b, c] = (std::process::id() | 0x10_0000).to_be_bytes();
    script = script.replace("127.0.0.1", &format!("127.{a}.{b}.{c}"));
    let folder = tempfile::tempdir().unwrap();
    // Whoever reads the README has a terminal to stop them with.
    let script = format!("trap 'kill -9 $(jobs -p)' EXIT\nset -e\n{script}");
    let file = folder.path().join("script");
    fs::write(&file, script).unwrap();
    let binaries = folder.path().join("bin");
    fs::create_dir(&binaries).unwrap();
    // The same commands, without the simulator.
    symlink(SPLITBRAIN, binaries.join("splitbrain")).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    // A script that waits for what does not come must fail, and not wait for ever. Its servers end with it.
    let mut shell = Command::new("timeout");
    shell.arg((5 * PATIENCE).as_secs().to_string()).arg("bash");
    shell.arg(&file).current_dir(folder.path());
    shell.env("PATH", format!("{}:{path}", binaries.display()));
    let child = shell
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bash");
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{wrong}");
    let expected = blocks(&text, "## Three servers", "text", most);
    assert_eq!(said, expected, "{wrong}");
}
