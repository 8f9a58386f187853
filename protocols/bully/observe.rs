//! What an omniscient observer says of a whole cluster.

use super::{Member, Role};
use splitbrain_core::{Cluster, NodeId, Status};
use std::fmt::Write as _;

/// The running members, by ascending id.
fn running(cluster: Cluster<'_, Member>) -> impl Iterator<Item = (NodeId, &Member)> {
    cluster
        .nodes()
        .filter(move |&(id, _)| cluster.status(id) == Status::Up)
}

/// The coordinator: of the running members that believe themselves one, the highest.
pub fn coordinator(cluster: Cluster<'_, Member>) -> Option<NodeId> {
    running(cluster)
        .filter(|(_, member)| member.role() == Role::Coordinating)
        .map(|(id, _)| id)
        .last()
}

/// The running member that has to become coordinator if nothing happens.
pub(super) fn highest(cluster: Cluster<'_, Member>) -> Option<NodeId> {
    running(cluster).map(|(id, _)| id).last()
}

/// Whether all running members obey the highest of them.
///
/// # Errors
/// Who is the highest, and who obeys whom instead.
pub fn converged(cluster: Cluster<'_, Member>) -> Result<(), String> {
    let Some(highest) = highest(cluster) else {
        return Err("no member is running".into());
    };
    if running(cluster).all(|(_, member)| member.coordinator() == Some(highest)) {
        Ok(())
    } else {
        Err(format!(
            "{highest} is the highest running member, but {}",
            allegiances(cluster)
        ))
    }
}

/// Which running members obey whom: `n1 and n3 obey n3; n2 obeys nobody`.
pub(super) fn allegiances(cluster: Cluster<'_, Member>) -> String {
    let mut sides: Vec<(Option<NodeId>, Vec<NodeId>)> = Vec::new();
    for (id, member) in running(cluster) {
        let obeyed = member.coordinator();
        match sides.iter_mut().find(|(side, _)| *side == obeyed) {
            Some((_, members)) => members.push(id),
            None => sides.push((obeyed, vec![id])),
        }
    }
    let mut words = String::new();
    for (obeyed, members) in sides {
        if !words.is_empty() {
            words.push_str("; ");
        }
        for (index, id) in members.iter().enumerate() {
            let link = match index {
                0 => "",
                _ if index + 1 == members.len() => " and ",
                _ => ", ",
            };
            let _ = write!(words, "{link}{id}");
        }
        words.push_str(if members.len() == 1 {
            " obeys "
        } else {
            " obey "
        });
        match obeyed {
            Some(coordinator) => words.push_str(&coordinator.to_string()),
            None => words.push_str("nobody"),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bully::{Settings, cluster};
    use splitbrain_core::{Links, Time};

    fn n(number: usize) -> NodeId {
        NodeId::from_index(number - 1)
    }

    /// Runs the test with members in these roles; `None` is one that is down.
    fn with<R>(roles: &[Option<Role>], paused: &[usize], test: fn(Cluster<'_, Member>) -> R) -> R {
        let configs = cluster(roles.len(), Settings::default()).into_iter();
        let members: Vec<_> = configs
            .enumerate()
            .map(|(index, config)| {
                let id = NodeId::from_index(index);
                roles[index].map(|role| Member {
                    id,
                    config,
                    started: Time::ZERO,
                    role,
                })
            })
            .collect();
        let status: Vec<_> = (1..=roles.len())
            .map(|number| match roles[number - 1] {
                None => Status::Down,
                Some(_) if paused.contains(&number) => Status::Paused,
                Some(_) => Status::Up,
            })
            .collect();
        let links = Links::whole(roles.len());
        test(Cluster::new(Time::ZERO, &members, &status, &links))
    }

    #[test]
    fn all_must_obey_the_highest_that_runs() {
        let follows = |number| Some(Role::Obeying(n(number)));
        let coordinates = Some(Role::Coordinating);
        assert_eq!(
            with(&[follows(3), follows(3), coordinates], &[], converged),
            Ok(())
        );
        assert_eq!(
            with(&[follows(2), coordinates, None], &[], converged),
            Ok(())
        );
        assert_eq!(
            with(&[follows(2), coordinates, coordinates], &[3], converged),
            Ok(())
        );
        assert_eq!(
            with(&[None, None], &[], converged),
            Err("no member is running".into())
        );
        assert_eq!(
            with(
                &[
                    Some(Role::Waiting),
                    Some(Role::Electing),
                    follows(4),
                    coordinates,
                    None
                ],
                &[],
                converged
            ),
            Err(
                "n4 is the highest running member, but n1 and n2 obey nobody; n3 and n4 obey n4"
                    .into()
            )
        );
    }

    #[test]
    fn the_highest_of_several_coordinators_is_the_interesting_one() {
        let coordinates = Some(Role::Coordinating);
        assert_eq!(
            with(&[coordinates, coordinates, None], &[], coordinator),
            Some(n(2))
        );
        assert_eq!(
            with(&[coordinates, coordinates], &[2], coordinator),
            Some(n(1))
        );
        assert_eq!(with(&[Some(Role::Electing)], &[], coordinator), None);
    }
}
