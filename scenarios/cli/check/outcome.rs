//! What became of a history, for people and for programs.

use super::super::{Status, count};
use serde_json::{Value, json};
use splitbrain::check::formats::{Bar, Judgement, Known, Statistics, Summary};
use splitbrain::check::html::{self, Page};
use splitbrain::check::{Shown, Verdict};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

/// A history that was checked.
pub(super) struct Checked {
    pub(super) name: String,
    pub(super) known: Known,
    pub(super) model_guessed: bool,
    pub(super) summary: Summary,
    pub(super) format_guessed: bool,
    pub(super) statistics: Statistics,
    pub(super) judgement: Judgement,
    /// Whether somebody said what it is to be held to.
    pub(super) level_asked: bool,
    /// Until it was read.
    pub(super) import: Duration,
    /// In all.
    pub(super) wall: Duration,
}

/// Of a history in which nothing was answered: any system could have done that.
const VACUOUS: &str = "no operation was answered: this proves nothing";

impl Checked {
    /// A history that says nothing is not valid, whatever the checker says.
    fn is_vacuous(&self) -> bool {
        self.judgement.verdict == Verdict::Valid && self.statistics.ok == 0
    }

    pub(super) fn status(&self) -> Status {
        match &self.judgement.verdict {
            _ if self.is_vacuous() => Status::Unknown,
            Verdict::Valid => Status::Valid,
            Verdict::Unknown(_) => Status::Unknown,
            Verdict::Invalid(_) => Status::Invalid,
        }
    }

    fn word(&self) -> &'static str {
        match self.status() {
            Status::Valid => "valid",
            Status::Invalid => "invalid",
            Status::Unknown => "unknown",
        }
    }

    /// What the verdict rests on, if it is not valid.
    fn why(&self) -> Option<String> {
        match &self.judgement.verdict {
            Verdict::Valid => self.is_vacuous().then(|| VACUOUS.to_owned()),
            Verdict::Unknown(reason) => Some(reason.to_string()),
            Verdict::Invalid(wrong) => Some(wrong.what.clone()),
        }
    }

    pub(super) fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}: {}", self.name, self.word())?;
        writeln!(out, "  {}", self.origin())?;
        let steps = self.judgement.steps.filter(|steps| *steps > 0);
        let steps = steps.map_or_else(String::new, |steps| format!("; {}", count(steps, "step")));
        writeln!(out, "  {}{steps}; {}", self.sizes(), human(self.wall))?;
        if let Some(why) = self.why() {
            if !self.statistics.timed && matches!(self.judgement.verdict, Verdict::Invalid(_)) {
                writeln!(
                    out,
                    "  the file does not say when: 0.007s is its event 7, from 0"
                )?;
            }
            writeln!(out, "{why}")?;
        }
        Ok(())
    }

    /// What it was read as: `cas-register (guessed), log (guessed): 170 events`, `rw-register at causal (guessed), ...`.
    fn origin(&self) -> String {
        let guessed = |guessed| if guessed { " (guessed)" } else { "" };
        let others = match self.summary.others {
            0 => String::new(),
            others => format!(", and {} of no client", count(others, "line")),
        };
        let level = if self.level_asked {
            format!(" at {}", self.judgement.level)
        } else {
            String::new()
        };
        format!(
            "{}{}{}, {}{}: {}{others}",
            self.known.name,
            level,
            guessed(self.model_guessed),
            self.summary.format,
            guessed(self.format_guessed),
            count(self.summary.events, "event"),
        )
    }

    fn sizes(&self) -> String {
        let Statistics {
            operations,
            ok,
            failed,
            unknown,
            processes,
            concurrency_max,
            ..
        } = self.statistics;
        let processes = match processes {
            1 => "1 process".to_owned(),
            processes => format!("{processes} processes"),
        };
        format!(
            "{} ({ok} ok, {failed} failed, {unknown} unknown) of {processes}, at most {concurrency_max} at a time",
            count(operations as u64, "operation"),
        )
    }

    /// The page that shows it. Times of this machine are not on it.
    pub(super) fn write_page(&self, bars: &[Bar], out: &mut dyn Write) -> io::Result<()> {
        let (operations, counterexample) = match &self.judgement.verdict {
            Verdict::Invalid(wrong) => (&wrong.operations[..], wrong.counterexample.as_ref()),
            _ => (&[][..], None),
        };
        let page = Page {
            title: &self.name,
            verdict: self.word(),
            summary: &format!("{}; {}", self.origin(), self.sizes()),
            why: &self.why().unwrap_or_default(),
            bars,
            timed: self.statistics.timed,
            operations,
            counterexample,
        };
        html::write(&page, out)
    }

    fn json(&self) -> Value {
        let Statistics {
            operations,
            ok,
            failed,
            unknown,
            processes,
            concurrency_max,
            timed,
        } = self.statistics;
        let (key, contradiction) = match &self.judgement.verdict {
            Verdict::Invalid(wrong) if !wrong.operations.is_empty() => {
                let why = wrong.counterexample.as_ref();
                let key = why.and_then(|why| why.key.clone());
                (key, operations_of(&wrong.operations))
            }
            _ => (None, Value::Null),
        };
        let steps = match &self.judgement.verdict {
            Verdict::Unknown(reason) => Some(reason.steps),
            _ => self.judgement.steps,
        };
        json!({
            "history": self.name,
            "verdict": self.word(),
            "why": self.why(),
            "key": key,
            "contradiction": contradiction,
            "model": self.known.name,
            "model_guessed": self.model_guessed,
            "level": self.judgement.level.name(),
            "format": self.summary.format.name(),
            "format_guessed": self.format_guessed,
            "events": self.summary.events,
            "others": self.summary.others,
            "operations": operations,
            "ok": ok,
            "failed": failed,
            "unknown": unknown,
            "processes": processes,
            "concurrency_max": concurrency_max,
            "timed": timed,
            "steps": steps,
            "import_seconds": self.import.as_secs_f64(),
            "wall_seconds": self.wall.as_secs_f64(),
        })
    }
}

