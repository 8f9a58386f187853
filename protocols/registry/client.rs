//! A client: it finds instances itself, or asks a proxy, the registry or DNS.

use super::caller::{Answers, Caller};
use super::engine::{Asker, outcome_of};
use super::entry::{entry_of, status_of};
use super::message::{Call, Dns, Message, Ordered};
use super::op::{Found, Op, Ret, Source};
use super::probes::PROBES;
use super::{Config, Peer, Settings, Timer};
use crate::discovery::cache::{Entry, Filter, Lookup, Wanted};
use crate::discovery::dns::{Query, RecordKind, Response, ResponseCode, Transport, service_name};
use crate::discovery::health::Status;
use crate::discovery::{Instance, Label};
use crate::kv::{self, KeyRange, Range};
use crate::service;
use splitbrain_core::{Context, NodeId, OpId, Outcome, Time, probe};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A client.
#[derive(Clone, Debug)]
pub struct Client {
    settings: Arc<Settings>,
    caller: Caller,
    servers: Arc<[NodeId]>,
    proxies: Arc<[NodeId]>,
    /// Look-ups that the service has not answered.
    looking: BTreeMap<OpId, Looking>,
    /// By nonce: what others have been asked for.
    asking: BTreeMap<u64, Asking>,
}

#[derive(Clone, Debug)]
struct Looking {
    service: Label,
    tag: Option<Label>,
    passing: bool,
    /// When the registry was asked, if the answer is as of then.
    asked_at: Option<Time>,
}

#[derive(Clone, Debug)]
struct Asking {
    id: OpId,
    what: Asked,
    until: Time,
}

#[derive(Clone, Debug)]
enum Asked {
    Proxy,
    Order,
    Dns(Query, Transport),
}

impl Client {
    /// What it calls with.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    pub(super) fn start(config: &Config, cx: &mut Context<'_, Peer>) -> Client {
        Client {
            settings: config.settings.clone(),
            caller: Caller::start(config, cx),
            servers: config.service.servers().clone(),
            proxies: config.proxies.clone(),
            looking: BTreeMap::new(),
            asking: BTreeMap::new(),
        }
    }

    pub(super) fn on_invoke(&mut self, id: OpId, op: Op, cx: &mut Context<'_, Peer>) {
        match op {
            Op::Call {
                service,
                key,
                by_proxy: false,
            } => self.caller.call(Asker::Op(id), service, key, cx),
            Op::Call { service, key, .. } => {
                let Some(proxy) = cx.rng().pick(&self.proxies).copied() else {
                    cx.complete(id, Outcome::Fail("there is no proxy"));
                    return;
                };
                let nonce = self.asks(id, Asked::Proxy, cx);
                let call = Call {
                    nonce,
                    service,
                    key,
                };
                cx.send(proxy, Message::Relay(call));
            }
            Op::LookUp {
                service,
                tag,
                passing,
                from,
            } => self.look_up(id, service, tag, passing, from, cx),
            Op::Resolve { service, tag } => self.resolve(id, &service, tag.as_ref(), cx),
            Op::Order {
                instance,
                order,
                lasting_ms,
            } => {
                let nonce = self.asks(id, Asked::Order, cx);
                let lasting = Duration::from_millis(lasting_ms);
                let order = Ordered {
                    nonce,
                    order,
                    lasting,
                };
                cx.send(instance, Message::Order(order));
            }
        }
    }

    pub(super) fn on_message(
        &mut self,
        from: NodeId,
        message: Message,
        cx: &mut Context<'_, Peer>,
    ) {
        match self.caller.on_message(from, message, cx) {
            Ok(answers) => self.found(answers, cx),
            Err(Message::Relayed(relayed)) => {
                if let Some(asking) = self.answered(relayed.nonce) {
                    cx.complete(asking.id, outcome_of(relayed.result));
                }
            }
            Err(Message::Obeyed(nonce)) => {
                if let Some(asking) = self.answered(nonce) {
                    cx.complete(asking.id, Outcome::Ok(Ret::Obeyed));
                }
            }
            Err(Message::DnsReply(reply)) => self.on_response(from, &reply, cx),
            Err(_) => debug_assert!(false, "nobody sends that to a client"),
        }
    }

    pub(super) fn on_timer(&mut self, timer: Timer, cx: &mut Context<'_, Peer>) {
        if timer == Timer::Asks {
            self.see_to_asks(cx);
        } else {
            let answers = self.caller.on_timer(timer, cx);
            self.found(answers, cx);
        }
    }
}

