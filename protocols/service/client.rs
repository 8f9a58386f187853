//! A client: one session with the store, any number of leases, reads of whatever some server knows, and watches.

use super::config::{Config, Settings};
use super::holding::Holdings;
use super::message::{
    Events, KeepAlive, KeepAliveReply, Kept, Message, NoWatch, StaleRead, StaleReadReply, Unwatch,
    Watch, WatchAck, WatchRefused,
};
use super::op::{Op, Ret, WatchKeys};
use super::probes::PROBES;
use super::stream::{Got, Stream};
use super::{Peer, Timer};
use crate::kv::watch::Event;
use crate::kv::{self, LeaseId, Revision};
use crate::raft;
use splitbrain_core::{Context, Doings, Journal, Node, NodeId, OpId, Outcome, Time, probe};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// A client of the servers.
#[derive(Clone, Debug)]
pub struct Client {
    settings: Settings,
    servers: Arc<[NodeId]>,
    /// The client of Raft: it finds the leader, and makes every operation take effect once. It does one at a time.
    raft: raft::Peer,
    doings: Doings<raft::Peer>,
    /// What the client of Raft is busy with.
    current: Option<Asked>,
    queue: VecDeque<Asked>,
    holdings: Holdings,
    /// Whom to ask that leases be kept alive: the leader, as far as is known; an index into `servers`.
    keeper: usize,
    reads: Vec<Reading>,
    streams: Vec<Stream>,
    /// What its clock showed at its latest event.
    clock: Time,
    /// What was handed out of watches at that event, and how much ever was.
    deliveries: Vec<Delivery>,
    delivered: u64,
}

/// Something of a watch that was handed out: all changes to the keys after one revision and up to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// What is watched.
    pub keys: Arc<WatchKeys>,
    /// After this.
    pub after: Revision,
    /// Up to this.
    pub through: Revision,
    /// The changes.
    pub events: Vec<Arc<Event>>,
}

/// An operation on the store.
#[derive(Clone, Debug)]
struct Asked {
    id: OpId,
    op: kv::Op,
    /// The lease that is to be held when it is granted, its time to live, and when it was asked for.
    hold: Option<(LeaseId, Duration, Time)>,
}

/// A stale read under way.
#[derive(Clone, Debug)]
struct Reading {
    id: OpId,
    nonce: u64,
    op: kv::Op,
    /// The server that was asked last, as an index into all servers.
    server: usize,
    ask_at: Time,
    give_up_at: Time,
}

/// What others may know: whoever this client is a part of, invariants, reports.
impl Client {
    /// Until when a lease may be relied on, by this client's clock; nothing, if it is not held (any more). A holder that acts on
    /// the strength of a lease asks before it acts, not once.
    pub fn assured_until(&self, lease: LeaseId) -> Option<Time> {
        self.holdings.assured_until(lease)
    }

    /// All leases that it holds, and until when each may be relied on by its clock.
    pub fn held(&self) -> impl Iterator<Item = (LeaseId, Time)> {
        self.holdings.iter()
    }

    /// What its clock showed at its latest event.
    pub fn clock(&self) -> Time {
        self.clock
    }

    /// How often anything was handed out of a watch, and what was at its latest event, if that was the last time.
    pub fn delivered(&self) -> (u64, &[Delivery]) {
        (self.delivered, &self.deliveries)
    }
}

impl Client {
    pub(super) fn start(config: &Config, cx: &mut Context<'_, Peer>) -> Client {
        let mut doings = Doings::new();
        let journal = Journal::empty();
        let raft = cx.part(&mut doings, |cx| {
            raft::Peer::start(&config.raft, journal, cx)
        });
        let servers = config.servers().clone();
        Client {
            settings: config.settings,
            keeper: cx.rng().index(servers.len()),
            servers,
            raft,
            doings,
            current: None,
            queue: VecDeque::new(),
            holdings: Holdings::default(),
            reads: Vec::new(),
            streams: Vec::new(),
            clock: cx.now(),
            deliveries: Vec::new(),
            delivered: 0,
        }
    }

    /// Something happens.
    fn wakes(&mut self, cx: &mut Context<'_, Peer>) {
        self.clock = cx.now();
        self.deliveries.clear();
    }

