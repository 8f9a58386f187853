//! The state machine: the KV store behind client sessions, which make every operation take effect at most once
//! however often its request is sent (dissertation §6.3, Figure 6.1).

use super::log::{Command, Index};
use crate::kv;
use serde::{Deserialize, Serialize};
use splitbrain_core::NodeId;
use std::collections::BTreeMap;
use std::fmt;

/// A client session: the index of the entry that opened it, so unique for ever and agreed upon by all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId(pub Index);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

/// Which request of a client an answer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestId {
    /// The registration with this nonce.
    Register {
        /// The nonce.
        nonce: u64,
    },
    /// An operation.
    Apply {
        /// The session.
        session: SessionId,
        /// The number of the operation in its session.
        sequence: u64,
    },
    /// A read, or whatever else needs no session, with this nonce.
    Other {
        /// The nonce.
        nonce: u64,
    },
}

/// What a server answers to a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The session that was opened.
    Registered(SessionId),
    /// The result of the operation.
    Done(kv::Ret),
    /// The members are as asked, since the entry at this index or before it.
    Changed(Index),
    /// Somebody else leads now, or is about to.
    Transferred,
    /// The session is not known, so the operation was not performed by this request.
    NoSuchSession,
    /// This server does not lead, so it did nothing. Another one may: the leader that it knows of.
    NotLeader(Option<NodeId>),
    /// The leader has more to do than it can remember, or is about to give way. It did nothing.
    Busy,
    /// It does not do it, and why.
    Refused(Refusal),
}

/// Why a change of the members, or of the leader, was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// There would be no voter, or the one who is to lead is none.
    NoVoter,
    /// Another change is under way.
    UnderWay,
    /// The leader is new, and does not know yet what its predecessors have committed.
    NewLeader,
    /// A server that is to vote, or to lead, did not catch up in time, or did not do what it was told. It may still.
    TooSlow,
}

impl Refusal {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Refusal::NoVoter => "no voter would be left, or the one who is to lead is none",
            Refusal::UnderWay => "another change is under way",
            Refusal::NewLeader => "the leader has committed nothing yet",
            Refusal::TooSlow => "it took too long",
        }
    }
}

/// What is remembered of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Session {
    /// The greatest sequence number performed; zero before the first. Lower ones are never performed any more.
    sequence: u64,
    /// The answer to that operation, for retries of its request. A client has one operation at a time, so that
    /// earlier answers are no longer asked for.
    ret: Option<kv::Ret>,
    /// The latest entry that named the session: what was named longest ago expires first.
    last_used: Index,
}

impl Session {
    /// The greatest sequence number performed; zero before the first.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The answer to that operation.
    pub fn ret(&self) -> Option<&kv::Ret> {
        self.ret.as_ref()
    }

    /// The latest entry that named the session.
    pub fn last_used(&self) -> Index {
        self.last_used
    }

    /// How much it would take on a wire, about, in bytes.
    pub(super) fn size_bytes(&self) -> usize {
        32 + self.ret.as_ref().map_or(0, kv::Ret::size_bytes)
    }
}

/// What all servers compute from the committed log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    store: kv::Store,
    sessions: BTreeMap<SessionId, Session>,
}

impl Machine {
    /// The machine with these contents.
    pub(super) fn new(store: kv::Store, sessions: BTreeMap<SessionId, Session>) -> Machine {
        Machine { store, sessions }
    }

    /// The contents of the store.
    pub fn store(&self) -> &kv::Store {
        &self.store
    }

    /// The sessions that have not expired.
    pub fn sessions(&self) -> &BTreeMap<SessionId, Session> {
        &self.sessions
    }

    /// The result of an operation that changes nothing, as of now.
    pub(super) fn read(&self, op: &kv::Op) -> Answer {
        Answer::Done(self.store.read(op))
    }

    /// Carries out the committed entry at `index`; what to answer, if somebody is waiting for it.
    pub(super) fn apply(&mut self, index: Index, command: &Command) -> Applied {
        match command {
            Command::Noop | Command::Members(_) => Applied::new(None),
            Command::Register { sessions_max, .. } => {
                let expired = self.register(index, *sessions_max as usize);
                Applied {
                    expired,
                    ..Applied::new(Some(Answer::Registered(SessionId(index))))
                }
            }
            Command::Apply {
                session,
                sequence,
                op,
            } => self.apply_once(index, *session, *sequence, op),
            Command::Own { op } => {
                self.store.apply(op);
                Applied::new(None)
            }
        }
    }

