//! All classes of cycles in a dependency graph, each by its shortest cycles; and, exactly and in linear time, which classes there are
//! none of.
//!
//! Only strongly connected components can contain cycles, so the rest of the graph is forgotten first. Snapshot isolation is decided by
//! Cerone & Gotsman's theorem 9 (PODC 2016): no closed walk without two rw side by side. That is a matter of components, too, in the graph
//! of pairs of a node and whether the last edge was rw.

use super::class::{Class, Order};
use super::dependency::{Dependency, Label};
use super::graph::{Components, Graph, Link};
use super::search::{Hop, Searcher, Wanted};

/// A cycle that was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) class: Class,
    pub(crate) order: Order,
    pub(crate) hops: Vec<Hop>,
}

/// The result.
#[derive(Debug, Default)]
pub(crate) struct Cycles {
    /// For each of [`Order::ALL`] the worst class of which there are cycles that use that order or less: each class of walks contains
    /// those before it, as far as [`Class::GNonadjacent`] is taken for [`Class::GSingle`].
    pub(crate) worst: [Option<Class>; 3],
    /// One of each component that has some, at most [`SHOWN_MAX`] of each class and order.
    pub(crate) found: Vec<Found>,
    /// So many components may have more of them.
    pub(crate) left_out: usize,
    /// Whether there are any of these was not found out.
    pub(crate) undecided: Vec<(Class, Order)>,
}

/// So many cycles of each class are shown.
const SHOWN_MAX: usize = 8;

/// The cycles of a graph of which the first so many nodes are transactions. `steps` bounds the search for each class and order.
pub(crate) fn cycles(graph: &Graph<Label>, transactions: u32, steps: u64) -> Cycles {
    let mut cycles = Cycles::default();
    let components = graph.components(|_| true);
    if !components.any() {
        return cycles;
    }
    let part = Part::new(graph, transactions, &components);
    let mut searcher = Searcher::new(&part.graph, part.transactions);
    for (index, order) in Order::ALL.into_iter().enumerate() {
        let product = part.without_adjacent(order);
        let worst = part.worst(order, &product);
        cycles.worst[index] = worst;
        for class in Class::ALL {
            let possible = worst.is_some_and(|worst| worst <= class);
            let known = cycles.found.iter().any(|found| found.class == class);
            if possible && !known {
                part.look(&mut searcher, class, order, &product, steps, &mut cycles);
            }
        }
        let found = |found: &Found| matches!(found.class, Class::GSingle | Class::GNonadjacent);
        if worst == Some(Class::GSingle) && !cycles.found.iter().any(found) {
            part.any_walk(&mut searcher, order, &product, &mut cycles);
        }
    }
    for hop in cycles.found.iter_mut().flat_map(|found| &mut found.hops) {
        hop.from = part.nodes[hop.from as usize];
        hop.to = part.nodes[hop.to as usize];
    }
    cycles
}

/// What of a graph can be on cycles.
struct Part {
    graph: Graph<Label>,
    transactions: u32,
    /// What each node is in the whole graph.
    nodes: Vec<u32>,
}

impl Part {
    fn new(whole: &Graph<Label>, transactions: u32, components: &Components) -> Part {
        let cyclic = |node: u32| components.sizes[components.of[node as usize] as usize] > 1;
        let nodes: Vec<u32> = (0..whole.nodes() as u32).filter(|n| cyclic(*n)).collect();
        let mut places = vec![0_u32; whole.nodes()];
        for (place, node) in (0..).zip(&nodes) {
            places[*node as usize] = place;
        }
        let mut links = Vec::new();
        for &node in &nodes {
            let edges = whole.edges(node).iter();
            let inside = edges.filter(|edge| components.inside(node, edge.to));
            links.extend(inside.map(|edge| Link {
                from: places[node as usize],
                to: places[edge.to as usize],
                label: edge.label,
            }));
        }
        Part {
            graph: Graph::new(nodes.len(), &links),
            transactions: nodes.partition_point(|node| *node < transactions) as u32,
            nodes,
        }
    }

