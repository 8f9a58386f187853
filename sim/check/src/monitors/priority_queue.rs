//! Priority queues whose elements are distinct.
//!
//! An element can only come out when none of less priority is there. So the elements are looked at by priority, each is
//! taken out as early as those before it let it, and put in as late as possible: then it is there for as short a time as
//! in any order, which is best for the later ones. It is a legal order if in each gap first the elements that are taken
//! there are, by priority (each put just before it is taken, if its put has not returned by then), and then those are put whose
//! put returns at the end of the gap. What found nothing comes last.
//!
//! The idea of deciding by what is least or most in the order is that of Lee & Mathur ("Efficient Decrease-and-Conquer
//! Linearizability Monitoring", OOPSLA 2025); the greedy order is our own.

use super::Suspects;
use super::clusters::{Clusters, NEVER, Span};

pub(super) fn judge(clusters: &Clusters) -> Result<(), Suspects> {
    let mut elements: Vec<(i64, u32)> = clusters
        .seen()
        .map(|(number, cluster)| (cluster.priority, number))
        .collect();
    elements.sort_unstable();
    let mut gaps = Gaps::new(clusters);
    for (first, &(priority, _)) in elements.iter().enumerate() {
        if first > 0 && elements[first - 1].0 == priority {
            continue;
        }
        // Those of equal priority may come out in any order.
        let equal = elements[first..]
            .iter()
            .take_while(|(other, _)| *other == priority);
        let mut there = Vec::new();
        for &(_, number) in equal {
            let cluster = &clusters.all[number as usize];
            let Some(put) = cluster.put else { continue };
            let until = match cluster.took {
                None => gaps.end,
                Some(took) => match gaps.first_free(put.called.max(took.called), took.returned) {
                    Some(gap) => gap,
                    None => return Err(suspects(&elements[..first], number)),
                },
            };
            if put.returned < NEVER {
                there.push((gaps.after(put.returned), until));
            }
        }
        for (from, until) in there {
            gaps.take(from, until);
        }
    }
    for (number, &Span { called, returned }) in (0..).zip(&clusters.nothings) {
        if gaps.first_free(called, returned).is_none() {
            return Err(Suspects {
                clusters: elements.into_iter().map(|(_, number)| number).collect(),
                nothings: vec![number],
            });
        }
    }
    Ok(())
}

fn suspects(before: &[(i64, u32)], number: u32) -> Suspects {
    let before = before.iter().map(|(_, number)| *number);
    Suspects {
        clusters: before.chain([number]).collect(),
        nothings: Vec::new(),
    }
}

/// The gaps in which nothing is there that has been looked at.
struct Gaps {
    /// In order. Gap `g` ends with event `g` of these.
    events: Vec<u32>,
    /// By gap: itself if it is free, and otherwise a later one, before which none is: a forest, as in union-find.
    next: Vec<u32>,
    /// After the last gap.
    end: u32,
}

impl Gaps {
    fn new(clusters: &Clusters) -> Gaps {
        let spans = clusters
            .seen()
            .flat_map(|(_, cluster)| [cluster.put, cluster.took]);
        let nothings = clusters.nothings.iter().copied();
        let mut events: Vec<u32> = spans
            .flatten()
            .chain(nothings)
            .flat_map(|span| [span.called, span.returned])
            .filter(|event| *event < NEVER)
            .collect();
        events.sort_unstable();
        let end = events.len() as u32 + 1;
        Gaps {
            events,
            next: (0..=end).collect(),
            end,
        }
    }

    /// The first gap after an event.
    fn after(&self, event: u32) -> u32 {
        self.events.partition_point(|other| *other <= event) as u32
    }

    /// The first gap between two events that is free.
    fn first_free(&mut self, called: u32, returned: u32) -> Option<u32> {
        let (from, to) = (self.after(called), self.after(returned));
        let free = self.find(from);
        (free < to).then_some(free)
    }

    fn find(&mut self, mut gap: u32) -> u32 {
        while self.next[gap as usize] != gap {
            let after = self.next[gap as usize];
            self.next[gap as usize] = self.next[after as usize];
            gap = after;
        }
        gap
    }

    /// Takes the gaps from the first to before the second.
    fn take(&mut self, from: u32, until: u32) {
        let mut gap = self.find(from);
        while gap < until {
            self.next[gap as usize] = gap + 1;
            gap = self.find(gap);
        }
    }
}
