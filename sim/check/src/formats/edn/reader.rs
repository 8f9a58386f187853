//! A reader of EDN that borrows, over a slice that may end anywhere.

use super::{Stop, Value};
use std::borrow::Cow;

/// Deeper nesting is no history.
const DEPTH_MAX: usize = 64;

/// A position in a text.
pub(in crate::formats) struct Reader<'a> {
    pub(in crate::formats) bytes: &'a [u8],
    pub(in crate::formats) at: usize,
    /// Nothing follows the bytes.
    pub(in crate::formats) whole: bool,
}

const SPACE: u8 = 1;
const DELIMITER: u8 = 2;

/// What ends a token: white space (commas are), or a delimiter.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let spaces = b" \t\n\r\x0c\x0b,";
    let delimiters = b"()[]{}\";";
    let mut i = 0;
    while i < spaces.len() {
        classes[spaces[i] as usize] = SPACE;
        i += 1;
    }
    i = 0;
    while i < delimiters.len() {
        classes[delimiters[i] as usize] = DELIMITER;
        i += 1;
    }
    classes
};

impl<'a> Reader<'a> {
    pub(in crate::formats) fn peek(&self) -> Result<u8, Stop> {
        self.bytes.get(self.at).copied().ok_or(Stop::End)
    }

    pub(in crate::formats) fn bad(&self, expected: &'static str) -> Stop {
        Stop::Bad {
            at: self.at,
            expected,
        }
    }

    /// Goes to the next token: behind white space, comments, and what `#_` leaves out.
    pub(in crate::formats) fn skip(&mut self, depth: usize) -> Result<(), Stop> {
        loop {
            while CLASSES[usize::from(self.peek()?)] == SPACE {
                self.at += 1;
            }
            match self.peek()? {
                b';' => match memchr::memchr(b'\n', &self.bytes[self.at..]) {
                    Some(end) => self.at += end + 1,
                    None if self.whole => self.at = self.bytes.len(),
                    None => return Err(Stop::End),
                },
                b'#' if self.bytes.get(self.at + 1) == Some(&b'_') => {
                    self.at += 2;
                    self.skip_deeper(depth)?;
                    self.value(depth + 1)?;
                }
                b'#' if self.at + 1 == self.bytes.len() && !self.whole => return Err(Stop::End),
                _ => return Ok(()),
            }
        }
    }

    fn skip_deeper(&mut self, depth: usize) -> Result<(), Stop> {
        if depth >= DEPTH_MAX {
            return Err(self.bad("less nesting"));
        }
        self.skip(depth + 1)
    }

    /// Goes behind tags and metadata, to what they stand before.
    pub(in crate::formats) fn tags(&mut self, depth: usize) -> Result<(), Stop> {
        loop {
            match self.peek()? {
                b'#' => match self.bytes.get(self.at + 1) {
                    Some(first) if first.is_ascii_alphabetic() || *first == b':' => {
                        self.at += 1;
                        self.token()?;
                    }
                    _ => return Ok(()),
                },
                b'^' => {
                    self.at += 1;
                    self.skip_deeper(depth)?;
                    self.value(depth + 1)?;
                }
                _ => return Ok(()),
            }
            self.skip_deeper(depth)?;
        }
    }

