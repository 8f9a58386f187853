//! Locks: who believes to hold one, and whose accesses a resource accepted.
//!
//! Two properties, told apart, because only one of them can be had with leases (M. Kleppmann, "How to do distributed
//! locking", 2016; the tokens are C. Gray and D. Cheriton's, "Leases", SOSP 1989, and M. Burrows' sequencers, "The Chubby lock
//! service", OSDI 2006, section 2.4):
//!
//! * **Exclusion in time**: at no moment do more clients believe to hold the lock than may. A client that is paused for longer
//!   than its lease lasts violates it, whatever the service does; [`Overlap::holder_paused`] says so.
//! * **Fencing at the resource**: a token is greater than those of all acquisitions before it, and once a resource has seen one, it accepts none that is less.
//!   This must never be violated, paused clients or not.
//!
//! A client holds a lock from when it learns so to when it asks for release, learns that it has lost it, or crashes. Whether an acquisition of unknown
//! outcome succeeded, nobody knows, so that nobody relies on it. Time: O(n log n), and for each acquisition the number of
//! holders at that time.

mod history;

use crate::ProcessId;
use crate::verdict::seconds;
pub use history::{Op, Ret, events};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// The name of a lock, or of a resource.
pub type Name = Arc<str>;

/// How many may hold a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One.
    Mutex,
    /// One writer, or any number of readers.
    ReadWrite,
    /// So many.
    Semaphore {
        /// At least 1.
        permits: usize,
    },
}

/// How a lock is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Alone: a mutex, or as a writer. A permit of a semaphore, too.
    #[default]
    Exclusive,
    /// As a reader.
    Shared,
}

/// Something that a client did or learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub time_ns: u64,
    /// Who.
    pub holder: ProcessId,
    /// What.
    pub what: What,
}

/// What a client did or learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It learnt that it holds a lock.
    Acquired {
        /// Which.
        lock: Name,
        /// How.
        mode: Mode,
        /// When it had asked for it.
        asked_ns: u64,
        /// The fencing token that it was given, if there are any.
        token: Option<u64>,
    },
    /// It gives it back, or has learnt that it does not hold it any more. Nothing, if it does not hold it.
    Released {
        /// Which.
        lock: Name,
    },
    /// It stops for ever, and holds nothing.
    Crashed,
    /// It stops for a while, and goes on to believe.
    Paused,
    /// It goes on.
    Resumed,
}

/// What a resource did with an access, in the order in which it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// When.
    pub time_ns: u64,
    /// Which resource.
    pub resource: Name,
    /// Who accessed it.
    pub holder: ProcessId,
    /// The token it came with.
    pub token: u64,
    /// Whether it was accepted; refused because of its token, otherwise.
    pub accepted: bool,
}

/// What is wrong with a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Too many believed to hold a lock. With leases, that cannot be prevented.
    pub overlaps: Vec<Overlap>,
    /// Tokens that fence nothing, or resources that do not look at them. Never allowed.
    pub fencing: Vec<FencingViolation>,
}

/// Somebody learnt that it holds a lock, while too many others believed to do so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Overlap {
    /// Which lock.
    pub lock: Name,
    /// When.
    pub time_ns: u64,
    /// Who acquired it then.
    pub holder: ProcessId,
    /// Who had it, and since when: the longest of those.
    pub other: ProcessId,
    /// Since when.
    pub other_since_ns: u64,
    /// With the new one.
    pub holders: usize,
    /// How many there may be.
    pub holders_max: usize,
    /// Whether so many of those who had it were paused at that time, and could not learn that they had lost it, that there were
    /// not too many others.
    pub holder_paused: bool,
}

