//! The health of one instance, as one check tells it.
//!
//! A check is fed in one of two ways, and [`Health`] puts what both have in common around them: maintenance, since when it
//! has been critical, and when that has lasted so long that the instance is to be removed.
//!
//! * [`Ttl`]: the instance says how it is, and is critical when it has not for too long (Consul's TTL checks, Eureka's
//!   leases).
//! * [`Probing`]: somebody asks the instance, and believes it a change when enough answers in a row say so (`rise` and
//!   `fall` of HAProxy, `success_before_passing` and `failures_before_critical` of Consul, healthy and unhealthy
//!   thresholds of Envoy).
//!
//! Time passes by [`Health::tick`]: what is asked of a check is as of its last event. [`Health::deadline`] tells when
//! the next tick is due.

mod probing;
mod ttl;

pub use probing::{Attempt, Finding, Initial, ProbeSettings, Probing};
pub use ttl::{Ttl, TtlSettings};

use super::SettingsError;
use super::settings::{LARGEST_MS, within};
use serde::{Deserialize, Serialize};
use splitbrain_core::{Rng, Time};
use std::fmt;
use std::time::Duration;

/// What a heartbeat or the answer to a probe says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// All is well.
    Passing,
    /// It serves, but somebody should look at it.
    Warning,
    /// It does not serve.
    Critical,
}

/// How an instance is. Ordered from good to bad: of several checks of an instance, the worst counts, as in Consul.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// All is well.
    Passing,
    /// It serves, but somebody should look at it.
    Warning,
    /// It does not serve, or has not been heard of.
    Critical,
    /// Somebody has taken it out of service on purpose.
    Maintenance,
}

impl Status {
    /// Its name, as it is written down.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Passing => "passing",
            Status::Warning => "warning",
            Status::Critical => "critical",
            Status::Maintenance => "maintenance",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<Report> for Status {
    fn from(report: Report) -> Status {
        match report {
            Report::Passing => Status::Passing,
            Report::Warning => Status::Warning,
            Report::Critical => Status::Critical,
        }
    }
}

/// Whether so few of some instances are healthy that health should no longer be a reason to leave any out: none of
/// them, or less than `percent` of a hundred.
///
/// When most checks fail it is more likely the checks that are wrong; and if they are right, the few that are left would
/// break down under the load of all (Envoy's panic threshold).
pub fn is_panic(healthy: usize, instances: usize, percent: u64) -> bool {
    instances > 0
        && (healthy == 0 || (healthy as u64).saturating_mul(100) < percent * instances as u64)
}

/// What a check is, as it is registered with an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CheckSettings {
    /// How it is fed.
    pub kind: CheckKind,
    /// After how long as critical the instance is to be removed; never, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deregister_after_ms: Option<u64>,
}

/// How a check is fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckKind {
    /// By heartbeats of the instance.
    Ttl(TtlSettings),
    /// By asking it.
    Probe(ProbeSettings),
}

impl CheckSettings {
    /// Whether a check can work so.
    ///
    /// # Errors
    /// Which setting is wrong, and why.
    pub fn validate(&self) -> Result<(), SettingsError> {
        match &self.kind {
            CheckKind::Ttl(ttl) => ttl.validate()?,
            CheckKind::Probe(probe) => probe.validate()?,
        }
        match self.deregister_after_ms {
            Some(ms) => within("deregister_after_ms", ms, 1..=LARGEST_MS),
            None => Ok(()),
        }
    }
}

/// One check of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    source: Source,
    deregister_after: Option<Duration>,
    maintenance: Maintenance,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Ttl(Ttl),
    Probing(Probing),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Maintenance {
    On,
    /// Since then, or from the beginning.
    OffSince(Time),
}

impl Health {
    /// A check that begins now, with [valid](CheckSettings::validate) settings. Its first probe comes at a random time within
    /// an interval, so that what begins together is not asked together ever after.
    pub fn new(settings: &CheckSettings, now: Time, rng: &mut Rng) -> Health {
        Health {
            source: match settings.kind {
                CheckKind::Ttl(ttl) => Source::Ttl(Ttl::new(ttl, now)),
                CheckKind::Probe(probe) => Source::Probing(Probing::new(probe, now, rng)),
            },
            deregister_after: settings.deregister_after_ms.map(Duration::from_millis),
            maintenance: Maintenance::OffSince(now),
        }
    }

    /// A check that somebody else has kept until now, and by which the instance was found to be so. If it is one that asks, it
    /// asks at once; one that is fed begins anew.
    pub fn taken_over(
        settings: &CheckSettings,
        found: Finding,
        now: Time,
        rng: &mut Rng,
    ) -> Health {
        let mut health = Health::new(settings, now, rng);
        if let CheckKind::Probe(probe) = settings.kind {
            health.source = Source::Probing(Probing::taken_over(probe, found, now, rng));
        }
        health
    }

