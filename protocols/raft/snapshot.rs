//! Snapshots: the state that a prefix of the log has come to, in place of the log (dissertation §5).

use super::log::{Index, Term};
use super::membership::Membership;
use super::session::{Machine, Session, SessionId};
use crate::kv;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a prefix of the log has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Packed", from = "Packed")]
pub struct Snapshot {
    /// The last index that it stands for: a committed one. Zero for the one that a cluster is founded with.
    pub last_index: Index,
    /// The term of that entry.
    pub last_term: Term,
    /// The members at that index.
    pub membership: Arc<Membership>,
    /// The state machine after that entry, client sessions included: a retry of what the snapshot has performed must not
    /// be performed again (dissertation §6.3).
    pub machine: Machine,
}

/// A snapshot as it lies in a journal: in the same pieces as it travels in.
#[derive(Clone, Serialize, Deserialize)]
struct Packed {
    last_index: Index,
    last_term: Term,
    membership: Arc<Membership>,
    store: kv::Header,
    parts: Vec<Part>,
}

impl From<Snapshot> for Packed {
    fn from(snapshot: Snapshot) -> Packed {
        Packed {
            store: snapshot.machine.store().header(),
            parts: snapshot.parts().to_vec(),
            last_index: snapshot.last_index,
            last_term: snapshot.last_term,
            membership: snapshot.membership,
        }
    }
}

impl From<Packed> for Snapshot {
    fn from(packed: Packed) -> Snapshot {
        let incoming = Incoming {
            last_index: packed.last_index,
            last_term: packed.last_term,
            membership: packed.membership,
            store: packed.store,
            parts: packed.parts,
        };
        incoming.complete()
    }
}

/// A piece of the state machine, as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// Of the store.
    Store(kv::Piece),
    /// A session.
    Session(SessionId, Session),
}

impl Part {
    /// How much it would take on a wire, about, in bytes.
    pub fn size_bytes(&self) -> usize {
        match self {
            Part::Store(piece) => piece.size_bytes(),
            Part::Session(_, session) => 8 + session.size_bytes(),
        }
    }
}

impl Snapshot {
    /// The state in pieces: the same for all servers, as the state is.
    pub(super) fn parts(&self) -> Arc<[Part]> {
        let store = self.machine.store().pieces().map(Part::Store);
        let sessions = self.machine.sessions().iter();
        let sessions = sessions.map(|(id, session)| Part::Session(*id, session.clone()));
        store.chain(sessions).collect()
    }
}

/// A snapshot that is being received, a chunk at a time. It is lost at a crash, and begun anew.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    last_index: Index,
    last_term: Term,
    membership: Arc<Membership>,
    store: kv::Header,
    parts: Vec<Part>,
}

impl Incoming {
    /// The first chunk of a snapshot is still to come.
    pub(super) fn new(
        last_index: Index,
        last_term: Term,
        membership: Arc<Membership>,
        store: kv::Header,
    ) -> Incoming {
        Incoming {
            last_index,
            last_term,
            membership,
            store,
            parts: Vec::new(),
        }
    }

    /// Whether it is this snapshot. Whoever sends it: what is committed up to an index comes to the same everywhere.
    pub(super) fn is(&self, last_index: Index, last_term: Term) -> bool {
        (self.last_index, self.last_term) == (last_index, last_term)
    }

    /// Whether it says nothing that is not known to be committed already, when everything up to here is.
    pub(super) fn is_behind(&self, committed: Index) -> bool {
        self.last_index <= committed
    }

    /// How many parts have been received, from the first on.
    pub(super) fn received(&self) -> usize {
        self.parts.len()
    }

    /// Takes a chunk, if it is the next one: others were received already, or come too early. Whether it was.
    pub(super) fn take(&mut self, offset: usize, parts: Vec<Part>) -> bool {
        let is_next = offset == self.parts.len();
        if is_next {
            self.parts.extend(parts);
        }
        is_next
    }

    /// The snapshot, once its last chunk has been taken.
    pub(super) fn complete(self) -> Snapshot {
        let mut pieces = Vec::new();
        let mut sessions = BTreeMap::new();
        for part in self.parts {
            match part {
                Part::Store(piece) => pieces.push(piece),
                Part::Session(id, session) => {
                    sessions.insert(id, session);
                }
            }
        }
        Snapshot {
            last_index: self.last_index,
            last_term: self.last_term,
            membership: self.membership,
            machine: Machine::new(kv::Store::assemble(self.store, pieces), sessions),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::log::Command;
    use super::*;

    fn snapshot() -> Snapshot {
        let mut machine = Machine::default();
        let register = Command::Register {
            nonce: 1,
            sessions_max: 9,
        };
        machine.apply(Index(1), &register);
        for sequence in 1..=4 {
            let op = kv::Op::put(format!("k{sequence}"), "v");
            let command = Command::Apply {
                session: SessionId(Index(1)),
                sequence,
                op,
            };
            machine.apply(Index(1 + sequence), &command);
        }
        Snapshot {
            last_index: Index(5),
            last_term: Term(2),
            membership: Arc::default(),
            machine,
        }
    }

    #[test]
    fn chunks_that_come_twice_or_too_early_change_nothing() {
        let snapshot = snapshot();
        let parts = snapshot.parts();
        assert_eq!(parts.len(), 5);
        let header = snapshot.machine.store().header();
        let mut incoming = Incoming::new(Index(5), Term(2), Arc::default(), header);
        for (offset, end, next) in [
            (2, 4, false),
            (0, 2, true),
            (4, 5, false),
            (0, 2, false),
            (2, 4, true),
            (2, 4, false),
            (4, 5, true),
        ] {
            let taken = incoming.take(offset, parts[offset..end].to_vec());
            assert_eq!(taken, next, "{offset}..{end}");
        }
        assert_eq!(incoming.received(), 5);
        assert_eq!(incoming.complete(), snapshot);
    }

    #[test]
    fn what_is_received_is_told_apart_by_index_and_term() {
        let header = kv::Header::default();
        let incoming = Incoming::new(Index(5), Term(2), Arc::default(), header);
        assert!(incoming.is(Index(5), Term(2)));
        assert!(!incoming.is(Index(5), Term(3)) && !incoming.is(Index(6), Term(2)));
    }

    #[test]
    fn a_snapshot_comes_out_of_a_journal_as_it_went_in() {
        let snapshot = snapshot();
        let bytes = postcard::to_stdvec(&snapshot).unwrap();
        assert_eq!(postcard::from_bytes(&bytes), Ok(snapshot));
    }
}
