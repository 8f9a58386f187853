//! The coordination service under test.

mod history;

use splitbrain::protocol::{Given, HistoryOf, Judgement, Protocol};
use splitbrain::scenario::ClusterSpec;
use splitbrain::{Cluster, Invariant, NodeId, Rng};
use splitbrain_protocols::kv::{
    self, Compare, Key, KeyRange, LeaseId, Operand, Range, Relation, Revision, Transaction, Value,
};
use splitbrain_protocols::raft::{self, View};
use splitbrain_protocols::service::{self, Config, Op, Peer, Ret, Settings};
use std::io;
use std::num::NonZeroU64;
use std::sync::Arc;

/// The key-value store with transactions, leases and watches, replicated by Raft. No value is written twice, so that every
/// read tells which write it saw, and every operation is one of those that are answered with a revision.
///
/// Keys that go with a lease are apart from the others (`e1`, `e2`, ..): they also go when nobody asks for it.
#[derive(Clone, Copy, Debug)]
pub struct Service;

impl Protocol for Service {
    type Node = Peer;
    type Settings = Settings;
    const NAME: &'static str = "service";
    /// `transaction`: if one key is as it was last seen, write it and another one, else read both. `range`: read all keys, in
    /// part. `delete-range`: remove two keys. `stale`: read what some server knows. `watch`: watch all keys, for a while.
    /// `hold`: a lease, with a key that goes with it, that is given up in one way or another. `compact`: forget the past.
    const MIX: &'static [&'static str] = &[
        "transaction",
        "range",
        "delete-range",
        "stale",
        "watch",
        "hold",
        "compact",
    ];
    const HAS_PROGRESS: bool = true;
    const HAS_LEADER: bool = true;
    const HISTORY_PROPERTY: Option<&'static str> = Some("linearizability");

    fn validate(given: Given<'_, Settings>) -> Result<(), String> {
        let valid = given.settings.validate(given.cluster.servers.get());
        valid.map_err(|error| error.to_string())
    }

    fn nodes(given: Given<'_, Settings>) -> Vec<Config> {
        let ClusterSpec { servers, clients } = given.cluster;
        service::cluster(servers.get(), clients.get(), *given.settings)
    }

    fn invoked_at(given: Given<'_, Settings>) -> Vec<NodeId> {
        let ClusterSpec { servers, clients } = given.cluster;
        (servers.get()..servers.get() + clients.get())
            .map(NodeId::from_index)
            .collect()
    }

    fn operation(
        given: Given<'_, Settings>,
        nth: u64,
        previous: Option<(&Op, &Ret)>,
        rng: &mut Rng,
    ) -> Op {
        if let Some(op) = previous.and_then(|(op, ret)| next(nth, op, ret, rng)) {
            return op;
        }
        let keys = given.workload.keys.get();
        let key = |rng: &mut Rng| key(rng.index(keys));
        match given.workload.special(rng) {
            None => {}
            Some("transaction") => {
                return Op::Kv(transaction(key(rng), None, Some(key(rng)), nth));
            }
            Some("range") => return Op::Kv(range(keys, rng)),
            Some("delete-range") => {
                let first = rng.index(keys);
                return Op::Kv(kv::Op::DeleteRange {
                    keys: KeyRange::Between(self::key(first), self::key(first + 2)),
                    previous: false,
                });
            }
            Some("stale") => {
                let read = get(key(rng));
                return Op::Stale { read };
            }
            Some("watch") => return watch(None, rng),
            Some("hold") => {
                // Zero is the one number in 2^64 that is none.
                let lease = LeaseId::new(rng.next_u64().max(1));
                let ttl_ms = rng.between(1_000..=3_000);
                if let Some(lease) = lease {
                    return Op::Hold { lease, ttl_ms };
                }
            }
            Some(_) => {
                // Wherever the store is, all but the last are forgotten soon.
                let changes = rng.between(10..=100);
                return Op::Kv(kv::Op::Keep { changes });
            }
        }
        let draw = rng.below(100);
        Op::Kv(match previous {
            Some((Op::Kv(kv::Op::Range(range)), Ret::Kv(kv::Ret::Range(found)))) if draw < 50 => {
                let seen = range.keys.start().clone();
                let value = found.keys.first().map(|found| found.value.clone());
                let other = (draw < 15).then(|| key(rng));
                transaction(seen, value, other, nth)
            }
            // What was there a while ago.
            Some((_, Ret::Kv(kv::Ret::Range(found)))) if draw < 56 => {
                let ago = rng.below(30);
                let mut range = Range::of(KeyRange::Prefix("k".into()));
                range.revision = Some(Revision(found.revision.0.saturating_sub(ago).max(1)));
                kv::Op::Range(Arc::new(range))
            }
            _ if draw < 60 => get(key(rng)),
            _ if draw < 93 => put(key(rng), nth, None),
            _ => kv::Op::DeleteRange {
                keys: KeyRange::Key(key(rng)),
                previous: false,
            },
        })
    }

    fn final_operations(given: Given<'_, Settings>) -> Vec<Op> {
        let all = Range::of(KeyRange::all());
        let range = Op::Kv(kv::Op::Range(Arc::new(all)));
        let keys = 0..given.workload.keys.get();
        keys.map(|number| Op::Kv(get(key(number))))
            .chain([range])
            .collect()
    }

    fn leader(cluster: Cluster<'_, Peer>) -> Option<NodeId> {
        View::new(cluster, raft_server).leader()
    }

    fn is_led(cluster: Cluster<'_, Peer>) -> bool {
        View::new(cluster, raft_server).is_led()
    }

    fn converged(cluster: Cluster<'_, Peer>) -> Result<(), String> {
        View::new(cluster, raft_server).converged()?;
        service::converged(cluster, |peer| Some(peer))
    }

    fn can_be_live(_: Given<'_, Settings>, cluster: Cluster<'_, Peer>, damaged: &[NodeId]) -> bool {
        View::new(cluster, raft_server).can_be_live(damaged)
    }

    fn state_in_words(peer: &Peer) -> Option<String> {
        let server = peer.server()?;
        let (role, term) = (server.raft().role(), server.raft().term());
        let (revision, leases) = (server.store().revision(), server.store().leases().len());
        let watches = server.watches();
        Some(format!(
            "{role} in term {term}, at revision {revision}, {leases} leases, {watches} watches"
        ))
    }

    fn invariants(settings: &Settings) -> Vec<Box<dyn Invariant<Peer>>> {
        service::invariants::all(settings, |peer| Some(peer))
    }

    fn judge(history: &HistoryOf<Self>, budget_steps: u64) -> Judgement {
        history::judge(history, budget_steps)
    }

    fn write_history(history: &HistoryOf<Self>, out: &mut dyn io::Write) -> io::Result<()> {
        history::write(history, out)
    }
}

