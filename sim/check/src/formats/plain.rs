//! Operations in words where no model has any: in those of their form in a file.

use super::jsonl::{self, JsonlError};
use super::reading::{Bar, bars};
use crate::History;
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;

/// All operations of a history in [our own form](crate::jsonl), of whatever model.
///
/// # Errors
/// If it is none, or makes no sense.
pub fn jsonl_bars(text: &[u8]) -> Result<Vec<Bar>, JsonlError> {
    let history: History<Value, Value> = jsonl::read(text)?;
    Ok(plain_bars(&history))
}

/// The operations as bars, in the words of their [form](crate::jsonl).
pub(super) fn plain_bars<Op: Serialize, Ret: Serialize>(history: &History<Op, Ret>) -> Vec<Bar> {
    bars(history, |op, ret| {
        let op = serde_json::to_value(op).unwrap_or_default();
        let key = op.get("key").map(plain);
        let mut words = op.get("f").map(plain).unwrap_or_default();
        words += &fields(&op);
        if let Some(ret) = ret {
            let ret = fields(&serde_json::to_value(ret).unwrap_or_default());
            if !ret.is_empty() {
                words += " ->";
                words += &ret;
            }
        }
        (words, key.into_iter().collect())
    })
}

fn fields(object: &Value) -> String {
    let fields = object.as_object().into_iter().flatten();
    let mut words = String::new();
    for (name, value) in fields.filter(|(name, _)| *name != "f") {
        // Writing to memory cannot fail.
        let _ = write!(words, " {name} {}", plain(value));
    }
    words
}

/// Text without its quotes.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outcome;

    #[test]
    fn operations_of_any_model_have_words_and_keys() {
        let text = br#"{"time_ns":1,"process":4,"type":"invoke","f":"put","key":"x","value":"1"}
{"time_ns":2,"process":7,"type":"invoke","f":"scan","from":1,"to":[2,3]}
{"time_ns":3,"process":4,"type":"ok"}
{"time_ns":4,"process":7,"type":"ok","found":{"x":"1"}}
{"time_ns":5,"process":4,"type":"invoke","f":"put","key":"x","value":"2"}
"#;
        let bars = jsonl_bars(text).unwrap();
        let words: Vec<&str> = bars.iter().map(|bar| &*bar.words).collect();
        assert_eq!(
            words,
            [
                "put key x value 1",
                r#"scan from 1 to [2,3] -> found {"x":"1"}"#,
                "put key x value 2"
            ]
        );
        assert_eq!(bars[0].keys, ["x"]);
        assert_eq!(bars[1].keys, Vec::<String>::new());
        assert_eq!(bars[2].outcome, Outcome::Info);
        assert!(jsonl_bars(b"{").is_err());
    }
}
