//! Every fault, and what it does to a world of two nodes.

use super::*;
use crate::network::{Bursts, Capacity, Degradation, Direction};
use splitbrain_core::Ratio;

fn all_links() -> LinkSet {
    LinkSet::of(&[A, B], 2, Direction::Both)
}

/// A sends so many messages at its start, B nothing.
fn sending(count: u32) -> World<Puppet> {
    world(
        (1..=count).map(|number| Step::Send(1, number)).collect(),
        vec![],
    )
}

/// When B got which message.
fn got(world: &World<Puppet>) -> Vec<(u64, u32)> {
    let message = |(at, what): (u64, Seen)| match what {
        Seen::Message(number) => Some((at, number)),
        _ => None,
    };
    seen(world, B).into_iter().filter_map(message).collect()
}

#[test]
fn degraded_links_are_slow_while_it_lasts() {
    let spike = Degradation {
        latency: Some(Latency::constant(Span::from_millis(300))),
        ..Degradation::default()
    };
    let mut world = world(vec![Step::Send(1, 1), Step::Set(1, 50)], vec![]);
    let fault = world.degrade(&all_links(), spike);
    run(&mut world, 20);
    assert_eq!(got(&world), [], "10 ms would have been enough");
    world.end(fault);
    world.crash(A);
    world.restart(A);
    run(&mut world, 400);
    assert_eq!(got(&world), [(30, 1), (300, 1)]);
}

#[test]
fn degraded_links_lose_and_duplicate_in_one_direction_only() {
    let out = LinkSet::of(&[A], 2, Direction::Out);
    let with = |by: Degradation| {
        let mut world = world(vec![Step::Send(1, 1)], vec![Step::Send(0, 2)]);
        world.degrade(&out, by);
        run(&mut world, 50);
        (seen(&world, A).len(), seen(&world, B).len())
    };
    let lossy = Degradation {
        loss: Some(Ratio::ALWAYS),
        ..Degradation::default()
    };
    assert_eq!(with(lossy), (1, 0));
    let duplicating = Degradation {
        duplication: Some(Ratio::ALWAYS),
        ..Degradation::default()
    };
    assert_eq!(with(duplicating), (1, 2));
}

#[test]
fn losses_come_in_bursts() {
    let bursts = Bursts {
        good: Span::from_millis(200),
        bad: Span::from_millis(200),
        loss: Ratio::ALWAYS,
    };
    let by = Degradation {
        bursts: Some(bursts),
        ..Degradation::default()
    };
    let mut world = world(vec![], vec![]);
    world.degrade(&all_links(), by);
    let mut lost = Vec::new();
    for ms in 1..2000 {
        let before = world.stats().dropped_in_bursts;
        world.crash(A);
        world.processes[0].config = vec![Step::Send(1, 1)];
        world.restart(A);
        run(&mut world, ms);
        lost.push(world.stats().dropped_in_bursts > before);
    }
    let changes = lost.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!((2..40).contains(&changes), "{changes} bursts begin or end");
    assert!(lost.iter().filter(|&&lost| lost).count() > 200);
    assert_eq!(
        world.stats().dropped_by_loss,
        world.stats().dropped_in_bursts
    );
}

#[test]
fn a_narrow_link_makes_messages_wait_and_drops_what_its_queue_cannot_hold() {
    let capacity = Capacity {
        bytes_per_s: 4000, // a message of a puppet has four bytes
        queue_bytes: 12,
    };
    let by = Degradation {
        capacity: Some(capacity),
        ..Degradation::default()
    };
    let mut world = sending(5);
    world.degrade(&all_links(), by);
    run(&mut world, 100);
    assert_eq!(got(&world), [(11, 1), (12, 2), (13, 3)]);
    assert_eq!(world.stats().dropped_by_overflow, 2);
}

#[test]
fn a_clogged_link_holds_messages_and_lets_them_go() {
    let mut world = sending(2);
    world.clog(&all_links());
    world.clog(&all_links());
    run(&mut world, 100);
    assert_eq!(got(&world), []);
    world.unclog(&all_links());
    run(&mut world, 200);
    assert_eq!(got(&world), [], "it was clogged twice");
    world.unclog(&all_links());
    run(&mut world, 300);
    assert_eq!(got(&world), [(210, 1), (210, 2)]);
    assert_eq!(world.stats().clogged, 2);
}

