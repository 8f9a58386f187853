//! The kernel's laws, each on a world of two or three nodes.

mod faults;

use super::*;
use crate::{InFlight, LinkSet, Span};
use splitbrain_core::{Context, Journal, Ratio, SyncId};
use std::time::Duration;

/// A node that does what its configuration and its messages say, and remembers what happened to it.
#[derive(Clone, Debug)]
struct Puppet {
    /// What happened, with the time in milliseconds.
    seen: Vec<(u64, Seen)>,
    is_leader: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Started(Vec<u32>),
    Message(u32),
    Timer(u8),
    Synced(u64),
}

/// What a puppet does at its start.
#[derive(Clone, Debug)]
enum Step {
    Send(usize, u32),
    Eager(usize, u32),
    Append(u32),
    Compact(Vec<u32>),
    Sync,
    Set(u8, u64),
    Cancel(u8),
}

type Script = Vec<Step>;

impl Puppet {
    fn play(script: &Script, cx: &mut Context<'_, Self>) {
        for step in script.clone() {
            match step {
                Step::Send(to, message) => cx.send(NodeId::from_index(to), message),
                Step::Eager(to, message) => cx.send_eager(NodeId::from_index(to), message),
                Step::Append(record) => cx.append(record),
                Step::Compact(records) => cx.compact(records),
                Step::Sync => {
                    cx.sync();
                }
                Step::Set(timer, ms) => cx.set_timer(timer, Duration::from_millis(ms)),
                Step::Cancel(timer) => cx.cancel_timer(timer),
            }
        }
    }

    fn saw(&mut self, what: Seen, cx: &Context<'_, Self>) {
        self.seen.push((cx.now().as_nanos() / 1_000_000, what));
    }
}

const PANIC: u32 = 666;
const ECHO_FOR_EVER: u32 = 777;
const MOVE_TIMER_5: u32 = 555;

impl Node for Puppet {
    type Message = u32;
    type Timer = u8;
    type Record = u32;
    type Op = Vec<u32>;
    type Ret = u32;
    type Config = Script;

    fn start(config: &Script, journal: Journal<u32>, cx: &mut Context<'_, Self>) -> Self {
        let mut puppet = Puppet {
            seen: Vec::new(),
            is_leader: false,
        };
        puppet.saw(Seen::Started(journal.into_iter().flatten().collect()), cx);
        Puppet::play(config, cx);
        puppet
    }
    fn on_message(&mut self, from: NodeId, message: u32, cx: &mut Context<'_, Self>) {
        assert!(message != PANIC, "told to panic by {from}");
        self.saw(Seen::Message(message), cx);
        if message == MOVE_TIMER_5 {
            cx.set_timer(5, Duration::from_millis(50));
        }
        if message == ECHO_FOR_EVER {
            cx.send(from, message);
        }
    }
    fn on_timer(&mut self, timer: u8, cx: &mut Context<'_, Self>) {
        self.saw(Seen::Timer(timer), cx);
        self.is_leader = timer == 77;
        if timer == 99 {
            cx.set_timer(99, Duration::ZERO);
        }
    }
    /// Appends the operation to the journal and answers behind a sync; an empty one is never answered.
    fn on_invoke(&mut self, id: OpId, op: Vec<u32>, cx: &mut Context<'_, Self>) {
        let Some(&first) = op.first() else { return };
        cx.append(first);
        cx.sync();
        cx.complete(id, Outcome::Ok(first));
    }
    fn on_synced(&mut self, sync: SyncId, cx: &mut Context<'_, Self>) {
        self.saw(Seen::Synced(sync.0), cx);
    }
    fn role(&self) -> &'static str {
        if self.is_leader { "leader" } else { "follower" }
    }
}

const A: NodeId = NodeId::from_index(0);
const B: NodeId = NodeId::from_index(1);

/// Messages take 10 ms, syncs 5.
fn config() -> WorldConfig {
    let ms = |ms| Latency::constant(Span::from_millis(ms));
    let links = LinkProfile {
        latency: ms(10),
        ..LinkProfile::default()
    };
    WorldConfig {
        links,
        sync_latency: ms(5),
        events_per_instant_max: 1000,
        ..WorldConfig::default()
    }
}

fn world(a: Script, b: Script) -> World<Puppet> {
    World::new(Seed(1), &config(), [a, b])
}

