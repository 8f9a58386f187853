//! A history as one HTML page that a person can look at: operations as bars over time, by client, and what contradicts each other.
//!
//! The page loads nothing, and forbids itself to: it works from a mail attachment. Everything that a history says is escaped. The
//! same history makes the same page.

mod data;
#[cfg(test)]
mod tests;

use crate::formats::Bar;
use crate::{Counterexample, Shown};
use data::Data;
use std::io::{self, Write};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// What is on a page.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// The name of the history.
    pub title: &'a str,
    /// `valid`, `invalid` or `unknown`.
    pub verdict: &'a str,
    /// The model, and the history in numbers.
    pub summary: &'a str,
    /// What the verdict rests on, as text; nothing if it is valid.
    pub why: &'a str,
    /// The operations, in order of invocation.
    pub bars: &'a [Bar],
    /// Whether the times of the bars are those of the history. If not, only the order of events is shown.
    pub timed: bool,
    /// Those that contradict each other, where the checker tells.
    pub operations: &'a [Shown],
    /// More about them, if the history is not linearizable.
    pub counterexample: Option<&'a Counterexample>,
}

/// Writes the page.
///
/// # Errors
/// If the output fails.
pub fn write(page: &Page<'_>, mut output: impl Write) -> io::Result<()> {
    let mut rest = PAGE;
    while let Some((before, (name, after))) = rest
        .split_once("{{")
        .and_then(|(before, after)| Some((before, after.split_once("}}")?)))
    {
        output.write_all(before.as_bytes())?;
        match name {
            "title" => escaped(page.title, &mut output)?,
            "verdict" => escaped(page.verdict, &mut output)?,
            "summary" => escaped(page.summary, &mut output)?,
            "why" => escaped(page.why, &mut output)?,
            "style" => output.write_all(STYLE.as_bytes())?,
            "script" => output.write_all(SCRIPT.as_bytes())?,
            // Inside of a script nothing is escaped, and only this ends one.
            _ => {
                let data = serde_json::to_string(&Data::of(page))?;
                output.write_all(data.replace('<', "\\u003c").as_bytes())?;
            }
        }
        rest = after;
    }
    output.write_all(rest.as_bytes())
}

/// Text between tags.
fn escaped(text: &str, output: &mut impl Write) -> io::Result<()> {
    let mut buffer = [0; 4];
    for character in text.chars() {
        let plain = character.encode_utf8(&mut buffer);
        let safe = match character {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '"' => "&quot;",
            '\'' => "&#39;",
            _ => plain,
        };
        output.write_all(safe.as_bytes())?;
    }
    Ok(())
}