#[test]
fn a_crash_at_a_point_happens_there_and_once() {
    let script = vec![
        Step::Append(1),
        Step::Sync,
        Step::Send(1, 1),
        Step::Send(1, 2),
    ];
    for (point, journal, messages) in [
        (Point::BeforeSync, vec![], 0),
        (Point::AfterSync, vec![1], 0),
        (Point::AfterSend, vec![1], 1),
    ] {
        let mut world = world(script.clone(), vec![]);
        let fault = world.arm(&[A], &point);
        run(&mut world, 50);
        assert!(world.cluster().node(A).is_none(), "{point:?}");
        assert_eq!(world.stats().crashes_at_a_point, 1);
        assert_eq!(got(&world).len(), messages, "{point:?}");
        world.end(fault);
        run(&mut world, 100);
        assert_eq!(started_with(&world, A), Seen::Started(journal), "{point:?}");
        assert_eq!(got(&world).len(), messages + 2, "the second life is spared");
    }
}

#[test]
fn a_crash_after_a_compaction_finds_what_was_before() {
    let script = vec![Step::Append(1), Step::Sync, Step::Set(1, 20)];
    let mut world = world(script, vec![]);
    run(&mut world, 10);
    world.processes[0].config = vec![Step::Compact(vec![9]), Step::Sync];
    world.crash(A);
    let fault = world.arm(&[A], &Point::Compaction);
    world.restart(A);
    run(&mut world, 11);
    assert!(world.cluster().node(A).is_none());
    world.end(fault);
    run(&mut world, 12);
    assert_eq!(started_with(&world, A), Seen::Started(vec![1]));
}

#[test]
fn a_crash_at_a_change_of_role_waits_for_one() {
    let mut world = world(vec![Step::Set(1, 10), Step::Set(77, 20)], vec![]);
    world.arm(&[A], &Point::RoleChange);
    run(&mut world, 19);
    assert!(world.cluster().node(A).is_some());
    run(&mut world, 21);
    assert!(
        world.cluster().node(A).is_none(),
        "timer 77 makes it a leader"
    );
}

#[test]
fn what_is_no_longer_armed_does_not_crash() {
    let mut world = world(vec![Step::Append(1), Step::Sync], vec![]);
    let fault = world.arm(&[A, NodeId::from_index(9)], &Point::AfterSync);
    world.end(fault);
    run(&mut world, 50);
    assert!(world.cluster().node(A).is_some());
    assert_eq!(world.stats().crashes, 0);
}

#[test]
fn a_wiped_node_starts_on_an_empty_disk() {
    let mut world = world(vec![Step::Append(1), Step::Sync], vec![]);
    run(&mut world, 50);
    world.wipe(A);
    world.restart(A);
    run(&mut world, 51);
    assert_eq!(started_with(&world, A), Seen::Started(vec![]));
    assert_eq!(world.durable_records(A), 0);
}

#[test]
fn a_slow_node_takes_its_time_and_keeps_the_order() {
    let mut world = sending(3);
    run(&mut world, 5);
    world.slow_down(B, Duration::from_millis(20), true);
    run(&mut world, 100);
    assert_eq!(got(&world), [(10, 1), (30, 2), (50, 3)]);
    world.slow_down(B, Duration::from_millis(20), false);
    world.crash(A);
    world.restart(A);
    run(&mut world, 200);
    assert_eq!(got(&world)[3..], [(110, 1), (110, 2), (110, 3)]);
}

#[test]
fn a_slow_node_that_is_paused_forgets_nothing() {
    let mut world = sending(3);
    world.slow_down(B, Duration::from_millis(20), true);
    run(&mut world, 40);
    world.pause(B);
    run(&mut world, 100);
    assert_eq!(got(&world), [(20, 1), (40, 2)]);
    world.resume(B);
    run(&mut world, 200);
    assert_eq!(got(&world)[2..], [(100, 3)]);
}

#[test]
fn a_timer_of_a_busy_node_can_still_be_moved() {
    // The timer runs out while the node is busy with the message that moves it.
    let mut world = world(vec![Step::Set(5, 15)], vec![Step::Send(0, MOVE_TIMER_5)]);
    run(&mut world, 5);
    world.slow_down(A, Duration::from_millis(10), true);
    world.slow_down(B, Duration::ZERO, true);
    run(&mut world, 100);
    assert_eq!(
        seen(&world, A),
        [(10, Seen::Message(MOVE_TIMER_5)), (60, Seen::Timer(5))]
    );
}

