//! Why there is no legal order: from a failed search to a few operations that a person can follow.
//!
//! What is left out, and why the rest is still a proof, is said at [`Counterexample`].

use super::partition::Entry;
use super::reduce::{Effort, STEPS};
use super::search::{Progress, Search, Used};
use super::split::Group;
use crate::verdict::seconds;
use crate::{Blocked, Counterexample, Model, Operation, Outcome, Possible, Shown, Start};

/// How many starting moments are tried.
const STARTS_TRIED: u32 = 12;
/// Beyond this many operations, the whole prefix is not tried.
const WHOLE_MAX: usize = 60;
/// A start whose state is not plain to see costs as much as this many operations more to read.
const OBSCURE: usize = 5;

/// The keys that failed, and what their operations are.
pub(super) struct Failure<'a, 'o, M: Model> {
    pub(super) model: &'a M,
    pub(super) operations: &'o [Operation<&'a M::Op, &'a M::Ret>],
    pub(super) group: &'o Group<'a, M>,
}

/// Operations without a legal order from any of the states.
struct Window<'a, M: Model> {
    /// So many operations had returned before.
    position: u32,
    /// In order of invocation.
    entries: Vec<Entry<'a, M>>,
    starts: Vec<M::State>,
}

impl<'a, M: Model> Failure<'a, '_, M> {
    /// Explains the failed search over them.
    pub(super) fn explain(&self, failed: &Search<'a, M>) -> Counterexample {
        self.explain_window(failed, true)
    }

    /// The same, with what led to the situation from the first operation on.
    pub(super) fn explain_from_the_start(&self, failed: &Search<'a, M>) -> Counterexample {
        self.explain_window(failed, false)
    }

    fn explain_window(&self, failed: &Search<'a, M>, may_start_later: bool) -> Counterexample {
        // The prefix that ends where the first operation returns that cannot: all later events do not matter.
        let target = failed.entries()[failed.furthest() as usize];
        let mut prefix: Vec<Entry<'a, M>> = self.group.entries.clone();
        prefix.retain(|entry| Some(entry.called) < target.returned);
        for entry in &mut prefix {
            entry.returned = entry.returned.filter(|_| entry.returned <= target.returned);
        }
        let mut search = Search::with_notes(self.model, &prefix, self.model.initial());
        let mut whole = Window {
            position: 0,
            entries: prefix.clone(),
            starts: vec![self.model.initial()],
        };
        let window = match search.run(4 * failed.steps() + STEPS) {
            Progress::Invalid if may_start_later => self.best_window(&search, whole, &target),
            Progress::Invalid => {
                Effort::new().reduce(self.model, &whole.starts, &mut whole.entries);
                whole
            }
            // The prefix makes open operations optional; that this costs so much more is not expected.
            Progress::Valid | Progress::Paused => whole,
        };
        self.put_into_words(window, &prefix, &search)
    }

    /// The window that is the easiest to follow, of those that start just before the target is called and some
    /// moments earlier, and the whole prefix.
    fn best_window(
        &self,
        search: &Search<'a, M>,
        mut whole: Window<'a, M>,
        target: &Entry<'a, M>,
    ) -> Window<'a, M> {
        let returned_before = |entry: &&Entry<'a, M>| {
            entry
                .returned
                .is_some_and(|returned| returned < target.called)
        };
        let latest = search.entries().iter().filter(returned_before).count() as u32;
        let mut effort = Effort::new();
        let mut best: Option<(usize, Window<'a, M>)> = None;
        for position in (latest.saturating_sub(STARTS_TRIED)..=latest).rev() {
            if position == 0 {
                break;
            }
            let mut window = self.window_at(search, position);
            if !effort.is_illegal(self.model, &window.starts, &window.entries) {
                continue;
            }
            effort.reduce(self.model, &window.starts, &mut window.entries);
            let plain = self.is_plain(search, &window);
            let cost =
                window.entries.len() + 2 * window.starts.len() + if plain { 0 } else { OBSCURE };
            if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                best = Some((cost, window));
            }
        }
        if best.is_none() || whole.entries.len() <= WHOLE_MAX {
            effort.reduce(self.model, &whole.starts, &mut whole.entries);
            let cost = whole.entries.len() + 2;
            if best.as_ref().is_none_or(|(least, _)| cost <= *least) {
                return whole;
            }
        }
        best.map_or(whole, |(_, window)| window)
    }

    /// What remains to be ordered when the first `position` operations have returned.
    fn window_at(&self, search: &Search<'a, M>, position: u32) -> Window<'a, M> {
        let cut = search.entries()[position as usize - 1].returned;
        let mut entries = Vec::new();
        for (rank, entry) in (0..).zip(search.entries()) {
            let mut entry = *entry;
            if entry.returned.is_some_and(|returned| Some(returned) <= cut) {
                continue;
            }
            if Some(entry.called) < cut {
                match search.used_at(position, rank) {
                    Used::Always => continue,
                    Used::Sometimes if entry.is_read_only(self.model) => continue,
                    Used::Sometimes => entry.returned = None,
                    Used::Never => {}
                }
            }
            entries.push(entry);
        }
        entries.sort_unstable_by_key(|entry| entry.called);
        Window {
            position,
            entries,
            starts: search.states_at(position),
        }
    }

    /// Whether the start's state is plain to see: its last operation that changes something came after all
    /// others and always leads to this state, and nothing else is open.
    fn is_plain(&self, search: &Search<'a, M>, window: &Window<'a, M>) -> bool {
        let [start] = &*window.starts else {
            return false;
        };
        let (before, after) = search.entries().split_at(window.position as usize);
        let is_write = |entry: &&Entry<'a, M>| !entry.is_read_only(self.model);
        let cut = before.last().and_then(|entry| entry.returned);
        if after
            .iter()
            .filter(is_write)
            .any(|entry| Some(entry.called) < cut)
        {
            return false;
        }
        let mut writes = before.iter().rev().filter(is_write);
        let Some(last) = writes.next() else {
            return true;
        };
        let mut states = search.states().iter();
        writes.all(|entry| entry.returned < Some(last.called))
            && states.all(|state| self.step(state, last).is_none_or(|next| next == *start))
    }

    fn step(&self, state: &M::State, entry: &Entry<'a, M>) -> Option<M::State> {
        self.model.step(state, entry.op, entry.ret)
    }

    fn put_into_words(
        &self,
        mut window: Window<'a, M>,
        prefix: &[Entry<'a, M>],
        search: &Search<'a, M>,
    ) -> Counterexample {
        // From the state that gets furthest.
        let mut order = Vec::new();
        let mut state = window.starts[0].clone();
        for index in 0..window.starts.len() {
            let start = window.starts[index].clone();
            let mut search = Search::with_notes(self.model, &window.entries, start);
            search.run(STEPS);
            let ids: Vec<u32> = search
                .longest()
                .iter()
                .map(|&rank| search.entries()[rank as usize].id)
                .collect();
            if index == 0 || ids.len() > order.len() {
                order = ids;
                state = search
                    .last_state()
                    .unwrap_or_else(|| window.starts[index].clone());
                window.starts.swap(0, index);
            }
        }
        let place = |id: &u32| window.entries.iter().position(|entry| entry.id == *id);
        let blocked = self.blocked(&window, &order, &state, prefix, search);
        Counterexample {
            key: self.group.name(),
            start: self.start(&window, prefix, search),
            operations: window
                .entries
                .iter()
                .map(|entry| self.show(entry))
                .collect(),
            longest: order.iter().filter_map(place).collect(),
            state: self.model.describe_state(self.group.only_key(), &state),
            blocked,
        }
    }

    fn blocked(
        &self,
        window: &Window<'a, M>,
        order: &[u32],
        state: &M::State,
        prefix: &[Entry<'a, M>],
        search: &Search<'a, M>,
    ) -> Vec<Blocked> {
        let waits = |entry: &Entry<'a, M>| entry.returned.is_some() && !order.contains(&entry.id);
        let remaining = window.entries.iter().filter(|entry| waits(entry));
        let first_return = remaining.filter_map(|entry| entry.returned).min();
        let mut blocked = Vec::new();
        for (operation, entry) in window.entries.iter().enumerate() {
            let could_come = waits(entry) && Some(entry.called) < first_return;
            let Some(ret) = entry
                .ret
                .filter(|_| could_come && self.step(state, entry).is_none())
            else {
                continue;
            };
            let legal = |state: &M::State| self.step(state, entry).is_some();
            let others = prefix
                .iter()
                .filter(|other| other.id != entry.id && Some(other.called) < entry.returned);
            let possible = match self.last_leading_to(others, search, legal) {
                Some(shown) => Possible::After(shown),
                None if legal(&self.model.initial()) => Possible::AtFirst,
                None => Possible::Never,
            };
            blocked.push(Blocked {
                operation,
                needs: self.model.needs(entry.op, ret),
                possible,
            });
        }
        blocked
    }

    fn start(
        &self,
        window: &Window<'a, M>,
        prefix: &[Entry<'a, M>],
        search: &Search<'a, M>,
    ) -> Start {
        let states = window
            .starts
            .iter()
            .map(|state| self.model.describe_state(self.group.only_key(), state));
        let cut = window
            .position
            .checked_sub(1)
            .map(|rank| search.entries()[rank as usize]);
        let outside = prefix.iter().filter(|entry| {
            Some(entry.called) < cut.and_then(|cut| cut.returned)
                && window.entries.iter().all(|other| other.id != entry.id)
        });
        Start {
            time_ns: cut.and_then(|cut| {
                let completed = self.operations[cut.id as usize].completed;
                completed.map(|at| at.time_ns)
            }),
            completed: window.position as usize,
            open: self.open_and_left_out(window, search),
            states: states.collect(),
            last: self.last_leading_to(outside, search, |state| *state == window.starts[0]),
        }
    }

    /// How many operations that may have changed the state after the window's start are not in the window.
    fn open_and_left_out(&self, window: &Window<'a, M>, search: &Search<'a, M>) -> usize {
        let Some(last) = window.position.checked_sub(1) else {
            return 0;
        };
        let cut = search.entries()[last as usize].returned;
        let left_out = (0..).zip(search.entries()).filter(|(rank, entry)| {
            Some(entry.called) < cut
                && entry.returned.is_none_or(|returned| Some(returned) > cut)
                && !entry.is_read_only(self.model)
                && window.entries.iter().all(|kept| kept.id != entry.id)
                && search.used_at(window.position, *rank) != Used::Always
        });
        left_out.count()
    }

    /// The last called of the entries that can change the state to one that is as wanted.
    fn last_leading_to<'e>(
        &self,
        entries: impl Iterator<Item = &'e Entry<'a, M>>,
        search: &Search<'a, M>,
        wanted: impl Fn(&M::State) -> bool,
    ) -> Option<Shown>
    where
        'a: 'e,
    {
        let leads = |entry: &&Entry<'a, M>| {
            let mut states = search.states().iter();
            states.any(|state| {
                self.step(state, entry)
                    .is_some_and(|next| next != *state && wanted(&next))
            })
        };
        entries
            .filter(leads)
            .max_by_key(|entry| entry.called)
            .map(|entry| self.show(entry))
    }

    fn show(&self, entry: &Entry<'a, M>) -> Shown {
        let operation = &self.operations[entry.id as usize];
        let mut shown = show(self.model, operation, entry.id as usize);
        shown.optional = entry.returned.is_none();
        shown
    }
}

/// The operation with this index, as a person is to see it.
pub(crate) fn show<M: Model>(
    model: &M,
    operation: &Operation<&M::Op, &M::Ret>,
    index: usize,
) -> Shown {
    let (ret, until) = match (operation.completed, &operation.outcome) {
        (Some(at), Outcome::Ok(ret)) => (Some(*ret), seconds(at.time_ns)),
        _ => (None, " unknown".to_owned()),
    };
    let what = model.describe(operation.op, ret);
    let process = operation.process;
    let from = seconds(operation.invoked.time_ns);
    Shown {
        operation: index,
        words: format!("{what} by {process} ({from}..{until})"),
        optional: ret.is_none(),
    }
}
