//! A server: one of the service, that also asks instances how they are when it leads, and answers DNS queries.

use super::checks::{Checks, Due};
use super::entry::{entry_of, node_of};
use super::message::{Dns, Message, Probed};
use super::probes::PROBES;
use super::{Config, Peer, Timer};
use crate::discovery::cache::Entry;
use crate::discovery::dns::{Found, Zone};
use crate::discovery::health::{Status, is_panic};
use crate::discovery::{Instance, Label};
use crate::kv::{self, KeyRange, Range, Revision, Store};
use crate::{raft, service};
use splitbrain_core::{Context, Doings, Journal, Node, NodeId, SyncError, SyncId, Time, probe};
use std::sync::Arc;
use std::time::Duration;

/// A server of the registry.
#[derive(Clone, Debug)]
pub struct Server {
    service: service::Peer,
    doings: Doings<service::Peer>,
    zone: Arc<Zone>,
    panic_percent: u64,
    /// How long to wait for what was proposed.
    again: Duration,
    /// How much later than it is due something may be done, before it counts as an absence.
    absence: Duration,
    /// Since when it knows of no leader, if it does not, and for how long it answers DNS queries then.
    unled_since: Option<Time>,
    unled_max: Duration,
    /// The store when a DNS query was last answered from it.
    told: Option<Revision>,
    /// While it decides.
    checks: Option<Checks<NodeId>>,
}

impl Server {
    pub(super) fn start(
        config: &Config,
        journal: Journal<raft::Record>,
        cx: &mut Context<'_, Peer>,
    ) -> Server {
        let mut doings = Doings::new();
        let service = cx.part(&mut doings, |cx| {
            service::Peer::start(&config.service, journal, cx)
        });
        let settings = &config.settings;
        Server {
            service,
            doings,
            zone: config.zone.clone(),
            panic_percent: settings.cache.panic_percent,
            again: Duration::from_millis(settings.service.raft.election_ms_max),
            absence: Duration::from_millis(settings.probe.timeout_ms),
            unled_since: Some(cx.now()),
            unled_max: Duration::from_millis(settings.unled_ms_max),
            told: None,
            checks: None,
        }
    }

    /// The server of the service in it.
    pub fn service(&self) -> &service::Peer {
        &self.service
    }

    /// The store, as far as this server has applied the log.
    pub fn store(&self) -> &Store {
        store_of(&self.service)
    }

    /// What it knows of the instances that it asks, while it decides.
    pub fn checks(&self) -> Option<&Checks<NodeId>> {
        self.checks.as_ref()
    }

    /// The store's revision when a DNS query was last answered from it.
    pub fn told(&self) -> Option<Revision> {
        self.told
    }

    pub(super) fn on_message(
        &mut self,
        from: NodeId,
        message: Message,
        cx: &mut Context<'_, Peer>,
    ) {
        match message {
            Message::Service(message) => {
                self.with_service(cx, |service, cx| service.on_message(from, message, cx));
            }
            Message::Probed(answer) => self.on_probed(&answer, cx),
            Message::Dns(query) => self.on_query(from, &query, cx),
            _ => debug_assert!(false, "nobody sends that to a server"),
        }
    }

    pub(super) fn on_timer(&mut self, timer: Timer, cx: &mut Context<'_, Peer>) {
        match timer {
            Timer::Service(timer) => {
                self.with_service(cx, |service, cx| service.on_timer(timer, cx));
            }
            Timer::Checks => self.see_to_checks(cx),
            _ => debug_assert!(false, "a timer of others"),
        }
    }

    pub(super) fn on_synced(&mut self, sync: SyncId, cx: &mut Context<'_, Peer>) {
        self.with_service(cx, |service, cx| service.on_synced(sync, cx));
    }

    pub(super) fn on_sync_failed(
        &mut self,
        sync: SyncId,
        error: SyncError,
        cx: &mut Context<'_, Peer>,
    ) {
        self.with_service(cx, |service, cx| service.on_sync_failed(sync, error, cx));
    }

