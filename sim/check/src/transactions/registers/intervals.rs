//! The order of versions of a linearizable register, from when each was first left and last found: that of the zones of Gibbons &
//! Korach, "Testing shared memories", SIAM J. Comput. 1997.

use super::order::Source;
use crate::transactions::graph::Link;

/// When a version must have been there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interval {
    pub(super) version: u32,
    /// The first event at which a transaction that left it was complete: from then on it was there, or overwritten.
    left: usize,
    pub(super) left_by: u32,
    /// The last event at which a transaction that found or made it was asked for, plus one: it was there after that.
    found: usize,
    pub(super) found_by: u32,
}

impl Interval {
    pub(super) fn of(version: u32) -> Interval {
        Interval {
            version,
            left: usize::MAX,
            left_by: u32::MAX,
            found: 0,
            found_by: u32::MAX,
        }
    }

    pub(super) fn found(&mut self, event: usize, by: u32) {
        if event + 1 > self.found {
            (self.found, self.found_by) = (event + 1, by);
        }
    }

    pub(super) fn left(&mut self, event: usize, by: u32) {
        if event < self.left {
            (self.left, self.left_by) = (event, by);
        }
    }

    fn before(&self, other: &Interval) -> bool {
        self.left < other.found.saturating_sub(1)
    }
}

/// The intervals of one register.
pub(super) struct Intervals {
    /// In order of when they were left.
    all: Vec<Interval>,
}

impl Intervals {
    pub(super) fn new(mut all: Vec<Interval>) -> Intervals {
        all.sort_by_key(|interval| (interval.left, interval.version));
        Intervals { all }
    }

    /// Two versions that come before each other: one of them is left before it is found, and the other lies inside that time or reaches
    /// into it.
    pub(super) fn circle(&self) -> Option<(Interval, Interval)> {
        // Those that are left before they are found last: as long as there is no circle, they do not overlap.
        let forward: Vec<Interval> = self.all.iter().copied().filter(|i| i.before(i)).collect();
        for pair in forward.windows(2) {
            if pair[1].before(&pair[0]) && pair[0].before(&pair[1]) {
                return Some((pair[0], pair[1]));
            }
        }
        for interval in self.all.iter().filter(|i| !i.before(i)) {
            let until = forward.partition_point(|other| other.before(interval));
            if let Some(other) = until.checked_sub(1).map(|last| forward[last])
                && interval.before(&other)
            {
                return Some((other, *interval));
            }
        }
        None
    }

    /// Each version with those that come right before it. There must be no circle.
    ///
    /// As many links as there are pairs of versions of the same time, one before the other but for these.
    pub(super) fn links(&self) -> Vec<Link<Source>> {
        let mut links = Vec::new();
        let mut latest: Vec<Interval> = self.all.clone();
        latest.sort_by_key(|interval| (interval.found, interval.version));
        let mut prefix = Prefix::default();
        let mut until = 0;
        for interval in &latest {
            while until < self.all.len() && self.all[until].before(interval) {
                prefix.add(self.all[until]);
                until += 1;
            }
            // The one that is found last comes before this one, unless another comes between; all others that are left before it is found
            // come before it.
            let greatest = prefix.greatest(&[interval.version]);
            let Some(greatest) = greatest else {
                continue;
            };
            let second = prefix.greatest(&[interval.version, greatest.version]);
            if second.is_none_or(|second| !greatest.before(&second)) {
                links.push(link(&greatest, interval));
            }
            for other in self.all[..until].iter().rev() {
                if other.before(&greatest) {
                    break;
                }
                if other.version != interval.version && other.version != greatest.version {
                    links.push(link(other, interval));
                }
            }
        }
        links
    }
}

fn link(from: &Interval, to: &Interval) -> Link<Source> {
    Link {
        from: from.version,
        to: to.version,
        label: Source::Linearizable(from.left_by, to.found_by),
    }
}

/// The three of some intervals that are found last.
#[derive(Default)]
struct Prefix {
    greatest: Vec<Interval>,
}

impl Prefix {
    fn add(&mut self, interval: Interval) {
        self.greatest.push(interval);
        self.greatest
            .sort_by_key(|i| std::cmp::Reverse((i.found, i.version)));
        self.greatest.truncate(3);
    }

    fn greatest(&self, but: &[u32]) -> Option<Interval> {
        let mut others = self.greatest.iter();
        others.find(|i| !but.contains(&i.version)).copied()
    }
}
