//! The register under test: how its processes live, what its clients ask for, and what must hold.

use crate::{client, server};
use splitbrain::check::jsonl;
use splitbrain::check::models::register::{Op, Register, Ret};
use splitbrain::protocol::{Given, HistoryOf, Judgement, OpOf, Protocol, RetOf};
use splitbrain::{Cluster, NodeId, Outcome, Rng};
use splitbrain_madsim::service::{Place, Process, Service, ip};
use std::io;
use std::net::SocketAddr;

/// The service, with or without its bug.
#[derive(Debug)]
pub struct Tested<const WRITE_BACK: bool>;

fn address(server: NodeId) -> SocketAddr {
    (ip(server), 7000).into()
}

impl<const WRITE_BACK: bool> Service for Tested<WRITE_BACK> {
    type Op = Op;
    type Ret = Ret;

    async fn serve(own: Place) {
        // If it cannot, it ends, and is found to have ended.
        let _ = server::serve(address(own.id)).await;
    }

    async fn call(own: Place, op: Op) -> Outcome<Ret> {
        let servers: Vec<SocketAddr> = own.servers().map(address).collect();
        match op {
            Op::Read => match client::read(&servers, WRITE_BACK).await {
                Ok(value) => Outcome::Ok(Ret::Value(value)),
                // It changes nothing, whatever became of it.
                Err(_) => Outcome::Fail("no majority has answered"),
            },
            Op::Write(value) => match client::write(&servers, value).await {
                Ok(()) => Outcome::Ok(Ret::Written),
                Err(_) => Outcome::Info,
            },
        }
    }
}

impl<const WRITE_BACK: bool> Protocol for Tested<WRITE_BACK> {
    type Node = Process<Self>;
    type Settings = ();
    const NAME: &'static str = "register";
    const HISTORY_PROPERTY: Option<&'static str> = Some("linearizability");

    fn nodes(given: Given<'_, ()>) -> Vec<Place> {
        Place::all(given.cluster.servers.get(), given.cluster.clients.get())
    }
    fn invoked_at(given: Given<'_, ()>) -> Vec<NodeId> {
        let (servers, clients) = (given.cluster.servers.get(), given.cluster.clients.get());
        let clients = servers..servers + clients;
        clients.map(NodeId::from_index).collect()
    }
    fn operation(
        _: Given<'_, ()>,
        nth: u64,
        _: Option<(&OpOf<Self>, &RetOf<Self>)>,
        rng: &mut Rng,
    ) -> Op {
        // No value is written twice, so that a read tells which write it saw.
        if rng.below(16) == 0 {
            Op::Write(nth.cast_signed())
        } else {
            Op::Read
        }
    }
    fn final_operations(_: Given<'_, ()>) -> Vec<Op> {
        vec![Op::Read]
    }
    fn converged(_: Cluster<'_, Process<Self>>) -> Result<(), String> {
        Ok(()) // it has no state that it must come to
    }
    fn judge(history: &HistoryOf<Self>, budget_steps: u64) -> Judgement {
        Judgement::of(&Register, history, budget_steps)
    }
    fn write_history(history: &HistoryOf<Self>, out: &mut dyn io::Write) -> io::Result<()> {
        jsonl::write(history, out)
    }
}
