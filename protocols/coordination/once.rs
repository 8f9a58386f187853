//! The simplest recipe: one operation, and what its answer means.

use super::op::Ret;
use super::step::{Step, Told};
use crate::kv;
use crate::service;
use splitbrain_core::Outcome;

/// One operation on the store.
#[derive(Clone, Debug)]
pub struct Once {
    op: kv::Op,
    understand: fn(&service::Ret) -> Option<Ret>,
}

impl Once {
    /// An operation, and what its answer means; nothing, if it says that it was not done.
    pub fn new(op: kv::Op, understand: fn(&service::Ret) -> Option<Ret>) -> Once {
        Once { op, understand }
    }

    /// The first step.
    pub fn begin(&self) -> Step<Ret> {
        Step::kv(self.op.clone())
    }

    /// The last step.
    pub fn told(&self, told: Told<'_>) -> Step<Ret> {
        let done = match told.outcome {
            Outcome::Ok(ret) => (self.understand)(ret),
            _ => None,
        };
        done.map_or_else(|| told.without_answer(), Step::Done)
    }

    /// What a store says to it.
    #[cfg(test)]
    pub(super) fn at(&self, store: &mut kv::Store) -> Option<Ret> {
        (self.understand)(&service::Ret::Kv(store.apply(&self.op)))
    }
}
