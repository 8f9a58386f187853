//! A member: the algorithm itself.

use super::{Config, Message, Nothing, Op, Timer};
use splitbrain_core::{Context, Journal, Node, NodeId, OpId, Outcome, Time, probe};
use std::time::Duration;

/// What must happen in some run for the rest of this file to have been tested at all.
const PROBES: &[&str] = &[
    "a coordinator fell silent",
    "a higher member answered, and never claimed to coordinate",
    "a member was asked to elect while it obeyed a coordinator",
    "a coordinator was asked to elect, and claimed",
    "an answer came when the election was over",
    "a coordinator corrected a lower one",
    "a coordinator gave way to a higher one",
    "a claim was ignored: a higher one was known",
];

/// What a member is doing, and whom it obeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It holds an election: it has asked the higher members whether they are alive.
    Electing,
    /// A higher member is alive, and will hold an election of its own.
    Waiting,
    /// It obeys a coordinator, which is higher than itself.
    Obeying(NodeId),
    /// It believes itself coordinator.
    Coordinating,
}

impl Role {
    /// What a member in this role waits for.
    fn timer(self) -> Timer {
        match self {
            Role::Electing => Timer::Answer,
            Role::Waiting => Timer::Coordinator,
            Role::Obeying(_) => Timer::Silence,
            Role::Coordinating => Timer::Heartbeat,
        }
    }
}

/// A member of a group that elects its coordinator by the bully algorithm.
#[derive(Clone, Debug)]
pub struct Member {
    pub(super) id: NodeId,
    pub(super) config: Config,
    /// When this life of it began. The protocol has no use for it; it tells an observer one life from the next.
    pub(super) started: Time,
    pub(super) role: Role,
}

impl Member {
    /// What it is doing.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The coordinator that it obeys, itself perhaps; nobody during an election.
    pub fn coordinator(&self) -> Option<NodeId> {
        match self.role {
            Role::Electing | Role::Waiting => None,
            Role::Obeying(coordinator) => Some(coordinator),
            Role::Coordinating => Some(self.id),
        }
    }

    /// Asks every higher member whether it is alive. Who has none above it need not ask.
    fn start_election(&mut self, cx: &mut Context<'_, Self>) {
        let highest = self.config.members.iter().max();
        if highest.is_none_or(|&highest| highest <= self.id) {
            self.take_over(cx);
            return;
        }
        cx.note(format_args!("starts an election"));
        self.enter(Role::Electing, cx);
        for &member in self.config.members.iter() {
            if member > self.id {
                cx.send(member, Message::Election);
            }
        }
    }

    /// No higher member is alive, as far as it can know.
    fn take_over(&mut self, cx: &mut Context<'_, Self>) {
        cx.note(format_args!("becomes coordinator"));
        self.enter(Role::Coordinating, cx);
        self.tell_everybody(Message::Coordinator, cx);
    }

    /// A lower member holds an election.
    fn on_election(&mut self, from: NodeId, cx: &mut Context<'_, Self>) {
        match self.role {
            // The claim says all that an answer would, and spares the other its wait.
            Role::Coordinating => {
                probe!(cx, "a coordinator was asked to elect, and claimed");
                cx.send(from, Message::Coordinator);
            }
            Role::Electing | Role::Waiting => cx.send(from, Message::Answer),
            // The other misses the coordinator; it may be right.
            Role::Obeying(_) => {
                probe!(
                    cx,
                    "a member was asked to elect while it obeyed a coordinator"
                );
                cx.send(from, Message::Answer);
                self.start_election(cx);
            }
        }
    }

    /// A higher member is alive.
    fn on_answer(&mut self, from: NodeId, cx: &mut Context<'_, Self>) {
        if self.role == Role::Electing {
            cx.note(format_args!("leaves it to {from}"));
            self.enter(Role::Waiting, cx);
        } else {
            probe!(cx, "an answer came when the election was over");
        }
    }

    /// Somebody says that it coordinates.
    fn on_claim(&mut self, from: NodeId, cx: &mut Context<'_, Self>) {
        match self.role {
            Role::Coordinating if from < self.id => {
                probe!(cx, "a coordinator corrected a lower one");
                cx.send(from, Message::Coordinator);
                return;
            }
            // Who is higher need not obey: its election is under way, or it knows a higher one still.
            _ if from < self.id => return,
            Role::Obeying(coordinator) if from < coordinator => {
                probe!(cx, "a claim was ignored: a higher one was known");
                return;
            }
            Role::Obeying(coordinator) if from == coordinator => {}
            Role::Coordinating => {
                cx.note(format_args!("steps down and obeys {from}"));
                probe!(cx, "a coordinator gave way to a higher one");
            }
            _ => cx.note(format_args!("obeys {from}")),
        }
        self.enter(Role::Obeying(from), cx);
    }

