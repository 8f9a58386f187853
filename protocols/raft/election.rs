//! Leader election: §5.2, the restriction on who can be elected (§5.4.1), and the RequestVote RPC of Figure 2.

use super::leader::Leader;
use super::log::{Command, Entry, Index, Term};
use super::message::{Message, RequestVote, RequestVoteReply};
use super::probes::PROBES;
use super::record::HardState;
use super::server::{Server, State, Votes};
use super::{Peer, Timer};
use crate::quorum::Tally;
use splitbrain_core::{Context, NodeId, probe};

impl Server {
    /// No leader has been heard of for an election timeout (§5.2).
    pub(super) fn on_election_timeout(&mut self, cx: &mut Context<'_, Peer>) {
        match self.state {
            State::Candidate { .. } => probe!(cx, "an election ended without a winner"),
            State::Leader(_) => return,
            State::Follower | State::PreCandidate { .. } => {}
        }
        if !self.may_campaign() {
            self.wait_for_leader(cx);
        } else if self.settings.pre_vote {
            self.start_pre_vote(cx);
        } else {
            self.start_election(false, cx);
        }
    }

    /// Whether it may ask for votes: a voter may; and one that is about to be no voter, as nobody else may have the entry
    /// which says so, and so nobody else be electable (dissertation §4.2.2).
    pub(super) fn may_campaign(&self) -> bool {
        let is_voter = self.membership().is_voter(self.id);
        let was_voter = || {
            let changed_at = self.membership_index();
            changed_at > self.commit_index
                && self.memberships.at(changed_at.previous()).is_voter(self.id)
        };
        !self.is_recovering() && (is_voter || was_voter())
    }

    /// Becomes a candidate (§5.2). With `transfer`, because the leader has asked for it (dissertation §3.10).
    pub(super) fn start_election(&mut self, transfer: bool, cx: &mut Context<'_, Peer>) {
        self.hard_state = HardState {
            term: self.term().next(),
            voted_for: Some(self.id),
        };
        self.leader = None;
        // Its own vote is counted when it is durable, in `on_synced`.
        self.state = State::Candidate {
            votes: Votes::new(),
        };
        cx.note(format_args!("starts an election for term {}", self.term()));
        self.wait_for_leader(cx);
        self.persist(cx);
        let request = RequestVote {
            term: self.term(),
            last_index: self.log.last_index(),
            last_term: self.log.last_term(),
            transfer,
        };
        for voter in self.other_voters() {
            cx.send(voter, Message::RequestVote(request));
        }
    }

    /// Who else votes, by the latest membership in the log. Whether they know of it themselves makes no difference to them.
    pub(super) fn other_voters(&self) -> Vec<NodeId> {
        let mut voters = self.membership().members();
        voters.retain(|&id| id != self.id && self.membership().is_voter(id));
        voters
    }

    /// Whether it leads, or has heard from a leader so lately that it helps nobody else to an election: somebody who was
    /// cut off or removed deposes no leader that is well (dissertation §4.2.3), and a leader's lease rests on it (§6.4.1).
    pub(super) fn is_loyal(&self, cx: &Context<'_, Peer>) -> bool {
        let hears = cx.now().since(self.heard_at) < self.settings.loyalty();
        self.settings.check_quorum && (hears || matches!(self.state, State::Leader(_)))
    }

    /// Whether a log that ends there has at least what this server's log has (§5.4.1): the later last term wins, and of
    /// equal last terms the longer log.
    pub(super) fn is_up_to_date(&self, last_index: Index, last_term: Term) -> bool {
        (last_term, last_index) >= (self.log.last_term(), self.log.last_index())
    }

