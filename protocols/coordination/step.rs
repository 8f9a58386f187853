//! How a recipe talks to whoever runs it: it says what it needs next of the store, and is told the answer.

use crate::kv::{self, LeaseId};
use crate::service;
use splitbrain_core::Outcome;
use std::time::Duration;

/// What a recipe needs next, or what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<Done> {
    /// To be done at the store, and [told](Told).
    Ask(service::Op),
    /// It is done.
    Done(Done),
    /// It certainly was not done, and leaves nothing that lasts.
    Failed(&'static str),
    /// Nobody knows whether it was done.
    Unknown,
}

impl<Done> Step<Done> {
    /// Asks for an operation on the store.
    pub(super) fn kv(op: kv::Op) -> Step<Done> {
        Step::Ask(service::Op::Kv(op))
    }

    /// Gives a lease up, with all that goes with it.
    pub(super) fn revoke(lease: LeaseId) -> Step<Done> {
        Step::kv(kv::Op::LeaseRevoke { lease })
    }
}

/// What came of what a recipe asked for.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The answer, as far as there is one.
    pub outcome: &'a Outcome<service::Ret>,
    /// Whether the recipe's lease may be relied on now, by the client's clock.
    pub assured: bool,
    /// How much time is left for all of it.
    pub left: Duration,
}

impl<'a> Told<'a> {
    /// The answer of the store, if it gave one.
    pub(super) fn kv(&self) -> Option<&'a kv::Ret> {
        match self.outcome {
            Outcome::Ok(service::Ret::Kv(ret)) => Some(ret),
            _ => None,
        }
    }

    /// What to say where the answer that was needed did not come.
    pub(super) fn without_answer<Done>(&self) -> Step<Done> {
        match self.outcome {
            Outcome::Info => Step::Unknown,
            Outcome::Fail(why) => Step::Failed(why),
            Outcome::Ok(_) => Step::Failed("the store refused"),
        }
    }
}
