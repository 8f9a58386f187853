//! The operations that are checked together, arranged for the search.

use super::bits::Bits;
use crate::Model;
use rustc_hash::FxHashMap;

/// An operation as the search sees it.
pub(crate) struct Entry<'a, M: Model> {
    pub(crate) op: &'a M::Op,
    /// What it answers, where that is known.
    pub(crate) ret: Option<&'a M::Ret>,
    /// The event that invoked it.
    pub(crate) called: u32,
    /// The event before which it takes effect; `None` for an *optional* operation, which may take effect at
    /// any time after its call, or never.
    pub(crate) returned: Option<u32>,
    /// Its index in the history's operations.
    pub(crate) id: u32,
    /// Operations of unknown outcome in the same class can stand in for each other. Without a class, those that
    /// are equal can.
    pub(crate) class: Option<u32>,
}

// Not derived: a derive would ask for `M: Clone`, and only references to parts of it are in here.
impl<M: Model> Clone for Entry<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M: Model> Copy for Entry<'_, M> {}

impl<M: Model> Entry<'_, M> {
    /// Whether it leaves the state as it is, wherever it is legal.
    pub(crate) fn is_read_only(&self, model: &M) -> bool {
        model.is_read_only(self.op, self.ret)
    }
}

/// The operations that are checked together, with the windows in which they are open.
///
/// Operations are known by their *rank*: first the required ones, in order of return, then the optional ones,
/// class by class. The search moves through *positions*: at position `p` all required operations below rank
/// `p` have been linearized, and rank `p` is the next that must be. The operations that can be linearized at
/// position `p` are those called before rank `p` returned: the window of `p`.
///
/// Required operations that are ever open at the same time have different *slots*. A slot is used again by
/// operations called later, but never twice in one window, so that at a known position a set of slots says
/// exactly which operations of the window have been linearized.
pub(super) struct Partition<'a, M: Model> {
    /// By rank.
    pub(super) entries: Vec<Entry<'a, M>>,
    /// By rank, of required ones.
    pub(super) slots: Vec<u32>,
    /// By rank: see [`Model::is_read_only`].
    pub(super) read_only: Vec<bool>,
    /// The number of required operations.
    pub(super) required: u32,
    /// The number of slots.
    pub(super) slot_count: usize,
    /// Optional operations that can stand in for each other, in order of first call.
    pub(super) classes: Vec<Class>,
    /// The windows, one after the other, each in order of rank; see [`Partition::window`].
    windows: Vec<u32>,
    window_ends: Vec<u32>,
    /// By position: the slots of the read-only operations in the window, those from 64 on left out.
    read_slots: Vec<u64>,
    /// By position: so many classes have a member that can be linearized there.
    class_ends: Vec<u32>,
    /// By rank, of required ones that may change the state: the one of the next lower rank that is the same operation with
    /// the same answer, or [`NO_TWIN`].
    twins: Vec<u32>,
}

/// See [`Partition::twin`].
const NO_TWIN: u32 = u32::MAX;

