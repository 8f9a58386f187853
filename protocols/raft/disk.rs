//! What of a server's state is in its journal, and what of that is durable.
//!
//! The rest of the server changes its state first and calls [`Disk::persist`] before it sends anything that depends
//! on the change: what is sent after that waits until the change is durable.

use super::Peer;
use super::log::{Index, Log, Term};
use super::record::{self, HardState, Record};
use super::snapshot::Snapshot;
use splitbrain_core::{Context, SyncId};
use std::collections::VecDeque;
use std::sync::Arc;

/// How far the journal says what the server knows.
#[derive(Clone, Copy, Debug)]
struct Mark {
    hard_state: HardState,
    last_index: Index,
}

/// The server's journal, as far as the server needs to remember what is in it.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    /// What the journal says once everything written to it is durable.
    written: Mark,
    /// The log and the written journal agree up to here: at most `written.last_index`.
    agreed: Index,
    /// What it said of the hard state, and up to where it agrees with the log, when it was last known to be durable.
    durable: Mark,
    /// Syncs under way, oldest first, with what each makes durable.
    syncs: VecDeque<(SyncId, Mark)>,
}

impl Disk {
    /// The journal of a server that has just recovered this from it.
    pub(super) fn new(hard_state: HardState, log: &Log) -> Disk {
        let mark = Mark {
            hard_state,
            last_index: log.last_index(),
        };
        Disk {
            written: mark,
            agreed: mark.last_index,
            durable: mark,
            syncs: VecDeque::new(),
        }
    }

    /// The log has changed from this index on, so that what was written there is worth nothing.
    pub(super) fn log_changed(&mut self, from: Index) {
        let kept = from.previous();
        self.agreed = self.agreed.min(kept);
        self.durable.last_index = self.durable.last_index.min(kept);
        for (_, mark) in &mut self.syncs {
            mark.last_index = mark.last_index.min(kept);
        }
    }

    /// Writes whatever has changed, and holds everything that the server sends from now on until that is durable.
    pub(super) fn persist(&mut self, hard_state: HardState, log: &Log, cx: &mut Context<'_, Peer>) {
        let mark = Mark {
            hard_state,
            last_index: log.last_index(),
        };
        let vote_changed = hard_state != self.written.hard_state;
        let truncated = self.agreed < self.written.last_index;
        let appended = self.agreed < mark.last_index;
        if !(vote_changed || truncated || appended) {
            return;
        }
        if vote_changed {
            cx.append(Record::HardState(hard_state));
            cx.append(Record::HardState(hard_state));
        }
        if truncated {
            let from = self.agreed.next();
            cx.append(Record::Truncate { from });
        }
        for entry in log.starting_at(self.agreed.next()) {
            cx.append(Record::Append(entry.clone()));
        }
        self.wrote(mark, cx);
    }

    /// Writes the journal anew, from this snapshot on.
    pub(super) fn rewrite(
        &mut self,
        hard_state: HardState,
        recovering: Option<Term>,
        snapshot: &Arc<Snapshot>,
        log: &Log,
        cx: &mut Context<'_, Peer>,
    ) {
        cx.compact(record::shortest(hard_state, recovering, snapshot, log));
        let last_index = log.last_index();
        self.wrote(
            Mark {
                hard_state,
                last_index,
            },
            cx,
        );
    }

    /// Writes that what was lost has come back. What has come back is written.
    pub(super) fn recovered(&mut self, cx: &mut Context<'_, Peer>) {
        debug_assert_eq!(self.agreed, self.written.last_index);
        cx.append(Record::Recovered);
        self.wrote(self.written, cx);
    }

    fn wrote(&mut self, mark: Mark, cx: &mut Context<'_, Peer>) {
        self.written = mark;
        self.agreed = mark.last_index;
        self.syncs.push_back((cx.sync(), mark));
    }

    /// Everything up to this sync is durable.
    pub(super) fn synced(&mut self, sync: SyncId) {
        while let Some((_, mark)) = self.syncs.pop_front_if(|(earlier, _)| *earlier <= sync) {
            self.durable = mark;
        }
    }

