//! The event queue: ordered by (time, sequence), never by address or hash (law 3).

use slab::Slab;
use splitbrain_core::Time;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

const SLOT_BITS: u32 = 24;
const SEQUENCE_BITS: u32 = 40;

/// Where an event stands in the order of a run: by time, then by the order in which events were scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) at: Time,
    pub(super) sequence: u64,
}

/// Events wait in a slab; the heap moves 16-byte keys only: time, sequence and slot, packed so that one comparison of
/// integers orders them. The slot never decides, as no two keys have the same sequence.
#[derive(Clone, Debug)]
pub(super) struct Queue<E> {
    keys: BinaryHeap<Reverse<u128>>,
    events: Slab<E>,
    next_sequence: u64,
}

/// An event that is no longer in the heap but still in the slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot(u32);

impl<E> Queue<E> {
    pub(super) fn new() -> Queue<E> {
        Queue {
            keys: BinaryHeap::new(),
            events: Slab::new(),
            next_sequence: 0,
        }
    }

    /// Takes the next place among the events of any one instant.
    ///
    /// # Panics
    /// After 2^40 events (days of a run), rather than order events wrongly.
    #[inline]
    pub(super) fn next_position(&mut self, at: Time) -> Position {
        let sequence = self.next_sequence;
        assert!(
            sequence < 1 << SEQUENCE_BITS,
            "a run is limited to 2^40 events"
        );
        self.next_sequence += 1;
        Position { at, sequence }
    }

    /// Schedules an event at a position from [`next_position`](Queue::next_position).
    ///
    /// # Panics
    /// With 2^24 events waiting: a protocol that floods the network ends as a finding, not in an exhausted machine.
    #[inline]
    pub(super) fn push(&mut self, position: Position, event: E) {
        let slot = self.events.insert(event);
        assert!(slot < 1 << SLOT_BITS, "more than 2^24 events are waiting");
        self.requeue(position, Slot(slot as u32));
    }

    /// Puts an event that was popped, and not removed, back into the order.
    #[inline]
    pub(super) fn requeue(&mut self, position: Position, slot: Slot) {
        let Position { at, sequence } = position;
        let low = (u128::from(sequence) << SLOT_BITS) | u128::from(slot.0);
        self.keys
            .push(Reverse((u128::from(at.as_nanos()) << 64) | low));
    }

    /// The next event due at or before `until`. It stays in the slab until it is removed or put back.
    #[inline]
    pub(super) fn pop(&mut self, until: Time) -> Option<(Position, Slot)> {
        let key = self.keys.peek()?.0;
        let at = Time::from_nanos((key >> 64) as u64);
        if at > until {
            return None;
        }
        self.keys.pop();
        let low = key as u64;
        let slot = Slot((low & ((1 << SLOT_BITS) - 1)) as u32);
        Some((
            Position {
                at,
                sequence: low >> SLOT_BITS,
            },
            slot,
        ))
    }

    #[inline]
    pub(super) fn get(&self, slot: Slot) -> &E {
        &self.events[slot.0 as usize]
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> &mut E {
        &mut self.events[slot.0 as usize]
    }

    #[inline]
    pub(super) fn remove(&mut self, slot: Slot) -> E {
        self.events.remove(slot.0 as usize)
    }

    /// How many events there are, those in the backlogs of processes included.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// All waiting events, to change some of them in place (cut messages in flight). Order by slot.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (Slot, &mut E)> {
        self.events
            .iter_mut()
            .map(|(slot, event)| (Slot(slot as u32), event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_time_then_sequence() {
        let mut queue = Queue::new();
        let at = |ms| Time::from_millis(ms);
        for (ms, name) in [(3, 'd'), (1, 'a'), (1, 'b'), (2, 'c')] {
            let position = queue.next_position(at(ms));
            queue.push(position, name);
        }
        let mut seen = String::new();
        while let Some((_, slot)) = queue.pop(at(2)) {
            seen.push(queue.remove(slot));
        }
        assert_eq!(seen, "abc", "and `d` is not due yet");
        assert!(queue.pop(Time::MAX).is_some() && queue.pop(Time::MAX).is_none());
    }

    #[test]
    fn a_later_push_with_an_earlier_position_keeps_its_place() {
        let mut queue = Queue::new();
        let first = queue.next_position(Time::ZERO);
        let second = queue.next_position(Time::ZERO);
        queue.push(second, 2);
        queue.push(first, 1);
        let (position, slot) = queue.pop(Time::ZERO).unwrap();
        assert_eq!((position, queue.remove(slot)), (first, 1));
    }
}
