//! What faults are made of: times, nodes, links, latencies.

use crate::network::{Bursts, Capacity, Degradation, Direction, Latency, LinkSet, Shape};
use crate::span::Span;
use crate::world::{Point, Unsynced};
use proptest::collection::btree_map;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::Union;
use splitbrain_core::{NodeId, Purpose, Ratio, Seed};
use std::collections::BTreeMap;

/// In whole milliseconds.
pub(super) fn ms(span: Span) -> u64 {
    span.0.as_millis() as u64
}

/// A time between these two, round more often than not. What may be no time at all (since the start) is made rounder first,
/// what may not (a length) shorter first.
pub(super) fn span(least: Span, most: Span) -> BoxedStrategy<Span> {
    let (least, most) = (ms(least), ms(most).max(ms(least)));
    let multiples = |of: u64| {
        let (first, last) = (least.div_ceil(of), most / of);
        (first <= last).then(|| {
            (first..=last)
                .prop_map(move |n| Span::from_millis(n * of))
                .boxed()
        })
    };
    let units = if least == 0 {
        [1000, 100, 1]
    } else {
        [1, 100, 1000]
    };
    Union::new(units.into_iter().filter_map(multiples)).boxed()
}

/// Some of these nodes, at least one.
pub(super) fn some(nodes: &[NodeId]) -> BoxedStrategy<Vec<NodeId>> {
    subsequence(nodes.to_vec(), 1..=nodes.len()).boxed()
}

/// Some of these nodes, each with a value of its own.
pub(super) fn each<V: Clone + std::fmt::Debug + 'static>(
    nodes: &[NodeId],
    value: impl Strategy<Value = V> + 'static,
) -> BoxedStrategy<BTreeMap<NodeId, V>> {
    btree_map(select(nodes.to_vec()), value, 1..=nodes.len()).boxed()
}

/// Some links: those of a node, or any.
pub(super) fn links(nodes: &[NodeId]) -> BoxedStrategy<LinkSet> {
    let count = nodes.len();
    let pairs: Vec<(NodeId, NodeId)> = pairs(nodes);
    let most = pairs.len().min(2 * count);
    let directions = vec![Direction::Out, Direction::In, Direction::Both];
    let of_nodes = (some(nodes), select(directions))
        .prop_map(move |(victims, direction)| LinkSet::of(&victims, count, direction));
    prop_oneof![
        subsequence(pairs, 1..=most).prop_map(LinkSet::from_iter),
        of_nodes,
    ]
    .boxed()
}

fn pairs(nodes: &[NodeId]) -> Vec<(NodeId, NodeId)> {
    let to_others = |&from: &NodeId| nodes.iter().map(move |&to| (from, to));
    let all = nodes.iter().flat_map(to_others);
    all.filter(|(from, to)| from != to).collect()
}

/// A partition: one node away from all others at first, then any two sides, then any shape.
pub(super) fn cuts(servers: &[NodeId], clients: &[NodeId]) -> BoxedStrategy<(Shape, LinkSet)> {
    let nodes = [servers, clients].concat();
    let sides = move |(small, one_way): (Vec<NodeId>, bool)| {
        let crosses = |&(from, to): &(NodeId, NodeId)| {
            let out = small.contains(&from) && !small.contains(&to);
            let into = small.contains(&to) && !small.contains(&from);
            out || into && !one_way
        };
        let shape = if one_way {
            Shape::HalvesOneWay
        } else {
            Shape::RandomSplit
        };
        (shape, pairs(&nodes).into_iter().filter(crosses).collect())
    };
    let small = servers.len().saturating_sub(1).max(1);
    let split = (subsequence(servers.to_vec(), 1..=small), any::<bool>()).prop_map(sides);
    let (servers, clients) = (servers.to_vec(), clients.to_vec());
    let draw = move |(shape, seed): (Shape, u64)| {
        let mut rng = Seed(seed).stream(Purpose::Nemesis(0));
        (shape, shape.draw(&servers, &clients, None, &mut rng))
    };
    let drawn = (select(&Shape::ALL[..]), any::<u64>()).prop_map(draw);
    prop_oneof![2 => split, 3 => drawn]
        .prop_filter("nothing is cut", |(_, cuts)| !cuts.is_empty())
        .boxed()
}

/// Sometimes; the rounder the sooner.
fn ratio() -> BoxedStrategy<Ratio> {
    let hundredths = (1_u32..=100).prop_map(|n| Ratio::new(n, 100).unwrap_or(Ratio::ALWAYS));
    prop_oneof![Just(Ratio::ALWAYS), hundredths].boxed()
}

/// Up to about so many milliseconds, now and then with a tail ten times as long.
pub(super) fn latency(most_ms: u64) -> BoxedStrategy<Latency> {
    let body = (0..most_ms, 0..most_ms).prop_map(|(min, more)| {
        Latency::uniform(Span::from_millis(min), Span::from_millis(min + more))
    });
    let tail_max = Span::from_millis(most_ms * 10);
    let tailed = (body.clone(), ratio()).prop_map(move |(body, tail)| Latency {
        tail,
        tail_max,
        ..body
    });
    prop_oneof![body, tailed].boxed()
}

/// Worse in one respect at first, then in any.
pub(super) fn degradation() -> BoxedStrategy<Degradation> {
    let burst = |most| span(Span::from_millis(1), Span::from_millis(most));
    let bursts = (burst(2000), burst(500), ratio());
    let bursts = bursts.prop_map(|(good, bad, loss)| Bursts { good, bad, loss });
    let capacity = (100_u64..1_000_000, 0_u64..100_000);
    let capacity = capacity.prop_map(|(bytes_per_s, queue_bytes)| Capacity {
        bytes_per_s,
        queue_bytes,
    });
    let maybe = proptest::option::of::<BoxedStrategy<Ratio>>;
    let parts = (
        proptest::option::of(latency(200)),
        maybe(ratio()),
        maybe(ratio()),
        proptest::option::of(bursts),
        proptest::option::of(capacity),
    );
    let degradation = |(latency, loss, duplication, bursts, capacity)| Degradation {
        latency,
        loss,
        duplication,
        bursts,
        capacity,
    };
    let says_something = |by: &Degradation| *by != Degradation::default();
    parts
        .prop_map(degradation)
        .prop_filter("nothing is worse", says_something)
        .boxed()
}

/// What a disk keeps of what was not synced.
pub(super) fn unsynced() -> BoxedStrategy<Unsynced> {
    prop_oneof![
        Just(Unsynced::Lost),
        (0_u32..5).prop_map(Unsynced::Kept),
        (0_u32..5).prop_map(Unsynced::Torn),
    ]
    .boxed()
}

/// Where to crash: the points that every protocol has.
pub(super) fn point() -> BoxedStrategy<Point> {
    select(&Point::ALL[..]).boxed()
}
