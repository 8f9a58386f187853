//! How an instance lies in the store: one key, and one value with all that is known of it. Of it are the instance's own parts,
//! and in its metadata how it is checked and how it is; so nobody ever sees one without the other.
//!
//! An instance that is checked by heartbeats goes with a lease. One that the registry asks goes with none, and its status is
//! written by the registry.
//!
//! Beside each there is a fence, a key that is written with every registration and removal, and never removed. Whoever
//! registers or removes an instance says which fence it has seen, so that what an earlier incarnation asked for, and what
//! comes late, is refused: a registration that was on its way while the instance was deregistered does not bring it back.

use crate::discovery::cache::Entry;
use crate::discovery::health::{CheckSettings, Status};
use crate::discovery::{INSTANCES_PREFIX, Instance, InstanceError};
use crate::kv::{Compare, Key, KeyRange, KeyValue, LeaseId, Op, Operand, Range, Relation};
use crate::kv::{Revision, Transaction, Value};
use splitbrain_core::NodeId;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

/// What the keys of all fences begin with.
const FENCES_PREFIX: &str = "/fences/";
const STATUS: &str = "status";
/// For how long the registry had found the instance to be critical when it wrote that down, in milliseconds.
const CRITICAL_FOR: &str = "critical-for-ms";
const CHECK: &str = "check";

/// The address of a node: in 10.0.0.0/8, by its number.
pub fn address_of(node: NodeId) -> IpAddr {
    let number = node.index() as u32 + 1;
    let [_, x, y, z] = number.to_be_bytes();
    Ipv4Addr::new(10, x, y, z).into()
}

/// The node at an address, if it can be that of one.
pub fn node_of(address: IpAddr) -> Option<NodeId> {
    let IpAddr::V4(address) = address else {
        return None;
    };
    let [ten, x, y, z] = address.octets();
    let number = u32::from_be_bytes([0, x, y, z]);
    (ten == 10 && number > 0).then(|| NodeId::from_index(number as usize - 1))
}

/// All instances of all services.
pub(super) fn all() -> KeyRange {
    KeyRange::Prefix(INSTANCES_PREFIX.into())
}

/// The fence of the instance that is kept at a key.
pub fn fence_of(key: &str) -> Key {
    let rest = key.strip_prefix(INSTANCES_PREFIX).unwrap_or(key);
    format!("{FENCES_PREFIX}{rest}").into()
}

/// How the instance is: what is written of it; well, if nothing is, as then its lease says so.
pub fn status_of(instance: &Instance) -> Status {
    let written = instance.metadata().get(STATUS).map(String::as_str);
    let all = [Status::Warning, Status::Critical, Status::Maintenance];
    let known = all
        .into_iter()
        .find(|status| Some(status.as_str()) == written);
    known.unwrap_or(Status::Passing)
}

/// For how long it had been critical, at least, when that was written: nothing, if it is not, or nobody has found so.
pub fn critical_for(instance: &Instance) -> Option<Duration> {
    let ms = instance.metadata().get(CRITICAL_FOR)?.parse().ok()?;
    (status_of(instance) == Status::Critical).then_some(Duration::from_millis(ms))
}

/// How the registry is to ask it, if it is.
pub fn check_of(instance: &Instance) -> Option<CheckSettings> {
    let check: CheckSettings = serde_json::from_str(instance.metadata().get(CHECK)?).ok()?;
    check.validate().ok()?;
    Some(check)
}

/// The instance with this written of it, and nothing of how long it has been so.
///
/// # Errors
/// If its metadata has no room for it.
pub fn with_status(instance: &Instance, status: Status) -> Result<Instance, InstanceError> {
    let mut metadata = instance.metadata().clone();
    metadata.insert(STATUS.to_owned(), status.as_str().to_owned());
    metadata.remove(CRITICAL_FOR);
    instance.clone().with_metadata(metadata)
}

/// The instance as critical for so long: whoever asks it next goes on from there. It is no point in time, as no two servers'
/// clocks can be compared.
///
/// # Errors
/// If its metadata has no room for it.
pub fn with_critical_for(
    instance: &Instance,
    critical_for: Duration,
) -> Result<Instance, InstanceError> {
    let mut metadata = with_status(instance, Status::Critical)?.metadata().clone();
    let ms = critical_for.as_millis().to_string();
    metadata.insert(CRITICAL_FOR.to_owned(), ms);
    instance.clone().with_metadata(metadata)
}

/// The instance with this check.
///
/// # Errors
/// If its metadata has no room for it.
///
/// # Panics
/// Never: there is nothing in a check that JSON cannot say.
pub fn with_check(instance: &Instance, check: &CheckSettings) -> Result<Instance, InstanceError> {
    let mut metadata = instance.metadata().clone();
    let text = serde_json::to_string(check).expect("numbers and names");
    metadata.insert(CHECK.to_owned(), text);
    instance.clone().with_metadata(metadata)
}

/// What a key of the store and its value say, if they are an instance.
pub fn entry_of(key_value: &KeyValue) -> Option<Entry> {
    let instance = Instance::decode(&key_value.key, &key_value.value).ok()?;
    Some(Entry {
        status: status_of(&instance),
        instance: Arc::new(instance),
    })
}

