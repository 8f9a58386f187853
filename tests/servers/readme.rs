//! The section of the README about three servers on loopback is run as it stands there, but for the address.

use super::cluster::{PATIENCE, SPLITBRAIN};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

/// The first block of this kind after a heading.
fn block<'a>(text: &'a str, heading: &str, kind: &str) -> &'a str {
    let (_, section) = text.split_once(heading).expect("the heading is there");
    let (_, block) = section
        .split_once(&format!("```{kind}\n"))
        .expect("the block is there");
    block.split_once("```").expect("it ends").0
}

#[test]
fn three_servers_come_up_as_the_readme_says() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = fs::read_to_string(readme).unwrap();
    let mut script = block(&text, "## Three servers", "sh").to_owned();
    // All of 127.0.0.0/8 is this machine. The ports of the README may be in use at the usual address, and are not at this one.
    let [_, a, b, c] = (std::process::id() | 0x10_0000).to_be_bytes();
    script = script.replace("127.0.0.1:", &format!("127.{a}.{b}.{c}:"));
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
    let expected = block(&text, "## Three servers", "text");
    assert_eq!(said, expected, "{wrong}");
}
