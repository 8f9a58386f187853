//! Networks and disks that are plainer than others.

use crate::network::{Bursts, Latency};
use crate::scenario::{LinkSpec, NetworkSpec};
use splitbrain_core::{NodeId, Ratio};

/// Halved ratios end here: what happens less often than once in a thousand messages is not what it is about.
pub(super) const RARE: u32 = 1000;

/// Networks that are plainer in one respect, the plainest first.
pub(super) fn plainer(network: &NetworkSpec) -> Vec<NetworkSpec> {
    let mut plainer = Vec::new();
    let mut add = |change: &dyn Fn(&mut NetworkSpec)| {
        let mut changed = network.clone();
        change(&mut changed);
        if changed != *network && !plainer.contains(&changed) {
            plainer.push(changed);
        }
    };
    add(&|network| network.links.clear());
    for place in 0..network.links.len() {
        add(&|network| {
            network.links.remove(place);
        });
    }
    add(&|network| network.loss = Ratio::NEVER);
    add(&|network| network.duplication = Ratio::NEVER);
    add(&|network| network.bursts = None);
    add(&|network| network.capacity = None);
    for latency in quieter(network.latency) {
        add(&|network| network.latency = latency);
    }
    for sync in quieter(network.sync) {
        add(&|network| network.sync = sync);
    }
    // A message that is lost with half the loss is one that was lost before: the fate of the others stays.
    add(&|network| network.loss = network.loss.half(RARE));
    add(&|network| network.duplication = network.duplication.half(RARE));
    add(&|network| network.bursts = network.bursts.map(rarer));
    plainer
}

/// The same with less of a tail, the plainest first.
pub(super) fn quieter(latency: Latency) -> Vec<Latency> {
    let constant = Latency::constant(latency.mean);
    let mut quieter = vec![constant, latency.plain(), shorter_tail(latency)];
    quieter.retain(|other| *other != latency);
    quieter
}

/// Bursts in which half as much is lost.
pub(super) fn rarer(bursts: Bursts) -> Bursts {
    Bursts {
        loss: bursts.loss.half(RARE),
        ..bursts
    }
}

/// Half as late at worst, if that is still a tail.
fn shorter_tail(latency: Latency) -> Latency {
    let shorter = Latency {
        tail_max: crate::Span(latency.tail_max.0 / 2),
        ..latency
    };
    if latency.tail.is_never() || shorter.validate().is_err() {
        latency
    } else {
        shorter
    }
}

/// The same network, said in another way: all links are plain, but for those in the list.
/// `None` if links are plain anyway.
pub(super) fn link_by_link(network: &NetworkSpec, nodes: usize) -> Option<NetworkSpec> {
    let plain = network.profile().plain();
    if network.profile() == plain {
        return None;
    }
    let mut spec = NetworkSpec {
        latency: plain.latency,
        loss: plain.loss,
        duplication: plain.duplication,
        bursts: plain.bursts,
        capacity: plain.capacity,
        ..network.clone()
    };
    let all = (0..nodes).map(NodeId::from_index);
    let pairs = all
        .clone()
        .flat_map(|from| all.clone().map(move |to| (from, to)));
    for (from, to) in pairs.filter(|(from, to)| from != to) {
        let mut known = spec.links.iter_mut();
        match known.find(|link| (link.from, link.to) == (from, to)) {
            Some(link) => {
                link.latency.get_or_insert(network.latency);
                link.loss.get_or_insert(network.loss);
                link.duplication.get_or_insert(network.duplication);
                link.bursts = link.bursts.or(network.bursts);
                link.capacity = link.capacity.or(network.capacity);
            }
            None => spec.links.push(LinkSpec {
                from,
                to,
                latency: (network.latency != plain.latency).then_some(network.latency),
                loss: (network.loss != plain.loss).then_some(network.loss),
                duplication: (network.duplication != plain.duplication)
                    .then_some(network.duplication),
                bursts: network.bursts,
                capacity: network.capacity,
            }),
        }
    }
    Some(spec)
}

/// The links of a cluster without this node, in which later nodes have moved up.
pub(crate) fn without_node(links: &mut Vec<LinkSpec>, gone: NodeId) {
    let moved = |link: &LinkSpec| {
        Some(LinkSpec {
            from: super::list::moved_up(link.from, gone)?,
            to: super::list::moved_up(link.to, gone)?,
            ..*link
        })
    };
    *links = links.iter().filter_map(moved).collect();
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::Span;
    use crate::network::{Capacity, LinkProfile};

    pub(in crate::shrink) const BURSTS: Bursts = Bursts {
        good: Span::from_secs(1),
        bad: Span::from_millis(100),
        loss: Ratio::ALWAYS,
    };
    pub(in crate::shrink) const NARROW: Capacity = Capacity {
        bytes_per_s: 1000,
        queue_bytes: 100,
    };

    fn bad() -> NetworkSpec {
        NetworkSpec {
            loss: Ratio::new(1, 10).unwrap(),
            bursts: Some(BURSTS),
            capacity: Some(NARROW),
            latency: Latency {
                tail: Ratio::new(1, 10).unwrap(),
                tail_max: Span::from_secs(1),
                ..NetworkSpec::default().latency
            },
            ..NetworkSpec::default()
        }
    }

    #[test]
    fn a_network_that_gets_plainer_is_plain_in_the_end() {
        let mut network = bad();
        let mut steps = 0;
        while let Some(next) = plainer(&network).pop() {
            network = next;
            steps += 1;
            assert!(steps < 100, "it goes round in circles: {network:?}");
        }
        assert_eq!(network.profile(), network.profile().plain());
        assert_eq!(network.latency, Latency::constant(network.latency.mean));
    }

    #[test]
    fn link_by_link_says_the_same() {
        let n = NodeId::from_index;
        let mut network = bad();
        network.links.push(LinkSpec {
            from: n(0),
            to: n(1),
            latency: None,
            loss: Some(Ratio::ALWAYS),
            duplication: None,
            bursts: None,
            capacity: None,
        });
        let listed = link_by_link(&network, 3).unwrap();
        assert_eq!(listed.links.len(), 6);
        for link in &listed.links {
            let lossy = (link.from, link.to) == (n(0), n(1));
            let profile = link.profile(&listed);
            let expected = if lossy { Ratio::ALWAYS } else { network.loss };
            let same = LinkProfile {
                loss: expected,
                ..network.profile()
            };
            assert_eq!(profile, same);
        }
        assert!(link_by_link(&listed, 3).is_none(), "all others are plain");
    }
}
