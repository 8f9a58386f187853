//! Calls: to which instance, for how long, and whether once more somewhere else. What clients and proxies have in common.

use super::message::{Answer, Call, Message, Relayed, Uncalled};
use super::op::{Called, Ret};
use super::pool::{Chosen, Pick, Pool};
use super::probes::PROBES;
use super::{Peer, Settings, Timer};
use crate::discovery::Label;
use crate::discovery::breaker::{Breaker, Permit};
use crate::discovery::cache::{Cache, Filter, Found, Lookup, Wanted};
use crate::discovery::retry::{Backoff, RetryBudget};
use splitbrain_core::{Context, NodeId, OpId, Outcome, Time, probe};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Who has asked for a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asker {
    Op(OpId),
    Node(NodeId, u64),
}

/// Makes calls.
#[derive(Clone, Debug)]
pub struct Engine {
    settings: Arc<Settings>,
    pub(super) cache: Cache,
    pools: BTreeMap<Label, Pool>,
    budget: RetryBudget,
    /// In the order in which they were asked for.
    calls: BTreeMap<u64, Calling>,
    next_call: u64,
    tally: Tally,
}

/// What an engine has done so far, for invariants.
#[derive(Clone, Debug)]
pub struct Tally {
    /// When it began, by its clock.
    pub began_at: Time,
    /// When it last did something, by its clock.
    pub as_of: Time,
    /// How many calls it was asked for.
    pub requests: u64,
    /// How often one was made again.
    pub retries: u64,
    /// How long the latest of those waited, and which retry of its call it was, from 1 on; at most [`DRAWS_MAX`].
    pub draws: VecDeque<(u64, Duration)>,
}

/// How many waits are remembered.
pub const DRAWS_MAX: usize = 32;

#[derive(Clone, Debug)]
struct Calling {
    asker: Asker,
    service: Label,
    key: String,
    tried: BTreeSet<Label>,
    attempts: u64,
    /// Whether some instance that was tried has not answered.
    is_doubtful: bool,
    backoff: Backoff,
    give_up_at: Time,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    /// It is to be tried again then.
    Waiting {
        until: Time,
    },
    Trying(Try),
}

#[derive(Clone, Debug)]
struct Try {
    nonce: u64,
    instance: Label,
    node: NodeId,
    permit: Permit,
    trial: Option<Time>,
    until: Time,
    age: Duration,
    stale: bool,
    panic: bool,
}

/// What others may know: invariants, reports.
impl Engine {
    /// What it knows of services.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// What it has done.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The breakers before the instances that it has called.
    pub fn breakers(&self) -> impl Iterator<Item = (&Label, &Label, &Breaker)> {
        self.pools
            .iter()
            .flat_map(|(service, pool)| pool.breakers().map(move |(id, one)| (service, id, one)))
    }

    /// By service: how often an instance was picked, and the latest times.
    pub fn picks(&self) -> impl Iterator<Item = (&Label, u64, &VecDeque<Pick>)> {
        self.pools.iter().map(|(service, pool)| {
            let (count, latest) = pool.picks();
            (service, count, latest)
        })
    }

    /// Of each call: until when something is waited for, and when it is to be given up.
    pub fn waits(&self) -> impl Iterator<Item = (Time, Time)> {
        let calls = self.calls.values();
        calls.map(|call| (call.due_at(), call.give_up_at))
    }

    /// How many calls are under way to an instance that its breaker let through while it was half open until then.
    pub fn trials(&self, service: &Label, instance: &Label, until: Time) -> u64 {
        let trial = |call: &&Calling| match &call.stage {
            Stage::Trying(attempt) => {
                call.service == *service
                    && attempt.instance == *instance
                    && attempt.trial == Some(until)
            }
            Stage::Waiting { .. } => false,
        };
        self.calls.values().filter(trial).count() as u64
    }
}

impl Engine {
    pub(super) fn new(settings: Arc<Settings>, now: Time) -> Engine {
        Engine {
            cache: Cache::new(settings.cache),
            pools: BTreeMap::new(),
            budget: RetryBudget::new(settings.budget, now),
            calls: BTreeMap::new(),
            next_call: 0,
            tally: Tally {
                began_at: now,
                as_of: now,
                requests: 0,
                retries: 0,
                draws: VecDeque::new(),
            },
            settings,
        }
    }

