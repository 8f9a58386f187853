//! What cargo is asked.

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// How the patched copies are compiled. A campaign is over after seconds, so what counts is the next build: without
/// optimisation across crates or units of code and with what the last build left behind it takes 2 seconds in place of
/// 40, or 14 seconds of one core if the patch changes the layout of a type that everything holds; and seeds run a tenth
/// slower than in the release profile. Less optimisation saves next to nothing. Assertions that only debug builds have
/// stay out: a bug must be caught by its property. All of that is said to cargo here, so that the workspace needs no
/// profile for it.
const PROFILE: &str = "splitbrain-zoo";
const PROFILE_OPTIONS: [&str; 5] = [
    "inherits=\"release\"",
    "lto=\"off\"",
    "codegen-units=16",
    "incremental=true",
    "debug=0",
];

/// Where things are.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// Cargo's target directory.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// The workspace that this program was built from.
    pub(crate) fn of_this_program() -> anyhow::Result<Workspace> {
        #[derive(Deserialize)]
        struct Metadata {
            workspace_root: PathBuf,
            target_directory: PathBuf,
        }
        let mut cargo = cargo(Path::new(env!("CARGO_MANIFEST_DIR")));
        cargo.args(["metadata", "--no-deps", "--format-version=1"]);
        let output = output(&mut cargo)?;
        ensure!(output.status.success(), "cargo metadata: {}", said(&output));
        let metadata: Metadata = serde_json::from_slice(&output.stdout)
            .context("cannot read what cargo metadata says")?;
        Ok(Workspace {
            root: metadata.workspace_root,
            target: metadata.target_directory,
        })
    }
}

/// Builds the program `splitbrain` of a workspace and says where it is.
pub(crate) fn build(workspace: &Path, target: &Path) -> anyhow::Result<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
    }
    let mut cargo = cargo(workspace);
    cargo.args([
        "build",
        "--quiet",
        "--locked",
        "--package=splitbrain-scenarios",
        "--bin=splitbrain",
    ]);
    cargo.args([
        "--message-format=json-render-diagnostics",
        "--profile",
        PROFILE,
    ]);
    for option in PROFILE_OPTIONS {
        cargo
            .arg("--config")
            .arg(format!("profile.{PROFILE}.{option}"));
    }
    cargo.arg("--target-dir").arg(target);
    let output = output(&mut cargo)?;
    ensure!(output.status.success(), "\n{}", said(&output));
    // One message for each crate; only that of the program names one.
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let message: Message =
            serde_json::from_str(line).context("cannot read what cargo build says")?;
        if let Some(executable) = message.executable {
            return Ok(executable);
        }
    }
    bail!("cargo build made no program `splitbrain`")
}

fn cargo(folder: &Path) -> Command {
    // The one that started this program, if one did.
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(folder).stdin(Stdio::null());
    cargo
}

fn output(cargo: &mut Command) -> anyhow::Result<Output> {
    cargo.output().context("cannot run cargo")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr)
        .trim_end()
        .to_owned()
}
