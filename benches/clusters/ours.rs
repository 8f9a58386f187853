//! Servers of this repository.

use super::{Cluster, Counts, last_key, puts};
use splitbrain::{Context, Effect, Journal, Node, NodeId, Purpose, Rng, Seed, SyncId, Time};
use splitbrain_protocols::raft::{
    self, Answer, Config, Message, Peer, Record, Reply, Request, Role, Server, SessionId, Settings,
    Timer,
};
use std::collections::VecDeque;

/// How often a leader may have to speak before everybody knows what it has committed.
const HEARTBEATS: usize = 100;

/// A cluster of them.
#[derive(Debug)]
pub struct Ours {
    hosts: Vec<Host>,
    leader: usize,
    session: Option<SessionId>,
    sequence: u64,
    requests: VecDeque<Request>,
    network: Network,
    /// What the step under way has done. Used again for every step.
    effects: Vec<Effect<Peer>>,
    /// Syncs that the servers have not been told of. Used again likewise.
    syncs: VecDeque<SyncId>,
    steps: u64,
    now: Time,
}

/// A server and what belongs to it.
#[derive(Debug)]
struct Host {
    node: Option<Peer>,
    rng: Rng,
    next_sync: SyncId,
    disk: Vec<Record>,
}

#[derive(Debug, Default)]
struct Network {
    /// Sender, receiver, message; oldest first.
    queue: VecDeque<(NodeId, NodeId, Message)>,
    cut_off: Option<NodeId>,
    messages: u64,
    bytes: u64,
    metered: bool,
}

/// What a server is told.
enum Event {
    Message(NodeId, Message),
    Timer(Timer),
    Synced(SyncId),
}

impl Cluster for Ours {
    const NAME: &'static str = "splitbrain";

    fn elected(servers: usize) -> Ours {
        Ours::elected_with(
            servers,
            Settings {
                snapshot_entries: 0,
                ..Settings::default()
            },
        )
    }

    fn prepare(&mut self, requests: usize) {
        let Some(session) = self.session else {
            panic!("nobody has opened a session");
        };
        for op in puts().iter().cycle().take(requests) {
            self.sequence += 1;
            self.requests.push_back(Request::Apply {
                session,
                sequence: self.sequence,
                op: op.clone(),
            });
        }
    }

    fn commit(&mut self, requests: usize) {
        for _ in 0..requests {
            let Some(request) = self.requests.pop_front() else {
                panic!("too few requests are prepared");
            };
            self.request(request);
        }
        self.deliver_all();
        self.settle();
    }

    fn heartbeat(&mut self) {
        self.step(self.leader, Event::Timer(Timer::Heartbeat));
        self.deliver_all();
    }

    fn cut_off(&mut self) {
        self.network.cut_off = Some(NodeId::from_index(self.hosts.len() - 1));
    }

    fn catch_up(&mut self) {
        self.network.cut_off = None;
        self.settle();
    }

    fn meter(&mut self) {
        self.network.metered = true;
    }

    fn counts(&self) -> Counts {
        Counts {
            steps: self.steps,
            messages: self.network.messages,
            bytes: self.network.bytes,
        }
    }

    fn applied(&self) -> Vec<(u64, Option<String>)> {
        let applied = |server: &Server| {
            let value = server.machine().store().get(&last_key());
            (server.last_applied().0, value.map(ToString::to_string))
        };
        (0..self.hosts.len())
            .map(|index| applied(self.server(index)))
            .collect()
    }
}

impl Ours {
    /// The same with these settings: with snapshots, say, which the other side does not take.
    ///
    /// # Panics
    /// If the servers do not elect one of them, or do not get on.
    pub fn elected_with(servers: usize, settings: Settings) -> Ours {
        let configs = raft::cluster(servers, 1, settings);
        let mut cluster = Ours {
            hosts: configs[..servers]
                .iter()
                .enumerate()
                .map(Host::new)
                .collect(),
            leader: 0,
            session: None,
            sequence: 0,
            requests: VecDeque::new(),
            network: Network::default(),
            effects: Vec::new(),
            syncs: VecDeque::new(),
            steps: 0,
            now: Time::ZERO,
        };
        for (index, config) in configs[..servers].iter().enumerate() {
            cluster.start(index, config);
        }
        // Later than anybody may have heard from a leader.
        cluster.now = Time::from_secs(1);
        cluster.step(0, Event::Timer(Timer::Election));
        cluster.deliver_all();
        assert_eq!(cluster.server(0).role(), Role::Leader);
        cluster.request(Request::Register { nonce: 1 });
        cluster.deliver_all();
        cluster.prepare(1);
        cluster.commit(1);
        cluster
    }

