//! One event as a file has it, before a model has said what its operation is.

use super::{FormatErrorKind, Value};
use crate::ProcessId;
use std::borrow::Cow;

/// One event of a history. What it borrows, it borrows from the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<'a> {
    /// Where it begins, from 1.
    pub line: u64,
    /// Where in that line, from 1, in bytes.
    pub column: u64,
    /// Whose.
    pub process: ProcessId,
    /// What happened.
    pub kind: Kind,
    /// When, in nanoseconds, if the file says.
    pub time_ns: Option<u64>,
    /// Whether it is in our own form ([`jsonl`](crate::jsonl)): its fields are those of the model already.
    pub native: bool,
    /// The function, in the words of the file. Our own form has it only where an operation begins.
    pub f: Option<Cow<'a, str>>,
    /// The field `key`.
    pub key: Option<Value<'a>>,
    /// The field `value`.
    pub value: Option<Value<'a>>,
    /// All other fields that may be part of an operation or an answer.
    pub more: Vec<(Cow<'a, str>, Value<'a>)>,
}

impl<'a> Record<'a> {
    /// The fields of the operation or the answer.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        let f = self.f.as_ref();
        let f = f.map(|name| ("f", Value::Text((&**name).into())));
        let key = self.key.as_ref().map(|key| ("key", key.borrow()));
        let value = self.value.as_ref().map(|value| ("value", value.borrow()));
        let more = self.more.iter();
        let more = more.map(|(name, value)| (&**name, value.borrow()));
        f.into_iter().chain(key).chain(value).chain(more)
    }

    /// The same, with nothing borrowed.
    pub fn into_owned(self) -> Record<'static> {
        /// What most files call what they do: not a million copies of it.
        const COMMON: [&str; 8] = ["read", "write", "cas", "get", "put", "append", "txn", "add"];
        let owned = |name: Cow<'a, str>| match COMMON.iter().find(|common| **common == name) {
            Some(common) => Cow::Borrowed(*common),
            None => Cow::Owned(name.into_owned()),
        };
        let more = self.more.into_iter();
        let more = more.map(|(name, value)| (Cow::Owned(name.into_owned()), value.into_owned()));
        Record {
            line: self.line,
            column: self.column,
            process: self.process,
            kind: self.kind,
            time_ns: self.time_ns,
            native: self.native,
            f: self.f.map(owned),
            key: self.key.map(Value::into_owned),
            value: self.value.map(Value::into_owned),
            more: more.collect(),
        }
    }
}

/// What an event tells of its operation: [`What`](crate::What) without the words of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It was asked for.
    Invoke,
    /// It happened.
    Ok,
    /// It did not happen, or not as asked: see [`Fail`](super::Fail).
    Fail,
    /// Nobody knows.
    Info,
}

/// The fields of an event while it is read.
#[derive(Default)]
pub(super) struct Fields<'a> {
    process: Option<Value<'a>>,
    kind: Option<Value<'a>>,
    time: Option<Value<'a>>,
    time_ns: Option<Value<'a>>,
    f: Option<Value<'a>>,
    key: Option<Value<'a>>,
    value: Option<Value<'a>>,
    more: Vec<(Cow<'a, str>, Value<'a>)>,
}

/// What Jepsen tells beside an operation, and is none of it.
const ASIDE: [&str; 10] = [
    "index",
    "error",
    "exception",
    "wall",
    "wall-time",
    "node",
    "debug",
    "link",
    "clock-offsets",
    "start",
];

pub(super) const NUMBER: &str = "a whole number from 0";
pub(super) const TYPES: &str = "\"invoke\", \"ok\", \"fail\" or \"info\"";

impl<'a> Fields<'a> {
    /// Takes a field. `false` if it was there already.
    pub(super) fn put(&mut self, name: Cow<'a, str>, value: Value<'a>) -> bool {
        let field = match &*name {
            "process" => &mut self.process,
            "type" => &mut self.kind,
            "time" => &mut self.time,
            "time_ns" => &mut self.time_ns,
            "f" => &mut self.f,
            "key" => &mut self.key,
            "value" => &mut self.value,
            _ => {
                if self.more.iter().any(|(other, _)| *other == name) {
                    return false;
                }
                self.more.push((name, value));
                return true;
            }
        };
        field.replace(value).is_none()
    }

    /// Whether the event is in the form of Jepsen's files, and this field says nothing about its operation.
    pub(super) fn aside(name: &str) -> bool {
        ASIDE.contains(&name)
    }

    /// The event that they are; nothing if it is not that of a client, but of a nemesis for example.
    pub(super) fn record(
        mut self,
        only_native: bool,
        (line, column): (u64, u64),
    ) -> Result<Option<Record<'a>>, FormatErrorKind> {
        if let (false, Some(Value::Keyword(_) | Value::Text(_))) = (only_native, &self.process) {
            return Ok(None);
        }
        let native = only_native || self.time_ns.is_some();
        let (time_name, time) = if native {
            ("time_ns", self.time_ns)
        } else {
            ("time", self.time)
        };
        let time_ns = match (native, time) {
            (false, None | Some(Value::Nil)) => None,
            (_, time) => Some(number(time_name, time)?),
        };
        let process = number("process", self.process)?;
        let kind = match self.kind.as_ref().and_then(Value::as_str) {
            Some("invoke") => Kind::Invoke,
            Some("ok") => Kind::Ok,
            Some("fail") => Kind::Fail,
            Some("info") => Kind::Info,
            _ => return Err(field("type", TYPES, self.kind)),
        };
        let f = match self.f {
            Some(Value::Text(name) | Value::Keyword(name)) => Some(name),
            None if native => None,
            other => return Err(field("f", "the name of a function", other)),
        };
        if !native {
            self.more.retain(|(name, _)| !Fields::aside(name));
        }
        Ok(Some(Record {
            line,
            column,
            process: ProcessId(process),
            kind,
            time_ns,
            native,
            f,
            key: self.key,
            value: self.value,
            more: self.more,
        }))
    }
}

fn number(name: &'static str, value: Option<Value<'_>>) -> Result<u64, FormatErrorKind> {
    match value {
        Some(Value::Integer(number)) if number >= 0 => Ok(number.unsigned_abs()),
        Some(Value::Number(text)) => text
            .parse()
            .map_err(|_| field(name, NUMBER, Some(Value::Number(text)))),
        other => Err(field(name, NUMBER, other)),
    }
}

fn field(name: &'static str, expected: &'static str, found: Option<Value<'_>>) -> FormatErrorKind {
    FormatErrorKind::Field {
        field: name,
        expected,
        found: found.map_or_else(
            || "nothing".to_owned(),
            |value| shortened(&value.to_string()),
        ),
    }
}

/// What a person needs to recognise a text, and nothing that a terminal would obey.
pub(super) fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let mut short = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == CHARS_MAX {
            short.push_str("..");
            break;
        }
        if character.is_control() {
            short.extend(character.escape_default());
        } else {
            short.push(character);
        }
    }
    short
}
