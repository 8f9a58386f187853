//! Which version of a register came after which, and why.

use super::intervals::{Interval, Intervals};
use super::{Few, RegisterSettings, Touch, Touches, implied_by};
use crate::ProcessId;
use crate::transactions::anomaly::Anomaly;
use crate::transactions::dependency::Dependency;
use crate::transactions::graph::{Components, Graph, Link};
use crate::transactions::history::{History, Key, Status};
use crate::transactions::search::Hop;
use crate::transactions::versions::Versions;
use crate::transactions::words::show;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// Why one version came before another.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// It is the initial one.
    Initial,
    /// One transaction wrote both, in this order.
    Own,
    /// This transaction read the first and then wrote the second.
    WriteFollowsRead(u32),
    /// The first transaction left the first version, and then its process found or left the second, by the second transaction.
    Sequential(u32, u32),
    /// The first transaction left the first version, and was complete before the second one was asked for, which found or left the second.
    Linearizable(u32, u32),
}

pub(super) struct Orders<'a> {
    pub(super) history: &'a History,
    pub(super) versions: &'a Versions,
    pub(super) settings: RegisterSettings,
    pub(super) committed: &'a [bool],
    /// Between versions; the number of the initial version of a key is that of the key after those of all others.
    pub(super) links: Vec<Link<Source>>,
    pub(super) cyclic: Few,
}

impl Orders<'_> {
    pub(super) fn key(&mut self, key: usize, touches: &[Touch]) {
        let initial = (self.versions.all.len() + key) as u32;
        let before = self.links.len();
        let committed = |touch: &&Touch| self.committed[touch.transaction as usize];
        let touches: Vec<Touch> = touches.iter().filter(committed).copied().collect();
        for touch in &touches {
            if let (Some(first), Some(last)) = (touch.first, touch.last) {
                self.links.extend((first..last).map(|version| Link {
                    from: version,
                    to: version + 1,
                    label: Source::Own,
                }));
                if let Some(read) = touch.read
                    && self.settings.writes_follow_reads
                {
                    let label = Source::WriteFollowsRead(touch.transaction);
                    self.add(read, first, label);
                }
            }
        }
        if self.settings.sequential_keys {
            self.sequential(&touches);
        }
        if self.settings.linearizable_keys {
            self.linearizable(key, initial, &touches);
        }
        // What has no other version before it follows the initial one.
        let all = self.versions.of_key(key);
        let mut has_before = vec![false; all.len()];
        for link in &self.links[before..] {
            if link.to != initial {
                has_before[(link.to - all.start) as usize] = true;
            }
        }
        for version in all.clone() {
            let writer = self.versions.all[version as usize].writer;
            if !has_before[(version - all.start) as usize] && self.committed[writer as usize] {
                self.add(initial, version, Source::Initial);
            }
        }
    }

    fn add(&mut self, from: u32, to: u32, label: Source) {
        if from != to {
            self.links.push(Link { from, to, label });
        }
    }

    fn sequential(&mut self, touches: &[Touch]) {
        let mut last: FxHashMap<ProcessId, &Touch> = FxHashMap::default();
        for touch in touches {
            let process = self.history.transactions()[touch.transaction as usize].process;
            if let Some(before) = last.insert(process, touch)
                && let (Some(left), Some(found)) =
                    (before.last.or(before.read), touch.read.or(touch.first))
            {
                let label = Source::Sequential(before.transaction, touch.transaction);
                self.add(left, found, label);
            }
        }
    }

    fn linearizable(&mut self, key: usize, initial: u32, touches: &[Touch]) {
        let mut intervals: BTreeMap<u32, Interval> = BTreeMap::new();
        let entry = |version| (version, Interval::of(version));
        let all = touches
            .iter()
            .flat_map(|touch| [touch.read, touch.first, touch.last]);
        intervals.extend(all.flatten().map(entry));
        for touch in touches {
            let transaction = &self.history.transactions()[touch.transaction as usize];
            if let Some(found) = touch.read.or(touch.first)
                && let Some(interval) = intervals.get_mut(&found)
            {
                interval.found(transaction.invoked.event, touch.transaction);
            }
            if let Some(left) = touch.last.or(touch.read)
                && let Some(interval) = intervals.get_mut(&left)
                && let Some(completed) = transaction.completed
                && transaction.status == Status::Ok
            {
                interval.left(completed.event, touch.transaction);
            }
        }
        let intervals = Intervals::new(intervals.into_values().collect());
        if let Some((one, other)) = intervals.circle() {
            let links = [
                (
                    one.version,
                    other.version,
                    Source::Linearizable(one.left_by, other.found_by),
                ),
                (
                    other.version,
                    one.version,
                    Source::Linearizable(other.left_by, one.found_by),
                ),
            ];
            let links = links.map(|(from, to, label)| Link { from, to, label });
            self.circle(key, &links);
            return;
        }
        let links = intervals.links().into_iter();
        self.links.extend(links.filter(|link| link.to != initial));
    }

    /// Of each key with versions in a circle, one circle.
    pub(super) fn circles(&mut self, order: &Graph<Source>, components: &Components) {
        let cyclic = |node: u32| components.sizes[components.of[node as usize] as usize] > 1;
        let nodes = order.nodes() as u32;
        let mut done = vec![false; components.sizes.len()];
        for start in (0..nodes).filter(|node| cyclic(*node)) {
            if std::mem::replace(&mut done[components.of[start as usize] as usize], true) {
                continue;
            }
            let key = match self.versions.all.get(start as usize) {
                Some(version) => version.key.0 as usize,
                None => start as usize - self.versions.all.len(),
            };
            if let Some(circle) = order.circle(components, start) {
                self.circle(key, &circle);
            }
        }
    }

    fn circle(&mut self, key: usize, circle: &[Link<Source>]) {
        let (history, versions) = (self.history, self.versions);
        self.cyclic.add(|| Anomaly::CyclicVersions {
            key: history.key_name(Key(key as u32)).to_string(),
            reasons: circle
                .iter()
                .map(|link| {
                    let (from, to) = (
                        words(history, versions, link.from),
                        words(history, versions, link.to),
                    );
                    let why = source_words(history, &link.label);
                    format!("{from} before {to}, {why}")
                })
                .collect(),
            transactions: transactions(circle)
                .into_iter()
                .map(|transaction| show(history, transaction))
                .collect(),
            order: circle
                .iter()
                .map(|link| implied_by(&link.label))
                .max()
                .unwrap_or(crate::transactions::class::Order::Data),
        });
    }
}

