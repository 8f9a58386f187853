//! The patch files: a header that says what the bug is and how it is to be caught, then the diff.

use anyhow::{Context as _, bail, ensure};
use splitbrain::scenario::ExpectedVerdict;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// Each of them once, in any order: `key: value`.
const KEYS: [&str; 6] = ["bug", "title", "source", "property", "scenario", "budget"];

/// The most seeds that a series may have: the next series begins there.
pub(crate) const SEEDS_MAX: u64 = 1_000_000_000;

/// A published bug, as a change to the correct code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Patch {
    /// As it was found.
    pub(crate) file: PathBuf,
    /// Its short name, as in `E1`.
    pub(crate) bug: String,
    /// What goes wrong, in words.
    pub(crate) title: String,
    /// Where it was published.
    pub(crate) source: String,
    /// The properties that it may violate. To violate another one is not to be caught.
    pub(crate) properties: Vec<String>,
    /// The scenario that should find it: a name of the catalog or a TOML file.
    pub(crate) scenario: String,
    /// The line of the header that names the scenario.
    scenario_line: usize,
    /// So many seeds must be enough.
    pub(crate) budget: u64,
    /// How many files the diff changes.
    pub(crate) files: usize,
}

impl Patch {
    fn parse(file: &Path, text: &str) -> anyhow::Result<Patch> {
        let (values, end) = header(file, text)?;
        let value = |key: &str| {
            values.get(key).copied().with_context(|| {
                let keys = KEYS.join("`, `");
                format!(
                    "{}:{end}: the header ends without `{key}`: expected `{keys}`",
                    file.display()
                )
            })
        };
        let (line, bug) = value("bug")?;
        ensure!(
            is_name(bug),
            "{}:{line}: `{bug}`: a bug is named with letters, digits, `-` and `_`",
            file.display()
        );
        let (line, property) = value("property")?;
        let properties: Vec<String> = property.split(',').map(|name| name.trim().into()).collect();
        ensure!(
            properties.iter().all(|name| !name.is_empty()),
            "{}:{line}: expected names of properties with commas between them",
            file.display()
        );
        let (line, budget) = value("budget")?;
        let budget = parse_seeds(budget).map_err(|expected| {
            anyhow::anyhow!("{}:{line}: `{budget}`: {expected}", file.display())
        })?;
        let (scenario_line, scenario) = value("scenario")?;
        Ok(Patch {
            file: file.to_owned(),
            bug: bug.to_owned(),
            title: value("title")?.1.to_owned(),
            source: value("source")?.1.to_owned(),
            properties,
            scenario: scenario.to_owned(),
            scenario_line,
            budget,
            files: files_changed(text),
        })
    }

    /// Where the small run lies that caught it once: in the folder `regressions` beside that of the patch.
    pub(crate) fn regression(&self) -> PathBuf {
        let folder = self
            .file
            .parent()
            .and_then(Path::parent)
            .unwrap_or(Path::new(""));
        folder
            .join("regressions")
            .join(format!("{}.json", self.bug))
    }

    /// What `splitbrain run` is asked for: a TOML file may lie beside the patch, or in the workspace.
    pub(crate) fn scenario_to_run(&self) -> anyhow::Result<PathBuf> {
        let scenario = Path::new(&self.scenario);
        let beside = self.file.parent().unwrap_or(Path::new("")).join(scenario);
        if is_toml(scenario) && beside.is_file() {
            return Ok(std::path::absolute(beside)?);
        }
        Ok(scenario.to_owned())
    }

    /// Says before anything is built whether the scenario is fit to tell the bug from the correct code.
    pub(crate) fn check_scenario(&self, workspace: &Path) -> anyhow::Result<()> {
        let at = || format!("{}:{}", self.file.display(), self.scenario_line);
        let mut scenario = self.scenario_to_run()?;
        if is_toml(&scenario) {
            scenario = workspace.join(scenario);
        }
        let scenario =
            splitbrain_scenarios::load(&scenario.to_string_lossy(), &[]).with_context(at)?;
        ensure!(
            scenario.expect().verdict == ExpectedVerdict::Valid,
            "{}: `{}` expects a violation of the correct code: expected a scenario in which that is silent",
            at(),
            self.scenario
        );
        Ok(())
    }
}

/// Whether a bug may be called that.
pub(crate) fn is_name(bug: &str) -> bool {
    !bug.is_empty()
        && bug
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
}

/// Where a bug stands among others: a family is a letter or more, and its bugs are counted, as in `L9` and `L10`.
pub(crate) type Order = (String, u64, String);

