//! Bully election under test.

use serde::Serialize;
use splitbrain::check::jsonl;
use splitbrain::protocol::{Given, HistoryOf, Judgement, Protocol};
use splitbrain::{Cluster, Invariant, NodeId, Rng};
use splitbrain_protocols::bully::{self, Config, Member, Op, Role, Settings};
use std::io;

/// Bully election: every server is a member; clients ask members whom they obey.
#[derive(Clone, Copy, Debug)]
pub struct Bully;

/// An answer as it is written: `{"value":"n5"}`.
#[derive(Serialize)]
struct WrittenRet {
    value: Option<NodeId>,
}

impl Protocol for Bully {
    type Node = Member;
    type Settings = Settings;
    const NAME: &'static str = "bully";
    const HAS_LEADER: bool = true;
    /// What a member answers is an opinion: there is no order that it could contradict.
    const HISTORY_PROPERTY: Option<&'static str> = None;

    fn validate(given: Given<'_, Settings>) -> Result<(), String> {
        if given.cluster.clients.get() > 0 {
            return Err("bully has no clients: operations begin at the members".to_owned());
        }
        given.settings.validate()
    }

    fn nodes(given: Given<'_, Settings>) -> Vec<Config> {
        bully::cluster(given.cluster.servers.get(), *given.settings)
    }

    fn invoked_at(given: Given<'_, Settings>) -> Vec<NodeId> {
        (0..given.cluster.servers.get())
            .map(NodeId::from_index)
            .collect()
    }

    fn operation(
        _: Given<'_, Settings>,
        _nth: u64,
        _previous: Option<(&Op, &Option<NodeId>)>,
        _: &mut Rng,
    ) -> Op {
        Op::Coordinator
    }

    fn final_operations(_: Given<'_, Settings>) -> Vec<Op> {
        vec![Op::Coordinator]
    }

    fn leader(cluster: Cluster<'_, Member>) -> Option<NodeId> {
        bully::coordinator(cluster)
    }

    fn converged(cluster: Cluster<'_, Member>) -> Result<(), String> {
        bully::converged(cluster)
    }

    fn state_in_words(member: &Member) -> Option<String> {
        Some(match member.role() {
            Role::Electing => "holds an election".to_owned(),
            Role::Waiting => "waits for a higher member".to_owned(),
            Role::Obeying(coordinator) => format!("obeys {coordinator}"),
            Role::Coordinating => "believes itself coordinator".to_owned(),
        })
    }

    fn invariants(settings: &Settings) -> Vec<Box<dyn Invariant<Member>>> {
        bully::all(settings)
    }

    fn judge(_: &HistoryOf<Self>, _budget_steps: u64) -> Judgement {
        Judgement::Valid
    }

    fn write_history(history: &HistoryOf<Self>, out: &mut dyn io::Write) -> io::Result<()> {
        let written = history.clone().map(|op| op, |value| WrittenRet { value });
        jsonl::write(&written, out)
    }
}
