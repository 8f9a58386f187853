//! What a watcher got, against what was committed: the guarantees of etcd's watch ("KV API guarantees", section Watch
//! APIs), which its robustness tests check in the same way.
//!
//! * *Ordered*: events come in order of revision.
//! * *Unique*: no event comes twice.
//! * *Atomic*: the events of one revision come in one response, all of them.
//! * *Reliable*: of the events that belong to the watch, none is left out before a later one.
//! * *Resumable*: a watch from a revision starts with the first event from there on, and is only refused as compacted if
//!   that revision is.
//! * *Bookmarkable*: after the notice that progress was made up to a revision, no event up to it comes.
//!
//! Events must also be *true*: committed, just so, and asked for. A watcher may lag behind at the end of a trace,
//! unless it is said what it should know by then.
//!
//! Time: O((e + c) log c) for `e` events and `c` committed changes; each start of a watch looks at the changes from there on.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::models::transactional::Span;

/// A key.
pub type Key = Arc<str>;
/// A value; nothing for a key that was removed.
pub type Value = Option<Arc<str>>;

/// What was committed: by revision, the keys that it changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    revisions: BTreeMap<u64, BTreeMap<Key, Value>>,
}

impl Committed {
    /// Nothing.
    pub fn new() -> Committed {
        Committed::default()
    }

    /// At this revision, this key was set to the value, or removed. Of one key at one revision, the last change counts.
    pub fn change(&mut self, revision: u64, key: Key, value: Value) {
        let changes = self.revisions.entry(revision).or_default();
        changes.insert(key, value);
    }

    /// The last revision; 0 if there is none.
    pub fn last(&self) -> u64 {
        self.revisions.keys().next_back().copied().unwrap_or(0)
    }

    /// The first change of a key of the span from one revision to before another one.
    fn first_within(&self, span: &Span, from: u64, before: u64) -> Option<Event> {
        let mut revisions = self.revisions.range(from..before.max(from));
        revisions.find_map(|(&revision, changes)| {
            let (key, value) = changes.iter().find(|(key, _)| span.contains(key))?;
            Some(Event {
                revision,
                key: key.clone(),
                value: value.clone(),
            })
        })
    }
}

/// A change, as a watcher is told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// When it was made.
    pub revision: u64,
    /// Of which key.
    pub key: Key,
    /// Its new value; nothing if it was removed.
    pub value: Value,
}

/// What happens to a watcher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// It starts to watch, or starts again. Of a watch "from now on", `from` is the revision after the one that it was
    /// told when it started.
    Started {
        /// The first revision whose events it wants.
        from: u64,
    },
    /// Events came, in one response.
    Events {
        /// In order.
        events: Vec<Event>,
    },
    /// It was told that it has got all events up to this revision.
    Progress {
        /// This one.
        revision: u64,
    },
    /// It was told that what it wants is forgotten: only revisions from this one on are there. The watch is over.
    Compacted {
        /// The oldest that is left.
        revision: u64,
    },
    /// The watch broke off.
    Stopped,
}

/// The guarantees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "they are said above")]
pub enum Guarantee {
    Ordered,
    Unique,
    Atomic,
    Reliable,
    Resumable,
    Bookmarkable,
    True,
}

/// A guarantee that was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("step {step}: {broken}")]
pub struct Violation {
    /// The index of the step that shows it; the number of steps if it is that they end.
    pub step: usize,
    /// How.
    pub broken: Broken,
}

