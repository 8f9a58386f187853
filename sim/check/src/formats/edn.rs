//! EDN, the notation of Clojure's data, in which Jepsen and Elle write histories: maps with `:process`, `:type`, `:f`, `:value`,
//! perhaps `:time` (nanoseconds), `:key` and `:index`, one after the other or in one vector.
//!
//! ```text
//! {:process 0, :type :invoke, :f :write, :value 3, :time 4210000, :index 0}
//! {:process 0, :type :ok, :f :write, :value 3, :time 4215000, :index 1}
//! ```
//!
//! A reader that borrows, over a slice that may end anywhere: libraries build a tree of every map first and want the
//! whole text. The source is the specification of EDN (edn-format/edn on GitHub); tags and metadata are skipped, and what they
//! stand before is taken.

mod reader;
mod writer;

use super::record::Fields;
use super::source::Source;
use super::{FormatError, FormatErrorKind, Record, Value};
pub(super) use reader::Reader;
use std::io::Read;
pub use writer::{WriteError, write};

/// Why a reader stops before the end of a value.
pub(super) enum Stop {
    /// The text ends inside of it.
    End,
    /// Something else is there.
    Bad { at: usize, expected: &'static str },
    /// A field of a map is there twice.
    Twice { at: usize, field: String },
}

/// Reads events, up to the end of the input. Returns how many of them were no client's.
pub(super) fn read<R: Read>(
    source: &mut Source<R>,
    mut each: impl FnMut(Record<'_>) -> Result<(), FormatErrorKind>,
) -> Result<u64, FormatError> {
    let mut others = 0;
    let mut list = List::NotYet;
    loop {
        let place = source.place(0);
        let mut reader = Reader {
            bytes: source.rest(),
            at: 0,
            whole: source.ended(),
        };
        let result = match reader.next_in(&mut list) {
            Ok(Item::Nothing) => Ok(None),
            Ok(Item::End) => return Ok(others),
            Ok(Item::Event) => {
                let start = reader.at;
                reader.fields().map(|fields| Some((start, fields)))
            }
            Err(stop) => Err(stop),
        };
        let end = reader.at;
        match result {
            Ok(None) => {}
            Ok(Some((start, fields))) => {
                let place = if start == 0 {
                    place
                } else {
                    source.place(start)
                };
                let done = match fields.record(false, place) {
                    Ok(Some(record)) => each(record),
                    Ok(None) => {
                        others += 1;
                        Ok(())
                    }
                    Err(kind) => Err(kind),
                };
                done.map_err(|kind| source.error(start, kind))?;
            }
            Err(Stop::End) if !source.ended() => {
                source.more()?;
                continue;
            }
            Err(stop) => return Err(stop.error(source)),
        }
        source.consume(end);
    }
}

impl Stop {
    pub(super) fn error<R: Read>(self, source: &Source<R>) -> FormatError {
        let (at, expected) = match self {
            Stop::End => (source.rest().len(), "the rest: the text is cut off"),
            Stop::Bad { at, expected } => (at, expected),
            Stop::Twice { at, field } => {
                return source.error(at, FormatErrorKind::Twice(field));
            }
        };
        let found = found(&source.rest()[at.min(source.rest().len())..]);
        source.error(at, FormatErrorKind::Expected { expected, found })
    }
}

/// What is there instead, in words.
pub(super) fn found(rest: &[u8]) -> String {
    let token: Vec<u8> = rest
        .iter()
        .take(40)
        .copied()
        .take_while(|byte| *byte != b'\n')
        .collect();
    if rest.is_empty() {
        return "the end".to_owned();
    }
    format!(
        "`{}`",
        super::record::shortened(String::from_utf8_lossy(&token).trim_end())
    )
}

/// Whether events come one after the other or in one list.
pub(super) enum List {
    NotYet,
    Without,
    Inside,
    Behind,
}

pub(super) enum Item {
    /// A bracket that is consumed.
    Nothing,
    Event,
    End,
}

impl<'a> Reader<'a> {
    /// The next event of a file, or a bracket around all.
    fn next_in(&mut self, list: &mut List) -> Result<Item, Stop> {
        match self.skip(0) {
            // White space may end where the buffer does, and the file with it.
            Err(Stop::End) if self.whole && self.at == self.bytes.len() => {}
            Err(stop) => return Err(stop),
            Ok(()) => {}
        }
        let Some(&byte) = self.bytes.get(self.at) else {
            return match list {
                _ if !self.whole => Err(Stop::End),
                List::Inside => Err(self.bad("`]`, or one more event: the text is cut off")),
                _ => Ok(Item::End),
            };
        };
        match (byte, &*list) {
            (b'[' | b'(', List::NotYet) => *list = List::Inside,
            (b']' | b')', List::Inside) => *list = List::Behind,
            (_, List::Behind) => return Err(self.bad("nothing behind the list of events")),
            _ => {
                if matches!(list, List::NotYet) {
                    *list = List::Without;
                }
                return Ok(Item::Event);
            }
        }
        self.at += 1;
        Ok(Item::Nothing)
    }

    /// An event: a map with names as keys.
    fn fields(&mut self) -> Result<Fields<'a>, Stop> {
        self.tags(0)?;
        if self.peek()? != b'{' {
            return Err(self.bad("an event, as a map with :process, :type, :f and :value"));
        }
        self.at += 1;
        let mut fields = Fields::default();
        loop {
            self.skip(0)?;
            let start = self.at;
            match self.peek()? {
                b'}' => {
                    self.at += 1;
                    return Ok(fields);
                }
                b':' | b'"' => {}
                _ => return Err(self.bad("the name of a field, or `}`")),
            }
            let (Value::Keyword(name) | Value::Text(name)) = self.value(1)? else {
                return Err(self.bad("the name of a field"));
            };
            self.skip(0)?;
            let value = self.value(1)?;
            if Fields::aside(&name) {
                continue;
            }
            if !fields.put(name.clone(), value) {
                let field = name.into_owned();
                return Err(Stop::Twice { at: start, field });
            }
        }
    }
}
