//! Five nodes that send messages of 64 bytes back, so many outstanding each, 1 to 10 ms under way; and what it takes to start them.
//!
//! In madsim and turmoil a node is one task around one socket, the least that either can do with. madsim gets and gives bytes, as
//! turmoil's sockets and every service do. moonpool-sim has no datagrams: there each two nodes have one stream, and a node is one task
//! around its end of each.

use crate::table::processor_ns;
use ::madsim::Config;
use ::madsim::net::{self, Endpoint};
use ::madsim::runtime::Runtime;
use ::madsim::time::sleep;
use ::turmoil::net::UdpSocket;
use futures::io::{AsyncReadExt, AsyncWriteExt};
use moonpool_sim::executor::{Executor, spawn, until_stalled};
use moonpool_sim::network::sim::SimTcpStream;
use moonpool_sim::{
    ChaosConfiguration, LatencyDistribution, NetworkConfiguration, NetworkProvider, SimWorld,
    TcpListenerTrait, TimeProvider,
};
use splitbrain::Time;
use splitbrain_benches::echo;
use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const NODES: usize = 5;
const LATENCY_MS: std::ops::Range<u64> = 1..10;

/// Nanoseconds for each message.
pub(crate) fn ours(outstanding: usize) -> f64 {
    let mut world = echo::world_with(1, outstanding);
    world.run_until(Time::from_millis(1), &mut ());
    let before = world.stats().messages_delivered;
    let end = Time::from_secs(20);
    let (took, _) = processor_ns(|| world.run_until(end, &mut ()));
    took / (world.stats().messages_delivered - before) as f64
}

/// The neighbours that a node writes to first.
fn first(own: usize, outstanding: usize) -> impl Iterator<Item = usize> {
    (0..outstanding).map(move |nth| (own + 1 + nth % (NODES - 1)) % NODES)
}

fn at(index: usize) -> SocketAddr {
    (Ipv4Addr::new(10, 0, 0, index as u8 + 1), 1).into()
}

fn madsim_world(received: &Arc<AtomicU64>, outstanding: usize) -> Runtime {
    let net = net::Config {
        packet_loss_rate: 0.0,
        send_latency: Duration::from_millis(LATENCY_MS.start)
            ..Duration::from_millis(LATENCY_MS.end),
    };
    let config = Config {
        net,
        ..Config::default()
    };
    let runtime = Runtime::with_seed_and_config(1, config);
    for index in 0..NODES {
        let received = received.clone();
        let node = runtime.create_node().ip(at(index).ip()).build();
        node.spawn(async move {
            let endpoint = Endpoint::bind(at(index)).await.expect("a free address");
            received.fetch_add(1, Relaxed);
            sleep(Duration::from_millis(10)).await;
            let mut bytes = [0_u8; 64];
            for to in first(index, outstanding) {
                let sent = endpoint.send_to(at(to), 0, &bytes).await;
                sent.expect("datagrams can be sent");
            }
            while let Ok((_, from)) = endpoint.recv_from(0, &mut bytes).await {
                let count = received.fetch_add(1, Relaxed);
                bytes[..8].copy_from_slice(&count.to_le_bytes());
                let sent = endpoint.send_to(from, 0, &bytes).await;
                sent.expect("datagrams can be sent");
            }
        });
    }
    runtime
}

/// Nanoseconds for each message.
pub(crate) fn madsim(outstanding: usize) -> f64 {
    let received = Arc::new(AtomicU64::new(0));
    let runtime = madsim_world(&received, outstanding);
    // Then all is under way.
    runtime.block_on(async { sleep(Duration::from_millis(100)).await });
    let before = received.load(Relaxed);
    let (took, ()) =
        processor_ns(|| runtime.block_on(async { sleep(Duration::from_secs(10)).await }));
    took / (received.load(Relaxed) - before) as f64
}

fn turmoil_world(received: &Rc<Cell<u64>>, outstanding: usize) -> ::turmoil::Sim<'static> {
    let mut sim = ::turmoil::Builder::new()
        .simulation_duration(Duration::from_hours(1))
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_millis(LATENCY_MS.start))
        .max_message_latency(Duration::from_millis(LATENCY_MS.end))
        .udp_capacity(1000)
        .rng_seed(1)
        .build();
    for index in 0..NODES {
        let received = received.clone();
        sim.host(format!("n{index}"), move || {
            let received = received.clone();
            async move {
                let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 1)).await?;
                received.set(received.get() + 1);
                tokio::time::sleep(Duration::from_millis(10)).await;
                let mut bytes = [0_u8; 64];
                for to in first(index, outstanding) {
                    socket.send_to(&bytes, (format!("n{to}"), 1)).await?;
                }
                loop {
                    let (_, from) = socket.recv_from(&mut bytes).await?;
                    received.set(received.get() + 1);
                    bytes[..8].copy_from_slice(&received.get().to_le_bytes());
                    socket.send_to(&bytes, from).await?;
                }
            }
        });
    }
    sim
}

fn run_turmoil(sim: &mut ::turmoil::Sim<'static>, ms: u64) {
    for _ in 0..ms {
        sim.step().expect("no host fails");
    }
}

/// Nanoseconds for each message.
pub(crate) fn turmoil(outstanding: usize) -> f64 {
    let received = Rc::new(Cell::new(0));
    let mut sim = turmoil_world(&received, outstanding);
    run_turmoil(&mut sim, 100);
    let before = received.get();
    let (took, ()) = processor_ns(|| run_turmoil(&mut sim, 2_000));
    took / (received.get() - before) as f64
}

