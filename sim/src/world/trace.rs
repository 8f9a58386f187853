//! What happened, in words: for replays, never for campaigns (law 10).

use splitbrain_check::ProcessId;
use splitbrain_core::{NodeId, Time};
use std::fmt;

/// How much to write down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TraceDetail {
    /// What a timeline shows: notes of nodes, faults, operations.
    Notes,
    /// Every message, timer and sync as well.
    Everything,
}

/// The events of a run, in order.
#[derive(Clone, Debug)]
pub struct Trace {
    /// How much is written down.
    pub detail: TraceDetail,
    /// In the order in which they happened.
    pub events: Vec<TraceEvent>,
}

/// One line of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceEvent {
    /// When.
    pub at: Time,
    /// What.
    pub what: What,
}

/// What a trace tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A node says something of itself.
    Note {
        /// Which.
        node: NodeId,
        /// What it says.
        words: String,
    },
    /// A fault begins or ends.
    Fault {
        /// The nodes it is done to.
        nodes: Vec<NodeId>,
        /// What it is.
        words: String,
    },
    /// An operation begins.
    Invoke {
        /// Where.
        node: NodeId,
        /// Who asks.
        process: ProcessId,
        /// What for.
        op: String,
    },
    /// An operation ends.
    End {
        /// Where.
        node: NodeId,
        /// Who asked.
        process: ProcessId,
        /// `ok`, `fail` or `info`, and the answer.
        outcome: String,
    },
    /// A node starts.
    Start {
        /// Which.
        node: NodeId,
        /// How often it had crashed.
        incarnation: u32,
    },
    /// A message leaves.
    Send {
        /// From here.
        from: NodeId,
        /// To there.
        to: NodeId,
        /// What it says.
        message: String,
    },
    /// A message is lost.
    Drop {
        /// From here.
        from: NodeId,
        /// To there.
        to: NodeId,
        /// The reason.
        why: &'static str,
    },
    /// A message arrives.
    Deliver {
        /// From here.
        from: NodeId,
        /// There.
        to: NodeId,
        /// What it says.
        message: String,
    },
    /// A timer runs out.
    Timer {
        /// Where.
        node: NodeId,
        /// Its kind.
        timer: String,
    },
    /// A sync becomes durable.
    Synced {
        /// Where.
        node: NodeId,
    },
    /// A probe is reached.
    Probe {
        /// Where.
        node: NodeId,
        /// Its text.
        probe: &'static str,
    },
}

impl Trace {
    /// Nothing yet.
    pub fn new(detail: TraceDetail) -> Trace {
        Trace {
            detail,
            events: Vec::new(),
        }
    }

    /// Adds what happens now.
    pub fn push(&mut self, at: Time, what: What) {
        self.events.push(TraceEvent { at, what });
    }
}

impl fmt::Display for TraceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.at.as_nanos();
        write!(
            f,
            "{:>4}.{:09} {}",
            nanos / 1_000_000_000,
            nanos % 1_000_000_000,
            self.what
        )
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Note { node, words } => write!(f, "{node}  {words}"),
            What::Fault { nodes, words } => {
                let nodes: Vec<String> = nodes.iter().map(NodeId::to_string).collect();
                write!(f, "FAULT {words} [{}]", nodes.join(" "))
            }
            What::Invoke { node, process, op } => write!(f, "{node}  {process} invokes {op}"),
            What::End {
                node,
                process,
                outcome,
            } => write!(f, "{node}  {process} {outcome}"),
            What::Start {
                node,
                incarnation: 0,
            } => write!(f, "{node}  starts"),
            What::Start { node, incarnation } => {
                write!(f, "{node}  restarts (crash {incarnation})")
            }
            What::Send { from, to, message } => write!(f, "{from} --> {to}  {message}"),
            What::Drop { from, to, why } => write!(f, "{from} -x- {to}  dropped: {why}"),
            What::Deliver { from, to, message } => write!(f, "{to} <-- {from}  {message}"),
            What::Timer { node, timer } => write!(f, "{node}  timer {timer}"),
            What::Synced { node } => write!(f, "{node}  synced"),
            What::Probe { node, probe } => write!(f, "{node}  reached: {probe}"),
        }
    }
}
