//! The network: a table of links, and the fate of each message.
//!
//! The fate of a message is not drawn from a stream. It is a keyed hash of (seed, from, to, sent at, how many before
//! it on that link at that instant), so one message more or less changes the fate of no other message (law 2).

mod latency;
mod links;
mod partition;
mod special;

pub(crate) use latency::derive;
pub use latency::{Delays, Latency};
pub use links::{Direction, LinkSet};
pub use partition::{Shape, Topology};
use special::Special;
pub use special::{Bursts, Capacity};

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use splitbrain_core::{NodeId, Purpose, Ratio, Seed, Time};
use std::fmt;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How one link treats its messages. Reordering follows from latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkProfile {
    /// How long a message travels.
    #[serde(default = "default_latency")]
    pub latency: Latency,
    /// How often a message is lost.
    #[serde(default)]
    pub loss: Ratio,
    /// How often a message arrives twice; the copy has a delay of its own.
    #[serde(default)]
    pub duplication: Ratio,
    /// Times at which more is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bursts: Option<Bursts>,
    /// How much fits through it; without this, everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
}

fn default_latency() -> Latency {
    Latency::uniform(crate::Span::from_millis(1), crate::Span::from_millis(10))
}

/// A local network on a good day: 1 to 10 ms, nothing lost or duplicated.
impl Default for LinkProfile {
    fn default() -> LinkProfile {
        LinkProfile {
            latency: default_latency(),
            loss: Ratio::NEVER,
            duplication: Ratio::NEVER,
            bursts: None,
            capacity: None,
        }
    }
}

impl LinkProfile {
    /// The same link without what makes it bad: no loss, no duplication, no long tail.
    #[must_use]
    pub fn plain(self) -> LinkProfile {
        LinkProfile {
            latency: self.latency.without_tail(),
            ..LinkProfile::default()
        }
    }

    /// The same link with what is different about it now.
    #[must_use]
    pub fn degraded(self, by: &Degradation) -> LinkProfile {
        LinkProfile {
            latency: by.latency.unwrap_or(self.latency),
            loss: by.loss.unwrap_or(self.loss),
            duplication: by.duplication.unwrap_or(self.duplication),
            bursts: by.bursts.or(self.bursts),
            capacity: by.capacity.or(self.capacity),
        }
    }
}

/// What is worse about a link than usual. What is not said is as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Degradation {
    /// How long a message travels now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// How often a message is lost now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Ratio>,
    /// How often a message arrives twice now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplication: Option<Ratio>,
    /// Times at which more is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bursts: Option<Bursts>,
    /// How much fits through now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
}

impl Degradation {
    /// Says what is wrong with it, if anything is.
    ///
    /// # Errors
    /// Nothing that is worse, or a contradiction within one of its parts.
    pub fn validate(&self) -> Result<(), String> {
        if *self == Degradation::default() {
            return Err(
                "expected at least one of latency, loss, duplication, bursts, capacity".to_owned(),
            );
        }
        self.validate_parts()
    }

    /// Says what is wrong with one of its parts, if anything is; there may be none.
    ///
    /// # Errors
    /// A contradiction within one of them.
    pub fn validate_parts(&self) -> Result<(), String> {
        self.latency.map_or(Ok(()), |latency| latency.validate())?;
        self.bursts.map_or(Ok(()), Bursts::validate)?;
        self.capacity.map_or(Ok(()), Capacity::validate)
    }
}

/// `latency 1ms..5ms, loss 1/10`.
impl fmt::Display for Degradation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.latency.map(|latency| format!("latency {latency}")),
            self.loss.map(|loss| format!("loss {loss}")),
            self.duplication.map(|ratio| format!("duplication {ratio}")),
            self.bursts.map(|bursts| {
                format!(
                    "loss {} for {} every {}",
                    bursts.loss, bursts.bad, bursts.good
                )
            }),
            self.capacity.map(|capacity| {
                format!(
                    "{} bytes/s, queue {} bytes",
                    capacity.bytes_per_s, capacity.queue_bytes
                )
            }),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(&parts.join(", "))
    }
}

/// There is one for each pair of nodes, so it is small: 16 bytes, that is 64 MB for 2,000 nodes.
#[derive(Clone, Copy, Debug)]
struct Link {
    /// The instant of the last message, and how many were sent at it: the address of the next one's fate.
    last_sent_at: Time,
    sent_then: u32,
    /// What it is like now: a place in [`Profiles`].
    profile: u32,
}

/// What the fate of a message depends on.
#[derive(Clone, Copy, Debug)]
struct Treatment {
    delays: Delays,
    loss: Ratio,
    duplication: Ratio,
}

/// What links are like and have been like, each once: nearly all of them are alike.
#[derive(Clone, Debug, Default)]
struct Profiles {
    all: Vec<(LinkProfile, Treatment)>,
    places: FxHashMap<LinkProfile, u32>,
}

