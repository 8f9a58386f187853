//! One change of members at a time (dissertation §4.1, §4.3).

use super::seen::{News, Seen};
use super::{Peer, PerNode, server};
use crate::raft::{Command, Entry, Index};
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};

/// At most one membership in a log is not committed (dissertation §4.1: no change is begun before the last one is
/// committed; §4.3: the joint configuration is committed before the one that it leads to is created).
#[derive(Debug, Default)]
pub struct OneUncommittedMembership {
    seen: Seen,
    versions: PerNode<Option<u64>>,
}

impl OneUncommittedMembership {
    pub(super) fn new(seen: &Seen) -> OneUncommittedMembership {
        OneUncommittedMembership {
            seen: seen.share(),
            ..OneUncommittedMembership::default()
        }
    }
}

fn is_membership(entry: &Entry) -> bool {
    matches!(*entry.command, Command::Members(_))
}

impl Invariant<Peer> for OneUncommittedMembership {
    fn property(&self) -> &'static str {
        "one-uncommitted-membership"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        if !self.seen.is_news(News::LOG, &cluster, touched) {
            return Ok(());
        }
        let book = self.seen.book();
        let version = self.versions.of(touched);
        let Some(server) = server(&cluster, touched) else {
            *version = None;
            return Ok(());
        };
        let log = server.log();
        let before = version.replace(log.version());
        let from = match before {
            Some(before) if before == log.version() => return Ok(()),
            Some(before) if before + 1 == log.version() => log.changed_from(),
            _ => Index::FIRST,
        };
        if !log.starting_at(from).iter().any(is_membership) {
            return Ok(());
        }
        // Committed is what anybody knows to be: a follower learns of it later.
        let first = book.commit_index().max(log.base()).next();
        drop(book);
        let mut indexes = (first.0..).zip(log.starting_at(first));
        let mut uncommitted = indexes.by_ref().filter(|(_, entry)| is_membership(entry));
        if let (Some((one, first)), Some((other, second))) =
            (uncommitted.next(), uncommitted.next())
        {
            return self.violated(format!(
                "neither `{}` at index {one} nor `{}` at index {other} in the log of {touched} is committed",
                first.command, second.command
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{State, members, observe};
    use super::*;

    #[test]
    fn the_next_may_come_when_the_last_is_committed() {
        let mut invariant = OneUncommittedMembership::default();
        let mut state = State::leader(1).log(&[1]);
        state.server().log.splice(Index(2), [members(1, 3)]);
        assert_eq!(observe(&mut invariant, &state), Ok(()));
        let mut early = state.clone();
        early.server().log.splice(Index(3), [members(1, 4)]);
        let violation = observe(&mut invariant, &early).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "one-uncommitted-membership: neither `members {n1 n2 n3}` at index 2 nor \
             `members {n1 n2 n3 n4}` at index 3 in the log of n1 is committed"
        );
        let mut invariant = OneUncommittedMembership::default();
        let mut state = state.committed(2);
        assert_eq!(observe(&mut invariant, &state), Ok(()));
        state.server().log.splice(Index(3), [members(1, 4)]);
        assert_eq!(observe(&mut invariant, &state), Ok(()));
    }
}
