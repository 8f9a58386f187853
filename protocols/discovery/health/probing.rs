//! Asking an instance how it is, and not believing every single answer.

use super::Report;
use crate::discovery::SettingsError;
use crate::discovery::settings::{LARGEST_MS, at_most, within};
use serde::{Deserialize, Serialize};
use splitbrain_core::{Rng, Time};
use std::time::Duration;

/// How often an instance is asked, and what the answers are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProbeSettings {
    /// How long after the beginning of an attempt the next one begins.
    pub interval_ms: u64,
    /// How long an attempt may take before it has failed; at most `interval_ms`, so that there is one at a time.
    pub timeout_ms: u64,
    /// How many successes in a row it takes to become passing.
    pub rise: u64,
    /// How many failures in a row it takes to become critical.
    pub fall: u64,
    /// What the instance counts as before it has been asked.
    pub initial: Initial,
}

/// What an instance counts as before it has been asked, and how soon the first answers change that (`init-state` of
/// HAProxy, and its names).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Initial {
    /// Passing, until it fails as often as any other.
    FullyUp,
    /// Passing, but the first failure makes it critical.
    Up,
    /// Critical, but the first success makes it passing (Envoy, too, believes the first success).
    #[default]
    Down,
    /// Critical, until it succeeds as often as any other.
    FullyDown,
}

/// The thresholds and the interval are HAProxy's defaults.
impl Default for ProbeSettings {
    fn default() -> ProbeSettings {
        ProbeSettings {
            interval_ms: 2000,
            timeout_ms: 1000,
            rise: 2,
            fall: 3,
            initial: Initial::Down,
        }
    }
}

impl ProbeSettings {
    /// Whether a check can work so.
    ///
    /// # Errors
    /// Which setting is wrong, and why.
    pub fn validate(&self) -> Result<(), SettingsError> {
        within("interval_ms", self.interval_ms, 1..=LARGEST_MS)?;
        within("timeout_ms", self.timeout_ms, 1..=LARGEST_MS)?;
        within("rise", self.rise, 1..=1000)?;
        within("fall", self.fall, 1..=1000)?;
        at_most(
            ("timeout_ms", self.timeout_ms),
            ("interval_ms", self.interval_ms),
        )
    }
}

/// How somebody has found an instance to be, for somebody else to go on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It serves: passing, or with a warning.
    Serving(Report),
    /// It has been critical for so long.
    Critical(Duration),
}

/// Which attempt to ask an instance. Answers name it, so that one to an earlier attempt is not taken for one to this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attempt(pub u64);

/// The asking of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probing {
    settings: ProbeSettings,
    /// As of the last event. A warning counts as passing wherever rise and fall are counted.
    report: Report,
    /// Since when it has been critical, by what it answered: nobody knows, before an attempt has failed. Nothing while it is not.
    critical_since: Option<Time>,
    /// How long it had been critical when it was taken over, if it is still the same time.
    critical_before: Duration,
    /// Whether the attempt that was last judged has failed.
    has_failed: bool,
    /// How many answers in a row have said the opposite of `report`.
    opposed: u64,
    /// How many it takes.
    needed: u64,
    /// The last attempt.
    attempt: Attempt,
    /// When the running attempt will have failed. Not later than `next`.
    fails: Option<Time>,
    /// When the next attempt begins.
    next: Time,
    /// How long after that the one after it begins.
    wait: Duration,
}

impl Probing {
    /// Of an instance that is registered now. It is first asked at a random time within an interval.
    pub fn new(settings: ProbeSettings, now: Time, rng: &mut Rng) -> Probing {
        let (report, needed) = match settings.initial {
            Initial::FullyUp => (Report::Passing, settings.fall),
            Initial::Up => (Report::Passing, 1),
            Initial::Down => (Report::Critical, 1),
            Initial::FullyDown => (Report::Critical, settings.rise),
        };
        let interval = Duration::from_millis(settings.interval_ms);
        Probing {
            settings,
            report,
            critical_since: None,
            critical_before: Duration::ZERO,
            has_failed: false,
            opposed: 0,
            needed,
            attempt: Attempt(0),
            fails: None,
            next: now + rng.duration(Duration::ZERO..=interval),
            wait: interval,
        }
    }

