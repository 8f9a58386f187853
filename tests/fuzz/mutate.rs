//! What is done to a good file.

use super::*;
use serde_json::Value;

#[derive(Clone, Copy, Debug)]
pub(super) enum Format {
    Toml,
    Json,
}

/// One thing that is done to a file: to its bytes, to its lines, or to the values it stands for.
#[derive(Clone, Debug)]
pub(super) enum Mutation {
    Noise(Vec<u8>),
    Truncate(Index),
    FlipBit(Index, u8),
    Insert(Index, Vec<u8>),
    DropByte(Index),
    DropLine(Index),
    RepeatLine(Index, Index),
    SwapLines(Index, Index),
    /// From some place on, the other file.
    Splice(Index, Index),
    /// Brackets that are never closed, or all closed.
    Nest(Index, u32, &'static str, bool),
    /// A very long text.
    Long(Index, char, u32),
    /// Digits become others.
    Number(Index, &'static str),
    /// A value becomes an odd one, or one of the other file.
    Value(Index, &'static str),
    ValueOfOther(Index, Index),
    DropKey(Index),
    RenameKey(Index, String),
    /// An element of a list is repeated so often.
    Repeat(Index, u32),
}

/// JSON; what TOML has no word for is left out there.
#[rustfmt::skip] // A table.
pub(super) const ODD: &[&str] = &[
    "null", "true", "false", "0", "-0", "-0.0", "-1", "1", "2", "99", "100", "4294967295", "4294967296", "9223372036854775807",
    "-9223372036854775808", "18446744073709551615", "1e308", "0.1", "[]", "[[]]", "{}", "[\"\"]", "[\"1s\",\"1s\"]",
    "[-900000,9000000]", "[-31536000000,31536000000]", "[0,0]", "[-2147483648,2147483647]", "\"\"", "\" \"", "\"a\\nb\"", "\"\\u0000\"",
    "\"0s\"", "\"-1s\"", "\"1ns\"", "\"1ms\"", "\"2ms\"", "\"1h\"", "\"59m\"", "\"3600s\"", "\"18446744073709551615s\"", "\"584y\"",
    "\"1s 1s 1s\"", "\"0/1\"", "\"1/0\"", "\"4294967295/4294967295\"", "\"1/4294967295\"", "\"101%\"", "\"1\"", "\"0\"",
    "\"n0\"", "\"n1\"", "\"n99\"", "\"n4294967295\"", "\"n4294967296\"", "\"n01\"", "\"all\"", "\"client\"", "\"majority\"",
    "\"leader\"", "\"crash\"", "\"wipe\"", "\"corrupt\"", "\"drift\"", "\"swizzle\"", "\"degrade\"", "\"partition\"",
    "\"majorities-ring\"", "\"partial\"", "\"before-sync\"", "\"no such probe\\nat all\"", "\"bully\"", "\"raft-kv\"", "\"\u{202e}\u{1f9e0}\"",
    "{\"min\":\"0s\",\"mean\":\"0s\"}", "{\"min\":\"1h\",\"mean\":\"1h\",\"tail\":\"1\",\"tail_max\":\"1h\"}",
    "{\"min\":\"0s\",\"mean\":\"1h\"}", "{\"good\":\"1ms\",\"bad\":\"1ms\"}", "{\"good\":\"1h\",\"bad\":\"1h\",\"loss\":\"1\"}",
    "{\"bytes_per_s\":1,\"queue_bytes\":18446744073709551615}", "{\"bytes_per_s\":9223372036854775807,\"queue_bytes\":0}",
    "{\"kept\":4294967295}", "{\"torn\":4294967295}", "{\"n1\":-2147483648}", "{\"n1\":-900000,\"n2\":9000000}", "{\"n1\":[\"n1\"]}",
    "{\"n1\":[\"n2\",\"n3\"],\"n2\":[]}", "{\"servers\":99,\"clients\":99}", "{\"servers\":1}",
];

const NUMBERS: &[&str] = &[
    "1e400",
    "-1e400",
    "99999999999999999999",
    "-0",
    "0x10",
    "1_000",
    "00",
    "340282366920938463463374607431768211456",
    "nan",
    "1.",
];

const NESTS: &[&str] = &["[", "{", "{\"a\":", "{a=", "[[", "a=[", "a.", "\"\"\"", "("];

pub(super) fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let at = any::<Index>;
    let noise = |most| proptest::collection::vec(any::<u8>(), 0..most);
    let mutation = prop_oneof![
        1 => noise(400).prop_map(Mutation::Noise),
        2 => at().prop_map(Mutation::Truncate),
        3 => (at(), 0..8_u8).prop_map(|(at, bit)| Mutation::FlipBit(at, bit)),
        2 => (at(), noise(8)).prop_map(|(at, noise)| Mutation::Insert(at, noise)),
        2 => at().prop_map(Mutation::DropByte),
        2 => at().prop_map(Mutation::DropLine),
        2 => (at(), at()).prop_map(|(from, to)| Mutation::RepeatLine(from, to)),
        1 => (at(), at()).prop_map(|(from, to)| Mutation::SwapLines(from, to)),
        2 => (at(), at()).prop_map(|(here, there)| Mutation::Splice(here, there)),
        1 => (at(), 1..10_000_u32, select(NESTS), any::<bool>()).prop_map(|(at, deep, open, close)| Mutation::Nest(at, deep, open, close)),
        1 => (at(), any::<char>(), 1..100_000_u32).prop_map(|(at, c, long)| Mutation::Long(at, c, long)),
        3 => (at(), select(NUMBERS)).prop_map(|(at, number)| Mutation::Number(at, number)),
        20 => (at(), select(ODD)).prop_map(|(at, odd)| Mutation::Value(at, odd)),
        6 => (at(), at()).prop_map(|(at, from)| Mutation::ValueOfOther(at, from)),
        3 => at().prop_map(Mutation::DropKey),
        2 => (at(), "\\PC{0,6}|[a-z_\n\"]{1,9}").prop_map(|(at, key)| Mutation::RenameKey(at, key)),
        2 => (at(), 1..1_000_u32).prop_map(|(at, times)| Mutation::Repeat(at, times)),
    ];
    proptest::collection::vec(mutation, 1..4)
}

/// The file after all of it.
pub(super) fn mutated(format: Format, good: &str, other: &str, mutations: &[Mutation]) -> Vec<u8> {
    let mut bytes = good.as_bytes().to_vec();
    for mutation in mutations {
        if !mutation.change_value(format, &mut bytes, other) && !mutation.change_lines(&mut bytes) {
            mutation.change_bytes(&mut bytes, other.as_bytes());
        }
    }
    bytes
}

impl Mutation {
    fn change_bytes(&self, bytes: &mut Vec<u8>, other: &[u8]) {
        let place = |at: &Index| at.index(bytes.len() + 1);
        let byte = |at: &Index| at.index(bytes.len().max(1));
        match self {
            Mutation::Noise(noise) => noise.clone_into(bytes),
            Mutation::Truncate(at) => bytes.truncate(place(at)),
            Mutation::FlipBit(at, bit) => {
                let at = byte(at);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            Mutation::Insert(at, noise) => {
                let at = place(at);
                bytes.splice(at..at, noise.iter().copied());
            }
            Mutation::DropByte(at) => {
                let at = byte(at);
                bytes.drain(at..(at + 1).min(bytes.len()));
            }
            Mutation::Splice(here, there) => {
                bytes.truncate(place(here));
                bytes.extend_from_slice(&other[there.index(other.len())..]);
            }
            Mutation::Nest(at, deep, open, close) => {
                let at = place(at);
                let closing = if open.contains('{') { "}" } else { "]" };
                let closing = if *close {
                    closing.repeat(*deep as usize)
                } else {
                    String::new()
                };
                let nest = open.repeat(*deep as usize) + &closing;
                bytes.splice(at..at, nest.into_bytes());
            }
            Mutation::Long(at, c, long) => {
                let at = place(at);
                bytes.splice(at..at, c.to_string().repeat(*long as usize).into_bytes());
            }
            Mutation::Number(at, number) => {
                let from = byte(at);
                let digits = |byte: &u8| byte.is_ascii_digit();
                let Some(start) = bytes[from.min(bytes.len())..].iter().position(digits) else {
                    return;
                };
                let start = from + start;
                let length = bytes[start..]
                    .iter()
                    .take_while(|byte| digits(byte))
                    .count();
                bytes.splice(start..start + length, number.bytes());
            }
            _ => {}
        }
    }

    /// Returns whether it is one of lines.
    fn change_lines(&self, bytes: &mut Vec<u8>) -> bool {
        let mut lines: Vec<Vec<u8>> = bytes
            .split(|&byte| byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        match self {
            Mutation::DropLine(at) => {
                lines.remove(at.index(lines.len()));
            }
            Mutation::RepeatLine(from, to) => {
                let line = lines[from.index(lines.len())].clone();
                lines.insert(to.index(lines.len()), line);
            }
            Mutation::SwapLines(from, to) => {
                let (from, to) = (from.index(lines.len()), to.index(lines.len()));
                lines.swap(from, to);
            }
            _ => return false,
        }
        *bytes = lines.join(&b'\n');
        true
    }

    /// Returns whether it is one of values. A file that cannot be read any more stays as it is.
    fn change_value(&self, format: Format, bytes: &mut Vec<u8>, other: &str) -> bool {
        let is_of_values = matches!(
            self,
            Mutation::Value(..)
                | Mutation::ValueOfOther(..)
                | Mutation::DropKey(_)
                | Mutation::RenameKey(..)
                | Mutation::Repeat(..)
        );
        if !is_of_values {
            return false;
        }
        let text = String::from_utf8_lossy(bytes);
        if let (Some(mut value), Some(mut other)) = (format.parse(&text), format.parse(other)) {
            self.change(&mut value, &mut other);
            if let Some(text) = format.print(&value) {
                *bytes = text.into_bytes();
            }
        }
        true
    }

    fn change(&self, value: &mut Value, other: &mut Value) {
        let count = size(value);
        match self {
            Mutation::Value(at, odd) => {
                if let (Some(place), Ok(odd)) =
                    (nth(value, &mut at.index(count)), serde_json::from_str(odd))
                {
                    *place = odd;
                }
            }
            Mutation::ValueOfOther(at, from) => {
                let from = from.index(size(other));
                if let (Some(place), Some(new)) =
                    (nth(value, &mut at.index(count)), nth(other, &mut { from }))
                {
                    *place = new.clone();
                }
            }
            Mutation::DropKey(at) => match nth(value, &mut at.index(count)) {
                Some(Value::Object(map)) if !map.is_empty() => {
                    let key = map
                        .keys()
                        .nth(at.index(map.len()))
                        .cloned()
                        .unwrap_or_default();
                    map.remove(&key);
                }
                Some(Value::Array(list)) => drop(list.pop()),
                _ => {}
            },
            Mutation::RenameKey(at, new) => {
                if let Some(Value::Object(map)) = nth(value, &mut at.index(count))
                    && !map.is_empty()
                {
                    let key = map
                        .keys()
                        .nth(at.index(map.len()))
                        .cloned()
                        .unwrap_or_default();
                    let value = map.remove(&key).unwrap_or_default();
                    map.insert(new.clone(), value);
                }
            }
            Mutation::Repeat(at, times) => {
                let place = nth(value, &mut at.index(count));
                if let Some(Value::Array(list)) = place
                    && let Some(last) = list.last().cloned()
                {
                    list.extend(std::iter::repeat_n(last, *times as usize));
                }
            }
            _ => {}
        }
    }
}

impl Format {
    fn parse(self, text: &str) -> Option<Value> {
        match self {
            Format::Toml => toml::from_str(text).ok(),
            Format::Json => serde_json::from_str(text).ok(),
        }
    }

    fn print(self, value: &Value) -> Option<String> {
        match self {
            Format::Toml => toml::to_string(value).ok(),
            Format::Json => serde_json::to_string_pretty(value).ok(),
        }
    }
}

/// How many values there are in it, itself included.
fn size(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(size).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(size).sum::<usize>(),
        _ => 1,
    }
}

fn nth<'a>(value: &'a mut Value, n: &mut usize) -> Option<&'a mut Value> {
    if *n == 0 {
        return Some(value);
    }
    *n -= 1;
    match value {
        Value::Array(list) => list.iter_mut().find_map(|value| nth(value, n)),
        Value::Object(map) => map.values_mut().find_map(|value| nth(value, n)),
        _ => None,
    }
}
