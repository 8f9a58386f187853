//! Log replication, the follower's side: the AppendEntries RPC of Figure 2, receiver.

use super::Peer;
use super::log::{Index, Term};
use super::message::{AppendEntries, AppendEntriesReply, Appended, Conflict, Message};
use super::probes::PROBES;
use super::server::Server;
use splitbrain_core::{Context, NodeId, probe};

impl Server {
    /// AppendEntries RPC, receiver (Figure 2).
    pub(super) fn on_append_entries(
        &mut self,
        leader: NodeId,
        mut request: AppendEntries,
        cx: &mut Context<'_, Peer>,
    ) {
        let mut round = request.round;
        let committed = request.commit_index;
        let appended = if request.term < self.term() {
            probe!(cx, "a deposed leader was refused");
            // The answer bears a later term, which may be one that the same server leads. It is none to a round of that.
            round = 0;
            Appended::StaleTerm
        } else {
            self.follow(leader, request.term, cx);
            self.skip_compacted(&mut request);
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
        if let Appended::Matched(_) = appended {
            self.compare_with_leader(committed);
        }
        self.acknowledge(leader, round, appended, cx);
    }

    /// There is a leader of this term, which is at least this server's own.
    pub(super) fn follow(&mut self, leader: NodeId, term: Term, cx: &mut Context<'_, Peer>) {
        self.become_follower(term, cx);
        self.leader = Some(leader);
        self.heard_at = cx.now();
        self.wait_for_leader(cx);
    }

    /// Answers the leader once what is acknowledged is durable: the leader counts this server as a holder of the
    /// entries, and a crash must not lose them (Figure 2: persistent state is updated before responding).
    pub(super) fn acknowledge(
        &mut self,
        leader: NodeId,
        round: u64,
        appended: Appended,
        cx: &mut Context<'_, Peer>,
    ) {
        self.persist(cx);
        if self
            .recovering
            .is_some_and(|since| self.log.last_term() > since)
        {
            probe!(cx, "what a server had lost came back");
            cx.note(format_args!("has got back what it had lost"));
            self.recovering = None;
            self.disk.recovered(cx);
        }
        let reply = AppendEntriesReply {
            term: self.term(),
            round,
            appended,
        };
        cx.send(leader, Message::AppendEntriesReply(reply));
    }

    /// Leaves out entries that a snapshot stands for here: they are committed, so the leader's are the same.
    fn skip_compacted(&self, request: &mut AppendEntries) {
        let base = self.log.base();
        let compacted = base
            .since(request.previous_index)
            .min(request.entries.len());
        if compacted == 0 {
            return;
        }
        request.previous_term = request.entries[compacted - 1].term;
        request.previous_index = request.previous_index.plus(compacted);
        request.entries.drain(..compacted);
    }

    /// Why entries cannot be appended after this one, if they cannot (§5.3).
    fn conflict(&self, previous_index: Index, previous_term: Term) -> Option<Conflict> {
        let term = self.log.term_at(previous_index);
        if term == Some(previous_term) || previous_index < self.log.base() {
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
        self.compare_with_leader(request.commit_index);
        last_new
    }
}
