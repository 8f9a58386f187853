//! Raft in scripts: `cluster servers=3 clients=1`, with any setting (`entries-per-append=64`, `reads=lease`); the operations
//! of the KV store (`put x 1`, `get x`, `delete x`, `cas x 1 2`, where `nothing` stands for a key that does not exist);
//! `members n1 n2 n3 + n4`, with the learners after the plus sign; and `transfer n2`.
//!
//! An entry is written `index:term`, and a log as in the paper's figures: the terms of its entries, by index.

use super::driver::{Arguments, Protocol, Setup};
use splitbrain::{Node, NodeId};
use splitbrain_protocols::kv;
use splitbrain_protocols::raft::{
    self, Answer, Appended, Command, Entry, Index, InstallSnapshot, Message, Op, Part, Peer,
    Record, Request, RequestId, Ret, Server, Settings, Snapshot, Term,
};

/// The adapter.
pub(crate) struct Raft;

impl Protocol for Raft {
    type Node = Peer;

    fn cluster(arguments: &mut Arguments) -> Result<Setup<Peer>, String> {
        let servers = arguments.take("servers")?.unwrap_or(3);
        let clients = arguments.take("clients")?.unwrap_or(0);
        let settings = settings(arguments)?;
        settings
            .validate(servers)
            .map_err(|error| error.to_string())?;
        Ok(Setup {
            configs: raft::cluster(servers, clients, settings),
            invariants: raft::invariants::all(),
        })
    }

    fn op(words: &[&str]) -> Result<Op, String> {
        let key = |key: &str| kv::Key::from(key);
        let op = match *words {
            ["get", k] => Ok(kv::Op::Get { key: key(k) }),
            ["put", k, value] => Ok(kv::Op::put(k, value)),
            ["delete", k] => Ok(kv::Op::Delete { key: key(k) }),
            ["cas", k, expected, value] => Ok(kv::Op::CompareAndSet {
                key: key(k),
                expected: (expected != "nothing").then(|| expected.into()),
                value: value.into(),
            }),
            ["members", ref ids @ ..] => {
                let mut halves = ids.split(|id| *id == "+");
                let mut half = || halves.next().unwrap_or_default().iter().map(|id| node(id));
                return Ok(Op::ChangeMembers {
                    voters: half().collect::<Result<_, _>>()?,
                    learners: half().collect::<Result<_, _>>()?,
                });
            }
            ["transfer", to] => return Ok(Op::TransferLeadership { to: node(to)? }),
            _ => Err("the operations are get, put, delete, cas, members and transfer".to_owned()),
        };
        op.map(Op::Kv)
    }

    fn message(message: &Message) -> String {
        match message {
            Message::RequestPreVote(m) => {
                let last = position(m.last_index, m.last_term);
                format!("RequestPreVote term={} last={last}", m.term)
            }
            Message::RequestPreVoteReply(m) => {
                let granted = if m.granted { "granted" } else { "refused" };
                format!(
                    "RequestPreVoteReply term={} asked={} {granted}",
                    m.term, m.asked_term
                )
            }
            Message::InstallSnapshot(m) => chunk(m),
            Message::InstallSnapshotReply(m) => format!(
                "InstallSnapshotReply term={} of={} received={}",
                m.term, m.last_index, m.received
            ),
            Message::TimeoutNow(m) => format!("TimeoutNow term={}", m.term),
            Message::ReadIndex(_) => "ReadIndex".into(),
            Message::ReadIndexReply(m) => format!("ReadIndexReply index={}", m.index),
            Message::RequestVote(m) => {
                let last = position(m.last_index, m.last_term);
                let transfer = if m.transfer {
                    " at the leader's wish"
                } else {
                    ""
                };
                format!("RequestVote term={} last={last}{transfer}", m.term)
            }
            Message::RequestVoteReply(m) => {
                let granted = if m.granted { "granted" } else { "refused" };
                format!("RequestVoteReply term={} {granted}", m.term)
            }
            Message::AppendEntries(m) => {
                let after = position(m.previous_index, m.previous_term);
                let mut text = format!(
                    "AppendEntries term={} after={after} commit={}",
                    m.term, m.commit_index
                );
                let mut index = m.previous_index;
                for entry in &m.entries {
                    index = index.next();
                    text.push_str(", ");
                    text.push_str(&position(index, entry.term));
                    text.push(' ');
                    text.push_str(&words(entry));
                }
                text
            }
            Message::AppendEntriesReply(m) => {
                format!(
                    "AppendEntriesReply term={} {}",
                    m.term,
                    appended(m.appended)
                )
            }
            Message::Request(request) => format!("Request {}", request_words(request)),
            Message::Reply(reply) => {
                format!("Reply {}: {}", id(reply.request), answer(&reply.answer))
            }
        }
    }

    fn record(record: &Record) -> String {
        match record {
            Record::HardState(state) => {
                let voted = state.voted_for.map_or("nobody".into(), |id| id.to_string());
                format!("term={} voted-for={voted}", state.term)
            }
            Record::Truncate { from } => format!("truncate from {from}"),
            Record::Append(entry) => format!("entry of term {}: {}", entry.term, words(entry)),
            Record::Snapshot(snapshot) => snapshot_words(snapshot),
            Record::Recovering { since } => format!("entries lost, of term {since} or before"),
            Record::Recovered => "recovered".into(),
        }
    }

