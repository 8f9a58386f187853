//! What any order of commits must contain.

use super::WeakLevel;
use super::scan::{NOBODY, Read, Scan};
use crate::transactions::graph::{Graph, Link};
use crate::transactions::history::Key;

/// Why one transaction was committed before another.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reason {
    /// Their process did them in this order.
    Process,
    /// The second read from the first.
    Read,
    /// The reader saw the first, and read the key, which both wrote, from the second.
    Seen { reader: u32, key: Key },
}

/// Something that was seen had written what was read as nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Initial {
    pub(super) reader: u32,
    pub(super) key: Key,
    pub(super) writer: u32,
}

struct Inference<'a> {
    scan: &'a Scan,
    links: Vec<Link<Reason>>,
    initial: Option<Initial>,
}

pub(super) fn infer(scan: &Scan, level: WeakLevel) -> Result<Graph<Reason>, Initial> {
    let mut inference = Inference {
        scan,
        links: Vec::new(),
        initial: None,
    };
    inference.base();
    match level {
        WeakLevel::ReadCommitted => inference.sources(true),
        WeakLevel::ReadAtomic => {
            inference.sources(false);
            inference.sessions();
        }
        WeakLevel::Causal => {
            let base = Graph::new(scan.places.len(), &inference.links);
            let components = base.components(|_| true);
            // Who depends on itself is in a circle already.
            if !components.any() {
                inference.causal(&base, &components.of);
            }
        }
    }
    match inference.initial {
        Some(initial) => Err(initial),
        None => Ok(Graph::new(scan.places.len(), &inference.links)),
    }
}

impl Inference<'_> {
    /// The order of each process, and reading from each other.
    fn base(&mut self) {
        let mut add = |from, to, label| self.links.push(Link { from, to, label });
        for session in &self.scan.sessions {
            for pair in session.windows(2) {
                add(pair[0], pair[1], Reason::Process);
            }
            for &transaction in session {
                let mut last = NOBODY;
                for read in self.scan.reads(transaction) {
                    if read.writer != NOBODY && read.writer != last {
                        add(read.writer, transaction, Reason::Read);
                        last = read.writer;
                    }
                }
            }
        }
    }

    /// `seen` wrote the key, and the reader read it from somebody.
    fn add(&mut self, seen: u32, reader: u32, read: &Read) {
        let Read { key, writer } = *read;
        if writer == NOBODY {
            self.initial = self.initial.or(Some(Initial {
                reader,
                key,
                writer: seen,
            }));
        } else if writer != seen {
            self.links.push(Link {
                from: seen,
                to: writer,
                label: Reason::Seen { reader, key },
            });
        }
    }

    /// Whom a transaction reads from: either before it reads the key, or anywhere.
    fn sources(&mut self, before_only: bool) {
        let scan = self.scan;
        // Of each key, the reads of it in the transaction, and whether there are any: the last such transaction, plus one.
        let mut of_key: Vec<(u32, Vec<usize>)> = vec![(0, Vec::new()); scan.keys];
        let mut seen_at: Vec<(u32, usize)> = Vec::new();
        for &reader in scan.sessions.iter().flatten() {
            let reads = scan.reads(reader);
            if reads.len() < 2 {
                continue;
            }
            seen_at.clear();
            for (place, read) in reads.iter().enumerate() {
                let (by, places) = &mut of_key[read.key.0 as usize];
                if *by != reader + 1 {
                    *by = reader + 1;
                    places.clear();
                }
                places.push(place);
                if read.writer != NOBODY {
                    seen_at.push((read.writer, place));
                }
            }
            // Of each source the first read.
            seen_at.sort_unstable();
            seen_at.dedup_by_key(|(source, _)| *source);
            for &(source, at) in &seen_at {
                let from = if before_only { at + 1 } else { 0 };
                let writes = scan.writes(source);
                if writes.len() < reads.len() {
                    for key in writes {
                        let (by, places) = &of_key[key.0 as usize];
                        if *by == reader + 1 {
                            for &place in places.iter().filter(|place| **place >= from) {
                                self.add(source, reader, &reads[place]);
                            }
                        }
                    }
                } else {
                    for read in reads.iter().skip(from) {
                        if writes.contains(&read.key) {
                            self.add(source, reader, read);
                        }
                    }
                }
            }
        }
    }

    /// What the own process had written before: the last of each key, for the order of the process says the rest.
    fn sessions(&mut self) {
        let scan = self.scan;
        // Of each key the process that wrote it last, plus one, and by which transaction.
        let mut last: Vec<(usize, u32)> = vec![(0, 0); scan.keys];
        for (number, session) in (1..).zip(&scan.sessions) {
            for &transaction in session {
                for read in scan.reads(transaction) {
                    let (by, before) = last[read.key.0 as usize];
                    if by == number {
                        self.add(before, transaction, read);
                    }
                }
                for key in scan.writes(transaction) {
                    last[key.0 as usize] = (number, transaction);
                }
            }
        }
    }

    /// Whom a transaction depends on, directly or not: of each process the last one that wrote the key.
    fn causal(&mut self, base: &Graph<Reason>, component_of: &[u32]) {
        let scan = self.scan;
        let width = scan.sessions.len();
        // Components have greater numbers than those that they lead to, and here each is one transaction.
        let mut order: Vec<u32> = scan.sessions.iter().flatten().copied().collect();
        order.sort_unstable_by_key(|transaction| {
            std::cmp::Reverse(component_of[*transaction as usize])
        });
        // Of each transaction and process how many of that come before it.
        let mut clocks = vec![0_u32; scan.places.len() * width];
        for &transaction in &order {
            let from = transaction as usize * width;
            let (session, place) = scan.places[transaction as usize];
            for edge in base.edges(transaction) {
                let to = edge.to as usize * width;
                for other in 0..width {
                    clocks[to + other] = clocks[to + other].max(clocks[from + other]);
                }
                let own = &mut clocks[to + session as usize];
                *own = (*own).max(place + 1);
            }
        }
        let writers = Writers::new(scan);
        for &reader in &order {
            let clock = &clocks[reader as usize * width..][..width];
            for read in scan.reads(reader) {
                for (session, places) in writers.of_key(read.key) {
                    let known = clock[*session as usize];
                    let until = places.partition_point(|place| *place < known);
                    let Some(last) = until.checked_sub(1) else {
                        continue;
                    };
                    // What the writer depends on itself comes before it anyway.
                    if read.writer != NOBODY {
                        let by_writer = clocks[read.writer as usize * width + *session as usize];
                        if places[last] < by_writer {
                            continue;
                        }
                    }
                    let seen = scan.sessions[*session as usize][places[last] as usize];
                    self.add(seen, reader, read);
                }
            }
        }
    }
}

/// Of each key and process, which of its transactions wrote it.
struct Writers {
    of_key: Vec<Vec<(u32, Vec<u32>)>>,
}

impl Writers {
    fn new(scan: &Scan) -> Writers {
        let mut of_key: Vec<Vec<(u32, Vec<u32>)>> = vec![Vec::new(); scan.keys];
        for (number, session) in (0..).zip(&scan.sessions) {
            for (place, transaction) in (0..).zip(session) {
                for key in scan.writes(*transaction) {
                    let sessions = &mut of_key[key.0 as usize];
                    match sessions.last_mut() {
                        Some((last, places)) if *last == number => places.push(place),
                        _ => sessions.push((number, vec![place])),
                    }
                }
            }
        }
        Writers { of_key }
    }

    fn of_key(&self, key: Key) -> &[(u32, Vec<u32>)] {
        &self.of_key[key.0 as usize]
    }
}