/// Tokens that fence nothing, or a resource that does not look at them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FencingViolation {
    /// An older token was accepted after a newer one.
    #[error("{resource} accepted token {token} of {holder} at {}, after token {newer} of {newer_holder}", seconds(*.time_ns))]
    OldAccepted {
        /// Which resource.
        resource: Name,
        /// When.
        time_ns: u64,
        /// Whose access.
        holder: ProcessId,
        /// Its token.
        token: u64,
        /// The greatest token that had been accepted before.
        newer: u64,
        /// Whose.
        newer_holder: ProcessId,
    },
    /// A token was refused, although no greater one had come.
    #[error("{resource} refused token {token} of {holder} at {}, although no greater one had come", seconds(*.time_ns))]
    NewestRefused {
        /// Which resource.
        resource: Name,
        /// When.
        time_ns: u64,
        /// Whose access.
        holder: ProcessId,
        /// Its token.
        token: u64,
    },
    /// A token was accepted of somebody who was not given it.
    #[error("{resource} accepted token {token} of {holder} at {}, which {holder} was not given", seconds(*.time_ns))]
    NotGiven {
        /// Which resource.
        resource: Name,
        /// When.
        time_ns: u64,
        /// Whose access.
        holder: ProcessId,
        /// Its token.
        token: u64,
    },
    /// Two acquisitions got the same token.
    #[error("{lock}: {holder} got token {token} at {}, which {other} had got before", seconds(*.time_ns))]
    SameToken {
        /// Which lock.
        lock: Name,
        /// When the second one got it.
        time_ns: u64,
        /// Who.
        holder: ProcessId,
        /// The token.
        token: u64,
        /// Who had got it before.
        other: ProcessId,
    },
    /// A later acquisition got a lesser token.
    #[error("{lock}: {holder} asked at {} and got token {token}, but {other} had got token {greater} before", seconds(*.asked_ns))]
    TokenNotGreater {
        /// Which lock.
        lock: Name,
        /// When the later one asked.
        asked_ns: u64,
        /// Who.
        holder: ProcessId,
        /// What it got.
        token: u64,
        /// Who had got more before that.
        other: ProcessId,
        /// What that got.
        greater: u64,
    },
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Overlap {
            lock,
            holder,
            other,
            holders,
            holders_max,
            ..
        } = self;
        let (at, since) = (seconds(self.time_ns), seconds(self.other_since_ns));
        write!(
            f,
            "{lock}: {holder} acquired it at {at}, while {other} held it since {since}"
        )?;
        if *holders_max > 1 {
            write!(f, ": {holders} holders, and at most {holders_max} may be")?;
        }
        if self.holder_paused {
            f.write_str(" (paused then)")?;
        }
        Ok(())
    }
}

/// Everything that is wrong. Events and accesses in order of time.
pub fn check(kind: Kind, events: &[Event], accesses: &[Access]) -> Findings {
    let mut findings = Findings {
        overlaps: overlaps(kind, events),
        fencing: tokens(events),
    };
    let given = events.iter().filter_map(|event| match &event.what {
        What::Acquired { token, .. } => Some((event.holder, (*token)?)),
        _ => None,
    });
    let given: BTreeSet<(ProcessId, u64)> = given.collect();
    findings.fencing.extend(fenced(accesses));
    let not_given = accesses.iter().filter(|access| {
        access.accepted && !events.is_empty() && !given.contains(&(access.holder, access.token))
    });
    let not_given = not_given.map(|access| FencingViolation::NotGiven {
        resource: access.resource.clone(),
        time_ns: access.time_ns,
        holder: access.holder,
        token: access.token,
    });
    findings.fencing.extend(not_given);
    findings
}

/// Somebody who holds a lock.
#[derive(Clone, Copy)]
struct Holding {
    holder: ProcessId,
    mode: Mode,
    since_ns: u64,
}

fn overlaps(kind: Kind, events: &[Event]) -> Vec<Overlap> {
    let mut overlaps = Vec::new();
    let mut held: BTreeMap<&Name, Vec<Holding>> = BTreeMap::new();
    let mut paused: BTreeSet<ProcessId> = BTreeSet::new();
    for Event {
        time_ns,
        holder,
        what,
    } in events
    {
        match what {
            What::Acquired { lock, mode, .. } => {
                let holdings = held.entry(lock).or_default();
                let new = Holding {
                    holder: *holder,
                    mode: *mode,
                    since_ns: *time_ns,
                };
                overlaps.extend(overlap(kind, lock, holdings, new, &paused));
                holdings.push(new);
            }
            What::Released { lock } => {
                if let Some(holdings) = held.get_mut(lock)
                    && let Some(oldest) = holdings.iter().position(|held| held.holder == *holder)
                {
                    holdings.remove(oldest);
                }
            }
            What::Crashed => {
                paused.remove(holder);
                for holdings in held.values_mut() {
                    holdings.retain(|held| held.holder != *holder);
                }
            }
            What::Paused => {
                paused.insert(*holder);
            }
            What::Resumed => {
                paused.remove(holder);
            }
        }
    }
    overlaps
}

