//! A copy of the workspace that patches are applied to.

use crate::git::Git;
use crate::patch::Patch;
use anyhow::{Context as _, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The workspace as it was when this was made, and a folder that is made like it again and again.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: PathBuf,
    /// In memory: whoever goes on working in the workspace does not disturb what is measured.
    pristine: BTreeMap<PathBuf, Vec<u8>>,
    git: Git,
}

impl Scratch {
    /// Reads the workspace, except for what it ignores and for `target`. Nothing is written yet.
    pub(crate) fn read(
        workspace: &Path,
        target: &Path,
        folder: PathBuf,
    ) -> anyhow::Result<Scratch> {
        let git = Git::new()?;
        let mut pristine = BTreeMap::new();
        for path in git.files(workspace)? {
            let file = workspace.join(&path);
            if file.is_file() && !file.starts_with(target) {
                let bytes =
                    fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
                pristine.insert(path, bytes);
            }
        }
        Ok(Scratch {
            folder,
            pristine,
            git,
        })
    }

    /// Where the copy is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the copy like the workspace.
    ///
    /// Only files that differ are written, and those as of now: cargo builds again what has changed since, and nothing
    /// else. A file that got its old time back would hide from cargo that a patch was taken out of it.
    pub(crate) fn restore(&self) -> anyhow::Result<()> {
        for path in self.differences()? {
            let file = self.folder.join(&path);
            let done = match self.pristine.get(&path) {
                Some(bytes) => file
                    .parent()
                    .map_or(Ok(()), fs::create_dir_all)
                    .and_then(|()| fs::write(&file, bytes)),
                None => fs::remove_file(&file),
            };
            done.with_context(|| format!("cannot restore {}", file.display()))?;
        }
        Ok(())
    }

    /// An error if the patch does not apply to the workspace. Changes nothing.
    pub(crate) fn check(&self, workspace: &Path, patch: &Patch) -> anyhow::Result<()> {
        self.git
            .check(workspace, &patch.file)
            .with_context(|| does_not_apply(patch))
    }

    /// Applies a patch to the restored copy.
    pub(crate) fn apply(&self, patch: &Patch) -> anyhow::Result<()> {
        self.restore()?;
        self.git
            .apply(&self.folder, &patch.file)
            .with_context(|| does_not_apply(patch))?;
        // Git is content with much; what counts is what is there now. A file that is renamed differs twice.
        let changed = self.differences()?.len();
        ensure!(
            changed >= patch.files.max(1),
            "{}: the patch names {} files, but changes only {changed}",
            patch.file.display(),
            patch.files
        );
        Ok(())
    }

    /// The files in which the copy differs from the workspace: other contents, missing, or too many.
    fn differences(&self) -> anyhow::Result<BTreeSet<PathBuf>> {
        let mut missing: BTreeSet<PathBuf> = self.pristine.keys().cloned().collect();
        let mut differing = BTreeSet::new();
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            let at = self.folder.join(&folder);
            let unreadable = || format!("cannot read {}", at.display());
            fs::create_dir_all(&at).with_context(unreadable)?;
            for entry in fs::read_dir(&at).with_context(unreadable)? {
                let entry = entry.with_context(unreadable)?;
                let path = folder.join(entry.file_name());
                if entry.file_type().with_context(unreadable)?.is_dir() {
                    folders.push(path);
                    continue;
                }
                missing.remove(&path);
                let bytes = fs::read(entry.path())
                    .with_context(|| format!("cannot read {}", path.display()))?;
                if self.pristine.get(&path) != Some(&bytes) {
                    differing.insert(path);
                }
            }
        }
        differing.append(&mut missing);
        Ok(differing)
    }
}

