//! What only a leader knows: its followers, and everybody who waits for something.

use super::Peer;
use super::log::{Command, Index, Log};
use super::membership::Membership;
use super::message::{Message, Reply, Request};
use super::probes::PROBES;
use super::progress::Progress;
use super::reads::Asked;
use super::reconfiguration::Change;
use super::rounds::Rounds;
use super::session::{Answer, RequestId};
use super::transfer::Transfer;
use splitbrain_core::{Context, NodeId, Time, probe};
use std::collections::VecDeque;

/// A server that gets the log from the leader.
#[derive(Clone, Debug)]
pub(super) struct Follower {
    pub(super) id: NodeId,
    pub(super) progress: Progress,
    /// The latest round that it has answered.
    pub(super) answered_round: u64,
}

/// What only a leader knows.
#[derive(Clone, Debug)]
pub(super) struct Leader {
    /// Every other member, and whoever was one until a change that is not yet committed.
    pub(super) followers: Vec<Follower>,
    /// The first entry of its own term: when it is committed, so is all that earlier leaders have committed.
    pub(super) term_start: Index,
    /// Who waits for which entry to be applied, by ascending index. All these entries are of the leader's term, and
    /// in its log: nobody else creates entries in its term, and it removes none.
    waiting: VecDeque<(Index, NodeId)>,
    pub(super) rounds: Rounds,
    /// Reads that wait for a round to be confirmed, by ascending round.
    pub(super) reads: VecDeque<Asked>,
    /// The change of members that is under way and that somebody asked this leader for.
    pub(super) change: Option<Change>,
    /// The transfer of leadership that is under way.
    pub(super) transfer: Option<Transfer>,
    /// Whether it has asked somebody in this term to start an election. Whoever gets that message, however late, is
    /// elected without regard to loyalty, so that there is no lease any more (dissertation §6.4.1).
    pub(super) lease_forfeited: bool,
}

impl Leader {
    /// A leader of these members, which knows nothing of their logs yet.
    pub(super) fn new(id: NodeId, membership: &Membership, last_index: Index, now: Time) -> Leader {
        let mut leader = Leader {
            followers: Vec::new(),
            term_start: last_index.next(),
            waiting: VecDeque::new(),
            rounds: Rounds::new(now),
            reads: VecDeque::new(),
            change: None,
            transfer: None,
            lease_forfeited: false,
        };
        leader.follow(id, membership, last_index);
        leader
    }

    /// Sends the log to all these members, too.
    pub(super) fn follow(&mut self, id: NodeId, membership: &Membership, last_index: Index) {
        for member in membership.members() {
            if member != id && self.follower(member).is_none() {
                self.followers.push(Follower {
                    id: member,
                    progress: Progress::new(last_index),
                    answered_round: 0,
                });
            }
        }
        self.followers.sort_unstable_by_key(|follower| follower.id);
    }

    /// Sends the log to nobody else any more.
    pub(super) fn unfollow_others(&mut self, membership: &Membership) {
        self.followers
            .retain(|follower| membership.contains(follower.id));
    }

    #[inline]
    pub(super) fn follower(&self, id: NodeId) -> Option<&Follower> {
        self.followers.iter().find(|follower| follower.id == id)
    }

    /// The client is to be answered when the entry at `index` has been applied.
    pub(super) fn await_commit(&mut self, index: Index, client: NodeId) {
        self.waiting.push_back((index, client));
    }

    /// The entry at `index` has been applied.
    pub(super) fn answer_client(
        &mut self,
        index: Index,
        command: &Command,
        answer: Option<Answer>,
        cx: &mut Context<'_, Peer>,
    ) {
        let waiting = self
            .waiting
            .pop_front_if(|(waits_for, _)| *waits_for == index);
        if let (Some((_, client)), Some(request), Some(answer)) =
            (waiting, command.request(), answer)
        {
            reply(client, request, answer, cx);
        }
    }

    /// The server no longer leads. Whether the entries will be committed is for others to say, so the clients are
    /// sent to ask them again; their sessions make that safe (dissertation §6.3).
    pub(super) fn turn_away_clients(self, log: &Log, cx: &mut Context<'_, Peer>) {
        if !self.waiting.is_empty() {
            probe!(cx, "a deposed leader turned waiting clients away");
        }
        for (index, client) in self.waiting {
            if let Some(request) = log.entry(index).and_then(|entry| entry.command.request()) {
                reply(client, request, Answer::NotLeader(None), cx);
            }
        }
        for read in self.reads {
            read.turn_away(cx);
        }
        if let Some(change) = self.change {
            change.asked_by.answer(Answer::NotLeader(None), cx);
        }
        if let Some(transfer) = self.transfer {
            probe!(cx, "leadership was transferred");
            transfer.asked_by.answer(Answer::Transferred, cx);
        }
    }
}

/// A client that waits for an answer to a request that is no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AskedBy {
    client: NodeId,
    request: RequestId,
}

impl AskedBy {
    pub(super) fn new(client: NodeId, request: &Request) -> AskedBy {
        AskedBy {
            client,
            request: request.id(),
        }
    }

    pub(super) fn answer(self, answer: Answer, cx: &mut Context<'_, Peer>) {
        reply(self.client, self.request, answer, cx);
    }
}

/// Answers a client, without regard to this server's own disk: what is committed is durable at a quorum, whoever is in it, a
/// read shows nothing else, and a refusal depends on nothing.
pub(super) fn reply(
    client: NodeId,
    request: RequestId,
    answer: Answer,
    cx: &mut Context<'_, Peer>,
) {
    cx.send_eager(client, Message::Reply(Reply { request, answer }));
}
