//! What locks protect: a register for each, which checks the tokens of those who come.
//!
//! A lock with a lease cannot keep two clients from believing that they hold it: one may be paused, or what it has sent may be
//! late. The resource can: it keeps the greatest token it has seen, and refuses what is older (M. Kleppmann, *How to do
//! distributed locking*, 2016; sequencers in M. Burrows, *The Chubby lock service*, OSDI 2006, section 2.4). It must not forget that
//! in a crash, so that a token is on the disk before its bearer is answered.

use super::message::{Access, AccessReply, Message, Verdict};
use super::op::Name;
use super::probes::PROBES;
use super::{Peer, Record};
use crate::kv::{Revision, Value};
use splitbrain_core::{Context, Damage, Journal, NodeId, SyncId, probe};
use std::collections::{BTreeMap, VecDeque};

/// After how many records the journal is written anew.
const RECORDS_MAX: usize = 200;

/// What the resource knows of the users of one lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The greatest token that was accepted.
    pub seen: Revision,
    /// The token of the latest write, and which write of that token it was.
    pub written: (Revision, u64),
    /// What was written.
    pub value: Option<Value>,
}

impl Mark {
    /// What to say to an access, and what is known then.
    pub(super) fn judge(&mut self, access: &Access) -> Verdict {
        let Access {
            token, nth, write, ..
        } = access;
        match write {
            // It came before, and is what the answer is about that was lost; or it was overtaken by a later one.
            Some(_) if (*token, *nth) <= self.written => {
                if *token < self.written.0 {
                    return Verdict::Refused(self.seen);
                }
                return Verdict::Accepted(None);
            }
            // A reader that came later must not find afterwards what it has not found.
            Some(_) if *token < self.seen => return Verdict::Refused(self.seen),
            Some(value) => {
                (self.written, self.value) = ((*token, *nth), Some(value.clone()));
            }
            // Readers are many, and do not fence each other.
            None if *token < self.written.0 => return Verdict::Refused(self.seen),
            None => {}
        }
        self.seen = self.seen.max(*token);
        Verdict::Accepted(self.value.clone())
    }
}

/// An access that was accepted, and is on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// Which lock.
    pub lock: Name,
    /// With which token.
    pub token: Revision,
    /// Which access with that token.
    pub nth: u64,
    /// Whether it was a write.
    pub is_write: bool,
}

/// The node that holds what locks protect.
#[derive(Clone, Debug)]
pub struct Resource {
    marks: BTreeMap<Name, Mark>,
    /// How many records are in the journal.
    records: usize,
    pending: VecDeque<(SyncId, Confirmed)>,
    /// What was confirmed at the latest event, and how much ever was.
    confirmed: Vec<Confirmed>,
    confirmed_ever: u64,
}

impl Resource {
    /// What is known of each lock's users.
    pub fn marks(&self) -> &BTreeMap<Name, Mark> {
        &self.marks
    }

    /// How much was ever confirmed in this incarnation, and what at its latest event.
    pub fn confirmed(&self) -> (u64, &[Confirmed]) {
        (self.confirmed_ever, &self.confirmed)
    }

    pub(super) fn start(journal: Journal<Record>, cx: &mut Context<'_, Peer>) -> Resource {
        let mut resource = Resource {
            marks: BTreeMap::new(),
            records: journal.len(),
            pending: VecDeque::new(),
            confirmed: Vec::new(),
            confirmed_ever: 0,
        };
        for record in journal {
            match record {
                Ok(Record::Mark(lock, mark)) => {
                    resource.marks.insert(lock, mark);
                }
                Ok(Record::Raft(_)) => unreachable!("a resource writes marks only"),
                // Nobody was answered.
                Err(Damage::Torn) => {}
                Err(Damage::Corrupt) => {
                    // It may be the greatest token that there ever was.
                    cx.halt("a mark of the resource is corrupt");
                    return resource;
                }
            }
        }
        resource
    }

