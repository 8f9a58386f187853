//! The disk of one node: a journal of records, of which a prefix is durable.

use serde::{Deserialize, Serialize};
use splitbrain_core::{Damage, Journal, SyncError, SyncId, Time};
use std::collections::BTreeSet;
use std::fmt;

/// What a crash leaves of the records that were appended and not synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unsynced {
    /// Nothing: what real disks do most of the time, and what most tests assume.
    #[default]
    Lost,
    /// The first so many are there after all: nobody may rely on it, or on the contrary.
    Kept(u32),
    /// The first so many are there, and the one behind them is torn.
    Torn(u32),
}

/// To follow `crash n1`; nothing for what is usual.
impl fmt::Display for Unsynced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unsynced::Lost => Ok(()),
            Unsynced::Kept(records) => write!(f, ", {records} unsynced records kept"),
            Unsynced::Torn(records) => write!(f, ", {records} unsynced records kept, one torn"),
        }
    }
}

/// Where a sync was called: everything before this place becomes durable with it.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// Number of the segment; segments are numbered from the start of the run.
    segment: u64,
    len: usize,
    /// Which sync.
    pub sync: SyncId,
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

/// The disk of one node.
#[derive(Clone, Debug)]
pub struct Disk<R> {
    /// Invariant: never empty; the first is committed, and it is the only one that is: older ones are dropped when a
    /// later one commits.
    segments: Vec<Segment<R>>,
    /// When the last sync that was called will be durable: syncs complete in order.
    pub busy_until: Time,
    /// The records of the committed segment that can no longer be read.
    corrupt: BTreeSet<usize>,
    /// Whether the last crash tore the record behind the last one. The next start is told, and cuts it off.
    torn: bool,
    /// How many faults make syncs fail now.
    pub(super) failing: u32,
    /// How many faults fill the disk now: the journal that is durable fits, a longer one does not.
    pub(super) full: u32,
}

impl<R: Clone> Disk<R> {
    /// A disk with these records on it.
    pub fn new(records: Vec<R>) -> Disk<R> {
        Disk {
            segments: vec![Segment {
                number: 0,
                durable: records.len(),
                records,
                committed: true,
            }],
            busy_until: Time::ZERO,
            corrupt: BTreeSet::new(),
            torn: false,
            failing: 0,
            full: 0,
        }
    }

    fn current(&mut self) -> &mut Segment<R> {
        self.segments.last_mut().expect("a disk has a segment")
    }

    /// Adds a record to the end.
    pub fn append(&mut self, record: R) {
        self.current().records.push(record);
    }

    /// Replaces everything, as soon as that is durable.
    pub fn compact(&mut self, records: Vec<R>) {
        let number = self.current().number + 1;
        self.segments.push(Segment {
            number,
            records,
            durable: 0,
            committed: false,
        });
    }

    /// A sync is called now.
    pub fn mark(&mut self, sync: SyncId) -> Mark {
        let current = self.current();
        Mark {
            segment: current.number,
            len: current.records.len(),
            sync,
        }
    }

    /// Whether a fault of it lasts: it fails, or is full.
    pub(super) fn is_faulty(&self) -> bool {
        self.failing + self.full > 0
    }

    /// Why this sync cannot become durable, if it cannot.
    #[inline]
    pub(super) fn failure(&self, mark: Mark) -> Option<SyncError> {
        if self.failing > 0 {
            return Some(SyncError::Device);
        }
        let longer = || mark.len > self.segments[0].durable;
        (self.full > 0 && longer()).then_some(SyncError::Full)
    }

    /// What was there at this mark is durable.
    pub fn durable(&mut self, mark: Mark) {
        let Some(at) = self
            .segments
            .iter()
            .position(|segment| segment.number == mark.segment)
        else {
            return; // compacted away, and that is durable already
        };
        if at > 0 {
            self.segments.drain(..at);
            // What could not be read was replaced.
            self.corrupt.clear();
        }
        let segment = &mut self.segments[0];
        segment.committed = true;
        segment.durable = segment.durable.max(mark.len);
    }

