//! What is done to processes.

use super::*;

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

/// Whichever of them ends first: a process that ended itself over its disk and was wiped then.
#[test]
fn who_has_halted_and_is_wiped_starts_when_both_faults_are_over() {
    for wipe_ends_first in [false, true] {
        let mut world = world(vec![Step::Append(1), Step::Sync], vec![]);
        world.fail_syncs(A, true);
        run(&mut world, 10);
        assert!(world.halted(A).is_some());
        world.wipe(A);
        world.hold_down(A);
        let disk_is_well = |world: &mut World<Puppet>| {
            world.fail_syncs(A, false);
            world.restart_halted(A);
        };
        if wipe_ends_first {
            world.let_up(A);
        } else {
            disk_is_well(&mut world);
        }
        run(&mut world, 20);
        assert!(
            world.cluster().node(A).is_none(),
            "the other fault keeps it down"
        );
        if wipe_ends_first {
            disk_is_well(&mut world);
        } else {
            world.let_up(A);
        }
        run(&mut world, 30);
        assert_eq!(started_with(&world, A), Seen::Started(vec![]));
        assert_eq!((world.stats().halts, world.halted(A)), (1, None));
    }
}

#[test]
fn who_was_crashed_starts_on_a_bad_disk() {
    let mut world = world(vec![], vec![]);
    run(&mut world, 1);
    world.fail_syncs(A, true);
    world.crash(A);
    world.hold_down(A);
    world.let_up(A);
    run(&mut world, 2);
    assert!(world.cluster().node(A).is_some());
}

/// It has not been told of the first failed sync when the second fault begins.
#[test]
fn who_hears_late_of_a_failed_sync_starts_when_no_disk_fails_any_more() {
    let mut world = world(vec![Step::Append(1), Step::Sync], vec![]);
    world.fail_syncs(A, true);
    run(&mut world, 1);
    world.pause(A);
    run(&mut world, 10);
    world.fail_syncs(A, false);
    world.restart_halted(A);
    world.fail_syncs(A, true);
    world.resume(A);
    run(&mut world, 30);
    assert!(world.halted(A).is_some());
    world.fail_syncs(A, false);
    world.restart_halted(A);
    run(&mut world, 60);
    assert_eq!((world.stats().halts, world.halted(A)), (1, None));
}
