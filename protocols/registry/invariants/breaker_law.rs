//! The law of a half-open breaker.

use super::super::{Peer, Settings};
use crate::discovery::breaker::BreakerState;
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};

/// While a breaker is half open, as many calls are under way as it says, and never more than its number of probes: otherwise
/// what recovers gets the load that broke it (opossum #119), or the breaker waits for a probe that is over and stays half
/// open (opossum #276).
#[derive(Debug)]
pub struct BreakerLaw {
    probes_max: u64,
}

impl BreakerLaw {
    /// With breakers as the settings say.
    pub fn new(settings: &Settings) -> BreakerLaw {
        BreakerLaw {
            probes_max: settings.breaker.probes_max,
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
}

impl Invariant<Peer> for BreakerLaw {
    fn property(&self) -> &'static str {
        "breaker-law"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        let Some(engine) = cluster.node(touched).and_then(Peer::engine) else {
            return Ok(());
        };
        let now = engine.tally().as_of;
        for (service, instance, breaker) in engine.breakers() {
            let BreakerState::HalfOpen { probes, until } = breaker.state(now) else {
                continue;
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
        Ok(())
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
}
