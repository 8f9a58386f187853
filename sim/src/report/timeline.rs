//! A run as a picture in text: time goes down, one column per node.

use crate::protocol::Contradiction;
use crate::run::Finding;
use crate::world::{Trace, TraceEvent, What};
use splitbrain_core::{NodeId, Time};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What to show of a trace.
#[derive(Clone, Debug)]
pub struct Timeline<'a> {
    /// How many nodes get a column: the first so many.
    pub nodes: usize,
    /// From when. What each node said last before that stands in the first row.
    pub from: Time,
    /// Until when.
    pub until: Time,
    /// Whether to show client operations.
    pub operations: bool,
    /// Operations that are shown in any case and marked, with their place in the counterexample: `*1`, `*2`; or, where they
    /// are only mentioned in it, with `*`.
    pub marked: Option<&'a Contradiction>,
    /// At most so many rows; of more, the last ones and those that are marked, as the end is where it went wrong.
    pub rows_max: usize,
    /// The width of the whole picture in characters.
    pub width: usize,
    /// What was found, for the last row.
    pub finding: Option<&'a Finding>,
    /// What to say of the nodes under that; nothing if this is empty.
    pub states: &'a [String],
}

const TIME_WIDTH: usize = 9;
const COLUMN_MIN: usize = 11;

/// A row: what one or more nodes say, or a line across all of them.
#[derive(Debug)]
enum Row {
    /// By column.
    Cells(BTreeMap<usize, String>),
    /// Filled up with this character.
    Across(String, char),
}

/// Draws the timeline. Faults go across all columns; what a node says stands in its own.
pub fn timeline(trace: &Trace, what: &Timeline<'_>) -> String {
    let column = (what.width.saturating_sub(TIME_WIDTH + 2) / what.nodes.max(1)).max(COLUMN_MIN);
    let mut rows = rows(trace, what);
    let left_out = leave_out(&mut rows, what.rows_max);
    let header = (0..what.nodes)
        .map(|index| (index, NodeId::from_index(index).to_string()))
        .collect();
    let mut picture = String::new();
    draw(
        &mut picture,
        "time",
        &Row::Cells(header),
        what.nodes,
        column,
        ' ',
    );
    let before = before(trace, what);
    if !before.is_empty() {
        draw(
            &mut picture,
            "before",
            &Row::Cells(before),
            what.nodes,
            column,
            '|',
        );
    }
    if left_out > 0 {
        let words = format!("({left_out} earlier rows)");
        draw(
            &mut picture,
            "..",
            &Row::Across(words, ' '),
            what.nodes,
            column,
            ' ',
        );
    }
    for Line { at, row, .. } in &rows {
        draw(&mut picture, &at.to_string(), row, what.nodes, column, '|');
    }
    if let Some(finding) = what.finding {
        let row = Row::Across(format!("!! {} ", finding.property), '!');
        draw(
            &mut picture,
            &finding.at.to_string(),
            &row,
            what.nodes,
            column,
            '|',
        );
    }
    let states = what.states.iter().take(what.nodes).cloned().enumerate();
    let states: BTreeMap<usize, String> = states.filter(|(_, words)| !words.is_empty()).collect();
    if !states.is_empty() {
        draw(
            &mut picture,
            "then",
            &Row::Cells(states),
            what.nodes,
            column,
            '|',
        );
    }
    picture
}

/// Leaves out the earliest rows that are not marked, so that at most so many are left. Returns how many.
fn leave_out(rows: &mut Vec<Line>, rows_max: usize) -> usize {
    let mut too_many = rows.len().saturating_sub(rows_max);
    let before = rows.len();
    rows.retain(|line| {
        let left_out = too_many > 0 && !line.marked;
        too_many -= usize::from(left_out);
        !left_out
    });
    before - rows.len()
}

