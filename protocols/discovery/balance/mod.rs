//! Which instance gets the next request.
//!
//! | policy | knows | source |
//! |---|---|---|
//! | [`RoundRobin`](Policy::RoundRobin) | who was last | |
//! | [`WeightedRoundRobin`](Policy::WeightedRoundRobin) | weights, and who is owed | smooth weighted round robin, as in nginx |
//! | [`Random`](Policy::Random) | weights | |
//! | [`LeastOutstanding`](Policy::LeastOutstanding) | all loads | `leastconn` of HAProxy |
//! | [`PowerOfTwoChoices`](Policy::PowerOfTwoChoices) | two loads | Mitzenmacher, *The Power of Two Choices in Randomized Load Balancing* (2001) |
//! | [`ConsistentHashing`](Policy::ConsistentHashing) | the request's key, and all loads | Karger et al. (1997); Mirrokni, Thorup, Zadimoghaddam, *Consistent Hashing with Bounded Loads* (2016) |
//!
//! An enum and not a trait: the policies are known, a scenario names one, and what they share (members, loads, exclusions)
//! is most of the work.
//!
//! Loads are requests that this balancer has given out and that are not finished: what one client can know. With many
//! clients that all see the same stale loads, the least loaded instance gets all of their requests at once; two random choices
//! do not do that.

mod load;
mod members;
mod ring;
mod robin;

use super::settings::within;
use super::{Instance, Label, SettingsError};
use members::Members;
use ring::Ring;
use serde::{Deserialize, Serialize};
use splitbrain_core::Rng;
use std::collections::BTreeSet;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How an instance is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// One after the other, each as often as any other, whatever its weight.
    RoundRobin,
    /// Each as often as its weight says, and as evenly spread as that allows.
    WeightedRoundRobin,
    /// Any, with a probability that its weight says.
    Random,
    /// The one with the fewest outstanding requests for its weight; among equals, any.
    LeastOutstanding,
    /// The one with fewer outstanding requests for its weight, of two that are drawn uniformly.
    PowerOfTwoChoices,
    /// The one that the request's key belongs to, or the next on the ring that is not full. Few keys change their
    /// instance when instances come or go.
    ConsistentHashing {
        /// How much of the average load an instance may have before it is full, in percent: the paper's *c*, times 100. It is
        /// more even near 100, and more faithful to keys above.
        load_percent_max: u32,
    },
}

impl Policy {
    /// Whether it can work so.
    ///
    /// # Errors
    /// If instances would be full before they have their share.
    pub fn validate(&self) -> Result<(), SettingsError> {
        match *self {
            Policy::ConsistentHashing { load_percent_max } => within(
                "load_percent_max",
                u64::from(load_percent_max),
                100..=u64::from(u32::MAX),
            ),
            _ => Ok(()),
        }
    }
}

/// What is to be known of a request, to find an instance for it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What it is about: requests with the same key go to the same instance, where the policy is to hash.
    pub key: &'a str,
    /// Who must not get it: it has been tried there, or is ejected, or its breaker is open.
    pub excluded: &'a BTreeSet<Label>,
}

/// Gives requests to instances, and knows how many each has that are not finished.
#[derive(Clone, Debug)]
pub struct Balancer {
    policy: Policy,
    seed: u64,
    members: Members,
    state: State,
}

/// What a policy remembers from one request to the next.
#[derive(Clone, Debug)]
enum State {
    /// The place of the last one in the order of [`Members`], whether or not it is still a member.
    Last(Option<members::Place>),
    Ring(Ring),
    Nothing,
}

impl Balancer {
    /// A balancer without instances, with a [valid](Policy::validate) policy.
    ///
    /// The seed decides in which order instances come, and where keys belong. Clients that hash keys need the same one, to
    /// agree on who has a key. Others should each have their own, or they all begin with the same instance.
    pub fn new(policy: Policy, seed: u64) -> Balancer {
        let state = match policy {
            Policy::RoundRobin => State::Last(None),
            Policy::ConsistentHashing { .. } => State::Ring(Ring::default()),
            _ => State::Nothing,
        };
        Balancer {
            policy,
            seed,
            members: Members::default(),
            state,
        }
    }

    /// The instances to choose from, from now on. What is known of those that stay is kept, and so is the number of
    /// outstanding requests of those that go, in case they come back.
    pub fn set_instances<'a>(&mut self, instances: impl IntoIterator<Item = &'a Instance>) {
        let weights = instances
            .into_iter()
            .map(|instance| (instance.id().clone(), u32::from(instance.weight())));
        self.members.set(weights, self.seed);
        if let State::Ring(ring) = &mut self.state {
            ring.rebuild(&self.members, self.seed);
        }
    }

    /// Chooses an instance that is not excluded, if there is one. The request counts as outstanding there until it is
    /// [finished](Balancer::finished).
    pub fn pick(&mut self, request: &Request<'_>, rng: &mut Rng) -> Option<Label> {
        let (members, excluded) = (&mut self.members, request.excluded);
        let chosen = match (self.policy, &mut self.state) {
            (Policy::RoundRobin, State::Last(last)) => robin::next(members, excluded, last),
            (Policy::WeightedRoundRobin, _) => robin::most_owed(members, excluded),
            (Policy::Random, _) => load::random(members, excluded, rng),
            (Policy::LeastOutstanding, _) => load::least(members, excluded, rng),
            (Policy::PowerOfTwoChoices, _) => load::better_of_two(members, excluded, rng),
            (Policy::ConsistentHashing { load_percent_max }, State::Ring(ring)) => {
                let hash = xxh3_64_with_seed(request.key.as_bytes(), self.seed);
                ring.first_with_room(hash, members, excluded, load_percent_max)
            }
            (Policy::RoundRobin | Policy::ConsistentHashing { .. }, _) => {
                unreachable!("the state is made for the policy")
            }
        }?;
        Some(self.members.begin(chosen))
    }

    /// A request that was given to this instance is finished, well or not.
    pub fn finished(&mut self, id: &Label) {
        self.members.finish(id, self.seed);
    }

    /// How many requests are outstanding at this instance.
    pub fn outstanding(&self, id: &Label) -> u64 {
        self.members.outstanding(id, self.seed)
    }

    /// The instances to choose from, in the balancer's own order.
    pub fn instances(&self) -> impl Iterator<Item = &Label> {
        self.members.as_slice().iter().map(|member| &member.id)
    }
}

#[cfg(test)]
mod tests;