#[test]
fn timers_run_by_the_clock_of_their_node() {
    let mut world = world(vec![Step::Set(1, 100)], vec![Step::Set(1, 100)]);
    world.drift(A, 1_000_000);
    run(&mut world, 500);
    assert_eq!(seen(&world, A), [(100, Seen::Timer(1))], "as it sees it");
    assert_eq!(world.clocks(A).0, Time::from_millis(1000));
    assert_eq!(world.clocks(B).0, Time::from_millis(500));
    let mut slow = super::world(vec![Step::Set(1, 100)], vec![]);
    run(&mut slow, 50);
    slow.drift(A, -500_000);
    run(&mut slow, 149);
    assert_eq!(seen(&slow, A), [], "half of it took twice as long");
    run(&mut slow, 150);
    assert_eq!(seen(&slow, A), [(100, Seen::Timer(1))]);
}

#[test]
fn wall_clocks_jump_and_strobe_and_timers_do_not_care() {
    let mut world = world(vec![Step::Set(1, 100)], vec![]);
    world.jump(A, 5_000_000_000);
    run(&mut world, 100);
    assert_eq!(seen(&world, A), [(100, Seen::Timer(1))]);
    assert_eq!(
        world.clocks(A),
        (Time::from_millis(100), Time::from_millis(5100))
    );
    world.jump(A, -5_000_000_000);
    let fault = world.strobe(&[A], -50_000_000, Duration::from_millis(10));
    let mut shown = Vec::new();
    for ms in [100, 105, 110, 120] {
        run(&mut world, ms);
        shown.push(world.clocks(A).1.as_nanos() / 1_000_000);
    }
    assert_eq!(shown, [50, 55, 110, 70]);
    world.end(fault);
    assert_eq!(world.clocks(A).1, world.now());
}

#[test]
fn slow_disks_are_slow_on_one_node_only() {
    let script = vec![Step::Append(1), Step::Sync];
    let mut world = world(script.clone(), script);
    let fault = world.slow_syncs(&[A], &Latency::constant(Span::from_millis(200)));
    run(&mut world, 199);
    assert_eq!(seen(&world, A), []);
    assert_eq!(seen(&world, B), [(5, Seen::Synced(0))]);
    run(&mut world, 200);
    assert_eq!(seen(&world, A), [(200, Seen::Synced(0))]);
    world.end(fault);
    world.crash(A);
    world.restart(A);
    run(&mut world, 300);
    assert_eq!(seen(&world, A), [(205, Seen::Synced(0))]);
}

#[test]
fn a_failed_sync_ends_the_process_and_nothing_behind_it_leaves() {
    let script = vec![Step::Append(1), Step::Sync, Step::Send(1, 1)];
    let mut world = world(script, vec![]);
    world.fail_syncs(A, true);
    run(&mut world, 50);
    assert!(world.cluster().node(A).is_none());
    assert!(
        world
            .halted(A)
            .unwrap()
            .contains("the device reports an error")
    );
    assert_eq!(got(&world), []);
    world.fail_syncs(A, false);
    world.restart(A);
    run(&mut world, 100);
    assert_eq!(world.halted(A), None);
    assert_eq!(got(&world), [(65, 1)]);
}

#[test]
fn a_node_that_does_not_know_yet_of_a_failed_sync_syncs_in_vain() {
    // It is busy when the sync of its start fails, and syncs for an operation before it is told.
    let script = vec![Step::Append(1), Step::Sync, Step::Send(1, 1)];
    let mut world = world(script, vec![]);
    world.slow_down(A, Duration::from_millis(20), true);
    run(&mut world, 1);
    world.invoke(ProcessId(0), A, vec![8]);
    run(&mut world, 3);
    world.fail_syncs(A, true);
    run(&mut world, 6);
    world.fail_syncs(A, false);
    run(&mut world, 100);
    assert!(world.halted(A).is_some());
    assert_eq!((world.stats().syncs, world.stats().ops_ok), (0, 0));
    assert_eq!(got(&world), []);
}