fn run(world: &mut World<Puppet>, ms: u64) -> Stop {
    loop {
        match world.run_until(Time::from_millis(ms), &mut ()) {
            Stop::Ended => world.take_ended().for_each(drop),
            stop => return stop,
        }
    }
}

/// What a node that is up has seen since its last start, the start itself left out.
fn seen(world: &World<Puppet>, node: NodeId) -> Vec<(u64, Seen)> {
    world.cluster().node(node).unwrap().seen[1..].to_vec()
}

fn started_with(world: &World<Puppet>, node: NodeId) -> Seen {
    world.cluster().node(node).unwrap().seen[0].1.clone()
}

#[test]
fn output_is_in_order_behind_a_sync_across_steps_and_eager_output_is_not() {
    use Seen::*;
    let script = vec![
        Step::Send(1, 1),
        Step::Append(7),
        Step::Sync,
        Step::Send(1, 2),
        Step::Eager(1, 3),
        Step::Set(0, 2),
    ];
    let mut world = world(script, vec![]);
    // A later step sends, too, while the sync is pending: it must wait behind it.
    run(&mut world, 3);
    world.invoke(ProcessId(0), A, vec![8]);
    run(&mut world, 100);
    assert_eq!(
        seen(&world, B),
        [(10, Message(1)), (10, Message(3)), (15, Message(2))]
    );
    assert_eq!(
        seen(&world, A),
        [(2, Timer(0)), (5, Synced(0)), (8, Synced(1))]
    );
    assert_eq!(world.stats().ops_ok, 1);
    assert_eq!(
        world.history().events().last().unwrap().time_ns,
        8_000_000,
        "the answer waited for the sync at 3 ms"
    );
}

#[test]
fn a_crash_loses_exactly_what_is_not_synced_and_nothing_old_reaches_the_new_incarnation() {
    let script = vec![
        Step::Append(1),
        Step::Sync,
        Step::Append(2),
        Step::Set(4, 20),
    ];
    let mut world = world(script, vec![Step::Send(0, 5)]);
    run(&mut world, 7);
    world.crash(A);
    assert!(world.cluster().node(A).is_none());
    run(&mut world, 8);
    world.restart(A);
    run(&mut world, 12);
    assert_eq!(started_with(&world, A), Seen::Started(vec![1]));
    assert_eq!(
        seen(&world, A),
        [],
        "neither the message that was sent to it before, nor its old timer"
    );
    assert_eq!(world.stats().dropped_at_dead_node, 1);
    run(&mut world, 100);
    assert_eq!(
        seen(&world, A),
        [(13, Seen::Synced(0)), (28, Seen::Timer(4))],
        "only the new timer and sync"
    );
}

#[test]
fn a_message_sent_while_the_receiver_is_down_arrives_if_it_is_up_in_time() {
    let mut world = world(vec![], vec![Step::Set(0, 0), Step::Send(0, 5)]);
    world.crash(B); // before it starts: nothing happens
    run(&mut world, 1);
    world.crash(A);
    world.crash(B);
    world.restart(B);
    run(&mut world, 2);
    world.restart(A);
    run(&mut world, 20);
    assert_eq!(seen(&world, A), [(11, Seen::Message(5))]);
}

#[test]
fn a_compaction_replaces_the_journal_once_it_is_synced() {
    let script = vec![
        Step::Append(1),
        Step::Sync,
        Step::Compact(vec![7, 8]),
        Step::Append(9),
        Step::Sync,
    ];
    for (crash_at, journal) in [(4, vec![]), (5, vec![7, 8, 9])] {
        let mut world = world(script.clone(), vec![]);
        run(&mut world, crash_at);
        world.crash(A);
        world.restart(A);
        run(&mut world, crash_at);
        assert_eq!(started_with(&world, A), Seen::Started(journal));
    }
}

#[test]
fn a_timer_has_one_slot() {
    let script = vec![
        Step::Set(1, 10),
        Step::Set(1, 30),
        Step::Set(2, 30),
        Step::Set(2, 10),
        Step::Set(3, 10),
        Step::Cancel(3),
        Step::Set(3, 40),
        Step::Set(4, 5),
        Step::Cancel(4),
    ];
    let mut world = world(script, vec![]);
    run(&mut world, 100);
    assert_eq!(
        seen(&world, A),
        [
            (10, Seen::Timer(2)),
            (30, Seen::Timer(1)),
            (40, Seen::Timer(3))
        ]
    );
}

