//! A client: it runs one recipe at a time, and keeps the places that it has got.

mod access;
mod places;

use super::barrier::{Enter, Leave};
use super::config::Settings;
use super::configuration::{self, Await};
use super::line::Line;
use super::message::{Access, Message};
use super::once::Once;
use super::op::{How, Name, Op, Ret};
use super::probes::PROBES;
use super::queue::{self, Dequeue};
use super::step::{Step, Told};
use super::{Peer, Timer, election, group};
use crate::kv::{Key, LeaseId, Revision};
use crate::service;
use splitbrain_core::{Context, Doings, Journal, Node, NodeId, OpId, Outcome, Time, probe};
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

/// A client.
#[derive(Clone, Debug)]
pub struct Client {
    settings: Settings,
    resource: NodeId,
    service: service::Peer,
    doings: Doings<service::Peer>,
    /// The number of the next operation at the service.
    next_op: u64,
    /// What its clock showed at its latest event.
    clock: Time,
    running: Option<Running>,
    /// What it holds, by the prefix of the line.
    places: BTreeMap<Key, Place>,
    /// How often it has stood in line, and how often it was woken where it wanted to be alone.
    stood: u64,
    woken: u64,
}

/// A place in a line that is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// How it was taken.
    pub how: How,
    /// With which lease it goes.
    pub lease: LeaseId,
    /// Its key.
    pub own: Key,
    /// When that was created: greater than for all who were in before.
    pub token: Revision,
    /// How many accesses to the resource there were.
    accesses: u64,
}

/// An operation under way.
#[derive(Clone, Debug)]
struct Running {
    id: OpId,
    deadline: Time,
    recipe: Recipe,
    /// What the service is asked.
    asked: OpId,
}

#[derive(Clone, Debug)]
enum Recipe {
    /// To be in, and at a barrier with so many.
    Line(Line, Option<NonZeroU64>),
    /// A place is given back, and something else is to be done then.
    Back(Then),
    Enter(Enter),
    Leave(Leave),
    /// As a leader, in this election.
    Proclaim(Key, Once),
    Once(Once),
    Dequeue(Dequeue),
    Await(Await),
    /// With the place at this prefix.
    Access(Key, Access),
}

/// What is to be done when a place is given back.
#[derive(Clone, Debug)]
enum Then {
    Nothing,
    /// To take a new place.
    Stand(Line, Option<NonZeroU64>),
    /// To wait until everybody has gone.
    Leave(Leave),
}

/// What others may know: invariants, reports.
impl Client {
    /// As a client of the service.
    pub fn service(&self) -> &service::Peer {
        &self.service
    }

    /// All that it holds, by the prefix of the line.
    pub fn places(&self) -> &BTreeMap<Key, Place> {
        &self.places
    }

    /// What its clock showed at its latest event.
    pub fn clock(&self) -> Time {
        self.clock
    }

    /// Until when it acts on the strength of a place, by its clock. Nobody tells it that it has lost one: it may be the one that
    /// cannot be reached (consul #18271).
    pub fn relies_until(&self, place: &Place) -> Option<Time> {
        self.service_client().assured_until(place.lease)
    }

    /// How often, in this incarnation, it has stood in line, and how often it was woken where it wanted to be alone.
    pub fn woken(&self) -> (u64, u64) {
        (self.stood, self.woken)
    }

    fn service_client(&self) -> &service::Client {
        match self.service.client() {
            Some(client) => client,
            None => unreachable!("it was started as a client"),
        }
    }
}

/// Events.
impl Client {
    pub(super) fn start(
        config: &service::Config,
        resource: NodeId,
        settings: Settings,
        cx: &mut Context<'_, Peer>,
    ) -> Client {
        let mut doings = Doings::new();
        let service = cx.part(&mut doings, |cx| {
            service::Peer::start(config, Journal::empty(), cx)
        });
        Client {
            settings,
            resource,
            service,
            doings,
            next_op: 0,
            clock: cx.now(),
            running: None,
            places: BTreeMap::new(),
            stood: 0,
            woken: 0,
        }
    }