    pub(super) fn on_invoke(&mut self, id: OpId, op: Op, cx: &mut Context<'_, Peer>) {
        self.wakes(cx);
        match op {
            Op::Kv(op) => {
                if let kv::Op::LeaseRevoke { lease } = op {
                    // It may be gone before the answer comes.
                    self.holdings.forget(lease);
                }
                self.ask(Asked { id, op, hold: None }, cx);
            }
            Op::Hold { lease, ttl_ms } => {
                let ttl = Duration::from_millis(ttl_ms);
                let op = kv::Op::LeaseGrant {
                    lease: Some(lease),
                    ttl_ms,
                };
                let hold = Some((lease, ttl, cx.now()));
                self.ask(Asked { id, op, hold }, cx);
            }
            Op::Abandon { lease } => {
                if self.holdings.forget(lease) {
                    cx.complete(id, Outcome::Ok(Ret::Abandoned));
                } else {
                    cx.complete(id, Outcome::Fail("the client does not hold the lease"));
                }
            }
            Op::Stale { read } => self.read_stale(id, read, cx),
            Op::Changes {
                keys,
                after,
                wait_ms,
            } => self.wait_for_changes(id, keys, after, Duration::from_millis(wait_ms), cx),
        }
    }

    pub(super) fn on_message(
        &mut self,
        from: NodeId,
        message: Message,
        cx: &mut Context<'_, Peer>,
    ) {
        self.wakes(cx);
        match message {
            Message::Raft(message) => {
                let Client { raft, doings, .. } = self;
                cx.part(doings, |cx| raft.on_message(from, message, cx));
                self.go_on(cx);
            }
            Message::StaleReadReply(reply) => self.on_stale_read_reply(reply, cx),
            Message::KeepAliveReply(reply) => self.on_keep_alive_reply(from, reply, cx),
            Message::Events(events) => self.on_events(from, events, cx),
            Message::WatchRefused(refused) => self.on_watch_refused(from, refused, cx),
            Message::StaleRead(_)
            | Message::KeepAlive(_)
            | Message::Watch(_)
            | Message::WatchAck(_)
            | Message::Unwatch(_) => debug_assert!(false, "requests are for servers"),
        }
    }

    pub(super) fn on_timer(&mut self, timer: Timer, cx: &mut Context<'_, Peer>) {
        self.wakes(cx);
        match timer {
            Timer::Raft(timer) => {
                let Client { raft, doings, .. } = self;
                cx.part(doings, |cx| raft.on_timer(timer, cx));
                self.go_on(cx);
            }
            Timer::Holdings => self.see_to_holdings(cx),
            Timer::Reads => self.see_to_reads(cx),
            Timer::Streams => self.see_to_streams(cx),
            Timer::Leases | Timer::Watches => debug_assert!(false, "timers of servers"),
        }
    }

    fn next_server(&self, server: usize) -> usize {
        (server + 1) % self.servers.len()
    }

    fn place(&self, server: NodeId) -> Option<usize> {
        self.servers.iter().position(|id| *id == server)
    }
}

/// Operations on the store, one after the other.
impl Client {
    fn ask(&mut self, asked: Asked, cx: &mut Context<'_, Peer>) {
        if self.queue.len() >= self.settings.client_queue_max as usize {
            cx.complete(
                asked.id,
                Outcome::Fail("too many operations wait for this client"),
            );
            return;
        }
        self.queue.push_back(asked);
        self.go_on(cx);
    }

    /// Hands out what the client of Raft has finished, and gives it the next operation.
    fn go_on(&mut self, cx: &mut Context<'_, Peer>) {
        loop {
            while let Some((id, outcome)) = self.doings.next_completed() {
                let asked = self.current.take();
                debug_assert!(asked.as_ref().is_some_and(|asked| asked.id == id));
                self.finished(id, asked.and_then(|asked| asked.hold), outcome, cx);
            }
            if self.current.is_some() {
                return;
            }
            let Some(asked) = self.queue.pop_front() else {
                return;
            };
            let (id, op) = (asked.id, raft::Op::Kv(asked.op.clone()));
            self.current = Some(asked);
            let Client { raft, doings, .. } = self;
            cx.part(doings, |cx| raft.on_invoke(id, op, cx));
        }
    }