/// Whether the new holder is one too many.
fn overlap(
    kind: Kind,
    lock: &Name,
    holdings: &[Holding],
    new: Holding,
    paused: &BTreeSet<ProcessId>,
) -> Option<Overlap> {
    let (conflicting, holders_max): (Vec<&Holding>, usize) = match (kind, new.mode) {
        (Kind::ReadWrite, Mode::Shared) => {
            let writers = holdings.iter().filter(|held| held.mode == Mode::Exclusive);
            (writers.collect(), 1)
        }
        (Kind::Mutex | Kind::ReadWrite, _) => (holdings.iter().collect(), 1),
        (Kind::Semaphore { permits }, _) => (holdings.iter().collect(), permits),
    };
    let other = conflicting
        .first()
        .filter(|_| conflicting.len() >= holders_max)?;
    let awake = conflicting
        .iter()
        .filter(|held| !paused.contains(&held.holder));
    Some(Overlap {
        lock: lock.clone(),
        time_ns: new.since_ns,
        holder: new.holder,
        other: other.holder,
        other_since_ns: other.since_ns,
        holders: conflicting.len() + 1,
        holders_max,
        holder_paused: awake.count() < holders_max,
    })
}

/// An acquisition with a token.
struct Grant {
    holder: ProcessId,
    token: u64,
    asked_ns: u64,
    answered_ns: u64,
}

/// Whether tokens are unique, and grow.
fn tokens(events: &[Event]) -> Vec<FencingViolation> {
    let mut grants: BTreeMap<&Name, Vec<Grant>> = BTreeMap::new();
    for event in events {
        if let What::Acquired {
            lock,
            asked_ns,
            token: Some(token),
            ..
        } = &event.what
        {
            grants.entry(lock).or_default().push(Grant {
                holder: event.holder,
                token: *token,
                asked_ns: *asked_ns,
                answered_ns: event.time_ns,
            });
        }
    }
    let mut found = Vec::new();
    for (lock, grants) in grants {
        let mut owners: BTreeMap<u64, ProcessId> = BTreeMap::new();
        for grant in &grants {
            if let Some(other) = owners.insert(grant.token, grant.holder) {
                found.push(FencingViolation::SameToken {
                    lock: lock.clone(),
                    time_ns: grant.answered_ns,
                    holder: grant.holder,
                    token: grant.token,
                    other,
                });
            }
        }
        // In order of asking, against the greatest that had been answered before.
        let mut asking: Vec<&Grant> = grants.iter().collect();
        asking.sort_by_key(|grant| grant.asked_ns);
        let mut answered = grants.iter().peekable();
        let mut greatest: Option<&Grant> = None;
        for grant in asking {
            while let Some(before) = answered.next_if(|before| before.answered_ns < grant.asked_ns)
            {
                if greatest.is_none_or(|greatest| greatest.token < before.token) {
                    greatest = Some(before);
                }
            }
            if let Some(greatest) = greatest.filter(|greatest| greatest.token > grant.token) {
                found.push(FencingViolation::TokenNotGreater {
                    lock: lock.clone(),
                    asked_ns: grant.asked_ns,
                    holder: grant.holder,
                    token: grant.token,
                    other: greatest.holder,
                    greater: greatest.token,
                });
            }
        }
    }
    found
}

/// What a resource has seen.
#[derive(Default)]
struct Seen {
    /// The greatest token accepted, and whose.
    newest: Option<(u64, ProcessId)>,
    /// The greatest token that came at all.
    came: u64,
}

/// Whether each resource refuses what is older than what it has seen, and nothing else.
fn fenced(accesses: &[Access]) -> Vec<FencingViolation> {
    let mut found = Vec::new();
    let mut resources: BTreeMap<&Name, Seen> = BTreeMap::new();
    for access in accesses {
        let Access {
            time_ns,
            resource,
            holder,
            token,
            accepted,
        } = access;
        let Seen { newest, came } = resources.entry(resource).or_default();
        match *newest {
            Some((newer, newer_holder)) if *accepted && newer > *token => {
                found.push(FencingViolation::OldAccepted {
                    resource: resource.clone(),
                    time_ns: *time_ns,
                    holder: *holder,
                    token: *token,
                    newer,
                    newer_holder,
                });
            }
            _ if *accepted => *newest = Some((*token, *holder)),
            _ if *token >= *came => found.push(FencingViolation::NewestRefused {
                resource: resource.clone(),
                time_ns: *time_ns,
                holder: *holder,
                token: *token,
            }),
            _ => {}
        }
        *came = (*came).max(*token);
    }
    found
}

#[cfg(test)]
mod tests;
