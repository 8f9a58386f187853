//! Linearizable reads without an entry in the log: dissertation §6.4, by ReadIndex or by lease (§6.4.1).
//!
//! A read may be answered from the state as of any moment while it is under way, by a server whose state holds all that
//! was committed when it began. The leader knows what is committed, if it has committed an entry of its own term, and if it
//! still was the leader after the read had come.

use super::Peer;
use super::config::Reads;
use super::leader::reply;
use super::log::Index;
use super::message::{Message, ReadIndex, ReadIndexReply};
use super::probes::PROBES;
use super::server::{Server, State};
use super::session::{Answer, RequestId};
use crate::kv;
use splitbrain_core::{Context, NodeId, Time, probe};
use std::time::Duration;

/// A read that the leader was asked for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    by: By,
    /// What was committed when it came, or may have been: what is applied must have come so far.
    index: Index,
    /// A round that was started after it came: when it is confirmed, the leader was the leader when it came.
    round: u64,
}

#[derive(Clone, Debug)]
enum By {
    Client {
        client: NodeId,
        nonce: u64,
        op: kv::Op,
    },
    Server {
        server: NodeId,
        nonce: u64,
    },
    /// The node that the leader is a part of, for something that is not a read.
    Own {
        token: u64,
    },
}

impl Asked {
    /// The server no longer leads. Another one that asked will be asked again by its client.
    pub(super) fn turn_away(self, cx: &mut Context<'_, Peer>) {
        if let By::Client { client, nonce, .. } = self.by {
            reply(
                client,
                RequestId::Other { nonce },
                Answer::NotLeader(None),
                cx,
            );
        }
    }

    /// What the leader's own node calls it, if it asked.
    pub(super) fn token(&self) -> Option<u64> {
        match self.by {
            By::Own { token } => Some(token),
            By::Client { .. } | By::Server { .. } => None,
        }
    }
}

/// A read of which another server is to say up to where the log must have been applied.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    nonce: u64,
    /// Up to here, once that is known.
    index: Option<Index>,
    client: NodeId,
    request: RequestId,
    op: kv::Op,
    /// When the client asked.
    since: Time,
}

impl Server {
    /// A client wants to read something.
    pub(super) fn on_read(
        &mut self,
        client: NodeId,
        nonce: u64,
        op: kv::Op,
        cx: &mut Context<'_, Peer>,
    ) {
        let request = RequestId::Other { nonce };
        match (&self.state, self.leader) {
            (State::Leader(_), _) => self.read(By::Client { client, nonce, op }, cx),
            (_, Some(leader)) if self.settings.reads == Reads::Follower => {
                // A client has one operation at a time, so what it asked before it has given up; and who has waited for so
                // long has gone on to another server.
                let (now, patience) =
                    (cx.now(), Duration::from_millis(self.settings.client_try_ms));
                self.asking.retain(|asking| {
                    asking.client != client && now.since(asking.since) <= patience
                });
                if self.asking.len() >= self.settings.waiting_max as usize {
                    reply(client, request, Answer::Busy, cx);
                    return;
                }
                let nonce = cx.rng().next_u64();
                self.asking.push(Asking {
                    nonce,
                    index: None,
                    client,
                    request,
                    op,
                    since: now,
                });
                cx.send(leader, Message::ReadIndex(ReadIndex { nonce }));
            }
            (_, leader) => reply(client, request, Answer::NotLeader(leader), cx),
        }
    }

    /// Another server has been asked to read something.
    pub(super) fn on_read_index(
        &mut self,
        server: NodeId,
        request: ReadIndex,
        cx: &mut Context<'_, Peer>,
    ) {
        if let State::Leader(_) = self.state {
            let nonce = request.nonce;
            self.read(By::Server { server, nonce }, cx);
        }
    }

    /// Whether it leads, as far as it knows, and knows all that earlier leaders have committed: it has committed an entry of
    /// its own term, and applied it.
    pub fn is_settled_leader(&self) -> bool {
        match &self.state {
            State::Leader(leader) => self.last_applied >= leader.term_start,
            _ => false,
        }
    }

    /// Asks whether this server leads, as a read does: whoever has waited for the answer knows that nobody else led when it
    /// asked, and that all that was committed by then is applied here. See [`take_confirmed`](Server::take_confirmed).
    pub fn confirm_leadership(&mut self, token: u64, cx: &mut Context<'_, Peer>) {
        if let State::Leader(_) = self.state {
            self.read(By::Own { token }, cx);
        } else {
            self.confirmed.push((token, false));
        }
    }

