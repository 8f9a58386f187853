//! The table of the canaries as a page of the project: written by `cargo zoo --write`, row by row.

use crate::patch::{self, Patch};
use crate::row::Row;
use anyhow::{Context as _, bail, ensure};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

const COLUMNS: [&str; 10] = [
    "bug",
    "title",
    "source",
    "property",
    "scenario",
    "seeds median",
    "seeds p90",
    "caught",
    "events median",
    "shrunk to",
];
/// The last five are numbers.
const RULE: &str = "|---|---|---|---|---|---:|---:|---:|---:|---:|";

/// What a page says that did not exist before.
const BEFORE: &str = "\
# The canaries

Is the tester any good? `cargo zoo` puts published bugs of real systems into the correct code, one at a time, and counts the
seeds until each is caught, by a property that it may violate. Every master is a series of seeds of its own; one that did not
catch the bug counts with its whole budget. `events` are those of the runs that caught it; `shrunk to` is how many faults and
operations are left of the first five of them.

The table is written by the command below it; what stands around it is kept.

";

/// How the line begins that says where the table is from.
const MADE: &str = "Made by `cargo zoo ";

/// The cells of a row as they stand in the file.
type Cells = [String; COLUMNS.len()];

/// A Markdown file with the table in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// What somebody wrote above the table.
    before: String,
    rows: BTreeMap<patch::Order, Cells>,
    /// What somebody wrote below the table, and below the line that says where it is from.
    after: String,
}

impl Page {
    /// Reads a page; one that is not there has no rows yet.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Page> {
        match fs::read_to_string(file) {
            Ok(text) => Page::parse(&text, file),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let folder = file.parent().unwrap_or(Path::new(""));
                let there = folder.as_os_str().is_empty() || folder.is_dir();
                ensure!(there, "there is no folder {}", folder.display());
                Ok(Page {
                    before: BEFORE.to_owned(),
                    rows: BTreeMap::new(),
                    after: String::new(),
                })
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
        }
    }

    fn parse(text: &str, file: &Path) -> anyhow::Result<Page> {
        let header = row_text(&COLUMNS.map(str::to_owned));
        let mut lines = (1..).zip(text.lines()).peekable();
        let mut before = String::new();
        loop {
            let Some((_, line)) = lines.next() else {
                // Whatever this file is, it is not ours to write.
                bail!(
                    "{}: there is no table of canaries in it: expected a line `{header}`",
                    file.display()
                );
            };
            if line.trim_end() == header {
                break;
            }
            before.push_str(line);
            before.push('\n');
        }
        let rule = lines.next();
        let at = rule.map_or_else(|| text.lines().count(), |(number, _)| number);
        ensure!(
            rule.is_some_and(|(_, line)| line.trim_end() == RULE),
            "{}:{at}: expected `{RULE}` below the names of the columns",
            file.display()
        );
        let mut rows = BTreeMap::new();
        while let Some((number, line)) = lines.next_if(|(_, line)| line.starts_with('|')) {
            let at = || format!("{}:{number}", file.display());
            let cells = parse_row(line).with_context(at)?;
            let bug = cells[0].clone();
            let known = rows.insert(patch::order(&bug), cells);
            ensure!(known.is_none(), "{}: the bug {bug} has a row above", at());
        }
        let rest: Vec<&str> = lines
            .map(|(_, line)| line)
            .skip_while(|line| line.trim().is_empty() || line.starts_with(MADE))
            .collect();
        let after = rest.iter().flat_map(|line| [line, "\n"]).collect();
        Ok(Page {
            before,
            rows,
            after,
        })
    }

    /// Puts a row into the table, in place of the one that this bug had.
    pub(crate) fn put(&mut self, row: &Row) {
        let cells = row.cells().map(|cell| cell.replace('|', "\\|"));
        self.rows.insert(patch::order(&cells[0]), cells);
    }

    /// Leaves out the rows of bugs that are no more.
    pub(crate) fn retain(&mut self, patches: &[Patch]) {
        self.rows
            .retain(|bug, _| patches.iter().any(|patch| patch::order(&patch.bug) == *bug));
    }

    /// The page as it stands in the file. The command is what the table was made by, as in `--masters 30`.
    fn text(&self, command: &str) -> String {
        let mut text = self.before.clone();
        let header = row_text(&COLUMNS.map(str::to_owned));
        let _ = writeln!(text, "{header}\n{RULE}");
        for cells in self.rows.values() {
            let _ = writeln!(text, "{}", row_text(cells));
        }
        let masters = self.rows.values().filter_map(|cells| masters(cells).ok());
        let masters = masters.map(|(_, masters)| masters);
        let least = masters.clone().min().unwrap_or(0);
        let most = masters.max().unwrap_or(0);
        let masters = if least == most {
            most.to_string()
        } else {
            format!("{least} to {most}")
        };
        let version = env!("CARGO_PKG_VERSION");
        let _ = writeln!(
            text,
            "\n{MADE}{command}`, Splitbrain {version}; masters (series of seeds) of each bug: {masters}."
        );
        if !self.after.is_empty() {
            let _ = write!(text, "\n{}", self.after);
        }
        text
    }

    /// Writes it down, all or nothing.
    pub(crate) fn write(&self, file: &Path, command: &str) -> anyhow::Result<()> {
        let mut beside = file.as_os_str().to_owned();
        beside.push(".new");
        fs::write(&beside, self.text(command))
            .and_then(|()| fs::rename(&beside, file))
            .with_context(|| format!("cannot write {}", file.display()))
    }
}

