//! The words of a command.

use splitbrain::{NodeId, NotANode, Time};
use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

/// The `key=value` arguments of a `cluster` command.
#[derive(Debug)]
pub(crate) struct Arguments(BTreeMap<String, String>);

impl Arguments {
    pub(super) fn parse(words: &[&str]) -> Result<Arguments, String> {
        let mut arguments = BTreeMap::new();
        for word in words {
            let Some((key, value)) = word.split_once('=') else {
                return Err(format!("`{word}` is not of the form key=value"));
            };
            if arguments.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(format!("`{key}` is given twice"));
            }
        }
        Ok(Arguments(arguments))
    }

    /// Takes one argument out, if it is there.
    pub(crate) fn take<T: FromStr>(&mut self, key: &str) -> Result<Option<T>, String> {
        match self.0.remove(key) {
            None => Ok(None),
            Some(value) => match value.parse() {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(format!(
                    "`{key}={value}`: not a value that `{key}` can have"
                )),
            },
        }
    }

    /// Refuses what nobody took.
    pub(super) fn finish(self) -> Result<(), String> {
        match self.0.into_keys().next() {
            None => Ok(()),
            Some(key) => Err(format!("this protocol knows no `{key}`")),
        }
    }
}

/// Which messages in flight a command means: all that fit every word given.
#[derive(Debug, Default)]
pub(super) struct Filter {
    number: Option<u64>,
    from: Option<NodeId>,
    to: Option<NodeId>,
    kind: Option<String>,
}

impl Filter {
    /// From words like `#3`, `n1->n2`, `->n2`, `n1->`, `AppendEntries` (the beginning of the kind is enough).
    pub(super) fn parse(words: &[&str]) -> Result<Filter, String> {
        let mut filter = Filter::default();
        for word in words {
            if let Some(number) = word.strip_prefix('#') {
                let number = number.parse();
                filter.number =
                    Some(number.map_err(|_| format!("`{word}` is not the number of a message"))?);
            } else if let Some((from, to)) = word.split_once("->") {
                filter.from = end(from)?;
                filter.to = end(to)?;
            } else if filter.kind.is_none() {
                filter.kind = Some(word.to_lowercase());
            } else {
                return Err(format!("`{word}` is a second kind of message"));
            }
        }
        Ok(filter)
    }

    /// Whether the message is meant; `text` begins with its kind.
    pub(super) fn fits(&self, number: u64, from: NodeId, to: NodeId, text: &str) -> bool {
        self.number.is_none_or(|wanted| wanted == number)
            && self.from.is_none_or(|wanted| wanted == from)
            && self.to.is_none_or(|wanted| wanted == to)
            && self
                .kind
                .as_ref()
                .is_none_or(|wanted| text.to_lowercase().starts_with(wanted))
    }
}

/// One end of an arrow: a node, or anybody when nothing is written.
fn end(word: &str) -> Result<Option<NodeId>, String> {
    if word.is_empty() {
        return Ok(None);
    }
    node(word).map(Some)
}

/// The name of a node, which need not exist.
pub(super) fn node(word: &str) -> Result<NodeId, String> {
    word.parse().map_err(|error: NotANode| error.to_string())
}

/// `+250ms` or `+2s`, after `now`.
pub(super) fn later(now: Time, word: &str) -> Result<Time, String> {
    let amount = word.strip_prefix('+').unwrap_or_default();
    let millis = match (amount.strip_suffix("ms"), amount.strip_suffix('s')) {
        (Some(millis), _) => millis.parse().ok(),
        (None, Some(seconds)) => seconds
            .parse::<u64>()
            .ok()
            .and_then(|s| s.checked_mul(1000)),
        (None, None) => None,
    };
    millis
        .map(|millis| now + Duration::from_millis(millis))
        .ok_or_else(|| format!("`{word}` is not a step of the clock: expected +250ms or +2s"))
}

/// The groups of `n1,n2 | n3`: for each node its group, or none.
pub(super) fn groups(words: &[&str]) -> Result<BTreeMap<NodeId, usize>, String> {
    let mut groups = BTreeMap::new();
    let text = words.concat();
    for (number, group) in text.split('|').enumerate() {
        for name in group.split(',') {
            let node = node(name)?;
            if groups.insert(node, number).is_some() {
                return Err(format!("{node} is on two sides"));
            }
        }
    }
    Ok(groups)
}
