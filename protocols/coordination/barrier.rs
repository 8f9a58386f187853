//! A double barrier: nobody goes on before all parties have come, and nobody before all have gone (ZooKeeper: *Recipes*, "Double
//! Barriers"; Curator: `DistributedDoubleBarrier`).
//!
//! A party that has come stands in a line: see `line.rs`. Whoever finds all of them there writes that the barrier is open, under
//! its own lease. The others wait for that, from the moment on at which they came: it is written after the last one has come,
//! so that who was slow to look misses it neither when it is written nor when it is gone again. That all are woken at once
//! is what a barrier is for.

use super::op::Ret;
use super::step::{Step, Told};
use crate::kv::watch::EventKind;
use crate::kv::{
    self, Compare, Key, KeyRange, LeaseId, Operand, Order, Range, Relation, Revision, Shows,
    SortBy, Transaction,
};
use crate::service;
use splitbrain_core::Outcome;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

/// How long to wait at a time before it looks again who is there: whoever was to open the barrier may be gone.
const WAIT_AT_A_TIME: Duration = Duration::from_millis(500);

fn line(prefix: &Key) -> Range {
    let mut range = Range::of(KeyRange::Prefix(prefix.clone()));
    range.shows = Shows::Keys;
    range.order = Some(Order {
        by: SortBy::CreateRevision,
        descending: false,
    });
    range
}

/// A party that has come, and waits for the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enter {
    prefix: Key,
    /// Its place in the line.
    own: Key,
    token: Revision,
    lease: LeaseId,
    parties: NonZeroU64,
    /// What it has seen of the barrier.
    seen: Revision,
    /// Whether it asks for the barrier to be opened.
    opens: bool,
}

impl Enter {
    /// A party that stands in the line below `prefix`.
    pub fn new(
        prefix: Key,
        own: Key,
        token: Revision,
        lease: LeaseId,
        parties: NonZeroU64,
    ) -> Enter {
        Enter {
            prefix,
            own,
            token,
            lease,
            parties,
            seen: token,
            opens: false,
        }
    }

    /// Its lease.
    pub fn lease(&self) -> LeaseId {
        self.lease
    }

    /// Of the line.
    pub fn prefix(&self) -> &Key {
        &self.prefix
    }

    /// Not below the prefix: it is no party.
    fn open(&self) -> Key {
        format!("open-{}", self.prefix).into()
    }

    /// The first step.
    pub fn begin(&self) -> Step<Ret> {
        Step::kv(kv::Op::Range(Arc::new(line(&self.prefix))))
    }

    /// The next step.
    pub fn told(&mut self, told: Told<'_>) -> Step<Ret> {
        if !told.assured {
            return Step::Failed("the lease ran out at the barrier");
        }
        let opens = std::mem::take(&mut self.opens);
        match (told.outcome, told.kv()) {
            (_, Some(kv::Ret::Range(found))) if found.keys.len() as u64 >= self.parties.get() => {
                self.opens = true;
                let created = Operand::CreateRevision(self.token);
                Step::kv(kv::Op::Transaction(Arc::new(Transaction {
                    compare: vec![Compare::key(self.own.clone(), Relation::Equal, created)],
                    then: vec![kv::Op::Put {
                        key: self.open(),
                        value: "".into(),
                        lease: Some(self.lease),
                        previous: false,
                    }],
                    otherwise: Vec::new(),
                })))
            }
            (_, Some(kv::Ret::Transaction(done))) if opens && done.succeeded => {
                Step::Done(Ret::In { token: self.token })
            }
            (
                Outcome::Ok(service::Ret::Changes {
                    through, events, ..
                }),
                _,
            ) => {
                self.seen = *through;
                if events.iter().any(|event| event.kind == EventKind::Put) {
                    return Step::Done(Ret::In { token: self.token });
                }
                self.look_or_fail(told)
            }
            (_, Some(kv::Ret::Range(_))) => Step::Ask(service::Op::Changes {
                keys: KeyRange::Key(self.open()),
                after: Some(self.seen),
                wait_ms: told.left.min(WAIT_AT_A_TIME).as_millis().max(1) as u64,
            }),
            (Outcome::Ok(service::Ret::Compacted(_)), _) => {
                Step::Failed("what happened at the barrier was compacted")
            }
            _ => self.look_or_fail(told),
        }
    }

    fn look_or_fail(&self, told: Told<'_>) -> Step<Ret> {
        if told.left.is_zero() {
            return Step::Failed("the others were not in time");
        }
        self.begin()
    }
}