/// The transactions by which versions are in a circle, each once.
fn transactions(circle: &[Link<Source>]) -> Vec<u32> {
    let mut found = Vec::new();
    for link in circle {
        let of_link = match link.label {
            Source::Initial | Source::Own => vec![],
            Source::WriteFollowsRead(transaction) => vec![transaction],
            Source::Sequential(first, second) | Source::Linearizable(first, second) => {
                vec![first, second]
            }
        };
        for transaction in of_link {
            if !found.contains(&transaction) {
                found.push(transaction);
            }
        }
    }
    found
}

/// A version in words.
pub(super) fn words(history: &History, versions: &Versions, version: u32) -> String {
    versions.all.get(version as usize).map_or_else(
        || "nothing".to_owned(),
        |version| history.value_name(version.value).to_string(),
    )
}

fn source_words(history: &History, source: &Source) -> String {
    let words = |transaction: u32| show(history, transaction).words;
    match *source {
        Source::Initial => "which is how it was at first".to_owned(),
        Source::Own => "as one transaction wrote both".to_owned(),
        Source::WriteFollowsRead(transaction) => {
            format!(
                "as {} read the one and then wrote the other",
                words(transaction)
            )
        }
        Source::Sequential(first, second) => format!(
            "as {} of the same process came after {}",
            words(second),
            words(first)
        ),
        Source::Linearizable(first, second) => format!(
            "as {} was complete before {} was asked for",
            words(first),
            words(second)
        ),
    }
}

/// Why the version that a dependency ends with is later than that which it starts with.
pub(super) fn reason(
    history: &History,
    versions: &Versions,
    touches: &Touches,
    order: &Graph<Source>,
    hop: &Hop,
) -> Option<String> {
    if !matches!(hop.kind, Dependency::WriteWrite | Dependency::ReadWrite) {
        return None;
    }
    let key = versions.all.get(hop.version as usize)?.key;
    let from = touches.left(key, hop.from, hop.kind)?;
    let mut edges = order.edges(from).iter();
    let edge = edges.find(|edge| edge.to == hop.version)?;
    let name = words(history, versions, from);
    let why = source_words(history, &edge.label);
    Some(format!("{name} came first, {why}"))
}
