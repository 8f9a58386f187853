//! A server: its state (the "State" box of Figure 2), and the way from an event to its handler.

use super::config::{Member, Settings};
use super::disk::Disk;
use super::leader::{AskedBy, Leader};
use super::log::{Command, Entry, Index, Log, Term};
use super::membership::{Membership, Memberships};
use super::message::{Message, Request};
use super::probes::PROBES;
use super::reads::{Asked, Asking};
use super::record::{HardState, Record, Recovered};
use super::session::{Answer, Machine};
use super::snapshot::{Incoming, Snapshot};
use super::{Peer, Timer};
use crate::kv;
use splitbrain_core::{Context, Journal, NodeId, SyncId, Time, probe};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What a server is to the others (§5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It answers leaders and candidates.
    Follower,
    /// It asks whether it would be elected (dissertation §9.6).
    PreCandidate,
    /// It asks for votes.
    Candidate,
    /// It alone creates entries, for one term.
    Leader,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Role::Follower => "follower",
            Role::PreCandidate => "pre-candidate",
            Role::Candidate => "candidate",
            Role::Leader => "leader",
        })
    }
}

/// What the others have said: a map, as a reply may arrive twice.
pub(super) type Votes = BTreeMap<NodeId, bool>;

/// The role with what only that role knows.
#[derive(Clone, Debug)]
pub(super) enum State {
    Follower,
    PreCandidate {
        /// Who would vote for this server in the next term, and who would not.
        votes: Votes,
    },
    Candidate {
        /// Who has voted for this server in the current term, and who has refused.
        votes: Votes,
    },
    Leader(Box<Leader>),
}

/// A Raft server.
#[derive(Clone, Debug)]
pub struct Server {
    pub(super) id: NodeId,
    pub(super) settings: Settings,

    /// Persistent: written by [`persist`](Server::persist) before anything that depends on it leaves the server.
    pub(super) hard_state: HardState,
    /// Persistent likewise. Changed by [`write`](Server::write) and by snapshots only.
    pub(super) log: Log,
    /// Persistent: stands for the log up to its last index, which is at least the log's base and at most `last_applied`.
    pub(super) snapshot: Arc<Snapshot>,
    /// Persistent: if entries that the server had acknowledged were lost with its disk, the latest term in which it may
    /// have done that. See [`is_recovering`](Server::is_recovering).
    pub(super) recovering: Option<Term>,
    pub(super) disk: Disk,
    /// Who the members are, as the log and the snapshot say.
    pub(super) memberships: Memberships,

    pub(super) state: State,
    /// The leader of the current term, once it has been heard of.
    pub(super) leader: Option<NodeId>,
    /// When this server last heard from a leader of the term it was then in, or may have before it restarted: it is loyal
    /// for a while, and does not help others to an election (dissertation §4.2.3).
    pub(super) heard_at: Time,
    /// The greatest index known to be committed. Never decreases while the server runs.
    pub(super) commit_index: Index,
    /// The greatest index given to the state machine: at most `commit_index`, and equal to it between events.
    pub(super) last_applied: Index,
    /// Whether it has been as far as its leader at some time since it started. See [`is_current`](Server::is_current).
    pub(super) is_current: bool,
    pub(super) machine: Machine,
    /// What the node that the server is a part of has asked of its leadership, and the answers.
    pub(super) confirmed: Vec<(u64, bool)>,
    /// The snapshot that a leader is sending.
    pub(super) incoming: Option<Incoming>,
    /// Reads for which this server has asked the leader how far it must have applied the log.
    pub(super) asking: Vec<Asking>,
    /// How many reads it has answered on the strength of a lease.
    pub(super) lease_reads: u64,
}

/// What others may know: invariants, hosts, reports.
impl Server {
    /// What the server is to the others.
    pub fn role(&self) -> Role {
        match self.state {
            State::Follower => Role::Follower,
            State::PreCandidate { .. } => Role::PreCandidate,
            State::Candidate { .. } => Role::Candidate,
            State::Leader(_) => Role::Leader,
        }
    }

    /// This server.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The latest term that it has seen.
    pub fn term(&self) -> Term {
        self.hard_state.term
    }

    /// The candidate that got its vote in that term.
    pub fn voted_for(&self) -> Option<NodeId> {
        self.hard_state.voted_for
    }

    /// The term and vote that a restart would find for certain.
    pub fn durable_hard_state(&self) -> HardState {
        self.disk.durable_hard_state()
    }

    /// The index up to which a restart would for certain find the log as it is now.
    pub fn durable_index(&self) -> Index {
        self.disk.durable_index()
    }

