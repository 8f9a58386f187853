//! Why one transaction comes before another (A. Adya, "Weak consistency", thesis, MIT 1999, section 4.4; the orders of
//! processes and of real time are Elle's: Kingsbury & Alvaro, VLDB 2020).

use super::graph::Link;
use super::history::{History, Status};
use crate::ProcessId;
use rustc_hash::FxHashMap;
use std::fmt;

/// Why one transaction comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dependency {
    /// ww: the second overwrites what the first wrote.
    WriteWrite,
    /// wr: the second reads what the first wrote.
    WriteRead,
    /// rw, an anti-dependency: the second overwrites what the first read.
    ReadWrite,
    /// The same process asked for the second after the first.
    Process,
    /// The second was asked for after the first was complete.
    RealTime,
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dependency::WriteWrite => "ww",
            Dependency::WriteRead => "wr",
            Dependency::ReadWrite => "rw",
            Dependency::Process => "process",
            Dependency::RealTime => "real time",
        })
    }
}

/// What an edge is in the graph of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    /// Nothing: the edge goes on where another one has entered a node that stands for many edges, and its kind is that of the other.
    pub(crate) kind: Option<Dependency>,
    /// Of what was read or written: the version that the second wrote, or read. Else [`NO_VERSION`].
    pub(crate) version: u32,
}

/// Of an edge that is about no version.
pub(crate) const NO_VERSION: u32 = u32::MAX;

pub(crate) type Links = Vec<Link<Label>>;

/// An edge of a kind.
pub(crate) fn link(from: u32, to: u32, kind: Dependency, version: u32) -> Link<Label> {
    let kind = Some(kind);
    Link {
        from,
        to,
        label: Label { kind, version },
    }
}

/// An edge from a node that stands for many edges.
pub(crate) fn onward(from: u32, to: u32, version: u32) -> Link<Label> {
    Link {
        from,
        to,
        label: Label {
            kind: None,
            version,
        },
    }
}

/// The orders of processes and of real time among the transactions that are taken to be committed.
///
/// Real time has an edge for each pair of transactions one of which completed before the other was asked for: quadratically many. Here
/// each transaction leads to the next of a chain of moments, each moment to the next one, and each to what was asked for after it. There
/// are linearly many edges, whatever is open at a time. The moments are nodes from `nodes` on; returns how many nodes there are then.
pub(crate) fn time_order(
    history: &History,
    committed: &[bool],
    nodes: usize,
    links: &mut Links,
) -> usize {
    let transactions = history.transactions();
    // Of each event the transaction it belongs to, and whether it is its end.
    let mut events: Vec<Option<(u32, bool)>> = vec![None; history.event_count()];
    for (index, transaction) in (0..).zip(transactions) {
        if !committed[index as usize] {
            continue;
        }
        events[transaction.invoked.event] = Some((index, false));
        if let Some(completed) = transaction.completed
            && transaction.status == Status::Ok
        {
            events[completed.event] = Some((index, true));
        }
    }
    let mut last: FxHashMap<ProcessId, u32> = FxHashMap::default();
    let mut next_moment = nodes as u32;
    // Whether anything leads to the next moment but the one before it.
    let mut completed = false;
    for (index, ended) in events.into_iter().flatten() {
        if ended {
            links.push(link(index, next_moment, Dependency::RealTime, NO_VERSION));
            completed = true;
            continue;
        }
        if completed {
            completed = false;
            next_moment += 1;
            links.push(onward(next_moment - 1, next_moment, NO_VERSION));
        }
        if next_moment > nodes as u32 {
            links.push(onward(next_moment - 1, index, NO_VERSION));
        }
        let process = transactions[index as usize].process;
        if let Some(before) = last.insert(process, index) {
            links.push(link(before, index, Dependency::Process, NO_VERSION));
        }
    }
    next_moment as usize + 1
}

/// Edges from each source to each target but itself. Targets are a writer and its version each, in order of writers, each once.
///
/// There are many sources and many targets sometimes. Then the targets stand in a row of nodes twice, once leading to all before and once
/// to all after, and each source leads to the parts before and after itself: linearly many edges. `nodes` grows by those.
pub(crate) fn fan(
    links: &mut Links,
    nodes: &mut usize,
    sources: &[(u32, Dependency)],
    targets: &[(u32, u32)],
) {
    if sources.len().min(targets.len()) <= 2 {
        for (source, kind) in sources {
            let others = targets.iter().filter(|(writer, _)| writer != source);
            links.extend(others.map(|(writer, version)| link(*source, *writer, *kind, *version)));
        }
        return;
    }
    let count = targets.len() as u32;
    let (before, after) = (*nodes as u32, *nodes as u32 + count);
    *nodes += 2 * targets.len();
    for (index, (writer, version)) in (0..count).zip(targets) {
        links.push(onward(before + index, *writer, *version));
        links.push(onward(after + index, *writer, *version));
        if index > 0 {
            links.push(onward(before + index, before + index - 1, NO_VERSION));
            links.push(onward(after + index - 1, after + index, NO_VERSION));
        }
    }
    for (source, kind) in sources {
        match targets.binary_search_by_key(source, |(writer, _)| *writer) {
            Err(_) => links.push(link(*source, after, *kind, NO_VERSION)),
            Ok(own) => {
                let own = own as u32;
                if own > 0 {
                    links.push(link(*source, before + own - 1, *kind, NO_VERSION));
                }
                if own + 1 < count {
                    links.push(link(*source, after + own + 1, *kind, NO_VERSION));
                }
            }
        }
    }
}
