//! Directed graphs with a label on each edge, in one flat array, and their strongly connected components.
//!
//! Tarjan's algorithm (1972) without recursion: a history is easily a chain of a hundred thousand transactions, deeper than a
//! stack, and petgraph's goes down by recursion. a test below compares the two.

use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// An edge, as its beginning keeps it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge<L> {
    pub(crate) to: u32,
    pub(crate) label: L,
}

/// An edge on its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link<L> {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) label: L,
}

/// A graph that does not change any more.
#[derive(Debug)]
pub(crate) struct Graph<L> {
    /// Of each node, where its edges start in `edges`, and at the end their number.
    starts: Vec<u32>,
    edges: Vec<Edge<L>>,
}

impl<L: Copy> Graph<L> {
    /// Keeps the order of links with the same beginning. Linear time.
    pub(crate) fn new(nodes: usize, links: &[Link<L>]) -> Self {
        let mut starts = vec![0_u32; nodes + 1];
        for link in links {
            starts[link.from as usize + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let Some(first) = links.first() else {
            let edges = Vec::new();
            return Graph { starts, edges };
        };
        let blank = Edge {
            to: first.to,
            label: first.label,
        };
        let mut edges = vec![blank; links.len()];
        for link in links {
            let place = &mut next[link.from as usize];
            edges[*place as usize] = Edge {
                to: link.to,
                label: link.label,
            };
            *place += 1;
        }
        Graph { starts, edges }
    }

    pub(crate) fn nodes(&self) -> usize {
        self.starts.len() - 1
    }

    pub(crate) fn edges(&self, node: u32) -> &[Edge<L>] {
        let (start, end) = (self.starts[node as usize], self.starts[node as usize + 1]);
        &self.edges[start as usize..end as usize]
    }

    /// All edges, in order of where they begin.
    pub(crate) fn links(&self) -> impl Iterator<Item = Link<L>> + '_ {
        (0..self.nodes() as u32).flat_map(|from| {
            self.edges(from).iter().map(move |edge| Link {
                from,
                to: edge.to,
                label: edge.label,
            })
        })
    }

    /// The strongly connected components of what is left of the graph with the allowed edges only.
    pub(crate) fn components(&self, allowed: impl Fn(&L) -> bool) -> Components {
        let nodes = self.nodes();
        let mut tarjan = Tarjan {
            low: vec![0; nodes],
            next: 1,
            open: Vec::new(),
            components: Components {
                of: vec![0; nodes],
                sizes: Vec::new(),
            },
        };
        let mut calls: Vec<Call> = Vec::new();
        for root in 0..nodes as u32 {
            if tarjan.low[root as usize] != 0 {
                continue;
            }
            calls.push(tarjan.enter(root, self.starts[root as usize]));
            while let Some(call) = calls.last_mut() {
                let node = call.node as usize;
                if call.place == self.starts[node + 1] {
                    let low = tarjan.leave(*call);
                    calls.pop();
                    if let Some(caller) = calls.last() {
                        tarjan.reaches(caller.node, low);
                    }
                    continue;
                }
                let edge = &self.edges[call.place as usize];
                call.place += 1;
                if !allowed(&edge.label) {
                    continue;
                }
                let to = edge.to as usize;
                match tarjan.low[to] {
                    0 => calls.push(tarjan.enter(edge.to, self.starts[to])),
                    low => tarjan.reaches(node as u32, low),
                }
            }
        }
        tarjan.components
    }
}

impl<L: Copy> Graph<L> {
    /// The shortest circle through a node, if there is one. Linear in the size of its component.
    pub(crate) fn circle(&self, components: &Components, start: u32) -> Option<Vec<Link<L>>> {
        self.walk(components, start, start)
    }

    /// The shortest walk of at least one edge between two nodes of a component.
    pub(crate) fn walk(&self, components: &Components, from: u32, to: u32) -> Option<Vec<Link<L>>> {
        let mut by: FxHashMap<u32, Link<L>> = FxHashMap::default();
        let mut queue = VecDeque::from([from]);
        'search: while let Some(node) = queue.pop_front() {
            for edge in self.edges(node) {
                if !components.inside(from, edge.to) || by.contains_key(&edge.to) {
                    continue;
                }
                let (to_node, label) = (edge.to, edge.label);
                by.insert(
                    to_node,
                    Link {
                        from: node,
                        to: to_node,
                        label,
                    },
                );
                if to_node == to {
                    break 'search;
                }
                queue.push_back(to_node);
            }
        }
        let mut walk = vec![*by.get(&to)?];
        while let Some(link) = walk.last().filter(|link| link.from != from) {
            walk.push(*by.get(&link.from)?);
        }
        walk.reverse();
        Some(walk)
    }

