//! An instance of a service: it sees to it that it is registered, or not, and does what it is called for.
//!
//! What is to be in the registry follows from what it has been ordered to do; what is there it finds out, and makes it so (Consul:
//! anti-entropy). There is one request to the registry at a time.

use super::entry::{self, address_of, with_check, with_status};
use super::message::{Answer, Call, Message, Ordered, Probed};
use super::op::{Op, Order, Ret};
use super::probes::PROBES;
use super::{Config, Peer, Settings, Timer};
use crate::discovery::health::{CheckSettings, Report, Status};
use crate::discovery::{Instance as Entry, InstanceError, Label};
use crate::kv::{self, Key, LeaseId, Revision, Value};
use crate::service;
use splitbrain_core::{Context, Doings, Journal, Node, NodeId, OpId, Outcome, Time, probe};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// An instance of a service.
#[derive(Clone, Debug)]
pub struct Instance {
    settings: Arc<Settings>,
    service: service::Peer,
    doings: Doings<service::Peer>,
    me: Entry,
    key: Key,
    /// How the registry is to ask it; otherwise it has a lease.
    check: Option<CheckSettings>,
    /// A random number: what it writes to the fence.
    incarnation: u64,
    /// What it has been ordered to do, and until when.
    orders: BTreeMap<Order, Time>,
    /// Who is to be told that an order is obeyed.
    waiting: Vec<(Order, Asker)>,
    lease: Option<LeaseId>,
    phase: Phase,
    /// The fence that it has seen, and not used yet.
    fence: Option<Revision>,
    under_way: Option<Step>,
    /// The number of the next request.
    next_request: u64,
    /// It is not to ask before.
    retry_at: Time,
    /// When to look whether it is still registered.
    verify_at: Time,
    /// The calls that it works at, in order, and when each is done.
    work: VecDeque<(Time, NodeId, Answer)>,
}

/// What an instance knows of its entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing.
    Unknown,
    /// It was written at this revision, and nobody but the registry has written it since.
    Registered {
        /// When.
        at: Revision,
        /// What was written.
        value: Value,
    },
    /// It was removed at this revision, and will not be there until it is registered again.
    Deregistered {
        /// When.
        at: Revision,
    },
}

/// Who has asked.
#[derive(Clone, Copy, Debug)]
enum Asker {
    Op(OpId),
    Node(NodeId, u64),
}

/// A request to the registry.
#[derive(Clone, Debug)]
enum Step {
    Hold(LeaseId),
    ReadFence,
    Register(Value),
    Deregister,
    Revoke,
    Verify,
}

/// What others may know: invariants, reports.
impl Instance {
    /// The client of the service in it.
    pub fn service(&self) -> &service::Peer {
        &self.service
    }

    /// What it is.
    pub fn entry(&self) -> &Entry {
        &self.me
    }

    /// The key of its entry.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// What it knows of its entry.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Until when its entry is certainly there, by its clock, and what its clock shows, if it has a lease.
    pub fn assured(&self) -> Option<(Time, Time)> {
        let client = self.service.client()?;
        Some((client.assured_until(self.lease?)?, client.clock()))
    }

    /// Since when it is in maintenance, if it is, is to be, and has asked for nothing else since.
    pub fn in_maintenance(&self) -> Option<Revision> {
        match &self.phase {
            Phase::Registered { at, value }
                if self.orders.contains_key(&Order::Maintenance)
                    && !self.is_changing()
                    && self.wanted().as_ref() == Some(value) =>
            {
                Some(*at)
            }
            _ => None,
        }
    }

    /// Whether it has asked for something else than what it knows of its entry.
    fn is_changing(&self) -> bool {
        matches!(self.under_way, Some(Step::Register(_) | Step::Deregister))
    }

    /// Whether it has been ordered to do something that is not over.
    pub fn is_ordered(&self) -> bool {
        !self.orders.is_empty()
    }
}