    /// Opens a session; how many expired for that.
    fn register(&mut self, index: Index, sessions_max: usize) -> usize {
        let new = Session {
            last_used: index,
            ..Session::default()
        };
        self.sessions.insert(SessionId(index), new);
        let mut expired = 0;
        while self.sessions.len() > sessions_max {
            let by_use = self
                .sessions
                .iter()
                .map(|(id, session)| (session.last_used, *id));
            let Some((_, oldest)) = by_use.min() else {
                break;
            };
            self.sessions.remove(&oldest);
            expired += 1;
        }
        expired
    }

    fn apply_once(
        &mut self,
        index: Index,
        session: SessionId,
        sequence: u64,
        op: &kv::Op,
    ) -> Applied {
        // It has expired, or was never opened. What its client has asked for before may have been performed or not: that is
        // forgotten, so that to perform this could be the second time.
        let Some(session) = self.sessions.get_mut(&session) else {
            return Applied::new(Some(Answer::NoSuchSession));
        };
        session.last_used = index;
        let is_old = sequence <= session.sequence;
        // An operation that its client gave up before it began a later one: it must not take effect any more, and
        // nobody waits for the answer.
        if sequence < session.sequence {
            return Applied {
                is_old,
                ..Applied::new(None)
            };
        }
        // A request that was committed twice, as its client asked again: only the first takes effect, and the retry
        // gets the same answer.
        if sequence > session.sequence {
            session.ret = Some(self.store.apply(op));
            session.sequence = sequence;
        }
        Applied {
            is_old,
            ..Applied::new(session.ret.clone().map(Answer::Done))
        }
    }
}

/// What came of an entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Applied {
    /// What to answer, if somebody is waiting for it.
    pub(super) answer: Option<Answer>,
    /// Whether it was a request that had been performed already, or one that came before it.
    pub(super) is_old: bool,
    /// How many sessions expired.
    pub(super) expired: usize,
}

impl Applied {
    fn new(answer: Option<Answer>) -> Applied {
        Applied {
            answer,
            is_old: false,
            expired: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn swap(sequence: u64, expected: Option<&str>, value: &str) -> Command {
        Command::Apply {
            session: SessionId(Index(1)),
            sequence,
            op: kv::Op::CompareAndSet {
                key: "x".into(),
                expected: expected.map(Into::into),
                value: value.into(),
            },
        }
    }

    fn register(sessions_max: u32) -> Command {
        Command::Register {
            nonce: 7,
            sessions_max,
        }
    }

    #[test]
    fn an_operation_takes_effect_once_and_never_late() {
        let mut machine = Machine::default();
        let swapped = |yes| Some(Answer::Done(kv::Ret::Swapped(yes)));
        let registered = Some(Answer::Registered(SessionId(Index(1))));
        for (index, command, answer) in [
            (1, register(9), registered),
            (2, swap(1, None, "1"), swapped(true)),
            // The retry would fail, if it were performed again.
            (3, swap(1, None, "1"), swapped(true)),
            (4, swap(3, Some("1"), "3"), swapped(true)),
            // Abandoned before 3 was begun, and late.
            (5, swap(2, Some("3"), "2"), None),
            (6, Command::Noop, None),
        ] {
            let applied = machine.apply(Index(index), &command);
            assert_eq!(applied.is_old, index == 3 || index == 5);
            assert_eq!(applied.answer, answer, "{index}");
        }
        assert_eq!(machine.store().get("x").map(AsRef::as_ref), Some("3"));
    }

    #[test]
    fn nothing_is_done_for_a_session_that_was_never_opened() {
        let mut machine = Machine::default();
        let applied = machine.apply(Index(2), &swap(1, None, "1"));
        assert_eq!(applied.answer, Some(Answer::NoSuchSession));
        assert_eq!(machine, Machine::default());
    }

    #[test]
    fn the_session_that_was_not_used_for_longest_expires() {
        let mut machine = Machine::default();
        for index in 1..=2 {
            assert_eq!(machine.apply(Index(index), &register(2)).expired, 0);
        }
        machine.apply(Index(3), &swap(1, None, "1"));
        assert_eq!(machine.apply(Index(4), &register(2)).expired, 1);
        let left: Vec<u64> = machine.sessions().keys().map(|id| id.0.0).collect();
        assert_eq!(left, [1, 4]);
        // A limit that was lowered since.
        assert_eq!(machine.apply(Index(5), &register(1)).expired, 2);
        let applied = machine.apply(Index(6), &swap(1, None, "2"));
        assert_eq!(applied.answer, Some(Answer::NoSuchSession));
    }
}
