//! Registers that transactions write: the order of versions is inferred, as far as it can be (Kingsbury & Alvaro, VLDB 2020,
//! section 4.3).

mod intervals;
mod order;
mod touch;

use super::anomaly::Anomaly;
use super::class;
use super::dependency::{Dependency, Links, fan, link, time_order};
use super::graph::{Components, Graph};
use super::history::{History, Key};
use super::report::{Few, Report, Unfit, report};
use super::search::Hop;
use super::versions::{Lookup, Versions, committed, fits, versions};
use super::words::show;
use crate::Budget;
use order::Source;
use touch::{Touch, Touches};

/// From what the order of the versions of a register may be inferred. Each version comes after the initial one in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterSettings {
    /// A transaction that read a version and then wrote one: the second comes after the first. Follows from read committed.
    pub writes_follow_reads: bool,
    /// What a process finds or leaves is never older than what it left before: each register alone is sequentially consistent.
    /// Follows from strong session snapshot isolation.
    pub sequential_keys: bool,
    /// What is found or left is never older than what others had left before it was asked for: each register alone is
    /// linearizable. Follows from strong snapshot isolation.
    pub linearizable_keys: bool,
}

impl Default for RegisterSettings {
    /// Only what nearly every database promises: writes follow reads.
    fn default() -> Self {
        RegisterSettings {
            writes_follow_reads: true,
            sequential_keys: false,
            linearizable_keys: false,
        }
    }
}

/// Checks transactions over registers, see [the module](super).
///
/// With settings that a store does not hold to, what is found may be wrong: then it shows that the store does not hold to them.
/// Time: linear in the number of steps and events, but for sorting, for versions that are written at the same time, and for the search for
/// shortest cycles, which the budget bounds.
///
/// # Errors
/// If there are steps on lists, a value was written to a key twice, or a committed read has no answer.
pub fn check_registers(
    history: &History,
    settings: RegisterSettings,
    budget: Budget,
) -> Result<Report, Unfit> {
    fits(history, false)?;
    let versions = versions(history);
    let mut few = Vec::new();
    let mut committed = committed(history);
    let touches = touch::touches(history, &versions, &mut committed, &mut few)?;
    let mut links = Links::new();
    let mut orders = order::Orders {
        history,
        versions: &versions,
        settings,
        committed: &committed,
        links: Vec::new(),
        cyclic: Few::default(),
    };
    for key in 0..history.key_count() {
        orders.key(key, touches.of_key(key));
    }
    let nodes = versions.all.len() + history.key_count();
    let order = Graph::new(nodes, &orders.links);
    let components = order.components(|_| true);
    orders.circles(&order, &components);
    few.push(orders.cyclic);
    let mut drawing = Drawing {
        history,
        versions: &versions,
        committed: &committed,
        order: &order,
        components: &components,
        nodes: history.transactions().len(),
        links: &mut links,
        lost: Few::default(),
    };
    for key in 0..history.key_count() {
        drawing.key(key, touches.of_key(key));
    }
    let nodes = drawing.nodes;
    few.push(drawing.lost);
    let nodes = time_order(history, &committed, nodes, &mut links);
    let reason = |hop: &Hop| order::reason(history, &versions, &touches, &order, hop);
    Ok(report(
        history, &versions, nodes, &links, few, &reason, budget,
    ))
}

/// Turns the order of versions into dependencies of transactions.
struct Drawing<'a> {
    history: &'a History,
    versions: &'a Versions,
    committed: &'a [bool],
    /// Of versions, and after them the initial version of each key.
    order: &'a Graph<Source>,
    components: &'a Components,
    nodes: usize,
    links: &'a mut Links,
    lost: Few,
}

impl Drawing<'_> {
    fn writer(&self, version: u32) -> Option<u32> {
        let writer = self.versions.all.get(version as usize)?.writer;
        self.committed[writer as usize].then_some(writer)
    }

    fn key(&mut self, key: usize, touches: &[Touch]) {
        let mut reads: Vec<(u32, &Touch)> = touches
            .iter()
            .filter_map(|touch| Some((touch.read?, touch)))
            .collect();
        reads.sort_by_key(|(version, touch)| (*version, touch.transaction));
        for (version, touch) in &reads {
            if let Some(writer) = self.writer(*version)
                && writer != touch.transaction
            {
                let kind = Dependency::WriteRead;
                self.links
                    .push(link(writer, touch.transaction, kind, *version));
            }
        }
        let initial = (self.versions.all.len() + key) as u32;
        let all = self.versions.of_key(key).chain([initial]);
        for version in all {
            let from = reads.partition_point(|(read, _)| *read < version);
            let to = reads.partition_point(|(read, _)| *read <= version);
            self.after(version, &reads[from..to]);
        }
        for same in reads.chunk_by(|(one, _), (other, _)| one == other) {
            let mut updates = same.iter().filter(|(_, touch)| touch.last.is_some());
            let (Some((version, first)), Some((_, second))) = (updates.next(), updates.next())
            else {
                continue;
            };
            self.lost.add(|| Anomaly::LostUpdate {
                key: self.history.key_name(Key(key as u32)).to_string(),
                version: order::words(self.history, self.versions, *version),
                first: show(self.history, first.transaction),
                second: show(self.history, second.transaction),
            });
        }
    }

    /// Who wrote or read a version comes before those that wrote the next ones.
    fn after(&mut self, version: u32, readers: &[(u32, &Touch)]) {
        let next = self.order.edges(version).iter();
        let mut targets: Vec<(u32, u32)> = next
            .filter(|edge| !self.components.inside(version, edge.to))
            .filter_map(|edge| Some((self.writer(edge.to)?, edge.to)))
            .collect();
        targets.sort_unstable();
        targets.dedup_by_key(|(writer, _)| *writer);
        let readers = readers
            .iter()
            .map(|(_, touch)| (touch.transaction, Dependency::ReadWrite));
        let writer = self.writer(version);
        let writer = writer.map(|writer| (writer, Dependency::WriteWrite));
        let sources: Vec<(u32, Dependency)> = readers.chain(writer).collect();
        fan(self.links, &mut self.nodes, &sources, &targets);
    }
}

impl Touches {
    /// The version that a transaction had seen or made of a key when somebody else wrote the next one.
    pub(super) fn left(&self, key: Key, transaction: u32, kind: Dependency) -> Option<u32> {
        let touches = self.of_key(key.0 as usize);
        let place = touches.binary_search_by_key(&transaction, |touch| touch.transaction);
        let touch = &touches[place.ok()?];
        match kind {
            Dependency::ReadWrite => touch.read,
            _ => touch.last,
        }
    }
}

/// The levels that imply what a source of order says.
fn implied_by(source: &Source) -> class::Order {
    match source {
        Source::Sequential { .. } => class::Order::Process,
        Source::Linearizable { .. } => class::Order::RealTime,
        _ => class::Order::Data,
    }
}