#[test]
fn a_paused_process_goes_on_with_what_has_arrived_meanwhile() {
    use Seen::*;
    let script = vec![
        Step::Append(1),
        Step::Sync,
        Step::Send(1, 1),
        Step::Set(1, 12),
        Step::Set(2, 200),
    ];
    let mut world = world(script, vec![Step::Send(0, 9)]);
    run(&mut world, 1);
    world.pause(A);
    run(&mut world, 100);
    assert_eq!(seen(&world, A), []);
    assert_eq!(
        seen(&world, B),
        [],
        "what waits behind the sync waits for the process, too"
    );
    let crashed_now = {
        let mut fork = world.clone();
        fork.crash(A);
        fork.restart(A);
        run(&mut fork, 101);
        started_with(&fork, A)
    };
    assert_eq!(crashed_now, Started(vec![1]), "but the disk has gone on");
    world.resume(A);
    run(&mut world, 300);
    let all = [
        (100, Synced(0)),
        (100, Message(9)),
        (100, Timer(1)),
        (200, Timer(2)),
    ];
    assert_eq!(seen(&world, A), all);
    assert_eq!(seen(&world, B), [(110, Message(1))]);
}

#[test]
fn an_observer_sees_crashes_and_pauses_too() {
    #[derive(Default)]
    struct Statuses(Vec<(NodeId, Status)>);
    impl Observer<Puppet> for Statuses {
        fn observe(
            &mut self,
            cluster: Cluster<'_, Puppet>,
            touched: NodeId,
        ) -> Result<(), Violation> {
            self.0.push((touched, cluster.status(touched)));
            Ok(())
        }
    }
    let mut world = world(vec![], vec![]);
    let mut seen = Statuses::default();
    for (ms, fault) in [
        (1, World::pause as fn(&mut World<Puppet>, NodeId)),
        (2, World::resume),
        (3, World::crash),
    ] {
        world.run_until(Time::from_millis(ms), &mut seen);
        fault(&mut world, B);
    }
    world.run_until(Time::from_millis(4), &mut seen);
    let expected = [
        (A, Status::Up),
        (B, Status::Up),
        (B, Status::Paused),
        (B, Status::Up),
        (B, Status::Down),
    ];
    assert_eq!(seen.0, expected);
}

#[test]
fn cut_links_drop_and_messages_in_flight_are_kept_or_cut() {
    for (in_flight, expected) in [
        (InFlight::Keep, vec![(10, Seen::Message(1))]),
        (InFlight::Cut, vec![]),
    ] {
        let mut world = world(vec![Step::Send(1, 1)], vec![]);
        run(&mut world, 5);
        let json = r#"{"n1": ["n2"]}"#;
        let cuts: LinkSet = serde_json::from_str(json).unwrap();
        world.cut(&cuts, in_flight == InFlight::Cut);
        world.cut(&cuts, false);
        world.mend(&cuts);
        world.crash(A);
        world.restart(A);
        run(&mut world, 20);
        assert_eq!(
            seen(&world, B),
            expected,
            "and what A sends at its second start is dropped"
        );
        assert!(
            !world.cluster().links().connected(A, B) && world.cluster().links().connected(B, A)
        );
        world.mend(&cuts);
        world.crash(A);
        world.restart(A);
        run(&mut world, 40);
        assert_eq!(seen(&world, B).len(), expected.len() + 1);
    }
}

#[test]
fn messages_to_nobody_are_dropped_and_counted() {
    let mut world = world(vec![Step::Send(7, 1), Step::Send(1, 2)], vec![]);
    run(&mut world, 5);
    world.crash(B);
    run(&mut world, 50);
    assert_eq!(world.stats().dropped_unknown_node, 1);
    assert_eq!(world.stats().dropped_at_dead_node, 1);
}

#[test]
fn a_panic_is_a_finding_with_the_node_and_the_message() {
    let mut world = world(vec![Step::Send(1, PANIC)], vec![]);
    let Stop::Panic { node, message } = run(&mut world, 50) else {
        panic!("expected a panic")
    };
    assert_eq!(node, B);
    assert!(message.starts_with("told to panic by n1 (at "), "{message}");
    assert_eq!(world.cluster().status(B), Status::Down);
    assert_eq!(
        run(&mut world, 100),
        Stop::Time,
        "the world is whole and can go on"
    );
}

