//! Lists that transactions append to: the order of versions is read off the lists (Kingsbury & Alvaro, VLDB 2020, section 4.2).

mod orders;
mod scan;

use super::anomaly::Anomaly;
use super::dependency::{Dependency, Links, fan, link, time_order};
use super::history::{History, Key, Status};
use super::report::{Few, Report, Unfit, report};
use super::versions::{Lookup, Versions, by_key, committed, fits, versions};
use super::words::show;
use crate::Budget;
use orders::Orders;
use scan::{Read, scan};

/// Checks transactions over lists, see [the module](super).
///
/// Time: linear in the number of steps, events and elements that were read, but for the search for shortest cycles, which the budget
/// bounds.
///
/// # Errors
/// If there are steps on registers, an element was appended to a key twice, or a committed read has no answer.
pub fn check_lists(history: &History, budget: Budget) -> Result<Report, Unfit> {
    fits(history, true)?;
    let versions = versions(history);
    let mut internal = Few::default();
    let reads = scan(history, &mut internal);
    let (reads, starts) = by_key(&reads, history.key_count(), |read| read.key);
    let mut inference = Inference {
        history,
        versions: &versions,
        lookup: Lookup::new(history),
        committed: committed(history),
        nodes: history.transactions().len(),
        links: Links::new(),
        found: Default::default(),
    };
    // What was seen of transactions of unknown outcome must be known before the edges are drawn.
    let mut orders = Vec::with_capacity(history.key_count());
    for key in 0..history.key_count() {
        inference.lookup.turn(history, &versions, key)?;
        let reads = &reads[starts[key] as usize..starts[key + 1] as usize];
        orders.push(inference.order(key, reads));
    }
    for (key, order) in orders.iter().enumerate() {
        let reads = &reads[starts[key] as usize..starts[key + 1] as usize];
        inference.draw(key, reads, order);
    }
    let Inference {
        committed,
        nodes,
        mut links,
        found,
        ..
    } = inference;
    let nodes = time_order(history, &committed, nodes, &mut links);
    let mut few = vec![internal];
    few.extend(found);
    Ok(report(
        history,
        &versions,
        nodes,
        &links,
        few,
        &|_| None,
        budget,
    ))
}

/// Kinds of anomalies that are not cycles, as places in [`Inference::found`].
#[derive(Clone, Copy)]
enum Kind {
    Aborted,
    Intermediate,
    DirtyUpdate,
    Incompatible,
    Duplicate,
    ThinAir,
    Future,
    Torn,
    LostUpdate,
    LostElement,
}

struct Inference<'a> {
    history: &'a History,
    versions: &'a Versions,
    lookup: Lookup,
    committed: Vec<bool>,
    nodes: usize,
    links: Links,
    found: [Few; 10],
}

/// What is known of the versions of a key.
struct Order {
    /// The versions in order, of the longest list; nothing for an element that nobody appended, or that is a duplicate.
    versions: Vec<Option<u32>>,
    /// Of each read how many elements it saw that others had appended, as a place in `versions`; nothing if it does not fit.
    seen: Vec<Option<u32>>,
    /// Whether all reads fit together.
    compatible: bool,
}

