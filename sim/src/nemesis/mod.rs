//! The nemesis: decides over time what goes wrong, and resolves it to nodes when it happens.

mod source;

use crate::fault::Injection;
use crate::scenario::FaultSpec;
use source::Source;
use splitbrain_core::{NodeId, Seed, Time};

/// What a nemesis may know when it chooses victims.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Targets<'a> {
    pub(crate) servers: &'a [NodeId],
    pub(crate) clients: &'a [NodeId],
    /// The interesting server, if there is one.
    pub(crate) leader: Option<NodeId>,
    /// Of each server.
    pub(crate) facts: &'a [Fact],
}

/// What a server is doing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fact {
    pub(crate) node: NodeId,
    pub(crate) up: bool,
    /// In its protocol's words.
    pub(crate) role: &'static str,
    pub(crate) progress: u64,
    pub(crate) syncing: bool,
    /// How many records are on its disk.
    pub(crate) records: usize,
}

/// A decision of the nemesis.
#[derive(Clone, Debug)]
pub(crate) struct Drawn {
    pub(crate) injection: Injection,
    /// It is over as soon as this node is so far behind the one that is ahead.
    pub(crate) until_behind: Option<(NodeId, u64)>,
}

/// All sources of faults of a scenario, in the order of the file.
#[derive(Clone, Debug)]
pub(crate) struct Nemesis {
    sources: Vec<Source>,
    /// What was drawn and is to come, in the order of time.
    pending: Vec<Drawn>,
    /// Faults begin before this.
    until: Time,
}

impl Nemesis {
    pub(crate) fn new(seed: Seed, specs: &[FaultSpec], until: Time) -> Nemesis {
        let source = |(index, spec): (usize, &FaultSpec)| Source::new(seed, index, spec, until);
        Nemesis {
            sources: specs.iter().enumerate().map(source).collect(),
            pending: Vec::new(),
            until,
        }
    }

    /// When the next fault begins, if there is one.
    pub(crate) fn next_at(&self) -> Option<Time> {
        let pending = self.pending.first().map(begins);
        let sources = self.sources.iter().filter_map(|source| source.next);
        sources.chain(pending).filter(|&at| at < self.until).min()
    }

    /// Draws the fault that is due at `now`, the time that [`next_at`](Nemesis::next_at) said; more may be due then.
    pub(crate) fn draw(&mut self, now: Time, targets: Targets<'_>) -> Option<Drawn> {
        let is_due = |source: &&mut Source| source.next.is_some_and(|next| next <= now);
        while let Some(source) = self.sources.iter_mut().find(is_due) {
            self.pending.extend(source.draw(now, targets));
            // Stable: of those at one instant, the one that was drawn first.
            self.pending.sort_by_key(begins);
        }
        let due = self
            .pending
            .first()
            .is_some_and(|first| begins(first) <= now);
        due.then(|| self.pending.remove(0))
    }

    /// Which sources this seed has drawn and how often they come, in words, if the scenario leaves that to the seed.
    pub(crate) fn swarm(&self) -> Option<String> {
        if !self.sources.iter().any(Source::is_drawn) {
            return None;
        }
        let on: Vec<String> = self.sources.iter().filter_map(Source::describe).collect();
        Some(if on.is_empty() {
            "no faults".to_owned()
        } else {
            on.join("; ")
        })
    }
}

