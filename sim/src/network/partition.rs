//! Partitions as data: which links are cut, by shape.

use super::LinkSet;
use petgraph::graphmap::DiGraphMap;
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};
use splitbrain_core::{NodeId, Rng};

/// The shape of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Two sides, as equal as can be.
    Halves,
    /// Two sides of random sizes, neither empty.
    RandomSplit,
    /// One server is cut off from all others.
    IsolateOne,
    /// One server hears everybody, and nobody hears it.
    OneWay,
    /// One server hears nobody, and everybody hears it.
    Deaf,
    /// Two sides, as equal as can be: one hears the other, and is not heard by it.
    HalvesOneWay,
    /// Two servers do not see each other; all others see both (Nifty, OSDI 2020: partial partitions).
    Partial,
    /// One server sees two sides that do not see each other.
    Bridge,
    /// Every server sees a majority, no two see the same one: each hears its nearest neighbours on a ring.
    MajoritiesRing,
}

impl Shape {
    /// All shapes.
    pub const ALL: [Shape; 9] = [
        Shape::Halves,
        Shape::RandomSplit,
        Shape::IsolateOne,
        Shape::OneWay,
        Shape::Deaf,
        Shape::HalvesOneWay,
        Shape::Partial,
        Shape::Bridge,
        Shape::MajoritiesRing,
    ];

    /// Its name in scenarios.
    pub fn name(self) -> &'static str {
        match self {
            Shape::Halves => "halves",
            Shape::RandomSplit => "random-split",
            Shape::IsolateOne => "isolate-one",
            Shape::OneWay => "one-way",
            Shape::Deaf => "deaf",
            Shape::HalvesOneWay => "halves-one-way",
            Shape::Partial => "partial",
            Shape::Bridge => "bridge",
            Shape::MajoritiesRing => "majorities-ring",
        }
    }

    /// Draws a partition of this shape. A `victim` gets the bad place: the small side, the isolation, the muted link,
    /// the bridge. Clients fall on a random side where there are sides.
    /// On a ring all places are alike, and a victim changes nothing.
    pub fn draw(
        self,
        servers: &[NodeId],
        clients: &[NodeId],
        victim: Option<NodeId>,
        rng: &mut Rng,
    ) -> LinkSet {
        let mut order = servers.to_vec();
        rng.shuffle(&mut order);
        if let Some(at) = order.iter().position(|&node| Some(node) == victim) {
            order.swap(0, at);
        }
        let mut topology = whole(&[servers, clients].concat());
        match self {
            Shape::Halves => split(&mut topology, &order, order.len() / 2, clients, rng),
            Shape::RandomSplit => {
                let small = 1 + rng.index(order.len().saturating_sub(1));
                split(&mut topology, &order, small, clients, rng);
            }
            Shape::IsolateOne => split(&mut topology, &order, 1, clients, rng),
            Shape::OneWay => {
                let muted = order.first().copied();
                let deaf: Vec<(NodeId, NodeId)> = topology
                    .all_edges()
                    .map(|(from, to, ())| (from, to))
                    .filter(|&(from, _)| Some(from) == muted)
                    .collect();
                for (from, to) in deaf {
                    topology.remove_edge(from, to);
                }
            }
            Shape::Deaf => {
                let deaf = order.first().copied();
                let unheard: Vec<(NodeId, NodeId)> = topology
                    .all_edges()
                    .map(|(from, to, ())| (from, to))
                    .filter(|&(_, to)| Some(to) == deaf)
                    .collect();
                for (from, to) in unheard {
                    topology.remove_edge(from, to);
                }
            }
            Shape::HalvesOneWay => {
                let (small, large) = sides(&order, order.len() / 2, clients, rng);
                silence(&mut topology, &small, &large);
            }
            Shape::Partial => {
                if let [a, b, _, ..] = order[..] {
                    separate(&mut topology, &[a], &[b]);
                }
            }
            Shape::Bridge => {
                let (left, right) = order.get(1..).unwrap_or_default().split_at(order.len() / 2);
                separate(&mut topology, left, right);
            }
            Shape::MajoritiesRing => ring(&mut topology, &order),
        }
        missing(&topology)
    }
}

