//! The pure parts: shorter lists and scripts.

use super::faults;
use crate::run::{Request, Script};
use crate::span::Span;
use serde_json::Value;
use splitbrain_core::NodeId;

/// The list without `size` items from this place on.
pub(super) fn without<T: Clone>(items: &[T], place: usize, size: usize) -> Vec<T> {
    let end = items.len().min(place + size);
    [&items[..place], &items[end..]].concat()
}

/// The decisions that come before this time.
pub(super) fn before(script: &Script<Value>, end: Span) -> Script<Value> {
    let mut script = script.clone();
    if let Some(faults) = &mut script.faults {
        faults.retain(|fault| fault.at < end);
    }
    if let Some(operations) = &mut script.operations {
        operations.retain(|operation| operation.at < end);
    }
    script
}

/// When the last decision is made.
pub(super) fn last_decision(script: &Script<Value>) -> Span {
    let faults = super::faults_of(script).iter().map(|fault| fault.at);
    let operations = super::operations_of(script)
        .iter()
        .map(|operation| operation.at);
    faults.chain(operations).max().unwrap_or_default()
}

/// The decisions, all so much earlier that the first one is made in half the time, and how much that is.
pub(super) fn earlier(script: &Script<Value>) -> (Script<Value>, Span) {
    let mut script = script.clone();
    let faults = script
        .faults
        .iter_mut()
        .flatten()
        .map(|fault| &mut fault.at);
    let operations = script.operations.iter_mut().flatten();
    let mut times: Vec<&mut Span> = faults
        .chain(operations.map(|operation| &mut operation.at))
        .collect();
    let first = times.iter().map(|at| at.0.as_millis() as u64).min();
    let by = Span::from_millis(first.unwrap_or(0).div_ceil(2));
    for at in &mut times {
        at.0 = at.0.saturating_sub(by.0);
    }
    (script, by)
}

/// The name of a node when another one is gone and those behind it have moved up; `None` if it is the one.
pub(super) fn moved_up(node: NodeId, gone: NodeId) -> Option<NodeId> {
    match node.cmp(&gone) {
        std::cmp::Ordering::Less => Some(node),
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => Some(NodeId::from_index(node.index() - 1)),
    }
}

/// The script for a cluster without this node. Operations begin at the nodes `invoked_at`, and in the smaller
/// cluster at `invoked_then`; those of a node that is gone are left out.
pub(super) fn without_node(
    script: &Script<Value>,
    gone: NodeId,
    invoked_at: &[NodeId],
    invoked_then: &[NodeId],
) -> Script<Value> {
    let client = |client: u32| {
        let node = moved_up(*invoked_at.get(client as usize)?, gone)?;
        let place = invoked_then.iter().position(|&then| then == node)?;
        u32::try_from(place).ok()
    };
    let operation = |request: &Request<Value>| {
        Some(Request {
            client: client(request.client)?,
            ..request.clone()
        })
    };
    let fault = |injection: &crate::Injection| {
        Some(crate::Injection {
            fault: faults::without_node(&injection.fault, gone)?,
            ..injection.clone()
        })
    };
    Script {
        faults: script
            .faults
            .as_ref()
            .map(|faults| faults.iter().filter_map(fault).collect()),
        operations: script
            .operations
            .as_ref()
            .map(|operations| operations.iter().filter_map(operation).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_lose_what_they_are_told_to() {
        let items = [1, 2, 3, 4, 5];
        assert_eq!(without(&items, 0, 2), [3, 4, 5]);
        assert_eq!(without(&items, 3, 9), [1, 2, 3]);
        assert!(without(&items, 0, 5).is_empty());
    }

    #[test]
    fn clients_keep_their_operations_when_a_node_before_them_is_gone() {
        let n = NodeId::from_index;
        let request = |client| Request {
            at: Span::from_secs(1),
            client,
            op: Value::from(client),
        };
        let script = Script {
            faults: None,
            operations: Some(vec![request(0), request(1)]),
        };
        // Two servers and two clients: first a server goes, then a client.
        let server_gone = without_node(&script, n(0), &[n(2), n(3)], &[n(1), n(2)]);
        assert_eq!(server_gone, script);
        let client_gone = without_node(&script, n(2), &[n(2), n(3)], &[n(2)]);
        let left = client_gone.operations.unwrap();
        assert_eq!(
            (left.len(), left[0].client, &left[0].op),
            (1, 0, &Value::from(1))
        );
    }
}