    /// Who has voted for it in the current term, if it is a candidate; itself included, once its vote is durable.
    pub fn votes(&self) -> impl Iterator<Item = NodeId> + '_ {
        let votes = match &self.state {
            State::Candidate { votes } => Some(votes),
            _ => None,
        };
        let granted = votes.into_iter().flatten().filter(|(_, granted)| **granted);
        granted.map(|(id, _)| *id)
    }

    /// The leader of that term, if it has heard of it.
    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// Its log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Its latest snapshot.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The members, as far as it knows: by the latest entry in its log that says so, committed or not.
    pub fn membership(&self) -> &Arc<Membership> {
        self.memberships.latest()
    }

    /// The index of that entry; or, if only a snapshot speaks of it, that of the snapshot.
    pub fn membership_index(&self) -> Index {
        self.memberships.latest_index()
    }

    /// The greatest index that it knows to be committed.
    pub fn commit_index(&self) -> Index {
        self.commit_index
    }

    /// The greatest index that its state machine has carried out.
    pub fn last_applied(&self) -> Index {
        self.last_applied
    }

    /// Whether its state machine has been as far as the leader's at some time since it started. Before that it knows less than
    /// when it stopped: what was committed it learns again from a leader, and not from its journal.
    pub fn is_current(&self) -> bool {
        self.is_current
    }

    /// Its state machine.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// If it leads: up to where each other member's log is known to agree with its own.
    pub fn match_indexes(&self) -> impl Iterator<Item = (NodeId, Index)> + '_ {
        let followers = match &self.state {
            State::Leader(leader) => Some(&leader.followers),
            _ => None,
        };
        let followers = followers.into_iter().flatten();
        followers.map(|follower| (follower.id, follower.progress.match_index()))
    }

    /// Whether it is receiving a snapshot.
    pub fn is_installing(&self) -> bool {
        self.incoming.is_some()
    }

    /// Whether it has lost entries that it had acknowledged, because its disk could not be read.
    ///
    /// Until it has got an entry of a later term from a leader, it votes for nobody: a leader that was elected without its
    /// vote has every entry that it can have helped to commit, since a majority without it has elected that leader, and
    /// each majority that committed with it holds somebody else of those (Protocol-Aware Recovery: Alagappan et al.,
    /// FAST 2018, which recovers single entries; here the log from the first lost entry on comes from the leader).
    pub fn is_recovering(&self) -> bool {
        self.recovering.is_some()
    }

    /// If it leads: how many rounds it has started since the last one that a quorum has answered.
    pub fn unanswered_rounds(&self) -> u64 {
        match &self.state {
            State::Leader(leader) => leader.rounds.latest() - leader.rounds.confirmed(),
            _ => 0,
        }
    }

    /// What it was told when it was created.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How many reads it has answered on the strength of a lease, since it started.
    pub fn lease_reads(&self) -> u64 {
        self.lease_reads
    }
}

/// Events. A node that is more than a server hands on what it gets.
impl Server {
    /// Starts a server with what is on its disk.
    pub fn start(member: &Member, journal: Journal<Record>, cx: &mut Context<'_, Peer>) -> Server {
        let recovered = Recovered::from(journal).unwrap_or_else(|lost| {
            // To vote or to acknowledge without knowing what was promised before could break any promise.
            cx.halt(lost.to_string());
            Recovered::nothing()
        });
        let (mut snapshot, log) = (recovered.snapshot, recovered.log);
        if snapshot.last_index == Index::ZERO {
            // What the cluster was founded with is not lost with the record that says so.
            snapshot = Arc::new(member.founding_snapshot());
        }
        if log.last_index() > Index::ZERO {
            probe!(cx, "a server restarted with entries in its log");
        }
        if snapshot.last_index > Index::ZERO {
            probe!(cx, "a server restarted from a snapshot");
        }
        let first = log.base().next();
        let memberships = Memberships::new(
            snapshot.membership.clone(),
            log.base(),
            log.starting_at(first),
        );
        let mut server = Server {
            id: cx.id(),
            settings: member.settings,
            hard_state: recovered.hard_state,
            disk: Disk::new(recovered.hard_state, &log),
            recovering: recovered.recovering,
            memberships,
            state: State::Follower,
            leader: None,
            // It may have promised its loyalty just before it crashed.
            heard_at: cx.now(),
            // What else was committed is learned again from a leader, and computed again from the log.
            commit_index: snapshot.last_index,
            last_applied: snapshot.last_index,
            is_current: false,
            machine: snapshot.machine.clone(),
            snapshot,
            log,
            confirmed: Vec::new(),
            incoming: None,
            asking: Vec::new(),
            lease_reads: 0,
        };
        if server.is_recovering() {
            probe!(cx, "a server found that it had lost entries");
            cx.note(format_args!(
                "has lost entries, and votes for nobody until they are back"
            ));
        }
        if recovered.untidy {
            probe!(cx, "a server compacted its journal");
            server.rewrite_journal(cx);
        }
        server.wait_for_leader(cx);
        server
    }

