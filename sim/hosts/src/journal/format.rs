//! What a journal is made of, byte by byte, and what can still be read of one.
//!
//! ```text
//! file    = header, header, (record | mark)*
//! header  = "splitjnl", salt u64, check u64                            twice, so that one may be damaged
//! record  = length u32, ordinal u64, durable u64, check of the payload u64, check of the head u64, payload
//! mark    = the head of a record whose length is u32::MAX, without a payload
//! ```
//!
//! Numbers are little-endian, checks are XXH3 keyed with the salt. Records are numbered from zero: so it is known how many of them
//! are gone where a head cannot be read. Each head also says how many records were durable when it was written, and after each
//! sync a mark says so. That is how a record that rotted is told from one that a crash cut short, as in
//! Protocol-Aware Recovery (Alagappan et al., FAST 2018, §3.3): what was durable, and cannot be read, is corrupt; the rest,
//! from the first record that cannot be read, was never confirmed to anybody, and is cut off.
//!
//! The salt is drawn for each file. What looks like a record without knowing it, in the value of a key or in a block of the disk
//! that was another file's, is none.

use std::ops::Range;
use xxhash_rust::xxh3::xxh3_64_with_seed;

const MAGIC: &[u8; 8] = b"splitjnl";
const HEADER_BYTES: usize = 24;
/// Where the records begin.
pub(super) const BODY: usize = 2 * HEADER_BYTES;
/// What a record takes besides its payload.
pub(super) const HEAD_BYTES: usize = 36;
/// The length of a mark, which no record has.
const MARK: u32 = u32::MAX;

/// The bytes that a file with this salt begins with.
pub(super) fn header(salt: u64) -> [u8; BODY] {
    let mut bytes = [0; BODY];
    for copy in bytes.chunks_exact_mut(HEADER_BYTES) {
        copy[..8].copy_from_slice(MAGIC);
        copy[8..16].copy_from_slice(&salt.to_le_bytes());
        let check = xxh3_64_with_seed(&copy[..16], 0);
        copy[16..].copy_from_slice(&check.to_le_bytes());
    }
    bytes
}

/// Adds a record, unless it is too long for one. Returns whether it was added.
pub(super) fn put_record(
    into: &mut Vec<u8>,
    salt: u64,
    ordinal: u64,
    durable: u64,
    payload: &[u8],
) -> bool {
    match u32::try_from(payload.len()) {
        Ok(length) if length != MARK => {
            let check = xxh3_64_with_seed(payload, salt);
            put_head(into, salt, length, ordinal, durable, check);
            into.extend_from_slice(payload);
            true
        }
        _ => false,
    }
}

/// Adds a mark: the first `durable` records are durable.
pub(super) fn put_mark(into: &mut Vec<u8>, salt: u64, durable: u64) {
    put_head(into, salt, MARK, durable, durable, 0);
}

fn put_head(into: &mut Vec<u8>, salt: u64, length: u32, ordinal: u64, durable: u64, payload: u64) {
    let start = into.len();
    into.extend_from_slice(&length.to_le_bytes());
    into.extend_from_slice(&ordinal.to_le_bytes());
    into.extend_from_slice(&durable.to_le_bytes());
    into.extend_from_slice(&payload.to_le_bytes());
    let check = xxh3_64_with_seed(&into[start..], salt);
    into.extend_from_slice(&check.to_le_bytes());
}

/// The file does not begin as a journal does, not even in the copy of its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotAJournal;

/// What can be read of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scanned {
    pub(super) salt: u64,
    /// Where the payload of each record is; `None` for one that was durable and cannot be read.
    pub(super) records: Vec<Option<Range<usize>>>,
    /// Where what is kept ends. What follows, if anything does, was not durable and is to be cut off.
    pub(super) end: usize,
    /// Whether something is cut off.
    pub(super) torn: bool,
}

#[derive(Clone, Copy)]
struct Head {
    length: u32,
    ordinal: u64,
    durable: u64,
    payload: u64,
}