    /// Of an instance that somebody else has asked until now, and found to be so: that stands until as many answers in a row say
    /// the opposite as ever. It is first asked at once, and then at a random time within an interval, as others are taken
    /// over together with it.
    pub fn taken_over(
        settings: ProbeSettings,
        found: Finding,
        now: Time,
        rng: &mut Rng,
    ) -> Probing {
        let (report, needed, critical) = match found {
            Finding::Serving(report) => (report, settings.fall, None),
            Finding::Critical(before) => (Report::Critical, settings.rise, Some(before)),
        };
        let timeout = Duration::from_millis(settings.timeout_ms);
        let interval = Duration::from_millis(settings.interval_ms);
        Probing {
            settings,
            report,
            critical_since: critical.map(|_| now),
            critical_before: critical.unwrap_or_default(),
            has_failed: false,
            opposed: 0,
            needed,
            attempt: Attempt(0),
            fails: None,
            next: now,
            wait: rng.duration(timeout..=interval),
        }
    }

    /// How the instance is, as of the last event.
    pub fn report(&self) -> Report {
        self.report
    }

    /// Since when it has been critical without a break, if it is, and an attempt has failed: that it was not asked yet is no
    /// fault of its own.
    pub fn critical_since(&self) -> Option<Time> {
        self.critical_since
    }

    /// How many attempts have begun.
    pub fn attempts(&self) -> u64 {
        self.attempt.0
    }

    /// How long it had been critical already when it was taken over, if it has been since.
    pub fn critical_before(&self) -> Duration {
        self.critical_before
    }

    /// Whether the attempt that was last judged has failed. Not, if none was.
    pub fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Takes the answer to an attempt. Whether it counts: one that comes too late, or twice, does not.
    pub fn answered(&mut self, attempt: Attempt, report: Report, now: Time) -> bool {
        self.expire(now);
        let counts = self.fails.is_some() && attempt == self.attempt;
        if counts {
            self.fails = None;
            self.judge(report, now);
        }
        counts
    }

    /// Lets time pass. The attempt that begins now, if one does.
    #[must_use]
    pub fn tick(&mut self, now: Time) -> Option<Attempt> {
        self.expire(now);
        if self.fails.is_some() || now < self.next {
            return None;
        }
        self.attempt = Attempt(self.attempt.0 + 1);
        self.fails = Some(now + Duration::from_millis(self.settings.timeout_ms));
        self.next = now + self.wait;
        self.wait = Duration::from_millis(self.settings.interval_ms);
        Some(self.attempt)
    }

    /// A running attempt counts as not made, and the next one begins now: whoever asks was away, and silence meanwhile
    /// says nothing of the instance.
    pub fn resume(&mut self, now: Time) {
        self.fails = None;
        self.next = now;
    }

    /// When the running attempt will have failed, or the next one begins.
    pub fn deadline(&self) -> Time {
        self.fails.unwrap_or(self.next)
    }

    fn expire(&mut self, now: Time) {
        if let Some(failed) = self.fails.filter(|&fails| now >= fails) {
            self.fails = None;
            self.judge(Report::Critical, failed);
        }
    }

