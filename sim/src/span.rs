//! Durations as people write them in scenarios: `"150ms"`, `"30s"`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// A duration in a scenario or replay file, written `"5ms"`, `"1s 500ms"`, `"2min"`; at most an hour, as a longer one
/// is a typing error in a simulation.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(into = "String", try_from = "String")]
pub struct Span(pub Duration);

const LONGEST: Duration = Duration::from_hours(1);

impl Span {
    /// So many milliseconds.
    pub const fn from_millis(ms: u64) -> Span {
        Span(Duration::from_millis(ms))
    }

    /// So many seconds.
    pub const fn from_secs(s: u64) -> Span {
        Span(Duration::from_secs(s))
    }
}

impl TryFrom<String> for Span {
    type Error = String;
    fn try_from(text: String) -> Result<Span, String> {
        let wrong = |why: String| {
            format!("`{text}` is not a duration ({why}): expected one like \"150ms\" or \"30s\"")
        };
        match humantime::parse_duration(&text) {
            Err(error) => Err(wrong(error.to_string())),
            Ok(duration) if duration > LONGEST => Err(wrong("more than an hour".to_owned())),
            Ok(duration) => Ok(Span(duration)),
        }
    }
}

impl From<Span> for String {
    fn from(span: Span) -> String {
        span.to_string()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&humantime::format_duration(self.0).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_round_trip_and_absurd_ones_are_refused() {
        for text in ["0s", "150ms", "30s", "1s 500ms", "1h"] {
            let span = Span::try_from(text.to_owned()).unwrap();
            assert_eq!(Span::try_from(span.to_string()).unwrap(), span);
        }
        for absurd in ["-1s", "", "5", "2h", "99999999999999999999s", "1.5.s", "ms"] {
            let error = Span::try_from(absurd.to_owned()).unwrap_err();
            assert!(error.contains("expected one like"), "{error}");
        }
    }
}