impl Inference<'_> {
    fn add(&mut self, kind: Kind, anomaly: impl FnOnce(&History) -> Anomaly) {
        let history = self.history;
        self.found[kind as usize].add(|| anomaly(history));
    }

    fn writer(&self, version: u32) -> u32 {
        self.versions.all[version as usize].writer
    }

    fn is_committed(&self, version: u32) -> bool {
        self.committed[self.writer(version) as usize]
    }

    fn failed(&self, version: u32) -> bool {
        self.history.transactions()[self.writer(version) as usize].status == Status::Fail
    }

    /// The edges of a key, and the updates and elements that were lost.
    fn draw(&mut self, key: usize, reads: &[Read], order: &Order) {
        // Of each place in the order the first version from there on that is known to be committed.
        let mut next = vec![None; order.versions.len() + 1];
        for place in (0..order.versions.len()).rev() {
            let version = order.versions[place].filter(|version| self.is_committed(*version));
            next[place] = version.or(next[place + 1]);
        }
        let mut last: Option<u32> = None;
        for version in order.versions.iter().flatten().copied() {
            if !self.is_committed(version) {
                continue;
            }
            if let Some(last) = last {
                self.link(self.writer(last), version, Dependency::WriteWrite);
            }
            last = Some(version);
        }
        for (read, seen) in reads.iter().zip(&order.seen) {
            let Some(seen) = seen.filter(|_| read.external()) else {
                continue;
            };
            let place = seen as usize;
            if let Some(version) = place.checked_sub(1).and_then(|last| order.versions[last])
                && self.is_committed(version)
            {
                let writer = self.writer(version);
                if writer != read.transaction {
                    let reader = read.transaction;
                    let kind = Dependency::WriteRead;
                    self.links.push(link(writer, reader, kind, version));
                }
            }
            if let Some(next) = next[place] {
                self.link(read.transaction, next, Dependency::ReadWrite);
            }
        }
        self.lost_updates(key, reads, order);
        if order.compatible {
            self.unseen(key, reads, order, last);
        }
    }

    /// From a transaction to that which wrote the version.
    fn link(&mut self, from: u32, version: u32, kind: Dependency) {
        let to = self.writer(version);
        if from != to {
            self.links.push(link(from, to, kind, version));
        }
    }

    fn lost_updates(&mut self, key: usize, reads: &[Read], order: &Order) {
        let updates = reads.iter().zip(&order.seen);
        let mut updates: Vec<(u32, u32)> = updates
            .filter(|(read, _)| read.external() && read.updates)
            .filter_map(|(read, seen)| Some(((*seen)?, read.transaction)))
            .collect();
        updates.sort_unstable();
        updates.dedup();
        for pair in updates.windows(2) {
            let [(seen, first), (also_seen, second)] = *pair else {
                continue;
            };
            if seen == also_seen {
                self.add(Kind::LostUpdate, |history| Anomaly::LostUpdate {
                    key: history.key_name(Key(key as u32)).to_string(),
                    version: format!("the first {seen} elements"),
                    first: show(history, first),
                    second: show(history, second),
                });
            }
        }
    }

    /// Confirmed appends that nobody saw. They came after all that was seen: the longest list would have them otherwise.
    ///
    /// Each reader of the longest list, and the last writer in it, comes before each of them but its own.
    fn unseen(&mut self, key: usize, reads: &[Read], order: &Order, last: Option<u32>) {
        let versions = self.versions;
        let mut seen: Vec<u32> = order.versions.iter().flatten().copied().collect();
        seen.sort_unstable();
        let mut unseen: Vec<u32> = versions
            .of_key(key)
            .filter(|version| {
                let status = self.history.transactions()[self.writer(*version) as usize].status;
                status == Status::Ok && seen.binary_search(version).is_err()
            })
            .collect();
        unseen.dedup_by_key(|version| self.writer(*version));
        if unseen.is_empty() || reads.is_empty() {
            return;
        }
        self.lost_elements(key, reads, &unseen);
        let length = order.versions.len() as u32;
        let readers = reads.iter().zip(&order.seen);
        let readers = readers.filter(|(read, seen)| read.external() && **seen == Some(length));
        let mut sources: Vec<(u32, Dependency)> = readers
            .map(|(read, _)| (read.transaction, Dependency::ReadWrite))
            .collect();
        if let Some(last) = last {
            sources.push((self.writer(last), Dependency::WriteWrite));
        }
        let targets: Vec<(u32, u32)> = unseen
            .iter()
            .map(|version| (self.writer(*version), *version))
            .collect();
        fan(&mut self.links, &mut self.nodes, &sources, &targets);
    }

    /// Unseen elements that were appended before somebody looked.
    fn lost_elements(&mut self, key: usize, reads: &[Read], unseen: &[u32]) {
        let transactions = self.history.transactions();
        let asked = |read: &&Read| transactions[read.transaction as usize].invoked.event;
        let Some(latest) = reads.iter().max_by_key(asked) else {
            return;
        };
        let (asked, latest) = (asked(&latest), latest.transaction);
        for version in unseen {
            let writer = self.writer(*version);
            let completed = transactions[writer as usize].completed;
            if completed.is_some_and(|at| at.event < asked) {
                let element = self.versions.all[*version as usize].value;
                self.add(Kind::LostElement, |history| Anomaly::LostElement {
                    key: history.key_name(Key(key as u32)).to_string(),
                    element: history.value_name(element).to_string(),
                    append: show(history, writer),
                    read: show(history, latest),
                });
            }
        }
    }

    fn order(&mut self, key: usize, reads: &[Read]) -> Order {
        Orders {
            inference: self,
            key,
            reads,
        }
        .order()
    }
}
