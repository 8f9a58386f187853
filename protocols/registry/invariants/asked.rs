//! Nobody is found to be critical unasked.

use super::super::{Asked, Peer, Settings};
use crate::discovery::health::{Initial, Status};
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};

/// Whom a leader finds to be critical who was well until now it has asked as often as it takes to believe that: it does not
/// do so because it has begun to lead.
#[derive(Debug)]
pub struct AskedBefore {
    attempts_min: u64,
}

impl AskedBefore {
    /// With checks as the settings say.
    pub fn new(settings: &Settings) -> AskedBefore {
        AskedBefore {
            attempts_min: match settings.probe.initial {
                Initial::Up => 1,
                Initial::FullyUp | Initial::Down | Initial::FullyDown => settings.probe.fall,
            },
        }
    }

    fn check(&self, asked: Asked<'_>) -> Result<(), String> {
        let was_well = matches!(asked.written, Status::Passing | Status::Warning);
        if was_well && asked.found == Status::Critical && asked.attempts < self.attempts_min {
            return Err(format!(
                "{} is {}, and found to be critical after {} attempts to ask it: it takes {}",
                asked.key, asked.written, asked.attempts, self.attempts_min
            ));
        }
        Ok(())
    }
}

impl Invariant<Peer> for AskedBefore {
    fn property(&self) -> &'static str {
        "asked-before"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        let server = cluster.node(touched).and_then(Peer::server);
        let Some(checks) = server.and_then(|server| server.checks()) else {
            return Ok(());
        };
        for asked in checks.asked() {
            if let Err(what) = self.check(asked) {
                return self.violated(format!("to {touched}, {what}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_well_and_is_critical_unasked_is_found() {
        use Status::{Critical, Maintenance, Passing, Warning};
        let property = AskedBefore::new(&Settings::default());
        let key = "/services/web/web-n4".into();
        let check = |written, found, attempts| {
            property.check(Asked {
                key: &key,
                written,
                found,
                attempts,
            })
        };
        assert_eq!(check(Passing, Critical, 3), Ok(()));
        assert_eq!(check(Critical, Critical, 0), Ok(()), "it has registered");
        assert_eq!(check(Maintenance, Critical, 0), Ok(()));
        assert_eq!(check(Passing, Passing, 0), Ok(()));
        assert!(check(Warning, Critical, 2).is_err());
        assert_eq!(
            check(Passing, Critical, 0).unwrap_err(),
            "/services/web/web-n4 is passing, and found to be critical after 0 attempts to ask it: it takes 3"
        );
    }
}
