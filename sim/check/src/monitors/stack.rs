//! Stacks whose elements are distinct.
//!
//! An element that may be taken before its put returns can be put and taken at one moment, and never matters. Each other
//! one is certainly there from the return of its put to the call of what takes it: its *inside*. Where insides overlap, the
//! stack is not empty, and something lies at the bottom all that time: it is put before the first of these insides begins and
//! taken after the last of them ends. Which one of those that can be at the bottom is chosen does not matter, for if
//! there is a legal order, there is also one without it. Without it the insides may fall apart, and so on until all are gone. If
//! nothing can be at the bottom, there is no legal order; otherwise each element is put just before the insides that it
//! lies below, and taken just after them. Where no inside is, the stack is empty then, which is
//! what those want that found nothing.
//!
//! That the bottom decides is from Lee & Mathur ("Efficient Decrease-and-Conquer Linearizability Monitoring", OOPSLA
//! 2025). O(n log n) times the number of operations open at a time at worst.

use super::Suspects;
use super::clusters::{Clusters, NEVER};
use super::queue::judge_nothings;

pub(super) fn judge(clusters: &Clusters) -> Result<(), Suspects> {
    judge_bottoms(clusters)?;
    judge_nothings(clusters, |number| clusters.all[number as usize].inside())
}

/// An element that is certainly there at some time.
struct Element {
    number: u32,
    put_called: u32,
    took_returned: u32,
    from: u32,
    to: u32,
}

fn judge_bottoms(clusters: &Clusters) -> Result<(), Suspects> {
    let mut elements: Vec<Element> = Vec::new();
    for (number, cluster) in clusters.seen() {
        let (from, to) = cluster.inside();
        if let Some(put) = cluster.put
            && from < to
        {
            elements.push(Element {
                number,
                put_called: put.called,
                took_returned: cluster.took.map_or(NEVER, |took| took.returned),
                from,
                to,
            });
        }
    }
    elements.sort_unstable_by_key(|element| (element.from, element.number));
    let mut times: Vec<u32> = elements.iter().flat_map(|e| [e.from, e.to]).collect();
    times.sort_unstable();
    times.dedup();
    let place = |time: u32| times.partition_point(|other| *other < time);
    let mut cover = Cover::new(times.len());
    for element in &elements {
        cover.add(place(element.from), place(element.to), 1);
    }
    let mut puts = Earliest::new(elements.iter().map(|element| element.put_called).collect());
    let mut todo = cover.parts(0, times.len());
    while let Some((start, end)) = todo.pop() {
        let (from, to) = (times[start], times[end]);
        let first = elements.partition_point(|element| element.from < from);
        let last = elements.partition_point(|element| element.from < to);
        let mut bottom = puts.first_below(first, last, from);
        // NEVER is after all returns, and what is never taken can lie at the bottom for ever.
        while let Some(index) = bottom
            && elements[index].took_returned <= to
            && elements[index].took_returned < NEVER
        {
            bottom = puts.first_below(index + 1, last, from);
        }
        let Some(index) = bottom else {
            let there = (first..last).filter(|&index| puts.has(index));
            return Err(Suspects {
                clusters: there.map(|index| elements[index].number).collect(),
                nothings: Vec::new(),
            });
        };
        puts.remove(index);
        cover.add(place(elements[index].from), place(elements[index].to), -1);
        todo.extend(cover.parts(start, end));
    }
    Ok(())
}

/// How many insides cover each stretch of time: a segment tree.
struct Cover {
    /// A power of two.
    size: usize,
    /// By node: the least and the greatest count below it, with what was added to all of it.
    least: Vec<i32>,
    greatest: Vec<i32>,
    added: Vec<i32>,
}

impl Cover {
    fn new(len: usize) -> Cover {
        let size = len.next_power_of_two();
        Cover {
            size,
            least: vec![0; 2 * size],
            greatest: vec![0; 2 * size],
            added: vec![0; 2 * size],
        }
    }