/// Reads one key, with its revisions.
pub fn read(key: &Key) -> Op {
    Op::Range(Arc::new(Range::of(KeyRange::Key(key.clone()))))
}

/// Registers an instance, if nobody has since its fence was written at this revision (zero: never).
pub fn register(
    key: &Key,
    value: &Value,
    lease: Option<LeaseId>,
    fence: Revision,
    incarnation: u64,
) -> Op {
    let put = Op::Put {
        key: key.clone(),
        value: value.clone(),
        lease,
        previous: false,
    };
    fenced(key, put, fence, incarnation)
}

/// Removes an instance, on the same condition.
pub fn deregister(key: &Key, fence: Revision, incarnation: u64) -> Op {
    fenced(key, Op::Delete { key: key.clone() }, fence, incarnation)
}

fn fenced(key: &Key, op: Op, fence: Revision, incarnation: u64) -> Op {
    let fence_key = fence_of(key);
    let unchanged = Operand::ModRevision(fence);
    Op::Transaction(Arc::new(Transaction {
        compare: vec![Compare::key(fence_key.clone(), Relation::Equal, unchanged)],
        then: vec![op, Op::put(fence_key, incarnation.to_string())],
        otherwise: vec![],
    }))
}

/// Does something to an entry that the registry has seen at this revision, and nobody has written since: otherwise, what
/// the registry has found out of an instance could bring it back that has deregistered meanwhile.
pub fn if_unchanged(key: &Key, seen: Revision, op: Op) -> Op {
    let unchanged = Operand::ModRevision(seen);
    Op::Transaction(Arc::new(Transaction {
        compare: vec![Compare::key(key.clone(), Relation::Equal, unchanged)],
        then: vec![op],
        otherwise: vec![],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::health::{CheckKind, ProbeSettings};
    use crate::kv::Store;

    fn instance() -> Instance {
        Instance::new("web", "n7", address_of(NodeId::from_index(6)), 80).unwrap()
    }

    #[test]
    fn each_node_has_an_address_of_its_own() {
        for index in [0, 6, 254, 255, 65_535, 70_000] {
            let node = NodeId::from_index(index);
            assert_eq!(node_of(address_of(node)), Some(node));
        }
        assert_eq!(node_of("10.0.0.0".parse().unwrap()), None);
        assert_eq!(node_of("11.0.0.1".parse().unwrap()), None);
        assert_eq!(node_of("::1".parse().unwrap()), None);
    }

    #[test]
    fn what_is_written_of_an_instance_is_read_again() {
        assert_eq!(status_of(&instance()), Status::Passing);
        assert_eq!(check_of(&instance()), None);
        let check = CheckSettings {
            kind: CheckKind::Probe(ProbeSettings::default()),
            deregister_after_ms: Some(5),
        };
        let checked = with_check(&instance(), &check).unwrap();
        assert_eq!(check_of(&checked), Some(check));
        for status in [
            Status::Passing,
            Status::Warning,
            Status::Critical,
            Status::Maintenance,
        ] {
            let written = with_status(&checked, status).unwrap();
            let read = Instance::decode(&written.key(), &written.encode()).unwrap();
            assert_eq!((status_of(&read), check_of(&read)), (status, Some(check)));
        }
    }

    #[test]
    fn how_long_it_is_critical_is_written_beside_that_it_is() {
        let ms = Duration::from_millis;
        let critical = with_critical_for(&instance(), ms(1_700)).unwrap();
        let read = Instance::decode(&critical.key(), &critical.encode()).unwrap();
        assert_eq!(status_of(&read), Status::Critical);
        assert_eq!(critical_for(&read), Some(ms(1_700)));
        for status in [Status::Passing, Status::Critical, Status::Maintenance] {
            let other = with_status(&read, status).unwrap();
            assert_eq!((status_of(&other), critical_for(&other)), (status, None));
        }
    }

    #[test]
    fn what_comes_late_neither_brings_back_nor_removes() {
        let (key, value) = (instance().key(), instance().encode());
        let mut store = Store::keeping(9);
        let fence = |store: &Store| {
            let found = store.key_value(&fence_of(&key));
            found.map_or(Revision::ZERO, |found| found.mod_revision)
        };
        let first = fence(&store);
        store.apply(&register(&key, &value, None, first, 1));
        assert!(store.get(&key).is_some());
        let second = fence(&store);
        store.apply(&deregister(&key, first, 2));
        assert!(store.get(&key).is_some(), "it names an old fence");
        store.apply(&deregister(&key, second, 2));
        assert_eq!(store.get(&key), None);
        store.apply(&register(&key, &value, None, second, 1));
        assert_eq!(store.get(&key), None, "it names an old fence");
        // What the registry saw is not there any more.
        let seen = Revision(2);
        let put = Op::put(key.clone(), value.clone());
        store.apply(&if_unchanged(&key, seen, put));
        assert_eq!(store.get(&key), None);
    }
}
