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
mod tests {
    use super::super::entry::{address_of, node_of, with_check};
    use super::*;
    use crate::discovery::health::{Attempt, CheckKind, CheckSettings, ProbeSettings, Report};
    use splitbrain_core::{NodeId, Purpose, Seed};

    const AGAIN: Duration = Duration::from_millis(300);

    fn instance() -> Instance {
        let check = CheckSettings {
            kind: CheckKind::Probe(ProbeSettings {
                interval_ms: 1_000,
                timeout_ms: 500,
                rise: 1,
                fall: 2,
                ..ProbeSettings::default()
            }),
            deregister_after_ms: Some(3_000),
        };
        let instance = Instance::new("web", "n7", address_of(NodeId::from_index(6)), 80).unwrap();
        let instance = with_check(&instance, &check).unwrap();
        with_status(&instance, Status::Critical).unwrap()
    }

    struct Registry {
        store: Store,
        checks: Checks<NodeId>,
        rng: Rng,
    }

    impl Registry {
        fn new() -> Registry {
            let mut registry = Registry {
                store: Store::keeping(99),
                checks: Checks::new(4, |instance| node_of(instance.address())),
                rng: Seed(1).stream(Purpose::User(0)),
            };
            registry.learn(0);
            registry
        }

        /// Somebody else leads from now on, by another clock.
        fn is_taken_over(&mut self, now: u64) {
            let term = self.checks.term() + 1;
            self.checks = Checks::new(term, |instance| node_of(instance.address()));
            self.learn(now);
        }

        fn learn(&mut self, now: u64) {
            let now = Time::from_millis(now);
            self.checks.learn(&self.store, now, &mut self.rng);
        }

        fn apply(&mut self, op: &Op, now: u64) {
            self.store.apply(op);
            self.learn(now);
        }

        /// Everything that is due, and done at once.
        fn due(&mut self, now: u64) -> Vec<Due<NodeId>> {
            let mut all = Vec::new();
            while let Some(due) = self.checks.due(Time::from_millis(now), AGAIN) {
                if let Due::Write(_, op) | Due::Note(op) | Due::Remove(op) = &due {
                    self.apply(op, now);
                }
                all.push(due);
            }
            all
        }

        fn answer(&mut self, term: u64, attempt: u64, now: u64) -> bool {
            let probe = Probe {
                key: instance().key(),
                term,
                attempt: Attempt(attempt),
            };
            let report = Report::Passing;
            let answer = Probed { probe, report };
            self.checks.answered(&answer, Time::from_millis(now))
        }

        fn status(&self) -> Option<Status> {
            let key = instance().key();
            let value = self.store.get(&key)?;
            Some(status_of(&Instance::decode(&key, value).unwrap()))
        }
    }

    #[test]
    fn what_instances_answer_is_written_down_and_who_is_silent_for_long_is_removed() {
        let mut registry = Registry::new();
        registry.apply(&Op::put(instance().key(), instance().encode()), 0);
        assert!(matches!(registry.due(1_000)[..], [Due::Ask(..)]));
        assert!(!registry.answer(3, 1, 1_001), "of another term");
        assert!(registry.answer(4, 1, 1_001));
        assert!(matches!(
            registry.due(1_001)[..],
            [Due::Write(Status::Passing, _)]
        ));
        assert_eq!(registry.status(), Some(Status::Passing));
        // Two failures.
        for at in (2_000..=3_500).step_by(100) {
            registry.due(at);
        }
        assert_eq!(registry.status(), Some(Status::Critical));
        for at in (3_600..=6_400).step_by(100) {
            registry.due(at);
        }
        assert_eq!(registry.status(), Some(Status::Critical));
        registry.due(6_600);
        assert_eq!(registry.status(), None);
        assert_eq!(registry.checks.next_due(), None);
    }

    #[test]
    fn who_is_well_is_so_under_the_next_leader_until_it_finds_otherwise() {
        let mut registry = Registry::new();
        let well = with_status(&instance(), Status::Passing).unwrap();
        registry.apply(&Op::put(well.key(), well.encode()), 0);
        registry.is_taken_over(70);
        assert!(matches!(registry.due(70)[..], [Due::Ask(..)]), "at once");
        assert!(registry.answer(5, 1, 80));
        assert_eq!(registry.due(80), []);
        // It is asked again within a second, and that once is silent is not enough.
        for at in (100..=1_580).step_by(20) {
            let due = registry.due(at);
            assert!(due.iter().all(|due| matches!(due, Due::Ask(..))));
        }
        for at in (1_600..=2_600).step_by(20) {
            registry.due(at);
        }
        assert_eq!(registry.status(), Some(Status::Critical));
    }