fn begins(drawn: &Drawn) -> Time {
    Time::ZERO + drawn.injection.at.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;
    use crate::span::Span;

    fn spec(text: &str) -> FaultSpec {
        toml::from_str(text).unwrap()
    }

    /// The third server is ahead, the fourth syncs, the fifth is a candidate.
    fn fact(node: NodeId) -> Fact {
        let index = node.index();
        Fact {
            node,
            up: true,
            role: if index == 4 { "candidate" } else { "" },
            progress: if index == 2 { 9 } else { index as u64 },
            syncing: index == 3,
            records: 10,
        }
    }

    fn all(specs: &[FaultSpec], seed: u64, leader: Option<usize>) -> Vec<Injection> {
        let servers: Vec<NodeId> = (0..5).map(NodeId::from_index).collect();
        let clients: Vec<NodeId> = (5..7).map(NodeId::from_index).collect();
        let leader = leader.map(NodeId::from_index);
        let facts: Vec<Fact> = servers.iter().map(|&node| fact(node)).collect();
        let targets = Targets {
            servers: &servers,
            clients: &clients,
            leader,
            facts: &facts,
        };
        let mut nemesis = Nemesis::new(Seed(seed), specs, Time::from_secs(30));
        let mut drawn = Vec::new();
        while let Some(at) = nemesis.next_at() {
            // Nothing, if all that is drawn is to come later.
            drawn.extend(nemesis.draw(at, targets).map(|drawn| drawn.injection));
        }
        drawn
    }

    #[test]
    fn victims_are_as_many_as_they_say() {
        for (victims, count) in [
            ("one", 1),
            ("minority", 2),
            ("majority", 3),
            ("all", 5),
            ("n4", 1),
            ("client", 1),
        ] {
            let spec = spec(&format!(
                "fault = 'crash'\nevery = '1s'\nlasting = '1s'\nvictims = '{victims}'"
            ));
            for injection in all(&[spec], 3, None) {
                assert_eq!(injection.fault.nodes().len(), count, "{victims}");
            }
        }
    }

    #[test]
    fn the_leader_is_resolved_when_it_happens_and_rolling_goes_round() {
        let leader = spec("fault = 'pause'\nat = ['9s', '1s']\nlasting = '1s'\nvictims = 'leader'");
        let drawn = all(&[leader], 1, Some(3));
        assert_eq!(drawn.len(), 2);
        assert_eq!(
            drawn[0].at,
            Span::from_secs(1),
            "in order of time, whatever the order in the file"
        );
        assert!(drawn.iter().all(|d| d.fault
            == Fault::Pause {
                nodes: vec![NodeId::from_index(3)]
            }));
        let rolling =
            spec("fault = 'crash'\nat = ['1s', '2s', '3s']\nlasting = '1s'\nvictims = 'rolling'");
        let names: Vec<String> = all(&[rolling], 1, None)
            .iter()
            .map(|d| d.fault.to_string())
            .collect();
        assert_eq!(names, ["crash n1", "crash n2", "crash n3"]);
    }

    #[test]
    fn a_source_draws_the_same_whatever_stands_beside_it_and_whoever_leads() {
        let crash = spec("fault = 'crash'\nevery = '2s'\nlasting = ['1s', '3s']\nvictims = 'one'");
        let leader = spec("fault = 'partition'\nevery = '3s'\nlasting = '1s'\nvictims = 'leader'");
        let alone = all(std::slice::from_ref(&crash), 9, None);
        let both = all(&[crash, leader.clone()], 9, Some(2));
        let crashes: Vec<_> = both
            .into_iter()
            .filter(|d| matches!(d.fault, Fault::Crash { .. }))
            .collect();
        assert_eq!(alone, crashes);
        let times = |leader_index| -> Vec<_> {
            all(std::slice::from_ref(&leader), 9, leader_index)
                .iter()
                .map(|d| (d.at, d.lasting))
                .collect()
        };
        assert_eq!(times(None), times(Some(1)));
    }

    #[test]
    fn victims_can_be_chosen_by_what_they_are_doing() {
        for (victims, expected) in [
            ("ahead", "n3"),
            ("behind", "n1"),
            ("syncing", "n4"),
            ("candidate", "n5"),
        ] {
            let spec = spec(&format!(
                "fault = 'pause'\nat = '1s'\nlasting = '1s'\nvictims = '{victims}'"
            ));
            let drawn = all(&[spec], 1, Some(1));
            assert_eq!(drawn[0].fault.to_string(), format!("pause {expected}"));
        }
        let follower =
            spec("fault = 'pause'\nevery = '100ms'\nlasting = '1s'\nvictims = 'follower'");
        let drawn = all(&[follower], 1, Some(1));
        let leader = NodeId::from_index(1);
        assert!(drawn.len() > 100 && drawn.iter().all(|d| d.fault.nodes() != [leader]));
    }

    #[test]
    fn phases_begin_and_end_and_mixes_have_every_kind() {
        let phase = spec(
            "fault = ['crash', 'pause']\nevery = '100ms'\nlasting = '1s'\nvictims = 'one'\nfrom = '5s'\nuntil = '9s'",
        );
        let drawn = all(&[phase], 1, None);
        let times = drawn.iter().map(|d| d.at);
        assert!(
            times.clone().min() >= Some(Span::from_secs(5))
                && times.max() < Some(Span::from_secs(9))
        );
        let crashes = drawn.iter().filter(|d| d.fault.kind() == "crash").count();
        assert!(crashes > 5 && drawn.len() - crashes > 5, "{crashes}");
    }

    #[test]
    fn what_is_spread_comes_one_by_one() {
        let text =
            "fault = 'crash'\nat = '1s'\nlasting = ['1s', '2s']\nvictims = 'all'\nspread = '500ms'";
        let drawn = all(&[spec(text)], 3, None);
        assert_eq!(drawn.len(), 5);
        assert!(drawn.iter().all(|d| d.fault.nodes().len() == 1));
        assert!(drawn.windows(2).all(|pair| pair[0].at <= pair[1].at));
        assert!(drawn[4].at <= Span::from_millis(1500) && drawn[4].at > drawn[0].at);
    }

    #[test]
    fn in_a_mix_only_what_can_be_spread_is_spread() {
        let text = "fault = ['crash', 'clog', 'partition']\nevery = '500ms'\nlasting = '1s'\nvictims = 'one'\nspread = '300ms'";
        let drawn = all(&[spec(text)], 3, None);
        let links = drawn
            .iter()
            .filter(|d| matches!(d.fault.kind(), "clog" | "partition"));
        assert!(links.clone().count() > 10);
        assert!(links.clone().all(|d| d.fault.nodes().len() > 1));
    }

    #[test]
    fn a_swizzle_clogs_in_one_order_and_lets_go_in_another() {
        let text = "fault = 'swizzle'\nat = '1s'\nlasting = '2s'\nvictims = 'all'";
        let orders = |seed| {
            let drawn = all(&[spec(text)], seed, None);
            assert_eq!(drawn.len(), 5);
            let victim = |d: &Injection| d.fault.to_string();
            let mut by_end = drawn.clone();
            by_end.sort_by_key(|d| d.at.0 + d.lasting.0);
            let last = drawn.last().unwrap().at.0;
            assert!(
                by_end.iter().all(|d| d.at.0 + d.lasting.0 > last),
                "all are clogged at some time"
            );
            let clogged: Vec<String> = drawn.iter().map(victim).collect();
            let freed: Vec<String> = by_end.iter().map(victim).collect();
            (clogged, freed)
        };
        assert!((0..5).map(orders).all(|(clogged, freed)| clogged != freed));
    }

    #[test]
    fn a_swarm_draws_which_sources_there_are_and_how_often_they_come() {
        let text = "fault = 'crash'\nevery = ['100ms', '10s']\nchance = '1/2'\nlasting = '1s'\nvictims = 'one'";
        let specs = [spec(text), spec(text)];
        let counts: Vec<usize> = (0..200)
            .map(|seed| all(&specs[..1], seed, None).len())
            .collect();
        let without = counts.iter().filter(|&&count| count == 0).count();
        assert!((70..130).contains(&without), "{without}");
        assert!(counts.iter().any(|&c| c > 150) && counts.iter().any(|&c| (1..6).contains(&c)));
        let words = |seed| {
            Nemesis::new(Seed(seed), &specs, Time::from_secs(9))
                .swarm()
                .unwrap()
        };
        let all: std::collections::BTreeSet<String> = (0..20).map(words).collect();
        assert!(
            all.len() > 10 && all.iter().any(|words| words.contains("crash one every ")),
            "{all:?}"
        );
        let plain = spec("fault = 'crash'\nevery = '1s'\nlasting = '1s'\nvictims = 'one'");
        assert_eq!(
            Nemesis::new(Seed(0), &[plain], Time::from_secs(9)).swarm(),
            None
        );
    }
}
