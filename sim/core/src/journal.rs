//! What a node finds on its disk when it starts.

/// The records that were durable when the node last stopped, in the order in which they were appended.
///
/// The whole disk of a node is one journal of typed records: it is written with
/// [`append`](crate::Context::append), [`compact`](crate::Context::compact) and [`sync`](crate::Context::sync),
/// and read once, here, when the node [starts](crate::Node::start). A node is a fold over its journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal<R> {
    records: Vec<R>,
}

impl<R> Journal<R> {
    /// The journal of a node that has never run.
    pub const fn empty() -> Journal<R> {
        Journal {
            records: Vec::new(),
        }
    }

    /// A journal that holds these records; for hosts, kernels and tests.
    pub const fn from_records(records: Vec<R>) -> Journal<R> {
        Journal { records }
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether this node has never made anything durable.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

impl<R> IntoIterator for Journal<R> {
    type Item = R;
    type IntoIter = std::vec::IntoIter<R>;
    fn into_iter(self) -> Self::IntoIter {
        self.records.into_iter()
    }
}