    /// Makes a call, for somebody.
    pub(super) fn call(
        &mut self,
        asker: Asker,
        service: Label,
        key: String,
        cx: &mut Context<'_, Peer>,
    ) {
        let now = cx.now();
        self.budget.on_request(now);
        self.tally.as_of = now;
        self.tally.requests += 1;
        let call = Calling {
            asker,
            service,
            key,
            tried: BTreeSet::new(),
            attempts: 0,
            is_doubtful: false,
            backoff: Backoff::new(self.settings.backoff),
            give_up_at: now + Duration::from_millis(self.settings.call_deadline_ms),
            stage: Stage::Waiting { until: now },
        };
        let number = self.next_call;
        self.next_call += 1;
        self.try_to(number, call, cx);
        self.set_timer(cx);
    }

    /// Finds an instance and calls it, or waits until there is one.
    fn try_to(&mut self, number: u64, mut call: Calling, cx: &mut Context<'_, Peer>) {
        let now = cx.now();
        if call.give_up_at <= now {
            let why = call.why_not();
            end(&call, Err(why), cx);
            return;
        }
        let wanted = Filter {
            tag: None,
            health: Wanted::Passing,
        };
        let chosen = match self.cache.get(call.service.as_str(), &wanted, now) {
            Lookup::Found(found) => self.choose(&call, &found, cx).map(|one| (one, found)),
            Lookup::Absent { .. } | Lookup::Unknown => None,
        };
        let Some((chosen, found)) = chosen else {
            probe!(cx, "a call found nobody to go to");
            let wait = Duration::from_millis(self.settings.nobody_wait_ms);
            let until = call.give_up_at.min(now + wait);
            call.stage = Stage::Waiting { until };
            self.calls.insert(number, call);
            return;
        };
        if call.attempts > 0 && !call.tried.contains(&chosen.instance) {
            probe!(cx, "a call was made again, somewhere else");
        }
        call.attempts += 1;
        let nonce = cx.rng().next_u64();
        let message = Message::Call(Call {
            nonce,
            service: call.service.clone(),
            key: call.key.clone(),
        });
        cx.send(chosen.node, message);
        let timeout = Duration::from_millis(self.settings.call_timeout_ms);
        call.stage = Stage::Trying(Try {
            nonce,
            instance: chosen.instance,
            node: chosen.node,
            permit: chosen.permit,
            trial: chosen.trial,
            until: call.give_up_at.min(now + timeout),
            age: found.age,
            stale: found.stale,
            panic: found.panic,
        });
        self.calls.insert(number, call);
    }

    fn choose(
        &mut self,
        call: &Calling,
        found: &Found,
        cx: &mut Context<'_, Peer>,
    ) -> Option<Chosen> {
        let (now, settings) = (cx.now(), &self.settings);
        self.tally.as_of = now;
        let rng = cx.rng();
        // Those who hash must agree; others must not.
        let seed = match settings.policy {
            crate::discovery::balance::Policy::ConsistentHashing { .. } => 0,
            _ => rng.next_u64(),
        };
        let new = || Pool::new(settings, seed);
        let pool = self.pools.entry(call.service.clone()).or_insert_with(new);
        pool.set_instances(&found.instances, now);
        let chosen = pool.choose(&call.key, &call.tried, settings, now, rng);
        let refused = match &chosen {
            Ok(chosen) => chosen.refused,
            Err(refused) => *refused,
        };
        if refused > 0 {
            probe!(cx, "a breaker refused a call");
        }
        chosen.ok()
    }

    /// An instance has answered.
    pub(super) fn on_answer(&mut self, from: NodeId, answer: Answer, cx: &mut Context<'_, Peer>) {
        let mut calls = self.calls.iter();
        let found = calls.find_map(|(number, call)| match &call.stage {
            Stage::Trying(attempt) if attempt.nonce == answer.nonce && attempt.node == from => {
                Some((*number, attempt.clone()))
            }
            _ => None,
        });
        let Some((number, attempt)) = found else {
            // It comes too late, or twice.
            return;
        };
        let Some(call) = self.calls.remove(&number) else {
            return;
        };
        // The address may be somebody else's by now.
        let is_right = answer.instance == attempt.instance && answer.service == call.service;
        if answer.done && is_right {
            self.report(&call, &attempt, true, cx);
            if attempt.stale {
                probe!(cx, "a call was served from a stale cache");
            }
            let called = Called {
                service: answer.service,
                instance: answer.instance,
                attempts: call.attempts,
                age_ms: attempt.age.as_millis() as u64,
                stale: attempt.stale,
                panic: attempt.panic,
            };
            end(&call, Ok(called), cx);
        } else {
            self.failed(number, call, &attempt, cx);
        }
        self.set_timer(cx);
    }

