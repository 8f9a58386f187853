//! Configuration that is watched: who has read it waits for what comes after the revision that it has read, so that no
//! change between the two is missed (Curator: `NodeCache`; etcd: a watch from the revision of a get).

use super::once::Once;
use super::op::Ret;
use super::step::{Step, Told};
use crate::kv::{self, Key, KeyRange, Range, Revision, Value};
use crate::service;
use splitbrain_core::Outcome;
use std::sync::Arc;
use std::time::Duration;

/// Sets it.
pub fn set(key: &Key, value: Value) -> Once {
    let put = kv::Op::Put {
        key: key.clone(),
        value,
        lease: None,
        previous: true,
    };
    Once::new(put, |ret| match ret {
        service::Ret::Kv(kv::Ret::Put(put)) => Some(Ret::Config {
            value: put.previous.as_ref().map(|previous| previous.value.clone()),
            revision: put.revision,
        }),
        _ => None,
    })
}

fn read(key: &Key) -> kv::Op {
    kv::Op::Range(Arc::new(Range::of(KeyRange::Key(key.clone()))))
}

fn found(ret: &service::Ret) -> Option<Ret> {
    let service::Ret::Kv(kv::Ret::Range(found)) = ret else {
        return None;
    };
    Some(Ret::Config {
        value: found.keys.first().map(|found| found.value.clone()),
        revision: found.revision,
    })
}

/// Reads it.
pub fn get(key: &Key) -> Once {
    Once::new(read(key), found)
}

/// Waits until it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Await {
    key: Key,
    after: Revision,
}

impl Await {
    /// After this revision.
    pub fn new(key: Key, after: Revision) -> Await {
        Await { key, after }
    }

    /// The first step.
    pub fn begin(&self, wait: Duration) -> Step<Ret> {
        Step::Ask(service::Op::Changes {
            keys: KeyRange::Key(self.key.clone()),
            after: Some(self.after),
            wait_ms: wait.as_millis() as u64,
        })
    }

    /// The next step.
    pub fn told(&self, told: Told<'_>) -> Step<Ret> {
        match told.outcome {
            Outcome::Ok(service::Ret::Changes {
                through, events, ..
            }) => Step::Done(Ret::Config {
                value: events.last().map(|event| event.key_value.value.clone()),
                revision: *through,
            }),
            // Too long ago: what it is now is what it has become since.
            Outcome::Ok(service::Ret::Compacted(_)) => Step::kv(read(&self.key)),
            Outcome::Ok(ret) => found(ret).map_or(told.without_answer(), Step::Done),
            // Nothing was changed by it.
            _ => Step::Failed("the configuration could not be read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::Store;

    #[test]
    fn a_change_that_was_compacted_is_read() {
        let key: Key = "config/a".into();
        let mut store = Store::new();
        let before = set(&key, "1".into()).at(&mut store);
        assert!(matches!(before, Some(Ret::Config { value: None, .. })));
        set(&key, "2".into()).at(&mut store);
        let waits = Await::new(key.clone(), Revision(2));
        let told = |outcome: &Outcome<service::Ret>| {
            waits.told(Told {
                outcome,
                assured: true,
                left: Duration::ZERO,
            })
        };
        let compacted = Outcome::Ok(service::Ret::Compacted(Revision(3)));
        let Step::Ask(service::Op::Kv(read)) = told(&compacted) else {
            panic!("it reads")
        };
        let now = Ret::Config {
            value: Some("2".into()),
            revision: Revision(3),
        };
        let read = Outcome::Ok(service::Ret::Kv(store.apply(&read)));
        assert_eq!(told(&read), Step::Done(now.clone()));
        assert_eq!(get(&key).at(&mut store), Some(now));
    }
}
