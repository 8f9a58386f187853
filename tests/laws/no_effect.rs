//! Faults that cannot have an effect: where nothing happens, to what nobody looks at, by nothing.

use super::*;
use proptest::sample::{select, subsequence};
use splitbrain::world::{Point, TraceDetail};
use splitbrain::{Degradation, Latency, Ratio};

/// Nothing is different about two runs but the fault itself. A pause is in the digest whatever comes of it, as what is seen of
/// a node while it is paused may be something else.
pub(super) fn same(
    with: &Report,
    without: &Report,
    removed: &Injection,
) -> Result<(), TestCaseError> {
    if !matches!(removed.fault, Fault::Pause { .. }) {
        prop_assert_eq!(with.digest, without.digest);
    }
    prop_assert_eq!(&with.verdict, &without.verdict);
    prop_assert_eq!(&with.history_jsonl, &without.history_jsonl);
    prop_assert_eq!(&with.operations, &without.operations);
    Ok(())
}

fn nodes(range: std::ops::Range<usize>) -> Vec<NodeId> {
    range.map(NodeId::from_index).collect()
}

fn some(nodes: Vec<NodeId>) -> impl Strategy<Value = Vec<NodeId>> {
    let count = nodes.len();
    subsequence(nodes, 1..=count)
}

/// What is done to links on which nothing is sent.
fn links(idle: LinkSet) -> impl Strategy<Value = Fault> {
    let partition = |in_flight, flap| Fault::Partition {
        shape: Shape::Partial,
        in_flight,
        flap,
        cuts: idle.clone(),
    };
    let flap = Some(Span::from_millis(7));
    let by = Degradation {
        loss: Some(Ratio::ALWAYS),
        latency: Some(Latency::constant(Span::from_secs(1))),
        ..Degradation::default()
    };
    select(vec![
        partition(InFlight::Cut, None),
        partition(InFlight::Keep, flap),
        Fault::Degrade {
            links: idle.clone(),
            by,
        },
        Fault::Clog { links: idle },
    ])
}

/// What is done to disks that these nodes do not write to, and to clocks that they do not read.
fn processes(of: Vec<NodeId>) -> impl Strategy<Value = Fault> {
    some(of).prop_flat_map(|nodes| {
        let crash_at = |point| Fault::CrashAt {
            nodes: nodes.clone(),
            point,
        };
        let sync = Latency::constant(Span::from_secs(2));
        select(vec![
            crash_at(Point::BeforeSync),
            crash_at(Point::AfterSync),
            Fault::SlowSync {
                nodes: nodes.clone(),
                sync,
            },
            Fault::FailSync {
                nodes: nodes.clone(),
            },
            Fault::FullDisk {
                nodes: nodes.clone(),
            },
        ])
    })
}

/// What is done to any node and changes nothing for it.
fn anywhere(all: Vec<NodeId>) -> impl Strategy<Value = Fault> {
    (some(all), -9_000_i64..9_000).prop_flat_map(|(nodes, by_ms)| {
        let each = |value| nodes.iter().map(|&node| (node, value)).collect();
        let never = Point::Probe("nobody has ever come here".to_owned());
        select(vec![
            Fault::Jump { by_ms: each(by_ms) },
            Fault::Strobe {
                nodes: nodes.clone(),
                by_ms,
                every: Span::from_millis(3),
            },
            Fault::Drift {
                ppm: nodes.iter().map(|&node| (node, 0)).collect(),
            },
            Fault::Slow {
                nodes: nodes.clone(),
                per_event: Span::default(),
            },
            Fault::CrashAt {
                nodes: nodes.clone(),
                point: never,
            },
            Fault::CrashAt {
                nodes: nodes.clone(),
                point: Point::Compaction,
            },
        ])
    })
}

fn injection(fault: impl Strategy<Value = Fault>) -> impl Strategy<Value = Injection> {
    (0_u64..4_000, 1_u64..4_000, fault).prop_map(|(at, lasting, fault)| Injection {
        at: Span::from_millis(at),
        lasting: Span::from_millis(lasting),
        fault,
    })
}

/// Bully writes nothing to its disks. Clients of Raft do not either, and do not talk to each other.
fn raft() -> impl Strategy<Value = Injection> {
    let clients = RAFT.servers()..RAFT.nodes();
    let to_others = |from| clients.clone().map(move |to| (from, to));
    let pairs = clients
        .clone()
        .flat_map(to_others)
        .filter(|(from, to)| from != to);
    let ids = |(from, to)| (NodeId::from_index(from), NodeId::from_index(to));
    let idle: LinkSet = pairs.map(ids).collect();
    injection(prop_oneof![
        links(idle),
        processes(nodes(clients)),
        anywhere(nodes(0..RAFT.nodes())),
    ])
}

fn bully() -> impl Strategy<Value = Injection> {
    let all = nodes(0..BULLY.nodes());
    injection(prop_oneof![processes(all.clone()), anywhere(all)])
}

/// Runs the same seed with and without it, beside other faults.
fn check(
    case: &dyn Case,
    others: &Schedule,
    idle: &Injection,
    seed: u64,
) -> Result<(), TestCaseError> {
    let mut schedule = others.clone();
    schedule.0.push(idle.clone());
    schedule.0.sort_by_key(|injection| injection.at);
    let run = |schedule: &Schedule| {
        case.run(
            Seed(seed),
            &schedule.script(),
            Some(TraceDetail::Everything),
        )
    };
    let (with, without) = (run(&schedule), run(others));
    prop_assert_eq!(with.faults.len(), without.faults.len() + 1, "it is a fault");
    prop_assert_eq!(without_faults(&with), without_faults(&without));
    same(&with, &without, idle)
}

/// Beside faults that do not make a node write to its disk or read its clock.
fn others(case: &dyn Case) -> impl Strategy<Value = Schedule> + use<> {
    let kinds = [
        FaultKind::Partition,
        FaultKind::Degrade,
        FaultKind::Pause,
        FaultKind::Clog,
        FaultKind::Slow,
        FaultKind::Drift,
    ];
    Faults::of(case).kinds(&kinds).at_most(3).schedule()
}

proptest! {
    #![proptest_config(config(150))]

    #[test]
    fn of_raft_what_cannot_have_an_effect_has_none(others in others(&**RAFT), idle in raft(), seed in any::<u64>()) {
        check(&**RAFT, &others, &idle, seed)?;
    }

    #[test]
    fn of_bully_what_cannot_have_an_effect_has_none(others in others(&**BULLY), idle in bully(), seed in any::<u64>()) {
        check(&**BULLY, &others, &idle, seed)?;
    }
}
