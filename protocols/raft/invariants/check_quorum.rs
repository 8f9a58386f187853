//! A leader that no quorum answers steps down (dissertation §6.2).

use super::{Peer, server};
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};

/// A leader does not lead on for longer than an election timeout when no quorum answers it (dissertation §6.2): clients would wait
/// for it in vain, and followers that still hear it would elect nobody else. It is the leader's own clock that counts, and so the
/// heartbeats that it has sent meanwhile; if it was paused, or slow, there are fewer of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckQuorum;

/// Rounds that are no heartbeats, of which there is at most one of each kind before a quorum answers: for a read, for those who were
/// removed, for the election. And one for the heartbeat at which the leader steps down.
const OTHER_ROUNDS: u64 = 4;

impl Invariant<Peer> for CheckQuorum {
    fn property(&self) -> &'static str {
        "check-quorum"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        let Some(server) = server(&cluster, touched) else {
            return Ok(());
        };
        let settings = server.settings();
        let rounds = server.unanswered_rounds();
        let most = settings.election_ms_max / settings.heartbeat_ms + OTHER_ROUNDS;
        if !settings.check_quorum || rounds <= most {
            return Ok(());
        }
        self.violated(format!(
            "{touched} still leads term {}, though no quorum has answered its last {rounds} rounds",
            server.term()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{State, observe_all};
    use super::*;

    #[test]
    fn a_leader_that_nobody_answers_does_not_lead_on() {
        let unanswered = |rounds| State::leader(2).voters(3).rounds(rounds);
        let observe = |state| observe_all(&mut CheckQuorum, &[state, State::follower(2)]);
        assert_eq!(observe(unanswered(10)), Ok(()));
        let violation = observe(unanswered(11)).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "check-quorum: n1 still leads term 2, though no quorum has answered its last 11 rounds"
        );
        assert_eq!(observe(unanswered(11).becomes_follower()), Ok(()));
        let mut unasked = unanswered(11);
        unasked.server().settings.check_quorum = false;
        assert_eq!(observe(unasked), Ok(()));
    }
}
