//! Log matching (§5.3, Figure 3).

use super::Peer;
use super::seen::{News, Seen};
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};

/// "If two logs contain an entry with the same index and term, then the logs are identical in all entries up through
/// the given index" (§5.3, Figure 3; `LogMatchingInv` in TLA+ specifications).
///
/// It is enough that index and term of an entry determine its command and the term of the entry before it: the rest
/// follows by induction along the log. That makes it a look-up per new entry, instead of a comparison of logs. Of the
/// entries that a snapshot stands for a log still knows the term of the last one, and the first that it holds is compared
/// with that.
#[derive(Debug, Default)]
pub struct LogMatching {
    seen: Seen,
}

impl LogMatching {
    pub(super) fn new(seen: &Seen) -> LogMatching {
        LogMatching { seen: seen.share() }
    }
}

impl Invariant<Peer> for LogMatching {
    fn property(&self) -> &'static str {
        "log-matching"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        if !self.seen.is_news(News::LOG, &cluster, touched) {
            return Ok(());
        }
        match &self.seen.book().mismatch {
            Some(mismatch) => self.violated(mismatch.clone()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{State, observe_all, put};
    use super::*;
    use crate::raft::{Index, Term};

    #[test]
    fn logs_may_differ_in_entries_of_different_terms() {
        // Figure 7.
        let logs: [&[u64]; 7] = [
            &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6],
            &[1, 1, 1, 4, 4, 5, 5, 6, 6],
            &[1, 1, 1, 4],
            &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
            &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
            &[1, 1, 1, 4, 4, 4, 4],
            &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
        ];
        let states = logs.map(|log| State::follower(8).log(log));
        assert_eq!(observe_all(&mut LogMatching::default(), &states), Ok(()));
    }

    #[test]
    fn an_entry_determines_its_command() {
        let states = ["1", "2"].map(|value| {
            let mut state = State::follower(2).log(&[1]);
            state.server().log.splice(Index(2), [put(2, value)]);
            state
        });
        let violation = observe_all(&mut LogMatching::default(), &states).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "log-matching: n1 and n2 have held different logs up to index 2 of term 2: \
             `put x = 1 (s1#1)` and `put x = 2 (s1#1)`"
        );
    }

    #[test]
    fn an_entry_determines_what_is_before_it_even_on_a_node_that_is_down() {
        let mut invariant = LogMatching::default();
        let states = [State::follower(3).log(&[1, 1, 3]), State::follower(3)];
        assert_eq!(observe_all(&mut invariant, &states), Ok(()));
        let states = [State::down(), State::follower(3).log(&[1, 2, 3])];
        let violation = observe_all(&mut invariant, &states).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "log-matching: n1 and n2 have held different logs up to index 3 of term 3: \
             the entries before it are of terms 1 and 2"
        );
    }

    #[test]
    fn a_log_may_begin_after_a_snapshot_and_is_held_to_the_term_before() {
        let mut invariant = LogMatching::default();
        let whole = State::follower(3).log(&[1, 1, 2, 3]);
        let compacted = State::follower(3).log(&[1, 1, 2, 3]).compacted(3);
        let installed = State::follower(3).installed(2, 1).appended(&[2, 3]);
        assert_eq!(
            observe_all(&mut invariant, &[whole, compacted, installed]),
            Ok(())
        );
        let other = State::follower(3).installed(2, 2).appended(&[2, 3]);
        let violation = observe_all(&mut invariant, &[other]).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "log-matching: n1 and n1 have held different logs up to index 3 of term 2: \
             the entries before it are of terms 1 and 2"
        );
    }

    #[test]
    fn an_entry_is_remembered_when_every_log_has_forgotten_it() {
        let mut invariant = LogMatching::default();
        let whole = State::follower(2).log(&[1, 1, 2]);
        assert_eq!(observe_all(&mut invariant, &[whole]), Ok(()));
        let gone = State::follower(2).installed(9, 2);
        assert_eq!(observe_all(&mut invariant, &[gone]), Ok(()));
        let mut other = State::follower(2).log(&[1, 1]);
        other.server().log.splice(Index(3), [put(2, "1")]);
        assert_eq!(other.server().log.last_term(), Term(2));
        assert!(observe_all(&mut invariant, &[State::down(), other]).is_err());
    }
}