    pub(super) fn on_message(
        &mut self,
        from: NodeId,
        message: Message,
        cx: &mut Context<'_, Peer>,
    ) {
        match message {
            Message::Service(message) => {
                let Client {
                    service, doings, ..
                } = self;
                cx.part(doings, |cx| service.on_message(from, message, cx));
                self.go_on(cx);
            }
            Message::AccessReply(reply) => {
                self.forget_lost(cx);
                self.on_access_reply(reply, cx);
            }
            Message::Access(_) => debug_assert!(false, "requests are for the resource"),
        }
    }

    pub(super) fn on_timer(&mut self, timer: Timer, cx: &mut Context<'_, Peer>) {
        match timer {
            Timer::Service(timer) => {
                let Client {
                    service, doings, ..
                } = self;
                cx.part(doings, |cx| service.on_timer(timer, cx));
                self.go_on(cx);
            }
            Timer::Access => {
                self.forget_lost(cx);
                self.access(true, cx);
            }
        }
    }

    pub(super) fn on_invoke(&mut self, id: OpId, op: Op, cx: &mut Context<'_, Peer>) {
        self.forget_lost(cx);
        if self.running.is_some() {
            cx.complete(id, Outcome::Fail("the client does something else"));
            return;
        }
        let patience = Duration::from_millis(self.settings.service.raft.client_deadline_ms);
        match op {
            Op::Acquire { lock, how, wait_ms } => {
                let wait = Duration::from_millis(wait_ms);
                let prefix = prefix("lock", &lock);
                self.stand(id, &prefix, (how, None), "".into(), wait, cx);
            }
            Op::Campaign {
                election,
                value,
                wait_ms,
            } => {
                let (prefix, wait) = (
                    prefix("election", &election),
                    Duration::from_millis(wait_ms),
                );
                self.stand(id, &prefix, (How::Exclusive, None), value, wait, cx);
            }
            Op::Join { group, value } => {
                self.stand(
                    id,
                    &prefix("group", &group),
                    (How::Member, None),
                    value,
                    patience,
                    cx,
                );
            }
            Op::EnterBarrier {
                barrier,
                parties,
                wait_ms,
            } => {
                let (prefix, wait) = (prefix("barrier", &barrier), Duration::from_millis(wait_ms));
                let how = (How::Member, Some(parties));
                self.stand(id, &prefix, how, "".into(), wait, cx);
            }
            Op::LeaveBarrier { barrier, wait_ms } => {
                let (prefix, wait) = (prefix("barrier", &barrier), Duration::from_millis(wait_ms));
                let then = Then::Leave(Leave::new(prefix.clone()));
                self.give_back(id, &prefix, wait, then, cx);
            }
            Op::Release { lock } => self.give_back(
                id,
                &prefix("lock", &lock),
                Duration::ZERO,
                Then::Nothing,
                cx,
            ),
            Op::Resign { election } => self.give_back(
                id,
                &prefix("election", &election),
                Duration::ZERO,
                Then::Nothing,
                cx,
            ),
            Op::Leave { group } => self.give_back(
                id,
                &prefix("group", &group),
                Duration::ZERO,
                Then::Nothing,
                cx,
            ),
            Op::Write { lock, value } => self.use_lock(id, lock, Some(value), cx),
            Op::Read { lock } => self.use_lock(id, lock, None, cx),
            Op::Proclaim { election, value } => {
                self.proclaim(id, prefix("election", &election), value, cx);
            }
            Op::AwaitConfig { wait_ms, .. } => {
                let wait = Duration::from_millis(wait_ms);
                self.run(id, wait, others(op), cx);
            }
            op => self.run(id, patience, others(op), cx),
        }
    }

    /// Does what follows from what the service has done.
    fn go_on(&mut self, cx: &mut Context<'_, Peer>) {
        self.forget_lost(cx);
        while let Some((asked, outcome)) = self.doings.next_completed() {
            // What was given up may still be answered.
            if self
                .running
                .as_ref()
                .is_some_and(|running| running.asked == asked)
            {
                self.told(&outcome, cx);
            }
        }
    }

