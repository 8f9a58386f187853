//! The instances of one service as a caller sees them: whom to give the next call.

use super::Settings;
use super::entry::node_of;
use crate::discovery::balance::{Balancer, Request};
use crate::discovery::breaker::{Breaker, BreakerState, CallOutcome, Permit};
use crate::discovery::outlier::OutlierDetector;
use crate::discovery::{Instance, Label};
use splitbrain_core::{NodeId, Rng, Time};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// The instances of a service, and what is known of each by having called it.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    instances: Vec<Arc<Instance>>,
    balancer: Balancer,
    outliers: OutlierDetector,
    /// Of those that were called.
    breakers: BTreeMap<Label, Breaker>,
    /// Those that are not among the instances any more, and since when; each has a breaker.
    gone: BTreeMap<Label, Time>,
    /// For how long the breaker of one that has gone is kept: as long as it may have something to say.
    memory: Duration,
    /// How often an instance was picked, and the latest [`PICKS_MAX`] times.
    picks: (u64, VecDeque<Pick>),
}

/// How many picks are remembered.
pub const PICKS_MAX: usize = 64;

/// That an instance was picked, for invariants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pick {
    /// Who could be, and how many calls each had outstanding.
    pub eligible: Vec<(Label, u64)>,
    /// Who was; nobody, if nobody could be.
    pub picked: Option<Label>,
    /// What the call was about.
    pub key: String,
}

/// An instance that is to be called.
#[derive(Clone, Debug)]
pub(super) struct Chosen {
    pub(super) instance: Label,
    pub(super) node: NodeId,
    pub(super) permit: Permit,
    /// If its breaker is half open: until when, which tells this time from others.
    pub(super) trial: Option<Time>,
    /// How many breakers refused before.
    pub(super) refused: usize,
}

impl Pool {
    pub(super) fn new(settings: &Settings, seed: u64) -> Pool {
        Pool {
            instances: Vec::new(),
            balancer: Balancer::new(settings.policy, seed),
            outliers: OutlierDetector::new(settings.outliers),
            breakers: BTreeMap::new(),
            gone: BTreeMap::new(),
            memory: Duration::from_millis(
                (settings.breaker.open_ms_max + settings.breaker.half_open_ms_max)
                    .max(settings.breaker.window_ms),
            ),
            picks: (0, VecDeque::new()),
        }
    }

    /// How often an instance was picked so far, and the latest times.
    pub(super) fn picks(&self) -> (u64, &VecDeque<Pick>) {
        (self.picks.0, &self.picks.1)
    }

    fn pick(&mut self, key: &str, excluded: &BTreeSet<Label>, rng: &mut Rng) -> Option<Label> {
        let balancer = &self.balancer;
        let ids = self.instances.iter().map(|instance| instance.id());
        let eligible = ids.filter(|id| !excluded.contains(*id));
        let eligible = eligible.map(|id| (id.clone(), balancer.outstanding(id)));
        let eligible = eligible.collect();
        let picked = self.balancer.pick(&Request { key, excluded }, rng);
        let (count, latest) = &mut self.picks;
        *count += 1;
        if latest.len() >= PICKS_MAX {
            latest.pop_front();
        }
        latest.push_back(Pick {
            eligible,
            picked: picked.clone(),
            key: key.to_owned(),
        });
        picked
    }

    /// The instances that there are now. What is known of those that are taken out is kept for a while: whether the registry finds
    /// an instance to be well is one thing, and whether calls to it succeed is another.
    pub(super) fn set_instances(&mut self, instances: &[Arc<Instance>], now: Time) {
        if self.instances == instances {
            return;
        }
        self.instances = instances.to_vec();
        self.balancer
            .set_instances(instances.iter().map(Arc::as_ref));
        let ids = || instances.iter().map(|instance| instance.id());
        self.outliers.set_instances(ids(), now);
        let ids: BTreeSet<&Label> = ids().collect();
        self.gone.retain(|id, _| !ids.contains(id));
        let Pool {
            balancer,
            gone,
            memory,
            ..
        } = self;
        self.breakers.retain(|id, _| {
            if ids.contains(id) {
                return true;
            }
            let since = *gone.entry(id.clone()).or_insert(now);
            // Calls that are under way will be reported to theirs.
            let is_kept = balancer.outstanding(id) > 0 || now < since + *memory;
            if !is_kept {
                gone.remove(id);
            }
            is_kept
        });
    }

    /// Chooses an instance: not one of those that have been tried, if there is another one.
    pub(super) fn choose(
        &mut self,
        key: &str,
        tried: &BTreeSet<Label>,
        settings: &Settings,
        now: Time,
        rng: &mut Rng,
    ) -> Result<Chosen, usize> {
        let ejected = self.outliers.ejected(now).ids;
        let mut refused = 0;
        for avoided in [tried, &BTreeSet::new()] {
            let mut excluded: BTreeSet<Label> = ejected.union(avoided).cloned().collect();
            while let Some(id) = self.pick(key, &excluded, rng) {
                let new = || Breaker::new(settings.breaker);
                let breaker = self.breakers.entry(id.clone()).or_insert_with(new);
                let node = self.instances.iter().find(|one| *one.id() == id);
                let node = node.and_then(|instance| node_of(instance.address()));
                if let Some(node) = node
                    && let Ok(permit) = breaker.try_call(now)
                {
                    let trial = match breaker.state(now) {
                        BreakerState::HalfOpen { until, .. } => Some(until),
                        BreakerState::Closed | BreakerState::Open { .. } => None,
                    };
                    return Ok(Chosen {
                        instance: id,
                        node,
                        permit,
                        trial,
                        refused,
                    });
                }
                refused += 1;
                self.balancer.finished(&id);
                excluded.insert(id);
            }
        }
        Err(refused)
    }

