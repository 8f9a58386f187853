//! Carrying out what a handler did, in order (law 4).

use super::Running;
use super::pending::Written;
use serde::Serialize;
use splitbrain_core::{Effect, Node, NodeId, OpId, Outcome, SyncError, SyncId};
use std::time::Duration;
use tokio::time::Instant;
use tracing::trace;

/// What waits behind a sync.
pub(super) enum Held<N: Node> {
    /// Everything behind this leaves once the sync is durable.
    Barrier(SyncId),
    Send {
        to: NodeId,
        message: N::Message,
    },
    Complete {
        id: OpId,
        outcome: Outcome<N::Ret>,
    },
}

impl<N> Running<N>
where
    N: Node<Message: Send + 'static, Record: Serialize>,
{
    /// Carries out the effects of the last handler call, and forgets them.
    pub(super) fn carry_out(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            self.carry_out_one(effect);
            if self.halted.is_some() {
                break; // the rest does not happen
            }
        }
        self.effects = effects;
    }

    fn carry_out_one(&mut self, effect: Effect<N>) {
        match effect {
            Effect::Send { to, message } if self.outbox.is_empty() => {
                self.network.send(self.id, to, message);
            }
            Effect::Send { to, message } => self.outbox.push_back(Held::Send { to, message }),
            Effect::SendEager { to, message } => self.network.send(self.id, to, message),
            Effect::Complete { id, outcome } if self.outbox.is_empty() => self.end_op(id, outcome),
            Effect::Complete { id, outcome } => {
                self.outbox.push_back(Held::Complete { id, outcome });
            }
            Effect::SetTimer { timer, after } => {
                let now = Instant::now();
                // A timer that is set for ever is a year late, not early.
                let at = now.checked_add(after);
                let at = at.unwrap_or_else(|| now + Duration::from_hours(365 * 24));
                self.timers.insert(timer, at);
            }
            Effect::CancelTimer(timer) => {
                self.timers.remove(&timer);
            }
            Effect::Append(record) => self.pending.append(&record),
            Effect::Compact(records) => self.pending.compact(&records),
            Effect::Sync(sync) => {
                self.pending.sync(sync);
                self.outbox.push_back(Held::Barrier(sync));
            }
            Effect::Halt(reason) => self.halted = Some(reason),
            Effect::Probe(index) => trace!(probe = N::PROBES[index]),
        }
    }

    /// Begins to make durable what waits for it, if the disk is free.
    pub(super) fn write(&mut self) {
        if self.halted.is_some() || self.writing.is_busy() {
            return;
        }
        if let Some((batch, syncs)) = self.pending.take()
            && let Err(why) = self.writing.begin(batch, syncs)
        {
            self.halted = Some(why);
        }
    }

    /// The disk is done with a batch.
    pub(super) fn written(&mut self, written: Written) {
        self.metrics.batches.inc();
        self.metrics
            .sync_seconds
            .observe(written.took.as_secs_f64());
        match written.result {
            Ok(()) => {
                for sync in written.syncs {
                    if self.halted.is_some() {
                        return;
                    }
                    self.synced(sync);
                }
            }
            Err(error) => self.sync_failed(error),
        }
    }

    fn synced(&mut self, sync: SyncId) {
        self.metrics.syncs.inc();
        let front = self.outbox.pop_front();
        debug_assert!(
            matches!(front, Some(Held::Barrier(first)) if first == sync),
            "syncs become durable in the order of their calls"
        );
        self.release();
        self.call(|node, cx| node.on_synced(sync, cx));
    }

    /// With this sync fails every one that was called until now, and what was to leave behind them is gone.
    fn sync_failed(&mut self, error: SyncError) {
        self.metrics.syncs_failed.inc();
        self.outbox.clear();
        self.pending.clear();
        let last = SyncId(self.next_sync.0.saturating_sub(1));
        self.call(|node, cx| node.on_sync_failed(last, error, cx));
    }

    /// Lets the output leave that waited for the sync whose barrier was just taken away.
    fn release(&mut self) {
        loop {
            match self.outbox.pop_front() {
                Some(Held::Send { to, message }) => self.network.send(self.id, to, message),
                Some(Held::Complete { id, outcome }) => self.end_op(id, outcome),
                Some(barrier @ Held::Barrier(_)) => {
                    self.outbox.push_front(barrier);
                    return;
                }
                None => return,
            }
        }
    }
}
