//! Five Raft servers and a client that asks for one write after the other: what a second of virtual time costs, in our kernel and with
//! the same cores on madsim's `Endpoint`.
//!
//! The driver for madsim is the least that drives these nodes: no history, no digest, no records on a disk. It leaves out what the
//! kernel does beside, and takes 2 ms more for a message, as madsim does, in which nothing happens: both are to the good of madsim.

use crate::table::processor_ns;
use madsim::Config;
use madsim::net::{self, Endpoint};
use madsim::runtime::Runtime;
use madsim::task::spawn;
use madsim::time::{TimeHandle, sleep};
use splitbrain::check::ProcessId;
use splitbrain::world::Stop;
use splitbrain::{
    Context, Effect, Journal, Node, NodeId, OpId, Purpose, Rng, Seed, SyncId, Time, World,
    WorldConfig,
};
use splitbrain_protocols::kv;
use splitbrain_protocols::raft::{self, Op, Peer, Settings};
use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::mpsc;

const SERVERS: usize = 5;
const CLIENT: NodeId = NodeId::from_index(SERVERS);
const SECONDS: u64 = 10;
/// Until somebody leads.
const WARM_UP: Duration = Duration::from_secs(2);

fn nodes() -> Vec<raft::Config> {
    raft::cluster(SERVERS, 1, Settings::default())
}

fn write(nth: u64) -> Op {
    Op::Kv(kv::Op::put("key", nth.to_string()))
}

/// Nanoseconds for a second of virtual time.
pub(crate) fn ours() -> f64 {
    let mut world: World<Peer> = World::new(Seed(1), &WorldConfig::default(), nodes());
    run_ours(&mut world, Time::ZERO + WARM_UP);
    let end = world.now() + Duration::from_secs(SECONDS);
    let (took, ()) = processor_ns(|| run_ours(&mut world, end));
    assert!(world.stats().ops_ok > SECONDS, "it makes progress");
    took / SECONDS as f64
}

fn run_ours(world: &mut World<Peer>, end: Time) {
    loop {
        let asked = world.stats().ops_invoked;
        if asked == world.stats().ops_ok {
            world.run_until(world.now(), &mut ()); // it is to have started
            world.invoke(ProcessId(0), CLIENT, write(asked));
        }
        match world.run_until(end, &mut ()) {
            Stop::Ended => drop(world.take_ended()),
            Stop::Time => return,
            other => panic!("{other:?}"),
        }
    }
}

/// Nanoseconds for a second of virtual time.
pub(crate) fn madsim() -> f64 {
    let net = net::Config {
        packet_loss_rate: 0.0,
        send_latency: Duration::ZERO..Duration::from_millis(8),
    };
    let config = Config {
        net,
        ..Config::default()
    };
    let runtime = Runtime::with_seed_and_config(1, config);
    let done = Arc::new(AtomicU64::new(0));
    for (index, config) in nodes().into_iter().enumerate() {
        let (id, done) = (NodeId::from_index(index), done.clone());
        let node = runtime.create_node().ip(at(id).ip()).build();
        node.spawn(async move { live(id, config, done).await });
    }
    runtime.block_on(async { sleep(WARM_UP).await });
    let end = Duration::from_secs(SECONDS);
    let (took, ()) = processor_ns(|| runtime.block_on(async { sleep(end).await }));
    assert!(done.load(Relaxed) > SECONDS, "it makes progress");
    took / SECONDS as f64
}

/// madsim's time, from zero.
fn now() -> Duration {
    TimeHandle::current().elapsed()
}

type Arrived = (NodeId, <Peer as Node>::Message);

fn at(id: NodeId) -> SocketAddr {
    (Ipv4Addr::new(10, 0, 0, id.index() as u8 + 1), 1).into()
}

/// What leaves a node, once the syncs before it are durable.
enum Held {
    Barrier(SyncId, Duration),
    Send(NodeId, <Peer as Node>::Message),
    Done,
}

/// A node, driven.
struct Driven {
    id: NodeId,
    node: Option<Peer>,
    rng: Rng,
    next_sync: SyncId,
    effects: Vec<Effect<Peer>>,
    timers: BTreeMap<<Peer as Node>::Timer, Duration>,
    held: VecDeque<Held>,
    endpoint: Endpoint,
    done: Arc<AtomicU64>,
    asked: u64,
}