    /// RequestVote RPC, receiver (Figure 2).
    pub(super) fn on_request_vote(
        &mut self,
        candidate: NodeId,
        request: RequestVote,
        cx: &mut Context<'_, Peer>,
    ) {
        if request.term > self.term() && !request.transfer && self.is_loyal(cx) {
            probe!(cx, "a candidate was ignored: there is a leader");
            return;
        }
        if request.term > self.term() {
            self.become_follower(request.term, cx);
        }
        let granted = request.term == self.term()
            // One vote per term, so that at most one candidate gets a majority.
            && self.voted_for().is_none_or(|voted_for| voted_for == candidate)
            // A log that lacks a committed entry is behind those of a majority, and must not win (§5.4.1).
            && self.is_up_to_date(request.last_index, request.last_term)
            // What this server has lost cannot speak against the candidate.
            && !self.is_recovering()
            // It may have learned of this term from somebody else's answer, and owe its loyalty to the leader before it.
            && (self.voted_for() == Some(candidate) || request.transfer || !self.is_loyal(cx));
        if granted {
            self.hard_state.voted_for = Some(candidate);
            self.wait_for_leader(cx);
        } else if request.term == self.term() {
            if self.is_recovering() {
                probe!(cx, "a vote was refused: the voter had lost entries");
            } else if self.voted_for().is_none()
                && self.is_up_to_date(request.last_index, request.last_term)
            {
                probe!(cx, "a vote was refused: an earlier term may have a lease");
            } else if self.voted_for().is_none() {
                probe!(cx, "a vote was refused: the candidate's log was behind");
            } else {
                probe!(cx, "a vote was refused: another candidate had it");
                self.let_go_first(&request, cx);
            }
        }
        // A vote that a crash could undo could be given twice in one term (Figure 2: persistent state is updated
        // before responding).
        self.persist(cx);
        let term = self.term();
        let reply = RequestVoteReply { term, granted };
        cx.send(candidate, Message::RequestVoteReply(reply));
    }

    /// Whoever stands for election itself, and hears of a candidate whose log is ahead of its own, waits anew before it tries again:
    /// it may be the one whose vote the other needs, and as long as each begins the next term before it hears of the other, neither
    /// wins. Of two who wait as long, one is first every other time. The paper leaves that to chance alone (§5.2); with the vote
    /// of a third server lost (its disk was damaged) and without pre-votes (§9.6), that took seconds in one seed of a million.
    fn let_go_first(&self, request: &RequestVote, cx: &mut Context<'_, Peer>) {
        let own = (self.log.last_term(), self.log.last_index());
        let is_candidate = matches!(self.state, State::Candidate { .. });
        if is_candidate && (request.last_term, request.last_index) > own {
            probe!(
                cx,
                "a candidate let another one go first, whose log was ahead"
            );
            self.wait_for_leader(cx);
        }
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
            self.persist(cx);
        }
        // A vote counts in the term in which it was given, not in that of a later candidacy (§5.2).
        if reply.term < self.term() {
            probe!(cx, "a reply to an earlier candidacy was ignored");
            return;
        }
        self.count_vote(voter, reply.granted, cx);
    }

    /// What a voter has said to this candidate in the current term; with a majority of votes it leads.
    pub(super) fn count_vote(&mut self, voter: NodeId, granted: bool, cx: &mut Context<'_, Peer>) {
        let State::Candidate { votes } = &mut self.state else {
            return;
        };
        // A refusal that was sent before the vote was given, if there is such a thing, does not undo it.
        *votes.entry(voter).or_default() |= granted;
        let quorum = self.memberships.latest().quorum();
        match quorum.tally(|id| votes.get(&id).copied()) {
            Tally::Won => self.become_leader(cx),
            Tally::Lost => probe!(cx, "an election was lost"),
            Tally::Open => {}
        }
    }

    /// A majority has voted for this server (Figure 2, leaders).
    fn become_leader(&mut self, cx: &mut Context<'_, Peer>) {
        let term = self.term();
        cx.note(format_args!("becomes leader of term {term}"));
        let last_index = self.log.last_index();
        let leader = Leader::new(self.id, self.membership(), last_index, cx.now());
        self.state = State::Leader(Box::new(leader));
        self.leader = Some(self.id);
        self.incoming = None;
        cx.cancel_timer(Timer::Election);
        // A leader can commit by counting only what it has created itself (§5.4.2). So it begins with an entry that
        // commits everything before it, without waiting for a client (§8, dissertation §6.4).
        self.write(last_index.next(), [Entry::new(term, Command::Noop)]);
        self.persist(cx);
        self.on_heartbeat(cx);
    }
}