    fn server(&self, index: usize) -> &Server {
        match &self.hosts[index].node {
            Some(Peer::Server(server)) => server,
            _ => panic!("a host without a server"),
        }
    }

    fn start(&mut self, index: usize, config: &Config) {
        let host = &mut self.hosts[index];
        let journal = Journal::from_records(host.disk.clone());
        let mut cx = Context::new(
            NodeId::from_index(index),
            Time::ZERO,
            &mut host.rng,
            &mut host.next_sync,
            &mut self.effects,
            None,
        );
        host.node = Some(Peer::start(config, journal, &mut cx));
        self.carry_out(index);
    }

    fn request(&mut self, request: Request) {
        let client = NodeId::from_index(self.hosts.len());
        self.step(
            self.leader,
            Event::Message(client, Message::Request(request)),
        );
    }

    /// Everybody who can be reached has applied what the leader has committed.
    fn settle(&mut self) {
        for _ in 0..HEARTBEATS {
            let goal = self.server(self.leader).log().last_index();
            let reached = |index| {
                self.network.cut_off == Some(NodeId::from_index(index))
                    || self.server(index).last_applied() == goal
            };
            if (0..self.hosts.len()).all(reached) {
                return;
            }
            self.heartbeat();
        }
        panic!("the servers do not get on");
    }

    fn deliver_all(&mut self) {
        while let Some((from, to, message)) = self.network.queue.pop_front() {
            self.step(to.index(), Event::Message(from, message));
        }
    }

    fn step(&mut self, index: usize, event: Event) {
        self.tell(index, event);
        self.carry_out(index);
    }

    fn tell(&mut self, index: usize, event: Event) {
        self.steps += 1;
        let host = &mut self.hosts[index];
        let Some(node) = &mut host.node else {
            return;
        };
        let mut cx = Context::new(
            NodeId::from_index(index),
            self.now,
            &mut host.rng,
            &mut host.next_sync,
            &mut self.effects,
            None,
        );
        match event {
            Event::Message(from, message) => node.on_message(from, message, &mut cx),
            Event::Timer(timer) => node.on_timer(timer, &mut cx),
            Event::Synced(sync) => node.on_synced(sync, &mut cx),
        }
    }

    /// Does what the step has asked for. The disk needs no time, so that nothing is held behind a sync; and as always, a
    /// server is told of a sync when what was to leave behind it has left.
    fn carry_out(&mut self, index: usize) {
        let servers = self.hosts.len();
        loop {
            let host = &mut self.hosts[index];
            for effect in self.effects.drain(..) {
                match effect {
                    Effect::Send { to, message } | Effect::SendEager { to, message } => {
                        if to.index() < servers {
                            self.network.send(NodeId::from_index(index), to, message);
                        } else if let Message::Reply(Reply { answer, .. }) = message
                            && let Answer::Registered(session) = answer
                        {
                            self.session = Some(session);
                        }
                    }
                    Effect::Append(record) => host.disk.push(record),
                    Effect::Compact(records) => host.disk = records,
                    Effect::Sync(sync) => self.syncs.push_back(sync),
                    Effect::Halt(reason) => panic!("{reason}"),
                    Effect::SetTimer { .. }
                    | Effect::CancelTimer(_)
                    | Effect::Complete { .. }
                    | Effect::Probe(_) => {}
                }
            }
            let Some(sync) = self.syncs.pop_front() else {
                return;
            };
            self.tell(index, Event::Synced(sync));
        }
    }
}

impl Host {
    fn new((index, config): (usize, &Config)) -> Host {
        let purpose = Purpose::Node {
            node: NodeId::from_index(index),
            incarnation: 0,
        };
        Host {
            node: None,
            rng: Seed(1).stream(purpose),
            next_sync: SyncId::default(),
            disk: Peer::format(config),
        }
    }
}

impl Network {
    fn send(&mut self, from: NodeId, to: NodeId, message: Message) {
        if self.cut_off.is_some_and(|node| node == from || node == to) {
            return;
        }
        self.messages += 1;
        if self.metered {
            self.bytes += Peer::size_bytes(&message) as u64;
        }
        self.queue.push_back((from, to, message));
    }
}
