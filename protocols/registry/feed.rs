//! How a cache comes to know what the registry knows: everything is read once, and then watched from there on.
//!
//! A watch tells what has changed, at whatever server, and not how old that is: a server that is cut off tells of nothing, and
//! knows no better. So the cache's age comes from elsewhere: a linearizable read says that the store was at a
//! revision when it was asked, and when the watch has told everything up to there, the cache is as of then.

use super::Settings;
use super::entry::{all, entry_of};
use crate::discovery::cache::{Cache, Change, Entry};
use crate::discovery::{Instance, Label};
use crate::kv::watch::{Event, EventKind};
use crate::kv::{self, KeyValue, Range, Revision, Shows};
use crate::service::{Op, Ret};
use splitbrain_core::{OpId, Outcome, Time};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The names of its requests. Others have smaller numbers.
const WATCH: OpId = OpId(u64::MAX);
const READ: OpId = OpId(u64::MAX - 1);

/// What keeps a cache up to date.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    /// Everything up to here is in the cache; nothing, if it is to be read anew.
    told: Option<Revision>,
    /// It was so, for certain, at this time.
    as_of: Time,
    /// The read under way, when it was asked for, and whether it reads everything.
    reading: Option<(Time, bool)>,
    is_watching: bool,
    /// The store was at this revision at this time, and the cache is not there yet.
    known: Option<(Revision, Time)>,
    /// When to read, and when to watch, next.
    read_at: Time,
    watch_at: Time,
}

/// What came of the answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fed {
    /// It was the answer to another one.
    NotMine,
    Taken,
    /// What it watched for was compacted.
    Compacted,
}

impl Feed {
    pub(super) fn new(now: Time) -> Feed {
        Feed {
            told: None,
            as_of: now,
            reading: None,
            is_watching: false,
            known: None,
            read_at: now,
            watch_at: now,
        }
    }

    /// The next request to be made by now, which counts as made.
    pub(super) fn next_request(&mut self, now: Time, settings: &Settings) -> Option<(OpId, Op)> {
        if self.reading.is_none() && self.read_at <= now {
            let is_whole = self.told.is_none();
            self.reading = Some((now, is_whole));
            let mut range = Range::of(all());
            if !is_whole {
                range.shows = Shows::Count;
            }
            return Some((READ, Op::Kv(kv::Op::Range(Arc::new(range)))));
        }
        if !self.is_watching && self.told.is_some() && self.watch_at <= now {
            self.is_watching = true;
            let watch = Op::Changes {
                keys: all(),
                after: self.told,
                wait_ms: settings.watch_ms,
            };
            return Some((WATCH, watch));
        }
        None
    }

    /// When a request is to be made next, unless an answer comes before.
    pub(super) fn next_due(&self) -> Option<Time> {
        let read = self.reading.is_none().then_some(self.read_at);
        let watches = !self.is_watching && self.told.is_some();
        let watch = watches.then_some(self.watch_at);
        read.into_iter().chain(watch).min()
    }

    /// A request was answered.
    pub(super) fn answered(
        &mut self,
        id: OpId,
        outcome: &Outcome<Ret>,
        cache: &mut Cache,
        settings: &Settings,
        now: Time,
    ) -> Fed {
        let retry_at = now + Duration::from_millis(settings.retry_ms);
        match (id, outcome) {
            (READ, outcome) => {
                let asked = self.reading.take();
                self.read_at = retry_at;
                if let (Some((asked_at, is_whole)), Outcome::Ok(Ret::Kv(kv::Ret::Range(found)))) =
                    (asked, outcome)
                {
                    self.read_at = now + Duration::from_millis(settings.refresh_ms);
                    self.known = Some((found.revision, asked_at));
                    if is_whole {
                        self.read_all(found.revision, &found.keys, asked_at, cache);
                    }
                    self.confirm(cache);
                }
                Fed::Taken
            }
            (WATCH, outcome) => {
                self.is_watching = false;
                match outcome {
                    Outcome::Ok(Ret::Changes {
                        through, events, ..
                    }) => {
                        self.changed(events, cache);
                        self.told = Some(*through);
                        self.confirm(cache);
                    }
                    Outcome::Ok(Ret::Compacted(_)) => {
                        self.told = None;
                        self.read_at = now;
                        return Fed::Compacted;
                    }
                    _ => self.watch_at = retry_at,
                }
                Fed::Taken
            }
            _ => Fed::NotMine,
        }
    }

    /// Everything was read.
    fn read_all(
        &mut self,
        revision: Revision,
        keys: &[KeyValue],
        asked_at: Time,
        cache: &mut Cache,
    ) {
        // Those of which there is nobody any more are known, too.
        let known = cache
            .services()
            .map(|(service, _)| (service.clone(), Vec::new()));
        let mut services: BTreeMap<Label, Vec<Entry>> = known.collect();
        for entry in keys.iter().filter_map(entry_of) {
            let service = entry.instance.service().clone();
            services.entry(service).or_default().push(entry);
        }
        for (service, entries) in services {
            cache.looked_up(&service, revision.0, entries, asked_at);
        }
        self.told = Some(revision);
        self.as_of = asked_at;
    }