    /// What was asked with [`confirm_leadership`](Server::confirm_leadership) and is answered since this was last called:
    /// whether this server led. If it says no, that is not certain. To be called after each event.
    pub fn take_confirmed(&mut self) -> Vec<(u64, bool)> {
        std::mem::take(&mut self.confirmed)
    }

    /// The leader was asked for a read.
    fn read(&mut self, by: By, cx: &mut Context<'_, Peer>) {
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let lease = self.settings.lease();
        if let By::Client { client, nonce, op } = &by
            && self.settings.reads == Reads::Lease
            && !leader.lease_forfeited
            && self.commit_index >= leader.term_start
            && leader.rounds.has_lease(cx.now(), lease)
        {
            // Nobody else has been elected since the lease began, and so nothing committed without this leader.
            probe!(cx, "a read was answered by lease");
            self.lease_reads += 1;
            let answer = self.machine.read(op);
            reply(*client, RequestId::Other { nonce: *nonce }, answer, cx);
            return;
        }
        if leader.reads.len() >= self.settings.waiting_max as usize {
            match by {
                By::Client { client, nonce, .. } => {
                    reply(client, RequestId::Other { nonce }, Answer::Busy, cx);
                }
                By::Server { .. } => {}
                By::Own { token } => self.confirmed.push((token, false)),
            }
            return;
        }
        // Until the leader has committed an entry of its own term, it does not know all that earlier leaders have
        // committed; but all that is before that entry in its log.
        let index = self.commit_index.max(leader.term_start);
        if index > self.commit_index {
            probe!(cx, "a read waited for the leader's first commit");
        }
        let round = leader.rounds.latest() + 1;
        let under_way = leader.rounds.confirmed() < leader.rounds.latest();
        leader.reads.push_back(Asked { by, index, round });
        // Reads that come while a round is under way share the next one.
        if !under_way {
            self.broadcast(cx);
        }
    }

    /// Somebody has answered the leader, or it has no need of answers.
    pub(super) fn confirm_rounds(&mut self, cx: &mut Context<'_, Peer>) {
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let latest = leader.rounds.latest();
        let quorum = self.memberships.latest().quorum();
        let round = quorum.reached(|id| {
            if id == self.id {
                latest
            } else {
                leader
                    .follower(id)
                    .map_or(0, |follower| follower.answered_round)
            }
        });
        if !leader.rounds.confirm(round) {
            return;
        }
        let next_waits = leader.reads.back().is_some_and(|read| read.round > latest);
        self.answer_reads(cx);
        if next_waits && round == latest {
            self.broadcast(cx);
        }
    }

    /// Answers all reads that need wait no longer.
    pub(super) fn answer_reads(&mut self, cx: &mut Context<'_, Peer>) {
        let applied = self.last_applied;
        if !self.asking.is_empty() {
            let machine = &self.machine;
            self.asking.retain(|asking| {
                let ready = asking.index.is_some_and(|index| index <= applied);
                if ready {
                    probe!(cx, "a read was answered by a follower");
                    reply(asking.client, asking.request, machine.read(&asking.op), cx);
                }
                !ready
            });
        }
        let mut beats = Vec::new();
        if let State::Leader(leader) = &mut self.state {
            let confirmed = leader.rounds.confirmed();
            while let Some(read) = leader
                .reads
                .pop_front_if(|read| read.round <= confirmed && read.index <= applied)
            {
                match read.by {
                    By::Client { client, nonce, op } => {
                        probe!(cx, "a read was answered after a round");
                        let answer = self.machine.read(&op);
                        reply(client, RequestId::Other { nonce }, answer, cx);
                    }
                    By::Server { server, nonce } => {
                        let index = read.index;
                        let answer = ReadIndexReply { nonce, index };
                        cx.send_eager(server, Message::ReadIndexReply(answer));
                        let mut followers = leader.followers.iter();
                        beats.extend(followers.position(|follower| follower.id == server));
                    }
                    By::Own { token } => self.confirmed.push((token, true)),
                }
            }
        }
        // The follower must hear how far the log is committed before it can answer.
        for follower in beats {
            self.beat(follower, cx);
        }
    }

    /// The leader's answer. It holds whoever leads by now: what was committed stays so.
    pub(super) fn on_read_index_reply(
        &mut self,
        answer: ReadIndexReply,
        cx: &mut Context<'_, Peer>,
    ) {
        let mut asking = self.asking.iter_mut();
        if let Some(asking) = asking.find(|asking| asking.nonce == answer.nonce) {
            asking.index = Some(answer.index);
            if answer.index > self.last_applied {
                probe!(
                    cx,
                    "a follower had to apply more before it could answer a read"
                );
            }
            self.answer_reads(cx);
        }
    }
}