    fn add(&mut self, from: usize, to: usize, count: i32) {
        self.add_below(1, (0, self.size), (from, to), count);
    }

    fn add_below(&mut self, node: usize, span: (usize, usize), range: (usize, usize), count: i32) {
        if range.1 <= span.0 || span.1 <= range.0 {
            return;
        }
        if range.0 <= span.0 && span.1 <= range.1 {
            self.least[node] += count;
            self.greatest[node] += count;
            self.added[node] += count;
            return;
        }
        let middle = usize::midpoint(span.0, span.1);
        self.add_below(2 * node, (span.0, middle), range, count);
        self.add_below(2 * node + 1, (middle, span.1), range, count);
        let (left, right) = (2 * node, 2 * node + 1);
        self.least[node] = self.added[node] + self.least[left].min(self.least[right]);
        self.greatest[node] = self.added[node] + self.greatest[left].max(self.greatest[right]);
    }

    /// The first stretch of `from..to` that is covered, or the first that is not.
    fn first(&self, from: usize, to: usize, covered: bool) -> Option<usize> {
        self.first_below(1, (0, self.size), (from, to), 0, covered)
    }

    fn first_below(
        &self,
        node: usize,
        span: (usize, usize),
        range: (usize, usize),
        above: i32,
        covered: bool,
    ) -> Option<usize> {
        let has = if covered {
            self.greatest[node] + above > 0
        } else {
            self.least[node] + above == 0
        };
        if !has || range.1 <= span.0 || span.1 <= range.0 {
            return None;
        }
        if node >= self.size {
            return Some(span.0);
        }
        let middle = usize::midpoint(span.0, span.1);
        let above = above + self.added[node];
        self.first_below(2 * node, (span.0, middle), range, above, covered)
            .or_else(|| self.first_below(2 * node + 1, (middle, span.1), range, above, covered))
    }

    /// The parts of `from..to` that are covered, each as long as possible.
    fn parts(&self, from: usize, to: usize) -> Vec<(usize, usize)> {
        let mut parts = Vec::new();
        let mut next = from;
        while let Some(start) = self.first(next, to, true) {
            next = self.first(start, to, false).unwrap_or(to);
            parts.push((start, next));
        }
        parts
    }
}

/// The calls of the puts, in the order of their returns, to find those that were open at a time: a segment tree of the
/// least.
struct Earliest {
    /// A power of two.
    size: usize,
    least: Vec<u32>,
}

impl Earliest {
    fn new(calls: Vec<u32>) -> Earliest {
        let size = calls.len().next_power_of_two();
        let mut least = vec![NEVER; size];
        least.extend(calls);
        least.resize(2 * size, NEVER);
        for node in (1..size).rev() {
            least[node] = least[2 * node].min(least[2 * node + 1]);
        }
        Earliest { size, least }
    }

    fn has(&self, index: usize) -> bool {
        self.least[self.size + index] < NEVER
    }

    fn remove(&mut self, index: usize) {
        let mut node = self.size + index;
        self.least[node] = NEVER;
        while node > 1 {
            node /= 2;
            self.least[node] = self.least[2 * node].min(self.least[2 * node + 1]);
        }
    }

    /// The first of `from..to` that was called before `time`.
    fn first_below(&self, from: usize, to: usize, time: u32) -> Option<usize> {
        self.first_in(1, (0, self.size), (from, to), time)
    }

    fn first_in(
        &self,
        node: usize,
        span: (usize, usize),
        range: (usize, usize),
        time: u32,
    ) -> Option<usize> {
        if self.least[node] >= time || range.1 <= span.0 || span.1 <= range.0 {
            return None;
        }
        if node >= self.size {
            return Some(span.0);
        }
        let middle = usize::midpoint(span.0, span.1);
        self.first_in(2 * node, (span.0, middle), range, time)
            .or_else(|| self.first_in(2 * node + 1, (middle, span.1), range, time))
    }
}
