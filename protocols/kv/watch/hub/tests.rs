//! Tests of the hub: by example, and against the past of a store that forgets nothing.

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
