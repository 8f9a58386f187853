//! Many watchers of one store.

use super::super::{Change, KeyRange, Revision, Store};
use super::index::Index;
use super::watcher::{Delivered, Delivery, Event, EventKind, Watch, WatchId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Many watchers of one store, which tells each what it asked for. It does nothing by itself: whoever has it calls
/// [`poll`](Hub::poll) when the store has changed, and sends what comes out of that.
///
/// Most watchers are *in step*: they have been told everything up to the same revision, and what comes next goes to all of them
/// at once. The others are *behind*: they asked for the past, or could not be told for a while. Each of those has a position
/// of its own, and is told from the past until it is in step (etcd: synced and unsynced watchers, and victims).
#[derive(Clone, Debug, Default)]
pub struct Hub {
    /// By place.
    watchers: Vec<Option<Watcher>>,
    free: Vec<usize>,
    places: BTreeMap<WatchId, usize>,
    latest_id: u64,
    index: Index,
    /// Everything up to here has been told to those in step. Never decreases.
    told: Revision,
    /// The places of those that are behind and not held, each once.
    behind: VecDeque<usize>,
    /// Who wants to know its position.
    asked: Vec<WatchId>,
}

#[derive(Clone, Debug)]
struct Watcher {
    id: WatchId,
    watch: Watch,
    /// It is to be told of this revision and later ones. Never decreases. If it is in step, and this is not to come, of what
    /// comes after [`Hub::told`].
    next: Revision,
    standing: Standing,
    /// What it is told in this poll.
    events: Vec<Arc<Event>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    InStep,
    Behind,
    Held,
}

/// The event of a change, made when the first watcher wants it, without and with what was before.
#[derive(Default)]
struct Shared([Option<Arc<Event>>; 2]);

impl Shared {
    fn get(&mut self, change: &Change, previous: bool) -> Arc<Event> {
        let event = &mut self.0[usize::from(previous)];
        let event = event.get_or_insert_with(|| Arc::new(Event::of(change, previous)));
        event.clone()
    }
}

impl Watcher {
    /// Takes note of a change of its keys, if it wants to know of such; whether it does.
    fn take(&mut self, change: &Change, shared: &mut Shared) -> bool {
        let is_wanted = self
            .watch
            .only
            .is_none_or(|only| only == EventKind::of(change));
        if is_wanted {
            self.events.push(shared.get(change, self.watch.previous));
        }
        is_wanted
    }
}

impl Hub {
    /// Nobody watches yet.
    pub fn new() -> Hub {
        Hub::default()
    }

    /// Begins to watch.
    pub fn watch(&mut self, store: &Store, watch: Watch) -> WatchId {
        self.latest_id += 1;
        let id = WatchId(self.latest_id);
        let place = self.free.pop().unwrap_or_else(|| {
            self.watchers.push(None);
            self.watchers.len() - 1
        });
        if self.places.is_empty() {
            // There was nobody to be told.
            self.told = self.told.max(store.revision());
        }
        self.places.insert(id, place);
        self.index.insert(&watch.keys, place);
        let next = watch.from.unwrap_or_else(|| store.revision().next());
        let next = next.max(Revision::FIRST);
        let mut watcher = Watcher {
            id,
            watch,
            next,
            standing: Standing::InStep,
            events: Vec::new(),
        };
        if next <= self.told {
            watcher.standing = Standing::Behind;
            self.behind.push_back(place);
        }
        self.watchers[place] = Some(watcher);
        id
    }

    /// Ends a watch: nothing more comes for it. Whether there was one.
    pub fn cancel(&mut self, id: WatchId) -> bool {
        let Some(place) = self.places.remove(&id) else {
            return false;
        };
        if let Some(watcher) = self.watchers[place].take() {
            self.index.remove(&watcher.watch.keys, place);
            if watcher.standing == Standing::Behind {
                self.behind.retain(|behind| *behind != place);
            }
        }
        self.asked.retain(|asked| *asked != id);
        self.free.push(place);
        true
    }

    /// Tells the watcher nothing until it is released: it takes up no more for the moment. What it misses, it is told then,
    /// if it is not forgotten. Whether there is one.
    pub fn hold(&mut self, id: WatchId) -> bool {
        let Some((place, watcher)) = find(&self.places, &mut self.watchers, id) else {
            return false;
        };
        match watcher.standing {
            Standing::InStep => watcher.next = watcher.next.max(self.told.next()),
            Standing::Behind => self.behind.retain(|behind| *behind != place),
            Standing::Held => {}
        }
        watcher.standing = Standing::Held;
        true
    }

    /// Tells the watcher again. Whether there is one.
    pub fn release(&mut self, id: WatchId) -> bool {
        let Some((place, watcher)) = find(&self.places, &mut self.watchers, id) else {
            return false;
        };
        if watcher.standing == Standing::Held {
            watcher.standing = Standing::Behind;
            self.behind.push_back(place);
        }
        true
    }

    /// Says at a later poll how far the watcher has been told, after what it is told until then. Whether there is one.
    pub fn request_progress(&mut self, id: WatchId) -> bool {
        let known = self.places.contains_key(&id);
        if known && !self.asked.contains(&id) {
            self.asked.push(id);
        }
        known
    }

    /// Up to where the watcher has been told everything, in what came out of [`poll`](Hub::poll) so far; or before where it
    /// begins, if that is later.
    pub fn position(&self, id: WatchId) -> Option<Revision> {
        let watcher = self.watchers[*self.places.get(&id)?].as_ref()?;
        Some(position(watcher, self.told))
    }

    /// How many watch.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nobody watches.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether there is something to be told that the last poll had no budget for.
    pub fn has_more(&self, store: &Store) -> bool {
        !self.is_empty() && (!self.behind.is_empty() || self.told < store.revision())
    }

    /// Tells those in step about so many events at most, and looks for those behind at so many changes at most, but for
    /// what belongs to the same revision: at least one revision is told, if there is one.
    ///
    /// There is at most one [`Delivered::Events`] for each watcher.
    pub fn poll(&mut self, store: &Store, budget: usize) -> Vec<Delivery> {
        if self.is_empty() {
            self.told = self.told.max(store.revision());
            return Vec::new();
        }
        let mut told = Vec::new();
        if self.told < store.revision() {
            self.tell(store, budget, &mut told);
        }
        let mut ended = Vec::new();
        if !self.behind.is_empty() {
            self.catch_up(store, budget, &mut told, &mut ended);
        }
        let mut deliveries = Vec::with_capacity(told.len() + ended.len());
        for place in told {
            let Some(watcher) = &mut self.watchers[place] else {
                continue;
            };
            let events = std::mem::take(&mut watcher.events);
            let watch = watcher.id;
            let up_to = position(watcher, self.told);
            let what = Delivered::Events { events, up_to };
            deliveries.push(Delivery { watch, what });
        }
        for (watch, revision) in ended {
            self.cancel(watch);
            let what = Delivered::Compacted { revision };
            deliveries.push(Delivery { watch, what });
        }
        self.report_progress(&mut deliveries);
        deliveries
    }

    /// Tells those in step what is new.
    fn tell(&mut self, store: &Store, budget: usize, told: &mut Vec<usize>) {
        let Ok(changes) = store.changes_since(self.told.next()) else {
            // The store has made a leap, with a snapshot: some of it may be forgotten. Each finds out for itself.
            self.fall_behind(store.revision());
            self.told = store.revision();
            return;
        };
        self.index.sort();
        let Hub {
            index, watchers, ..
        } = self;
        let mut revision = self.told;
        let mut spent = 0;
        for change in changes {
            if change.revision() != revision {
                if spent >= budget && spent > 0 {
                    self.told = revision;
                    return;
                }
                revision = change.revision();
            }
            let mut shared = Shared::default();
            index.matching(change.key(), |place| {
                if let Some(watcher) = &mut watchers[place]
                    && watcher.standing == Standing::InStep
                    && watcher.next <= revision
                {
                    let is_first = watcher.events.is_empty();
                    if watcher.take(change, &mut shared) {
                        spent += 1;
                        if is_first {
                            told.push(place);
                        }
                    }
                }
            });
        }
        self.told = store.revision();
    }

    fn fall_behind(&mut self, now: Revision) {
        for (place, watcher) in self.watchers.iter_mut().enumerate() {
            // Whoever waits for what is still to come has missed nothing.
            if let Some(watcher) = watcher
                && watcher.standing == Standing::InStep
                && watcher.next <= now
            {
                watcher.next = watcher.next.max(self.told.next());
                watcher.standing = Standing::Behind;
                self.behind.push_back(place);
            }
        }
    }

    /// Tells those behind what they have missed, up to where those in step are.
    fn catch_up(
        &mut self,
        store: &Store,
        budget: usize,
        told: &mut Vec<usize>,
        ended: &mut Vec<(WatchId, Revision)>,
    ) {
        // A store that is not as far as it was is none that anybody could be in step with.
        let up_to = self.told.min(store.revision());
        let mut left = budget.max(1);
        for _ in 0..self.behind.len() {
            if left == 0 {
                break;
            }
            let Some(place) = self.behind.pop_front() else {
                break;
            };
            let Some(watcher) = &mut self.watchers[place] else {
                continue;
            };
            if watcher.next <= store.compacted() {
                ended.push((watcher.id, store.compacted()));
                continue;
            }
            let looked_at = watcher.look_back(store, up_to, left);
            left = left.saturating_sub(looked_at);
            if !watcher.events.is_empty() {
                told.push(place);
            }
            if watcher.next > self.told {
                watcher.standing = Standing::InStep;
            } else {
                self.behind.push_back(place);
            }
        }
    }

    fn report_progress(&mut self, deliveries: &mut Vec<Delivery>) {
        for watch in std::mem::take(&mut self.asked) {
            let Some(up_to) = self.position(watch) else {
                continue;
            };
            if up_to > self.told {
                // It waits for what is to come: there is nothing to be said before that.
                self.asked.push(watch);
                continue;
            }
            let what = Delivered::Progress { up_to };
            deliveries.push(Delivery { watch, what });
        }
    }
}

impl Watcher {
    /// Takes what happened to its keys up to a revision, from so many changes at most, and those of the last revision; how
    /// many it has looked at.
    fn look_back(&mut self, store: &Store, up_to: Revision, most: usize) -> usize {
        let mut looked_at = 0;
        let mut goes_on_at = up_to.next().max(self.next);
        let mut revision = self.next;
        let (keys, from) = (self.watch.keys.clone(), self.next);
        let mut take = |change: &Change| {
            if change.revision() > up_to {
                return false;
            }
            if change.revision() != revision {
                if looked_at >= most {
                    goes_on_at = change.revision();
                    return false;
                }
                revision = change.revision();
            }
            looked_at += 1;
            if keys.contains(change.key()) {
                self.take(change, &mut Shared::default());
            }
            true
        };
        if let KeyRange::Key(key) = &keys {
            let newest_first: Vec<&Change> = store.changes_of_key(key, from).collect();
            let _ = newest_first.into_iter().rev().all(&mut take);
        } else if let Ok(mut changes) = store.changes_since(from) {
            let _ = changes.all(&mut take);
        }
        self.next = goes_on_at;
        looked_at
    }
}

fn position(watcher: &Watcher, told: Revision) -> Revision {
    match watcher.standing {
        Standing::InStep => told.max(watcher.next.previous()),
        Standing::Behind | Standing::Held => watcher.next.previous(),
    }
}

fn find<'a>(
    places: &BTreeMap<WatchId, usize>,
    watchers: &'a mut [Option<Watcher>],
    id: WatchId,
) -> Option<(usize, &'a mut Watcher)> {
    let place = *places.get(&id)?;
    Some((place, watchers[place].as_mut()?))
}

#[cfg(test)]
mod tests;