    fn ret(ret: &Ret) -> String {
        ret.to_string()
    }

    fn state(peer: &Peer) -> String {
        match peer {
            Peer::Server(server) => state(peer.role(), server),
            Peer::Client(client) => match client.session() {
                Some(session) => format!("client, session {session}"),
                None => "client, no session yet".into(),
            },
        }
    }
}

/// The arguments that are settings, by their names there.
fn settings(arguments: &mut Arguments) -> Result<Settings, String> {
    let mut json = serde_json::to_value(Settings::default()).map_err(|error| error.to_string())?;
    let names: Vec<String> = json
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.clone())
        .collect();
    for name in names.iter().map(String::as_str).chain(["voters"]) {
        if let Some(text) = arguments.take::<String>(&name.replace('_', "-"))? {
            json[name] = serde_json::from_str(&text).unwrap_or_else(|_| text.into());
        }
    }
    serde_json::from_value(json).map_err(|error| error.to_string())
}

fn node(name: &str) -> Result<NodeId, String> {
    name.parse().map_err(|_| format!("`{name}` is no node"))
}

fn chunk(m: &InstallSnapshot) -> String {
    let mut text = format!(
        "InstallSnapshot term={} last={} members={} from part {}",
        m.term,
        position(m.last_index, m.last_term),
        m.membership,
        m.offset
    );
    for part in &m.parts {
        text.push_str(", ");
        match part {
            Part::Store(piece) => text.push_str(&piece.to_string()),
            Part::Session(session, _) => text.extend(["session ", &session.to_string()]),
        }
    }
    text.push_str(if m.done { ", done" } else { ", more to come" });
    text
}

fn snapshot_words(snapshot: &Snapshot) -> String {
    let store = snapshot.machine.store().iter();
    let values: Vec<String> = store.map(|(key, value)| format!("{key}={value}")).collect();
    let mut text = format!(
        "snapshot up to {}, members {}, store={{{}}}",
        position(snapshot.last_index, snapshot.last_term),
        snapshot.membership,
        values.join(" ")
    );
    for (place, session) in snapshot.machine.sessions().keys().enumerate() {
        text.push_str(if place == 0 { ", sessions " } else { " " });
        text.push_str(&session.to_string());
    }
    text
}

/// The members are named once an entry of the log has brought them, and while they change.
fn state(role: &str, server: &Server) -> String {
    let name = |id: Option<NodeId>| id.map_or("nobody".into(), |id| id.to_string());
    let base = server.log().base();
    let log = server.log().starting_at(Index::FIRST).iter();
    let mut terms: Vec<String> = log.map(|entry| entry.term.to_string()).collect();
    if base > Index::ZERO {
        terms.insert(0, format!("..{base}"));
    }
    let store = server.machine().store().iter();
    let values: Vec<String> = store.map(|(key, value)| format!("{key}={value}")).collect();
    let mut text = format!(
        "{role:<9} term={} voted-for={} log=[{}] commit={} store={{{}}}",
        server.term(),
        name(server.voted_for()),
        terms.join(" "),
        server.commit_index(),
        values.join(" ")
    );
    let members = server.membership();
    if server.membership_index() > server.snapshot().last_index || members.is_joint() {
        text.extend([" members=", &server.membership().to_string()]);
    }
    if server.is_recovering() {
        text.push_str(" recovering");
    }
    text
}

fn position(index: Index, term: Term) -> String {
    format!("{index}:{term}")
}

fn words(entry: &Entry) -> String {
    match &*entry.command {
        // The nonce is random, and as good as any other.
        Command::Register { .. } => "register".into(),
        command => command.to_string(),
    }
}

fn request_words(request: &Request) -> String {
    match request {
        Request::Register { .. } => "register".into(),
        Request::Apply {
            session,
            sequence,
            op,
        } => format!("{session}#{sequence} {op}"),
        Request::Read {
            op: kv::Op::Get { key },
            ..
        } => format!("read {key}"),
        Request::Read { op, .. } => format!("read: {op}"),
        Request::ChangeMembers { target, .. } => format!("change members to {target}"),
        Request::TransferLeadership { to, .. } => format!("transfer leadership to {to}"),
    }
}

fn id(request: RequestId) -> String {
    match request {
        RequestId::Register { .. } => "register".into(),
        RequestId::Apply { session, sequence } => format!("{session}#{sequence}"),
        RequestId::Other { .. } => "that".into(),
    }
}

fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Registered(session) => format!("session {session}"),
        Answer::Done(ret) => ret.to_string(),
        Answer::NoSuchSession => "no such session".into(),
        Answer::NotLeader(Some(leader)) => format!("not leader, ask {leader}"),
        Answer::NotLeader(None) => "not leader".into(),
        Answer::Changed(index) => format!("changed at {index}"),
        Answer::Transferred => "transferred".into(),
        Answer::Busy => "busy".into(),
        Answer::Refused(refusal) => format!("refused: {}", refusal.words()),
    }
}

fn appended(appended: Appended) -> String {
    match appended {
        Appended::Matched(index) => format!("matched={index}"),
        Appended::Conflict(conflict) => {
            let term = conflict.term.map_or("none".into(), |term| term.to_string());
            format!(
                "conflict at={} term={term} first={}",
                conflict.refused, conflict.first_index
            )
        }
        Appended::StaleTerm => "stale-term".into(),
    }
}