/// A party that has gone, and waits until all have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leave {
    prefix: Key,
}

impl Leave {
    /// Of the barrier below `prefix`.
    pub fn new(prefix: Key) -> Leave {
        Leave { prefix }
    }

    /// The first step, when its own key is gone.
    pub fn begin(&self) -> Step<Ret> {
        Step::kv(kv::Op::Range(Arc::new(line(&self.prefix))))
    }

    /// The next step.
    pub fn told(&self, told: Told<'_>) -> Step<Ret> {
        let last = match told.kv() {
            Some(kv::Ret::Range(found)) => match found.keys.last() {
                Some(last) => Some((last.key.clone(), found.revision)),
                None => return Step::Done(Ret::Out),
            },
            _ => None,
        };
        if told.left.is_zero() {
            return Step::Failed("it has gone, and others have not");
        }
        match last {
            Some((last, revision)) => Step::Ask(service::Op::Changes {
                keys: KeyRange::Key(last),
                after: Some(revision),
                wait_ms: told.left.min(WAIT_AT_A_TIME).as_millis().max(1) as u64,
            }),
            None => self.begin(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::Store;

    const PREFIX: &str = "barrier/a/";

    fn comes(store: &mut Store, id: u64) -> Enter {
        let lease = LeaseId::new(id).unwrap();
        let own: Key = format!("{PREFIX}m-{id}").into();
        store.apply(&kv::Op::LeaseGrant {
            lease: Some(lease),
            ttl_ms: 1_000,
        });
        store.apply(&kv::Op::Put {
            key: own.clone(),
            value: "".into(),
            lease: Some(lease),
            previous: false,
        });
        let two = NonZeroU64::MIN.saturating_add(1);
        Enter::new(PREFIX.into(), own, store.revision(), lease, two)
    }

    fn told(outcome: &Outcome<service::Ret>) -> Told<'_> {
        Told {
            outcome,
            assured: true,
            left: Duration::from_secs(1),
        }
    }

    /// Until it is done, or waits.
    fn run(
        store: &mut Store,
        mut step: Step<Ret>,
        mut tell: impl FnMut(Told<'_>) -> Step<Ret>,
    ) -> Step<Ret> {
        while let Step::Ask(service::Op::Kv(op)) = &step {
            let outcome = Outcome::Ok(service::Ret::Kv(store.apply(op)));
            step = tell(told(&outcome));
        }
        step
    }

    #[test]
    fn the_last_one_who_comes_opens_it_for_those_who_came_before() {
        let mut store = Store::new();
        let mut first = comes(&mut store, 1);
        let begin = first.begin();
        let step = run(&mut store, begin, |told| first.told(told));
        let Step::Ask(service::Op::Changes { keys, after, .. }) = step else {
            panic!("{step:?}")
        };
        // From when it came on, and not from when it looked.
        assert_eq!(after, Some(first.token));
        assert_eq!(keys, KeyRange::Key(first.open()));
        let mut second = comes(&mut store, 2);
        let begin = second.begin();
        let step = run(&mut store, begin, |told| second.told(told));
        assert!(matches!(step, Step::Done(Ret::In { .. })), "{step:?}");
        let get = kv::Op::Get { key: first.open() };
        assert_ne!(store.read(&get), kv::Ret::Value(None));
    }

    #[test]
    fn who_finds_all_there_opens_it_if_nobody_else_has() {
        let mut store = Store::new();
        let mut first = comes(&mut store, 1);
        // It comes, and is paused.
        let _ = comes(&mut store, 2);
        let none = Outcome::Ok(service::Ret::Changes {
            after: first.token,
            through: store.revision(),
            events: Vec::new(),
        });
        let step = first.told(told(&none));
        let step = run(&mut store, step, |told| first.told(told));
        assert!(matches!(step, Step::Done(Ret::In { .. })), "{step:?}");
    }

    #[test]
    fn nobody_is_through_before_all_have_gone() {
        let mut store = Store::new();
        let last = comes(&mut store, 1);
        let leave = Leave::new(PREFIX.into());
        let step = run(&mut store, leave.begin(), |told| leave.told(told));
        let Step::Ask(service::Op::Changes { keys, .. }) = step else {
            panic!("{step:?}")
        };
        assert_eq!(keys, KeyRange::Key(last.own.clone()));
        store.apply(&kv::Op::LeaseRevoke { lease: last.lease });
        let step = run(&mut store, leave.begin(), |told| leave.told(told));
        assert_eq!(step, Step::Done(Ret::Out));
    }
}
