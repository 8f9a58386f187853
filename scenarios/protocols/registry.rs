//! Service discovery under test.

mod balanced;
mod history;

use balanced::Balanced;
use splitbrain::protocol::{Given, HistoryOf, Judgement, Protocol};
use splitbrain::scenario::ClusterSpec;
use splitbrain::{Cluster, Invariant, NodeId, Rng};
use splitbrain_protocols::discovery::Label;
use splitbrain_protocols::raft::{self, View};
use splitbrain_protocols::registry::{self, Config, Op, Order, Peer, Phase, Ret, Settings, Source};
use splitbrain_protocols::service;
use std::io;

/// Services whose instances come and go, a registry that should know of them, and clients that call them.
///
/// Of what a scenario calls its clients, the last ones call: half of them, or as many as the settings say. The others are what they
/// call: instances, and after those as many proxies as the settings say.
#[derive(Clone, Copy, Debug)]
pub struct Registry;

impl Protocol for Registry {
    type Node = Peer;
    type Settings = Settings;
    const NAME: &'static str = "registry";
    /// `proxy`: a call that a proxy makes. `look-up`: in the cache, the registry, or at any server. `resolve`: the same by DNS.
    /// The others have an instance do something for a while: `deregister`, be in `maintenance`, be `slow`, be `failing`.
    const MIX: &'static [&'static str] = &[
        "proxy",
        "look-up",
        "resolve",
        "deregister",
        "maintenance",
        "slow",
        "failing",
    ];
    const HAS_PROGRESS: bool = true;
    const HAS_LEADER: bool = true;
    const HISTORY_PROPERTY: Option<&'static str> = Some("registry-sound");

    fn validate(given: Given<'_, Settings>) -> Result<(), String> {
        let ClusterSpec { servers, clients } = given.cluster;
        let valid = given.settings.validate(servers.get(), clients.get());
        valid.map_err(|error| error.to_string())?;
        let mut mix = given.workload.mix.names();
        if mix.any(|name| name == "proxy") && given.settings.proxies == 0 {
            return Err("the mix has calls by proxy, and there are no proxies".to_owned());
        }
        Ok(())
    }

    fn nodes(given: Given<'_, Settings>) -> Vec<Config> {
        let ClusterSpec { servers, clients } = given.cluster;
        let settings = given.settings.clone();
        registry::cluster(servers.get(), clients.get(), settings)
            .unwrap_or_else(|error| unreachable!("it was validated: {error}"))
    }

    fn invoked_at(given: Given<'_, Settings>) -> Vec<NodeId> {
        let ClusterSpec { servers, clients } = given.cluster;
        let nodes = servers.get() + clients.get();
        (nodes - given.settings.callers(clients.get())..nodes)
            .map(NodeId::from_index)
            .collect()
    }

    fn operation(
        given: Given<'_, Settings>,
        nth: u64,
        _: Option<(&Op, &Ret)>,
        rng: &mut Rng,
    ) -> Op {
        let number = 1 + rng.below(given.settings.services);
        let Ok(service) = registry::service_name(number) else {
            unreachable!("a letter and a number")
        };
        let order = |order, rng: &mut Rng| {
            let first = given.cluster.servers.get();
            let instances = given.settings.instances(given.cluster.clients.get());
            let instance = first + rng.index(instances as usize);
            Op::Order {
                instance: NodeId::from_index(instance),
                order,
                lasting_ms: rng.between(200..=3_000),
            }
        };
        let tag = |rng: &mut Rng| match rng.below(6) {
            0 => Label::new("blue").ok(),
            1 => Label::new("green").ok(),
            _ => None,
        };
        let call = |by_proxy| Op::Call {
            service: service.clone(),
            key: format!("k{}", nth % given.workload.keys.get() as u64),
            by_proxy,
        };
        match given.workload.special(rng) {
            None => call(false),
            Some("proxy") => call(true),
            Some("look-up") => Op::LookUp {
                service: service.clone(),
                tag: tag(rng),
                passing: rng.below(2) == 0,
                from: match rng.below(3) {
                    0 => Source::Cache,
                    1 => Source::Registry,
                    _ => Source::AnyServer,
                },
            },
            Some("resolve") => Op::Resolve {
                service: service.clone(),
                tag: tag(rng),
            },
            Some("deregister") => order(Order::Deregister, rng),
            Some("maintenance") => order(Order::Maintenance, rng),
            Some("slow") => order(Order::Slow, rng),
            Some(_) => order(Order::Failing, rng),
        }
    }

    fn final_operations(given: Given<'_, Settings>) -> Vec<Op> {
        let services =
            (1..=given.settings.services).filter_map(|number| registry::service_name(number).ok());
        let look_up = |service| Op::LookUp {
            service,
            tag: None,
            passing: true,
            from: Source::Registry,
        };
        services.map(look_up).collect()
    }

    fn leader(cluster: Cluster<'_, Peer>) -> Option<NodeId> {
        View::new(cluster, raft_server).leader()
    }

    fn is_led(cluster: Cluster<'_, Peer>) -> bool {
        View::new(cluster, raft_server).is_led()
    }

    fn converged(cluster: Cluster<'_, Peer>) -> Result<(), String> {
        View::new(cluster, raft_server).converged()?;
        service::converged(cluster, |peer: &Peer| Some(peer.service()))?;
        registry::converged(cluster)
    }

    fn can_be_live(_: Given<'_, Settings>, cluster: Cluster<'_, Peer>, damaged: &[NodeId]) -> bool {
        View::new(cluster, raft_server).can_be_live(damaged)
    }

    fn state_in_words(peer: &Peer) -> Option<String> {
        if let Some(server) = raft_server(peer) {
            let (role, term) = (server.role(), server.term());
            let revision = server.machine().store().revision();
            return Some(format!("{role} in term {term}, at revision {revision}"));
        }
        if let Some(instance) = peer.instance() {
            return Some(match instance.phase() {
                Phase::Unknown => format!("{}, not registered", instance.key()),
                Phase::Registered { at, .. } => format!("{}, registered at {at}", instance.key()),
                Phase::Deregistered { at } => format!("{}, deregistered at {at}", instance.key()),
            });
        }
        let tally = peer.engine()?.tally();
        let (requests, retries) = (tally.requests, tally.retries);
        Some(format!("{requests} calls, {retries} of them once more"))
    }

    fn invariants(settings: &Settings) -> Vec<Box<dyn Invariant<Peer>>> {
        let mut all = registry::invariants::all(settings);
        all.push(Box::new(Balanced::new(settings.policy)));
        all
    }

    fn judge(history: &HistoryOf<Self>, _: u64) -> Judgement {
        history::judge(history)
    }

    fn write_history(history: &HistoryOf<Self>, out: &mut dyn io::Write) -> io::Result<()> {
        history::write(history, out)
    }
}

fn raft_server(peer: &Peer) -> Option<&raft::Server> {
    peer.service().server().map(service::Server::raft)
}