/// The marks of operations, by event: where they begin and where they end.
fn marks(trace: &Trace, marked: &Contradiction) -> BTreeMap<usize, String> {
    let mark = |operation: usize| {
        let mut operations = marked.operations.iter();
        let place = operations.position(|&marked| marked == operation);
        let mentioned = marked.mentioned.contains(&operation);
        place
            .map(|place| format!("*{} ", place + 1))
            .or_else(|| mentioned.then(|| "* ".to_owned()))
    };
    let mut marks = BTreeMap::new();
    let mut open = BTreeMap::new();
    let mut operations = 0;
    for (index, event) in trace.events.iter().enumerate() {
        match &event.what {
            What::Invoke { process, .. } => {
                if let Some(mark) = mark(operations) {
                    marks.insert(index, mark.clone());
                    open.insert(*process, mark);
                }
                operations += 1;
            }
            What::End { process, .. } => {
                if let Some(mark) = open.remove(process) {
                    marks.insert(index, mark);
                }
            }
            _ => {}
        }
    }
    marks
}

/// What each node had said last when the picture begins, unless it was down.
fn before(trace: &Trace, what: &Timeline<'_>) -> BTreeMap<usize, String> {
    let mut said = BTreeMap::new();
    for event in trace.events.iter().take_while(|event| event.at < what.from) {
        if let What::Note { node, words } = &event.what
            && node.index() < what.nodes
        {
            said.insert(node.index(), words.clone());
        }
    }
    said
}

/// A row with its time.
#[derive(Debug)]
struct Line {
    at: Time,
    row: Row,
    /// It is about a marked operation.
    marked: bool,
}

fn rows(trace: &Trace, what: &Timeline<'_>) -> Vec<Line> {
    let mut rows: Vec<Line> = Vec::new();
    let marks = what.marked.map(|marked| marks(trace, marked));
    let marks = marks.unwrap_or_default();
    // The column of the last row, if one node alone spoke in it: what it adds at the same instant joins that row.
    let mut speaking = None;
    for (index, event) in trace.events.iter().enumerate() {
        if !(what.from..=what.until).contains(&event.at) {
            continue;
        }
        let mark = marks.get(&index).map(String::as_str);
        let Some(row) = row(event, mark, what) else {
            continue;
        };
        let speaks = match &row {
            Row::Cells(cells) => cells
                .first_key_value()
                .map(|(&column, _)| (event.at, column)),
            Row::Across(..) => None,
        };
        match (rows.last_mut(), row) {
            (
                Some(Line {
                    row: Row::Cells(said),
                    marked,
                    ..
                }),
                Row::Cells(more),
            ) if speaks.is_some() && speaks == speaking => {
                *marked |= mark.is_some();
                for (column, words) in more {
                    let _ = write!(said.entry(column).or_default(), ", {words}");
                }
            }
            (_, row) => rows.push(Line {
                at: event.at,
                row,
                marked: mark.is_some(),
            }),
        }
        speaking = speaks;
    }
    rows
}

fn row(event: &TraceEvent, mark: Option<&str>, what: &Timeline<'_>) -> Option<Row> {
    let operations = what.operations || mark.is_some();
    let (node, words) = match &event.what {
        What::Fault { words, .. } => return Some(Row::Across(format!("== {words} "), '=')),
        What::Note { node, words } if node.index() < what.nodes => (*node, words.clone()),
        What::Start {
            node,
            incarnation: 1..,
        } if node.index() < what.nodes => (*node, "restarts".to_owned()),
        What::Invoke { node, process, op } if operations => {
            (*node, format!("{process} invokes {op}"))
        }
        What::End {
            node,
            process,
            outcome,
        } if operations => (*node, format!("{process} {outcome}")),
        _ => return None,
    };
    let mark = mark.unwrap_or_default();
    if node.index() < what.nodes {
        Some(Row::Cells(BTreeMap::from([(
            node.index(),
            format!("{mark}{words}"),
        )])))
    } else {
        // A client without a column speaks across all of them, by name.
        Some(Row::Across(format!("{mark}{node}: {words}"), ' '))
    }
}

