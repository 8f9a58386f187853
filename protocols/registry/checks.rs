//! What the leading server knows of the instances that it asks: how they are, what is written of them, and what is to be done.
//!
//! Whom to ask is for whoever uses it to say: in the kernel a node, over TCP an address.

use super::entry::{
    all, check_of, critical_for, if_unchanged, status_of, with_critical_for, with_status,
};
use super::message::{Probe, Probed};
use crate::discovery::Instance;
use crate::discovery::health::{CheckSettings, Finding, Health, Report, Status};
use crate::kv::{Key, KeyValue, Op, Revision, Store};
use splitbrain_core::{Rng, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The checks of one reign: a new leader begins with what is written, and asks everybody at once.
///
/// So that nobody who is critical lives for ever while leaders change, it is written down from time to time for how long that
/// has been so, as the lessor of the service does with long leases: what passed since that was last written is lost with
/// a leader, and nothing else.
#[derive(Clone, Debug)]
pub struct Checks<W> {
    term: u64,
    /// Whom to ask how an instance is; nobody, if it is not at an address where somebody could be.
    whom: fn(&Instance) -> Option<W>,
    /// Everything up to here is known.
    seen: Option<Revision>,
    by_key: BTreeMap<Key, Check<W>>,
    /// The same by the time at which something is to be done for them: exactly one for each of `by_key`.
    agenda: BTreeSet<(Time, Key)>,
}

#[derive(Clone, Debug)]
struct Check<W> {
    whom: W,
    instance: Instance,
    /// When the entry was last written.
    seen: Revision,
    /// What is written.
    written: Status,
    /// For how long it is critical, as far as that is written.
    noted: Option<Duration>,
    /// How often that is written; once, if it is not removed for it.
    note_every: Option<Duration>,
    health: Health,
    /// What was last proposed comes to nothing if it is not seen by then.
    proposed_until: Time,
    due_at: Time,
}

/// An instance that is asked, for invariants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The key of its entry.
    pub key: &'a Key,
    /// How it is, as is written there.
    pub written: Status,
    /// How it is found to be.
    pub found: Status,
    /// How often it was asked in this reign.
    pub attempts: u64,
}

/// What is to be done for an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due<W> {
    /// Ask it.
    Ask(W, Probe),
    /// Write down how it is.
    Write(Status, Op),
    /// Write down for how long it has been critical.
    Note(Op),
    /// Remove it: it has been critical for long.
    Remove(Op),
}

/// How often it is written down for how long an instance is critical that is removed after so long: a few times before
/// that, but not all the time.
pub(super) fn note_every(deregister_after: Duration) -> Duration {
    (deregister_after / 8).clamp(Duration::from_millis(100), Duration::from_secs(10))
}

impl<W: Clone + PartialEq> Checks<W> {
    /// Those of a term, of which nothing is known yet.
    pub fn new(term: u64, whom: fn(&Instance) -> Option<W>) -> Checks<W> {
        Checks {
            term,
            whom,
            seen: None,
            by_key: BTreeMap::new(),
            agenda: BTreeSet::new(),
        }
    }

