//! What is said of one bug, and the table of all.

use crate::hunt::{Failure, Hunt};
use crate::patch::Patch;
use crate::statistics::{median, percentile};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use std::fmt::Write as _;

/// How one bug fared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    bug: String,
    title: String,
    source: String,
    /// The property that caught it most often.
    property: Option<String>,
    scenario: String,
    /// Whether every master caught it within the budget.
    pub(crate) caught: bool,
    masters: usize,
    /// How many masters caught it.
    caught_in: usize,
    /// For each master, the seeds up to the one that caught it.
    seeds: Vec<Option<u64>>,
    /// Over all masters; one that did not catch it counts with the whole budget.
    seeds_median: Option<u64>,
    seeds_p90: Option<u64>,
    /// Of the runs that caught it.
    events_median: Option<u64>,
    /// The faults and operations that are left when the first runs that caught it are made small, in the median.
    shrunk_to: Option<u64>,
    budget: u64,
    /// Where a property was violated that the bug may not violate.
    wrong: Vec<Failure>,
}

impl Row {
    /// Of what its hunts came to, and of what is left of those runs that were made small.
    pub(crate) fn new(patch: &Patch, budget: u64, hunts: &[Hunt], shrunk: &[u64]) -> Row {
        let mut seeds = Vec::new();
        let mut events = Vec::new();
        let mut properties: Vec<&str> = Vec::new();
        let mut wrong = Vec::new();
        for hunt in hunts {
            match hunt {
                Hunt::Caught {
                    failure,
                    seeds: needed,
                    events: needed_events,
                } => {
                    seeds.push(Some(*needed));
                    events.push(*needed_events);
                    properties.push(&failure.property);
                }
                Hunt::WrongProperty(failure) => {
                    seeds.push(None);
                    wrong.push(failure.clone());
                }
                Hunt::NotCaught => seeds.push(None),
            }
        }
        let counted: Vec<u64> = seeds.iter().map(|seeds| seeds.unwrap_or(budget)).collect();
        Row {
            bug: patch.bug.clone(),
            title: patch.title.clone(),
            source: patch.source.clone(),
            property: most_frequent(&properties).map(str::to_owned),
            scenario: patch.scenario.clone(),
            caught: properties.len() == hunts.len(),
            masters: hunts.len(),
            caught_in: properties.len(),
            seeds,
            seeds_median: median(&counted),
            seeds_p90: percentile(&counted, 90),
            events_median: median(&events),
            shrunk_to: median(shrunk),
            budget,
            wrong,
        }
    }

    /// What a page says of it.
    pub(crate) fn cells(&self) -> [String; 10] {
        [
            self.bug.clone(),
            self.title.clone(),
            self.source.clone(),
            self.property.clone().unwrap_or_else(|| "-".to_owned()),
            self.scenario.clone(),
            number(self.seeds_median),
            number(self.seeds_p90),
            format!("{}/{}", self.caught_in, self.masters),
            number(self.events_median),
            number(self.shrunk_to),
        ]
    }

    /// Why it was not caught, in words for a person: a line for each reason.
    fn complaints(&self) -> String {
        let mut text = String::new();
        for Failure {
            seed,
            property,
            replay,
            ..
        } in &self.wrong
        {
            let replay = replay
                .as_ref()
                .map_or(String::new(), |replay| format!(": {}", replay.display()));
            let _ = writeln!(
                text,
                "{}: wrong property: seed {seed} violates {property}, which this bug may not{replay}",
                self.bug
            );
        }
        let silent = self.masters - self.caught_in - self.wrong.len();
        if silent > 0 {
            let (masters, budget) = (self.masters, self.budget);
            let _ = writeln!(
                text,
                "{}: not caught within {budget} seeds by {silent} of {masters} masters",
                self.bug
            );
        }
        text
    }
}

/// The first one in the alphabet, if several are equally frequent.
fn most_frequent<'a>(names: &[&'a str]) -> Option<&'a str> {
    let frequency = |name: &str| names.iter().filter(|other| **other == name).count();
    names
        .iter()
        .copied()
        .min_by_key(|name| (std::cmp::Reverse(frequency(name)), *name))
}

