//! A server: one of Raft, with the leader's knowledge of leases and the watches of its clients beside it.
//!
//! Whatever the servers must agree on goes through Raft, and is in the store. What is here is forgotten at a crash, and nothing
//! is lost with it: a new leader begins anew with leases, and where a watch stands its client knows.

use super::config::{Config, Settings};
use super::lessor::{Due, Lessor};
use super::message::{KeepAlive, KeepAliveReply, Kept, Message, StaleRead, StaleReadReply};
use super::probes::PROBES;
use super::watches::Watches;
use super::{Peer, Timer};
use crate::kv::watch::WatchId;
use crate::kv::{self, LeaseId, Revision, Store};
use crate::raft::{self, Index, Role, Term};
use splitbrain_core::{Context, Doings, Journal, Node, NodeId, SyncError, SyncId, probe};
use std::collections::BTreeMap;
use std::time::Duration;

/// A server of the service.
#[derive(Clone, Debug)]
pub struct Server {
    settings: Settings,
    raft: raft::Peer,
    doings: Doings<raft::Peer>,
    /// What is known only while this server leads, and has applied all that its predecessors committed.
    leading: Option<Leading>,
    /// Requests to keep a lease alive that wait until it is certain that this server leads, by number.
    asked: BTreeMap<u64, Asked>,
    /// The number of the next one.
    next_asked: u64,
    watches: Watches,
    /// The store when the watches were last told of it.
    told: Revision,
}

#[derive(Clone, Debug)]
struct Leading {
    term: Term,
    lessor: Lessor,
    /// The latest renewal of any lease that the lessor knows of.
    renewals: u64,
    /// Where it is in the log that less than its whole time remains of a lease, if that has not been applied here yet: the latest
    /// such entry. A successor will begin with it, so that a lease is not kept alive by saying so alone (seed 10421 of
    /// `service/lease-pauses`), though the store does not show it yet.
    lessened: BTreeMap<LeaseId, Index>,
    /// Who waits until it is agreed that a lease has its whole time to live again: until that entry is applied.
    renewing: Vec<(Asked, Index)>,
}

/// A request to keep a lease alive, and who made it.
#[derive(Clone, Copy, Debug)]
struct Asked {
    client: NodeId,
    request: KeepAlive,
}

/// What others may know: whoever this server is a part of, invariants, reports.
impl Server {
    /// The server of Raft in it.
    pub fn raft(&self) -> &raft::Server {
        let Some(server) = self.raft.server() else {
            unreachable!("it was started as a server");
        };
        server
    }

    /// The same as a node.
    pub(super) fn raft_peer(&self) -> &raft::Peer {
        &self.raft
    }

    /// The store, as far as this server has applied the log.
    pub fn store(&self) -> &Store {
        self.raft().machine().store()
    }

    /// Whether it decides on leases: it leads, and has applied all that its predecessors committed.
    pub fn is_lessor(&self) -> bool {
        self.leading.is_some()
    }

    /// Up to where each of the watches that it serves is told.
    pub fn watch_positions(&self) -> impl Iterator<Item = (WatchId, Revision)> {
        self.watches.positions()
    }

    /// How many watches it serves.
    pub fn watches(&self) -> usize {
        self.watches.len()
    }
}

/// Events.
impl Server {
    pub(super) fn start(
        config: &Config,
        journal: Journal<raft::Record>,
        cx: &mut Context<'_, Peer>,
    ) -> Server {
        let mut doings = Doings::new();
        let raft = cx.part(&mut doings, |cx| {
            raft::Peer::start(&config.raft, journal, cx)
        });
        Server {
            settings: config.settings,
            raft,
            doings,
            leading: None,
            asked: BTreeMap::new(),
            next_asked: 0,
            watches: Watches::new(config.settings),
            told: Revision::ZERO,
        }
    }

