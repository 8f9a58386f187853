//! Which operation of unknown outcome made which of the revisions that nobody answered: a depth-first search in order of
//! revisions, in which each guess is judged by everything that is known to come after it.
//!
//! A candidate must have been invoked before anything returned that knows the revision, must change something there,
//! and write what others saw of it. Equal operations can stand in for each other, as whoever is early enough for one revision is early
//! enough for all later ones; so one of them is tried. The last invoked is tried first: most take effect soon.

use super::Violation;
use super::plan::{Gap, Plan};
use super::replay::{Progress, Replay};
use super::violation::NoWriter;
use crate::models::transactional::Op;
use crate::{Budget, Reason};
use rustc_hash::FxHashSet;
use std::collections::BTreeMap;

/// What came of it.
pub(super) enum Filled {
    /// Revision by revision, the unsure operations that can have made them.
    Order(BTreeMap<u64, usize>),
    Invalid(Violation),
    GaveUp(Reason),
}

struct Frame<'a> {
    /// What it may still be, the best candidate last.
    left: Vec<usize>,
    chosen: Option<usize>,
    /// Operations that equal one that was tried.
    tried: FxHashSet<&'a Op>,
}

/// Finds an order. Only one, where there are several.
pub(super) fn fill(plan: &Plan<'_>, budget: Budget) -> Filled {
    let mut replay = Replay::new(plan);
    let mut used = vec![false; plan.unsure.len()];
    let mut frames: Vec<Frame<'_>> = Vec::new();
    // The violation that is the furthest, of those that the guesses led to.
    let mut furthest: Option<(u64, Violation)> = None;
    loop {
        match replay.advance() {
            Progress::Done => {
                let made = plan.gaps.iter().zip(&frames);
                let made = made.filter_map(|(gap, frame)| Some((gap.revision, frame.chosen?)));
                return Filled::Order(made.collect());
            }
            Progress::Wrong(violation) => {
                note(&mut furthest, replay.store.revision, *violation);
            }
            Progress::Gap => {
                let gap = &plan.gaps[frames.len()];
                frames.push(Frame {
                    left: candidates(plan, gap, &used),
                    chosen: None,
                    tried: FxHashSet::default(),
                });
            }
        }
        loop {
            if replay.steps >= budget.steps && !frames.is_empty() {
                let wrong = furthest.map_or(replay.store.revision + 1, |(wrong, _)| wrong);
                return Filled::GaveUp(plan.gave_up(wrong - 1, replay.steps));
            }
            let depth = frames.len();
            let Some(frame) = frames.last_mut() else {
                let (_, violation) = furthest.expect("a search without an end has noted why");
                return Filled::Invalid(violation);
            };
            let gap = &plan.gaps[depth - 1];
            replay.rewind(gap.revision - 1);
            if let Some(chosen) = frame.chosen.take() {
                used[chosen] = false;
            }
            let Some(candidate) = frame.left.pop() else {
                note(
                    &mut furthest,
                    gap.revision - 1,
                    Violation::NoWriter {
                        revision: gap.revision,
                        reason: NoWriter::NoneFits,
                    },
                );
                frames.pop();
                continue;
            };
            let op = plan.unsure[candidate].op;
            if frame.tried.insert(op) && replay.fill(op) && replay.shows(gap) {
                used[candidate] = true;
                frame.chosen = Some(candidate);
                break;
            }
        }
    }
}

fn note(furthest: &mut Option<(u64, Violation)>, revision: u64, violation: Violation) {
    if furthest
        .as_ref()
        .is_none_or(|(furthest, _)| *furthest < revision)
    {
        *furthest = Some((revision, violation));
    }
}

fn candidates(plan: &Plan<'_>, gap: &Gap<'_>, used: &[bool]) -> Vec<usize> {
    if let Some(candidates) = &gap.candidates {
        let free = candidates.iter().filter(|&&index| !used[index]);
        return free.copied().collect();
    }
    let early = plan
        .unsure
        .partition_point(|unsure| unsure.called < gap.deadline);
    (0..early)
        .filter(|&index| !used[index] && !plan.taken[index])
        .collect()
}
