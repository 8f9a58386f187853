//! What of a server's state is in its journal, and what of that is durable.
//!
//! The rest of the server changes its state first and calls [`Disk::persist`] before it sends anything that depends
//! on the change: what is sent after that waits until the change is durable.

use super::Peer;
use super::log::{Index, Log};
use super::record::{HardState, Record};
use splitbrain_core::{Context, SyncId};
use std::collections::VecDeque;

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
        }
        if truncated {
            let from = self.agreed.next();
            cx.append(Record::Truncate { from });
        }
        for entry in log.starting_at(self.agreed.next()) {
            cx.append(Record::Append(entry.clone()));
        }
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

    /// The term and vote that a restart would find.
    pub(super) fn durable_hard_state(&self) -> HardState {
        self.durable.hard_state
    }

    /// The index up to which a restart would find the log as it is now.
    pub(super) fn durable_index(&self) -> Index {
        self.durable.last_index
    }
}
