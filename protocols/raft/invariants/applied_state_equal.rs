//! Servers that have applied the same are in the same state (§2, §5.4.3).

use super::replay::{Replay, stores};
use super::seen::{News, Seen};
use super::{Peer, PerNode, server};
use crate::raft::Index;
use splitbrain_core::{Cluster, Invariant, NodeId, Violation};

/// "Since the state machines are deterministic, each computes the same state" (§2): servers that have applied the log up to the
/// same index are in the same state, and it is the one that the committed entries come to.
///
/// What a server applies entry by entry is compared now and then; what came with a snapshot, at once.
#[derive(Debug, Default)]
pub struct AppliedStateEqual {
    seen: Seen,
    replay: Replay,
    last_applied: PerNode<Index>,
}

/// A server that goes on entry by entry is compared when it has passed a multiple of it.
const COMPARED_EVERY: u64 = 16;

impl AppliedStateEqual {
    pub(super) fn new(seen: &Seen, replay: &Replay) -> AppliedStateEqual {
        AppliedStateEqual {
            seen: seen.share(),
            replay: replay.clone(),
            ..AppliedStateEqual::default()
        }
    }
}

impl Invariant<Peer> for AppliedStateEqual {
    fn property(&self) -> &'static str {
        "applied-state-equal"
    }

    fn observe(&mut self, cluster: Cluster<'_, Peer>, touched: NodeId) -> Result<(), Violation> {
        if !self.seen.is_news(News::APPLIED, &cluster, touched) {
            return Ok(());
        }
        let book = self.seen.book();
        let last_applied = self.last_applied.of(touched);
        let Some(this) = server(&cluster, touched) else {
            *last_applied = Index::ZERO;
            return Ok(());
        };
        let index = this.last_applied();
        let before = std::mem::replace(last_applied, index);
        let is_due = before.0 / COMPARED_EVERY != index.0 / COMPARED_EVERY;
        if before == index || !(is_due || before < this.log().base() || before == Index::ZERO) {
            return Ok(());
        }
        let machine = this.machine();
        let mut peers = cluster.nodes();
        let other = peers.find_map(|(id, peer)| {
            let other = peer.server()?;
            let differs = other.last_applied() == index && other.machine() != machine;
            differs.then(|| {
                let what = stores(machine.store(), other.machine().store());
                let what = what.unwrap_or_else(|| "their sessions differ".to_owned());
                format!("{touched} and {id} have both applied the log up to {index}: at {touched} {what}")
            })
        });
        let found = other.or_else(|| {
            let difference = |model: &super::replay::Model| model.difference(machine);
            let what = self.replay.at(&book, index, difference).flatten()?;
            Some(format!(
                "{touched} has applied the log up to {index}, but not as its entries say: {what}"
            ))
        });
        drop(book);
        found.map_or(Ok(()), |what| self.violated(what))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{State, observe_all, put, register};
    use super::*;

    fn state(value: &str) -> State {
        let mut state = State::follower(1).log(&[]);
        state
            .server()
            .log
            .splice(Index(1), [register(1), put(1, value)]);
        state.applied(2)
    }

    #[test]
    fn servers_at_the_same_index_are_in_the_same_state() {
        let mut invariant = AppliedStateEqual::default();
        let behind = State::follower(1).log(&[1]);
        let states = [state("1"), behind, state("1")];
        assert_eq!(observe_all(&mut invariant, &states), Ok(()));
        let mut other = state("1");
        other.server().machine = state("2").server().machine.clone();
        let states = [State::down(), other, state("1")];
        let violation = observe_all(&mut invariant, &states).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "applied-state-equal: n2 and n3 have both applied the log up to 2: at n2 x is 2 rather than 1"
        );
    }

    #[test]
    fn a_server_is_in_the_state_that_the_entries_come_to() {
        let mut invariant = AppliedStateEqual::default();
        let states = [State::down(), state("1")];
        assert_eq!(observe_all(&mut invariant, &states), Ok(()));
        let mut other = State::follower(1).installed(2, 1);
        other.server().machine = state("2").server().machine.clone();
        let violation = observe_all(&mut invariant, &[other, State::down()]).unwrap_err();
        assert_eq!(
            violation.to_string(),
            "applied-state-equal: n1 has applied the log up to 2, but not as its entries say: \
             x is 2 rather than 1"
        );
    }
}
