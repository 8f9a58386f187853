//! What a cache promises.

use super::*;
use proptest::prelude::*;
use std::net::Ipv4Addr;

const SETTINGS: CacheSettings = CacheSettings {
    fresh_ms: 100,
    absent_ms: 50,
    panic_percent: 0,
};

fn at(ms: u64) -> Time {
    Time::from_millis(ms)
}

fn label(text: &str) -> Label {
    text.parse().unwrap()
}

/// An instance whose port is the revision that it was written at.
fn entry(id: &str, status: Status, port: u16) -> Entry {
    let instance = Instance::new("web", id, Ipv4Addr::LOCALHOST.into(), port)
        .and_then(|instance| instance.with_tags([if id < "b" { "old" } else { "new" }]))
        .unwrap();
    Entry {
        instance: Arc::new(instance),
        status,
    }
}

fn cache(settings: CacheSettings, entries: &[Entry]) -> Cache {
    settings.validate().unwrap();
    let mut cache = Cache::new(settings);
    let fed = cache.looked_up(&label("web"), 10, entries.iter().cloned(), at(1000));
    assert_eq!(fed, Fed::Taken);
    cache
}

fn found(cache: &Cache, health: Wanted, ms: u64) -> Found {
    let filter = Filter { tag: None, health };
    match cache.get("web", &filter, at(ms)) {
        Lookup::Found(found) => found,
        other => panic!("{other:?}"),
    }
}

fn ids(found: &Found) -> Vec<&str> {
    found.instances.iter().map(|it| it.id().as_str()).collect()
}

#[test]
fn what_is_known_stays_usable_and_says_how_old_it_is() {
    let cache = cache(SETTINGS, &[entry("a", Status::Passing, 10)]);
    for (ms, stale) in [(1000, false), (1099, false), (1100, true), (900_000, true)] {
        let found = found(&cache, Wanted::Passing, ms);
        assert_eq!(found.age, Duration::from_millis(ms - 1000));
        assert_eq!((ids(&found), found.stale), (vec!["a"], stale));
    }
    assert_eq!(found(&cache, Wanted::Passing, 5).age, Duration::ZERO);
}

#[test]
fn it_never_goes_back_and_is_never_younger_than_what_it_was_told() {
    let mut cache = cache(SETTINGS, &[entry("a", Status::Passing, 10)]);
    let web = label("web");
    // An answer that was under way for long, and so was another one's event.
    assert_eq!(cache.looked_up(&web, 9, [], at(2000)), Fed::Older);
    let removed = || [Change::Removed(label("a"))];
    assert_eq!(cache.watched(&web, 10, removed(), at(2000)), Fed::Older);
    assert_eq!(cache.confirmed(&web, 9, at(2000)), Fed::Older);
    let unchanged = found(&cache, Wanted::Passing, 2000);
    assert_eq!(
        (unchanged.age, unchanged.revision),
        (Duration::from_secs(1), 10)
    );
    // The same again, later, and one that is newer but was asked for earlier.
    assert_eq!(cache.confirmed(&web, 12, at(1500)), Fed::Taken);
    let changes = [Change::Put(entry("b", Status::Passing, 13))];
    assert_eq!(cache.watched(&web, 13, changes, at(1400)), Fed::Taken);
    let now = found(&cache, Wanted::Passing, 2000);
    assert_eq!((now.age, now.revision), (Duration::from_millis(500), 13));
    assert_eq!(ids(&now), ["a", "b"]);
    assert_eq!(cache.revision("web"), Some(13));
}

#[test]
fn a_change_of_what_is_not_known_asks_for_a_look_up() {
    let mut cache = Cache::new(SETTINGS);
    let put = [Change::Put(entry("a", Status::Passing, 1))];
    assert_eq!(cache.watched(&label("web"), 5, put, at(0)), Fed::Baseless);
    assert_eq!(cache.confirmed(&label("web"), 5, at(0)), Fed::Baseless);
    assert_eq!(cache.get("web", &Filter::default(), at(0)), Lookup::Unknown);
}

#[test]
fn what_is_absent_is_remembered_for_a_while() {
    let mut cache = cache(SETTINGS, &[]);
    let get = |cache: &Cache, ms| cache.get("web", &Filter::default(), at(ms));
    let age = Duration::from_millis(49);
    assert_eq!(get(&cache, 1049), Lookup::Absent { age });
    assert_eq!(get(&cache, 1050), Lookup::Unknown);
    // A watch sees it come, and go.
    let put = [Change::Put(entry("a", Status::Passing, 11))];
    cache.watched(&label("web"), 11, put, at(1060));
    assert!(matches!(get(&cache, 1060), Lookup::Found(_)));
    let removed = [Change::Removed(label("a"))];
    cache.watched(&label("web"), 12, removed, at(1070));
    assert!(matches!(get(&cache, 1070), Lookup::Absent { .. }));
}

#[test]
fn filters_leave_out_and_panic_lets_in_all_but_maintenance() {
    use Status::{Critical, Maintenance, Passing, Warning};
    let entries = [
        entry("a1", Passing, 1),
        entry("a2", Critical, 1),
        entry("b1", Warning, 1),
        entry("b2", Maintenance, 1),
    ];
    let whole = cache(SETTINGS, &entries);
    let seen = |cache: &Cache, health| {
        let found = found(cache, health, 1000);
        (ids(&found).join(" "), found.panic)
    };
    assert_eq!(seen(&whole, Wanted::Passing), ("a1".into(), false));
    let serving = ("a1 b1".into(), false);
    assert_eq!(seen(&whole, Wanted::PassingOrWarning), serving);
    assert_eq!(seen(&whole, Wanted::Any), ("a1 a2 b1 b2".into(), false));
    // One of three passes: less than half.
    let half = CacheSettings {
        panic_percent: 50,
        ..SETTINGS
    };
    let nervous = cache(half, &entries);
    assert_eq!(seen(&nervous, Wanted::Passing), ("a1 a2 b1".into(), true));
    assert_eq!(seen(&nervous, Wanted::PassingOrWarning), serving);
    let sick = cache(SETTINGS, &entries[1..]);
    assert_eq!(seen(&sick, Wanted::Passing), ("a2 b1".into(), true));
    let closed = cache(SETTINGS, &entries[3..]);
    assert_eq!(seen(&closed, Wanted::Passing), (String::new(), false));
}

