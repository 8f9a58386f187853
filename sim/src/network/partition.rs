//! Partitions as data: which links are cut, by shape.

use petgraph::graphmap::DiGraphMap;
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};
use splitbrain_core::{NodeId, Rng};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

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
    /// One server sees two sides that do not see each other.
    Bridge,
    /// Every server sees a majority, no two see the same one: each hears its nearest neighbours on a ring.
    MajoritiesRing,
}

impl Shape {
    /// All shapes.
    pub const ALL: [Shape; 6] = [
        Shape::Halves,
        Shape::RandomSplit,
        Shape::IsolateOne,
        Shape::OneWay,
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
            Shape::Bridge => "bridge",
            Shape::MajoritiesRing => "majorities-ring",
        }
    }
}

/// Who can reach whom: an edge from sender to receiver is a whole link.
pub type Topology = DiGraphMap<NodeId, (), FxBuildHasher>;

/// The links that a partition cuts: by sender, the receivers that no longer hear it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cuts(BTreeMap<NodeId, BTreeSet<NodeId>>);

impl Cuts {
    /// The links that are missing from a topology.
    pub fn missing(topology: &Topology) -> Cuts {
        let mut cuts = Cuts::default();
        for from in topology.nodes() {
            for to in topology.nodes().filter(|&to| to != from) {
                if !topology.contains_edge(from, to) {
                    cuts.0.entry(from).or_default().insert(to);
                }
            }
        }
        cuts
    }

    /// Draws a partition of this shape. A `victim` gets the bad place: the small side, the isolation, the muted link,
    /// the bridge. Clients fall on a random side where there are sides.
    /// On a ring all places are alike, and a victim changes nothing.
    pub fn draw(
        shape: Shape,
        servers: &[NodeId],
        clients: &[NodeId],
        victim: Option<NodeId>,
        rng: &mut Rng,
    ) -> Cuts {
        let mut order = servers.to_vec();
        rng.shuffle(&mut order);
        if let Some(at) = order.iter().position(|&node| Some(node) == victim) {
            order.swap(0, at);
        }
        let mut topology = whole(&[servers, clients].concat());
        match shape {
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
            Shape::Bridge => {
                let (left, right) = order.get(1..).unwrap_or_default().split_at(order.len() / 2);
                separate(&mut topology, left, right);
            }
            Shape::MajoritiesRing => ring(&mut topology, &order),
        }
        Cuts::missing(&topology)
    }

    /// Each cut link, from sender to receiver, in order.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, NodeId)> + '_ {
        self.0
            .iter()
            .flat_map(|(&from, to)| to.iter().map(move |&to| (from, to)))
    }

    /// The same cuts between nodes with other names; nodes without a name are left out of it.
    pub(crate) fn renamed(&self, name: impl Fn(NodeId) -> Option<NodeId>) -> Cuts {
        let mut renamed: BTreeMap<NodeId, BTreeSet<NodeId>> = BTreeMap::new();
        for (from, to) in self.iter() {
            if let (Some(from), Some(to)) = (name(from), name(to)) {
                renamed.entry(from).or_default().insert(to);
            }
        }
        Cuts(renamed)
    }

    /// Whether this link is cut.
    pub fn contains(&self, from: NodeId, to: NodeId) -> bool {
        self.0
            .get(&from)
            .is_some_and(|receivers| receivers.contains(&to))
    }

    /// All nodes that are named.
    pub fn nodes(&self) -> BTreeSet<NodeId> {
        self.iter().flat_map(|(from, to)| [from, to]).collect()
    }

    /// The sides, if the named nodes fall into sides: groups that are whole inside and cut in both directions from
    /// every other. A bridge is named in no cut and so on no side; rings and one-way cuts have none.
    pub fn sides(&self) -> Option<Vec<Vec<NodeId>>> {
        let mut sides: Vec<Vec<NodeId>> = Vec::new();
        for node in self.nodes() {
            let cut_from =
                |member: &NodeId| self.contains(node, *member) || self.contains(*member, node);
            match sides.iter_mut().find(|side| !side.iter().all(cut_from)) {
                Some(side) => side.push(node),
                None => sides.push(vec![node]),
            }
        }
        let expected =
            |(from_side, from), (to_side, to)| (from_side != to_side) == self.contains(from, to);
        let placed = |sides: &[Vec<NodeId>]| -> Vec<(usize, NodeId)> {
            let with_side = |(number, side): (usize, &Vec<NodeId>)| {
                side.iter()
                    .map(move |&node| (number, node))
                    .collect::<Vec<_>>()
            };
            sides.iter().enumerate().flat_map(with_side).collect()
        };
        let placed = placed(&sides);
        let whole = placed
            .iter()
            .all(|&a| placed.iter().all(|&b| a.1 == b.1 || expected(a, b)));
        (whole && sides.len() > 1).then_some(sides)
    }
}

/// `n1 n2 | n3 n4 n5` where there are sides, and otherwise who no longer reaches whom.
impl fmt::Display for Cuts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |nodes: &mut dyn Iterator<Item = &NodeId>| {
            nodes.map(NodeId::to_string).collect::<Vec<_>>().join(" ")
        };
        if let Some(sides) = self.sides() {
            let sides: Vec<String> = sides.iter().map(|side| names(&mut side.iter())).collect();
            return f.write_str(&sides.join(" | "));
        }
        let muted = |(from, to): (&NodeId, &BTreeSet<NodeId>)| {
            format!("{from} -/-> {}", names(&mut to.iter()))
        };
        f.write_str(&self.0.iter().map(muted).collect::<Vec<_>>().join(", "))
    }
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

/// Separates the first `small` servers of `order`, with some of the clients, from the rest with the others.
fn split(
    topology: &mut Topology,
    order: &[NodeId],
    small: usize,
    clients: &[NodeId],
    rng: &mut Rng,
) {
    let (small, large) = order.split_at(small.min(order.len()));
    let (mut small, mut large) = (small.to_vec(), large.to_vec());
    for &client in clients {
        if rng.below(2) == 0 {
            small.push(client);
        } else {
            large.push(client);
        }
    }
    separate(topology, &small, &large);
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

    fn ids(range: std::ops::Range<usize>) -> Vec<NodeId> {
        range.map(NodeId::from_index).collect()
    }

    fn draw(shape: Shape, servers: usize, victim: Option<NodeId>, seed: u64) -> Cuts {
        let mut rng = Seed(seed).stream(Purpose::Nemesis(0));
        Cuts::draw(
            shape,
            &ids(0..servers),
            &ids(servers..servers + 2),
            victim,
            &mut rng,
        )
    }

    fn hears(cuts: &Cuts, servers: usize, node: NodeId) -> BTreeSet<NodeId> {
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
        assert_eq!(serde_json::from_str::<Cuts>(&json).unwrap(), cuts);
        assert!(cuts.to_string().contains(" | "), "{cuts}");
    }
}
