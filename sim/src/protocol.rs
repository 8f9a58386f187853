//! What the harness must know of a protocol to put it under test.

use crate::scenario::{ClusterSpec, ScenarioOf, WorkloadSpec};
use crate::world::World;
use serde::Serialize;
use serde::de::DeserializeOwned;
use splitbrain_check::{
    Budget, Counterexample, History, Model, Part, Possible, Shown, Verdict, check,
};
use splitbrain_core::{Cluster, Invariant, Node, NodeId, Rng, Status};
use std::fmt::Debug;
use std::io;

/// A protocol as the harness sees it: how to set up its nodes, what its clients ask for, who is interesting, and what
/// must hold. Everything else about it is its [`Node`].
///
/// The functions are pure; whatever is random comes from the stream that is passed in.
pub trait Protocol: Debug + Send + Sync + 'static {
    /// Its nodes.
    type Node: Node<Op: Serialize + DeserializeOwned>;
    /// What the table `[settings]` of a scenario may say.
    type Settings: Clone + Debug + Default + Send + Sync + Serialize + DeserializeOwned;

    /// Its name in scenarios.
    const NAME: &'static str;

    /// The special operations that the `mix` of a [workload](WorkloadSpec::mix) may ask for, by name. A protocol says
    /// beside each what it does.
    const MIX: &'static [&'static str] = &[];

    /// Says what is wrong with the settings for this cluster and workload, if anything is.
    ///
    /// # Errors
    /// The contradiction, in words.
    fn validate(_given: Given<'_, Self::Settings>) -> Result<(), String> {
        Ok(())
    }

    /// The configuration of every node, servers first.
    fn nodes(given: Given<'_, Self::Settings>) -> Vec<<Self::Node as Node>::Config>;

    /// The nodes at which client operations begin, one process at each: the clients, or the servers themselves if the
    /// protocol has no clients.
    fn invoked_at(given: Given<'_, Self::Settings>) -> Vec<NodeId>;

    /// The next operation of a client: one that nobody else asks for, told apart by `nth`, and after `previous`, the
    /// client's last operation, if that was answered. Special ones come as often as [`WorkloadSpec::special`] says.
    fn operation(
        given: Given<'_, Self::Settings>,
        nth: u64,
        previous: Option<(&OpOf<Self>, &RetOf<Self>)>,
        rng: &mut Rng,
    ) -> OpOf<Self>;

    /// The operations that must succeed after healing, to be spread over the processes: final reads.
    fn final_operations(given: Given<'_, Self::Settings>) -> Vec<OpOf<Self>>;

    /// Whether its nodes say how far they have come ([`Node::progress`]): only then can one be behind another.
    const HAS_PROGRESS: bool = false;

    /// Whether there is ever a [leader](Protocol::leader): only then can one be expected.
    const HAS_LEADER: bool = false;

    /// The node that is interesting now: what `victims = "leader"` means.
    fn leader(_cluster: Cluster<'_, Self::Node>) -> Option<NodeId> {
        None
    }

    /// Whether somebody leads in fact: what `leader_within` waits for. By default, whenever there is a
    /// [leader](Protocol::leader); a protocol in which leaders may be deposed without their knowledge knows better.
    fn is_led(cluster: Cluster<'_, Self::Node>) -> bool {
        Self::leader(cluster).is_some()
    }

    /// Whether the healed cluster has converged.
    ///
    /// # Errors
    /// What it is still waiting for, in words.
    fn converged(cluster: Cluster<'_, Self::Node>) -> Result<(), String>;

    /// The state of a node in a few words, as far as its invariants speak of it: for the end of a timeline.
    fn state_in_words(_node: &Self::Node) -> Option<String> {
        None
    }

    /// Whether a healed cluster can make progress, though the disks of these servers were damaged. By default, as long as those
    /// of them that do not run any more for it are fewer than half.
    fn can_be_live(
        given: Given<'_, Self::Settings>,
        cluster: Cluster<'_, Self::Node>,
        damaged: &[NodeId],
    ) -> bool {
        let down = |id: &&NodeId| cluster.status(**id) != Status::Up;
        damaged.iter().filter(down).count() * 2 < given.cluster.servers.get()
    }

    /// What must hold after every event.
    fn invariants(_settings: &Self::Settings) -> Vec<Box<dyn Invariant<Self::Node>>> {
        Vec::new()
    }

    /// Judges the history of a run, within a budget of steps.
    fn judge(history: &HistoryOf<Self>, budget_steps: u64) -> Judgement;

    /// The name of the property that [`judge`](Protocol::judge) checks, if it checks one.
    const HISTORY_PROPERTY: Option<&'static str>;

    /// Writes the history in its native form, one JSON object a line.
    ///
    /// # Errors
    /// What the writer says.
    fn write_history(history: &HistoryOf<Self>, out: &mut dyn io::Write) -> io::Result<()>;
}

/// What is given in a scenario: whatever it does not change in a run, a protocol may look at.
#[derive(Debug)]
pub struct Given<'a, S> {
    /// How many nodes.
    pub cluster: &'a ClusterSpec,
    /// What clients do.
    pub workload: &'a WorkloadSpec,
    /// Of the protocol.
    pub settings: &'a S,
}

// Not derived: the settings are only pointed at.
impl<S> Clone for Given<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Given<'_, S> {}

impl<'a, S> From<&'a ScenarioOf<S>> for Given<'a, S> {
    fn from(scenario: &'a ScenarioOf<S>) -> Given<'a, S> {
        Given {
            cluster: &scenario.cluster,
            workload: &scenario.workload,
            settings: &scenario.settings,
        }
    }
}

/// What the clients of a protocol ask for.
pub type OpOf<P> = <<P as Protocol>::Node as Node>::Op;

/// What they are answered.
pub type RetOf<P> = <<P as Protocol>::Node as Node>::Ret;

/// The history of a protocol's operations.
pub type HistoryOf<P> = History<OpOf<P>, RetOf<P>>;

/// The world of a protocol.
pub type WorldOf<P> = World<<P as Protocol>::Node>;

/// Operations that contradict each other, by their places in [`History::operations`]: to be found in a timeline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contradiction {
    /// Those that have no order, as the counterexample numbers them.
    pub operations: Vec<usize>,
    /// Others of which it speaks: what led to the state before them, or could have led to another one.
    pub mentioned: Vec<usize>,
}

impl From<&Counterexample> for Contradiction {
    fn from(counterexample: &Counterexample) -> Contradiction {
        let place = |shown: &Shown| shown.operation;
        let operations: Vec<usize> = counterexample.operations.iter().map(place).collect();
        let blocked = counterexample.blocked.iter();
        let after = blocked.filter_map(|blocked| match &blocked.possible {
            Possible::After(shown) => Some(shown),
            Possible::AtFirst | Possible::Never => None,
        });
        let mentioned = counterexample.start.last.iter().chain(after).map(place);
        Contradiction {
            mentioned: mentioned
                .filter(|place| !operations.contains(place))
                .collect(),
            operations,
        }
    }
}

/// What a checker says of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is as it must be, or there is nothing to check.
    Valid,
    /// It is not.
    Invalid {
        /// The counterexample in words.
        what: String,
        /// What it speaks of.
        contradiction: Contradiction,
    },
    /// The checker gave up, or the history is malformed; why.
    Unknown(String),
}

