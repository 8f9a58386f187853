//! Leader election: §5.2, the restriction on who can be elected (§5.4.1), and the RequestVote RPC of Figure 2.

use super::log::{Command, Entry};
use super::message::{Message, RequestVote, RequestVoteReply};
use super::probes::PROBES;
use super::record::HardState;
use super::replication::Leader;
use super::server::{Server, State};
use super::{Peer, Timer};
use crate::quorum;
use splitbrain_core::{Context, NodeId, probe};
use std::collections::BTreeSet;

impl Server {
    /// No leader has been heard of for an election timeout (§5.2).
    pub(super) fn start_election(&mut self, cx: &mut Context<'_, Peer>) {
        if let State::Candidate { .. } = self.state {
            probe!(cx, "an election ended without a winner");
        }
        self.hard_state = HardState {
            term: self.term().next(),
            voted_for: Some(self.id),
        };
        self.leader = None;
        // Its own vote is counted when it is durable, in `on_synced`.
        self.state = State::Candidate {
            votes: BTreeSet::new(),
        };
        cx.note(format_args!("starts an election for term {}", self.term()));
        self.wait_for_leader(cx);
        self.persist(cx);
        let request = RequestVote {
            term: self.term(),
            last_index: self.log.last_index(),
            last_term: self.log.last_term(),
        };
        for &peer in &self.peers {
            cx.send(peer, Message::RequestVote(request));
        }
    }

    /// RequestVote RPC, receiver (Figure 2).
    pub(super) fn on_request_vote(
        &mut self,
        candidate: NodeId,
        request: RequestVote,
        cx: &mut Context<'_, Peer>,
    ) {
        if request.term > self.term() {
            self.become_follower(request.term, cx);
        }
        let granted = request.term == self.term()
            // One vote per term, so that at most one candidate gets a majority.
            && self.voted_for().is_none_or(|voted_for| voted_for == candidate)
            // A log that lacks a committed entry is behind those of a majority, and must not win (§5.4.1): the later
            // last term wins, and of equal last terms the longer log.
            && (request.last_term, request.last_index)
                >= (self.log.last_term(), self.log.last_index());
        if granted {
            self.hard_state.voted_for = Some(candidate);
            self.wait_for_leader(cx);
        } else if request.term == self.term() {
            if self.voted_for().is_none() {
                probe!(cx, "a vote was refused: the candidate's log was behind");
            } else {
                probe!(cx, "a vote was refused: another candidate had it");
            }
        }
        // A vote that a crash could undo could be given twice in one term (Figure 2: persistent state is updated
        // before responding).
        self.persist(cx);
        let term = self.term();
        let reply = RequestVoteReply { term, granted };
        cx.send(candidate, Message::RequestVoteReply(reply));
    }

    /// An answer to RequestVote.
    pub(super) fn on_request_vote_reply(
        &mut self,
        voter: NodeId,
        reply: RequestVoteReply,
        cx: &mut Context<'_, Peer>,
    ) {
        if reply.term > self.term() {
            self.become_follower(reply.term, cx);
        }
        // A vote counts in the term in which it was given, not in that of a later candidacy (§5.2).
        if reply.term < self.term() {
            probe!(cx, "a reply to an earlier candidacy was ignored");
            return;
        }
        if reply.granted {
            self.count_vote(voter, cx);
        }
    }

    /// A vote for this server in the current term; with a majority of them it leads.
    pub(super) fn count_vote(&mut self, voter: NodeId, cx: &mut Context<'_, Peer>) {
        let State::Candidate { votes } = &mut self.state else {
            return;
        };
        votes.insert(voter);
        if votes.len() >= quorum::majority(self.peers.len() + 1) {
            self.become_leader(cx);
        }
    }

    /// A majority has voted for this server (Figure 2, leaders).
    fn become_leader(&mut self, cx: &mut Context<'_, Peer>) {
        let term = self.term();
        cx.note(format_args!("becomes leader of term {term}"));
        self.state = State::Leader(Leader::new(self.peers.len(), self.log.last_index()));
        self.leader = Some(self.id);
        cx.cancel_timer(Timer::Election);
        // A leader can commit by counting only what it has created itself (§5.4.2). So it begins with an entry that
        // commits everything before it, without waiting for a client (§8, dissertation §6.4).
        let noop = Entry {
            term,
            command: Command::Noop,
        };
        self.write(self.log.last_index().next(), [noop]);
        self.persist(cx);
        self.on_heartbeat(cx);
    }
}