/// Who can reach whom: an edge from sender to receiver is a whole link.
pub type Topology = DiGraphMap<NodeId, (), FxBuildHasher>;

/// The links that are missing from a topology.
fn missing(topology: &Topology) -> LinkSet {
    let pairs = topology
        .nodes()
        .flat_map(|from| topology.nodes().map(move |to| (from, to)));
    pairs
        .filter(|&(from, to)| from != to && !topology.contains_edge(from, to))
        .collect()
}

fn whole(nodes: &[NodeId]) -> Topology {
    let mut topology = Topology::default();
    for &from in nodes {
        topology.add_node(from);
        for &to in nodes.iter().filter(|&&to| to != from) {
            topology.add_edge(from, to, ());
        }
    }
    topology
}

/// Cuts every link between the two, both ways.
fn separate(topology: &mut Topology, left: &[NodeId], right: &[NodeId]) {
    for &a in left {
        for &b in right {
            topology.remove_edge(a, b);
            topology.remove_edge(b, a);
        }
    }
}

/// Cuts every link from the first to the second.
fn silence(topology: &mut Topology, muted: &[NodeId], deaf: &[NodeId]) {
    for &a in muted {
        for &b in deaf {
            topology.remove_edge(a, b);
        }
    }
}

/// Separates the first `small` servers of `order`, with some of the clients, from the rest with the others.
fn split(
    topology: &mut Topology,
    order: &[NodeId],
    small: usize,
    clients: &[NodeId],
    rng: &mut Rng,
) {
    let (small, large) = sides(order, small, clients, rng);
    separate(topology, &small, &large);
}

/// The first `small` servers of `order`, with some of the clients, and the rest with the others.
fn sides(
    order: &[NodeId],
    small: usize,
    clients: &[NodeId],
    rng: &mut Rng,
) -> (Vec<NodeId>, Vec<NodeId>) {
    let (small, large) = order.split_at(small.min(order.len()));
    let (mut small, mut large) = (small.to_vec(), large.to_vec());
    for &client in clients {
        if rng.below(2) == 0 {
            small.push(client);
        } else {
            large.push(client);
        }
    }
    (small, large)
}

