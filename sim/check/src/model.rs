//! What a system should be: a sequential specification.

use crate::monitors::{Action, Object};
use std::fmt::Display;
use std::hash::Hash;

/// A sequential specification: a state machine whose operations happen one after the other.
///
/// Operations whose [footprints](Model::footprint) have no key in common must not influence each other. By the
/// locality of linearizability (Herlihy & Wing 1990) keys that no operation touches together are then checked alone.
pub trait Model {
    /// An operation, as invoked. Equal operations do the same in the same state.
    type Op: Eq + Hash;
    /// An answer.
    type Ret: Eq + Hash;
    /// The state of the keys that are checked together. Equal states behave alike for ever.
    type State: Clone + Eq + Hash;
    /// A part of the system, where it has parts.
    type Key: Ord + Display;

    /// The state before the first operation, of every group of keys that are checked together.
    fn initial(&self) -> Self::State;

    /// What `op` reads or may write. Equal operations have equal footprints.
    fn footprint<'a>(&self, op: &'a Self::Op) -> Footprint<'a, Self::Key>;

    /// The state after `op` in `state` answered `ret`, or `None` if it cannot have answered that. With the
    /// answer unknown (`ret` is `None`): the state after `op`, whatever it answers.
    fn step(
        &self,
        state: &Self::State,
        op: &Self::Op,
        ret: Option<&Self::Ret>,
    ) -> Option<Self::State>;

    /// Whether `op`, in every state in which it can answer `ret`, leaves the state as it is. With the answer
    /// unknown: whether it never changes the state.
    ///
    /// Saying `false` is always right, and slower.
    fn is_read_only(&self, op: &Self::Op, ret: Option<&Self::Ret>) -> bool;

    /// The kind of object it is, or that each of its keys is, if there is a faster way than search for it: see
    /// [`monitors`](crate::monitors).
    fn object(&self) -> Option<Object> {
        None
    }

    /// What `op` does to the [object](Model::object), if its answer is `ret`, or is unknown. `None`, which is always right and
    /// slower, if that is none of the actions, or the answer is not one to this operation.
    fn action<'a>(&self, _op: &'a Self::Op, _ret: Option<&'a Self::Ret>) -> Option<Action<'a>> {
        None
    }

    /// The operation and its answer, if known, in words: `get x -> 1`.
    fn describe(&self, op: &Self::Op, ret: Option<&Self::Ret>) -> String;

    /// What must hold for `op` to answer `ret`, in words: `x = 1`. Only asked where there is such a condition.
    fn needs(&self, op: &Self::Op, ret: &Self::Ret) -> String;

    /// The state in words: `x is 2`. Of a model whose operations are about one key each, `key` is that key.
    fn describe_state(&self, key: Option<&Self::Key>, state: &Self::State) -> String;
}

/// The parts of a system that an operation is about. Those of one operation are checked together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Footprint<'a, K> {
    /// All of it: the model cannot be split.
    Whole,
    /// One key.
    Key(&'a K),
    /// Several keys.
    Several(Vec<Touched<'a, K>>),
}

/// Keys that an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touched<'a, K> {
    /// One.
    Key(&'a K),
    /// All from the first to before the second, or to the last one of all. Only those count that some operation
    /// of the history names: the others stay what they are at first.
    Range(&'a K, Option<&'a K>),
}
