//! A server: its state (the "State" box of Figure 2), and the way from an event to its handler.

use super::config::{Member, Settings};
use super::disk::Disk;
use super::log::{Entry, Index, Log, Term};
use super::message::{Message, Reply, Request};
use super::probes::PROBES;
use super::record::{HardState, Record, Recovered};
use super::replication::Leader;
use super::session::{Answer, Machine};
use super::{Peer, Timer};
use splitbrain_core::{Context, Journal, NodeId, SyncId, probe};
use std::collections::BTreeSet;
use std::fmt;

/// What a server is to the others (§5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It answers leaders and candidates.
    Follower,
    /// It asks for votes.
    Candidate,
    /// It alone creates entries, for one term.
    Leader,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Role::Follower => "follower",
            Role::Candidate => "candidate",
            Role::Leader => "leader",
        })
    }
}

/// The role with what only that role knows.
#[derive(Clone, Debug)]
pub(super) enum State {
    Follower,
    Candidate {
        /// Who has granted a vote in the current term: a set, as a reply may arrive twice.
        votes: BTreeSet<NodeId>,
    },
    Leader(Leader),
}

/// A Raft server.
#[derive(Clone, Debug)]
pub struct Server {
    pub(super) id: NodeId,
    /// All servers but this one.
    pub(super) peers: Vec<NodeId>,
    pub(super) settings: Settings,

    /// Persistent: written by [`persist`](Server::persist) before anything that depends on it leaves the server.
    pub(super) hard_state: HardState,
    /// Persistent likewise. Changed by [`write`](Server::write) only.
    pub(super) log: Log,
    pub(super) disk: Disk,

    pub(super) state: State,
    /// The leader of the current term, once it has been heard of.
    pub(super) leader: Option<NodeId>,
    /// The greatest index known to be committed. Never decreases while the server runs.
    pub(super) commit_index: Index,
    /// The greatest index given to the state machine: at most `commit_index`, and equal to it between events.
    pub(super) last_applied: Index,
    pub(super) machine: Machine,
}

/// What others may know: invariants, hosts, reports.
impl Server {
    /// What the server is to the others.
    pub fn role(&self) -> Role {
        match self.state {
            State::Follower => Role::Follower,
            State::Candidate { .. } => Role::Candidate,
            State::Leader(_) => Role::Leader,
        }
    }

    /// The latest term that it has seen (`currentTerm`).
    pub fn term(&self) -> Term {
        self.hard_state.term
    }

    /// The candidate that got its vote in the current term.
    pub fn voted_for(&self) -> Option<NodeId> {
        self.hard_state.voted_for
    }

    /// The leader of the current term, as far as it knows.
    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// Its log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The greatest index that it knows to be committed.
    pub fn commit_index(&self) -> Index {
        self.commit_index
    }

    /// The greatest index that its state machine has carried out.
    pub fn last_applied(&self) -> Index {
        self.last_applied
    }

    /// Its state machine.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }
}

/// Events.
impl Server {
    pub(super) fn start(
        member: &Member,
        journal: Journal<Record>,
        cx: &mut Context<'_, Peer>,
    ) -> Server {
        let id = cx.id();
        let recovered = Recovered::from(journal).unwrap_or_else(|lost| {
            // To vote or to acknowledge without knowing what was promised before could break any promise.
            cx.halt(lost.to_string());
            Recovered::nothing()
        });
        if recovered.log.last_index() > Index::ZERO {
            probe!(cx, "a server restarted with entries in its log");
        }
        if let Some(records) = recovered.compacted() {
            probe!(cx, "a server compacted its journal");
            cx.compact(records);
            cx.sync();
        }
        let peers = member.servers.iter().copied().filter(|&peer| peer != id);
        let server = Server {
            id,
            peers: peers.collect(),
            settings: member.settings,
            hard_state: recovered.hard_state,
            disk: Disk::new(recovered.hard_state, &recovered.log),
            log: recovered.log,
            state: State::Follower,
            leader: None,
            // What was committed is learned again from a leader; the state machine is computed again from the log.
            commit_index: Index::ZERO,
            last_applied: Index::ZERO,
            machine: Machine::default(),
        };
        server.wait_for_leader(cx);
        server
    }

    pub(super) fn on_message(
        &mut self,
        from: NodeId,
        message: Message,
        cx: &mut Context<'_, Peer>,
    ) {
        match message {
            Message::RequestVote(request) => self.on_request_vote(from, request, cx),
            Message::RequestVoteReply(reply) => self.on_request_vote_reply(from, reply, cx),
            Message::AppendEntries(request) => self.on_append_entries(from, request, cx),
            Message::AppendEntriesReply(reply) => self.on_append_entries_reply(from, reply, cx),
            Message::Request(request) => self.on_request(from, request, cx),
            Message::Reply(_) => debug_assert!(false, "replies are for clients"),
        }
    }

    pub(super) fn on_timer(&mut self, timer: Timer, cx: &mut Context<'_, Peer>) {
        match timer {
            Timer::Election => self.start_election(cx),
            Timer::Heartbeat => self.on_heartbeat(cx),
            Timer::Try | Timer::Deadline => debug_assert!(false, "timers of clients"),
        }
    }

    /// A server counts itself, as a voter (§5.2) and as a holder of entries (§5.3), only for what is durable: no other
    /// server is counted for less.
    pub(super) fn on_synced(&mut self, sync: SyncId, cx: &mut Context<'_, Peer>) {
        self.disk.synced(sync);
        match self.state {
            State::Follower => {}
            State::Candidate { .. } => {
                if self.disk.durable_hard_state() == self.hard_state {
                    self.count_vote(self.id, cx);
                }
            }
            State::Leader(_) => self.advance_commit_index(cx),
        }
    }

    fn on_request(&mut self, client: NodeId, request: Request, cx: &mut Context<'_, Peer>) {
        let State::Leader(leader) = &mut self.state else {
            let reply = Reply {
                request: request.id(),
                answer: Answer::NotLeader(self.leader),
            };
            cx.send(client, Message::Reply(reply));
            return;
        };
        let index = self.log.last_index().next();
        leader.await_commit(index, client);
        let entry = Entry {
            term: self.term(),
            command: request.into(),
        };
        self.write(index, [entry]);
        self.persist(cx);
        self.replicate(cx);
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
            State::Follower => {}
            State::Candidate { .. } => {
                cx.note(format_args!("gives up its candidacy"));
                probe!(cx, "a candidate gave way");
            }
            State::Leader(leader) => {
                cx.note(format_args!("steps down: it has seen term {term}"));
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
    pub(super) fn write(&mut self, first: Index, entries: impl IntoIterator<Item = Entry>) {
        self.log.splice(first, entries);
        self.disk.log_changed(first);
    }

    /// Makes the persistent state durable before anything leaves the server that is sent after this (Figure 2:
    /// "updated on stable storage before responding to RPCs"). Costs nothing if nothing has changed.
    pub(super) fn persist(&mut self, cx: &mut Context<'_, Peer>) {
        self.disk.persist(self.hard_state, &self.log, cx);
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
            let is_old = self.machine.is_old(&entry.command);
            let answer = self.machine.apply(index, &entry.command);
            match &answer {
                Some(_) if is_old => {
                    probe!(cx, "a retry was committed, and performed no second time");
                }
                None if is_old => probe!(cx, "an operation was committed after its client went on"),
                _ => {}
            }
            if let State::Leader(leader) = &mut self.state {
                leader.answer_client(index, &entry.command, answer, cx);
            }
        }
    }
}