    fn finished(
        &mut self,
        id: OpId,
        hold: Option<(LeaseId, Duration, Time)>,
        outcome: Outcome<raft::Ret>,
        cx: &mut Context<'_, Peer>,
    ) {
        let outcome = match (outcome, hold) {
            (Outcome::Ok(raft::Ret::Kv(kv::Ret::Granted { .. })), Some((lease, ttl, asked_at))) => {
                self.holdings.granted(lease, ttl, asked_at);
                self.see_to_holdings(cx);
                Outcome::Ok(Ret::Held)
            }
            (Outcome::Ok(raft::Ret::Kv(ret)), _) => Outcome::Ok(Ret::Kv(ret)),
            (Outcome::Ok(_), _) => unreachable!("the store was asked, and the store answers"),
            (Outcome::Fail(why), _) => Outcome::Fail(why),
            (Outcome::Info, _) => Outcome::Info,
        };
        cx.complete(id, outcome);
    }
}

/// Leases.
impl Client {
    /// Forgets what is lost, and asks for what is to be kept alive.
    fn see_to_holdings(&mut self, cx: &mut Context<'_, Peer>) {
        let now = cx.now();
        for lease in self.holdings.lost(now) {
            probe!(cx, "a client lost a lease that nobody kept alive");
            cx.note(format_args!("has lost lease {lease}"));
        }
        let again = Duration::from_millis(self.settings.raft.client_try_ms);
        let mut in_vain = false;
        while let Some((lease, nonce, unanswered)) = {
            let rng = cx.rng();
            self.holdings.next_to_ask(now, again, || rng.next_u64())
        } {
            if unanswered && !in_vain {
                // All go to the same server: it is enough to try the next one once.
                in_vain = true;
                self.keeper = self.next_server(self.keeper);
                probe!(cx, "a client asked the next server to keep a lease alive");
            }
            let message = Message::KeepAlive(KeepAlive { lease, nonce });
            cx.send(self.servers[self.keeper], message);
        }
        match self.holdings.next_due() {
            Some(due) => cx.set_timer(Timer::Holdings, due.since(now)),
            None => cx.cancel_timer(Timer::Holdings),
        }
    }

    fn on_keep_alive_reply(
        &mut self,
        from: NodeId,
        reply: KeepAliveReply,
        cx: &mut Context<'_, Peer>,
    ) {
        let KeepAliveReply { lease, nonce, kept } = reply;
        if !self.holdings.awaits(lease, nonce) {
            return;
        }
        match kept {
            Kept::Alive => {
                self.keeper = self.place(from).unwrap_or(self.keeper);
                self.holdings.kept(lease, nonce);
            }
            Kept::Gone => {
                probe!(cx, "a client was told that its lease is gone");
                cx.note(format_args!("has lost lease {lease}"));
                self.holdings.forget(lease);
            }
            Kept::NotLeader(Some(leader)) => {
                // The same request: it says when it was sent.
                self.keeper = self.place(leader).unwrap_or(self.keeper);
                let message = Message::KeepAlive(KeepAlive { lease, nonce });
                if leader != from {
                    cx.send(leader, message);
                }
            }
            Kept::NotLeader(None) => {}
        }
        self.see_to_holdings(cx);
    }
}

/// Stale reads.
impl Client {
    fn read_stale(&mut self, id: OpId, op: kv::Op, cx: &mut Context<'_, Peer>) {
        if !op.is_read() {
            cx.complete(id, Outcome::Fail("only reads can be stale"));
            return;
        }
        if self.reads.len() >= self.settings.client_queue_max as usize {
            cx.complete(id, Outcome::Fail("too many reads wait for this client"));
            return;
        }
        let deadline = Duration::from_millis(self.settings.raft.client_deadline_ms);
        let reading = Reading {
            id,
            nonce: cx.rng().next_u64(),
            op,
            server: cx.rng().index(self.servers.len()),
            ask_at: cx.now(),
            give_up_at: cx.now() + deadline,
        };
        self.reads.push(reading);
        self.see_to_reads(cx);
    }