/// moonpool-sim's world and executor, driven as its own runner does it: an event, then all that it woke. Without what that runner does
/// beside (a timeline of what was traced, invariants, budgets).
struct MoonpoolWorld {
    // First, so that what it runs closes its streams while there is a world.
    executor: Executor,
    sim: SimWorld,
}

impl MoonpoolWorld {
    fn new(received: &Arc<AtomicU64>, outstanding: usize) -> MoonpoolWorld {
        let [at_once, latency] = [
            (Duration::ZERO, Duration::ZERO),
            (
                Duration::from_millis(LATENCY_MS.start),
                Duration::from_millis(LATENCY_MS.end),
            ),
        ]
        .map(|(start, end)| LatencyDistribution::Uniform { start, end });
        // It is the latency of a write with which that arrives.
        let config = NetworkConfiguration {
            bind_latency: at_once.clone(),
            accept_latency: at_once.clone(),
            connect_latency: at_once.clone(),
            read_latency: at_once,
            write_latency: latency,
            chaos: ChaosConfiguration::disabled(),
        };
        let sim = SimWorld::new_with_network_config_and_seed(config, 1);
        let mut executor = Executor::new(1);
        executor.block_on(async {
            for index in 0..NODES {
                let (network, time) = (sim.network_provider(), sim.time_provider());
                let received = received.clone();
                let node = async move {
                    let listener = network.bind(&at(index).to_string()).await;
                    let listener = listener.expect("a free address");
                    received.fetch_add(1, Relaxed);
                    for from in 0..index {
                        let (stream, _) = listener.accept().await.expect("a connection");
                        spawn_end(stream, index, from, outstanding, &received);
                    }
                    // One after the other: of two that connect to an address before it accepts, it forgets the first.
                    let slept = time.sleep(Duration::from_millis(10)).await;
                    slept.expect("a world that goes on");
                    for to in index + 1..NODES {
                        let stream = network.connect(&at(to).to_string()).await;
                        let stream = stream.expect("a listener");
                        spawn_end(stream, index, to, outstanding, &received);
                    }
                };
                drop(spawn("node", node));
            }
        });
        MoonpoolWorld { executor, sim }
    }

    fn run(&mut self, end: Duration) {
        let sim = &mut self.sim;
        self.executor.block_on(async {
            until_stalled().await;
            while sim.pending_event_count() > 0 && sim.current_time() < end {
                sim.step();
                until_stalled().await;
            }
        });
    }
}

/// A node's end of the stream to another one.
fn spawn_end(
    mut stream: SimTcpStream,
    own: usize,
    other: usize,
    outstanding: usize,
    received: &Arc<AtomicU64>,
) {
    let received = received.clone();
    let end = async move {
        let mut bytes = [0_u8; 64];
        for _ in first(own, outstanding).filter(|to| *to == other) {
            let sent = stream.write_all(&bytes).await;
            sent.expect("the stream stays open");
        }
        while stream.read_exact(&mut bytes).await.is_ok() {
            let count = received.fetch_add(1, Relaxed);
            bytes[..8].copy_from_slice(&count.to_le_bytes());
            let sent = stream.write_all(&bytes).await;
            sent.expect("the stream stays open");
        }
    };
    drop(spawn("end", end));
}

/// Nanoseconds for each message.
pub(crate) fn moonpool(outstanding: usize) -> f64 {
    let received = Arc::new(AtomicU64::new(0));
    let mut world = MoonpoolWorld::new(&received, outstanding);
    world.run(Duration::from_millis(100));
    let before = received.load(Relaxed);
    let (took, ()) = processor_ns(|| world.run(Duration::from_secs(10)));
    let messages = received.load(Relaxed) - before;
    // None is under way for longer, and in the first tenth of a second nothing was counted.
    let rounds = (10_000 - 100) / LATENCY_MS.end - 1;
    assert!(
        messages >= rounds * (NODES * outstanding) as u64,
        "no stream was forgotten"
    );
    took / messages as f64
}

/// Of so many worlds, one after the other: one alone is too short to be measured.
const WORLDS: u32 = 20;

fn each(world: impl Fn()) -> f64 {
    processor_ns(|| (0..WORLDS).for_each(|_| world())).0 / f64::from(WORLDS)
}

/// Nanoseconds to make a world, start its nodes and end it. Nobody sends anything, as nobody has in the others by then.
pub(crate) fn our_start_up() -> f64 {
    each(|| {
        let mut world = echo::world_with(1, 0);
        world.run_until(Time::ZERO, &mut ());
        assert_eq!(world.stats().events, NODES as u64);
    })
}

/// The same until each node has its socket.
pub(crate) fn madsim_start_up() -> f64 {
    each(|| {
        let bound = Arc::new(AtomicU64::new(0));
        let runtime = madsim_world(&bound, 0);
        runtime.block_on(async { sleep(Duration::from_millis(5)).await });
        assert_eq!(bound.load(Relaxed), NODES as u64);
    })
}

/// The same until each node has its socket.
pub(crate) fn turmoil_start_up() -> f64 {
    each(|| {
        let bound = Rc::new(Cell::new(0));
        let mut sim = turmoil_world(&bound, 0);
        run_turmoil(&mut sim, 1);
        assert_eq!(bound.get(), NODES as u64);
    })
}

/// The same until each node has its listener.
pub(crate) fn moonpool_start_up() -> f64 {
    each(|| {
        let bound = Arc::new(AtomicU64::new(0));
        let mut world = MoonpoolWorld::new(&bound, 0);
        // Without an event: the next one would be the first connection.
        world.run(Duration::ZERO);
        assert_eq!(bound.load(Relaxed), NODES as u64);
    })
}
