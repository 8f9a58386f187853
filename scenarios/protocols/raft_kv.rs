//! The key-value store on Raft under test.

use splitbrain::check::models::key_value::{self, KeyValue};
use splitbrain::check::{History, jsonl};
use splitbrain::protocol::{Given, HistoryOf, Judgement, Protocol};
use splitbrain::scenario::ClusterSpec;
use splitbrain::{Cluster, Invariant, NodeId, Rng};
use splitbrain_protocols::kv::{Key, Op, Ret, Value};
use splitbrain_protocols::raft::{self, Config, Peer, Settings};
use std::io;

/// The key-value store replicated by Raft. Clients put, delete and compare-and-set; what one has just read it often
/// tries to change, as people do. No value is written twice, so that every read tells which write it saw.
#[derive(Clone, Copy, Debug)]
pub struct RaftKv;

impl Protocol for RaftKv {
    type Node = Peer;
    type Settings = Settings;
    const NAME: &'static str = "raft-kv";
    const HAS_PROGRESS: bool = true;
    const HAS_LEADER: bool = true;
    const HISTORY_PROPERTY: Option<&'static str> = Some("linearizability");

    fn validate(given: Given<'_, Settings>) -> Result<(), String> {
        given.settings.validate()
    }

    fn nodes(given: Given<'_, Settings>) -> Vec<Config> {
        let ClusterSpec { servers, clients } = given.cluster;
        raft::cluster(servers.get(), clients.get(), *given.settings)
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
        let any_key = key(rng.index(given.workload.keys.get()));
        let value: Value = nth.to_string().into();
        let draw = rng.below(100);
        match previous {
            Some((Op::Get { key }, Ret::Value(seen))) if draw < 50 => Op::CompareAndSet {
                key: key.clone(),
                expected: seen.clone(),
                value,
            },
            _ if draw < 60 => Op::Get { key: any_key },
            _ if draw < 93 => Op::Put {
                key: any_key,
                value,
            },
            _ => Op::Delete { key: any_key },
        }
    }

    fn final_operations(given: Given<'_, Settings>) -> Vec<Op> {
        (0..given.workload.keys.get())
            .map(|number| Op::Get { key: key(number) })
            .collect()
    }

    fn leader(cluster: Cluster<'_, Peer>) -> Option<NodeId> {
        raft::leader(&cluster)
    }

    fn converged(cluster: Cluster<'_, Peer>) -> Result<(), String> {
        raft::converged(&cluster)
    }

    fn state_in_words(peer: &Peer) -> Option<String> {
        let server = peer.server()?;
        let (role, term, log) = (server.role(), server.term(), server.log());
        let (last, last_term) = (log.last_index(), log.last_term());
        let committed = server.commit_index();
        Some(format!(
            "{role} in term {term}, log up to {last} of term {last_term}, committed up to {committed}"
        ))
    }

    fn invariants(_: &Settings) -> Vec<Box<dyn Invariant<Peer>>> {
        raft::invariants::all()
    }

    fn judge(history: &HistoryOf<Self>, budget_steps: u64) -> Judgement {
        Judgement::of(&KeyValue, &checkable(history), budget_steps)
    }

    fn write_history(history: &HistoryOf<Self>, out: &mut dyn io::Write) -> io::Result<()> {
        jsonl::write(&checkable(history), out)
    }
}

fn key(number: usize) -> Key {
    format!("k{}", number + 1).into()
}

/// The history in the words of the checker's model.
fn checkable(history: &HistoryOf<RaftKv>) -> History<key_value::Op, key_value::Ret> {
    let op = |op: Op| match op {
        Op::Get { key } => key_value::Op::Get { key },
        Op::Put { key, value } => key_value::Op::Put { key, value },
        Op::Delete { key } => key_value::Op::Delete { key },
        Op::CompareAndSet {
            key,
            expected,
            value,
        } => key_value::Op::CompareAndSet {
            key,
            expected,
            value,
        },
    };
    let ret = |ret: Ret| match ret {
        Ret::Value(value) => key_value::Ret::Value(value),
        Ret::Written => key_value::Ret::Written,
        Ret::Deleted(existed) => key_value::Ret::Deleted(existed),
        Ret::Swapped(swapped) => key_value::Ret::Swapped(swapped),
    };
    history.clone().map(op, ret)
}