    /// Whose checks they are.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// All that are asked.
    pub fn asked(&self) -> impl Iterator<Item = Asked<'_>> {
        self.by_key.iter().map(|(key, check)| Asked {
            key,
            written: check.written,
            found: check.health.status(),
            attempts: check.health.attempts(),
        })
    }

    /// Learns what has changed in the store; whether anything has.
    pub fn learn(&mut self, store: &Store, now: Time, rng: &mut Rng) -> bool {
        if self.seen == Some(store.revision()) {
            return false;
        }
        let instances = all();
        let is_first = self.seen.is_none();
        let seen = self.seen.replace(store.revision());
        let changes = seen.and_then(|seen| store.changes_of(&instances, seen.next()).ok());
        let keys: BTreeSet<Key> = if let Some(changes) = changes {
            changes.map(|change| change.key().clone()).collect()
        } else {
            let there = store.iter().map(|(key, _)| key);
            let there = there.filter(|key| instances.contains(key));
            there.chain(self.by_key.keys()).cloned().collect()
        };
        for key in &keys {
            let found = store.key_value(key);
            self.learn_one(key, found.as_ref(), is_first, now, rng);
        }
        !keys.is_empty()
    }

    /// What the store has at a key now; whether that was so when the reign began, and so an earlier leader has asked.
    fn learn_one(
        &mut self,
        key: &Key,
        found: Option<&KeyValue>,
        is_first: bool,
        now: Time,
        rng: &mut Rng,
    ) {
        let found = found.filter(|found| found.lease.is_none());
        let instance = found.and_then(|found| Instance::decode(key, &found.value).ok());
        let asked = instance.and_then(|instance| {
            let whom = (self.whom)(&instance)?;
            Some((check_of(&instance)?, whom, instance))
        });
        let before = self.by_key.remove(key);
        if let Some(before) = &before {
            self.agenda.remove(&(before.due_at, key.clone()));
        }
        let (Some((settings, whom, instance)), Some(found)) = (asked, found) else {
            return;
        };
        let (written, noted) = (status_of(&instance), critical_for(&instance));
        // Whoever is registered anew at another place, or is checked in another way, is another one. Nor is one who
        // registers anew as critical as it was: that it could says that it lives.
        let same = before.filter(|before| {
            let is_new = before.noted.is_some() && noted.is_none() && written == Status::Critical;
            let is_same_check = check_of(&before.instance).as_ref() == Some(&settings);
            before.whom == whom && is_same_check && !is_new
        });
        let mut health = match same {
            Some(before) => before.health,
            None if is_first => taken_over(&settings, written, noted, now, rng),
            None => Health::new(&settings, now, rng),
        };
        health.set_maintenance(written == Status::Maintenance, now);
        let check = Check {
            whom,
            instance,
            seen: found.mod_revision,
            written,
            noted,
            note_every: settings
                .deregister_after_ms
                .map(|ms| note_every(Duration::from_millis(ms))),
            health,
            proposed_until: now,
            due_at: now,
        };
        self.agenda.insert((now, key.clone()));
        self.by_key.insert(key.clone(), check);
    }

    /// An instance has answered; whether that counts.
    pub fn answered(&mut self, answer: &Probed, now: Time) -> bool {
        let Probed { probe, report } = answer;
        if probe.term != self.term {
            return false;
        }
        let Some(check) = self.by_key.get_mut(&probe.key) else {
            return false;
        };
        let counts = check.health.answered(probe.attempt, *report, now);
        self.agenda.remove(&(check.due_at, probe.key.clone()));
        check.due_at = now;
        self.agenda.insert((now, probe.key.clone()));
        counts
    }

    /// When there is something to do next.
    pub fn next_due(&self) -> Option<Time> {
        self.agenda.first().map(|(due_at, _)| *due_at)
    }

    /// Whoever asks was away for a while: what was not answered meanwhile says nothing.
    pub fn resume(&mut self, now: Time) {
        for check in self.by_key.values_mut() {
            check.health.resume(now);
        }
    }

    /// The next thing to do that is due by now. What is proposed comes again after `again`, unless it is seen in the store.
    pub fn due(&mut self, now: Time, again: Duration) -> Option<Due<W>> {
        loop {
            let (due_at, key) = self.agenda.first().filter(|(due_at, _)| *due_at <= now)?;
            let (due_at, key) = (*due_at, key.clone());
            self.agenda.remove(&(due_at, key.clone()));
            let check = self.by_key.get_mut(&key)?;
            let due = check.due(&key, self.term, now, again);
            // At the same instant once more, if there was something: there may be more.
            check.due_at = if due.is_some() {
                now
            } else {
                check.next_due(now)
            };
            self.agenda.insert((check.due_at, key));
            if due.is_some() {
                return due;
            }
        }
    }
}

/// The check of an instance that an earlier leader has asked, and written down how it was.
fn taken_over(
    settings: &CheckSettings,
    written: Status,
    noted: Option<Duration>,
    now: Time,
    rng: &mut Rng,
) -> Health {
    let found = match (written, noted) {
        (Status::Passing, _) => Finding::Serving(Report::Passing),
        (Status::Warning, _) => Finding::Serving(Report::Warning),
        (Status::Critical, Some(noted)) => Finding::Critical(noted),
        // Nobody has found anything, or it is not to be seen.
        (Status::Critical, None) | (Status::Maintenance, _) => {
            let mut health = Health::new(settings, now, rng);
            health.resume(now);
            return health;
        }
    };
    Health::taken_over(settings, found, now, rng)
}

impl<W: Clone> Check<W> {
    fn due(&mut self, key: &Key, term: u64, now: Time, again: Duration) -> Option<Due<W>> {
        if let Some(attempt) = self.health.tick(now) {
            let key = key.clone();
            return Some(Due::Ask(self.whom.clone(), Probe { key, term, attempt }));
        }
        if now < self.proposed_until {
            return None;
        }
        if self.health.removal().is_some_and(|removal| removal <= now) {
            self.proposed_until = now + again;
            let delete = Op::Delete { key: key.clone() };
            return Some(Due::Remove(if_unchanged(key, self.seen, delete)));
        }
        let status = self.health.status();
        let is_other = status != self.written;
        if !is_other && self.note_due(now).is_none_or(|due| now < due) {
            return None;
        }
        self.proposed_until = now + again;
        let instance = match self.health.critical_for(now) {
            Some(long) if status == Status::Critical => with_critical_for(&self.instance, long),
            _ => with_status(&self.instance, status),
        };
        let put = Op::put(key.clone(), instance.ok()?.encode());
        let op = if_unchanged(key, self.seen, put);
        Some(if is_other {
            Due::Write(status, op)
        } else {
            Due::Note(op)
        })
    }

    /// When it is to be written down how long it has been critical: at once, if nothing of this time is written.
    fn note_due(&self, now: Time) -> Option<Time> {
        let long = self.health.critical_for(now)?;
        let Some(noted) = self.noted.filter(|noted| *noted <= long) else {
            return Some(now);
        };
        Some(now + (noted + self.note_every?).saturating_sub(long))
    }

    /// After `now`.
    fn next_due(&self, now: Time) -> Time {
        let is_other = self.health.status() != self.written;
        let removal = self.health.removal();
        let not_before = |due: Time| due.max(self.proposed_until);
        let proposed = [
            is_other.then_some(self.proposed_until),
            removal.map(not_before),
            self.note_due(now).map(not_before),
            self.health.deadline(),
        ];
        let next = proposed.into_iter().flatten().min();
        let soonest = now + Duration::from_millis(1);
        next.unwrap_or(soonest).max(soonest)
    }
}

#[cfg(test)]
mod tests;