#[test]
fn a_full_disk_keeps_what_it_has() {
    let mut world = world(vec![Step::Append(1), Step::Sync], vec![]);
    run(&mut world, 10);
    world.fill_disk(A, true);
    world.crash(A);
    world.restart(A);
    run(&mut world, 20);
    assert!(world.halted(A).unwrap().contains("full"));
    world.processes[0].config = vec![];
    world.restart(A);
    run(&mut world, 30);
    assert_eq!(started_with(&world, A), Seen::Started(vec![1]));
    assert_eq!(world.stats().syncs_failed, 1);
}

#[test]
fn a_corrupt_record_is_found_at_the_next_start() {
    let script = vec![Step::Append(1), Step::Append(2), Step::Sync];
    let mut world = world(script, vec![]);
    run(&mut world, 10);
    assert!(world.corrupt(A, 0) && !world.corrupt(A, 0) && !world.corrupt(A, 2));
    assert_eq!(world.stats().records_damaged, 0);
    world.crash(A);
    world.restart(A);
    run(&mut world, 11);
    assert_eq!(started_with(&world, A), Seen::Started(vec![2]));
    assert_eq!(world.stats().records_damaged, 1);
}

#[test]
fn a_crash_may_keep_or_tear_what_was_not_synced() {
    for (unsynced, journal, damaged) in [
        (Unsynced::Lost, vec![], 0),
        (Unsynced::Kept(1), vec![1], 0),
        (Unsynced::Torn(1), vec![1], 1),
    ] {
        let mut world = world(vec![Step::Append(1), Step::Append(2)], vec![]);
        run(&mut world, 10);
        world.crash_keeping(A, unsynced);
        world.processes[0].config = vec![];
        world.restart(A);
        run(&mut world, 11);
        assert_eq!(started_with(&world, A), Seen::Started(journal));
        assert_eq!(world.stats().records_damaged, damaged);
    }
}

/// Found by a law in tests/laws.rs: what waits for a resume was put behind everything else that waits.
#[test]
fn a_timer_that_has_run_out_keeps_its_place_when_the_clock_drifts() {
    let backlog = |ppm: i32| {
        let mut world = world(vec![Step::Set(1, 5)], vec![Step::Send(0, 7)]);
        run(&mut world, 1);
        world.pause(A);
        run(&mut world, 20);
        world.drift(A, ppm);
        run(&mut world, 30);
        world.resume(A);
        run(&mut world, 40);
        seen(&world, A)
    };
    let order = |ppm| {
        let seen = backlog(ppm).into_iter();
        seen.map(|(_, what)| what).collect::<Vec<_>>()
    };
    assert_eq!(order(0), [Seen::Timer(1), Seen::Message(7)]);
    assert_eq!(order(100_000), order(0));
}

/// Found by a law in tests/laws.rs: Raft on a slow process came back with a hole in its log. What is written before the process
/// is told of a failed sync fails as well.
#[test]
fn a_process_that_is_not_told_of_a_failed_sync_writes_no_hole() {
    let mut world = world(vec![Step::Append(1), Step::Sync], vec![]);
    world.slow_down(A, Duration::from_millis(10), true);
    world.fail_syncs(A, true);
    run(&mut world, 2);
    world.invoke(ProcessId(0), A, vec![9]);
    run(&mut world, 6);
    world.fail_syncs(A, false);
    // The operation is next: its sync, of 5 ms, is over before the process hears of the first one.
    run(&mut world, 19);
    assert!(world.take_ended().next().is_none() && world.halted(A).is_none());
    run(&mut world, 40);
    assert!(world.halted(A).is_some());
    world.slow_down(A, Duration::from_millis(10), false);
    world.restart(A);
    run(&mut world, 50);
    let Seen::Started(journal) = started_with(&world, A) else {
        panic!("it starts");
    };
    assert!([1, 9].starts_with(&journal), "{journal:?}");
    let unanswered = |ended: &Ended<u32>| ended.outcome == Outcome::Info;
    assert!(world.take_ended().all(|ended| unanswered(&ended)));
}

