//! Taking a place in a line, and waiting until one is in: a lock, a permit, leadership, membership.
//!
//! 1. A lease of its own is granted, and kept alive.
//! 2. The own key is created under it, and the line is read, in one transaction. Done twice, it does the same.
//! 3. Whoever is not in waits for what its [`Standing`] says, from the revision at which it looked on, so that nothing is missed;
//!    then it looks again: the predecessor may have given up, and not been in.
//! 4. Before it says that it is in, it makes sure that its own lease still holds (etcd #11456: `Lock` returned after the wait,
//!    and the lease had run out in the meantime).
//!
//! To go, the lease is revoked; and if nobody hears of that, it runs out.

use super::op::How;
use super::order::{Standing, own_key, standing};
use super::step::{Step, Told};
use crate::kv::watch::{Event, EventKind};
use crate::kv::{
    self, Compare, Key, KeyRange, LeaseId, Operand, Order, Range, Ranged, Relation, Revision,
    SortBy, Transaction, Value,
};
use crate::service;
use splitbrain_core::Outcome;
use std::sync::Arc;
use std::time::Duration;

/// How long to wait at a time before it is seen whether there is time left.
const WAIT_AT_A_TIME: Duration = Duration::from_millis(500);

/// Somebody who wants in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    prefix: Key,
    own: Key,
    how: How,
    lease: LeaseId,
    ttl_ms: u64,
    value: Value,
    phase: Phase,
    /// How often it looked at the line again because something happened to what it waited for.
    woken: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// It asks for the lease.
    Granting,
    /// It creates its key.
    Entering,
    /// It looks at the line.
    Looking,
    /// It waits for something to happen to these keys after a revision.
    Waiting(KeyRange, Revision),
    /// It is in, and tells whoever is behind it.
    Telling(Revision),
    /// It has waited for too long, and goes.
    Going,
}

impl Line {
    /// Somebody who wants in below `prefix`, under a lease that nobody has yet. `value` is for those who read the line.
    pub fn new(prefix: &str, how: How, lease: LeaseId, ttl_ms: u64, value: Value) -> Line {
        Line {
            prefix: prefix.into(),
            own: own_key(prefix, how, lease),
            how,
            lease,
            ttl_ms,
            value,
            phase: Phase::Granting,
            woken: 0,
        }
    }

    /// Its lease.
    pub fn lease(&self) -> LeaseId {
        self.lease
    }

    /// What it is to be known by while it is in.
    pub fn prefix(&self) -> &Key {
        &self.prefix
    }

    /// Its key.
    pub fn own(&self) -> &Key {
        &self.own
    }

    /// How it wants in.
    pub fn how(&self) -> How {
        self.how
    }

    /// How often it was woken.
    pub fn woken(&self) -> u64 {
        self.woken
    }

