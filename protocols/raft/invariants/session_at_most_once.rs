//! An operation takes effect at most once (dissertation §6.3).

use super::replay::{Model, Replay, stores};
use super::seen::{News, Seen};
use super::{Peer, PerNode, server};
use crate::kv;
use crate::raft::{Command, Index};
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};

/// However often a client's request was committed, it changes the store once: "If it receives a command whose serial
/// number has already been executed, it responds immediately without re-executing the request" (§8, dissertation §6.3);
/// and never once its session is gone.
///
/// Every entry that should perform nothing is looked at where it is applied: at the key that it would change, or at all of
/// the store if it is not one.
#[derive(Debug, Default)]
pub struct SessionAtMostOnce {
    seen: Seen,
    replay: Replay,
    last_applied: PerNode<Index>,
}

impl SessionAtMostOnce {
    pub(super) fn new(seen: &Seen, replay: &Replay) -> SessionAtMostOnce {
        SessionAtMostOnce {
            seen: seen.share(),
            replay: replay.clone(),
            ..SessionAtMostOnce::default()
        }
    }
}

impl Invariant<Peer> for SessionAtMostOnce {
    fn property(&self) -> &'static str {
        "session-at-most-once"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        if !self.seen.is_news(News::APPLIED, &cluster, touched) {
            return Ok(());
        }
        let book = self.seen.book();
        let last_applied = self.last_applied.of(touched);
        let Some(server) = server(&cluster, touched) else {
            *last_applied = Index::ZERO;
            return Ok(());
        };
        let to = server.last_applied();
        let from = std::mem::replace(last_applied, to);
        if from == to {
            return Ok(());
        }
        for (index, entry) in self.replay.idle(&book, from, to) {
            let Command::Apply { op, .. } = &*entry.command else {
                continue;
            };
            let store = server.machine().store();
            let differs = |model: &Model| difference(op, store, &model.store);
            if let Some(what) = self.replay.at(&book, to, differs).flatten() {
                let what = format!(
                    "{touched} has performed `{}` at index {index}, which was to be performed no more: after {to}, {what}",
                    entry.command,
                );
                drop(book);
                return self.violated(what);
            }
        }
        Ok(())
    }
}

/// How a store differs where the operation could have changed it, in words.
fn difference(op: &kv::Op, found: &kv::Store, expected: &kv::Store) -> Option<String> {
    let Some(key) = op.key() else {
        return stores(found, expected);
    };
    let (found, expected) = (found.key_value(key), expected.key_value(key));
    if found == expected {
        return None;
    }
    let words = |found: &Option<kv::KeyValue>| match found {
        Some(found) => found.value.to_string(),
        None => "nothing".to_owned(),
    };
    let value = words(&found);
    if value != words(&expected) {
        return Some(format!("{key} is {value}"));
    }
    let revision = |found: Option<kv::KeyValue>| found.map(|found| found.mod_revision);
    let (found, expected) = (revision(found)?, revision(expected)?);
    Some(format!(
        "{key} was written at revision {found} rather than {expected}"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{State, observe, put, register};
    use super::*;
    use std::sync::Arc;

    /// A put of 1, a later one of 2, and the first one again.
    fn state() -> State {
        let mut second = put(1, "2");
        if let Command::Apply { sequence, .. } = Arc::make_mut(&mut second.command) {
            *sequence = 2;
        }
        let mut state = State::follower(1);
        let entries = [register(1), put(1, "1"), second, put(1, "1")];
        state.server().log.splice(Index(1), entries);
        state
    }

    #[test]
    fn a_retry_changes_nothing() {
        let mut invariant = SessionAtMostOnce::default();
        for applied in 1..=4 {
            let state = state().applied(applied);
            assert_eq!(observe(&mut invariant, &state), Ok(()));
        }
        let mut invariant = SessionAtMostOnce::default();
        let mut twice = state().applied(4);
        twice.server().machine = state().applied(2).server().machine.clone();
        let violation = observe(&mut invariant, &twice).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "session-at-most-once: n1 has performed `put x = 1 (s1#1)` at index 4, which was to be \
             performed no more: after 4, x is 1"
        );
    }
}