    /// Takes on a role and arms its timer; to take on the same role once more begins its wait anew.
    fn enter(&mut self, role: Role, cx: &mut Context<'_, Self>) {
        if role.timer() != self.role.timer() {
            cx.cancel_timer(self.role.timer());
        }
        self.role = role;
        cx.set_timer(role.timer(), self.patience(role));
    }

    /// How long a member stays in a role when nothing happens.
    fn patience(&self, role: Role) -> Duration {
        let settings = &self.config.settings;
        Duration::from_millis(match role {
            Role::Electing => settings.answer_timeout_ms,
            Role::Waiting => settings.coordinator_wait_ms,
            Role::Obeying(_) => settings.coordinator_timeout_ms,
            Role::Coordinating => settings.heartbeat_ms,
        })
    }

    fn tell_everybody(&self, message: Message, cx: &mut Context<'_, Self>) {
        for &member in self.config.members.iter() {
            if member != self.id {
                cx.send(member, message);
            }
        }
    }
}

impl Node for Member {
    type Message = Message;
    type Timer = Timer;
    type Record = Nothing;
    type Op = Op;
    type Ret = Option<NodeId>;
    type Config = Config;
    const PROBES: &'static [&'static str] = PROBES;

    const ROLES: &'static [&'static str] = &["electing", "waiting", "obeying", "coordinating"];

    /// A member that recovers does not know what happened meanwhile: it holds an election, like one that is new.
    fn start(config: &Config, _: Journal<Nothing>, cx: &mut Context<'_, Self>) -> Member {
        let mut member = Member {
            id: cx.id(),
            config: config.clone(),
            started: cx.now(),
            role: Role::Electing,
        };
        member.start_election(cx);
        member
    }

    fn on_message(&mut self, from: NodeId, message: Message, cx: &mut Context<'_, Self>) {
        match message {
            Message::Election => self.on_election(from, cx),
            Message::Answer => self.on_answer(from, cx),
            Message::Coordinator | Message::Heartbeat => self.on_claim(from, cx),
        }
    }

    fn on_timer(&mut self, timer: Timer, cx: &mut Context<'_, Self>) {
        debug_assert_eq!(timer, self.role.timer(), "leaving a role disarms its timer");
        let waited = self.patience(self.role).as_millis();
        match self.role {
            Role::Electing => self.take_over(cx),
            Role::Waiting => {
                cx.note(format_args!("hears of no coordinator for {waited}ms"));
                probe!(
                    cx,
                    "a higher member answered, and never claimed to coordinate"
                );
                self.start_election(cx);
            }
            Role::Obeying(coordinator) => {
                cx.note(format_args!(
                    "suspects {coordinator}: no heartbeat for {waited}ms"
                ));
                probe!(cx, "a coordinator fell silent");
                self.start_election(cx);
            }
            Role::Coordinating => {
                self.enter(Role::Coordinating, cx);
                self.tell_everybody(Message::Heartbeat, cx);
            }
        }
    }

    fn role(&self) -> &'static str {
        match self.role {
            Role::Electing => "electing",
            Role::Waiting => "waiting",
            Role::Obeying(_) => "obeying",
            Role::Coordinating => "coordinating",
        }
    }

    fn on_invoke(&mut self, id: OpId, Op::Coordinator: Op, cx: &mut Context<'_, Self>) {
        cx.complete(id, Outcome::Ok(self.coordinator()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bully::{Settings, cluster};
    use splitbrain_core::{Effect, Purpose, Seed, SyncId};

    fn n(number: usize) -> NodeId {
        NodeId::from_index(number - 1)
    }

    /// What a handler did: what it sent to whom, and which timer it armed last.
    #[derive(Debug, PartialEq, Eq)]
    struct Did {
        sent: Vec<(NodeId, Message)>,
        armed: Option<Timer>,
        answers: Vec<Outcome<Option<NodeId>>>,
    }

    fn call<R>(id: NodeId, handler: impl FnOnce(&mut Context<'_, Member>) -> R) -> (R, Did) {
        let mut rng = Seed(0).stream(Purpose::User(0));
        let (mut sync, mut effects) = (SyncId(0), Vec::new());
        let mut cx = Context::new(id, Time::ZERO, &mut rng, &mut sync, &mut effects, None);
        let result = handler(&mut cx);
        let mut did = Did {
            sent: Vec::new(),
            armed: None,
            answers: Vec::new(),
        };
        for effect in effects {
            match effect {
                Effect::Send { to, message } => did.sent.push((to, message)),
                Effect::SetTimer { timer, .. } => did.armed = Some(timer),
                Effect::Complete { outcome, .. } => did.answers.push(outcome),
                Effect::CancelTimer(_) | Effect::Probe(_) => {}
                other => panic!("a member never does {other:?}"),
            }
        }
        (result, did)
    }

    /// The third of five members, in this role.
    fn third(role: Role) -> Member {
        let config = cluster(5, Settings::default()).swap_remove(2);
        Member {
            id: n(3),
            config,
            started: Time::ZERO,
            role,
        }
    }

    /// What the third of five becomes and sends when a message arrives in this role.
    fn hears(role: Role, from: usize, message: Message) -> (Role, Vec<(NodeId, Message)>) {
        let mut member = third(role);
        let ((), did) = call(n(3), |cx| member.on_message(n(from), message, cx));
        assert!(
            did.armed.is_none_or(|timer| timer == member.role.timer()),
            "{did:?}"
        );
        (member.role, did.sent)
    }

    fn to(members: &[usize], message: Message) -> Vec<(NodeId, Message)> {
        members.iter().map(|&number| (n(number), message)).collect()
    }

    #[test]
    fn a_member_starts_with_an_election_and_the_highest_wins_it_at_once() {
        let start = |number| {
            let config = cluster(5, Settings::default()).swap_remove(number - 1);
            let (member, did) = call(n(number), |cx| Member::start(&config, Journal::empty(), cx));
            assert_eq!(did.armed, Some(member.role.timer()));
            (member.role, did.sent)
        };
        assert_eq!(start(3), (Role::Electing, to(&[4, 5], Message::Election)));
        assert_eq!(
            start(5),
            (Role::Coordinating, to(&[1, 2, 3, 4], Message::Coordinator))
        );
    }

    #[test]
    fn every_role_ends_with_its_timer() {
        for (role, next, sent) in [
            (
                Role::Electing,
                Role::Coordinating,
                to(&[1, 2, 4, 5], Message::Coordinator),
            ),
            (
                Role::Waiting,
                Role::Electing,
                to(&[4, 5], Message::Election),
            ),
            (
                Role::Obeying(n(5)),
                Role::Electing,
                to(&[4, 5], Message::Election),
            ),
            (
                Role::Coordinating,
                Role::Coordinating,
                to(&[1, 2, 4, 5], Message::Heartbeat),
            ),
        ] {
            let mut member = third(role);
            let ((), did) = call(n(3), |cx| member.on_timer(role.timer(), cx));
            assert_eq!((member.role, did.sent), (next, sent));
            assert_eq!(did.armed, Some(next.timer()));
        }
    }

    #[test]
    fn a_lower_member_that_asks_gets_the_strongest_answer_there_is() {
        let ask = |role| hears(role, 1, Message::Election);
        for role in [Role::Electing, Role::Waiting] {
            assert_eq!(ask(role), (role, to(&[1], Message::Answer)));
        }
        assert_eq!(
            ask(Role::Coordinating),
            (Role::Coordinating, to(&[1], Message::Coordinator))
        );
        let mut sent = to(&[1], Message::Answer);
        sent.extend(to(&[4, 5], Message::Election));
        assert_eq!(ask(Role::Obeying(n(5))), (Role::Electing, sent));
    }

    #[test]
    fn an_answer_ends_only_an_election() {
        assert_eq!(
            hears(Role::Electing, 4, Message::Answer),
            (Role::Waiting, vec![])
        );
        for role in [Role::Waiting, Role::Obeying(n(5)), Role::Coordinating] {
            assert_eq!(hears(role, 4, Message::Answer), (role, vec![]));
        }
    }

    #[test]
    fn the_highest_claim_is_believed() {
        for claim in [Message::Coordinator, Message::Heartbeat] {
            for role in [
                Role::Electing,
                Role::Waiting,
                Role::Obeying(n(4)),
                Role::Coordinating,
            ] {
                assert_eq!(hears(role, 4, claim), (Role::Obeying(n(4)), vec![]));
            }
            assert_eq!(
                hears(Role::Obeying(n(4)), 5, claim),
                (Role::Obeying(n(5)), vec![])
            );
            assert_eq!(
                hears(Role::Obeying(n(5)), 4, claim),
                (Role::Obeying(n(5)), vec![])
            );
            for role in [Role::Electing, Role::Waiting, Role::Obeying(n(5))] {
                assert_eq!(hears(role, 2, claim), (role, vec![]));
            }
            assert_eq!(
                hears(Role::Coordinating, 2, claim),
                (Role::Coordinating, to(&[2], Message::Coordinator))
            );
        }
    }

    #[test]
    fn only_what_is_heard_of_the_coordinator_extends_its_time() {
        let armed = |from| {
            let mut member = third(Role::Obeying(n(5)));
            let ((), did) = call(n(3), |cx| {
                member.on_message(n(from), Message::Heartbeat, cx);
            });
            did.armed
        };
        assert_eq!(armed(5), Some(Timer::Silence));
        assert_eq!(armed(4), None);
    }

    #[test]
    fn a_client_learns_whom_the_member_obeys() {
        for (role, coordinator) in [
            (Role::Electing, None),
            (Role::Waiting, None),
            (Role::Obeying(n(5)), Some(n(5))),
            (Role::Coordinating, Some(n(3))),
        ] {
            let mut member = third(role);
            let ((), did) = call(n(3), |cx| member.on_invoke(OpId(0), Op::Coordinator, cx));
            assert_eq!(did.answers, [Outcome::Ok(coordinator)]);
        }
    }
}
