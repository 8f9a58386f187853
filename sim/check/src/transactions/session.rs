//! Session guarantees (Terry et al., "Session guarantees for weakly consistent replicated data", PDIS 1994), for registers with distinct
//! values.
//!
//! A guarantee holds if each register can have had its values in *some* order with which everything agrees that the guarantee promises. So
//! each promise is an edge between two versions, and a circle among them is a violation. What each process wrote to a key itself is taken to be in its
//! order where it matters (its second write was asked for after the first). Monotonic writes and writes follow reads promise
//! something about what others see, which shows only when they look twice: they are held against what a process sees after it has seen something
//! that was written later.

use super::graph::{Graph, Link};
use super::history::{History, Key, Micro, Seen, Status};
use super::report::Unfit;
use super::versions::{Lookup, Versions, by_key, committed, fits, versions};
use super::words::show;
use crate::{ProcessId, Shown, Verdict};
use rustc_hash::FxHashMap;
use std::fmt;

/// A session guarantee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Guarantee {
    /// What a process reads is never older than what it wrote itself.
    ReadYourWrites,
    /// What a process reads is never older than what it read before.
    MonotonicReads,
    /// The writes of each process are seen in its order.
    MonotonicWrites,
    /// What a process wrote after it had read something is seen after that.
    WritesFollowReads,
}

impl Guarantee {
    /// All.
    pub const ALL: [Guarantee; 4] = [
        Guarantee::ReadYourWrites,
        Guarantee::MonotonicReads,
        Guarantee::MonotonicWrites,
        Guarantee::WritesFollowReads,
    ];
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Guarantee::ReadYourWrites => "read your writes",
            Guarantee::MonotonicReads => "monotonic reads",
            Guarantee::MonotonicWrites => "monotonic writes",
            Guarantee::WritesFollowReads => "writes follow reads",
        })
    }
}

/// Why a history does not have a guarantee: versions of a register that come before each other in a circle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionViolation {
    /// Which guarantee.
    pub guarantee: Guarantee,
    /// Of which register.
    pub key: String,
    /// Each version before the next, and the last before the first.
    pub steps: Vec<SessionStep>,
}

/// One version that comes before the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionStep {
    /// The version, in words.
    pub version: String,
    /// Why it comes before the next one, in words.
    pub why: String,
    /// The transactions that show it.
    pub transactions: Vec<Shown>,
}

impl fmt::Display for SessionViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no {}: versions of {} in a circle",
            self.guarantee, self.key
        )?;
        for (index, step) in self.steps.iter().enumerate() {
            let next = &self.steps[(index + 1) % self.steps.len()].version;
            write!(f, "\n  {} before {next}: {}", step.version, step.why)?;
            for transaction in &step.transactions {
                write!(f, "\n     {}", transaction.words)?;
            }
        }
        Ok(())
    }
}

