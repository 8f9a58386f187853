//! Servers of the crate `raft` (tikv/raft-rs), driven as its manual says: what came in is stepped, then what is ready is
//! written down, sent and applied.
//!
//! It is given what it is best at. A server takes all messages that wait for it before it looks at what is ready, and so
//! writes them down and applies them together. Logging is compiled out. Stores hold slices of the log's bytes.

use super::{Cluster, Counts, last_key, puts};
use bytes::{BufMut, Bytes, BytesMut};
use raft::eraftpb::{ConfState, Entry, EntryType, Message, MessageType};
use raft::storage::MemStorage;
use raft::{Config, NO_LIMIT, RawNode, StateRole};
use splitbrain_protocols::kv::Op;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::marker::PhantomData;

/// How the leader sends entries.
pub trait Sending: fmt::Debug {
    /// What to call it in a table.
    const NAME: &'static str;
    /// Whether entries are added to a message that has not left yet.
    const BATCH_APPEND: bool;
}

/// Every request is a message to each follower: the default.
#[derive(Debug)]
pub struct Every;

impl Sending for Every {
    const NAME: &'static str = "raft-rs";
    const BATCH_APPEND: bool = false;
}

/// Requests that come together leave in one message: `batch_append`.
#[derive(Debug)]
pub struct Merged;

impl Sending for Merged {
    const NAME: &'static str = "raft-rs, batch_append";
    const BATCH_APPEND: bool = true;
}

/// A cluster of them.
#[derive(Debug)]
pub struct RaftRs<S> {
    hosts: Vec<Host>,
    leader: usize,
    sequence: u64,
    requests: VecDeque<Bytes>,
    /// What the step under way sends. Used again for every step.
    outbox: Vec<Message>,
    cut_off: Option<u64>,
    metered: bool,
    counts: Counts,
    sending: PhantomData<S>,
}

/// A server and what belongs to it.
struct Host {
    node: RawNode<MemStorage>,
    inbox: VecDeque<Message>,
    machine: Machine,
    last_applied: u64,
    /// The client that waits for each of these entries to be applied; only at the leader.
    waiting: VecDeque<(u64, u64)>,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

/// The store behind the sessions, as [`splitbrain_protocols::raft::Machine`].
#[derive(Debug, Default)]
struct Machine {
    store: BTreeMap<Bytes, Bytes>,
    sessions: BTreeMap<u64, Session>,
}

#[derive(Debug, Default)]
struct Session {
    last_sequence: u64,
    last_answer: Option<Written>,
}

/// The answer to a put.
#[derive(Clone, Copy, Debug)]
struct Written;

/// An answer on its way to a client.
#[derive(Debug)]
struct Reply {
    _client: u64,
    _session: u64,
    _sequence: u64,
    _answer: Option<Written>,
}

/// The session of the only client.
const SESSION: u64 = 1;
/// Where the sequence number and the key begin.
const SEQUENCE_AT: usize = 8;
const KEY_AT: usize = 20;
/// Requests that do not fill it are sent in one message: 64 of ours.
const BYTES_PER_APPEND: u64 = 64 * 80;
const HEADER_BYTES: usize = 32;

impl<S: Sending> Cluster for RaftRs<S> {
    const NAME: &'static str = S::NAME;

    fn elected(servers: usize) -> RaftRs<S> {
        let ids = 1..=servers as u64;
        let mut cluster = RaftRs {
            hosts: ids
                .clone()
                .map(|id| Host::new::<S>(id, ids.clone()))
                .collect(),
            leader: 0,
            sequence: 0,
            requests: VecDeque::new(),
            outbox: Vec::new(),
            cut_off: None,
            metered: false,
            counts: Counts::default(),
            sending: PhantomData,
        };
        cluster.counts.steps += 1;
        done(cluster.hosts[0].node.campaign());
        cluster.see_to(0);
        cluster.deliver_all();
        assert_eq!(cluster.hosts[0].node.raft.state, StateRole::Leader);
        cluster.prepare(1);
        cluster.commit(1);
        cluster
    }

    fn prepare(&mut self, requests: usize) {
        for op in puts().iter().cycle().take(requests) {
            self.sequence += 1;
            self.requests.push_back(encode(self.sequence, op));
        }
    }

    fn commit(&mut self, requests: usize) {
        for _ in 0..requests {
            let Some(request) = self.requests.pop_front() else {
                panic!("too few requests are prepared");
            };
            self.counts.steps += 1;
            self.hosts[self.leader].propose(request);
        }
        self.see_to(self.leader);
        self.deliver_all();
        self.settle();
    }

    fn heartbeat(&mut self) {
        self.counts.steps += 1;
        self.hosts[self.leader].node.ping();
        self.see_to(self.leader);
        self.deliver_all();
    }

    fn cut_off(&mut self) {
        self.cut_off = Some(self.hosts.len() as u64);
    }

    fn catch_up(&mut self) {
        self.cut_off = None;
        self.settle();
    }

    fn meter(&mut self) {
        self.metered = true;
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn applied(&self) -> Vec<(u64, Option<String>)> {
        let applied = |host: &Host| {
            let value = host.machine.store.get(last_key().as_bytes());
            let text = value.map(|value| String::from_utf8_lossy(value).into_owned());
            (host.last_applied, text)
        };
        self.hosts.iter().map(applied).collect()
    }
}

impl<S: Sending> RaftRs<S> {
    /// Everybody who can be reached has applied what the leader has committed.
    fn settle(&mut self) {
        for _ in 0..100 {
            let goal = self.hosts[self.leader].node.raft.raft_log.last_index();
            let reached =
                |host: &Host| self.cut_off == Some(host.node.raft.id) || host.last_applied == goal;
            if self.hosts.iter().all(reached) {
                return;
            }
            self.heartbeat();
        }
        panic!("the servers do not get on");
    }

