//! Names of things: nodes, operations, syncs.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A node of the cluster: its index from zero, shown and written as `n1`, `n2`, and so on.
///
/// The order is the one that bully election means by "higher".
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(into = "String", try_from = "String")]
pub struct NodeId(u32);

impl NodeId {
    /// The node at `index` (from zero) of the cluster.
    pub const fn from_index(index: usize) -> NodeId {
        NodeId(index as u32)
    }

    /// Its index from zero.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("n{}", u64::from(self.0) + 1))
    }
}

/// What was not the name of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotANode(pub String);

impl fmt::Display for NotANode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a node: expected n1, n2, n3, ..", self.0)
    }
}

impl std::error::Error for NotANode {}

impl FromStr for NodeId {
    type Err = NotANode;
    fn from_str(text: &str) -> Result<NodeId, NotANode> {
        let number = text
            .strip_prefix('n')
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        match number.and_then(|digits| digits.parse::<u32>().ok()) {
            Some(number) if number > 0 => Ok(NodeId(number - 1)),
            _ => Err(NotANode(text.to_owned())),
        }
    }
}

impl TryFrom<String> for NodeId {
    type Error = NotANode;
    fn try_from(text: String) -> Result<NodeId, NotANode> {
        text.parse()
    }
}

impl From<NodeId> for String {
    fn from(id: NodeId) -> String {
        id.to_string()
    }
}

/// A client operation, numbered from zero in the order of invocation; unique in a run.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct OpId(pub u64);

/// A call of [`Context::sync`](crate::Context::sync), numbered from zero within one incarnation of one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SyncId(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_names_round_trip_and_junk_is_refused() {
        for index in [0, 1, 41] {
            let id = NodeId::from_index(index);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        assert_eq!(NodeId::from_index(0).to_string(), "n1");
        for junk in [
            "",
            "n",
            "n0",
            "n-1",
            "n+1",
            "1",
            "m1",
            "n1 ",
            "n99999999999",
        ] {
            assert_eq!(junk.parse::<NodeId>(), Err(NotANode(junk.into())), "{junk}");
        }
    }
}
