//! A client: it finds the leader, opens a session, and asks until it is answered (dissertation §6.2, §6.3).

use super::config::{Member, Reads, Settings};
use super::membership::Membership;
use super::message::{Message, Reply, Request};
use super::op::{Op, Ret};
use super::probes::PROBES;
use super::session::{Answer, Refusal, RequestId, SessionId};
use super::{Peer, Timer};
use splitbrain_core::{Context, NodeId, OpId, Outcome, probe};
use std::sync::Arc;
use std::time::Duration;

/// A client of the servers. It keeps nothing on disk: after a crash it opens a new session.
#[derive(Clone, Debug)]
pub struct Client {
    servers: Arc<[NodeId]>,
    settings: Settings,
    /// The leader, as far as the client knows.
    asks: NodeId,
    /// The server that was asked last: the leader, or any server for a read that it may answer.
    asked: NodeId,
    /// The server that was last tried on no hint, as an index into `servers`. All get their turn, whatever the hints: a
    /// server that is cut off may send the client back to a dead leader for ever.
    turn: usize,
    /// Whether that server has asked it to come again.
    stays: bool,
    /// How many servers in a row have sent the client on to another one.
    redirects: usize,
    session: Session,
    /// The operation under way. There is one at a time, or a session could not tell retries by one number.
    current: Option<Current>,
    /// The number of the latest operation of the session. Never used twice, not even for one that was given up.
    sequence: u64,
}

#[derive(Clone, Copy, Debug)]
enum Session {
    /// Being opened. The nonce is random, as an answer to this node's life before the crash may still be under way:
    /// two lives in one session would each take the other's operations for retries.
    Opening {
        nonce: u64,
    },
    Open(SessionId),
}

#[derive(Clone, Debug)]
struct Current {
    id: OpId,
    op: Op,
    /// Names the requests for it that need no session.
    nonce: u64,
    /// How often it has been asked for.
    tries: u64,
}

impl Client {
    pub(super) fn start(member: &Member, cx: &mut Context<'_, Peer>) -> Client {
        let turn = cx.rng().index(member.servers.len());
        let mut client = Client {
            servers: member.servers.clone(),
            settings: member.settings,
            asks: member.servers[turn],
            asked: member.servers[turn],
            turn,
            stays: false,
            redirects: 0,
            session: Session::Opening {
                nonce: cx.rng().next_u64(),
            },
            current: None,
            sequence: 0,
        };
        client.ask(cx);
        client
    }

    /// The session, once it is open.
    pub fn session(&self) -> Option<SessionId> {
        match self.session {
            Session::Opening { .. } => None,
            Session::Open(session) => Some(session),
        }
    }

    pub(super) fn on_invoke(&mut self, id: OpId, op: Op, cx: &mut Context<'_, Peer>) {
        if self.current.is_some() {
            cx.complete(
                id,
                Outcome::Fail("the client is busy with another operation"),
            );
            return;
        }
        if !self.knows_all_servers(&op) {
            cx.complete(id, Outcome::Fail("there is no such server"));
            return;
        }
        self.sequence += 1;
        self.current = Some(Current {
            id,
            op,
            nonce: cx.rng().next_u64(),
            tries: 0,
        });
        let deadline = Duration::from_millis(self.settings.client_deadline_ms);
        cx.set_timer(Timer::Deadline, deadline);
        if let Session::Open(_) = self.session {
            self.redirects = 0;
            self.ask(cx);
        }
    }

    pub(super) fn on_message(
        &mut self,
        from: NodeId,
        message: Message,
        cx: &mut Context<'_, Peer>,
    ) {
        let Message::Reply(Reply { request, answer }) = message else {
            debug_assert!(false, "only replies are for clients");
            return;
        };
        if self.awaits() != Some(request) {
            // An answer to a request that was answered before, given up, or made by an earlier life.
            probe!(cx, "a client ignored an answer that it did not wait for");
            return;
        }
        match answer {
            Answer::Registered(session) => {
                cx.cancel_timer(Timer::Try);
                self.session = Session::Open(session);
                self.asks = from;
                self.redirects = 0;
                self.ask(cx);
            }
            Answer::Done(ret) => self.answered(from, Ret::Kv(ret), cx),
            Answer::Changed(index) => self.answered(from, Ret::Changed(index), cx),
            Answer::Transferred => self.finish(Outcome::Ok(Ret::Transferred), cx),
            Answer::Refused(refusal) => {
                // An earlier request for the same may have been granted; and what took too long may be under way: the server
                // that is to lead may have been told, or the entry be in the log.
                let mut current = self.current.iter();
                let certain =
                    refusal != Refusal::TooSlow && current.all(|current| current.tries <= 1);
                let outcome = if certain {
                    Outcome::Fail(refusal.words())
                } else {
                    Outcome::Info
                };
                self.finish(outcome, cx);
            }
            Answer::Busy => {
                self.stays = true;
                try_again_after(self.settings.client_backoff_ms, cx);
            }
            Answer::NoSuchSession => {
                // Whether an earlier try took effect before the session was forgotten is not known.
                probe!(cx, "a client learnt that its session had expired");
                self.finish(Outcome::Info, cx);
                self.session = Session::Opening {
                    nonce: cx.rng().next_u64(),
                };
                self.ask(cx);
            }
            Answer::NotLeader(leader) => self.redirected(from, leader, cx),
        }
    }