impl Profiles {
    fn place(&mut self, profile: &LinkProfile) -> u32 {
        if let Some(place) = self.places.get(profile) {
            return *place;
        }
        let place = self.all.len() as u32;
        let treatment = Treatment {
            delays: Delays::new(&profile.latency),
            loss: profile.loss,
            duplication: profile.duplication,
        };
        self.all.push((*profile, treatment));
        self.places.insert(*profile, place);
        place
    }

    fn get(&self, place: u32) -> &LinkProfile {
        &self.all[place as usize].0
    }
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Lost,
    /// Delays in nanoseconds.
    Delivered {
        delay_ns: u64,
        copy_delay_ns: Option<u64>,
    },
}

/// What a special link does to a message that a plain one would deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    /// It travels later by so much.
    Through {
        wait_ns: u64,
    },
    /// It is held until the link is free, and then travels later by so much.
    Clogged {
        wait_ns: u64,
    },
    LostInBurst,
    Overflow,
}

/// The links between all pairs of nodes, each direction on its own.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    nodes: usize,
    key: u64,
    /// Row by sender, column by receiver.
    links: Vec<Link>,
    /// By link likewise: what it is like when nothing is wrong, a place in `profiles`.
    base: Vec<u32>,
    profiles: Profiles,
    /// By link likewise; empty as long as no link is special.
    special: Vec<Special>,
    /// What is worse now, by the fault that makes it so, in the order in which they began.
    degraded: Vec<(u32, LinkSet, Degradation)>,
}

impl Network {
    pub(crate) fn new(seed: Seed, nodes: usize, profile: &LinkProfile) -> Network {
        let mut profiles = Profiles::default();
        let place = profiles.place(profile);
        let link = Link {
            last_sent_at: Time::MAX,
            sent_then: 0,
            profile: place,
        };
        let mut network = Network {
            nodes,
            key: seed.key(Purpose::Network),
            links: vec![link; nodes * nodes],
            base: vec![place; nodes * nodes],
            profiles,
            special: Vec::new(),
            degraded: Vec::new(),
        };
        if profile.bursts.is_some() || profile.capacity.is_some() {
            network.set_all(profile);
        }
        network
    }

    /// Gives every link this profile from now on; messages in flight keep their fate.
    pub(crate) fn set_all(&mut self, profile: &LinkProfile) {
        let place = self.profiles.place(profile);
        self.base.fill(place);
        (0..self.links.len()).for_each(|index| self.refresh(index));
    }

    /// Gives one link this profile from now on.
    pub(crate) fn set(&mut self, from: NodeId, to: NodeId, profile: &LinkProfile) {
        let index = self.index(from, to);
        self.base[index] = self.profiles.place(profile);
        self.refresh(index);
    }

    /// Makes these links worse, until the fault is [over](Network::restore).
    pub(crate) fn degrade(&mut self, fault: u32, links: &LinkSet, by: Degradation) {
        self.degraded.push((fault, links.clone(), by));
        self.refresh_all(links);
    }

    /// Ends what this fault does.
    pub(crate) fn restore(&mut self, fault: u32) {
        for (_, links, _) in self
            .degraded
            .extract_if(.., |(by, ..)| *by == fault)
            .collect::<Vec<_>>()
        {
            self.refresh_all(&links);
        }
    }

    /// Makes a link hold what is sent on it, once more; or once less. Returns whether it lets messages through then.
    pub(crate) fn clog(&mut self, from: NodeId, to: NodeId, more: bool) -> bool {
        self.make_room();
        let index = self.index(from, to);
        let clogs = &mut self.special[index].clogs;
        *clogs = if more {
            clogs.saturating_add(1)
        } else {
            clogs.saturating_sub(1)
        };
        let free = *clogs == 0;
        self.refresh(index);
        free
    }

    fn index(&self, from: NodeId, to: NodeId) -> usize {
        from.index() * self.nodes + to.index()
    }

    fn make_room(&mut self) {
        self.special.resize_with(self.links.len(), Special::default);
    }

    fn refresh_all(&mut self, links: &LinkSet) {
        for (from, to) in links.iter() {
            if from.index().max(to.index()) < self.nodes {
                self.refresh(self.index(from, to));
            }
        }
    }

    /// Makes a link what it is to be now.
    fn refresh(&mut self, index: usize) {
        let id = |index| NodeId::from_index(index);
        let (from, to) = (id(index / self.nodes), id(index % self.nodes));
        let mut profile = *self.profiles.get(self.base[index]);
        for (_, links, by) in &self.degraded {
            if links.contains(from, to) {
                profile = profile.degraded(by);
            }
        }
        self.links[index].profile = self.profiles.place(&profile);
        if profile.bursts.is_some() || profile.capacity.is_some() {
            self.make_room();
        }
        if let Some(special) = self.special.get_mut(index) {
            special.set(&profile);
        }
    }

