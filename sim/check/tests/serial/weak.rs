//! The axioms of Biswas & Enea, OOPSLA 2019, figure 2, word for word, over all orders of commits.

use splitbrain_check::transactions::{History, Micro, Seen, Status, Value, WeakLevel};

/// A read: key, and from whom, if from anybody.
type Read = (u32, Option<usize>);

struct Committed {
    index: usize,
    process: u64,
    /// In order.
    reads: Vec<Read>,
    writes: Vec<u32>,
}

/// Whether some order of commits agrees with the level.
pub(crate) fn possible(history: &History, level: WeakLevel) -> bool {
    let Some(all) = committed(history) else {
        return false;
    };
    let mut order = Vec::new();
    extend(&all, level, &mut order)
}

fn extend(all: &[Committed], level: WeakLevel, order: &mut Vec<usize>) -> bool {
    if order.len() == all.len() {
        return agrees(all, level, order);
    }
    for next in 0..all.len() {
        if !order.contains(&next) {
            order.push(next);
            if extend(all, level, order) {
                return true;
            }
            order.pop();
        }
    }
    false
}

fn agrees(all: &[Committed], level: WeakLevel, order: &[usize]) -> bool {
    let place = |one: usize| order.iter().position(|other| *other == one);
    let session =
        |a: usize, b: usize| all[a].process == all[b].process && all[a].index < all[b].index;
    let read_from = |a: usize, b: usize| {
        all[b]
            .reads
            .iter()
            .any(|(_, from)| *from == Some(all[a].index))
    };
    let count = all.len();
    let base = |a, b| session(a, b) || read_from(a, b);
    let mut causal: Vec<Vec<bool>> = (0..count)
        .map(|a| (0..count).map(|b| base(a, b)).collect())
        .collect();
    for middle in 0..count {
        for a in 0..count {
            for b in 0..count {
                causal[a][b] |= causal[a][middle] && causal[middle][b];
            }
        }
    }
    for a in 0..count {
        for b in 0..count {
            if base(a, b) && place(a) >= place(b) {
                return false;
            }
        }
    }
    for reader in 0..count {
        for (at, (key, from)) in all[reader].reads.iter().enumerate() {
            for other in 0..count {
                if Some(all[other].index) == *from || !all[other].writes.contains(key) {
                    continue;
                }
                let seen = match level {
                    WeakLevel::ReadCommitted => {
                        let before = &all[reader].reads[..at];
                        before
                            .iter()
                            .any(|(_, from)| *from == Some(all[other].index))
                    }
                    WeakLevel::ReadAtomic => base(other, reader),
                    WeakLevel::Causal => causal[other][reader],
                };
                let writer = from.and_then(|from| all.iter().position(|one| one.index == from));
                // Nothing comes before the initial state.
                if seen && writer.is_none_or(|writer| place(other) > place(writer)) {
                    return false;
                }
            }
        }
    }
    true
}

/// The committed transactions, unless a single read is wrong.
fn committed(history: &History) -> Option<Vec<Committed>> {
    let transactions = history.transactions();
    // Who wrote a value to a key, and whether it was its last there.
    let writer = |wanted: u32, sought: Value| -> Option<(usize, bool)> {
        for (index, transaction) in transactions.iter().enumerate() {
            let mut of_key = history
                .micros(transaction)
                .iter()
                .filter_map(|micro| match *micro {
                    Micro::Write { key, value } if key.0 == wanted => Some(value),
                    _ => None,
                });
            if of_key.any(|value| value == sought) {
                return Some((index, of_key.next().is_none()));
            }
        }
        None
    };
    let mut all = Vec::new();
    let mut seen_unknown = Vec::new();
    for (index, transaction) in transactions.iter().enumerate() {
        let mut one = Committed {
            index,
            process: transaction.process.0,
            reads: Vec::new(),
            writes: Vec::new(),
        };
        let mut own: Vec<(u32, Value)> = Vec::new();
        for micro in history.micros(transaction) {
            match *micro {
                Micro::Write { key, value } => {
                    own.push((key.0, value));
                    one.writes.push(key.0);
                }
                Micro::Read { key, seen } if transaction.status == Status::Ok => {
                    let last = own.iter().rev().find(|(of, _)| *of == key.0);
                    if let Some((_, value)) = last {
                        if seen != Seen::Value(*value) {
                            return None;
                        }
                        continue;
                    }
                    let Seen::Value(value) = seen else {
                        one.reads.push((key.0, None));
                        continue;
                    };
                    let (from, last) = writer(key.0, value)?;
                    if from == index || !last || transactions[from].status == Status::Fail {
                        return None;
                    }
                    if transactions[from].status == Status::Info {
                        seen_unknown.push(from);
                    }
                    one.reads.push((key.0, Some(from)));
                }
                _ => {}
            }
        }
        if transaction.status != Status::Fail {
            all.push(one);
        }
    }
    let unknown = |one: &Committed| transactions[one.index].status == Status::Info;
    all.retain(|one| !unknown(one) || seen_unknown.contains(&one.index));
    Some(all)
}
