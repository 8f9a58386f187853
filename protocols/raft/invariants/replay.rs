//! What the committed entries come to: a state machine of the invariants' own.

use super::seen::Book;
use crate::kv;
use crate::raft::{Command, Entry, Index, Machine, Membership, SessionId};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// The replay that all invariants of one run share.
#[derive(Clone, Debug, Default)]
pub(super) struct Replay(Rc<RefCell<Tape>>);

/// How many entries are replayed at most to come to a state that was passed.
const CHECKPOINT_EVERY: usize = 64;

#[derive(Debug, Default)]
struct Tape {
    latest: Model,
    /// The states after each so many entries; but for the one before the first.
    checkpoints: Vec<Model>,
    /// The state that was last wanted and was passed already.
    earlier: Model,
    /// Entries that perform nothing: they repeat what was performed, or come too late for their session.
    idle: BTreeMap<Index, Entry>,
}

/// The state after some entries: the rules of dissertation §6.3, written a second time.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    index: Index,
    pub(super) store: kv::Store,
    sessions: BTreeMap<SessionId, Client>,
    /// The latest members that an entry has named.
    pub(super) membership: Option<Arc<Membership>>,
}

#[derive(Clone, Debug, Default)]
struct Client {
    sequence: u64,
    ret: Option<kv::Ret>,
    last_used: Index,
}

impl Replay {
    /// What the state after the entry at `index` is asked, if all entries up to there are known.
    pub(super) fn at<T>(
        &self,
        book: &Book,
        index: Index,
        ask: impl FnOnce(&Model) -> T,
    ) -> Option<T> {
        self.0.borrow_mut().at(book, index).map(ask)
    }

    /// The entries after `from` up to `to` that perform nothing.
    pub(super) fn idle(&self, book: &Book, from: Index, to: Index) -> Vec<(Index, Entry)> {
        let mut tape = self.0.borrow_mut();
        tape.play(book, to);
        if to <= from || tape.idle.is_empty() {
            return Vec::new();
        }
        let idle = tape.idle.range(from.next()..=to);
        idle.map(|(index, entry)| (*index, entry.clone())).collect()
    }
}

fn committed(book: &Book, index: Index) -> Option<&Entry> {
    book.entry(index, book.committed(index)?.term)
}

impl Tape {
    fn play(&mut self, book: &Book, to: Index) {
        while self.latest.index < to {
            let next = self.latest.index.next();
            let Some(entry) = committed(book, next) else {
                return;
            };
            if !self.latest.step(&entry.command) {
                self.idle.insert(next, entry.clone());
            }
            if next.0.is_multiple_of(CHECKPOINT_EVERY as u64) {
                self.checkpoints.push(self.latest.clone());
            }
        }
    }

    fn at(&mut self, book: &Book, index: Index) -> Option<&Model> {
        self.play(book, index);
        if self.latest.index <= index {
            return (self.latest.index == index).then_some(&self.latest);
        }
        let checkpoint = index.0 as usize / CHECKPOINT_EVERY;
        let begin = Index((checkpoint * CHECKPOINT_EVERY) as u64);
        if self.earlier.index > index || self.earlier.index < begin {
            self.earlier = match checkpoint.checked_sub(1) {
                Some(nth) => self.checkpoints[nth].clone(),
                None => Model::default(),
            };
        }
        while self.earlier.index < index {
            let entry = committed(book, self.earlier.index.next())?;
            self.earlier.step(&entry.command);
        }
        Some(&self.earlier)
    }
}

impl Model {
    /// The next entry; whether it performed what it says.
    fn step(&mut self, command: &Command) -> bool {
        self.index = self.index.next();
        let index = self.index;
        match command {
            Command::Noop => true,
            Command::Members(members) => {
                self.membership = Some(members.clone());
                true
            }
            Command::Register { sessions_max, .. } => {
                let last_used = index;
                let client = Client {
                    last_used,
                    ..Client::default()
                };
                self.sessions.insert(SessionId(index), client);
                while self.sessions.len() > *sessions_max as usize {
                    let clients = self.sessions.iter();
                    let oldest = clients.min_by_key(|(_, client)| client.last_used);
                    let Some(id) = oldest.map(|(id, _)| *id) else {
                        break;
                    };
                    self.sessions.remove(&id);
                }
                true
            }
            Command::Apply {
                session,
                sequence,
                op,
            } => {
                let Some(client) = self.sessions.get_mut(session) else {
                    return false;
                };
                client.last_used = index;
                let is_new = *sequence > client.sequence;
                if is_new {
                    client.sequence = *sequence;
                    client.ret = Some(self.store.apply(op));
                }
                is_new
            }
            Command::Own { op } => {
                self.store.apply(op);
                true
            }
        }
    }

    /// How a server's state machine differs from it, in words.
    pub(super) fn difference(&self, machine: &Machine) -> Option<String> {
        if let Some(what) = stores(machine.store(), &self.store) {
            return Some(what);
        }
        let here = |id: &SessionId| self.sessions.get(id);
        if let Some((id, _)) = machine.sessions().iter().find(|(id, _)| here(id).is_none()) {
            return Some(format!(
                "there is a session {id}, which there should not be"
            ));
        }
        let sessions = self.sessions.iter();
        for (id, client) in sessions {
            let Some(session) = machine.sessions().get(id) else {
                return Some(format!("there is no session {id}"));
            };
            if (session.sequence(), session.ret(), session.last_used())
                != (client.sequence, client.ret.as_ref(), client.last_used)
            {
                let (found, expected) = (session.sequence(), client.sequence);
                return Some(format!(
                    "session {id} is not as it should be, at {found} rather than {expected}"
                ));
            }
        }
        None
    }
}

/// How a store differs from what it should be, in words.
pub(super) fn stores(found: &kv::Store, expected: &kv::Store) -> Option<String> {
    if found == expected {
        return None;
    }
    let both = || found.iter().chain(expected.iter()).map(|(key, _)| key);
    if let Some(key) = both().find(|key| found.get(key) != expected.get(key)) {
        let words =
            |value: Option<&kv::Value>| value.map_or("nothing".to_owned(), ToString::to_string);
        let (found, expected) = (words(found.get(key)), words(expected.get(key)));
        return Some(format!("{key} is {found} rather than {expected}"));
    }
    let (here, there) = (found.revision(), expected.revision());
    if here != there {
        return Some(format!("the revision is {here} rather than {there}"));
    }
    if let Some(key) = both().find(|key| found.key_value(key) != expected.key_value(key)) {
        return Some(format!(
            "{key} was not written when, as often, or with the lease that it should have been"
        ));
    }
    if found.leases().ne(expected.leases()) {
        return Some("the leases are others".to_owned());
    }
    let (here, there) = (found.compacted(), expected.compacted());
    Some(format!(
        "the past is another, known from {here} on where it should be from {there} on"
    ))
}
