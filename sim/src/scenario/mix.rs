//! How many operations of a workload are special ones.

use serde::{Deserialize, Serialize};
use splitbrain_core::Ratio;
use std::collections::BTreeMap;

/// The shares of special operations, by the names that a protocol has for them; all others are ordinary ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mix(BTreeMap<String, Ratio>);

impl Mix {
    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The share of the special operation of this name.
    pub fn share(&self, name: &str) -> Ratio {
        self.0.get(name).copied().unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Draws, if there is anything to be drawn: the name of a special operation, or none.
    pub(super) fn draw(&self, draw: impl FnOnce() -> u64) -> Option<&str> {
        if self.0.values().all(|share| share.is_never()) {
            return None;
        }
        let draw = u128::from(draw());
        let mut below = 0;
        let mut shares = self.0.iter();
        let (name, _) = shares.find(|(_, share)| {
            below += share.hitting();
            draw < below
        })?;
        Some(name)
    }

    /// Says whether the shares are more than everything.
    pub(super) fn validate(&self) -> Result<(), String> {
        let sum: u128 = self.0.values().map(|share| share.hitting()).sum();
        // Each share is rounded up.
        if sum >= (1 << 64) + self.0.len().max(1) as u128 {
            return Err(
                "these are more than all operations: expected shares of 1 in all".to_owned(),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mix(text: &str) -> Mix {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn each_special_operation_comes_as_often_as_it_says() {
        let mix = mix("b = '1/4'\na = '1/2'\nc = 0");
        let at = |draw: u64| mix.draw(|| draw);
        let half = 1 << 63;
        assert_eq!((at(0), at(half - 1)), (Some("a"), Some("a")));
        assert_eq!((at(half), at(half + half / 2 - 1)), (Some("b"), Some("b")));
        assert_eq!((at(half + half / 2), at(u64::MAX)), (None, None));
        assert_eq!(mix.share("b"), Ratio::new(1, 4).unwrap());
        assert_eq!(mix.share("d"), Ratio::NEVER);
        assert_eq!(mix.names().collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn where_there_is_nothing_special_nothing_is_drawn() {
        for text in ["", "a = 0", "a = '0'\nb = '0/5'"] {
            assert_eq!(mix(text).draw(|| panic!("{text}: a draw")), None);
        }
    }

    #[test]
    fn shares_are_at_most_everything() {
        for (text, good) in [
            ("", true),
            ("a = 1", true),
            ("a = '1/3'\nb = '1/3'\nc = '1/3'", true),
            ("a = '1/2'\nb = '50%'\nc = 0", true),
            ("a = 1\nb = '1/4294967295'", false),
            ("a = '1/2'\nb = '51%'", false),
            ("a = 1\nb = 1\nc = 1", false),
        ] {
            assert_eq!(mix(text).validate().is_ok(), good, "{text}");
        }
        let all = mix("a = '1/3'\nb = '1/3'\nc = '1/3'");
        assert_eq!(all.draw(|| u64::MAX), Some("c"));
    }
}
