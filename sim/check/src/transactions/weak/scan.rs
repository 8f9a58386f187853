//! Committed transactions by process, with what each read from whom and what it wrote.

use crate::transactions::history::{History, Key, Micro, Seen, Status, Value};
use crate::transactions::reads::Found;
use crate::transactions::report::{Few, Unfit};
use crate::transactions::versions::{Lookup, Versions, by_key, committed, fits, versions};
use rustc_hash::FxHashMap;

/// Of a read that found nothing.
pub(super) const NOBODY: u32 = u32::MAX;

/// What a transaction read that it had not written itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    pub(super) key: Key,
    /// From whom, or [`NOBODY`].
    pub(super) writer: u32,
}

#[derive(Debug)]
pub(super) struct Scan {
    /// Of each process its committed transactions, in order.
    pub(super) sessions: Vec<Vec<u32>>,
    /// Of each transaction its process, and which of that it is; of others nothing that makes sense.
    pub(super) places: Vec<(u32, u32)>,
    pub(super) committed: Vec<bool>,
    reads: Vec<Read>,
    read_starts: Vec<u32>,
    /// The keys that each transaction wrote, each once.
    writes: Vec<Key>,
    write_starts: Vec<u32>,
    pub(super) keys: usize,
}

#[derive(Clone, Copy)]
struct Access {
    key: Key,
    value: Value,
    reader: u32,
    /// Where in the reads it belongs.
    read: u32,
}

impl Scan {
    pub(super) fn reads(&self, transaction: u32) -> &[Read] {
        let at = transaction as usize;
        &self.reads[self.read_starts[at] as usize..self.read_starts[at + 1] as usize]
    }

    pub(super) fn writes(&self, transaction: u32) -> &[Key] {
        let at = transaction as usize;
        &self.writes[self.write_starts[at] as usize..self.write_starts[at + 1] as usize]
    }

    /// Also what is wrong with single reads.
    pub(super) fn new(history: &History) -> Result<(Scan, Vec<Few>), Unfit> {
        fits(history, false)?;
        let versions = versions(history);
        let mut scan = Scan {
            sessions: Vec::new(),
            places: vec![(0, 0); history.transactions().len()],
            committed: committed(history),
            reads: Vec::new(),
            read_starts: vec![0],
            writes: Vec::new(),
            write_starts: vec![0],
            keys: history.key_count(),
        };
        let mut found = Found::default();
        let accesses = scan.steps(history, &mut found);
        scan.resolve(history, &versions, &accesses, &mut found)?;
        scan.order(history);
        Ok((scan, found.into_few()))
    }

    /// What each transaction wrote, and the reads of committed ones, still without the writers.
    fn steps(&mut self, history: &History, found: &mut Found) -> Vec<Access> {
        let mut accesses = Vec::new();
        // Of each key the last transaction that wrote it, plus one, and what.
        let mut written: Vec<(u32, Value)> = vec![(0, Value(0)); history.key_count()];
        for (index, transaction) in (0..).zip(history.transactions()) {
            for micro in history.micros(transaction) {
                let key = micro.key();
                let own = &mut written[key.0 as usize];
                match *micro {
                    Micro::Write { value, .. } => {
                        if own.0 != index + 1 {
                            self.writes.push(key);
                        }
                        *own = (index + 1, value);
                    }
                    Micro::Read { seen, .. } if transaction.status == Status::Ok => {
                        if own.0 == index + 1 {
                            if seen != Seen::Value(own.1) {
                                found.internal(history, index, micro, Some(own.1));
                            }
                            continue;
                        }
                        if let Seen::Value(value) = seen {
                            let read = self.reads.len() as u32;
                            accesses.push(Access {
                                key,
                                value,
                                reader: index,
                                read,
                            });
                        }
                        let writer = NOBODY;
                        self.reads.push(Read { key, writer });
                    }
                    _ => {}
                }
            }
            self.read_starts.push(self.reads.len() as u32);
            self.write_starts.push(self.writes.len() as u32);
        }
        accesses
    }

    /// Finds the writers.
    fn resolve(
        &mut self,
        history: &History,
        versions: &Versions,
        accesses: &[Access],
        found: &mut Found,
    ) -> Result<(), Unfit> {
        let (accesses, starts) = by_key(accesses, self.keys, |access| access.key);
        let mut lookup = Lookup::new(history);
        for key in 0..self.keys {
            lookup.turn(history, versions, key)?;
            for access in &accesses[starts[key] as usize..starts[key + 1] as usize] {
                let version = lookup.find(key, access.value);
                let read = (access.key, access.value, access.reader);
                if let Some(version) = found.external(history, versions, read, version) {
                    let writer = versions.all[version as usize].writer;
                    self.reads[access.read as usize].writer = writer;
                    if history.transactions()[writer as usize].status == Status::Info {
                        self.committed[writer as usize] = true;
                    }
                }
            }
        }
        Ok(())
    }

    fn order(&mut self, history: &History) {
        let mut numbers = FxHashMap::default();
        for (index, transaction) in (0..).zip(history.transactions()) {
            if !self.committed[index as usize] {
                continue;
            }
            let next = self.sessions.len();
            let session = *numbers.entry(transaction.process).or_insert(next);
            if session == next {
                self.sessions.push(Vec::new());
            }
            let place = self.sessions[session].len() as u32;
            self.places[index as usize] = (session as u32, place);
            self.sessions[session].push(index);
        }
    }
}