/// Found by the same law: nobody started it after everything was healed.
#[test]
fn a_process_that_hears_of_a_failed_sync_when_all_is_well_again_is_started() {
    let mut world = world(vec![Step::Append(1), Step::Sync], vec![]);
    world.fail_syncs(A, true);
    run(&mut world, 1);
    world.pause(A);
    run(&mut world, 10);
    world.fail_syncs(A, false);
    world.restart_halted(A);
    world.resume(A);
    run(&mut world, 30);
    assert_eq!((world.stats().halts, world.halted(A)), (1, None));
    assert_eq!(world.cluster().status(A), Status::Up);
}

#[test]
fn of_faults_that_overlap_each_ends_on_its_own() {
    // After the end of all faults, everything is as it was in a fresh world, whichever ended first.
    for order in [[0, 1], [1, 0]] {
        let mut world = world(vec![], vec![]);
        run(&mut world, 10);
        let slow = |ms| Latency::constant(Span::from_millis(ms));
        let disks = [
            world.slow_syncs(&[A], &slow(400)),
            world.slow_syncs(&[A], &slow(50)),
        ];
        let swing = Duration::from_millis(10);
        let strobes = [
            world.strobe(&[A], 7_000_000, swing),
            world.strobe(&[A], 9_000_000, swing),
        ];
        world.drift(A, -600_000);
        world.drift(A, -700_000);
        let before = world.clocks(A).0;
        run(&mut world, 1010);
        let passed = world.clocks(A).0.since(before);
        assert!(
            passed >= Duration::from_millis(100),
            "a clock goes on: {passed:?}"
        );
        world.end(disks[order[0]]);
        world.end(strobes[order[0]]);
        world.drift(A, [600_000, 700_000][order[0]]);
        let shown = world.processes[0].sync_delays.last().unwrap().1.draw(0);
        assert_eq!(
            shown,
            [50_000_000, 400_000_000][order[0]],
            "the other one lasts"
        );
        world.end(disks[order[1]]);
        world.end(strobes[order[1]]);
        world.drift(A, [600_000, 700_000][order[1]]);
        let (monotonic, wall) = world.clocks(A);
        run(&mut world, 2010);
        assert_eq!(world.clocks(A).0.since(monotonic), Duration::from_secs(1));
        assert_eq!(wall, monotonic);
        assert!(world.processes[0].sync_delays.is_empty());
    }
}

#[test]
fn a_timer_is_never_early_by_the_clock_of_its_node() {
    for ppm in [-899_999, -300_000, -7, 3, 200_001, 8_999_999] {
        let mut world = world(vec![], vec![]);
        run(&mut world, 1);
        world.drift(A, ppm);
        for ns in [1, 999, 50_000_000, 1_000_000_007] {
            let asked = Duration::from_nanos(ns);
            let clock = &world.processes[0].clock;
            let due = world.now() + clock.true_time(asked);
            let shown = clock.monotonic(due).since(clock.monotonic(world.now()));
            assert!(shown >= asked, "{ppm} ppm: {shown:?} of {asked:?}");
        }
    }
}

#[test]
fn what_a_clogged_link_holds_is_cut_in_flight() {
    let mut world = sending(2);
    world.clog(&all_links());
    run(&mut world, 5);
    world.cut(&all_links(), true);
    run(&mut world, 6);
    world.unclog(&all_links());
    world.mend(&all_links());
    run(&mut world, 100);
    assert_eq!(got(&world), []);
    assert_eq!(world.stats().dropped_by_partition, 2);
}

#[test]
fn just_before_a_sync_is_just_before_it_on_a_slow_node_too() {
    let mut world = world(vec![Step::Append(1), Step::Sync], vec![]);
    world.slow_down(A, Duration::from_millis(20), true);
    world.arm(&[A], &Point::BeforeSync);
    run(&mut world, 50);
    assert_eq!(
        (world.stats().crashes_at_a_point, world.stats().records_lost),
        (1, 1)
    );
    assert_eq!(world.durable_records(A), 0);
}

#[test]
fn who_is_held_down_by_two_faults_starts_when_both_are_over() {
    let mut world = world(vec![], vec![]);
    run(&mut world, 1);
    world.crash(A);
    world.hold_down(A);
    world.wipe(A);
    world.hold_down(A);
    world.let_up(A);
    run(&mut world, 2);
    assert!(world.cluster().node(A).is_none());
    world.let_up(A);
    run(&mut world, 3);
    assert!(world.cluster().node(A).is_some());
}