/// How a guarantee was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Ordered: it comes after a later one.
    #[error("not ordered: {event} came after an event of revision {after}")]
    NotOrdered {
        /// The event.
        event: Event,
        /// The later revision.
        after: u64,
    },
    /// Unique: it came before.
    #[error("not unique: {event} came twice")]
    Twice {
        /// The event.
        event: Event,
    },
    /// Atomic: part of its revision did not come with the rest.
    #[error("not atomic: {event} did not come in one response with the rest of its revision")]
    NotAtomic {
        /// The event.
        event: Event,
    },
    /// Reliable: it was left out.
    #[error("not reliable: {event} was left out before revision {before}")]
    LeftOut {
        /// The first of those left out.
        event: Event,
        /// The revision that came instead.
        before: u64,
    },
    /// Reliable: it had not come when it should have.
    #[error("not reliable: {event} never came")]
    NeverCame {
        /// The first of those that should have.
        event: Event,
    },
    /// Resumable: it was left out at the start of a watch.
    #[error(
        "not resumable: the watch from revision {from} started with revision {before}, without {event}"
    )]
    LeftOutAtStart {
        /// The first of those left out.
        event: Event,
        /// Where the watch was to start.
        from: u64,
        /// Where it did.
        before: u64,
    },
    /// Resumable: it is older than asked for.
    #[error("not resumable: the watch from revision {from} got {event}")]
    BeforeStart {
        /// The event.
        event: Event,
        /// Where the watch was to start.
        from: u64,
    },
    /// Resumable: the watch was refused, but what it wants is there.
    #[error(
        "not resumable: revision {next} was refused as compacted, but revisions from {oldest} on are left"
    )]
    NotCompacted {
        /// What it wants next.
        next: u64,
        /// The oldest that is left.
        oldest: u64,
    },
    /// Bookmarkable: it should have come before the notice.
    #[error(
        "not bookmarkable: progress was notified up to revision {progress}, but {event} had not come"
    )]
    ProgressTooFar {
        /// The first that had not.
        event: Event,
        /// The revision of the notice.
        progress: u64,
    },
    /// Bookmarkable: it came after the notice.
    #[error(
        "not bookmarkable: {event} came after the notice of progress up to revision {progress}"
    )]
    AfterProgress {
        /// The event.
        event: Event,
        /// The revision of the notice.
        progress: u64,
    },
    /// Bookmarkable: the notice is of a revision that nobody committed.
    #[error(
        "not bookmarkable: progress was notified up to revision {progress}, but {last} is the last one"
    )]
    ProgressOfNothing {
        /// The revision of the notice.
        progress: u64,
        /// The last that was committed.
        last: u64,
    },
    /// True: no such change was committed.
    #[error("not true: {event} was not committed")]
    NotCommitted {
        /// The event.
        event: Event,
    },
    /// True: it is of a key that is not watched.
    #[error("not true: {event} is of a key that was not asked for")]
    NotAsked {
        /// The event.
        event: Event,
    },
    /// True: something came while there was no watch.
    #[error("not true: a response came while nothing was watched")]
    NoWatch,
}

impl Broken {
    /// Which guarantee that is.
    pub fn guarantee(&self) -> Guarantee {
        match self {
            Broken::NotOrdered { .. } => Guarantee::Ordered,
            Broken::Twice { .. } => Guarantee::Unique,
            Broken::NotAtomic { .. } => Guarantee::Atomic,
            Broken::LeftOut { .. } | Broken::NeverCame { .. } => Guarantee::Reliable,
            Broken::LeftOutAtStart { .. }
            | Broken::BeforeStart { .. }
            | Broken::NotCompacted { .. } => Guarantee::Resumable,
            Broken::ProgressTooFar { .. }
            | Broken::AfterProgress { .. }
            | Broken::ProgressOfNothing { .. } => Guarantee::Bookmarkable,
            Broken::NotCommitted { .. } | Broken::NotAsked { .. } | Broken::NoWatch => {
                Guarantee::True
            }
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} = {value}", self.key)?,
            None => write!(f, "{} removed", self.key)?,
        }
        write!(f, " (revision {})", self.revision)
    }
}

/// Everything that is wrong with what a watcher of the span got, in order.
///
/// `known_at_end`: the revision up to which it should have got everything at last, if it should.
pub fn check(
    committed: &Committed,
    span: &Span,
    steps: &[Step],
    known_at_end: Option<u64>,
) -> Vec<Violation> {
    let mut watcher = Watcher {
        committed,
        span,
        watch: None,
        step: 0,
        violations: Vec::new(),
    };
    for (index, step) in steps.iter().enumerate() {
        watcher.step = index;
        watcher.take(step);
    }
    watcher.step = steps.len();
    watcher.end(known_at_end);
    watcher.violations
}

/// A watch that goes on.
struct Watch {
    from: u64,
    /// Everything before this revision has come, or was found missing.
    next: u64,
    progress: Option<u64>,
    /// That of the last events.
    last: Option<u64>,
    come: BTreeSet<(u64, Key)>,
    /// The last revision that was found to be split.
    split: Option<u64>,
}

struct Watcher<'a> {
    committed: &'a Committed,
    span: &'a Span,
    watch: Option<Watch>,
    step: usize,
    violations: Vec<Violation>,
}

