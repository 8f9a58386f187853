//! What goes wrong in a scenario is needed: without it, the scenario does not meet its expectation. Otherwise a fault that
//! has lost its effect would go unnoticed.
//!
//! Three ways of leaving something out, each a test for each scenario: `raft/clog/without faults` leaves out everything that
//! is wrong; `raft/pauses/without pause` a kind of fault that the scenario is named after; and `clog: raft/clog/without clog`
//! what the page `docs/faults/clog.md` shows it for.

mod pages;

use libtest_mimic::{Arguments, Failed, Trial};
use splitbrain::campaign::{Campaign, Met, PROBES_WITHIN_SEEDS, Watch};
use splitbrain::scenario::FaultKind;
use splitbrain_scenarios::{NAMES, scenario_from_bytes};
use std::path::Path;
use std::process::ExitCode;
use toml::{Table, Value};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for name in NAMES.iter() {
        let scenario = read(name);
        if Part::Everything.left_out_of(&scenario).is_some() {
            trials.push(trial(name, name, Part::Everything));
        }
        let stem = name.rsplit('/').next().unwrap_or(name);
        let named = |kind: &&str| stem.contains(kind);
        let kinds: Vec<&str> = FaultKind::ALL
            .map(FaultKind::name)
            .into_iter()
            .filter(named)
            .collect();
        // `crash-at-send` is named after `crash-at`, and not after `crash`.
        let within = |kind: &str| {
            kinds
                .iter()
                .any(|other| *other != kind && other.contains(kind))
        };
        for kind in kinds.iter().copied().filter(|kind| !within(kind)) {
            let part = Part::Named(kind.to_owned());
            if part.left_out_of(&scenario).is_some() {
                trials.push(trial(name, name, part));
            }
        }
    }
    for page in pages::pages() {
        for block in &page.blocks {
            let Some((file, _)) = block.file() else {
                continue;
            };
            let name = file.trim_end_matches(".toml");
            let title = format!("{}: {name}", page.name);
            trials.push(trial(&title, name, Part::Named(block.part.clone())));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(title: &str, name: &str, part: Part) -> Trial {
    let name = name.to_owned();
    let title = format!("{title}/without {}", part.word());
    Trial::test(title, move || is_missed(&name, &part).map_err(Failed::from))
}

fn read(name: &str) -> Table {
    let file = pages::repository().join(format!("scenarios/{name}.toml"));
    let text = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Runs the scenario without this part; an error if it does not notice.
fn is_missed(name: &str, part: &Part) -> Result<(), String> {
    let Some(mut rest) = part.left_out_of(&read(name)) else {
        return Err(format!("there is no {} in {name}", part.word()));
    };
    // How many faults there were says nothing about what they did.
    if let Some(Value::Table(require)) = rest.get_mut("require") {
        require.remove("faults");
    }
    let text = toml::to_string(&rest).map_err(|error| error.to_string())?;
    let case = scenario_from_bytes(text.into_bytes(), Path::new(name), &[])
        .map_err(|error| error.to_string())?;
    let campaign = Campaign {
        seeds: 0..PROBES_WITHIN_SEEDS,
        ..Campaign::default()
    };
    let without = part.word();
    match campaign.run(&*case, Watch::nobody()).met(&*case) {
        Met::Yes => Err(format!(
            "{name} is as expected without {without}: require what only {without} can bring about"
        )),
        Met::No(_) | Met::Unknown(_) => Ok(()),
    }
}

/// Something that can be left out of a scenario.
#[derive(Clone, Debug)]
enum Part {
    /// The nemesis, and whatever is bad about links and disks.
    Everything,
    /// Faults of this kind, or this key, wherever it stands: in a source of faults, of the network, of a link.
    Named(String),
}

/// What a source of degraded links says of them.
const RESPECTS: [&str; 5] = ["latency", "loss", "duplication", "bursts", "capacity"];

impl Part {
    fn word(&self) -> &str {
        match self {
            Part::Everything => "faults",
            Part::Named(word) => word,
        }
    }

    /// The scenario without it; nothing if it has none.
    fn left_out_of(&self, scenario: &Table) -> Option<Table> {
        let mut rest = scenario.clone();
        match self {
            Part::Everything => {
                rest.remove("nemesis");
                rest.remove("network");
            }
            Part::Named(word) => {
                if let Some(Value::Table(network)) = rest.get_mut("network") {
                    network.remove(word);
                    if let Some(Value::Array(links)) = network.get_mut("links") {
                        for link in links.iter_mut().filter_map(Value::as_table_mut) {
                            link.remove(word);
                        }
                    }
                }
                if let Some(Value::Array(sources)) = rest.get_mut("nemesis") {
                    sources.retain_mut(|source| {
                        source
                            .as_table_mut()
                            .is_none_or(|source| remains(source, word))
                    });
                }
            }
        }
        (rest != *scenario).then_some(rest)
    }
}

/// Takes a kind or a key out of a source of faults. Whether anything is left of it.
fn remains(source: &mut Table, word: &str) -> bool {
    if let Some(Value::Array(kinds)) = source.get_mut("fault") {
        kinds.retain(|kind| kind.as_str() != Some(word));
        if kinds.is_empty() {
            return false;
        }
    }
    let kind = source.get("fault").and_then(Value::as_str);
    let (is_it, degrades) = (kind == Some(word), kind == Some("degrade"));
    source.remove(word);
    !is_it && (!degrades || RESPECTS.iter().any(|key| source.contains_key(*key)))
}
