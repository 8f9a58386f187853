//! The clocks of one node: what it may know of time.

use splitbrain_core::{Time, nanos};
use std::time::Duration;

/// A million: drift is stated in parts of it.
const PPM: i128 = 1_000_000;

/// The clocks of a node. The harness keeps true time; the node sees only these.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    /// How much too fast the monotonic clock is to run, in parts per million, all faults together; too slow if negative.
    drift_ppm: i64,
    /// What the monotonic clock showed at `since`, when its speed last changed.
    shown: Time,
    since: Time,
    /// How far the wall clock is off from true time, in nanoseconds, but for drift.
    offset_ns: i64,
    /// Of several, the last counts.
    strobes: Vec<Strobe>,
}

/// A wall clock that jumps to and fro.
#[derive(Clone, Copy, Debug)]
struct Strobe {
    /// Which fault does this: it alone may end it.
    fault: u32,
    since: Time,
    by_ns: i64,
    every_ns: u64,
}

impl Clock {
    pub(super) fn new() -> Clock {
        Clock {
            drift_ppm: 0,
            shown: Time::ZERO,
            since: Time::ZERO,
            offset_ns: 0,
            strobes: Vec::new(),
        }
    }

    /// The monotonic clock.
    pub(super) fn monotonic(&self, now: Time) -> Time {
        let passed = scale(nanos(now.since(self.since)), self.speed(), PPM);
        self.shown + Duration::from_nanos(passed)
    }

    /// The wall clock.
    pub(super) fn wall(&self, now: Time) -> Time {
        let strobed = self.strobes.last().map_or(0, |strobe| {
            let swings = nanos(now.since(strobe.since)) / strobe.every_ns.max(1);
            if swings.is_multiple_of(2) {
                strobe.by_ns
            } else {
                0
            }
        });
        let off = self.offset_ns.saturating_add(strobed);
        let shown = self.monotonic(now).as_nanos();
        Time::from_nanos(shown.saturating_add_signed(off))
    }

    /// How far the monotonic clock goes in a million nanoseconds. However many faults slow it down, it goes on.
    fn speed(&self) -> i128 {
        (PPM + i128::from(self.drift_ppm)).max(PPM / 10)
    }

    /// How much true time passes while the monotonic clock runs for this long.
    pub(super) fn true_time(&self, shown: Duration) -> Duration {
        // Rounded up: no timer runs out early by the clock of its own node.
        let product = i128::from(nanos(shown)) * PPM;
        let speed = self.speed();
        let true_ns = (product + speed - 1) / speed;
        Duration::from_nanos(u64::try_from(true_ns).unwrap_or(u64::MAX))
    }

    /// Changes the speed by so many parts per million.
    pub(super) fn drift(&mut self, by_ppm: i32, now: Time) {
        self.shown = self.monotonic(now);
        self.since = now;
        self.drift_ppm += i64::from(by_ppm);
    }

    /// Moves the wall clock.
    pub(super) fn jump(&mut self, by_ns: i64) {
        self.offset_ns = self.offset_ns.saturating_add(by_ns);
    }

    pub(super) fn strobe(&mut self, fault: u32, by_ns: i64, every: Duration, now: Time) {
        self.strobes.push(Strobe {
            fault,
            since: now,
            by_ns,
            every_ns: nanos(every),
        });
    }

    pub(super) fn end_strobe(&mut self, fault: u32) {
        self.strobes.retain(|strobe| strobe.fault != fault);
    }
}

fn scale(ns: u64, numerator: i128, denominator: i128) -> u64 {
    u64::try_from(i128::from(ns) * numerator / denominator.max(1)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    #[test]
    fn drift_changes_speed_and_nothing_jumps() {
        let mut clock = Clock::new();
        assert_eq!(clock.monotonic(at(1000)), at(1000));
        clock.drift(100_000, at(1000));
        assert_eq!(clock.monotonic(at(1000)), at(1000));
        assert_eq!(clock.monotonic(at(2000)), at(2100));
        clock.drift(-200_000, at(2000));
        assert_eq!(clock.monotonic(at(3000)), at(3000));
        assert_eq!(
            clock.true_time(Duration::from_millis(90)),
            Duration::from_millis(100)
        );
        clock.drift(100_000, at(3000));
        assert_eq!(clock.wall(at(9000)), at(9000));
    }

    #[test]
    fn a_wall_clock_jumps_and_strobes_and_the_other_does_not() {
        let mut clock = Clock::new();
        clock.jump(-500_000_000);
        assert_eq!(clock.wall(at(2000)), at(1500));
        assert_eq!(
            clock.wall(at(100)),
            Time::ZERO,
            "no time is before the start"
        );
        clock.strobe(7, 1_000_000_000, Duration::from_millis(10), at(2000));
        let shown = [2000, 2009, 2010, 2020].map(|ms| clock.wall(at(ms)));
        assert_eq!(shown, [2500, 2509, 1510, 2520].map(at));
        clock.end_strobe(6);
        assert_eq!(clock.wall(at(2000)), at(2500));
        clock.end_strobe(7);
        clock.jump(500_000_000);
        assert_eq!(clock.wall(at(2000)), at(2000));
        assert_eq!(clock.monotonic(at(2000)), at(2000));
    }
}
