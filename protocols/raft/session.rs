//! The state machine: the KV store behind client sessions, which make every operation take effect at most once
//! however often its request is sent (dissertation §6.3, Figure 6.1).

use super::log::{Command, Index};
use crate::kv;
use splitbrain_core::NodeId;
use std::collections::BTreeMap;
use std::fmt;

/// A client session: the index of the entry that opened it, so unique for ever and agreed upon by all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub Index);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

/// Which request of a client an answer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

/// What a server answers to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The session that was opened.
    Registered(SessionId),
    /// The result of the operation.
    Done(kv::Ret),
    /// The session is not known, so the operation was not performed by this request.
    NoSuchSession,
    /// This server does not lead, so it did nothing. Another one may: the leader that it knows of.
    NotLeader(Option<NodeId>),
}

/// What is remembered of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Session {
    /// The greatest sequence number performed; zero before the first. Lower ones are never performed any more.
    last_sequence: u64,
    /// The answer to that operation, for retries of its request. A client has one operation at a time, so that
    /// earlier answers are no longer asked for.
    last_ret: Option<kv::Ret>,
}

/// What all servers compute from the committed log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    store: kv::Store,
    sessions: BTreeMap<SessionId, Session>,
}

impl Machine {
    /// The contents of the store.
    pub fn store(&self) -> &kv::Store {
        &self.store
    }

    /// Whether it is a request of a client that has been performed already, or one that came before it.
    pub(super) fn is_old(&self, command: &Command) -> bool {
        let Command::Apply {
            session, sequence, ..
        } = command
        else {
            return false;
        };
        let session = self.sessions.get(session);
        session.is_some_and(|session| *sequence <= session.last_sequence)
    }

    /// Carries out the committed entry at `index`; what to answer, if somebody is waiting for it.
    pub(super) fn apply(&mut self, index: Index, command: &Command) -> Option<Answer> {
        match command {
            Command::Noop => None,
            Command::Register { .. } => {
                self.sessions.insert(SessionId(index), Session::default());
                Some(Answer::Registered(SessionId(index)))
            }
            Command::Apply {
                session,
                sequence,
                op,
            } => self.apply_once(*session, *sequence, op),
        }
    }

    fn apply_once(&mut self, session: SessionId, sequence: u64, op: &kv::Op) -> Option<Answer> {
        let Some(session) = self.sessions.get_mut(&session) else {
            return Some(Answer::NoSuchSession);
        };
        // An operation that its client gave up before it began a later one: it must not take effect any more, and
        // nobody waits for the answer.
        if sequence < session.last_sequence {
            return None;
        }
        // A request that was committed twice, as its client asked again: only the first takes effect, and the retry
        // gets the same answer.
        if sequence > session.last_sequence {
            session.last_ret = Some(self.store.apply(op));
            session.last_sequence = sequence;
        }
        session.last_ret.clone().map(Answer::Done)
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

    #[test]
    fn an_operation_takes_effect_once_and_never_late() {
        let mut machine = Machine::default();
        let swapped = |yes| Some(Answer::Done(kv::Ret::Swapped(yes)));
        let registered = Some(Answer::Registered(SessionId(Index(1))));
        let register = Command::Register { nonce: 7 };
        for (index, command, answer) in [
            (1, register, registered),
            (2, swap(1, None, "1"), swapped(true)),
            // The retry would fail, if it were performed again.
            (3, swap(1, None, "1"), swapped(true)),
            (4, swap(3, Some("1"), "3"), swapped(true)),
            // Abandoned before 3 was begun, and late.
            (5, swap(2, Some("3"), "2"), None),
            (6, Command::Noop, None),
        ] {
            assert_eq!(machine.is_old(&command), index == 3 || index == 5);
            assert_eq!(machine.apply(Index(index), &command), answer, "{index}");
        }
        assert_eq!(machine.store().get("x").map(AsRef::as_ref), Some("3"));
    }

    #[test]
    fn nothing_is_done_for_a_session_that_was_never_opened() {
        let mut machine = Machine::default();
        assert_eq!(
            machine.apply(Index(2), &swap(1, None, "1")),
            Some(Answer::NoSuchSession)
        );
        assert_eq!(machine, Machine::default());
    }
}
