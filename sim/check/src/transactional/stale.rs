//! Reads of old states, once the order of revisions is known.

use super::plan::{Placed, Plan};
use super::replay::Replay;
use super::{Settings, Since, Violation};
use crate::Outcome;
use crate::models::transactional::Op;
use std::collections::BTreeMap;

/// Who answered with a revision.
type Known = (u64, usize);

/// What was known when: completions in order of time, each with the greatest revision answered until then.
struct Knowledge(Vec<(u64, Known)>);

impl Knowledge {
    fn new(plan: &Plan<'_>) -> Self {
        let answers = plan
            .operations
            .iter()
            .enumerate()
            .filter_map(|(id, operation)| {
                let (Outcome::Ok(ret), Some(completed)) = (operation.outcome, operation.completed)
                else {
                    return None;
                };
                Some((completed.time_ns, (ret.revision?, id)))
            });
        let mut answers: Vec<(u64, Known)> = answers.collect();
        answers.sort_unstable_by_key(|(time_ns, (_, id))| (*time_ns, *id));
        let mut greatest: Option<Known> = None;
        for (_, known) in &mut answers {
            if greatest.is_some_and(|(revision, _)| revision >= known.0) {
                *known = greatest.unwrap_or(*known);
            }
            greatest = Some(*known);
        }
        Knowledge(answers)
    }

    fn until(&self, time_ns: u64) -> Option<Known> {
        let later = self.0.partition_point(|(answered, _)| *answered <= time_ns);
        later.checked_sub(1).map(|last| self.0[last].1)
    }
}

/// Checks that stale reads are as recent as asked for, and that those without a revision are right at some.
/// `fillers` made the revisions that nobody answered.
pub(super) fn check(
    plan: &Plan<'_>,
    fillers: &BTreeMap<u64, usize>,
    settings: &Settings,
) -> Result<(), Box<Violation>> {
    let floors = floors(plan, settings);
    for (&revision, reads) in &plan.reads {
        for read in reads {
            if let Some(&(since, (known, newer))) = floors.get(&read.id)
                && revision < known
            {
                return Err(Violation::TooOld {
                    read: plan.show(read.id),
                    revision,
                    since,
                    known,
                    newer: plan.show(newer),
                }
                .into());
            }
        }
    }
    check_loose(plan, fillers, &floors)
}

type Floors = BTreeMap<usize, (Since, Known)>;

/// By stale read: the revision that it must know, and why.
fn floors(plan: &Plan<'_>, settings: &Settings) -> Floors {
    let mut floors = Floors::new();
    let knowledge = settings
        .staleness_ns_max
        .map(|bound_ns| (bound_ns, Knowledge::new(plan)));
    // What each process was answered, in order of invocation: a process has one operation at a time.
    let mut sessions = BTreeMap::new();
    for (id, operation) in plan.operations.iter().enumerate() {
        let Outcome::Ok(ret) = operation.outcome else {
            continue;
        };
        let session: &mut Option<Known> = sessions.entry(operation.process).or_default();
        if let Op::Stale(_) = operation.op {
            let by_time = knowledge.as_ref().and_then(|(bound_ns, knowledge)| {
                let since = operation.invoked.time_ns.checked_sub(*bound_ns)?;
                Some((Since::Bound(*bound_ns), knowledge.until(since)?))
            });
            let by_session = session.filter(|_| settings.sessions);
            let by_session = by_session.map(|known| (Since::Session, known));
            let floor = by_time
                .into_iter()
                .chain(by_session)
                .max_by_key(|(_, known)| known.0);
            floors.extend(floor.map(|floor| (id, floor)));
        }
        if let Some(revision) = ret.revision
            && session.is_none_or(|(known, _)| known < revision)
        {
            *session = Some((revision, id));
        }
    }
    floors
}

/// A stale read without a revision, and those that it may be of.
struct Loose<'p, 'a> {
    read: &'p Placed<'a>,
    from: u64,
    to: u64,
}

/// From the last revision back to the first, as most stale reads are not very old.
fn check_loose(
    plan: &Plan<'_>,
    fillers: &BTreeMap<u64, usize>,
    floors: &Floors,
) -> Result<(), Box<Violation>> {
    if plan.loose.is_empty() {
        return Ok(());
    }
    // By revision after the first: when the last of the writes up to it was invoked.
    let mut called = 0;
    let called: Vec<usize> = (plan.first + 1..=plan.last)
        .map(|revision| {
            let by = plan
                .writes
                .get(&revision)
                .map(|write| plan.operations[write.id].invoked.event);
            let unsure = fillers
                .get(&revision)
                .map(|&unsure| plan.unsure[unsure].called);
            called = by.or(unsure).unwrap_or(0).max(called);
            called
        })
        .collect();
    let mut loose: Vec<Loose<'_, '_>> = Vec::new();
    for read in &plan.loose {
        let returned = plan.operations[read.id]
            .completed
            .map_or(usize::MAX, |at| at.event);
        loose.push(Loose {
            read,
            from: floors
                .get(&read.id)
                .map_or(plan.first, |(_, (known, _))| *known),
            to: plan.first + called.partition_point(|called| *called < returned) as u64,
        });
    }
    loose.sort_by_key(|loose| (loose.to, loose.read.id));
    let mut replay = Replay::new(plan);
    replay.finish(fillers);
    let mut open: Vec<Loose<'_, '_>> = Vec::new();
    for revision in (plan.first..=plan.last).rev() {
        replay.rewind(revision);
        while let Some(read) = loose.pop_if(|loose| loose.to >= revision) {
            open.push(read);
        }
        open.retain(|loose| !replay.reads(loose.read));
        if let Some(loose) = open.iter().find(|loose| loose.from >= revision) {
            return Err(Violation::NoSuchState {
                read: plan.show(loose.read.id),
                from: loose.from,
                to: loose.to,
            }
            .into());
        }
    }
    Ok(())
}