#[test]
fn loops_without_time_are_livelocks() {
    let mut spinning = world(vec![Step::Set(99, 10)], vec![]);
    let Stop::Livelock { node, events } = run(&mut spinning, 50) else {
        panic!("expected a livelock")
    };
    assert_eq!(
        (node, events, spinning.now()),
        (A, 1001, Time::from_millis(10))
    );
    let mut fast = config();
    fast.links.latency = Latency::constant(Span::default());
    let mut echoing =
        World::<Puppet>::new(Seed(1), &fast, [vec![Step::Send(1, ECHO_FOR_EVER)], vec![]]);
    assert!(matches!(run(&mut echoing, 50), Stop::Livelock { .. }));
}

#[test]
fn a_run_that_does_too_much_is_given_up() {
    let mut few = config();
    few.links.latency = Latency::constant(Span::from_millis(1));
    few.events_max = 500;
    let echo = vec![Step::Send(1, ECHO_FOR_EVER)];
    let mut echoing = World::<Puppet>::new(Seed(1), &few, [echo, vec![]]);
    assert!(matches!(
        run(&mut echoing, 1_000),
        Stop::Exhausted { events: 500, .. }
    ));
    let mut narrow = config();
    narrow.waiting_max = 50;
    let flood = (0..100).map(|number| Step::Send(1, number)).collect();
    let mut flooding = World::<Puppet>::new(Seed(1), &narrow, [flood, vec![]]);
    let stop = run(&mut flooding, 1_000);
    assert!(
        matches!(stop, Stop::Exhausted { waiting: 100.., .. }),
        "{stop:?}"
    );
}

#[test]
fn operations_of_a_crashed_node_end_as_info_and_those_of_a_dead_one_fail() {
    let mut world = world(vec![], vec![]);
    run(&mut world, 1);
    world.invoke(ProcessId(0), A, vec![]);
    run(&mut world, 2);
    world.crash(A);
    world.invoke(ProcessId(1), A, vec![1]);
    let ended: Vec<_> = world
        .take_ended()
        .map(|ended| (ended.process.0, ended.outcome))
        .collect();
    assert_eq!(
        ended,
        [(0, Outcome::Info), (1, Outcome::Fail("the node is down"))]
    );
}

#[test]
fn the_digest_is_of_what_happened_and_neither_tracing_nor_forking_changes_it() {
    let noisy = {
        let mut config = config();
        config.links = LinkProfile {
            latency: Latency::uniform(Span::from_millis(1), Span::from_millis(10)),
            loss: Ratio::new(1, 50).unwrap(),
            duplication: Ratio::new(1, 50).unwrap(),
            ..LinkProfile::default()
        };
        config
    };
    let script = vec![Step::Send(1, ECHO_FOR_EVER), Step::Send(1, ECHO_FOR_EVER)];
    let new = |seed| World::<Puppet>::new(Seed(seed), &noisy, [script.clone(), script.clone()]);
    let digest = |mut world: World<Puppet>| {
        run(&mut world, 10_000);
        (world.digest(), world.stats().events)
    };
    let plain = digest(new(1));
    assert_eq!(plain, digest(new(1)));
    assert_ne!(plain.0, digest(new(2)).0);
    let mut traced = new(1);
    traced.trace(TraceDetail::Everything);
    run(&mut traced, 77);
    assert_eq!(plain, digest(traced.clone()), "from a fork");
    assert_eq!(plain, digest(traced));
}

#[test]
fn what_waits_at_a_paused_process_has_arrived_and_cannot_be_cut() {
    let mut world = world(vec![Step::Send(1, 1)], vec![]);
    run(&mut world, 1);
    world.pause(B);
    run(&mut world, 20);
    let cuts: LinkSet = serde_json::from_str(r#"{"n1": ["n2"]}"#).unwrap();
    world.cut(&cuts, true);
    world.resume(B);
    run(&mut world, 30);
    assert_eq!(seen(&world, B), [(20, Seen::Message(1))]);
}

#[test]
fn a_link_may_differ_from_the_others_in_one_direction() {
    let mut world = world(vec![Step::Send(1, 1)], vec![Step::Send(0, 2)]);
    let slow = LinkProfile {
        latency: Latency::constant(Span::from_millis(70)),
        ..LinkProfile::default()
    };
    world.set_link(A, B, &slow);
    world.set_link(A, NodeId::from_index(9), &slow);
    run(&mut world, 100);
    assert_eq!(seen(&world, A), [(10, Seen::Message(2))]);
    assert_eq!(seen(&world, B), [(70, Seen::Message(1))]);
}
