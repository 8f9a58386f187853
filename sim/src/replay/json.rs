//! JSON that people can read: one line for each thing that is listed, indented above that.

use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};
use std::io;

/// Nesting at which things are written on one line.
const ONE_LINE_AT: usize = 3;

pub(super) fn to_string(value: &impl Serialize) -> serde_json::Result<String> {
    let mut bytes = Vec::new();
    let layout = Layout {
        pretty: PrettyFormatter::new(),
        depth: 0,
    };
    value.serialize(&mut Serializer::with_formatter(&mut bytes, layout))?;
    bytes.push(b'\n');
    // The serializer writes UTF-8.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Indents what is shallow, and writes what is deep on one line.
struct Layout {
    pretty: PrettyFormatter<'static>,
    /// How many lists and objects are open.
    depth: usize,
}

impl Layout {
    fn is_deep(&self) -> bool {
        self.depth >= ONE_LINE_AT
    }

    fn separate<W: ?Sized + io::Write>(writer: &mut W, first: bool) -> io::Result<()> {
        if first {
            Ok(())
        } else {
            writer.write_all(b", ")
        }
    }
}

impl Formatter for Layout {
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        if self.is_deep() {
            writer.write_all(b"[")
        } else {
            self.pretty.begin_array(writer)
        }
    }
    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        let deep = self.is_deep();
        self.depth -= 1;
        if deep {
            writer.write_all(b"]")
        } else {
            self.pretty.end_array(writer)
        }
    }
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if self.is_deep() {
            Self::separate(writer, first)
        } else {
            self.pretty.begin_array_value(writer, first)
        }
    }
    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.is_deep() {
            Ok(())
        } else {
            self.pretty.end_array_value(writer)
        }
    }
    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        if self.is_deep() {
            writer.write_all(b"{")
        } else {
            self.pretty.begin_object(writer)
        }
    }
    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        let deep = self.is_deep();
        self.depth -= 1;
        if deep {
            writer.write_all(b"}")
        } else {
            self.pretty.end_object(writer)
        }
    }
    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if self.is_deep() {
            Self::separate(writer, first)
        } else {
            self.pretty.begin_object_key(writer, first)
        }
    }
    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.begin_object_value(writer)
    }
    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.is_deep() {
            Ok(())
        } else {
            self.pretty.end_object_value(writer)
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn shallow_things_are_indented_and_deep_ones_stand_on_one_line() {
        let value = serde_json::json!({ "list": [{ "a": [1, 2], "b": {} }, { "c": null }], "empty": [], "x": 1 });
        let text = super::to_string(&value).unwrap();
        insta::assert_snapshot!(text, @r#"
        {
          "empty": [],
          "list": [
            {"a": [1, 2], "b": {}},
            {"c": null}
          ],
          "x": 1
        }
        "#);
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            value
        );
    }
}