impl Instance {
    pub(super) fn start(
        config: &Config,
        (name, port, probed): (&Label, u16, bool),
        cx: &mut Context<'_, Peer>,
    ) -> Instance {
        let mut doings = Doings::new();
        let journal = Journal::empty();
        let service = cx.part(&mut doings, |cx| {
            service::Peer::start(&config.service, journal, cx)
        });
        let check = probed.then(|| config.settings.check());
        let me = describe(name, port, check.as_ref(), cx.id());
        let me = me.expect("names and ports are those of the settings, which are valid");
        let mut instance = Instance {
            settings: config.settings.clone(),
            service,
            doings,
            key: me.key(),
            me,
            check,
            incarnation: cx.rng().next_u64(),
            orders: BTreeMap::new(),
            waiting: Vec::new(),
            lease: None,
            phase: Phase::Unknown,
            fence: None,
            under_way: None,
            next_request: 0,
            retry_at: cx.now(),
            verify_at: cx.now(),
            work: VecDeque::new(),
        };
        instance.go_on(cx);
        instance
    }

    pub(super) fn on_message(
        &mut self,
        from: NodeId,
        message: Message,
        cx: &mut Context<'_, Peer>,
    ) {
        match message {
            Message::Service(message) => {
                let Instance {
                    service, doings, ..
                } = self;
                cx.part(doings, |cx| service.on_message(from, message, cx));
                self.go_on(cx);
            }
            Message::Probe(probe) => {
                let is_mine = probe.key == self.key;
                // Who is slow answers late, and who fails says so.
                if is_mine && !self.orders.contains_key(&Order::Slow) {
                    let report = if self.orders.contains_key(&Order::Failing) {
                        Report::Critical
                    } else {
                        Report::Passing
                    };
                    cx.send(from, Message::Probed(Probed { probe, report }));
                }
            }
            Message::Call(call) => self.on_call(from, &call, cx),
            Message::Order(Ordered {
                nonce,
                order,
                lasting,
            }) => self.on_order(order, lasting, Asker::Node(from, nonce), cx),
            _ => debug_assert!(false, "nobody sends that to an instance"),
        }
    }

    pub(super) fn on_timer(&mut self, timer: Timer, cx: &mut Context<'_, Peer>) {
        match timer {
            Timer::Service(timer) => {
                let Instance {
                    service, doings, ..
                } = self;
                cx.part(doings, |cx| service.on_timer(timer, cx));
                self.go_on(cx);
            }
            Timer::Upkeep => self.go_on(cx),
            Timer::Work => self.see_to_work(cx),
            _ => debug_assert!(false, "a timer of others"),
        }
    }

    pub(super) fn on_invoke(&mut self, id: OpId, op: &Op, cx: &mut Context<'_, Peer>) {
        match *op {
            Op::Order {
                instance,
                order,
                lasting_ms,
            } if instance == cx.id() => {
                let lasting = Duration::from_millis(lasting_ms);
                self.on_order(order, lasting, Asker::Op(id), cx);
            }
            _ => cx.complete(id, Outcome::Fail("an instance takes orders only")),
        }
    }
}

/// Calls.
impl Instance {
    fn on_call(&mut self, from: NodeId, call: &Call, cx: &mut Context<'_, Peer>) {
        let now = cx.now();
        let is_full = self.work.len() >= self.settings.waiting_max as usize;
        if is_full {
            probe!(
                cx,
                "an instance had more to do than it could and refused a call"
            );
        }
        let fails = self.orders.contains_key(&Order::Failing);
        let answer = Answer {
            nonce: call.nonce,
            service: self.me.service().clone(),
            instance: self.me.id().clone(),
            done: !is_full && !fails && call.service == *self.me.service(),
        };
        if !answer.done {
            cx.send(from, Message::Answer(answer));
            return;
        }
        let takes_ms = if self.orders.contains_key(&Order::Slow) {
            self.settings.slow_work_ms
        } else {
            self.settings.work_ms
        };
        let begins = self.work.back().map_or(now, |(done_at, ..)| *done_at);
        let done_at = begins.max(now) + Duration::from_millis(takes_ms);
        self.work.push_back((done_at, from, answer));
        self.see_to_work(cx);
    }

