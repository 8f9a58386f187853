//! Histories as EDN, so that Jepsen's tools (Knossos, Elle) read them, and so do [we](super::edn).

use crate::{History, HistoryError, Outcome, What};
use serde::Serialize;
use serde_json::{Map, Value};
use std::io::{self, Write};

/// A history that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The output failed, or an operation or an answer is not a map in JSON.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It makes no sense.
    #[error(transparent)]
    History(#[from] HistoryError),
}

/// Writes a history as EDN, a map per event, with what Jepsen has in it: a completion has the function and the value of its
/// invocation, a compare-and-set is a `:cas` of `[expected new]`, and one that saw another value a `:fail`.
///
/// `:swapped false` tells such a `:fail` from an operation that did not happen, so that what is read back is the same history.
///
/// # Errors
/// If the output fails, if an operation or an answer is not a map in JSON, or if the history makes no sense.
pub fn write<Op: Serialize, Ret: Serialize>(
    history: &History<Op, Ret>,
    mut output: impl Write,
) -> Result<(), WriteError> {
    // Of each event the operation that it belongs to.
    let operations = history.operations()?;
    let mut owners = vec![0; history.len()];
    for (index, operation) in operations.iter().enumerate() {
        let completed = operation.completed.iter().map(|point| point.event);
        for event in completed.chain([operation.invoked.event]) {
            owners[event] = index;
        }
    }
    for (index, (event, owner)) in history.events().iter().zip(owners).enumerate() {
        let operation = &operations[owner];
        let mut fields = map_of(operation.op)?;
        let function = take_text(&mut fields, "f");
        if let (true, Some(expected)) = (function == "compare_and_set", fields.remove("expected")) {
            let new = fields.remove("value").unwrap_or_default();
            fields.insert("value".to_owned(), Value::Array(vec![expected, new]));
        }
        let mut kind = match event.what {
            What::Invoke(_) => "invoke",
            What::Ok(_) => "ok",
            What::Fail => "fail",
            What::Info => "info",
        };
        if let (What::Ok(_), Outcome::Ok(ret)) = (&event.what, operation.outcome) {
            for (name, value) in map_of(ret)? {
                if name == "swapped" && value == Value::Bool(false) {
                    kind = "fail";
                } else if name == "swapped" {
                    continue;
                }
                fields.insert(name, value);
            }
        }
        let function = match function.as_str() {
            "compare_and_set" => "cas",
            other => other,
        };
        let value = fields.remove("value").unwrap_or_default();
        let process = event.process.0;
        write!(output, "{{:process {process}, :type :{kind}, :f ")?;
        name(&mut output, function)?;
        if let Some(key) = fields.remove("key") {
            output.write_all(b", :key ")?;
            edn(&mut output, &key)?;
        }
        output.write_all(b", :value ")?;
        edn(&mut output, &value)?;
        for (field, value) in &fields {
            output.write_all(b", ")?;
            name(&mut output, field)?;
            output.write_all(b" ")?;
            edn(&mut output, value)?;
        }
        writeln!(output, ", :time {}, :index {index}}}", event.time_ns)?;
    }
    Ok(())
}

fn map_of(value: &impl Serialize) -> io::Result<Map<String, Value>> {
    match serde_json::to_value(value)? {
        Value::Object(fields) => Ok(fields),
        other => Err(io::Error::other(format!("expected a map, found {other}"))),
    }
}

fn take_text(fields: &mut Map<String, Value>, name: &str) -> String {
    match fields.remove(name) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    }
}

/// A keyword, if it can be one.
fn name(output: &mut impl Write, text: &str) -> io::Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_*+!?.".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        write!(output, ":{text}")
    } else {
        string(output, text)
    }
}

/// JSON escapes what EDN does, in the same way.
fn string(output: &mut impl Write, text: &str) -> io::Result<()> {
    Ok(serde_json::to_writer(output, text)?)
}

fn edn(output: &mut impl Write, value: &Value) -> io::Result<()> {
    match value {
        Value::Null => output.write_all(b"nil"),
        Value::Bool(_) | Value::Number(_) => write!(output, "{value}"),
        Value::String(text) => string(output, text),
        Value::Array(list) => {
            output.write_all(b"[")?;
            for (index, value) in list.iter().enumerate() {
                if index > 0 {
                    output.write_all(b" ")?;
                }
                edn(output, value)?;
            }
            output.write_all(b"]")
        }
        Value::Object(map) => {
            output.write_all(b"{")?;
            for (index, (field, value)) in map.iter().enumerate() {
                if index > 0 {
                    output.write_all(b", ")?;
                }
                name(output, field)?;
                output.write_all(b" ")?;
                edn(output, value)?;
            }
            output.write_all(b"}")
        }
    }
}