    /// Whether it waits for somebody.
    pub fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Waiting(..))
    }

    /// Whether it goes, as it has waited for too long.
    pub fn is_going(&self) -> bool {
        self.phase == Phase::Going
    }

    /// The first step.
    pub fn begin(&self) -> Step<Revision> {
        Step::Ask(service::Op::Hold {
            lease: self.lease,
            ttl_ms: self.ttl_ms,
        })
    }

    /// The next step, until it is done: then the token is its answer.
    pub fn told(&mut self, told: Told<'_>) -> Step<Revision> {
        match (&self.phase, told.outcome) {
            (Phase::Going, _) => Step::Failed("it was not in time"),
            (Phase::Granting, Outcome::Ok(service::Ret::Held)) => self.enter(),
            // If it was granted, it runs out.
            (Phase::Granting, _) => Step::Failed("no lease was granted"),
            _ if !told.assured => Step::Failed(LOST),
            (Phase::Waiting(..), Outcome::Ok(ret)) => self.waited(ret, told),
            (phase, _) => match (phase, told.kv()) {
                (Phase::Entering, Some(kv::Ret::Transaction(done))) => match done.rets.last() {
                    Some(kv::Ret::Range(line)) => self.look(line, told),
                    _ => self.again(told),
                },
                (Phase::Looking, Some(kv::Ret::Range(line))) => self.look(line, told),
                (Phase::Telling(token), Some(kv::Ret::Transaction(done))) => {
                    if done.succeeded {
                        Step::Done(*token)
                    } else {
                        Step::Failed(LOST)
                    }
                }
                (_, Some(kv::Ret::Refused(_))) => Step::Failed(LOST),
                _ => self.again(told),
            },
        }
    }

    fn everybody(&self) -> kv::Op {
        let mut range = Range::of(KeyRange::Prefix(self.prefix.clone()));
        range.order = Some(Order {
            by: SortBy::CreateRevision,
            descending: false,
        });
        kv::Op::Range(Arc::new(range))
    }

    fn put_own(&self) -> kv::Op {
        kv::Op::Put {
            key: self.own.clone(),
            value: self.value.clone(),
            lease: Some(self.lease),
            previous: false,
        }
    }

    fn enter(&mut self) -> Step<Revision> {
        self.phase = Phase::Entering;
        let look = self.everybody();
        Step::kv(kv::Op::Transaction(Arc::new(Transaction {
            compare: vec![Compare::missing(self.own.clone())],
            then: vec![self.put_own(), look.clone()],
            otherwise: vec![look],
        })))
    }

    fn look_again(&mut self) -> Step<Revision> {
        self.phase = Phase::Looking;
        Step::kv(self.everybody())
    }

    fn look(&mut self, line: &Ranged, told: Told<'_>) -> Step<Revision> {
        match standing(&self.prefix, self.how, &line.keys, &self.own) {
            Standing::Gone => Step::Failed(LOST),
            Standing::In(token) => self.is_in(token),
            Standing::Waits(keys) => self.wait(keys, line.revision, told),
        }
    }

    fn is_in(&mut self, token: Revision) -> Step<Revision> {
        // Who waits for a permit behind somebody who waited, too, does not see that it is in; see `order.rs`.
        if self.woken == 0 || !matches!(self.how, How::Permit(_)) {
            return Step::Done(token);
        }
        self.phase = Phase::Telling(token);
        self.tell(token)
    }

    fn tell(&self, token: Revision) -> Step<Revision> {
        let created = Operand::CreateRevision(token);
        Step::kv(kv::Op::Transaction(Arc::new(Transaction {
            compare: vec![Compare::key(self.own.clone(), Relation::Equal, created)],
            then: vec![self.put_own()],
            otherwise: Vec::new(),
        })))
    }

    fn wait(&mut self, keys: KeyRange, after: Revision, told: Told<'_>) -> Step<Revision> {
        if told.left.is_zero() {
            return self.go();
        }
        let wait = told.left.min(WAIT_AT_A_TIME);
        self.phase = Phase::Waiting(keys.clone(), after);
        Step::Ask(service::Op::Changes {
            keys,
            after: Some(after),
            wait_ms: wait.as_millis().max(1) as u64,
        })
    }

    /// Whether the line may be another one for it: a leader that proclaims something is still there.
    fn matters(&self, event: &Event) -> bool {
        event.kind == EventKind::Delete || matches!(self.how, How::Permit(_))
    }

    fn waited(&mut self, ret: &service::Ret, told: Told<'_>) -> Step<Revision> {
        match (ret, &self.phase) {
            (
                service::Ret::Changes {
                    through, events, ..
                },
                Phase::Waiting(keys, _),
            ) if !events.iter().any(|event| self.matters(event)) => {
                let keys = keys.clone();
                self.wait(keys, *through, told)
            }
            (service::Ret::Changes { .. }, _) => {
                self.woken += 1;
                self.look_again()
            }
            // What happened in the meantime was compacted.
            _ => self.look_again(),
        }
    }

    /// There was no answer. Whatever it asks for can be asked for again.
    fn again(&mut self, told: Told<'_>) -> Step<Revision> {
        if told.left.is_zero() {
            return self.go();
        }
        match self.phase {
            Phase::Granting | Phase::Entering => self.enter(),
            Phase::Telling(token) => self.tell(token),
            Phase::Looking | Phase::Waiting(..) | Phase::Going => self.look_again(),
        }
    }

    fn go(&mut self) -> Step<Revision> {
        self.phase = Phase::Going;
        Step::revoke(self.lease)
    }
}