    pub(super) fn on_message(
        &mut self,
        from: NodeId,
        message: Message,
        cx: &mut Context<'_, Peer>,
    ) {
        match message {
            Message::Raft(message) => {
                self.with_raft(cx, |raft, cx| raft.on_message(from, message, cx));
            }
            Message::StaleRead(read) => self.on_stale_read(from, &read, cx),
            Message::KeepAlive(request) => self.on_keep_alive(from, request, cx),
            Message::Watch(watch) => {
                let knows_leader = self.knows_leader();
                let Server { raft, watches, .. } = self;
                let store = store_of(raft);
                watches.on_watch(from, watch, store, knows_leader, cx);
            }
            Message::WatchAck(ack) => {
                let Server { raft, watches, .. } = self;
                watches.on_ack(from, ack, store_of(raft), cx);
            }
            Message::Unwatch(unwatch) => self.watches.on_unwatch(from, unwatch),
            Message::StaleReadReply(_)
            | Message::KeepAliveReply(_)
            | Message::Events(_)
            | Message::WatchRefused(_) => debug_assert!(false, "answers are for clients"),
        }
    }

    pub(super) fn on_timer(&mut self, timer: Timer, cx: &mut Context<'_, Peer>) {
        match timer {
            Timer::Raft(timer) => self.with_raft(cx, |raft, cx| raft.on_timer(timer, cx)),
            Timer::Leases => self.see_to_leases(cx),
            Timer::Watches => self.watches.on_timer(cx),
            Timer::Holdings | Timer::Reads | Timer::Streams => {
                debug_assert!(false, "timers of clients");
            }
        }
    }

    pub(super) fn on_synced(&mut self, sync: SyncId, cx: &mut Context<'_, Peer>) {
        self.with_raft(cx, |raft, cx| raft.on_synced(sync, cx));
    }

    pub(super) fn on_sync_failed(
        &mut self,
        sync: SyncId,
        error: SyncError,
        cx: &mut Context<'_, Peer>,
    ) {
        self.with_raft(cx, |raft, cx| raft.on_sync_failed(sync, error, cx));
    }

    /// Lets Raft do something, and sees to what follows from it.
    fn with_raft(
        &mut self,
        cx: &mut Context<'_, Peer>,
        event: impl FnOnce(&mut raft::Peer, &mut Context<'_, raft::Peer>),
    ) {
        let Server { raft, doings, .. } = self;
        cx.part(doings, |cx| event(raft, cx));
        let term = self.raft().is_settled_leader().then(|| self.raft().term());
        if self.leading.as_ref().map(|leading| leading.term) != term {
            self.leads(term, cx);
        }
        if self.leading.is_some() {
            self.learn_leases(cx);
        }
        self.answer_asked(cx);
        let store = store_of(&self.raft);
        if store.revision() != self.told {
            self.told = store.revision();
            self.watches.tell(store, cx);
        }
    }

    /// Whether it follows a leader, or leads: what it has applied is not old, as far as it can tell.
    fn knows_leader(&self) -> bool {
        let raft = self.raft();
        match raft.role() {
            Role::Leader => true,
            Role::Follower => raft.leader().is_some(),
            Role::PreCandidate | Role::Candidate => false,
        }
    }

    fn on_stale_read(&mut self, client: NodeId, read: &StaleRead, cx: &mut Context<'_, Peer>) {
        let store = self.store();
        let reply = StaleReadReply {
            nonce: read.nonce,
            ret: store.read(&read.op),
            revision: store.revision(),
        };
        cx.send(client, Message::StaleReadReply(reply));
    }
}

/// Leases.
impl Server {
    /// It has come to lead this term, and knows all that was committed before; or it leads no more.
    fn leads(&mut self, term: Option<Term>, cx: &mut Context<'_, Peer>) {
        let before = self.leading.take();
        for (asked, _) in before.into_iter().flat_map(|leading| leading.renewing) {
            answer(asked, Kept::NotLeader(None), cx);
        }
        cx.cancel_timer(Timer::Leases);
        let Some(term) = term else {
            return;
        };
        let (now, terms) = (cx.now(), self.settings.terms());
        let store = self.store();
        let mut lessor = Lessor::default();
        for (id, lease) in store.leases() {
            if lease.remaining_ms() < lease.ttl_ms() {
                probe!(cx, "a new leader began with what remained of a lease");
            }
            lessor.take_over(id, ttl(lease), remaining(lease), now, terms);
        }
        let renewals = store.lease_renewals();
        self.leading = Some(Leading {
            term,
            lessor,
            renewals,
            lessened: BTreeMap::new(),
            renewing: Vec::new(),
        });
        self.set_lease_timer(cx);
    }

