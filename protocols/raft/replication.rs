//! Log replication, the leader's side: §5.3, the commitment rule of §5.4.2; pipelined (dissertation §10.2.1, §10.2.2).

use super::leader::Follower;
use super::log::{Command, Entry, Index, Log, Term};
use super::message::{AppendEntries, AppendEntriesReply, Appended, InstallSnapshot, Message};
use super::probes::PROBES;
use super::progress::{Batch, Beat, Chunk};
use super::server::{Server, State};
use super::session::Answer;
use super::{Peer, Timer};
use splitbrain_core::{Context, NodeId, probe};
use std::time::Duration;

/// What every request of a leader says.
#[derive(Clone, Copy)]
struct Says {
    term: Term,
    round: u64,
    commit_index: Index,
}

impl Server {
    /// Creates an entry. The others get it while this server's own disk is still busy with it (dissertation §10.2.1): the
    /// leader counts itself only once it is durable here, too. While the disk is busy, entries wait to be written together.
    pub(super) fn propose(&mut self, command: Command, cx: &mut Context<'_, Peer>) {
        let index = self.log.last_index().next();
        let term = self.term();
        let changes_members = matches!(command, Command::Members(_));
        self.write(index, [Entry::new(term, command)]);
        if changes_members && let State::Leader(leader) = &mut self.state {
            // In force as of now (dissertation §4.1).
            leader.follow(self.id, self.memberships.latest(), index.previous());
        }
        if !self.disk.is_busy() {
            self.persist(cx);
        }
        self.replicate(cx);
    }

    /// Sends every follower what it may be sent now.
    pub(super) fn replicate(&mut self, cx: &mut Context<'_, Peer>) {
        let State::Leader(leader) = &self.state else {
            return;
        };
        for follower in 0..leader.followers.len() {
            self.replicate_to(follower, cx);
        }
    }

    fn replicate_to(&mut self, follower: usize, cx: &mut Context<'_, Peer>) {
        let commit_index = self.commit_index;
        let term = self.term();
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let says = Says {
            term,
            round: leader.rounds.latest(),
            commit_index,
        };
        let Follower { id, progress, .. } = &mut leader.followers[follower];
        if progress.needs_snapshot(&self.log) {
            probe!(cx, "a leader sent a snapshot in place of entries");
            progress.install(self.snapshot.clone());
        }
        // Nothing that is sent here depends on what is not yet durable: the term is, as nobody would have voted for it
        // otherwise, and the leader does not count itself for these entries before they are. So they need not wait.
        while let Some(batch) = progress.next_batch(self.log.last_index(), &self.settings) {
            cx.send_eager(*id, append_entries(says, &self.log, batch));
        }
        if let Some(chunk) = progress.next_chunk(&self.settings) {
            cx.send_eager(*id, install_snapshot(says, chunk));
        }
    }

    /// It is time to speak to every follower, so that none starts an election (§5.2), and so that whatever was lost
    /// is noticed.
    pub(super) fn on_heartbeat(&mut self, cx: &mut Context<'_, Peer>) {
        let State::Leader(leader) = &self.state else {
            return;
        };
        let patience = Duration::from_millis(self.settings.election_ms_max);
        if self.settings.check_quorum && leader.rounds.unfollowed_for(cx.now()) > patience {
            // Clients that ask it would wait in vain (dissertation §6.2).
            probe!(cx, "a leader stepped down, as no quorum answered");
            self.give_way(cx);
            return;
        }
        self.give_up_what_takes_too_long(cx);
        self.broadcast(cx);
        let after = Duration::from_millis(self.settings.heartbeat_ms);
        cx.set_timer(Timer::Heartbeat, after);
    }

    /// No longer leads, though nobody else does.
    pub(super) fn give_way(&mut self, cx: &mut Context<'_, Peer>) {
        self.leader = None;
        if let State::Leader(leader) = &mut self.state
            && let Some(transfer) = leader.transfer.take()
        {
            // It has come to nothing, and whoever leads next is to be asked again.
            transfer.asked_by.answer(Answer::NotLeader(None), cx);
        }
        self.become_follower(self.term(), cx);
    }

    /// Starts a round: sends something to every follower, news or not.
    pub(super) fn broadcast(&mut self, cx: &mut Context<'_, Peer>) {
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        leader.rounds.start(cx.now());
        for follower in 0..leader.followers.len() {
            self.beat(follower, cx);
        }
        // A leader without other voters has a quorum at once.
        self.confirm_rounds(cx);
    }

    /// Sends something to a follower, news or not.
    pub(super) fn beat(&mut self, follower: usize, cx: &mut Context<'_, Peer>) {
        let commit_index = self.commit_index;
        let term = self.term();
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let says = Says {
            term,
            round: leader.rounds.latest(),
            commit_index,
        };
        let Follower { id, progress, .. } = &mut leader.followers[follower];
        if progress.needs_snapshot(&self.log) {
            progress.install(self.snapshot.clone());
        }
        let message = match progress.heartbeat(self.log.last_index(), &self.settings) {
            Beat::Entries(batch) => append_entries(says, &self.log, batch),
            Beat::Chunk(chunk) => install_snapshot(says, chunk),
        };
        cx.send_eager(*id, message);
    }