    /// Forgets the places that are lost: whoever acts on the strength of one finds it here, or does not act.
    fn forget_lost(&mut self, cx: &mut Context<'_, Peer>) {
        let now = cx.now();
        self.clock = now;
        let is_lost = |place: &Place| self.relies_until(place).is_none_or(|until| until <= now);
        let lost = self.places.iter().filter(|(_, place)| is_lost(place));
        let lost: Vec<Key> = lost.map(|(prefix, _)| prefix.clone()).collect();
        for prefix in lost {
            probe!(cx, "a client lost what it held");
            cx.note(format_args!("has lost {prefix}"));
            self.places.remove(&prefix);
        }
    }
}

/// Running recipes.
impl Client {
    fn run(&mut self, id: OpId, wait: Duration, recipe: Recipe, cx: &mut Context<'_, Peer>) {
        let step = match &recipe {
            Recipe::Once(once) | Recipe::Proclaim(_, once) => once.begin(),
            Recipe::Dequeue(dequeue) => dequeue.begin(),
            Recipe::Await(await_) => await_.begin(wait),
            Recipe::Line(line, _) => in_words(line.begin()),
            Recipe::Back(_) | Recipe::Enter(_) | Recipe::Leave(_) | Recipe::Access(..) => {
                unreachable!("they begin with what they need")
            }
        };
        self.begin(id, wait, recipe, step, cx);
    }

    fn begin(
        &mut self,
        id: OpId,
        wait: Duration,
        recipe: Recipe,
        step: Step<Ret>,
        cx: &mut Context<'_, Peer>,
    ) {
        self.running = Some(Running {
            id,
            deadline: cx.now() + wait,
            recipe,
            asked: OpId(self.next_op),
        });
        self.take(step, cx);
        self.go_on(cx);
    }

    /// Does what a recipe needs.
    fn take(&mut self, step: Step<Ret>, cx: &mut Context<'_, Peer>) {
        match step {
            Step::Ask(op) => {
                let asked = OpId(self.next_op);
                self.next_op += 1;
                if let Some(running) = &mut self.running {
                    running.asked = asked;
                }
                let Client {
                    service, doings, ..
                } = self;
                cx.part(doings, |cx| service.on_invoke(asked, op, cx));
            }
            Step::Done(ret) => self.end(Outcome::Ok(ret), cx),
            Step::Failed(why) => self.end(Outcome::Fail(why), cx),
            Step::Unknown => self.end(Outcome::Info, cx),
        }
    }

    fn end(&mut self, outcome: Outcome<Ret>, cx: &mut Context<'_, Peer>) {
        if let Some(running) = self.running.take() {
            cx.complete(running.id, outcome);
        }
    }

    /// Tells the recipe what the service has answered.
    fn told(&mut self, outcome: &Outcome<service::Ret>, cx: &mut Context<'_, Peer>) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        let now = cx.now();
        let mut told = Told {
            outcome,
            assured: true,
            left: running.deadline.since(now),
        };
        let step = match &mut running.recipe {
            Recipe::Once(once) => once.told(told),
            Recipe::Dequeue(dequeue) => dequeue.told(told),
            Recipe::Await(await_) => await_.told(told),
            Recipe::Proclaim(prefix, once) => {
                let step = once.told(told);
                if step == Step::Unknown {
                    // What it says, nobody knows: let somebody else lead.
                    let prefix = prefix.clone();
                    self.abandon(&prefix, cx);
                }
                step
            }
            // If nobody has heard of it, the lease runs out.
            Recipe::Back(then) => match (then.clone(), outcome) {
                (Then::Stand(line, parties), _) => {
                    let step = in_words(line.begin());
                    running.recipe = Recipe::Line(line, parties);
                    step
                }
                (Then::Leave(leave), _) => {
                    let step = leave.begin();
                    running.recipe = Recipe::Leave(leave);
                    step
                }
                (Then::Nothing, Outcome::Ok(_)) => Step::Done(Ret::Out),
                (Then::Nothing, _) => Step::Unknown,
            },
            Recipe::Line(line, parties) => {
                told.assured = self.is_assured(line.lease(), now);
                let parties = *parties;
                let step = self.line_told(line, told, cx);
                let place = self.places.get(line.prefix());
                match (parties, place, &step) {
                    (Some(parties), Some(place), Step::Done(_)) => {
                        let (prefix, own) = (line.prefix().clone(), place.own.clone());
                        let enter = Enter::new(prefix, own, place.token, place.lease, parties);
                        let step = enter.begin();
                        running.recipe = Recipe::Enter(enter);
                        step
                    }
                    _ => step,
                }
            }
            Recipe::Enter(enter) => {
                told.assured = self.is_assured(enter.lease(), now);
                let step = enter.told(told);
                if matches!(step, Step::Failed(_)) {
                    let prefix = enter.prefix().clone();
                    self.abandon(&prefix, cx);
                }
                step
            }
            Recipe::Leave(leave) => leave.told(told),
            Recipe::Access(..) => return,
        };
        self.running = Some(running);
        self.take(step, cx);
    }