fn raft_server(peer: &Peer) -> Option<&raft::Server> {
    peer.server().map(service::Server::raft)
}

fn key(number: usize) -> Key {
    format!("k{}", number + 1).into()
}

/// What a client does next that has just done something of a kind that goes on.
fn next(nth: u64, op: &Op, ret: &Ret, rng: &mut Rng) -> Option<Op> {
    match (op, ret) {
        // Whoever watches goes on with it, mostly.
        (Op::Changes { .. }, Ret::Changes { through, .. }) if rng.below(10) > 0 => {
            Some(watch(Some(*through), rng))
        }
        (Op::Changes { .. }, Ret::Compacted(from)) => Some(watch(Some(*from), rng)),
        (Op::Hold { lease, .. }, Ret::Held) => {
            let key = format!("e{}", 1 + rng.below(3)).into();
            Some(Op::Kv(put(key, nth, Some(*lease))))
        }
        (
            Op::Kv(kv::Op::Put {
                lease: Some(lease), ..
            }),
            _,
        ) => match rng.below(10) {
            0..5 => Some(Op::Abandon { lease: *lease }),
            5..8 => Some(Op::Kv(kv::Op::LeaseRevoke { lease: *lease })),
            // It is held on to, until the client crashes or cannot be reached for long.
            _ => None,
        },
        _ => None,
    }
}

fn watch(after: Option<Revision>, rng: &mut Rng) -> Op {
    Op::Changes {
        keys: KeyRange::all(),
        after,
        wait_ms: rng.between(100..=1_000),
    }
}

/// A read of one key that is answered with a revision.
fn get(key: Key) -> kv::Op {
    kv::Op::Range(Arc::new(Range::of(KeyRange::Key(key))))
}

/// A write that is answered with a revision.
fn put(key: Key, nth: u64, lease: Option<LeaseId>) -> kv::Op {
    kv::Op::Put {
        key,
        value: nth.to_string().into(),
        lease,
        previous: true,
    }
}

/// If the key has that value: writes it, and perhaps another one. Otherwise reads them.
fn transaction(key: Key, found: Option<Value>, other: Option<Key>, nth: u64) -> kv::Op {
    let compare = match found {
        Some(value) => Compare::key(key.clone(), Relation::Equal, Operand::Value(value)),
        None => Compare::missing(key.clone()),
    };
    let mut then = vec![kv::Op::put(key.clone(), nth.to_string())];
    if let Some(other) = other.clone().filter(|other| *other != key) {
        then.push(kv::Op::put(other, format!("{nth}'")));
    }
    let read = |key| kv::Op::Get { key };
    let otherwise = [key].into_iter().chain(other).map(read).collect();
    kv::Op::Transaction(Arc::new(Transaction {
        compare: vec![compare],
        then,
        otherwise,
    }))
}

/// All keys, or some of them.
fn range(keys: usize, rng: &mut Rng) -> kv::Op {
    let mut range = Range::of(KeyRange::Prefix("k".into()));
    if rng.below(3) == 0 {
        range.limit = NonZeroU64::new(rng.between(1..=keys as u64));
    }
    kv::Op::Range(Arc::new(range))
}