/// Why one version comes before another.
#[derive(Clone, Copy)]
enum Why {
    Initial,
    /// A process did the first in one transaction, and then the second in another: what it did is in the words.
    Same(u32, u32, &'static str),
    /// The reader saw what the third transaction wrote, which was done after the second by the same process, and then read this.
    Through {
        reader: u32,
        earlier: u32,
        seen: u32,
        wrote: bool,
    },
}

/// A step of a process.
#[derive(Clone, Copy)]
struct Step {
    key: Key,
    transaction: u32,
    version: u32,
    write: bool,
}

/// Whether the history has the guarantee.
///
/// Reads of what nobody wrote are left out; [`check_registers`](super::check_registers) finds them. Time: linear in the number of steps for the first two, times
/// the number of processes that write the same register for the others.
///
/// # Errors
/// If there are steps on lists, a value was written to a key twice, or a committed read has no answer.
pub fn check_session(
    history: &History,
    guarantee: Guarantee,
) -> Result<Verdict<SessionViolation>, Unfit> {
    fits(history, false)?;
    let versions = versions(history);
    let sessions = sessions(history, &versions)?;
    let mut promises = Promises {
        versions: &versions,
        links: Vec::new(),
        critical: Vec::new(),
    };
    let initial = versions.all.len() as u32;
    for (version, of) in (0..).zip(&versions.all) {
        promises.add(initial + of.key.0, version, Why::Initial, false);
    }
    for session in &sessions {
        promises.own(session, guarantee);
    }
    if matches!(
        guarantee,
        Guarantee::MonotonicWrites | Guarantee::WritesFollowReads
    ) {
        promises.through(&sessions, guarantee, history.key_count());
    }
    let nodes = versions.all.len() + history.key_count();
    let graph = Graph::new(nodes, &promises.links);
    let components = graph.components(|_| true);
    let inside = |link: &&Link<Why>| components.inside(link.from, link.to);
    let Some(critical) = promises.critical.iter().find(inside) else {
        return Ok(Verdict::Valid);
    };
    let mut circle = vec![*critical];
    circle.extend(
        graph
            .walk(&components, critical.to, critical.from)
            .into_iter()
            .flatten(),
    );
    Ok(Verdict::Invalid(violation(
        history, &versions, guarantee, &circle,
    )))
}

fn violation(
    history: &History,
    versions: &Versions,
    guarantee: Guarantee,
    circle: &[Link<Why>],
) -> SessionViolation {
    let name = |version: u32| match versions.all.get(version as usize) {
        None => "nothing".to_owned(),
        Some(version) => history.value_name(version.value).to_string(),
    };
    let key = match versions.all.get(circle[0].from as usize) {
        Some(version) => version.key,
        None => Key(circle[0].from - versions.all.len() as u32),
    };
    let step = |link: &Link<Why>| {
        let (why, transactions) = match link.label {
            Why::Initial => ("that is how it was at first".to_owned(), vec![]),
            Why::Same(first, second, words) => (words.to_owned(), vec![first, second]),
            Why::Through {
                reader,
                earlier,
                seen,
                wrote,
            } => {
                let did = if wrote { "wrote" } else { "saw" };
                let why =
                    format!("a process {did} it before it wrote what the reader had seen by then");
                (why, vec![earlier, seen, reader])
            }
        };
        let shown = transactions
            .into_iter()
            .map(|transaction| show(history, transaction));
        SessionStep {
            version: name(link.from),
            why,
            transactions: shown.collect(),
        }
    };
    SessionViolation {
        guarantee,
        key: history.key_name(key).to_string(),
        steps: circle.iter().map(step).collect(),
    }
}

/// The steps of committed transactions, by process, in order.
fn sessions(history: &History, versions: &Versions) -> Result<Vec<Vec<Step>>, Unfit> {
    let committed = committed(history);
    let mut steps: Vec<(Step, Option<super::history::Value>, u32)> = Vec::new();
    for (index, transaction) in (0..).zip(history.transactions()) {
        if transaction.status == Status::Fail {
            continue;
        }
        for micro in history.micros(transaction) {
            let (write, value) = match *micro {
                Micro::Write { value, .. } => (true, Some(value)),
                Micro::Read { seen, .. } if committed[index as usize] => match seen {
                    Seen::Value(value) => (false, Some(value)),
                    _ => (false, None),
                },
                _ => continue,
            };
            let step = Step {
                key: micro.key(),
                transaction: index,
                version: u32::MAX,
                write,
            };
            let place = steps.len() as u32;
            steps.push((step, value, place));
        }
    }
    let (sorted, starts) = by_key(&steps, history.key_count(), |(step, ..)| step.key);
    let mut lookup = Lookup::new(history);
    for key in 0..history.key_count() {
        lookup.turn(history, versions, key)?;
        for (_, value, place) in &sorted[starts[key] as usize..starts[key + 1] as usize] {
            let version = match value {
                None => Some((versions.all.len() + key) as u32),
                Some(value) => lookup.find(key, *value),
            };
            steps[*place as usize].0.version = version.unwrap_or(u32::MAX);
        }
    }
    let mut numbers: FxHashMap<ProcessId, usize> = FxHashMap::default();
    let mut sessions: Vec<Vec<Step>> = Vec::new();
    for (step, ..) in steps {
        if step.version == u32::MAX {
            continue;
        }
        let process = history.transactions()[step.transaction as usize].process;
        let next = sessions.len();
        let session = *numbers.entry(process).or_insert(next);
        if session == next {
            sessions.push(Vec::new());
        }
        sessions[session].push(step);
    }
    Ok(sessions)
}

struct Promises<'a> {
    versions: &'a Versions,
    links: Vec<Link<Why>>,
    /// Those that the guarantee is about: a circle of others is another one's.
    critical: Vec<Link<Why>>,
}

