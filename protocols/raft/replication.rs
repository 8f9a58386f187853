//! Log replication: §5.3, the commitment rule of §5.4.2, and the AppendEntries RPC of Figure 2.

use super::log::{Command, Index, Log, Term};
use super::message::{AppendEntries, AppendEntriesReply, Appended, Conflict, Message, Reply};
use super::probes::PROBES;
use super::progress::{Batch, Progress};
use super::server::{Server, State};
use super::session::Answer;
use super::{Peer, Timer};
use crate::quorum;
use splitbrain_core::{Context, NodeId, probe};
use std::collections::VecDeque;
use std::iter::once;
use std::time::Duration;

/// What only a leader knows.
#[derive(Clone, Debug)]
pub(super) struct Leader {
    /// How far each follower is, in the order of the server's `peers`.
    pub(super) followers: Vec<Progress>,
    /// Who waits for which entry to be applied, by ascending index. All these entries are of the leader's term, and
    /// in its log: nobody else creates entries in its term, and it removes none.
    waiting: VecDeque<(Index, NodeId)>,
}

impl Leader {
    /// A leader of that many followers, which knows nothing of their logs yet.
    pub(super) fn new(followers: usize, last_index: Index) -> Leader {
        Leader {
            followers: vec![Progress::new(last_index); followers],
            waiting: VecDeque::new(),
        }
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
            cx.send(client, Message::Reply(Reply { request, answer }));
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
                let answer = Answer::NotLeader(None);
                cx.send(client, Message::Reply(Reply { request, answer }));
            }
        }
    }
}

/// The leader's side.
impl Server {
    /// Sends every follower what it may be sent now.
    pub(super) fn replicate(&mut self, cx: &mut Context<'_, Peer>) {
        for follower in 0..self.peers.len() {
            self.replicate_to(follower, cx);
        }
    }

    fn replicate_to(&mut self, follower: usize, cx: &mut Context<'_, Peer>) {
        let (term, commit_index) = (self.term(), self.commit_index);
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let progress = &mut leader.followers[follower];
        while let Some(batch) = progress.next_batch(self.log.last_index(), &self.settings) {
            let request = append_entries(term, commit_index, &self.log, batch);
            cx.send(self.peers[follower], request);
        }
    }

    /// It is time to speak to every follower, so that none starts an election (§5.2), and so that whatever was lost
    /// is noticed.
    pub(super) fn on_heartbeat(&mut self, cx: &mut Context<'_, Peer>) {
        let (term, commit_index) = (self.term(), self.commit_index);
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        for (&peer, progress) in self.peers.iter().zip(&mut leader.followers) {
            let batch = progress.heartbeat(self.log.last_index(), &self.settings);
            cx.send(peer, append_entries(term, commit_index, &self.log, batch));
        }
        let after = Duration::from_millis(self.settings.heartbeat_ms);
        cx.set_timer(Timer::Heartbeat, after);
    }

