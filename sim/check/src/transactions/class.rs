//! The kinds of cycles (Adya 1999, section 3.1 and 4.2; G-nonadjacent is Elle's name for what Cerone & Gotsman, "Analysing snapshot
//! isolation", PODC 2016, theorem 9, show snapshot isolation to forbid), each as a small automaton over the edges of a path.

use super::dependency::Dependency;
use std::fmt;

/// A kind of cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Transactions overwrite each other: ww only.
    G0,
    /// Circular information flow: ww and wr, at least one wr.
    G1c,
    /// A transaction reads something older than what it depends on: exactly one rw.
    GSingle,
    /// Two or more rw, no two of them side by side.
    GNonadjacent,
    /// Two or more rw, some two of them side by side: the only kind that snapshot isolation allows.
    G2Item,
}

/// Which orders beside those of reads and writes a cycle may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Order {
    /// None.
    Data,
    /// That of each process, too, and it does.
    Process,
    /// That of real time, too, and it does.
    RealTime,
}

impl Order {
    /// From the least to the most.
    pub(crate) const ALL: [Order; 3] = [Order::Data, Order::Process, Order::RealTime];

    /// Whether edges of the kind count.
    pub(crate) fn allows(self, kind: Dependency) -> bool {
        match kind {
            Dependency::Process => self >= Order::Process,
            Dependency::RealTime => self == Order::RealTime,
            _ => true,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::G0 => "G0",
            Class::G1c => "G1c",
            Class::GSingle => "G-single",
            Class::GNonadjacent => "G-nonadjacent",
            Class::G2Item => "G2-item",
        })
    }
}

/// Where in a cycle a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    place: Place,
    /// Whether an edge was one of the order that the cycle must use.
    ordered: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Anything that may be on the cycle at all may come.
    Any,
    /// One rw so far, and it was the last edge.
    OnlyJust,
    /// One rw so far, and it was not the last edge.
    Only,
    /// Several rw, and the last edge is one.
    SeveralJust,
    /// Several rw, and the last edge is none.
    Several,
}

impl State {
    /// So many states there are.
    pub(crate) const COUNT: usize = 10;

    /// Each state has its own number below [`State::COUNT`].
    pub(crate) fn number(self) -> usize {
        2 * self.place as usize + usize::from(self.ordered)
    }

    /// Whether the last edge was rw, where that matters.
    pub(crate) fn just_anti(self) -> bool {
        matches!(self.place, Place::OnlyJust | Place::SeveralJust)
    }
}

impl Class {
    /// Strong to weak: what is found early is worse.
    pub(crate) const ALL: [Class; 5] = [
        Class::G0,
        Class::G1c,
        Class::GSingle,
        Class::GNonadjacent,
        Class::G2Item,
    ];

    /// The state after the first edge, if a cycle may be thought to start with one of this kind.
    pub(crate) fn start(self, kind: Dependency) -> Option<State> {
        let (first, place) = match self {
            Class::G0 => (Dependency::WriteWrite, Place::Any),
            Class::G1c => (Dependency::WriteRead, Place::Any),
            Class::GSingle => (Dependency::ReadWrite, Place::Any),
            Class::GNonadjacent | Class::G2Item => (Dependency::ReadWrite, Place::OnlyJust),
        };
        let ordered = false;
        (kind == first).then_some(State { place, ordered })
    }

    /// The state after one more edge, if the path may go on with one of this kind.
    pub(crate) fn step(self, order: Order, state: State, kind: Dependency) -> Option<State> {
        if !order.allows(kind) {
            return None;
        }
        let rw = kind == Dependency::ReadWrite;
        let place = match (self, state.place) {
            (Class::G0, place) => match kind {
                Dependency::WriteRead | Dependency::ReadWrite => return None,
                _ => place,
            },
            (Class::G1c | Class::GSingle, place) if !rw => place,
            (Class::G2Item, Place::OnlyJust) if rw => Place::Any,
            (Class::G2Item, Place::Any) => Place::Any,
            (Class::GNonadjacent, Place::OnlyJust | Place::Only) if !rw => Place::Only,
            (Class::GNonadjacent, Place::SeveralJust | Place::Several) if !rw => Place::Several,
            (Class::GNonadjacent, Place::Only | Place::Several) => Place::SeveralJust,
            _ => return None,
        };
        let needed = match order {
            Order::Data => false,
            Order::Process => kind == Dependency::Process,
            Order::RealTime => kind == Dependency::RealTime,
        };
        Some(State {
            place,
            ordered: state.ordered || needed,
        })
    }

    /// Whether a path that is back at its beginning is a cycle of this class.
    pub(crate) fn accepts(self, order: Order, state: State) -> bool {
        let complete = match self {
            Class::G0 | Class::G1c | Class::GSingle | Class::G2Item => state.place == Place::Any,
            Class::GNonadjacent => state.place == Place::Several,
        };
        complete && (state.ordered || order == Order::Data)
    }

    /// Whether edges of the kind can be on a cycle of this class.
    pub(crate) fn allows(self, order: Order, kind: Dependency) -> bool {
        let fits = match self {
            Class::G0 => !matches!(kind, Dependency::WriteRead | Dependency::ReadWrite),
            Class::G1c => kind != Dependency::ReadWrite,
            Class::GSingle | Class::GNonadjacent | Class::G2Item => true,
        };
        fits && order.allows(kind)
    }
}
