//! Who wrote what: the versions of each key, found again by their value.

use super::Unfit;
use super::history::{History, Key, Micro, Seen, Status, Value};
use super::words::show;

/// Something that was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Version {
    pub(crate) key: Key,
    pub(crate) value: Value,
    /// The index of the transaction.
    pub(crate) writer: u32,
    /// Whether the writer wrote the key again.
    pub(crate) overwritten: bool,
}

/// What was written, by key, and of each key in the order in which it was asked for.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    pub(crate) all: Vec<Version>,
    /// Of each key, where its versions start, and at the end their number.
    starts: Vec<u32>,
}

impl Versions {
    pub(crate) fn of_key(&self, key: usize) -> std::ops::Range<u32> {
        self.starts[key]..self.starts[key + 1]
    }
}

/// The versions by their value, of one key at a time.
pub(crate) struct Lookup {
    /// Of each value the key that it was last looked up for, and the version.
    slots: Vec<(u32, u32)>,
}

impl Lookup {
    pub(crate) fn new(history: &History) -> Lookup {
        Lookup {
            slots: vec![(u32::MAX, 0); history.value_count()],
        }
    }

    /// Turns to a key.
    ///
    /// # Errors
    /// If two steps wrote the same value to it.
    pub(crate) fn turn(
        &mut self,
        history: &History,
        versions: &Versions,
        key: usize,
    ) -> Result<(), Unfit> {
        for index in versions.of_key(key) {
            let version = versions.all[index as usize];
            let slot = &mut self.slots[version.value.0 as usize];
            if slot.0 == key as u32 {
                let first = versions.all[slot.1 as usize].writer;
                return Err(Unfit::WrittenTwice {
                    key: history.key_name(version.key).to_string(),
                    value: history.value_name(version.value).to_string(),
                    first: Box::new(show(history, first)),
                    second: Box::new(show(history, version.writer)),
                });
            }
            *slot = (key as u32, index);
        }
        Ok(())
    }

    /// The version of the key with this value.
    pub(crate) fn find(&self, key: usize, value: Value) -> Option<u32> {
        let (of, version) = self.slots[value.0 as usize];
        (of == key as u32).then_some(version)
    }
}

/// All items in order of their keys, those of a key as they were, and where those of each key start.
pub(crate) fn by_key<T: Copy>(
    items: &[T],
    keys: usize,
    key: impl Fn(&T) -> Key,
) -> (Vec<T>, Vec<u32>) {
    let mut starts = vec![0_u32; keys + 1];
    for item in items {
        starts[key(item).0 as usize + 1] += 1;
    }
    for key in 0..keys {
        starts[key + 1] += starts[key];
    }
    let mut next = starts.clone();
    let mut sorted = items.to_vec();
    for item in items {
        let place = &mut next[key(item).0 as usize];
        sorted[*place as usize] = *item;
        *place += 1;
    }
    (sorted, starts)
}

/// What every transaction wrote, whatever became of it.
pub(crate) fn versions(history: &History) -> Versions {
    let mut all: Vec<Version> = Vec::new();
    // Of each key, the last version in order of the transactions.
    let mut last: Vec<u32> = vec![u32::MAX; history.key_count()];
    for (writer, transaction) in (0..).zip(history.transactions()) {
        for micro in history.micros(transaction) {
            let (Micro::Append {
                key,
                element: value,
            }
            | Micro::Write { key, value }) = *micro
            else {
                continue;
            };
            let last = &mut last[key.0 as usize];
            if let Some(before) = all.get_mut(*last as usize)
                && before.writer == writer
            {
                before.overwritten = true;
            }
            *last = all.len() as u32;
            all.push(Version {
                key,
                value,
                writer,
                overwritten: false,
            });
        }
    }
    let (all, starts) = by_key(&all, history.key_count(), |version| version.key);
    Versions { all, starts }
}

/// Which transactions are known to be committed: those of unknown outcome are when somebody has seen what they wrote.
pub(crate) fn committed(history: &History) -> Vec<bool> {
    let transactions = history.transactions().iter();
    transactions
        .map(|transaction| transaction.status == Status::Ok)
        .collect()
}

/// The first step that is not of the wanted kind.
pub(crate) fn fits(history: &History, lists: bool) -> Result<(), Unfit> {
    for (index, transaction) in (0..).zip(history.transactions()) {
        let completed = transaction.status == Status::Ok;
        for micro in history.micros(transaction) {
            let of_list = matches!(micro, Micro::Append { .. } | Micro::ReadList { .. });
            if of_list != lists {
                return Err(Unfit::WrongKind {
                    transaction: Box::new(show(history, index)),
                    step: history.micro_words(micro),
                    wanted: if lists { "lists" } else { "registers" },
                });
            }
            let unanswered = matches!(
                micro,
                Micro::ReadList { elements: None, .. }
                    | Micro::Read {
                        seen: Seen::Unknown,
                        ..
                    }
            );
            if completed && unanswered {
                return Err(Unfit::NoAnswer {
                    transaction: Box::new(show(history, index)),
                    step: history.micro_words(micro),
                });
            }
        }
    }
    Ok(())
}