fn draw(picture: &mut String, time: &str, row: &Row, nodes: usize, column: usize, empty: char) {
    let cells = match row {
        Row::Across(words, fill) => {
            let width = column * nodes;
            let lines = wrap(words, width);
            for (number, line) in (1..).zip(&lines) {
                // What fills the line stands after the last word, and a space before it.
                let fills = number == lines.len() && line.chars().count() + 1 < width;
                let fill = if fills { *fill } else { ' ' };
                let rest = width.saturating_sub(line.chars().count() + 1);
                let rest: String = std::iter::repeat_n(fill, rest).collect();
                let time = if number == 1 { time } else { "" };
                put(picture, &format!("{time:>TIME_WIDTH$}  {line} {rest}"));
            }
            return;
        }
        Row::Cells(cells) => cells,
    };
    let wrapped: Vec<Vec<String>> = (0..nodes)
        .map(|index| {
            cells
                .get(&index)
                .map_or(Vec::new(), |words| wrap(words, column - 1))
        })
        .collect();
    for line in 0..wrapped.iter().map(Vec::len).max().unwrap_or(0) {
        let cell = |lines: &Vec<String>| match lines.get(line) {
            Some(words) => format!("{words:<column$}"),
            None => format!("{:<column$}", empty.to_string()),
        };
        let time = if line == 0 { time } else { "" };
        put(
            picture,
            &format!(
                "{time:>TIME_WIDTH$}  {}",
                wrapped.iter().map(cell).collect::<String>()
            ),
        );
    }
}

/// Breaks text at spaces into lines of at most `width` characters; a longer word stands on a line of its own.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                let _ = write!(line, " {word}");
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn put(picture: &mut String, line: &str) {
    picture.push_str(line.trim_end());
    picture.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::TraceDetail;
    use splitbrain_check::ProcessId;

    #[test]
    fn faults_go_across_and_words_stand_in_their_column() {
        let n = NodeId::from_index;
        let mut trace = Trace::new(TraceDetail::Notes);
        let mut push = |ms, what| trace.push(Time::from_millis(ms), what);
        push(
            0,
            What::Start {
                node: n(0),
                incarnation: 0,
            },
        );
        let note = |node, words: &str| What::Note {
            node,
            words: words.to_owned(),
        };
        push(10, note(n(2), "becomes coordinator"));
        push(12, note(n(1), "obeys n3"));
        push(
            2000,
            What::Fault {
                nodes: vec![n(0)],
                words: "partition halves: n1 n2 | n3".into(),
            },
        );
        push(
            2251,
            What::Note {
                node: n(1),
                words: "suspects n3: no heartbeat for 250ms".into(),
            },
        );
        push(
            2251,
            What::Note {
                node: n(1),
                words: "starts an election".into(),
            },
        );
        push(
            2300,
            What::Start {
                node: n(0),
                incarnation: 1,
            },
        );
        push(
            2400,
            What::Invoke {
                node: n(3),
                process: ProcessId(0),
                op: "get x".into(),
            },
        );
        let finding = Finding {
            property: "split-brain".into(),
            what: String::new(),
            at: Time::from_millis(2500),
        };
        let all = Timeline {
            nodes: 3,
            from: Time::from_millis(100),
            until: Time::MAX,
            operations: true,
            marked: None,
            rows_max: 20,
            width: 72,
            finding: Some(&finding),
            states: &[],
        };
        insta::assert_snapshot!(timeline(&trace, &all), @r"
          time  n1                  n2                  n3
        before  |                   obeys n3            becomes coordinator
        2.000s  == partition halves: n1 n2 | n3 ============================
        2.251s  |                   suspects n3: no     |
                |                   heartbeat for       |
                |                   250ms, starts an    |
                |                   election            |
        2.300s  restarts            |                   |
        2.400s  n4: p0 invokes get x
        2.500s  !! split-brain !!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!
        ");
        let last = Timeline {
            rows_max: 1,
            operations: false,
            width: 0,
            from: Time::ZERO,
            finding: None,
            ..all
        };
        insta::assert_snapshot!(timeline(&trace, &last), @r"
          time  n1         n2         n3
            ..  (4 earlier rows)
        2.300s  restarts   |          |
        ");
    }
}
