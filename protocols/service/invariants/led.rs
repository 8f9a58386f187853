//! For how long somebody has decided.

use super::super::Server;
use splitbrain_core::{Cluster, Node, NodeId, Status, Time};
use std::collections::BTreeMap;
use std::time::Duration;

/// For how long some running server has decided on leases and what else is for a leader to decide, and how often that was
/// another one: what has to be done by somebody has to be done in that time.
#[derive(Debug, Default)]
pub(crate) struct Led {
    /// Up to `as_of`.
    time: Duration,
    as_of: Time,
    /// The servers that believe that they decide, and in which term.
    lessors: BTreeMap<NodeId, u64>,
    /// The server that decides, and the term: where there are two, the later one.
    lessor: Option<(u64, NodeId)>,
    changes: u32,
}

/// For how long somebody had decided, and how often that had changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) time: Duration,
    pub(crate) changes: u32,
}

impl Led {
    /// An event has happened at `touched`, which is that server or none.
    pub(crate) fn observe<N: Node>(
        &mut self,
        cluster: Cluster<'_, N>,
        touched: NodeId,
        server: Option<&Server>,
    ) {
        self.goes_on(cluster.now);
        match server.filter(|server| server.is_lessor()) {
            Some(server) => self.lessors.insert(touched, server.raft().term().0),
            None => self.lessors.remove(&touched),
        };
        let up = self
            .lessors
            .iter()
            .filter(|(id, _)| cluster.status(**id) == Status::Up);
        let latest = up.max_by_key(|(_, term)| **term);
        self.decides(latest.map(|(id, term)| (*term, *id)));
    }

    /// Time has gone on, and whoever decided then has decided since.
    pub(crate) fn goes_on(&mut self, now: Time) {
        if self.lessor.is_some() {
            self.time += now.since(self.as_of);
        }
        self.as_of = now;
    }

    pub(crate) fn decides(&mut self, lessor: Option<(u64, NodeId)>) {
        if self.lessor != lessor {
            self.lessor = lessor;
            self.changes += 1;
        }
    }

    /// Whether that server decides.
    pub(crate) fn is_by(&self, server: NodeId) -> bool {
        self.lessor.is_some_and(|(_, id)| id == server)
    }

    /// Now.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            time: self.time,
            changes: self.changes,
        }
    }

    /// How much there was of it since then.
    pub(crate) fn since(&self, mark: Mark) -> Mark {
        Mark {
            time: self.time.saturating_sub(mark.time),
            changes: self.changes - mark.changes,
        }
    }
}
