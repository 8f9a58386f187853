//! What shrinking knows of each kind of fault: what is milder, and what is left of it in a smaller cluster.

use super::network::{RARE, quieter, rarer};
use crate::fault::{Fault, InFlight, Injection};
use crate::network::{Degradation, Latency, LinkSet};
use crate::span::Span;
use crate::world::Unsynced;
use splitbrain_core::NodeId;
use std::collections::BTreeMap;

/// The same kind of fault, done to less; the mildest first. Never to nothing at all.
fn less(fault: &Fault) -> Vec<Fault> {
    let mut less = to_fewer_nodes(fault);
    less.extend(weaker_links(fault));
    less.extend(weaker_nodes(fault));
    less
}

/// Of faults of links: those that do less to the same nodes.
fn weaker_links(fault: &Fault) -> Vec<Fault> {
    let mut milder = Vec::new();
    match fault {
        Fault::Partition {
            shape,
            in_flight,
            flap,
            cuts,
        } => {
            let with = |in_flight, flap| Fault::Partition {
                shape: *shape,
                in_flight,
                flap,
                cuts: cuts.clone(),
            };
            milder.extend(flap.map(|_| with(*in_flight, None)));
            milder.extend((*in_flight == InFlight::Cut).then(|| with(InFlight::Keep, *flap)));
        }
        Fault::Degrade { links, by } => {
            let fewer = fewer_links(links).into_iter();
            milder.extend(fewer.map(|links| Fault::Degrade { links, by: *by }));
            let with = |by| Fault::Degrade {
                links: links.clone(),
                by,
            };
            milder.extend(better(*by).into_iter().map(with));
        }
        Fault::Clog { links } => {
            let fewer = fewer_links(links).into_iter();
            milder.extend(fewer.map(|links| Fault::Clog { links }));
        }
        _ => {}
    }
    milder
}

/// Of faults of processes, clocks and disks: those that do less to the same nodes.
fn weaker_nodes(fault: &Fault) -> Vec<Fault> {
    let mut milder = Vec::new();
    match fault {
        Fault::Crash { nodes, unsynced } => {
            let usual = || Fault::Crash {
                nodes: nodes.clone(),
                unsynced: Unsynced::Lost,
            };
            milder.extend((*unsynced != Unsynced::Lost).then(usual));
        }
        Fault::Slow { nodes, per_event } => {
            let with = |per_event| Fault::Slow {
                nodes: nodes.clone(),
                per_event,
            };
            milder.extend(half(*per_event).map(with));
        }
        Fault::Drift { ppm } => {
            let half = |(&node, &ppm): (&NodeId, &i32)| (node, ppm / 2);
            let ppm: BTreeMap<_, _> = ppm.iter().map(half).filter(|(_, ppm)| *ppm != 0).collect();
            milder.extend((!ppm.is_empty()).then_some(Fault::Drift { ppm }));
        }
        Fault::Jump { by_ms } => {
            let half = |(&node, &by_ms): (&NodeId, &i64)| Some((node, half_of(by_ms)?));
            let by_ms: BTreeMap<_, _> = by_ms.iter().filter_map(half).collect();
            milder.extend((!by_ms.is_empty()).then_some(Fault::Jump { by_ms }));
        }
        Fault::Strobe {
            nodes,
            by_ms,
            every,
        } => {
            let with = |by_ms| Fault::Strobe {
                nodes: nodes.clone(),
                by_ms,
                every: *every,
            };
            milder.extend(half_of(*by_ms).map(with));
        }
        Fault::SlowSync { nodes, sync } => {
            let with = |sync| Fault::SlowSync {
                nodes: nodes.clone(),
                sync,
            };
            milder.extend(faster(*sync).into_iter().map(with));
        }
        Fault::Partition { .. }
        | Fault::Degrade { .. }
        | Fault::Clog { .. }
        | Fault::CrashAt { .. }
        | Fault::Wipe { .. }
        | Fault::Pause { .. }
        | Fault::FailSync { .. }
        | Fault::FullDisk { .. }
        | Fault::Corrupt { .. } => {}
    }
    milder
}

/// The same fault with each of its nodes left out, if anything is left of it then.
fn to_fewer_nodes(fault: &Fault) -> Vec<Fault> {
    let nodes = fault.nodes();
    let without = |&spared: &NodeId| keeping(fault, |node| (node != spared).then_some(node));
    nodes.iter().filter_map(without).collect()
}

/// The same with each of the links left out, if there are no more than all links of one node. Of more, many a part would
/// do, and none of them is said in fewer words.
fn fewer_links(links: &LinkSet) -> Vec<LinkSet> {
    let all: Vec<(NodeId, NodeId)> = links.iter().collect();
    let of_one_node = links.nodes().len().saturating_sub(1) * 2;
    if all.len() < 2 || all.len() > of_one_node {
        return Vec::new();
    }
    let without = |place| super::list::without(&all, place, 1).into_iter().collect();
    (0..all.len()).map(without).collect()
}

