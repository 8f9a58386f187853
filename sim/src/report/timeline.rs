//! A run as a picture in text: time goes down, one column per node.

use crate::world::{Trace, TraceEvent, What};
use splitbrain_core::{NodeId, Time};
use std::fmt::Write as _;

/// What to show of a trace.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// How many nodes get a column: the first so many.
    pub nodes: usize,
    /// From when.
    pub from: Time,
    /// Until when.
    pub until: Time,
    /// Whether to show client operations.
    pub operations: bool,
    /// At most so many rows; of more, the last ones, as the end is where it went wrong.
    pub rows_max: usize,
    /// The width of the whole picture in characters.
    pub width: usize,
}

const TIME_WIDTH: usize = 9;
const COLUMN_MIN: usize = 11;

/// Draws the timeline. Faults go across all columns; what a node says stands in its own.
pub fn timeline(trace: &Trace, what: &Timeline) -> String {
    let column = (what.width.saturating_sub(TIME_WIDTH) / what.nodes.max(1)).max(COLUMN_MIN);
    let shown: Vec<&TraceEvent> = trace.events.iter().filter(|event| is_shown(event, what)).collect();
    let left_out = shown.len().saturating_sub(what.rows_max);
    let mut picture = String::new();
    let header = (0..what.nodes).map(|index| format!("{:<column$}", NodeId::from_index(index).to_string()));
    put(&mut picture, &format!("{:>TIME_WIDTH$}  {}", "time", header.collect::<String>()));
    if left_out > 0 {
        put(&mut picture, &format!("{:>TIME_WIDTH$}  ({left_out} earlier events)", ".."));
    }
    for event in &shown[left_out..] {
        row(&mut picture, event, what.nodes, column);
    }
    picture
}

fn is_shown(event: &TraceEvent, what: &Timeline) -> bool {
    let shown = match &event.what {
        What::Note { node, .. } | What::Start { node, incarnation: 1.. } => node.index() < what.nodes,
        What::Fault { .. } => true,
        What::Invoke { .. } | What::End { .. } => what.operations,
        _ => false,
    };
    shown && (what.from..=what.until).contains(&event.at)
}

fn row(picture: &mut String, event: &TraceEvent, nodes: usize, column: usize) {
    let time = event.at.to_string();
    let (node, words) = match &event.what {
        What::Fault { words, .. } => {
            let width = column * nodes;
            put(picture, &format!("{time:>TIME_WIDTH$}  {:=<width$}", format!("== {words} ")));
            return;
        }
        What::Note { node, words } => (*node, words.clone()),
        What::Start { node, .. } => (*node, "restarts".to_owned()),
        What::Invoke { node, process, op } => (*node, format!("{process} invokes {op}")),
        What::End { node, process, outcome } => (*node, format!("{process} {outcome}")),
        _ => return,
    };
    // A client without a column speaks in the first one, by name.
    let (at, words) = if node.index() < nodes { (node.index(), words) } else { (0, format!("{node}: {words}")) };
    let width = if node.index() < nodes { column - 1 } else { column * nodes };
    for (nth, line) in wrap(&words, width).into_iter().enumerate() {
        let time = if nth == 0 { time.as_str() } else { "" };
        let cells: String = (0..nodes).map(|index| {
            if index < at { format!("{:<column$}", "|") } else if index == at { format!("{line:<column$}") } else { format!("{:<column$}", "|") }
        }).collect();
        put(picture, &format!("{time:>TIME_WIDTH$}  {cells}"));
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
        push(0, What::Start { node: n(0), incarnation: 0 });
        push(10, What::Note { node: n(2), words: "becomes coordinator".into() });
        push(2000, What::Fault { nodes: vec![n(0)], words: "partition halves: n1 n2 | n3".into() });
        push(2251, What::Note { node: n(1), words: "suspects n3: no heartbeat for 250ms".into() });
        push(2300, What::Start { node: n(0), incarnation: 1 });
        push(2400, What::Invoke { node: n(3), process: ProcessId(0), op: "get x".into() });
        let all = Timeline { nodes: 3, from: Time::ZERO, until: Time::MAX, operations: true, rows_max: 20, width: 72 };
        insta::assert_snapshot!(timeline(&trace, &all), @r"
             time  n1                   n2                   n3
           0.010s  |                    |                    becomes coordinator
           2.000s  == partition halves: n1 n2 | n3 ===============================
           2.251s  |                    suspects n3: no      |
                   |                    heartbeat for 250ms  |
           2.300s  restarts             |                    |
           2.400s  n4: p0 invokes get x |                    |
        ");
        let last = Timeline { rows_max: 1, operations: false, width: 0, ..all };
        insta::assert_snapshot!(timeline(&trace, &last), @r"
             time  n1         n2         n3
               ..  (3 earlier events)
           2.300s  restarts   |          |
        ");
    }
}