    /// How a call ended. Whether that opened the breaker, and whether it ejected the instance.
    pub(super) fn report(
        &mut self,
        id: &Label,
        permit: Permit,
        is_success: bool,
        now: Time,
    ) -> (bool, bool) {
        self.balancer.finished(id);
        let outcome = if is_success {
            CallOutcome::Succeeded
        } else {
            CallOutcome::Failed
        };
        let is_open = |breaker: &Breaker| matches!(breaker.state(now), BreakerState::Open { .. });
        let opened = self.breakers.get_mut(id).is_some_and(|breaker| {
            let was_open = is_open(breaker);
            breaker.report(permit, outcome, now);
            !was_open && is_open(breaker)
        });
        let ejected = self.outliers.report(id, is_success, now).is_some();
        (opened, ejected)
    }

    /// The breakers of those that were called.
    pub(super) fn breakers(&self) -> impl Iterator<Item = (&Label, &Breaker)> {
        self.breakers.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::address_of;
    use super::*;
    use splitbrain_core::{Purpose, Seed};

    fn instances(count: usize) -> Vec<Arc<Instance>> {
        let instance = |nth| {
            let address = address_of(NodeId::from_index(nth));
            Arc::new(Instance::new("web", &format!("n{nth}"), address, 80).unwrap())
        };
        (1..=count).map(instance).collect()
    }

    fn pool(count: usize) -> (Pool, Settings, Rng) {
        let settings = Settings::default();
        let mut pool = Pool::new(&settings, 1);
        pool.set_instances(&instances(count), Time::ZERO);
        (pool, settings, Seed(3).stream(Purpose::User(0)))
    }

    #[test]
    fn a_call_goes_where_it_has_not_been_and_back_if_there_is_nobody_else() {
        let (mut pool, settings, mut rng) = pool(2);
        let mut tried = BTreeSet::new();
        for expected_new in [true, true, false] {
            let chosen = pool.choose("k", &tried, &settings, Time::ZERO, &mut rng);
            let chosen = chosen.unwrap();
            assert_eq!(tried.insert(chosen.instance.clone()), expected_new);
            let node = format!("n{}", chosen.node.index());
            assert_eq!(chosen.instance.as_str(), node);
            pool.report(&chosen.instance, chosen.permit, true, Time::ZERO);
        }
    }

    #[test]
    fn who_fails_is_called_no_more_and_then_by_one_probe() {
        let (mut pool, settings, mut rng) = pool(1);
        let (none, mut now) = (BTreeSet::new(), Time::ZERO);
        let mut opened = 0;
        while let Ok(chosen) = pool.choose("k", &none, &settings, now, &mut rng) {
            assert_eq!(chosen.trial, None);
            let (opens, _) = pool.report(&chosen.instance, chosen.permit, false, now);
            opened += usize::from(opens);
        }
        assert_eq!(opened, 1);
        now = Time::from_millis(settings.breaker.open_ms);
        let probe = pool.choose("k", &none, &settings, now, &mut rng).unwrap();
        assert!(probe.trial.is_some());
        let second = pool.choose("k", &none, &settings, now, &mut rng);
        assert!(matches!(second, Err(2)), "refused with and without `tried`");
    }

    #[test]
    fn who_was_taken_out_for_a_moment_is_called_no_more_than_before_it_was() {
        let (mut pool, settings, mut rng) = pool(1);
        let (none, at) = (BTreeSet::new(), Time::from_millis);
        while let Ok(chosen) = pool.choose("k", &none, &settings, at(0), &mut rng) {
            pool.report(&chosen.instance, chosen.permit, false, at(0));
        }
        pool.set_instances(&[], at(10));
        pool.set_instances(&instances(1), at(20));
        assert!(
            pool.choose("k", &none, &settings, at(30), &mut rng)
                .is_err()
        );
        let open_ms = settings.breaker.open_ms;
        let probe = pool.choose("k", &none, &settings, at(open_ms), &mut rng);
        let probe = probe.unwrap();
        assert!(probe.trial.is_some());
        pool.report(&probe.instance, probe.permit, false, at(open_ms));
        // Whoever is away for longer than any breaker is open is forgotten, and so are the many that never come back.
        pool.set_instances(&[], at(open_ms));
        pool.set_instances(&instances(2)[1..], at(open_ms + 1));
        assert_eq!(pool.breakers().count(), 1);
        pool.set_instances(&[], at(open_ms + 20_000));
        assert_eq!((pool.breakers().count(), pool.gone.len()), (0, 0));
    }
}
