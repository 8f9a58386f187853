//! What each transaction found and left of each register, held against what it did itself before.

use super::{Lookup, Unfit, Versions};
use crate::transactions::history::{History, Key, Micro, Seen, Status, Value};
use crate::transactions::reads::Found;
use crate::transactions::report::Few;
use crate::transactions::versions::by_key;

/// What a transaction has to do with a register.
#[derive(Clone, Copy, Debug)]
pub(super) struct Touch {
    pub(super) transaction: u32,
    /// The version that it found, if it looked before it wrote.
    pub(super) read: Option<u32>,
    /// The first version that it wrote.
    pub(super) first: Option<u32>,
    /// The last version that it wrote.
    pub(super) last: Option<u32>,
}

/// All of them, by key, and of each key in order of the transactions.
#[derive(Debug, Default)]
pub(super) struct Touches {
    all: Vec<Touch>,
    starts: Vec<usize>,
}

impl Touches {
    pub(super) fn of_key(&self, key: usize) -> &[Touch] {
        &self.all[self.starts[key]..self.starts[key + 1]]
    }
}

/// A step.
#[derive(Clone, Copy)]
struct Access {
    key: Key,
    transaction: u32,
    write: bool,
    /// Nothing: it read that there was nothing.
    value: Option<Value>,
}

/// Also notes which transactions of unknown outcome were committed after all.
pub(super) fn touches(
    history: &History,
    versions: &Versions,
    committed: &mut [bool],
    few: &mut Vec<Few>,
) -> Result<Touches, Unfit> {
    let mut accesses = Vec::new();
    for (index, transaction) in (0..).zip(history.transactions()) {
        for micro in history.micros(transaction) {
            let (write, value) = match *micro {
                Micro::Write { value, .. } => (true, Some(value)),
                Micro::Read { seen, .. } if transaction.status == Status::Ok => match seen {
                    Seen::Unknown => continue,
                    Seen::Nothing => (false, None),
                    Seen::Value(value) => (false, Some(value)),
                },
                _ => continue,
            };
            accesses.push(Access {
                key: micro.key(),
                transaction: index,
                write,
                value,
            });
        }
    }
    let (accesses, starts) = by_key(&accesses, history.key_count(), |access| access.key);
    let mut lookup = Lookup::new(history);
    let mut found = Found::default();
    let mut touches = Touches::default();
    for key in 0..history.key_count() {
        lookup.turn(history, versions, key)?;
        touches.starts.push(touches.all.len());
        let mut next = versions.of_key(key).start;
        let accesses = &accesses[starts[key] as usize..starts[key + 1] as usize];
        for own in accesses.chunk_by(|one, other| one.transaction == other.transaction) {
            let of_key = OfKey {
                history,
                versions,
                lookup: &lookup,
                key,
            };
            touches.all.push(of_key.touch(own, &mut next, &mut found));
        }
        for touch in &touches.all[touches.starts[key]..] {
            if let Some(version) = touch.read.and_then(|read| versions.all.get(read as usize))
                && history.transactions()[version.writer as usize].status == Status::Info
            {
                committed[version.writer as usize] = true;
            }
        }
    }
    touches.starts.push(touches.all.len());
    few.extend(found.into_few());
    Ok(touches)
}

struct OfKey<'a> {
    history: &'a History,
    versions: &'a Versions,
    lookup: &'a Lookup,
    key: usize,
}

impl OfKey<'_> {
    /// The steps of one transaction; `next` is the version that its next write makes.
    fn touch(&self, own: &[Access], next: &mut u32, found: &mut Found) -> Touch {
        let transaction = own[0].transaction;
        let mut touch = Touch {
            transaction,
            read: None,
            first: None,
            last: None,
        };
        // What it must find.
        let mut current: Option<Option<Value>> = None;
        for access in own {
            if access.write {
                touch.first = touch.first.or(Some(*next));
                touch.last = Some(*next);
                *next += 1;
            } else if let Some(current) = current
                && current != access.value
            {
                let (key, seen) = (access.key, access.value.map_or(Seen::Nothing, Seen::Value));
                let step = Micro::Read { key, seen };
                found.internal(self.history, transaction, &step, current);
                continue;
            } else if current.is_none() {
                touch.read = self.external(access, found);
            }
            current = Some(access.value);
        }
        touch
    }

    /// The version that was found.
    fn external(&self, access: &Access, found: &mut Found) -> Option<u32> {
        let Some(value) = access.value else {
            return Some((self.versions.all.len() + self.key) as u32);
        };
        let version = self.lookup.find(self.key, value);
        let read = (access.key, value, access.transaction);
        found.external(self.history, self.versions, read, version)
    }
}
