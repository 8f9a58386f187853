//! Probes: the places that a run has come to, counted.

use super::{What, World};
use splitbrain_core::{Node, NodeId};

/// The probes of the kernel itself: what must happen in some run, or the faults of a scenario never hurt. Each of them is
/// counted where something rare happens, so that a message, a timer and a sync cost nothing more.
pub(crate) const PROBES: &[&str] = &[
    "a crash ended an operation",
    "a crash lost records that were not synced",
    "a crash lost output that waited for a sync",
    "a message was cut in flight",
    "a message from before a crash arrived after the restart",
    "a sync became durable while its process was paused",
    "a paused process found a backlog when it resumed",
];

/// The position of a probe of the kernel, found while compiling.
macro_rules! own {
    ($text:literal) => {
        const { splitbrain_core::probe_position(crate::world::probes::PROBES, $text) }
    };
}
pub(super) use own;

/// All probes of a world of these nodes: those of the node, then those of the kernel.
pub(crate) fn names<N: Node>() -> impl Iterator<Item = &'static str> {
    N::PROBES.iter().chain(PROBES).copied()
}

/// Room to count them.
pub(crate) fn unreached<N: Node>() -> Vec<u64> {
    vec![0; N::PROBES.len() + PROBES.len()]
}

impl<N: Node> World<N> {
    /// Every probe of the nodes and of the kernel, and how often it has been reached so far.
    pub fn probes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        names::<N>().zip(self.probes.iter().copied())
    }

    /// A handler of this node has come to this probe.
    #[inline]
    pub(super) fn reach(&mut self, node: NodeId, index: usize) {
        self.probes[index] += 1;
        self.trace_detail(|| What::Probe {
            node,
            probe: N::PROBES[index],
        });
    }

    /// This node is about to crash.
    pub(super) fn reach_what_a_crash_loses(&mut self, node: NodeId) {
        let process = &self.processes[node.index()];
        let (records, output) = (process.disk.has_unsynced(), process.holds_output());
        if self.open.iter().any(|open| open.node == node) {
            self.reach_own(node, own!("a crash ended an operation"));
        }
        if records {
            self.reach_own(node, own!("a crash lost records that were not synced"));
        }
        if output {
            self.reach_own(node, own!("a crash lost output that waited for a sync"));
        }
    }

    /// Something that the kernel itself has a probe for happened at this node.
    pub(super) fn reach_own(&mut self, node: NodeId, index: usize) {
        self.probes[N::PROBES.len() + index] += 1;
        self.trace_detail(|| What::Probe {
            node,
            probe: PROBES[index],
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Node, NodeId, World};
    use crate::world::{TraceDetail, WorldConfig};
    use splitbrain_check::ProcessId;
    use splitbrain_core::{Context, Journal, OpId, Seed, SyncId, Time, probe};

    const PROBES: &[&str] = &["a timer ran out", "it was asked"];
    const A: NodeId = NodeId::from_index(0);
    const B: NodeId = NodeId::from_index(1);

    /// Tells its peer of everything that it is asked for, twice, with a probe in between if there is to be one.
    #[derive(Clone)]
    struct Gossip {
        probes: bool,
    }

    impl Node for Gossip {
        type Message = u32;
        type Timer = ();
        type Record = u32;
        type Op = ();
        type Ret = ();
        type Config = bool;
        const PROBES: &'static [&'static str] = PROBES;

        fn start(&probes: &bool, _: Journal<u32>, _: &mut Context<'_, Self>) -> Self {
            Gossip { probes }
        }
        fn on_message(&mut self, _: NodeId, _: u32, _: &mut Context<'_, Self>) {}
        fn on_timer(&mut self, (): (), cx: &mut Context<'_, Self>) {
            probe!(cx, "a timer ran out");
        }
        fn on_invoke(&mut self, _: OpId, (): (), cx: &mut Context<'_, Self>) {
            cx.send(B, 1);
            if self.probes {
                probe!(cx, "it was asked");
            }
            cx.send(B, 2);
            cx.append(1);
            cx.sync();
            cx.send(B, 3);
        }
        fn on_synced(&mut self, _: SyncId, _: &mut Context<'_, Self>) {}
    }

    fn asked(probes: bool) -> World<Gossip> {
        let mut world = World::new(Seed(1), &WorldConfig::default(), [probes; 2]);
        world.trace(TraceDetail::Everything);
        world.run_until(Time::ZERO, &mut ());
        for process in 0..2 {
            world.invoke(ProcessId(process), A, ());
        }
        world.run_until(Time::ZERO, &mut ());
        world
    }

    fn reached(world: &World<Gossip>) -> Vec<(&'static str, u64)> {
        world.probes().filter(|&(_, times)| times > 0).collect()
    }

    #[test]
    fn a_probe_is_counted_at_its_place_among_the_effects_and_is_not_in_the_digest() {
        let mut world = asked(true);
        assert_eq!(reached(&world), [("it was asked", 2)]);
        assert_eq!(world.digest(), asked(false).digest());
        let names: Vec<&str> = world.probes().map(|(name, _)| name).collect();
        assert_eq!(names[..2], *PROBES);
        assert_eq!(names[2..], *super::PROBES);
        let trace = world.take_trace().unwrap();
        let lines = trace.events.iter().map(|event| event.what.to_string());
        let lines: Vec<String> = lines
            .filter(|line| line.contains("-->") || line.contains("reached"))
            .collect();
        let first = ["n1 --> n2  1", "n1  reached: it was asked", "n1 --> n2  2"];
        assert_eq!(lines[..3], first);
    }

    #[test]
    fn what_a_crash_loses_is_counted_once_a_crash() {
        let mut world = asked(false);
        world.crash(B);
        assert_eq!(reached(&world), [], "it had nothing to lose");
        world.crash(A);
        world.crash(A);
        let lost = [
            ("a crash ended an operation", 1),
            ("a crash lost records that were not synced", 1),
            ("a crash lost output that waited for a sync", 1),
        ];
        assert_eq!(reached(&world), lost);
    }
}
