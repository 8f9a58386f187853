//! Queues whose elements are distinct: the four violations of Henzinger, Sezgin & Vafeiadis ("Aspect-Oriented Linearizability
//! Proofs", CONCUR 2013, theorem 1): an element from nowhere, one that comes out twice, two that come out in the wrong order, and
//! a queue that is found empty although at every moment something was in it.
//!
//! The first two are [`Clusters::judge_each`]'s. The order is wrong if one element was in before the other was put, but
//! is not yet being taken when the other is out. It is enough to compare each element with the one of those put before that is
//! taken last.

use super::Suspects;
use super::clusters::{Clusters, NEVER};

pub(super) fn judge(clusters: &Clusters) -> Result<(), Suspects> {
    judge_order(clusters)?;
    judge_nothings(clusters, |number| clusters.all[number as usize].inside())
}

fn judge_order(clusters: &Clusters) -> Result<(), Suspects> {
    let mut by_return = Vec::new();
    let mut by_call = Vec::new();
    for (number, cluster) in clusters.seen() {
        let Some(put) = cluster.put else { continue };
        let (took_called, took_returned) = cluster
            .took
            .map_or((NEVER, NEVER), |span| (span.called, span.returned));
        by_return.push((put.returned, took_called, number));
        by_call.push((put.called, took_returned, number));
    }
    by_return.sort_unstable();
    by_call.sort_unstable();
    let mut before = by_return.into_iter().peekable();
    // Of those that were in before, the one that is taken last.
    let mut latest = (0, 0);
    for (called, took_returned, number) in by_call {
        while let Some((_, took_called, number)) =
            before.next_if(|(returned, ..)| *returned < called)
        {
            latest = latest.max((took_called, number));
        }
        if took_returned < latest.0 {
            return Err(Suspects {
                clusters: vec![latest.1, number],
                nothings: Vec::new(),
            });
        }
    }
    Ok(())
}

/// Whether each operation that found nothing has a moment at which nothing must be there. An element is there from
/// the first to before the second event that `inside` says.
pub(super) fn judge_nothings(
    clusters: &Clusters,
    inside: impl Fn(u32) -> (u32, u32),
) -> Result<(), Suspects> {
    if clusters.nothings.is_empty() {
        return Ok(());
    }
    let numbers = clusters.seen().map(|(number, _)| number);
    let spans = numbers.map(|number| (inside(number), number));
    let mut spans: Vec<((u32, u32), u32)> = spans.filter(|((from, to), _)| from < to).collect();
    spans.sort_unstable();
    // Joined where they overlap: first and last event, and where in `spans` they start and end.
    let mut joined: Vec<(u32, u32, usize, usize)> = Vec::new();
    for (index, ((from, to), _)) in spans.iter().enumerate() {
        match joined.last_mut() {
            Some((_, end, _, last)) if from < end => {
                *end = (*end).max(*to);
                *last = index + 1;
            }
            _ => joined.push((*from, *to, index, index + 1)),
        }
    }
    for (number, nothing) in (0..).zip(&clusters.nothings) {
        let before = joined.partition_point(|(from, ..)| *from < nothing.called);
        if let Some(last) = before.checked_sub(1)
            && nothing.returned < joined[last].1
        {
            let (_, _, first, end) = joined[last];
            let over = |((from, to), _): &&((u32, u32), u32)| {
                *from < nothing.returned && nothing.called < *to
            };
            let over = spans[first..end].iter().filter(over);
            return Err(Suspects {
                clusters: over.map(|(_, number)| *number).collect(),
                nothings: vec![number],
            });
        }
    }
    Ok(())
}
