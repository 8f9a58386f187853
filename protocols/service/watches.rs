//! The server's side of watches: what each client is to be told next.
//!
//! A server remembers of a watch what its client last said, and what it has sent since. It sends so much ahead of what the client
//! has taken and no more, and goes back when the client says that it has not got something. So what a slow client has not
//! taken costs nothing here: it is in the history of the store (etcd #17529: events in a queue of their own, of which a slow
//! watcher lost some).

use super::config::Settings;
use super::message::{Events, Message, NoWatch, Unwatch, Watch, WatchAck, WatchRefused};
use super::probes::PROBES;
use super::{Peer, Timer};
use crate::kv::watch::{self, Delivered, Hub, WatchId};
use crate::kv::{Revision, Store};
use splitbrain_core::{Context, NodeId, Time, probe};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The watches that a server serves.
#[derive(Clone, Debug)]
pub(super) struct Watches {
    settings: Settings,
    hub: Hub,
    /// By client, and the name that it has given the watch.
    ids: BTreeMap<(NodeId, u64), WatchId>,
    /// By the name at the hub: the same ones.
    watchers: BTreeMap<WatchId, Watcher>,
}

#[derive(Clone, Debug)]
struct Watcher {
    client: NodeId,
    watch: u64,
    /// Everything up to here has been sent.
    sent: Revision,
    /// Up to where each message with events went that was sent and not acknowledged, ascending. The hub holds the watch back
    /// while these are as many as may be.
    in_flight: VecDeque<Revision>,
    /// When the client last spoke of it.
    heard_at: Time,
}