    /// A message came: anything but a reply, which is for clients.
    pub fn on_message(&mut self, from: NodeId, message: Message, cx: &mut Context<'_, Peer>) {
        match message {
            Message::RequestPreVote(request) => self.on_request_pre_vote(from, request, cx),
            Message::RequestPreVoteReply(reply) => self.on_request_pre_vote_reply(from, reply, cx),
            Message::RequestVote(request) => self.on_request_vote(from, request, cx),
            Message::RequestVoteReply(reply) => self.on_request_vote_reply(from, reply, cx),
            Message::AppendEntries(request) => self.on_append_entries(from, request, cx),
            Message::AppendEntriesReply(reply) => self.on_append_entries_reply(from, reply, cx),
            Message::InstallSnapshot(request) => self.on_install_snapshot(from, request, cx),
            Message::InstallSnapshotReply(reply) => self.on_install_snapshot_reply(from, reply, cx),
            Message::TimeoutNow(request) => self.on_timeout_now(from, request, cx),
            Message::ReadIndex(request) => self.on_read_index(from, request, cx),
            Message::ReadIndexReply(reply) => self.on_read_index_reply(reply, cx),
            Message::Request(request) => self.on_request(from, request, cx),
            Message::Reply(_) => debug_assert!(false, "replies are for clients"),
        }
    }

    /// A timer ran out that the server has set.
    pub fn on_timer(&mut self, timer: Timer, cx: &mut Context<'_, Peer>) {
        match timer {
            Timer::Election => self.on_election_timeout(cx),
            Timer::Heartbeat => self.on_heartbeat(cx),
            Timer::Try | Timer::Deadline => debug_assert!(false, "timers of clients"),
        }
    }

    /// What was to be synced is durable.
    ///
    /// A server counts itself, as a voter (§5.2) and as a holder of entries (§5.3), only for what is durable: no other
    /// server is counted for less.
    pub fn on_synced(&mut self, sync: SyncId, cx: &mut Context<'_, Peer>) {
        self.disk.synced(sync);
        match self.state {
            State::Follower | State::PreCandidate { .. } => {}
            State::Candidate { .. } => {
                if self.disk.durable_hard_state() == self.hard_state {
                    self.count_vote(self.id, true, cx);
                }
            }
            State::Leader(_) => {
                // What came while the disk was busy.
                self.persist(cx);
                self.advance_commit_index(cx);
            }
        }
    }

    /// Puts an operation in the log that no client has asked for, if this server leads and is not about to give way; where it
    /// is in the log, if it did. That it is committed is not certain, and nobody is told: it shows in the state.
    pub fn propose_own(&mut self, op: kv::Op, cx: &mut Context<'_, Peer>) -> Option<Index> {
        let may = matches!(&self.state, State::Leader(leader) if leader.transfer.is_none());
        may.then(|| {
            let index = self.log.last_index().next();
            self.propose(Command::Own { op }, cx);
            index
        })
    }

    fn on_request(&mut self, client: NodeId, request: Request, cx: &mut Context<'_, Peer>) {
        if let Request::Read { nonce, op } = request {
            self.on_read(client, nonce, op, cx);
            return;
        }
        let asked_by = AskedBy::new(client, &request);
        let State::Leader(leader) = &mut self.state else {
            asked_by.answer(Answer::NotLeader(self.leader), cx);
            return;
        };
        // A leader that is about to give way creates no more entries, or the one to come would never be up to date
        // (dissertation §3.10).
        // Neither does one that has as many as it may that are not committed, those of earlier terms included.
        let uncommitted = self.log.last_index().since(self.commit_index);
        if leader.transfer.is_some() || uncommitted >= self.settings.waiting_max as usize {
            probe!(cx, "a leader had no time for a client");
            asked_by.answer(Answer::Busy, cx);
            return;
        }
        let command = match request {
            Request::Register { nonce } => Command::Register {
                nonce,
                sessions_max: self.settings.sessions_max as u32,
            },
            Request::Apply {
                session,
                sequence,
                op,
            } => Command::Apply {
                session,
                sequence,
                op,
            },
            Request::ChangeMembers { target, .. } => {
                self.on_change_members(asked_by, &target, cx);
                return;
            }
            Request::TransferLeadership { to, .. } => {
                self.on_transfer_leadership(asked_by, to, cx);
                return;
            }
            Request::Read { .. } => unreachable!("handled above"),
        };
        leader.await_commit(self.log.last_index().next(), client);
        self.propose(command, cx);
    }
}

