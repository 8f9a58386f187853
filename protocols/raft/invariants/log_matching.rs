//! Log matching (§5.3, Figure 3).

use super::{Peer, PerNode, server};
use crate::raft::{Command, Entry, Index, Term};
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};
use std::collections::BTreeMap;

/// "If two logs contain an entry with the same index and term, then the logs are identical in all entries up through
/// the given index" (§5.3, Figure 3).
///
/// It is enough that index and term of an entry determine its command and the term of the entry before it: the rest
/// follows by induction along the log. That makes it a look-up per new entry, instead of a comparison of logs.
#[derive(Clone, Debug, Default)]
pub struct LogMatching {
    /// By index less one: the entry that was seen there first.
    first_seen: Vec<Seen>,
    /// Entries of other terms that were seen at the same index.
    others_seen: BTreeMap<(Index, Term), Seen>,
    /// The version of each node's log that was looked at last.
    versions: PerNode<Option<u64>>,
}

/// An entry that some log has held.
#[derive(Clone, Debug)]
struct Seen {
    term: Term,
    command: Command,
    previous_term: Term,
    node: NodeId,
}

impl LogMatching {
    /// What was seen before of this index and term; if nothing, then it is seen now.
    fn recall(&mut self, index: Index, entry: &Entry, previous_term: Term, node: NodeId) -> &Seen {
        let term = entry.term;
        let seen = || Seen {
            term,
            command: entry.command.clone(),
            previous_term,
            node,
        };
        // Each log was seen from its beginning, so that at most the next index is new.
        let slot = index.since(Index::FIRST);
        if slot == self.first_seen.len() {
            self.first_seen.push(seen());
        }
        if self.first_seen[slot].term == term {
            return &self.first_seen[slot];
        }
        self.others_seen.entry((index, term)).or_insert_with(seen)
    }
}

impl Invariant<Peer> for LogMatching {
    fn property(&self) -> &'static str {
        "log-matching"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        let version = self.versions.of(touched);
        let Some(server) = server(&cluster, touched) else {
            *version = None;
            return Ok(());
        };
        let log = server.log();
        let last_seen = version.replace(log.version());
        let from = match last_seen {
            Some(seen) if seen == log.version() => return Ok(()),
            Some(seen) if seen + 1 == log.version() => log.changed_from(),
            _ => Index::FIRST,
        };
        let mut index = from;
        let mut previous_term = log.term_at(from.previous()).unwrap_or_default();
        for entry in log.starting_at(from) {
            let seen = self.recall(index, entry, previous_term, touched);
            let what = if seen.command != entry.command {
                format!("`{}` and `{}`", seen.command, entry.command)
            } else if seen.previous_term != previous_term {
                format!(
                    "the entries before it are of terms {} and {previous_term}",
                    seen.previous_term
                )
            } else {
                previous_term = entry.term;
                index = index.next();
                continue;
            };
            let (node, term) = (seen.node, entry.term);
            return self.violated(format!(
                "{node} and {touched} have held different logs up to index {index} of term {term}: {what}"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{State, observe_all, put};
    use super::*;

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
}