    /// The components of the pairs of a node and whether the last edge was rw: `2 * node + 1` if it was.
    fn without_adjacent(&self, order: Order) -> Components {
        let mut links = Vec::new();
        for Link { from, to, label } in self.graph.links() {
            let mut add = |from, to| links.push(Link { from, to, label });
            match label.kind {
                Some(Dependency::ReadWrite) => add(2 * from, 2 * to + 1),
                Some(kind) if order.allows(kind) => {
                    add(2 * from, 2 * to);
                    add(2 * from + 1, 2 * to);
                }
                Some(_) => {}
                None => {
                    add(2 * from, 2 * to);
                    add(2 * from + 1, 2 * to + 1);
                }
            }
        }
        Graph::new(2 * self.graph.nodes(), &links).components(|_| true)
    }

    fn of_class(&self, class: Class, order: Order) -> Components {
        let allows = |kind| class.allows(order, kind);
        self.graph.components(|label| label.kind.is_none_or(allows))
    }

    fn worst(&self, order: Order, product: &Components) -> Option<Class> {
        let of = |class| self.of_class(class, order).any();
        if of(Class::G0) {
            Some(Class::G0)
        } else if of(Class::G1c) {
            Some(Class::G1c)
        } else if product.any() {
            Some(Class::GSingle)
        } else {
            of(Class::G2Item).then_some(Class::G2Item)
        }
    }

    /// The edges with which a cycle of the class may start, by component.
    fn starts(&self, class: Class, of: &Components, product: &Components) -> Vec<Link<Label>> {
        let both = matches!(class, Class::GSingle | Class::GNonadjacent);
        let useful = |link: &Link<Label>| {
            link.label.kind.and_then(|kind| class.start(kind)).is_some()
                && of.inside(link.from, link.to)
                && (!both || product.inside(2 * link.from, 2 * link.to + 1))
        };
        let mut starts: Vec<Link<Label>> = self.graph.links().filter(useful).collect();
        starts.sort_by_key(|link| of.of[link.from as usize]);
        starts
    }

    fn look(
        &self,
        searcher: &mut Searcher<'_>,
        class: Class,
        order: Order,
        product: &Components,
        steps: u64,
        cycles: &mut Cycles,
    ) {
        let components = self.of_class(class, order);
        let starts = self.starts(class, &components, product);
        let component = |link: &Link<Label>| components.of[link.from as usize];
        let wanted = Wanted {
            class,
            order,
            loose: false,
            component: &components.of,
        };
        let steps_max = searcher.steps + steps;
        let (mut shown, mut gave_up) = (0, false);
        for starts in starts.chunk_by(|a, b| component(a) == component(b)) {
            if shown == SHOWN_MAX {
                cycles.left_out += 1;
                continue;
            }
            let mut shortest: Option<Vec<Hop>> = None;
            for first in starts {
                let hops_max = shortest
                    .as_ref()
                    .map_or(u32::MAX, |hops| hops.len() as u32 - 1);
                if hops_max < 2 {
                    break;
                }
                if searcher.steps > steps_max {
                    gave_up = true;
                    break;
                }
                let cycle = searcher.cycle(&wanted, *first, hops_max, steps_max);
                shortest = cycle.or(shortest);
            }
            if let Some(hops) = shortest {
                shown += 1;
                cycles.found.push(Found { class, order, hops });
            }
        }
        if shown == 0 && (gave_up || searcher.steps > steps_max) {
            cycles.undecided.push((class, order));
        }
    }

    /// Some closed walk without two rw side by side: there is one.
    fn any_walk(
        &self,
        searcher: &mut Searcher<'_>,
        order: Order,
        product: &Components,
        cycles: &mut Cycles,
    ) {
        let components = self.of_class(Class::GNonadjacent, order);
        let starts = self.starts(Class::GNonadjacent, &components, product);
        let wanted = Wanted {
            class: Class::GNonadjacent,
            order,
            loose: true,
            component: &components.of,
        };
        let walk = starts
            .first()
            .and_then(|first| searcher.cycle(&wanted, *first, u32::MAX, u64::MAX));
        if let Some(hops) = walk {
            let anti = hops
                .iter()
                .filter(|hop| hop.kind == Dependency::ReadWrite)
                .count();
            let class = if anti == 1 {
                Class::GSingle
            } else {
                Class::GNonadjacent
            };
            cycles
                .undecided
                .retain(|undecided| *undecided != (class, order));
            cycles.found.push(Found { class, order, hops });
        }
    }
}
