//! Every fault, and what it does to a world of two nodes.

mod clocks_and_disks;
mod links;
mod processes;

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
