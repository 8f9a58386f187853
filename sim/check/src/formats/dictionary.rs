//! What the operations of foreign files mean: from the words of a file to the fields that a model has in [our own
//! form](crate::jsonl).
//!
//! Jepsen writes what it asks for and what was answered into the same field: `:f :cas, :value [1 2]` where our form has
//! `"f":"compare_and_set","expected":1,"value":2`, and of many keys `:value [key value]`.

use super::value::Mismatch;
use super::{Kind, Record, Value};
use serde::Deserialize;
use serde::de::value::MapDeserializer;
use std::fmt::Write;

/// What `:fail` means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fail {
    /// The operation did not happen, as Jepsen has it: nothing follows from it.
    #[default]
    Dropped,
    /// It happened, and answered that it could not do what it was asked for, as Porcupine has it: a compare-and-set saw another
    /// value. What cannot answer so did not happen.
    Observed,
}

/// What the functions of files are in a model.
#[derive(Debug)]
pub(super) struct Dictionary {
    pub(super) model: &'static str,
    pub(super) keys: Keys,
    /// Whether the values of the model are text, so that numbers are written out.
    pub(super) text: bool,
    pub(super) words: &'static [Word],
}

/// Where the key of an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// The model has none.
    None,
    /// In the field `key`, or the first of two in `value`.
    Given,
    /// The file knows one object only. It is called so.
    One(&'static str),
}

/// One function.
#[derive(Debug)]
pub(super) struct Word {
    /// What files call it.
    pub(super) names: &'static [&'static str],
    /// What the model calls it.
    pub(super) f: &'static str,
    pub(super) call: Call,
    pub(super) answer: Answer,
}

/// What an operation is about, beside its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Nothing,
    /// The value, which the model has in this field.
    As(&'static str),
    /// What is expected, and what it is to be then.
    Change,
    /// The value is a map of the fields.
    Fields,
    /// Who asks: the field `owner`, or else the process.
    Owner,
    /// The same, and how much of it: the field `permits`, or the value, or else 1.
    Permits,
}