/// Optional operations that can stand in for each other, in order of call: their numbers are their ranks less
/// `required`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Class {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl<'a, M: Model> Partition<'a, M> {
    /// Arranges entries, which come in order of invocation. Time and space: the sum of the windows' lengths.
    pub(super) fn new(model: &M, entries: &[Entry<'a, M>]) -> Self {
        // By return, and then the ranks by call, for the price of one sort.
        let returns = |(index, entry): (u32, &Entry<'a, M>)| Some((entry.returned?, index));
        let mut order: Vec<(u32, u32)> = (0..).zip(entries).filter_map(returns).collect();
        order.sort_unstable();
        let required = order.len();
        let last_return = order.last().map(|(returned, _)| *returned);
        let mut ranks = vec![None; entries.len()];
        let mut ranked = Vec::with_capacity(entries.len());
        for (rank, (_, index)) in (0..).zip(order) {
            ranks[index as usize] = Some(rank);
            ranked.push(entries[index as usize]);
        }
        // Left out: what nobody saw and changes nothing, and what was called when all the rest was over.
        let optional = entries.iter().filter(|entry| {
            entry.returned.is_none()
                && Some(entry.called) < last_return
                && !entry.is_read_only(model)
        });
        let mut classes = Vec::new();
        for members in classed(optional) {
            let start = (ranked.len() - required) as u32;
            let end = start + members.len() as u32;
            classes.push(Class { start, end });
            ranked.extend(members);
        }
        let read_only = ranked.iter().map(|entry| entry.is_read_only(model));
        let mut partition = Partition {
            slots: vec![0; required],
            read_only: read_only.collect(),
            required: required as u32,
            slot_count: 0,
            classes,
            windows: Vec::with_capacity(4 * required),
            window_ends: Vec::with_capacity(required),
            read_slots: Vec::with_capacity(required),
            class_ends: Vec::with_capacity(required),
            twins: Vec::new(),
            entries: ranked,
        };
        partition.fill_windows(ranks.into_iter().flatten());
        partition.find_twins();
        partition
    }

    /// The required operations come in order of call.
    fn fill_windows(&mut self, by_call: impl Iterator<Item = u32>) {
        let (required, optional) = self.entries.split_at(self.required as usize);
        let mut calls = by_call.peekable();
        let mut class_end = 0;
        let mut free: Vec<u32> = Vec::new();
        // In order of rank. All that returned before are gone, so that the next to return comes first.
        let mut open: Vec<u32> = Vec::new();
        let mut read_slots = 0;
        for entry in required {
            let called = |rank: &u32| Some(required[*rank as usize].called) < entry.returned;
            while let Some(rank) = calls.next_if(called) {
                let slot = free.pop().unwrap_or_else(|| {
                    self.slot_count += 1;
                    self.slot_count as u32 - 1
                });
                self.slots[rank as usize] = slot;
                if self.read_only[rank as usize] {
                    read_slots |= bit(slot);
                }
                let place = open.partition_point(|&other| other < rank);
                open.insert(place, rank);
            }
            self.windows.extend_from_slice(&open);
            self.window_ends.push(self.windows.len() as u32);
            self.read_slots.push(read_slots);
            let slot = self.slots[open.remove(0) as usize];
            read_slots &= !bit(slot);
            free.push(slot);
            while self
                .classes
                .get(class_end)
                .is_some_and(|class| Some(optional[class.start as usize].called) < entry.returned)
            {
                class_end += 1;
            }
            self.class_ends.push(class_end as u32);
        }
    }

    fn find_twins(&mut self) {
        let mut last = FxHashMap::default();
        self.twins = vec![NO_TWIN; self.required as usize];
        for (rank, entry) in (0..self.required).zip(&self.entries) {
            if !self.read_only[rank as usize]
                && let Some(twin) = last.insert((entry.op, entry.ret), rank)
            {
                self.twins[rank as usize] = twin;
            }
        }
    }

    /// The ranks of the required operations that can be linearized at `position`, if they have not yet been.
    #[inline]
    pub(super) fn window(&self, position: u32) -> &[u32] {
        let position = position as usize;
        let start = if position == 0 {
            0
        } else {
            self.window_ends[position - 1]
        };
        &self.windows[start as usize..self.window_ends[position] as usize]
    }

    /// Whether a read-only operation of the window may not be linearized yet.
    #[inline]
    pub(super) fn may_have_reads(&self, position: u32, linearized: &Bits) -> bool {
        self.slot_count > 64 || self.read_slots[position as usize] & !linearized.first_word() != 0
    }

    /// So many of the classes have a member that can be linearized at `position`.
    #[inline]
    pub(super) fn class_end(&self, position: u32) -> u32 {
        self.class_ends[position as usize]
    }

    /// Whether an operation, required or not, can be linearized at `position` as far as its call is concerned.
    #[inline]
    pub(super) fn is_called(&self, rank: u32, position: u32) -> bool {
        Some(self.entries[rank as usize].called) < self.entries[position as usize].returned
    }

    /// A required operation of the window that is the same as this one, with the same answer, and returns earlier, if it is
    /// not linearized. There may be more of them, and this one be linearized.
    #[inline]
    pub(super) fn twin(&self, rank: u32, position: u32, linearized: &Bits) -> Option<u32> {
        let twin = self.twins[rank as usize];
        (twin != NO_TWIN
            && twin >= position
            && self.is_called(twin, position)
            && !linearized.get(self.slots[twin as usize]))
        .then_some(twin)
    }

    /// The number of optional operations.
    pub(super) fn optional(&self) -> usize {
        self.entries.len() - self.required as usize
    }
}

/// The mask of a slot; empty for those that do not fit.
fn bit(slot: u32) -> u64 {
    1_u64.checked_shl(slot).unwrap_or(0)
}

/// The optional operations, which come in order of call, by class.
fn classed<'e, 'a: 'e, M: Model + 'e>(
    optional: impl Iterator<Item = &'e Entry<'a, M>>,
) -> Vec<Vec<Entry<'a, M>>> {
    let mut classes: Vec<Vec<Entry<'a, M>>> = Vec::new();
    let mut equal = FxHashMap::default();
    let mut in_class = FxHashMap::default();
    for entry in optional {
        let next = classes.len();
        let class = match (entry.ret, entry.class) {
            // With a known answer, an operation can do less than its equals.
            (Some(_), _) => next,
            (None, Some(class)) => *in_class.entry(class).or_insert(next),
            (None, None) => *equal.entry(entry.op).or_insert(next),
        };
        if class == next {
            classes.push(Vec::new());
        }
        classes[class].push(*entry);
    }
    classes
}
