//! A queue: elements are sequential keys, and the first one is taken by whoever deletes it (ZooKeeper: *Recipes*, "Queues";
//! etcd: `contrib/recipes/queue.go`).
//!
//! To take is to delete that very key, and to learn by the same answer that one has: whoever only reads the first key and
//! deletes it then may have been overtaken. If no answer comes, the element may be gone, and it is for the caller to know that.

use super::once::Once;
use super::op::Ret;
use super::step::{Step, Told};
use crate::kv::{
    self, Compare, Key, KeyRange, KeyValue, Operand, Range, Relation, Transaction, Value,
};
use crate::service;
use std::num::NonZeroU64;
use std::sync::Arc;

/// Puts something at the end.
pub fn enqueue(prefix: &Key, value: Value) -> Once {
    let put = kv::Op::PutSequential {
        prefix: prefix.clone(),
        value,
        lease: None,
    };
    Once::new(put, |ret| match ret {
        service::Ret::Kv(kv::Ret::Created(_)) => Some(Ret::Written),
        _ => None,
    })
}

/// Takes what is at the head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dequeue {
    prefix: Key,
    /// What it tries to take.
    head: Option<KeyValue>,
}

impl Dequeue {
    /// Of the queue below this prefix.
    pub fn new(prefix: Key) -> Dequeue {
        Dequeue { prefix, head: None }
    }

    /// The first step.
    pub fn begin(&self) -> Step<Ret> {
        let mut range = Range::of(KeyRange::Prefix(self.prefix.clone()));
        range.limit = Some(NonZeroU64::MIN);
        Step::kv(kv::Op::Range(Arc::new(range)))
    }

    /// The next step.
    pub fn told(&mut self, told: Told<'_>) -> Step<Ret> {
        match (self.head.take(), told.kv()) {
            (None, Some(kv::Ret::Range(found))) => match found.keys.first() {
                Some(head) => {
                    self.head = Some(head.clone());
                    take(head)
                }
                None => Step::Done(Ret::Dequeued(None)),
            },
            (Some(head), Some(kv::Ret::Transaction(done))) if done.succeeded => {
                Step::Done(Ret::Dequeued(Some(head.value)))
            }
            // Somebody else has taken it.
            (Some(_), Some(kv::Ret::Transaction(_))) => {
                if told.left.is_zero() {
                    return Step::Failed("others were faster");
                }
                self.begin()
            }
            (Some(_), _) => told.without_answer(),
            // Nothing was changed yet.
            (None, _) => Step::Failed("the head of the queue could not be read"),
        }
    }
}

fn take(head: &KeyValue) -> Step<Ret> {
    let created = Operand::CreateRevision(head.create_revision);
    Step::kv(kv::Op::Transaction(Arc::new(Transaction {
        compare: vec![Compare::key(head.key.clone(), Relation::Equal, created)],
        then: vec![kv::Op::Delete {
            key: head.key.clone(),
        }],
        otherwise: Vec::new(),
    })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::Store;
    use splitbrain_core::Outcome;
    use std::time::Duration;

    fn told(dequeue: &mut Dequeue, outcome: &Outcome<service::Ret>) -> Step<Ret> {
        dequeue.told(Told {
            outcome,
            assured: true,
            left: Duration::from_secs(1),
        })
    }

    fn answer(store: &mut Store, step: &Step<Ret>) -> Outcome<service::Ret> {
        let Step::Ask(service::Op::Kv(op)) = step else {
            panic!("{step:?}")
        };
        Outcome::Ok(service::Ret::Kv(store.apply(op)))
    }

    fn dequeue(store: &mut Store) -> Step<Ret> {
        let mut dequeue = Dequeue::new("queue/a/".into());
        let mut step = dequeue.begin();
        while let Step::Ask(_) = step {
            let outcome = answer(store, &step);
            step = told(&mut dequeue, &outcome);
        }
        step
    }

    fn enqueued(values: &[&str]) -> Store {
        let mut store = Store::new();
        for value in values {
            let put = enqueue(&"queue/a/".into(), (*value).into());
            assert_eq!(put.at(&mut store), Some(Ret::Written));
        }
        store
    }

    #[test]
    fn what_comes_first_goes_first_and_once() {
        let mut store = enqueued(&["b", "a"]);
        for expected in [Some("b"), Some("a"), None] {
            let done = Ret::Dequeued(expected.map(Into::into));
            assert_eq!(dequeue(&mut store), Step::Done(done));
        }
    }

    #[test]
    fn of_two_who_saw_the_same_head_one_gets_the_next() {
        let mut store = enqueued(&["a", "b"]);
        let mut slow = Dequeue::new("queue/a/".into());
        let outcome = answer(&mut store, &slow.begin());
        let take = told(&mut slow, &outcome);
        let first = Ret::Dequeued(Some("a".into()));
        assert_eq!(dequeue(&mut store), Step::Done(first));
        let outcome = answer(&mut store, &take);
        let mut step = told(&mut slow, &outcome);
        while let Step::Ask(_) = step {
            let outcome = answer(&mut store, &step);
            step = told(&mut slow, &outcome);
        }
        assert_eq!(step, Step::Done(Ret::Dequeued(Some("b".into()))));
    }

    #[test]
    fn an_element_that_may_be_gone_is_not_tried_again() {
        let mut store = enqueued(&["a"]);
        let mut taking = Dequeue::new("queue/a/".into());
        assert!(matches!(
            told(&mut taking.clone(), &Outcome::Info),
            Step::Failed(_)
        ));
        let outcome = answer(&mut store, &taking.begin());
        told(&mut taking, &outcome);
        assert_eq!(told(&mut taking, &Outcome::Info), Step::Unknown);
    }
}
