//! The disk of one node: a journal of records, of which a prefix is durable.

use splitbrain_core::{Journal, SyncId, Time};

/// Where a sync was called: everything before this place becomes durable with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    /// Number of the segment; segments are numbered from the start of the run.
    segment: u64,
    len: usize,
    pub(super) sync: SyncId,
}

/// The records since the start, or since one `compact`.
#[derive(Clone, Debug)]
struct Segment<R> {
    number: u64,
    records: Vec<R>,
    /// How many of `records` are durable.
    durable: usize,
    /// Whether a sync after the `compact` that began this segment is durable. Until then a restart finds the segment
    /// before it: a compaction is atomic.
    committed: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Disk<R> {
    /// Invariant: never empty; the first is committed, and it is the only one that is: older ones are dropped when a
    /// later one commits.
    segments: Vec<Segment<R>>,
    /// When the last sync that was called will be durable: syncs complete in order.
    pub(super) busy_until: Time,
}

impl<R: Clone> Disk<R> {
    pub(super) fn empty() -> Disk<R> {
        let first = Segment {
            number: 0,
            records: Vec::new(),
            durable: 0,
            committed: true,
        };
        Disk {
            segments: vec![first],
            busy_until: Time::ZERO,
        }
    }

    fn current(&mut self) -> &mut Segment<R> {
        self.segments.last_mut().expect("a disk has a segment")
    }

    pub(super) fn append(&mut self, record: R) {
        self.current().records.push(record);
    }

    pub(super) fn compact(&mut self, records: Vec<R>) {
        let number = self.current().number + 1;
        self.segments.push(Segment {
            number,
            records,
            durable: 0,
            committed: false,
        });
    }

    pub(super) fn mark(&mut self, sync: SyncId) -> Mark {
        let current = self.current();
        Mark {
            segment: current.number,
            len: current.records.len(),
            sync,
        }
    }

    pub(super) fn durable(&mut self, mark: Mark) {
        let Some(at) = self
            .segments
            .iter()
            .position(|segment| segment.number == mark.segment)
        else {
            return; // compacted away, and that is durable already
        };
        self.segments.drain(..at);
        let segment = &mut self.segments[0];
        segment.committed = true;
        segment.durable = segment.durable.max(mark.len);
    }

    /// Whether there are records that a crash would lose.
    pub(super) fn has_unsynced(&self) -> bool {
        self.segments
            .iter()
            .any(|segment| !segment.committed || segment.durable < segment.records.len())
    }

    /// The power fails: what is not durable is gone.
    pub(super) fn crash(&mut self) {
        self.segments.truncate(1);
        let segment = &mut self.segments[0];
        debug_assert!(segment.committed, "the oldest segment is the committed one");
        segment.records.truncate(segment.durable);
        self.busy_until = Time::ZERO;
    }

    /// What a restart finds. To be called after [`crash`](Disk::crash) or on a new disk.
    pub(super) fn journal(&self) -> Journal<R> {
        Journal::from_records(self.segments[0].records.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(disk: &Disk<u32>) -> Vec<u32> {
        let mut after = disk.clone();
        after.crash();
        after.journal().into_iter().collect()
    }

    #[test]
    fn a_crash_keeps_exactly_what_was_synced() {
        let mut disk = Disk::empty();
        disk.append(1);
        let first = disk.mark(SyncId(0));
        disk.append(2);
        assert!(found(&disk).is_empty());
        disk.durable(first);
        assert_eq!(found(&disk), [1], "2 came after the sync was called");
    }

    #[test]
    fn a_compaction_is_atomic() {
        let mut disk = Disk::empty();
        disk.append(1);
        let before = disk.mark(SyncId(0));
        disk.compact(vec![10]);
        disk.append(11);
        let within = disk.mark(SyncId(1));
        disk.compact(vec![20]);
        assert!(found(&disk).is_empty());
        disk.durable(before);
        assert_eq!(found(&disk), [1]);
        disk.durable(within);
        assert_eq!(found(&disk), [10, 11]);
        let after = disk.mark(SyncId(2));
        disk.durable(after);
        assert_eq!(found(&disk), [20]);
        disk.durable(within);
        assert_eq!(
            found(&disk),
            [20],
            "a late completion of an older sync changes nothing"
        );
    }
}
