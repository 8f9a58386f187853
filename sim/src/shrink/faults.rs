//! What shrinking knows of each kind of fault: what is milder, and what is left of it in a smaller cluster.

use crate::fault::{Fault, InFlight, Injection};
use crate::span::Span;
use splitbrain_core::NodeId;

/// The same kind of fault, done to less; the mildest first. Never to nothing at all.
fn less(fault: &Fault) -> Vec<Fault> {
    let nodes = fault.nodes();
    let mut milder: Vec<Fault> = Vec::new();
    if nodes.len() > 1 {
        let spared = |&spared: &NodeId| keeping(fault, |node| (node != spared).then_some(node));
        milder.extend(nodes.iter().filter_map(spared));
    }
    match fault {
        Fault::Partition {
            shape,
            in_flight: InFlight::Cut,
            cuts,
        } => milder.push(Fault::Partition {
            shape: *shape,
            in_flight: InFlight::Keep,
            cuts: cuts.clone(),
        }),
        Fault::Partition { .. } | Fault::Crash { .. } | Fault::Pause { .. } => {}
    }
    milder
}

/// The fault with its nodes renamed, and without those that have no name any more. `None` if nothing is left of it.
fn keeping(fault: &Fault, name: impl Fn(NodeId) -> Option<NodeId>) -> Option<Fault> {
    let mut kept = fault.clone();
    match &mut kept {
        Fault::Partition { cuts, .. } => *cuts = cuts.renamed(name),
        Fault::Crash { nodes } | Fault::Pause { nodes } => {
            *nodes = nodes.iter().copied().filter_map(name).collect();
        }
    }
    (!kept.nodes().is_empty()).then_some(kept)
}

/// What is left of the fault in a cluster without this node, in which later nodes have moved up.
pub(super) fn without_node(fault: &Fault, gone: NodeId) -> Option<Fault> {
    keeping(fault, |node| super::list::moved_up(node, gone))
}

/// The same fault, done to less or for a shorter time; the mildest first.
pub(super) fn milder(injection: &Injection) -> Vec<Injection> {
    let less = less(&injection.fault).into_iter().map(|fault| Injection {
        fault,
        ..injection.clone()
    });
    let ms = injection.lasting.0.as_millis() as u64;
    let shorter = [ms / 8, ms / 2, ms - ms / 4].map(round);
    let shorter = shorter
        .into_iter()
        .filter(|&shorter| 0 < shorter && shorter < ms);
    let shorter = shorter.map(|shorter| Injection {
        lasting: Span::from_millis(shorter),
        ..injection.clone()
    });
    less.chain(shorter).collect()
}

/// To two digits: a person reads `1.2s` faster than `1.237s`, and nothing depends on the rest.
fn round(ms: u64) -> u64 {
    let unit = 10_u64.pow(ms.checked_ilog10().unwrap_or(0).saturating_sub(1));
    ms / unit * unit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Cuts, Shape};
    use splitbrain_core::{Purpose, Seed};

    fn ids(range: std::ops::Range<usize>) -> Vec<NodeId> {
        range.map(NodeId::from_index).collect()
    }

    #[test]
    fn milder_is_always_less() {
        let crash = Injection {
            at: Span::from_secs(1),
            lasting: Span::from_millis(1237),
            fault: Fault::Crash { nodes: ids(0..3) },
        };
        let milder = milder(&crash);
        let nodes: Vec<usize> = milder
            .iter()
            .map(|milder| milder.fault.nodes().len())
            .collect();
        assert_eq!(nodes, [2, 2, 2, 3, 3, 3]);
        let lasting: Vec<String> = milder
            .iter()
            .map(|milder| milder.lasting.to_string())
            .collect();
        assert_eq!(lasting[3..], ["150ms", "610ms", "920ms"]);
        let mildest = Injection {
            lasting: Span::from_millis(1),
            fault: Fault::Pause { nodes: ids(0..1) },
            ..crash
        };
        assert!(super::milder(&mildest).is_empty());
    }

    #[test]
    fn a_partition_is_milder_with_fewer_nodes_and_when_messages_in_flight_arrive() {
        let servers = ids(0..3);
        let victim = Some(servers[2]);
        let mut rng = Seed(0).stream(Purpose::User(0));
        let cuts = Cuts::draw(Shape::IsolateOne, &servers, &[], victim, &mut rng);
        let partition = Fault::Partition {
            shape: Shape::IsolateOne,
            in_flight: InFlight::Cut,
            cuts,
        };
        let words: Vec<String> = less(&partition).iter().map(Fault::to_string).collect();
        let whole = "partition isolate-one: n1 n2 | n3";
        let without = [
            "partition isolate-one: n2 | n3",
            "partition isolate-one: n1 | n3",
        ];
        assert_eq!(
            words,
            [without[0], without[1], whole],
            "without n3 there is none"
        );
    }

    #[test]
    fn nodes_move_up_when_one_is_left_out() {
        let crash = Fault::Crash { nodes: ids(1..4) };
        let left = without_node(&crash, NodeId::from_index(2)).unwrap();
        assert_eq!(left.nodes(), ids(1..3));
        let one = Fault::Pause { nodes: ids(2..3) };
        assert_eq!(without_node(&one, NodeId::from_index(2)), None);
    }
}