    fn deliver_all(&mut self) {
        let mut quiet = false;
        while !quiet {
            quiet = true;
            for index in 0..self.hosts.len() {
                let host = &mut self.hosts[index];
                if host.inbox.is_empty() {
                    continue;
                }
                quiet = false;
                while let Some(message) = host.inbox.pop_front() {
                    self.counts.steps += 1;
                    done(host.node.step(message));
                }
                self.see_to(index);
            }
        }
    }

    fn see_to(&mut self, index: usize) {
        self.hosts[index].see_to(&mut self.outbox);
        for message in self.outbox.drain(..) {
            if self
                .cut_off
                .is_some_and(|id| id == message.to || id == message.from)
            {
                continue;
            }
            self.counts.messages += 1;
            if self.metered {
                self.counts.bytes += size_bytes(&message) as u64;
            }
            self.hosts[message.to as usize - 1].inbox.push_back(message);
        }
    }
}

impl Host {
    fn new<S: Sending>(id: u64, voters: impl Iterator<Item = u64>) -> Host {
        let config = Config {
            id,
            max_size_per_msg: BYTES_PER_APPEND,
            max_committed_size_per_ready: NO_LIMIT,
            batch_append: S::BATCH_APPEND,
            ..Config::default()
        };
        let mut voters_only = ConfState::default();
        voters_only.set_voters(voters.collect());
        let storage = MemStorage::new_with_conf_state(voters_only);
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let mut machine = Machine::default();
        machine.sessions.insert(SESSION, Session::default());
        Host {
            node: done(RawNode::new(&config, storage, &logger)),
            inbox: VecDeque::new(),
            machine,
            last_applied: 0,
            waiting: VecDeque::new(),
        }
    }

    /// As `RawNode::propose` does it, but for bytes that are shared.
    fn propose(&mut self, request: Bytes) {
        let raft = &mut self.node.raft;
        self.waiting.push_back((raft.raft_log.last_index() + 1, 0));
        let entry = Entry {
            data: request,
            ..Entry::default()
        };
        let mut message = Message {
            from: raft.id,
            ..Message::default()
        };
        message.set_msg_type(MessageType::MsgPropose);
        message.set_entries(vec![entry].into());
        done(raft.step(message));
    }

    /// Writes down, sends and applies what is ready.
    fn see_to(&mut self, outbox: &mut Vec<Message>) {
        while self.node.has_ready() {
            let mut ready = self.node.ready();
            outbox.append(&mut ready.take_messages());
            assert!(ready.snapshot().is_empty());
            self.apply(&ready.take_committed_entries());
            {
                let mut disk = self.node.raft.raft_log.store.wl();
                if !ready.entries().is_empty() {
                    done(disk.append(ready.entries()));
                }
                if let Some(hard_state) = ready.hs() {
                    disk.set_hardstate(hard_state.clone());
                }
            }
            outbox.append(&mut ready.take_persisted_messages());
            let mut light = self.node.advance(ready);
            if let Some(commit) = light.commit_index() {
                self.node.raft.raft_log.store.wl().mut_hard_state().commit = commit;
            }
            outbox.append(&mut light.take_messages());
            self.apply(&light.take_committed_entries());
            self.node.advance_apply();
        }
    }

    fn apply(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.last_applied = entry.index;
            assert_eq!(entry.get_entry_type(), EntryType::EntryNormal);
            if entry.data.is_empty() {
                continue;
            }
            let (session, sequence, answer) = self.machine.apply(&entry.data);
            if let Some((_, client)) = self
                .waiting
                .pop_front_if(|(index, _)| *index == entry.index)
            {
                std::hint::black_box(Reply {
                    _client: client,
                    _session: session,
                    _sequence: sequence,
                    _answer: answer,
                });
            }
        }
    }
}

impl Machine {
    fn apply(&mut self, data: &Bytes) -> (u64, u64, Option<Written>) {
        let number = |at: usize| {
            data[at..at + 8]
                .iter()
                .fold(0, |sum, &byte| sum << 8 | u64::from(byte))
        };
        let (id, sequence) = (number(0), number(SEQUENCE_AT));
        let Some(session) = self.sessions.get_mut(&id) else {
            return (id, sequence, None);
        };
        if sequence > session.last_sequence {
            let value_at = KEY_AT
                + data[SEQUENCE_AT + 8..KEY_AT]
                    .iter()
                    .fold(0, |sum, &byte| sum << 8 | usize::from(byte));
            self.store
                .insert(data.slice(KEY_AT..value_at), data.slice(value_at..));
            session.last_answer = Some(Written);
            session.last_sequence = sequence;
        }
        (id, sequence, session.last_answer)
    }
}

/// Session, sequence number, length of the key, key, value.
fn encode(sequence: u64, op: &Op) -> Bytes {
    let Op::Put { key, value, .. } = op else {
        panic!("only puts are encoded");
    };
    let mut bytes = BytesMut::new();
    bytes.put_u64(SESSION);
    bytes.put_u64(sequence);
    bytes.put_u32(key.len() as u32);
    bytes.put_slice(key.as_bytes());
    bytes.put_slice(value.as_bytes());
    bytes.freeze()
}

/// As [`splitbrain_protocols::raft::Message::size_bytes`] counts.
fn size_bytes(message: &Message) -> usize {
    let payload = |entry: &Entry| entry.data.len().saturating_sub(KEY_AT);
    let entries = message.get_entries().iter();
    HEADER_BYTES
        + entries
            .map(|entry| HEADER_BYTES + payload(entry))
            .sum::<usize>()
}

fn done<T>(result: raft::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}