    /// Something has changed.
    fn changed(&mut self, events: &[Arc<Event>], cache: &mut Cache) {
        let mut changes: BTreeMap<(u64, Label), Vec<Change>> = BTreeMap::new();
        for event in events {
            let key_value = &event.key_value;
            let Ok((service, id)) = Instance::parse_key(&key_value.key) else {
                continue;
            };
            let put = match event.kind {
                EventKind::Put => entry_of(key_value),
                EventKind::Delete => None,
            };
            // What cannot be read is nobody that could be called.
            let change = put.map_or(Change::Removed(id), Change::Put);
            let revision = key_value.mod_revision.0;
            changes.entry((revision, service)).or_default().push(change);
        }
        for ((revision, service), changes) in changes {
            if cache.revision(service.as_str()).is_none() {
                // Nobody was there when everything was read.
                let before = revision.saturating_sub(1);
                cache.looked_up(&service, before, [], self.as_of);
            }
            // When it became so nobody has said.
            cache.watched(&service, revision, changes, Time::ZERO);
        }
    }

    /// If the cache has come to where the store was at some time, it is as of then.
    fn confirm(&mut self, cache: &mut Cache) {
        let (Some(told), Some((revision, at))) = (self.told, self.known) else {
            return;
        };
        if told < revision {
            return;
        }
        self.known = None;
        self.as_of = at;
        let services = cache.services().map(|(service, _)| service.clone());
        for service in services.collect::<Vec<Label>>() {
            cache.confirmed(&service, told.0, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::address_of;
    use super::*;
    use crate::discovery::cache::{CacheSettings, Filter, Lookup};
    use crate::kv::Store;
    use splitbrain_core::NodeId;

    fn instance(service: &str, nth: usize) -> Instance {
        let address = address_of(NodeId::from_index(nth));
        Instance::new(service, &format!("n{nth}"), address, 80).unwrap()
    }

    struct Client {
        store: Store,
        feed: Feed,
        cache: Cache,
        settings: Settings,
    }

    impl Client {
        fn new() -> Client {
            Client {
                store: Store::keeping(100),
                feed: Feed::new(Time::ZERO),
                cache: Cache::new(CacheSettings::default()),
                settings: Settings::default(),
            }
        }

        fn put(&mut self, service: &str, nth: usize) {
            let instance = instance(service, nth);
            let put = kv::Op::put(instance.key(), instance.encode());
            self.store.apply(&put);
        }

        fn ask(&mut self, now: u64) -> Option<(OpId, Op)> {
            let now = Time::from_millis(now);
            self.feed.next_request(now, &self.settings)
        }

        fn answer(&mut self, (id, op): (OpId, Op), now: u64) -> Fed {
            let ret = match op {
                Op::Kv(op) => Ret::Kv(self.store.read(&op)),
                Op::Changes { keys, after, .. } => {
                    let after = after.unwrap();
                    match self.store.changes_of(&keys, after.next()) {
                        Ok(changes) => Ret::Changes {
                            after,
                            through: self.store.revision(),
                            events: changes.map(|c| Arc::new(Event::of(c, false))).collect(),
                        },
                        Err(compacted) => Ret::Compacted(compacted.revision),
                    }
                }
                other => panic!("{other:?}"),
            };
            let now = Time::from_millis(now);
            let Client { feed, cache, .. } = self;
            feed.answered(id, &Outcome::Ok(ret), cache, &self.settings, now)
        }

        fn known(&self, service: &str, now: u64) -> (usize, u64) {
            let now = Time::from_millis(now);
            match self.cache.get(service, &Filter::default(), now) {
                Lookup::Found(found) => (found.instances.len(), found.age.as_millis() as u64),
                Lookup::Absent { age } => (0, age.as_millis() as u64),
                Lookup::Unknown => (0, u64::MAX),
            }
        }
    }

    #[test]
    fn everything_is_read_once_and_then_watched() {
        let mut client = Client::new();
        client.put("web", 1);
        let read = client.ask(0).unwrap();
        assert_eq!(client.ask(0), None, "nothing is known to watch from");
        assert_eq!(client.answer(read, 50), Fed::Taken);
        // Of when it was asked for, not of when the answer came.
        assert_eq!(client.known("web", 50), (1, 50));
        let watch = client.ask(50).unwrap();
        client.put("web", 2);
        client.put("mail", 3);
        client.answer(watch, 100);
        assert_eq!(client.known("web", 100), (2, 100), "news, but no newer age");
        assert_eq!(client.known("mail", 100), (1, 100));
    }

    #[test]
    fn the_age_is_that_of_a_read_that_the_watch_has_caught_up_with() {
        let mut client = Client::new();
        client.put("web", 1);
        let read = client.ask(0).unwrap();
        client.answer(read, 0);
        let watch = client.ask(0).unwrap();
        client.put("web", 2);
        let read = client.ask(400).unwrap();
        client.answer(read, 450);
        assert_eq!(client.known("web", 450), (1, 450), "not caught up");
        client.answer(watch, 500);
        assert_eq!(client.known("web", 500), (2, 100));
    }

    #[test]
    fn what_was_compacted_is_read_anew() {
        let mut client = Client::new();
        client.put("web", 1);
        let read = client.ask(0).unwrap();
        client.answer(read, 0);
        let watch = client.ask(0).unwrap();
        let gone = instance("web", 1).key();
        client.store.apply(&kv::Op::Delete { key: gone });
        let revision = client.store.revision();
        client.store.apply(&kv::Op::Compact { revision });
        assert_eq!(client.answer(watch, 10), Fed::Compacted);
        assert_eq!(client.known("web", 10).0, 1);
        let read = client.ask(10).unwrap();
        client.answer(read, 20);
        assert_eq!(client.known("web", 20), (0, 10));
    }
}
