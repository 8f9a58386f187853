//! Made-up states, good and bad, for the tests of the invariants.

use crate::kv;
use crate::raft::disk::Disk;
use crate::raft::leader::Leader;
use crate::raft::membership::{Membership, Memberships};
use crate::raft::record::HardState;
use crate::raft::server;
use crate::raft::{
    Command, Entry, Index, Log, Machine, Peer, Server, SessionId, Settings, Snapshot, Term,
};
use splitbrain_core::{Cluster, Invariant, Links, NodeId, Status, Time, Violation};
use std::sync::Arc;

/// The state of one node.
#[derive(Clone)]
pub(super) struct State(Option<Peer>);

impl State {
    pub(super) fn down() -> State {
        State(None)
    }

    pub(super) fn follower(term: u64) -> State {
        let hard_state = HardState {
            term: Term(term),
            voted_for: None,
        };
        State(Some(Peer::Server(Server {
            id: NodeId::from_index(0),
            settings: Settings::default(),
            hard_state,
            log: Log::default(),
            snapshot: Arc::new(Snapshot::default()),
            recovering: None,
            memberships: Memberships::new(Arc::default(), Index::ZERO, &[]),
            disk: Disk::new(hard_state, &Log::default()),
            state: server::State::Follower,
            leader: None,
            heard_at: Time::ZERO,
            commit_index: Index::ZERO,
            last_applied: Index::ZERO,
            machine: Machine::default(),
            incoming: None,
            asking: Vec::new(),
            lease_reads: 0,
            is_current: false,
            confirmed: Vec::new(),
        })))
    }

    pub(super) fn leader(term: u64) -> State {
        let mut state = State::follower(term);
        state.server().state = server::State::Leader(Box::new(Leader::new(
            NodeId::from_index(0),
            &Membership::default(),
            Index::ZERO,
            Time::ZERO,
        )));
        state
    }

    pub(super) fn becomes_follower(mut self) -> State {
        self.server().state = server::State::Follower;
        self
    }

    /// With no-ops of these terms in its log.
    pub(super) fn log(mut self, terms: &[u64]) -> State {
        let entries = terms.iter().map(|&term| entry(term));
        self.server().log.splice(Index::FIRST, entries);
        self
    }

    /// With everything up to this index committed and applied.
    pub(super) fn committed(mut self, index: u64) -> State {
        self.server().commit_index = Index(index);
        self.server().last_applied = Index(index);
        self
    }

    /// A leader that has started so many rounds, which nobody has answered.
    pub(super) fn rounds(mut self, count: u64) -> State {
        if let server::State::Leader(leader) = &mut self.server().state {
            for _ in 0..count {
                leader.rounds.start(Time::ZERO);
            }
        }
        self
    }

    /// A candidate with these votes.
    pub(super) fn candidate(term: u64, votes: &[usize]) -> State {
        let mut state = State::follower(term);
        let votes = votes.iter().map(|&id| (NodeId::from_index(id), true));
        state.server().state = server::State::Candidate {
            votes: votes.collect(),
        };
        state
    }

    /// Having voted for that one, durably.
    pub(super) fn voted(mut self, candidate: usize) -> State {
        let server = self.server();
        server.hard_state.voted_for = Some(NodeId::from_index(candidate));
        server.disk = Disk::new(server.hard_state, &server.log);
        self
    }

    /// With this term and vote on its disk, whatever it holds in memory.
    pub(super) fn durably(mut self, term: u64, voted_for: Option<usize>) -> State {
        let server = self.server();
        let hard_state = HardState {
            term: Term(term),
            voted_for: voted_for.map(NodeId::from_index),
        };
        server.disk = Disk::new(hard_state, &server.log);
        self
    }

    /// With the log on its disk up to here.
    pub(super) fn durable(mut self, last_index: u64) -> State {
        let server = self.server();
        server.disk = Disk::new(server.hard_state, &server.log);
        server.disk.log_changed(Index(last_index + 1));
        self
    }

    /// That goes by so many voters; the followers of a leader are the others.
    pub(super) fn voters(mut self, count: usize) -> State {
        let server = self.server();
        let voters = Membership::new((0..count).map(NodeId::from_index), []);
        if let server::State::Leader(leader) = &mut server.state {
            leader.follow(server.id, &voters, Index::ZERO);
        }
        server.memberships = Memberships::new(Arc::new(voters), Index::ZERO, &[]);
        self
    }