/// Better in one respect, and still worse than usual in another or in the same.
fn better(by: Degradation) -> Vec<Degradation> {
    let mut better: Vec<Degradation> = Vec::new();
    let mut add = |change: &dyn Fn(&mut Degradation)| {
        let mut changed = by;
        change(&mut changed);
        if changed != by && changed != Degradation::default() {
            better.push(changed);
        }
    };
    add(&|by| by.latency = None);
    add(&|by| by.loss = None);
    add(&|by| by.duplication = None);
    add(&|by| by.bursts = None);
    add(&|by| by.capacity = None);
    for latency in by.latency.into_iter().flat_map(faster) {
        add(&|by| by.latency = Some(latency));
    }
    add(&|by| by.loss = by.loss.map(|loss| loss.half(RARE)));
    add(&|by| by.duplication = by.duplication.map(|ratio| ratio.half(RARE)));
    add(&|by| by.bursts = by.bursts.map(rarer));
    better
}

/// With less of a tail, or half as long.
fn faster(latency: Latency) -> Vec<Latency> {
    let mut faster = quieter(latency);
    let shorter = half(latency.mean).map(|mean| Latency {
        min: half(latency.min).unwrap_or_default(),
        mean,
        tail: latency.tail,
        tail_max: half(latency.tail_max).unwrap_or_default(),
    });
    faster.extend(shorter.filter(|shorter| shorter.validate().is_ok()));
    faster
}

/// Half as long, in whole milliseconds, if that is any.
fn half(span: Span) -> Option<Span> {
    let ms = round(span.0.as_millis() as u64 / 2);
    (ms > 0).then(|| Span::from_millis(ms))
}

/// Half as far in the same direction, if that is anywhere.
fn half_of(ms: i64) -> Option<i64> {
    let half = round(ms.unsigned_abs() / 2).cast_signed() * ms.signum();
    (half != 0).then_some(half)
}

