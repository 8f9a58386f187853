//! The commit index, and what follows it, never go back (Figure 2).

use super::seen::{News, Seen};
use super::{Peer, PerNode, server};
use crate::raft::Index;
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};

/// "`commitIndex`: index of highest log entry known to be committed (… increases monotonically)", `lastApplied` likewise
/// (Figure 2; `MonotonicCommitIndexProp` in TLA+ specifications), while a server runs.
///
/// And each stays within the next: base of the log ≤ snapshot ≤ last applied ≤ commit index ≤ end of the log
/// (dissertation §5.1).
#[derive(Debug, Default)]
pub struct CommitIndexMonotone {
    seen: Seen,
    before: PerNode<[Index; 5]>,
}

const NAMES: [&str; 5] = [
    "the base of its log",
    "the end of its snapshot",
    "its last applied index",
    "its commit index",
    "the end of its log",
];

impl CommitIndexMonotone {
    pub(super) fn new(seen: &Seen) -> CommitIndexMonotone {
        CommitIndexMonotone {
            seen: seen.share(),
            ..CommitIndexMonotone::default()
        }
    }
}

impl Invariant<Peer> for CommitIndexMonotone {
    fn property(&self) -> &'static str {
        "commit-index-monotone"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        if !self.seen.is_news(
            News::LOG.or(News::APPLIED).or(News::SNAPSHOT),
            &cluster,
            touched,
        ) {
            return Ok(());
        }
        let before = self.before.of(touched);
        let Some(server) = server(&cluster, touched) else {
            *before = [Index::ZERO; 5];
            return Ok(());
        };
        let now = [
            server.log().base(),
            server.snapshot().last_index,
            server.last_applied(),
            server.commit_index(),
            server.log().last_index(),
        ];
        let before = std::mem::replace(before, now);
        if before == now {
            return Ok(());
        }
        for place in 0..4 {
            let (name, next) = (NAMES[place], NAMES[place + 1]);
            let (from, to) = (before[place], now[place]);
            if to < from {
                return self.violated(format!("{name} went back from {from} to {to} at {touched}"));
            }
            if to > now[place + 1] {
                let beyond = now[place + 1];
                return self.violated(format!("{name} is {to} at {touched}, but {next} {beyond}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{State, observe};
    use super::*;

    #[test]
    fn it_grows_until_a_crash() {
        let mut invariant = CommitIndexMonotone::default();
        let state = State::follower(1).log(&[1, 1, 1]);
        for good in [
            state.clone().committed(1),
            state.clone().committed(3),
            state.clone().committed(3).compacted(2),
            State::down(),
            state.clone().committed(1),
        ] {
            assert_eq!(observe(&mut invariant, &good), Ok(()));
        }
        let violation = observe(&mut invariant, &state.committed(0)).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "commit-index-monotone: its last applied index went back from 1 to 0 at n1"
        );
    }

    #[test]
    fn nothing_is_committed_beyond_the_log_nor_compacted_beyond_the_snapshot() {
        let mut invariant = CommitIndexMonotone::default();
        let state = State::follower(1).log(&[1, 1, 1]);
        assert!(observe(&mut invariant, &state.clone().committed(4)).is_err());
        let mut compacted = state.committed(3);
        compacted.server().log.compact(Index(2));
        let violation = observe(&mut CommitIndexMonotone::default(), &compacted).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "commit-index-monotone: the base of its log is 2 at n1, but the end of its snapshot 0"
        );
    }
}
