//! What waits to be sent along one connection.

use splitbrain_core::NodeId;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// A message on its way from a node to a node.
pub(super) type Leaving<M> = (NodeId, NodeId, M);

/// A queue of bounded length, in which what is new takes the place of what is oldest: whoever has waited longest is the least missed.
#[derive(Debug)]
pub(super) struct Outbox<M> {
    waiting: Mutex<VecDeque<Leaving<M>>>,
    /// Wakes the one task that takes from it.
    filled: Notify,
    most: usize,
}

impl<M> Outbox<M> {
    pub(super) fn new(most: usize) -> Outbox<M> {
        Outbox {
            waiting: Mutex::default(),
            filled: Notify::new(),
            most: most.max(1),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Leaving<M>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message. Returns how many had to go for it.
    pub(super) fn push(&self, message: Leaving<M>) -> u64 {
        let mut waiting = self.waiting();
        let full = waiting.len() >= self.most;
        if full {
            waiting.pop_front();
        }
        waiting.push_back(message);
        drop(waiting);
        self.filled.notify_one();
        u64::from(full)
    }

    /// Takes everything that waits, as soon as something does.
    pub(super) async fn take(&self) -> VecDeque<Leaving<M>> {
        loop {
            let taken = std::mem::take(&mut *self.waiting());
            if !taken.is_empty() {
                return taken;
            }
            self.filled.notified().await;
        }
    }

    /// Forgets what waits. Returns how many messages that were.
    pub(super) fn clear(&self) -> u64 {
        std::mem::take(&mut *self.waiting()).len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_goes_first_when_it_is_full() {
        let outbox = Outbox::new(2);
        let message = |number| (NodeId::from_index(0), NodeId::from_index(1), number);
        let lost: Vec<u64> = (1..=3).map(|number| outbox.push(message(number))).collect();
        assert_eq!(lost, [0, 0, 1]);
        let taken = outbox.take().await;
        assert_eq!(taken, [message(2), message(3)]);
        assert_eq!(outbox.clear(), 0);
    }
}
