//! What it came to, for people.

use crate::{Fault, Recorded};
use splitbrain_check::models::key_value::KeyValue;
use splitbrain_check::{Budget, HistoryError, Outcome, Verdict, check, jsonl};
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};

/// So many of them, in words.
pub(crate) fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// A history that was checked.
#[derive(Debug)]
pub struct Checked {
    /// Whether there is an order of the operations, key by key, that explains all answers.
    pub verdict: Verdict,
    /// How many operations were answered.
    pub ok: usize,
    /// How many certainly did not happen.
    pub failed: usize,
    /// Of how many nobody knows.
    pub unknown: usize,
    /// How often servers were killed, each for itself.
    pub kills: usize,
    /// How often they were paused.
    pub pauses: usize,
}

impl Recorded {
    /// Writes the history as `splitbrain check` reads it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, file: &File) -> io::Result<()> {
        let mut out = BufWriter::new(file);
        jsonl::write(&self.history, &mut out)?;
        out.flush()
    }

    /// Checks whether the history is linearizable.
    ///
    /// # Errors
    /// If it makes no sense, which would be a mistake of whoever recorded it.
    pub fn check(&self) -> Result<Checked, HistoryError> {
        let operations = self.history.operations()?;
        let number = |wanted: fn(&Outcome<_>) -> bool| {
            let outcomes = operations.iter().map(|operation| &operation.outcome);
            outcomes.filter(|outcome| wanted(outcome)).count()
        };
        let times = |fault| {
            let faults = self
                .faults
                .iter()
                .filter(|happened| happened.fault == fault);
            faults.map(|happened| happened.servers.len()).sum()
        };
        Ok(Checked {
            verdict: check(&KeyValue, &self.history, Budget::default())?,
            ok: number(|outcome| matches!(outcome, Outcome::Ok(_))),
            failed: number(|outcome| matches!(outcome, Outcome::Fail)),
            unknown: number(|outcome| matches!(outcome, Outcome::Info)),
            kills: times(Fault::Kill),
            pauses: times(Fault::Pause),
        })
    }
}

impl Checked {
    /// Whether nothing was answered: any system could have done that.
    fn is_vacuous(&self) -> bool {
        self.verdict == Verdict::Valid && self.ok == 0
    }

    /// As `splitbrain check` ends: 0 valid, 1 invalid, 3 unknown.
    pub fn status(&self) -> u8 {
        match &self.verdict {
            _ if self.is_vacuous() => 3,
            Verdict::Valid => 0,
            Verdict::Invalid(_) => 1,
            Verdict::Unknown(_) => 3,
        }
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Checked {
            ok,
            failed,
            unknown,
            kills,
            pauses,
            ..
        } = self;
        let word = match self.status() {
            0 => "valid",
            1 => "invalid",
            _ => "unknown",
        };
        writeln!(f, "{word}")?;
        let operations = ok + failed + unknown;
        writeln!(
            f,
            "  {} ({ok} ok, {failed} failed, {unknown} unknown)",
            count(operations, "operation")
        )?;
        write!(
            f,
            "  {}, {}",
            count(*kills, "kill"),
            count(*pauses, "pause")
        )?;
        if kills + pauses == 0 {
            f.write_str(": nothing was done to the servers in this time, which says little")?;
        }
        match &self.verdict {
            Verdict::Valid if self.is_vacuous() => {
                f.write_str("\nno operation was answered: this proves nothing")
            }
            Verdict::Valid => f.write_str(
                "\nlinearizable: no write that was acknowledged is lost, and no read is stale",
            ),
            Verdict::Invalid(why) => write!(f, "\n{why}"),
            Verdict::Unknown(reason) => write!(f, "\n{reason}"),
        }
    }
}
