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

/// What orders an event: its time, its sequence and its slot, packed so that one comparison of integers does it. The slot
/// never decides, as no two keys have the same sequence.
type Key = u128;

/// In place of a key where there is none: later than all.
const NONE: Key = Key::MAX;

fn time_of(key: Key) -> Time {
    Time::from_nanos((key >> 64) as u64)
}

/// Events wait in a slab; what is moved to order them are their keys, 16 bytes each. The first key is the first of `near` or
/// of `far`, so either may hold any of them: where a key is decides how long it takes to find it, never the order.
#[derive(Clone, Debug)]
pub(super) struct Queue<E> {
    /// Once many events have waited: for a few, a heap is as fast, and a world is made sooner.
    near: Option<Box<Near>>,
    far: BinaryHeap<Reverse<Key>>,
    events: Slab<E>,
    next_sequence: u64,
}

/// How many keys the heap alone is good for.
const FEW: usize = 32;

const BUCKETS: u64 = 128;
/// A bucket is 131 microseconds, and all of them 17 ms: as long as most messages are under way.
const BUCKET_NS_BITS: u32 = 17;
const ROOM: usize = 4;

/// Keys of the next 17 ms in buckets by their time: in and out in a few steps that depend on no key.
#[derive(Clone, Debug)]
struct Near {
    /// The bucket of the last event that was taken, by its time: all keys are in this one and the `BUCKETS` - 1 after it.
    first: u64,
    /// A bit for each bucket that has keys.
    occupied: u128,
    /// By time, round and round. Keys in order, then `NONE`.
    buckets: [[Key; ROOM]; BUCKETS as usize],
}

impl Near {
    fn new() -> Near {
        Near {
            first: 0,
            occupied: 0,
            buckets: [[NONE; ROOM]; BUCKETS as usize],
        }
    }

    /// Takes a key in, and returns the one for which there is no room then, or `NONE`.
    #[inline]
    fn push(&mut self, key: Key) -> Key {
        let number = time_of(key).as_nanos() >> BUCKET_NS_BITS;
        if number.wrapping_sub(self.first) >= BUCKETS {
            return key;
        }
        let place = number % BUCKETS;
        self.occupied |= 1 << place;
        let mut rest = key;
        for slot in &mut self.buckets[place as usize] {
            (*slot, rest) = ((*slot).min(rest), (*slot).max(rest));
        }
        rest
    }

    /// The first key, or `NONE`, and the place of its bucket.
    #[inline]
    fn peek(&self) -> (Key, usize) {
        let first = self.first % BUCKETS;
        let ahead = self.occupied.rotate_right(first as u32).trailing_zeros();
        // Without any, this is the first bucket, which is empty.
        let place = ((first + u64::from(ahead)) % BUCKETS) as usize;
        (self.buckets[place][0], place)
    }

    /// Takes the first key out of this bucket.
    #[inline]
    fn remove(&mut self, place: usize) {
        let bucket = &mut self.buckets[place];
        bucket.copy_within(1.., 0);
        bucket[ROOM - 1] = NONE;
        let is_empty = bucket[0] == NONE;
        self.occupied &= !(u128::from(is_empty) << place);
    }

    /// No event before this time is left.
    #[inline]
    fn advance(&mut self, now: Time) {
        self.first = self.first.max(now.as_nanos() >> BUCKET_NS_BITS);
    }
}

/// An event that is no longer in the heap but still in the slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot(u32);

impl<E> Queue<E> {
    pub(super) fn new() -> Queue<E> {
        Queue {
            near: None,
            far: BinaryHeap::new(),
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
            sequence < (1 << SEQUENCE_BITS) - 1, // the last one could make a key `NONE`
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
        let key = (u128::from(at.as_nanos()) << 64) | low;
        let rest = match &mut self.near {
            Some(near) => near.push(key),
            None => key,
        };
        if rest != NONE {
            self.push_far(rest);
        }
    }

    fn push_far(&mut self, key: Key) {
        self.far.push(Reverse(key));
        if self.near.is_none() && self.far.len() > FEW {
            self.near = Some(Box::new(Near::new()));
        }
    }

    /// The next event due at or before `until`. It stays in the slab until it is removed or put back.
    #[inline]
    pub(super) fn pop(&mut self, until: Time) -> Option<(Position, Slot)> {
        let far = self.far.peek().map_or(NONE, |key| key.0);
        let (near, place) = self.near.as_ref().map_or((NONE, 0), |near| near.peek());
        let key = near.min(far);
        let at = time_of(key);
        if key == NONE || at > until {
            return None;
        }
        if near > far {
            self.far.pop();
        }
        if let Some(buckets) = &mut self.near {
            if near < far {
                buckets.remove(place);
            }
            buckets.advance(at);
        }
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
    use splitbrain_core::{Purpose, Seed};
    use std::collections::BTreeSet;

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

    /// Many at one instant, some soon, some much later, some before what was taken last, a few long gone: of many and of few.
    #[test]
    fn order_is_that_of_a_sorted_set() {
        for seed in 0..40 {
            let mut rng = Seed(seed).stream(Purpose::User(0));
            let (mut queue, mut sorted) = (Queue::new(), BTreeSet::new());
            let most = if seed % 2 == 0 { 300 } else { 20 };
            let mut now = 0;
            for _ in 0..20_000 {
                if sorted.len() < most && rng.below(100) < 52 {
                    let at = match rng.below(8) {
                        0 => now,
                        1 => now + rng.below(200),
                        2 => now + rng.below(2_000_000_000),
                        3 => now.saturating_sub(rng.below(40_000_000)),
                        _ => now + rng.below(20_000_000),
                    };
                    let position = queue.next_position(Time::from_nanos(at));
                    queue.push(position, position);
                    sorted.insert(position);
                    continue;
                }
                let until = Time::from_nanos(now + rng.below(30_000_000));
                let due = sorted.first().copied().filter(|first| first.at <= until);
                let popped = queue.pop(until).map(|(position, slot)| {
                    assert_eq!(queue.remove(slot), position, "its own event");
                    position
                });
                assert_eq!(popped, due);
                match popped {
                    Some(position) => {
                        sorted.remove(&position);
                        now = now.max(position.at.as_nanos());
                    }
                    None => now = until.as_nanos(),
                }
            }
            assert_eq!(queue.near.is_some(), most > FEW);
        }
    }
}