    #[test]
    fn who_is_asked_more_seldom_than_the_critical_are_removed_is_not_removed_before() {
        let mut registry = Registry::new();
        let check = CheckSettings {
            kind: CheckKind::Probe(ProbeSettings {
                interval_ms: 9_000,
                timeout_ms: 500,
                ..ProbeSettings::default()
            }),
            deregister_after_ms: Some(10),
        };
        let seldom = with_check(&instance(), &check).unwrap();
        registry.apply(&Op::put(seldom.key(), seldom.encode()), 0);
        let mut asked = 0;
        for at in (0..=9_000).step_by(10) {
            for due in registry.due(at) {
                assert!(matches!(due, Due::Ask(..)), "{due:?}");
                asked = at;
            }
            if asked > 0 {
                break;
            }
        }
        // Neither by the next leader, who does not know whether it was ever asked.
        registry.is_taken_over(asked + 10);
        let due = registry.due(asked + 30);
        assert!(matches!(due[..], [Due::Ask(..)]), "{due:?}");
        let due = registry.due(asked + 200);
        assert_eq!(due, []);
    }

    #[test]
    fn who_is_dead_goes_though_leaders_change_and_who_comes_back_in_time_does_not() {
        let mut registry = Registry::new();
        registry.apply(&Op::put(instance().key(), instance().encode()), 0);
        // Removed after three seconds; nobody leads for more than one, each by a clock of its own.
        let mut reigns = 0;
        while registry.status().is_some() {
            for at in (0..=1_000).step_by(20) {
                registry.due(100_000 * reigns + at);
            }
            reigns += 1;
            assert!(reigns < 9, "it lives for ever");
            registry.is_taken_over(100_000 * reigns);
        }
        assert!(reigns >= 4, "it was removed after {reigns} seconds at most");
        // It registers anew, and dies again, until almost nothing is left.
        registry.apply(&Op::put(instance().key(), instance().encode()), 1_000_000);
        for at in (1_000_000..1_003_000).step_by(20) {
            registry.due(at);
        }
        assert_eq!(registry.status(), Some(Status::Critical));
        registry.is_taken_over(2_000_000);
        assert!(matches!(registry.due(2_000_000)[..], [Due::Ask(..)]));
        let term = registry.checks.term();
        assert!(registry.answer(term, 1, 2_000_400));
        registry.due(2_000_400);
        assert_eq!(registry.status(), Some(Status::Passing));
    }

    #[test]
    fn who_registers_anew_is_not_removed_for_what_was_before() {
        let mut registry = Registry::new();
        registry.apply(&Op::put(instance().key(), instance().encode()), 0);
        for at in (0..=3_000).step_by(20) {
            registry.due(at);
        }
        let key = instance().key();
        let value = registry.store.get(&key).unwrap().clone();
        let noted = critical_for(&Instance::decode(&key, &value).unwrap());
        assert!(noted > Some(Duration::from_secs(1)), "{noted:?}");
        // It has been restarted, and takes some time.
        registry.apply(&Op::put(key, instance().encode()), 3_000);
        for at in (3_000..=4_400).step_by(20) {
            registry.due(at);
            assert_eq!(registry.status(), Some(Status::Critical));
        }
    }

    #[test]
    fn what_is_found_out_late_does_not_bring_back_who_has_deregistered() {
        let mut registry = Registry::new();
        let key = instance().key();
        registry.apply(&Op::put(key.clone(), instance().encode()), 0);
        registry.due(1_000);
        registry.answer(4, 1, 1_001);
        let Some(Due::Write(_, late)) = registry.checks.due(Time::from_millis(1_001), AGAIN) else {
            panic!("it is to be written");
        };
        registry.apply(&Op::Delete { key }, 1_002);
        registry.apply(&late, 1_003);
        assert_eq!(registry.status(), None);
    }

    #[test]
    fn who_keeps_a_lease_or_is_in_maintenance_is_left_alone() {
        let mut registry = Registry::new();
        let key = instance().key();
        let working = with_status(&instance(), Status::Maintenance).unwrap();
        registry.apply(&Op::put(key, working.encode()), 0);
        for at in (0..20_000).step_by(100) {
            let due = registry.due(at);
            assert!(due.iter().all(|due| matches!(due, Due::Ask(..))));
        }
        assert_eq!(registry.status(), Some(Status::Maintenance));
        // Nor does the next leader remove it.
        registry.is_taken_over(30_000);
        for at in (30_000..50_000).step_by(100) {
            let due = registry.due(at);
            assert!(due.iter().all(|due| matches!(due, Due::Ask(..))));
        }
    }
}
