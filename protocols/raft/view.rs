//! A cluster of Raft servers at one instant, as an omniscient observer sees it: who leads, and whether all is well.

use super::server::{Role, Server};
use crate::quorum::Tally;
use splitbrain_core::{Cluster, NodeId, Status};

/// The servers of Raft in the nodes of a cluster, whatever else is in those.
#[derive(Debug)]
pub struct View<'a, N> {
    cluster: Cluster<'a, N>,
    server: fn(&N) -> Option<&Server>,
}

impl<'a, N> View<'a, N> {
    /// Of these nodes, in each of which `server` finds the server, if there is one.
    pub fn new(cluster: Cluster<'a, N>, server: fn(&N) -> Option<&Server>) -> View<'a, N> {
        View { cluster, server }
    }

    /// All servers that are not down, by ascending id.
    fn servers(&self) -> impl Iterator<Item = (NodeId, &'a Server)> {
        let server = self.server;
        let nodes = self.cluster.nodes();
        nodes.filter_map(move |(id, node)| Some((id, server(node)?)))
    }

    /// Those of them that are running.
    fn running(&self) -> impl Iterator<Item = (NodeId, &'a Server)> {
        let cluster = self.cluster;
        self.servers()
            .filter(move |(id, _)| cluster.status(*id) == Status::Up)
    }

    fn leading(&self) -> Option<(NodeId, &'a Server)> {
        self.running()
            .filter(|(_, server)| server.role() == Role::Leader)
            .max_by_key(|(_, server)| server.term())
    }

    /// The running leader of the highest term: the one that the others will obey.
    pub fn leader(&self) -> Option<NodeId> {
        self.leading().map(|(id, _)| id)
    }

    /// Whether the leader of the highest term is followed by a quorum of those who vote for it: it can commit.
    pub fn is_led(&self) -> bool {
        self.leading().is_some_and(|(leader_id, leader)| {
            let follows = |id| {
                let server = self.cluster.node(id).and_then(self.server);
                server.is_some_and(|server| {
                    server.term() == leader.term() && server.leader() == Some(leader_id)
                })
            };
            let quorum = leader.membership().quorum();
            quorum.tally(|id| Some(follows(id))) == Tally::Won
        })
    }

    /// Whether the cluster can go on, though the disks of these servers were damaged: whether enough of them have come back, or
    /// were not needed. The members are those of the log that would win an election.
    pub fn can_be_live(&self, damaged: &[NodeId]) -> bool {
        let lost = |id: NodeId| {
            let server = self.cluster.node(id).and_then(self.server);
            let down = self.cluster.status(id) == Status::Down;
            damaged.contains(&id) && (down || server.is_some_and(Server::is_recovering))
        };
        let servers = self.servers();
        let ahead =
            servers.max_by_key(|(_, server)| (server.log().last_term(), server.log().last_index()));
        ahead.is_some_and(|(_, server)| {
            let quorum = server.membership().quorum();
            quorum.tally(|id| Some(!lost(id))) == Tally::Won
        })
    }

    /// Whether all running members follow one leader and have caught up with it, and no change of members is under way.
    ///
    /// # Errors
    /// In words, what is still to happen.
    pub fn converged(&self) -> Result<(), String> {
        let Some((leader_id, leader)) = self.leading() else {
            let Some((id, server)) = self.running().max_by_key(|(_, server)| server.term()) else {
                return Err("no server is running".to_owned());
            };
            let (term, role) = (server.term(), server.role());
            return Err(format!(
                "no server leads; the latest term is {term}, in which {id} is a {role}"
            ));
        };
        let (term, last) = (leader.term(), leader.log().last_index());
        let (members, changed_at) = (leader.membership(), leader.membership_index());
        if members.is_joint() || changed_at > leader.commit_index() {
            return Err(format!(
                "{leader_id} leads term {term}, but the members {members} are not committed"
            ));
        }
        for (id, server) in self.running().filter(|(id, _)| members.contains(*id)) {
            let reason = if server.term() != term {
                format!("is in term {}", server.term())
            } else if server.leader() != Some(leader_id) {
                "does not know it".to_owned()
            } else if server.log().last_index() != last {
                format!("has a log up to {}, not {last}", server.log().last_index())
            } else if server.last_applied() != last {
                format!("has applied up to {}, not {last}", server.last_applied())
            } else {
                continue;
            };
            return Err(format!("{leader_id} leads term {term}, but {id} {reason}"));
        }
        Ok(())
    }
}
