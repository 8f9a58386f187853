//! What is done to clocks and disks.

use super::*;

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
    let script = vec![Step::Append(1), Step::Sync, Step::Send(1, 1)];
    let mut world = world(script, vec![]);
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
    assert_eq!(world.stats().syncs, 0);
    assert_eq!(got(&world), [], "what was behind the sync has not left");
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