fn row_text(cells: &Cells) -> String {
    format!("| {} |", cells.join(" | "))
}

/// The cells of a line, if a command may have written it.
fn parse_row(line: &str) -> anyhow::Result<Cells> {
    let inner = line.trim_end().strip_prefix('|');
    let inner = inner.and_then(|line| line.strip_suffix('|'));
    let inner = inner.context("expected a row that begins and ends with `|`")?;
    let cells: Vec<String> = split(inner).map(|cell| cell.trim().to_owned()).collect();
    let found = cells.len();
    let cells: Cells = cells
        .try_into()
        .ok()
        .with_context(|| format!("expected {} cells, and there are {found}", COLUMNS.len()))?;
    for (cell, column) in cells.iter().zip(COLUMNS) {
        ensure!(!cell.is_empty(), "`{column}` is empty");
    }
    let [bug, _, _, property, _, median, p90, _, events, shrunk] = &cells;
    ensure!(
        patch::is_name(bug),
        "`{bug}`: a bug is named with letters, digits, `-` and `_`"
    );
    let (caught_in, _) = masters(&cells)?;
    let median = number("seeds median", median)?;
    let p90 = number("seeds p90", p90)?;
    ensure!(
        1 <= median && median <= p90,
        "the median {median} and the p90 {p90} cannot be of the same seeds"
    );
    for (column, cell) in [("events median", events), ("shrunk to", shrunk)] {
        if cell != "-" {
            number(column, cell)?;
        }
    }
    for (column, cell) in [("property", property), ("events median", events)] {
        ensure!(
            (cell == "-") == (caught_in == 0),
            "`{column}` is `{cell}`, and {caught_in} masters caught the bug"
        );
    }
    Ok(cells)
}

/// The parts between bars. A bar behind a backslash is one of the text.
fn split(line: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    line.split(move |c| {
        let bar = c == '|' && !escaped;
        escaped = c == '\\';
        bar
    })
}

fn number(column: &str, cell: &str) -> anyhow::Result<u64> {
    cell.parse()
        .ok()
        .with_context(|| format!("`{column}` is `{cell}`: expected a number"))
}