impl Watches {
    pub(super) fn new(settings: Settings) -> Watches {
        Watches {
            settings,
            hub: Hub::new(),
            ids: BTreeMap::new(),
            watchers: BTreeMap::new(),
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.watchers.len()
    }

    /// Up to where each is told by now.
    pub(super) fn positions(&self) -> impl Iterator<Item = (WatchId, Revision)> {
        let ids = self.watchers.keys();
        ids.filter_map(|id| Some((*id, self.hub.position(*id)?)))
    }

    /// A client says what it watches, and what it has got.
    pub(super) fn on_watch(
        &mut self,
        client: NodeId,
        request: Watch,
        store: &Store,
        knows_leader: bool,
        cx: &mut Context<'_, Peer>,
    ) {
        let Watch { watch, keys, after } = request;
        let known = self.ids.get(&(client, watch)).copied();
        let refusal = if !knows_leader {
            probe!(cx, "a server refused a watch, as it knew of no leader");
            Some(NoWatch::NoLeader)
        } else if known.is_none() && self.watchers.len() >= self.settings.watches_max as usize {
            Some(NoWatch::Busy)
        } else {
            None
        };
        if let Some(why) = refusal {
            self.forget(client, watch);
            cx.send(client, Message::WatchRefused(WatchRefused { watch, why }));
            return;
        }
        let id = match known {
            Some(id) if self.is_at(id, after) => id,
            _ => {
                // It begins, or something was lost on the way: it goes on from what the client has got.
                self.forget(client, watch);
                if after.is_some_and(|after| after > store.revision()) {
                    probe!(cx, "a watch was ahead of the server");
                } else if after.is_some_and(|after| after < store.revision()) {
                    probe!(
                        cx,
                        "a watch began behind the server and caught up from history"
                    );
                }
                let watch = watch::Watch {
                    from: after.map(Revision::next),
                    ..watch::Watch::of((*keys).clone())
                };
                self.begin(client, request.watch, watch, store, cx)
            }
        };
        // What it says that it has got it need not acknowledge as well: acknowledgements may be lost.
        if let Some(after) = after {
            self.has_got(id, after);
        }
        if let Some(watcher) = self.watchers.get_mut(&id) {
            watcher.heard_at = cx.now();
        }
        // Where there is nothing to be told, that there is nothing.
        self.hub.request_progress(id);
        self.tell(store, cx);
    }

    /// Whether all that was sent for the watch has been got.
    fn is_at(&self, id: WatchId, after: Option<Revision>) -> bool {
        let watcher = self.watchers.get(&id);
        watcher.is_some_and(|watcher| Some(watcher.sent) == after)
    }

    fn begin(
        &mut self,
        client: NodeId,
        name: u64,
        watch: watch::Watch,
        store: &Store,
        cx: &mut Context<'_, Peer>,
    ) -> WatchId {
        if self.watchers.is_empty() {
            let idle = Duration::from_millis(self.settings.watch_idle_ms);
            cx.set_timer(Timer::Watches, idle);
        }
        let id = self.hub.watch(store, watch);
        let watcher = Watcher {
            client,
            watch: name,
            sent: self.hub.position(id).unwrap_or_default(),
            in_flight: VecDeque::new(),
            heard_at: cx.now(),
        };
        self.watchers.insert(id, watcher);
        self.ids.insert((client, name), id);
        id
    }

    fn forget(&mut self, client: NodeId, watch: u64) {
        if let Some(id) = self.ids.remove(&(client, watch)) {
            self.watchers.remove(&id);
            self.hub.cancel(id);
        }
    }

    /// A client has taken what was sent.
    pub(super) fn on_ack(
        &mut self,
        client: NodeId,
        ack: WatchAck,
        store: &Store,
        cx: &mut Context<'_, Peer>,
    ) {
        let Some(&id) = self.ids.get(&(client, ack.watch)) else {
            return;
        };
        if let Some(watcher) = self.watchers.get_mut(&id) {
            watcher.heard_at = cx.now();
        }
        if self.has_got(id, ack.through) {
            self.tell(store, cx);
        }
    }

    /// A client has everything up to here. Whether there is room again for what follows.
    fn has_got(&mut self, id: WatchId, through: Revision) -> bool {
        let Some(watcher) = self.watchers.get_mut(&id) else {
            return false;
        };
        let window = self.settings.watch_window as usize;
        let was_full = watcher.in_flight.len() >= window;
        while watcher
            .in_flight
            .pop_front_if(|sent| *sent <= through)
            .is_some()
        {}
        let has_room = was_full && watcher.in_flight.len() < window;
        if has_room {
            self.hub.release(id);
        }
        has_room
    }

    pub(super) fn on_unwatch(&mut self, client: NodeId, unwatch: Unwatch) {
        self.forget(client, unwatch.watch);
    }

    /// Forgets what no client speaks of.
    pub(super) fn on_timer(&mut self, cx: &mut Context<'_, Peer>) {
        let idle = Duration::from_millis(self.settings.watch_idle_ms);
        let now = cx.now();
        let watchers = self.watchers.values();
        let silent = watchers.filter(|watcher| watcher.heard_at + idle <= now);
        let silent: Vec<(NodeId, u64)> = silent
            .map(|watcher| (watcher.client, watcher.watch))
            .collect();
        for (client, watch) in silent {
            probe!(cx, "a server dropped a watch that nobody spoke of any more");
            self.forget(client, watch);
        }
        if !self.watchers.is_empty() {
            cx.set_timer(Timer::Watches, idle);
        }
    }

    /// Sends all that is to be sent: the store has changed, or somebody has asked.
    pub(super) fn tell(&mut self, store: &Store, cx: &mut Context<'_, Peer>) {
        loop {
            let budget = self.settings.watch_batch_events as usize;
            for delivery in self.hub.poll(store, budget) {
                self.send(delivery, cx);
            }
            if !self.hub.has_more(store) {
                return;
            }
        }
    }

    fn send(&mut self, delivery: watch::Delivery, cx: &mut Context<'_, Peer>) {
        let watch::Delivery { watch: id, what } = delivery;
        let Some(watcher) = self.watchers.get_mut(&id) else {
            return;
        };
        let (client, watch) = (watcher.client, watcher.watch);
        let (through, events) = match what {
            Delivered::Events { events, up_to } => (up_to, events),
            Delivered::Progress { up_to } => (up_to, Vec::new()),
            Delivered::Compacted { revision } => {
                let why = NoWatch::Compacted(revision);
                cx.send(client, Message::WatchRefused(WatchRefused { watch, why }));
                self.forget(client, watch);
                return;
            }
        };
        if !events.is_empty() {
            watcher.in_flight.push_back(through);
            if watcher.in_flight.len() >= self.settings.watch_window as usize {
                probe!(
                    cx,
                    "a watch waited, as its client had not taken what was sent"
                );
                self.hub.hold(id);
            }
        }
        let after = std::mem::replace(&mut watcher.sent, through);
        cx.send(
            client,
            Message::Events(Events {
                watch,
                after,
                through,
                events,
            }),
        );
    }
}