#[test]
fn tags_are_looked_at_before_health() {
    let entries = [
        entry("a", Status::Critical, 1),
        entry("b", Status::Passing, 1),
    ];
    let cache = cache(SETTINGS, &entries);
    let get = |tag: &str, ms| {
        let filter = Filter {
            tag: Some(label(tag)),
            health: Wanted::Passing,
        };
        cache.get("web", &filter, at(ms))
    };
    assert!(matches!(get("old", 1000), Lookup::Found(it) if it.panic && ids(&it) == ["a"]));
    assert!(matches!(get("new", 1000), Lookup::Found(it) if !it.panic && ids(&it) == ["b"]));
    let age = Duration::from_millis(7);
    assert_eq!(get("none", 1007), Lookup::Absent { age });
    assert_eq!(get("none", 1050), Lookup::Unknown);
}

#[test]
fn what_is_forgotten_on_request_may_be_learnt_anew_from_anything() {
    let mut cache = cache(SETTINGS, &[entry("a", Status::Passing, 10)]);
    cache.forget("web");
    assert_eq!(
        cache.get("web", &Filter::default(), at(1000)),
        Lookup::Unknown
    );
    assert_eq!(cache.looked_up(&label("web"), 3, [], at(1000)), Fed::Taken);
}

#[test]
fn ever_new_names_do_not_fill_it_and_do_not_make_it_forget_revisions() {
    let mut cache = cache(SETTINGS, &[entry("a", Status::Passing, 10)]);
    for n in 0..10_000 {
        let name = label(&format!("none-{n}"));
        let fed = cache.looked_up(&name, 10 + n, [], at(1000 + n));
        assert_eq!(fed, Fed::Taken);
        assert!(cache.services().count() <= 256);
    }
    assert_eq!(ids(&found(&cache, Wanted::Passing, 20_000)), ["a"]);
    // That it did not exist was known at a later revision than this.
    let late = [entry("a", Status::Passing, 5)];
    assert_eq!(
        cache.looked_up(&label("none-0"), 5, late, at(20_000)),
        Fed::Older
    );
    cache.clear();
    assert_eq!(
        cache.looked_up(&label("none-0"), 5, [], at(20_000)),
        Fed::Taken
    );
}

/// A registry's history: at each revision one of three instances is written or removed.
fn history() -> impl Strategy<Value = Vec<(usize, bool)>> {
    proptest::collection::vec((0_usize..3, any::<bool>()), 1..20)
}

const IDS: [&str; 3] = ["a", "b", "c"];

fn state_at(history: &[(usize, bool)], revision: u64) -> BTreeMap<&'static str, u16> {
    let mut state = BTreeMap::new();
    for (index, &(id, is_put)) in history[..revision as usize].iter().enumerate() {
        if is_put {
            state.insert(IDS[id], index as u16 + 1);
        } else {
            state.remove(IDS[id]);
        }
    }
    state
}

proptest! {
    /// Look-ups in any order, and a watch that repeats itself, but leaves nothing out: what the cache shows is the
    /// state at its revision, which never decreases, and its age never falls but by what is newer.
    #[test]
    fn it_shows_the_state_at_its_revision_and_never_goes_back(
        history in history(),
        steps in proptest::collection::vec((any::<bool>(), any::<u8>(), 0_u64..50), 1..60),
    ) {
        let mut cache = Cache::new(SETTINGS);
        let (web, mut now) = (label("web"), 1000);
        let (mut revision, mut as_of) = (0, at(0));
        for (is_look_up, choice, wait) in steps {
            now += wait;
            let last = history.len() as u64;
            let asked = at(now - u64::from(choice));
            if is_look_up {
                let shown = u64::from(choice) % (last + 1);
                let entries = state_at(&history, shown)
                    .into_iter()
                    .map(|(id, port)| entry(id, Status::Passing, port));
                cache.looked_up(&web, shown, entries.collect::<Vec<_>>(), asked);
            } else {
                // From somewhere at or before where the cache is, one after the other.
                let from = cache.revision("web").unwrap_or(0).saturating_sub(u64::from(choice) % 3);
                for next in from + 1..=last.min(from + 4) {
                    let (id, is_put) = history[next as usize - 1];
                    let change = if is_put {
                        Change::Put(entry(IDS[id], Status::Passing, next as u16))
                    } else {
                        Change::Removed(label(IDS[id]))
                    };
                    cache.watched(&web, next, [change], asked);
                }
            }
            let Some(known) = cache.revision("web") else { continue };
            prop_assert!(known >= revision);
            revision = known;
            let shown = match cache.get("web", &Filter::default(), at(now)) {
                Lookup::Found(found) => {
                    prop_assert!(at(now) - found.age >= as_of);
                    as_of = at(now) - found.age;
                    found.instances
                }
                _ => Vec::new(),
            };
            let shown: BTreeMap<&str, u16> =
                shown.iter().map(|it| (it.id().as_str(), it.port())).collect();
            prop_assert_eq!(shown, state_at(&history, revision));
        }
    }
}
