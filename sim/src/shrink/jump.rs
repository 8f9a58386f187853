//! Far smaller runs, drawn at random: what timing hides from leaving out one thing after the other.
//!
//! Where a violation needs messages to cross at the right moment, a run without one of its faults is another run, in
//! which nothing happens. But a few of the faults, early, under one of many seeds, may well violate the property, and
//! such a run is so short that thousands of them cost less than the long one did.

use super::search::Trial;
use super::{Best, faults_of, operations_of};
use crate::case::{Case, Change};
use crate::fault::Injection;
use crate::run::{Request, Script};
use crate::span::Span;
use serde_json::Value;
use splitbrain_core::{Purpose, Rng, Seed, Time};
use std::sync::Arc;
use std::time::Duration;

/// The first decision of a drawn run comes between these, every doubling equally likely: 64 ms to 4 s.
const FIRST_MS: u64 = 64;
const DOUBLINGS: u64 = 6;

/// Runs with so many of the decisions of `best`, without end.
pub(super) fn trials(best: &Best, decisions: usize, round: u64) -> impl Iterator<Item = Trial> {
    let draws = Draws {
        best,
        decisions,
        tail: tail(best),
    };
    let mut rng = stream_of(decisions as u64, round);
    let seeds = (1 + round * 1_000_000..).map(Seed);
    seeds.map_while(move |seed| draws.draw(seed, &mut rng))
}

/// Short runs of the scenario as it was, with faults drawn by its nemesis and few operations, without end.
pub(super) fn redrawn(
    best: &Best,
    case: &Arc<dyn Case>,
    duration: Span,
    round: u64,
) -> impl Iterator<Item = Trial> {
    let case: Option<Arc<dyn Case>> = case.changed(&Change::Duration(duration)).map(Arc::from);
    let seeds = (1 + round * 1_000_000..).map(Seed);
    let mut rng = stream_of(u64::MAX, round);
    let end_ms = duration.0.as_millis() as u64;
    seeds.map_while(move |seed| {
        let operations = operations_of(&best.script);
        let size = [0, 1, 2, 4][rng.index(4)].min(operations.len());
        let operations = spread(window(operations, size, &mut rng), end_ms, &mut rng);
        let script = Script {
            faults: None,
            operations: Some(operations),
        };
        let case = Arc::clone(case.as_ref()?);
        Some(Trial { case, seed, script })
    })
}

fn stream_of(size: u64, round: u64) -> Rng {
    Seed(size).stream(Purpose::User(round as u32))
}

/// How long after its last decision the property was violated.
fn tail(best: &Best) -> Duration {
    let found = best.finding.at.since(Time::ZERO);
    let end = found.min(best.case.duration().0);
    end.saturating_sub(super::list::last_decision(&best.script).0)
}

struct Draws<'a> {
    best: &'a Best,
    decisions: usize,
    tail: Duration,
}

impl Draws<'_> {
    fn draw(&self, seed: Seed, rng: &mut Rng) -> Option<Trial> {
        let (faults, operations) = (
            faults_of(&self.best.script),
            operations_of(&self.best.script),
        );
        let least = self.decisions.saturating_sub(operations.len());
        let most = self.decisions.min(faults.len());
        let faults_kept = rng.between(least as u64..=most as u64) as usize;
        let first = FIRST_MS << rng.below(DOUBLINGS);
        let first = rng.between(first..=2 * first);
        let squeeze = 1 << rng.below(3);
        let faults = window(faults, faults_kept, rng);
        let faults = earlier(faults, first, squeeze);
        let end = faults
            .last()
            .map_or(first, |last| last.at.0.as_millis() as u64);
        let operations = window(operations, self.decisions - faults_kept, rng);
        let operations = spread(operations, end, rng);
        let script = Script {
            faults: Some(faults),
            operations: Some(operations),
        };
        let duration =
            super::list::last_decision(&script).0 + 2 * self.tail + Duration::from_millis(100);
        let shorter = duration < self.best.case.duration().0;
        let case = if shorter {
            Arc::from(self.best.case.changed(&Change::Duration(Span(duration)))?)
        } else {
            Arc::clone(&self.best.case)
        };
        let script = super::list::before(&script, case.duration());
        Some(Trial { case, seed, script })
    }
}

/// So many items in a row.
fn window<'a, T>(items: &'a [T], size: usize, rng: &mut Rng) -> &'a [T] {
    let place = rng.index(items.len() - size + 1);
    &items[place..place + size]
}

/// The same faults beginning at another time, and so many times as close to one another.
fn earlier(faults: &[Injection], first_ms: u64, squeeze: u32) -> Vec<Injection> {
    let first = faults.first().map_or(Span::default(), |first| first.at);
    let moved = |injection: &Injection| {
        let after = injection.at.0.saturating_sub(first.0) / squeeze;
        let at = Span::from_millis(first_ms + after.as_millis() as u64);
        Injection {
            at,
            ..injection.clone()
        }
    };
    faults.iter().map(moved).collect()
}

/// The same operations in their order, somewhere up to this time.
fn spread(operations: &[Request<Value>], end_ms: u64, rng: &mut Rng) -> Vec<Request<Value>> {
    let mut times: Vec<u64> = operations.iter().map(|_| rng.between(1..=end_ms)).collect();
    times.sort_unstable();
    let moved = |(request, at_ms): (&Request<Value>, u64)| Request {
        at: Span::from_millis(at_ms),
        ..request.clone()
    };
    operations.iter().zip(times).map(moved).collect()
}