/// Leaves each server only the links to its nearest neighbours on the ring, as many as make a majority with itself.
fn ring(topology: &mut Topology, order: &[NodeId]) {
    let n = order.len();
    // An odd-sized neighbourhood of itself and as many on either side.
    let reach = (n / 2).div_ceil(2);
    for (i, &a) in order.iter().enumerate() {
        for (j, &b) in order.iter().enumerate() {
            let distance = i.abs_diff(j).min(n - i.abs_diff(j));
            if distance > reach {
                topology.remove_edge(a, b);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use splitbrain_core::{Purpose, Seed};
    use std::collections::BTreeSet;

    fn ids(range: std::ops::Range<usize>) -> Vec<NodeId> {
        range.map(NodeId::from_index).collect()
    }

    fn draw(shape: Shape, servers: usize, victim: Option<NodeId>, seed: u64) -> LinkSet {
        let mut rng = Seed(seed).stream(Purpose::Nemesis(0));
        shape.draw(
            &ids(0..servers),
            &ids(servers..servers + 2),
            victim,
            &mut rng,
        )
    }

    fn hears(cuts: &LinkSet, servers: usize, node: NodeId) -> BTreeSet<NodeId> {
        ids(0..servers)
            .into_iter()
            .filter(|&from| !cuts.contains(from, node))
            .collect()
    }

    #[test]
    fn splits_have_two_sides_and_the_victim_is_on_the_small_one() {
        let victim = NodeId::from_index(3);
        for seed in 0..50 {
            for (shape, sizes) in [
                (Shape::Halves, 2..=2),
                (Shape::RandomSplit, 1..=4),
                (Shape::IsolateOne, 1..=1),
            ] {
                let cuts = draw(shape, 5, Some(victim), seed);
                let sides = cuts.sides().expect("two sides");
                assert_eq!(sides.len(), 2);
                let own = sides.iter().find(|side| side.contains(&victim)).unwrap();
                let servers = own.iter().filter(|node| node.index() < 5).count();
                assert!(sizes.contains(&servers), "{shape:?}: {cuts}");
            }
        }
    }

    #[test]
    fn one_way_mutes_the_victim_and_it_still_hears() {
        let victim = NodeId::from_index(0);
        let cuts = draw(Shape::OneWay, 3, Some(victim), 1);
        assert_eq!(cuts.to_string(), "n1 -/-> n2 n3 n4 n5");
        assert_eq!(cuts.sides(), None);
        assert_eq!(hears(&cuts, 3, victim).len(), 3);
    }

    #[test]
    fn the_deaf_speak_and_one_side_of_one_way_halves_is_heard() {
        let victim = NodeId::from_index(1);
        let cuts = draw(Shape::Deaf, 3, Some(victim), 1);
        assert_eq!(hears(&cuts, 3, victim).len(), 1, "only itself");
        assert_eq!(hears(&cuts, 3, NodeId::from_index(0)).len(), 3);
        let cuts = draw(Shape::HalvesOneWay, 5, Some(victim), 1);
        assert_eq!(hears(&cuts, 5, victim).len(), 5, "the small side hears all");
        let heard: Vec<usize> = ids(0..5)
            .into_iter()
            .map(|n| hears(&cuts, 5, n).len())
            .collect();
        assert_eq!(
            heard.iter().filter(|&&heard| heard == 3).count(),
            3,
            "{cuts}"
        );
    }

    #[test]
    fn a_partial_partition_cuts_one_pair() {
        let cuts = draw(Shape::Partial, 5, None, 1);
        assert_eq!(cuts.iter().count(), 2);
        assert_eq!(cuts.sides().map(|sides| sides.len()), Some(2));
        assert!(
            draw(Shape::Partial, 2, None, 1).is_empty(),
            "nobody sees both"
        );
    }

    #[test]
    fn a_bridge_sees_both_sides() {
        let bridge = NodeId::from_index(2);
        let cuts = draw(Shape::Bridge, 5, Some(bridge), 1);
        let sides = cuts.sides().expect("two sides, and the bridge on neither");
        assert!(
            sides.len() == 2 && !cuts.nodes().contains(&bridge),
            "{cuts}"
        );
        assert_eq!(hears(&cuts, 5, bridge).len(), 5);
        for node in ids(0..5).into_iter().filter(|&node| node != bridge) {
            assert_eq!(
                hears(&cuts, 5, node).len(),
                3,
                "two of its side, and the bridge"
            );
        }
    }

    #[test]
    fn in_a_majorities_ring_every_node_sees_a_majority_and_no_two_the_same() {
        for servers in [5, 7, 9] {
            let cuts = draw(Shape::MajoritiesRing, servers, None, 7);
            let seen: Vec<_> = ids(0..servers)
                .into_iter()
                .map(|n| hears(&cuts, servers, n))
                .collect();
            assert!(
                seen.iter()
                    .all(|heard| heard.len() > servers / 2 && heard.len() < servers)
            );
            let distinct: BTreeSet<_> = seen.iter().collect();
            assert_eq!(distinct.len(), servers);
        }
    }

    #[test]
    fn tiny_clusters_are_no_trouble() {
        for shape in Shape::ALL {
            for servers in 0..4 {
                let cuts = draw(shape, servers, None, 3);
                assert!(cuts.iter().all(|(from, to)| from != to));
            }
        }
    }

    #[test]
    fn cuts_read_well_and_round_trip() {
        let cuts = draw(Shape::IsolateOne, 3, Some(NodeId::from_index(1)), 0);
        let json = serde_json::to_string(&cuts).unwrap();
        assert_eq!(serde_json::from_str::<LinkSet>(&json).unwrap(), cuts);
        assert!(cuts.to_string().contains(" | "), "{cuts}");
    }
}
