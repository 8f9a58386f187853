//! The search for a legal order: Wing & Gong's (1993) with Lowe's (2017) memory of configurations.
//!
//! A depth-first search over *configurations*: what has been linearized, and the state that this led to. The
//! operation that must return next is tried first; if it is not legal, then those that make it so; then the
//! others, in order of return. Three things make it fast on histories of real systems.
//!
//! **Configurations are small.** All operations that returned before the position are linearized, so that a
//! configuration is a position, the slots linearized in its window, the number of an interned state, and the
//! optional operations used. A configuration whose every continuation failed is remembered, exactly. It cannot
//! come back before that: every step linearizes one operation more.
//!
//! **A required operation that leaves the state as it is, and is legal now, is linearized at once, without
//! an alternative** (`settle`). If there is a legal order in which it comes later, it can be moved here: it was
//! already called, it changes nothing for those it passes, and it is legal here.
//!
//! **Optional operations are used as late as possible, and only if it makes a difference.** Whatever can be
//! done after using some of them can also be done after using fewer, if the rest is equal; so a failed
//! configuration also stands for those that used more. After an optional `i` in state `s`, an operation `o`
//! is not tried if `o` alone leads from `s` to the same state (`i` was useless), or if `o` then `i` does (`i`
//! can wait, for it has no deadline). Those that can stand in for each other are used in order of call. What each
//! class of them does in a state is found out once for the state, and those that change nothing there are not looked
//! at again: a thousand unknown operations cost no more than the different things that they can do.
//!
//! **Of required operations that are equal, and answered the same, the one that returns first is taken first.** They
//! can change places: each was called by then, and the other's deadline is the later one.
//!
//! These rules do not lose a legal order together either. Suppose the search fails, and some of the
//! configurations it entered do have a legal rest. Take the one, with its rest, for which (optional
//! operations used in all, number of pairs of an optional operation before a required one that is still to
//! come, length of the rest, pairs of equal required operations in the wrong order) is the least, in this order. If
//! its first step was taken, it leads to a lesser one. If it was not, the rule that forbade it names one: an entered configuration with fewer optional operations
//! used, or the parent with `i` moved behind `o`, or the same with the read moved to the front or two equal ones
//! exchanged.

use super::bits::Bits;
use super::memory::{Config, Failed, Interned};
use super::partition::{Entry, Partition};
use crate::Model;
use rustc_hash::FxHashSet;

/// How far a search came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// There is a legal order.
    Valid,
    /// There is none.
    Invalid,
    /// The step limit was reached; run again to go on.
    Paused,
}

struct Frame {
    config: Config,
    round: Round,
    /// The next candidate: an index into the window, or beyond it, into the effects of the optional operations.
    cursor: u32,
    /// Length of the trail before this configuration's last operations.
    trail: u32,
    /// If the very last operation was an optional one: the state before it, and its rank.
    lifted: Option<(u32, u32)>,
}

/// Which candidates are tried, judged by the operation that must return next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Round {
    /// All: it is legal.
    All,
    /// It is not legal: those that make it so.
    Helpers,
    /// It is not legal: those that do not make it so.
    Others,
}

/// What a search can note down for an explanation.
struct Notes {
    /// By position: the configurations in which the search first came to it or beyond.
    crossings: Vec<FxHashSet<Config>>,
    /// The longest order found, by number of required operations: ranks, and the state after it.
    longest: Vec<u32>,
    last_state: u32,
    longest_count: u32,
}

/// Whether an operation had taken effect when the search crossed a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Used {
    Always,
    Sometimes,
    Never,
}

/// What the optional operations do in a state.
#[derive(Default)]
struct Effects {
    /// So many of the classes have been asked.
    asked: u32,
    /// The classes that change it, and the state after the first of each.
    changes: Vec<(u32, u32)>,
}