    /// Lets the server of the service do something, and learns what follows from it.
    fn with_service(
        &mut self,
        cx: &mut Context<'_, Peer>,
        event: impl FnOnce(&mut service::Peer, &mut Context<'_, service::Peer>),
    ) {
        let Server {
            service, doings, ..
        } = self;
        cx.part(doings, |cx| event(service, cx));
        self.learn(cx);
    }

    /// Whether it decides is new, or what there is to be asked.
    fn learn(&mut self, cx: &mut Context<'_, Peer>) {
        let Some(server) = self.service.server() else {
            unreachable!("it was started as a server");
        };
        self.unled_since = match server.raft().leader() {
            Some(_) => None,
            None => self.unled_since.or(Some(cx.now())),
        };
        let term = server.is_lessor().then(|| server.raft().term().0);
        if self.checks.as_ref().map(Checks::term) != term {
            let whom = |instance: &Instance| node_of(instance.address());
            self.checks = term.map(|term| Checks::new(term, whom));
            cx.cancel_timer(Timer::Checks);
        }
        if self.has_learnt(cx) {
            self.set_timer(cx);
        }
    }

    /// Learns what has changed in the store, if it decides; whether anything has.
    fn has_learnt(&mut self, cx: &mut Context<'_, Peer>) -> bool {
        let Server {
            service, checks, ..
        } = self;
        let now = cx.now();
        checks
            .as_mut()
            .is_some_and(|checks| checks.learn(store_of(service), now, cx.rng()))
    }

    fn set_timer(&self, cx: &mut Context<'_, Peer>) {
        match self.checks.as_ref().and_then(Checks::next_due) {
            Some(due) => cx.set_timer(Timer::Checks, due.since(cx.now())),
            None => cx.cancel_timer(Timer::Checks),
        }
    }

    fn on_probed(&mut self, answer: &Probed, cx: &mut Context<'_, Peer>) {
        let now = cx.now();
        if let Some(checks) = &mut self.checks {
            checks.answered(answer, now);
            self.see_to_checks(cx);
        }
    }

    /// Does what is due.
    fn see_to_checks(&mut self, cx: &mut Context<'_, Peer>) {
        let (now, absence, again) = (cx.now(), self.absence, self.again);
        if let Some(checks) = &mut self.checks
            && checks.next_due().is_some_and(|due| due + absence < now)
        {
            probe!(cx, "the registry had been away and judged nobody for it");
            checks.resume(now);
        }
        while let Some(due) = {
            let checks = self.checks.as_mut();
            checks.and_then(|checks| checks.due(now, again))
        } {
            let op = match due {
                Due::Ask(node, probe) => {
                    cx.send(node, Message::Probe(probe));
                    continue;
                }
                Due::Write(Status::Critical, op) => {
                    probe!(cx, "the registry found that an instance was not well");
                    op
                }
                Due::Write(_, op) => {
                    probe!(cx, "the registry found that an instance was well");
                    op
                }
                Due::Note(op) => {
                    probe!(
                        cx,
                        "the registry wrote down for how long an instance had been critical"
                    );
                    op
                }
                Due::Remove(op) => {
                    probe!(
                        cx,
                        "the registry removed an instance that had been critical for long"
                    );
                    op
                }
            };
            // If it cannot be proposed now, it is due again.
            self.with_service(cx, |service, cx| {
                service.propose_own(op, cx);
            });
        }
        self.set_timer(cx);
    }

    fn on_query(&mut self, from: NodeId, query: &Dns, cx: &mut Context<'_, Peer>) {
        let is_lost = |since: Time| since + self.unled_max <= cx.now();
        let can_tell = is_current(&self.service) && !self.unled_since.is_some_and(is_lost);
        let store = store_of(&self.service);
        if can_tell {
            self.told = Some(store.revision());
        } else {
            probe!(cx, "a server said by DNS that it could not tell");
        }
        let percent = self.panic_percent;
        let response = self.zone.answer(
            &query.bytes,
            query.transport,
            store.revision().0,
            |service, tag| {
                if can_tell {
                    find(store, service, tag, percent)
                } else {
                    Found::Unavailable
                }
            },
            cx.rng(),
        );
        if let Some(bytes) = response {
            let response = Dns {
                nonce: query.nonce,
                transport: query.transport,
                bytes,
            };
            cx.send(from, Message::DnsReply(response));
        }
    }
}

/// Whether a server of the service has known everything at some time since it started: before that, who is registered may not be
/// in its store, though it was before it stopped.
fn is_current(service: &service::Peer) -> bool {
    let server = service.server();
    server.is_some_and(|server| server.raft().is_current())
}

/// The store of a server of the service.
fn store_of(service: &service::Peer) -> &Store {
    match service.server() {
        Some(server) => server.store(),
        None => unreachable!("it was started as a server"),
    }
}

/// All instances of a service, whatever their health.
pub fn entries(store: &Store, service: &Label) -> Vec<Entry> {
    let range = Range::of(KeyRange::Prefix(Instance::prefix_of(service)));
    match store.read(&kv::Op::Range(Arc::new(range))) {
        kv::Ret::Range(found) => found.keys.iter().filter_map(entry_of).collect(),
        _ => Vec::new(),
    }
}

/// Those that are to be given out by DNS: who is well, or all if fewer than so many percent are.
pub fn find(store: &Store, service: &Label, tag: Option<&Label>, panic_percent: u64) -> Found {
    let mut entries = entries(store, service);
    entries.retain(|entry| tag.is_none_or(|tag| entry.instance.tags().contains(tag)));
    if entries.is_empty() {
        return Found::NoSuchName;
    }
    entries.retain(|entry| entry.status != Status::Maintenance);
    let is_well = |entry: &Entry| entry.status == Status::Passing;
    let healthy = entries.iter().filter(|entry| is_well(entry)).count();
    let panic = is_panic(healthy, entries.len(), panic_percent);
    entries.retain(|entry| panic || is_well(entry));
    Found::Instances(entries.into_iter().map(|entry| entry.instance).collect())
}

#[cfg(test)]
mod tests {
    use super::super::entry::{address_of, with_status};
    use super::*;