    /// What has been agreed on since the lessor last looked.
    fn learn_leases(&mut self, cx: &mut Context<'_, Peer>) {
        let (now, terms) = (cx.now(), self.settings.terms());
        let applied = self.raft().last_applied();
        let store = store_of(&self.raft);
        let Some(leading) = &mut self.leading else {
            return;
        };
        leading.renewing.retain(|(asked, at)| {
            let waits = *at > applied;
            if !waits {
                let is_there = store.lease(asked.request.lease).is_some();
                let kept = if is_there { Kept::Alive } else { Kept::Gone };
                answer(*asked, kept, cx);
            }
            waits
        });
        if store.lease_renewals() == leading.renewals {
            return;
        }
        leading.lessened.retain(|_, at| *at > applied);
        for (id, lease) in store.leases_renewed_after(leading.renewals) {
            leading
                .lessor
                .renewed(id, ttl(lease), remaining(lease), now, terms);
        }
        leading.renewals = store.lease_renewals();
        self.set_lease_timer(cx);
    }

    fn on_keep_alive(&mut self, client: NodeId, request: KeepAlive, cx: &mut Context<'_, Peer>) {
        let asked = Asked { client, request };
        let raft = self.raft();
        if raft.role() != Role::Leader {
            answer(asked, Kept::NotLeader(raft.leader()), cx);
            return;
        }
        // Another leader may have been elected, and have ended the lease: only who leads for certain may say that it lives.
        let number = self.next_asked;
        self.next_asked += 1;
        self.asked.insert(number, asked);
        self.with_raft(cx, |raft, cx| {
            if let Some(server) = raft.server_mut() {
                server.confirm_leadership(number, cx);
            }
        });
    }

    /// Answers those of whom it is certain by now whether this server led after they had asked.
    fn answer_asked(&mut self, cx: &mut Context<'_, Peer>) {
        let Some(server) = self.raft.server_mut() else {
            return;
        };
        for (number, confirmed) in server.take_confirmed() {
            let Some(asked) = self.asked.remove(&number) else {
                continue;
            };
            if confirmed {
                self.keep_alive(asked, cx);
            } else {
                answer(asked, Kept::NotLeader(None), cx);
            }
        }
    }

    fn keep_alive(&mut self, asked: Asked, cx: &mut Context<'_, Peer>) {
        let (now, terms) = (cx.now(), self.settings.terms());
        let id = asked.request.lease;
        let Some(lease) = store_of(&self.raft).lease(id) else {
            answer(asked, Kept::Gone, cx);
            return;
        };
        let applied = self.raft().last_applied();
        let is_whole = lease.remaining_ms() >= lease.ttl_ms();
        let ttl_ms = lease.ttl_ms();
        let Some(leading) = &mut self.leading else {
            answer(asked, Kept::NotLeader(None), cx);
            return;
        };
        if leading.lessor.keep_alive(id, now, terms).is_none() {
            // It has run out, and its end is proposed: whether that is committed is not known yet. The client asks again.
            probe!(cx, "a request to keep a lease alive came too late");
            return;
        }
        let is_lessened = leading.lessened.get(&id).is_some_and(|at| *at > applied);
        if is_whole && !is_lessened {
            answer(asked, Kept::Alive, cx);
        } else {
            // A successor would begin with what was written down (etcd #13294).
            probe!(cx, "a lease that was kept alive had been written down");
            self.renew(asked, ttl_ms, cx);
        }
        self.set_lease_timer(cx);
    }

