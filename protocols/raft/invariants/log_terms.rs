//! Terms grow along a log (§5.3; dissertation, appendix B).

use super::seen::{News, Seen};
use super::{Peer, PerNode, server};
use crate::raft::{Index, Server};
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};

/// The terms of entries never decrease along a log, and none is later than the term of the server (lemmas of the proof in the
/// dissertation's appendix B; `MonoLogInv` in TLA+ specifications). What is up to date (§5.4.1) and where logs part (§5.3) is
/// found out by terms, and means nothing otherwise.
#[derive(Debug, Default)]
pub struct LogTerms {
    seen: Seen,
    versions: PerNode<Option<u64>>,
}

impl LogTerms {
    pub(super) fn new(seen: &Seen) -> LogTerms {
        LogTerms {
            seen: seen.share(),
            ..LogTerms::default()
        }
    }
}

/// The first entry from `from` on that is of an earlier term than the one before it, in words.
fn decrease(server: &Server, from: Index) -> Option<String> {
    let log = server.log();
    let mut index = from.max(log.base().next());
    let mut before = log.term_at(index.previous())?;
    for entry in log.starting_at(index) {
        if entry.term < before {
            let term = entry.term;
            return Some(format!(
                "has an entry of term {term} at index {index}, after one of term {before}"
            ));
        }
        before = entry.term;
        index = index.next();
    }
    None
}

impl Invariant<Peer> for LogTerms {
    fn property(&self) -> &'static str {
        "log-terms"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        if !self
            .seen
            .is_news(News::LOG.or(News::ROLE), &cluster, touched)
        {
            return Ok(());
        }
        let version = self.versions.of(touched);
        let Some(server) = server(&cluster, touched) else {
            *version = None;
            return Ok(());
        };
        let log = server.log();
        let found = match version.replace(log.version()) {
            Some(before) if before == log.version() => None,
            Some(before) if before + 1 == log.version() => decrease(server, log.changed_from()),
            _ => decrease(server, Index::FIRST),
        };
        let (last, term) = (log.last_term(), server.term());
        let found = found.or_else(|| {
            (last > term).then(|| format!("is in term {term}, with an entry of term {last}"))
        });
        found.map_or(Ok(()), |what| self.violated(format!("{touched} {what}")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{State, entry, observe};
    use super::*;

    #[test]
    fn terms_never_decrease_along_a_log() {
        let mut invariant = LogTerms::default();
        let mut state = State::follower(4).log(&[1, 1, 3]);
        assert_eq!(observe(&mut invariant, &state), Ok(()));
        state.server().log.splice(Index(4), [entry(4)]);
        assert_eq!(observe(&mut invariant, &state), Ok(()));
        state.server().log.splice(Index(4), [entry(3), entry(2)]);
        let violation = observe(&mut invariant, &state).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "log-terms: n1 has an entry of term 2 at index 5, after one of term 3"
        );
        // Seen for the first time, as after a restart.
        assert!(observe(&mut LogTerms::default(), &state).is_err());
    }

    #[test]
    fn the_first_entry_after_a_snapshot_is_not_of_an_earlier_term() {
        let installed = State::follower(3).installed(2, 2);
        let good = installed.clone().appended(&[2, 3]);
        assert_eq!(observe(&mut LogTerms::default(), &good), Ok(()));
        let bad = installed.appended(&[1]);
        assert!(observe(&mut LogTerms::default(), &bad).is_err());
    }

    #[test]
    fn no_entry_is_of_a_later_term_than_the_server() {
        let mut invariant = LogTerms::default();
        let state = State::follower(3).log(&[1, 3]);
        assert_eq!(observe(&mut invariant, &state), Ok(()));
        let back = State::follower(2).log(&[1, 3]);
        let violation = observe(&mut invariant, &back).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "log-terms: n1 is in term 2, with an entry of term 3"
        );
    }
}