/// Questions to others than the service.
impl Client {
    /// Something is asked for: under which nonce.
    fn asks(&mut self, id: OpId, what: Asked, cx: &mut Context<'_, Peer>) -> u64 {
        let nonce = cx.rng().next_u64();
        let until = cx.now() + Duration::from_millis(self.settings.ask_timeout_ms);
        self.asking.insert(nonce, Asking { id, what, until });
        self.set_timer(cx);
        nonce
    }

    fn answered(&mut self, nonce: u64) -> Option<Asking> {
        self.asking.remove(&nonce)
    }

    /// Gives up what has not been answered for long.
    fn see_to_asks(&mut self, cx: &mut Context<'_, Peer>) {
        let now = cx.now();
        self.asking.retain(|_, asking| {
            let is_over = asking.until <= now;
            if is_over {
                let outcome = match asking.what {
                    Asked::Dns(..) => Outcome::Fail("no server has answered"),
                    Asked::Proxy | Asked::Order => Outcome::Info,
                };
                cx.complete(asking.id, outcome);
            }
            !is_over
        });
        self.set_timer(cx);
    }

    fn set_timer(&self, cx: &mut Context<'_, Peer>) {
        match self.asking.values().map(|asking| asking.until).min() {
            Some(until) => cx.set_timer(Timer::Asks, until.since(cx.now())),
            None => cx.cancel_timer(Timer::Asks),
        }
    }

    fn resolve(
        &mut self,
        id: OpId,
        service: &Label,
        tag: Option<&Label>,
        cx: &mut Context<'_, Peer>,
    ) {
        let name = service_name(service, tag, &self.settings.zone.domain);
        let number = (cx.rng().next_u64() & u64::from(u16::MAX)) as u16;
        let payload = Some(self.settings.zone.udp_bytes_max);
        let Ok(query) = Query::new(number, &name, RecordKind::Srv, payload) else {
            cx.complete(id, Outcome::Fail("that is no name"));
            return;
        };
        let server = self.servers[cx.rng().index(self.servers.len())];
        self.ask_dns(id, server, query, Transport::Udp, cx);
    }

    fn ask_dns(
        &mut self,
        id: OpId,
        server: NodeId,
        query: Query,
        transport: Transport,
        cx: &mut Context<'_, Peer>,
    ) {
        let bytes = query.as_bytes().to_vec();
        let nonce = self.asks(id, Asked::Dns(query, transport), cx);
        let dns = Dns {
            nonce,
            transport,
            bytes,
        };
        cx.send(server, Message::Dns(dns));
    }

    fn on_response(&mut self, from: NodeId, reply: &Dns, cx: &mut Context<'_, Peer>) {
        let Some(asking) = self.asking.get(&reply.nonce) else {
            return;
        };
        let Asked::Dns(query, transport) = &asking.what else {
            return;
        };
        // What is no answer is ignored, and the right one waited for.
        let Ok(response) = Response::parse(query, &reply.bytes) else {
            return;
        };
        if response.truncated && *transport == Transport::Udp {
            probe!(
                cx,
                "an answer of DNS was cut off, and asked for again without a limit"
            );
            let (id, query) = (asking.id, query.clone());
            self.asking.remove(&reply.nonce);
            self.ask_dns(id, from, query, Transport::Tcp, cx);
            return;
        }
        let outcome = match response.code {
            ResponseCode::NoError => Outcome::Ok(Ret::Resolved(response.sockets())),
            ResponseCode::NoSuchName => Outcome::Ok(Ret::Resolved(Vec::new())),
            _ => Outcome::Fail("the server could not say"),
        };
        cx.complete(asking.id, outcome);
        self.asking.remove(&reply.nonce);
    }
}