    /// Answers what is done.
    fn see_to_work(&mut self, cx: &mut Context<'_, Peer>) {
        let now = cx.now();
        while let Some((_, from, answer)) = self.work.pop_front_if(|(done_at, ..)| *done_at <= now)
        {
            cx.send(from, Message::Answer(answer));
        }
        if let Some((done_at, ..)) = self.work.front() {
            cx.set_timer(Timer::Work, done_at.since(now));
        }
    }
}

/// The registry.
impl Instance {
    fn on_order(
        &mut self,
        order: Order,
        lasting: Duration,
        asker: Asker,
        cx: &mut Context<'_, Peer>,
    ) {
        cx.note(format_args!("is to {order}"));
        self.orders.insert(order, cx.now() + lasting);
        self.waiting.push((order, asker));
        self.go_on(cx);
    }

    /// Makes it so that what is in the registry is what should be.
    fn go_on(&mut self, cx: &mut Context<'_, Peer>) {
        let now = cx.now();
        self.orders.retain(|_, until| *until > now);
        loop {
            while let Some((_, outcome)) = self.doings.next_completed() {
                if let Some(step) = self.under_way.take() {
                    self.finished(step, outcome, cx);
                }
            }
            if self.under_way.is_some() || now < self.retry_at {
                break;
            }
            let Some((step, op)) = self.next_step(cx) else {
                break;
            };
            self.under_way = Some(step);
            let id = OpId(self.next_request);
            self.next_request += 1;
            let Instance {
                service, doings, ..
            } = self;
            cx.part(doings, |cx| service.on_invoke(id, op, cx));
        }
        self.report(cx);
        let ends = self.orders.values().copied();
        let lost = self.assured().map(|(until, _)| until);
        let dues = ends.chain([self.retry_at, self.verify_at]).chain(lost);
        match dues.filter(|due| *due > now).min() {
            Some(due) => cx.set_timer(Timer::Upkeep, due.since(now)),
            None => cx.cancel_timer(Timer::Upkeep),
        }
    }

    /// What should be in the registry; nothing, if it should not be there.
    fn wanted(&self) -> Option<Value> {
        if self.orders.contains_key(&Order::Deregister) {
            return None;
        }
        let status = if self.orders.contains_key(&Order::Maintenance) {
            Status::Maintenance
        } else if self.check.is_some() {
            // Until the registry has asked.
            Status::Critical
        } else {
            Status::Passing
        };
        let written = with_status(&self.me, status);
        Some(written.as_ref().unwrap_or(&self.me).encode())
    }

    fn next_step(&mut self, cx: &mut Context<'_, Peer>) -> Option<(Step, service::Op)> {
        let Some(value) = self.wanted() else {
            if let Phase::Deregistered { .. } = self.phase {
                let lease = self.lease.take()?;
                let revoke = kv::Op::LeaseRevoke { lease };
                return Some((Step::Revoke, service::Op::Kv(revoke)));
            }
            let Some(fence) = self.fence.take() else {
                return Some(self.read_fence());
            };
            self.phase = Phase::Unknown;
            let op = entry::deregister(&self.key, fence, self.incarnation);
            return Some((Step::Deregister, service::Op::Kv(op)));
        };
        let now = cx.now();
        let is_assured = self.assured().is_some_and(|(until, _)| until > now);
        if self.check.is_none() && !is_assured {
            if self.lease.take().is_some() {
                probe!(cx, "an instance registered anew, as it had lost its lease");
            }
            self.phase = Phase::Unknown;
            // Zero is the one number in 2^64 that is none.
            let lease = LeaseId::new(cx.rng().next_u64().max(1))?;
            let ttl_ms = self.settings.ttl_ms;
            return Some((Step::Hold(lease), service::Op::Hold { lease, ttl_ms }));
        }
        match &self.phase {
            Phase::Registered { value: written, .. } if *written == value => {
                let verify = service::Op::Kv(entry::read(&self.key));
                (self.verify_at <= now).then_some((Step::Verify, verify))
            }
            _ => {
                let Some(fence) = self.fence.take() else {
                    return Some(self.read_fence());
                };
                if let Phase::Deregistered { .. } = self.phase {
                    self.phase = Phase::Unknown;
                }
                let op = entry::register(&self.key, &value, self.lease, fence, self.incarnation);
                Some((Step::Register(value), service::Op::Kv(op)))
            }
        }
    }

