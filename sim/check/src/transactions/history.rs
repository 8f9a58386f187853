//! Transactional histories as plain data: what each transaction of each client did, and when.
//!
//! A neutral form, which an importer fills from whatever a test recorded (Elle's and Jepsen's `:txn` operations with the
//! micro-operations `[:append k v]`, `[:r k v]` and `[:w k v]`, for example). Keys and values are interned; what all transactions did
//! lies in two flat arrays, so that a million of them are a few allocations.

use crate::history::{HistoryError, Pairing, Point, ProcessId, What};
use rustc_hash::FxHashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// What a client calls a key or a value: `3`, `x`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// A whole number.
    Number(i64),
    /// Anything else, as text.
    Text(Arc<str>),
}

impl From<i64> for Name {
    fn from(number: i64) -> Self {
        Name::Number(number)
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Name::Text(text.into())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Number(number) => number.fmt(f),
            Name::Text(text) => f.write_str(text),
        }
    }
}

/// A key: the index of its name in the history, see [`History::key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub u32);

/// A value or an element of a list: the index of its name in the history, see [`History::value`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(pub u32);

/// A list that was read: where its elements are in the history, see [`History::list`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List {
    start: u32,
    end: u32,
}

/// What a read of a register saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nobody knows: the transaction has no answer.
    Unknown,
    /// The register had never been written.
    Nothing,
    /// This.
    Value(Value),
}

/// A step of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Micro {
    /// Appends an element to a list; lists are empty at first.
    Append {
        /// To which.
        key: Key,
        /// What.
        element: Value,
    },
    /// Reads a list.
    ReadList {
        /// Which.
        key: Key,
        /// Its elements; nothing if there is no answer.
        elements: Option<List>,
    },
    /// Writes a register.
    Write {
        /// Which.
        key: Key,
        /// What.
        value: Value,
    },
    /// Reads a register.
    Read {
        /// Which.
        key: Key,
        /// What it saw.
        seen: Seen,
    },
}

impl Micro {
    /// What it touches.
    pub fn key(&self) -> Key {
        match self {
            Micro::Append { key, .. }
            | Micro::ReadList { key, .. }
            | Micro::Write { key, .. }
            | Micro::Read { key, .. } => *key,
        }
    }
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It was committed.
    Ok,
    /// It was aborted: nobody may ever see what it wrote.
    Fail,
    /// Nobody knows: it may have been committed, may still be, or never.
    Info,
}

/// A transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Whose.
    pub process: ProcessId,
    /// When it was asked for.
    pub invoked: Point,
    /// When the client learnt how it ended, or that it will not; nothing if the history ends before.
    pub completed: Option<Point>,
    /// How it ended.
    pub status: Status,
    /// Where its steps are in the history, see [`History::micros`].
    start: u32,
    end: u32,
}

/// Transactions in the order in which they were asked for.
#[derive(Clone, Debug, Default)]
pub struct History {
    keys: Interner,
    values: Interner,
    transactions: Vec<Transaction>,
    micros: Vec<Micro>,
    elements: Vec<Value>,
    pairing: Pairing,
    events: usize,
}

impl History {
    /// An empty history.
    pub fn new() -> Self {
        History::default()
    }

    /// The key of this name.
    pub fn key(&mut self, name: impl Into<Name>) -> Key {
        Key(self.keys.intern(name.into()))
    }

    /// The value of this name.
    pub fn value(&mut self, name: impl Into<Name>) -> Value {
        Value(self.values.intern(name.into()))
    }

    /// Stores the elements of a list that was read.
    pub fn list(&mut self, elements: impl IntoIterator<Item = Value>) -> List {
        let start = self.elements.len() as u32;
        self.elements.extend(elements);
        List {
            start,
            end: self.elements.len() as u32,
        }
    }

