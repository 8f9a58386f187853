//! Mutexes: a hold is a cluster of an acquisition and the release after it.
//!
//! Nothing of another hold takes effect between them, so that the rules of [registers](super::register) decide. A hold without a
//! release never ends. A release of unknown outcome may as well happen, at once: held for longer, a mutex only excludes
//! more.

use super::clusters::{Clusters, NEVER, Owner, Span};
use super::{Action, Datum};
use crate::Model;
use crate::linearizable::Entry;
use rustc_hash::FxHashMap;

/// What an owner did last.
#[derive(Clone, Copy)]
enum Last {
    /// It has the mutex since the acquisition of this cluster, which returned with this event.
    Acquired(u32, u32),
    Released,
    /// Nobody knows whether it has it.
    Unsure,
}

/// `None` if an owner does something else than acquire and release in turn, each after the other returned.
pub(super) fn clusters<M: Model>(model: &M, entries: &[Entry<'_, M>]) -> Option<Clusters> {
    let mut clusters = Clusters::default();
    let mut owners: FxHashMap<Datum<'_>, Last> = FxHashMap::default();
    for entry in entries {
        if entry.returned.is_none() && entry.ret.is_some() {
            return None;
        }
        let span = Span {
            called: entry.called + 1,
            returned: entry.returned.map_or(NEVER, |returned| returned + 1),
        };
        let action = model.action(entry.op, entry.ret)?;
        let (Action::Acquire(owner) | Action::Release(owner)) = action else {
            return None;
        };
        let last = owners.entry(owner).or_insert(Last::Released);
        let number = match (action, *last) {
            (Action::Acquire(_), Last::Released) => {
                let number = clusters.all.len() as u32;
                clusters.cluster(number).put = Some(span);
                *last = Last::Acquired(number, span.returned);
                number
            }
            (Action::Release(_), Last::Acquired(number, returned)) if returned < span.called => {
                clusters.cluster(number).took = Some(span);
                *last = Last::Released;
                number
            }
            _ => return None,
        };
        if entry.returned.is_none() {
            *last = Last::Unsure;
        }
        clusters.own(Owner::Cluster(number));
    }
    clusters.leave_out_unseen();
    let never = Span {
        called: NEVER,
        returned: NEVER,
    };
    for cluster in &mut clusters.all {
        if cluster.put.is_some() {
            cluster.took.get_or_insert(never);
        }
    }
    Some(clusters)
}
