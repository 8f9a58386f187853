//! What git is good at: which files count, and applying a patch.

use anyhow::{Context as _, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Git with an empty repository of its own, which it takes for that of whatever folder it works in.
///
/// So it does the same in a clone, in a folder that is in no repository, and deep in an ignored folder of another one,
/// where `git apply` would otherwise skip every file without a word.
#[derive(Debug)]
pub(crate) struct Git {
    repository: TempDir,
}

impl Git {
    pub(crate) fn new() -> anyhow::Result<Git> {
        let repository = tempfile::tempdir().context("cannot make a temporary folder")?;
        let git = Git { repository };
        git.run(
            git.repository.path(),
            &["init", "--quiet", "--template="],
            None,
        )?;
        Ok(git)
    }

    /// The files of a folder that it does not ignore itself, relative to it.
    pub(crate) fn files(&self, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
        // Only the folder's own `.gitignore` files: what a user ignores everywhere may be what cargo needs.
        let arguments = [
            "ls-files",
            "-z",
            "--others",
            "--exclude-per-directory=.gitignore",
        ];
        let list = String::from_utf8(self.run(folder, &arguments, None)?)
            .with_context(|| format!("a file name in {} is not in UTF-8", folder.display()))?;
        Ok(list.split_terminator('\0').map(PathBuf::from).collect())
    }

    /// An error if a patch would not apply.
    pub(crate) fn check(&self, folder: &Path, patch: &Path) -> anyhow::Result<()> {
        self.run(folder, &["apply", "--check"], Some(patch))
            .map(drop)
    }

    /// Applies a patch.
    pub(crate) fn apply(&self, folder: &Path, patch: &Path) -> anyhow::Result<()> {
        self.run(folder, &["apply", "--whitespace=nowarn"], Some(patch))
            .map(drop)
    }

    fn run(
        &self,
        folder: &Path,
        arguments: &[&str],
        patch: Option<&Path>,
    ) -> anyhow::Result<Vec<u8>> {
        let mut git = Command::new("git");
        // Whoever runs this from a git hook has variables set that point at another repository.
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_"))
        {
            git.env_remove(name);
        }
        git.current_dir(folder).stdin(Stdio::null());
        git.env("GIT_DIR", self.repository.path().join(".git"))
            .env("GIT_WORK_TREE", folder);
        git.args(["-c", "core.autocrlf=false"]).args(arguments);
        if let Some(patch) = patch {
            git.arg("--").arg(std::path::absolute(patch)?);
        }
        let output = git.output().context("cannot run git")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "git {}: {}",
            arguments[0],
            said.trim_end()
        );
        Ok(output.stdout)
    }
}