    pub(super) fn on_timer(&mut self, timer: Timer, cx: &mut Context<'_, Peer>) {
        match timer {
            Timer::Try => {
                self.redirects = 0;
                if !std::mem::take(&mut self.stays) {
                    probe!(cx, "a client asked the next server in turn");
                    self.next_turn();
                }
                self.ask(cx);
            }
            Timer::Deadline => {
                let outcome = match self.session {
                    Session::Opening { .. } => {
                        probe!(cx, "a client gave up an operation that was never sent");
                        Outcome::Fail("no session, so it was never sent")
                    }
                    Session::Open(_) => {
                        probe!(
                            cx,
                            "a client gave up an operation that may have taken effect"
                        );
                        Outcome::Info
                    }
                };
                self.finish(outcome, cx);
            }
            Timer::Election | Timer::Heartbeat => debug_assert!(false, "timers of servers"),
        }
    }

    /// Which request the client waits for an answer to.
    fn awaits(&self) -> Option<RequestId> {
        self.request().as_ref().map(Request::id)
    }

    /// What it is to ask for now, if anything.
    fn request(&self) -> Option<Request> {
        let session = match self.session {
            Session::Opening { nonce } => return Some(Request::Register { nonce }),
            Session::Open(session) => session,
        };
        let Current { op, nonce, .. } = self.current.as_ref()?;
        let nonce = *nonce;
        Some(match op {
            Op::Kv(op) if op.is_read() && self.settings.reads != Reads::Log => Request::Read {
                nonce,
                op: op.clone(),
            },
            Op::Kv(op) => Request::Apply {
                session,
                sequence: self.sequence,
                op: op.clone(),
            },
            Op::ChangeMembers { voters, learners } => Request::ChangeMembers {
                nonce,
                target: Arc::new(Membership::new(
                    voters.iter().copied(),
                    learners.iter().copied(),
                )),
            },
            Op::TransferLeadership { to } => Request::TransferLeadership { nonce, to: *to },
        })
    }

    /// Sends the request, for the first time or again, and waits for an answer.
    fn ask(&mut self, cx: &mut Context<'_, Peer>) {
        let Some(request) = self.request() else {
            return;
        };
        let any = self.settings.reads == Reads::Follower && matches!(request, Request::Read { .. });
        self.asked = if any {
            self.servers[cx.rng().index(self.servers.len())]
        } else {
            self.asks
        };
        if let (Some(current), Session::Open(_)) = (&mut self.current, self.session) {
            current.tries += 1;
        }
        self.stays = false;
        cx.send(self.asked, Message::Request(request));
        try_again_after(self.settings.client_try_ms, cx);
    }

    /// Whether the servers that the operation names exist. A leader cannot know that.
    fn knows_all_servers(&self, op: &Op) -> bool {
        let knows = |id: &NodeId| self.servers.contains(id);
        match op {
            Op::Kv(_) => true,
            Op::ChangeMembers { voters, learners } => voters.iter().chain(learners).all(knows),
            Op::TransferLeadership { to } => knows(to),
        }
    }

    /// The operation under way has got its answer, from somebody who does lead, or has read what the leader knows.
    fn answered(&mut self, from: NodeId, ret: Ret, cx: &mut Context<'_, Peer>) {
        if self.settings.reads != Reads::Follower {
            self.asks = from;
        }
        self.finish(Outcome::Ok(ret), cx);
    }

    fn next_turn(&mut self) {
        let count = self.servers.len();
        self.turn = (self.turn + 1) % count;
        if self.servers[self.turn] == self.asks {
            // It has just been asked, in vain.
            self.turn = (self.turn + 1) % count;
        }
        self.asks = self.servers[self.turn];
    }

    /// A server that was asked does not lead.
    fn redirected(&mut self, from: NodeId, leader: Option<NodeId>, cx: &mut Context<'_, Peer>) {
        if from != self.asked {
            // The client has gone on to another server already.
            return;
        }
        self.redirects += 1;
        match leader {
            // Servers that take each other for the leader must not keep the client running in circles.
            Some(leader) if self.redirects < self.servers.len() => {
                probe!(cx, "a client was sent on to the leader");
                self.asks = leader;
                self.ask(cx);
            }
            hint => {
                if hint.is_none() {
                    probe!(cx, "nobody could tell a client who leads");
                }
                try_again_after(self.settings.client_backoff_ms, cx);
            }
        }
    }

    /// The operation under way is over.
    fn finish(&mut self, outcome: Outcome<Ret>, cx: &mut Context<'_, Peer>) {
        let Some(current) = self.current.take() else {
            return;
        };
        cx.complete(current.id, outcome);
        cx.cancel_timer(Timer::Deadline);
        if let Session::Open(_) = self.session {
            cx.cancel_timer(Timer::Try);
        }
    }
}

fn try_again_after(ms: u64, cx: &mut Context<'_, Peer>) {
    cx.set_timer(Timer::Try, Duration::from_millis(ms));
}
