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
mod tests {
    use super::super::super::{Op, Transaction};
    use super::*;
    use proptest::prelude::*;

    fn put(store: &mut Store, key: &str, value: &str) {
        store.apply(&Op::put(key, value));
    }

    fn two(store: &mut Store, first: &str, second: &str) {
        let transaction = Transaction {
            then: vec![Op::put(first, "1"), Op::put(second, "1")],
            ..Transaction::default()
        };
        store.apply(&Op::Transaction(transaction.into()));
    }

    fn all() -> Watch {
        Watch::of(KeyRange::all())
    }

    fn from(revision: u64, watch: Watch) -> Watch {
        Watch {
            from: Some(Revision(revision)),
            ..watch
        }
    }

    /// In words: "w1 a = 1 at 2, b = 1 at 2 up to 2".
    fn words(deliveries: &[Delivery]) -> Vec<String> {
        let words = deliveries
            .iter()
            .map(|Delivery { watch, what }| match what {
                Delivered::Events { events, up_to } => {
                    let events: Vec<String> = events.iter().map(ToString::to_string).collect();
                    format!("{watch} {} up to {up_to}", events.join(", "))
                }
                Delivered::Progress { up_to } => format!("{watch} progress {up_to}"),
                Delivered::Compacted { revision } => format!("{watch} compacted {revision}"),
            });
        words.collect()
    }

    #[test]
    fn each_is_told_of_its_own_keys() {
        let (mut store, mut hub) = (Store::keeping(100), Hub::new());
        let key = hub.watch(&store, Watch::of(KeyRange::Key("a".into())));
        let deletes = Watch {
            only: Some(EventKind::Delete),
            previous: true,
            ..Watch::of(KeyRange::Prefix("a".into()))
        };
        let prefix = hub.watch(&store, deletes);
        hub.watch(&store, Watch::of(KeyRange::Between("b".into(), "c".into())));
        assert_eq!(hub.poll(&store, 100), []);
        two(&mut store, "a", "b");
        put(&mut store, "ab", "2");
        store.apply(&Op::Delete { key: "ab".into() });
        let deliveries = hub.poll(&store, 100);
        assert_eq!(
            words(&deliveries),
            [
                "w1 a = 1 at 2 up to 4",
                "w3 b = 1 at 2 up to 4",
                "w2 ab deleted at 4 up to 4"
            ]
        );
        let Delivered::Events { events, .. } = &deliveries[2].what else {
            panic!("no events");
        };
        assert_eq!(&*events[0].previous.as_ref().unwrap().value, "2");
        assert_eq!(hub.poll(&store, 100), []);
        assert!(hub.cancel(prefix) && !hub.cancel(prefix));
        store.apply(&Op::Delete { key: "a".into() });
        assert_eq!(words(&hub.poll(&store, 100)), ["w1 a deleted at 5 up to 5"]);
        assert_eq!(hub.position(key), Some(Revision(5)));
    }

    #[test]
    fn a_batch_never_ends_within_a_revision() {
        let (mut store, mut hub) = (Store::keeping(100), Hub::new());
        let in_step = hub.watch(&store, all());
        for _ in 0..3 {
            two(&mut store, "a", "b");
        }
        let behind = hub.watch(&store, from(2, all()));
        for revision in 2..=4 {
            assert!(hub.has_more(&store));
            let told = words(&hub.poll(&store, 1));
            let events = format!("a = 1 at {revision}, b = 1 at {revision} up to {revision}");
            assert_eq!(told, [format!("w1 {events}"), format!("w2 {events}")]);
        }
        assert!(!hub.has_more(&store));
        assert_eq!(hub.position(in_step), hub.position(behind));
    }

    #[test]
    fn who_was_held_is_told_what_it_missed_or_that_it_is_forgotten() {
        let (mut store, mut hub) = (Store::keeping(3), Hub::new());
        let ids = [(); 2].map(|()| hub.watch(&store, all()));
        for nth in 0..2 {
            put(&mut store, "a", &nth.to_string());
        }
        assert!(hub.hold(ids[0]) && hub.hold(ids[1]));
        assert_eq!(hub.poll(&store, 100), []);
        hub.release(ids[0]);
        let told = words(&hub.poll(&store, 100));
        assert_eq!(told, ["w1 a = 0 at 2, a = 1 at 3 up to 3"]);
        assert_eq!(hub.position(ids[1]), Some(Revision::FIRST));
        for nth in 2..5 {
            put(&mut store, "a", &nth.to_string());
        }
        hub.release(ids[1]);
        let told = words(&hub.poll(&store, 100));
        let events = "a = 2 at 4, a = 3 at 5, a = 4 at 6 up to 6";
        assert_eq!(told, [format!("w1 {events}"), "w2 compacted 3".to_owned()]);
        assert_eq!((hub.len(), hub.position(ids[1])), (1, None));
    }

