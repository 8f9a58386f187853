//! The network: a table of links, and the fate of each message.
//!
//! The fate of a message is not drawn from a stream. It is a keyed hash of (seed, from, to, sent at, how many before
//! it on that link at that instant), so one message more or less changes the fate of no other message (law 2).

mod latency;
mod partition;

pub use latency::Latency;
pub(crate) use latency::{Delays, derive};
pub use partition::{Cuts, Shape, Topology};

use serde::{Deserialize, Serialize};
use splitbrain_core::{NodeId, Purpose, Ratio, Seed, Time};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How one link treats its messages. Reordering follows from latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
}

#[derive(Clone, Copy, Debug)]
struct Link {
    delays: Delays,
    loss: Ratio,
    duplication: Ratio,
    /// The instant of the last message, and how many were sent at it: the address of the next one's fate.
    last_sent_at: Time,
    sent_then: u32,
}

impl Link {
    fn set(&mut self, profile: &LinkProfile) {
        self.delays = Delays::new(&profile.latency);
        self.loss = profile.loss;
        self.duplication = profile.duplication;
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

/// The links between all pairs of nodes, each direction on its own.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    nodes: usize,
    key: u64,
    /// Row by sender, column by receiver.
    links: Vec<Link>,
}

impl Network {
    pub(crate) fn new(seed: Seed, nodes: usize, profile: &LinkProfile) -> Network {
        let link = Link {
            delays: Delays::new(&profile.latency),
            loss: profile.loss,
            duplication: profile.duplication,
            last_sent_at: Time::MAX,
            sent_then: 0,
        };
        Network {
            nodes,
            key: seed.key(Purpose::Network),
            links: vec![link; nodes * nodes],
        }
    }

    /// Gives every link this profile from now on; messages in flight keep their fate.
    pub(crate) fn set_all(&mut self, profile: &LinkProfile) {
        self.links.iter_mut().for_each(|link| link.set(profile));
    }

    /// Gives one link this profile from now on.
    pub(crate) fn set(&mut self, from: NodeId, to: NodeId, profile: &LinkProfile) {
        self.links[from.index() * self.nodes + to.index()].set(profile);
    }

    /// Decides the fate of the next message on this link. Both nodes must exist.
    #[inline]
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
        if link.loss.hits(derive(draw, 1)) {
            return Fate::Lost;
        }
        let copied = link.duplication.hits(derive(draw, 2));
        Fate::Delivered {
            delay_ns: link.delays.draw(derive(draw, 3)),
            copy_delay_ns: copied.then(|| link.delays.draw(derive(draw, 4))),
        }
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
                    copy_delay_ns: Some(_),
                    ..
                } => copied += 1,
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
