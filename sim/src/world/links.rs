//! What can be done to links: cut, make worse, clog.

use super::probes::own;
use super::{Event, FaultId, Slot, What, World};
use crate::network::{Degradation, LinkProfile, LinkSet};
use splitbrain_core::{Node, NodeId};
use std::collections::BTreeSet;

impl<N: Node> World<N> {
    /// Cuts links, once more where they are cut already. What is sent on them is dropped from now on; what is in
    /// flight arrives, unless `cut_in_flight`.
    pub fn cut(&mut self, cuts: &LinkSet, cut_in_flight: bool) {
        self.stats.partitions += u64::from(!cuts.is_empty());
        for (from, to) in self.existing(cuts) {
            self.links.cut(from, to);
        }
        if cut_in_flight {
            self.cut_in_flight(cuts);
        }
    }

    /// What waits at a paused process has arrived, and is not in flight.
    fn cut_in_flight(&mut self, cuts: &LinkSet) {
        let arrived: BTreeSet<Slot> = self
            .processes
            .iter()
            .flat_map(|process| &process.backlog)
            .map(|&(_, slot)| slot)
            .collect();
        let mut dropped = Vec::new();
        for (slot, event) in self.queue.iter_mut() {
            if let Event::Deliver { from, to, .. } = *event
                && cuts.contains(from, to)
                && !arrived.contains(&slot)
            {
                *event = Event::Cut;
                dropped.push((from, to));
            }
        }
        // What a clogged link holds is in flight, too.
        let held = self.clogged.extract_if(.., |sent| {
            let (from, to) = sent.link();
            cuts.contains(from, to)
        });
        dropped.extend(held.map(|sent| sent.link()));
        for (from, to) in dropped {
            self.stats.dropped_by_partition += 1;
            self.reach_own(to, own!("a message was cut in flight"));
            self.trace_detail(|| What::Drop {
                from,
                to,
                why: "cut in flight",
            });
        }
    }

    /// Undoes one [`cut`](World::cut) of these links.
    pub fn mend(&mut self, cuts: &LinkSet) {
        for (from, to) in self.existing(cuts) {
            self.links.mend(from, to);
        }
    }

    /// Gives every link this profile from now on.
    pub fn set_links(&mut self, profile: &LinkProfile) {
        self.network.set_all(profile);
    }

    /// Gives one link this profile from now on. Nothing happens if one of the nodes does not exist.
    pub fn set_link(&mut self, from: NodeId, to: NodeId, profile: &LinkProfile) {
        if from.index().max(to.index()) < self.nodes.len() {
            self.network.set(from, to, profile);
        }
    }

    /// Makes these links worse until the fault [ends](World::end).
    pub fn degrade(&mut self, links: &LinkSet, by: Degradation) -> FaultId {
        let fault = self.new_fault();
        self.network.degrade(fault.0, links, by);
        fault
    }

    /// Makes these links hold what is sent on them from now on, once more where they do already.
    pub fn clog(&mut self, links: &LinkSet) {
        for (from, to) in self.existing(links) {
            self.network.clog(from, to, true);
        }
    }

    /// Undoes one [`clog`](World::clog) of these links. What a link has held travels from now on, in the order in which it
    /// was sent, as far as latency leaves it in order.
    pub fn unclog(&mut self, links: &LinkSet) {
        let mut free = BTreeSet::new();
        for (from, to) in self.existing(links) {
            if self.network.clog(from, to, false) {
                free.insert((from, to));
            }
        }
        let mut held = std::mem::take(&mut self.clogged);
        for message in held.extract_if(.., |message| free.contains(&message.link())) {
            self.let_go(message);
        }
        self.clogged = held;
    }

    fn existing(&self, links: &LinkSet) -> Vec<(NodeId, NodeId)> {
        let nodes = self.nodes.len();
        let exists = |link: &(NodeId, NodeId)| link.0.index().max(link.1.index()) < nodes;
        links.iter().filter(exists).collect()
    }
}
