//! The one trait that a protocol implements.

use crate::{Context, Journal, NodeId, OpId, SyncId};
use std::fmt::{self, Debug};
use std::hash::Hash;

/// A node of a protocol: a pure state machine. An event goes in, effects come out through the [`Context`].
///
/// A node has no clock, socket, file, thread or randomness of its own. That is why the same node runs in the
/// kernel at millions of events a second, line by line in an interaction script, and over a real network; and, as
/// it is `Clone`, can be forked at an interesting moment.
///
/// Clients are nodes too (an `enum` of roles makes a heterogeneous cluster): their requests, retries and redirects
/// travel the same bad network as everything else.
///
/// A handler runs in no virtual time. It may panic when an assertion of the protocol fails: the run ends with the
/// finding *panic*. It must not loop for ever; a loop through messages or timers at one instant is detected as a
/// livelock, a loop inside a handler cannot be.
pub trait Node: Clone + Sized {
    /// What nodes send each other. Cloned only when the network duplicates it.
    type Message: Clone + Debug;
    /// The kinds of timer a node has: a small enum. There is one slot per kind; setting it again replaces it.
    type Timer: Copy + Ord + Debug;
    /// What is written to the journal.
    type Record: Clone + Debug;
    /// An operation that a client asks for.
    type Op: Clone + Debug + Hash;
    /// The answer to an operation.
    type Ret: Clone + Debug + Hash;
    /// What a node is told when it is created, the same in every incarnation: its peers, its timeouts.
    type Config: Clone + Debug;

    /// Every probe that there is in the handlers, so that those that are never reached are known, too. See
    /// [`probe!`](crate::probe!).
    const PROBES: &'static [&'static str] = &[];

    /// The words that [`role`](Node::role) may say.
    const ROLES: &'static [&'static str] = &[];

    /// What is on the disk of a node before it starts for the first time. A protocol that writes something here can tell
    /// its first start from one on a disk that was wiped.
    fn format(_config: &Self::Config) -> Vec<Self::Record> {
        Vec::new()
    }

    /// Starts the node, for the first time (the journal is what [`format`](Node::format) wrote) or again after a crash,
    /// with what was durable, as far as it can be read.
    fn start(
        config: &Self::Config,
        journal: Journal<Self::Record>,
        cx: &mut Context<'_, Self>,
    ) -> Self;

    /// A message has arrived. Messages may be lost, duplicated, delayed and reordered; they are not forged.
    fn on_message(&mut self, from: NodeId, message: Self::Message, cx: &mut Context<'_, Self>);

    /// A timer has run out. Its slot is empty again.
    fn on_timer(&mut self, timer: Self::Timer, cx: &mut Context<'_, Self>);

    /// A client operation begins at this node, which must answer with [`Context::complete`] at some time.
    fn on_invoke(&mut self, id: OpId, op: Self::Op, cx: &mut Context<'_, Self>);

    /// Everything appended before this [`sync`](Context::sync) is durable, and what the node sent behind it has left.
    fn on_synced(&mut self, _sync: SyncId, _cx: &mut Context<'_, Self>) {}

    /// This sync, and every one before it that was not durable yet, has failed. What was to leave behind it is gone. Of
    /// what was appended since the last durable sync nothing may be assumed: it may be on the disk, wholly or in part,
    /// or not at all, whatever later syncs say. By default the process ends, and a restart finds out.
    fn on_sync_failed(&mut self, _sync: SyncId, error: SyncError, cx: &mut Context<'_, Self>) {
        cx.halt(error.to_string());
    }

    /// What the node is doing now, in one of the words of [`ROLES`](Node::ROLES): `leader`, `candidate`. Faults choose
    /// their victims by it.
    fn role(&self) -> &'static str {
        ""
    }

    /// How far the node has come, in a number that only grows while it runs (a commit index): it tells who is behind.
    fn progress(&self) -> u64 {
        0
    }

    /// The size of a message on a link of limited capacity, in bytes.
    fn size_bytes(message: &Self::Message) -> usize {
        size_of_val(message)
    }
}

/// Why a sync failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SyncError {
    /// The device says that it could not.
    Device,
    /// There is no room: nothing of what was appended is on the disk, and a shorter journal would fit.
    Full,
}

impl fmt::Display for SyncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            SyncError::Device => "a sync failed: the device reports an error",
            SyncError::Full => "a sync failed: the disk is full",
        })
    }
}

/// How an operation ended, as far as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome<Ret> {
    /// It took effect, and this is its answer.
    Ok(Ret),
    /// It certainly did not take effect, and never will; why.
    Fail(&'static str),
    /// Nobody knows: it may have taken effect, may still do so at any later time, or never. A timeout is this.
    Info,
}

impl<Ret> Outcome<Ret> {
    /// The same, with another answer in place of this one.
    pub fn map<Other>(self, answer: impl FnOnce(Ret) -> Other) -> Outcome<Other> {
        match self {
            Outcome::Ok(ret) => Outcome::Ok(answer(ret)),
            Outcome::Fail(why) => Outcome::Fail(why),
            Outcome::Info => Outcome::Info,
        }
    }
}