    fn judge(&mut self, answer: Report, now: Time) {
        let (was_up, is_up) = (self.report != Report::Critical, answer != Report::Critical);
        let (rise, fall) = (self.settings.rise, self.settings.fall);
        self.has_failed = !is_up;
        if is_up == was_up {
            // Once it has been confirmed, the initial state is as good as any other.
            self.needed = if is_up { fall } else { rise };
            self.opposed = 0;
            self.report = answer;
            if !is_up {
                self.critical_since.get_or_insert(now);
            }
            return;
        }
        self.opposed += 1;
        if self.opposed < self.needed {
            return;
        }
        self.opposed = 0;
        self.needed = if is_up { fall } else { rise };
        self.report = answer;
        self.critical_since = (!is_up).then_some(now);
        self.critical_before = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use splitbrain_core::{Purpose, Seed};

    const SETTINGS: ProbeSettings = ProbeSettings {
        interval_ms: 100,
        timeout_ms: 40,
        rise: 2,
        fall: 3,
        initial: Initial::Down,
    };

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    fn probing(initial: Initial) -> Probing {
        let settings = ProbeSettings {
            initial,
            ..SETTINGS
        };
        settings.validate().unwrap();
        Probing::new(settings, at(0), &mut Seed(0).stream(Purpose::User(0)))
    }

    /// Asks when it is time to, and answers at once: `+` for passing, `w` for a warning, `-` for critical, and with silence
    /// for a dot. What it is after each.
    fn after(mut check: Probing, answers: &str) -> String {
        let mut said = String::new();
        for answer in answers.chars() {
            let now = check.deadline();
            let attempt = check.tick(now).expect("nothing is running");
            let report = match answer {
                '+' => Some(Report::Passing),
                'w' => Some(Report::Warning),
                '-' => Some(Report::Critical),
                _ => None,
            };
            match report {
                Some(report) => assert!(check.answered(attempt, report, now)),
                None => assert_eq!(check.tick(check.deadline()), None),
            }
            said.push(match check.report() {
                Report::Passing => '+',
                Report::Warning => 'w',
                Report::Critical => '-',
            });
        }
        said
    }

    #[test]
    fn it_takes_answers_in_a_row_to_change_it() {
        assert_eq!(after(probing(Initial::Down), "+--+---+-++"), "++++++----+");
        assert_eq!(after(probing(Initial::Up), "+..+.-.+"), "++++++--");
    }

    #[test]
    fn the_initial_state_says_how_soon_the_first_answers_count() {
        assert_eq!(after(probing(Initial::FullyUp), "--+---"), "+++++-");
        assert_eq!(after(probing(Initial::FullyUp), "---"), "++-");
        assert_eq!(after(probing(Initial::Up), "-"), "-");
        assert_eq!(after(probing(Initial::Up), "+--"), "+++");
        assert_eq!(after(probing(Initial::Down), "+"), "+");
        assert_eq!(after(probing(Initial::Down), "-++"), "--+");
        assert_eq!(after(probing(Initial::FullyDown), "+-++"), "---+");
    }

    #[test]
    fn a_warning_is_a_success() {
        assert_eq!(after(probing(Initial::Down), "w+w--w---ww"), "w+wwwwww--w");
    }

    #[test]
    fn silence_is_a_failure_at_its_timeout_and_a_late_answer_does_not_count() {
        let mut check = probing(Initial::Up);
        let asked = check.deadline();
        let first = check.tick(asked).unwrap();
        let timeout = asked + Duration::from_millis(40);
        assert_eq!(check.deadline(), timeout);
        assert_eq!(check.tick(timeout - Duration::from_nanos(1)), None);
        assert_eq!(check.report(), Report::Passing);
        assert!(!check.answered(first, Report::Passing, timeout));
        assert_eq!(check.critical_since(), Some(timeout));
        // The next attempt begins an interval after this one began, and is another one.
        let next = asked + Duration::from_millis(100);
        assert_eq!(check.deadline(), next);
        let second = check.tick(next).unwrap();
        assert!(!check.answered(first, Report::Passing, next));
        assert!(check.answered(second, Report::Critical, next));
        assert!(!check.answered(second, Report::Passing, next), "twice");
        assert_eq!(
            check.critical_since(),
            Some(timeout),
            "since the first failure"
        );
    }

    #[test]
    fn who_was_not_asked_yet_is_critical_since_no_time_at_all() {
        let mut check = probing(Initial::Down);
        assert_eq!(check.report(), Report::Critical);
        let asked = check.deadline();
        let first = check.tick(asked).unwrap();
        assert_eq!(check.critical_since(), None);
        assert!(check.answered(first, Report::Critical, asked));
        assert_eq!(check.critical_since(), Some(asked));
        let second = check.tick(check.deadline()).unwrap();
        assert_eq!(check.tick(check.deadline()), None, "it failed");
        assert_eq!(check.critical_since(), Some(asked), "since the first one");
        assert!(!check.answered(second, Report::Passing, check.deadline()));
    }

    #[test]
    fn who_was_away_asks_again_and_blames_nobody() {
        let mut check = probing(Initial::Up);
        let lost = check.tick(check.deadline()).unwrap();
        check.resume(at(9000));
        assert_eq!(check.report(), Report::Passing);
        assert!(!check.answered(lost, Report::Critical, at(9000)));
        assert!(check.tick(at(9000)).is_some());
    }

    #[test]
    fn what_is_taken_over_stands_until_enough_answers_say_otherwise() {
        let mut rng = Seed(1).stream(Purpose::User(0));
        let mut over = |found| Probing::taken_over(SETTINGS, found, at(700), &mut rng);
        let passing = Finding::Serving(Report::Passing);
        let critical = Finding::Critical(Duration::from_millis(60));
        assert_eq!(over(passing).deadline(), at(700));
        assert_eq!(over(passing).report(), Report::Passing);
        let warning = over(Finding::Serving(Report::Warning));
        assert_eq!(warning.report(), Report::Warning);
        assert_eq!(after(over(passing), "--+---"), "+++++-");
        assert_eq!(after(over(critical), "+-++"), "---+");
        assert_eq!(over(critical).critical_since(), Some(at(700)));
        // All are asked at once, and not together ever after.
        let mut seconds: Vec<Time> = (0..20)
            .map(|_| over(passing))
            .map(|mut check| {
                let attempt = check.tick(at(700)).unwrap();
                assert!(check.answered(attempt, Report::Passing, at(700)));
                let second = check.deadline();
                assert!(check.tick(second).is_some() && second > at(700));
                assert_eq!(check.tick(check.deadline()), None, "the timeout");
                assert_eq!(check.deadline(), second + Duration::from_millis(100));
                second
            })
            .collect();
        seconds.sort();
        seconds.dedup();
        assert!(seconds.len() > 10);
    }

    #[test]
    fn what_begins_together_is_not_asked_together() {
        let mut rng = Seed(1).stream(Purpose::User(0));
        let firsts: Vec<Time> = (0..100)
            .map(|_| Probing::new(SETTINGS, at(0), &mut rng).deadline())
            .collect();
        assert!(firsts.iter().all(|&first| first <= at(100)));
        for tenth in 0..10 {
            let within = at(tenth * 10)..at(tenth * 10 + 10);
            assert!(firsts.iter().any(|first| within.contains(first)), "{tenth}");
        }
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let refused = |change: fn(&mut ProbeSettings)| {
            let mut settings = SETTINGS;
            change(&mut settings);
            settings.validate().unwrap_err().to_string()
        };
        assert_eq!(refused(|it| it.rise = 0), "rise = 0: expected 1 to 1000");
        assert_eq!(
            refused(|it| it.timeout_ms = 101),
            "timeout_ms = 101: expected at most interval_ms (100)"
        );
    }

    proptest! {
        /// It only ever becomes critical after `fall` failures in a row, and passing after `rise` successes in a row.
        #[test]
        fn it_changes_only_after_enough_in_a_row(answers in "[+.-]{0,60}") {
            let said: Vec<char> = after(probing(Initial::FullyUp), &answers).chars().collect();
            let answers: Vec<char> = answers.chars().map(|it| if it == '.' { '-' } else { it }).collect();
            let mut before = '+';
            for (index, &now) in said.iter().enumerate() {
                let needed = if before == '+' { 3 } else { 2 };
                let other = if before == '+' { '-' } else { '+' };
                let row = index + 1 >= needed
                    && answers[index + 1 - needed..=index].iter().all(|&it| it == other);
                prop_assert_eq!(now, if row { other } else { before });
                before = now;
            }
        }
    }
}
