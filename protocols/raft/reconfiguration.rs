//! Changing the members: dissertation §4, by joint consensus (§4.3), the leader's side.
//!
//! A change goes in steps, each an entry that is committed before the next one is created: new servers become learners, and
//! get the log (§4.2.1); then old and new voters decide together; then the new ones alone. A leader that is not among them
//! leads until that is committed (§4.2.2).

use super::Peer;
use super::leader::AskedBy;
use super::log::{Command, Index};
use super::membership::Membership;
use super::probes::PROBES;
use super::server::{Server, State};
use super::session::{Answer, Refusal};
use crate::quorum::Tally;
use splitbrain_core::{Context, NodeId, Time, probe};
use std::sync::Arc;
use std::time::Duration;

/// A change that somebody waits for.
#[derive(Clone, Debug)]
pub(super) struct Change {
    target: Arc<Membership>,
    pub(super) asked_by: AskedBy,
    since: Time,
}

/// New servers that have not caught up after so many election timeouts are too slow, or not there.
const PATIENCE: u32 = 10;

impl Server {
    /// Somebody wants other members.
    pub(super) fn on_change_members(
        &mut self,
        asked_by: AskedBy,
        target: &Arc<Membership>,
        cx: &mut Context<'_, Peer>,
    ) {
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        if (leader.change.as_ref()).is_some_and(|change| change.asked_by == asked_by) {
            // The same request again, as its client has lost patience or the network has copied it. There will be an answer.
            return;
        }
        let current = self.memberships.latest();
        let changed_at = self.memberships.latest_index();
        let refusal = if target.voters().is_empty() {
            Refusal::NoVoter
        } else if self.commit_index < leader.term_start {
            // A change that an earlier leader began may be under way, unknown to this one's voters (the bug that was
            // found in 2015 in single-server changes; a joint change needs the rule for what it starts from).
            probe!(cx, "a change of members was refused by a new leader");
            Refusal::NewLeader
        } else if leader.change.is_some() || current.is_joint() || changed_at > self.commit_index {
            probe!(
                cx,
                "a change of members was refused: another one was under way"
            );
            Refusal::UnderWay
        } else if current == target {
            asked_by.answer(Answer::Changed(changed_at), cx);
            return;
        } else {
            leader.change = Some(Change {
                target: target.clone(),
                asked_by,
                since: cx.now(),
            });
            self.go_on_with_change(cx);
            return;
        };
        asked_by.answer(Answer::Refused(refusal), cx);
    }

    /// Takes the next step of a change, if it is time.
    pub(super) fn go_on_with_change(&mut self, cx: &mut Context<'_, Peer>) {
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let current = self.memberships.latest();
        let changed_at = self.memberships.latest_index();
        let Some(change) = &leader.change else {
            return;
        };
        // At most one membership is not committed.
        if changed_at > self.commit_index || current.is_joint() {
            return;
        }
        if *current == change.target {
            probe!(cx, "a change of members was completed");
            change.asked_by.answer(Answer::Changed(changed_at), cx);
            leader.change = None;
            return;
        }
        if leader.transfer.is_some() {
            // No more entries: see `on_request`.
            return;
        }
        let new_voters = || {
            let voters = change.target.voters().iter().copied();
            voters.filter(|&id| !current.is_voter(id))
        };
        let strangers: Vec<NodeId> = new_voters().filter(|&id| !current.contains(id)).collect();
        let last = self.log.last_index();
        // Who has not even the entry that made it a learner may not be there at all.
        let near = Index(last.0.saturating_sub(self.settings.entries_per_append))
            .max(changed_at)
            .max(leader.term_start);
        let has_caught_up = |id| {
            let follower = leader.follower(id);
            id == self.id
                || follower.is_some_and(|follower| follower.progress.match_index() >= near)
        };
        // Once the configuration is joint there is no way back: if the new voters could not decide, nobody could.
        let can_decide = || {
            let quorum = change.target.quorum();
            quorum.tally(|id| Some(has_caught_up(id))) == Tally::Won
        };
        let next = if !strangers.is_empty() {
            probe!(cx, "a new server became a learner first");
            let learners = current.learners().iter().copied().chain(strangers);
            Membership::new(current.voters().iter().copied(), learners)
        } else if current.voters() == change.target.voters() {
            Membership::clone(&change.target)
        } else if new_voters().all(has_caught_up) && can_decide() {
            current.joint(&change.target)
        } else {
            return;
        };
        cx.note(format_args!("changes the members to {next}"));
        self.propose(Command::Members(Arc::new(next)), cx);
    }

    /// More has been committed than up to `before`: perhaps the membership.
    pub(super) fn members_committed(&mut self, before: Index, cx: &mut Context<'_, Peer>) {
        let changed_at = self.membership_index();
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let current = self.memberships.latest();
        if changed_at > self.commit_index {
            return;
        }
        if current.is_joint() {
            if leader.transfer.is_some() {
                // No more entries: see `on_request`. It is for the next leader to complete the change.
                return;
            }
            // From here on the new voters may decide alone. Whoever leads now completes the change, whoever began it.
            probe!(cx, "a joint configuration was committed");
            let settled = current.settled();
            cx.note(format_args!("changes the members to {settled}"));
            self.propose(Command::Members(Arc::new(settled)), cx);
        } else if before < changed_at {
            let is_voter = current.is_voter(self.id);
            let members = current.clone();
            // Who was removed is told that it is certain, if the message arrives: then it asks for no more votes.
            if leader
                .followers
                .iter()
                .any(|follower| !members.contains(follower.id))
            {
                self.broadcast(cx);
            }
            if let State::Leader(leader) = &mut self.state {
                leader.unfollow_others(&members);
            }
            self.go_on_with_change(cx);
            if !is_voter {
                probe!(cx, "a leader that was removed stepped down");
                self.give_way(cx);
            }
        }
    }

    /// Refuses what was asked for long ago and has not come to anything.
    pub(super) fn give_up_what_takes_too_long(&mut self, cx: &mut Context<'_, Peer>) {
        let timeout = Duration::from_millis(self.settings.election_ms_max);
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let now = cx.now();
        let late = |since| now.since(since) > timeout;
        if let Some(transfer) = leader.transfer.take_if(|transfer| late(transfer.since)) {
            probe!(cx, "a transfer of leadership was given up");
            let answer = Answer::Refused(Refusal::TooSlow);
            transfer.asked_by.answer(answer, cx);
            // What has waited for it.
            self.members_committed(self.commit_index, cx);
            self.go_on_with_change(cx);
        }
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        // Once the voters are joint, the change goes on whatever happens.
        let joint = self.memberships.latest().is_joint();
        let very_late = |since| now.since(since) > timeout * PATIENCE;
        let hopeless = |change: &mut Change| !joint && very_late(change.since);
        if let Some(change) = leader.change.take_if(hopeless) {
            probe!(cx, "a change of members was given up");
            change
                .asked_by
                .answer(Answer::Refused(Refusal::TooSlow), cx);
        }
    }
}
