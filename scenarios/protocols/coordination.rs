//! The coordination recipes under test.

mod configurations;
mod history;
mod known;

use splitbrain::protocol::{Given, HistoryOf, Judgement, Protocol};
use splitbrain::scenario::ClusterSpec;
use splitbrain::{Cluster, Invariant, NodeId, Rng};
use splitbrain_protocols::coordination::{self, Config, How, Name, Op, Peer, Ret, Settings};
use splitbrain_protocols::kv::Value;
use splitbrain_protocols::raft::{self, View};
use splitbrain_protocols::service;
use std::io;
use std::num::NonZeroU64;

/// Locks with tokens, elections, queues, groups and configurations, on the coordination service. The last client of a
/// scenario is the resource that locks protect; the others use it. No value is written twice.
///
/// What the workload asks for without a `mix` are mutexes, which protect one register each.
#[derive(Clone, Copy, Debug)]
pub struct Coordination;

/// How many may have a semaphore at once, and how many come to a barrier.
const PERMITS: NonZeroU64 = NonZeroU64::MIN.saturating_add(1);

impl Protocol for Coordination {
    type Node = Peer;
    type Settings = Settings;
    const NAME: &'static str = "coordination";
    /// `read-write`: a lock with readers and writers. `semaphore`: one with two permits. `election`: campaign, proclaim,
    /// resign. `observe`: who leads. `queue`: put something in, or take it out. `group`: join, leave, or see who is there.
    /// `barrier`: come and go, two at a time. `config`: set it, read it, wait for a change.
    const MIX: &'static [&'static str] = &[
        "read-write",
        "semaphore",
        "election",
        "observe",
        "queue",
        "group",
        "barrier",
        "config",
    ];
    const HAS_PROGRESS: bool = true;
    const HAS_LEADER: bool = true;
    /// Tokens grow, queues are queues, and whoever asks is told.
    const HISTORY_PROPERTY: Option<&'static str> = Some("order");

    fn validate(given: Given<'_, Settings>) -> Result<(), String> {
        if given.cluster.clients.get() < 2 {
            return Err(
                "coordination needs two clients at least: the last one is the resource".to_owned(),
            );
        }
        given.settings.validate(given.cluster.servers.get())
    }

    fn nodes(given: Given<'_, Settings>) -> Vec<Config> {
        let ClusterSpec { servers, clients } = given.cluster;
        let clients = clients.get().saturating_sub(1);
        coordination::cluster(servers.get(), clients, *given.settings)
    }

    fn invoked_at(given: Given<'_, Settings>) -> Vec<NodeId> {
        let servers = given.cluster.servers.get();
        let clients = given.cluster.clients.get().saturating_sub(1);
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
        let number = 1 + rng.index(given.workload.keys.get());
        let name = |kind: &str| Name::from(format!("{kind}{number}"));
        let value: Value = nth.to_string().into();
        let wait_ms = rng.between(1_000..=6_000);
        match given.workload.special(rng) {
            None => Op::Acquire {
                lock: name("l"),
                how: How::Exclusive,
                wait_ms,
            },
            Some("read-write") => Op::Acquire {
                lock: name("r"),
                how: if rng.below(3) == 0 {
                    How::Exclusive
                } else {
                    How::Shared
                },
                wait_ms,
            },
            Some("semaphore") => Op::Acquire {
                lock: name("s"),
                how: How::Permit(PERMITS),
                wait_ms,
            },
            Some("election") => Op::Campaign {
                election: name("e"),
                value,
                wait_ms,
            },
            Some("observe") => Op::Observe {
                election: name("e"),
            },
            Some("queue") if rng.below(2) == 0 => Op::Dequeue { queue: name("q") },
            Some("queue") => Op::Enqueue {
                queue: name("q"),
                value,
            },
            Some("group") => match rng.below(3) {
                0 => Op::Members { group: name("g") },
                1 => Op::Leave { group: name("g") },
                _ => Op::Join {
                    group: name("g"),
                    value,
                },
            },
            Some("barrier") => Op::EnterBarrier {
                barrier: name("b"),
                parties: PERMITS,
                wait_ms,
            },
            Some(_) => match rng.below(3) {
                0 => Op::SetConfig {
                    config: name("c"),
                    value,
                },
                _ => Op::GetConfig { config: name("c") },
            },
        }
    }

    fn final_operations(given: Given<'_, Settings>) -> Vec<Op> {
        let of = |number: usize| {
            let name = |kind: &str| Name::from(format!("{kind}{number}"));
            [
                Op::Line { lock: name("l") },
                Op::Observe {
                    election: name("e"),
                },
                Op::Members { group: name("g") },
                Op::Dequeue { queue: name("q") },
            ]
        };
        (1..=given.workload.keys.get()).flat_map(of).collect()
    }

    fn leader(cluster: Cluster<'_, Peer>) -> Option<NodeId> {
        View::new(cluster, raft_server).leader()
    }

    fn is_led(cluster: Cluster<'_, Peer>) -> bool {
        View::new(cluster, raft_server).is_led()
    }

    fn converged(cluster: Cluster<'_, Peer>) -> Result<(), String> {
        View::new(cluster, raft_server).converged()?;
        service::converged(cluster, Peer::service)
    }

    fn can_be_live(_: Given<'_, Settings>, cluster: Cluster<'_, Peer>, damaged: &[NodeId]) -> bool {
        View::new(cluster, raft_server).can_be_live(damaged)
    }

    fn state_in_words(peer: &Peer) -> Option<String> {
        if let Some(server) = peer.service().and_then(service::Peer::server) {
            let (role, term) = (server.raft().role(), server.raft().term());
            let (revision, leases) = (server.store().revision(), server.store().leases().len());
            return Some(format!(
                "{role} in term {term}, at revision {revision}, {leases} leases"
            ));
        }
        if let Some(resource) = peer.resource() {
            let marks = resource.marks().iter();
            let marks: Vec<String> = marks
                .map(|(lock, mark)| format!("{lock} up to token {}", mark.seen))
                .collect();
            return (!marks.is_empty()).then(|| format!("has seen {}", marks.join(", ")));
        }
        let places = peer.client()?.places().iter();
        let places: Vec<String> = places
            .map(|(prefix, place)| format!("{prefix} with token {}", place.token))
            .collect();
        (!places.is_empty()).then(|| format!("believes to be in {}", places.join(", ")))
    }

    fn invariants(settings: &Settings) -> Vec<Box<dyn Invariant<Peer>>> {
        coordination::invariants::all(settings)
    }

    fn judge(history: &HistoryOf<Self>, _budget_steps: u64) -> Judgement {
        history::judge(history)
    }

    fn write_history(history: &HistoryOf<Self>, out: &mut dyn io::Write) -> io::Result<()> {
        history::write(history, out)
    }
}