impl Head {
    /// The head at this place, if there is a sound one.
    fn at(bytes: &[u8], at: usize, salt: u64) -> Option<Head> {
        let head = bytes.get(at..at.checked_add(HEAD_BYTES)?)?;
        let (content, check) = head.split_at(HEAD_BYTES - 8);
        if xxh3_64_with_seed(content, salt) != number(check) {
            return None;
        }
        Some(Head {
            length: number(&content[..4]) as u32,
            ordinal: number(&content[4..12]),
            durable: number(&content[12..20]),
            payload: number(&content[20..28]),
        })
    }

    fn is_mark(self) -> bool {
        self.length == MARK
    }

    /// Where the payload is, if the head is at this place. It may end behind the end of the file.
    fn payload_at(self, at: usize) -> Range<usize> {
        let start = at + HEAD_BYTES;
        let length = if self.is_mark() { 0 } else { self.length };
        start..start.saturating_add(length as usize)
    }
}

/// A little-endian number of at most eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// Reads what can be read. Takes time and memory in proportion to the bytes, whatever they are.
pub(super) fn scan(bytes: &[u8]) -> Result<Scanned, NotAJournal> {
    let salt = salt(bytes).ok_or(NotAJournal)?;
    let mut scan = Scan {
        bytes,
        salt,
        at: BODY.min(bytes.len()),
        begin: BODY.min(bytes.len()),
        found: Vec::new(),
        durable: 0,
    };
    while scan.step() {}
    Ok(scan.finish())
}

fn salt(bytes: &[u8]) -> Option<u64> {
    let copies = bytes.chunks_exact(HEADER_BYTES).take(2);
    copies
        .filter(|copy| copy[..8] == *MAGIC)
        .find(|copy| xxh3_64_with_seed(&copy[..16], 0) == number(&copy[16..]))
        .map(|copy| number(&copy[8..16]))
}

/// A record, as far as it can be read, and where it ends.
struct Found {
    payload: Option<Range<usize>>,
    end: usize,
}

struct Scan<'a> {
    bytes: &'a [u8],
    salt: u64,
    at: usize,
    /// Where the first record may be.
    begin: usize,
    /// By ordinal.
    found: Vec<Found>,
    /// How many records are known to have been durable.
    durable: u64,
}

