//! Ordinary asynchronous services under test: servers and clients with tasks and sockets of their own, and no [`Node`] in them.
//!
//! The code is written for tokio. It is compiled against `madsim-tokio`, which has the same names, and runs in madsim's processes: each
//! server in one, each client in one. The rest is the harness of all protocols: a scenario says what goes wrong, what clients saw is a
//! history, and a failing seed is shrunk and replayed. `examples/register` is a whole one.
//!
//! A partition holds up what is sent along a connection, as a network below TCP does, and is felt as refusal by whoever makes a new one;
//! what was in flight arrives, be it cut or not. Lost packets are sent again, by madsim. A crash takes everything that a process had in
//! memory: madsim has no disk that forgets.
//!
//! What is not deterministic in madsim 0.2.34 must be left out: `tokio::select!` without `biased`, `tokio::sync::watch`, and anything of the
//! standard library that asks the system (its hash maps are in order, as each run has a thread of its own).

use crate::cluster::Cluster;
use crate::life::{self, Drive, Shared};
use crate::{Madsim, life::Driven};
use madsim::task::spawn_local;
use splitbrain::engine::Wanted;
use splitbrain::scenario::NetworkSpec;
use splitbrain::{Context, Journal, Node, NodeId, OpId, Outcome};
use std::fmt::Debug;
use std::hash::Hash;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::rc::Rc;

/// A service, and how a client uses it.
pub trait Service: Debug + 'static {
    /// What clients ask for.
    type Op: Clone + Debug + Hash;
    /// What they are answered.
    type Ret: Clone + Debug + Hash;

    /// The life of a server, in a process of its own: called at each start, with nothing left of the one before. It ends
    /// when it is killed; if it returns, it has ended itself.
    fn serve(own: Place) -> impl Future<Output = ()> + 'static;

    /// What a client does to carry out an operation, in a process of its own. A timeout of what may take effect is [`Outcome::Info`].
    fn call(own: Place, op: Self::Op) -> impl Future<Output = Outcome<Self::Ret>> + 'static;
}

/// Which process it is, of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// This one.
    pub id: NodeId,
    /// How many servers there are: n1, n2, .. The clients come after them.
    pub servers: usize,
}

impl Place {
    /// The places of `servers` servers and `clients` clients: what [`Protocol::nodes`](splitbrain::protocol::Protocol::nodes)
    /// gives.
    pub fn all(servers: usize, clients: usize) -> Vec<Place> {
        let ids = (0..servers + clients).map(NodeId::from_index);
        ids.map(|id| Place { id, servers }).collect()
    }

    /// All servers.
    pub fn servers(self) -> impl Iterator<Item = NodeId> {
        (0..self.servers).map(NodeId::from_index)
    }
}

/// The address of a process in madsim's network.
pub fn ip(node: NodeId) -> IpAddr {
    life::ip(node)
}

/// A process of the service, as the harness counts it: there is nothing to see in it.
#[derive(Debug)]
pub struct Process<S>(PhantomData<S>);

// Not derived: it is copied whatever the service is.
impl<S> Clone for Process<S> {
    fn clone(&self) -> Self {
        Process(PhantomData)
    }
}

impl<S: Service> Node for Process<S> {
    type Message = ();
    type Timer = ();
    type Record = ();
    type Op = S::Op;
    type Ret = S::Ret;
    type Config = Place;

    fn start(_: &Place, _: Journal<()>, _: &mut Context<'_, Self>) -> Self {
        Process(PhantomData)
    }
    fn on_message(&mut self, _: NodeId, (): (), _: &mut Context<'_, Self>) {}
    fn on_timer(&mut self, (): (), _: &mut Context<'_, Self>) {}
    fn on_invoke(&mut self, _: OpId, _: S::Op, _: &mut Context<'_, Self>) {}
}

/// A service under madsim: what [`ProtocolEntry::on`](splitbrain::case::ProtocolEntry::on) wants.
pub type Running<S> = Madsim<Process<S>, Services<S>>;

/// Runs a server, or a client, of a service.
#[derive(Debug)]
pub struct Services<S>(PhantomData<S>);

impl<S: Service> Drive<Process<S>> for Services<S> {
    fn live(shared: Rc<Shared<Process<S>>>, node: NodeId) -> impl Future<Output = ()> + 'static {
        live::<S>(shared, node)
    }

    /// What a service sends goes to madsim directly.
    fn refuse(what: Wanted<'_>) -> Result<(), String> {
        let Wanted::Network(NetworkSpec {
            latency,
            duplication,
            ..
        }) = what
        else {
            return Ok(());
        };
        if !latency.tail.is_never() {
            return Err("has no `latency.tail` for a service".to_owned());
        }
        if !duplication.is_never() {
            return Err("has no `duplication` for a service".to_owned());
        }
        Ok(())
    }
}

async fn live<S: Service>(shared: Rc<Shared<Process<S>>>, node: NodeId) {
    let Driven { config: own, poked } = shared.start(node);
    if node.index() < own.servers {
        S::serve(own).await;
        let returned = |cluster: &mut Cluster<_>| cluster.halt(node, "it has returned".to_owned());
        shared.with(returned);
        return;
    }
    loop {
        poked.notified().await;
        while let Some((id, op)) = shared.with(|cluster| cluster.take_asked(node)) {
            let shared = shared.clone();
            spawn_local(async move {
                let outcome = S::call(own, op).await;
                shared.with(|cluster| cluster.end_op(id, outcome));
            });
        }
    }
}