    /// Whether something that was written is not known to be durable.
    pub(super) fn is_busy(&self) -> bool {
        !self.syncs.is_empty()
    }

    /// The term and vote that a restart would find.
    pub(super) fn durable_hard_state(&self) -> HardState {
        self.durable.hard_state
    }

    /// The index up to which a restart would find the log as it is now.
    pub(super) fn durable_index(&self) -> Index {
        self.durable.last_index
    }
}

#[cfg(test)]
mod tests {
    use super::super::log::{Command, Entry, Term};
    use super::*;
    use splitbrain_core::{Effect, NodeId, Purpose, Rng, Seed, Time};

    /// What a disk is persisted through.
    struct Host {
        rng: Rng,
        next_sync: SyncId,
        hard_state: HardState,
        log: Log,
        disk: Disk,
    }

    impl Host {
        fn new() -> Host {
            let node = NodeId::from_index(0);
            let incarnation = 0;
            Host {
                rng: Seed(0).stream(Purpose::Node { node, incarnation }),
                next_sync: SyncId(0),
                hard_state: HardState::default(),
                log: Log::default(),
                disk: Disk::new(HardState::default(), &Log::default()),
            }
        }

        fn write(&mut self, first: u64, terms: &[u64]) {
            let entries = terms.iter().map(|&term| entry(term));
            self.log.splice(Index(first), entries);
            self.disk.log_changed(Index(first));
        }

        /// The records that are written, if there is a sync behind them.
        fn persist(&mut self) -> Option<Vec<Record>> {
            let mut effects = Vec::new();
            let (rng, next_sync) = (&mut self.rng, &mut self.next_sync);
            let id = NodeId::from_index(0);
            let mut cx = Context::new(id, Time::ZERO, rng, next_sync, &mut effects, None);
            self.disk.persist(self.hard_state, &self.log, &mut cx);
            let sync = effects.pop()?;
            assert!(matches!(sync, Effect::Sync(_)), "{sync:?}");
            let record = |effect| match effect {
                Effect::Append(record) => record,
                effect => panic!("{effect:?}"),
            };
            Some(effects.into_iter().map(record).collect())
        }
    }

    fn entry(term: u64) -> Entry {
        Entry::new(Term(term), Command::Noop)
    }

    #[test]
    fn only_what_has_changed_is_written() {
        let mut host = Host::new();
        assert_eq!(host.persist(), None);
        host.hard_state.term = Term(1);
        host.write(1, &[1, 1]);
        let vote = Record::HardState(host.hard_state);
        let append = |term| Record::Append(entry(term));
        let both = vec![vote.clone(), vote, append(1), append(1)];
        assert_eq!(host.persist(), Some(both));
        assert_eq!(host.persist(), None);
        host.write(2, &[2]);
        let truncate = Record::Truncate { from: Index(2) };
        assert_eq!(host.persist(), Some(vec![truncate, append(2)]));
        // Written and truncated before anything was persisted: nobody needs to know.
        host.write(3, &[2, 2]);
        host.write(4, &[3]);
        assert_eq!(host.persist(), Some(vec![append(2), append(3)]));
    }

    #[test]
    fn what_is_overwritten_while_it_is_synced_is_not_durable() {
        let mut host = Host::new();
        host.write(1, &[1, 1, 1]);
        host.persist();
        host.write(2, &[2]);
        host.persist();
        assert_eq!(host.disk.durable_index(), Index::ZERO);
        host.disk.synced(SyncId(0));
        assert_eq!(host.disk.durable_index(), Index(1));
        host.disk.synced(SyncId(1));
        assert_eq!(host.disk.durable_index(), Index(2));
        host.write(2, &[3]);
        assert_eq!(host.disk.durable_index(), Index(1));
    }

    #[test]
    fn a_vote_is_durable_with_its_sync() {
        let mut host = Host::new();
        host.hard_state = HardState {
            term: Term(1),
            voted_for: Some(NodeId::from_index(0)),
        };
        host.persist();
        assert_ne!(host.disk.durable_hard_state(), host.hard_state);
        host.disk.synced(SyncId(0));
        assert_eq!(host.disk.durable_hard_state(), host.hard_state);
    }
}