    #[test]
    fn dns_tells_of_who_is_well_and_of_all_if_nobody_is() {
        let label = |text: &str| Label::new(text).unwrap();
        let mut store = Store::new();
        let mut put = |nth: usize, status| {
            let address = address_of(NodeId::from_index(nth));
            let instance = Instance::new("web", &format!("n{nth}"), address, 80).unwrap();
            let instance = instance.with_tags(["blue"]).unwrap();
            let instance = with_status(&instance, status).unwrap();
            store.apply(&kv::Op::put(instance.key(), instance.encode()));
        };
        put(1, Status::Critical);
        put(2, Status::Maintenance);
        put(3, Status::Critical);
        let ids = |store: &Store, tag: Option<&str>| {
            let tag = tag.map(label);
            match find(store, &label("web"), tag.as_ref(), 0) {
                Found::Instances(all) => all.iter().map(|one| one.id().to_string()).collect(),
                other => vec![format!("{other:?}")],
            }
        };
        assert_eq!(ids(&store, None), ["n1", "n3"]);
        let address = address_of(NodeId::from_index(3));
        let well = Instance::new("web", "n3", address, 80).unwrap();
        store.apply(&kv::Op::put(well.key(), well.encode()));
        assert_eq!(ids(&store, None), ["n3"]);
        // Nobody is well of those with the tag.
        assert_eq!(ids(&store, Some("blue")), ["n1"]);
        assert_eq!(ids(&store, Some("red")), ["NoSuchName"]);
        let other = find(&store, &label("we"), None, 0);
        assert_eq!(other, Found::NoSuchName);
    }
}
