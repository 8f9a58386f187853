//! Ejecting what fails while others do not: outlier detection, as in Envoy.
//!
//! An instance that fails several times in a row is left out for a while: the base time, multiplied by how often that has
//! happened lately. Never are so many left out that the rest would carry much more than its share, and when that is not
//! enough either, all are used (panic).
//!
//! A [breaker](super::breaker) asks whether to call one thing at all. This asks which of several to leave out, and so must look at
//! all of them together.

use super::health::is_panic;
use super::settings::{LARGEST_MS, at_most, within};
use super::{Label, SettingsError};
use serde::{Deserialize, Serialize};
use splitbrain_core::{Time, nanos};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// When an instance is ejected, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutlierSettings {
    /// How many failures in a row eject an instance.
    pub consecutive_failures: u64,
    /// How long it is ejected the first time; twice that the second time, and so on.
    pub base_ejection_ms: u64,
    /// The longest that it is ejected.
    pub max_ejection_ms: u64,
    /// How many of a hundred instances are ejected at most; of fewer the next greater whole number, but never all.
    pub max_ejection_percent: u64,
    /// After how long without an ejection one of those before is forgotten.
    pub forgive_ms: u64,
    /// If fewer of a hundred are left than this, all are used.
    pub panic_percent: u64,
}

/// Envoy's defaults. (Its ejections are forgotten one at each interval of its sweep.)
impl Default for OutlierSettings {
    fn default() -> OutlierSettings {
        OutlierSettings {
            consecutive_failures: 5,
            base_ejection_ms: 30_000,
            max_ejection_ms: 300_000,
            max_ejection_percent: 10,
            forgive_ms: 10_000,
            panic_percent: 50,
        }
    }
}

impl OutlierSettings {
    /// Whether outliers can be detected so.
    ///
    /// # Errors
    /// Which setting is wrong, and why.
    pub fn validate(&self) -> Result<(), SettingsError> {
        let failures = self.consecutive_failures;
        within("consecutive_failures", failures, 1..=1_000_000)?;
        within("base_ejection_ms", self.base_ejection_ms, 1..=LARGEST_MS)?;
        within("max_ejection_ms", self.max_ejection_ms, 1..=LARGEST_MS)?;
        within("max_ejection_percent", self.max_ejection_percent, 0..=100)?;
        within("forgive_ms", self.forgive_ms, 1..=LARGEST_MS)?;
        within("panic_percent", self.panic_percent, 0..=100)?;
        at_most(
            ("base_ejection_ms", self.base_ejection_ms),
            ("max_ejection_ms", self.max_ejection_ms),
        )
    }
}

/// Finds the outliers among the instances of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlierDetector {
    settings: OutlierSettings,
    hosts: BTreeMap<Label, Host>,
    /// Those that have gone while something was held against them, in case they come back before that is forgotten.
    gone: BTreeMap<Label, Host>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Host {
    /// Failures since the last success, or since it came back.
    in_a_row: u64,
    /// It is ejected before this time.
    until: Time,
    /// How often it was ejected, less what was forgotten by the last time.
    ejections: u64,
}

/// Who is to be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ejected {
    /// The ids of the ejected instances, or nobody in a panic.
    pub ids: BTreeSet<Label>,
    /// Whether too many are ejected for that to be a reason to leave them out.
    pub panic: bool,
}

impl OutlierDetector {
    /// Without instances, with [valid](OutlierSettings::validate) settings.
    pub fn new(settings: OutlierSettings) -> OutlierDetector {
        OutlierDetector {
            settings,
            hosts: BTreeMap::new(),
            gone: BTreeMap::new(),
        }
    }

