//! Leadership transfer: dissertation §3.10.

use super::Peer;
use super::leader::AskedBy;
use super::message::{Message, TimeoutNow};
use super::probes::PROBES;
use super::server::{Server, State};
use super::session::{Answer, Refusal};
use splitbrain_core::{Context, NodeId, Time, probe};

/// A transfer that is under way. Meanwhile the leader creates no entries.
#[derive(Clone, Debug)]
pub(super) struct Transfer {
    to: NodeId,
    pub(super) asked_by: AskedBy,
    pub(super) since: Time,
    /// Whether that server has been told to start an election.
    told: bool,
}

impl Server {
    /// Somebody wants another leader.
    pub(super) fn on_transfer_leadership(
        &mut self,
        asked_by: AskedBy,
        to: NodeId,
        cx: &mut Context<'_, Peer>,
    ) {
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        if to == self.id {
            asked_by.answer(Answer::Transferred, cx);
        } else if self
            .memberships
            .latest()
            .voters()
            .binary_search(&to)
            .is_err()
        {
            asked_by.answer(Answer::Refused(Refusal::NoVoter), cx);
        } else {
            leader.transfer = Some(Transfer {
                to,
                asked_by,
                since: cx.now(),
                told: false,
            });
            self.go_on_with_transfer(cx);
        }
    }

    /// Tells the server that is to lead, once its log is complete.
    pub(super) fn go_on_with_transfer(&mut self, cx: &mut Context<'_, Peer>) {
        let term = self.term();
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let Some(to) = leader.transfer.as_ref().filter(|transfer| !transfer.told) else {
            return;
        };
        let to = to.to;
        let complete = leader
            .follower(to)
            .is_some_and(|follower| follower.progress.match_index() == self.log.last_index());
        if complete {
            if let Some(transfer) = &mut leader.transfer {
                transfer.told = true;
            }
            leader.lease_forfeited = true;
            cx.send(to, Message::TimeoutNow(TimeoutNow { term }));
        }
    }

    /// The leader wants this server to lead.
    pub(super) fn on_timeout_now(
        &mut self,
        leader: NodeId,
        request: TimeoutNow,
        cx: &mut Context<'_, Peer>,
    ) {
        // The message may come late: after this server has heard of a later term it means nothing any more.
        let is_timely = request.term == self.term() && matches!(self.state, State::Follower);
        if is_timely && self.may_campaign() {
            probe!(cx, "a server started an election at its leader's wish");
            cx.note(format_args!("is to lead in place of {leader}"));
            self.start_election(true, cx);
        }
    }
}