/// The fault with its nodes renamed, and without those that have no name any more. `None` if nothing is left of it.
fn keeping(fault: &Fault, name: impl Fn(NodeId) -> Option<NodeId>) -> Option<Fault> {
    let mut kept = fault.clone();
    kept.rename(name);
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
    use super::super::network::tests::{BURSTS, NARROW};
    use super::*;
    use crate::network::{Direction, Shape};
    use crate::world::Point;
    use splitbrain_core::{Purpose, Ratio, Seed};

    fn ids(range: std::ops::Range<usize>) -> Vec<NodeId> {
        range.map(NodeId::from_index).collect()
    }

    #[test]
    fn milder_is_always_less() {
        let wipe = Injection {
            at: Span::from_secs(1),
            lasting: Span::from_millis(1237),
            fault: Fault::Wipe { nodes: ids(0..3) },
        };
        let milder = milder(&wipe);
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
            ..wipe
        };
        assert!(super::milder(&mildest).is_empty());
    }

    #[test]
    fn a_partition_is_milder_with_fewer_nodes_and_when_messages_in_flight_arrive() {
        let servers = ids(0..3);
        let victim = Some(servers[2]);
        let mut rng = Seed(0).stream(Purpose::User(0));
        let cuts = Shape::IsolateOne.draw(&servers, &[], victim, &mut rng);
        let partition = Fault::Partition {
            shape: Shape::IsolateOne,
            in_flight: InFlight::Cut,
            flap: Some(Span::from_millis(50)),
            cuts,
        };
        let words: Vec<String> = less(&partition).iter().map(Fault::to_string).collect();
        assert_eq!(
            words,
            [
                "partition isolate-one: n2 | n3, flapping every 50ms",
                "partition isolate-one: n1 | n3, flapping every 50ms",
                "partition isolate-one: n1 n2 | n3",
                "partition isolate-one: n1 n2 | n3, flapping every 50ms",
            ],
            "without n3 there is none"
        );
    }

    /// One of each kind, as bad as it may be, done to the first three of four nodes.
    fn one_of_each() -> Vec<Fault> {
        let ratio = |per_cent| Ratio::new(per_cent, 100).unwrap();
        let latency = Latency {
            min: Span::from_millis(3),
            mean: Span::from_millis(40),
            tail: ratio(5),
            tail_max: Span::from_secs(2),
        };
        let nodes = || ids(0..3);
        let each = |value: i64| nodes().into_iter().zip([value, -value, value / 10]);
        let links = || LinkSet::of(&nodes(), 4, Direction::Both);
        let mut rng = Seed(0).stream(Purpose::User(0));
        vec![
            Fault::Partition {
                shape: Shape::Halves,
                in_flight: InFlight::Cut,
                flap: Some(Span::from_millis(50)),
                cuts: Shape::Halves.draw(&ids(0..4), &[], None, &mut rng),
            },
            Fault::Degrade {
                links: links(),
                by: Degradation {
                    latency: Some(latency),
                    loss: Some(ratio(30)),
                    duplication: Some(ratio(20)),
                    bursts: Some(BURSTS),
                    capacity: Some(NARROW),
                },
            },
            Fault::Clog { links: links() },
            Fault::Crash {
                nodes: nodes(),
                unsynced: Unsynced::Torn(2),
            },
            Fault::CrashAt {
                nodes: nodes(),
                point: Point::AfterSync,
            },
            Fault::Wipe { nodes: nodes() },
            Fault::Pause { nodes: nodes() },
            Fault::Slow {
                nodes: nodes(),
                per_event: Span::from_millis(70),
            },
            Fault::Drift {
                ppm: each(70_000)
                    .map(|(node, ppm)| (node, i32::try_from(ppm).unwrap()))
                    .collect(),
            },
            Fault::Jump {
                by_ms: each(-3_600_000).collect(),
            },
            Fault::Strobe {
                nodes: nodes(),
                by_ms: -700,
                every: Span::from_millis(10),
            },
            Fault::SlowSync {
                nodes: nodes(),
                sync: latency,
            },
            Fault::FailSync { nodes: nodes() },
            Fault::FullDisk { nodes: nodes() },
            Fault::Corrupt {
                records: nodes().into_iter().zip([0, 1, 2]).collect(),
            },
        ]
    }

    #[test]
    fn every_fault_that_gets_milder_ends_as_the_mildest_of_its_kind() {
        for fault in one_of_each() {
            let mut mildest = fault.clone();
            let mut steps = 0;
            while let Some(next) = less(&mildest).into_iter().next_back() {
                assert_eq!(next.kind(), fault.kind());
                assert_eq!(next.validate(), Ok(()), "{next}");
                assert!(!next.nodes().is_empty(), "{next}");
                assert_ne!(next, mildest);
                mildest = next;
                steps += 1;
                assert!(steps < 200, "it goes round in circles: {mildest}");
            }
            assert!(steps > 0, "{fault}");
            let links = matches!(fault.kind(), "partition" | "degrade" | "clog");
            assert_eq!(mildest.nodes().len(), 1 + usize::from(links), "{mildest}");
        }
    }

    /// Of one that is done to one node only.
    #[test]
    fn each_kind_has_milder_faults_of_its_own() {
        let ends = |node: NodeId| [0, 3].contains(&node.index()).then_some(node);
        let lines = |fault: Fault| {
            let milder = less(&fault);
            let milder = milder.iter().map(|milder| format!("\n  {milder}"));
            format!("{fault}{}\n", milder.collect::<String>())
        };
        let of_all = one_of_each();
        let of_one = of_all.iter().filter_map(|fault| keeping(fault, ends));
        let (degrade, others): (Vec<Fault>, Vec<Fault>) =
            of_one.partition(|fault| matches!(fault, Fault::Degrade { .. }));
        let text: String = others.into_iter().map(lines).collect();
        insta::assert_snapshot!(text, @r"
        partition halves: n1 | n4, flapping every 50ms
          partition halves: n1 | n4
          partition halves: n1 | n4, flapping every 50ms
        clog all links of n1 n4
          clog n4 -> n1
          clog n1 -> n4
        crash n1, 2 unsynced records kept, one torn
          crash n1
        to crash just after a sync is durable n1
        wipe n1
        pause n1
        slow n1: 70ms for each event
          slow n1: 35ms for each event
        clocks drift: n1 +70000 ppm
          clocks drift: n1 +35000 ppm
        wall clocks jump: n1 -3600000ms
          wall clocks jump: n1 -1800000ms
        wall clocks strobe: n1 by -700ms every 10ms
          wall clocks strobe: n1 by -350ms every 10ms
        slow syncs at n1: 3ms..77ms, 5/100 up to 2s
          slow syncs at n1: 40ms
          slow syncs at n1: 3ms..77ms
          slow syncs at n1: 3ms..77ms, 5/100 up to 1s
          slow syncs at n1: 1ms..39ms, 5/100 up to 1s
        syncs fail at n1
        disk full at n1
        corrupt n1 record 0
        ");
        // Two directions; five parts left out; four better latencies, and half of three ratios.
        assert_eq!(less(&degrade[0]).len(), 2 + 5 + 4 + 3);
        let lossy = Degradation {
            loss: Some(Ratio::ALWAYS),
            ..Degradation::default()
        };
        let half = |by: &Degradation| by.to_string();
        let better: Vec<String> = better(lossy).iter().map(half).collect();
        assert_eq!(better, ["loss 1/2"], "never to nothing");
    }

    #[test]
    fn nodes_move_up_when_one_is_left_out() {
        let pause = Fault::Pause { nodes: ids(1..4) };
        let left = without_node(&pause, NodeId::from_index(2)).unwrap();
        assert_eq!(left.nodes(), ids(1..3));
        let one = Fault::Pause { nodes: ids(2..3) };
        assert_eq!(without_node(&one, NodeId::from_index(2)), None);
        for fault in one_of_each() {
            let left = without_node(&fault, NodeId::from_index(1)).unwrap();
            assert!(
                left.nodes()
                    .iter()
                    .all(|&node| node < NodeId::from_index(3))
            );
            assert_eq!(left.nodes().len() + 1, fault.nodes().len(), "{left}");
        }
    }
}
