//! Pre-vote: dissertation §9.6. A server asks whether it could win before it starts an election, and nobody's term or vote
//! changes for the question. Who comes back from a partition, or was removed from the cluster, disrupts nobody.

use super::Peer;
use super::message::{Message, RequestPreVote, RequestPreVoteReply};
use super::probes::PROBES;
use super::server::{Server, State, Votes};
use crate::quorum::Tally;
use splitbrain_core::{Context, NodeId, probe};

impl Server {
    /// Asks the others whether they would vote for it in the next term.
    pub(super) fn start_pre_vote(&mut self, cx: &mut Context<'_, Peer>) {
        self.leader = None;
        self.state = State::PreCandidate {
            votes: Votes::new(),
        };
        self.wait_for_leader(cx);
        let request = RequestPreVote {
            term: self.term().next(),
            last_index: self.log.last_index(),
            last_term: self.log.last_term(),
        };
        // It is told a later term only once this server's own is durable.
        self.persist(cx);
        for voter in self.other_voters() {
            cx.send(voter, Message::RequestPreVote(request));
        }
        self.count_pre_vote(self.id, true, cx);
    }

    /// Somebody asks for this server's opinion. Nothing changes here for that.
    pub(super) fn on_request_pre_vote(
        &mut self,
        asker: NodeId,
        request: RequestPreVote,
        cx: &mut Context<'_, Peer>,
    ) {
        let loyal = self.is_loyal(cx);
        if loyal {
            probe!(cx, "a pre-vote was refused: there is a leader");
        }
        let granted = !loyal
            && !self.is_recovering()
            && request.term > self.term()
            && self.is_up_to_date(request.last_index, request.last_term);
        let reply = RequestPreVoteReply {
            term: self.term(),
            asked_term: request.term,
            granted,
        };
        cx.send(asker, Message::RequestPreVoteReply(reply));
    }

    /// An answer to RequestPreVote.
    pub(super) fn on_request_pre_vote_reply(
        &mut self,
        voter: NodeId,
        reply: RequestPreVoteReply,
        cx: &mut Context<'_, Peer>,
    ) {
        if reply.term > self.term() {
            // Servers that were cut off from each other in different terms must come together in one, or each would go on
            // to be refused by the other.
            probe!(cx, "a later term was learnt from a refused pre-vote");
            self.become_follower(reply.term, cx);
            self.persist(cx);
        } else if reply.asked_term == self.term().next() {
            self.count_pre_vote(voter, reply.granted, cx);
        }
    }

    fn count_pre_vote(&mut self, voter: NodeId, granted: bool, cx: &mut Context<'_, Peer>) {
        let State::PreCandidate { votes } = &mut self.state else {
            return;
        };
        votes.insert(voter, granted);
        let quorum = self.memberships.latest().quorum();
        match quorum.tally(|id| votes.get(&id).copied()) {
            Tally::Won => self.start_election(false, cx),
            Tally::Lost => {
                probe!(cx, "a pre-vote was lost");
                self.become_follower(self.term(), cx);
            }
            Tally::Open => {}
        }
    }
}
