//! The timers of one node: one slot per kind, setting replaces.

use super::queue::Position;
use splitbrain_core::Time;

/// A timer that has been set at least once. A protocol has few kinds, so slots are a list.
#[derive(Clone, Debug)]
struct TimerSlot<T> {
    kind: T,
    /// When it runs out; `None` when it is not armed.
    deadline: Option<Position>,
    /// Where its one valid entry in the event queue stands, if it has one. A timer that is moved later keeps its
    /// early entry, which moves on when it is reached: a heartbeat that re-arms an election timer costs no queue
    /// operation. Invariant: armed implies that an entry is queued at or before the deadline.
    queued: Option<Position>,
}

#[derive(Clone, Debug)]
pub(super) struct Timers<T> {
    slots: Vec<TimerSlot<T>>,
}

/// What to do with a timer's entry that was reached in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached<T> {
    /// It has run out.
    Fire(T),
    /// It was moved: put the entry back, here.
    Requeue(Position),
    /// It was disarmed, or another entry stands for it.
    Stale,
}

impl<T: Copy + Ord> Timers<T> {
    pub(super) fn new() -> Timers<T> {
        Timers { slots: Vec::new() }
    }

    pub(super) fn clear(&mut self) {
        self.slots.clear();
    }

    /// Arms the timer. If an entry must be queued at `deadline`, returns the number of the slot to put into it.
    #[inline]
    pub(super) fn set(&mut self, kind: T, deadline: Position) -> Option<u32> {
        let known = self.slots.iter().position(|slot| slot.kind == kind);
        let number = known.unwrap_or_else(|| {
            self.slots.push(TimerSlot {
                kind,
                deadline: None,
                queued: None,
            });
            self.slots.len() - 1
        });
        let slot = &mut self.slots[number];
        slot.deadline = Some(deadline);
        if slot.queued.is_some_and(|queued| queued <= deadline) {
            return None;
        }
        slot.queued = Some(deadline);
        Some(number as u32)
    }

    pub(super) fn cancel(&mut self, kind: T) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.kind == kind) {
            slot.deadline = None;
        }
    }

    /// The timers that are armed, and when they run out.
    pub(super) fn armed(&self) -> impl Iterator<Item = (T, Time)> + '_ {
        let armed = |slot: &TimerSlot<T>| Some((slot.kind, slot.deadline?.at));
        self.slots.iter().filter_map(armed)
    }

    /// Whether the entry of this slot at this position is one that would fire.
    pub(super) fn is_due(&self, number: u32, position: Position) -> bool {
        let slot = self.slots.get(number as usize);
        slot.is_some_and(|slot| {
            slot.queued == Some(position) && slot.deadline.is_some_and(|due| due <= position)
        })
    }

    /// The entry of this slot at this position was reached.
    #[inline]
    pub(super) fn reached(&mut self, number: u32, position: Position) -> Reached<T> {
        let Some(slot) = self.slots.get_mut(number as usize) else {
            return Reached::Stale;
        };
        if slot.queued != Some(position) {
            return Reached::Stale;
        }
        slot.queued = None;
        match slot.deadline {
            None => Reached::Stale,
            Some(deadline) if deadline > position => {
                slot.queued = Some(deadline);
                Reached::Requeue(deadline)
            }
            Some(_) => {
                slot.deadline = None;
                Reached::Fire(slot.kind)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(ms: u64, sequence: u64) -> Position {
        Position {
            at: Time::from_millis(ms),
            sequence,
        }
    }

    #[test]
    fn moving_later_reuses_the_entry_and_moving_earlier_replaces_it() {
        let mut timers = Timers::new();
        assert_eq!(timers.set('e', position(10, 0)), Some(0));
        assert_eq!(timers.set('e', position(20, 1)), None);
        assert_eq!(
            timers.reached(0, position(10, 0)),
            Reached::Requeue(position(20, 1))
        );
        assert_eq!(timers.set('e', position(15, 2)), Some(0));
        assert_eq!(timers.reached(0, position(15, 2)), Reached::Fire('e'));
        assert_eq!(timers.reached(0, position(20, 1)), Reached::Stale);
    }

    #[test]
    fn a_cancelled_timer_is_silent_and_can_be_set_again() {
        let mut timers = Timers::new();
        timers.set('e', position(10, 0));
        timers.cancel('e');
        assert_eq!(timers.set('h', position(5, 1)), Some(1));
        assert_eq!(
            timers.set('e', position(12, 2)),
            None,
            "the entry at 10 ms still stands for it"
        );
        assert_eq!(
            timers.reached(0, position(10, 0)),
            Reached::Requeue(position(12, 2))
        );
        timers.cancel('e');
        assert_eq!(timers.reached(0, position(12, 2)), Reached::Stale);
        assert_eq!(timers.set('e', position(13, 3)), Some(0));
    }
}
