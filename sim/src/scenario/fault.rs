//! What a scenario says of its faults: kinds, times, victims.

use super::one_or_many::OneOrMany;
use crate::fault::InFlight;
use crate::network::{Bursts, Capacity, Degradation, Direction, Latency, Shape};
use crate::span::Span;
use crate::world::Point;
use serde::{Deserialize, Serialize};
use splitbrain_core::{NodeId, Ratio};

/// One source of faults. With `at` its faults come at fixed times, with `every` at random ones. The kind says which of the
/// other keys belong to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultSpec {
    /// The kind; of several, one is drawn each time.
    pub fault: OneOrMany<FaultKind>,
    /// At this time, or at each of these. Either this or `every`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<OneOrMany<Span>>,
    /// Again and again, this far apart on average: drawn from a half to one and a half of it. Of two, each seed draws an
    /// average of its own between them, every doubling equally likely.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<OneOrMany<Span>>,
    /// With `every`: not before this time. Phases of a run are sources with `from` and `until`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Span>,
    /// With `every`: not at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Span>,
    /// In how many seeds there is this source at all (swarm testing: Groce et al., ISSTA 2012); in all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chance: Option<Ratio>,
    /// How long each lasts: always the same, or drawn between two.
    pub lasting: OneOrMany<Span>,
    /// To whom. Of a partition: who gets the bad place. Of links: whose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub victims: Option<Victims>,
    /// Of several victims: not all at once, but each on its own at some time within this, for a time of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Span>,
    /// Of a partition: its shape, or the shapes to draw from; all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<OneOrMany<Shape>>,
    /// Of a partition: what it does to messages in flight. Drawn for each partition by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<InFlight>,
    /// Of a partition: it comes and goes, each for this long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flap: Option<Span>,
    /// Of a partition with a victim: it ends as soon as the victim is so far behind the one that is ahead, as
    /// [progress](splitbrain_core::Node::progress) counts; `lasting` is the longest that it may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_behind: Option<u64>,
    /// Of a crash: what becomes of records that were not synced; of several, one is drawn each time. Lost by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsynced: Option<OneOrMany<UnsyncedKind>>,
    /// Of a crash at a point: which, or those to draw from; all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<OneOrMany<Point>>,
    /// Of links: those to the victims, from them, or both (by default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Of degraded links: how long a message travels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Of degraded links: how often a message is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Ratio>,
    /// Of degraded links: how often a message arrives twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplication: Option<Ratio>,
    /// Of degraded links: times at which more is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bursts: Option<Bursts>,
    /// Of degraded links: how much fits through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// Of slow processes: how long each event takes, or two to draw between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_event: Option<OneOrMany<Span>>,
    /// Of drifting clocks: between these two, in parts per million; each victim draws its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ppm: Option<[i32; 2]>,
    /// Of clocks that jump or strobe: by a time between these two, in milliseconds; each victim that jumps draws its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_ms: Option<[i64; 2]>,
    /// Of strobing clocks: how often they jump.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Span>,
    /// Of slow disks: how long a sync takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<Latency>,
}

/// The kinds of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Links are cut.
    Partition,
    /// Links are slow, lossy or narrow.
    Degrade,
    /// Links hold what is sent on them, and let it go in the end.
    Clog,
    /// The links of one victim after the other are clogged, and let go in another order (`FoundationDB`'s swizzle).
    Swizzle,
    /// Processes stop, lose what was not synced, and start again.
    Crash,
    /// Processes stop where it hurts: around a sync, after a send, at a change of role.
    CrashAt,
    /// Processes stop, and start again on an empty disk.
    Wipe,
    /// Processes stop with their memory, and resume.
    Pause,
    /// Processes take long for whatever they do.
    Slow,
    /// Monotonic clocks run too fast or too slow.
    Drift,
    /// Wall clocks jump.
    Jump,
    /// Wall clocks jump to and fro.
    Strobe,
    /// Disks take long to sync.
    SlowSync,
    /// Syncs fail.
    FailSync,
    /// Disks are full.
    FullDisk,
    /// A durable record becomes unreadable.
    Corrupt,
}

impl FaultKind {
    /// All kinds.
    pub const ALL: [FaultKind; 16] = [
        FaultKind::Partition,
        FaultKind::Degrade,
        FaultKind::Clog,
        FaultKind::Swizzle,
        FaultKind::Crash,
        FaultKind::CrashAt,
        FaultKind::Wipe,
        FaultKind::Pause,
        FaultKind::Slow,
        FaultKind::Drift,
        FaultKind::Jump,
        FaultKind::Strobe,
        FaultKind::SlowSync,
        FaultKind::FailSync,
        FaultKind::FullDisk,
        FaultKind::Corrupt,
    ];

