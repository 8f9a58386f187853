//! The native file form of a history: one event per line, as a JSON object.
//!
//! ```text
//! {"time_ns":4210000,"process":0,"type":"invoke","f":"put","key":"x","value":"1"}
//! {"time_ns":4215000,"process":1,"type":"invoke","f":"get","key":"x"}
//! {"time_ns":4300000,"process":0,"type":"ok"}
//! {"time_ns":4310000,"process":1,"type":"ok","value":"1"}
//! ```
//!
//! `type` is `invoke`, `ok`, `fail` or `info`. The other fields of an `invoke` are the operation, those of an
//! `ok` the answer, in the form that the [model](crate::models) gives them. The order of the lines is the order
//! in time. Empty lines are skipped.

use super::json::{FieldsOf, without_place};
use super::record::Fields;
use super::{FormatErrorKind, Kind, Record};
use crate::{Event, History, HistoryErrorKind, Pairing, ProcessId, What};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::de::value::MapDeserializer;
use std::io::{self, BufRead, Write};

/// A history that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("line {line}{}: {kind}", .column.map(|column| format!(", column {column}")).unwrap_or_default())]
pub struct JsonlError {
    /// From 1.
    pub line: usize,
    /// From 1, where it is known.
    pub column: Option<usize>,
    /// What is wrong there.
    pub kind: JsonlErrorKind,
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum JsonlErrorKind {
    /// The input failed.
    #[error("cannot be read: {0}")]
    Io(#[source] io::Error),
    /// Not a JSON object, cut off for example.
    #[error("expected an event as one JSON object: {0}")]
    Syntax(String),
    /// A field that every event has is missing or of the wrong kind.
    #[error("expected {expected} in the field `{field}`, found {found}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What it holds in a good event.
        expected: &'static str,
        /// What it holds here.
        found: String,
    },
    /// The operation of an `invoke` is none of the model's.
    #[error("bad operation: {0}")]
    Operation(String),
    /// The answer of an `ok` is none of the model's.
    #[error("bad answer: {0}")]
    Answer(String),
    /// A `fail` or an `info` says something more.
    #[error("unknown field `{0}`: `fail` and `info` have no further fields")]
    UnknownField(String),
    /// The event cannot come now.
    #[error("process {process} {kind}")]
    History {
        /// Whose event.
        process: ProcessId,
        /// Why it cannot.
        kind: HistoryErrorKind,
    },
}

/// Reads a history, line by line, up to the end of the input.
///
/// # Errors
/// The first line that cannot be read, is no event of the model, or makes no sense after the lines before it.
pub fn read<Op: DeserializeOwned, Ret: DeserializeOwned>(
    mut input: impl BufRead,
) -> Result<History<Op, Ret>, JsonlError> {
    let mut history = History::new();
    let mut pairing = Pairing::default();
    let mut bytes = Vec::new();
    for line in 1.. {
        let at = |column, kind| JsonlError { line, column, kind };
        bytes.clear();
        let read = input.read_until(b'\n', &mut bytes);
        if read.map_err(|error| at(None, JsonlErrorKind::Io(error)))? == 0 {
            break;
        }
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        let FieldsOf(fields) = serde_json::from_slice(bytes.trim_ascii_end()).map_err(|error| {
            let column = Some(error.column()).filter(|column| *column > 0);
            at(
                column,
                JsonlErrorKind::Syntax(without_place(&error.to_string())),
            )
        })?;
        let event: Event<Op, Ret> = event(fields).map_err(|kind| at(None, kind))?;
        pairing
            .next(history.len(), event.process, &event.what)
            .map_err(|error| {
                let (process, kind) = (error.process, error.kind);
                at(None, JsonlErrorKind::History { process, kind })
            })?;
        history.push(event);
    }
    Ok(history)
}

/// Writes a history, an event per line.
///
/// # Errors
/// If the output fails, or if an operation or an answer is not a map in JSON.
pub fn write<Op: Serialize, Ret: Serialize>(
    history: &History<Op, Ret>,
    mut output: impl Write,
) -> io::Result<()> {
    for event in history.events() {
        let (kind, op, ret) = match &event.what {
            What::Invoke(op) => ("invoke", Some(op), None),
            What::Ok(ret) => ("ok", None, Some(ret)),
            What::Fail => ("fail", None, None),
            What::Info => ("info", None, None),
        };
        let line = Line {
            time_ns: event.time_ns,
            process: event.process,
            kind,
            op,
            ret,
        };
        serde_json::to_writer(&mut output, &line)?;
        output.write_all(b"\n")?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Line<'a, Op, Ret> {
    time_ns: u64,
    process: ProcessId,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    op: Option<&'a Op>,
    #[serde(flatten)]
    ret: Option<&'a Ret>,
}

/// The event that these fields are.
fn event<Op: DeserializeOwned, Ret: DeserializeOwned>(
    fields: Fields<'_>,
) -> Result<Event<Op, Ret>, JsonlErrorKind> {
    let record = match fields.record(true, (0, 0)) {
        Ok(Some(record)) => record,
        Ok(None) => return Err(JsonlErrorKind::Syntax("not a client's".to_owned())),
        Err(FormatErrorKind::Field {
            field,
            expected,
            found,
        }) => {
            return Err(JsonlErrorKind::Field {
                field,
                expected,
                found,
            });
        }
        Err(other) => return Err(JsonlErrorKind::Syntax(other.to_string())),
    };
    typed(&record)
}

/// The event that a record in our own form is.
pub(super) fn typed<Op: DeserializeOwned, Ret: DeserializeOwned>(
    record: &Record<'_>,
) -> Result<Event<Op, Ret>, JsonlErrorKind> {
    let (time_ns, process) = (record.time_ns.unwrap_or(0), record.process);
    let what = match record.kind {
        Kind::Invoke => {
            let op = Op::deserialize(MapDeserializer::new(record.fields()));
            What::Invoke(op.map_err(|error| JsonlErrorKind::Operation(error.to_string()))?)
        }
        Kind::Ok => {
            let ret = Ret::deserialize(MapDeserializer::new(record.fields()));
            What::Ok(ret.map_err(|error| JsonlErrorKind::Answer(error.to_string()))?)
        }
        Kind::Fail | Kind::Info => {
            let kind = record.kind;
            if let Some((field, _)) = record.fields().next() {
                return Err(JsonlErrorKind::UnknownField(field.to_owned()));
            }
            if kind == Kind::Fail {
                What::Fail
            } else {
                What::Info
            }
        }
    };
    Ok(Event {
        time_ns,
        process,
        what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{cas_register, key_value};

    fn error_of(text: &str) -> String {
        read::<key_value::Op, key_value::Ret>(text.as_bytes())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn every_kind_of_event_survives_a_round_trip() {
        let text = r#"{"time_ns":1,"process":0,"type":"invoke","f":"put","key":"x","value":"1"}
{"time_ns":2,"process":1,"type":"invoke","f":"get","key":"x"}
{"time_ns":3,"process":2,"type":"invoke","f":"delete","key":"x"}
{"time_ns":4,"process":3,"type":"invoke","f":"compare_and_set","key":"x","expected":null,"value":"2"}
{"time_ns":5,"process":0,"type":"ok"}
{"time_ns":6,"process":1,"type":"ok","value":null}
{"time_ns":7,"process":2,"type":"ok","deleted":true}
{"time_ns":8,"process":3,"type":"ok","swapped":false}
{"time_ns":9,"process":0,"type":"invoke","f":"get","key":"x"}
{"time_ns":10,"process":0,"type":"fail"}
{"time_ns":11,"process":0,"type":"invoke","f":"get","key":"y"}
{"time_ns":12,"process":0,"type":"info"}
"#;
        let history = read::<key_value::Op, key_value::Ret>(text.as_bytes()).unwrap();
        let mut written = Vec::new();
        write(&history, &mut written).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), text);
    }

    #[test]
    fn registers_have_numbers() {
        let text = r#"{"time_ns":1,"process":0,"type":"invoke","f":"compare_and_set","expected":1,"value":2}
{"time_ns":2,"process":1,"type":"invoke","f":"read"}
{"time_ns":3,"process":1,"type":"ok","value":-3}
"#;
        let history = read::<cas_register::Op, cas_register::Ret>(text.as_bytes()).unwrap();
        let mut written = Vec::new();
        write(&history, &mut written).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), text);
    }

    #[test]
    fn errors_name_the_line_and_what_was_expected() {
        insta::assert_snapshot!(error_of("{\"time_ns\":1,\"process\":0,\"type\":\"inv"), @"line 1, column 36: expected an event as one JSON object: EOF while parsing a string");
        insta::assert_snapshot!(error_of("\n\n[1]"), @"line 3: expected an event as one JSON object: invalid type: sequence, expected an object");
        insta::assert_snapshot!(error_of(r#"{"time_ns":-1,"process":0,"type":"info"}"#), @"line 1: expected a whole number from 0 in the field `time_ns`, found -1");
        insta::assert_snapshot!(error_of(r#"{"time_ns":1,"process":0}"#), @r#"line 1: expected "invoke", "ok", "fail" or "info" in the field `type`, found nothing"#);
        insta::assert_snapshot!(error_of(r#"{"time_ns":1,"process":0,"type":"gone"}"#), @r#"line 1: expected "invoke", "ok", "fail" or "info" in the field `type`, found "gone""#);
        insta::assert_snapshot!(error_of(r#"{"time_ns":1,"process":0,"process":1,"type":"info"}"#), @"line 1, column 36: expected an event as one JSON object: field `process` is there twice");
        insta::assert_snapshot!(error_of(r#"{"time_ns":1,"process":0,"type":"info","why":1}"#), @"line 1: unknown field `why`: `fail` and `info` have no further fields");
        let get = r#"{"time_ns":1,"process":0,"type":"invoke","f":"get","#;
        insta::assert_snapshot!(error_of(&format!("{get}\"kex\":\"x\"}}")), @"line 1: bad operation: unknown field `kex`, expected `key`");
        let cas = r#"{"time_ns":1,"process":0,"type":"invoke","f":"compare_and_set","#;
        insta::assert_snapshot!(error_of(&format!("{cas}\"key\":\"x\",\"value\":\"1\"}}")), @"line 1: bad operation: missing field `expected`");
        let line = format!("{get}\"key\":\"x\"}}\n");
        insta::assert_snapshot!(error_of(&format!("{line}{line}")), @"line 2: process p0 invokes an operation while its last one is still open");
        let ok = r#"{"time_ns":2,"process":0,"type":"ok","#;
        insta::assert_snapshot!(error_of(&format!("{line}{ok}\"value\":7}}")), @"line 2: bad answer: invalid type: integer `7`, expected a string");
        insta::assert_snapshot!(error_of(&format!("{line}{ok}\"value\":\"7\",\"swapped\":true}}")), @"line 2: bad answer: expected at most one of `value`, `deleted` and `swapped`");
        let extra = br#"{"time_ns":1,"process":0,"type":"invoke","f":"read","extra":1}"#;
        let error = read::<cas_register::Op, cas_register::Ret>(&extra[..]).unwrap_err();
        insta::assert_snapshot!(error, @"line 1: bad operation: unknown field `extra`, there are no fields");
    }
}
