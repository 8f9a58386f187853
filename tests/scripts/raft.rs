//! Raft in scripts: `cluster servers=3 clients=1 entries-per-append=64`, and the operations of the KV store (`put x 1`,
//! `get x`, `delete x`, `cas x 1 2`, where `nothing` stands for a key that does not exist).
//!
//! An entry is written `index:term`, and a log as in the paper's figures: the terms of its entries, by index.

use super::driver::{Arguments, Protocol, Setup};
use splitbrain::NodeId;
use splitbrain_protocols::kv;
use splitbrain_protocols::raft::{
    self, Answer, Appended, Command, Entry, Index, Message, Peer, Record, Request, RequestId,
    Server, Settings, Term,
};

/// The adapter.
pub(crate) struct Raft;

impl Protocol for Raft {
    type Node = Peer;

    fn cluster(arguments: &mut Arguments) -> Result<Setup<Peer>, String> {
        let servers = arguments.take("servers")?.unwrap_or(3);
        let clients = arguments.take("clients")?.unwrap_or(0);
        let mut settings = Settings::default();
        if let Some(entries) = arguments.take("entries-per-append")? {
            settings.entries_per_append = entries;
        }
        Ok(Setup {
            configs: raft::cluster(servers, clients, settings),
            invariants: raft::invariants::all(),
        })
    }

    fn op(words: &[&str]) -> Result<kv::Op, String> {
        let key = |key: &str| kv::Key::from(key);
        match *words {
            ["get", k] => Ok(kv::Op::Get { key: key(k) }),
            ["put", k, value] => Ok(kv::Op::Put {
                key: key(k),
                value: value.into(),
            }),
            ["delete", k] => Ok(kv::Op::Delete { key: key(k) }),
            ["cas", k, expected, value] => Ok(kv::Op::CompareAndSet {
                key: key(k),
                expected: (expected != "nothing").then(|| expected.into()),
                value: value.into(),
            }),
            _ => Err("the operations are get, put, delete and cas".into()),
        }
    }

    fn message(message: &Message) -> String {
        match message {
            Message::RequestVote(m) => {
                let last = position(m.last_index, m.last_term);
                format!("RequestVote term={} last={last}", m.term)
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
        }
    }

    fn ret(ret: &kv::Ret) -> String {
        ret.to_string()
    }

    fn state(peer: &Peer) -> String {
        match peer {
            Peer::Server(server) => state(server),
            Peer::Client(client) => match client.session() {
                Some(session) => format!("client, session {session}"),
                None => "client, no session yet".into(),
            },
        }
    }
}

fn state(server: &Server) -> String {
    let name = |id: Option<NodeId>| id.map_or("nobody".into(), |id| id.to_string());
    let log = server.log().starting_at(Index::FIRST).iter();
    let terms: Vec<String> = log.map(|entry| entry.term.to_string()).collect();
    let store = server.machine().store().iter();
    let values: Vec<String> = store.map(|(key, value)| format!("{key}={value}")).collect();
    format!(
        "{:<9} term={} voted-for={} log=[{}] commit={} store={{{}}}",
        server.role(),
        server.term(),
        name(server.voted_for()),
        terms.join(" "),
        server.commit_index(),
        values.join(" ")
    )
}

fn position(index: Index, term: Term) -> String {
    format!("{index}:{term}")
}

fn words(entry: &Entry) -> String {
    match &entry.command {
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
    }
}

fn id(request: RequestId) -> String {
    match request {
        RequestId::Register { .. } => "register".into(),
        RequestId::Apply { session, sequence } => format!("{session}#{sequence}"),
    }
}

fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Registered(session) => format!("session {session}"),
        Answer::Done(ret) => ret.to_string(),
        Answer::NoSuchSession => "no such session".into(),
        Answer::NotLeader(Some(leader)) => format!("not leader, ask {leader}"),
        Answer::NotLeader(None) => "not leader".into(),
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