    /// Has it agreed that a lease has its whole time to live again, and then answers. If that cannot be proposed now, the client will
    /// ask again.
    fn renew(&mut self, asked: Asked, ttl_ms: u64, cx: &mut Context<'_, Peer>) {
        let lease = asked.request.lease;
        let op = kv::Op::LeaseCheckpoint {
            lease,
            remaining_ms: ttl_ms,
        };
        let Some(at) = self.propose(op, cx) else {
            return;
        };
        if at <= self.raft().last_applied() {
            // A server that is a quorum by itself.
            answer(asked, Kept::Alive, cx);
        } else if let Some(leading) = &mut self.leading {
            leading
                .renewing
                .retain(|(other, _)| other.client != asked.client || other.request.lease != lease);
            leading.renewing.push((asked, at));
        }
    }

    /// Proposes what is due.
    fn see_to_leases(&mut self, cx: &mut Context<'_, Peer>) {
        let (now, terms) = (cx.now(), self.settings.terms());
        let again = Duration::from_millis(self.settings.raft.election_ms_max);
        while let Some(due) = {
            let leading = self.leading.as_mut();
            leading.and_then(|leading| leading.lessor.due(now, again, terms))
        } {
            let (Due::Expire(id) | Due::Checkpoint(id, _)) = due;
            let Some(lease) = self.store().lease(id) else {
                // Revoked, or expired already.
                if let Some(leading) = &mut self.leading {
                    leading.lessor.forget(id);
                }
                continue;
            };
            let op = match due {
                Due::Expire(lease_id) => {
                    probe!(cx, "a leader found that a lease had run out");
                    kv::Op::LeaseExpire {
                        lease: lease_id,
                        renewals: lease.renewals(),
                    }
                }
                Due::Checkpoint(lease_id, remaining) => {
                    probe!(cx, "a leader wrote down how much remained of a lease");
                    kv::Op::LeaseCheckpoint {
                        lease: lease_id,
                        // Rounded up: no lease is to be cut short.
                        remaining_ms: remaining.as_nanos().div_ceil(1_000_000) as u64,
                    }
                }
            };
            let at = self.propose(op, cx);
            if let (Due::Checkpoint(..), Some(at), Some(leading)) = (due, at, &mut self.leading) {
                leading.lessened.insert(id, at);
            }
        }
        self.set_lease_timer(cx);
    }

    /// Proposes something that no client has asked for. If it cannot be proposed now, it is due again.
    pub(super) fn propose(&mut self, op: kv::Op, cx: &mut Context<'_, Peer>) -> Option<Index> {
        let mut proposed = None;
        self.with_raft(cx, |raft, cx| {
            let server = raft.server_mut();
            proposed = server.and_then(|server| server.propose_own(op, cx));
        });
        proposed
    }

    fn set_lease_timer(&self, cx: &mut Context<'_, Peer>) {
        let leading = self.leading.as_ref();
        match leading.and_then(|leading| leading.lessor.next_due()) {
            Some(due) => cx.set_timer(Timer::Leases, due.since(cx.now())),
            None => cx.cancel_timer(Timer::Leases),
        }
    }
}

/// The store of the server of Raft.
fn store_of(raft: &raft::Peer) -> &Store {
    match raft.server() {
        Some(server) => server.machine().store(),
        None => unreachable!("it was started as a server"),
    }
}

fn ttl(lease: &kv::Lease) -> Duration {
    Duration::from_millis(lease.ttl_ms())
}

fn remaining(lease: &kv::Lease) -> Duration {
    Duration::from_millis(lease.remaining_ms())
}

fn answer(asked: Asked, kept: Kept, cx: &mut Context<'_, Peer>) {
    let KeepAlive { lease, nonce } = asked.request;
    let reply = KeepAliveReply { lease, nonce, kept };
    cx.send(asked.client, Message::KeepAliveReply(reply));
}
