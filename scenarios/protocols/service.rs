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
use std::sync::Arc;

/// The key-value store with transactions, leases and watches, replicated by Raft. No value is written twice, so that every
/// read tells which write it saw.
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
    /// `transfer`: some server, drawn among all, is to lead.
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

    fn invoked_at(servers: usize, clients: usize) -> Vec<NodeId> {
        (servers..servers + clients)
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
        let value: Value = nth.to_string().into();
        match given.workload.special(rng) {
            None => {}
            Some("transaction") => return Op::Kv(transaction(key(rng), None, key(rng), nth)),
            Some("range") => return Op::Kv(range(keys, rng)),
            Some("delete-range") => {
                let first = rng.index(keys);
                return Op::Kv(kv::Op::DeleteRange {
                    keys: KeyRange::Between(self::key(first), self::key(first + 2)),
                    previous: false,
                });
            }
            Some("stale") => {
                let read = kv::Op::Get { key: key(rng) };
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
            Some((Op::Kv(kv::Op::Get { key: seen }), Ret::Kv(kv::Ret::Value(found))))
                if draw < 50 =>
            {
                if draw < 15 {
                    transaction(seen.clone(), found.clone(), key(rng), nth)
                } else {
                    kv::Op::CompareAndSet {
                        key: seen.clone(),
                        expected: found.clone(),
                        value,
                    }
                }
            }
            _ if draw < 60 => kv::Op::Get { key: key(rng) },
            _ if draw < 93 => kv::Op::put(key(rng), value),
            _ => kv::Op::Delete { key: key(rng) },
        })
    }

    fn final_operations(given: Given<'_, Settings>) -> Vec<Op> {
        let get = |number| Op::Kv(kv::Op::Get { key: key(number) });
        let all = Range::of(KeyRange::Prefix("k".into()));
        let range = Op::Kv(kv::Op::Range(Arc::new(all)));
        (0..given.workload.keys.get())
            .map(get)
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
        (Op::Hold { lease, .. }, Ret::Held) => Some(Op::Kv(kv::Op::Put {
            key: format!("e{}", 1 + rng.below(3)).into(),
            value: nth.to_string().into(),
            lease: Some(*lease),
            previous: false,
        })),
        (
            Op::Kv(kv::Op::Put {
                lease: Some(lease), ..
            }),
            _,
        ) => match rng.below(4) {
            0 => Some(Op::Abandon { lease: *lease }),
            1 => Some(Op::Kv(kv::Op::LeaseRevoke { lease: *lease })),
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

/// If the key has that value: writes it, and another one. Otherwise reads both.
fn transaction(key: Key, found: Option<Value>, other: Key, nth: u64) -> kv::Op {
    let compare = match found {
        Some(value) => Compare::key(key.clone(), Relation::Equal, Operand::Value(value)),
        None => Compare::missing(key.clone()),
    };
    let mut then = vec![kv::Op::put(key.clone(), nth.to_string())];
    if other != key {
        then.push(kv::Op::put(other.clone(), format!("{nth}'")));
    }
    let otherwise = [key, other].map(|key| kv::Op::Get { key }).to_vec();
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
        range.limit = std::num::NonZeroU64::new(rng.between(1..=keys as u64));
    }
    kv::Op::Range(Arc::new(range))
}