    fn report(
        &mut self,
        call: &Calling,
        attempt: &Try,
        is_success: bool,
        cx: &mut Context<'_, Peer>,
    ) {
        let now = cx.now();
        self.tally.as_of = now;
        let Some(pool) = self.pools.get_mut(&call.service) else {
            return;
        };
        let permit = attempt.permit.clone();
        let (opened, ejected) = pool.report(&attempt.instance, permit, is_success, now);
        if opened {
            probe!(cx, "a breaker opened");
        }
        if ejected {
            probe!(cx, "an instance was ejected as an outlier");
        }
    }

    /// An attempt has failed: once more, if that is allowed.
    fn failed(
        &mut self,
        number: u64,
        mut call: Calling,
        attempt: &Try,
        cx: &mut Context<'_, Peer>,
    ) {
        self.report(&call, attempt, false, cx);
        let now = cx.now();
        self.tally.as_of = now;
        call.tried.insert(attempt.instance.clone());
        let is_last = call.attempts >= self.settings.attempts_max || call.give_up_at <= now;
        let may = !is_last && self.budget.try_retry(now);
        if !may {
            if !is_last {
                probe!(
                    cx,
                    "a call was not made again, as the retry budget was used up"
                );
            }
            let why = call.why_not();
            end(&call, Err(why), cx);
            return;
        }
        self.tally.retries += 1;
        let wait = call.backoff.next_wait(cx.rng());
        if self.tally.draws.len() >= DRAWS_MAX {
            self.tally.draws.pop_front();
        }
        let nth = call.backoff.attempts();
        self.tally.draws.push_back((nth, wait));
        let until = call.give_up_at.min(now + wait);
        call.stage = Stage::Waiting { until };
        self.calls.insert(number, call);
    }

    /// Goes on with what is due.
    pub(super) fn on_timer(&mut self, cx: &mut Context<'_, Peer>) {
        let now = cx.now();
        let due = |(number, call): (&u64, &Calling)| (call.due_at() <= now).then_some(*number);
        let due: Vec<u64> = self.calls.iter().filter_map(due).collect();
        for number in due {
            let Some(mut call) = self.calls.remove(&number) else {
                continue;
            };
            match call.stage.clone() {
                Stage::Waiting { .. } => self.try_to(number, call, cx),
                Stage::Trying(attempt) => {
                    call.is_doubtful = true;
                    self.failed(number, call, &attempt, cx);
                }
            }
        }
        self.set_timer(cx);
    }

    fn set_timer(&self, cx: &mut Context<'_, Peer>) {
        match self.calls.values().map(Calling::due_at).min() {
            Some(due) => cx.set_timer(Timer::Calls, due.since(cx.now())),
            None => cx.cancel_timer(Timer::Calls),
        }
    }
}

impl Calling {
    fn due_at(&self) -> Time {
        match &self.stage {
            Stage::Waiting { until } | Stage::Trying(Try { until, .. }) => *until,
        }
    }

    fn why_not(&self) -> Uncalled {
        if self.is_doubtful {
            Uncalled::Perhaps
        } else {
            Uncalled::Never
        }
    }
}

/// Tells whoever has asked how a call ended.
fn end(call: &Calling, result: Result<Called, Uncalled>, cx: &mut Context<'_, Peer>) {
    match call.asker {
        Asker::Op(id) => cx.complete(id, outcome_of(result)),
        Asker::Node(node, nonce) => {
            cx.send(node, Message::Relayed(Relayed { nonce, result }));
        }
    }
}

pub(super) fn outcome_of(result: Result<Called, Uncalled>) -> Outcome<Ret> {
    match result {
        Ok(called) => Outcome::Ok(Ret::Called(called)),
        Err(Uncalled::Never) => Outcome::Fail("no instance has done it"),
        Err(Uncalled::Perhaps) => Outcome::Info,
    }
}
