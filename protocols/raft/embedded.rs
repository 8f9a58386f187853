//! Tests of a server that is a part of another node: what that node asks of it.

use super::{Command, Config, Index, Message, Peer, Role, Server, Settings, Timer, cluster};
use crate::kv;
use splitbrain_core::{Context, Effect, Journal, Node, NodeId, Purpose, Rng, Seed, SyncId, Time};
use std::collections::VecDeque;

/// Servers that pass each other messages, some of which are cut off.
struct Network {
    servers: Vec<Server>,
    now: Time,
    rng: Rng,
    next_sync: SyncId,
    queue: VecDeque<(NodeId, usize, Message)>,
    syncs: VecDeque<(usize, SyncId)>,
    cut_off: Vec<usize>,
}

impl Network {
    /// The first server leads.
    fn led(servers: usize, settings: Settings) -> Network {
        let configs = cluster(servers, 0, settings);
        let mut network = Network {
            servers: Vec::new(),
            now: Time::ZERO,
            rng: Seed(1).stream(Purpose::Node {
                node: NodeId::from_index(0),
                incarnation: 0,
            }),
            next_sync: SyncId(0),
            queue: VecDeque::new(),
            syncs: VecDeque::new(),
            cut_off: Vec::new(),
        };
        for (index, config) in configs.iter().enumerate() {
            let Config::Server(member) = config else {
                continue;
            };
            let journal = Journal::from_records(Peer::format(config));
            let mut effects = Vec::new();
            let mut cx = Context::new(
                NodeId::from_index(index),
                network.now,
                &mut network.rng,
                &mut network.next_sync,
                &mut effects,
                None,
            );
            network
                .servers
                .push(Server::start(member, journal, &mut cx));
        }
        // Later than all loyalty lasts to a leader that there may have been before.
        network.now = Time::from_secs(10);
        network.tell(0, |server, cx| server.on_timer(Timer::Election, cx));
        network.run();
        network
    }

    /// Something happens at a server; what it syncs is durable at once.
    fn tell<T>(
        &mut self,
        index: usize,
        event: impl FnOnce(&mut Server, &mut Context<'_, Peer>) -> T,
    ) -> T {
        let answer = self.step(index, event);
        while let Some((index, sync)) = self.syncs.pop_front() {
            self.step(index, |server, cx| server.on_synced(sync, cx));
        }
        answer
    }

    fn step<T>(
        &mut self,
        index: usize,
        event: impl FnOnce(&mut Server, &mut Context<'_, Peer>) -> T,
    ) -> T {
        let id = NodeId::from_index(index);
        let mut effects = Vec::new();
        let mut cx = Context::new(
            id,
            self.now,
            &mut self.rng,
            &mut self.next_sync,
            &mut effects,
            None,
        );
        let answer = event(&mut self.servers[index], &mut cx);
        for effect in effects {
            match effect {
                Effect::Send { to, message } | Effect::SendEager { to, message } => {
                    self.queue.push_back((id, to.index(), message));
                }
                Effect::Sync(sync) => self.syncs.push_back((index, sync)),
                _ => {}
            }
        }
        answer
    }

    /// Until all is quiet.
    fn run(&mut self) {
        while let Some((from, to, message)) = self.queue.pop_front() {
            let lost = |index: usize| self.cut_off.contains(&index);
            if to < self.servers.len() && !lost(to) && !lost(from.index()) {
                self.tell(to, |server, cx| server.on_message(from, message, cx));
            }
        }
    }

    fn confirm(&mut self, index: usize, token: u64) {
        self.tell(index, |server, cx| server.confirm_leadership(token, cx));
    }

    fn confirmed(&mut self, index: usize) -> Vec<(u64, bool)> {
        self.servers[index].take_confirmed()
    }
}

#[test]
fn leadership_is_confirmed_by_a_round_that_begins_after_the_question() {
    for servers in [1, 3] {
        let mut network = Network::led(servers, Settings::default());
        assert_eq!(network.servers[0].role(), Role::Leader);
        network.confirm(0, 7);
        let at_once = network.confirmed(0);
        network.run();
        let later = network.confirmed(0);
        if servers == 1 {
            assert_eq!((at_once, later), (vec![(7, true)], vec![]));
        } else {
            assert_eq!((at_once, later), (vec![], vec![(7, true)]));
        }
        assert_eq!(network.confirmed(0), []);
    }
}

#[test]
fn leadership_that_is_gone_is_not_confirmed() {
    let mut network = Network::led(3, Settings::default());
    network.confirm(1, 1);
    assert_eq!(network.confirmed(1), [(1, false)]);
    // Nobody answers the leader any more, and then another one is elected.
    network.cut_off = vec![0];
    network.confirm(0, 2);
    network.confirm(0, 3);
    network.run();
    assert_eq!(network.confirmed(0), []);
    network.now = Time::from_secs(20);
    network.tell(1, |server, cx| server.on_timer(Timer::Election, cx));
    network.run();
    assert_eq!(network.servers[1].role(), Role::Leader);
    network.cut_off = vec![];
    network.tell(1, |server, cx| server.on_timer(Timer::Heartbeat, cx));
    network.run();
    assert_eq!(network.servers[0].role(), Role::Follower);
    assert_eq!(network.confirmed(0), [(2, false), (3, false)]);
}

#[test]
fn a_leader_with_too_many_questions_confirms_no_more() {
    let settings = Settings {
        waiting_max: 2,
        ..Settings::default()
    };
    let mut network = Network::led(3, settings);
    (1..=3).for_each(|token| network.confirm(0, token));
    assert_eq!(network.confirmed(0), [(3, false)]);
    network.run();
    assert_eq!(network.confirmed(0), [(1, true), (2, true)]);
}

#[test]
fn what_a_leader_proposes_itself_is_done_everywhere_and_answered_to_nobody() {
    let mut network = Network::led(3, Settings::default());
    let op = kv::Op::put("x", "1");
    let propose = |network: &mut Network, index: usize| {
        let op = op.clone();
        network.tell(index, |server, cx| server.propose_own(op, cx).is_some())
    };
    assert!(!propose(&mut network, 1) && propose(&mut network, 0));
    network.run();
    network.tell(0, |server, cx| server.on_timer(Timer::Heartbeat, cx));
    network.run();
    for server in &network.servers {
        assert_eq!(
            server.machine().store().get("x").map(|value| &**value),
            Some("1")
        );
        let entry = server.log().entry(Index(2)).map(|entry| &entry.command);
        assert!(
            matches!(entry.map(|command| &**command), Some(Command::Own { .. })),
            "{entry:?}"
        );
    }
}