    /// `process` asks for a transaction. What its reads will see is left open ([`Seen::Unknown`], no elements).
    ///
    /// # Errors
    /// If it has one open, or one that ended unknown.
    pub fn invoke(
        &mut self,
        time_ns: u64,
        process: ProcessId,
        asked: &[Micro],
    ) -> Result<(), HistoryError> {
        let at = self.at(time_ns);
        self.pairing
            .next::<(), ()>(at.event, process, &What::Invoke(()))?;
        self.events += 1;
        let Range { start, end } = self.store(asked);
        self.transactions.push(Transaction {
            process,
            invoked: at,
            completed: None,
            status: Status::Info,
            start,
            end,
        });
        Ok(())
    }

    /// The open transaction of `process` was committed, and did and saw this.
    ///
    /// # Errors
    /// If it has none open.
    pub fn ok(
        &mut self,
        time_ns: u64,
        process: ProcessId,
        done: &[Micro],
    ) -> Result<(), HistoryError> {
        let index = self.end(time_ns, process, &What::Ok(()), Status::Ok)?;
        let Transaction { start, end, .. } = self.transactions[index];
        let place = start as usize..end as usize;
        if place.len() == done.len() {
            self.micros[place].copy_from_slice(done);
        } else {
            let Range { start, end } = self.store(done);
            self.transactions[index].start = start;
            self.transactions[index].end = end;
        }
        Ok(())
    }

    /// The open transaction of `process` was aborted.
    ///
    /// # Errors
    /// If it has none open.
    pub fn fail(&mut self, time_ns: u64, process: ProcessId) -> Result<(), HistoryError> {
        self.end(time_ns, process, &What::Fail, Status::Fail)?;
        Ok(())
    }

    /// `process` does not wait any longer, and does not go on either.
    ///
    /// # Errors
    /// If it has none open.
    pub fn info(&mut self, time_ns: u64, process: ProcessId) -> Result<(), HistoryError> {
        self.end(time_ns, process, &What::Info, Status::Info)?;
        Ok(())
    }

    fn end(
        &mut self,
        time_ns: u64,
        process: ProcessId,
        what: &What<(), ()>,
        status: Status,
    ) -> Result<usize, HistoryError> {
        let at = self.at(time_ns);
        let index = self.pairing.next(at.event, process, what)?;
        self.events += 1;
        let transaction = &mut self.transactions[index];
        transaction.completed = Some(at);
        transaction.status = status;
        Ok(index)
    }

    fn at(&self, time_ns: u64) -> Point {
        Point {
            event: self.events,
            time_ns,
        }
    }

    fn store(&mut self, micros: &[Micro]) -> Range<u32> {
        let start = self.micros.len() as u32;
        self.micros.extend_from_slice(micros);
        start..self.micros.len() as u32
    }

    /// The transactions, in order of invocation.
    pub fn transactions(&self) -> &[Transaction] {
        &self.transactions
    }

    /// The steps of a transaction, in its order: those that were asked for, or, of one that was committed, those that it answered.
    pub fn micros(&self, transaction: &Transaction) -> &[Micro] {
        &self.micros[transaction.start as usize..transaction.end as usize]
    }

    /// The elements of a list, from the first.
    pub fn elements(&self, list: List) -> &[Value] {
        &self.elements[list.start as usize..list.end as usize]
    }

    /// What a key is called.
    pub fn key_name(&self, key: Key) -> &Name {
        &self.keys.names[key.0 as usize]
    }

    /// What a value is called.
    pub fn value_name(&self, value: Value) -> &Name {
        &self.values.names[value.0 as usize]
    }

    /// So many keys have a name: they are numbered from 0.
    pub fn key_count(&self) -> usize {
        self.keys.names.len()
    }

    /// So many values have a name: they are numbered from 0.
    pub fn value_count(&self) -> usize {
        self.values.names.len()
    }

    /// How many events there were: invocations and completions.
    pub fn event_count(&self) -> usize {
        self.events
    }