    /// Whether there are records that a crash would lose.
    pub fn has_unsynced(&self) -> bool {
        self.segments
            .iter()
            .any(|segment| !segment.committed || segment.durable < segment.records.len())
    }

    /// A sync has failed: what was not durable is now, up to a place that nobody knows, and the rest is gone for good. What is
    /// appended from now on comes behind that. Returns how many records are gone.
    pub(super) fn fail(&mut self, error: SyncError, draw: u64) -> usize {
        let compacted: usize = self.segments[1..].iter().map(|s| s.records.len()).sum();
        self.segments.truncate(1);
        let segment = &mut self.segments[0];
        let limbo = (segment.records.len() - segment.durable) as u64;
        let kept = match error {
            SyncError::Device => ((u128::from(draw) * u128::from(limbo + 1)) >> 64) as usize,
            SyncError::Full => 0,
        };
        segment.durable += kept;
        segment.records.truncate(segment.durable);
        self.busy_until = Time::ZERO;
        limbo as usize - kept + compacted
    }

    /// The power fails: what is not durable is gone, but for what the disk kept by chance. Returns how many records are
    /// lost.
    pub fn crash(&mut self, unsynced: Unsynced) -> usize {
        let compacted: usize = self.segments[1..].iter().map(|s| s.records.len()).sum();
        self.segments.truncate(1);
        let segment = &mut self.segments[0];
        debug_assert!(segment.committed, "the oldest segment is the committed one");
        let limbo = segment.records.len() - segment.durable;
        let kept = match unsynced {
            Unsynced::Lost => 0,
            Unsynced::Kept(kept) => limbo.min(kept as usize),
            Unsynced::Torn(kept) => limbo.saturating_sub(1).min(kept as usize),
        };
        self.torn = limbo > kept && matches!(unsynced, Unsynced::Torn(_));
        segment.durable += kept;
        segment.records.truncate(segment.durable);
        self.busy_until = Time::ZERO;
        limbo - kept + compacted
    }

    /// Everything on it is gone.
    pub fn wipe(&mut self) {
        let segment = &mut self.segments[0];
        segment.records.clear();
        segment.durable = 0;
        self.corrupt.clear();
        self.torn = false;
    }

    /// Makes a durable record unreadable. Returns whether there is such a record, and it could be read.
    pub(super) fn corrupt(&mut self, position: usize) -> bool {
        position < self.durable_len() && self.corrupt.insert(position)
    }

    pub(super) fn is_corrupt(&self, position: usize) -> bool {
        self.corrupt.contains(&position)
    }

    /// How many records a restart would find.
    pub fn durable_len(&self) -> usize {
        self.segments[0].durable
    }

