//! What Raft guarantees at all times, each property in a file of its own.
//!
//! | Property | Where it is from | In TLA+ specifications | File |
//! |---|---|---|---|
//! | `election-safety` | §5.2, Figure 3 | `ElectionSafety`, `MoreThanOneLeaderInv` | `election_safety.rs` |
//! | `leader-append-only` | §5.3, Figure 3 | `LeaderAppendOnly` | `leader_append_only.rs` |
//! | `log-matching` | §5.3, Figure 3 | `LogMatchingInv` | `log_matching.rs` |
//! | `leader-completeness` | §5.4, Figure 3 | `LeaderCompleteness` | `leader_completeness.rs` |
//! | `state-machine-safety` | §5.4.3, Figure 3 | `StateMachineSafety` | `state_machine_safety.rs` |
//! | `committed-entries-immutable` | §5.4 | `CommittedLogNeverChangesProp`, `CommittedLogAppendOnlyProp` | `committed_entries_immutable.rs` |
//! | `commit-index-monotone` | Figure 2 | `MonotonicCommitIndexProp` | `commit_index_monotone.rs` |
//! | `committed-on-quorum` | §5.3, dissertation §4.3 | `ReplicationInv`, `QuorumLogInv` | `committed_on_quorum.rs` |
//! | `match-index` | Figure 2 | `MonotonicMatchIndexProp`, `MatchIndexBoundedByLogInv` | `match_index.rs` |
//! | `hard-state` | §5.1, §5.2, Figure 2 | `MonotonicTermProp`, `LeaderVotesQuorum` | `hard_state.rs` |
//! | `log-terms` | §5.3, dissertation appendix B | `MonoLogInv` | `log_terms.rs` |
//! | `one-uncommitted-membership` | dissertation §4.1, §4.3 | | `one_uncommitted_membership.rs` |
//! | `membership-matches-log` | §6, dissertation §4.1 | | `membership_matches_log.rs` |
//! | `check-quorum` | dissertation §6.2 | | `check_quorum.rs` |
//! | `lease-exclusivity` | dissertation §6.4.1 | | `lease_exclusivity.rs` |
//! | `session-at-most-once` | §8, dissertation §6.3 | | `session_at_most_once.rs` |
//! | `applied-state-equal` | §2 | | `applied_state_equal.rs` |
//! | `snapshot-equals-replay` | dissertation §5.1 | | `snapshot_equals_replay.rs` |
//!
//! `CandidateTermNotInLogInv`, `VotesGrantedInv` and `MoreUpToDateCorrectInv` are steps of the proof, of which the first five
//! are the conclusions.
//!
//! Each compares what it sees with all that was ever seen, not only with what the other servers hold at the moment:
//! a leader may crash before the next one of its term is elected, and the term has had two leaders all the same.
//! After a crash a server is looked at as if for the first time. What was seen of the logs is in one book (`seen.rs`), and
//! what the committed entries come to is replayed by a state machine that is not Raft's own (`replay.rs`).
//!
//! Most events change nothing that a property speaks of. Each notices that first, as they are asked after every event.

mod applied_state_equal;
mod check_quorum;
mod commit_index_monotone;
mod committed_entries_immutable;
mod committed_on_quorum;
mod election_safety;
mod hard_state;
mod leader_append_only;
mod leader_completeness;
mod lease_exclusivity;
mod log_matching;
mod log_terms;
mod match_index;
mod membership_matches_log;
mod one_uncommitted_membership;
mod replay;
mod seen;
mod session_at_most_once;
mod snapshot_equals_replay;
mod state_machine_safety;
#[cfg(test)]
mod testing;

pub use applied_state_equal::AppliedStateEqual;
pub use check_quorum::CheckQuorum;
pub use commit_index_monotone::CommitIndexMonotone;
pub use committed_entries_immutable::CommittedEntriesImmutable;
pub use committed_on_quorum::CommittedOnQuorum;
pub use election_safety::ElectionSafety;
pub use hard_state::VotesDurable;
pub use leader_append_only::LeaderAppendOnly;
pub use leader_completeness::LeaderCompleteness;
pub use lease_exclusivity::LeaseExclusivity;
pub use log_matching::LogMatching;
pub use log_terms::LogTerms;
pub use match_index::MatchIndex;
pub use membership_matches_log::MembershipMatchesLog;
pub use one_uncommitted_membership::OneUncommittedMembership;
pub use session_at_most_once::SessionAtMostOnce;
pub use snapshot_equals_replay::SnapshotEqualsReplay;
pub use state_machine_safety::StateMachineSafety;

use super::{Peer, Server};
use crate::quorum::{Quorum, Tally};
use replay::Replay;
use seen::{Holds, Seen};
use splitbrain_core::{Cluster, Invariant, NodeId};

/// All of them, new.
pub fn all() -> Vec<Box<dyn Invariant<Peer>>> {
    let (seen, replay) = (Seen::default(), Replay::default());
    vec![
        Box::new(ElectionSafety::new(&seen)),
        Box::new(LeaderAppendOnly::new(&seen)),
        Box::new(LogMatching::new(&seen)),
        Box::new(LeaderCompleteness::new(&seen)),
        Box::new(StateMachineSafety::new(&seen)),
        Box::new(CommittedEntriesImmutable::new(&seen)),
        Box::new(CommitIndexMonotone::new(&seen)),
        Box::new(CommittedOnQuorum::new(&seen)),
        Box::new(MatchIndex::new(&seen)),
        Box::new(VotesDurable::new(&seen)),
        Box::new(OneUncommittedMembership::new(&seen)),
        Box::new(MembershipMatchesLog::new(&seen)),
        Box::new(CheckQuorum),
        Box::new(LeaseExclusivity::new(&seen)),
        Box::new(SessionAtMostOnce::new(&seen, &replay)),
        Box::new(AppliedStateEqual::new(&seen, &replay)),
        Box::new(SnapshotEqualsReplay::new(&seen, &replay)),
        Box::new(LogTerms::new(&seen)),
    ]
}

/// What an invariant remembers of each node.
#[derive(Clone, Debug, Default)]
struct PerNode<T>(Vec<T>);

impl<T: Clone + Default> PerNode<T> {
    fn get(&self, id: NodeId) -> Option<&T> {
        self.0.get(id.index())
    }

    fn of(&mut self, id: NodeId) -> &mut T {
        if id.index() >= self.0.len() {
            self.0.resize(id.index() + 1, T::default());
        }
        &mut self.0[id.index()]
    }
}

/// Whether these make a quorum, if all of the second kind, which perhaps do, really count; and then, on which of them that
/// depends.
fn depends(quorum: Quorum<'_>, who: impl Iterator<Item = (NodeId, Holds)>) -> Option<Vec<NodeId>> {
    let (mut counted, mut perhaps) = (Vec::new(), Vec::new());
    for (id, holds) in who {
        match holds {
            Holds::Yes => counted.push(id),
            Holds::Perhaps => perhaps.push(id),
            Holds::No => {}
        }
    }
    let is_won = |without: Option<NodeId>| {
        let counts = |id| counted.contains(&id) || perhaps.contains(&id);
        quorum.tally(|id| Some(counts(id) && Some(id) != without)) == Tally::Won
    };
    let needed = |id: &NodeId| !is_won(Some(*id));
    is_won(None).then(|| perhaps.iter().copied().filter(needed).collect())
}

/// The server with this id, if it is one and is not down.
fn server<'a>(cluster: &Cluster<'a, Peer>, id: NodeId) -> Option<&'a Server> {
    cluster.node(id).and_then(Peer::server)
}