    fn is_assured(&self, lease: LeaseId, now: Time) -> bool {
        let until = self.service_client().assured_until(lease);
        until.is_some_and(|until| until > now)
    }

    fn line_told(
        &mut self,
        line: &mut Line,
        told: Told<'_>,
        cx: &mut Context<'_, Peer>,
    ) -> Step<Ret> {
        let (woken, was_waiting, was_going) = (line.woken(), line.is_waiting(), line.is_going());
        let step = line.told(told);
        if line.woken() > woken {
            probe!(cx, "a client was woken by its predecessor");
            self.woken += u64::from(line.how() == How::Exclusive);
        }
        if !was_going && line.is_going() {
            probe!(cx, "a client waited for too long, and left the line");
        }
        match &step {
            Step::Done(token) => {
                let place = Place {
                    how: line.how(),
                    lease: line.lease(),
                    own: line.own().clone(),
                    token: *token,
                    accesses: 0,
                };
                cx.note(format_args!("is in {} with token {token}", line.prefix()));
                self.places.insert(line.prefix().clone(), place);
            }
            Step::Failed(_) if was_waiting && !told.assured => {
                probe!(cx, "a client lost its place while it waited");
            }
            _ => {}
        }
        in_words(step)
    }
}

const NOT_HELD: &str = "the client does not hold it";

fn prefix(kind: &str, name: &Name) -> Key {
    format!("{kind}/{name}/").into()
}

/// The answer of a line.
fn in_words(step: Step<Revision>) -> Step<Ret> {
    match step {
        Step::Ask(op) => Step::Ask(op),
        Step::Done(token) => Step::Done(Ret::In { token }),
        Step::Failed(why) => Step::Failed(why),
        Step::Unknown => Step::Unknown,
    }
}

/// The recipes that need nothing but the store.
fn others(op: Op) -> Recipe {
    match op {
        Op::Line { lock } => Recipe::Once(group::members(&prefix("lock", &lock))),
        Op::Members { group } => Recipe::Once(group::members(&prefix("group", &group))),
        Op::Observe { election } => Recipe::Once(election::observe(&prefix("election", &election))),
        Op::Enqueue { queue, value } => {
            Recipe::Once(queue::enqueue(&prefix("queue", &queue), value))
        }
        Op::Dequeue { queue } => Recipe::Dequeue(Dequeue::new(prefix("queue", &queue))),
        Op::SetConfig { config, value } => {
            Recipe::Once(configuration::set(&prefix("config", &config), value))
        }
        Op::GetConfig { config } => Recipe::Once(configuration::get(&prefix("config", &config))),
        Op::AwaitConfig { config, after, .. } => {
            Recipe::Await(Await::new(prefix("config", &config), after))
        }
        Op::Acquire { .. }
        | Op::Campaign { .. }
        | Op::Join { .. }
        | Op::Release { .. }
        | Op::Resign { .. }
        | Op::Leave { .. }
        | Op::Write { .. }
        | Op::Read { .. }
        | Op::EnterBarrier { .. }
        | Op::LeaveBarrier { .. }
        | Op::Proclaim { .. } => unreachable!("they need a place"),
    }
}
