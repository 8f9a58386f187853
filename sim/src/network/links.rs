//! Sets of links, as data.

use serde::{Deserialize, Serialize};
use splitbrain_core::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Some of the links, each in one direction: by sender, the receivers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LinkSet(BTreeMap<NodeId, BTreeSet<NodeId>>);

impl LinkSet {
    /// Each link, from sender to receiver, in order.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, NodeId)> + '_ {
        self.0
            .iter()
            .flat_map(|(&from, to)| to.iter().map(move |&to| (from, to)))
    }

    /// The same links between nodes with other names; those of a node without a name are left out.
    pub(crate) fn renamed(&self, name: impl Fn(NodeId) -> Option<NodeId>) -> LinkSet {
        let renamed = |(from, to)| Some((name(from)?, name(to)?));
        self.iter().filter_map(renamed).collect()
    }

    /// Whether this link is one of them.
    pub fn contains(&self, from: NodeId, to: NodeId) -> bool {
        self.0
            .get(&from)
            .is_some_and(|receivers| receivers.contains(&to))
    }

    /// All nodes that are named.
    pub fn nodes(&self) -> BTreeSet<NodeId> {
        self.iter().flat_map(|(from, to)| [from, to]).collect()
    }

    /// The links between these nodes and all others of the cluster, from them, to them, or both.
    pub fn of(victims: &[NodeId], nodes: usize, direction: Direction) -> LinkSet {
        let mut links = LinkSet::default();
        let all = || (0..nodes).map(NodeId::from_index);
        for from in all() {
            let chosen = |to: &NodeId| {
                let out = victims.contains(&from) && direction != Direction::In;
                let into = victims.contains(to) && direction != Direction::Out;
                *to != from && (out || into)
            };
            let to: BTreeSet<NodeId> = all().filter(chosen).collect();
            if !to.is_empty() {
                links.0.insert(from, to);
            }
        }
        links
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose links these are, in words: `all links among n1 n2 n3`, `all links of n3`, `n1 -> n2 n3`.
    pub fn describe(&self) -> String {
        let nodes = self.nodes();
        let linked = |from: NodeId, to: NodeId| from == to || self.contains(from, to);
        let to_and_from_all = |center: &&NodeId| {
            let mut others = nodes.iter();
            others.all(|&other| linked(**center, other) && linked(other, **center))
        };
        let centers: BTreeSet<NodeId> = nodes.iter().filter(to_and_from_all).copied().collect();
        if nodes.len() > 2 && centers == nodes {
            return format!("all links among {}", names(nodes.iter()));
        }
        let touches = |(a, b): (NodeId, NodeId)| centers.contains(&a) || centers.contains(&b);
        if !centers.is_empty() && self.iter().all(touches) {
            return format!("all links of {}", names(centers.iter()));
        }
        let arrows =
            |(from, to): (&NodeId, &BTreeSet<NodeId>)| format!("{from} -> {}", names(to.iter()));
        self.0.iter().map(arrows).collect::<Vec<_>>().join(", ")
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

/// In which direction a fault takes hold of the links of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// What it sends and what it is sent.
    #[default]
    Both,
    /// What it is sent.
    In,
    /// What it sends.
    Out,
}

impl FromIterator<(NodeId, NodeId)> for LinkSet {
    fn from_iter<I: IntoIterator<Item = (NodeId, NodeId)>>(links: I) -> LinkSet {
        let mut set = LinkSet::default();
        for (from, to) in links {
            set.0.entry(from).or_default().insert(to);
        }
        set
    }
}

fn names<'a>(nodes: impl Iterator<Item = &'a NodeId>) -> String {
    nodes.map(NodeId::to_string).collect::<Vec<_>>().join(" ")
}

/// `n1 n2 | n3 n4 n5` where there are sides, and otherwise who no longer reaches whom.
impl fmt::Display for LinkSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(sides) = self.sides() {
            let sides: Vec<String> = sides.iter().map(|side| names(side.iter())).collect();
            return f.write_str(&sides.join(" | "));
        }
        let muted =
            |(from, to): (&NodeId, &BTreeSet<NodeId>)| format!("{from} -/-> {}", names(to.iter()));
        f.write_str(&self.0.iter().map(muted).collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_links_of_a_node_are_described_as_such() {
        let n = NodeId::from_index;
        let of = |victims: &[usize], direction| {
            let victims: Vec<NodeId> = victims.iter().map(|&index| n(index)).collect();
            LinkSet::of(&victims, 4, direction).describe()
        };
        assert_eq!(of(&[2], Direction::Both), "all links of n3");
        assert_eq!(of(&[1, 2], Direction::Both), "all links of n2 n3");
        assert_eq!(
            of(&[0, 1, 2, 3], Direction::Both),
            "all links among n1 n2 n3 n4"
        );
        assert_eq!(of(&[2], Direction::Out), "n3 -> n1 n2 n4");
        assert_eq!(of(&[2], Direction::In), "n1 -> n3, n2 -> n3, n4 -> n3");
        let one: LinkSet = [(n(0), n(1))].into_iter().collect();
        assert_eq!(
            (one.describe().as_str(), LinkSet::default().is_empty()),
            ("n1 -> n2", true)
        );
    }
}
