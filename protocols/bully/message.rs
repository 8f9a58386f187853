//! What members say, wait for, and are asked.

use serde::{Deserialize, Serialize};

/// What members say to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// To every higher member: are you alive? Then see to the election.
    Election,
    /// To a lower member that holds an election: I am alive, leave it to me.
    Answer,
    /// To everybody: from now on I coordinate. To a lower one that claims or seeks to: no, I do.
    Coordinator,
    /// To everybody, again and again: I still coordinate.
    Heartbeat,
}

/// What a member waits for. It waits for one thing at a time: each role has its timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// For answers to its election. Afterwards no higher member is alive.
    Answer,
    /// For the coordinator to announce itself, after an answer. Afterwards whoever answered has died.
    Coordinator,
    /// For a heartbeat of its coordinator. Afterwards that one is suspected.
    Silence,
    /// For the time of its own next heartbeat.
    Heartbeat,
}

/// What a client can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "f", rename_all = "kebab-case")]
pub enum Op {
    /// Whom does this member obey? It answers at once, from what it believes; nobody during an election.
    Coordinator,
}

/// The journal's records: there are none. A member remembers nothing; it asks around when it comes back.
#[derive(Clone, Copy, Debug)]
pub enum Nothing {}