    /// How the instance is.
    pub fn status(&self) -> Status {
        match (self.maintenance, &self.source) {
            (Maintenance::On, _) => Status::Maintenance,
            (_, Source::Ttl(ttl)) => ttl.report().into(),
            (_, Source::Probing(probing)) => probing.report().into(),
        }
    }

    /// Since when the check has been critical without a break, if it is, whether or not the instance is in maintenance. One that
    /// asks must have found so: not before an attempt has failed.
    pub fn critical_since(&self) -> Option<Time> {
        match &self.source {
            Source::Ttl(ttl) => ttl.critical_since(),
            Source::Probing(probing) => probing.critical_since(),
        }
    }

    /// How many attempts at asking have begun.
    pub fn attempts(&self) -> u64 {
        match &self.source {
            Source::Ttl(_) => 0,
            Source::Probing(probing) => probing.attempts(),
        }
    }

    /// For how long it has been critical, as far as that counts for its removal: with the time for which it already was when
    /// it was taken over, and without that before it was last put back into service.
    pub fn critical_for(&self, now: Time) -> Option<Duration> {
        let (since, before) = self.counted()?;
        Some(now.since(since) + before)
    }

    /// Since when it counts as critical, and for how long it did before that.
    fn counted(&self) -> Option<(Time, Duration)> {
        let since = self.critical_since()?;
        let before = match &self.source {
            Source::Ttl(_) => Duration::ZERO,
            Source::Probing(probing) => probing.critical_before(),
        };
        match self.maintenance {
            Maintenance::On => None,
            Maintenance::OffSince(off) if off > since => Some((off, Duration::ZERO)),
            Maintenance::OffSince(_) => Some((since, before)),
        }
    }

    /// Takes a heartbeat. Whether it was one for this check: one that asks has no use for it.
    pub fn heartbeat(&mut self, report: Report, now: Time) -> bool {
        match &mut self.source {
            Source::Ttl(ttl) => {
                ttl.heartbeat(report, now);
                true
            }
            Source::Probing(_) => false,
        }
    }

    /// Takes the answer to an attempt. Whether it counts: one that comes too late does not, as its attempt has failed.
    pub fn answered(&mut self, attempt: Attempt, report: Report, now: Time) -> bool {
        match &mut self.source {
            Source::Ttl(_) => false,
            Source::Probing(probing) => probing.answered(attempt, report, now),
        }
    }

    /// Lets time pass: judges what has not come in time. If the instance is to be asked now, the attempt, which its
    /// answer must name.
    #[must_use]
    pub fn tick(&mut self, now: Time) -> Option<Attempt> {
        match &mut self.source {
            Source::Ttl(ttl) => {
                ttl.tick(now);
                None
            }
            Source::Probing(probing) => probing.tick(now),
        }
    }

    /// Takes the instance out of service, or puts it back. The check goes on meanwhile.
    pub fn set_maintenance(&mut self, on: bool, now: Time) {
        self.maintenance = match (on, self.maintenance) {
            (true, _) => Maintenance::On,
            (false, Maintenance::On) => Maintenance::OffSince(now),
            (false, off) => off,
        };
    }

    /// Time is judged by somebody else from now on, or by somebody who was away, and cannot know what came
    /// meanwhile: a heartbeat counts as just come, and a running attempt as not made.
    pub fn resume(&mut self, now: Time) {
        match &mut self.source {
            Source::Ttl(ttl) => ttl.resume(now),
            Source::Probing(probing) => probing.resume(now),
        }
    }

    /// When the instance is to be removed, unless it recovers: it has then been critical for long enough. Not while it is in
    /// maintenance, and for as long after that, as somebody is working on it. Nor while the latest answer was a good one, or
    /// whoever has taken it over has not got any: it may be about to recover.
    pub fn removal(&self) -> Option<Time> {
        let after = self.deregister_after?;
        let (since, before) = self.counted()?;
        let may_recover = match &self.source {
            Source::Ttl(_) => false,
            Source::Probing(probing) => !probing.has_failed(),
        };
        (!may_recover).then(|| since + after.saturating_sub(before))
    }

