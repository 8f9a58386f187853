//! Messages of Raft.

use super::store::{op, ret};
use super::{id, number, option, some};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use splitbrain_protocols::kv::{self, Store};
use splitbrain_protocols::raft::{
    Answer, AppendEntries, AppendEntriesReply, Appended, Command, Conflict, Entry, Index,
    InstallSnapshot, InstallSnapshotReply, Membership, Message, Part, ReadIndex, ReadIndexReply,
    Refusal, Reply, Request, RequestId, RequestPreVote, RequestPreVoteReply, RequestVote,
    RequestVoteReply, SessionId, Term, TimeoutNow,
};
use std::sync::Arc;

/// What only a machine makes, from its fields: a tuple of them looks the same.
fn of_fields<F: Serialize, T: DeserializeOwned>(fields: &F) -> T {
    let bytes = postcard::to_extend(fields, Vec::new()).expect("it can be encoded");
    postcard::from_bytes(&bytes).expect("it has these fields")
}

fn term() -> impl Strategy<Value = Term> {
    number().prop_map(Term)
}

fn index() -> impl Strategy<Value = Index> {
    number().prop_map(Index)
}

/// With one that is on its way to another.
fn membership() -> impl Strategy<Value = Arc<Membership>> {
    let fields = (some(id()), some(id()), some(id()));
    fields.prop_map(|fields| Arc::new(of_fields(&fields)))
}

fn session() -> impl Strategy<Value = SessionId> {
    index().prop_map(SessionId)
}

fn entry() -> impl Strategy<Value = Entry> {
    let command = prop_oneof![
        Just(Command::Noop),
        (number(), any::<u32>()).prop_map(|(nonce, sessions_max)| Command::Register {
            nonce,
            sessions_max,
        }),
        membership().prop_map(Command::Members),
        (session(), number(), op()).prop_map(|(session, sequence, op)| Command::Apply {
            session,
            sequence,
            op,
        }),
        op().prop_map(|op| Command::Own { op }),
    ];
    (term(), command).prop_map(|(term, command)| Entry {
        term,
        command: command.into(),
    })
}

/// A store to which something has happened, in pieces, and a session.
fn state() -> impl Strategy<Value = (kv::Header, Vec<Part>)> {
    let ops = proptest::collection::vec(op(), 0..6);
    let session = (session(), number(), option(ret()), index());
    (ops, number(), session).prop_map(|(ops, kept, (session, sequence, ret, last_used))| {
        let mut store = Store::keeping(kept);
        for op in &ops {
            store.apply(op);
        }
        let of_session = Part::Session(session, of_fields(&(sequence, ret, last_used)));
        let parts = store.pieces().map(Part::Store).chain([of_session]);
        (store.header(), parts.collect())
    })
}

pub(super) fn votes() -> impl Strategy<Value = Message> {
    prop_oneof![
        (term(), index(), term()).prop_map(|(term, last_index, last_term)| {
            Message::RequestPreVote(RequestPreVote {
                term,
                last_index,
                last_term,
            })
        }),
        (term(), term(), any::<bool>()).prop_map(|(term, asked_term, granted)| {
            Message::RequestPreVoteReply(RequestPreVoteReply {
                term,
                asked_term,
                granted,
            })
        }),
        (term(), index(), term(), any::<bool>()).prop_map(
            |(term, last_index, last_term, transfer)| {
                Message::RequestVote(RequestVote {
                    term,
                    last_index,
                    last_term,
                    transfer,
                })
            }
        ),
        (term(), any::<bool>()).prop_map(|(term, granted)| {
            Message::RequestVoteReply(RequestVoteReply { term, granted })
        }),
        term().prop_map(|term| Message::TimeoutNow(TimeoutNow { term })),
        number().prop_map(|nonce| Message::ReadIndex(ReadIndex { nonce })),
        (number(), index())
            .prop_map(|(nonce, index)| Message::ReadIndexReply(ReadIndexReply { nonce, index })),
    ]
}

pub(super) fn replication() -> impl Strategy<Value = Message> {
    let append = (term(), number(), index(), term(), some(entry()), index());
    let append = append.prop_map(
        |(term, round, previous_index, previous_term, entries, commit_index)| {
            Message::AppendEntries(AppendEntries {
                term,
                round,
                previous_index,
                previous_term,
                entries,
                commit_index,
            })
        },
    );
    let conflict = (index(), option(term()), index());
    let appended = prop_oneof![
        index().prop_map(Appended::Matched),
        conflict.prop_map(|(refused, term, first_index)| {
            Appended::Conflict(Conflict {
                refused,
                term,
                first_index,
            })
        }),
        Just(Appended::StaleTerm),
    ];
    let appended = (term(), number(), appended).prop_map(|(term, round, appended)| {
        Message::AppendEntriesReply(AppendEntriesReply {
            term,
            round,
            appended,
        })
    });
    let install = (
        (term(), number(), index(), term()),
        membership(),
        state(),
        any::<usize>(),
        any::<bool>(),
    );
    let install = install.prop_map(
        |((term, round, last_index, last_term), membership, (store, parts), offset, done)| {
            Message::InstallSnapshot(InstallSnapshot {
                term,
                round,
                last_index,
                last_term,
                membership,
                store,
                offset,
                parts,
                done,
            })
        },
    );
    let received = (term(), number(), index(), any::<usize>());
    let received = received.prop_map(|(term, round, last_index, received)| {
        Message::InstallSnapshotReply(InstallSnapshotReply {
            term,
            round,
            last_index,
            received,
        })
    });
    prop_oneof![append, appended, install, received]
}

pub(super) fn requests() -> impl Strategy<Value = Message> {
    let request = prop_oneof![
        number().prop_map(|nonce| Request::Register { nonce }),
        (session(), number(), op()).prop_map(|(session, sequence, op)| Request::Apply {
            session,
            sequence,
            op,
        }),
        (number(), op()).prop_map(|(nonce, op)| Request::Read { nonce, op }),
        (number(), membership())
            .prop_map(|(nonce, target)| Request::ChangeMembers { nonce, target }),
        (number(), id()).prop_map(|(nonce, to)| Request::TransferLeadership { nonce, to }),
    ];
    let of = prop_oneof![
        number().prop_map(|nonce| RequestId::Register { nonce }),
        (session(), number())
            .prop_map(|(session, sequence)| RequestId::Apply { session, sequence }),
        number().prop_map(|nonce| RequestId::Other { nonce }),
    ];
    let refusal = prop_oneof![
        Just(Refusal::NoVoter),
        Just(Refusal::UnderWay),
        Just(Refusal::NewLeader),
        Just(Refusal::TooSlow),
    ];
    let answer = prop_oneof![
        session().prop_map(Answer::Registered),
        ret().prop_map(Answer::Done),
        index().prop_map(Answer::Changed),
        Just(Answer::Transferred),
        Just(Answer::NoSuchSession),
        option(id()).prop_map(Answer::NotLeader),
        Just(Answer::Busy),
        refusal.prop_map(Answer::Refused),
    ];
    prop_oneof![
        request.prop_map(Message::Request),
        (of, answer).prop_map(|(request, answer)| Message::Reply(Reply { request, answer })),
    ]
}
