//! The law of a breaker that is not closed.

use super::super::{Peer, Settings};
use crate::discovery::Label;
use crate::discovery::breaker::BreakerState;
use splitbrain_core::{Cluster, Invariant, NodeId, Status, Time, Violation};
use std::collections::BTreeMap;

/// A breaker that has opened is open until its time is over, as long as its owner runs: not forgotten with an instance that a
/// registry takes out for a moment, and puts back.
///
/// While a breaker is half open, as many calls are under way as it says, and never more than its number of probes: otherwise
/// what recovers gets the load that broke it (opossum #119), or the breaker waits for a probe that is over and stays half
/// open (opossum #276).
#[derive(Debug)]
pub struct BreakerLaw {
    probes_max: u64,
    /// Of each node: by service and instance, the breakers that were last seen to be open, and until when by its clock.
    open: BTreeMap<NodeId, BTreeMap<(Label, Label), Time>>,
}

impl BreakerLaw {
    /// With breakers as the settings say.
    pub fn new(settings: &Settings) -> BreakerLaw {
        BreakerLaw {
            probes_max: settings.breaker.probes_max,
            open: BTreeMap::new(),
        }
    }

    fn check(&self, counted: u64, under_way: u64) -> Result<(), &'static str> {
        if under_way > self.probes_max {
            Err("more calls are under way than it may let through")
        } else if counted != under_way {
            Err("its count of probes is not what is under way")
        } else {
            Ok(())
        }
    }

    /// The breakers of a node that are open now, and until when.
    fn opened(
        &mut self,
        node: NodeId,
        now: Time,
        open: BTreeMap<(Label, Label), Time>,
    ) -> Result<(), String> {
        let before = self.open.entry(node).or_default();
        let lost = before
            .iter()
            .find(|(whose, until)| now < **until && open.get(whose) != Some(until));
        if let Some(((service, instance), until)) = lost {
            return Err(format!(
                "at {node}, the breaker before {instance} of {service} was open until {until}, and is not any more at {now}"
            ));
        }
        *before = open;
        Ok(())
    }
}

impl Invariant<Peer> for BreakerLaw {
    fn property(&self) -> &'static str {
        "breaker-law"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        if cluster.status(touched) == Status::Down {
            self.open.remove(&touched);
            return Ok(());
        }
        let Some(engine) = cluster.node(touched).and_then(Peer::engine) else {
            return Ok(());
        };
        let now = engine.tally().as_of;
        let mut open = BTreeMap::new();
        for (service, instance, breaker) in engine.breakers() {
            let (probes, until) = match breaker.state(now) {
                BreakerState::HalfOpen { probes, until } => (probes, until),
                BreakerState::Open { until } => {
                    open.insert((service.clone(), instance.clone()), until);
                    continue;
                }
                BreakerState::Closed => continue,
            };
            let under_way = engine.trials(service, instance, until);
            if let Err(why) = self.check(probes, under_way) {
                return self.violated(format!(
                    "at {touched}, the breaker before {instance} is half open and counts {probes} probes, {under_way} are under \
                     way, {} may be: {why}",
                    self.probes_max
                ));
            }
        }
        let opened = self.opened(touched, now, open);
        opened.or_else(|what| self.violated(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_probes_and_lost_ones_are_found() {
        let law = BreakerLaw::new(&Settings::default());
        assert_eq!(law.check(0, 0), Ok(()));
        assert_eq!(law.check(1, 1), Ok(()));
        assert!(law.check(2, 2).unwrap_err().contains("more calls"));
        assert!(law.check(1, 2).unwrap_err().contains("more calls"));
        assert!(law.check(1, 0).unwrap_err().contains("its count"));
    }

    #[test]
    fn a_breaker_that_is_forgotten_while_it_is_open_is_found() {
        let mut law = BreakerLaw::new(&Settings::default());
        let (node, at) = (NodeId::from_index(7), Time::from_millis);
        let label = |text| Label::new(text).unwrap();
        let open = |until| BTreeMap::from([((label("s1"), label("s1-n4")), at(until))]);
        assert_eq!(law.opened(node, at(100), open(600)), Ok(()));
        assert_eq!(law.opened(node, at(599), open(600)), Ok(()));
        assert_eq!(law.opened(node, at(600), BTreeMap::new()), Ok(()), "over");
        assert_eq!(law.opened(node, at(700), open(900)), Ok(()));
        assert_eq!(
            law.opened(node, at(800), BTreeMap::new()).unwrap_err(),
            "at n8, the breaker before s1-n4 of s1 was open until 0.900s, and is not any more at 0.800s"
        );
    }
}
