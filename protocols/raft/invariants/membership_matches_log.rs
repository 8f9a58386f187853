//! A server goes by the latest membership in its log (dissertation §4.1).

use super::seen::{News, Seen};
use super::{Peer, PerNode, server};
use crate::raft::{Command, Index, Membership, Server};
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};
use std::sync::Arc;

/// "A server always uses the latest configuration in its log, regardless of whether the entry is committed" (§6, dissertation
/// §4.1); when the entry is removed, the one before it; and where the log says nothing, the one of the snapshot
/// (dissertation §5.1).
#[derive(Debug, Default)]
pub struct MembershipMatchesLog {
    seen: Seen,
    before: PerNode<Option<Before>>,
}

#[derive(Clone, Debug)]
struct Before {
    version: u64,
    snapshot: Index,
    /// The latest in the log, if there was one after its base.
    latest: Option<(Index, Arc<Membership>)>,
}

/// The latest membership among the entries from `from` on.
fn latest(server: &Server, from: Index) -> Option<(Index, Arc<Membership>)> {
    let from = from.max(server.log().base().next());
    let entries = (from.0..).zip(server.log().starting_at(from));
    let mut memberships = entries.filter_map(|(index, entry)| match &*entry.command {
        Command::Members(membership) => Some((Index(index), membership)),
        _ => None,
    });
    let first = memberships.next()?;
    let (index, membership) = memberships.last().unwrap_or(first);
    Some((index, membership.clone()))
}

impl MembershipMatchesLog {
    pub(super) fn new(seen: &Seen) -> MembershipMatchesLog {
        MembershipMatchesLog {
            seen: seen.share(),
            ..MembershipMatchesLog::default()
        }
    }
}

impl Invariant<Peer> for MembershipMatchesLog {
    fn property(&self) -> &'static str {
        "membership-matches-log"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        if !self
            .seen
            .is_news(News::LOG.or(News::SNAPSHOT), &cluster, touched)
        {
            return Ok(());
        }
        let slot = self.before.of(touched);
        let Some(server) = server(&cluster, touched) else {
            *slot = None;
            return Ok(());
        };
        let (log, snapshot) = (server.log(), server.snapshot().last_index);
        let version = log.version();
        let latest = match slot.take() {
            Some(before) if before.snapshot != snapshot => latest(server, Index::FIRST),
            Some(before) if before.version == version => {
                *slot = Some(before);
                return Ok(());
            }
            Some(before) if before.version + 1 == version => {
                let from = log.changed_from();
                let is_gone = |latest: &(Index, Arc<Membership>)| latest.0 >= from;
                match (latest(server, from), before.latest) {
                    (None, Some(gone)) if is_gone(&gone) => latest(server, Index::FIRST),
                    (new, kept) => new.or(kept),
                }
            }
            _ => latest(server, Index::FIRST),
        };
        let expected = latest.as_ref().map(|(_, membership)| membership);
        let expected = expected.unwrap_or(&server.snapshot().membership);
        let found = (expected != server.membership()).then(|| {
            let now = server.membership();
            let (says, index) = match &latest {
                Some((index, _)) => ("its log", *index),
                None => ("its snapshot", snapshot),
            };
            format!(
                "{touched} goes by the members {now}, but {says} says {expected} at index {index}"
            )
        });
        *slot = Some(Before {
            version,
            snapshot,
            latest,
        });
        found.map_or(Ok(()), |what| self.violated(what))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{State, entry, members, observe};
    use super::*;

    #[test]
    fn it_is_the_latest_in_the_log_and_gone_when_the_entry_is() {
        let mut invariant = MembershipMatchesLog::default();
        let mut state = State::follower(1).voters(2);
        state.server().snapshot = Arc::new(crate::raft::Snapshot {
            membership: state.server().membership().clone(),
            ..Default::default()
        });
        assert_eq!(observe(&mut invariant, &state), Ok(()));
        state
            .server()
            .log
            .splice(Index(1), [entry(1), members(1, 3)]);
        let violation = observe(&mut MembershipMatchesLog::default(), &state).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "membership-matches-log: n1 goes by the members {n1 n2}, but its log says {n1 n2 n3} at index 2"
        );
        let mut good = state.clone().voters(3);
        assert_eq!(observe(&mut invariant, &good), Ok(()));
        good.server().log.splice(Index(2), [entry(2)]);
        let violation = observe(&mut invariant, &good).unwrap_err();
        assert!(
            violation
                .what
                .ends_with("its snapshot says {n1 n2} at index 0"),
            "{violation}"
        );
        let mut invariant = MembershipMatchesLog::default();
        assert_eq!(observe(&mut invariant, &good.voters(2)), Ok(()));
    }
}
