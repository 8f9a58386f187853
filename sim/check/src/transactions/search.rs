//! The shortest cycle of a class through an edge: breadth first over pairs of a node and a state of the class.

use super::class::{Class, Order, State};
use super::dependency::{Dependency, Label, NO_VERSION};
use super::graph::{Graph, Link};

/// One dependency of a cycle, whatever nodes it went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) kind: Dependency,
    pub(crate) version: u32,
}

/// What is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) class: Class,
    pub(crate) order: Order,
    /// Whether a closed walk will do that passes a node twice, and one with a single rw. Only of [`Class::GNonadjacent`].
    pub(crate) loose: bool,
    /// Nodes in other components than the first edge are of no use.
    pub(crate) component: &'a [u32],
}

/// Room for searches, used again for each.
pub(crate) struct Searcher<'a> {
    graph: &'a Graph<Label>,
    /// How many nodes are transactions: the first ones. The others stand for many edges.
    transactions: u32,
    /// Of each node and state the search that came there last, and in how many hops.
    reached: Vec<(u32, u32)>,
    /// Whence: a node and state.
    before: Vec<u32>,
    /// By which edge.
    by: Vec<Label>,
    search: u32,
    pub(crate) steps: u64,
}

impl<'a> Searcher<'a> {
    pub(crate) fn new(graph: &'a Graph<Label>, transactions: u32) -> Self {
        let places = graph.nodes() * State::COUNT;
        let label = Label {
            kind: None,
            version: NO_VERSION,
        };
        Searcher {
            graph,
            transactions,
            reached: vec![(0, 0); places],
            before: vec![0; places],
            by: vec![label; places],
            search: 0,
            steps: 0,
        }
    }

    /// A cycle of at most `hops_max` hops that starts with `first`, none shorter. Nothing if there is none, or if it took more steps
    /// than there may be.
    pub(crate) fn cycle(
        &mut self,
        wanted: &Wanted<'_>,
        first: Link<Label>,
        hops_max: u32,
        steps_max: u64,
    ) -> Option<Vec<Hop>> {
        let state = first.label.kind.and_then(|kind| wanted.class.start(kind))?;
        self.search += 1;
        let start = place(first.to, state);
        self.reached[start] = (self.search, 1);
        self.by[start] = first.label;
        let mut level = vec![(first.to, state)];
        let mut next = Vec::new();
        for hops in 1..=hops_max {
            let mut index = 0;
            while let Some(&(node, state)) = level.get(index) {
                index += 1;
                // It may have been reached with a hop less in the meantime.
                if self.reached[place(node, state)].1 < hops {
                    continue;
                }
                if node == first.from
                    && (wanted.class.accepts(wanted.order, state)
                        || wanted.loose && !state.just_anti())
                {
                    let hops = self.path(first, start, place(node, state));
                    if wanted.loose || distinct(&hops) {
                        return Some(hops);
                    }
                    continue;
                }
                for edge in self.graph.edges(node) {
                    self.steps += 1;
                    let component = wanted.component;
                    if component[edge.to as usize] != component[first.from as usize] {
                        continue;
                    }
                    let Some(kind) = edge.label.kind else {
                        if self.reach((node, state), edge.to, state, edge.label, hops) {
                            level.push((edge.to, state));
                        }
                        continue;
                    };
                    // A cycle with adjacent rw must not be two cycles without.
                    let twice = wanted.class == Class::G2Item && edge.to == first.to;
                    if let Some(after) = wanted.class.step(wanted.order, state, kind)
                        && !twice
                        && self.reach((node, state), edge.to, after, edge.label, hops + 1)
                    {
                        next.push((edge.to, after));
                    }
                }
                if self.steps > steps_max {
                    return None;
                }
            }
            level.clear();
            std::mem::swap(&mut level, &mut next);
            if level.is_empty() {
                break;
            }
        }
        None
    }

    /// Notes how a node was reached, unless it has been in as few hops.
    fn reach(
        &mut self,
        from: (u32, State),
        to: u32,
        state: State,
        label: Label,
        hops: u32,
    ) -> bool {
        let to = place(to, state);
        let (search, before) = self.reached[to];
        if search == self.search && before <= hops {
            return false;
        }
        self.reached[to] = (self.search, hops);
        self.before[to] = place(from.0, from.1) as u32;
        self.by[to] = label;
        true
    }

    /// Follows a path back to where the search started.
    fn path(&self, first: Link<Label>, start: usize, end: usize) -> Vec<Hop> {
        let mut hops: Vec<Hop> = Vec::new();
        // Of the hop whose beginning is not found yet: its end, and the version that it ends with.
        let (mut to, mut version) = ((end / State::COUNT) as u32, NO_VERSION);
        let mut at = end;
        loop {
            let label = self.by[at];
            let from = if at == start {
                first.from
            } else {
                self.before[at] / State::COUNT as u32
            };
            if version == NO_VERSION {
                version = label.version;
            }
            if let Some(kind) = label.kind {
                hops.push(Hop {
                    from,
                    to,
                    kind,
                    version,
                });
                (to, version) = (from, NO_VERSION);
            }
            if at == start {
                break;
            }
            at = self.before[at] as usize;
        }
        hops.reverse();
        debug_assert!(hops.iter().all(|hop| hop.to < self.transactions));
        hops
    }
}

fn place(node: u32, state: State) -> usize {
    node as usize * State::COUNT + state.number()
}

fn distinct(hops: &[Hop]) -> bool {
    let mut nodes: Vec<u32> = hops.iter().map(|hop| hop.from).collect();
    nodes.sort_unstable();
    nodes.windows(2).all(|pair| pair[0] != pair[1])
}