/// The operations that contradict each other: their index in the history, from 0, and what they are.
fn operations_of(operations: &[Shown]) -> Value {
    let operations = operations.iter().map(|shown| {
        json!({ "operation": shown.operation, "words": shown.words, "optional": shown.optional })
    });
    operations.collect()
}

/// One object: of one history what it came to, of several a list and sums.
pub(super) fn json(histories: &[PathBuf], checked: &[anyhow::Result<Checked>]) -> Value {
    if let [Ok(only)] = checked {
        return only.json();
    }
    let objects: Vec<Value> = histories
        .iter()
        .zip(checked)
        .map(|(path, checked)| match checked {
            Ok(checked) => checked.json(),
            Err(error) => {
                json!({ "history": path.display().to_string(), "error": format!("{error:#}") })
            }
        })
        .collect();
    let sums = Sums::of(checked);
    json!({
        "checks": objects,
        "valid": sums.valid,
        "invalid": sums.invalid,
        "unknown": sums.unknown,
        "unreadable": sums.unreadable,
    })
}

#[derive(Default)]
struct Sums {
    valid: u64,
    invalid: u64,
    unknown: u64,
    unreadable: u64,
}

impl Sums {
    fn of(checked: &[anyhow::Result<Checked>]) -> Sums {
        let mut sums = Sums::default();
        for checked in checked {
            *match checked.as_ref().map(Checked::status) {
                Ok(Status::Valid) => &mut sums.valid,
                Ok(Status::Invalid) => &mut sums.invalid,
                Ok(Status::Unknown) => &mut sums.unknown,
                Err(_) => &mut sums.unreadable,
            } += 1;
        }
        sums
    }
}

pub(super) fn print_sums(
    out: &mut dyn Write,
    checked: &[anyhow::Result<Checked>],
) -> io::Result<()> {
    let Sums {
        valid,
        invalid,
        unknown,
        unreadable,
    } = Sums::of(checked);
    write!(
        out,
        "{} histories: {valid} valid, {invalid} invalid, {unknown} unknown",
        checked.len()
    )?;
    match unreadable {
        0 => writeln!(out),
        unreadable => writeln!(out, ", {unreadable} not readable"),
    }
}

/// `12 ms`, `1.3 s`.
fn human(time: Duration) -> String {
    match time.as_millis() {
        ms @ 0..1_000 => format!("{ms} ms"),
        ms => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
    }
}