    /// A step in words: `append x 3`, `read x -> [1 2]`, `write x 1`, `read x -> nothing`.
    pub fn micro_words(&self, micro: &Micro) -> String {
        let key = self.key_name(micro.key());
        match *micro {
            Micro::Append { element, .. } => format!("append {key} {}", self.value_name(element)),
            Micro::ReadList { elements: None, .. } => format!("read {key}"),
            Micro::ReadList {
                elements: Some(list),
                ..
            } => format!("read {key} -> {}", self.list_words(self.elements(list))),
            Micro::Write { value, .. } => format!("write {key} {}", self.value_name(value)),
            Micro::Read { seen, .. } => match seen {
                Seen::Unknown => format!("read {key}"),
                Seen::Nothing => format!("read {key} -> nothing"),
                Seen::Value(value) => format!("read {key} -> {}", self.value_name(value)),
            },
        }
    }

    /// A list in words: `[1 2 3]`; of a long one its end only.
    pub fn list_words(&self, elements: &[Value]) -> String {
        const SHOWN_MAX: usize = 12;
        let left_out = elements.len().saturating_sub(SHOWN_MAX);
        let mut words: Vec<String> = Vec::new();
        if left_out > 0 {
            words.push(format!("({left_out} more)"));
        }
        let shown = elements[left_out..].iter();
        words.extend(shown.map(|value| self.value_name(*value).to_string()));
        format!("[{}]", words.join(" "))
    }
}

/// Numbers for names, and back.
#[derive(Clone, Debug, Default)]
struct Interner {
    numbers: FxHashMap<i64, u32>,
    texts: FxHashMap<Arc<str>, u32>,
    names: Vec<Name>,
}

impl Interner {
    fn intern(&mut self, name: Name) -> u32 {
        let next = self.names.len() as u32;
        let index = match &name {
            Name::Number(number) => *self.numbers.entry(*number).or_insert(next),
            Name::Text(text) => match self.texts.get(text) {
                Some(index) => *index,
                None => *self.texts.entry(text.clone()).or_insert(next),
            },
        };
        if index == next {
            self.names.push(name);
        }
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HistoryErrorKind;

    #[test]
    fn what_was_answered_takes_the_place_of_what_was_asked() {
        let mut history = History::new();
        let (x, one) = (history.key("x"), history.value(1));
        let asked = [
            Micro::Append {
                key: x,
                element: one,
            },
            Micro::ReadList {
                key: x,
                elements: None,
            },
        ];
        history.invoke(1, ProcessId(0), &asked).unwrap();
        history.invoke(2, ProcessId(1), &asked[1..]).unwrap();
        history.info(3, ProcessId(1)).unwrap();
        let list = history.list([one]);
        let read = Micro::ReadList {
            key: x,
            elements: Some(list),
        };
        history.ok(4, ProcessId(0), &[asked[0], read]).unwrap();
        let [first, second] = history.transactions() else {
            panic!("two transactions");
        };
        assert_eq!(history.micros(first), [asked[0], read]);
        assert_eq!((first.status, first.invoked.event), (Status::Ok, 0));
        assert_eq!(first.completed.unwrap().event, 3);
        assert_eq!(history.micros(second), &asked[1..]);
        assert_eq!(second.status, Status::Info);
        assert_eq!(history.micro_words(&read), "read x -> [1]");
    }

    #[test]
    fn a_number_and_a_text_that_look_alike_are_two_names() {
        let mut history = History::new();
        assert_ne!(history.value(1), history.value("1"));
        assert_eq!(history.value(1), Value(0));
        assert_eq!((history.value_count(), history.key_count()), (2, 0));
    }

    #[test]
    fn a_process_has_one_transaction_at_a_time() {
        let mut history = History::new();
        history.invoke(1, ProcessId(0), &[]).unwrap();
        let error = history.invoke(2, ProcessId(0), &[]).unwrap_err();
        assert_eq!(error.kind, HistoryErrorKind::AlreadyOpen);
        history.info(3, ProcessId(0)).unwrap();
        let error = history.fail(4, ProcessId(0)).unwrap_err();
        assert_eq!(error.kind, HistoryErrorKind::UsedAfterInfo);
        assert_eq!(error.event, 2);
    }
}
