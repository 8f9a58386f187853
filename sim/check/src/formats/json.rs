//! JSON: our own events ([`jsonl`](crate::jsonl)) and those of Jepsen, with the same names as in [EDN](super::edn), one after the
//! other or in one array.

use super::edn::{Item, List, Stop};
use super::record::Fields;
use super::source::Source;
use super::{FormatError, FormatErrorKind, Record};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;
use std::io::Read;

/// Reads events, up to the end of the input. Returns how many of them were no client's.
pub(super) fn read<R: Read>(
    source: &mut Source<R>,
    only_native: bool,
    mut each: impl FnMut(Record<'_>) -> Result<(), FormatErrorKind>,
) -> Result<u64, FormatError> {
    let mut others = 0;
    let mut list = List::NotYet;
    loop {
        let rest = source.rest();
        let start = rest.iter().position(|byte| !b" \t\r\n,".contains(byte));
        let start = start.unwrap_or(rest.len());
        match next_in(rest, start, source.ended(), &mut list) {
            Ok(Item::Nothing) => source.consume(start + 1),
            Ok(Item::End) => return Ok(others),
            Ok(Item::Event) => {
                let mut values = serde_json::Deserializer::from_slice(&rest[start..]).into_iter();
                let place = source.place(start);
                match values.next() {
                    Some(Ok(FieldsOf(fields))) => {
                        let done = match fields.record(only_native, place) {
                            Ok(Some(record)) => each(record),
                            Ok(None) => {
                                others += 1;
                                Ok(())
                            }
                            Err(kind) => Err(kind),
                        };
                        done.map_err(|kind| source.error(start, kind))?;
                        let end = start + values.byte_offset();
                        source.consume(end);
                    }
                    Some(Err(error)) if error.is_eof() && !source.ended() => source.more()?,
                    Some(Err(error)) => return Err(syntax(place, &error)),
                    None => source.more()?,
                }
            }
            Err(Stop::End) if !source.ended() => source.more()?,
            Err(stop) => return Err(stop.error(source)),
        }
    }
}

/// What begins here.
fn next_in(rest: &[u8], start: usize, ended: bool, list: &mut List) -> Result<Item, Stop> {
    let bad = |expected| Stop::Bad {
        at: start,
        expected,
    };
    match (rest.get(start), &*list) {
        (None, _) if !ended => Err(Stop::End),
        (None, List::Inside) => Err(bad("`]`, or one more event: the text is cut off")),
        (None, _) => Ok(Item::End),
        (Some(_), List::Behind) => Err(bad("nothing behind the array of events")),
        (Some(b'['), List::NotYet) => {
            *list = List::Inside;
            Ok(Item::Nothing)
        }
        (Some(b']'), List::Inside) => {
            *list = List::Behind;
            Ok(Item::Nothing)
        }
        (Some(b'{'), _) => {
            if matches!(list, List::NotYet) {
                *list = List::Without;
            }
            Ok(Item::Event)
        }
        (Some(_), _) => Err(bad("an event, as one JSON object")),
    }
}

/// The place in the file of what serde says of a piece of it.
fn syntax((line, column): (u64, u64), error: &serde_json::Error) -> FormatError {
    let lines = error.line().saturating_sub(1) as u64;
    let columns = if lines == 0 { column - 1 } else { 0 };
    FormatError {
        line: line + lines,
        column: columns + error.column().max(1) as u64,
        kind: FormatErrorKind::Syntax(without_place(&error.to_string())),
    }
}

/// The message alone: the place that serde counts is one in a piece of the file.
pub(super) fn without_place(words: &str) -> String {
    match words.rsplit_once(" at line ") {
        Some((message, _)) => message.to_owned(),
        None => words.to_owned(),
    }
}

/// The fields of an object, none of them twice.
pub(super) struct FieldsOf<'a>(pub(super) Fields<'a>);

impl<'de> Deserialize<'de> for FieldsOf<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = FieldsOf<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<FieldsOf<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(Name(name)) = access.next_key()? {
            let value = access.next_value()?;
            if !fields.put(name.clone(), value) {
                return Err(A::Error::custom(format!("field `{name}` is there twice")));
            }
        }
        Ok(FieldsOf(fields))
    }
}

/// A name, borrowed if it is written without escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
