//! What happened lately: a sliding window over successes and failures.

use splitbrain_core::{Time, nanos};
use std::collections::VecDeque;
use std::time::Duration;

/// How many parts a window has. What is older than the window is forgotten a part at a time, so that it covers between
/// nine tenths of its length and all of it.
const PARTS: u64 = 10;

/// Successes and failures within a time that ends now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    part_ns: u64,
    /// Ascending by number; only parts in which something happened.
    parts: VecDeque<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    /// Which one since the beginning of time.
    number: u64,
    failures: u64,
    calls: u64,
}

/// What is in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) failures: u64,
    pub(super) calls: u64,
}

impl Window {
    pub(super) fn new(length: Duration) -> Window {
        Window {
            part_ns: (nanos(length) / PARTS).max(1),
            parts: VecDeque::new(),
        }
    }

    pub(super) fn add(&mut self, is_failure: bool, now: Time) {
        let number = self.forget(now);
        if self.parts.back().is_none_or(|part| part.number < number) {
            self.parts.push_back(Part {
                number,
                failures: 0,
                calls: 0,
            });
        }
        if let Some(part) = self.parts.back_mut() {
            part.calls += 1;
            part.failures += u64::from(is_failure);
        }
    }

    pub(super) fn counts(&mut self, now: Time) -> Counts {
        self.forget(now);
        let mut counts = Counts::default();
        for part in &self.parts {
            counts.failures += part.failures;
            counts.calls += part.calls;
        }
        counts
    }

    /// Leaves out what is over; the number of the present part.
    fn forget(&mut self, now: Time) -> u64 {
        let number = now.as_nanos() / self.part_ns;
        let is_over = |part: &Part| part.number + PARTS <= number;
        while self.parts.front().is_some_and(is_over) {
            self.parts.pop_front();
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// All of the last nine tenths is counted, and nothing from before the window.
        #[test]
        fn it_holds_what_happened_lately(
            steps in proptest::collection::vec((0_u64..40, any::<bool>()), 1..60),
        ) {
            let mut window = Window::new(Duration::from_millis(100));
            let (mut now, mut calls) = (0, Vec::new());
            for (wait, is_failure) in steps {
                now += wait;
                calls.push((now, is_failure));
                window.add(is_failure, Time::from_millis(now));
                let counts = window.counts(Time::from_millis(now));
                let within = |age| calls.iter().filter(move |&&(at, _)| at + age > now);
                let failures = |age| within(age).filter(|call| call.1).count() as u64;
                prop_assert!(counts.calls >= within(91).count() as u64);
                prop_assert!(counts.calls <= within(100).count() as u64);
                prop_assert!(counts.failures >= failures(91) && counts.failures <= failures(100));
                prop_assert!(window.parts.len() as u64 <= PARTS);
            }
        }
    }
}
