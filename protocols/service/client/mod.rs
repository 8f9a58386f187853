//! A client: one session with the store, any number of leases, reads of whatever some server knows, and watches.

mod holding;
mod leases;
mod reads;
mod stream;
mod watches;

pub use watches::Delivery;

use super::config::{Config, Settings};
use super::message::Message;
use super::op::{Op, Ret};
use super::probes::PROBES;
use super::{Peer, Timer};
use crate::kv::{self, LeaseId};
use crate::raft;
use holding::Holdings;
use reads::Reading;
use splitbrain_core::{Context, Doings, Journal, Node, NodeId, OpId, Outcome, Time, probe};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use stream::Stream;

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

/// An operation on the store.
#[derive(Clone, Debug)]
struct Asked {
    id: OpId,
    op: kv::Op,
    /// The lease that is to be held when it is granted, its time to live, and when it was asked for.
    hold: Option<(LeaseId, Duration, Time)>,
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
                if self.holdings.assured_until(lease).is_some() {
                    Outcome::Ok(Ret::Held)
                } else {
                    probe!(cx, "a lease was granted too late to be relied on");
                    Outcome::Fail("the answer came when the lease could have ended again")
                }
            }
            (Outcome::Ok(raft::Ret::Kv(ret)), _) => Outcome::Ok(Ret::Kv(ret)),
            (Outcome::Ok(_), _) => unreachable!("the store was asked, and the store answers"),
            (Outcome::Fail(why), _) => Outcome::Fail(why),
            (Outcome::Info, _) => Outcome::Info,
        };
        cx.complete(id, outcome);
    }
}