async fn live(id: NodeId, config: raft::Config, done: Arc<AtomicU64>) {
    let endpoint = Endpoint::bind(at(id)).await.expect("a free address");
    let (sender, mut inbox) = mpsc::unbounded_channel::<Arrived>();
    for _ in 0..4 {
        let (endpoint, sender) = (endpoint.clone(), sender.clone());
        spawn(async move {
            while let Ok((payload, _)) = endpoint.recv_from_raw(0).await {
                if let Ok(arrived) = payload.downcast::<Arrived>() {
                    let _ = sender.send(*arrived);
                }
            }
        });
    }
    let incarnation = 0;
    let purpose = Purpose::Node {
        node: id,
        incarnation,
    };
    let mut driven = Driven {
        id,
        node: None,
        rng: Seed(1).stream(purpose),
        next_sync: SyncId(0),
        effects: Vec::new(),
        timers: BTreeMap::new(),
        held: VecDeque::new(),
        endpoint,
        done,
        asked: 0,
    };
    let journal: Journal<_> = Peer::format(&config).into_iter().map(Ok).collect();
    driven.enter(|node, cx| *node = Some(Peer::start(&config, journal, cx)));
    if id == CLIENT {
        driven.ask();
    }
    loop {
        let synced = match driven.held.front() {
            Some(Held::Barrier(_, at)) => Some(*at),
            _ => None,
        };
        let timer = driven.timers.values().min().copied();
        let due = synced.into_iter().chain(timer).min();
        let reached = async {
            match due {
                Some(at) => sleep(at.saturating_sub(now())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some((from, message)) = inbox.recv() => {
                driven.call(|node, cx| node.on_message(from, message, cx));
            }
            () = reached => driven.run_due(),
        }
    }
}

impl Driven {
    fn call(&mut self, handler: impl FnOnce(&mut Peer, &mut Context<'_, Peer>)) {
        self.enter(|node, cx| {
            if let Some(node) = node {
                handler(node, cx);
            }
        });
    }

    fn enter(&mut self, handler: impl FnOnce(&mut Option<Peer>, &mut Context<'_, Peer>)) {
        let shown = Time::ZERO + now();
        let Driven { id, rng, .. } = self;
        let (next_sync, effects) = (&mut self.next_sync, &mut self.effects);
        let mut cx = Context::new(*id, shown, rng, next_sync, effects, None);
        handler(&mut self.node, &mut cx);
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Send { to, message } => self.leave(Held::Send(to, message)),
                Effect::SendEager { to, message } => self.send(to, message),
                Effect::SetTimer { timer, after } => {
                    self.timers.insert(timer, now() + after);
                }
                Effect::CancelTimer(timer) => {
                    self.timers.remove(&timer);
                }
                Effect::Sync(sync) => {
                    let at = now() + Duration::from_millis(1);
                    self.held.push_back(Held::Barrier(sync, at));
                }
                Effect::Complete { .. } => self.leave(Held::Done),
                Effect::Append(_) | Effect::Compact(_) | Effect::Probe(_) => {}
                Effect::Halt(why) => panic!("{why}"),
            }
        }
    }

    fn leave(&mut self, held: Held) {
        self.held.push_back(held);
        self.release();
    }

    /// Lets out what waits for no sync.
    fn release(&mut self) {
        while let Some(held) = self.held.pop_front() {
            match held {
                Held::Send(to, message) => self.send(to, message),
                Held::Done => {
                    self.done.fetch_add(1, Relaxed);
                    self.ask();
                }
                barrier @ Held::Barrier(..) => {
                    self.held.push_front(barrier);
                    return;
                }
            }
        }
    }

    fn ask(&mut self) {
        let nth = self.asked;
        self.asked += 1;
        self.call(|node, cx| node.on_invoke(OpId(nth), write(nth), cx));
    }

    /// madsim takes a millisecond for each: all at once.
    fn send(&self, to: NodeId, message: <Peer as Node>::Message) {
        let endpoint = self.endpoint.clone();
        let payload: Box<Arrived> = Box::new((self.id, message));
        spawn(async move {
            let sent = endpoint.send_to_raw(at(to), 0, payload).await;
            sent.expect("datagrams can be sent");
        });
    }

    fn run_due(&mut self) {
        let now = now();
        while let Some(&Held::Barrier(sync, at)) = self.held.front()
            && at <= now
        {
            self.held.pop_front();
            self.release();
            self.call(|node, cx| node.on_synced(sync, cx));
        }
        let due = |(timer, at): (&<Peer as Node>::Timer, &Duration)| (*at <= now).then_some(*timer);
        let due: Vec<_> = self.timers.iter().filter_map(due).collect();
        for timer in due {
            if self.timers.remove(&timer).is_some() {
                self.call(|node, cx| node.on_timer(timer, cx));
            }
        }
    }
}