    /// A leader that believes a follower to hold its log up to here.
    pub(super) fn matched(mut self, follower: usize, index: u64) -> State {
        if let server::State::Leader(leader) = &mut self.server().state {
            let id = NodeId::from_index(follower);
            let mut followers = leader.followers.iter_mut();
            let follower = followers.find(|follower| follower.id == id).unwrap();
            follower.progress.matched(Index(index));
        }
        self
    }

    /// With its log carried out up to here.
    pub(super) fn applied(mut self, index: u64) -> State {
        let server = self.server();
        for index in (server.last_applied.0 + 1)..=index {
            let entry = server.log.entry(Index(index)).unwrap();
            server.machine.apply(Index(index), &entry.command);
        }
        self.committed(index)
    }

    /// With more no-ops of these terms at the end of its log.
    pub(super) fn appended(mut self, terms: &[u64]) -> State {
        let log = &mut self.server().log;
        let entries = terms.iter().map(|&term| entry(term));
        log.splice(log.last_index().next(), entries);
        self
    }

    /// With a snapshot of all that is applied, and without the entries up to `base`, which were.
    pub(super) fn compacted(mut self, base: u64) -> State {
        let server = self.server();
        server.last_applied = server.last_applied.max(Index(base));
        server.commit_index = server.last_applied;
        server.snapshot = Arc::new(Snapshot {
            last_index: server.last_applied,
            last_term: server.log.term_at(server.last_applied).unwrap(),
            membership: server.memberships.latest().clone(),
            machine: server.machine.clone(),
        });
        server.log.compact(Index(base));
        self
    }

    /// With a snapshot up to there in place of its log.
    pub(super) fn installed(mut self, last_index: u64, last_term: u64) -> State {
        let server = self.server();
        let (last_index, last_term) = (Index(last_index), Term(last_term));
        server.log.restart_at(last_index, last_term);
        (server.commit_index, server.last_applied) = (last_index, last_index);
        server.snapshot = Arc::new(Snapshot {
            last_index,
            last_term,
            ..Snapshot::default()
        });
        self
    }

    pub(super) fn server(&mut self) -> &mut Server {
        match &mut self.0 {
            Some(Peer::Server(server)) => server,
            _ => panic!("the node is down"),
        }
    }
}

pub(super) fn entry(term: u64) -> Entry {
    Entry::new(Term(term), Command::Noop)
}

pub(super) fn put(term: u64, value: &str) -> Entry {
    let command = Command::Apply {
        session: SessionId(Index(1)),
        sequence: 1,
        op: kv::Op::put("x", value),
    };
    Entry::new(Term(term), command)
}

/// Opens the session that `put` names, if it is the first entry.
pub(super) fn register(term: u64) -> Entry {
    let command = Command::Register {
        nonce: 1,
        sessions_max: 9,
    };
    Entry::new(Term(term), command)
}

/// So many voters.
pub(super) fn members(term: u64, voters: usize) -> Entry {
    let membership = Membership::new((0..voters).map(NodeId::from_index), []);
    Entry::new(Term(term), Command::Members(Arc::new(membership)))
}

/// Shows the invariant a cluster of one.
pub(super) fn observe(invariant: &mut dyn Invariant<Peer>, state: &State) -> Result<(), Violation> {
    observe_all(invariant, std::slice::from_ref(state))
}

/// Shows the invariant a cluster, as after an event at each of the nodes in turn.
pub(super) fn observe_all(
    invariant: &mut dyn Invariant<Peer>,
    states: &[State],
) -> Result<(), Violation> {
    let nodes: Vec<Option<Peer>> = states.iter().map(|state| state.0.clone()).collect();
    let up = |node: &Option<Peer>| {
        if node.is_some() {
            Status::Up
        } else {
            Status::Down
        }
    };
    let status: Vec<Status> = nodes.iter().map(up).collect();
    let links = Links::whole(nodes.len());
    let cluster = Cluster::new(Time::ZERO, &nodes, &status, &links);
    (0..nodes.len()).try_for_each(|index| invariant.observe(cluster, NodeId::from_index(index)))
}
