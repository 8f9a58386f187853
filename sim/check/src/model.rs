//! What a system should be: a sequential specification.

use std::fmt::Display;
use std::hash::Hash;

/// A sequential specification: a state machine whose operations happen one after the other.
///
/// Operations with different [keys](Model::key) must not influence each other. By the locality of
/// linearizability (Herlihy & Wing 1990) each key is then checked alone.
pub trait Model {
    /// An operation, as invoked. Equal operations do the same in the same state.
    type Op: Eq + Hash;
    /// An answer.
    type Ret;
    /// The state of one key. Equal states behave alike for ever.
    type State: Clone + Eq + Hash;
    /// The part of the system that an operation is about.
    type Key: Ord + Display;

    /// The state before the first operation, of every key.
    fn initial(&self) -> Self::State;

    /// The part of the system that `op` is about, or `None` if the model cannot be split. Equal operations
    /// have equal keys.
    fn key<'a>(&self, op: &'a Self::Op) -> Option<&'a Self::Key>;

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

    /// The operation and its answer, if known, in words: `get x -> 1`.
    fn describe(&self, op: &Self::Op, ret: Option<&Self::Ret>) -> String;

    /// What must hold for `op` to answer `ret`, in words: `x = 1`. Only asked where there is such a condition.
    fn needs(&self, op: &Self::Op, ret: &Self::Ret) -> String;

    /// The state of `key` in words: `x is 2`.
    fn describe_state(&self, key: Option<&Self::Key>, state: &Self::State) -> String;
}