/// What it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Nothing,
    /// The value, which the model has in this field.
    As(&'static str),
    /// The value, a map, which the model has as a list of pairs in this field.
    Pairs(&'static str),
    /// Whether it could, in this field.
    Whether(&'static str),
    /// The same, and the file must say so: that it ended well does not tell.
    Said(&'static str),
}

/// What an event of a file is, for a model.
pub(super) enum Meaning<Op, Ret> {
    Invoke(Op),
    Ok(Ret),
    Fail,
    Info,
}

type Pairs<'a> = Vec<(&'a str, Value<'a>)>;

impl Dictionary {
    /// The word that a file calls so.
    pub(super) fn word(&self, name: &str) -> Result<u8, String> {
        let found = self
            .words
            .iter()
            .position(|word| word.names.contains(&name));
        found.map(|index| index as u8).ok_or_else(|| {
            let known: Vec<&str> = self.words.iter().map(|word| word.names[0]).collect();
            if known.is_empty() {
                return format!("{} is read as jsonl only", self.model);
            }
            format!(
                "{} has no operation `{name}`, but only {}",
                self.model,
                known.join(", ")
            )
        })
    }

    /// What the event means, whose function is this one of [`Dictionary::words`].
    pub(super) fn meaning<Op, Ret>(
        &self,
        record: &Record<'_>,
        word: u8,
        fail: Fail,
    ) -> Result<Meaning<Op, Ret>, String>
    where
        Op: for<'a> Deserialize<'a>,
        Ret: for<'a> Deserialize<'a>,
    {
        let word = &self.words[usize::from(word)];
        match (record.kind, word.answer) {
            (Kind::Invoke, _) => {
                let op = self.call(record, word)?;
                typed(op, "operation").map(Meaning::Invoke)
            }
            (Kind::Ok, _) => {
                let ret = self.answer(record, word)?;
                typed(ret, "answer").map(Meaning::Ok)
            }
            (Kind::Fail, Answer::Whether(flag))
                if fail == Fail::Observed || said(record, flag) == Some(Value::Bool(false)) =>
            {
                typed(vec![(flag, Value::Bool(false))], "answer").map(Meaning::Ok)
            }
            (Kind::Fail, _) => Ok(Meaning::Fail),
            (Kind::Info, _) => Ok(Meaning::Info),
        }
    }

    fn call<'a>(&self, record: &'a Record<'_>, word: &Word) -> Result<Pairs<'a>, String> {
        let (key, value) = self.key(record)?;
        let mut fields = vec![("f", Value::Text(word.f.into()))];
        fields.extend(key.map(|key| ("key", key)));
        match word.call {
            Call::Nothing => {}
            Call::Owner | Call::Permits => {
                let process = Value::Integer(record.process.0.cast_signed());
                fields.push(("owner", said(record, "owner").unwrap_or(process)));
                if word.call == Call::Permits {
                    let permits = said(record, "permits").or_else(|| match value {
                        None | Some(Value::Nil) => None,
                        Some(value) => Some(value.borrow()),
                    });
                    fields.push(("permits", permits.unwrap_or(Value::Integer(1))));
                }
            }
            Call::As(field) => fields.push((field, self.value(value.unwrap_or(&NIL)))),
            Call::Fields => {
                let Some(Value::Map(map)) = value else {
                    return Err(format!(
                        "`{}` of {} is about a map, found {}",
                        word.names[0],
                        self.model,
                        value.unwrap_or(&NIL)
                    ));
                };
                for (name, value) in map {
                    let name = name.as_str().unwrap_or_default();
                    fields.push((name, value.borrow()));
                }
            }
            Call::Change => {
                let expected = record.more.iter().find(|(name, _)| name == "expected");
                let (expected, value) = match (expected, value, value.and_then(Value::as_list)) {
                    (Some((_, expected)), Some(value), _) | (None, _, Some([expected, value])) => {
                        (expected, value)
                    }
                    (_, value, _) => {
                        return Err(format!(
                            "`{}` of {} is about [expected new], found {}",
                            word.names[0],
                            self.model,
                            value.unwrap_or(&NIL)
                        ));
                    }
                };
                fields.push(("expected", self.value(expected)));
                fields.push(("value", self.value(value)));
            }
        }
        Ok(fields)
    }

    fn answer<'a>(&self, record: &'a Record<'_>, word: &Word) -> Result<Pairs<'a>, String> {
        Ok(match word.answer {
            Answer::Nothing => Vec::new(),
            Answer::As(field) => {
                let (_, value) = self.key(record)?;
                vec![(field, self.value(value.unwrap_or(&NIL)))]
            }
            Answer::Pairs(field) => {
                let Some(Value::Map(map)) = record.value.as_ref() else {
                    let found = record.value.as_ref().unwrap_or(&NIL);
                    let name = word.names[0];
                    return Err(format!("`{name}` answers a map, found {found}"));
                };
                let pairs = map
                    .iter()
                    .map(|(key, value)| Value::List(vec![key.borrow(), value.borrow()]));
                vec![(field, Value::List(pairs.collect()))]
            }
            Answer::Whether(flag) => vec![(flag, said(record, flag).unwrap_or(Value::Bool(true)))],
            Answer::Said(flag) => {
                let said = said(record, flag);
                let missing = || format!("the answer of `{}` must say `{flag}`", word.names[0]);
                vec![(flag, said.ok_or_else(missing)?)]
            }
        })
    }

    /// The key of an operation or an answer, and what else is there.
    fn key<'a>(
        &self,
        record: &'a Record<'_>,
    ) -> Result<(Option<Value<'a>>, Option<&'a Value<'a>>), String> {
        let value = record.value.as_ref();
        match (self.keys, &record.key, value.and_then(Value::as_list)) {
            (Keys::None, None, _) => Ok((None, value)),
            (Keys::One(name), None, _) => Ok((Some(Value::Text(name.into())), value)),
            (Keys::None | Keys::One(_), Some(key), _) => {
                Err(format!("{} has no keys, found the key {key}", self.model))
            }
            (Keys::Given, Some(key), _) => Ok((Some(text(key)), value)),
            (Keys::Given, None, Some([key, value])) => Ok((Some(text(key)), Some(value))),
            (Keys::Given, None, _) => Err(format!(
                "{} has a key for each operation, in the field `key` or as the value [key value], found {}",
                self.model,
                value.unwrap_or(&NIL)
            )),
        }
    }

    fn value<'a>(&self, value: &'a Value<'_>) -> Value<'a> {
        if self.text {
            text(value)
        } else {
            value.borrow()
        }
    }
}

/// A field that only few events have.
fn said<'a>(record: &'a Record<'_>, name: &str) -> Option<Value<'a>> {
    let field = record.more.iter().find(|(field, _)| field == name);
    field.map(|(_, value)| value.borrow())
}

const NIL: Value<'static> = Value::Nil;

/// The value as text; nothing stays nothing.
fn text<'a>(value: &'a Value<'_>) -> Value<'a> {
    match value {
        Value::Nil => Value::Nil,
        Value::Text(text) | Value::Keyword(text) | Value::Number(text) => {
            Value::Text((&**text).into())
        }
        other => {
            let mut text = String::new();
            // Writing to memory cannot fail.
            let _ = write!(text, "{other}");
            Value::Text(text.into())
        }
    }
}

/// The operation or the answer that these fields are in our own form.
fn typed<'a, T: Deserialize<'a>>(fields: Pairs<'a>, what: &str) -> Result<T, String> {
    let fields = fields.into_iter();
    T::deserialize(MapDeserializer::new(fields))
        .map_err(|error: Mismatch| format!("bad {what}: {error}"))
}
