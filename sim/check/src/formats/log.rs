//! The lines that Jepsen writes to its log: the process, the type, the function and the value, with tabs or spaces between
//! them and anything before the process. All other lines are noise.
//!
//! ```text
//! INFO  jepsen.util - 0   :invoke :cas    [1 2]
//! INFO  jepsen.util - 0   :ok     :cas    [1 2]
//! ```

use super::edn::{Reader, Stop};
use super::record::Fields;
use super::source::Source;
use super::{FormatError, FormatErrorKind, Record, Value};
use std::io::Read;

/// Reads events, up to the end of the input. Returns how many lines were something else.
pub(super) fn read<R: Read>(
    source: &mut Source<R>,
    mut each: impl FnMut(Record<'_>) -> Result<(), FormatErrorKind>,
) -> Result<u64, FormatError> {
    let mut noise = 0;
    loop {
        let rest = source.rest();
        let (line, end) = match memchr::memchr(b'\n', rest) {
            Some(end) => (&rest[..end], end + 1),
            None if !source.ended() => {
                source.more()?;
                continue;
            }
            None if rest.is_empty() => return Ok(noise),
            None => (rest, rest.len()),
        };
        let place = source.place(0);
        match event(line) {
            Ok(None) => noise += u64::from(!line.trim_ascii().is_empty()),
            Ok(Some(fields)) => {
                let done = match fields.record(false, place) {
                    Ok(Some(record)) => each(record),
                    Ok(None) => {
                        noise += 1;
                        Ok(())
                    }
                    Err(kind) => Err(kind),
                };
                done.map_err(|kind| source.error(0, kind))?;
            }
            Err(stop) => return Err(stop.error(source)),
        }
        source.consume(end);
    }
}

/// The event in a line, if it has the shape of one.
pub(super) fn event(line: &[u8]) -> Result<Option<Fields<'_>>, Stop> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut rest = line;
    let mut process = None;
    let (kind, function) = loop {
        let Some(word) = next_word(&mut rest) else {
            return Ok(None);
        };
        if matches!(word, ":invoke" | ":ok" | ":fail" | ":info") {
            break (word, next_word(&mut rest));
        }
        process = Some(word);
    };
    let function = function.and_then(|function| function.strip_prefix(':'));
    let (Some(process), Some(function)) = (process, function) else {
        return Ok(None);
    };
    let process = match process.parse() {
        Ok(number) => Value::Integer(number),
        // The nemesis, for example.
        Err(_) => Value::Keyword(process.into()),
    };
    // What follows the value, an error for example, is said to people.
    let mut reader = Reader {
        bytes: line,
        at: line.len() - rest.trim_ascii_start().len(),
        whole: true,
    };
    let mut fields = Fields::default();
    fields.put("process".into(), process);
    fields.put("type".into(), Value::Keyword(kind[1..].into()));
    fields.put("f".into(), Value::Keyword(function.into()));
    if reader.at < line.len() {
        fields.put("value".into(), reader.value(0)?);
    }
    Ok(Some(fields))
}

/// Takes what comes up to the next white space. Nothing at the end, or where there is no text.
fn next_word<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let start = rest.trim_ascii_start();
    let end = start.iter().position(u8::is_ascii_whitespace);
    let (word, behind) = start.split_at(end.unwrap_or(start.len()));
    *rest = behind;
    let word = std::str::from_utf8(word).ok()?;
    (!word.is_empty()).then_some(word)
}