impl Scan<'_> {
    fn next_ordinal(&self) -> u64 {
        self.found.len() as u64
    }

    /// Reads what is at this place; returns whether there may be more.
    fn step(&mut self) -> bool {
        let Some((at, head)) = self.next_head() else {
            return false;
        };
        let missing = head.ordinal - self.next_ordinal();
        for _ in 0..missing {
            let (payload, end) = (None, at);
            self.found.push(Found { payload, end });
        }
        self.durable = self.durable.max(head.durable);
        let payload = head.payload_at(at);
        if head.is_mark() {
            self.at = payload.end;
            // A mark belongs to the record before it, and is kept with it.
            match self.found.last_mut() {
                Some(last) => last.end = payload.end,
                None => self.begin = payload.end,
            }
            return true;
        }
        let content = self.bytes.get(payload.clone());
        let sound =
            content.is_some_and(|content| xxh3_64_with_seed(content, self.salt) == head.payload);
        self.at = payload.end.min(self.bytes.len());
        self.found.push(Found {
            payload: sound.then_some(payload),
            end: self.at,
        });
        true
    }

    /// The next sound head that may be one of this journal, at this place or behind what cannot be read. Each record that is missing
    /// took room, so what is between bounds their number.
    fn next_head(&self) -> Option<(usize, Head)> {
        let last = self.bytes.len().checked_sub(HEAD_BYTES)?;
        (self.at..=last).find_map(|at| {
            let head = Head::at(self.bytes, at, self.salt)?;
            let room = ((at - self.at) / HEAD_BYTES) as u64;
            let missing = head.ordinal.checked_sub(self.next_ordinal())?;
            (missing <= room).then_some((at, head))
        })
    }

    fn finish(self) -> Scanned {
        let durable = usize::try_from(self.durable).unwrap_or(usize::MAX);
        let unconfirmed = self.found.iter().skip(durable);
        let sound = unconfirmed
            .take_while(|found| found.payload.is_some())
            .count();
        let kept = durable.saturating_add(sound).min(self.found.len());
        let end = match kept.checked_sub(1) {
            Some(last) => self.found[last].end,
            None => self.begin,
        };
        let records = self.found.into_iter().take(kept);
        Scanned {
            salt: self.salt,
            records: records.map(|found| found.payload).collect(),
            end,
            torn: end < self.bytes.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SALT: u64 = 7;

    /// Batches of records; each is synced but for the last, if it is not to be.
    fn file(batches: &[&[&[u8]]], last_synced: bool) -> Vec<u8> {
        let mut bytes = header(SALT).to_vec();
        let (mut ordinal, mut durable) = (0, 0);
        for (nth, batch) in batches.iter().enumerate() {
            for payload in *batch {
                assert!(put_record(&mut bytes, SALT, ordinal, durable, payload));
                ordinal += 1;
            }
            if nth + 1 < batches.len() || last_synced {
                durable = ordinal;
                put_mark(&mut bytes, SALT, durable);
            }
        }
        bytes
    }

    /// Each record, or nothing for one that is corrupt; and whether something was cut off.
    fn read(bytes: &[u8]) -> (Vec<Option<&[u8]>>, bool) {
        let scanned = scan(bytes).expect("its header is sound");
        assert!(scanned.end <= bytes.len());
        let records = scanned.records.into_iter();
        let records = records.map(|record| record.map(|at| &bytes[at]));
        (records.collect(), scanned.torn)
    }

    fn of(records: &[&'static [u8]]) -> Vec<Option<&'static [u8]>> {
        records.iter().copied().map(Some).collect()
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes = file(&[&[b"a", b""], &[b"ccc"]], false);
        assert_eq!(read(&bytes), (of(&[b"a", b"", b"ccc"]), false));
        assert_eq!(read(&header(SALT)), (vec![], false));
    }

    #[test]
    fn an_unconfirmed_tail_is_cut_at_any_byte() {
        let bytes = file(&[&[b"a", b"b"], &[b"c", b"d"]], false);
        let confirmed = file(&[&[b"a", b"b"]], true).len();
        for end in confirmed..bytes.len() {
            let (records, torn) = read(&bytes[..end]);
            let whole = usize::from(end > confirmed + HEAD_BYTES);
            assert_eq!(records, of(&[&b"a"[..], b"b", b"c"][..2 + whole]), "{end}");
            assert_eq!(torn, end != confirmed && end != confirmed + HEAD_BYTES + 1);
        }
    }

    #[test]
    fn what_was_durable_and_is_damaged_stands_in_its_place() {
        let bytes = file(&[&[b"aaaa", b"bbbb", b"cccc"], &[b"dddd"]], false);
        let record = HEAD_BYTES + 4;
        for (from, to, lost) in [
            (record - 1, record, 0..1),     // a payload
            (0, 1, 0..1),                   // a length
            (record + 4, record + 5, 1..2), // an ordinal
            (record, 2 * record, 1..2),     // all of a record
            (5, 2 * record + 3, 0..3),      // parts of three
        ] {
            let mut damaged = bytes.clone();
            damaged[BODY + from..BODY + to].fill(0xee);
            let mut expected = of(&[b"aaaa", b"bbbb", b"cccc", b"dddd"]);
            expected[lost].fill(None);
            assert_eq!(read(&damaged), (expected, false), "{from}..{to}");
        }
    }

    #[test]
    fn the_last_record_is_corrupt_if_it_was_durable_and_torn_if_not() {
        for (last_synced, expected) in [(true, vec![Some(&b"a"[..]), None]), (false, of(&[b"a"]))] {
            let mut bytes = file(&[&[b"a"], &[b"bbbb"]], last_synced);
            let payload = bytes.len() - 1 - if last_synced { HEAD_BYTES } else { 0 };
            bytes[payload] ^= 1;
            assert_eq!(read(&bytes), (expected, !last_synced));
        }
    }

    #[test]
    fn what_follows_an_unconfirmed_hole_was_not_confirmed_either() {
        let mut bytes = file(&[&[b"a"], &[b"b", b"c"]], false);
        let hole = bytes.len() - 1 - (HEAD_BYTES + 1);
        bytes[hole] ^= 1;
        assert_eq!(read(&bytes), (of(&[b"a"]), true));
    }

    #[test]
    fn one_header_is_enough_and_none_is_not() {
        let mut bytes = file(&[&[b"a"]], true);
        bytes[9] ^= 1;
        assert_eq!(read(&bytes), (of(&[b"a"]), false));
        bytes[HEADER_BYTES] ^= 1;
        assert_eq!(scan(&bytes), Err(NotAJournal));
        assert_eq!(scan(&[]), Err(NotAJournal));
    }

    #[test]
    fn a_record_within_a_record_is_none() {
        let mut inner = Vec::new();
        assert!(put_record(&mut inner, SALT + 1, 1, 2, b"forged"));
        let mut bytes = file(&[&[&inner]], true);
        let (records, _) = read(&bytes);
        assert_eq!(records, [Some(&inner[..])]);
        bytes[BODY] ^= 1;
        assert_eq!(read(&bytes), (vec![None], false));
    }

    /// Records, whether the last are synced, what is done to bytes of the file, and how many are cut off.
    type Damaged = (Vec<Vec<u8>>, bool, Vec<(usize, u8)>, usize);

    fn damage() -> impl Strategy<Value = Damaged> {
        let payload = proptest::collection::vec(any::<u8>(), 0..20);
        (
            proptest::collection::vec(payload, 0..8),
            any::<bool>(),
            proptest::collection::vec((any::<usize>(), any::<u8>()), 0..6),
            0..60_usize,
        )
    }

    proptest! {
        #![proptest_config(crate::testing::cases())]

        /// Whatever happens to a file, what is read of it was written, in its place, and what was durable is there or told to be lost.
        #[test]
        fn a_damaged_journal_never_lies((payloads, synced, damage, cut) in damage()) {
            let batches: Vec<Vec<&[u8]>> = payloads.chunks(2)
                .map(|batch| batch.iter().map(Vec::as_slice).collect())
                .collect();
            let batches: Vec<&[&[u8]]> = batches.iter().map(Vec::as_slice).collect();
            let mut bytes = file(&batches, synced);
            for (at, with) in damage {
                let at = at % bytes.len();
                bytes[at] ^= with;
            }
            bytes.truncate(bytes.len() - cut.min(bytes.len()));
            if let Ok(scanned) = scan(&bytes) {
                prop_assert!(scanned.records.len() <= payloads.len());
                prop_assert!(scanned.end <= bytes.len());
                for (position, record) in scanned.records.iter().enumerate() {
                    if let Some(at) = record {
                        prop_assert_eq!(&bytes[at.clone()], &payloads[position][..]);
                    }
                }
                // What is left after the cut, with a mark behind it, reads as the same.
                bytes.truncate(scanned.end);
                if bytes.len() < BODY {
                    return Ok(());
                }
                put_mark(&mut bytes, SALT, scanned.records.len() as u64);
                let again = scan(&bytes).unwrap();
                prop_assert_eq!(again.records, scanned.records);
                prop_assert!(!again.torn);
            }
        }

        /// Bytes that nobody has written.
        #[test]
        fn any_bytes_are_read_or_refused(tail in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut bytes = header(SALT).to_vec();
            bytes.extend(tail);
            let scanned = scan(&bytes).unwrap();
            prop_assert_eq!(scanned.records.len(), 0);
            prop_assert!(scan(&bytes[BODY..]).is_err());
        }
    }
}