/// See [`Order`]. Names that differ in nothing but their case are of the same bug.
pub(crate) fn order(bug: &str) -> Order {
    let bug = bug.to_ascii_uppercase();
    let number = bug.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let family = bug[..bug.len() - number.len()].to_owned();
    let digits = number.trim_end_matches(|c: char| !c.is_ascii_digit());
    (family, digits.parse().unwrap_or(u64::MAX), bug)
}

fn is_toml(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("toml"))
}

/// A number of seeds, of a header or of the command line.
pub(crate) fn parse_seeds(text: &str) -> Result<u64, String> {
    let seeds = text
        .parse()
        .ok()
        .filter(|seeds| (1..=SEEDS_MAX).contains(seeds));
    seeds.ok_or_else(|| format!("expected a number of seeds, 1 to {SEEDS_MAX}"))
}

/// The values of a header by their keys, each with its line.
type Values<'a> = BTreeMap<&'a str, (usize, &'a str)>;

/// What the header says, and the line where it ends.
fn header<'a>(file: &Path, text: &'a str) -> anyhow::Result<(Values<'a>, usize)> {
    let mut values = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.starts_with("diff --git ") || line.starts_with("--- ") {
            return Ok((values, number));
        }
        if line.trim().is_empty() {
            continue;
        }
        let at = format!("{}:{number}", file.display());
        let Some((key, value)) = line.split_once(':') else {
            bail!("{at}: `{line}`: expected `key: value`, or a diff");
        };
        let (key, value) = (key.trim(), value.trim());
        ensure!(
            KEYS.contains(&key),
            "{at}: there is no key `{key}`: expected one of `{}`",
            KEYS.join("`, `")
        );
        ensure!(!value.is_empty(), "{at}: `{key}` has no value");
        if let Some((first, _)) = values.insert(key, (number, value)) {
            bail!("{at}: `{key}` was already given in line {first}");
        }
    }
    bail!(
        "{}: there is no diff: expected a line that starts with `diff --git` or `---`",
        file.display()
    )
}

/// How many files a diff changes. Lines of a hunk start with a blank, `+` or `-`, so that `diff --git` is never one of
/// them; a diff without it is recognised by its three lines of `---`, `+++` and `@@`.
fn files_changed(text: &str) -> usize {
    let sections = text
        .lines()
        .filter(|line| line.starts_with("diff --git "))
        .count();
    if sections > 0 {
        return sections;
    }
    let lines: Vec<&str> = text.lines().collect();
    let starts = |lines: &&[&str]| {
        ["--- ", "+++ ", "@@ "]
            .iter()
            .zip(*lines)
            .all(|(start, line)| line.starts_with(start))
    };
    lines.windows(3).filter(starts).count()
}

/// The patches of a folder, family by family.
pub(crate) fn read_folder(folder: &Path) -> anyhow::Result<Vec<Patch>> {
    let unreadable = || format!("cannot read the folder {}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        if path.extension() == Some(OsStr::new("patch")) {
            files.push(path);
        }
    }
    ensure!(
        !files.is_empty(),
        "there is no *.patch in {}",
        folder.display()
    );
    files.sort();
    let mut patches: Vec<Patch> = Vec::new();
    for file in files {
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let patch = Patch::parse(&file, &text)?;
        if let Some(other) = patches.iter().find(|other| is_named(other, &patch.bug)) {
            bail!(
                "{}: the bug {} is also in {}",
                file.display(),
                patch.bug,
                other.file.display()
            );
        }
        patches.push(patch);
    }
    patches.sort_by_cached_key(|patch| order(&patch.bug));
    Ok(patches)
}

fn is_named(patch: &Patch, bug: &str) -> bool {
    patch.bug.eq_ignore_ascii_case(bug)
}