fn number(value: Option<u64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// All rows for a person, and under them what is wrong.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    // So that it can be pasted into a document as it is.
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "bug",
        "property",
        "scenario",
        "caught",
        "seeds median",
        "seeds p90",
        "events median",
        "shrunk to",
    ]);
    for row in rows {
        let [
            bug,
            _,
            _,
            property,
            scenario,
            seeds,
            p90,
            caught,
            events,
            shrunk,
        ] = row.cells();
        table.add_row([bug, property, scenario, caught, seeds, p90, events, shrunk]);
    }
    for column in table.column_iter_mut().skip(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let complaints: String = rows.iter().map(Row::complaints).collect();
    format!("{table}\n{complaints}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::read_folder;

    fn patch() -> Patch {
        let folder = tempfile::tempdir().unwrap();
        let text = "bug: E1\ntitle: t\nsource: s\nproperty: election-safety\nscenario: raft/mixed\nbudget: 1\n--- a\n";
        std::fs::write(folder.path().join("E1.patch"), text).unwrap();
        read_folder(folder.path()).unwrap().remove(0)
    }

    fn caught(property: &str, seeds: u64, events: u64) -> Hunt {
        Hunt::Caught {
            failure: failure(property),
            seeds,
            events,
        }
    }

    fn failure(property: &str) -> Failure {
        Failure {
            seed: 12,
            property: property.to_owned(),
            replay: Some("r/replay.json".into()),
            shrunk: None,
        }
    }

    #[test]
    fn a_bug_that_every_master_catches_is_caught() {
        let row = Row::new(
            &patch(),
            100,
            &[caught("b", 3, 30), caught("a", 9, 10), caught("b", 4, 20)],
            &[5, 8],
        );
        assert_eq!(row.shrunk_to, Some(5));
        assert!(row.caught);
        assert_eq!(row.property.as_deref(), Some("b"));
        assert_eq!(row.seeds, [Some(3), Some(9), Some(4)]);
        assert_eq!(
            (row.seeds_median, row.seeds_p90, row.events_median),
            (Some(4), Some(9), Some(20))
        );
        assert_eq!(row.complaints(), "");
    }

    #[test]
    fn a_master_that_gave_up_counts_with_the_budget() {
        let row = Row::new(
            &patch(),
            100,
            &[
                caught("a", 3, 30),
                Hunt::NotCaught,
                Hunt::WrongProperty(failure("panic")),
            ],
            &[7],
        );
        assert!(!row.caught);
        assert_eq!((row.masters, row.caught_in), (3, 1));
        assert_eq!(row.seeds, [Some(3), None, None]);
        assert_eq!((row.seeds_median, row.events_median), (Some(100), Some(30)));
        assert_eq!(
            row.complaints(),
            "E1: wrong property: seed 12 violates panic, which this bug may not: r/replay.json\n\
             E1: not caught within 100 seeds by 1 of 3 masters\n"
        );
        let none = Row::new(&patch(), 100, &[Hunt::NotCaught], &[]);
        assert_eq!(
            (none.caught, none.property, none.events_median),
            (false, None, None)
        );
    }

    #[test]
    fn equally_frequent_properties_are_told_apart_by_name() {
        assert_eq!(most_frequent(&["c", "a", "b", "b", "a"]), Some("a"));
        assert_eq!(most_frequent(&[]), None);
    }

    #[test]
    fn the_table_shows_what_is_missing_as_a_dash() {
        let rows = [
            Row::new(&patch(), 100, &[caught("election-safety", 3, 3000)], &[300]),
            Row::new(&patch(), 100, &[Hunt::NotCaught], &[]),
        ];
        let table = table(&rows);
        let cells = |line: usize| -> Vec<&str> {
            let line = table.lines().nth(line).unwrap();
            line.split('|')
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect()
        };
        assert_eq!(
            cells(2),
            [
                "E1",
                "election-safety",
                "raft/mixed",
                "1/1",
                "3",
                "3",
                "3000",
                "300"
            ]
        );
        assert_eq!(
            cells(3),
            ["E1", "-", "raft/mixed", "0/1", "100", "100", "-", "-"]
        );
        assert!(
            table.ends_with("E1: not caught within 100 seeds by 1 of 1 masters\n"),
            "{table}"
        );
    }

    #[test]
    fn a_row_in_json_has_the_promised_keys() {
        let row = serde_json::to_value(Row::new(
            &patch(),
            100,
            &[caught("a", 3, 30), Hunt::NotCaught],
            &[3],
        ))
        .unwrap();
        let expected = serde_json::json!({
            "bug": "E1", "title": "t", "source": "s", "property": "a", "scenario": "raft/mixed", "caught": false,
            "masters": 2, "caught_in": 1, "seeds": [3, null], "seeds_median": 3, "seeds_p90": 100,
            "events_median": 30, "shrunk_to": 3, "budget": 100, "wrong": [],
        });
        assert_eq!(row, expected);
    }
}