    /// etcd #15220: the answer named the revision of the store, and events below it came later.
    #[test]
    fn progress_is_that_of_the_watcher() {
        let (mut store, mut hub) = (Store::keeping(100), Hub::new());
        for nth in 0..4 {
            put(&mut store, "a", &nth.to_string());
        }
        let slow = hub.watch(&store, from(2, all()));
        let waits = hub.watch(&store, from(8, all()));
        let other = hub.watch(&store, Watch::of(KeyRange::Key("other".into())));
        for id in [slow, waits, other] {
            assert!(hub.request_progress(id) && hub.request_progress(id));
        }
        let told = words(&hub.poll(&store, 2));
        let events = "w1 a = 0 at 2, a = 1 at 3 up to 3";
        assert_eq!(told, [events, "w1 progress 3", "w3 progress 5"]);
        for nth in 0..3 {
            put(&mut store, "a", &nth.to_string());
        }
        hub.hold(slow);
        let told = words(&hub.poll(&store, 100));
        // It has begun to watch at 8, which is there now.
        assert_eq!(told, ["w2 a = 2 at 8 up to 8", "w2 progress 8"]);
        assert!(!hub.request_progress(WatchId(99)));
    }

    /// etcd #15271: a member that installed a snapshot went back with its watchers.
    #[test]
    fn after_a_leap_of_the_store_nothing_is_lost_and_nothing_comes_again() {
        let (mut store, mut hub) = (Store::keeping(4), Hub::new());
        let watches = [all(), Watch::of(KeyRange::Key("a".into())), from(9, all())];
        let ids = watches.map(|watch| hub.watch(&store, watch));
        put(&mut store, "a", "0");
        hub.poll(&store, 100);
        hub.hold(ids[1]);
        for nth in 1..9 {
            put(&mut store, "a", &nth.to_string());
        }
        let leapt = Store::assemble(store.header(), store.pieces());
        let told = words(&hub.poll(&leapt, 100));
        assert_eq!(
            told,
            ["w3 a = 7 at 9, a = 8 at 10 up to 10", "w1 compacted 6"]
        );
        hub.release(ids[1]);
        assert_eq!(words(&hub.poll(&leapt, 100)), ["w2 compacted 6"]);
        // A store that has lost something is told of nobody, until it is where it was.
        let mut back = Store::keeping(100);
        for nth in 0..8 {
            put(&mut back, "a", &nth.to_string());
            assert_eq!(hub.poll(&back, 100), []);
        }
        assert_eq!(hub.position(ids[2]), Some(Revision(10)));
        for nth in 8..11 {
            put(&mut back, "a", &nth.to_string());
        }
        let told = words(&hub.poll(&back, 100));
        assert_eq!(told, ["w3 a = 9 at 11, a = 10 at 12 up to 12"]);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Apply(Op),
        Watch(Watch),
        Cancel(usize),
        Hold(usize),
        Release(usize),
        Progress(usize),
        Poll(usize),
    }