fn does_not_apply(patch: &Patch) -> String {
    format!(
        "{}: the patch of {} does not apply",
        patch.file.display(),
        patch.bug
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::read_folder;
    use tempfile::TempDir;

    const HEADER: &str =
        "bug: B\ntitle: t\nsource: s\nproperty: p\nscenario: raft/mixed\nbudget: 1\n\n";
    const DIFF: &str = "\
diff --git a/src/a.txt b/src/a.txt
--- a/src/a.txt
+++ b/src/a.txt
@@ -1,3 +1,3 @@
 one
-two
+TWO
 three
diff --git a/new.txt b/new.txt
new file mode 100644
--- /dev/null
+++ b/new.txt
@@ -0,0 +1 @@
+new
";

    /// A workspace in which the scratch copy lies, as `target` does in a real one.
    fn workspace() -> (TempDir, Scratch) {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        for (file, text) in [
            ("src/a.txt", "one\ntwo\nthree\n"),
            ("src/b.txt", "b\n"),
            ("junk/c.txt", "c\n"),
            ("target/d.txt", "d\n"),
            (".gitignore", "/junk\n"),
            (".git/HEAD", "ref: refs/heads/main\n"),
        ] {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), text).unwrap();
        }
        let scratch =
            Scratch::read(root, &root.join("target"), root.join("target/zoo/source")).unwrap();
        (temp, scratch)
    }

    fn patch(temp: &TempDir, diff: &str) -> Patch {
        let folder = temp.path().join("patches");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("B.patch"), format!("{HEADER}{diff}")).unwrap();
        read_folder(&folder).unwrap().remove(0)
    }

    fn copied(scratch: &Scratch, file: &str) -> String {
        fs::read_to_string(scratch.folder.join(file)).unwrap_or_else(|_| "nothing".to_owned())
    }

    #[test]
    fn the_copy_holds_what_the_workspace_does_not_ignore() {
        let (_temp, scratch) = workspace();
        let files: Vec<String> = scratch
            .pristine
            .keys()
            .map(|path| path.display().to_string())
            .collect();
        assert_eq!(files, [".gitignore", "src/a.txt", "src/b.txt"]);
        scratch.restore().unwrap();
        assert_eq!(scratch.differences().unwrap(), BTreeSet::new());
        assert_eq!(copied(&scratch, "src/b.txt"), "b\n");
    }

    #[test]
    fn a_patch_is_applied_and_taken_out_again() {
        let (temp, scratch) = workspace();
        let patch = patch(&temp, DIFF);
        scratch.check(temp.path(), &patch).unwrap();
        scratch.apply(&patch).unwrap();
        assert_eq!(copied(&scratch, "src/a.txt"), "one\nTWO\nthree\n");
        assert_eq!(copied(&scratch, "new.txt"), "new\n");
        let untouched = scratch
            .folder
            .join("src/b.txt")
            .metadata()
            .unwrap()
            .modified()
            .unwrap();
        let patched = scratch
            .folder
            .join("src/a.txt")
            .metadata()
            .unwrap()
            .modified()
            .unwrap();
        // Twice: it starts from the pristine state.
        scratch.apply(&patch).unwrap();
        scratch.restore().unwrap();
        assert_eq!(copied(&scratch, "src/a.txt"), "one\ntwo\nthree\n");
        assert_eq!(copied(&scratch, "new.txt"), "nothing");
        let modified = |file| {
            scratch
                .folder
                .join(file)
                .metadata()
                .unwrap()
                .modified()
                .unwrap()
        };
        assert_eq!(modified("src/b.txt"), untouched);
        assert!(modified("src/a.txt") >= patched);
    }

    #[test]
    fn a_patch_that_does_not_apply_is_named() {
        let (temp, scratch) = workspace();
        let patch = patch(&temp, &DIFF.replace("-two", "-zwei"));
        for error in [scratch.check(temp.path(), &patch), scratch.apply(&patch)] {
            let error = format!("{:#}", error.unwrap_err());
            assert!(
                error.contains(
                    "B.patch: the patch of B does not apply: git apply: error: patch failed"
                ),
                "{error}"
            );
        }
    }

    #[test]
    fn a_patch_that_changes_less_than_it_names_is_an_error() {
        let (temp, scratch) = workspace();
        let mode = "diff --git a/src/b.txt b/src/b.txt\nold mode 100644\nnew mode 100755\n";
        let error = scratch.apply(&patch(&temp, mode)).unwrap_err().to_string();
        assert!(
            error.ends_with("the patch names 1 files, but changes only 0"),
            "{error}"
        );
    }
}