    /// What a restart finds. To be called after [`crash`](Disk::crash) or on a new disk. Whoever reads a torn record cuts it
    /// off.
    pub fn journal(&mut self) -> Journal<R> {
        let torn = std::mem::take(&mut self.torn);
        let record = |(position, record): (usize, &R)| {
            if self.corrupt.contains(&position) {
                Err(Damage::Corrupt)
            } else {
                Ok(record.clone())
            }
        };
        let records = self.segments[0].records.iter().enumerate().map(record);
        records.chain(torn.then_some(Err(Damage::Torn))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(disk: &Disk<u32>, unsynced: Unsynced) -> Vec<Result<u32, Damage>> {
        let mut after = disk.clone();
        after.crash(unsynced);
        after.journal().into_iter().collect()
    }

    fn found(disk: &Disk<u32>) -> Vec<u32> {
        let found = after(disk, Unsynced::Lost);
        found.into_iter().map(Result::unwrap).collect()
    }

    #[test]
    fn a_crash_keeps_exactly_what_was_synced() {
        let mut disk = Disk::new(Vec::new());
        disk.append(1);
        let first = disk.mark(SyncId(0));
        disk.append(2);
        assert!(found(&disk).is_empty());
        disk.durable(first);
        assert_eq!(found(&disk), [1], "2 came after the sync was called");
    }

    #[test]
    fn a_compaction_is_atomic() {
        let mut disk = Disk::new(Vec::new());
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

    #[test]
    fn an_unsynced_tail_is_lost_kept_or_torn() {
        let mut disk = Disk::new(vec![1]);
        (2..5).for_each(|record| disk.append(record));
        assert_eq!(after(&disk, Unsynced::Lost), [Ok(1)]);
        assert_eq!(after(&disk, Unsynced::Kept(2)), [Ok(1), Ok(2), Ok(3)]);
        assert_eq!(
            after(&disk, Unsynced::Torn(1)),
            [Ok(1), Ok(2), Err(Damage::Torn)]
        );
        let all = [Ok(1), Ok(2), Ok(3), Ok(4)];
        assert_eq!(after(&disk, Unsynced::Kept(9)), all);
        let torn_at_the_end = [Ok(1), Ok(2), Ok(3), Err(Damage::Torn)];
        assert_eq!(after(&disk, Unsynced::Torn(9)), torn_at_the_end);
        let idle = Disk::new(vec![1]);
        assert_eq!(after(&idle, Unsynced::Torn(0)), [Ok(1)], "nothing to tear");
        disk.crash(Unsynced::Torn(0));
        assert_eq!(disk.journal().damage().count(), 1);
        assert_eq!(
            disk.journal().damage().count(),
            0,
            "who reads it cuts it off"
        );
    }

    #[test]
    fn corruption_hits_durable_records_and_ends_with_a_compaction() {
        let mut disk = Disk::new(vec![1, 2, 3]);
        disk.append(4);
        assert!(disk.corrupt(1) && !disk.corrupt(1) && !disk.corrupt(3));
        assert_eq!(
            after(&disk, Unsynced::Lost),
            [Ok(1), Err(Damage::Corrupt), Ok(3)]
        );
        disk.compact(vec![9]);
        let mark = disk.mark(SyncId(0));
        assert_eq!(after(&disk, Unsynced::Lost).len(), 3);
        disk.durable(mark);
        assert_eq!(found(&disk), [9]);
        disk.wipe();
        assert!(found(&disk).is_empty());
    }

    #[test]
    fn after_a_failed_sync_anything_may_be_there_and_later_records_follow_that() {
        let mut lengths = BTreeSet::new();
        for draw in [0, u64::MAX / 2, u64::MAX] {
            let mut disk = Disk::new(vec![1]);
            disk.append(2);
            disk.append(3);
            let failed = disk.mark(SyncId(0));
            disk.failing = 1;
            assert_eq!(disk.failure(failed), Some(SyncError::Device));
            disk.fail(SyncError::Device, draw);
            lengths.insert(found(&disk).len());
            disk.failing = 0;
            disk.append(4);
            let later = disk.mark(SyncId(1));
            disk.durable(later);
            let found = found(&disk);
            assert_eq!((found[0], found.last()), (1, Some(&4)));
        }
        assert_eq!(lengths, BTreeSet::from([1, 2, 3]));
    }

    #[test]
    fn a_full_disk_takes_nothing_more_and_can_be_compacted() {
        let mut disk = Disk::new(vec![1, 2]);
        disk.full = 1;
        disk.append(3);
        let longer = disk.mark(SyncId(0));
        assert_eq!(disk.failure(longer), Some(SyncError::Full));
        disk.fail(SyncError::Full, u64::MAX);
        assert_eq!(found(&disk), [1, 2]);
        disk.compact(vec![12]);
        let shorter = disk.mark(SyncId(1));
        assert_eq!(disk.failure(shorter), None);
        disk.durable(shorter);
        assert_eq!(found(&disk), [12]);
    }
}
