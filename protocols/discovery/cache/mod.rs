//! What a client knows of services: client-side discovery that survives its registry.
//!
//! The cache is fed by look-ups and watches, each with the revision of the store that it shows, and never goes back to an older
//! one. It forgets no instance because the registry is silent: what is known stays usable, and every answer says how
//! old it is. That is what Eureka's clients do, and what Consul's agents do with `use_cache` and `stale-if-error`.
//!
//! That a service does not exist is remembered, too, but not for long (negative caching, RFC 2308), as somebody may be waiting for
//! it to be registered.

use super::health::{Status, is_panic};
use super::settings::{LARGEST_MS, within};
use super::{Instance, Label, SettingsError};
use serde::{Deserialize, Serialize};
use splitbrain_core::Time;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// For how long what is known is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheSettings {
    /// For how long what is known of a service need not be asked again. After that it is stale: usable, but to be
    /// asked for.
    pub fresh_ms: u64,
    /// For how long it is remembered that there is no such service, or none with such a tag.
    pub absent_ms: u64,
    /// If fewer of a hundred instances are as healthy as is asked for, all are given out; always if none is.
    pub panic_percent: u64,
}

impl Default for CacheSettings {
    fn default() -> CacheSettings {
        CacheSettings {
            fresh_ms: 1000,
            absent_ms: 500,
            panic_percent: 0,
        }
    }
}

impl CacheSettings {
    /// Whether a cache can work so.
    ///
    /// # Errors
    /// Which setting is wrong, and why.
    pub fn validate(&self) -> Result<(), SettingsError> {
        within("fresh_ms", self.fresh_ms, 0..=LARGEST_MS)?;
        within("absent_ms", self.absent_ms, 0..=LARGEST_MS)?;
        within("panic_percent", self.panic_percent, 0..=100)
    }
}

/// An instance, and how it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The instance.
    pub instance: Arc<Instance>,
    /// How it is.
    pub status: Status,
}

/// What a watch tells of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An instance is new, or not as it was.
    Put(Entry),
    /// The instance with this id is gone.
    Removed(Label),
}

/// What became of something that a cache was fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fed {
    /// It is known now.
    Taken,
    /// Something as new or newer was known already.
    Older,
    /// It builds on something that is not known: the service is to be looked up.
    Baseless,
}

/// Which instances of a service are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those with this tag; all, if nothing is said.
    pub tag: Option<Label>,
    /// How they are to be.
    pub health: Wanted,
}

/// How instances are to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// All is well with them.
    #[default]
    Passing,
    /// They serve.
    PassingOrWarning,
    /// However they are: for who wants to see what there is. In maintenance, too, and there is no panic.
    Any,
}

/// What a cache says of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// It knows nothing that is still good: the registry is to be asked.
    Unknown,
    /// There was no such service, or no instance with the tag, a short while ago.
    Absent {
        /// How long ago.
        age: Duration,
    },
    /// It is there.
    Found(Found),
}

/// Instances of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The instances that were wanted, by ascending id. May be nobody, if all are in maintenance.
    pub instances: Vec<Arc<Instance>>,
    /// The revision of the store that this was seen at.
    pub revision: u64,
    /// It was so this long ago; it may have changed since.
    pub age: Duration,
    /// Whether that is so long ago that the registry is to be asked, if it can be.
    pub stale: bool,
    /// Whether so few were as healthy as is wanted that all are given out that are not in maintenance.
    pub panic: bool,
}

/// What a client knows of services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    settings: CacheSettings,
    services: BTreeMap<Label, Service>,
    /// What was forgotten had at most this revision. What is not known must be at least as new, to be taken.
    forgotten: u64,
    /// When there are so many services, those are forgotten that have been absent for too long.
    purge_at: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Service {
    /// Never decreases.
    revision: u64,
    /// It was as it is known at this time. Never decreases.
    as_of: Time,
    /// Nobody, if the service does not exist.
    entries: BTreeMap<Label, Entry>,
}

/// So few services are not worth a search for what can be forgotten.
const PURGE_AT_LEAST: usize = 64;

impl Cache {
    /// An empty cache, with [valid](CacheSettings::validate) settings.
    pub fn new(settings: CacheSettings) -> Cache {
        Cache {
            settings,
            services: BTreeMap::new(),
            forgotten: 0,
            purge_at: PURGE_AT_LEAST,
        }
    }

    /// Takes the answer to a look-up: all instances of a service, whatever their health, at a revision. Nobody, if there
    /// is no such service.
    ///
    /// `as_of` is a time at which this was so for certain: when the question was sent, for an answer that must be up to
    /// date (a linearizable read). When the answer came says nothing: it may have been under way for long.
    pub fn looked_up(
        &mut self,
        service: &Label,
        revision: u64,
        entries: impl IntoIterator<Item = Entry>,
        as_of: Time,
    ) -> Fed {
        let known = self.services.get(service);
        if revision < known.map_or(self.forgotten, |known| known.revision) {
            return Fed::Older;
        }
        let as_of = known.map_or(as_of, |known| known.as_of.max(as_of));
        let entries = entries
            .into_iter()
            .map(|entry| (entry.instance.id().clone(), entry));
        let known = Service {
            revision,
            as_of,
            entries: entries.collect(),
        };
        self.services.insert(service.clone(), known);
        self.purge(as_of);
        Fed::Taken
    }

