//! Bytes from anywhere, a piece at a time: records are read from a buffer, and where a record goes on behind its end, more is
//! read and the record begun again. So a reader of a format sees plain slices, and a file may be larger than memory.

use super::{FormatError, FormatErrorKind};
use std::io::Read;

/// What is read at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// No record is longer: what looks like one is a file of another kind.
const RECORD_BYTES_MAX: usize = 64 << 20;

/// A buffer over an input.
pub(crate) struct Source<R> {
    input: R,
    buffer: Vec<u8>,
    /// The buffer is consumed up to here.
    start: usize,
    /// Nothing follows the buffer.
    ended: bool,
    /// The line in which `start` is, from 1.
    line: u64,
    /// How many bytes of that line are before `start`.
    before: u64,
}

impl<R: Read> Source<R> {
    pub(crate) fn new(input: R) -> Self {
        Source {
            input,
            buffer: Vec::new(),
            start: 0,
            ended: false,
            line: 1,
            before: 0,
        }
    }

    /// What is not consumed yet, as far as it is known.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Whether nothing follows [`Source::rest`].
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// Line and column, from 1, of the byte at this offset of [`Source::rest`]. Columns count bytes.
    pub(crate) fn place(&self, offset: usize) -> (u64, u64) {
        let (lines, last) = lines(&self.rest()[..offset.min(self.rest().len())]);
        let before = if lines == 0 { self.before } else { 0 };
        (self.line + lines, before + last + 1)
    }

    /// The first bytes of [`Source::rest`] are done.
    pub(crate) fn consume(&mut self, bytes: usize) {
        let (lines, last) = lines(&self.rest()[..bytes]);
        self.line += lines;
        self.before = last + if lines == 0 { self.before } else { 0 };
        self.start += bytes;
    }

    /// Reads on, at least as much as is there: a record that is begun again with each piece costs linear time all the same.
    pub(crate) fn more(&mut self) -> Result<(), FormatError> {
        self.buffer.drain(..self.start);
        self.start = 0;
        if self.buffer.len() > RECORD_BYTES_MAX {
            return Err(self.error(0, FormatErrorKind::TooLong(RECORD_BYTES_MAX >> 20)));
        }
        let wanted = self.buffer.len().max(CHUNK_BYTES);
        let mut input = (&mut self.input).take(wanted as u64);
        match input.read_to_end(&mut self.buffer) {
            Ok(read) => {
                self.ended = read < wanted;
                Ok(())
            }
            Err(error) => Err(self.error(self.rest().len(), FormatErrorKind::Io(error))),
        }
    }

    /// An error at this offset of [`Source::rest`].
    pub(crate) fn error(&self, offset: usize, kind: FormatErrorKind) -> FormatError {
        let (line, column) = self.place(offset);
        FormatError { line, column, kind }
    }
}

/// How many lines end in these bytes, and how many bytes follow the last end.
fn lines(bytes: &[u8]) -> (u64, u64) {
    let ends = memchr::memchr_iter(b'\n', bytes).count();
    let last = memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1);
    (ends as u64, (bytes.len() - last) as u64)
}
