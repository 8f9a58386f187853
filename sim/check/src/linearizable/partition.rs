//! The operations that are checked together, arranged for the search.

use crate::Model;
use rustc_hash::FxHashMap;

/// An operation as the search sees it.
pub(super) struct Entry<'a, M: Model> {
    pub(super) op: &'a M::Op,
    /// What it answers, where that is known.
    pub(super) ret: Option<&'a M::Ret>,
    /// The event that invoked it.
    pub(super) called: u32,
    /// The event before which it takes effect; `None` for an *optional* operation, which may take effect at
    /// any time after its call, or never.
    pub(super) returned: Option<u32>,
    /// Its index in the history's operations.
    pub(super) id: u32,
    /// Operations of unknown outcome in the same class can stand in for each other. Without a class, those that
    /// are equal can.
    pub(super) class: Option<u32>,
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
    pub(super) fn is_read_only(&self, model: &M) -> bool {
        model.is_read_only(self.op, self.ret)
    }
}

/// The operations that are checked together, with the windows in which they are open.
///
/// Operations are known by their *rank*: first the required ones, in order of return, then the optional ones,
/// in order of call. The search moves through *positions*: at position `p` all required operations below rank
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
    /// The windows, one after the other, each in order of rank; see [`Partition::window`].
    windows: Vec<u32>,
    window_ends: Vec<u32>,
    /// By position, the rank at which the optional operations end that can be linearized there.
    optional_ends: Vec<u32>,
    /// By number of optional operation (rank less `required`): the rank of the last earlier one that can stand in
    /// for it.
    earlier_alike: Vec<Option<u32>>,
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
        ranked.extend(entries.iter().filter(|entry| {
            entry.returned.is_none()
                && Some(entry.called) < last_return
                && !entry.is_read_only(model)
        }));
        let mut partition = Partition {
            slots: vec![0; required],
            read_only: ranked
                .iter()
                .map(|entry| entry.is_read_only(model))
                .collect(),
            required: required as u32,
            slot_count: 0,
            windows: Vec::with_capacity(4 * required),
            window_ends: Vec::with_capacity(required),
            optional_ends: Vec::with_capacity(required),
            earlier_alike: Vec::new(),
            entries: ranked,
        };
        partition.fill_windows(ranks.into_iter().flatten());
        partition.chain_alike();
        partition
    }

    /// The required operations come in order of call.
    fn fill_windows(&mut self, by_call: impl Iterator<Item = u32>) {
        let (required, optional) = self.entries.split_at(self.required as usize);
        let mut calls = by_call.peekable();
        let mut optional_end = 0;
        let mut free: Vec<u32> = Vec::new();
        // In order of rank. All that returned before are gone, so that the next to return comes first.
        let mut open: Vec<u32> = Vec::new();
        for entry in required {
            let called = |rank: &u32| Some(required[*rank as usize].called) < entry.returned;
            while let Some(rank) = calls.next_if(called) {
                self.slots[rank as usize] = free.pop().unwrap_or_else(|| {
                    self.slot_count += 1;
                    self.slot_count as u32 - 1
                });
                let place = open.partition_point(|&other| other < rank);
                open.insert(place, rank);
            }
            self.windows.extend_from_slice(&open);
            self.window_ends.push(self.windows.len() as u32);
            free.push(self.slots[open.remove(0) as usize]);
            while optional_end < optional.len()
                && Some(optional[optional_end].called) < entry.returned
            {
                optional_end += 1;
            }
            self.optional_ends.push(self.required + optional_end as u32);
        }
    }

    fn chain_alike(&mut self) {
        let optional = &self.entries[self.required as usize..];
        if optional.is_empty() {
            return;
        }
        let mut last_equal = FxHashMap::default();
        let mut last_in_class = FxHashMap::default();
        for (rank, entry) in (self.required..).zip(optional) {
            let earlier = match (entry.ret, entry.class) {
                // With a known answer, an operation can do less than its equals.
                (Some(_), _) => None,
                (None, Some(class)) => last_in_class.insert(class, rank),
                (None, None) => last_equal.insert(entry.op, rank),
            };
            self.earlier_alike.push(earlier);
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

    /// Where the ranks of the optional operations end that can be linearized at `position`; they start at
    /// `required`.
    #[inline]
    pub(super) fn optional_end(&self, position: u32) -> u32 {
        self.optional_ends[position as usize]
    }

    /// The rank of the last earlier optional operation that can stand in for this one.
    #[inline]
    pub(super) fn earlier_alike(&self, rank: u32) -> Option<u32> {
        self.earlier_alike[(rank - self.required) as usize]
    }

    /// The number of optional operations.
    pub(super) fn optional(&self) -> usize {
        self.entries.len() - self.required as usize
    }
}
