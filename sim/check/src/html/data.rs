//! What the page's script draws: columns, so that a hundred thousand operations are a few megabytes.

use super::Page;
use crate::formats::Bar;
use crate::{Outcome, ProcessId};
use rustc_hash::FxHashMap;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

#[derive(Serialize)]
pub(super) struct Data<'a> {
    timed: bool,
    /// The earliest time, in nanoseconds. All others are relative to it, and so small enough for a number of JavaScript.
    base: u64,
    span: u64,
    events: usize,
    /// Of each lane what it is called: the first process in it.
    lanes: Vec<String>,
    words: Vec<&'a str>,
    keys: Vec<&'a str>,
    /// Of each operation, in order of invocation: its lane,
    lane: Vec<usize>,
    process: Vec<u64>,
    /// when it was invoked,
    start: Vec<u64>,
    /// and completed, if ever, and else the end of the history;
    end: Vec<u64>,
    /// the same as numbers of events;
    from: Vec<usize>,
    to: Vec<usize>,
    /// 1 if it never was completed;
    open: Vec<u8>,
    /// 0 answered, 1 did not happen, 2 unknown;
    outcome: Vec<u8>,
    /// which of the words,
    what: Vec<usize>,
    /// and which of the keys.
    about: Vec<Keys>,
    /// The operations that contradict each other,
    marks: Vec<Mark>,
    /// which of them are the longest order,
    longest: &'a [usize],
    /// and which cannot come next.
    blocked: Vec<Blocked<'a>>,
    /// The operation that led to the state before.
    before: Option<usize>,
}

#[derive(Serialize)]
struct Mark {
    operation: usize,
    optional: bool,
}

#[derive(Serialize)]
struct Blocked<'a> {
    mark: usize,
    needs: &'a str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Keys {
    None,
    One(usize),
    Several(Vec<usize>),
}

impl<'a> Data<'a> {
    pub(super) fn of(page: &Page<'a>) -> Data<'a> {
        let bars = page.bars;
        let points = || {
            bars.iter()
                .flat_map(|bar| [Some(bar.invoked), bar.completed])
                .flatten()
        };
        let base = points().map(|point| point.time_ns).min().unwrap_or(0);
        let last = points().map(|point| point.time_ns).max().unwrap_or(0);
        let events = points().map(|point| point.event + 1).max().unwrap_or(0);
        let (lanes, lane) = lanes(bars);
        let mut words = Table::default();
        let mut keys = Table::default();
        let what = bars.iter().map(|bar| words.index(&bar.words)).collect();
        let about = bars.iter().map(|bar| match &bar.keys[..] {
            [] => Keys::None,
            [key] => Keys::One(keys.index(key)),
            several => Keys::Several(several.iter().map(|key| keys.index(key)).collect()),
        });
        let about = about.collect();
        let why = page.counterexample;
        let end = |bar: &Bar| bar.completed.map_or(last, |point| point.time_ns);
        let to = |bar: &Bar| bar.completed.map_or(events, |point| point.event);
        Data {
            timed: page.timed,
            base,
            span: last - base,
            events,
            lanes,
            words: words.names,
            keys: keys.names,
            lane,
            process: bars.iter().map(|bar| bar.process.0).collect(),
            start: bars.iter().map(|bar| bar.invoked.time_ns - base).collect(),
            end: bars.iter().map(|bar| end(bar) - base).collect(),
            from: bars.iter().map(|bar| bar.invoked.event).collect(),
            to: bars.iter().map(to).collect(),
            open: bars
                .iter()
                .map(|bar| u8::from(bar.completed.is_none()))
                .collect(),
            outcome: bars.iter().map(|bar| outcome(bar.outcome)).collect(),
            what,
            about,
            marks: page
                .operations
                .iter()
                .map(|shown| Mark {
                    operation: shown.operation,
                    optional: shown.optional,
                })
                .collect(),
            longest: why.map_or(&[], |why| &why.longest),
            blocked: why
                .iter()
                .flat_map(|why| &why.blocked)
                .map(|blocked| Blocked {
                    mark: blocked.operation,
                    needs: &blocked.needs,
                })
                .collect(),
            before: why
                .and_then(|why| why.start.last.as_ref())
                .map(|shown| shown.operation),
        }
    }
}

fn outcome(outcome: Outcome<()>) -> u8 {
    match outcome {
        Outcome::Ok(()) => 0,
        Outcome::Fail => 1,
        Outcome::Info => 2,
    }
}

/// What lanes are called, in the order of the processes that were first in them, and which of them each operation is in. A process
/// has its own, until it ends with an operation of unknown outcome: the client goes on as another process, in the same lane.
fn lanes(bars: &[Bar]) -> (Vec<String>, Vec<usize>) {
    let mut first: Vec<ProcessId> = Vec::new();
    let mut of: FxHashMap<ProcessId, usize> = FxHashMap::default();
    // Lanes whose process has ended, by the event with which it did, and those that can be had.
    let mut ending: BinaryHeap<Reverse<(usize, usize)>> = BinaryHeap::new();
    let mut free: BinaryHeap<Reverse<usize>> = BinaryHeap::new();
    let mut places = Vec::with_capacity(bars.len());
    for bar in bars {
        let now = bar.invoked.event;
        while let Some(Reverse((ended, lane))) = ending.peek().copied()
            && ended < now
        {
            ending.pop();
            free.push(Reverse(lane));
        }
        let lane = *of.entry(bar.process).or_insert_with(|| {
            free.pop().map_or_else(
                || {
                    first.push(bar.process);
                    first.len() - 1
                },
                |Reverse(lane)| lane,
            )
        });
        places.push(lane);
        if let (Outcome::Info, Some(point)) = (&bar.outcome, bar.completed) {
            ending.push(Reverse((point.event, lane)));
        }
    }
    let mut order: Vec<usize> = (0..first.len()).collect();
    order.sort_unstable_by_key(|lane| first[*lane]);
    let mut ranks = vec![0; order.len()];
    for (rank, lane) in order.iter().enumerate() {
        ranks[*lane] = rank;
    }
    let names = order.iter().map(|lane| first[*lane].to_string());
    let places = places.iter().map(|lane| ranks[*lane]);
    (names.collect(), places.collect())
}

/// Texts, each of them once.
#[derive(Default)]
struct Table<'a> {
    names: Vec<&'a str>,
    places: FxHashMap<&'a str, usize>,
}

impl<'a> Table<'a> {
    fn index(&mut self, name: &'a str) -> usize {
        *self.places.entry(name).or_insert_with(|| {
            self.names.push(name);
            self.names.len() - 1
        })
    }
}