/// What the handlers share.
impl Server {
    /// Adopts a later term, as whoever sees one must (§5.1), or gives way to the leader of the current one.
    pub(super) fn become_follower(&mut self, term: Term, cx: &mut Context<'_, Peer>) {
        if term > self.term() {
            self.hard_state = HardState {
                term,
                voted_for: None,
            };
            self.leader = None;
        }
        // Within a term the vote is kept, or a server could vote twice in it.
        match std::mem::replace(&mut self.state, State::Follower) {
            State::Follower | State::PreCandidate { .. } => {}
            State::Candidate { .. } => {
                cx.note(format_args!("gives up its candidacy"));
                probe!(cx, "a candidate gave way");
            }
            State::Leader(leader) => {
                let unconfirmed = leader.reads.iter().filter_map(Asked::token);
                self.confirmed
                    .extend(unconfirmed.map(|token| (token, false)));
                cx.note(format_args!("steps down in term {term}"));
                probe!(cx, "a leader was deposed");
                cx.cancel_timer(Timer::Heartbeat);
                self.wait_for_leader(cx);
                leader.turn_away_clients(&self.log, cx);
            }
        }
    }

    /// Arms the election timer anew.
    pub(super) fn wait_for_leader(&self, cx: &mut Context<'_, Peer>) {
        let timeout = self.settings.election_timeout(cx.rng());
        cx.set_timer(Timer::Election, timeout);
    }

    /// Puts entries in the log at `first` and after, in place of what was there.
    #[inline]
    pub(super) fn write(&mut self, first: Index, entries: impl IntoIterator<Item = Entry>) {
        self.log.splice(first, entries);
        self.memberships.spliced(first, self.log.starting_at(first));
        self.disk.log_changed(first);
    }

    /// Makes the persistent state durable before anything leaves the server that is sent after this (Figure 2:
    /// "updated on stable storage before responding to RPCs"). Costs nothing if nothing has changed.
    #[inline]
    pub(super) fn persist(&mut self, cx: &mut Context<'_, Peer>) {
        self.disk.persist(self.hard_state, &self.log, cx);
    }

    /// The same, with all that was written before replaced by a snapshot and what comes after it.
    pub(super) fn rewrite_journal(&mut self, cx: &mut Context<'_, Peer>) {
        let (hard_state, recovering) = (self.hard_state, self.recovering);
        self.disk
            .rewrite(hard_state, recovering, &self.snapshot, &self.log, cx);
    }

    /// Somebody who leads, maybe this server, has committed so much. If that is applied, and the latest of it is of the leader's own
    /// term, then so is everything that anybody had committed before (§8: a leader commits an entry of its own to find out).
    pub(super) fn compare_with_leader(&mut self, committed: Index) {
        let is_own_term = self.log.term_at(self.commit_index) == Some(self.term());
        self.is_current |= is_own_term && self.last_applied >= committed;
    }

    /// Carries out what is committed and not yet applied (Figure 2, all servers), and answers whoever waits for it.
    pub(super) fn apply_committed(&mut self, cx: &mut Context<'_, Peer>) {
        while self.last_applied < self.commit_index {
            let index = self.last_applied.next();
            let Some(entry) = self.log.entry(index) else {
                // A leader's commit index is within its log, and a follower never adopts a greater one than it stores.
                unreachable!("entry {index} is committed, but the log has no such entry");
            };
            self.last_applied = index;
            let applied = self.machine.apply(index, &entry.command);
            if applied.expired > 0 {
                probe!(cx, "a session expired");
            }
            match &applied.answer {
                Some(_) if applied.is_old => {
                    probe!(cx, "a retry was committed, and performed no second time");
                }
                None if applied.is_old => {
                    probe!(cx, "an operation was committed after its client went on");
                }
                Some(Answer::NoSuchSession) => {
                    probe!(cx, "an operation of a session that had expired was refused");
                }
                _ => {}
            }
            if let State::Leader(leader) = &mut self.state {
                leader.answer_client(index, &entry.command, applied.answer, cx);
            }
        }
        if let State::Leader(_) = self.state {
            self.compare_with_leader(self.commit_index);
        }
        // Another leader may have had the entries themselves.
        self.incoming
            .take_if(|incoming| incoming.is_behind(self.commit_index));
        self.answer_reads(cx);
        self.take_snapshot(cx);
    }
}