    /// Asks whoever is to be asked, and gives up what took too long.
    fn see_to_reads(&mut self, cx: &mut Context<'_, Peer>) {
        let now = cx.now();
        let again = Duration::from_millis(self.settings.raft.client_try_ms);
        let servers = self.servers.len();
        self.reads.retain_mut(|reading| {
            if reading.give_up_at <= now {
                // It changed nothing, and never will.
                cx.complete(reading.id, Outcome::Fail("no server has answered"));
                return false;
            }
            if reading.ask_at <= now {
                reading.ask_at = now + again;
                reading.server = (reading.server + 1) % servers;
                let (nonce, op) = (reading.nonce, reading.op.clone());
                let message = Message::StaleRead(StaleRead { nonce, op });
                cx.send(self.servers[reading.server], message);
            }
            true
        });
        let dues = self.reads.iter();
        match dues
            .map(|reading| reading.ask_at.min(reading.give_up_at))
            .min()
        {
            Some(due) => cx.set_timer(Timer::Reads, due.since(now)),
            None => cx.cancel_timer(Timer::Reads),
        }
    }

    fn on_stale_read_reply(&mut self, reply: StaleReadReply, cx: &mut Context<'_, Peer>) {
        let mut reads = self.reads.iter();
        let Some(nth) = reads.position(|reading| reading.nonce == reply.nonce) else {
            return;
        };
        let reading = self.reads.remove(nth);
        cx.complete(
            reading.id,
            Outcome::Ok(Ret::Stale(reply.ret, reply.revision)),
        );
        self.see_to_reads(cx);
    }
}

/// Watches.
impl Client {
    fn wait_for_changes(
        &mut self,
        id: OpId,
        keys: WatchKeys,
        after: Option<Revision>,
        wait: Duration,
        cx: &mut Context<'_, Peer>,
    ) {
        let now = cx.now();
        let mut streams = self.streams.iter();
        let known = streams.position(|stream| *stream.keys == keys && stream.waiting.is_none());
        let nth = match known {
            Some(nth) if after.is_none() || self.streams[nth].taken() == after => nth,
            other => {
                // Somebody goes back, or watches the same keys twice at once.
                if let Some(nth) = other {
                    self.unwatch(nth, cx);
                }
                if self.streams.len() >= self.settings.client_queue_max as usize {
                    cx.complete(id, Outcome::Fail("the client has too many watches"));
                    return;
                }
                let (watch, server) = (cx.rng().next_u64(), cx.rng().index(self.servers.len()));
                let stream = Stream::new(watch, Arc::new(keys), after, server, now);
                self.streams.push(stream);
                self.streams.len() - 1
            }
        };
        let stream = &mut self.streams[nth];
        (stream.waiting, stream.used_at) = (Some((id, now + wait)), now);
        self.hand_out(nth, cx);
        self.see_to_streams(cx);
    }

    /// Gives whoever waits what there is.
    fn hand_out(&mut self, nth: usize, cx: &mut Context<'_, Peer>) {
        let stream = &mut self.streams[nth];
        let Some((id, until)) = stream.waiting else {
            return;
        };
        let is_over = until <= cx.now();
        if !stream.has_changes() && !is_over {
            return;
        }
        (stream.waiting, stream.used_at) = (None, cx.now());
        let (after, through, events) = match (stream.take(), stream.taken()) {
            (Some(events), _) => (events.after, events.through, events.events),
            (None, Some(taken)) => (taken, taken, Vec::new()),
            (None, None) => {
                cx.complete(id, Outcome::Fail("no server has answered"));
                return;
            }
        };
        self.delivered += 1;
        self.deliveries.push(Delivery {
            keys: stream.keys.clone(),
            after,
            through,
            events: events.clone(),
        });
        let ret = Ret::Changes {
            after,
            through,
            events,
        };
        // There is room for more.
        if let Some(through) = stream.taken() {
            let watch = stream.watch;
            let ack = WatchAck { watch, through };
            cx.send(self.servers[stream.server], Message::WatchAck(ack));
        }
        cx.complete(id, Outcome::Ok(ret));
    }