impl Judgement {
    /// Whether the history is linearizable with respect to the model, within a budget of steps.
    pub fn of<M: Model>(
        model: &M,
        history: &History<M::Op, M::Ret>,
        budget_steps: u64,
    ) -> Judgement {
        match check(
            model,
            history,
            Budget {
                steps: budget_steps,
            },
        ) {
            Ok(Verdict::Valid) => Judgement::Valid,
            Ok(Verdict::Invalid(counterexample)) => Judgement::Invalid {
                what: counterexample.to_string(),
                contradiction: Contradiction::from(&counterexample),
            },
            Ok(Verdict::Unknown(reason)) => Judgement::Unknown(reason.to_string()),
            Err(error) => Judgement::Unknown(format!("the history makes no sense: {error}")),
        }
    }

    /// Whether a part of the history is linearizable, as in [`Judgement::of`]; what contradicts each other has its places in
    /// the whole history.
    pub fn of_part<M: Model>(
        model: &M,
        part: &Part<M::Op, M::Ret>,
        budget_steps: u64,
    ) -> Judgement {
        Judgement::of(model, &part.history, budget_steps).in_whole(part)
    }

    /// The same of the whole history, of what was said of a part of it.
    #[must_use]
    pub fn in_whole<Op, Ret>(mut self, part: &Part<Op, Ret>) -> Judgement {
        if let Judgement::Invalid { contradiction, .. } = &mut self {
            let Contradiction {
                operations,
                mentioned,
            } = contradiction;
            for place in operations.iter_mut().chain(mentioned) {
                *place = part.places[*place];
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use splitbrain_check::ProcessId;
    use splitbrain_check::models::register::{Op, Register, Ret};

    /// What clients see who write 1 and 2 and then read 1; between these, operations that are none of the model's.
    fn stale_read(other: impl Fn(&mut History<Option<Op>, Ret>)) -> History<Option<Op>, Ret> {
        let (p, q) = (ProcessId(0), ProcessId(1));
        let mut history = History::new();
        other(&mut history);
        history.invoke(10, p, Some(Op::Write(1)));
        other(&mut history);
        history.ok(20, p, Ret::Written);
        other(&mut history);
        history.invoke(30, p, Some(Op::Write(2)));
        history.ok(40, p, Ret::Written);
        other(&mut history);
        history.invoke(50, q, Some(Op::Read));
        other(&mut history);
        history.ok(60, q, Ret::Value(Some(1)));
        history
    }

    fn judged(history: &History<Option<Op>, Ret>) -> (String, Contradiction) {
        match Judgement::of_part(&Register, &history.clone().only(|op| op), 1_000) {
            Judgement::Invalid {
                what,
                contradiction,
            } => (what, contradiction),
            other => panic!("expected a contradiction, found {other:?}"),
        }
    }

    #[test]
    fn what_contradicts_each_other_is_found_in_the_whole_history() {
        let (alone, places) = judged(&stale_read(|_| {}));
        let all = |places: &Contradiction| [&places.operations[..], &places.mentioned].concat();
        assert!(!places.operations.is_empty() && !places.mentioned.is_empty());
        let whole = stale_read(|history| {
            history.invoke(1, ProcessId(9), None);
            history.ok(2, ProcessId(9), Ret::Written);
        });
        let (words, moved) = judged(&whole);
        assert_eq!(words, alone);
        let before = stale_read(|_| {});
        let (before, after) = (before.operations().unwrap(), whole.operations().unwrap());
        assert_eq!(all(&places).len(), all(&moved).len());
        for (place, moved) in all(&places).into_iter().zip(all(&moved)) {
            assert!(moved > place, "one was left out before each");
            assert_eq!(before[place].op, after[moved].op);
            assert_eq!(before[place].outcome, after[moved].outcome);
        }
    }
}