    /// The bytes up to white space or a delimiter.
    fn token(&mut self) -> Result<&'a [u8], Stop> {
        let rest = &self.bytes[self.at..];
        match rest
            .iter()
            .position(|byte| CLASSES[usize::from(*byte)] != 0)
        {
            Some(length) => {
                self.at += length;
                Ok(&rest[..length])
            }
            None if self.whole => {
                self.at = self.bytes.len();
                Ok(rest)
            }
            None => Err(Stop::End),
        }
    }

    /// Bytes as text.
    fn text(start: usize, bytes: &'a [u8]) -> Result<&'a str, Stop> {
        std::str::from_utf8(bytes).map_err(|error| Stop::Bad {
            at: start + error.valid_up_to(),
            expected: "UTF-8",
        })
    }

    /// The value that begins here.
    pub(in crate::formats) fn value(&mut self, depth: usize) -> Result<Value<'a>, Stop> {
        if depth > DEPTH_MAX {
            return Err(self.bad("less nesting"));
        }
        self.tags(depth)?;
        let start = self.at;
        match self.peek()? {
            b'"' => self.string(),
            b':' => {
                self.at += 1;
                let token = self.token()?;
                if token.is_empty() {
                    return Err(Stop::Bad {
                        at: start,
                        expected: "the name of a keyword",
                    });
                }
                Ok(Value::Keyword(Self::text(start + 1, token)?.into()))
            }
            b'[' => self.list(b']', depth),
            b'(' => self.list(b')', depth),
            b'{' => self.map(depth),
            b'#' => match self.bytes.get(self.at + 1) {
                None => Err(if self.whole {
                    self.bad("a value")
                } else {
                    Stop::End
                }),
                Some(b'{') => {
                    self.at += 1;
                    self.list(b'}', depth)
                }
                // A pattern, as Clojure prints it.
                Some(b'"') => {
                    self.at += 1;
                    self.string()
                }
                Some(b'#') => {
                    let token = self.token()?;
                    Ok(Value::Number(Self::text(start, token)?.into()))
                }
                Some(_) => Err(self.bad("a value")),
            },
            b'\\' => self.character(),
            b'0'..=b'9' => self.number(),
            b'+' | b'-' => match self.bytes.get(self.at + 1) {
                Some(b'0'..=b'9') => self.number(),
                Some(_) => self.symbol(),
                None => Err(Stop::End),
            },
            _ => self.symbol(),
        }
    }

    fn list(&mut self, end: u8, depth: usize) -> Result<Value<'a>, Stop> {
        self.at += 1;
        let mut list = Vec::new();
        loop {
            self.skip_deeper(depth)?;
            if self.peek()? == end {
                self.at += 1;
                return Ok(Value::List(list));
            }
            list.push(self.value(depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value<'a>, Stop> {
        self.at += 1;
        let mut map = Vec::new();
        loop {
            self.skip_deeper(depth)?;
            if self.peek()? == b'}' {
                self.at += 1;
                return Ok(Value::Map(map));
            }
            let key = self.value(depth + 1)?;
            self.skip_deeper(depth)?;
            map.push((key, self.value(depth + 1)?));
        }
    }

    fn string(&mut self) -> Result<Value<'a>, Stop> {
        self.at += 1;
        let start = self.at;
        let mut text = Cow::Borrowed("");
        loop {
            let rest = &self.bytes[self.at..];
            let Some(length) = memchr::memchr2(b'"', b'\\', rest) else {
                return Err(Stop::End);
            };
            let piece = Self::text(self.at, &rest[..length])?;
            let ends = rest[length] == b'"';
            if ends && text.is_empty() && self.at == start {
                text = Cow::Borrowed(piece);
            } else {
                text.to_mut().push_str(piece);
            }
            self.at += length + 1;
            if ends {
                return Ok(Value::Text(text));
            }
            let escape = self.peek()?;
            let character = match escape {
                b'n' => '\n',
                b't' => '\t',
                b'r' => '\r',
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'"' | b'\\' | b'/' => char::from(escape),
                b'u' => self.unicode()?,
                _ => return Err(self.bad("one of n t r b f \" \\ / u after a backslash")),
            };
            self.at += 1;
            text.to_mut().push(character);
        }
    }

    /// `uXXXX`, perhaps with the second half of a surrogate pair. Ends on the last digit.
    fn unicode(&mut self) -> Result<char, Stop> {
        let mut units = [0; 2];
        for count in 1..=2 {
            let Some(digits) = self.bytes.get(self.at + 1..self.at + 5) else {
                return Err(Stop::End);
            };
            let unit = std::str::from_utf8(digits)
                .ok()
                .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
                .and_then(|digits| u16::from_str_radix(digits, 16).ok())
                .ok_or_else(|| self.bad("four hexadecimal digits"))?;
            units[count - 1] = unit;
            self.at += 4;
            if let Some(Ok(character)) = char::decode_utf16(units[..count].iter().copied()).next() {
                return Ok(character);
            }
            let follows = self.bytes.get(self.at + 1..self.at + 3);
            if follows.is_none() && !self.whole {
                return Err(Stop::End);
            }
            if count == 2 || follows != Some(b"\\u") {
                break;
            }
            self.at += 2;
        }
        Err(self.bad("both halves of a surrogate pair"))
    }

    /// `\a`, `\newline`, `\u0041`.
    fn character(&mut self) -> Result<Value<'a>, Stop> {
        let start = self.at;
        // The character itself may be a delimiter.
        self.at += 2;
        if self.at > self.bytes.len() {
            self.at = start;
            return Err(if self.whole {
                self.bad("a character")
            } else {
                Stop::End
            });
        }
        self.token()?;
        let name = Self::text(start, &self.bytes[start + 1..self.at])?;
        let character = match name {
            "newline" => '\n',
            "return" => '\r',
            "space" => ' ',
            "tab" => '\t',
            "formfeed" => '\u{c}',
            "backspace" => '\u{8}',
            _ => {
                let mut characters = name.chars();
                let code = name.strip_prefix('u').filter(|code| code.len() == 4);
                let code = code.and_then(|code| u32::from_str_radix(code, 16).ok());
                match (
                    characters.next(),
                    characters.next(),
                    code.and_then(char::from_u32),
                ) {
                    (Some(only), None, _) => only,
                    (_, _, Some(coded)) => coded,
                    _ => {
                        return Err(Stop::Bad {
                            at: start,
                            expected: "a character",
                        });
                    }
                }
            }
        };
        Ok(Value::Text(character.to_string().into()))
    }

    fn number(&mut self) -> Result<Value<'a>, Stop> {
        let start = self.at;
        let token = self.token()?;
        let (negative, digits) = match token {
            [b'-', digits @ ..] => (true, digits),
            [b'+', digits @ ..] | digits => (false, digits),
        };
        let digits = digits.strip_suffix(b"N").unwrap_or(digits);
        // Eighteen digits fit for certain.
        if digits.len() <= 18 && digits.iter().all(u8::is_ascii_digit) {
            let number = digits
                .iter()
                .fold(0_i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
            return Ok(Value::Integer(if negative { -number } else { number }));
        }
        let text = Self::text(start, token)?;
        let plain = text.trim_end_matches('N').trim_start_matches('+');
        if let Ok(number) = plain.parse() {
            return Ok(Value::Integer(number));
        }
        let ratio = |text: &str| {
            text.split_once('/').is_some_and(|(above, below)| {
                above.parse::<i128>().is_ok() && below.parse::<u128>().is_ok()
            })
        };
        let whole = digits.iter().all(u8::is_ascii_digit);
        if whole || ratio(text) || text.trim_end_matches('M').parse::<f64>().is_ok() {
            return Ok(Value::Number(plain.into()));
        }
        Err(Stop::Bad {
            at: start,
            expected: "a number",
        })
    }

    fn symbol(&mut self) -> Result<Value<'a>, Stop> {
        let start = self.at;
        let token = self.token()?;
        match token {
            b"nil" => return Ok(Value::Nil),
            b"true" => return Ok(Value::Bool(true)),
            b"false" => return Ok(Value::Bool(false)),
            _ => {}
        }
        let text = Self::text(start, token)?;
        let good = |character: char| {
            character.is_alphanumeric() || "*!_?$%&=<>.-+/'#:|".contains(character)
        };
        if text.is_empty() || !text.chars().all(good) {
            return Err(Stop::Bad {
                at: start,
                expected: "a value",
            });
        }
        Ok(Value::Keyword(text.into()))
    }
}
