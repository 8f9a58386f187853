//! Who has asked for a call is told of its end in time.

use super::super::Peer;
use splitbrain_core::{Cluster, Invariant, NodeId, Time, Violation};

/// Nothing is waited for beyond the deadline of the call that it is for: neither an instance, nor the time to ask another one.
/// Whoever has asked does not wait longer than that itself, and what is done for it then is done for nobody (gRPC:
/// deadlines, and not timeouts of attempts, are what callers give).
#[derive(Debug, Default)]
pub struct DeadlineKept;

impl DeadlineKept {
    fn check(waits: impl Iterator<Item = (Time, Time)>) -> Result<(), String> {
        for (until, deadline) in waits {
            if until > deadline {
                return Err(format!(
                    "something is waited for until {until}, for a call that is to be over by {deadline}"
                ));
            }
        }
        Ok(())
    }
}

impl Invariant<Peer> for DeadlineKept {
    fn property(&self) -> &'static str {
        "deadline-kept"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        match cluster.node(touched).and_then(Peer::engine) {
            Some(engine) => {
                let checked = DeadlineKept::check(engine.waits());
                checked.or_else(|what| self.violated(format!("at {touched}, {what}")))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_beyond_the_deadline_is_found() {
        let check = |until, deadline| {
            let at = Time::from_millis;
            DeadlineKept::check([(at(1), at(9)), (at(until), at(deadline))].into_iter())
        };
        assert_eq!(check(300, 300), Ok(()));
        assert_eq!(
            check(301, 300).unwrap_err(),
            "something is waited for until 0.301s, for a call that is to be over by 0.300s"
        );
    }
}