impl Watcher<'_> {
    fn broken(&mut self, broken: Broken) {
        self.violations.push(Violation {
            step: self.step,
            broken,
        });
    }

    fn take(&mut self, step: &Step) {
        let watch = match step {
            Step::Started { from } => {
                self.watch = Some(Watch {
                    from: *from,
                    next: *from,
                    progress: None,
                    last: None,
                    come: BTreeSet::new(),
                    split: None,
                });
                return;
            }
            Step::Stopped => {
                self.watch = None;
                return;
            }
            Step::Events { .. } | Step::Progress { .. } | Step::Compacted { .. } => {
                self.watch.take()
            }
        };
        let Some(mut watch) = watch else {
            self.broken(Broken::NoWatch);
            return;
        };
        match step {
            Step::Events { events } => {
                let came_with_last = watch.last;
                for events in events.chunk_by(|left, right| left.revision == right.revision) {
                    self.take_revision(&mut watch, events, came_with_last);
                }
                self.watch = Some(watch);
            }
            Step::Progress { revision } => {
                self.take_progress(&mut watch, *revision);
                self.watch = Some(watch);
            }
            Step::Compacted { revision } if watch.next >= *revision => {
                self.broken(Broken::NotCompacted {
                    next: watch.next,
                    oldest: *revision,
                });
            }
            Step::Compacted { .. } | Step::Started { .. } | Step::Stopped => {}
        }
    }

    /// Events of one revision that came together. Before this response, `last_before` came last.
    fn take_revision(&mut self, watch: &mut Watch, events: &[Event], last_before: Option<u64>) {
        let (revision, first) = (events[0].revision, &events[0]);
        if revision < watch.from {
            self.broken(Broken::BeforeStart {
                event: first.clone(),
                from: watch.from,
            });
            return;
        }
        let mut any_true = false;
        for event in events {
            any_true |= self.take_event(watch, event, last_before);
        }
        // What nobody committed says nothing about the rest.
        if !any_true || watch.last.is_some_and(|last| revision <= last) {
            return;
        }
        if let Some(event) = self.committed.first_within(self.span, watch.next, revision) {
            self.broken(match watch.last {
                None => Broken::LeftOutAtStart {
                    event,
                    from: watch.from,
                    before: revision,
                },
                Some(_) => Broken::LeftOut {
                    event,
                    before: revision,
                },
            });
        }
        watch.last = Some(revision);
        watch.next = revision + 1;
        let changes = self
            .committed
            .revisions
            .get(&revision)
            .into_iter()
            .flatten();
        let mut rest = changes.filter(|(key, _)| {
            self.span.contains(key) && !watch.come.contains(&(revision, (*key).clone()))
        });
        if let Some((key, value)) = rest.next() {
            watch.split = Some(revision);
            let event = Event {
                revision,
                key: key.clone(),
                value: value.clone(),
            };
            self.broken(Broken::NotAtomic { event });
        }
    }

    /// One event by itself. Whether it was committed and asked for.
    fn take_event(&mut self, watch: &mut Watch, event: &Event, last_before: Option<u64>) -> bool {
        let revision = event.revision;
        if !self.span.contains(&event.key) {
            self.broken(Broken::NotAsked {
                event: event.clone(),
            });
            return false;
        }
        let changes = self.committed.revisions.get(&revision);
        if changes.and_then(|changes| changes.get(&event.key)) != Some(&event.value) {
            self.broken(Broken::NotCommitted {
                event: event.clone(),
            });
            return false;
        }
        let (event, twice) = (
            event.clone(),
            !watch.come.insert((revision, event.key.clone())),
        );
        match (watch.last, watch.progress) {
            _ if twice => self.broken(Broken::Twice { event }),
            (Some(last), _) if revision < last => {
                self.broken(Broken::NotOrdered { event, after: last });
            }
            // If not with what came before, then it was told when that came.
            (last, _)
                if last == Some(revision)
                    && last == last_before
                    && watch.split != Some(revision) =>
            {
                self.broken(Broken::NotAtomic { event });
            }
            (_, Some(progress)) if revision <= progress => {
                self.broken(Broken::AfterProgress { event, progress });
            }
            _ => {}
        }
        true
    }

    fn take_progress(&mut self, watch: &mut Watch, progress: u64) {
        let last = self.committed.last();
        if progress > last && progress >= watch.from {
            self.broken(Broken::ProgressOfNothing { progress, last });
        }
        let before = progress.saturating_add(1);
        if let Some(event) = self.committed.first_within(self.span, watch.next, before) {
            self.broken(Broken::ProgressTooFar { event, progress });
        }
        watch.next = watch.next.max(before);
        watch.progress = watch.progress.max(Some(progress));
    }

    fn end(&mut self, known_at_end: Option<u64>) {
        let (Some(watch), Some(known)) = (&self.watch, known_at_end) else {
            return;
        };
        let before = known.saturating_add(1);
        if let Some(event) = self.committed.first_within(self.span, watch.next, before) {
            self.broken(Broken::NeverCame { event });
        }
    }
}

#[cfg(test)]
mod tests;
