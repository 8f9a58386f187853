//! Names of services, instances and tags: labels that DNS can carry.

use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest label, in bytes (RFC 1035 §2.3.4).
pub const LABEL_BYTES_MAX: usize = 63;

/// A name that is one label of a domain name (RFC 1123 §2.1): 1 to 63 lower-case ASCII letters, digits and hyphens, neither
/// the first nor the last of them a hyphen.
///
/// Lower case only: DNS does not tell cases apart and keys of a store do, so two spellings would be one service here and
/// two there. Shared, so that copies are cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(Arc<str>);

/// Why a text is no [`Label`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// It is empty.
    #[error("a name must not be empty")]
    Empty,
    /// It is too long.
    #[error("`{0}` has {len} bytes: a name has at most {LABEL_BYTES_MAX}", len = .0.len())]
    TooLong(String),
    /// It has a character that does not belong there.
    #[error(
        "`{text}` has `{character}`: a name has lower-case letters, digits, and hyphens between them"
    )]
    Character {
        /// The text.
        text: String,
        /// The first such character.
        character: char,
    },
}

impl Label {
    /// This text as a label.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Label, LabelError> {
        if text.is_empty() {
            return Err(LabelError::Empty);
        }
        let last = text.len() - 1;
        let is_good = |(at, character): (usize, char)| match character {
            'a'..='z' | '0'..='9' => true,
            '-' => at != 0 && at != last,
            _ => false,
        };
        if let Some((_, character)) = text.char_indices().find(|&place| !is_good(place)) {
            let text = text.to_owned();
            return Err(LabelError::Character { text, character });
        }
        if text.len() > LABEL_BYTES_MAX {
            return Err(LabelError::TooLong(text.to_owned()));
        }
        Ok(Label(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = LabelError;
    fn from_str(text: &str) -> Result<Label, LabelError> {
        Label::new(text)
    }
}

impl TryFrom<String> for Label {
    type Error = LabelError;
    fn try_from(text: String) -> Result<Label, LabelError> {
        Label::new(&text)
    }
}

impl From<Label> for String {
    fn from(label: Label) -> String {
        label.as_str().to_owned()
    }
}

/// Ordered, and equal, as the text is.
impl Borrow<str> for Label {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dns_can_carry_is_a_label_and_nothing_else() {
        let longest = "a".repeat(63);
        for good in ["a", "0", "web", "web-2", "a--b", "xn--mnchen-3ya", &longest] {
            assert_eq!(Label::new(good).unwrap().as_str(), good);
        }
        assert_eq!(Label::new(""), Err(LabelError::Empty));
        let too_long = "a".repeat(64);
        assert_eq!(
            Label::new(&too_long),
            Err(LabelError::TooLong(too_long.clone()))
        );
        for (bad, culprit) in [
            ("-", '-'),
            ("-web", '-'),
            ("web-", '-'),
            ("Web", 'W'),
            ("a.b", '.'),
            ("a/b", '/'),
            ("a_b", '_'),
            ("a b", ' '),
            ("m\u{fc}nchen", '\u{fc}'),
            ("a\0", '\0'),
        ] {
            let text = bad.to_owned();
            let character = culprit;
            assert_eq!(
                Label::new(bad),
                Err(LabelError::Character { text, character })
            );
        }
    }

    #[test]
    fn what_is_read_is_checked() {
        let label: Label = serde_json::from_str("\"web\"").unwrap();
        assert_eq!(serde_json::to_string(&label).unwrap(), "\"web\"");
        assert!(serde_json::from_str::<Label>("\"a/b\"").is_err());
    }
}
