//! The key-value store on Raft under test.

use splitbrain::check::models::key_value::{self, KeyValue};
use splitbrain::check::{Part, What, jsonl};
use splitbrain::protocol::{Given, HistoryOf, Judgement, Protocol};
use splitbrain::scenario::ClusterSpec;
use splitbrain::{Cluster, Invariant, NodeId, Rng};
use splitbrain_protocols::kv::{self, Key, Value};
use splitbrain_protocols::raft::{self, Config, Op, Peer, Ret, Settings, View};
use std::io;

/// The key-value store replicated by Raft. Clients put, delete and compare-and-set; what one has just read it often
/// tries to change, as people do. No value is written twice, so that every read tells which write it saw.
#[derive(Clone, Copy, Debug)]
pub struct RaftKv;

impl Protocol for RaftKv {
    type Node = Peer;
    type Settings = Settings;
    const NAME: &'static str = "raft-kv";
    /// `change-members`: some three to five servers, drawn among all, are to be the voters, and perhaps another one a learner.
    /// `transfer`: some server, drawn among all, is to lead.
    const MIX: &'static [&'static str] = &["change-members", "transfer"];
    const HAS_PROGRESS: bool = true;
    const HAS_LEADER: bool = true;
    const HISTORY_PROPERTY: Option<&'static str> = Some("linearizability");

    fn validate(given: Given<'_, Settings>) -> Result<(), String> {
        let servers = given.cluster.servers.get();
        let valid = given.settings.validate(servers);
        valid.map_err(|error| error.to_string())
    }

    fn nodes(given: Given<'_, Settings>) -> Vec<Config> {
        let ClusterSpec { servers, clients } = given.cluster;
        raft::cluster(servers.get(), clients.get(), *given.settings)
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
        let servers = given.cluster.servers.get();
        match given.workload.special(rng) {
            Some("change-members") => return change_members(servers, rng),
            Some(_) => {
                let to = NodeId::from_index(rng.index(servers));
                return Op::TransferLeadership { to };
            }
            None => {}
        }
        let any_key = key(rng.index(given.workload.keys.get()));
        let value: Value = nth.to_string().into();
        let draw = rng.below(100);
        let previous = previous.and_then(|(op, ret)| Some((op.kv()?, ret.kv()?)));
        Op::Kv(match previous {
            Some((kv::Op::Get { key }, kv::Ret::Value(seen))) if draw < 50 => {
                kv::Op::CompareAndSet {
                    key: key.clone(),
                    expected: seen.clone(),
                    value,
                }
            }
            _ if draw < 60 => kv::Op::Get { key: any_key },
            _ if draw < 93 => kv::Op::put(any_key, value),
            _ => kv::Op::Delete { key: any_key },
        })
    }

    fn final_operations(given: Given<'_, Settings>) -> Vec<Op> {
        (0..given.workload.keys.get())
            .map(|number| Op::Kv(kv::Op::Get { key: key(number) }))
            .collect()
    }

    fn leader(cluster: Cluster<'_, Peer>) -> Option<NodeId> {
        View::new(cluster, Peer::server).leader()
    }

    fn is_led(cluster: Cluster<'_, Peer>) -> bool {
        View::new(cluster, Peer::server).is_led()
    }

    fn converged(cluster: Cluster<'_, Peer>) -> Result<(), String> {
        View::new(cluster, Peer::server).converged()
    }

    fn can_be_live(_: Given<'_, Settings>, cluster: Cluster<'_, Peer>, damaged: &[NodeId]) -> bool {
        View::new(cluster, Peer::server).can_be_live(damaged)
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
        if let Some(op) = not_modelled(history) {
            return Judgement::Unknown(format!("the checker has no model of `{op}`"));
        }
        Judgement::of_part(&KeyValue, &checkable(history), budget_steps)
    }

    fn write_history(history: &HistoryOf<Self>, out: &mut dyn io::Write) -> io::Result<()> {
        jsonl::write(&checkable(history).history, out)
    }
}

fn key(number: usize) -> Key {
    format!("k{}", number + 1).into()
}

/// Other members than there are, or perhaps the same.
fn change_members(servers: usize, rng: &mut Rng) -> Op {
    let mut ids: Vec<NodeId> = (0..servers).map(NodeId::from_index).collect();
    rng.shuffle(&mut ids);
    let most = servers.min(5);
    let count = rng.between(most.min(3) as u64..=most as u64) as usize;
    let learner = rng.below(4) == 0;
    let learners = ids.drain(count..).take(usize::from(learner)).collect();
    Op::ChangeMembers {
        voters: ids,
        learners,
    }
}

/// What clients did to the store, in the words of the checker's model. What they did to the cluster is not for it.
fn checkable(history: &HistoryOf<RaftKv>) -> Part<key_value::Op, key_value::Ret> {
    let op = |op: Op| match op {
        Op::Kv(op) => store_op(op),
        Op::ChangeMembers { .. } | Op::TransferLeadership { .. } => None,
    };
    let ret = |ret: Ret| match ret {
        Ret::Kv(ret) => store_ret(ret),
        Ret::Changed(_) | Ret::Transferred => {
            unreachable!("an answer to an operation that was left out")
        }
    };
    history.clone().only(op).map(|op| op, ret)
}

/// An operation that may change what others read, and that the model does not know.
fn not_modelled(history: &HistoryOf<RaftKv>) -> Option<&Op> {
    let mut invoked = history
        .events()
        .iter()
        .filter_map(|event| match &event.what {
            What::Invoke(op) => Some(op),
            _ => None,
        });
    let is_foreign = |op: &kv::Op| !op.is_read() && store_op(op.clone()).is_none();
    invoked.find(|op| op.kv().is_some_and(is_foreign))
}

/// The operation in the words of the model, if it has such words.
fn store_op(op: kv::Op) -> Option<key_value::Op> {
    Some(match op {
        kv::Op::Get { key } => key_value::Op::Get { key },
        kv::Op::Put {
            key,
            value,
            lease: None,
            ..
        } => key_value::Op::Put { key, value },
        kv::Op::Delete { key } => key_value::Op::Delete { key },
        kv::Op::CompareAndSet {
            key,
            expected,
            value,
        } => key_value::Op::CompareAndSet {
            key,
            expected,
            value,
        },
        _ => return None,
    })
}

fn store_ret(ret: kv::Ret) -> key_value::Ret {
    match ret {
        kv::Ret::Value(value) => key_value::Ret::Value(value),
        kv::Ret::Written | kv::Ret::Put(_) => key_value::Ret::Written,
        kv::Ret::Deleted(existed) => key_value::Ret::Deleted(existed),
        kv::Ret::Swapped(swapped) => key_value::Ret::Swapped(swapped),
        _ => unreachable!("an answer to an operation that was left out"),
    }
}