    /// An answer to AppendEntries, or to the last chunk of a snapshot.
    pub(super) fn on_append_entries_reply(
        &mut self,
        from: NodeId,
        reply: AppendEntriesReply,
        cx: &mut Context<'_, Peer>,
    ) {
        let Some(follower) = self.answering(from, reply.term, reply.round, cx) else {
            return;
        };
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let progress = &mut leader.followers[follower].progress;
        match reply.appended {
            Appended::Matched(index) => {
                // Only what is news can make a majority.
                if progress.matched(index) && index > self.commit_index {
                    self.advance_commit_index(cx);
                }
            }
            Appended::Conflict(conflict) => {
                if progress.conflicted(conflict, &self.log) {
                    probe!(cx, "a leader went back by more than one entry at once");
                }
            }
            Appended::StaleTerm => {}
        }
        self.went_on(from, cx);
    }

    /// Whose answer it is, if it is one to this leader in this term: its place among the followers.
    pub(super) fn answering(
        &mut self,
        from: NodeId,
        term: Term,
        round: u64,
        cx: &mut Context<'_, Peer>,
    ) -> Option<usize> {
        if term > self.term() {
            self.become_follower(term, cx);
            self.persist(cx);
        }
        // What a follower said to an earlier leader may have been overwritten since.
        if term < self.term() {
            probe!(cx, "a reply to an earlier term's entries was ignored");
            return None;
        }
        let State::Leader(leader) = &mut self.state else {
            return None;
        };
        let mut followers = leader.followers.iter_mut();
        let place = followers.position(|follower| follower.id == from)?;
        let follower = &mut leader.followers[place];
        follower.answered_round = follower.answered_round.max(round);
        if round > leader.rounds.confirmed() {
            self.confirm_rounds(cx);
        }
        Some(place)
    }

    /// A follower has answered: it can be sent more, and whoever waits for it to catch up may have waited enough.
    pub(super) fn went_on(&mut self, from: NodeId, cx: &mut Context<'_, Peer>) {
        let State::Leader(leader) = &self.state else {
            return;
        };
        let (transfers, changes) = (leader.transfer.is_some(), leader.change.is_some());
        let mut followers = leader.followers.iter();
        if let Some(follower) = followers.position(|follower| follower.id == from) {
            self.replicate_to(follower, cx);
        }
        if transfers {
            self.go_on_with_transfer(cx);
        }
        if changes {
            self.go_on_with_change(cx);
        }
    }

    /// Commits what a majority stores durably (§5.3, §5.4.2; Figure 2, leaders).
    pub(super) fn advance_commit_index(&mut self, cx: &mut Context<'_, Peer>) {
        let State::Leader(leader) = &self.state else {
            return;
        };
        let quorum = self.memberships.latest().quorum();
        let index = quorum.reached(|id| {
            if id == self.id {
                self.disk.durable_index()
            } else {
                let follower = leader.follower(id);
                follower.map_or(Index::ZERO, |follower| follower.progress.match_index())
            }
        });
        if index <= self.commit_index {
            return;
        }
        // An entry of an earlier term may be stored on a majority and yet be overwritten (Figure 8). It is
        // committed only through an entry of the leader's own term that follows it.
        if self.log.term_at(index) != Some(self.term()) {
            probe!(
                cx,
                "a majority had an entry of an earlier term, which was not committed for that"
            );
            return;
        }
        if self.log.term_at(self.commit_index.next()) != Some(self.term()) {
            probe!(cx, "an entry of an earlier term was committed indirectly");
        }
        let before = self.commit_index;
        self.commit_index = index;
        self.apply_committed(cx);
        self.members_committed(before, cx);
    }
}

/// The request that carries these entries.
fn append_entries(says: Says, log: &Log, batch: Batch) -> Message {
    Message::AppendEntries(AppendEntries {
        term: says.term,
        round: says.round,
        previous_index: batch.previous,
        previous_term: log.term_at(batch.previous).unwrap_or_default(),
        entries: log.starting_at(batch.previous.next())[..batch.count].to_vec(),
        commit_index: says.commit_index,
    })
}

/// The request that carries this piece of a snapshot.
fn install_snapshot(says: Says, chunk: Chunk) -> Message {
    Message::InstallSnapshot(InstallSnapshot {
        term: says.term,
        round: says.round,
        last_index: chunk.snapshot.last_index,
        last_term: chunk.snapshot.last_term,
        membership: chunk.snapshot.membership.clone(),
        store: chunk.snapshot.machine.store().header(),
        offset: chunk.offset,
        parts: chunk.parts,
        done: chunk.done,
    })
}
