//! Members and timeouts.

use serde::{Deserialize, Serialize};
use splitbrain_core::NodeId;
use std::sync::Arc;
use std::time::Duration;

/// The longest duration that a setting may have: an hour. Longer is a typing mistake.
const LONGEST_MS: u64 = 3_600_000;

/// What a member is told when it is created.
#[derive(Clone, Debug)]
pub struct Config {
    /// All members, itself included.
    pub members: Arc<[NodeId]>,
    /// The timeouts, the same for all.
    pub settings: Settings,
}

/// The timeouts, in milliseconds. They make sense only relative to each other: see [`Settings::validate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The paper's *T*: the longest time that a message is *assumed* to take. Members do not measure it; timeouts are
    /// checked against it, and the bounds of the invariants follow from it. A network that is slower is not the one
    /// that the algorithm was made for.
    pub message_delay_ms: u64,
    /// How often the coordinator says that it is alive.
    pub heartbeat_ms: u64,
    /// How long a coordinator may be silent before it is suspected.
    pub coordinator_timeout_ms: u64,
    /// How long an election waits for the answer of a higher member.
    pub answer_timeout_ms: u64,
    /// How long a member that was answered waits for the coordinator to announce itself.
    pub coordinator_wait_ms: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            message_delay_ms: 20,
            heartbeat_ms: 50,
            coordinator_timeout_ms: 250,
            answer_timeout_ms: 100,
            coordinator_wait_ms: 200,
        }
    }
}

impl Settings {
    /// Whether the timeouts fit each other: shorter ones would suspect members that are alive, in a timely network.
    ///
    /// # Errors
    /// Which timeout is wrong, and why.
    pub fn validate(&self) -> Result<(), String> {
        for (name, ms) in [
            ("message_delay_ms", self.message_delay_ms),
            ("heartbeat_ms", self.heartbeat_ms),
            ("coordinator_timeout_ms", self.coordinator_timeout_ms),
            ("answer_timeout_ms", self.answer_timeout_ms),
            ("coordinator_wait_ms", self.coordinator_wait_ms),
        ] {
            if !(1..=LONGEST_MS).contains(&ms) {
                return Err(format!("{name} = {ms}: expected 1 to {LONGEST_MS}"));
            }
        }
        let delay = self.message_delay_ms;
        let at_least = |name: &str, ms: u64, least: u64, why: &str| {
            if ms < least {
                Err(format!("{name} = {ms}: expected at least {least}, {why}"))
            } else {
                Ok(())
            }
        };
        at_least(
            "answer_timeout_ms",
            self.answer_timeout_ms,
            2 * delay,
            "twice message_delay_ms, for the question and the answer to travel",
        )?;
        at_least(
            "coordinator_timeout_ms",
            self.coordinator_timeout_ms,
            self.heartbeat_ms + delay,
            "heartbeat_ms and message_delay_ms, for the next heartbeat to arrive",
        )?;
        at_least(
            "coordinator_wait_ms",
            self.coordinator_wait_ms,
            self.answer_timeout_ms + delay,
            "answer_timeout_ms and message_delay_ms, for the other's election to end and its announcement to arrive",
        )
    }

    /// How long two coordinators may coexist in a timely network: while one hands over to the other.
    ///
    /// A higher member that comes back, or goes on after a pause, makes its claim within one heartbeat, and the lower
    /// one steps down when it arrives. Twice that, so that one lost message is no split brain yet.
    pub fn handover(&self) -> Duration {
        Duration::from_millis(2 * (self.heartbeat_ms + self.message_delay_ms))
    }

    /// How long `members` that neither come nor go may take to agree in a timely network, whatever they believed
    /// before.
    ///
    /// At worst a last message of a dead coordinator is still on its way (a message delay). The highest member believes
    /// it, waits in vain for that coordinator (the longer of the two waits; their sum is taken, for margin), holds an
    /// election of its own (an answer timeout) and makes its claim (a heartbeat, if the first is lost, and a delay). A
    /// lower member that loses its patience just then makes those above it ask once more, and they those above them: a
    /// delay for each.
    pub fn settle(&self, members: usize) -> Duration {
        let delays = (members as u64 + 2) * self.message_delay_ms;
        Duration::from_millis(
            self.coordinator_timeout_ms
                + self.coordinator_wait_ms
                + self.answer_timeout_ms
                + self.heartbeat_ms
                + delays,
        )
    }
}

/// The configurations of the members n1 to n`members`.
pub fn cluster(members: usize, settings: Settings) -> Vec<Config> {
    let all: Arc<[NodeId]> = (0..members).map(NodeId::from_index).collect();
    all.iter()
        .map(|_| Config {
            members: Arc::clone(&all),
            settings,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_fit_each_other() {
        Settings::default().validate().unwrap();
        assert_eq!(Settings::default().handover(), Duration::from_millis(140));
        assert_eq!(Settings::default().settle(5), Duration::from_millis(740));
    }

    #[test]
    fn timeouts_that_suspect_the_living_are_refused() {
        let complaint = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            settings.validate().expect_err("refused")
        };
        assert_eq!(
            complaint(|s| s.heartbeat_ms = 0),
            "heartbeat_ms = 0: expected 1 to 3600000"
        );
        assert_eq!(
            complaint(|s| s.coordinator_wait_ms = u64::MAX),
            "coordinator_wait_ms = 18446744073709551615: expected 1 to 3600000"
        );
        for (complaint, least) in [
            (complaint(|s| s.answer_timeout_ms = 39), "at least 40"),
            (complaint(|s| s.coordinator_timeout_ms = 69), "at least 70"),
            (complaint(|s| s.coordinator_wait_ms = 119), "at least 120"),
        ] {
            assert!(complaint.contains(least), "{complaint}");
        }
    }
}
