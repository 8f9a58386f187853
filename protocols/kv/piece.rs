//! A store in pieces, as it travels in a snapshot: all of it, the past that it keeps included, or servers that have applied
//! the same could answer differently.

use super::history::{Change, History};
use super::key_value::State;
use super::lease::Leases;
use super::{Key, LeaseId, Revision, Store};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A small part of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Piece {
    /// A lease. Its keys say that they go with it.
    Lease {
        /// Which one.
        lease: LeaseId,
        /// See [`Lease::ttl_ms`](super::Lease::ttl_ms).
        ttl_ms: u64,
        /// See [`Lease::remaining_ms`](super::Lease::remaining_ms).
        remaining_ms: u64,
        /// See [`Lease::renewals`](super::Lease::renewals).
        renewals: u64,
    },
    /// A change that is kept; they come in order.
    Change(Box<Change>),
    /// A live key. They come after the changes.
    Key(Key, Box<State>),
}

/// What there is one of in a store: without it, its pieces are of no use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    revision: Revision,
    compacted: Revision,
    keeps: u64,
    sequence: u64,
    renewals: u64,
    /// The position of the first change that is kept.
    begin: u64,
}

impl Piece {
    /// How much its keys and values take, in bytes; of a lease, all of it.
    pub fn size_bytes(&self) -> usize {
        match self {
            Piece::Lease { .. } => 32,
            Piece::Change(change) => change.size_bytes(),
            Piece::Key(key, state) => key.len() + state.value().map_or(0, |value| value.len()),
        }
    }
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Piece::Lease { lease, .. } => write!(f, "lease {lease}"),
            Piece::Change(change) => write!(f, "{} at {}", change.key(), change.revision()),
            Piece::Key(key, state) => {
                write!(f, "{key}={}", state.value().map_or("", |value| value))
            }
        }
    }
}

impl Store {
    /// What there is one of.
    pub fn header(&self) -> Header {
        Header {
            revision: self.revision,
            compacted: self.compacted,
            keeps: self.keeps,
            sequence: self.sequence,
            renewals: self.leases.renewals(),
            begin: self.history.begin(),
        }
    }

    /// All else, in an order in which it can be [put together](Store::assemble) again.
    pub fn pieces(&self) -> impl Iterator<Item = Piece> {
        let leases = self.leases.iter().map(|(id, lease)| Piece::Lease {
            lease: id,
            ttl_ms: lease.ttl_ms,
            remaining_ms: lease.remaining_ms,
            renewals: lease.renewals,
        });
        let changes = self.history.starting_with(0);
        let changes = changes.map(|change| Piece::Change(Box::new(change.clone())));
        let live = self.keys.iter().filter(|(_, state)| state.is_live());
        let keys = live.map(|(key, state)| Piece::Key(key.clone(), Box::new(state.clone())));
        leases.chain(changes).chain(keys)
    }

    /// The store with this header and all these pieces, in their order.
    pub fn assemble(header: Header, pieces: impl IntoIterator<Item = Piece>) -> Store {
        let mut store = Store::keeping(header.keeps);
        store.revision = header.revision;
        store.compacted = header.compacted;
        store.sequence = header.sequence;
        store.leases = Leases::new(header.renewals);
        store.history = History::starting_at(header.begin);
        for piece in pieces {
            match piece {
                Piece::Lease {
                    lease,
                    ttl_ms,
                    remaining_ms,
                    renewals,
                } => store.leases.restore(lease, ttl_ms, remaining_ms, renewals),
                Piece::Change(change) => {
                    if !change.is_put() {
                        // If it was written again since, what it is now comes later.
                        let deleted = State::deleted(change.revision, store.history.end());
                        store.restore(change.key.clone(), deleted);
                    }
                    store.history.push(*change);
                }
                Piece::Key(key, state) => store.restore(key, *state),
            }
        }
        store
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Op, Ret};
    use super::*;

    /// Of everything something: a lease with a key, a key that is deleted, one that was and is back, and a past that begins in
    /// the middle.
    fn store() -> Store {
        let mut store = Store::keeping(6);
        let lease = LeaseId::new(1);
        store.apply(&Op::LeaseGrant {
            lease,
            ttl_ms: 1000,
        });
        for nth in 0..9 {
            store.apply(&Op::put(format!("k{}", nth % 3), nth.to_string()));
        }
        store.apply(&Op::Delete { key: "k0".into() });
        store.apply(&Op::Delete { key: "k1".into() });
        store.apply(&Op::put("k1", "again"));
        store.apply(&Op::PutSequential {
            prefix: "s".into(),
            value: "1".into(),
            lease,
        });
        store
    }

    #[test]
    fn a_store_is_the_sum_of_its_pieces() {
        let store = store();
        let pieces: Vec<Piece> = store.pieces().collect();
        assert_eq!(pieces.len(), 1 + 6 + 3);
        let mut again = Store::assemble(store.header(), pieces);
        assert_eq!(again, store);
        assert_eq!(again.len(), 3);
        // And it goes on as the other does.
        let mut other = store;
        for op in [
            Op::put("k0", "back"),
            Op::LeaseRevoke {
                lease: LeaseId::new(1).unwrap(),
            },
            Op::PutSequential {
                prefix: "s".into(),
                value: "2".into(),
                lease: None,
            },
            Op::LeaseGrant {
                lease: None,
                ttl_ms: 5,
            },
        ] {
            let ret = again.apply(&op);
            assert_eq!(ret, other.apply(&op));
            assert!(!matches!(ret, Ret::Refused(_)), "{op}: {ret}");
            assert_eq!(again, other);
        }
    }

    #[test]
    fn every_piece_matters() {
        let store = store();
        let pieces: Vec<Piece> = store.pieces().collect();
        for left_out in 0..pieces.len() {
            let mut fewer = pieces.clone();
            fewer.remove(left_out);
            let other = Store::assemble(store.header(), fewer);
            assert_ne!(other, store, "without {:?}", pieces[left_out]);
        }
        for change in [
            |header: &mut Header| header.revision.0 += 1,
            |header: &mut Header| header.compacted.0 += 1,
            |header: &mut Header| header.keeps += 1,
            |header: &mut Header| header.sequence += 1,
            |header: &mut Header| header.renewals += 1,
            |header: &mut Header| header.begin += 1,
        ] {
            let mut header = store.header();
            change(&mut header);
            assert_ne!(Store::assemble(header, pieces.clone()), store);
        }
    }
}
