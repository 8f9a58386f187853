//! What is done to links.

use super::*;

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