    /// A circle in the smallest component that has some: the shortest of those through its first nodes. There may be a shorter one
    /// if there are many nodes.
    pub(crate) fn shortest_circle(&self, components: &Components) -> Option<Vec<Link<L>>> {
        const STARTS: usize = 64;
        let sizes = (0..).zip(&components.sizes);
        let cyclic = sizes.filter(|(_, size)| **size > 1);
        let (component, _) = cyclic.min_by_key(|(_, size)| **size)?;
        let nodes = 0..self.nodes() as u32;
        let starts = nodes.filter(|node| components.of[*node as usize] == component);
        let circles = starts
            .take(STARTS)
            .filter_map(|start| self.circle(components, start));
        circles.min_by_key(Vec::len)
    }
}

/// A node whose edges are being followed.
#[derive(Clone, Copy)]
struct Call {
    node: u32,
    /// Its number in order of visits.
    number: u32,
    /// Its next edge.
    place: u32,
}

/// What Tarjan's algorithm keeps.
struct Tarjan {
    /// Of each node 0 before it is visited; then its number in order of visits, or a lesser one that it reaches; `u32::MAX` when its
    /// component is complete.
    low: Vec<u32>,
    next: u32,
    /// Visited nodes whose component is not complete.
    open: Vec<u32>,
    components: Components,
}

impl Tarjan {
    fn enter(&mut self, node: u32, place: u32) -> Call {
        let number = self.next;
        self.next += 1;
        self.low[node as usize] = number;
        self.open.push(node);
        Call {
            node,
            number,
            place,
        }
    }

    fn reaches(&mut self, node: u32, low: u32) {
        let own = &mut self.low[node as usize];
        *own = low.min(*own);
    }

    /// Says what the node reaches.
    fn leave(&mut self, call: Call) -> u32 {
        let low = self.low[call.node as usize];
        if low < call.number {
            return low;
        }
        let component = self.components.sizes.len() as u32;
        let mut size = 0;
        while let Some(member) = self.open.pop() {
            self.low[member as usize] = u32::MAX;
            self.components.of[member as usize] = component;
            size += 1;
            if member == call.node {
                break;
            }
        }
        self.components.sizes.push(size);
        u32::MAX
    }
}

/// Strongly connected components.
#[derive(Debug)]
pub(crate) struct Components {
    /// Of each node the number of its component. A component has a greater number than those that it leads to.
    pub(crate) of: Vec<u32>,
    /// Of each component how many nodes it has.
    pub(crate) sizes: Vec<u32>,
}

impl Components {
    /// Whether an edge lies on a cycle.
    pub(crate) fn inside(&self, from: u32, to: u32) -> bool {
        self.of[from as usize] == self.of[to as usize]
    }

    /// Whether there is a component of more than one node.
    pub(crate) fn any(&self) -> bool {
        self.sizes.iter().any(|size| *size > 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use petgraph::graphmap::DiGraphMap;
    use proptest::prelude::*;

    fn graph(nodes: usize, links: &[(u32, u32)]) -> Graph<()> {
        let links: Vec<Link<()>> = links
            .iter()
            .map(|(from, to)| Link {
                from: *from,
                to: *to,
                label: (),
            })
            .collect();
        Graph::new(nodes, &links)
    }

    #[test]
    fn a_chain_deeper_than_any_stack_is_no_trouble() {
        let nodes = 1_000_000;
        let mut links: Vec<(u32, u32)> = (1..nodes).map(|node| (node - 1, node)).collect();
        let open = graph(nodes as usize, &links).components(|()| true);
        assert_eq!((open.sizes.len(), open.any()), (nodes as usize, false));
        links.push((nodes - 1, 0));
        let closed = graph(nodes as usize, &links).components(|()| true);
        assert_eq!(closed.sizes, [nodes]);
    }

    proptest! {
        #[test]
        fn components_are_those_of_petgraph(links in prop::collection::vec((0..12_u32, 0..12_u32), 0..30)) {
            let ours = graph(12, &links).components(|()| true);
            let mut theirs = DiGraphMap::<u32, (), rustc_hash::FxBuildHasher>::from_edges(links.iter().copied());
            for node in 0..12 {
                theirs.add_node(node);
            }
            let components = petgraph::algo::tarjan_scc(&theirs);
            prop_assert_eq!(components.len(), ours.sizes.len());
            for component in components {
                let number = ours.of[component[0] as usize];
                prop_assert_eq!(ours.sizes[number as usize] as usize, component.len());
                for node in component {
                    prop_assert_eq!(ours.of[node as usize], number);
                }
            }
            for (from, to) in links {
                prop_assert!(ours.of[from as usize] >= ours.of[to as usize]);
            }
        }
    }
}
