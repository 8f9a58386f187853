//! Making what is left plain: milder faults, earlier, fewer nodes, a better network.

use super::{Candidate, Shrinking, faults, faults_of, list, network};
use crate::case::Change;
use crate::fault::Injection;
use crate::scenario::NetworkSpec;
use crate::span::Span;
use std::sync::Arc;

/// What it costs to make a small run plainer, for each way to do that.
const PLAINER_STEPS: u64 = 10_000;

impl Shrinking<'_> {
    /// What is left as plain as possible.
    pub(super) fn make_plain(&mut self) {
        while self.plainer()
            | self.earlier()
            | self.milder()
            | self.fewer_nodes(PLAINER_STEPS)
            | self.pass(0)
        {}
    }

    /// Makes each fault shorter, and done to fewer nodes.
    fn milder(&mut self) -> bool {
        let mut smaller = false;
        let mut index = 0;
        while index < faults_of(&self.best.script).len() && !self.search.exhausted {
            let milder = faults::milder(&faults_of(&self.best.script)[index]);
            let candidate = |milder: Injection| {
                let mut script = self.best.script.clone();
                if let Some(faults) = &mut script.faults {
                    faults[index] = milder;
                }
                Candidate { case: None, script }
            };
            let candidates = milder.into_iter().map(candidate).collect();
            match self.first(candidates, 0) {
                Some(_) => smaller = true,
                None => index += 1,
            }
        }
        smaller
    }

    /// Begins in half the time.
    fn earlier(&mut self) -> bool {
        let mut smaller = false;
        loop {
            let best = &self.best;
            let (script, by) = list::earlier(&best.script);
            let duration = Span(best.case.duration().0.saturating_sub(by.0));
            let case = best.case.changed(&Change::Duration(duration));
            let candidate = |case| Candidate {
                case: Some(Arc::from(case)),
                script,
            };
            let candidates = case.map(candidate).into_iter().collect();
            if self.first(candidates, PLAINER_STEPS).is_none() {
                return smaller;
            }
            smaller = true;
        }
    }

    /// A better network and better disks.
    fn plainer(&mut self) -> bool {
        let mut smaller = false;
        loop {
            let candidates = network::plainer(self.best.case.network());
            let candidates = candidates
                .into_iter()
                .filter_map(|network| self.with(network));
            if self.first(candidates.collect(), PLAINER_STEPS).is_none() {
                break;
            }
            smaller = true;
        }
        smaller | self.plainer_links()
    }

    /// The same run in another network.
    fn with(&self, network: NetworkSpec) -> Option<Candidate> {
        let case = self.best.case.changed(&Change::Network(network))?;
        Some(Candidate {
            case: Some(Arc::from(case)),
            script: self.best.script.clone(),
        })
    }

    /// Makes links plain one by one, where it comes to a few that are not: a long list of bad links is
    /// no simpler than to say that all are.
    fn plainer_links(&mut self) -> bool {
        let nodes = self.best.case.nodes();
        let Some(network) = network::link_by_link(self.best.case.network(), nodes) else {
            return false;
        };
        let all_bad = self.best.clone();
        let Some(candidate) = self.with(network) else {
            return false;
        };
        if self.first(vec![candidate], 0).is_none() {
            return false;
        }
        let mut size = self.best.case.network().links.len();
        while size > 0 {
            let mut from = 0;
            loop {
                let network = self.best.case.network();
                let places: Vec<usize> = (from..network.links.len()).step_by(size).collect();
                let candidate = |&place: &usize| {
                    let links = list::without(&network.links, place, size);
                    self.with(NetworkSpec {
                        links,
                        ..network.clone()
                    })
                };
                let candidates = places.iter().filter_map(candidate).collect();
                match self.first(candidates, 0) {
                    Some(found) => from = places[found],
                    None => break,
                }
            }
            size /= 2;
        }
        let few = self.best.case.network().links.len() <= nodes;
        if !few {
            self.best = all_bad;
        }
        few
    }
}