/// How many masters caught it, and of how many.
fn masters(cells: &Cells) -> anyhow::Result<(u64, u64)> {
    let caught = &cells[7];
    let parts = caught
        .split_once('/')
        .and_then(|(caught, masters)| Some((caught.parse().ok()?, masters.parse().ok()?)));
    let parts: Option<(u64, u64)> =
        parts.filter(|(caught, masters)| caught <= masters && *masters > 0);
    parts.with_context(|| {
        format!("`caught` is `{caught}`: expected how many masters of how many, as in 29/30")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hunt::{Failure, Hunt};

    const E1: &str = "| E1 | t | s | election-safety | raft/mixed | 4 | 9 | 3/3 | 20 | 2 |";
    const L2: &str = "| L2 | a \\| b | s | - | raft/mixed | 100 | 100 | 0/3 | - | - |";
    const L10: &str = "| L10 | t | s | log-matching | raft/mixed | 1 | 1 | 30/30 | 7 | - |";

    fn page(rows: &[&str]) -> String {
        let header = row_text(&COLUMNS.map(str::to_owned));
        let rows: String = rows.iter().flat_map(|row| [row, "\n"]).collect();
        format!(
            "# Mine\n\n{header}\n{RULE}\n{rows}\n{MADE}--masters 3`, whatever\n\nBelow.\n\nAnd so on.\n"
        )
    }

    fn parse(text: &str) -> anyhow::Result<Page> {
        Page::parse(text, Path::new("zoo.md"))
    }

    #[track_caller]
    fn assert_error(text: &str, expected: &str) {
        let error = format!("{:#}", parse(text).unwrap_err());
        assert!(error.contains(expected), "{error}");
    }

    fn row(bug: &str) -> Row {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "bug: {bug}\ntitle: one | two\nsource: s\nproperty: p\nscenario: raft/mixed\nbudget: 90\n--- a\n"
        );
        fs::write(folder.path().join("a.patch"), text).unwrap();
        let patch = patch::read_folder(folder.path()).unwrap().remove(0);
        let failure = Failure {
            seed: 4,
            property: "p".to_owned(),
            replay: None,
            shrunk: None,
        };
        let caught = Hunt::Caught {
            failure,
            seeds: 5,
            events: 70,
        };
        Row::new(&patch, 90, &[caught, Hunt::NotCaught], &[6])
    }

    #[test]
    fn a_page_is_written_as_it_was_read_but_for_its_order() {
        let read = parse(&page(&[L10, E1, L2])).unwrap();
        let text = read.text("--masters 3 --write zoo.md");
        let version = env!("CARGO_PKG_VERSION");
        let made = format!(
            "{MADE}--masters 3 --write zoo.md`, Splitbrain {version}; masters (series of seeds) of each bug: 3 to 30."
        );
        let expected =
            page(&[E1, L2, L10]).replace(&format!("{MADE}--masters 3`, whatever"), &made);
        assert_eq!(text, expected);
        assert_eq!(parse(&text).unwrap(), read);
        assert_eq!(parse(&text.replace('\n', "\r\n")).unwrap(), read);
    }

    #[test]
    fn a_row_replaces_that_of_its_bug_and_leaves_the_others() {
        let mut read = parse(&page(&[E1, L2, L10])).unwrap();
        read.put(&row("l2"));
        let text = read.text("");
        let new = "| l2 | one \\| two | s | p | raft/mixed | 5 | 90 | 1/2 | 70 | 6 |";
        let rows: Vec<&str> = text.lines().skip(4).take(3).collect();
        assert_eq!(rows, [E1, new, L10]);
        assert_eq!(parse(&text).unwrap(), read);
    }

    #[test]
    fn a_page_that_is_not_there_begins_without_rows() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("zoo.md");
        let mut page = Page::read(&file).unwrap();
        page.put(&row("E1"));
        page.write(&file, "--masters 2").unwrap();
        assert_eq!(Page::read(&file).unwrap(), page);
        assert!(fs::read_to_string(&file).unwrap().starts_with(BEFORE));
        page.retain(&[]);
        assert!(page.rows.is_empty());
        let error = Page::read(&folder.path().join("no/zoo.md")).unwrap_err();
        assert!(error.to_string().starts_with("there is no folder "));
    }

    #[test]
    fn a_row_that_makes_no_sense_is_named_with_its_line() {
        let with = |from: &str, to: &str| page(&[L10, &E1.replace(from, to)]);
        assert_error(
            &with("| t ", ""),
            "zoo.md:6: expected 10 cells, and there are 9",
        );
        assert_error(
            &with("| t ", "| t | t "),
            "zoo.md:6: expected 10 cells, and there are 11",
        );
        assert_error(&with("| t ", "|  "), "zoo.md:6: `title` is empty");
        assert_error(
            &with(" 2 |", " 2"),
            "zoo.md:6: expected a row that begins and ends",
        );
        assert_error(&with("E1", "E 1"), "zoo.md:6: `E 1`: a bug is named with");
        assert_error(&with("E1", "l10"), "zoo.md:6: the bug l10 has a row above");
        for caught in ["4/3", "3", "x/3", "0/0", "-1/3"] {
            assert_error(
                &with("3/3", caught),
                &format!("zoo.md:6: `caught` is `{caught}`: expected how many"),
            );
        }
        assert_error(
            &with("| 4 ", "| four "),
            "zoo.md:6: `seeds median` is `four`: expected a number",
        );
        assert_error(
            &with("| 9 ", "| - "),
            "zoo.md:6: `seeds p90` is `-`: expected a number",
        );
        assert_error(
            &with("| 9 ", "| 3 "),
            "zoo.md:6: the median 4 and the p90 3 cannot be",
        );
        assert_error(
            &with("| 20 ", "| some "),
            "zoo.md:6: `events median` is `some`: expected a number",
        );
        assert_error(
            &with("| 2 |", "| 2.5 |"),
            "zoo.md:6: `shrunk to` is `2.5`: expected a number",
        );
        assert_error(
            &with("election-safety", "-"),
            "zoo.md:6: `property` is `-`, and 3 masters caught the bug",
        );
        assert_error(
            &with("3/3", "0/3"),
            "zoo.md:6: `property` is `election-safety`, and 0 masters",
        );
        assert_error(
            &page(&[]).replace(RULE, "|---|"),
            "zoo.md:4: expected `|---|---|",
        );
        assert_error(
            "# A page\n",
            "zoo.md: there is no table of canaries in it: expected a line `| bug |",
        );
    }

    /// What `docs/zoo.md` says is of the patches that there are.
    #[test]
    fn the_page_of_the_project_has_a_row_for_each_patch() {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let page = Page::read(&tests.join("../docs/zoo.md")).unwrap();
        let patches = patch::read_folder(&tests.join("zoo")).unwrap();
        let mut rows = page.rows;
        for patch in patches {
            let bug = &patch.bug;
            let how = format!("run `cargo zoo --only {bug} --write docs/zoo.md`");
            let cells = rows.remove(&patch::order(bug));
            let cells = cells.unwrap_or_else(|| panic!("{bug} has no row: {how}"));
            let [is, title, source, property, scenario, ..] =
                cells.map(|cell| cell.replace("\\|", "|"));
            let said = [&is, &title, &source, &scenario];
            assert_eq!(
                said,
                [bug, &patch.title, &patch.source, &patch.scenario],
                "{how}"
            );
            assert!(
                patch.properties.contains(&property),
                "{bug} violates {property}: {how}"
            );
        }
        let bugs: Vec<&String> = rows.values().map(|cells| &cells[0]).collect();
        assert!(bugs.is_empty(), "these have no patch: {bugs:?}");
    }
}