    /// An answer to AppendEntries.
    pub(super) fn on_append_entries_reply(
        &mut self,
        from: NodeId,
        reply: AppendEntriesReply,
        cx: &mut Context<'_, Peer>,
    ) {
        if reply.term > self.term() {
            self.become_follower(reply.term, cx);
        }
        // What a follower said to an earlier leader may have been overwritten since.
        if reply.term < self.term() {
            probe!(cx, "a reply to an earlier term's entries was ignored");
            return;
        }
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let Some(follower) = self.peers.iter().position(|&peer| peer == from) else {
            return;
        };
        let progress = &mut leader.followers[follower];
        match reply.appended {
            Appended::Matched(index) => {
                if progress.matched(index) {
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
        self.replicate_to(follower, cx);
    }

    /// Commits what a majority stores durably (§5.3, §5.4.2; Figure 2, leaders).
    pub(super) fn advance_commit_index(&mut self, cx: &mut Context<'_, Peer>) {
        let State::Leader(leader) = &self.state else {
            return;
        };
        let followers = leader.followers.iter().map(Progress::match_index);
        let index = quorum::reached(followers.chain(once(self.disk.durable_index())));
        if index > self.commit_index
            // An entry of an earlier term may be stored on a majority and yet be overwritten (Figure 8). It is
            // committed only through an entry of the leader's own term that follows it.
            && self.log.term_at(index) == Some(self.term())
        {
            if self.log.term_at(self.commit_index.next()) != Some(self.term()) {
                probe!(cx, "an entry of an earlier term was committed indirectly");
            }
            self.commit_index = index;
            self.apply_committed(cx);
        } else if index > self.commit_index {
            probe!(
                cx,
                "a majority had an entry of an earlier term, which was not committed for that"
            );
        }
    }
}

/// The follower's side.
impl Server {
    /// AppendEntries RPC, receiver (Figure 2).
    pub(super) fn on_append_entries(
        &mut self,
        leader: NodeId,
        request: AppendEntries,
        cx: &mut Context<'_, Peer>,
    ) {
        let appended = if request.term < self.term() {
            probe!(cx, "a deposed leader was refused");
            Appended::StaleTerm
        } else {
            self.become_follower(request.term, cx);
            self.leader = Some(leader);
            self.wait_for_leader(cx);
            match self.conflict(request.previous_index, request.previous_term) {
                Some(conflict) => {
                    probe!(
                        cx,
                        "a follower refused entries that did not follow on its log"
                    );
                    Appended::Conflict(conflict)
                }
                None => Appended::Matched(self.append(request, cx)),
            }
        };
        // The leader counts this server as a holder of the entries: a crash must not lose them (Figure 2: persistent
        // state is updated before responding).
        self.persist(cx);
        let term = self.term();
        let reply = AppendEntriesReply { term, appended };
        cx.send(leader, Message::AppendEntriesReply(reply));
    }

    /// Why entries cannot be appended after this one, if they cannot (§5.3).
    fn conflict(&self, previous_index: Index, previous_term: Term) -> Option<Conflict> {
        let term = self.log.term_at(previous_index);
        if term == Some(previous_term) {
            return None;
        }
        let after_end = self.log.last_index().next();
        Some(Conflict {
            refused: previous_index,
            term,
            first_index: term
                .and_then(|term| self.log.first_index_of(term))
                .unwrap_or(after_end),
        })
    }

    /// Appends entries to a log that holds the previous one; the index up to which it now agrees with the leader's.
    fn append(&mut self, request: AppendEntries, cx: &mut Context<'_, Peer>) -> Index {
        let first = request.previous_index.next();
        // What follows the new entries may be a leftover that the leader knows nothing of: it is neither acknowledged
        // nor committed below.
        let last_new = request.previous_index.plus(request.entries.len());
        // Requests may arrive late and twice, so only a conflict is a reason to remove anything: without one, what
        // follows the new entries may have been acknowledged already.
        let held = self.log.starting_at(first).iter();
        let agreeing = held
            .zip(&request.entries)
            .take_while(|(held, new)| held.term == new.term)
            .count();
        if agreeing < request.entries.len() {
            if first.plus(agreeing) <= self.log.last_index() {
                probe!(cx, "a conflicting tail was truncated");
            }
            let missing = request.entries.into_iter().skip(agreeing);
            self.write(first.plus(agreeing), missing);
        } else if agreeing > 0 {
            probe!(cx, "entries came that were there already");
        }
        let committed = request.commit_index.min(last_new);
        if committed < request.commit_index && committed < self.log.last_index() {
            probe!(
                cx,
                "a commit index beyond the last new entry was not followed"
            );
        }
        if committed > self.commit_index {
            if last_new == request.previous_index {
                probe!(cx, "a commit index was learnt from a heartbeat");
            }
            self.commit_index = committed;
            self.apply_committed(cx);
        }
        last_new
    }
}

/// The request that carries these entries.
fn append_entries(term: Term, commit_index: Index, log: &Log, batch: Batch) -> Message {
    Message::AppendEntries(AppendEntries {
        term,
        previous_index: batch.previous,
        previous_term: log.term_at(batch.previous).unwrap_or_default(),
        entries: log.starting_at(batch.previous.next())[..batch.count].to_vec(),
        commit_index,
    })
}