    /// Says again where watches stand, asks another server where one is silent, and ends what nobody waits for.
    fn see_to_streams(&mut self, cx: &mut Context<'_, Peer>) {
        let now = cx.now();
        let idle = Duration::from_millis(self.settings.watch_idle_ms);
        let silence = Duration::from_millis(self.settings.watch_silence_ms);
        let refresh = Duration::from_millis(self.settings.watch_refresh_ms);
        let mut nth = 0;
        while nth < self.streams.len() {
            if self.streams[nth]
                .waiting
                .is_some_and(|(_, until)| until <= now)
            {
                self.hand_out(nth, cx);
            }
            let stream = &self.streams[nth];
            if stream.waiting.is_none() && stream.used_at + idle <= now {
                self.unwatch(nth, cx);
                continue;
            }
            if stream.heard_at + silence <= now {
                probe!(cx, "a client went on with its watch at another server");
                self.ask_next_server(nth, now);
            }
            let stream = &mut self.streams[nth];
            if stream.ask_at <= now {
                stream.ask_at = now + refresh;
                let message = Message::Watch(Watch {
                    watch: stream.watch,
                    keys: stream.keys.clone(),
                    after: stream.through(),
                });
                cx.send(self.servers[stream.server], message);
            }
            nth += 1;
        }
        match self
            .streams
            .iter()
            .map(|stream| stream.next_due(idle))
            .min()
        {
            Some(due) => cx.set_timer(Timer::Streams, due.since(now)),
            None => cx.cancel_timer(Timer::Streams),
        }
    }

    fn ask_next_server(&mut self, nth: usize, now: Time) {
        let next = self.next_server(self.streams[nth].server);
        let stream = &mut self.streams[nth];
        (stream.server, stream.heard_at, stream.ask_at) = (next, now, now);
    }

    /// Whether the server is the one that is asked for the watch: its place among the watches. Whatever others still send is
    /// of a time before.
    fn asked(&mut self, from: NodeId, watch: u64, now: Time) -> Option<usize> {
        let server = self.place(from)?;
        let mut streams = self.streams.iter_mut();
        let nth = streams.position(|stream| stream.watch == watch)?;
        let stream = &mut self.streams[nth];
        if stream.server != server {
            return None;
        }
        stream.heard_at = now;
        Some(nth)
    }

    fn on_events(&mut self, from: NodeId, events: Events, cx: &mut Context<'_, Peer>) {
        let Some(nth) = self.asked(from, events.watch, cx.now()) else {
            return;
        };
        let stream = &mut self.streams[nth];
        match stream.receive(events) {
            Got::Next => self.hand_out(nth, cx),
            Got::Old => {}
            Got::Gap => {
                probe!(cx, "a client found a gap in its watch");
                // The server believes that it has been sent; at once, and not when it is next due.
                stream.ask_at = cx.now();
            }
        }
        self.see_to_streams(cx);
    }

    fn on_watch_refused(
        &mut self,
        from: NodeId,
        refused: WatchRefused,
        cx: &mut Context<'_, Peer>,
    ) {
        let Some(nth) = self.asked(from, refused.watch, cx.now()) else {
            return;
        };
        match refused.why {
            NoWatch::Compacted(from) => {
                probe!(
                    cx,
                    "a client was told that what it watches for was compacted"
                );
                let stream = &self.streams[nth];
                // What was got before is handed out first.
                if stream.has_changes() {
                    return;
                }
                if let Some((id, _)) = stream.waiting {
                    cx.complete(id, Outcome::Ok(Ret::Compacted(from)));
                }
                self.streams.remove(nth);
            }
            NoWatch::NoLeader | NoWatch::Busy => {
                probe!(cx, "a client went on with its watch at another server");
                self.ask_next_server(nth, cx.now());
                let backoff = Duration::from_millis(self.settings.raft.client_backoff_ms);
                self.streams[nth].ask_at = cx.now() + backoff;
            }
        }
        self.see_to_streams(cx);
    }

    fn unwatch(&mut self, nth: usize, cx: &mut Context<'_, Peer>) {
        let stream = self.streams.remove(nth);
        let unwatch = Unwatch {
            watch: stream.watch,
        };
        cx.send(self.servers[stream.server], Message::Unwatch(unwatch));
    }
}
