//! What clients and proxies are made of: a client of the service, a cache that it feeds, and an engine that makes calls with it.

use super::engine::{Asker, Engine};
use super::feed::{Fed, Feed};
use super::message::Message;
use super::probes::PROBES;
use super::{Config, Peer, Settings, Timer};
use crate::service;
use splitbrain_core::{Context, Doings, Journal, Node, NodeId, OpId, Outcome, probe};
use std::sync::Arc;

/// Calls services, with what it knows of them.
#[derive(Clone, Debug)]
pub struct Caller {
    settings: Arc<Settings>,
    service: service::Peer,
    doings: Doings<service::Peer>,
    feed: Feed,
    engine: Engine,
}

/// The answers of the service to what the cache has not asked for.
pub(super) type Answers = Vec<(OpId, Outcome<service::Ret>)>;

impl Caller {
    /// The client of the service in it.
    pub fn service(&self) -> &service::Peer {
        &self.service
    }

    /// What makes the calls.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(super) fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine
    }

    pub(super) fn start(config: &Config, cx: &mut Context<'_, Peer>) -> Caller {
        let mut doings = Doings::new();
        let journal = Journal::empty();
        let service = cx.part(&mut doings, |cx| {
            service::Peer::start(&config.service, journal, cx)
        });
        let settings = config.settings.clone();
        let mut caller = Caller {
            service,
            doings,
            feed: Feed::new(cx.now()),
            engine: Engine::new(settings.clone(), cx.now()),
            settings,
        };
        let _ = caller.go_on(cx);
        caller
    }

    /// What every caller does with a message; what only some do comes back.
    #[expect(
        clippy::result_large_err,
        reason = "it is no error: the message goes back as it came"
    )]
    pub(super) fn on_message(
        &mut self,
        from: NodeId,
        message: Message,
        cx: &mut Context<'_, Peer>,
    ) -> Result<Answers, Message> {
        match message {
            Message::Service(message) => {
                let Caller {
                    service, doings, ..
                } = self;
                cx.part(doings, |cx| service.on_message(from, message, cx));
                Ok(self.go_on(cx))
            }
            Message::Answer(answer) => {
                self.engine.on_answer(from, answer, cx);
                Ok(Answers::new())
            }
            other => Err(other),
        }
    }

    pub(super) fn on_timer(&mut self, timer: Timer, cx: &mut Context<'_, Peer>) -> Answers {
        match timer {
            Timer::Service(timer) => {
                let Caller {
                    service, doings, ..
                } = self;
                cx.part(doings, |cx| service.on_timer(timer, cx));
            }
            Timer::Calls => self.engine.on_timer(cx),
            Timer::Feed => {}
            _ => debug_assert!(false, "a timer of others"),
        }
        self.go_on(cx)
    }

    /// Makes a call, for somebody.
    pub(super) fn call(
        &mut self,
        asker: Asker,
        service: crate::discovery::Label,
        key: String,
        cx: &mut Context<'_, Peer>,
    ) {
        self.engine.call(asker, service, key, cx);
    }

    /// Asks the service for something.
    pub(super) fn ask(&mut self, id: OpId, op: service::Op, cx: &mut Context<'_, Peer>) -> Answers {
        let Caller {
            service, doings, ..
        } = self;
        cx.part(doings, |cx| service.on_invoke(id, op, cx));
        self.go_on(cx)
    }

    /// Takes what the service has answered, and asks it for what the cache lacks.
    fn go_on(&mut self, cx: &mut Context<'_, Peer>) -> Answers {
        let now = cx.now();
        let mut others = Answers::new();
        loop {
            while let Some((id, outcome)) = self.doings.next_completed() {
                let Caller {
                    feed,
                    engine,
                    settings,
                    ..
                } = self;
                match feed.answered(id, &outcome, &mut engine.cache, settings, now) {
                    Fed::NotMine => others.push((id, outcome)),
                    Fed::Taken => {}
                    Fed::Compacted => {
                        probe!(
                            cx,
                            "a cache was read anew, as the changes after it were compacted"
                        );
                    }
                }
            }
            let Some((id, op)) = self.feed.next_request(now, &self.settings) else {
                break;
            };
            let Caller {
                service, doings, ..
            } = self;
            cx.part(doings, |cx| service.on_invoke(id, op, cx));
        }
        match self.feed.next_due() {
            Some(due) => cx.set_timer(Timer::Feed, due.since(now)),
            None => cx.cancel_timer(Timer::Feed),
        }
        others
    }
}