/// Why a place is lost.
const LOST: &str = "the lease ran out before it was in";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::{KeyValue, Store};

    fn lease(id: u64) -> LeaseId {
        LeaseId::new(id).unwrap()
    }

    fn line(id: u64, how: How) -> Line {
        Line::new("lock/a/", how, lease(id), 1_000, "".into())
    }

    fn told(outcome: &Outcome<service::Ret>) -> Told<'_> {
        Told {
            outcome,
            assured: true,
            left: Duration::from_secs(1),
        }
    }

    /// Does what it asks for at a store, until it is in, or waits: then the step that says so.
    fn run(line: &mut Line, store: &mut Store, mut step: Step<Revision>) -> Step<Revision> {
        loop {
            let outcome = Outcome::Ok(match &step {
                Step::Ask(service::Op::Hold { lease, ttl_ms }) => {
                    store.apply(&kv::Op::LeaseGrant {
                        lease: Some(*lease),
                        ttl_ms: *ttl_ms,
                    });
                    service::Ret::Held
                }
                Step::Ask(service::Op::Kv(op)) => service::Ret::Kv(store.apply(op)),
                _ => return step,
            });
            step = line.told(told(&outcome));
        }
    }

    fn enters(id: u64, how: How, store: &mut Store) -> (Line, Step<Revision>) {
        let mut line = line(id, how);
        let begin = line.begin();
        let step = run(&mut line, store, begin);
        (line, step)
    }

    fn deleted(key: &Key, at: Revision) -> Outcome<service::Ret> {
        let key_value = KeyValue {
            key: key.clone(),
            value: "".into(),
            create_revision: Revision::ZERO,
            mod_revision: at,
            version: 0,
            lease: None,
        };
        let event = Event {
            kind: EventKind::Delete,
            key_value,
            previous: None,
        };
        Outcome::Ok(service::Ret::Changes {
            after: at.previous(),
            through: at,
            events: vec![Arc::new(event)],
        })
    }

    #[test]
    fn the_second_one_waits_for_the_first_and_gets_a_greater_token() {
        let mut store = Store::new();
        let (first, step) = enters(1, How::Exclusive, &mut store);
        let Step::Done(token) = step else {
            panic!("{step:?}")
        };
        let (mut second, step) = enters(2, How::Exclusive, &mut store);
        let Step::Ask(service::Op::Changes { keys, after, .. }) = step else {
            panic!("{step:?}")
        };
        assert_eq!(keys, KeyRange::Key(first.own().clone()));
        assert_eq!(after, Some(store.revision()));
        store.apply(&kv::Op::LeaseRevoke { lease: lease(1) });
        let outcome = deleted(first.own(), store.revision());
        let step = second.told(told(&outcome));
        let step = run(&mut second, &mut store, step);
        assert!(matches!(step, Step::Done(later) if later > token));
        assert_eq!(second.woken(), 1);
    }

    #[test]
    fn who_is_woken_by_one_that_was_not_in_waits_for_the_next() {
        let mut store = Store::new();
        let (first, _) = enters(1, How::Exclusive, &mut store);
        let (second, _) = enters(2, How::Exclusive, &mut store);
        let (mut third, _) = enters(3, How::Exclusive, &mut store);
        store.apply(&kv::Op::LeaseRevoke { lease: lease(2) });
        let outcome = deleted(second.own(), store.revision());
        let step = third.told(told(&outcome));
        let step = run(&mut third, &mut store, step);
        let Step::Ask(service::Op::Changes { keys, .. }) = step else {
            panic!("{step:?}")
        };
        assert_eq!(keys, KeyRange::Key(first.own().clone()));
    }

    #[test]
    fn a_leader_that_proclaims_something_wakes_nobody() {
        let mut store = Store::new();
        let (first, _) = enters(1, How::Exclusive, &mut store);
        let (mut second, _) = enters(2, How::Exclusive, &mut store);
        let Outcome::Ok(service::Ret::Changes { events, .. }) =
            deleted(first.own(), store.revision())
        else {
            unreachable!("it is one")
        };
        let put = Event {
            kind: EventKind::Put,
            ..(*events[0]).clone()
        };
        let outcome = Outcome::Ok(service::Ret::Changes {
            after: Revision(7),
            through: Revision(8),
            events: vec![Arc::new(put)],
        });
        let step = second.told(told(&outcome));
        let Step::Ask(service::Op::Changes { after, .. }) = step else {
            panic!("{step:?}")
        };
        assert_eq!((after, second.woken()), (Some(Revision(8)), 0));
    }

    #[test]
    fn nobody_is_in_whose_lease_has_run_out_in_the_meantime() {
        let mut store = Store::new();
        let (first, _) = enters(1, How::Exclusive, &mut store);
        let (mut second, _) = enters(2, How::Exclusive, &mut store);
        let mut same = second.clone();
        // The client knows.
        store.apply(&kv::Op::LeaseRevoke { lease: lease(1) });
        let outcome = deleted(first.own(), store.revision());
        let lost = Told {
            assured: false,
            ..told(&outcome)
        };
        assert_eq!(second.told(lost), Step::Failed(LOST));
        // The store knows, and the client does not yet.
        store.apply(&kv::Op::LeaseRevoke { lease: lease(2) });
        let step = same.told(told(&outcome));
        assert_eq!(run(&mut same, &mut store, step), Step::Failed(LOST));
    }

    #[test]
    fn a_place_is_taken_once_however_often_it_is_asked_for() {
        let mut store = Store::new();
        let mut line = line(1, How::Exclusive);
        store.apply(&kv::Op::LeaseGrant {
            lease: Some(lease(1)),
            ttl_ms: 1_000,
        });
        let Step::Ask(service::Op::Kv(enter)) = line.told(told(&Outcome::Ok(service::Ret::Held)))
        else {
            panic!("it enters")
        };
        store.apply(&enter);
        let taken = store.revision();
        let step = line.told(told(&Outcome::Info));
        assert_eq!(run(&mut line, &mut store, step), Step::Done(taken));
    }

    #[test]
    fn who_has_waited_for_too_long_leaves_nothing_behind() {
        let mut store = Store::new();
        let _ = enters(1, How::Exclusive, &mut store);
        let (mut second, _) = enters(2, How::Exclusive, &mut store);
        let outcome = Outcome::Ok(service::Ret::Changes {
            after: store.revision(),
            through: store.revision(),
            events: Vec::new(),
        });
        let late = Told {
            left: Duration::ZERO,
            ..told(&outcome)
        };
        let step = second.told(late);
        let failed = run(&mut second, &mut store, step);
        assert_eq!(failed, Step::Failed("it was not in time"));
        assert_eq!(store.lease(lease(2)), None);
    }

    #[test]
    fn who_waited_for_a_permit_tells_whoever_is_behind() {
        let one = How::Permit(std::num::NonZeroU64::MIN);
        let mut store = Store::new();
        let (first, _) = enters(1, one, &mut store);
        let (mut second, _) = enters(2, one, &mut store);
        store.apply(&kv::Op::LeaseRevoke { lease: lease(1) });
        let before = store.revision();
        let outcome = deleted(first.own(), before);
        let step = second.told(told(&outcome));
        assert!(matches!(
            run(&mut second, &mut store, step),
            Step::Done(token) if token < before
        ));
        // It has written its key, and so made a revision.
        assert_eq!(store.revision(), before.next());
    }
}
