//! Heartbeats: an instance that is silent for too long is critical.

use super::Report;
use crate::discovery::SettingsError;
use crate::discovery::settings::{LARGEST_MS, within};
use serde::{Deserialize, Serialize};
use splitbrain_core::Time;
use std::time::Duration;

/// How long a heartbeat is good for, and what holds before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TtlSettings {
    /// After how long without a heartbeat the instance is critical.
    pub ttl_ms: u64,
    /// What it counts as when it is registered, until its first heartbeat comes or is overdue. Consul's default is
    /// critical.
    #[serde(default = "critical")]
    pub initial: Report,
}

fn critical() -> Report {
    Report::Critical
}

impl TtlSettings {
    /// Whether a check can work so.
    ///
    /// # Errors
    /// Which setting is wrong, and why.
    pub fn validate(&self) -> Result<(), SettingsError> {
        within("ttl_ms", self.ttl_ms, 1..=LARGEST_MS)
    }
}

/// The heartbeats of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ttl {
    time_to_live: Duration,
    /// As of the last event.
    report: Report,
    /// When it becomes critical if no heartbeat comes before. Of no meaning while it is critical.
    expires: Time,
    /// Since when it has been critical. Of no meaning while it is not.
    critical_since: Time,
}

impl Ttl {
    /// Of an instance that is registered now.
    pub fn new(settings: TtlSettings, now: Time) -> Ttl {
        let time_to_live = Duration::from_millis(settings.ttl_ms);
        Ttl {
            time_to_live,
            report: settings.initial,
            expires: now + time_to_live,
            critical_since: now,
        }
    }

    /// How the instance is, as of the last event.
    pub fn report(&self) -> Report {
        self.report
    }

    /// Since when it has been critical without a break, if it is.
    pub fn critical_since(&self) -> Option<Time> {
        (self.report == Report::Critical).then_some(self.critical_since)
    }

    /// Takes a heartbeat.
    pub fn heartbeat(&mut self, report: Report, now: Time) {
        // If this one is late, the check was critical in between; a critical heartbeat does not begin that anew.
        self.tick(now);
        if report == Report::Critical && self.report != Report::Critical {
            self.critical_since = now;
        }
        self.report = report;
        self.expires = self.expires.max(now + self.time_to_live);
    }

    /// Lets time pass. A heartbeat is good until just before its time to live is over.
    pub fn tick(&mut self, now: Time) {
        if self.report != Report::Critical && now >= self.expires {
            self.report = Report::Critical;
            self.critical_since = self.expires;
        }
    }

    /// The instance has a full time to live from now on, whatever came or did not. One that was critical stays so, until
    /// a heartbeat says otherwise.
    pub fn resume(&mut self, now: Time) {
        self.expires = self.expires.max(now + self.time_to_live);
    }

    /// When it becomes critical if nothing comes.
    pub fn deadline(&self) -> Option<Time> {
        (self.report != Report::Critical).then_some(self.expires)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    fn ttl(initial: Report) -> Ttl {
        let settings = TtlSettings {
            ttl_ms: 100,
            initial,
        };
        settings.validate().unwrap();
        Ttl::new(settings, at(0))
    }

    #[test]
    fn it_expires_at_its_time_and_not_before() {
        let mut check = ttl(Report::Passing);
        check.heartbeat(Report::Passing, at(50));
        assert_eq!(check.deadline(), Some(at(150)));
        check.tick(at(149));
        assert_eq!(check.report(), Report::Passing);
        check.tick(at(150));
        assert_eq!(check.report(), Report::Critical);
        assert_eq!(
            (check.critical_since(), check.deadline()),
            (Some(at(150)), None)
        );
    }

    #[test]
    fn a_warning_expires_too() {
        let mut check = ttl(Report::Passing);
        check.heartbeat(Report::Warning, at(10));
        assert_eq!(check.report(), Report::Warning);
        check.tick(at(110));
        assert_eq!(check.critical_since(), Some(at(110)));
    }

    #[test]
    fn critical_lasts_from_when_it_began() {
        let mut check = ttl(Report::Critical);
        check.heartbeat(Report::Critical, at(70));
        assert_eq!(check.critical_since(), Some(at(0)));
        check.heartbeat(Report::Passing, at(80));
        // It expires at 180, unseen; then the instance says itself that it is critical.
        check.heartbeat(Report::Critical, at(300));
        assert_eq!(check.critical_since(), Some(at(180)));
        check.heartbeat(Report::Passing, at(310));
        check.heartbeat(Report::Critical, at(320));
        assert_eq!(check.critical_since(), Some(at(320)));
    }

    #[test]
    fn who_resumes_gives_a_full_time_to_live() {
        let mut check = ttl(Report::Passing);
        check.resume(at(5000));
        check.tick(at(5099));
        assert_eq!(check.report(), Report::Passing);
        check.tick(at(5100));
        check.resume(at(5200));
        assert_eq!(
            check.report(),
            Report::Critical,
            "what was known stays known"
        );
        check.heartbeat(Report::Passing, at(5200));
        check.tick(at(5299));
        assert_eq!(check.report(), Report::Passing);
    }

    proptest! {
        /// However often it is looked at, it is critical exactly when the last heartbeat said so or is too old.
        #[test]
        fn it_is_as_the_last_heartbeat_said_or_overdue(
            steps in proptest::collection::vec((0_u64..150, 0_u8..4), 1..40),
        ) {
            let mut check = ttl(Report::Passing);
            let (mut now, mut said, mut last) = (0, Report::Passing, 0);
            for (wait, step) in steps {
                now += wait;
                match step {
                    0 => check.tick(at(now)),
                    step => {
                        said = [Report::Passing, Report::Warning, Report::Critical][step as usize - 1];
                        last = now;
                        check.heartbeat(said, at(now));
                    }
                }
                let expected = if now - last >= 100 { Report::Critical } else { said };
                prop_assert_eq!(check.report(), expected);
                prop_assert_eq!(check.critical_since().is_some(), expected == Report::Critical);
                prop_assert!(check.critical_since().is_none_or(|since| since <= at(now)));
                prop_assert!(check.deadline().is_none_or(|deadline| deadline > at(now)));
            }
        }
    }
}
