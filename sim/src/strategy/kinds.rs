//! One fault of each kind.

use super::parts::{cuts, degradation, each, latency, links, point, some, span, unsynced};
use crate::fault::{Fault, InFlight};
use crate::scenario::FaultKind;
use crate::span::Span;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use splitbrain_core::NodeId;

/// A fault of this kind in this cluster. What outlasts it (a wiped disk, a corrupt record) is done to servers only: they are
/// what a budget protects.
pub(super) fn fault(
    kind: FaultKind,
    servers: &[NodeId],
    clients: &[NodeId],
) -> BoxedStrategy<Fault> {
    let all = [servers, clients].concat();
    let nodes = some(&all);
    match kind {
        // A cluster of one server without clients has no links.
        FaultKind::Partition | FaultKind::Degrade | FaultKind::Clog | FaultKind::Swizzle
            if all.len() < 2 =>
        {
            fault(FaultKind::Pause, servers, clients)
        }
        FaultKind::Partition => partition(servers, clients),
        FaultKind::Degrade => (links(&all), degradation())
            .prop_map(|(links, by)| Fault::Degrade { links, by })
            .boxed(),
        FaultKind::Clog | FaultKind::Swizzle => {
            links(&all).prop_map(|links| Fault::Clog { links }).boxed()
        }
        FaultKind::Crash => (nodes, unsynced())
            .prop_map(|(nodes, unsynced)| Fault::Crash { nodes, unsynced })
            .boxed(),
        FaultKind::CrashAt => (nodes, point())
            .prop_map(|(nodes, point)| Fault::CrashAt { nodes, point })
            .boxed(),
        FaultKind::Wipe => some(servers)
            .prop_map(|nodes| Fault::Wipe { nodes })
            .boxed(),
        FaultKind::Pause => nodes.prop_map(|nodes| Fault::Pause { nodes }).boxed(),
        FaultKind::Slow => (nodes, span(Span::from_millis(1), Span::from_millis(50)))
            .prop_map(|(nodes, per_event)| Fault::Slow { nodes, per_event })
            .boxed(),
        FaultKind::Drift => each(&all, -200_000_i32..=500_000)
            .prop_map(|ppm| Fault::Drift { ppm })
            .boxed(),
        FaultKind::Jump => each(&all, -3_600_000_i64..=3_600_000)
            .prop_map(|by_ms| Fault::Jump { by_ms })
            .boxed(),
        FaultKind::Strobe => {
            let every = span(Span::from_millis(1), Span::from_millis(500));
            (nodes, -10_000_i64..=10_000, every)
                .prop_map(|(nodes, by_ms, every)| Fault::Strobe {
                    nodes,
                    by_ms,
                    every,
                })
                .boxed()
        }
        FaultKind::SlowSync => (nodes, latency(300))
            .prop_map(|(nodes, sync)| Fault::SlowSync { nodes, sync })
            .boxed(),
        FaultKind::FailSync => nodes.prop_map(|nodes| Fault::FailSync { nodes }).boxed(),
        FaultKind::FullDisk => nodes.prop_map(|nodes| Fault::FullDisk { nodes }).boxed(),
        FaultKind::Corrupt => each(servers, 0_u32..50)
            .prop_map(|records| Fault::Corrupt { records })
            .boxed(),
    }
}

fn partition(servers: &[NodeId], clients: &[NodeId]) -> BoxedStrategy<Fault> {
    // Of one server alone, what can be cut is the links to its clients.
    let cuts = if servers.len() < 2 {
        let nodes = [servers, clients].concat();
        let any = |links| (crate::network::Shape::IsolateOne, links);
        links(&nodes).prop_map(any).boxed()
    } else {
        cuts(servers, clients)
    };
    let in_flight = select(&[InFlight::Keep, InFlight::Cut][..]);
    let flap = span(Span::from_millis(1), Span::from_millis(500));
    (cuts, in_flight, option::weighted(0.25, flap))
        .prop_map(|((shape, cuts), in_flight, flap)| Fault::Partition {
            shape,
            in_flight,
            flap,
            cuts,
        })
        .boxed()
}