    /// The instances that there are, from now on. What is known of those that stay is kept, and so is that those that go are
    /// ejected, and how often they were: a registry that takes an instance out for a moment says nothing of how it is to
    /// those who call it. If more are ejected than may be, now that they are others, those come back that would have been
    /// the next to do so.
    pub fn set_instances<'a>(&mut self, ids: impl IntoIterator<Item = &'a Label>, now: Time) {
        let mut before = std::mem::take(&mut self.hosts);
        for id in ids {
            let gone = self.gone.remove(id);
            let host = before.remove(id).or(gone);
            // An id that is there twice is there once.
            self.hosts
                .entry(id.clone())
                .or_insert(host.unwrap_or_default());
        }
        let forgive = Duration::from_millis(self.settings.forgive_ms);
        self.gone.extend(before);
        self.gone.retain(|_, host| {
            let ejections = u32::try_from(host.ejections).unwrap_or(u32::MAX);
            now < host.until + forgive.saturating_mul(ejections)
        });
        let most = self.ejected_max();
        let mut ejected: Vec<&mut Host> = (self.hosts.values_mut())
            .filter(|host| host.until > now)
            .collect();
        let excess = ejected.len().saturating_sub(most);
        ejected.sort_by_key(|host| host.until);
        for host in ejected.into_iter().take(excess) {
            host.until = now;
        }
    }

    /// How a request to an instance ended. If that ejects it, until when.
    ///
    /// What comes back from an instance that is ejected was sent before that, and says nothing new.
    pub fn report(&mut self, id: &Label, is_success: bool, now: Time) -> Option<Time> {
        let has_room = self.ejected_count(now) < self.ejected_max();
        let settings = self.settings;
        let host = self.hosts.get_mut(id).filter(|host| host.until <= now)?;
        if is_success {
            host.in_a_row = 0;
            return None;
        }
        host.in_a_row = host.in_a_row.saturating_add(1);
        if host.in_a_row < settings.consecutive_failures || !has_room {
            return None;
        }
        let forgotten = nanos(now.since(host.until)) / (settings.forgive_ms.max(1) * 1_000_000);
        host.ejections = host.ejections.saturating_sub(forgotten) + 1;
        let ejection_ms = (settings.base_ejection_ms.saturating_mul(host.ejections))
            .min(settings.max_ejection_ms);
        host.until = now + Duration::from_millis(ejection_ms);
        host.in_a_row = 0;
        Some(host.until)
    }

    /// Who is to be left out now.
    pub fn ejected(&self, now: Time) -> Ejected {
        let all = self.hosts.len();
        let left = all - self.ejected_count(now);
        if is_panic(left, all, self.settings.panic_percent) {
            return Ejected {
                ids: BTreeSet::new(),
                panic: true,
            };
        }
        let ejected = self.hosts.iter().filter(|(_, host)| host.until > now);
        Ejected {
            ids: ejected.map(|(id, _)| id.clone()).collect(),
            panic: false,
        }
    }

    /// How many are ejected now, whether or not they are left out for it.
    pub fn ejected_count(&self, now: Time) -> usize {
        self.hosts.values().filter(|host| host.until > now).count()
    }

    /// How many may be ejected at a time.
    pub fn ejected_max(&self) -> usize {
        let all = self.hosts.len() as u64;
        let most = (all * self.settings.max_ejection_percent).div_ceil(100);
        most.min(all.saturating_sub(1)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SETTINGS: OutlierSettings = OutlierSettings {
        consecutive_failures: 2,
        base_ejection_ms: 100,
        max_ejection_ms: 250,
        max_ejection_percent: 50,
        forgive_ms: 1000,
        panic_percent: 40,
    };

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    fn label(index: usize) -> Label {
        format!("i{index}").parse().unwrap()
    }

    fn detector(settings: OutlierSettings, instances: usize) -> OutlierDetector {
        settings.validate().unwrap();
        let mut detector = OutlierDetector::new(settings);
        let ids: Vec<Label> = (0..instances).map(label).collect();
        detector.set_instances(&ids, at(0));
        detector
    }

    /// As many failures as it takes.
    fn fail(detector: &mut OutlierDetector, index: usize, ms: u64) -> Option<Time> {
        assert_eq!(detector.report(&label(index), false, at(ms)), None);
        detector.report(&label(index), false, at(ms))
    }

    #[test]
    fn failures_in_a_row_eject_and_a_success_breaks_the_row() {
        let mut detector = detector(SETTINGS, 4);
        let outcomes = [false, true, false].map(|ok| detector.report(&label(1), ok, at(0)));
        assert_eq!(outcomes, [None; 3]);
        assert_eq!(detector.report(&label(1), false, at(5)), Some(at(105)));
        let ids = BTreeSet::from([label(1)]);
        let panic = false;
        assert_eq!(detector.ejected(at(104)), Ejected { ids, panic });
        assert_eq!(detector.ejected(at(105)), Ejected::default());
        assert_eq!(detector.report(&label(9), false, at(0)), None, "a stranger");
    }

    #[test]
    fn each_time_is_longer_up_to_a_limit_and_is_forgotten_in_time() {
        let mut detector = detector(SETTINGS, 4);
        let mut now = 0;
        for ms in [100, 200, 250, 250] {
            let until = fail(&mut detector, 0, now);
            assert_eq!(until, Some(at(now + ms)));
            now += ms;
        }
        // Four times; three are forgotten, and the next is the second.
        assert_eq!(fail(&mut detector, 0, now + 3500), Some(at(now + 3700)));
    }

    #[test]
    fn what_comes_back_late_does_not_eject_again() {
        let mut detector = detector(SETTINGS, 4);
        let until = fail(&mut detector, 0, 0).unwrap();
        for _ in 0..10 {
            assert_eq!(detector.report(&label(0), false, at(50)), None);
        }
        assert_eq!(
            detector.report(&label(0), false, until),
            None,
            "one in a row"
        );
    }

    #[test]
    fn never_all_are_ejected_and_of_a_few_one_can_be() {
        for (instances, percent, most) in [
            (0, 50, 0),
            (1, 100, 0),
            (2, 10, 1),
            (3, 0, 0),
            (10, 10, 1),
            (11, 10, 2),
            (4, 100, 3),
        ] {
            let settings = OutlierSettings {
                max_ejection_percent: percent,
                ..SETTINGS
            };
            let mut detector = detector(settings, instances);
            for index in 0..instances {
                fail(&mut detector, index, 0);
            }
            let context = format!("{percent}% of {instances}");
            assert_eq!(detector.ejected_max(), most, "{context}");
            assert_eq!(detector.ejected_count(at(1)), most, "{context}");
        }
    }

    #[test]
    fn one_that_there_was_no_room_for_is_ejected_when_there_is() {
        let mut detector = detector(SETTINGS, 2);
        assert_eq!(fail(&mut detector, 0, 0), Some(at(100)));
        assert_eq!(fail(&mut detector, 1, 50), None);
        assert_eq!(detector.report(&label(1), false, at(100)), Some(at(200)));
    }

    #[test]
    fn when_too_few_are_left_all_are_used() {
        let settings = OutlierSettings {
            max_ejection_percent: 100,
            ..SETTINGS
        };
        let mut detector = detector(settings, 4);
        fail(&mut detector, 0, 0);
        fail(&mut detector, 1, 0);
        assert_eq!(detector.ejected(at(1)).ids.len(), 2);
        fail(&mut detector, 2, 0);
        let ids = BTreeSet::new();
        assert_eq!(detector.ejected(at(1)), Ejected { ids, panic: true });
        assert_eq!(detector.ejected_count(at(1)), 3);
    }

    #[test]
    fn when_instances_go_the_next_to_come_back_do_so_at_once() {
        let mut detector = detector(SETTINGS, 6);
        for index in 0..3 {
            fail(&mut detector, index, index as u64);
        }
        let rest: Vec<Label> = [0, 1, 2, 5].map(label).into();
        detector.set_instances(&rest, at(10));
        assert_eq!(detector.ejected(at(10)).ids, [1, 2].map(label).into());
        // Who leaves and comes back is the same one.
        detector.set_instances(&rest[2..], at(20));
        assert_eq!(detector.ejected_count(at(20)), 1);
        detector.set_instances(&rest, at(30));
        assert_eq!(detector.ejected(at(30)).ids, [1, 2].map(label).into());
    }

    #[test]
    fn who_was_away_is_ejected_for_longer_the_next_time_unless_that_is_forgiven() {
        for (back, until) in [(400, 600), (1_101, 1_201)] {
            let mut detector = detector(SETTINGS, 4);
            assert_eq!(fail(&mut detector, 0, 0), Some(at(100)));
            let all: Vec<Label> = (0..4).map(label).collect();
            detector.set_instances(&all[1..], at(50));
            detector.set_instances(&all[2..], at(60));
            detector.set_instances(&all, at(back));
            assert_eq!(fail(&mut detector, 0, back), Some(at(until)));
        }
    }

    proptest! {
        #[test]
        fn never_more_are_ejected_than_may_be(
            max_ejection_percent in 0_u64..=100,
            panic_percent in 0_u64..=100,
            steps in proptest::collection::vec((0_u64..60, 0_usize..9, any::<bool>(), 0_u8..20), 1..200),
        ) {
            let settings = OutlierSettings { max_ejection_percent, panic_percent, ..SETTINGS };
            let mut detector = detector(settings, 8);
            let (mut now, mut all) = (0, 8);
            for (wait, index, is_success, change) in steps {
                now += wait;
                if change == 0 {
                    all = index;
                    let ids: Vec<Label> = (0..all).map(label).collect();
                    detector.set_instances(&ids, at(now));
                } else {
                    let until = detector.report(&label(index), is_success, at(now));
                    let longest = at(now + settings.max_ejection_ms);
                    prop_assert!(until.is_none_or(|until| until > at(now) && until <= longest));
                }
                let ejected = detector.ejected_count(at(now));
                let most = (all as u64 * max_ejection_percent).div_ceil(100) as usize;
                prop_assert!(ejected <= most && (ejected < all || all == 0));
                let said = detector.ejected(at(now));
                let left_out = if said.panic { 0 } else { ejected };
                prop_assert_eq!(said.ids.len(), left_out);
                prop_assert!(said.panic || (all - ejected) as u64 * 100 >= panic_percent * all as u64);
            }
        }
    }
}