/// Look-ups.
impl Client {
    fn look_up(
        &mut self,
        id: OpId,
        service: Label,
        tag: Option<Label>,
        passing: bool,
        from: Source,
        cx: &mut Context<'_, Peer>,
    ) {
        let now = cx.now();
        if from == Source::Cache {
            let health = if passing {
                Wanted::Passing
            } else {
                Wanted::Any
            };
            let cache = self.caller.engine().cache();
            let outcome = match cache.get(service.as_str(), &Filter { tag, health }, now) {
                Lookup::Found(found) => Outcome::Ok(Ret::Found(Found {
                    instances: found
                        .instances
                        .iter()
                        .map(|one| (one.id().clone(), status_of(one)))
                        .collect(),
                    revision: found.revision,
                    age_ms: Some(found.age.as_millis() as u64),
                    panic: found.panic,
                })),
                Lookup::Absent { age } => Outcome::Ok(Ret::Found(Found {
                    instances: Vec::new(),
                    revision: cache.revision(service.as_str()).unwrap_or(0),
                    age_ms: Some(age.as_millis() as u64),
                    panic: false,
                })),
                Lookup::Unknown => Outcome::Fail("nothing is known of the service"),
            };
            cx.complete(id, outcome);
            return;
        }
        let range = Range::of(KeyRange::Prefix(Instance::prefix_of(&service)));
        let read = kv::Op::Range(Arc::new(range));
        let is_current = from == Source::Registry;
        let looking = Looking {
            service,
            tag,
            passing,
            asked_at: is_current.then_some(now),
        };
        self.looking.insert(id, looking);
        let op = if is_current {
            service::Op::Kv(read)
        } else {
            service::Op::Stale { read }
        };
        let answers = self.caller.ask(id, op, cx);
        self.found(answers, cx);
    }

    /// The service has answered.
    fn found(&mut self, answers: Answers, cx: &mut Context<'_, Peer>) {
        for (id, outcome) in answers {
            let Some(looking) = self.looking.remove(&id) else {
                continue;
            };
            let outcome = match outcome {
                Outcome::Ok(
                    service::Ret::Kv(kv::Ret::Range(found))
                    | service::Ret::Stale(kv::Ret::Range(found), _),
                ) => Outcome::Ok(Ret::Found(self.show(&looking, &found, cx.now()))),
                Outcome::Ok(_) => Outcome::Fail("the registry did not understand"),
                Outcome::Fail(why) => Outcome::Fail(why),
                Outcome::Info => Outcome::Info,
            };
            cx.complete(id, outcome);
        }
    }

    /// What was found, of what was wanted. What is up to date the cache may know, too.
    fn show(&mut self, looking: &Looking, found: &kv::Ranged, now: Time) -> Found {
        let entries: Vec<Entry> = found.keys.iter().filter_map(entry_of).collect();
        let is_wanted = |entry: &&Entry| {
            let tags = entry.instance.tags();
            let is_tagged = looking.tag.as_ref().is_none_or(|tag| tags.contains(tag));
            is_tagged && (!looking.passing || entry.status == Status::Passing)
        };
        let wanted = entries.iter().filter(is_wanted);
        let instances = wanted
            .map(|entry| (entry.instance.id().clone(), entry.status))
            .collect();
        let revision = found.revision.0;
        if let Some(asked_at) = looking.asked_at {
            let cache = &mut self.caller.engine_mut().cache;
            cache.looked_up(&looking.service, revision, entries, asked_at);
        }
        Found {
            instances,
            revision,
            age_ms: looking
                .asked_at
                .map(|asked_at| now.since(asked_at).as_millis() as u64),
            panic: false,
        }
    }
}