    fn read_fence(&self) -> (Step, service::Op) {
        let op = entry::read(&entry::fence_of(&self.key));
        (Step::ReadFence, service::Op::Kv(op))
    }

    fn finished(&mut self, step: Step, outcome: Outcome<service::Ret>, cx: &mut Context<'_, Peer>) {
        let now = cx.now();
        let verify_at = now + Duration::from_millis(self.settings.verify_ms);
        match (step, outcome) {
            (Step::Hold(lease), Outcome::Ok(service::Ret::Held)) => self.lease = Some(lease),
            (Step::ReadFence, Outcome::Ok(service::Ret::Kv(kv::Ret::Range(found)))) => {
                let fence = found.keys.first();
                self.fence = Some(fence.map_or(Revision::ZERO, |found| found.mod_revision));
            }
            (
                step @ (Step::Register(_) | Step::Deregister),
                Outcome::Ok(service::Ret::Kv(kv::Ret::Transaction(done))),
            ) => {
                let at = done.revision;
                self.verify_at = verify_at;
                self.phase = match (step, done.succeeded) {
                    (Step::Register(value), true) => Phase::Registered { at, value },
                    (_, true) => Phase::Deregistered { at },
                    (_, false) => {
                        probe!(
                            cx,
                            "an instance found that its entry had been written by another incarnation"
                        );
                        Phase::Unknown
                    }
                };
            }
            (Step::Verify, Outcome::Ok(service::Ret::Kv(kv::Ret::Range(found)))) => {
                self.verify_at = verify_at;
                if found.keys.is_empty() {
                    probe!(cx, "an instance found that it was not registered any more");
                    self.phase = Phase::Unknown;
                }
            }
            // Whatever became of it, the lease is not kept alive any more.
            (Step::Revoke, _) => {}
            (_, _) => {
                // Refused, as its lease is gone; or nobody knows what became of it.
                self.phase = Phase::Unknown;
                self.retry_at = now + Duration::from_millis(self.settings.retry_ms);
            }
        }
    }

    /// Tells those who wait that their orders are obeyed.
    fn report(&mut self, cx: &mut Context<'_, Peer>) {
        let (wanted, phase) = (self.wanted(), &self.phase);
        let is_so = match phase {
            // What is under way may be what was wanted before, and end what is wanted now.
            _ if self.is_changing() => false,
            Phase::Registered { value, .. } => wanted.as_ref() == Some(value),
            Phase::Deregistered { .. } => wanted.is_none(),
            Phase::Unknown => false,
        };
        let orders = &self.orders;
        self.waiting.retain(|(order, asker)| {
            // When the time is over and it was never so, nobody is told that it was.
            if !orders.contains_key(order) {
                return false;
            }
            let is_inner = matches!(order, Order::Slow | Order::Failing);
            let is_obeyed = is_inner || is_so;
            if is_obeyed {
                match *asker {
                    Asker::Op(id) => cx.complete(id, Outcome::Ok(Ret::Obeyed)),
                    Asker::Node(node, nonce) => cx.send(node, Message::Obeyed(nonce)),
                }
            }
            !is_obeyed
        });
    }
}

/// What the node is.
fn describe(
    service: &Label,
    port: u16,
    check: Option<&CheckSettings>,
    node: NodeId,
) -> Result<Entry, InstanceError> {
    let id = id_of(service, node);
    let entry = Entry::new(service.as_str(), &id, address_of(node), port)?;
    let colour = if node.index().is_multiple_of(2) {
        "blue"
    } else {
        "green"
    };
    let entry = entry.with_tags([colour])?;
    check.map_or(Ok(entry.clone()), |check| with_check(&entry, check))
}

/// The id of the instance of a service at a node: it tells the service, too.
pub fn id_of(service: &Label, node: NodeId) -> String {
    format!("{service}-{node}")
}
