//! What committed transactions read of lists, each held against what it did itself before.

use crate::transactions::anomaly::Anomaly;
use crate::transactions::history::{History, Key, List, Micro, Status, Value};
use crate::transactions::report::Few;
use crate::transactions::words::show;

/// A read of a list by a committed transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    pub(super) key: Key,
    pub(super) transaction: u32,
    pub(super) list: List,
    /// So many elements at the end are its own.
    pub(super) own: u32,
    /// Whether it is the first one of the key in the transaction, and before its own appends.
    pub(super) first: bool,
    /// Whether the transaction appends to the key after that.
    pub(super) updates: bool,
}

impl Read {
    /// Whether it shows a version that others made, and is not a repetition.
    pub(super) fn external(&self) -> bool {
        self.first
    }
}

/// What a transaction has to do with a key so far.
#[derive(Clone, Debug, Default)]
struct Touched {
    /// Which transaction it was last, plus one.
    by: u32,
    /// What it read last.
    list: Option<List>,
    /// What it had appended before that.
    own_before: u32,
    /// What it appended.
    own: Vec<Value>,
    /// Its first read, as a place among all reads.
    read: Option<usize>,
}

/// All reads that say something: a repetition is only checked.
pub(super) fn scan(history: &History, found: &mut Few) -> Vec<Read> {
    let mut keys: Vec<Touched> = vec![Touched::default(); history.key_count()];
    let mut reads: Vec<Read> = Vec::new();
    for (index, transaction) in (0..).zip(history.transactions()) {
        if transaction.status != Status::Ok {
            continue;
        }
        for micro in history.micros(transaction) {
            let touched = &mut keys[micro.key().0 as usize];
            if touched.by != index + 1 {
                touched.by = index + 1;
                touched.list = None;
                touched.own.clear();
                touched.read = None;
            }
            match *micro {
                Micro::Append { element, .. } => {
                    touched.own.push(element);
                    if let Some(read) = touched.read {
                        reads[read].updates = true;
                    }
                }
                Micro::ReadList {
                    key,
                    elements: Some(list),
                } => {
                    if !agrees(history, touched, list) {
                        found.add(|| Anomaly::Internal {
                            transaction: show(history, index),
                            step: history.micro_words(micro),
                            expected: expected(history, touched),
                        });
                        continue;
                    }
                    let own = touched.own.len() as u32;
                    let repeated = touched.list.is_some() && touched.own_before == own;
                    if !repeated {
                        let first = touched.list.is_none() && own == 0;
                        if first {
                            touched.read = Some(reads.len());
                        }
                        reads.push(Read {
                            key,
                            transaction: index,
                            list,
                            own,
                            first,
                            updates: false,
                        });
                    }
                    touched.list = Some(list);
                    touched.own_before = own;
                }
                _ => {}
            }
        }
    }
    reads
}

/// Whether a list is what the transaction had to see after what it did before.
fn agrees(history: &History, touched: &Touched, list: List) -> bool {
    let elements = history.elements(list);
    match touched.list {
        None => elements.ends_with(&touched.own),
        Some(before) => {
            let before = history.elements(before);
            let added = &touched.own[touched.own_before as usize..];
            elements.len() == before.len() + added.len()
                && elements.starts_with(before)
                && elements.ends_with(added)
        }
    }
}

fn expected(history: &History, touched: &Touched) -> String {
    match touched.list {
        None => format!("a list that ends with {}", history.list_words(&touched.own)),
        Some(before) => {
            let mut elements = history.elements(before).to_vec();
            elements.extend_from_slice(&touched.own[touched.own_before as usize..]);
            history.list_words(&elements)
        }
    }
}