    /// When the next [tick](Health::tick) is due: something expires, or the instance is to be asked.
    pub fn deadline(&self) -> Option<Time> {
        match &self.source {
            Source::Ttl(ttl) => ttl.deadline(),
            Source::Probing(probing) => Some(probing.deadline()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use splitbrain_core::{Purpose, Seed};

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    fn heartbeats(deregister_after_ms: Option<u64>) -> Health {
        let settings = CheckSettings {
            kind: CheckKind::Ttl(TtlSettings {
                ttl_ms: 100,
                initial: Report::Passing,
            }),
            deregister_after_ms,
        };
        settings.validate().unwrap();
        Health::new(&settings, at(0), &mut Seed(0).stream(Purpose::User(0)))
    }

    #[test]
    fn what_has_been_critical_for_long_enough_is_to_be_removed() {
        let mut health = heartbeats(Some(1000));
        assert_eq!((health.status(), health.removal()), (Status::Passing, None));
        assert_eq!(health.tick(at(500)), None);
        assert_eq!(health.status(), Status::Critical);
        assert_eq!(health.removal(), Some(at(1100)), "since it expired");
        assert!(health.heartbeat(Report::Warning, at(1099)));
        assert_eq!((health.status(), health.removal()), (Status::Warning, None));
        let mut never = heartbeats(None);
        assert_eq!(never.tick(at(500)), None);
        assert_eq!((never.status(), never.removal()), (Status::Critical, None));
    }

    #[test]
    fn maintenance_hides_the_check_and_holds_removal() {
        let mut health = heartbeats(Some(1000));
        health.set_maintenance(true, at(50));
        assert_eq!(health.tick(at(5000)), None);
        assert_eq!(
            (health.status(), health.removal()),
            (Status::Maintenance, None)
        );
        assert_eq!(health.critical_since(), Some(at(100)));
        health.set_maintenance(false, at(6000));
        health.set_maintenance(false, at(6500));
        assert_eq!(health.status(), Status::Critical);
        assert_eq!(health.removal(), Some(at(7000)));
        health.heartbeat(Report::Passing, at(6600));
        assert_eq!(health.status(), Status::Passing);
    }

    #[test]
    fn who_is_taken_over_goes_on_being_critical_and_is_not_removed_unasked() {
        let settings = CheckSettings {
            kind: CheckKind::Probe(ProbeSettings {
                interval_ms: 100,
                timeout_ms: 40,
                rise: 2,
                ..ProbeSettings::default()
            }),
            deregister_after_ms: Some(1000),
        };
        let critical = Finding::Critical(Duration::from_millis(990));
        let mut rng = Seed(0).stream(Purpose::User(0));
        let mut health = Health::taken_over(&settings, critical, at(5000), &mut rng);
        assert_eq!(
            health.critical_for(at(5003)),
            Some(Duration::from_millis(993))
        );
        let first = health.tick(at(5003)).unwrap();
        assert_eq!(
            health.removal(),
            None,
            "nobody knows whether it is well now"
        );
        assert!(health.answered(first, Report::Passing, at(5020)));
        assert_eq!(
            (health.status(), health.removal()),
            (Status::Critical, None)
        );
        let second = health.tick(at(5110)).unwrap();
        assert!(health.answered(second, Report::Critical, at(5120)));
        assert_eq!(health.removal(), Some(at(5010)), "of 1000ms, 10 were left");
        // What was before maintenance does not count.
        health.set_maintenance(true, at(5130));
        assert_eq!(health.critical_for(at(5200)), None);
        health.set_maintenance(false, at(5200));
        assert_eq!(
            health.critical_for(at(5300)),
            Some(Duration::from_millis(100))
        );
        assert_eq!(health.removal(), Some(at(6200)));
    }

    #[test]
    fn of_several_checks_the_worst_counts() {
        use Status::{Critical, Maintenance, Passing, Warning};
        let worst = |statuses: &[Status]| statuses.iter().copied().max();
        assert_eq!(worst(&[Passing, Warning, Passing]), Some(Warning));
        assert_eq!(worst(&[Critical, Maintenance, Warning]), Some(Maintenance));
    }

    #[test]
    fn panic_is_when_few_are_left() {
        for (healthy, instances, percent, expected) in [
            (0, 0, 50, false),
            (0, 1, 0, true),
            (1, 100, 0, false),
            (1, 2, 50, false),
            (1, 3, 50, true),
            (99, 100, 100, true),
            (100, 100, 100, false),
        ] {
            let panics = is_panic(healthy, instances, percent);
            assert_eq!(panics, expected, "{healthy} of {instances}, {percent}%");
        }
    }

    #[test]
    fn what_is_fed_to_the_wrong_kind_of_check_is_said_to_be() {
        let mut health = heartbeats(None);
        assert!(!health.answered(Attempt(1), Report::Critical, at(1)));
        assert_eq!(health.status(), Status::Passing);
        let settings = CheckSettings {
            kind: CheckKind::Probe(ProbeSettings::default()),
            deregister_after_ms: Some(0),
        };
        assert!(settings.validate().is_err());
        let mut asked = Health::new(&settings, at(0), &mut Seed(0).stream(Purpose::User(0)));
        assert!(!asked.heartbeat(Report::Critical, at(1)));
    }
}
