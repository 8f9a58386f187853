//! Fewer suspects: delta debugging (Zeller & Hildebrandt 2002) with the monitor as the judge.
//!
//! What remains is illegal alone, and so is then all the rest with it: a legal order of everything, without the values
//! that are left out, would be a legal order of what remains. (It is with each of these objects: without a value nothing
//! else is missing, and what found nothing still finds nothing.)

use super::clusters::Clusters;
use super::{Object, Suspects};

/// As few of the suspects as still have no legal order: none of them can be left out alone. Deterministic.
pub(super) fn smallest(clusters: &Clusters, object: Object, suspects: Suspects) -> Suspects {
    let mut kept = suspects;
    let mut size = (kept.len() / 2).max(1);
    loop {
        let mut start = 0;
        while start < kept.len() {
            let fewer = kept.without(start, size);
            match clusters.only(&fewer).judge(object) {
                Ok(()) => start += size,
                // Those that it names are among the others.
                Err(named) => {
                    let named = fewer.named(&named);
                    let is_one = clusters.only(&named).judge(object).is_err();
                    kept = if is_one { named } else { fewer };
                    size = size.min(kept.len() / 2).max(1);
                    start = 0;
                }
            }
        }
        if size == 1 {
            return kept;
        }
        size /= 2;
    }
}

impl Suspects {
    fn len(&self) -> usize {
        self.clusters.len() + self.nothings.len()
    }

    /// Without `size` of them, from this one on; the clusters come first.
    fn without(&self, start: usize, size: usize) -> Suspects {
        let left_out = start..start + size;
        let count = self.clusters.len();
        let keep = |all: &[u32], offset: usize| {
            let numbered = all.iter().enumerate();
            let kept = numbered.filter(|(index, _)| !left_out.contains(&(index + offset)));
            kept.map(|(_, number)| *number).collect()
        };
        Suspects {
            clusters: keep(&self.clusters, 0),
            nothings: keep(&self.nothings, count),
        }
    }

    /// Those of these places.
    fn named(&self, places: &Suspects) -> Suspects {
        let pick = |all: &[u32], places: &[u32]| {
            let picked = places.iter().map(|&place| all[place as usize]);
            picked.collect()
        };
        Suspects {
            clusters: pick(&self.clusters, &places.clusters),
            nothings: pick(&self.nothings, &places.nothings),
        }
    }
}