/// A search that can pause. Deterministic: the same entries take the same steps on every machine.
pub(super) struct Search<'a, M: Model> {
    model: &'a M,
    partition: Partition<'a, M>,
    states: Interned<M::State>,
    /// Sets of numbers (rank less `required`) of optional operations.
    sets: Interned<Bits>,
    /// By state.
    effects: Vec<Effects>,
    stack: Vec<Frame>,
    failed: Failed,
    /// The ranks linearized on the way to the top of the stack, in order.
    trail: Vec<u32>,
    /// How many times the model was asked.
    steps: u64,
    furthest: u32,
    outcome: Option<Progress>,
    notes: Option<Notes>,
}

impl<'a, M: Model> Search<'a, M> {
    /// A search for a legal order of the entries (in order of invocation), from `initial`.
    pub(super) fn new(model: &'a M, entries: &[Entry<'a, M>], initial: M::State) -> Self {
        Self::start(model, entries, initial, false)
    }

    /// The same, taking notes.
    pub(super) fn with_notes(model: &'a M, entries: &[Entry<'a, M>], initial: M::State) -> Self {
        Self::start(model, entries, initial, true)
    }

    fn start(model: &'a M, entries: &[Entry<'a, M>], initial: M::State, notes: bool) -> Self {
        let partition = Partition::new(model, entries);
        let notes = notes.then(|| Notes {
            crossings: vec![FxHashSet::default(); partition.required as usize + 1],
            longest: Vec::new(),
            last_state: 0,
            longest_count: 0,
        });
        let mut states = Interned::default();
        let mut sets = Interned::default();
        let config = Config {
            position: 0,
            state: states.intern(initial),
            window: Bits::new(partition.slot_count),
            used: sets.intern(Bits::new(partition.optional())),
        };
        let mut search = Search {
            model,
            states,
            sets,
            effects: Vec::new(),
            stack: Vec::new(),
            failed: Failed::default(),
            trail: Vec::with_capacity(partition.entries.len()),
            steps: 0,
            furthest: 0,
            outcome: None,
            partition,
            notes,
        };
        search.enter(config, 0, None);
        search
    }

    /// Goes on until decided, or until `limit` steps have been taken in all (and a few more).
    pub(super) fn run(&mut self, limit: u64) -> Progress {
        while self.outcome.is_none() {
            if self.steps >= limit {
                return Progress::Paused;
            }
            let Some(frame) = self.stack.last_mut() else {
                self.outcome = Some(Progress::Invalid);
                break;
            };
            let (cursor, round, state) = (frame.cursor, frame.round, frame.config.state);
            frame.cursor += 1;
            let position = frame.config.position;
            let window = self.partition.window(position);
            if cursor == 0 {
                // The operation that must return: first in its window, and not linearized. If it is read-only, then
                // it is not legal, or `settle` would have linearized it.
                if self.partition.read_only[position as usize] || !self.try_required(position) {
                    self.next_round(Round::Helpers);
                }
            } else if let Some(&rank) = window.get(cursor as usize) {
                let linearized = frame.config.window.get(self.partition.slots[rank as usize]);
                if !linearized && !self.partition.read_only[rank as usize] {
                    self.try_required(rank);
                }
            } else {
                let index = cursor as usize - window.len();
                if let Some((class, next)) = self.effect(state, position, index) {
                    self.try_optional(class, next);
                } else if round == Round::Helpers {
                    self.next_round(Round::Others);
                } else {
                    self.leave();
                }
            }
        }
        self.outcome.unwrap_or(Progress::Invalid)
    }

    /// Steps taken so far.
    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    /// The number of required operations.
    pub(super) fn required(&self) -> u32 {
        self.partition.required
    }

    /// The furthest position reached: so many required operations, in order of return, have a legal order.
    /// If the search failed, the operation of this rank is the first that cannot return.
    pub(super) fn furthest(&self) -> u32 {
        self.furthest
    }

    /// The entries by rank.
    pub(super) fn entries(&self) -> &[Entry<'a, M>] {
        &self.partition.entries
    }

    /// The states that any operation was seen to lead to, in order of discovery.
    pub(super) fn states(&self) -> &[M::State] {
        self.states.all()
    }

    /// The ranks, in order, of the longest legal order found by a search that takes notes.
    pub(super) fn longest(&self) -> &[u32] {
        self.notes.as_ref().map_or(&[], |notes| &notes.longest)
    }

    /// The state after it.
    pub(super) fn last_state(&self) -> Option<M::State> {
        self.notes
            .as_ref()
            .map(|notes| self.states.get(notes.last_state).clone())
    }

    /// Starts another round of the top configuration, without the operation that must return.
    fn next_round(&mut self, round: Round) {
        if let Some(frame) = self.stack.last_mut() {
            frame.round = round;
            frame.cursor = 1;
        }
    }

    /// Whether a candidate for the top configuration that leads to `next` belongs to the current round.
    fn is_this_round(&mut self, next: u32) -> bool {
        let Some(Frame { config, round, .. }) = self.stack.last() else {
            return false;
        };
        let (round, target) = (*round, config.position);
        round == Round::All || self.step(target, next).is_some() == (round == Round::Helpers)
    }

    /// Tries a required operation next. Whether it is legal.
    fn try_required(&mut self, rank: u32) -> bool {
        let Some(Frame { config, lifted, .. }) = self.stack.last() else {
            return false;
        };
        let (state, lifted) = (config.state, *lifted);
        let twin = self.partition.twin(rank, config.position, &config.window);
        let Some(next) = self.step(rank, state) else {
            return false;
        };
        if twin.is_some() || !self.is_this_round(next) {
            return true;
        }
        if let Some((before, optional)) = lifted
            && let Some(without) = self.step(rank, before)
            && (without == next || self.step(optional, without) == Some(next))
        {
            return true;
        }
        let Some(frame) = self.stack.last() else {
            return true;
        };
        let mut config = frame.config.clone();
        config.window.insert(self.partition.slots[rank as usize]);
        config.state = next;
        self.linearize(rank, config, None);
        true
    }

    /// The class of optional operations, callable at `position` or later, that is the one of this index among those that
    /// change `state`; and the state after the first of it.
    fn effect(&mut self, state: u32, position: u32, index: usize) -> Option<(u32, u32)> {
        let end = self.partition.class_end(position);
        if end == 0 {
            return None;
        }
        if self.effects.len() <= state as usize {
            self.effects
                .resize_with(state as usize + 1, Effects::default);
        }
        while self.effects[state as usize].asked < end {
            let class = self.effects[state as usize].asked;
            let first = self.partition.classes[class as usize].start;
            let next = self.step(self.partition.required + first, state);
            let effects = &mut self.effects[state as usize];
            effects.asked += 1;
            effects
                .changes
                .extend(next.filter(|next| *next != state).map(|next| (class, next)));
        }
        self.effects[state as usize].changes.get(index).copied()
    }

    /// Tries the next operation of a class of optional ones, whose first leads to `next`.
    fn try_optional(&mut self, class: u32, next: u32) {
        let Some(Frame { config, lifted, .. }) = self.stack.last() else {
            return;
        };
        let (position, state, used, lifted) = (config.position, config.state, config.used, *lifted);
        let class = self.partition.classes[class as usize];
        let Some(number) = self.sets.get(used).first_missing(class.start, class.end) else {
            return;
        };
        let rank = self.partition.required + number;
        // If the first leads to a state in which what must return is legal, then so does each of them.
        if !self.partition.is_called(rank, position) || !self.is_this_round(next) {
            return;
        }
        let Some(next) = self.step(rank, state) else {
            return;
        };
        if let Some((before, _)) = lifted
            && self.step(rank, before) == Some(next)
        {
            return;
        }
        let Some(frame) = self.stack.last() else {
            return;
        };
        let mut config = frame.config.clone();
        let mut set = self.sets.get(used).clone();
        set.insert(number);
        config.used = self.sets.intern(set);
        config.state = next;
        self.linearize(rank, config, Some((state, rank)));
    }

    fn linearize(&mut self, rank: u32, config: Config, lifted: Option<(u32, u32)>) {
        let trail = self.trail.len() as u32;
        self.trail.push(rank);
        self.enter(config, trail, lifted);
    }

    /// Settles a new configuration and pushes it, unless it is known to fail.
    fn enter(&mut self, mut config: Config, trail: u32, lifted: Option<(u32, u32)>) {
        let (before, length) = (config.position, self.trail.len());
        self.settle(&mut config);
        self.furthest = self.furthest.max(config.position);
        self.take_notes(before, &config);
        if config.position == self.partition.required {
            self.outcome = Some(Progress::Valid);
        } else if self.failed.contains(&config, &self.sets) {
            self.trail.truncate(trail as usize);
        } else {
            let lifted = lifted.filter(|_| self.trail.len() == length);
            self.stack.push(Frame {
                config,
                round: Round::All,
                cursor: 0,
                trail,
                lifted,
            });
        }
    }

    /// Linearizes all read-only operations that are legal now, and moves to the next operation that is not
    /// linearized.
    fn settle(&mut self, config: &mut Config) {
        let partition = &self.partition;
        // The state stays the same: what was called before this event has been looked at.
        let mut seen = None;
        while config.position < partition.required {
            let reads = partition.may_have_reads(config.position, &config.window);
            let window = partition.window(config.position).iter();
            for &rank in window.filter(|_| reads) {
                let entry = &partition.entries[rank as usize];
                let slot = partition.slots[rank as usize];
                if !partition.read_only[rank as usize]
                    || Some(entry.called) < seen
                    || config.window.get(slot)
                {
                    continue;
                }
                self.steps += 1;
                let state = self.states.get(config.state);
                if self.model.step(state, entry.op, entry.ret).is_some() {
                    config.window.insert(slot);
                    self.trail.push(rank);
                }
            }
            seen = partition.entries[config.position as usize].returned;
            let slot = partition.slots[config.position as usize];
            if !config.window.get(slot) {
                return;
            }
            config.window.remove(slot);
            config.position += 1;
        }
    }

    /// Marks the top configuration as failed and goes back to the one before.
    fn leave(&mut self) {
        if let Some(frame) = self.stack.pop() {
            self.trail.truncate(frame.trail as usize);
            self.failed.insert(frame.config);
        }
    }

    /// The state after the operation in `state`, if it is legal there.
    fn step(&mut self, rank: u32, state: u32) -> Option<u32> {
        self.steps += 1;
        let entry = &self.partition.entries[rank as usize];
        let next = self
            .model
            .step(self.states.get(state), entry.op, entry.ret)?;
        Some(self.states.intern(next))
    }

    fn take_notes(&mut self, before: u32, config: &Config) {
        let Some(notes) = &mut self.notes else { return };
        for position in before + 1..=config.position {
            notes.crossings[position as usize].insert(config.clone());
        }
        let count = config.position + config.window.count();
        if count > notes.longest_count {
            notes.longest_count = count;
            notes.longest.clone_from(&self.trail);
            notes.last_state = config.state;
        }
    }

    /// The states in which the search, taking notes, crossed `position` (above 0), in order of discovery.
    pub(super) fn states_at(&self, position: u32) -> Vec<M::State> {
        let mut states: Vec<u32> = self.crossing(position).map(|config| config.state).collect();
        states.sort_unstable();
        states.dedup();
        let state = |&state: &u32| self.states.get(state).clone();
        states.iter().map(state).collect()
    }

    /// Whether the operation had taken effect when the search, taking notes, crossed `position` (above 0), at
    /// which it must have been open.
    pub(super) fn used_at(&self, position: u32, rank: u32) -> Used {
        let required = self.partition.required;
        let used = |config: &Config| match rank.checked_sub(required) {
            Some(number) => self.sets.get(config.used).get(number),
            None => {
                rank < config.position || config.window.get(self.partition.slots[rank as usize])
            }
        };
        let (all, count) = (
            self.crossing(position).count(),
            self.crossing(position).filter(|c| used(c)).count(),
        );
        match count {
            0 => Used::Never,
            _ if count == all => Used::Always,
            _ => Used::Sometimes,
        }
    }

    fn crossing(&self, position: u32) -> impl Iterator<Item = &Config> {
        let notes = self.notes.iter();
        notes.flat_map(move |notes| &notes.crossings[position as usize])
    }
}
