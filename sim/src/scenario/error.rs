//! What is wrong with a scenario, and where.

use std::path::PathBuf;
use thiserror::Error;

/// No message is much longer, in bytes: it may quote what a file says, and a file may say much.
const MESSAGE_MAX: usize = 4_000;

/// The same message on one line that a terminal can show, whatever it quotes.
pub(crate) fn one_line(message: &str) -> String {
    let mut line = String::new();
    for c in message.trim_end().chars() {
        if line.len() >= MESSAGE_MAX {
            line.push_str("..");
            break;
        }
        match c {
            '\n' => line.push_str("; "),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                line.extend(c.escape_unicode());
            }
            c => line.push(c),
        }
    }
    line
}

/// A scenario that cannot be run.
#[derive(Debug, Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("{}: cannot be read", file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text is not what a scenario looks like.
    #[error("{}{}: {message}", file.display(), line.map_or(String::new(), |line| format!(":{line}")))]
    Wrong {
        /// Which file.
        file: PathBuf,
        /// The line, from one, where it is known.
        line: Option<usize>,
        /// What was found and what was expected.
        message: String,
    },
    /// An override on the command line is not `key=value`, or leads nowhere.
    #[error("--set {assignment}: {message}")]
    Set {
        /// As given.
        assignment: String,
        /// What was expected.
        message: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_however_long_and_odd_what_it_quotes() {
        assert_eq!(one_line("`a\nb\u{7}` is odd\n"), "`a; b\\u{7}` is odd");
        let long = one_line(&"\u{e9}".repeat(1_000_000));
        assert_eq!(long.len(), MESSAGE_MAX + 2);
    }
}