    /// Decides the fate of the next message on this link. Both nodes must exist.
    #[expect(clippy::inline_always, reason = "once a message, on the shortest way")]
    #[inline(always)]
    pub(crate) fn fate(&mut self, from: NodeId, to: NodeId, now: Time) -> Fate {
        let link = &mut self.links[from.index() * self.nodes + to.index()];
        if link.last_sent_at == now {
            link.sent_then += 1;
        } else {
            link.last_sent_at = now;
            link.sent_then = 0;
        }
        let endpoints = ((from.index() as u64) << 32) | to.index() as u64;
        let draw = keyed(
            self.key,
            [endpoints, now.as_nanos(), u64::from(link.sent_then)],
        );
        let (_, treatment) = &self.profiles.all[link.profile as usize];
        if treatment.loss.hits(derive(draw, 1)) {
            return Fate::Lost;
        }
        let copied = treatment.duplication.hits(derive(draw, 2));
        Fate::Delivered {
            delay_ns: treatment.delays.draw(derive(draw, 3)),
            copy_delay_ns: copied.then(|| treatment.delays.draw(derive(draw, 4))),
        }
    }

    /// Whether there may be bursts, capacities or clogs anywhere: if not, no message need ask.
    #[inline]
    pub(crate) fn has_special_links(&self) -> bool {
        !self.special.is_empty()
    }

    /// What this link does, besides its fate, to the message of so many bytes whose fate was decided last.
    pub(crate) fn passage(
        &mut self,
        from: NodeId,
        to: NodeId,
        now: Time,
        size_bytes: usize,
    ) -> Passage {
        let index = self.index(from, to);
        let endpoints = ((from.index() as u64) << 32) | to.index() as u64;
        let sent_then = u64::from(self.links[index].sent_then);
        // The same address, and a draw of its own.
        let draw = derive(keyed(self.key, [endpoints, now.as_nanos(), sent_then]), 5);
        self.special[index].passage(endpoints ^ self.key, draw, now, size_bytes as u64)
    }
}

/// A keyed hash of an address, uniform in 64 bits.
#[inline]
pub(crate) fn keyed(key: u64, address: [u64; 3]) -> u64 {
    let mut bytes = [0; 24];
    for (bytes, word) in bytes.chunks_exact_mut(8).zip(address) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    xxh3_64_with_seed(&bytes, key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half(nodes: usize) -> Network {
        let profile = LinkProfile {
            loss: Ratio::new(1, 2).unwrap(),
            duplication: Ratio::new(1, 2).unwrap(),
            ..LinkProfile::default()
        };
        Network::new(Seed(1), nodes, &profile)
    }

    #[test]
    fn the_fate_of_a_message_does_not_depend_on_other_links_or_instants() {
        let (a, b, c) = (
            NodeId::from_index(0),
            NodeId::from_index(1),
            NodeId::from_index(2),
        );
        let mut quiet = half(3);
        let mut busy = half(3);
        for ms in 0..1000 {
            let now = Time::from_millis(ms);
            busy.fate(a, c, now);
            busy.fate(a, b, Time::from_nanos(now.as_nanos() + 1));
            assert_eq!(quiet.fate(a, b, now), busy.fate(a, b, now));
        }
    }

    #[test]
    fn loss_duplication_and_direction_are_independent_draws() {
        let (a, b) = (NodeId::from_index(0), NodeId::from_index(1));
        let mut network = half(2);
        let (mut lost, mut copied, mut same) = (0, 0, 0);
        for ms in 0..10_000 {
            let there = network.fate(a, b, Time::from_millis(ms));
            let back = network.fate(b, a, Time::from_millis(ms));
            same += u32::from(there == back && there != Fate::Lost);
            match there {
                Fate::Lost => lost += 1,
                Fate::Delivered {
                    delay_ns,
                    copy_delay_ns: Some(copy_delay_ns),
                    ..
                } => {
                    copied += 1;
                    same += u32::from(copy_delay_ns == delay_ns);
                }
                Fate::Delivered { .. } => {}
            }
        }
        assert!((4_800..5_200).contains(&lost), "{lost}");
        assert!((2_350..2_650).contains(&copied), "{copied}");
        assert_eq!(same, 0);
    }

    #[test]
    fn messages_of_one_instant_have_different_fates() {
        let (a, b) = (NodeId::from_index(0), NodeId::from_index(1));
        let mut network = Network::new(Seed(1), 2, &LinkProfile::default());
        assert_ne!(
            network.fate(a, b, Time::ZERO),
            network.fate(a, b, Time::ZERO)
        );
    }
}
