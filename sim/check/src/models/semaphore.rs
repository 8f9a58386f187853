//! A semaphore: so many permits, which owners take and give back. All are free at first.
//!
//! In JSON: `{"f":"acquire","owner":1,"permits":2}` and `{"f":"release","owner":1,"permits":2}` answer `{"done":true}`, or
//! `{"done":false}` where there were not as many free, or held by the owner. An owner is a number, such as the process.

use super::mutex::{Owner, Ret};
use crate::{Footprint, Model};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::convert::Infallible;

/// The model; see the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct Semaphore {
    /// How many permits there are.
    pub permits: u64,
}

/// An operation on the semaphore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "f", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Takes permits.
    Acquire {
        /// For whom.
        owner: Owner,
        /// How many, all or none of them.
        permits: u64,
    },
    /// Gives permits back.
    Release {
        /// Whose.
        owner: Owner,
        /// How many, all or none of them.
        permits: u64,
    },
}

impl Model for Semaphore {
    type Op = Op;
    type Ret = Ret;
    /// By owner, how many permits it has: none of them 0.
    type State = BTreeMap<Owner, u64>;
    type Key = Infallible;

    fn initial(&self) -> BTreeMap<Owner, u64> {
        BTreeMap::new()
    }

    fn footprint<'a>(&self, _op: &'a Op) -> Footprint<'a, Infallible> {
        Footprint::Whole
    }

    fn step(
        &self,
        state: &BTreeMap<Owner, u64>,
        op: &Op,
        ret: Option<&Ret>,
    ) -> Option<BTreeMap<Owner, u64>> {
        let (owner, after) = match *op {
            Op::Acquire { owner, permits } => {
                // Not more than there are: the sum does not overflow.
                let held: u64 = state.values().sum();
                let has = state.get(&owner).copied().unwrap_or(0);
                let is_free = permits <= self.permits.saturating_sub(held);
                (owner, is_free.then(|| has + permits))
            }
            Op::Release { owner, permits } => {
                let has = state.get(&owner).copied().unwrap_or(0);
                (owner, has.checked_sub(permits))
            }
        };
        match (ret, after) {
            (Some(Ret { done }), after) if *done != after.is_some() => None,
            (_, None) => Some(state.clone()),
            (_, Some(has)) => {
                let mut state = state.clone();
                state.insert(owner, has);
                state.retain(|_, has| *has > 0);
                Some(state)
            }
        }
    }

    fn is_read_only(&self, _op: &Op, ret: Option<&Ret>) -> bool {
        ret.is_some_and(|ret| !ret.done)
    }

    fn describe(&self, op: &Op, ret: Option<&Ret>) -> String {
        let answer = if ret.is_some_and(|ret| !ret.done) {
            " -> refused"
        } else {
            ""
        };
        match op {
            Op::Acquire { owner, permits } => format!("acquire {permits} for {owner}{answer}"),
            Op::Release { owner, permits } => format!("release {permits} by {owner}{answer}"),
        }
    }

    fn needs(&self, op: &Op, ret: &Ret) -> String {
        match (op, ret.done) {
            (Op::Acquire { permits, .. }, true) => format!("{permits} permits free"),
            (Op::Acquire { permits, .. }, false) => format!("fewer than {permits} permits free"),
            (Op::Release { owner, permits }, true) => format!("{permits} permits held by {owner}"),
            (Op::Release { owner, permits }, false) => {
                format!("fewer than {permits} permits held by {owner}")
            }
        }
    }

    fn describe_state(&self, _key: Option<&Infallible>, state: &BTreeMap<Owner, u64>) -> String {
        let held: u64 = state.values().sum();
        let free = self.permits.saturating_sub(held);
        let holders = state
            .iter()
            .map(|(owner, has)| format!(", {has} held by {owner}"));
        format!("{free} permits are free{}", holders.collect::<String>())
    }
}
