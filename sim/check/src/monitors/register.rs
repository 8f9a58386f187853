//! Registers whose written values are distinct, and mutexes: zones (Gibbons & Korach 1997, "Testing Shared Memories", section 4).
//!
//! All operations of a cluster must take effect one after the other with none of another cluster between them: a write
//! and the reads of its value, or an acquisition and the release after it. If one of a cluster returned before another was
//! called, then from the first return to the last call (its *forward* zone) the register has the value, in every order. Two forward zones
//! may then not overlap. In any other cluster all operations are open in common from the last call to the first return
//! (the *backward* zone), and can take effect at once at any moment of it: there must be one outside the forward zones. These
//! conditions are enough: put each cluster with a forward zone at it, and each other one at such a moment.

use super::Suspects;
use super::clusters::Clusters;

pub(super) fn judge(clusters: &Clusters) -> Result<(), Suspects> {
    // From the first return to the last call, with the number of the cluster, by start.
    let mut forward = Vec::new();
    let mut backward = Vec::new();
    for (number, cluster) in clusters.seen() {
        let (from, to) = (cluster.first_return(), cluster.last_call());
        if from < to {
            forward.push((from, to, number));
        } else {
            backward.push((to, from, number));
        }
    }
    let suspects = |numbers: [u32; 2]| {
        Err(Suspects {
            clusters: numbers.to_vec(),
            nothings: Vec::new(),
        })
    };
    forward.sort_unstable();
    for pair in forward.windows(2) {
        if pair[1].0 < pair[0].1 {
            return suspects([pair[0].2, pair[1].2]);
        }
    }
    // The forward zones are apart now: only the last one that starts before can contain a backward zone.
    for (from, to, number) in backward {
        let before = forward.partition_point(|zone| zone.0 < from);
        if let Some(zone) = before.checked_sub(1).map(|last| forward[last])
            && to < zone.1
        {
            return suspects([zone.2, number]);
        }
    }
    Ok(())
}
