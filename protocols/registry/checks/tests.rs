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