fn raft_server(peer: &Peer) -> Option<&raft::Server> {
    let server = peer.service()?.server()?;
    Some(server.raft())
}

/// What a client does next that has just done something that goes on: whoever has got something uses it for a while, and
/// gives it back.
fn next(nth: u64, op: &Op, ret: &Ret, rng: &mut Rng) -> Option<Op> {
    let value: Value = nth.to_string().into();
    let release = |lock: &Name| Op::Release { lock: lock.clone() };
    Some(match (op, ret) {
        (Op::Acquire { lock, how, .. }, Ret::In { .. }) => match how {
            How::Exclusive => Op::Write {
                lock: lock.clone(),
                value,
            },
            How::Shared => Op::Read { lock: lock.clone() },
            How::Permit(_) | How::Member => release(lock),
        },
        (Op::Write { lock, .. }, Ret::Written) => match rng.below(4) {
            0 => Op::Read { lock: lock.clone() },
            1 => Op::Write {
                lock: lock.clone(),
                value,
            },
            _ => release(lock),
        },
        (Op::Read { lock }, Ret::Value(_)) => release(lock),
        (
            Op::Campaign { election, .. } | Op::Proclaim { election, .. },
            Ret::In { .. } | Ret::Written,
        ) => {
            if rng.below(2) == 0 {
                Op::Proclaim {
                    election: election.clone(),
                    value,
                }
            } else {
                Op::Resign {
                    election: election.clone(),
                }
            }
        }
        (Op::EnterBarrier { barrier, .. }, Ret::In { .. }) => Op::LeaveBarrier {
            barrier: barrier.clone(),
            wait_ms: rng.between(1_000..=3_000),
        },
        (Op::GetConfig { config }, Ret::Config { revision, .. }) => Op::AwaitConfig {
            config: config.clone(),
            after: *revision,
            wait_ms: rng.between(100..=2_000),
        },
        _ => return None,
    })
}