    pub(super) fn on_access(&mut self, from: NodeId, access: &Access, cx: &mut Context<'_, Peer>) {
        self.confirmed.clear();
        let mark = self.marks.entry(access.lock.clone()).or_default();
        let before = (mark.seen, mark.written);
        let verdict = mark.judge(access);
        if let Verdict::Refused(seen) = verdict {
            probe!(cx, "a resource refused an old token");
            cx.note(format_args!(
                "refuses token {} of {from}, has seen {seen}",
                access.token
            ));
        }
        if (mark.seen, mark.written) != before {
            let record = Record::Mark(access.lock.clone(), mark.clone());
            self.write(record, cx);
            let confirmed = Confirmed {
                lock: access.lock.clone(),
                token: access.token,
                nth: access.nth,
                is_write: access.write.is_some(),
            };
            self.pending.push_back((cx.sync(), confirmed));
        }
        let reply = AccessReply {
            lock: access.lock.clone(),
            token: access.token,
            nth: access.nth,
            verdict,
        };
        // Behind the sync, if there is one.
        cx.send(from, Message::AccessReply(reply));
    }

    fn write(&mut self, record: Record, cx: &mut Context<'_, Peer>) {
        self.records += 1;
        if self.records <= RECORDS_MAX.max(2 * self.marks.len()) {
            cx.append(record);
            return;
        }
        let marks = self.marks.iter();
        let records = marks.map(|(lock, mark)| Record::Mark(lock.clone(), mark.clone()));
        let records: Vec<Record> = records.collect();
        self.records = records.len();
        cx.compact(records);
    }

    pub(super) fn on_synced(&mut self, sync: SyncId) {
        self.confirmed.clear();
        while self.pending.front().is_some_and(|(of, _)| *of <= sync) {
            let confirmed = self.pending.pop_front();
            self.confirmed
                .extend(confirmed.map(|(_, confirmed)| confirmed));
        }
        self.confirmed_ever += self.confirmed.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(token: u64, nth: u64, value: &str) -> Access {
        Access {
            write: Some(value.into()),
            ..read(token, nth)
        }
    }

    fn read(token: u64, nth: u64) -> Access {
        Access {
            lock: "l1".into(),
            token: Revision(token),
            nth,
            write: None,
        }
    }

    fn accepted(value: &str) -> Verdict {
        Verdict::Accepted(Some(value.into()))
    }

    #[test]
    fn an_old_token_is_refused() {
        let mut mark = Mark::default();
        assert_eq!(mark.judge(&write(5, 1, "a")), accepted("a"));
        assert_eq!(mark.judge(&write(7, 1, "b")), accepted("b"));
        let refused = Verdict::Refused(Revision(7));
        assert_eq!(mark.judge(&write(5, 2, "c")), refused);
        assert_eq!(mark.judge(&read(5, 3)), refused);
        assert_eq!(mark.judge(&read(7, 2)), accepted("b"));
    }

    #[test]
    fn a_late_write_does_not_undo_a_later_one_of_the_same_token() {
        let mut mark = Mark::default();
        mark.judge(&write(5, 1, "a"));
        mark.judge(&write(5, 2, "b"));
        assert_eq!(mark.judge(&write(5, 1, "a")), Verdict::Accepted(None));
        assert_eq!(mark.judge(&read(5, 3)), accepted("b"));
    }

    #[test]
    fn readers_do_not_fence_each_other_and_fence_the_writers_before_them() {
        let mut mark = Mark::default();
        mark.judge(&write(5, 1, "a"));
        assert_eq!(mark.judge(&read(9, 1)), accepted("a"));
        assert_eq!(mark.judge(&read(8, 1)), accepted("a"));
        let late = mark.judge(&write(5, 2, "b"));
        assert_eq!(late, Verdict::Refused(Revision(9)));
        assert_eq!(mark.judge(&read(9, 2)), accepted("a"));
    }
}
