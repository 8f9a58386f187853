//! What a scenario leaves to the seed: alternatives for values that it says.

use super::load::{Invalid, set_value};
use serde::{Deserialize, Serialize};
use splitbrain_core::{Purpose, Seed};
use std::collections::BTreeMap;
use toml::{Table, Value};

/// Alternatives for values of a scenario, by the paths of those: `"settings.reads" = ["log", "lease"]`. Each seed draws one of
/// each, all equally often, so that features are tested in each other's company (swarm testing: Groce et al., ISSTA 2012).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Draw(BTreeMap<String, Vec<Value>>);

/// Every combination is looked at when a scenario is loaded: one that makes no sense is an error there, and not in the
/// one seed in a thousand that draws it.
const COMBINATIONS_MAX: usize = 1000;

impl Draw {
    /// Whether nothing is left to the seed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is set is not drawn.
    pub(super) fn forget(&mut self, path: &str) {
        self.0.remove(path);
    }

    /// How many combinations there are.
    pub(super) fn combinations(&self) -> Result<usize, Invalid> {
        let mut product = 1_usize;
        for (path, alternatives) in &self.0 {
            let wrong = |what: String| Invalid::new(&["draw", path], what);
            if alternatives.is_empty() {
                return Err(wrong("expected at least one alternative".to_owned()));
            }
            if !path.contains('.') || path.starts_with("draw.") {
                return Err(wrong(
                    "expected the path of a value in a table, as in \"settings.reads\"".to_owned(),
                ));
            }
            product = product.saturating_mul(alternatives.len());
            if product > COMBINATIONS_MAX {
                let most = COMBINATIONS_MAX;
                return Err(wrong(format!(
                    "more than {most} combinations of alternatives"
                )));
            }
        }
        Ok(product)
    }

    /// The alternatives of this combination, with their paths.
    fn of(&self, combination: usize) -> impl Iterator<Item = (&str, &Value)> {
        let mut rest = combination;
        self.0.iter().map(move |(path, alternatives)| {
            let place = rest % alternatives.len();
            rest /= alternatives.len();
            (path.as_str(), &alternatives[place])
        })
    }

    /// Puts the alternatives of this combination in their places.
    pub(super) fn apply(&self, combination: usize, table: &mut Table) -> Result<(), Invalid> {
        for (path, value) in self.of(combination) {
            set_value(table, path, value.clone())
                .map_err(|what| Invalid::new(&["draw", path], what))?;
        }
        Ok(())
    }

    /// This combination in words.
    pub(crate) fn words(&self, combination: usize) -> String {
        let words = self.of(combination);
        let words: Vec<String> = words
            .map(|(path, value)| format!("{path} = {value}"))
            .collect();
        words.join(", ")
    }
}

/// The combination that this seed draws.
pub(crate) fn drawn_by(seed: Seed, combinations: usize) -> usize {
    seed.stream(Purpose::Scenario).index(combinations)
}