    fn key_range() -> impl Strategy<Value = KeyRange> {
        let key = || prop::sample::select(vec!["a", "ab", "b", "c"]);
        prop_oneof![
            key().prop_map(|key| KeyRange::Key(key.into())),
            key().prop_map(|key| KeyRange::Prefix(key.into())),
            Just(KeyRange::all()),
            (key(), key()).prop_map(|(from, to)| KeyRange::Between(from.into(), to.into())),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        let key = || prop::sample::select(vec!["a", "ab", "b", "c"]);
        let only = prop::sample::select(vec![
            None,
            None,
            Some(EventKind::Put),
            Some(EventKind::Delete),
        ]);
        let watch = (
            key_range(),
            prop::option::of(0..40_u64),
            only,
            any::<bool>(),
        );
        let watch = watch.prop_map(|(keys, from, only, previous)| Watch {
            keys,
            from: from.map(Revision),
            only,
            previous,
        });
        let both = (key(), key()).prop_map(|(first, second)| {
            Op::Transaction(
                Transaction {
                    then: vec![Op::put(first, "1"), Op::Delete { key: second.into() }],
                    ..Transaction::default()
                }
                .into(),
            )
        });
        let op = prop_oneof![
            4 => (key(), 0..9_u8).prop_map(|(key, value)| Op::put(key, value.to_string())),
            2 => key().prop_map(|key| Op::Delete { key: key.into() }),
            2 => both,
            1 => key_range().prop_map(|keys| Op::DeleteRange { keys, previous: false }),
        ];
        let nth = || 0..8_usize;
        prop_oneof![
            12 => op.prop_map(Step::Apply),
            3 => watch.prop_map(Step::Watch),
            1 => nth().prop_map(Step::Cancel),
            2 => nth().prop_map(Step::Hold),
            3 => nth().prop_map(Step::Release),
            2 => nth().prop_map(Step::Progress),
            5 => (0..6_usize).prop_map(Step::Poll),
        ]
    }

    /// What a watcher has been told.
    struct Told {
        id: WatchId,
        watch: Watch,
        begins: Revision,
        up_to: Revision,
        events: Vec<Event>,
        lives: bool,
    }

    impl Told {
        /// All that a store that forgets nothing says, up to where the watcher is.
        fn check(&self, whole: &Store) -> Result<(), TestCaseError> {
            let changes = whole.changes_of(&self.watch.keys, self.begins);
            let expected: Vec<Event> = changes
                .unwrap()
                .filter(|change| change.revision() <= self.up_to)
                .filter(|change| {
                    let only = self.watch.only;
                    only.is_none_or(|only| only == EventKind::of(change))
                })
                .map(|change| Event::of(change, self.watch.previous))
                .collect();
            prop_assert_eq!(&self.events, &expected, "{} {:?}", self.id, self.watch);
            Ok(())
        }

        fn take(&mut self, what: Delivered, compacted: Revision) -> Result<(), TestCaseError> {
            prop_assert!(self.lives);
            match what {
                Delivered::Events { events, up_to } => {
                    prop_assert!(!events.is_empty() && up_to > self.up_to);
                    self.up_to = up_to;
                    self.events
                        .extend(events.iter().map(|event| Event::clone(event)));
                }
                Delivered::Progress { up_to } => {
                    prop_assert!(up_to >= self.up_to);
                    self.up_to = up_to;
                }
                Delivered::Compacted { revision } => {
                    prop_assert!(
                        revision == compacted && self.up_to.next().max(self.begins) <= compacted
                    );
                    self.lives = false;
                }
            }
            Ok(())
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]

        #[test]
        fn whatever_happens_each_is_told_all_of_it_once_and_in_order(
            keeps in prop::sample::select(vec![0, 3, 10, 1000_u64]),
            steps in prop::collection::vec(step(), 1..120),
        ) {
            let (mut store, mut whole) = (Store::keeping(keeps), Store::keeping(u64::MAX));
            let (mut hub, mut told) = (Hub::new(), Vec::<Told>::new());
            let poll = |hub: &mut Hub, store: &Store, whole: &Store, told: &mut Vec<Told>, budget| {
                for Delivery { watch, what } in hub.poll(store, budget) {
                    let told = told.iter_mut().find(|told| told.id == watch).unwrap();
                    told.take(what, store.compacted())?;
                    told.check(whole)?;
                }
                for told in told.iter_mut().filter(|told| told.lives) {
                    let position = hub.position(told.id).unwrap();
                    prop_assert!(position >= told.up_to);
                    told.up_to = position;
                    told.check(whole)?;
                }
                Ok(())
            };
            for step in steps {
                let nth = |told: &[Told], nth: usize| {
                    let lives = told.iter().filter(|told| told.lives);
                    lives.map(|told| told.id).nth(nth)
                };
                match step {
                    Step::Apply(op) => {
                        let ret = store.apply(&op);
                        prop_assert_eq!(ret, whole.apply(&op));
                    }
                    Step::Watch(watch) => {
                        let begins = watch.from.unwrap_or(store.revision().next());
                        let begins = begins.max(Revision::FIRST);
                        let id = hub.watch(&store, watch.clone());
                        told.push(Told {
                            id,
                            watch,
                            begins,
                            up_to: begins.previous(),
                            events: Vec::new(),
                            lives: true,
                        });
                    }
                    Step::Cancel(which) => if let Some(id) = nth(&told, which) {
                        prop_assert!(hub.cancel(id));
                        told.retain(|told| told.id != id);
                    },
                    Step::Hold(which) => if let Some(id) = nth(&told, which) {
                        prop_assert!(hub.hold(id));
                    },
                    Step::Release(which) => if let Some(id) = nth(&told, which) {
                        prop_assert!(hub.release(id));
                    },
                    Step::Progress(which) => if let Some(id) = nth(&told, which) {
                        prop_assert!(hub.request_progress(id));
                    },
                    Step::Poll(budget) => poll(&mut hub, &store, &whole, &mut told, budget)?,
                }
            }
            // In the end everybody gets everything.
            for told in told.iter().filter(|told| told.lives) {
                hub.release(told.id);
            }
            for _ in 0..1000 {
                poll(&mut hub, &store, &whole, &mut told, 3)?;
            }
            prop_assert!(!hub.has_more(&store));
            for told in told.iter().filter(|told| told.lives) {
                prop_assert!(told.up_to >= store.revision());
            }
        }
    }
}
