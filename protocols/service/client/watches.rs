//! Watches: handing out what came, and asking whatever server there is for what comes next.

use super::super::message::{Events, Message, NoWatch, Unwatch, Watch, WatchAck, WatchRefused};
use super::super::op::{Ret, WatchKeys};
use super::super::probes::PROBES;
use super::super::{Peer, Timer};
use super::Client;
use super::stream::{Got, Stream};
use crate::kv::Revision;
use crate::kv::watch::Event;
use splitbrain_core::{Context, NodeId, OpId, Outcome, Time, probe};
use std::sync::Arc;
use std::time::Duration;

/// Something of a watch that was handed out: all changes to the keys after one revision and up to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Which watch: each goes on where it was.
    pub watch: u64,
    /// What is watched.
    pub keys: Arc<WatchKeys>,
    /// After this.
    pub after: Revision,
    /// Up to this.
    pub through: Revision,
    /// The changes.
    pub events: Vec<Arc<Event>>,
    /// Instead, and the last of its watch: changes after the first revision are gone, up to this one.
    pub compacted: Option<Revision>,
}

impl Client {
    pub(super) fn wait_for_changes(
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
            Some(nth) if self.streams[nth].taken() == after => nth,
            other => {
                // Somebody goes back, or begins now, of which what came since is the past; or watches the same keys twice at once.
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
            watch: stream.watch,
            keys: stream.keys.clone(),
            after,
            through,
            events: events.clone(),
            compacted: None,
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
    pub(super) fn see_to_streams(&mut self, cx: &mut Context<'_, Peer>) {
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

    pub(super) fn on_events(&mut self, from: NodeId, events: Events, cx: &mut Context<'_, Peer>) {
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

    pub(super) fn on_watch_refused(
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
                let stream = &mut self.streams[nth];
                // The server speaks of a request from before what was got since. It has forgotten the watch: at once, and not
                // when it is next due.
                if stream.through() >= Some(from) {
                    probe!(cx, "a client was refused what it had got in the meantime");
                    stream.ask_at = cx.now();
                } else if !stream.has_changes() {
                    // What was got before is handed out first.
                    self.compacted(nth, from, cx);
                }
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

    /// Ends a watch of what is gone.
    fn compacted(&mut self, nth: usize, from: Revision, cx: &mut Context<'_, Peer>) {
        let stream = self.streams.remove(nth);
        if let Some(after) = stream.through() {
            self.delivered += 1;
            self.deliveries.push(Delivery {
                watch: stream.watch,
                keys: stream.keys.clone(),
                after,
                through: after,
                events: Vec::new(),
                compacted: Some(from),
            });
        }
        if let Some((id, _)) = stream.waiting {
            cx.complete(id, Outcome::Ok(Ret::Compacted(from)));
        }
    }

    fn unwatch(&mut self, nth: usize, cx: &mut Context<'_, Peer>) {
        let stream = self.streams.remove(nth);
        let unwatch = Unwatch {
            watch: stream.watch,
        };
        cx.send(self.servers[stream.server], Message::Unwatch(unwatch));
    }
}
