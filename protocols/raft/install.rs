//! Log compaction: dissertation §5. Taking snapshots, and the InstallSnapshot RPC (Figure 5.3).

use super::Peer;
use super::log::Index;
use super::membership::Memberships;
use super::message::{Appended, InstallSnapshot, InstallSnapshotReply, Message};
use super::probes::PROBES;
use super::server::{Server, State};
use super::snapshot::{Incoming, Snapshot};
use splitbrain_core::{Context, NodeId, probe};
use std::sync::Arc;

impl Server {
    /// Takes a snapshot, if enough has been applied since the last one, and forgets the entries that it stands for
    /// (dissertation §5.1); but for some, which a follower that is a little behind may still need.
    pub(super) fn take_snapshot(&mut self, cx: &mut Context<'_, Peer>) {
        let after = self.settings.snapshot_entries as usize;
        let since_last = self.last_applied.since(self.snapshot.last_index);
        if after == 0 || since_last < after {
            return;
        }
        let membership = self.memberships.at(self.last_applied).clone();
        let (Some(last_term), false) = (
            self.log.term_at(self.last_applied),
            // A server that does not know the members up to here, as it was added later, cannot tell others.
            membership.voters().is_empty(),
        ) else {
            return;
        };
        probe!(cx, "a server took a snapshot");
        self.snapshot = Arc::new(Snapshot {
            last_index: self.last_applied,
            last_term,
            membership,
            machine: self.machine.clone(),
        });
        let keeps = self.settings.snapshot_keeps;
        let base = Index(self.last_applied.0.saturating_sub(keeps)).max(self.log.base());
        self.memberships.compacted(base);
        self.log.compact(base);
        self.rewrite_journal(cx);
    }

    /// InstallSnapshot RPC, receiver (Figure 5.3).
    pub(super) fn on_install_snapshot(
        &mut self,
        leader: NodeId,
        request: InstallSnapshot,
        cx: &mut Context<'_, Peer>,
    ) {
        let InstallSnapshot {
            round,
            last_index,
            last_term,
            ..
        } = request;
        if request.term < self.term() {
            probe!(cx, "a deposed leader was refused");
            // As in `on_append_entries`: no answer to a round of the later term.
            self.received(leader, 0, last_index, 0, cx);
            return;
        }
        self.follow(leader, request.term, cx);
        if last_index <= self.commit_index {
            // The logs agree up to there, as it is committed.
            probe!(cx, "a snapshot came of what was there already");
            self.acknowledge(leader, round, Appended::Matched(last_index), cx);
            return;
        }
        let mut incoming = self
            .incoming
            .take()
            .filter(|incoming| incoming.is(last_index, last_term))
            .unwrap_or_else(|| {
                Incoming::new(last_index, last_term, request.membership, request.store)
            });
        let taken = incoming.take(request.offset, request.parts);
        if !taken {
            probe!(cx, "a chunk of a snapshot came twice or too early");
        }
        if taken && request.done {
            self.install(incoming.complete(), cx);
            self.acknowledge(leader, round, Appended::Matched(last_index), cx);
        } else {
            let received = incoming.received();
            self.incoming = Some(incoming);
            self.received(leader, round, last_index, received, cx);
        }
    }

    fn received(
        &mut self,
        leader: NodeId,
        round: u64,
        last_index: Index,
        received: usize,
        cx: &mut Context<'_, Peer>,
    ) {
        self.persist(cx);
        let reply = InstallSnapshotReply {
            term: self.term(),
            round,
            last_index,
            received,
        };
        cx.send(leader, Message::InstallSnapshotReply(reply));
    }

    /// Puts a snapshot in place of what it stands for, which is more than is committed here.
    fn install(&mut self, snapshot: Snapshot, cx: &mut Context<'_, Peer>) {
        cx.note(format_args!(
            "installs a snapshot up to {}",
            snapshot.last_index
        ));
        let (last_index, last_term) = (snapshot.last_index, snapshot.last_term);
        if self.log.term_at(last_index) == Some(last_term) {
            // What follows the entry agrees with it, and may have been acknowledged (Figure 5.3, 6).
            probe!(cx, "a snapshot was installed below a log that goes on");
            self.log.compact(last_index);
        } else {
            probe!(cx, "a snapshot replaced a log");
            self.log.restart_at(last_index, last_term);
            self.disk.log_changed(last_index.next());
        }
        let entries = self.log.starting_at(last_index.next());
        self.memberships = Memberships::new(snapshot.membership.clone(), last_index, entries);
        self.machine = snapshot.machine.clone();
        self.commit_index = last_index;
        self.last_applied = last_index;
        self.snapshot = Arc::new(snapshot);
        self.rewrite_journal(cx);
        self.answer_reads(cx);
    }

    /// An answer to a chunk that was not the last.
    pub(super) fn on_install_snapshot_reply(
        &mut self,
        from: NodeId,
        reply: InstallSnapshotReply,
        cx: &mut Context<'_, Peer>,
    ) {
        let Some(follower) = self.answering(from, reply.term, reply.round, cx) else {
            return;
        };
        if let State::Leader(leader) = &mut self.state {
            let progress = &mut leader.followers[follower].progress;
            progress.received(reply.last_index, reply.received);
        }
        self.went_on(from, cx);
    }
}