impl Promises<'_> {
    fn add(&mut self, from: u32, to: u32, label: Why, critical: bool) {
        if from == to {
            return;
        }
        let link = Link { from, to, label };
        self.links.push(link);
        if critical {
            self.critical.push(link);
        }
    }

    /// What follows from what one process did.
    fn own(&mut self, session: &[Step], guarantee: Guarantee) {
        let mut wrote: FxHashMap<Key, Step> = FxHashMap::default();
        let mut read: FxHashMap<Key, Step> = FxHashMap::default();
        for step in session {
            let (own, seen) = (wrote.get(&step.key), read.get(&step.key));
            let mut add = |before: Option<&Step>, critical, words| {
                if let Some(before) = before {
                    let why = Why::Same(before.transaction, step.transaction, words);
                    self.add(before.version, step.version, why, critical);
                }
            };
            match (guarantee, step.write) {
                (Guarantee::ReadYourWrites, false) => {
                    add(own, true, "it wrote it, and then saw the other");
                }
                (Guarantee::ReadYourWrites, true) => add(own, false, "it wrote both in this order"),
                (Guarantee::MonotonicWrites, true) => add(own, true, "it wrote both in this order"),
                (Guarantee::MonotonicReads, false) => add(seen, true, "it saw both in this order"),
                (Guarantee::MonotonicWrites | Guarantee::WritesFollowReads, false) => {
                    add(seen, false, "it saw both in this order");
                }
                (Guarantee::WritesFollowReads, true) => {
                    add(seen, true, "it saw it, and then wrote the other");
                }
                (Guarantee::MonotonicReads, true) => {}
            }
            if step.write {
                wrote.insert(step.key, *step);
            } else {
                read.insert(step.key, *step);
            }
        }
    }

    /// What follows for a reader from what the writers of what it saw had done before.
    fn through(&mut self, sessions: &[Vec<Step>], guarantee: Guarantee, keys: usize) {
        let wrote = guarantee == Guarantee::MonotonicWrites;
        // Of each key and process its steps that count, and of each version who made it and when.
        let mut of_key: Vec<Vec<(usize, Vec<usize>)>> = vec![Vec::new(); keys];
        let mut made: Vec<(usize, usize)> = vec![(usize::MAX, 0); self.versions.all.len()];
        for (number, session) in sessions.iter().enumerate() {
            for (place, step) in session.iter().enumerate() {
                if step.write {
                    made[step.version as usize] = (number, place);
                }
                if step.write == wrote {
                    let processes = &mut of_key[step.key.0 as usize];
                    match processes.last_mut() {
                        Some((last, places)) if *last == number => places.push(place),
                        _ => processes.push((number, vec![place])),
                    }
                }
            }
        }
        for (reader, session) in sessions.iter().enumerate() {
            // Of each process the last of its writes that the reader has seen.
            let mut clock: Vec<Option<usize>> = vec![None; sessions.len()];
            for step in session.iter().filter(|step| !step.write) {
                for (process, places) in &of_key[step.key.0 as usize] {
                    let Some(seen) = clock[*process].filter(|_| *process != reader) else {
                        continue;
                    };
                    let until = places.partition_point(|place| *place < seen);
                    let Some(last) = until.checked_sub(1) else {
                        continue;
                    };
                    let earlier = sessions[*process][places[last]];
                    let why = Why::Through {
                        reader: step.transaction,
                        earlier: earlier.transaction,
                        seen: sessions[*process][seen].transaction,
                        wrote,
                    };
                    self.add(earlier.version, step.version, why, true);
                }
                if let Some((process, place)) = made.get(step.version as usize)
                    && *process != usize::MAX
                {
                    clock[*process] = clock[*process].max(Some(*place));
                }
            }
        }
    }
}