/// Those that were asked for; all of them, if none was.
pub(crate) fn select(mut patches: Vec<Patch>, only: &[String]) -> anyhow::Result<Vec<Patch>> {
    if let Some(unknown) = only
        .iter()
        .find(|bug| !patches.iter().any(|patch| is_named(patch, bug)))
    {
        let bugs: Vec<&str> = patches.iter().map(|patch| patch.bug.as_str()).collect();
        bail!(
            "there is no bug `{unknown}`: expected one of {}",
            bugs.join(", ")
        );
    }
    patches.retain(|patch| only.is_empty() || only.iter().any(|bug| is_named(patch, bug)));
    Ok(patches)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
bug: E1
title: a vote is forgotten: by a crash
source: somewhere#1

property: election-safety, linearizability
scenario: raft/mixed
budget: 300

diff --git a/x b/x
--- a/x
+++ b/x
@@ -1 +1 @@
-bug: not of the header
+two
diff --git a/y b/y
new file mode 100644
";

    fn parse(text: &str) -> anyhow::Result<Patch> {
        Patch::parse(Path::new("E1.patch"), text)
    }

    #[track_caller]
    fn assert_error(text: &str, expected: &str) {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn a_header_is_read_up_to_the_diff() {
        let patch = parse(GOOD).unwrap();
        assert_eq!(patch.bug, "E1");
        assert_eq!(patch.title, "a vote is forgotten: by a crash");
        assert_eq!(patch.properties, ["election-safety", "linearizability"]);
        assert_eq!(
            (patch.scenario.as_str(), patch.scenario_line),
            ("raft/mixed", 6)
        );
        assert_eq!(patch.budget, 300);
        assert_eq!(patch.files, 2);
    }

    #[test]
    fn a_header_may_have_the_line_ends_of_windows() {
        assert_eq!(
            parse(&GOOD.replace('\n', "\r\n")).unwrap(),
            parse(GOOD).unwrap()
        );
    }

    #[test]
    fn a_diff_without_git_is_counted_too() {
        let (header, _) = GOOD.split_once("diff").unwrap();
        let diff = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-one\n+two\n--- a/y\n+++ b/y\n@@ -1 +1 @@\n--- one\n+++ two\n";
        assert_eq!(parse(&format!("{header}{diff}")).unwrap().files, 2);
    }

    #[test]
    fn each_mistake_is_named_with_its_line() {
        assert_error(
            &GOOD.replace("bug: E1\n", ""),
            "E1.patch:8: the header ends without `bug`: expected",
        );
        assert_error(
            &GOOD.replace("title", "titel"),
            "E1.patch:2: there is no key `titel`: expected one of",
        );
        assert_error(
            &GOOD.replace("title: ", "title "),
            "E1.patch:2: there is no key `title a vote",
        );
        assert_error(
            &GOOD.replace("source: ", "source "),
            "E1.patch:3: `source somewhere#1`: expected `key: value`",
        );
        assert_error(
            &GOOD.replace("raft/mixed", ""),
            "E1.patch:6: `scenario` has no value",
        );
        assert_error(
            &GOOD.replace("source:", "title:"),
            "E1.patch:3: `title` was already given in line 2",
        );
        assert_error(
            &GOOD.replace("bug: E1", "bug: ../E1"),
            "E1.patch:1: `../E1`: a bug is named with",
        );
        assert_error(
            &GOOD.replace("safety,", "safety,,"),
            "E1.patch:5: expected names of properties",
        );
        for budget in ["0", "-1", "many", "1000000001"] {
            let text = GOOD.replace("300", budget);
            assert_error(
                &text,
                &format!("E1.patch:7: `{budget}`: expected a number of seeds, 1 to"),
            );
        }
        assert_error(
            &GOOD[..GOOD.find("diff").unwrap()],
            "E1.patch: there is no diff",
        );
        assert_error("", "E1.patch: there is no diff");
    }

    #[test]
    fn bugs_are_selected_whatever_their_case() {
        let one = parse(GOOD).unwrap();
        let two = Patch {
            bug: "L1".to_owned(),
            ..one.clone()
        };
        let all = || vec![one.clone(), two.clone()];
        let only = |bugs: &[&str]| {
            let bugs: Vec<String> = bugs.iter().map(ToString::to_string).collect();
            select(all(), &bugs)
        };
        assert_eq!(only(&[]).unwrap(), all());
        assert_eq!(only(&["l1", "L1"]).unwrap(), all()[1..]);
        let error = only(&["L1", "L2"]).unwrap_err().to_string();
        assert_eq!(error, "there is no bug `L2`: expected one of E1, L1");
    }

    #[test]
    fn families_are_in_the_order_of_the_letters_and_bugs_are_counted() {
        let mut bugs = ["L10", "l9", "x", "E1b", "L1", "E1", "E-2", "1"];
        bugs.sort_by_cached_key(|bug| order(bug));
        assert_eq!(bugs, ["1", "E1", "E1b", "E-2", "L1", "l9", "L10", "x"]);
        assert_eq!(order("l9"), order("L9"));
    }

    #[test]
    fn a_folder_with_the_same_bug_twice_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            read_folder(folder.path())
                .unwrap_err()
                .to_string()
                .contains("there is no *.patch in")
        );
        fs::write(folder.path().join("a.patch"), GOOD).unwrap();
        fs::write(
            folder.path().join("b.patch"),
            GOOD.replace("bug: E1", "bug: e1"),
        )
        .unwrap();
        let error = read_folder(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("b.patch: the bug e1 is also in") && error.contains("a.patch"),
            "{error}"
        );
    }
}
