//! What surrounds one node: its timers, its disk, and the output that waits behind a sync.

use splitbrain::{
    Context, Damage, Effect, Journal, Node, NodeId, Purpose, Rng, Seed, SyncId, Time,
};
use std::collections::{BTreeSet, VecDeque};

/// The part of a node's host that a script needs.
pub(super) struct Process<N: Node> {
    id: NodeId,
    incarnation: u32,
    rng: Rng,
    next_sync: SyncId,
    /// Armed timers. When they would run out does not matter: the script says so.
    pub(super) timers: BTreeSet<N::Timer>,
    durable: Vec<Result<N::Record, Damage>>,
    /// Records, syncs and output in the order in which the node produced them: a record waits for the first sync
    /// behind it, output for the last one before it. That is the whole of "output is FIFO behind `sync()`".
    queue: VecDeque<Effect<N>>,
}

impl<N: Node> Process<N> {
    pub(super) fn new(id: NodeId, formatted: Vec<N::Record>) -> Process<N> {
        Process {
            id,
            incarnation: 0,
            rng: stream(id, 0),
            next_sync: SyncId(0),
            timers: BTreeSet::new(),
            durable: formatted.into_iter().map(Ok).collect(),
            queue: VecDeque::new(),
        }
    }

    /// Runs a handler; returns what it gave, its effects and its notes.
    pub(super) fn call<R>(
        &mut self,
        now: Time,
        handler: impl FnOnce(&mut Context<'_, N>) -> R,
    ) -> (R, Vec<Effect<N>>, Vec<String>) {
        let (mut effects, mut notes) = (Vec::new(), Vec::new());
        let mut cx = Context::new(
            self.id,
            now,
            &mut self.rng,
            &mut self.next_sync,
            &mut effects,
            Some(&mut notes),
        );
        let result = handler(&mut cx);
        (result, effects, notes)
    }

    /// Whether a sync is pending, so that output is held.
    pub(super) fn holds(&self) -> bool {
        self.queue
            .iter()
            .any(|effect| matches!(effect, Effect::Sync(_)))
    }

    /// Puts a record, a sync, or output that is held behind one, at the end of the queue.
    pub(super) fn push(&mut self, effect: Effect<N>) {
        self.queue.push_back(effect);
    }

    /// Makes the first pending sync durable: returns it, and the output that it alone held.
    pub(super) fn synced(&mut self) -> Option<(SyncId, Vec<Effect<N>>)> {
        if !self.holds() {
            return None;
        }
        let sync = loop {
            match self.queue.pop_front()? {
                Effect::Append(record) => self.durable.push(Ok(record)),
                Effect::Compact(records) => {
                    self.durable = records.into_iter().map(Ok).collect();
                }
                Effect::Sync(sync) => break sync,
                _ => unreachable!("output before the first sync has left"),
            }
        };
        let mut left = Vec::new();
        let mut kept = VecDeque::new();
        while let Some(effect) = self.queue.pop_front() {
            match effect {
                Effect::Sync(_) => {
                    kept.push_back(effect);
                    kept.append(&mut self.queue);
                }
                Effect::Append(_) | Effect::Compact(_) => kept.push_back(effect),
                output => left.push(output),
            }
        }
        self.queue = kept;
        Some((sync, left))
    }

    /// Forgets everything but what is durable; returns how many records are lost and how many outputs never left.
    pub(super) fn crash(&mut self) -> (usize, usize) {
        self.incarnation += 1;
        self.rng = stream(self.id, self.incarnation);
        self.next_sync = SyncId(0);
        self.timers.clear();
        let (mut records, mut outputs) = (0, 0);
        for effect in self.queue.drain(..) {
            match effect {
                Effect::Append(_) | Effect::Compact(_) => records += 1,
                Effect::Sync(_) => {}
                _ => outputs += 1,
            }
        }
        (records, outputs)
    }

    /// Nothing is left on its disk.
    pub(super) fn wipe(&mut self) {
        self.durable.clear();
    }

    /// The record at this position on its disk cannot be read any more. Whether there is one.
    pub(super) fn corrupt(&mut self, position: usize) -> bool {
        let record = self.durable.get_mut(position);
        record
            .map(|record| *record = Err(Damage::Corrupt))
            .is_some()
    }

    /// What is on its disk, and durable.
    pub(super) fn durable(&self) -> &[Result<N::Record, Damage>] {
        &self.durable
    }

    pub(super) fn is_new(&self) -> bool {
        self.incarnation == 0
    }

    /// What a restart finds.
    pub(super) fn journal(&self) -> Journal<N::Record> {
        self.durable.iter().cloned().collect()
    }
}

fn stream(node: NodeId, incarnation: u32) -> Rng {
    Seed(0).stream(Purpose::Node { node, incarnation })
}