    /// Its name in scenarios.
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::Partition => "partition",
            FaultKind::Degrade => "degrade",
            FaultKind::Clog => "clog",
            FaultKind::Swizzle => "swizzle",
            FaultKind::Crash => "crash",
            FaultKind::CrashAt => "crash-at",
            FaultKind::Wipe => "wipe",
            FaultKind::Pause => "pause",
            FaultKind::Slow => "slow",
            FaultKind::Drift => "drift",
            FaultKind::Jump => "jump",
            FaultKind::Strobe => "strobe",
            FaultKind::SlowSync => "slow-sync",
            FaultKind::FailSync => "fail-sync",
            FaultKind::FullDisk => "full-disk",
            FaultKind::Corrupt => "corrupt",
        }
    }

    /// The keys that say more about this kind, besides times and victims, and those among them that it needs.
    pub(crate) fn keys(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            FaultKind::Partition => (&["shape", "in_flight", "flap", "until_behind"], &[]),
            FaultKind::Degrade => (
                &[
                    "direction",
                    "latency",
                    "loss",
                    "duplication",
                    "bursts",
                    "capacity",
                ],
                &[],
            ),
            FaultKind::Clog | FaultKind::Swizzle => (&["direction"], &[]),
            FaultKind::Crash => (&["unsynced", "spread"], &[]),
            FaultKind::CrashAt => (&["point"], &[]),
            FaultKind::Slow => (&["per_event", "spread"], &["per_event"]),
            FaultKind::Drift => (&["ppm"], &["ppm"]),
            FaultKind::Jump => (&["by_ms", "spread"], &["by_ms"]),
            FaultKind::Strobe => (&["by_ms", "period", "spread"], &["by_ms", "period"]),
            FaultKind::SlowSync => (&["sync", "spread"], &["sync"]),
            FaultKind::Wipe
            | FaultKind::Pause
            | FaultKind::FailSync
            | FaultKind::FullDisk
            | FaultKind::Corrupt => (&["spread"], &[]),
        }
    }
}

impl FaultSpec {
    /// The keys that say more about a kind, and are said.
    pub(super) fn said(&self) -> Vec<&'static str> {
        let said = [
            ("spread", self.spread.is_some()),
            ("shape", self.shape.is_some()),
            ("in_flight", self.in_flight.is_some()),
            ("flap", self.flap.is_some()),
            ("until_behind", self.until_behind.is_some()),
            ("unsynced", self.unsynced.is_some()),
            ("point", self.point.is_some()),
            ("direction", self.direction.is_some()),
            ("latency", self.latency.is_some()),
            ("loss", self.loss.is_some()),
            ("duplication", self.duplication.is_some()),
            ("bursts", self.bursts.is_some()),
            ("capacity", self.capacity.is_some()),
            ("per_event", self.per_event.is_some()),
            ("ppm", self.ppm.is_some()),
            ("by_ms", self.by_ms.is_some()),
            ("period", self.period.is_some()),
            ("sync", self.sync.is_some()),
        ];
        said.into_iter()
            .filter_map(|(key, said)| said.then_some(key))
            .collect()
    }

    /// Of degraded links: in which respect.
    pub(crate) fn degradation(&self) -> Degradation {
        Degradation {
            latency: self.latency,
            loss: self.loss,
            duplication: self.duplication,
            bursts: self.bursts,
            capacity: self.capacity,
        }
    }
}

/// What becomes of records that were not synced when their node crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnsyncedKind {
    /// They are gone.
    Lost,
    /// Some of the first ones are there after all.
    Kept,
    /// Some of the first ones are there, and the next one is torn.
    Torn,
}

/// Whom a fault is done to, resolved when it is injected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Victims {
    /// One server at random.
    One,
    /// Fewer than half of the servers, as many as possible.
    Minority,
    /// More than half of the servers, as few as possible.
    Majority,
    /// All servers.
    All,
    /// The servers one after the other.
    Rolling,
    /// The interesting server, as the protocol says; a random one while there is none.
    Leader,
    /// A server that is not the interesting one.
    Follower,
    /// A server that waits for its disk; a random one while there is none.
    Syncing,
    /// The server that is least far, of those that run.
    Behind,
    /// The server that is farthest, of those that run, but for the leader.
    Ahead,
    /// A client at random.
    Client,
    /// This node.
    Node(NodeId),
    /// A server that is in this [role](splitbrain_core::Node::role), in the words of its protocol; a random one while
    /// there is none.
    Role(Box<str>),
}

impl Victims {
    const NAMES: [(&'static str, Victims); 11] = [
        ("one", Victims::One),
        ("minority", Victims::Minority),
        ("majority", Victims::Majority),
        ("all", Victims::All),
        ("rolling", Victims::Rolling),
        ("leader", Victims::Leader),
        ("follower", Victims::Follower),
        ("syncing", Victims::Syncing),
        ("behind", Victims::Behind),
        ("ahead", Victims::Ahead),
        ("client", Victims::Client),
    ];

    pub(crate) fn names() -> String {
        Victims::NAMES.map(|(name, _)| name).join(", ")
    }

    /// Whether they are one node, whichever.
    pub(super) fn is_one(&self) -> bool {
        !matches!(self, Victims::Minority | Victims::Majority | Victims::All)
    }
}

/// Whether a word is one for a role, known or not, is found out when the protocol is known.
impl TryFrom<String> for Victims {
    type Error = String;
    fn try_from(text: String) -> Result<Victims, String> {
        let named = Victims::NAMES.into_iter().find(|(name, _)| *name == text);
        if let Some((_, victims)) = named {
            return Ok(victims);
        }
        if let Ok(node) = text.parse() {
            return Ok(Victims::Node(node));
        }
        let is_word = text.len() > 1 && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        if is_word {
            return Ok(Victims::Role(text.into()));
        }
        Err(format!(
            "`{text}` names no victims: expected one of {}, a role, or a node like n1",
            Victims::names()
        ))
    }
}

impl From<Victims> for String {
    fn from(victims: Victims) -> String {
        match victims {
            Victims::Node(node) => node.to_string(),
            Victims::Role(word) => word.into(),
            named => {
                let found = Victims::NAMES
                    .into_iter()
                    .find(|(_, victims)| *victims == named);
                found.map_or(String::new(), |(name, _)| name.to_owned())
            }
        }
    }
}
