//! The pure parts: smaller lists, milder faults.

use crate::fault::{Fault, Injection};
use crate::run::{Request, Script};
use crate::span::Span;
use serde_json::Value;
use std::time::Duration;

/// The list without `size` items from this place on.
pub(super) fn without<T: Clone>(items: &[T], place: usize, size: usize) -> Vec<T> {
    let end = items.len().min(place + size);
    [&items[..place], &items[end..]].concat()
}

/// The same fault, done to one node less or for a shorter time; the mildest first.
pub(super) fn milder(injection: &Injection) -> Vec<Injection> {
    let mut milder = Vec::new();
    let nodes = injection.fault.nodes();
    let is_partition = matches!(injection.fault, Fault::Partition { .. });
    if nodes.len() > 1 && !is_partition {
        for &spared in &nodes {
            let mut less = injection.clone();
            less.fault.retain(|node| node != spared);
            milder.push(less);
        }
    }
    let ms = injection.lasting.0.as_millis() as u64;
    for shorter in [ms / 8, ms / 2, ms - ms / 4].map(round) {
        if shorter > 0 && shorter < ms {
            milder.push(Injection {
                lasting: Span(Duration::from_millis(shorter)),
                ..injection.clone()
            });
        }
    }
    milder
}

/// To two digits: a person reads `1.2s` faster than `1.237s`, and nothing depends on the rest.
fn round(ms: u64) -> u64 {
    let unit = 10_u64.pow(ms.checked_ilog10().unwrap_or(0).saturating_sub(1));
    ms / unit * unit
}

/// The script for a cluster without its last client (the node with this index), if that client does nothing in it.
pub(super) fn without_client(
    mut script: Script<Value>,
    client: u32,
    node: usize,
) -> Option<Script<Value>> {
    let idle =
        |requests: &Vec<Request<Value>>| requests.iter().all(|request| request.client != client);
    if !script.operations.as_ref().is_none_or(idle) {
        return None;
    }
    for injection in script.faults.iter_mut().flatten() {
        injection.fault.retain(|id| id.index() != node);
    }
    Some(script)
}

#[cfg(test)]
mod tests {
    use super::*;
    use splitbrain_core::NodeId;

    #[test]
    fn lists_lose_what_they_are_told_to() {
        let items = [1, 2, 3, 4, 5];
        assert_eq!(without(&items, 0, 2), [3, 4, 5]);
        assert_eq!(without(&items, 3, 9), [1, 2, 3]);
        assert!(without(&items, 0, 5).is_empty());
    }

    #[test]
    fn milder_is_always_less() {
        let nodes: Vec<NodeId> = (0..3).map(NodeId::from_index).collect();
        let crash = Injection {
            at: Span::from_secs(1),
            lasting: Span::from_millis(1237),
            fault: Fault::Pause { nodes },
        };
        let milder = milder(&crash);
        let nodes: Vec<usize> = milder
            .iter()
            .map(|milder| milder.fault.nodes().len())
            .collect();
        assert_eq!(nodes, [2, 2, 2, 3, 3, 3]);
        let lasting: Vec<String> = milder
            .iter()
            .map(|milder| milder.lasting.to_string())
            .collect();
        assert_eq!(lasting[3..], ["150ms", "610ms", "920ms"]);
        let shortest = Injection {
            lasting: Span::from_millis(1),
            ..milder[3].clone()
        };
        assert!(
            super::milder(&Injection {
                fault: Fault::Pause { nodes: vec![] },
                ..shortest
            })
            .is_empty()
        );
    }
}
