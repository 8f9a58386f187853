//! Whether instances are picked as fairly as the policy claims.

use splitbrain::check::balance::{self, Claim, Name};
use splitbrain::{Cluster, Invariant, NodeId, Violation};
use splitbrain_protocols::discovery::Label;
use splitbrain_protocols::discovery::balance::Policy;
use splitbrain_protocols::registry::{PICKS_MAX, Peer, Pick};
use std::collections::{BTreeMap, VecDeque};

/// What each client or proxy picks, of each service, is as its policy claims, over the latest picks that it remembers. The instances
/// of scenarios all have the same weight.
#[derive(Debug)]
pub(super) struct Balanced {
    claim: Claim,
    /// By who picks, and the service: how many picks were seen, and the latest.
    seen: BTreeMap<(NodeId, Label), (u64, VecDeque<balance::Pick>)>,
}

impl Balanced {
    pub(super) fn new(policy: Policy) -> Balanced {
        let claim = match policy {
            Policy::RoundRobin => Claim::RoundRobin,
            Policy::LeastOutstanding => Claim::LeastOutstanding,
            Policy::PowerOfTwoChoices => Claim::TwoChoices,
            Policy::ConsistentHashing { load_percent_max } => Claim::BoundedLoads {
                factor: (u64::from(load_percent_max), 100),
            },
            // The number of picks at hand says nothing of how they are spread: only whether somebody was picked who may be.
            Policy::WeightedRoundRobin | Policy::Random => Claim::Spread {
                ratio_max: (1, 1),
                picks_each_min: u64::MAX,
            },
        };
        Balanced {
            claim,
            seen: BTreeMap::new(),
        }
    }

    fn picked(
        &mut self,
        node: NodeId,
        service: &Label,
        count: u64,
        latest: &VecDeque<Pick>,
    ) -> Option<String> {
        let key = (node, service.clone());
        let (seen, picks) = self.seen.entry(key).or_default();
        if count < *seen {
            // A new incarnation.
            (*seen, *picks) = (0, VecDeque::new());
        }
        let new = usize::try_from(count - *seen).unwrap_or(usize::MAX);
        if new == 0 {
            return None;
        }
        *seen = count;
        let skipped = latest.len().saturating_sub(new);
        for pick in latest.iter().skip(skipped) {
            if picks.len() >= PICKS_MAX {
                picks.pop_front();
            }
            picks.push_back(as_checked(pick));
        }
        let found = balance::check(self.claim, picks.make_contiguous());
        let unfair = found.last()?;
        Some(format!("{node} calls {service}: {}", unfair.unfair))
    }
}

fn as_checked(pick: &Pick) -> balance::Pick {
    let name = |label: &Label| -> Name { label.as_str().into() };
    balance::Pick {
        eligible: pick
            .eligible
            .iter()
            .map(|(label, outstanding)| (name(label), *outstanding))
            .collect(),
        picked: pick.picked.as_ref().map(name),
        key: Some(pick.key.as_str().into()),
    }
}

impl Invariant<Peer> for Balanced {
    fn property(&self) -> &'static str {
        "balanced"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        let Some(engine) = cluster.node(touched).and_then(Peer::engine) else {
            return Ok(());
        };
        for (service, count, latest) in engine.picks() {
            if let Some(what) = self.picked(touched, service, count, latest) {
                return self.violated(what);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str) -> Label {
        Label::new(text).unwrap()
    }

    fn pick(outstanding: [u64; 3], picked: usize) -> Pick {
        let ids = ["a", "b", "c"].map(label);
        Pick {
            picked: Some(ids[picked].clone()),
            eligible: ids.into_iter().zip(outstanding).collect(),
            key: "k".to_owned(),
        }
    }

    /// What is found after each of these picks.
    fn found(policy: Policy, picks: &[Pick]) -> Vec<Option<String>> {
        let mut property = Balanced::new(policy);
        let mut latest = VecDeque::new();
        let picks = picks.iter().zip(1..);
        let node = NodeId::from_index(7);
        picks
            .map(|(pick, count)| {
                latest.push_back(pick.clone());
                property.picked(node, &label("s1"), count, &latest)
            })
            .collect()
    }

    #[test]
    fn what_a_policy_claims_is_asked_of_its_picks() {
        let in_turn = [0, 1, 2, 0].map(|nth| pick([0, 0, 0], nth));
        assert!(
            found(Policy::RoundRobin, &in_turn)
                .iter()
                .all(Option::is_none)
        );
        let twice = found(Policy::RoundRobin, &[0, 0].map(|nth| pick([0, 0, 0], nth)));
        assert_eq!(
            twice,
            [None, Some("n8 calls s1: a was picked 2 times, and b 0 times, while the instances stayed the same".to_owned())]
        );
        let busiest = [pick([3, 1, 2], 0)];
        assert!(found(Policy::PowerOfTwoChoices, &busiest)[0].is_some());
        assert!(found(Policy::PowerOfTwoChoices, &[pick([3, 1, 2], 2)])[0].is_none());
        assert!(found(Policy::LeastOutstanding, &[pick([3, 1, 2], 2)])[0].is_some());
        let bounded = Policy::ConsistentHashing {
            load_percent_max: 150,
        };
        assert!(found(bounded, &[pick([5, 0, 0], 0)])[0].is_some());
        assert!(found(bounded, &[pick([1, 1, 1], 0)])[0].is_none());
    }
}