    /// Takes what a watch tells: all changes of a service at one revision.
    pub fn watched(
        &mut self,
        service: &Label,
        revision: u64,
        changes: impl IntoIterator<Item = Change>,
        as_of: Time,
    ) -> Fed {
        let Some(known) = self.services.get_mut(service) else {
            return Fed::Baseless;
        };
        if revision <= known.revision {
            return Fed::Older;
        }
        known.revision = revision;
        known.as_of = known.as_of.max(as_of);
        for change in changes {
            match change {
                Change::Put(entry) => known.entries.insert(entry.instance.id().clone(), entry),
                Change::Removed(id) => known.entries.remove(&id),
            };
        }
        Fed::Taken
    }

    /// Takes word of a watch that it has told everything up to a revision, at a time when there was nothing newer.
    pub fn confirmed(&mut self, service: &Label, revision: u64, as_of: Time) -> Fed {
        let Some(known) = self.services.get_mut(service) else {
            return Fed::Baseless;
        };
        if revision < known.revision {
            return Fed::Older;
        }
        known.revision = revision;
        known.as_of = known.as_of.max(as_of);
        Fed::Taken
    }

    /// What is known of a service.
    pub fn get(&self, service: &str, filter: &Filter, now: Time) -> Lookup {
        let Some(known) = self.services.get(service) else {
            return Lookup::Unknown;
        };
        let age = now.since(known.as_of);
        let is_tagged = |entry: &&Entry| {
            let tags = entry.instance.tags();
            filter.tag.as_ref().is_none_or(|tag| tags.contains(tag))
        };
        let tagged: Vec<&Entry> = known.entries.values().filter(is_tagged).collect();
        if tagged.is_empty() {
            return if self.is_over(age) {
                Lookup::Unknown
            } else {
                Lookup::Absent { age }
            };
        }
        let (chosen, panic) = self.choose(tagged, filter.health);
        let instances = chosen.into_iter().map(|entry| entry.instance.clone());
        Lookup::Found(Found {
            instances: instances.collect(),
            revision: known.revision,
            age,
            stale: age >= Duration::from_millis(self.settings.fresh_ms),
            panic,
        })
    }

    /// The revision at which a service is known, if it is: a watch goes on after it.
    pub fn revision(&self, service: &str) -> Option<u64> {
        self.services.get(service).map(|known| known.revision)
    }

    /// The services that something is known of, if only that they do not exist, each with its [revision](Cache::revision), by
    /// ascending name.
    pub fn services(&self) -> impl Iterator<Item = (&Label, u64)> {
        let all = self.services.iter();
        all.map(|(service, known)| (service, known.revision))
    }

    /// The same, each with the revision, and the time as of which it is known.
    pub fn known(&self) -> impl Iterator<Item = (&Label, u64, Time)> {
        let all = self.services.iter();
        all.map(|(service, known)| (service, known.revision, known.as_of))
    }

    /// Forgets a service. What it is told of it next is taken, even if it is older: that is for who has found out that what
    /// is known is wrong.
    pub fn forget(&mut self, service: &str) {
        self.services.remove(service);
    }

    /// Forgets everything: the store is another one, or was restored from a backup, and its revisions begin anew.
    pub fn clear(&mut self) {
        *self = Cache::new(self.settings);
    }

    /// Those that are wanted, and whether it is a panic.
    fn choose<'a>(&self, mut entries: Vec<&'a Entry>, wanted: Wanted) -> (Vec<&'a Entry>, bool) {
        let worst = match wanted {
            Wanted::Any => return (entries, false),
            Wanted::Passing => Status::Passing,
            Wanted::PassingOrWarning => Status::Warning,
        };
        // Maintenance is no failure: those are out of service on purpose, and stay so in a panic.
        entries.retain(|entry| entry.status != Status::Maintenance);
        let healthy = entries.iter().filter(|entry| entry.status <= worst).count();
        let panic = is_panic(healthy, entries.len(), self.settings.panic_percent);
        if !panic {
            entries.retain(|entry| entry.status <= worst);
        }
        (entries, panic)
    }

    /// Whether something that is not there has been so for too long to rely on it.
    fn is_over(&self, age: Duration) -> bool {
        age >= Duration::from_millis(self.settings.absent_ms)
    }

    /// Forgets what has been absent for too long, if there are many services, so that asking for ever new names does not
    /// fill the memory. Looks at all only when they have doubled.
    fn purge(&mut self, now: Time) {
        if self.services.len() < self.purge_at {
            return;
        }
        let absent = Duration::from_millis(self.settings.absent_ms);
        let forgotten = &mut self.forgotten;
        self.services.retain(|_, known| {
            let keep = !known.entries.is_empty() || now.since(known.as_of) < absent;
            if !keep {
                *forgotten = known.revision.max(*forgotten);
            }
            keep
        });
        self.purge_at = PURGE_AT_LEAST.max(2 * self.services.len());
    }
}

#[cfg(test)]
mod tests;
