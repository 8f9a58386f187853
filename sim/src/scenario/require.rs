//! What must have happened for a run to prove anything (law 7).

use crate::world::Stats;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// What must have happened for a run to prove anything (law 7). A run that falls short is *unknown: vacuous*.
///
/// In a scenario each line says how often at least: `leaders` (times that another node than before was seen to lead, the
/// first one included), `faults` (faults injected), or any of the counters of [`Stats`]: `ops_ok`, `crashes`,
/// `dropped_by_partition`. What happens after healing does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Require {
    counts: BTreeMap<&'static str, u64>,
    /// Probes that some run must reach: not each run, but every [campaign](crate::campaign) of
    /// [20 seeds](crate::campaign::PROBES_WITHIN_SEEDS) or more. One that reaches less is *unknown*.
    pub probes: Vec<String>,
}

/// What is counted and is no counter of the world.
const OTHERS: [&str; 2] = ["leaders", "faults"];

/// Ten operations that took effect: with fewer, nothing was tested.
impl Default for Require {
    fn default() -> Require {
        Require {
            counts: BTreeMap::from([("ops_ok", 10)]),
            probes: Vec::new(),
        }
    }
}

impl Require {
    /// Any run will do: for one that was made as small as possible.
    pub(crate) const NOTHING: Require = Require {
        counts: BTreeMap::new(),
        probes: Vec::new(),
    };

    /// The first thing that happened too seldom: its name, how often it was required, and how often it was found.
    pub(crate) fn missing(
        &self,
        stats: &Stats,
        leaders: u64,
        faults: u64,
    ) -> Option<(&str, u64, u64)> {
        let found = |name: &str| match name {
            "leaders" => leaders,
            "faults" => faults,
            name => stats.get(name).unwrap_or(0),
        };
        let mut short = self
            .counts
            .iter()
            .map(|(&name, &least)| (name, least, found(name)));
        short.find(|(_, least, found)| found < least)
    }
}

fn known() -> impl Iterator<Item = &'static str> {
    OTHERS.into_iter().chain(Stats::NAMES.iter().copied())
}

impl Serialize for Require {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // What is not said is the default, and nothing is not the default.
        let mut map = serializer.serialize_map(None)?;
        if !self.counts.contains_key("ops_ok") {
            map.serialize_entry("ops_ok", &0)?;
        }
        for (name, least) in &self.counts {
            map.serialize_entry(name, least)?;
        }
        if !self.probes.is_empty() {
            map.serialize_entry("probes", &self.probes)?;
        }
        map.end()
    }
}

/// What a line of the table is about.
enum Line {
    Probes,
    Counter(&'static str),
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Line, D::Error> {
        let name = String::deserialize(deserializer)?;
        if name == "probes" {
            return Ok(Line::Probes);
        }
        let counter = known().find(|known| *known == name);
        counter.map(Line::Counter).ok_or_else(|| {
            let known: Vec<&str> = known().chain(["probes"]).collect();
            let known = known.join(", ");
            de::Error::custom(format!("unknown field `{name}`, expected one of {known}"))
        })
    }
}

impl<'de> Deserialize<'de> for Require {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Require, D::Error> {
        struct Written;
        impl<'de> Visitor<'de> for Written {
            type Value = Require;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of what must have happened, as in `leaders = 2`")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Require, A::Error> {
                let mut require = Require::default();
                while let Some(line) = map.next_key()? {
                    match line {
                        Line::Probes => require.probes = map.next_value()?,
                        Line::Counter(name) => {
                            require.counts.insert(name, map.next_value()?);
                        }
                    }
                }
                require.counts.retain(|_, least| *least > 0);
                Ok(require)
            }
        }
        deserializer.deserialize_map(Written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_can_be_required_and_nothing_else() {
        let require: Require = toml::from_str("crashes = 2\nleaders = 1\nops_ok = 0").unwrap();
        let mut stats = Stats::default();
        assert_eq!(require.missing(&stats, 0, 0), Some(("crashes", 2, 0)));
        stats.crashes = 2;
        assert_eq!(require.missing(&stats, 0, 0), Some(("leaders", 1, 0)));
        assert_eq!(require.missing(&stats, 1, 0), None);
        let error = toml::from_str::<Require>("crahses = 2").unwrap_err();
        assert!(
            error.message().contains("unknown field `crahses`"),
            "{error}"
        );
        assert!(toml::from_str::<Require>("crashes = -1").is_err());
    }

    #[test]
    fn it_survives_being_written_down() {
        for text in ["", "ops_ok = 0", "ops_ok = 3\nfaults = 7\nprobes = ['x']"] {
            let require: Require = toml::from_str(text).unwrap();
            let json = serde_json::to_string(&require).unwrap();
            assert_eq!(
                serde_json::from_str::<Require>(&json).unwrap(),
                require,
                "{json}"
            );
        }
        let nothing = serde_json::to_string(&Require::NOTHING).unwrap();
        assert_eq!(
            serde_json::from_str::<Require>(&nothing).unwrap(),
            Require::NOTHING
        );
    }
}
